"""What is cached, for other tools: tables as Arrow streams, and a folder of plain Parquet files.

    <folder>/
      README.md                                  what each table is; its head is read by Hugging Face's `datasets`
      runs/part-00000.parquet                    where each run came from, and if it is partial or stale
      <table>/part-00000.parquet                 all rows, or
      <table>/<column>=<value>/part-00000.parquet   those with one value of a column, which stays in the file

Columns are those of the frames, with the hidden ones. Nothing of this package is needed to read them.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import _arrow_compute as pc
from magnet_arrow import _durable
from magnet_arrow._text import counted, for_terminal, of_system, where_to_write
from magnet_arrow.cache import Cache
from magnet_arrow.errors import (
    ColumnNotFoundError,
    FolderNotEmptyError,
    FolderNotWritableError,
    MagnetError,
    NoRunsError,
    warn,
)
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import settled
from magnet_arrow.schema.registry import TABLES, Table
from magnet_arrow.sources.paths import own_folder
from magnet_arrow.storage.maintenance import sound
from magnet_arrow.storage.snapshot import Snapshot

_HELD_BYTES = 32 << 20
"""Arrow bytes of a partitioned table gathered before they are written, a file a value."""

_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
_LONGEST_KEY = 100
_LONGEST_FOLDER = 255


def cached_table(cache: Cache, name: str) -> TableHandle:
    """All rows of a table of a cache, with the hidden columns; runs in the order in which they were taken.

    Raises:
        ColumnNotFoundError: there is no such table.
    """
    return _all_rows(cache.snapshot(), name)


def _all_rows(snapshot: Snapshot, name: str, without: Set[str] = frozenset()) -> TableHandle:
    entries = snapshot.runs if registry.table(name).of == "run" else snapshot.suites
    chosen = select_runs(snapshot, name, [key for key in entries if key not in without], hidden=True)
    return TableHandle(chosen if chosen.n_rows else select_runs(snapshot, name, (), "registered", hidden=True))


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """How far an export is: `rows_done` of `rows_total` over all tables, and the table in hand."""

    table: str
    rows_done: int
    rows_total: int


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
    skip_damaged: bool = False,
    progress: Callable[[ExportProgress], None] | None = None,
    tell: Callable[[str], None] = warn,
) -> tuple[ExportedTable, ...]:
    """Write what is cached as plain Parquet, one folder a table, and a README that says what they are.

    Beside these is the table `runs`: where each run came from, and whether it is partial or stale. The folder is there
    when it is complete, or not at all. Memory does not grow with the tables.

    Args:
        cache: all its runs, and what stands beside them.
        to: a folder that is not there yet, or is empty.
        tables: names; by default those that have rows.
        partition_by: a column with one value a row. Tables that have it are divided into a folder a value.
        skip_damaged: leave out runs that damage of the cache affects. All that it holds is read twice for that.
        progress: told after each batch.
        tell: told what is left out, how many runs are stale, and which folders of killed exports to the same place
            were removed; by default a `MagnetWarning`.

    Raises:
        NoRunsError: the cache is empty.
        FolderNotEmptyError: there is something in the folder.
        ColumnNotFoundError: no such table, or none of them has the column.
        CacheDamagedError: a file of the cache is missing, cut, or has a flipped bit.
        FolderNotWritableError: the disk refused, or there are no rights.
    """
    snapshot, damaged = sound.snapshot_of(cache.path, skip_damaged=skip_damaged, tell=tell)
    if not snapshot.entries.keys() - damaged:
        raise NoRunsError(f"The cache in {cache.path} is empty.", hint="`magnet-arrow ingest PATH` takes runs into it.")
    handles = [_all_rows(snapshot, name, damaged) for name in dict.fromkeys(tables or TABLES)]
    handles = [handle for handle in handles if tables or handle.n_rows]
    if partition_by is not None:
        _check_partition(partition_by, handles)
    done = []
    with _beside(own_folder(to, "An export"), tell) as folder, sound.going_on():
        rows_total = sum(handle.n_rows for handle in handles)
        rows_done = 0
        for handle in handles:
            writer = _writer(handle, folder / handle.table.name, partition_by)
            for batch in handle.reader():
                writer.write(_settled(batch))
                # Else what was freed stays with the process: 354 MB at the highest where 131 were in use at once.
                pa.default_memory_pool().release_unused()
                rows_done += batch.num_rows
                if progress is not None:
                    progress(ExportProgress(handle.table.name, rows_done, rows_total))
            writer.close()
            done.append(_exported(handle, folder))
        runs = _runs(snapshot, damaged)
        done.append(_export_runs(runs, folder / "runs"))
        if n_stale := sum(runs.column("stale").to_pylist()):
            tell(
                f"{counted(n_stale, 'run')} stale: the table `runs` says which. Their source has rejected or lost them."
            )
        (folder / "README.md").write_text(_readme(handles, runs, partition_by), encoding="utf-8")
    return tuple(done)


def _runs(snapshot: Snapshot, without: Set[str]) -> pa.Table:
    """Where the runs came from, and what their rows in the tables are worth."""
    paths = {source.id: source.path for source in snapshot.manifest.sources}
    rows = [
        {
            registry.RUN: key,
            "source": paths.get(run.entry.source),
            "suite": run.entry.suite,
            "folder": run.entry.folder,
            registry.RUN_NAME: run.name,
            "partial": run.entry.is_partial,
            "stale": key in snapshot.stale,
        }
        for key, run in snapshot.runs.items()
        if key not in without
    ]
    return pa.Table.from_pylist(rows, schema=_RUNS)


_RUNS = pa.schema(
    [
        *((name, pa.string()) for name in (registry.RUN, "source", "suite", "folder", registry.RUN_NAME)),
        *((name, pa.bool_()) for name in ("partial", "stale")),
    ]
)


def _export_runs(runs: pa.Table, folder: Path) -> ExportedTable:
    writer = _WholeWriter(runs.schema, folder)
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
    """Remove what exports to the same place have left that were killed; which folders these were."""
    target = own_folder(to, "An export")
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.partial")
    return _durable.remove_leftovers(target.parent, name)


@contextmanager
def _beside(target: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    """A folder to write into, that takes the place of `target` when all went well, and goes away otherwise."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise FolderNotEmptyError(f"{target} is there, and not empty.", hint="Name another folder, or remove it.")
        target.parent.mkdir(parents=True, exist_ok=True)
        for path in remove_leftovers(target):
            tell(f"{path} was removed: an export that was killed had left it.")
        with _durable.replacing(target, lambda: f".{target.name}.{secrets.token_hex(4)}.partial") as folder:
            yield folder
            _flush(folder)
    except BrokenPipeError:  # of whoever is told of the progress
        raise
    except OSError as error:
        if isinstance(error, MagnetError):
            raise
        text = f"{target} cannot be written: {of_system(error)}."
        raise FolderNotWritableError(text, hint=where_to_write(error, "with to= or --to")) from error


def _flush(folder: Path) -> None:
    """Flush all files, and their names, to the disk."""
    for path in (*folder.rglob("*"), folder):
        _durable.sync(path)


def _settled(batch: pa.RecordBatch) -> pa.Table:
    """A batch with a type that other tools know in each column."""
    return pa.table(batch).cast(_settled_schema(batch.schema))


def _settled_schema(found: pa.Schema) -> pa.Schema:
    return pa.schema([field.with_type(settled(field.type)) for field in found])


def _open(path: Path, columns: pa.Schema) -> pq.ParquetWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, columns, compression="zstd", write_page_checksum=True)


class _WholeWriter:
    """One file, a row group a batch."""

    def __init__(self, columns: pa.Schema, folder: Path) -> None:
        self._file = _open(folder / "part-00000.parquet", columns)

    def write(self, rows: pa.Table) -> None:
        self._file.write_table(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> None:
        self._file.close()


class _PartitionedWriter:
    """A folder a value, in it a file for each `_HELD_BYTES` in which the value occurs.

    Files are never kept open: a column may have any number of values.
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
            name = f"{self._key}={_folder_value(value, _LONGEST_FOLDER - len(self._key) - 1)}"
            with _open(self._folder / name / f"part-{self._files:05}.parquet", self._columns) as file:
                file.write_table(pa.concat_tables(parts))
            self._files += 1
        self._held, self._held_bytes = {}, 0

    def close(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._write_held()


def _writer(handle: TableHandle, folder: Path, partition_by: str | None) -> _WholeWriter | _PartitionedWriter:
    columns = _settled_schema(handle.schema)
    if partition_by is None or partition_by not in columns.names:
        return _WholeWriter(columns, folder)
    return _PartitionedWriter(columns, folder, partition_by, _folder_key(handle, partition_by))


def _folder_value(value: object, most: int) -> str:
    """A value as it stands in a folder's name, as Hive has it."""
    if value is None:
        return _NULL_FOLDER
    return _quoted(str(value).lower() if isinstance(value, bool) else str(value), most)


def _quoted(text: str, most: int) -> str:
    """A text that fits into a folder's name; a long one is cut, and told from others by a digest."""
    quoted = quote(text, safe=",")
    if len(quoted) <= most:
        return quoted
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    kept = text[:most]
    while len(quote(kept, safe=",")) + len(digest) >= most:  # whole characters, since readers decode them
        kept = kept[:-1]
    return f"{quote(kept, safe=',')}~{digest}"


def _folder_key(handle: TableHandle, column: str) -> str:
    """A column as it stands in a folder's name: by its SQL name, so that readers do not take it for the column."""
    registered = set(handle.table.names)
    names = handle.table.sql_names(name for name in handle.schema.names if name not in registered)
    return _quoted(names[column], _LONGEST_KEY)


_HEAD = """\
---
configs:
{configs}---

"""
_CONFIG = """\
- config_name: {name}
  data_files: "{name}/**/*.parquet"
"""

_README = """\
# What HELM wrote, as Parquet

{n_runs:,} runs and what stands beside them, one folder a table, in plain Parquet (zstd). Any tool reads them:

```sql
SELECT * FROM '{example}/**/*.parquet'       -- DuckDB
```

```python
polars.scan_parquet("{example}/**/*.parquet", hive_partitioning=False)
pandas.read_parquet("{example}", partitioning=None)
pyarrow.dataset.dataset("{example}")
datasets.load_dataset(folder, "{example}")   # Hugging Face; a configuration a table
```

- The table `runs` says where each run came from. `partial`: files of it are missing, or end early. `stale`: its source
  has rejected or lost it since it was read, so these rows are what it was. Partial: {n_partial:,}, stale: {n_stale:,}.

- `magnet.run` is the place of a run: source, suite and folder. It tells runs apart and joins the tables. Of a table
  of suites it is the place of the suite.
- `run_spec.name` is the run's own name. The same name may stand in another suite.
- `magnet.run` and `magnet.row` (the place in the run's file, from 0) are the key of a row. Rows of a run are in file
  order, runs in none in particular.
- `magnet.extra` holds what no column can, as JSON text of values by JSON pointer; null if there is nothing.
- A dot stands between a table, an object and its fields, so SQL needs quotes: `"stats.mean"`. A list is a list, of
  structs where its items are objects. What has no type that its values share is JSON text.
- Names of columns that were found in the data may differ in case alone. DuckDB does not tell these apart, and calls
  the second one `…_1`.
"""

_PARTITIONED = """\
- Tables that have `{column}` are divided by it, into folders `{key}=<value>`. The column is in the files too: take
  it from there, since tools guess the type of a folder's name, and very long values are cut in it.
"""


def _readme(handles: Sequence[TableHandle], runs: pa.Table, partition_by: str | None) -> str:
    """What is in the folder, in the words of the registry."""
    names = [*(handle.table.name for handle in handles), "runs"]
    default = "stats" if "stats" in names else names[0]
    configs = [_CONFIG.format(name=name) + "  default: true\n" * (name == default) for name in names]
    n_partial, n_stale = (sum(runs.column(name).to_pylist()) for name in ("partial", "stale"))
    text = _HEAD.format(configs="".join(configs)) + _README.format(
        n_runs=runs.num_rows, example=names[0], n_partial=n_partial, n_stale=n_stale
    )
    divided = [handle for handle in handles if partition_by in handle.schema.names]
    if partition_by is not None and divided:
        text += _PARTITIONED.format(column=for_terminal(partition_by), key=_folder_key(divided[0], partition_by))
    return text + "".join(map(_section, handles))


def _section(handle: TableHandle) -> str:
    table = handle.table
    file = f"`{table.file}`" if table.file else "files without a table of their own"
    # A fence of tildes, since a name that was found in the data may hold anything but a line of them.
    listed = "\n".join(_column_line(table, field) for field in _settled_schema(handle.schema))
    what = f"One row is {table.row}. {handle.n_rows:,} rows, from {file}."
    return f"\n## {table.name}\n\n{what}\n\n~~~text\n{listed}\n~~~\n"


def _column_line(table: Table, field: pa.Field) -> str:
    registered = {column.name: column.doc for column in table.columns}
    spread = table.spread_of(field.name)
    doc = registered.get(field.name) or (f"found in the data: {spread.doc}" if spread else "")
    return f"{for_terminal(field.name)} ({registry.type_text(field.type)}): {doc}"
