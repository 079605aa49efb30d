"""The cache at one commit: which runs it has, and where. Segments are immutable, so it stays readable."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TypeVar

from magnet_arrow.cache import integrity, manifest
from magnet_arrow.cache.manifest import (
    Deleted,
    FileEntry,
    Manifest,
    RejectedRun,
    RunEntry,
    RunList,
    Segment,
    StoredRows,
    run_key,
)
from magnet_arrow.errors import RunNotCachedError
from magnet_arrow.freeform import Kind
from magnet_arrow.garbage import collector_off
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.helm.source import Fingerprint

T = TypeVar("T")

_NO_ROWS = StoredRows(0, 0, 0, 0, -1)


@dataclass(frozen=True, slots=True)
class CachedRun:
    """One run of a snapshot.

    Attributes:
        entry: what the run list says.
        segment: the segment that it is in.
        run_list: the list it is from, for the profiles.
    """

    entry: RunEntry
    segment: Segment
    run_list: RunList

    @property
    def key(self) -> str:
        """What `magnet.run` holds."""
        return self.entry.key

    @property
    def name(self) -> str:
        """`run_spec.name`."""
        return self.entry.name

    @property
    def fingerprint(self) -> Fingerprint:
        """Stamps of its files as they were read."""
        return self.entry.fingerprint

    @property
    def schema_version(self) -> int:
        """The schema that its columns follow."""
        return self.segment.schema_version

    def rows(self, table: str) -> StoredRows:
        """Where its rows of a table are."""
        return self.entry.tables.get(table, _NO_ROWS)

    def occurs(self, table: str) -> int:
        """Bit set over the table's registered columns: those whose key occurs."""
        rows = self.rows(table)
        return int(self.run_list.profiles[rows.profile].occurs, 16) if rows.rows else 0

    def dynamic(self, table: str) -> dict[str, Kind]:
        """Kinds met in each column that was found in the data."""
        rows = self.rows(table)
        return self.run_list.profiles[rows.profile].kinds() if rows.rows else {}


@dataclass(frozen=True)
class Snapshot:
    """The cache at one commit."""

    path: Path
    manifest: Manifest

    @cached_property
    def runs(self) -> Mapping[str, CachedRun]:
        """All runs that count, by key; segments in order of commit, in each by place."""
        return {key: run for key, run in self.entries.items() if run.entry.folder}

    @cached_property
    def suites(self) -> Mapping[str, CachedRun]:
        """What stands beside the runs of each suite and release, by key."""
        return {key: run for key, run in self.entries.items() if not run.entry.folder}

    @cached_property
    def entries(self) -> Mapping[str, CachedRun]:
        """Runs and suites together."""
        found: dict[str, CachedRun] = {}
        with collector_off():
            for segment in self.manifest.segments:
                run_list = read_file(self.path, segment.runs, RunList)
                dead = self.deleted(segment)
                for entry in run_list.runs:
                    key = entry.key
                    if key not in dead:
                        found[key] = CachedRun(entry, segment, run_list)
        return found

    def deleted(self, segment: Segment) -> frozenset[str]:
        """Keys of the runs of a segment that no longer count."""
        if segment.deleted is None:
            return frozenset()
        return frozenset(read_file(self.path, segment.deleted, Deleted).keys)

    @cached_property
    def source_ids(self) -> Mapping[str, str]:
        """Id of each source, by its path."""
        return {source.path: source.id for source in self.manifest.sources}

    def key_of(self, place: RunPlace) -> str | None:
        """The key of a place; None if nothing was ever taken from its source."""
        source = self.source_ids.get(str(place.source))
        return None if source is None else run_key(source, place.suite, place.folder)

    def lookup(self, place: RunPlace) -> CachedRun | None:
        """The run at a place, whether or not it is as it was when it was read."""
        key = self.key_of(place)
        return None if key is None else self.runs.get(key)

    def run(self, key: str) -> CachedRun:
        """The run with this key.

        Raises:
            RunNotCachedError: there is none.
        """
        try:
            return self.entries[key]
        except KeyError:
            raise RunNotCachedError(
                f"The cache {self.path} has no run {key!r}.", hint="Ingest its source, then ask again."
            ) from None

    @cached_property
    def rejected(self) -> Mapping[str, RejectedRun]:
        """Runs that could not be taken, by key."""
        return {run_key(run.source, run.suite, run.folder): run for run in self.manifest.rejected}


@lru_cache(maxsize=512)
def read_file(cache: Path, entry: FileEntry, kind: type[T]) -> T:
    """An immutable file of the cache; read once a process, since its digest is part of the question."""
    path = integrity.check_digest(cache, entry)
    return manifest.decode(path.read_bytes(), kind, path)
