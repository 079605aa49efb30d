"""Texts that recur in a column are kept once in memory: a file's dictionary becomes views in a frame.

A text that a dump has once may belong to every row of a run (its instructions, its arguments). It is stored once, but
reading the column as plain strings would copy it for each row: 3 MB of JSON took 5 GB.
"""

from collections.abc import Iterator
from itertools import chain

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import _arrow_compute as pc

_VIEW = pa.binary(16)
"""A string view without its meaning: length, and either the text or where it is. Arrow can take these."""


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


def frame_of(rows: pa.Table, types: pl.Schema) -> pl.DataFrame:
    """A table as a Polars frame of these types, in which texts of dictionaries are strings that share their memory.

    A column without a value is a constant in Polars, which costs nothing; Arrow's would be copied row by row.
    """
    columns = [
        pa.nulls(rows.num_rows)
        if column.null_count == rows.num_rows
        else pa.chunked_array(list(map(_with_views, column.chunks)), _type_with(column.type, pa.string_view()))
        for column in rows.columns
    ]
    frame = pl.from_arrow(pa.table(columns, names=rows.column_names), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    empty = [name for name, dtype in frame.schema.items() if dtype == pl.Null]
    return frame.with_columns(pl.lit(None, types[name]).alias(name) for name in empty)


def plain_parts(rows: pa.Table, max_bytes: int) -> Iterator[pa.Table]:
    """A table in bounded parts, with dictionaries of texts as plain strings: each row then has its own text."""
    if rows.num_rows > 1 and plain_bytes(rows) > max_bytes:
        half = rows.num_rows // 2
        yield from plain_parts(rows.slice(0, half), max_bytes)
        yield from plain_parts(rows.slice(half), max_bytes)
    else:
        yield pa.table([_as_plain(column) for column in rows.columns], names=rows.column_names)


def _has_dictionary(arrow: pa.DataType) -> bool:
    if pa.types.is_nested(arrow):
        return any(_has_dictionary(arrow.field(number).type) for number in range(arrow.num_fields))
    return bool(pa.types.is_dictionary(arrow))


def _type_with(arrow: pa.DataType, text: pa.DataType) -> pa.DataType:
    """A type in which dictionaries are replaced by another type."""
    if pa.types.is_dictionary(arrow):
        return text
    if pa.types.is_list(arrow):
        return pa.list_(arrow.value_field.with_type(_type_with(arrow.value_type, text)))
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(_type_with(field.type, text)) for field in arrow])
    return arrow


def _with_views(array: pa.Array) -> pa.Array:
    """An array with string views in place of dictionaries."""
    if pa.types.is_dictionary(array.type):
        return _views(array)
    if not _has_dictionary(array.type):
        return array
    array = _compact(array) if array.offset else array
    children = [_with_views(child) for child in _children(array)]
    arrow = _type_with(array.type, pa.string_view())
    own = array.buffers()[: 2 if pa.types.is_list(arrow) else 1]
    return pa.Array.from_buffers(arrow, len(array), own, array.null_count, 0, children)


def _views(texts: pa.DictionaryArray) -> pa.Array:
    """The texts of a dictionary at its indices, as views on one copy of each: Arrow has no `take` of views."""
    distinct = texts.dictionary.cast(pa.string_view())
    _, views, *data = distinct.buffers()
    raw = pa.Array.from_buffers(_VIEW, len(distinct), [None, views], offset=distinct.offset)
    taken = raw.take(texts.indices)
    return pa.Array.from_buffers(pa.string_view(), len(taken), [*taken.buffers(), *data], taken.null_count)


def _compact(array: pa.Array) -> pa.Array:
    """A nested array without an offset, or children that are of other rows."""
    return array.take(pa.arange(0, len(array)))


def _children(array: pa.Array) -> list[pa.Array]:
    if pa.types.is_list(array.type):
        return [array.values]
    return [array.field(number) for number in range(array.type.num_fields)]


def _as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not _has_dictionary(column.type):
        return column
    chunks = [chunk if pa.types.is_dictionary(chunk.type) else _compact(chunk) for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type).cast(_type_with(column.type, pa.string()))


def plain_bytes(rows: pa.Table) -> int:
    """Bytes of a table once each row has its own texts."""
    return sum(map(_bytes_of, chain.from_iterable(column.chunks for column in rows.columns)))


def _bytes_of(array: pa.Array) -> int:
    """Bytes of an array once each row has its own texts."""
    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return (pc.sum(lengths.take(array.indices)).as_py() or 0) + 4 * len(array)
    if not _has_dictionary(array.type):
        return int(array.nbytes)
    children = [array.flatten()] if pa.types.is_list(array.type) else _children(array)
    return 4 * len(array) + sum(map(_bytes_of, children))
