"""A table of a snapshot as an Arrow stream for SQL: names without dots, and just the columns that are needed."""

from array import array
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import pyarrow as pa

from magnet_arrow._interning import TEXTS
from magnet_arrow.query.chosen_rows import ChosenRows, RowReader, in_stored_order
from magnet_arrow.query.projection import all_columns
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import settled
from magnet_arrow.storage.segments import shared_text
from magnet_arrow.storage.snapshot import Snapshot

_BATCH_BYTES = 8 << 20
"""Of lists and structs with texts, once each row has its own texts."""


@dataclass
class SqlStream:
    """All live rows of one table, for `connection.register`. It can be read any number of times.

    A reader of an Arrow stream is given all columns. Those that are not needed are null and cost nothing.

    Attributes:
        snapshot: of the cache.
        name: of the table.
        needed: SQL names of the columns that are read; None for all.
        error: what went wrong while it was read, since DuckDB passes on the text of an exception alone.
    """

    snapshot: Snapshot
    name: str
    needed: Set[str] | None = None
    error: Exception | None = field(default=None, init=False)

    @cached_property
    def schema(self) -> pa.Schema:
        """SQL names, as in the views of `Cache.to_duckdb`, and types."""
        names = self._chosen.table.sql_names(column.name for column in self._chosen.projection if not column.registered)
        return pa.schema([(names[column.name], _sql_type(column.type.arrow)) for column in self._chosen.projection])

    @cached_property
    def _chosen(self) -> ChosenRows:
        table = registry.table(self.name)
        runs = [run for run in in_stored_order(self.snapshot, self.name) if run.rows(self.name).rows]
        return ChosenRows(self.snapshot.path, table, tuple(runs), tuple(all_columns(table, runs)))

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self.schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a row group after the other, page checksums verified."""
        every = self._chosen.projection
        columns = zip(self.schema.names, every, strict=True)
        kept = tuple(column for name, column in columns if self.needed is None or name in self.needed)
        try:
            with RowReader(replace(self._chosen, projection=kept or every[:1])) as reader:
                for visit in reader.visits():
                    for part in _with_plain_lists(reader.read(visit)):
                        for batch in part.to_batches():
                            yield self._named(batch)
        except Exception as error:
            self.error = error
            raise

    def _named(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch with all columns of the schema; those that were not read are null."""
        read = dict(zip(batch.schema.names, batch.columns, strict=True))
        columns = [
            _fitted(read[column.name], arrow) if column.name in read else _nulls(arrow, batch.num_rows)
            for column, arrow in zip(self._chosen.projection, self.schema.types, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _sql_type(arrow: pa.DataType) -> pa.DataType:
    # Texts stay dictionaries, as they are in most files: DuckDB then looks at each of them once.
    arrow = settled(arrow)
    return TEXTS if pa.types.is_string(arrow) else arrow


def _with_plain_lists(rows: pa.Table) -> Iterator[pa.Table]:
    """Rows whose lists and structs hold texts and no dictionaries of texts, in bounded parts."""
    types = rows.schema.types
    if any(pa.types.is_nested(arrow) and shared_text.has_dictionary(arrow) for arrow in types):
        return shared_text.plain_parts(rows, _BATCH_BYTES)
    return iter((rows,))


def _fitted(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """A column in the type of the stream."""
    if column.type == arrow:
        return column
    if pa.types.is_null(column.type):
        return _nulls(arrow, len(column))
    if arrow == TEXTS:  # each text is an entry of its own; nothing is copied
        return pa.DictionaryArray.from_arrays(_numbers(len(column)), column)
    return column.cast(arrow)


def _nulls(arrow: pa.DataType, length: int) -> pa.Array:
    return _cut(lambda size: _many_nulls(arrow, size), length)


def _numbers(length: int) -> pa.Array:
    return _cut(_many_numbers, length)


def _cut(make: Callable[[int], pa.Array], length: int) -> pa.Array:
    """The first values of an array that is made once for all batches up to the next power of two."""
    return make(1 << length.bit_length()).slice(0, length)


@lru_cache(maxsize=64)
def _many_nulls(arrow: pa.DataType, size: int) -> pa.Array:
    return pa.nulls(size, arrow)


@lru_cache(maxsize=4)
def _many_numbers(size: int) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), size, [None, pa.py_buffer(array("i", range(size)))])
