"""Everything that is cached as a folder of plain Parquet files, for other tools.

    <folder>/
      README.md                                  what each table is; Hugging Face's `datasets` reads its head
      runs/part-00000.parquet                    where each run comes from, and whether it is partial or stale
      <table>/part-00000.parquet                 all rows, or
      <table>/<column>=<value>/part-00000.parquet   the rows with one value of a column, which stays in the file

The columns are those of the frames, and the hidden ones.
"""

import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import _arrow_compute as pc
from magnet_arrow import _durable
from magnet_arrow._progress import Step, watched
from magnet_arrow._text import counted
from magnet_arrow.cache import Cache
from magnet_arrow.errors import (
    ColumnNotFoundError,
    FolderNotEmptyError,
    FolderNotWritableError,
    MagnetError,
    NoRunsError,
)
from magnet_arrow.export.folder_names import folder_key, folder_name
from magnet_arrow.export.readme import readme, settled_schema
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.query.not_ingested import not_ingested_text
from magnet_arrow.query.runs_table import runs_table
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import TABLES
from magnet_arrow.sources.paths import own_folder
from magnet_arrow.storage.maintenance import sound
from magnet_arrow.storage.snapshot import Snapshot

_HELD_BYTES = 32 << 20
"""Arrow bytes of a partitioned table that are held before they are written, one file per value."""


def table_handle(snapshot: Snapshot, name: str, without: Set[str] = frozenset()) -> TableHandle:
    """All rows of a table, with the hidden columns, but for the runs or suites of the keys `without`.

    Raises:
        ColumnNotFoundError: there is no such table.
    """
    entries = snapshot.runs if registry.table(name).of == "run" else snapshot.suites
    chosen = select_runs(snapshot, name, [key for key in entries if key not in without], own="hidden")
    return TableHandle(chosen if chosen.n_rows else select_runs(snapshot, name, (), "registered", own="hidden"))


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """How far an export is: `rows_done` of `rows_total` over all tables, and the table that is being written."""

    table: str
    rows_done: int
    rows_total: int


def _step_of(progress: ExportProgress) -> Step:
    return Step(progress.rows_done, progress.rows_total, progress.table)


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """What was written of a table."""

    table: str
    rows: int
    files: int
    size_bytes: int


def export_tables(
    cache: Cache,
    to: str | os.PathLike[str],
    *,
    tables: Sequence[str] = (),
    partition_by: str | None = None,
    reading: sound.Reading = sound.STRICT,
    progress: Callable[[ExportProgress], None] | Literal[False] | None = None,
) -> tuple[ExportedTable, ...]:
    """Write everything that is cached as plain Parquet, one folder per table, and a README that explains them.

    The table `runs` says where each run comes from, and whether it is partial or stale. The folder appears complete
    or not at all. Memory does not grow with the tables.

    Args:
        cache: the cache; all its runs are written, and the files of suites.
        to: a folder that does not exist yet, or is empty.
        tables: names of tables; by default those that have rows.
        partition_by: a column with one value per row. Tables that have it are divided into one folder per value.
        reading: whether damaged runs are excluded (the whole cache is read twice then). Its `tell` is called for what
            is excluded, for stale runs, and for each folder of a killed export that was removed.
        progress: called after each batch; None and False as for `ingest`.

    Raises:
        NoRunsError: the cache is empty.
        FolderNotEmptyError: the folder is not empty.
        ColumnNotFoundError: there is no such table, or no table has the column.
        CacheDamagedError: a file of the cache is missing, cut off, or has a flipped bit.
        FolderNotWritableError: the folder cannot be written.
    """
    snapshot, damaged = sound.snapshot_of(cache.path, reading)
    if not snapshot.entries.keys() - damaged:
        raise NoRunsError(f"The cache in {cache.path} is empty.", hint="`magnet-arrow ingest PATH` reads runs into it.")
    handles = [table_handle(snapshot, name, damaged) for name in dict.fromkeys(tables or TABLES)]
    handles = [handle for handle in handles if tables or handle.n_rows]
    if partition_by is not None:
        _check_partition(partition_by, handles)
    done = []
    shown = watched(progress, _step_of)
    with writing_to(own_folder(to, "An export"), reading.tell) as folder, sound.going_on(), shown as report:
        rows_total = sum(handle.n_rows for handle in handles)
        rows_done = 0
        for handle in handles:
            writer = _writer(handle, folder / handle.table.name, partition_by)
            for batch in handle.reader():
                writer.write(_settled(batch))
                # Without this, freed memory stays with the process: a peak of 354 MB where 131 were in use at once.
                pa.default_memory_pool().release_unused()
                rows_done += batch.num_rows
                if report is not None:
                    report(ExportProgress(handle.table.name, rows_done, rows_total))
            writer.close()
            done.append(_exported(handle, folder))
        runs = runs_table(snapshot, damaged)
        done.append(_export_runs(runs, folder / "runs"))
        entries = [run for key, run in snapshot.entries.items() if key not in damaged]
        if text := not_ingested_text(tables or TABLES, entries):
            reading.tell(text)
        if n_stale := sum(runs.column("stale").to_pylist()):
            reading.tell(
                f"{counted(n_stale, 'run')} stale: the source has rejected or lost them. The table `runs` says which."
            )
        (folder / "README.md").write_text(readme(handles, runs, partition_by), encoding="utf-8")
    return tuple(done)


def _export_runs(runs: pa.Table, folder: Path) -> ExportedTable:
    writer = _SingleFileWriter(runs.schema, folder)
    writer.write(runs)
    writer.close()
    size = (folder / "part-00000.parquet").stat().st_size
    return ExportedTable("runs", runs.num_rows, 1, size)


def _check_partition(column: str, handles: Sequence[TableHandle]) -> None:
    known = {field.name for handle in handles for field in handle.schema if not pa.types.is_nested(field.type)}
    if column not in known:
        raise ColumnNotFoundError.among(column, known, table="What can be partitioned")


def _exported(handle: TableHandle, folder: Path) -> ExportedTable:
    sizes = [path.stat().st_size for path in (folder / handle.table.name).rglob("*.parquet")]
    return ExportedTable(handle.table.name, handle.n_rows, len(sizes), sum(sizes))


def remove_leftovers(to: str | os.PathLike[str]) -> list[Path]:
    """Remove the folders that killed exports to the same place have left; returns these folders."""
    target = own_folder(to, "An export")
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.partial")
    return _durable.remove_leftovers(target.parent, name)


@contextmanager
def writing_to(target: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    """A folder to write into. It replaces `target` at the end, and is removed if there is an error."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise FolderNotEmptyError(f"{target} exists and is not empty.", hint="Name another folder, or remove it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in remove_leftovers(target):
            tell(f"{path} was removed: it was left by an export that was killed.")
        with _durable.replacing(target, lambda: f".{target.name}.{secrets.token_hex(4)}.partial") as folder:
            yield folder
            _flush(folder)
    except BrokenPipeError:  # raised by `progress` or `tell`
        raise
    except OSError as error:
        if isinstance(error, MagnetError):
            raise
        raise FolderNotWritableError.of(target, error, "with to= or --to") from error


def _flush(folder: Path) -> None:
    """Flush all files, and their names, to the disk."""
    for path in (*folder.rglob("*"), folder):
        _durable.sync(path)


def _settled(batch: pa.RecordBatch) -> pa.Table:
    """A batch whose column types other tools know."""
    return pa.table(batch).cast(settled_schema(batch.schema))


def _open(path: Path, columns: pa.Schema) -> pq.ParquetWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, columns, compression="zstd", write_page_checksum=True)


class _SingleFileWriter:
    """Writes one file, one row group per batch."""

    def __init__(self, columns: pa.Schema, folder: Path) -> None:
        self._file = _open(folder / "part-00000.parquet", columns)

    def write(self, rows: pa.Table) -> None:
        self._file.write_table(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> None:
        self._file.close()


class _PartitionedWriter:
    """Writes one folder per value, in it one file for each `_HELD_BYTES` of the table in which the value occurs.

    No file is kept open, since a column may have any number of values. Polars' `PartitionBy` sink would do this in a
    few lines and an eighth of the time, but writes no page checksums and is marked unstable (Polars 2.1).
    """

    def __init__(self, columns: pa.Schema, folder: Path, column: str, key: str) -> None:
        self._columns, self._folder, self._column, self._key = columns, folder, column, key
        self._held: dict[Any, list[pa.Table]] = {}
        self._held_bytes = 0
        self._files = 0

    def write(self, rows: pa.Table) -> None:
        values = rows.column(self._column).combine_chunks().dictionary_encode(null_encoding="encode")
        ordered = rows.take(pc.sort_indices(values.indices))  # stable, so that file order stays
        counts = pc.value_counts(values.indices).to_pylist()
        begin = 0
        for count in sorted(counts, key=lambda count: count["values"]):
            value = values.dictionary[count["values"]].as_py()
            self._held.setdefault(value, []).append(ordered.slice(begin, count["counts"]))
            begin += count["counts"]
        self._held_bytes += rows.nbytes
        if self._held_bytes > _HELD_BYTES:
            self._write_held()

    def _write_held(self) -> None:
        for value, parts in self._held.items():
            name = folder_name(self._key, value)
            with _open(self._folder / name / f"part-{self._files:05}.parquet", self._columns) as file:
                file.write_table(pa.concat_tables(parts))
            self._files += 1
        self._held, self._held_bytes = {}, 0

    def close(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._write_held()


def _writer(handle: TableHandle, folder: Path, partition_by: str | None) -> _SingleFileWriter | _PartitionedWriter:
    columns = settled_schema(handle.schema)
    if partition_by is None or partition_by not in columns.names:
        return _SingleFileWriter(columns, folder)
    return _PartitionedWriter(columns, folder, partition_by, folder_key(handle, partition_by))
