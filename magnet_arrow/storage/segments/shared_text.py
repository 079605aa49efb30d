"""Texts that recur in a column are kept once in memory: a file's dictionary becomes views in a frame.

A text that a dump has once may belong to every row of a run (its instructions, its arguments). It is stored once, but
reading the column as plain strings would copy it for each row: 3 MB of JSON took 5 GB.
"""

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import _arrow_compute as pc


def dictionary_columns(metadata: pq.FileMetaData) -> list[str]:
    """Parquet's paths of the texts that every row group of a file has a dictionary of."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if not groups:
        return []
    columns = [[group.column(number) for group in groups] for number in range(metadata.num_columns)]
    return [
        chunks[0].path_in_schema
        for chunks in columns
        if chunks[0].physical_type == "BYTE_ARRAY" and all(chunk.has_dictionary_page for chunk in chunks)
    ]


def plain_parts(rows: pa.Table, max_bytes: int) -> Iterator[pa.Table]:
    """A table in bounded parts, with dictionaries of texts as plain strings: each row then has its own text."""
    if rows.num_rows > 1 and plain_bytes(rows) > max_bytes:
        half = rows.num_rows // 2
        yield from plain_parts(rows.slice(0, half), max_bytes)
        yield from plain_parts(rows.slice(half), max_bytes)
    else:
        yield pa.table([_as_plain(column) for column in rows.columns], names=rows.column_names)


def has_dictionary(arrow: pa.DataType) -> bool:
    """Whether a type is a dictionary, or has one in it."""
    if pa.types.is_nested(arrow):
        return any(has_dictionary(arrow.field(number).type) for number in range(arrow.num_fields))
    return bool(pa.types.is_dictionary(arrow))


def type_with(arrow: pa.DataType, text: pa.DataType) -> pa.DataType:
    """A type in which dictionaries are replaced by another type."""
    if pa.types.is_dictionary(arrow):
        return text
    if pa.types.is_list(arrow):
        return pa.list_(arrow.value_field.with_type(type_with(arrow.value_type, text)))
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(type_with(field.type, text)) for field in arrow])
    return arrow


def compact(array: pa.Array) -> pa.Array:
    """A nested array without an offset, or children that are of other rows."""
    return array.take(pa.arange(0, len(array)))


def children(array: pa.Array) -> list[pa.Array]:
    """The items of lists, or the fields of structs."""
    if pa.types.is_list(array.type):
        return [array.values]
    return [array.field(number) for number in range(array.type.num_fields)]


def _as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not has_dictionary(column.type):
        return column
    chunks = [chunk if pa.types.is_dictionary(chunk.type) else compact(chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type).cast(type_with(column.type, pa.string()))


def plain_bytes(rows: pa.Table) -> int:
    """Bytes of a table once each row has its own texts."""
    return sum(map(_bytes_of, chain.from_iterable(column.chunks for column in rows.columns)))


def _bytes_of(array: pa.Array) -> int:
    """Bytes of an array once each row has its own texts."""
    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return (pc.sum(lengths.take(array.indices)).as_py() or 0) + 4 * len(array)
    if not has_dictionary(array.type):
        return int(array.nbytes)
    inner = [array.flatten()] if pa.types.is_list(array.type) else children(array)
    return 4 * len(array) + sum(map(_bytes_of, inner))
