"""Finds damage of a cache: a quick check before each ingest, and a full one that reads every byte."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.schema.registry import RUN
from magnet_arrow.storage import checksums, manifest
from magnet_arrow.storage.maintenance import vacuum
from magnet_arrow.storage.manifest import Manifest, RunEntry, RunList, Segment, StoredRows, TableEntry
from magnet_arrow.storage.segments.reader import TableFile, open_table
from magnet_arrow.storage.snapshot import Snapshot, listed


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged file of a cache.

    Attributes:
        file: its path in the cache.
        what: what is wrong with it, as a sentence.
        keys: `magnet.run` of the runs that it affects, so far as they can be told.
    """

    file: str
    what: str
    keys: tuple[str, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs as `suite/folder`; the suite alone for the files beside its runs."""
        return tuple(key.partition("/")[2].rstrip("/") for key in self.keys)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        runs: runs in the cache; those in run lists that can't be read are not counted.
        files: files that were read.
        bytes: of these.
        damages: what is damaged.
        strays: files in the cache's folder that are no part of the cache, by path. They do no harm.
    """

    runs: int
    files: int
    bytes: int
    damages: tuple[Damage, ...]
    strays: tuple[str, ...]


def of_segment(cache: Path, segment: Segment) -> CacheDamagedError | None:
    """The damage of a segment that sizes, footers and run lists show.

    Where a reader has met a bad page, all of it is read.
    """
    mark = cache / manifest.MARKS / segment.id
    marked = mark.exists()
    try:
        for file in segment.files():
            if marked:
                checksums.check_content(cache, file)
            else:
                checksums.check_digest(cache, file)
    except CacheDamagedError as error:
        return error
    if marked:
        mark.unlink(missing_ok=True)
    return None


def of_run_list(cache: Path, segment: Segment) -> CacheDamagedError | None:
    """The damaged file, if a run list or a deletion file is one, so that the runs of a segment are not known."""
    try:
        for file in filter(None, (segment.runs, segment.deleted)):
            checksums.check_digest(cache, file)
    except CacheDamagedError as error:
        return error
    return None


def check(cache: Path) -> CheckReport:
    """See `Cache.check`."""
    try:
        current = manifest.read_manifest(cache)
    except CacheDamagedError as error:
        found = Damage(manifest.MANIFEST, error.message, tuple(_keys_in_run_lists(cache)))
        return CheckReport(0, 1, (cache / manifest.MANIFEST).stat().st_size, (found,), ())
    if not (cache / manifest.MANIFEST).exists() and (keys := _keys_in_run_lists(cache)):
        # A cache has a manifest before it has its first run.
        gone = Damage(manifest.MANIFEST, f"{cache / manifest.MANIFEST} is missing.", tuple(keys))
        return CheckReport(0, 0, 0, (gone,), ())
    files = current.files_by_path().values()
    damages = [found for segment in current.segments for found in _check_segment(cache, segment)]
    return CheckReport(
        runs=sum(bool(run.folder) for segment in current.segments for run in _live(cache, segment) or ()),
        files=len(files) + (cache / manifest.MANIFEST).exists(),
        bytes=sum(file.size_bytes for file in files),
        damages=tuple(damages),
        strays=tuple(vacuum.orphan_files(cache, current)),
    )


def _check_segment(cache: Path, segment: Segment) -> Iterator[Damage]:
    runs = _live(cache, segment)
    in_tables = _keys_in_tables(cache, segment) if runs is None else []
    for file in filter(None, (segment.runs, segment.deleted)):
        try:
            checksums.check_digest(cache, file)
        except CacheDamagedError as error:
            keys = in_tables if runs is None else [run.key for run in runs if run.tables]
            yield Damage(file.path, error.message, tuple(keys))
    for name, table in segment.tables.items():
        bad = _BadGroups()
        bad.look(cache, table)
        if bad.what:
            checksums.mark(cache / table.file.path)
            keys = in_tables if runs is None else [run.key for run in runs if bad.holds(run.tables.get(name))]
            yield Damage(table.file.path, bad.what, tuple(keys))


class _BadGroups:
    """The damage of a table's file, and the affected row groups: all of them if that can't be told."""

    def __init__(self) -> None:
        self.what = ""
        self._groups: set[int] = set()

    def look(self, cache: Path, table: TableEntry) -> None:
        """The digest covers every byte of the file; reading every page tells where the fault is."""
        try:
            self._look_at_bytes(cache, table)
            with open_table(cache, table, interned=True) as file:
                for group in range(len(file.group_rows)):
                    self._read(file, group)
        except CacheDamagedError as error:
            self.what = error.message

    def _look_at_bytes(self, cache: Path, table: TableEntry) -> None:
        try:
            checksums.check_content(cache, table.file)
        except CacheDamagedError as error:
            self.what = error.message

    def _read(self, file: TableFile, group: int) -> None:
        try:
            file.read(group, file.names)
        except CacheDamagedError as error:
            self.what = error.message
            self._groups.add(group)

    def holds(self, rows: StoredRows | None) -> bool:
        """Whether rows of a run are affected."""
        if rows is None:
            return False
        return not self._groups or not self._groups.isdisjoint(range(rows.group, rows.group + rows.groups))


def _live(cache: Path, segment: Segment) -> list[RunEntry] | None:
    """The runs of a segment that count; None without a run list; all in it where it can't be told which count."""
    try:
        runs = listed(cache, segment.runs).entries
    except CacheDamagedError:
        return None
    try:
        dead = Snapshot(cache, Manifest()).deleted(segment)
    except CacheDamagedError:
        dead = frozenset()
    return [run for run in runs if run.key not in dead]


def _keys_in_tables(cache: Path, segment: Segment) -> list[str]:
    """The runs of a segment without a run list, as far as its rows tell."""
    keys: set[str] = set()
    for table in segment.tables.values():
        with contextlib.suppress(CacheDamagedError), open_table(cache, table) as file:
            for group in range(len(file.group_rows)):
                keys.update(file.read(group, [RUN]).column(RUN).unique().to_pylist())
    return sorted(keys)


def _keys_in_run_lists(cache: Path) -> list[str]:
    """The runs of a cache without a manifest, as far as its run lists tell."""
    keys: set[str] = set()
    for path in sorted((cache / manifest.RUNS).glob("*")):
        with contextlib.suppress(CacheDamagedError, OSError):  # of what is no run list too
            keys.update(run.key for run in manifest.decode(path.read_bytes(), RunList, path).runs if run.tables)
    return sorted(keys)
