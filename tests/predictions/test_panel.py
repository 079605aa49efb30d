"""Panels of tables of any origin: expected matrices are written out, or made by loops over plain Python values."""

import csv
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from large_dumps import SHARED

from magnet_arrow import _durable
from magnet_arrow.errors import (
    BadFileError,
    ColumnNotFoundError,
    FolderNotWritableError,
    MissingPackageError,
    PanelError,
    SettingError,
    SourceNotFoundError,
)
from magnet_arrow.predictions.panel import Panel, load_panel

ROWS = {
    "llm": ["owl", "owl", "owl", "wren", "wren", "wren"],
    "question": ["b", "a", "c", "c", "b", "a"],
    "right": [1.0, 0.0, None, 1.0, 0.5, 0.25],
}
SUFFIXES = [".npz", ".parquet", ".csv"]


def small(**changed: Any) -> Panel:
    return from_rows({**ROWS, **changed})


def from_rows(rows: Any, **options: Any) -> Panel:
    frame = pl.DataFrame(rows) if isinstance(rows, dict) else rows
    return Panel.from_frame(frame, model="llm", item="question", score="right", **options)


def write(panel: Panel, path: Path) -> None:
    {".npz": panel.to_npz, ".parquet": panel.to_parquet, ".csv": panel.to_csv}[path.suffix](path)


def assert_equal(found: Panel, expected: Panel) -> None:
    assert found.models == expected.models
    assert found.items == expected.items
    assert found.frame.equals(expected.frame)
    assert np.array_equal(found.matrix(), expected.matrix(), equal_nan=True)


def test_a_panel_is_a_matrix_in_order_of_first_appearance() -> None:
    panel = small()
    assert panel.models == ["owl", "wren"]
    assert panel.items == ["b", "a", "c"]
    assert np.array_equal(panel.matrix(), [[1.0, 0.0, math.nan], [0.5, 0.25, 1.0]], equal_nan=True)
    assert panel.matrix().dtype == np.float64
    assert panel.missing.rows() == [("owl", "c")]
    assert repr(panel) == "<Panel 2 models × 3 items, 1 score missing>"
    assert panel.frame.columns == ["model", "item", "score"]


def test_a_matrix_is_the_callers_own() -> None:
    panel = small()
    panel.matrix()[0, 0] = 7
    assert panel.matrix()[0, 0] == 1.0


@pytest.mark.parametrize(
    "as_table",
    [
        pl.DataFrame,
        pl.LazyFrame,
        pa.table,
        pd.DataFrame,
        lambda rows: pd.DataFrame(rows, dtype=object),
        lambda rows: duckdb.from_arrow(pa.table(rows)),
        lambda rows: pd.DataFrame(rows).astype({"llm": "category"}).set_index("question", drop=False),
        lambda rows: pl.DataFrame(rows, schema_overrides={"llm": pl.Categorical(), "right": pl.Float32}),
    ],
    ids=["Polars", "lazy", "PyArrow", "pandas", "pandas objects", "DuckDB", "pandas categories", "Polars categories"],
)
def test_tables_of_any_origin(as_table: Callable[[Any], Any]) -> None:
    assert_equal(from_rows(as_table(ROWS)), small())


@pytest.mark.parametrize("as_table", [pl.DataFrame, pl.LazyFrame, pd.DataFrame, pa.table])
def test_tables_of_narwhals(as_table: Callable[[Any], Any]) -> None:
    narwhals = pytest.importorskip("narwhals")
    assert_equal(from_rows(narwhals.from_native(as_table(ROWS))), small())


def test_integers_and_booleans() -> None:
    panel = from_rows({"llm": [7, 7], "question": [10, 9], "right": [True, None]})
    assert (panel.models, panel.items, panel.matrix().tolist()[0][0]) == (["7"], ["10", "9"], 1.0)
    nothing = from_rows({"llm": ["a"], "question": ["q"], "right": [None]})
    assert nothing.missing.height == 1


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ({"llm": ["a", "a", "b"], "question": [1, 1, 1], "right": [0, 0, 1]}, ["1 pair ", "2 rows", "'a'", "item '1'"]),
        ({"llm": ["a", "a", "b"], "question": [1, 2, 2], "right": [0, 0, 1]}, ["1 of 2", "b without 1 of 2", "'1'"]),
        ({"llm": ["a", "b"], "question": [1, 1], "right": [0.5, math.nan]}, ["1 of 2", "NaN", "'b'", "null"]),
        ({"llm": ["a", None], "question": [1, 1], "right": [0, 1]}, ["1 of 2 rows have no model"]),
        ({"llm": ["a", "b"], "question": [None, 1], "right": [0, 1]}, ["1 of 2 rows have no item"]),
        ({"llm": ["a"], "question": [1], "right": ["C"]}, ["'right'", "the score", "numbers or booleans", "'C'"]),
        ({"llm": ["a"], "question": [1.0], "right": [1]}, ["'question'", "the item", "strings or integers", "Float64"]),
        ({"llm": [["a"]], "question": [1], "right": [1]}, ["'llm'", "the model", "List(String)"]),
        ({"llm": [], "question": [], "right": []}, ["no rows"]),
    ],
    ids=["twice", "unequal", "NaN", "no model", "no item", "text", "floats", "lists", "empty"],
)
def test_what_makes_no_panel_is_named(rows: dict[str, Any], parts: list[str]) -> None:
    types = {"llm": pl.String, "question": pl.String, "right": pl.Float64} if not rows["llm"] else None
    with pytest.raises(PanelError) as caught:
        from_rows(pl.DataFrame(rows, schema=types))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("value", [[1, 2], "table.csv", None, pl.Series([1]), {"llm": ["a"]}])
def test_what_is_no_table_is_refused(value: Any) -> None:
    with pytest.raises(PanelError, match=f"found {type(value).__name__}"):
        Panel.from_frame(value, model="llm", item="question", score="right")


def test_pandas_objects_of_several_types_are_refused() -> None:
    frame = pd.DataFrame({"llm": ["a", "b"], "question": [1, "1"], "right": [0, 1]})
    with pytest.raises(PanelError, match="question") as caught:
        from_rows(frame)
    assert "astype" in str(caught.value)


def test_a_column_that_is_not_there_offers_the_near_one() -> None:
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'question'"):
        Panel.from_frame(pl.DataFrame(ROWS), model="llm", item="questions", score="right")


def test_unequal_items_may_be_kept_as_missing() -> None:
    rows = pl.DataFrame(ROWS).filter(pl.col("right").is_not_null())
    panel = from_rows(rows, missing="keep")
    assert panel.missing.rows() == [("owl", "c")]
    assert panel.complete().items == ["b", "a"]
    assert panel.complete().matrix().tolist() == [[1.0, 0.0], [0.5, 0.25]]
    with pytest.raises(SettingError, match="one of refuse, keep"):
        from_rows(rows, missing="drop")
    with pytest.raises(PanelError, match="No item has a score of every model"):
        from_rows({"llm": ["a", "b"], "question": [1, 2], "right": [1, 1]}, missing="keep").complete()


def test_select_chooses_and_orders() -> None:
    chosen = small().select(models=["wren", "owl"], items=["c", "b"])
    assert np.array_equal(chosen.matrix(), [[1.0, 0.5], [math.nan, 1.0]], equal_nan=True)
    assert chosen.select(models=["wren"]).frame.rows() == [("wren", "c", 1.0), ("wren", "b", 0.5)]


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ({"models": ["wrem"]}, PanelError, "Did you mean 'wren'"),
        ({"items": ["a", "a"]}, PanelError, "more than once"),
        ({"items": []}, PanelError, "No item is named"),
        ({"items": "a"}, SettingError, "a list of names"),
        ({"models": [0]}, SettingError, "expected a string, found 0"),
    ],
)
def test_a_wrong_selection_is_named(options: dict[str, Any], error: type[Exception], part: str) -> None:
    with pytest.raises(error, match=part):
        small().select(**options)


def test_a_score_becomes_0_or_1_just_by_a_threshold_that_is_said() -> None:
    with pytest.raises(PanelError, match=r"threshold=0\.5") as caught:
        small().binary()
    assert "2 of 5 scores" in str(caught.value)
    assert "0.5 for model 'wren', item 'b'" in str(caught.value)
    halved = small().binary(0.5)
    assert np.array_equal(halved.matrix(), [[1, 0, math.nan], [1, 0, 1]], equal_nan=True)
    assert halved.threshold == 0.5
    assert halved.binary() is halved
    assert from_rows(ROWS, threshold=1).matrix()[1].tolist() == [0, 0, 1]
    for nonsense in (math.nan, "0.5", [1]):
        with pytest.raises(SettingError, match="expected a number"):
            small().binary(nonsense)  # type: ignore[arg-type]
    assert small().threshold is None


def test_responses_go_along_with_their_scores() -> None:
    panel = from_rows({**ROWS, "said": ["", "A", None, "C", "é", "😀"]}, response="said")
    assert panel.select(models=["wren"]).frame["response"].to_list() == ["é", "😀", "C"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_panel_comes_back_from_its_file(suffix: str, tmp_path: Path) -> None:
    names = ["plain", "", 'quo"te', "com,ma", "line\nend", "carriage\rreturn", " blank ", "é😀", "NaN", "null", "1e5"]
    scores = [0.1, None, 1e-300, math.inf, -math.inf, 2 / 3, 1.0, 0.0, -0.0, 1e16, 5e-324]
    rows = pl.DataFrame({"llm": ['m,"1'] * 11, "question": names, "right": scores})
    panel = from_rows(pl.concat([rows, rows.with_columns(llm=pl.lit("NULL"))]))
    write(panel, tmp_path / f"panel{suffix}")
    assert_equal(load_panel(tmp_path / f"panel{suffix}"), panel)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_responses_come_back_too(suffix: str, tmp_path: Path) -> None:
    panel = from_rows({**ROWS, "said": ["", "A", None, 'x,"y"\n', "é", "null"]}, response="said")
    write(panel, tmp_path / f"panel{suffix}")
    assert_equal(load_panel(tmp_path / f"panel{suffix}"), panel)


def test_the_threshold_is_in_the_file_where_there_is_room(tmp_path: Path) -> None:
    for suffix, expected in ((".npz", 0.5), (".parquet", 0.5), (".csv", None)):
        write(small().binary(0.5), tmp_path / f"panel{suffix}")
        assert load_panel(tmp_path / f"panel{suffix}").threshold == expected


def test_an_npz_is_read_by_numpy_alone_and_a_csv_by_python(tmp_path: Path) -> None:
    small().to_npz(tmp_path / "panel.npz")
    with np.load(tmp_path / "panel.npz", allow_pickle=False) as arrays:
        assert arrays["models"].tolist() == ["owl", "wren"]
        assert arrays["items"].tolist() == ["b", "a", "c"]
        assert np.array_equal(arrays["scores"], [[1, 0, math.nan], [0.5, 0.25, 1]], equal_nan=True)
    small().to_csv(tmp_path / "panel.csv")
    with (tmp_path / "panel.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[2] == {"model": "owl", "item": "c", "score": ""}
    assert [float(row["score"]) for row in rows[3:]] == [0.5, 0.25, 1.0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_replaced_as_a_whole_or_not_at_all(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"panel{suffix}"
    file.write_bytes(b"older")
    write(small(), file)
    assert_equal(load_panel(file), small())
    for path in (tmp_path / "none" / file.name, tmp_path / f"folder{suffix}"):
        (tmp_path / f"folder{suffix}").mkdir(exist_ok=True)
        with pytest.raises(FolderNotWritableError, match="cannot be written"):
            write(small(), path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"folder{suffix}", file.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_the_older_file(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would keep it cut short, for all who import it later
    file = tmp_path / f"panel{suffix}"
    file.write_bytes(b"older")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        with pytest.raises(FolderNotWritableError, match="File too large") as caught:
            write(small(), file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "Free some space" in str(caught.value)
    assert file.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_writers_of_one_file_both_finish(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One begins and ends while the other has written its file but not yet put it in place."""
    file, other = tmp_path / f"panel{suffix}", small().select(models=["wren"])
    really = _durable.sync

    def write_other_first(path: Path) -> None:
        monkeypatch.setattr(_durable, "sync", really)
        write(other, file)
        assert_equal(load_panel(file), other)
        really(path)

    monkeypatch.setattr(_durable, "sync", write_other_first)
    write(small(), file)
    assert_equal(load_panel(file), small())
    assert list(tmp_path.iterdir()) == [file]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(small(), Path("~/panel.csv"))
    assert (tmp_path / "panel.csv").is_file()
    assert_equal(load_panel("~/panel.csv"), small())


def test_names_that_numpy_would_change_are_refused(tmp_path: Path) -> None:
    panel = from_rows({"llm": ["a\0"], "question": [1], "right": [1]})
    with pytest.raises(PanelError, match="NUL"):
        panel.to_npz(tmp_path / "panel.npz")
    panel.to_parquet(tmp_path / "panel.parquet")
    assert load_panel(tmp_path / "panel.parquet").models == ["a\0"]


GOOD: dict[str, Any] = {
    "scores": np.zeros((1, 2)),
    "models": np.array(["a"]),
    "items": np.array(["p", "q"]),
    "threshold": np.float64("nan"),
}


@pytest.mark.parametrize(
    "changed",
    [
        {"scores": np.zeros((2, 1))},
        {"scores": np.zeros(2)},
        {"scores": np.zeros((1, 2), np.float32)},
        {"scores": np.array([["x", "y"]])},
        {"models": np.array(["a"], dtype=object)},
        {"models": np.array([1])},
        {"items": np.array([["p", "q"]])},
        {"threshold": np.zeros(2)},
        {"scores": None},
    ],
    ids=["turned", "flat", "float32", "text", "objects", "numbers", "two-dimensional", "thresholds", "missing"],
)
def test_an_npz_that_holds_no_panel_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    arrays = {name: array for name, array in (GOOD | changed).items() if array is not None}
    np.savez(tmp_path / "panel.npz", **arrays)
    with pytest.raises(BadFileError, match=r"panel\.npz:\n  It holds no panel") as caught:
        load_panel(tmp_path / "panel.npz")
    assert "Panel.from_frame" in str(caught.value)


def test_two_models_of_one_name_are_refused_in_files_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "panel.npz", **GOOD | {"items": np.array(["p", "p"])})
    with pytest.raises(PanelError, match="more than one row"):
        load_panel(tmp_path / "panel.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"PK\x03\x04garbage", b"PAR1garbagePAR1", b"a,b\n1,2\n", b"\xff\xfe"]
)
def test_a_file_that_holds_no_panel_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"panel{suffix}").write_bytes(content)
    with pytest.raises(BadFileError, match="It holds no panel"):
        load_panel(tmp_path / f"panel{suffix}")


def test_a_csv_by_another_hand(tmp_path: Path) -> None:
    (tmp_path / "panel.csv").write_text("model,item,score\n1,001,1\n2,001,\n", encoding="utf-8")
    assert load_panel(tmp_path / "panel.csv").frame.rows() == [("1", "001", 1.0), ("2", "001", None)]
    for scores in ("x", "NaN"):
        (tmp_path / "panel.csv").write_text(f"model,item,score\n1,001,{scores}\n", encoding="utf-8")
        with pytest.raises((BadFileError, PanelError)):
            load_panel(tmp_path / "panel.csv")


def test_a_threshold_that_is_no_number_is_refused(tmp_path: Path) -> None:
    metadata = {"magnet_arrow.panel": '{"threshold": "0.5"}'}
    small().frame.write_parquet(tmp_path / "panel.parquet", metadata=metadata)
    with pytest.raises(BadFileError, match="expected a number as threshold"):
        load_panel(tmp_path / "panel.parquet")


def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"panel\.npz"):
        load_panel(tmp_path / "panel.npz")
    with pytest.raises(SettingError, match=r"\.parquet, \.csv or \.npz"):
        load_panel(tmp_path / "panel.json")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SourceNotFoundError, match="expected a file, found a folder"):
        load_panel(tmp_path / "folder.csv")
    (tmp_path / "families.csv").write_text("model,family\na,b\n", encoding="utf-8")
    with pytest.raises(BadFileError, match="expected columns model, item, score, found model, family"):
        load_panel(tmp_path / "families.csv")


def test_without_numpy_only_the_matrix_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = small()
    monkeypatch.setitem(sys.modules, "numpy", None)
    panel.to_csv(tmp_path / "panel.csv")
    assert load_panel(tmp_path / "panel.csv").frame.equals(panel.frame)
    with pytest.raises(MissingPackageError, match=r"pip install 'magnet-arrow\[panel\]'"):
        panel.matrix()
    with pytest.raises(MissingPackageError):
        panel.to_npz(tmp_path / "panel.npz")


@pytest.mark.shared
def test_outcomes_of_83_models_go_in_and_come_out_equal(tmp_path: Path) -> None:
    path = SHARED / "data" / "helm_lite_scores.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in {path.parent} (set MAGNET_ARROW_SHARED)")
    with np.load(path, allow_pickle=False) as arrays:
        models = arrays["models"].tolist()
        expected = np.unpackbits(arrays["mmlu"], axis=1, count=int(arrays["mmlu_items"])).astype(float)
    assert expected.shape == (83, 567)
    rows = [
        {"llm": model, "question": item, "right": expected[row, item]}
        for row, model in enumerate(models)
        for item in range(567)
    ]
    panel = from_rows(pl.DataFrame(rows))
    assert panel.models == models
    assert panel.items == [str(item) for item in range(567)]
    assert np.array_equal(panel.binary().matrix(), expected)
    for suffix in SUFFIXES:
        write(panel, tmp_path / f"panel{suffix}")
        again = load_panel(tmp_path / f"panel{suffix}")
        assert_equal(again, panel)
        assert np.array_equal(again.matrix(), expected)
