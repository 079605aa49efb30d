"""Columns whose values recur. Each distinct value is kept once, and rows hold its number.

A value that a file has once may belong to each of its rows (an adapter spec's instructions, the annotators, an entry's
perturbation). A column that repeats it could be thousands of times as large as the file. So strings and lists are
dictionaries until they are written. In a segment's file strings are still dictionaries; the items of lists are
repeated for each row, but the strings in them are numbers.
"""

from array import array
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

import pyarrow as pa

from magnet_arrow import _arrow_compute as pc

T = TypeVar("T", bound=Hashable)


def int64(numbers: "array[int]") -> pa.Int64Array:
    """Numbers as an Arrow array."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers.tobytes())])


def take(column: pa.Array, codes: pa.Array) -> pa.Array:
    """A column's values at these places (Arrow's `take`). Strings and lists become a dictionary, so none is copied.

    Most columns of most dumps are all null, which costs nothing to repeat.
    """
    if column.null_count == len(column) and not pa.types.is_dictionary(column.type):
        return pa.nulls(len(codes), column.type)
    if pa.types.is_string(column.type):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices.take(codes), column.dictionary)
    if pa.types.is_list(column.type):
        if column.null_count:
            codes = pc.if_else(column.is_valid().take(codes), codes, pa.nulls(len(codes), codes.type))
        return pa.DictionaryArray.from_arrays(codes, column)
    return column.take(codes)


def dense(column: pa.Array) -> pa.Array:
    """A column with each row's value, whether or not it was a dictionary."""
    return column.dictionary.take(column.indices) if pa.types.is_dictionary(column.type) else column


def interned_type(arrow: pa.DataType) -> pa.DataType:
    """A type with every text in it as a number in a dictionary.

    >>> print(interned_type(pa.list_(pa.string())))
    list<item: dictionary<values=string, indices=int32, ordered=0>>
    """
    if pa.types.is_string(arrow):
        return TEXTS
    if pa.types.is_list(arrow):
        return pa.list_(arrow.value_field.with_type(interned_type(arrow.value_type)))
    if pa.types.is_struct(arrow):
        return pa.struct([field.with_type(interned_type(field.type)) for field in arrow])
    return arrow


TEXTS = pa.dictionary(pa.int32(), pa.string())


def as_type(column: pa.Array, arrow: pa.DataType) -> pa.Array:
    """A column in the type in which it is written: a dictionary, its values, or lists of numbers in a dictionary."""
    if column.type == arrow:
        return column
    if not pa.types.is_dictionary(column.type):
        return column.dictionary_encode() if arrow == TEXTS else column.cast(arrow)
    # Texts in lists are numbered before the lists are repeated.
    values = column.dictionary if pa.types.is_string(arrow) else column.dictionary.cast(arrow)
    return values.take(column.indices)


def dense_bytes(column: pa.DictionaryArray) -> int:
    """Bytes that the values of a dictionary column take if none is shared."""
    sizes = pa.array(
        [column.dictionary.slice(number, 1).nbytes for number in range(len(column.dictionary))], pa.int64()
    )
    return pc.sum(sizes.take(column.indices)).as_py() or 0


def is_interned_list(arrow: pa.DataType) -> bool:
    """Whether a column is of lists that several rows share."""
    return bool(pa.types.is_dictionary(arrow) and pa.types.is_list(arrow.value_type))


ITEM_BYTES = 16
"""About how many bytes an item of a list takes, without its string."""


def item_bytes(column: pa.DictionaryArray) -> pa.Int64Array:
    """About how many bytes the items of each row's list take without their strings, if no list is shared."""
    lengths = pc.list_value_length(column.dictionary).cast(pa.int64())
    return pc.multiply(lengths, pa.scalar(ITEM_BYTES, pa.int64())).fill_null(0).take(column.indices).fill_null(0)


def combined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece; one of dictionaries has a single dictionary then."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def used(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column of strings or a dictionary, as a dictionary of just the values that occur in it.

    They may be few of those of its row group, and values of other runs may be of other kinds.
    """
    column = combined(column)
    if not pa.types.is_dictionary(column.type):
        return column.dictionary_encode()
    codes = pc.unique(column.indices).drop_null()
    return pa.DictionaryArray.from_arrays(pc.index_in(column.indices, codes), column.dictionary.take(codes))


def texts_of(codes: Iterable[int | None], texts: Sequence[str]) -> pa.DictionaryArray:
    """A column of texts by number."""
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(texts, pa.string()))


class Numbers(dict[T, int]):
    """Numbers for keys, in the order in which they were first asked for."""

    def __missing__(self, key: T) -> int:
        number = self[key] = len(self)
        return number
