"""Texts that recur: once in memory, and for each row the same value as without dictionaries."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from magnet_arrow import _interning
from magnet_arrow.query.text_views import frame_of
from magnet_arrow.schema import dynamic_types
from magnet_arrow.schema.dynamic_types import JSON_TEXT, CellType
from magnet_arrow.storage.segments import shared_text

LONG = "twelve bytes and more"
TEXTS = [LONG, None, "", "short", LONG, "ä" * 9]
STRUCTS: list[Any] = [[{"a": LONG, "b": 1}, None], None, [], [{"a": None, "b": 2}], [{"a": LONG, "b": None}] * 2]


def interned(values: list[str | None]) -> pa.DictionaryArray:
    return pa.array(values, pa.string()).dictionary_encode()


def interned_structs(tmp_path: Path) -> pa.ChunkedArray:
    """As Parquet gives lists of structs with texts."""
    table = pa.table({"l": pa.array(STRUCTS, pa.list_(pa.struct({"a": pa.string(), "b": pa.int64()})))})
    pq.write_table(table, tmp_path / "l.parquet", store_schema=False)
    paths = shared_text.dictionary_columns(pq.read_metadata(tmp_path / "l.parquet"))
    assert paths == ["l.list.element.a"]
    return pq.ParquetFile(tmp_path / "l.parquet", read_dictionary=paths).read().column(0)


TEXT = pl.Schema({"t": pl.String()})


@pytest.mark.parametrize("part", [slice(0, 6), slice(1, 4), slice(3, 3), slice(4, 6)])
def test_frames_and_streams_have_the_texts_of_each_row(part: slice) -> None:
    table = pa.table({"t": interned(TEXTS), "n": range(6)}).slice(part.start, part.stop - part.start)
    frame = frame_of(table, pl.Schema({"t": pl.String(), "n": pl.Int64()}))
    assert frame.schema == {"t": pl.String, "n": pl.Int64}
    assert frame["t"].to_list() == TEXTS[part]
    (plain,) = shared_text.plain_parts(table, 1 << 20)
    assert plain.schema.field("t").type == pa.string()
    assert plain["t"].to_pylist() == TEXTS[part]


@pytest.mark.parametrize("part", [slice(0, 5), slice(1, 4), slice(4, 5)])
def test_texts_in_lists_are_shared_too(part: slice, tmp_path: Path) -> None:
    table = pa.table({"l": interned_structs(tmp_path)}).slice(part.start, part.stop - part.start)
    frame = frame_of(table, pl.Schema({"l": pl.List(pl.Struct({"a": pl.String(), "b": pl.Int64()}))}))
    assert frame.schema == {"l": pl.List(pl.Struct({"a": pl.String, "b": pl.Int64}))}
    assert frame["l"].to_list() == STRUCTS[part]
    (plain,) = shared_text.plain_parts(table, 1 << 20)
    assert plain["l"].to_pylist() == STRUCTS[part]


def test_several_chunks_have_dictionaries_of_their_own() -> None:
    column = pa.chunked_array([interned(["a", LONG]), interned([LONG, None, "b"])])
    assert frame_of(pa.table({"t": column}), TEXT)["t"].to_list() == ["a", LONG, LONG, None, "b"]
    used = _interning.used(column)
    assert used.to_pylist() == ["a", LONG, LONG, None, "b"]
    assert used.dictionary.to_pylist() == ["a", LONG, "b"]


def test_a_text_of_many_rows_is_in_memory_once() -> None:
    before = pa.total_allocated_bytes()
    table = pa.table({"t": pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), ["x" * 1_000_000])})
    frame = frame_of(table, TEXT)
    assert frame["t"].str.len_bytes().unique().to_list() == [1_000_000]
    assert pa.total_allocated_bytes() - before < 10_000_000


def test_parts_are_bounded_by_what_each_row_has_of_its_own() -> None:
    table = pa.table({"t": interned(["x" * 1_000] * 100 + ["y"] * 100)})
    parts = list(shared_text.plain_parts(table, 25_000))
    assert pa.concat_tables(parts)["t"].to_pylist() == ["x" * 1_000] * 100 + ["y"] * 100
    assert [part.num_rows for part in parts] == [12, 13, 12, 13, 12, 13, 12, 13, 100]


def test_only_texts_that_occur_are_converted() -> None:
    """Of a row group whose other runs have what is no number."""
    column = pa.chunked_array([interned(['"a"', "1", "2.5", None, "1"])]).slice(1)
    found = dynamic_types.convert(column, JSON_TEXT, CellType(pa.float64()))
    assert found.to_pylist() == [1.0, 2.5, None, 1.0]
