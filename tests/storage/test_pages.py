"""A flipped bit in a page's header, which no checksum covers, never gives other rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from page_headers import page_headers

from magnet_arrow import _interning
from magnet_arrow.storage.segments.pages import PageCheck
from magnet_arrow.storage.segments.shared_text import dictionary_columns

ROWS = 64
ITEM = pa.struct([("name", pa.string()), ("marks", pa.list_(pa.float64()))])
COLUMNS = {
    "number": pa.array([None if row % 3 == 1 else row for row in range(ROWS)], pa.int64()),
    "filled": pa.array([row * 0.5 for row in range(ROWS)]),
    "text": pa.array([None if row % 5 == 0 else f"word {row % 4}" for row in range(ROWS)]),
    "long": pa.array([f"{row} " * 40 for row in range(ROWS)]),
    "words": pa.array([[[], None, ["a"], ["b", None, "c"]][row % 4] for row in range(ROWS)], pa.list_(pa.string())),
    "items": pa.array(
        [[None, [], [{"name": "x", "marks": [1.0, None]}, None], [{"marks": []}]][row % 4] for row in range(ROWS)],
        pa.list_(ITEM),
    ),
    "nested": pa.array(
        [[[["a"], []], [], None, [None]][row % 4] for row in range(ROWS)], pa.list_(pa.list_(pa.string()))
    ),
    "nothing": pa.nulls(ROWS, pa.list_(ITEM)),
}
WRITTEN = COLUMNS | {
    "repeated": pa.DictionaryArray.from_arrays(
        pa.array(range(ROWS), pa.int32()), pa.array([f"word {row % 4}" for row in range(ROWS)])
    )
}
"""Given a dictionary with a text twice, Arrow writes a page of it that has zeros at its end, and then plain texts."""
OPTIONS: dict[str, dict[str, Any]] = {
    "one page": {"max_rows_per_page": 2**31 - 1},
    "many pages": {
        "max_rows_per_page": 10,
        "write_batch_size": 10,
    },  # so that headers are looked at: see `_ONE_PAGE_ROWS`
    "no dictionary": {"use_dictionary": False},
    "a dictionary that grew too large": {"dictionary_pagesize_limit": 1000, "write_batch_size": 8},
}


def read(path: Path, names: list[str], dictionaries: Sequence[str] = ()) -> pa.Table | None:
    """As `TableFile` does; None where something is wrong."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=dictionaries)
        check = PageCheck(path, file.metadata, file.schema_arrow, has_long_pages=False)
        found = file.read_row_group(0, columns=names).select(names)
    except (OSError, pa.ArrowException):
        return None
    return None if check.fault(found, 0) else found


@pytest.mark.parametrize("bits", [1, pytest.param(8, marks=pytest.mark.slow)], ids="{} of 8 bits of a byte".format)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=[pytest.mark.slow] * (name not in ("one page", "many pages")))
        for name, options in OPTIONS.items()
    ],
)
@pytest.mark.parametrize("name", WRITTEN)
def test_flipped_bits_of_every_byte_of_every_header(
    name: str, options: dict[str, Any], bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magnet_arrow.storage.segments.pages._ONE_PAGE_ROWS", 9)
    path = tmp_path / "x.parquet"
    rows = pa.table({name: _interning.dense(WRITTEN[name])})
    pq.write_table(
        pa.table({name: WRITTEN[name]}),
        path,
        compression="zstd",
        write_page_checksum=True,
        store_schema=False,
        **{"write_statistics": False, **options},
    )
    texts = dictionary_columns(pq.read_metadata(path))
    assert read(path, [name]) == rows
    as_read = read(path, [name], texts)
    assert as_read is not None
    data = path.read_bytes()
    for _, begin, end in page_headers(path):
        for at in range(begin, end):
            for bit in ((at + each) % 8 for each in range(bits)):
                path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
                found = read(path, [name])
                assert found is None or found == rows, (at - begin, bit, data[begin:end].hex())
                if texts:
                    found = read(path, [name], texts)
                    assert found is None or found == as_read, (at - begin, bit, data[begin:end].hex())


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(COLUMNS), path)
    file = pq.ParquetFile(path)
    check = PageCheck(path, file.metadata, file.schema_arrow, has_long_pages=True)
    found = file.read_row_group(0)
    assert check.fault(found, 0) is None
    assert check.fault(found.slice(1), 0) == "63 rows where 64 were written"
    shorter = found.set_column(4, "words", pa.array([["a"]] * 64))
    assert check.fault(shorter, 0) == "other values of words than were written"
