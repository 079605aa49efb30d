"""The cache as the rest of the package sees it: what is in it, and the one way to commit.

`Cache` never writes and never locks. What is in a cache is put there by `apply`, a commit at a time.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import platformdirs
import polars as pl

from magnet_arrow import freeform, schema
from magnet_arrow.cache import commit, everything, manifest, segments
from magnet_arrow.cache.manifest import Deleted, Manifest, RejectedRun, RunEntry, RunList, Segment, Source, run_key
from magnet_arrow.cache.snapshot import Snapshot, read_file
from magnet_arrow.errors import Rejected
from magnet_arrow.helm.source import plain_name

CACHE_DIR_VARIABLE = "MAGNET_ARROW_CACHE_DIR"


def default_path() -> Path:
    """`$MAGNET_ARROW_CACHE_DIR`, else a folder in the platform's place for caches."""
    named = os.environ.get(CACHE_DIR_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("magnet_arrow") / "cache"


class Cache:
    """A cache folder, for reading. What is in it is put there by `ingest`.

    Args:
        path: the folder; None for `$MAGNET_ARROW_CACHE_DIR`, else the platform's place for caches. It need not be
            there: an empty cache has all tables, without rows.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(path) if path is not None else default_path()

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r})"

    @classmethod
    def coerce(cls, cache: "Cache | str | os.PathLike[str] | None") -> "Cache":
        """The cache that an argument means: an object, a folder, or None for the default."""
        return cache if isinstance(cache, Cache) else cls(cache)

    def snapshot(self) -> Snapshot:
        """The cache as it is now.

        Raises:
            CacheDamagedError: the manifest cannot be read.
            CacheVersionError: it is of a later format.
        """
        return Snapshot(self.path, manifest.read_manifest(self.path))

    def scan(self, table: str) -> pl.LazyFrame:
        """All rows of a table, lazily, by Polars alone, in no promised order.

        Columns: the full registered schema with the hidden ones (`magnet.run`, `magnet.row`, …), then those found
        in the data, by name.

        Polars ignores page checksums: a bit that flipped on disk may come back as data, which frames of `HelmRuns`
        would notice. What is checked: each file is there, has its size, and its footer's digest.

        Raises:
            ColumnNotFoundError: there is no such table.
            CacheDamagedError: a file fails these checks.
        """
        return everything.scan(self.snapshot(), table)

    def runs(self) -> pl.DataFrame:
        """What is cached: one row a run, by source, suite and folder.

        Columns: magnet.run, source (path), suite, folder, run_spec.name, partial (bool), missing (list of names of
        files that are not there, or end early), rows.<table> for each table of runs, size_bytes (of its JSON).
        """
        snapshot = self.snapshot()
        paths = {source.id: source.path for source in snapshot.manifest.sources}
        rows = [
            {
                schema.RUN: run.key,
                "source": paths.get(run.entry.source),
                "suite": run.entry.suite,
                "folder": run.entry.folder,
                schema.RUN_NAME: run.name,
                "partial": run.entry.is_partial,
                "missing": sorted({*run.entry.missing, *run.entry.cut}),
                **{f"rows.{table.name}": run.rows(table.name).rows for table in schema.RUN_TABLES},
                "size_bytes": sum(stamp.size_bytes for stamp in run.fingerprint),
            }
            for run in snapshot.runs.values()
        ]
        return pl.DataFrame(rows, schema=_RUNS_SCHEMA).sort("source", "suite", "folder")

    def files(self) -> pl.DataFrame:
        """What became of each file that has a table, of each cached run: `elements` = `rows` + `rejected`.

        Of per-instance stats an element is a stat of an entry; entries without any are kept with the run and counted
        apart. A run that is not cached has no file here: `rejects` names it, and nothing of it is in any table.

        Columns: source (path), suite, folder, file, table, elements (counted as they were decoded), rows (as they
        stand in the table), rejected (the one that a cut file ends in), without_rows.
        """
        snapshot = self.snapshot()
        paths = {source.id: source.path for source in snapshot.manifest.sources}
        rows = [
            {
                "source": paths.get(run.entry.source),
                "suite": run.entry.suite,
                "folder": run.entry.folder,
                "file": table.file,
                "table": table.name,
                "elements": elements + _lost(run.entry, table.file),
                "rows": run.rows(table.name).rows,
                "rejected": _lost(run.entry, table.file),
                "without_rows": _without_rows(run.entry, table.file),
            }
            for run in snapshot.runs.values()
            for table in schema.RUN_TABLES
            if (elements := run.entry.elements.get(table.file)) is not None
        ]
        return pl.DataFrame(rows, schema=_FILES_SCHEMA).sort("source", "suite", "folder", "file")

    def rejects(self) -> pl.DataFrame:
        """What was left out, and why: one row a run, and of partial runs one row a file that ends early.

        Columns: source (path), suite, folder, left_out ("run", or "rest of file"), file, json_path, byte, begin_byte
        and end_byte (the range at fault, as closely as it is known), expected, found, reason, hint, sample (the
        first bytes of that range, escaped).
        """
        snapshot = self.snapshot()
        paths = {source.id: source.path for source in snapshot.manifest.sources}
        found: list[tuple[RejectedRun | RunEntry, str, Rejected]] = [
            (run, "run", run.rejected) for run in snapshot.manifest.rejected
        ]
        found += [(run.entry, "rest of file", one) for run in snapshot.runs.values() for one in run.entry.rejected]
        rows = [
            {
                "source": paths.get(run.source),
                "suite": run.suite,
                "folder": run.folder,
                "left_out": left_out,
                **{name: getattr(rejected, name) for name in _REJECTED_FIELDS},
            }
            for run, left_out, rejected in found
        ]
        return pl.DataFrame(rows, schema=_REJECTS_SCHEMA).sort("source", "suite", "folder", "file")


_RUNS_SCHEMA = pl.Schema(
    {
        schema.RUN: pl.String(),
        "source": pl.String(),
        "suite": pl.String(),
        "folder": pl.String(),
        schema.RUN_NAME: pl.String(),
        "partial": pl.Boolean(),
        "missing": pl.List(pl.String()),
        **{f"rows.{table.name}": pl.Int64() for table in schema.RUN_TABLES},
        "size_bytes": pl.Int64(),
    }
)
_FILES_SCHEMA = pl.Schema(
    {name: pl.String() for name in ("source", "suite", "folder", "file", "table")}
    | {name: pl.Int64() for name in ("elements", "rows", "rejected", "without_rows")}
)
_REJECTED_FIELDS = (
    *("file", "json_path", "byte", "begin_byte", "end_byte"),
    *("expected", "found", "reason", "hint", "sample"),
)
_REJECTS_SCHEMA = pl.Schema(
    {name: pl.String() for name in ("source", "suite", "folder", "left_out")}
    | {name: pl.Int64() if name.endswith("byte") else pl.String() for name in _REJECTED_FIELDS}
)


def _lost(entry: RunEntry, file: str) -> int:
    return sum(plain_name(rejected.file) == file for rejected in entry.rejected)


def _without_rows(entry: RunEntry, file: str) -> int:
    """Entries of per-instance stats that have no stat, and so no row."""
    text = entry.residual.get(file) if file == schema.TABLES["per_instance_stats"].file else None
    return len(freeform.parse_many([text])[0]) if text else 0


@dataclass(slots=True)
class Change:
    """What a commit is to bring.

    Attributes:
        segment: a finished segment, and its run list; None if no run was read.
        rejected: runs that could not be taken.
        sources: outputs folders by id, new or moved; those that the cache has by now under another id keep that.
        pruned: keys of runs that are to go.
        recovered: keys of runs that were rejected, and are again what the cache has of them.
    """

    segment: Segment | None = None
    rejected: Sequence[RejectedRun] = ()
    sources: Sequence[Source] = ()
    pruned: Iterable[str] = ()
    recovered: Iterable[str] = ()


def apply(cache: Path, change: Change) -> Snapshot:
    """Commit a change; what others committed meanwhile stays.

    Runs that the cache has in the same state by now are not taken twice; those that it has in another state are
    replaced. A run that is rejected leaves what the cache has of it from better days.

    Raises:
        CacheLockedError: another process does not let go of the lock.
        CacheNotWritableError: the disk refused; the cache is as it was.
    """
    if change.segment is not None:
        commit.flush(cache / path for path in _files(change.segment))
    with commit.locked(cache):
        before = Snapshot(cache, manifest.read_manifest(cache))
        after = _Merge(before, change).result()
        commit.swap(cache, after)
    return Snapshot(cache, after)


def _files(segment: Segment) -> Iterator[str]:
    yield from (table.file.path for table in segment.tables.values())
    yield segment.runs.path
    if segment.deleted is not None:
        yield segment.deleted.path


class _Merge:
    """The manifest that a change makes of the one it finds."""

    def __init__(self, before: Snapshot, change: Change) -> None:
        self._before, self._change = before, change
        self._dead: dict[str, set[str]] = {}

    def result(self) -> Manifest:
        before, change = self._before, self._change
        new = self._new_runs()
        for key in change.pruned:
            if key in before.entries:
                self._dead.setdefault(before.entries[key].segment.id, set()).add(key)
        found = [*before.manifest.segments, *([change.segment] if change.segment else [])]
        kept = [self._with_deletions(segment) for segment in found]
        sources = {source.id: source for source in before.manifest.sources}
        for source in change.sources:
            # Another writer may have been the first to see this folder: it keeps the id that it has by now.
            if before.source_ids.get(source.path, source.id) == source.id:
                sources[source.id] = source
        return Manifest(
            sources=tuple(sources.values()),
            segments=tuple(segment for segment in kept if segment is not None),
            rejected=self._rejections(new),
        )

    def _new_runs(self) -> set[str]:
        """Keys that the change brings, once those that are there already have been marked as deleted in it."""
        segment = self._change.segment
        if segment is None:
            return set()
        entries = read_file(self._before.path, segment.runs, RunList).runs
        for entry in entries:
            held = self._before.entries.get(entry.key)
            if held is None:
                continue
            is_same = held.fingerprint == entry.fingerprint and held.schema_version >= segment.schema_version
            loser = segment if is_same else held.segment
            self._dead.setdefault(loser.id, set()).add(entry.key)
        return {entry.key for entry in entries}

    def _with_deletions(self, segment: Segment) -> Segment | None:
        """The segment with its deletion file brought up to date; None if no run of it is left."""
        dead = self._dead.get(segment.id)
        if not dead:
            return segment
        keys = sorted(dead | self._before.deleted(segment))
        if len(keys) == segment.n_runs:
            return None
        cache = self._before.path
        path = cache / "deleted" / f"{segment.id}.{secrets.token_hex(4)}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(manifest.encode(Deleted(tuple(keys))))
        except OSError as error:
            raise commit.not_writable(path, error) from error
        commit.flush([path])
        entry = segments.file_entry(path, cache)
        return msgspec.structs.replace(segment, deleted=entry)

    def _rejections(self, taken: set[str]) -> tuple[RejectedRun, ...]:
        rejected = dict(self._before.rejected)
        for key in (*taken, *self._change.pruned, *self._change.recovered):
            rejected.pop(key, None)
        for run in self._change.rejected:
            rejected[run_key(run.source, run.suite, run.folder)] = run
        return tuple(rejected[key] for key in sorted(rejected))
