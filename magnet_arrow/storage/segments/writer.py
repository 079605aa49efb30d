"""Writes segments: many runs in one immutable Parquet file per table.

5,000 small files cost a hundred times what one costs, so runs share files; a row group ends at a run's end, so that
four of 5,000 runs are read without touching the rest. Pages carry checksums.
"""

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import _interning
from magnet_arrow.errors import CacheError
from magnet_arrow.records.row_group import Batch, RunRows
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import CellType, Kind
from magnet_arrow.schema.registry import Table
from magnet_arrow.storage import commit, manifest
from magnet_arrow.storage.checksums import file_entry
from magnet_arrow.storage.manifest import FileEntry, Profile, RunEntry, RunList, Segment, StoredRows, TableEntry
from magnet_arrow.storage.segments import encodings, evolution
from magnet_arrow.storage.segments.reader import TableFile

_HELD_BYTES = 16 << 20
"""Arrow bytes of a table held back before its file is begun: the longer, the more columns are known by then."""
PART_BYTES = 32 << 20
"""Bytes that the items of repeated lists may take in a row group. It is otherwise bounded by rows and JSON bytes."""


@dataclass(slots=True)
class Placed:
    """A run's rows of one table, as they came."""

    group: int
    groups: int
    skip: int
    rows: int
    occurs: int
    dynamic: dict[str, Kind]


def stored_columns(kinds: Mapping[str, Kind]) -> dict[str, CellType]:
    """The dynamic columns that a file stores, by name, and their types; `kinds` has all dynamic columns."""
    types = {name: dynamic_types.stored_type(kinds[name]) for name in sorted(kinds)}
    return {name: cell_type for name, cell_type in types.items() if cell_type != dynamic_types.NOTHING}


class TableWriter:
    """Writes one table of a segment.

    The columns found in the data are known only when all runs have been seen. Up to `_HELD_BYTES` are held back for
    that; past them a file is begun with the columns met so far, and where later ones don't fit, another part is
    begun and the parts are made one at the end. Of the registered columns, a file that is begun so early has all, as
    the next run may have others; but the elements of a streamed run are alike, so that those met so far are enough.

    Args:
        table: the table.
        path: of its file.
        streamed: all rows are of one streamed run.
    """

    def __init__(self, table: Table, path: Path, *, streamed: bool = False) -> None:
        self.table = table
        self.path = path
        self._streamed = streamed
        self.kinds: dict[str, Kind] = {}
        self.placed: dict[str, Placed] = {}
        self.rows = 0
        self._groups = 0
        self._held: list[Batch] = []
        self._held_bytes = 0
        self._parts: dict[Path, dict[str, Kind]] = {}
        self._writer: pq.ParquetWriter | None = None
        self._written: dict[str, CellType] = {}
        self._written_bits = 0
        self._interned: Set[str] = frozenset()

    def add(self, batch: Batch) -> None:
        """One row group; several, where lists that belong to many rows make it too long."""
        for part in batch.parts(PART_BYTES):
            self._add(part)

    def _add(self, batch: Batch) -> None:
        for name, kind in batch.kinds.items():
            self.kinds[name] = self.kinds.get(name, Kind(0)) | kind
        for run in batch.runs:
            self._place(run)
        self._groups += 1
        self.rows += batch.rows
        batch = _without_empty(batch)
        self._held.append(batch)
        self._held_bytes += batch.nbytes
        if self._held_bytes > _HELD_BYTES:
            self._spill()

    def _place(self, run: RunRows) -> None:
        placed = self.placed.get(run.key)
        if placed is None:
            self.placed[run.key] = Placed(self._groups, 1, run.first, run.rows, run.occurs, run.dynamic)
            return
        placed.groups += 1
        placed.rows += run.rows
        placed.occurs |= run.occurs
        for name, kind in run.dynamic.items():
            placed.dynamic[name] = placed.dynamic.get(name, Kind(0)) | kind

    def _occurs(self) -> int:
        """Bit set over the registered columns: those that a run has a key for."""
        bits = 0
        for placed in self.placed.values():
            bits |= placed.occurs
        return bits

    def _spill(self) -> None:
        self._begin_due_part(self._occurs() if self._streamed else _ALL_BITS)
        self._write_held()
        pa.default_memory_pool().release_unused()  # else what was freed stays with the process

    def _begin_due_part(self, occurs: int) -> None:
        """Begin a part with the columns met so far, and these registered ones, unless there is one that has them."""
        stored = stored_columns(self.kinds)
        interned = _interned_in(self._held)
        if self._writer is not None and stored == self._written and not occurs & ~self._written_bits:
            late = interned - self._interned
            if not late or _dense_bytes(self._held, late) <= PART_BYTES:
                return
        self._close()
        part = self.path.with_suffix(f".part{len(self._parts)}")
        self.path.parent.mkdir(exist_ok=True)
        self._parts[part] = {name: self.kinds[name] for name in stored}
        self._written, self._written_bits, self._interned = stored, occurs, interned
        self._writer = open_writer(part, self.table, stored, occurs, interned)

    def _write_held(self) -> None:
        assert self._writer is not None
        for batch in self._held:
            rows = _stored_table(batch, self._written, self._writer.schema)
            self._writer.write_table(rows, row_group_size=max(1, batch.rows))
        self._held, self._held_bytes = [], 0

    @property
    def written_bytes(self) -> int:
        """Bytes of its file so far, or of the parts of it."""
        return sum(part.stat().st_size for part in self._parts)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def finish(self) -> TableEntry:
        """Write what is left; the file is complete, though not flushed to disk yet."""
        self._begin_due_part(self._occurs())
        self._write_held()
        self._close()
        if len(self._parts) == 1:
            os.replace(next(iter(self._parts)), self.path)
        else:
            self._join_parts()
        kinds = {name: int(self.kinds[name]) for name in self._written}
        return TableEntry(file_entry(self.path, self.path.parent.parent), self.rows, kinds)

    def _join_parts(self) -> None:
        with open_writer(self.path, self.table, self._written, self._occurs(), EVERY_TEXT) as writer:
            for part, written in self._parts.items():
                kinds = {name: int(kind) for name, kind in written.items()}
                with contextlib.closing(TableFile(part, self.table, kinds, interned=True)) as file:
                    for group in range(len(file.group_rows)):
                        found = restored_table(
                            file.read(group, [*self.table.names, *written]), self.table, written, self._written
                        )
                        write_group(writer, found)
        for part in self._parts:
            part.unlink()

    def discard(self) -> None:
        """Remove whatever was written."""
        with contextlib.suppress(OSError, pa.ArrowException):  # it writes what is left, for which there may be no room
            self._close()
        self._writer = None
        for path in (*self._parts, self.path):
            path.unlink(missing_ok=True)


_ALL_BITS = -1


def open_writer(
    path: Path, table: Table, stored: Mapping[str, CellType], occurs: int, interned: Set[str]
) -> pq.ParquetWriter:
    """A writer of a table's file with these columns beside the registered ones.

    Args:
        path: of the file.
        table: the table.
        stored: the columns found in the data that it is to have, and their types.
        occurs: bit set over the registered columns; those without a bit are left out, but for hidden ones. Of the
            many columns that HELM could have, few dumps have half, and an empty one costs 300 bytes a row group.
        interned: columns that come as dictionaries; the texts in them are to be written as such.

    Raises:
        CacheNotWritableError: the file can't be made.
    """
    types = {
        column.name: column.type
        for bit, column in enumerate(table.columns)
        if occurs >> bit & 1 or column.name in table.hidden
    }
    types |= {name: cell_type.arrow for name, cell_type in stored.items()}
    fields = [pa.field(name, arrow) for name, arrow in types.items()]
    options = encodings.writer_options(table, fields)
    fields = [
        field.with_type(_interning.interned_type(field.type))
        if (field.name in interned or interned is EVERY_TEXT) and not encodings.is_plain_text(field.name)
        else field
        for field in fields
    ]
    try:
        return pq.ParquetWriter(path, pa.schema(fields, evolution.file_metadata(table, types)), **options)
    except OSError as error:
        raise commit.not_writable(path, error) from error


EVERY_TEXT: Set[str] = frozenset({"*"})
"""To `open_writer`: every column of texts, or of lists with texts in them, comes as a dictionary."""


def write_group(writer: pq.ParquetWriter, rows: pa.Table) -> None:
    """Write a table as one row group."""
    writer.write_table(fitted(rows, writer.schema), row_group_size=max(1, rows.num_rows))


def fitted(rows: pa.Table, fields: pa.Schema) -> pa.Table:
    """A table with just these columns in these types, each in one piece.

    So each column has one dictionary throughout: where it changes, Parquet's writer goes over to texts.
    """
    arrays = [_interning.as_type(_interning.combined(rows.column(field.name)), field.type) for field in fields]
    return pa.table(arrays, schema=fields)


def _interned_in(batches: Iterable[Batch]) -> Set[str]:
    """Columns that came as dictionaries, and can be written so; the residual, which may come as one later, too."""
    return frozenset([registry.EXTRA]) | frozenset(
        name
        for batch in batches
        for name, column in batch.columns()
        if pa.types.is_dictionary(column.type) and not encodings.is_plain_text(name)
    )


def _dense_bytes(batches: Iterable[Batch], names: Set[str]) -> int:
    """Bytes that these columns take where no text is shared."""
    return sum(
        _interning.dense_bytes(column)
        for batch in batches
        for name, column in batch.columns()
        if name in names and pa.types.is_dictionary(column.type)
    )


def _without_empty(batch: Batch) -> Batch:
    """A batch without memory for columns that have no values."""
    filled = {name: column for name, column in batch.registered.items() if column.null_count < len(column)}
    return replace(batch, registered=filled)


def _stored_table(batch: Batch, stored: dict[str, CellType], fields: pa.Schema) -> pa.Table:
    columns = batch.registered | dynamic_types.convert_all(batch.dynamic, batch.kinds, stored, batch.rows)
    arrays = [
        pa.nulls(batch.rows, field.type)
        if columns.get(field.name) is None
        else _interning.as_type(columns[field.name], field.type)
        for field in fields
    ]
    return pa.table(arrays, schema=fields)


def restored_table(
    part: pa.Table, table: Table, written: Mapping[str, Kind], stored: Mapping[str, CellType]
) -> pa.Table:
    """Rows of a file with the columns of another.

    Args:
        part: the rows.
        table: of which table.
        written: kinds of the columns found in the data that `part` has.
        stored: those that it is to have, and their types.
    """
    columns = {name: part.column(name) for name in table.names}
    return pa.table(columns | dynamic_types.convert_all(part, written, stored, part.num_rows))


class SegmentWriter:
    """Writes one segment: add row groups and the runs that they are of, then `finish` it.

    Args:
        cache: the cache's folder.
        name: what its id begins with, in hexadecimal; the rest is random.
        streamed: it is to hold one streamed run.
    """

    def __init__(self, cache: Path, name: str = "", *, streamed: bool = False) -> None:
        self.id = name + secrets.token_hex(8 - len(name) // 2)
        self._cache = cache
        self._runs: list[RunEntry] = []
        self._tables = {
            name: TableWriter(table, cache / name / f"{self.id}.parquet", streamed=streamed)
            for name, table in registry.TABLES.items()
        }
        try:
            (cache / manifest.RUNS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise commit.not_writable(cache, error) from error

    def add(self, batch: Batch) -> None:
        """One row group of one table.

        Raises:
            CacheNotWritableError: the disk is full, or something else kept a file from being written. Nothing is left.
        """
        with self._all_or_nothing():
            self._tables[batch.table.name].add(batch)

    def add_run(self, entry: RunEntry) -> None:
        """A run whose rows are in the row groups; where they are is filled in at the end."""
        self._runs.append(entry)

    @property
    def n_runs(self) -> int:
        """Runs so far."""
        return len(self._runs)

    @property
    def is_wide(self) -> bool:
        """Whether a table has as many columns that were found in the data as a segment may have."""
        return any(len(writer.kinds) >= registry.MAX_DYNAMIC_COLUMNS for writer in self._tables.values())

    @property
    def written_bytes(self) -> int:
        """Bytes of Parquet so far; what is held back is not counted."""
        return sum(writer.written_bytes for writer in self._tables.values())

    def finish(self) -> Segment:
        """All files written, none flushed to disk.

        Raises:
            CacheNotWritableError: the disk is full, or something else kept a file from being written. Nothing is left.
        """
        with self._all_or_nothing():
            tables = {name: writer.finish() for name, writer in self._tables.items() if writer.rows}
            placed = {name: writer.placed for name, writer in self._tables.items()}
            runs = write_runs(self._cache, self.id, self._runs, placed)
            return Segment(self.id, tables, runs, len(self._runs), schema_version=registry.SCHEMA_VERSION)

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
        except CacheError:
            self.discard()
            raise
        except OSError as error:  # anything else that Arrow raises is about the rows
            self.discard()
            raise commit.not_writable(self._cache, error) from error

    def discard(self) -> None:
        """Remove whatever was written."""
        for writer in self._tables.values():
            writer.discard()
        manifest.run_list_path(self._cache, self.id).unlink(missing_ok=True)


def write_runs(
    cache: Path, segment: str, runs: Iterable[RunEntry], placed: Mapping[str, Mapping[str, Placed]]
) -> FileEntry:
    """Write the run list of a segment; `placed` tells by table and key where the rows are.

    Raises:
        OSError: the disk refused.
    """
    path = manifest.run_list_path(cache, segment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest.run_list_bytes(_run_list(runs, placed)))
    return file_entry(path, cache)


def _run_list(entries: Iterable[RunEntry], placed: Mapping[str, Mapping[str, Placed]]) -> RunList:
    profiles: dict[tuple[int, frozenset[tuple[str, Kind]]], int] = {}
    runs = []
    bits = {
        name: evolution.named_bits(name, (rows.occurs for rows in places.values())) for name, places in placed.items()
    }
    for run in sorted(entries, key=lambda run: run.key):
        tables = {}
        for name, places in placed.items():
            rows = places.get(run.key)
            if rows is None:
                continue
            number = profiles.setdefault((bits[name][1][rows.occurs], frozenset(rows.dynamic.items())), len(profiles))
            tables[name] = StoredRows(rows.rows, rows.group, rows.groups, rows.skip, number)
        _check_sums(run, tables)
        runs.append(msgspec.structs.replace(run, tables=tables))
    stored = (
        Profile(f"{occurs:x}", {column: int(kind) for column, kind in sorted(dynamic)}) for occurs, dynamic in profiles
    )
    return RunList(tuple(stored), tuple(runs), {name: columns for name, (columns, _) in bits.items() if columns})


def _check_sums(run: RunEntry, tables: Mapping[str, StoredRows]) -> None:
    """Assert that every element that was decoded is a row that was written."""
    for table in registry.RUN_TABLES:
        elements = run.elements.get(table.file)
        if elements is not None:
            rows = tables[table.name].rows if table.name in tables else 0
            if rows != elements:
                raise AssertionError(f"{run.key}/{table.file}: {elements} elements became {rows} rows")
