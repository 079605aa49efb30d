"""Search in a buffer, many bytes at a time; Python's own methods compare byte by byte."""

from array import array
from typing import cast

import polars as pl
import pyarrow as pa

_LONG_SEARCH_BYTES = 1 << 18
_SEARCH_ROW_BYTES = 1 << 16
_LONG_COUNT_BYTES = 1 << 16


def has(data: bytes | bytearray, begin: int, end: int, text: bytes) -> bool:
    """Whether `text` is anywhere in a part of a buffer."""
    return find(data, begin, end, text) >= 0


def find(data: bytes | bytearray, begin: int, end: int, text: bytes) -> int:
    """Where `text` is first found in a part of a buffer; -1 if nowhere.

    Polars' search for literals is several times as fast as `bytes.find`, but one call takes longer than a short search.
    """
    if end - begin < _LONG_SEARCH_BYTES:
        return data.find(text, begin, end)
    bounds = array("q", [*range(begin, end, _SEARCH_ROW_BYTES), end])
    rows = pa.Array.from_buffers(pa.large_binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(data)])
    overlap = len(text) - 1  # the text may be across two rows
    for row, is_there in enumerate(cast(pl.Series, pl.from_arrow(rows)).bin.contains(text)):
        last = min(end, bounds[row + 1] + overlap)
        at = data.find(text, bounds[row] if is_there else max(begin, last - 2 * overlap), last)
        if at >= 0:
            return at
    return -1


def count_byte(data: bytes | bytearray | pa.Buffer, byte: int, begin: int = 0, end: int | None = None) -> int:
    """How often a byte occurs in a part of a buffer.

    Polars compares many bytes at once, `bytes.count` one by one; but one call of Polars takes longer.
    """
    end = len(data) if end is None else end
    if end - begin < _LONG_COUNT_BYTES:
        return bytes(memoryview(data)[begin:end]).count(byte)
    buffer = data if isinstance(data, pa.Buffer) else pa.py_buffer(data)
    row = pa.Array.from_buffers(pa.uint8(), end - begin, [None, buffer], offset=begin)
    return int((cast(pl.Series, pl.from_arrow(row)) == byte).sum())
