"""Reads segments: a table's file by row group, page checksums verified, in the columns of today's schema."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import _interning
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import Table
from magnet_arrow.storage import checksums
from magnet_arrow.storage.checksums import check_digest
from magnet_arrow.storage.manifest import Segment, TableEntry
from magnet_arrow.storage.segments import evolution, shared_text
from magnet_arrow.storage.segments.evolution import Other
from magnet_arrow.storage.segments.pages import PageCheck


class TableFile:
    """An open table of a segment, read by row group with page checksums verified.

    Args:
        path: of the file.
        table: which table.
        dynamic: kinds in the columns that were found in the data.
        interned: give texts that the file has dictionaries of as dictionaries, also those in lists.
        in_residual: kinds of columns whose values are in the residual of older caches: they are read as if the file
            had them, and what they hold is not in the residual.
        reading: within it the file is read; what fails there becomes one of our errors.

    Attributes:
        others: columns that are not as the registry has them.
    """

    def __init__(
        self,
        path: Path,
        table: Table,
        dynamic: Mapping[str, int],
        *,
        interned: bool = False,
        in_residual: Mapping[str, Kind] | None = None,
        reading: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._table, self._types = table, {column.name: column.type for column in table.columns}
        self._reading, self._in_residual = reading, in_residual or {}
        with reading():
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            fields = self._file.schema_arrow
            if interned:
                footer = self._file.metadata
                names = shared_text.dictionary_columns(footer)
                self._file.close()
                self._file = pq.ParquetFile(
                    path, metadata=footer, read_dictionary=names, page_checksum_verification=True
                )
        self._names = dict.fromkeys(fields.names)
        told = self._file.metadata.metadata or {}
        is_new = evolution.JSON_TEXT_KEY in told
        self._check = PageCheck(path, self._file.metadata, fields, has_long_pages=is_new)
        self.others = evolution.others(table, fields, dynamic, told)

    @property
    def names(self) -> list[str]:
        """Names of all columns, the registered ones that it has no values of too."""
        gone = {other.name for other in self.others if other.want is None}
        return [name for name in self._types | self._names if name not in gone]

    def item_bytes(self, group: int) -> int:
        """About how many bytes the items of lists in a row group take, without their texts."""
        found = self._file.metadata.row_group(group)
        values = sum(found.column(number).num_values for number in range(found.num_columns))
        return _interning.ITEM_BYTES * int(values - found.num_rows * found.num_columns)

    @property
    def group_rows(self) -> list[int]:
        """How many rows each row group has."""
        groups = self._file.metadata
        return [groups.row_group(number).num_rows for number in range(groups.num_row_groups)]

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Some columns of a row group; registered ones that the file does not have are empty, others left out.

        All are as the registry has them, whatever schema the file follows (`evolution`).

        Raises:
            CacheDamagedError: cut, or a bit flipped.
            CacheNotReadableError: the file is as it was written, but can't be read.
        """
        asks_residual = bool(self._in_residual) and not {registry.EXTRA, *self._in_residual}.isdisjoint(columns)
        others = [other for other in self.others if registry.EXTRA in columns or other.name in columns]
        there = [name for name in columns if name in self._names]
        if asks_residual and registry.EXTRA not in there:
            there.append(registry.EXTRA)
        there += [other.name for other in others if other.name not in columns]
        with self._reading():
            # A name also brings the columns below it in the file's eyes (`a` brings `a.b`); select drops them.
            found = self._file.read_row_group(group, columns=there).select(there)
            fault = self._check.fault(found, group)
            if fault is not None:
                raise pa.ArrowInvalid(fault)
        stored = dict(zip(there, found.columns, strict=True))
        if others:
            stored = evolution.adapted(stored, others)
        if asks_residual:
            stored |= evolution.out_of_residual(stored[registry.EXTRA], self._table, self._in_residual)
        arrays = {
            name: stored[name] if name in stored else pa.nulls(found.num_rows, self._types[name])
            for name in columns
            if name in stored or name in self._types
        }
        return pa.table(arrays) if arrays else found

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def other_columns(cache: Path, segment: Segment, table: str) -> tuple[Other, ...]:
    """The columns of a segment's table that differ from the registry of today; none under its own version.

    Raises:
        CacheDamagedError: as `open_table`.
    """
    if segment.schema_version == registry.SCHEMA_VERSION:
        return ()
    with open_table(cache, segment.tables[table]) as file:
        return file.others


@contextlib.contextmanager
def open_table(
    cache: Path, entry: TableEntry, *, interned: bool = False, in_residual: Mapping[str, Kind] | None = None
) -> Iterator[TableFile]:
    """A table of a segment, to be read; `interned` and `in_residual` as in `TableFile`.

    Raises:
        CacheDamagedError: the file is missing, has another size, or another footer than was written.
        CacheNotReadableError: the system refuses to open it.
        SnapshotExpiredError: the file is missing, and the cache has moved on since it was there.
    """
    path = check_digest(cache, entry.file)
    reading = partial(checksums.reading, cache, entry.file)
    table = registry.table(path.parent.name)
    file = TableFile(path, table, entry.dynamic, interned=interned, in_residual=in_residual, reading=reading)
    try:
        yield file
    finally:
        file.close()
