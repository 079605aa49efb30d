"""Where the headers of a Parquet file's pages are: no checksum covers them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq


def page_headers(path: Path) -> Iterator[tuple[str, int, int]]:
    """Of each header the column that it is of, and where it begins and ends."""
    data = path.read_bytes()
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            at = chunk.data_page_offset
            if chunk.dictionary_page_offset is not None:
                at = min(at, chunk.dictionary_page_offset)
            end = at + chunk.total_compressed_size
            while at < end:
                body, size = _header(data, at)
                yield chunk.path_in_schema.partition(".list.element")[0], at, body
                at = body + size


def _header(data: bytes, at: int) -> tuple[int, int]:
    """Where a page's body begins and how long it is: field 3 of the header, a struct in Thrift's compact protocol."""
    size, number = 0, 0
    while data[at]:
        kind = data[at] & 15
        number += data[at] >> 4
        at += 1
        if number == 3:
            size, at = _zigzag(data, at)
        else:
            at = _skip(data, at, kind)
    return at + 1, size


def _skip(data: bytes, at: int, kind: int) -> int:
    if kind in (1, 2):  # a truth value is its kind
        return at
    if kind in (4, 5, 6):
        return _varint(data, at)[1]
    if kind == 8:
        length, at = _varint(data, at)
        return at + length
    assert kind == 12, kind
    while data[at]:
        at = _skip(data, at + 1, data[at] & 15)
    return at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return value >> 1 ^ -(value & 1), at
