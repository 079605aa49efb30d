"""Whether what was read of a row group is all that was written.

Pages have checksums, their headers have none: a bit that flips in one may make Arrow stop early, skip a page, or take
padding for nulls, and say nothing. How many rows and values there are is said once more in the footer, which has a
digest; what was read is held against that. In a chunk of several pages one may give away what another takes, so there
the headers are read too.
"""

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from io import FileIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from magnet_arrow import _arrow_compute as pc

_ONE_PAGE_ROWS = 20_000
_ONE_PAGE_BYTES = 1 << 20
"""A chunk with no more than so many rows and uncompressed bytes has one page of data.
Files of the first caches had such a bound on rows, those of today have none (`encodings`)."""
_HEADER_BYTES = 256
"""Longer than any header of ours: of statistics, it has those of numbers and truth values alone."""


class PageCheck:
    """Holds what is read of a file against its footer.

    Args:
        path: of the file.
        metadata: its footer.
        fields: names and types of its columns.
        has_long_pages: no number of rows ends a page of it.
    """

    def __init__(self, path: Path, metadata: pq.FileMetaData, fields: pa.Schema, *, has_long_pages: bool) -> None:
        self._path, self._metadata = path, metadata
        self._page_rows = sys.maxsize if has_long_pages else _ONE_PAGE_ROWS
        self._leaves: dict[str, range] = {}
        first = 0
        for name, arrow in zip(fields.names, fields.types, strict=True):
            self._leaves[name] = range(first, first + (_n_leaves(arrow) if arrow.num_fields else 1))
            first = self._leaves[name].stop

    def fault(self, found: pa.Table, group: int) -> str | None:
        """What is wrong with some columns as they were read of a row group; None if nothing is."""
        chunks = self._metadata.row_group(group)
        if found.num_rows != chunks.num_rows:
            return f"{found.num_rows} rows where {chunks.num_rows} were written"
        try:
            found.validate()  # columns of one length, and lists and structs as long as they say
        except pa.ArrowInvalid as error:
            return str(error)
        may_have_pages = chunks.num_rows > self._page_rows or chunks.total_byte_size > _ONE_PAGE_BYTES
        several: list[pq.ColumnChunkMetaData] = []
        for name, column in zip(found.column_names, found.columns, strict=True):
            is_nested = column.type.num_fields > 0
            if not is_nested and not all(map(_has_its_texts, column.chunks)):
                return f"{name} without all its texts"
            if is_nested:
                written = [chunks.column(leaf).num_values for leaf in self._leaves[name]]
                if _values(column) != written:
                    return f"other values of {name} than were written"
            # Where a page has no nulls, nothing is left behind its last value that could be taken for one.
            if may_have_pages and (is_nested or column.null_count or pa.types.is_dictionary(column.type)):
                found_chunks = map(chunks.column, self._leaves[name])
                several += [chunk for chunk in found_chunks if self._may_have_pages(chunk, chunks.num_rows)]
        if several and not self._agree(several):
            return "page headers that tell of other values than were written"
        return None

    def _may_have_pages(self, chunk: pq.ColumnChunkMetaData, rows: int) -> bool:
        return bool(rows > self._page_rows or chunk.total_uncompressed_size > _ONE_PAGE_BYTES)

    def _agree(self, chunks: Iterable[pq.ColumnChunkMetaData]) -> bool:
        """Whether the headers of all pages of some chunks tell of the values that the footer tells of."""
        with self._path.open("rb", buffering=0) as file:
            return all(
                _values_by_headers(file, chunk) == chunk.num_values and _has_its_dictionary(file, chunk)
                for chunk in chunks
            )


def _values_by_headers(file: FileIO, chunk: pq.ColumnChunkMetaData) -> int:
    at = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None:
        at = min(at, chunk.dictionary_page_offset)
    end = at + chunk.total_compressed_size
    values = 0
    while at < end:
        file.seek(at)
        fields, length = _header(file.read(_HEADER_BYTES))
        values += fields.get(_DATA_PAGE_VALUES, 0)
        at += length + max(0, fields.get(_COMPRESSED_SIZE, 0))
    return values if at == end else -1


def _has_its_dictionary(file: FileIO, chunk: pq.ColumnChunkMetaData) -> bool:
    """Whether the header of a page of texts tells how many are in it.

    Where texts of other pages are added to a dictionary, one that lacks some has texts at their places all the same.
    """
    at = chunk.dictionary_page_offset
    if at is None or chunk.physical_type != "BYTE_ARRAY":
        return True
    if not any(encoding.endswith("DICTIONARY") for encoding in chunk.encodings):
        return True  # given a text twice in a dictionary, Arrow writes it, with zeros behind it, and then does without
    file.seek(at)
    fields, length = _header(file.read(_HEADER_BYTES))
    file.seek(at + length)
    body = file.read(max(0, fields.get(_COMPRESSED_SIZE, 0)))
    codec = str(chunk.compression).lower()
    try:
        page = body if codec == "uncompressed" else pa.decompress(body, fields.get(_SIZE, 0), codec, asbytes=True)
    except (pa.ArrowException, OSError):
        return False
    place = texts = 0
    while place < len(page):
        place += 4 + int.from_bytes(page[place : place + 4], "little")
        texts += 1
    return place == len(page) and texts == fields.get(_DICTIONARY_VALUES)


@lru_cache(maxsize=512)
def _n_leaves(arrow: pa.DataType) -> int:
    """How many Parquet columns a column is."""
    inner = (arrow.field(number).type for number in range(arrow.num_fields))
    return sum(map(_n_leaves, inner)) if arrow.num_fields else 1


def _values(column: pa.ChunkedArray) -> list[int]:
    """How many values each Parquet column has that a column was read from: nulls and empty lists are one too."""
    counts = [list(_leaf_values(chunk, 0)) for chunk in column.chunks]
    return counts[0] if len(counts) == 1 else [sum(of_leaf) for of_leaf in zip(*counts, strict=True)]


def _leaf_values(array: pa.Array, empty: int) -> Iterator[int]:
    """Values of each leaf below an array, `empty` of them for lists further out that have no items."""
    if not array.type.num_fields:
        yield len(array) + empty if _has_its_texts(array) else -1
    elif array.null_count == len(array):
        yield from [len(array) + empty] * _n_leaves(array.type)
    elif pa.types.is_struct(array.type):
        for number in range(array.type.num_fields):
            yield from _leaf_values(array.field(number), empty)
    else:
        offsets = array.offsets
        begin, end = offsets[0].as_py(), offsets[-1].as_py()
        if begin == end:
            yield from [len(array) + empty] * _n_leaves(array.type)
        else:
            without = pc.equal(offsets.slice(0, len(array)), offsets.slice(1)).true_count
            yield from _leaf_values(array.values.slice(begin, end - begin), empty + without)


def _has_its_texts(array: pa.Array) -> bool:
    """Whether a column that is read as a dictionary has all that it refers to, which Arrow does not look at."""
    if not pa.types.is_dictionary(array.type):
        return True
    last = pc.largest(array.indices)
    return last is None or last < len(array.dictionary)


_SIZE, _COMPRESSED_SIZE = (2,), (3,)
_DATA_PAGE_VALUES, _DICTIONARY_VALUES = (5, 1), (7, 1)


def _header(data: bytes) -> tuple[dict[tuple[int, ...], int], int]:
    """The integers of a page's header (a struct in Thrift's compact protocol) by their place in it, and its length.

    Nothing is made of one that is no header: then the length is that of the data, and so the sum is wrong.
    """
    fields: dict[tuple[int, ...], int] = {}
    try:
        return fields, _read_struct(data, 0, (), fields)
    except (IndexError, RecursionError):
        return {}, len(data)


def _read_struct(data: bytes, at: int, outer: tuple[int, ...], fields: dict[tuple[int, ...], int]) -> int:
    number = 0
    while kind := data[at]:
        step, kind = kind >> 4, kind & 15
        at += 1
        if step:
            number += step
        else:
            number, at = _integer(data, at)
        if kind in (4, 5, 6):
            fields[*outer, number], at = _integer(data, at)
        elif kind == 8:
            length, at = _unsigned(data, at)
            at += length
        elif kind == 12:
            at = _read_struct(data, at, (*outer, number), fields)
        elif kind not in (1, 2):  # truth values have no more bytes; there are no others in a header
            raise IndexError
    return at + 1


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return value >> 1 ^ -(value & 1), at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
