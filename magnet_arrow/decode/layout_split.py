"""Many JSON objects, split by HELM's layout with Arrow's kernels, so that only distinct ones need be decoded.

What is between two elements of an array in HELM's layout cannot be within a string (see `helm_layout`), so the text is
split there. It could still be within an element that is laid out otherwise. So the caller must check that each piece is
the inside of one object; then the splits were right.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import polars as pl
import pyarrow as pa

from magnet_arrow import _arrow_compute as pc
from magnet_arrow.decode import helm_layout
from magnet_arrow.decode.chunks import REFUSED, Chunk, raw_items
from magnet_arrow.decode.decoder import FastDecodeError

BATCH_BYTES = 4 << 20
"""How much is split at once. A smaller batch meets more pieces again, a larger one leaves the processor's caches."""


ELEMENT_END = helm_layout.object_end(1)
"""How an element ends, of a file that is an array."""


T = TypeVar("T")
_OPEN, _CLOSE = b"[]"


@dataclass(frozen=True, slots=True)
class Region:
    """A byte range of a buffer; there is at least one byte before it and one after it."""

    buffer: bytearray
    begin: int
    end: int

    def decoded_by(self, decode: Callable[[memoryview], T]) -> T:
        """These elements decoded as a JSON array. The bytes around them are brackets meanwhile, and then restored."""
        around = slice(self.begin - 1, self.end + 1)
        before = self.buffer[around.start], self.buffer[self.end]
        self.buffer[around.start], self.buffer[self.end] = _OPEN, _CLOSE
        try:
            return decode(memoryview(self.buffer)[around])
        finally:
            self.buffer[around.start], self.buffer[self.end] = before


@dataclass(frozen=True, slots=True)
class Split:
    """The pieces that regions were split into.

    Attributes:
        distinct: the distinct pieces.
        codes: the pieces of all regions in order, as indices in `distinct`.
        counts: how many pieces each region has.
    """

    distinct: pa.BinaryArray
    codes: pa.Int32Array
    counts: list[int]


def split(regions: Sequence[Region], separator: bytes) -> Split:
    """Split regions of one buffer, given in order, at a separator."""
    bounds = array("i")
    for region in regions:
        bounds.extend((region.begin, region.end))
    rows = len(bounds) - 1
    # Every second row is what is between two regions, and is null.
    valid = pa.py_buffer(b"\x55" * (rows // 8 + 1))
    text = pa.Array.from_buffers(pa.binary(), rows, [valid, pa.py_buffer(bounds), pa.py_buffer(regions[0].buffer)])
    lists = pc.split_pattern(text, pattern=separator)
    encoded = lists.values.dictionary_encode()
    return Split(encoded.dictionary, encoded.indices, pc.list_value_length(lists).drop_null().to_pylist())


def having(pieces: pa.BinaryArray, text: bytes) -> pa.BooleanArray:
    """Which pieces contain a text."""
    return cast(pl.Series, pl.from_arrow(pieces)).bin.contains(text).to_arrow()


def require_whole(pieces: Sequence[bytes]) -> None:
    """Require that each piece is one JSON value.

    Raises:
        FastDecodeError: one is not.
    """
    try:
        found = raw_items(b"[%b]" % b",".join(pieces))
    except REFUSED:
        raise FastDecodeError from None
    if list(map(bytes, found)) != list(pieces):
        raise FastDecodeError


def regions(chunk: Chunk, closing: bytes, size_bytes: int) -> Iterator[Region]:
    """The elements of a chunk in byte ranges of about a size, without the brackets and commas around them.

    Raises:
        FastDecodeError: the chunk does not end with its bracket.
    """
    begin, last = chunk.begin + 1, chunk.end - 1
    if not chunk.buffer.startswith(b"]", last):
        raise FastDecodeError
    while last - begin > size_bytes:
        at = chunk.buffer.find(closing + b",", begin + size_bytes, last)
        if at < 0:
            break
        end = at + len(closing)
        yield Region(chunk.buffer, begin, end)
        begin = end + 1
    yield Region(chunk.buffer, begin, last)


def insides(region: Region, opening: bytes, closing: bytes) -> Region:
    """A region from the inside of its first element to the inside of its last, without `opening` and `closing`.

    Raises:
        FastDecodeError: it does not begin and end with them.
    """
    end = region.end - region.buffer.endswith(b"\n", region.begin, region.end)
    begin, last = region.begin + len(opening), end - len(closing)
    there = region.buffer.startswith(opening, region.begin, end) and region.buffer.endswith(closing, begin, end)
    if not there or last < begin:
        raise FastDecodeError
    return Region(region.buffer, begin, last)
