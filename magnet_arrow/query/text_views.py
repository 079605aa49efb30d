"""Tables as Polars frames in which a text that recurs is in memory once."""

import polars as pl
import pyarrow as pa

from magnet_arrow.storage.segments.shared_text import children, compact, has_dictionary, type_with

_VIEW = pa.binary(16)
"""A string view without its meaning: length, and either the text or where it is. Arrow can take these."""


def frame_of(rows: pa.Table, types: pl.Schema) -> pl.DataFrame:
    """A table as a Polars frame of these types, in which texts of dictionaries are strings that share their memory.

    A column without a value is a constant in Polars, which costs nothing; Arrow's would be copied row by row.
    """
    columns = [
        pa.nulls(rows.num_rows)
        if column.null_count == rows.num_rows
        else pa.chunked_array(list(map(_with_views, column.chunks)), type_with(column.type, pa.string_view()))
        for column in rows.columns
    ]
    frame = pl.from_arrow(pa.table(columns, names=rows.column_names), rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    empty = [name for name, dtype in frame.schema.items() if dtype == pl.Null]
    return frame.with_columns(pl.lit(None, types[name]).alias(name) for name in empty)


def _with_views(array: pa.Array) -> pa.Array:
    """An array with string views in place of dictionaries."""
    if pa.types.is_dictionary(array.type):
        return _views(array)
    if not has_dictionary(array.type):
        return array
    array = compact(array) if array.offset else array
    inner = [_with_views(child) for child in children(array)]
    arrow = type_with(array.type, pa.string_view())
    own = array.buffers()[: 2 if pa.types.is_list(arrow) else 1]
    return pa.Array.from_buffers(arrow, len(array), own, array.null_count, 0, inner)


def _views(texts: pa.DictionaryArray) -> pa.Array:
    """The texts of a dictionary at its indices, as views on one copy of each: Arrow has no `take` of views."""
    distinct = texts.dictionary.cast(pa.string_view())
    _, views, *data = distinct.buffers()
    raw = pa.Array.from_buffers(_VIEW, len(distinct), [None, views], offset=distinct.offset)
    taken = raw.take(texts.indices)
    return pa.Array.from_buffers(pa.string_view(), len(taken), [*taken.buffers(), *data], taken.null_count)
