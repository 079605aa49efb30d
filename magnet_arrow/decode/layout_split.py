"""Many JSON objects that recur: cut out of HELM's layout by Arrow's kernels, so that only distinct ones are looked at.

HELM writes `json.dumps(indent=2)`, and a raw newline cannot stand inside a JSON string. So what stands between two
elements of an array there (newline, blanks, `},`, newline, blanks, `{`, newline) is safe to cut at. Whoever cuts must
still see that each piece is the inside of an object by itself: then the cuts were where they seemed.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import polars as pl
import pyarrow as pa

from magnet_arrow import _arrow_compute as pc
from magnet_arrow.decode.chunks import REFUSED, Chunk, raw_items
from magnet_arrow.decode.decoder import NotPlainError

BATCH_BYTES = 4 << 20
"""What is cut at once. Smaller ones meet the same pieces more often, larger ones leave the processor's caches."""


ELEMENT_END = b"\n  }"
"""How HELM's layout ends an element of a file that is an array."""


T = TypeVar("T")
_OPEN, _CLOSE = b"[]"


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes of a buffer, between two others."""

    buffer: bytearray
    begin: int
    end: int

    def decoded_by(self, decode: Callable[[memoryview], T]) -> T:
        """What a decoder makes of these elements as a JSON array, for which brackets stand around them meanwhile."""
        around = slice(self.begin - 1, self.end + 1)
        stood = self.buffer[around.start], self.buffer[self.end]
        self.buffer[around.start], self.buffer[self.end] = _OPEN, _CLOSE
        try:
            return decode(memoryview(self.buffer)[around])
        finally:
            self.buffer[around.start], self.buffer[self.end] = stood


@dataclass(frozen=True, slots=True)
class Split:
    """What regions were cut into.

    Attributes:
        distinct: the pieces, each once.
        codes: the pieces of all regions, numbers in `distinct`.
        counts: how many pieces each region has.
    """

    distinct: pa.BinaryArray
    codes: pa.Int32Array
    counts: list[int]


def split(regions: Sequence[Region], separator: bytes) -> Split:
    """Cut regions of one buffer, given in order, at a separator."""
    bounds = array("i")
    for region in regions:
        bounds.extend((region.begin, region.end))
    rows = len(bounds) - 1
    # Every second row is what stands between two regions, and is null.
    valid = pa.py_buffer(b"\x55" * (rows // 8 + 1))
    text = pa.Array.from_buffers(pa.binary(), rows, [valid, pa.py_buffer(bounds), pa.py_buffer(regions[0].buffer)])
    lists = pc.split_pattern(text, pattern=separator)
    encoded = lists.values.dictionary_encode()
    return Split(encoded.dictionary, encoded.indices, pc.list_value_length(lists).drop_null().to_pylist())


def having(pieces: pa.BinaryArray, text: bytes) -> pa.BooleanArray:
    """Which of these hold a text."""
    return cast(pl.Series, pl.from_arrow(pieces)).bin.contains(text).to_arrow()


def require_whole(pieces: Sequence[bytes]) -> None:
    """Each piece must be one JSON value.

    Raises:
        NotPlainError: one is not.
    """
    try:
        found = raw_items(b"[%b]" % b",".join(pieces))
    except REFUSED:
        raise NotPlainError from None
    if list(map(bytes, found)) != list(pieces):
        raise NotPlainError


def cuts(chunk: Chunk, closing: bytes, size_bytes: int) -> Iterator[Region]:
    """The elements of a chunk in regions of about a size, each without what stands around it (brackets, commas).

    Raises:
        NotPlainError: the chunk does not end with its bracket.
    """
    begin, last = chunk.begin + 1, chunk.end - 1
    if not chunk.buffer.startswith(b"]", last):
        raise NotPlainError
    while last - begin > size_bytes:
        at = chunk.buffer.find(closing + b",", begin + size_bytes, last)
        if at < 0:
            break
        end = at + len(closing)
        yield Region(chunk.buffer, begin, end)
        begin = end + 1
    yield Region(chunk.buffer, begin, last)


def insides(region: Region, opening: bytes, closing: bytes) -> Region:
    """A region without what HELM's layout has before its first element's inside and after its last one's.

    Raises:
        NotPlainError: it does not have that.
    """
    end = region.end - region.buffer.endswith(b"\n", region.begin, region.end)
    begin, last = region.begin + len(opening), end - len(closing)
    there = region.buffer.startswith(opening, region.begin, end) and region.buffer.endswith(closing, begin, end)
    if not there or last < begin:
        raise NotPlainError
    return Region(region.buffer, begin, last)
