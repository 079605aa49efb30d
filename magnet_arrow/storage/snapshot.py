"""The cache at one commit: which runs it has, and where. Segments are immutable, so it stays readable."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from msgspec import Raw, Struct
from msgspec.json import Decoder

from magnet_arrow import _gc
from magnet_arrow._forks import require_threads
from magnet_arrow.errors import RunNotCachedError
from magnet_arrow.helm.run_place import RunPlace
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.sources.file import Fingerprint
from magnet_arrow.storage import checksums, manifest
from magnet_arrow.storage.manifest import (
    Deleted,
    FileEntry,
    Manifest,
    Profile,
    RejectedRun,
    RunEntry,
    Segment,
    StoredRows,
    run_key,
)
from magnet_arrow.storage.segments import evolution

_FEW = 16
"""Up to so many runs are looked up one by one."""
_NO_ROWS = StoredRows(0, 0, 0, 0, -1)
GONE, REJECTED = "gone from its source", "rejected since"
"""Why a cached run is stale."""


class CachedRun(Struct, frozen=True):
    """One run of a snapshot.

    Attributes:
        entry: what the run list says.
        segment: the segment that it is in.
        profiles: those of its run list.
        columns: what the profiles' bits stand for, by table; empty for all columns of schema version 1.
    """

    entry: RunEntry
    segment: Segment
    profiles: tuple[Profile, ...]
    columns: Mapping[str, tuple[str, ...]]

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
        """Bit set over the table's registered columns of today: those whose key occurs."""
        rows = self.rows(table)
        if not rows.rows:
            return 0
        profile = self.profiles[rows.profile]
        names = self.columns[table] if self.columns else evolution.columns_of_version_1(table)
        return evolution.registered_bits(table, names, profile.occurs) | evolution.bits_found(table, profile.dynamic)

    def dynamic(self, table: str) -> dict[str, Kind]:
        """Kinds met in each column that was found in the data, and is not registered by now."""
        rows = self.rows(table)
        if not rows.rows:
            return {}
        profile = self.profiles[rows.profile]
        kinds = profile.kinds()
        if evolution.bits_found(table, profile.dynamic):
            return {name: kind for name, kind in kinds.items() if not evolution.bits_found(table, {name})}
        return kinds


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
        """The files beside the runs of each suite and release, by key."""
        return {key: run for key, run in self.entries.items() if not run.entry.folder}

    @cached_property
    def entries(self) -> Mapping[str, CachedRun]:
        """Runs and suites together."""
        found: dict[str, CachedRun] = {}
        with _gc.paused():
            for segment, runs, dead in self._lists:
                for entry in runs.entries:
                    key = entry.key
                    if key not in dead:
                        found[key] = CachedRun(entry, segment, runs.profiles, runs.columns)
        return found

    def among(self, keys: Collection[str]) -> Mapping[str, CachedRun]:
        """Those of these runs and suites that it has, by key.

        A few are looked up in the run lists: decoding all entries of 5,000 runs takes half as long as ingesting one
        run.

        Raises:
            CacheDamagedError: a run list cannot be read.
        """
        is_known = "entries" in vars(self) or len(keys) > _FEW
        find = self.entries.get if is_known else self._find
        return {key: run for key in keys if (run := find(key)) is not None}

    def _find(self, key: str) -> CachedRun | None:
        for segment, runs, dead in reversed(self._lists):
            entry = None if key in dead else runs.find(key)
            if entry is not None:
                return CachedRun(entry, segment, runs.profiles, runs.columns)
        return None

    def read_run_lists(self) -> None:
        """Read all run lists, which are kept.

        Raises:
            CacheDamagedError: one cannot be read.
        """
        self._lists  # noqa: B018

    @cached_property
    def _lists(self) -> "list[tuple[Segment, Listed, frozenset[str]]]":
        """For each segment, the run list and the keys that no longer count."""
        return [(one, listed(self.path, one.runs), self.deleted(one)) for one in self.manifest.segments]

    def deleted(self, segment: Segment) -> frozenset[str]:
        """Keys of the runs of a segment that no longer count."""
        if segment.deleted is None:
            return frozenset()
        return _deleted(self.path, segment.deleted)

    @cached_property
    def source_ids(self) -> Mapping[str, str]:
        """Id of each source, by its path and by those of its mirrors."""
        ids = {source.path: source.id for source in self.manifest.sources}
        return ids | {mirror: source.id for source in self.manifest.sources for mirror in source.mirrors}

    def key_of(self, place: RunPlace) -> str | None:
        """The key of a place; None if nothing of its source was ever ingested."""
        source = self.source_ids.get(str(place.source))
        return None if source is None else run_key(source, place.suite, place.folder)

    def keys_of(self, places: Iterable[RunPlace]) -> list[str | None]:
        """The keys of places, as `key_of` tells them; thousands of runs are of one source."""
        ids: dict[Path, str | None] = {}
        keys = []
        for place in places:
            if place.source not in ids:
                ids[place.source] = self.source_ids.get(str(place.source))
            source = ids[place.source]
            keys.append(None if source is None else run_key(source, place.suite, place.folder))
        return keys

    def lookup(self, place: RunPlace) -> CachedRun | None:
        """The run at a place, whether or not it is as it was when it was read."""
        key = self.key_of(place)
        return None if key is None else self.runs.get(key)

    def chosen(self, keys: Sequence[str]) -> list[CachedRun]:
        """The runs with these keys, in their order.

        Raises:
            RunNotCachedError: one is not there.
        """
        found = self.among(keys)
        for key in keys:
            if key not in found:
                raise RunNotCachedError(
                    f"The cache {self.path} has no run {key!r}.", hint="Ingest its source, then ask again."
                )
        return [found[key] for key in keys]

    @cached_property
    def stale(self) -> Mapping[str, str]:
        """Stale runs, which their source has rejected or lost since, by key, with the reason."""
        gone, rejected = frozenset(self.manifest.gone), self.rejected
        held = self.among(sorted(gone | rejected.keys()))
        return {key: GONE if key in gone else REJECTED for key, run in held.items() if run.entry.folder}

    @cached_property
    def rejected(self) -> Mapping[str, RejectedRun]:
        """Runs that could not be ingested, by key."""
        return {run_key(run.source, run.suite, run.folder): run for run in self.manifest.rejected}


def read_snapshot(path: Path) -> Snapshot:
    """The cache in a folder as it is now; see `Cache.snapshot`."""
    found = read_snapshot_to_ingest(path)
    if not found.manifest.segments and (error := manifest.lost(path)):
        raise error
    return found


def read_snapshot_to_ingest(path: Path) -> Snapshot:
    """As `read_snapshot`, but a cache that has lost its manifest is an empty one."""
    require_threads()
    return Snapshot(path, manifest.read_manifest(path))


class _RawRunList(Struct, frozen=True):
    profiles: tuple[Profile, ...]
    runs: list[Raw]
    columns: dict[str, tuple[str, ...]] = {}


class _Place(Struct, frozen=True):
    """The parts of a run entry that its key is made of."""

    source: str
    suite: str
    folder: str


class Listed:
    """A run list whose entries are decoded when they are asked for."""

    _ENTRY, _PLACE = Decoder(RunEntry), Decoder(_Place)

    def __init__(self, path: Path, data: bytes) -> None:
        raw = manifest.decode(data, _RawRunList, path)
        self.profiles, self.columns, self._raws = raw.profiles, raw.columns, raw.runs

    def find(self, key: str) -> RunEntry | None:
        """The run with this key; run lists are sorted by it."""
        place = bisect_left(self._raws, key, key=self._key)
        if place == len(self._raws) or self._key(self._raws[place]) != key:
            return None
        return self._ENTRY.decode(self._raws[place])

    @cached_property
    def entries(self) -> list[RunEntry]:
        """All runs."""
        return list(map(self._ENTRY.decode, self._raws))

    def _key(self, raw: Raw) -> str:
        place = self._PLACE.decode(raw)
        return run_key(place.source, place.suite, place.folder)


@lru_cache(maxsize=512)
def listed(cache: Path, entry: FileEntry) -> Listed:
    """A run list; read once a process, since its digest is part of the question.

    Raises:
        CacheDamagedError: it is missing, or not what was written.
    """
    return Listed(cache / entry.path, checksums.read_whole(cache, entry))


@lru_cache(maxsize=512)
def _deleted(cache: Path, entry: FileEntry) -> frozenset[str]:
    """The keys in a deletion file; read once a process, as a run list is."""
    return frozenset(manifest.decode(checksums.read_whole(cache, entry), Deleted, cache / entry.path).keys)
