"""The cache: what is in it, and how to check, compact and empty it."""

import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import polars as pl

from magnet_arrow._text import as_size, counted
from magnet_arrow.errors import CacheError, ForkedError, Rejected, warn
from magnet_arrow.pages import card, few
from magnet_arrow.query import duckdb_views, scan_runs
from magnet_arrow.query.not_ingested import not_ingested_text
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.sources.file import plain_name
from magnet_arrow.sources.paths import cache_folder
from magnet_arrow.storage import named_runs, transaction
from magnet_arrow.storage.maintenance import check
from magnet_arrow.storage.maintenance.check import CheckReport
from magnet_arrow.storage.maintenance.compact import Compacted, compact
from magnet_arrow.storage.manifest import RejectedRun, RunEntry
from magnet_arrow.storage.snapshot import CachedRun, Snapshot, read_snapshot, read_snapshot_to_ingest
from magnet_arrow.storage.transaction import GRACE_S, Transaction

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Cache:
    """A cache folder. `ingest` writes to it; all methods but `compact` and `remove` only read.

    Args:
        path: the folder; None for `$MAGNET_ARROW_CACHE_DIR`, else the platform's place for caches. It need not be
            there: an empty cache has all tables, without rows. `~` is the home folder, and a relative path is that of
            now: the cache stays where it is when the process goes elsewhere.

    Raises:
        SettingError: the folder's name is no UTF-8, which Arrow and Polars need, or it is a URL.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.path = cache_folder(path)

    def __repr__(self) -> str:
        return f"Cache({str(self.path)!r})"

    def _repr_html_(self) -> str:
        facts = {"folder": str(self.path)}
        try:
            snapshot = self.snapshot()
            runs = snapshot.runs
        except (CacheError, ForkedError) as error:
            return card("Cache", facts, str(error).split("\n"))
        n_partial = sum(run.entry.is_partial for run in runs.values())
        counts = {"partial": n_partial, "stale": len(snapshot.stale), "rejected": len(snapshot.manifest.rejected)}
        others = "".join(f", {count:,} {what}" for what, count in counts.items() if count)
        facts["runs"] = f"{counted(len(runs), 'run')}{others}"
        facts["size"] = as_size(sum(segment.size_bytes for segment in snapshot.manifest.segments))
        return card("Cache", facts, few([f"Source: {source.path}" for source in snapshot.manifest.sources]))

    @classmethod
    def coerce(cls, cache: "Cache | str | os.PathLike[str] | None") -> "Cache":
        """The cache that an argument means: an object, a folder, or None for the default."""
        return cache if isinstance(cache, Cache) else cls(cache)

    def snapshot(self) -> Snapshot:
        """The cache as it is now.

        Raises:
            CacheDamagedError: the manifest is not what was written, or is missing though there are run lists.
            CacheNotReadableError: the system refuses to read it.
            CacheVersionError: it is of a later format.
            ForkedError: this process was forked from one that had used Polars.
        """
        return read_snapshot(self.path)

    def snapshot_to_ingest(self) -> Snapshot:
        """As `snapshot`, but a cache that has lost its manifest is an empty one: its runs are to be ingested again."""
        return read_snapshot_to_ingest(self.path)

    def scan(self, table: str) -> pl.LazyFrame:
        """All rows of a table, lazily, in no promised order. Page checksums are verified, as in frames of `HelmRuns`.

        Columns: the full registered schema with the hidden ones (`magnet.run`, `magnet.row`, …), then those found
        in the data, by name. A query reads just the columns that it needs.

        A `MagnetWarning` counts the runs that were ingested without this table.

        Raises:
            ColumnNotFoundError: there is no such table.
            CacheDamagedError: a run list is damaged.
        When collected:
            CacheDamagedError: a file that the manifest names is missing, cut, or has a flipped bit.
        """
        snapshot = self.snapshot()
        rows = scan_runs.read_all(snapshot, table)
        _warn_of_not_ingested([table], snapshot)
        return rows

    def check(self) -> CheckReport:
        """Read all that the cache holds, page by page, and compare it with the checksums and digests made of it.

        Ingest the sources of the runs that are named to repair what is damaged.

        Raises:
            CacheVersionError: it is of another format.
        """
        return check.check(self.path)

    def compact(self, *, grace_s: float = GRACE_S) -> Compacted:
        """Merge small segments, and rewrite those that hold replaced runs without them. No frame changes.

        Ingests do so by themselves where there are many. Frames made before can be collected until the grace time
        is over.

        Args:
            grace_s: files that have been out of use for longer are removed, in seconds. Less than the usual day frees
                space at once, at the cost of frames that others made before and have not collected.

        Raises:
            CacheDamagedError: a segment turned out to be damaged. What was merged before stays.
            CacheLockedError: another process does not let go of the lock.
            CacheNotWritableError: the disk refused; the cache is as it was.
        """
        return compact(self.path, grace_s=grace_s)

    def remove(self, *names: str | os.PathLike[str], stale: bool = False) -> int:
        """Remove runs from the cache, whether or not their source is still there; returns how many there were.

        What is known of rejected runs, and what is beside the runs of a suite, goes with its source or suite. Sources
        stay as they are, and another ingest of one reads its runs again. `compact` gives the space back.

        Args:
            names: of each the folder of a source, a suite or a run (it may be gone), a run's key (`magnet.run`),
                `suite/folder`, or its folder's name if no other run has it.
            stale: all runs that their source has rejected or lost since, too.

        Raises:
            RunNotCachedError: the cache has nothing of that name, or several runs; nothing is removed.
            CacheLockedError: another process does not let go of the lock.
            CacheNotWritableError: the disk refused; the cache is as it was.
        """
        snapshot = self.snapshot()
        keys = {key for name in names for key in named_runs.find_all(snapshot, os.fspath(name))}
        keys.update(snapshot.stale if stale else ())
        if keys:
            transaction.commit_transaction(self.path, Transaction(pruned=sorted(keys)))
        return len(keys & snapshot.runs.keys())

    def to_duckdb(self, connection: "DuckDBPyConnection") -> pl.DataFrame:
        """Make one view per table in a DuckDB database, over the cache's files, and a view `runs`. Nothing is copied.

        Rows: those of `scan`, in no promised order. The views show the cache as it is now: call this again to see
        what was ingested since.

        Columns: those of `scan`, named in lower case with `_` for `.`: `stats.mean` is `stats_mean`. Where two would
        have the same name, the later one is numbered. What has no type in a frame, as all of it is null or an empty
        list, is text here. Numbers that a frame shows as JSON text, as others in their column are none, are
        written DuckDB's way.

        `runs` has one row per cached run, and joins with the others on `magnet_run`: source (path), suite, folder,
        run_spec_name, partial, and stale, as in `runs()`.

        DuckDB reads the files by itself and ignores page checksums: a bit that flipped on disk may come back as data,
        which frames and `scan` would notice. What is checked when the views are made: each file is there, has its
        size, and its footer's digest.

        Args:
            connection: views of the tables' names, and `runs`, in its current schema are replaced.

        Returns:
            One row per column of a view: table, column (as in a frame), sql_name, type.

        Raises:
            CacheDamagedError: a file fails the checks.
        """
        snapshot = self.snapshot()
        _warn_of_not_ingested(registry.TABLES, snapshot)
        return duckdb_views.create(snapshot, connection)

    def runs(self) -> pl.DataFrame:
        """What is cached: one row per run, by source, suite and folder.

        Columns: magnet.run, source (path), suite, folder, run_spec.name, partial (bool), stale (bool: its source has
        rejected or lost it since, and this is what it was), missing (list of names of files that are not there, or end
        early), rows.<table> for each table of runs (null: the run was ingested without it), size_bytes (of its JSON).
        """
        return runs_frame(self.snapshot())

    def files(self) -> pl.DataFrame:
        """For each cached run, each file that has a table: `elements` = `rows` + `rejected`.

        Of per-instance stats an element is a stat of an entry; entries without any are kept with the run and counted
        apart. A run that is not cached has no file here: `rejects` names it, and nothing of it is in any table.

        Columns: source (path), suite, folder, file, table, elements (counted as they were decoded), rows (in the
        table), rejected (the one that a cut file ends in), without_rows.
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
            for table in registry.RUN_TABLES
            if (elements := run.entry.elements.get(table.file)) is not None
        ]
        return pl.DataFrame(rows, schema=_FILES_SCHEMA).sort("source", "suite", "folder", "file")

    def rejects(self) -> pl.DataFrame:
        """What was excluded, and why: one row per run; for a partial run, one per file that is missing or ends early.

        A file beside the runs of a suite that is broken has a row without a folder.

        Columns: source (path), suite, folder, left_out ("run", "rest of file", "file", or "table" where it is kept as
        text), file, json_path, byte, begin_byte and end_byte (the range at fault, as closely as it is known),
        expected, found, reason, hint, sample (the first bytes of that range, escaped).
        """
        snapshot = self.snapshot()
        paths = {source.id: source.path for source in snapshot.manifest.sources}
        found: list[tuple[RejectedRun | RunEntry, str, Rejected]] = [
            (run, "run", run.rejected) for run in snapshot.manifest.rejected
        ]
        found += [
            (run.entry, run.entry.left_out(one), one) for run in snapshot.entries.values() for one in run.entry.lacking
        ]
        return rejects_frame(
            (paths.get(run.source), run.suite, run.folder, left_out, rejected) for run, left_out, rejected in found
        ).sort("source", "suite", "folder", "file")


def runs_frame(snapshot: Snapshot) -> pl.DataFrame:
    """See `Cache.runs`."""
    paths = {source.id: source.path for source in snapshot.manifest.sources}
    rows = [
        {
            registry.RUN: run.key,
            "source": paths.get(run.entry.source),
            "suite": run.entry.suite,
            "folder": run.entry.folder,
            registry.RUN_NAME: run.name,
            "partial": run.entry.is_partial,
            "stale": run.key in snapshot.stale,
            "missing": sorted({*run.entry.missing, *run.entry.cut}),
            **{f"rows.{table.name}": n_rows(run, table.name) for table in registry.RUN_TABLES},
            "size_bytes": sum(stamp.size_bytes for stamp in run.fingerprint),
        }
        for run in snapshot.runs.values()
    ]
    return pl.DataFrame(rows, schema=_RUNS_SCHEMA).sort("source", "suite", "folder")


def n_rows(run: CachedRun, table: str) -> int | None:
    """How many rows of a table a run has; None if it was ingested without it."""
    return None if table in run.entry.tables_left_out else run.rows(table).rows


def _warn_of_not_ingested(tables: Collection[str], snapshot: Snapshot) -> None:
    if text := not_ingested_text(tables, snapshot.entries.values()):
        warn(text)


def rejects_frame(found: Iterable[tuple[str | None, str, str, str, Rejected]]) -> pl.DataFrame:
    """What was excluded, in the columns of `Cache.rejects`, from (source, suite, folder, left_out, reason)."""
    rows = [(*row, *(getattr(rejected, name) for name in _REJECTED_FIELDS)) for *row, rejected in found]
    return pl.DataFrame(rows, schema=_REJECTS_SCHEMA, orient="row")


_RUNS_SCHEMA = pl.Schema(
    {
        registry.RUN: pl.String(),
        "source": pl.String(),
        "suite": pl.String(),
        "folder": pl.String(),
        registry.RUN_NAME: pl.String(),
        "partial": pl.Boolean(),
        "stale": pl.Boolean(),
        "missing": pl.List(pl.String()),
        **{f"rows.{table.name}": pl.Int64() for table in registry.RUN_TABLES},
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
    text = entry.residual.get(file) if file == registry.TABLES["per_instance_stats"].file else None
    return len(dynamic_types.parse_many([text])[0]) if text else 0
