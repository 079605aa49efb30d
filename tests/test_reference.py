"""The oracle itself: what it makes of plain data, and that it notices what it must."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from large_dumps import SHARED
from makedump import Run, make_run, write_run
from reference import ARGS, STATE, TABLES, Json, Row, compare, tables, typed

EXTRA = f"{STATE}.instance.extra_data"
KEYS = {f"k{number}": number for number in range(65)}

Reference = Callable[[Run], dict[str, list[Row]]]


@pytest.fixture
def rows_of(tmp_path: Path) -> Reference:
    return lambda run: tables(write_run(tmp_path / "outputs", run))


def below(prefix: str, row: Row) -> Row:
    return {column.removeprefix(prefix): cell for column, cell in row.items() if column.startswith(prefix)}


@pytest.mark.parametrize(
    ("extra_data", "cells"),
    [
        pytest.param({}, {"": Json({})}, id="empty"),
        pytest.param(None, {"": Json(None)}, id="null"),
        pytest.param({"x": None}, {".x": None}, id="a null inside"),
        pytest.param({"x": {}}, {".x": Json({})}, id="an empty object inside"),
        pytest.param({"a": {"b": {"c": {"d": 1}}}}, {".a.b.c.d": 1}, id="four levels"),
        pytest.param({"a": {"b": {"c": {"d": {"e": 1}}}}}, {".a.b.c.d": Json({"e": 1})}, id="five levels"),
        pytest.param({"a.b": 1, "a": {"b": 2}}, {'."a.b"': 1, ".a.b": 2}, id="a dot in a key"),
        pytest.param({"": 2, 'q"': 3, "b\\": 4}, {'.""': 2, '."q\\""': 3, '."b\\\\"': 4}, id="odd keys"),
        pytest.param({"l": [1, [2]], "t": True}, {".l": [1, [2]], ".t": True}, id="a list"),
        pytest.param(KEYS, {"": Json(KEYS)}, id="65 keys"),
        pytest.param({"w": KEYS}, {"": Json({"w": KEYS})}, id="65 keys inside"),
        pytest.param({"k": 1, "\0": 2}, {"": Json({"k": 1, "\0": 2})}, id="a zero byte in a key"),
        pytest.param({"k": {"\ud800": 1}}, {"": Json({"k": {"\ud800": 1}})}, id="half a letter in a key"),
        pytest.param({"é" * 128: 1, "k": {}}, {"." + "é" * 128: 1, ".k": Json({})}, id="a key of 256 bytes"),
        pytest.param({"é" * 129: 1, "k": 1}, {"": Json({"é" * 129: 1, "k": 1})}, id="a key of 258 bytes"),
    ],
)
def test_a_free_form_object_becomes_these_cells(extra_data: Any, cells: Row, rows_of: Reference) -> None:
    first, second = rows_of(make_run("r", extra_data=[extra_data]))["scenario_state"]
    assert below(EXTRA, first) == cells
    assert below(EXTRA, second) == {}


def test_65_keys_over_two_rows_are_json_text_in_both(rows_of: Reference) -> None:
    one, other = {key: KEYS[key] for key in list(KEYS)[:40]}, {key: KEYS[key] for key in list(KEYS)[40:]}
    rows = rows_of(make_run("r", extra_data=[one, other]))["scenario_state"]
    assert [below(EXTRA, row) for row in rows] == [{"": Json(one)}, {"": Json(other)}]


def test_scenario_arguments_may_be_many(rows_of: Reference) -> None:
    assert below(f"{ARGS}.", rows_of(make_run("r", args=KEYS))["run_spec"][0]) == KEYS


def test_rows_of_stats_by_hand(rows_of: Reference) -> None:
    run = make_run("r")
    run["stats"] = [{"name": {"name": "m", "perturbation": None}, "count": 2, "sum": 3, "min": None}]
    entry = {"instance_id": "id0", "perturbation": {"name": "typos", "prob": 1, "own": 1}}
    entry["stats"] = run["stats"] * 2
    run["per_instance_stats"] = [{"instance_id": "id9", "stats": []}, entry]
    cells = {"name.name": "m", "count": 2, "sum": 3.0, "min": None}
    expected = {"run_spec.name": "r"} | {f"stats.{field}": cell for field, cell in cells.items()}
    found = rows_of(run)
    assert repr(found["stats"]) == repr([expected])
    inner = {f"per_instance_stats.stats.{field}": cell for field, cell in cells.items()}
    outer = {
        "instance_id": "id0",
        "perturbation.name": "typos",
        "perturbation.prob": 1.0,
        "perturbation.own": 1,
    }
    outer = {f"per_instance_stats.{field}": cell for field, cell in outer.items()}
    assert repr(found["per_instance_stats"]) == repr([{"run_spec.name": "r"} | outer | inner] * 2)


def test_rows_of_a_scenario_state_by_hand(rows_of: Reference) -> None:
    run = make_run("r")
    state = run["scenario_state"]["request_states"][1]
    state["instance"] |= {"id": 7, "input": "old", "contrast_inputs": ["older"]}
    state["instance"]["references"] = [{"output": "oldest", "tags": []}]
    state["request"]["messages"] = [{"role": "user", "content": None}]
    state["annotations"] = {"judge": [1, None]}
    first, second = rows_of(run)["scenario_state"]
    assert first["run_spec.name"] == "r"
    assert first["scenario_state.adapter_spec.max_tokens"] == 5
    assert first[f"{STATE}.instance.input.text"] == "What comes after tide id0?"
    assert first[f"{STATE}.result.completions"][0]["finish_reason"] == Json({"reason": "stop"})
    assert f"{STATE}.annotations" not in first
    assert type(first[f"{STATE}.request.top_p"]) is float
    assert below(f"{STATE}.instance.", second) == {
        "id": "7",
        "input.text": "old",
        "contrast_inputs": [{"text": "older"}],
        "references": [{"output": {"text": "oldest"}, "tags": []}],
        "split": "test",
    }
    assert second[f"{STATE}.request.messages"] == [Json({"role": "user", "content": None})]
    assert second[f"{STATE}.annotations"] == Json({"judge": [1, None]})


def test_rows_of_a_run_spec_by_hand(rows_of: Reference) -> None:
    [row] = rows_of(make_run("r", args={"a": 1, "b": [1.5]}))["run_spec"]
    assert row["run_spec.metric_specs"] == [
        {"class_name": "made.Metric", "args": Json({"names": ["exact_match"], "k": 1})}
    ]
    assert below(ARGS, row) == {".a": 1, ".b": [1.5]}
    assert type(row["run_spec.adapter_spec.temperature"]) is float
    assert type(row["run_spec.adapter_spec.max_tokens"]) is int


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([1, None, 2], [1, None, 2]),
        ([1, 0.5], [1.0, 0.5]),
        ([2**53, 0.5], [2.0**53, 0.5]),
        ([2**53 + 1, 0.5], [Json(2**53 + 1), Json(0.5)]),
        ([2**63], [Json(2**63)]),
        ([1, True, "1"], [Json(1), Json(True), Json("1")]),
        ([True, False], [True, False]),
        (["a", Json({})], [Json("a"), Json({})]),
        ([[1], [], None], [[1], [], None]),
        ([[1], [0.5]], [Json([1]), Json([0.5])]),
        ([[1, 0.5]], [Json([1, 0.5])]),
        ([[1, None]], [Json([1, None])]),
        ([[2**63]], [Json([2**63])]),
        ([["a"], ["\ud83d"]], [Json(["a"]), Json(["\ud83d"])]),
        ([[], []], [[], []]),
        ([None, None], [None, None]),
        ([[1], ["a"]], [Json([1]), Json(["a"])]),
        ([[1], 1], [Json([1]), Json(1)]),
        ([[[1]]], [Json([[1]])]),
    ],
    ids=repr,
)
def test_cells_get_the_one_type_that_loses_nothing(cells: list[Any], expected: list[Any]) -> None:
    assert repr(typed(cells)) == repr(expected)


N, B, T = f"{ARGS}.n", f"{ARGS}.b", f"{ARGS}.t"
# The frame below is written out by hand and equals ROWS; each change after it must be noticed.
ROWS: list[Row] = [
    {"run_spec.name": "r", N: 1, B: True, T: "1", "x": math.nan, "l": [{"a": Json({"k": 1})}]},
    {"run_spec.name": "r", N: 2, B: False, T: "2", "x": -0.0, "l": []},
    {"run_spec.name": "r", N: None, T: "3", "x": None, "l": [{"a": None}, {}]},
]
LISTS = [[{"a": '{"k": 1}'}], [], [{"a": None}, {"a": None}]]
FRAME = pl.DataFrame(
    {
        "run_spec.name": ["r", "r", "r"],
        N: pl.Series([1, 2, None], dtype=pl.Int64),
        B: pl.Series([True, False, None]),
        T: ["1", "2", "3"],
        "x": pl.Series([math.nan, -0.0, None]),
        "l": pl.Series(LISTS, dtype=pl.List(pl.Struct({"a": pl.String}))),
    }
)


def test_equal_is_no_difference() -> None:
    assert compare(ROWS, FRAME) == []
    assert compare([], FRAME.clear().select("run_spec.name")) == []


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        pytest.param(FRAME[[1, 0, 2]], N, id="rows swapped"),
        pytest.param(FRAME.cast({N: pl.Float64}), N, id="a float for an integer"),
        pytest.param(FRAME.cast({B: pl.Int64}), B, id="1 for true"),
        pytest.param(FRAME.cast({T: pl.Int64}), T, id="1 for a text"),
        pytest.param(FRAME.cast({N: pl.Boolean}), N, id="true for 1"),
        pytest.param(FRAME.cast({N: pl.String}), N, id="a text for 1"),
        pytest.param(FRAME.drop(B), B, id="a lost key"),
        pytest.param(FRAME.with_columns(new=1), "new", id="a new column"),
        pytest.param(FRAME[:2], "2 rows, 3", id="a lost row"),
        pytest.param(FRAME.with_columns(pl.col("x").fill_nan(None)), "x", id="null for NaN"),
        pytest.param(FRAME.with_columns(pl.col("x").fill_null(math.nan)), "x", id="NaN for null"),
        pytest.param(FRAME.with_columns(x=pl.Series([math.nan, 0.0, None])), "x", id="the sign of zero"),
        pytest.param(FRAME.with_columns(pl.col(N).fill_null(0)), N, id="0 for null"),
        pytest.param(FRAME.with_columns(pl.col("l").list.head(1)), "l", id="a lost list item"),
        pytest.param(FRAME.with_columns(l=pl.when(pl.col("l").list.len() > 0).then("l")), "l", id="null for []"),
    ],
)
def test_a_difference_is_noticed(changed: pl.DataFrame, column: str) -> None:
    [difference] = [line for line in compare(ROWS, changed) if line.startswith(column)]
    assert len(difference) < 200


@pytest.mark.parametrize("text", ['{"k": 1.0}', '{"k": true}', '{"k": "1"}', "{}", '{"k": 1, "m": null}', "1", None])
def test_other_json_text_is_a_difference(text: str | None) -> None:
    rows = [{"run_spec.name": "r", ARGS: Json({"k": 1})}]
    assert compare(rows, pl.DataFrame({"run_spec.name": "r", ARGS: ' {"k":1}'})) == []
    assert len(compare(rows, FRAME[:1].select("run_spec.name", pl.lit(text, pl.String).alias(ARGS)))) == 1


def test_a_text_is_not_json_text() -> None:
    text, number = {"run_spec.name": "r", T: "1"}, {"run_spec.name": "r", T: 1}
    names = pl.Series("run_spec.name", ["r", "r"])
    assert compare([text, text], pl.DataFrame([names, pl.Series(T, ["1", "1"])])) == []
    assert len(compare([text, text], pl.DataFrame([names, pl.Series(T, ['"1"', '"1"'])]))) == 1
    assert compare([text, number], pl.DataFrame([names, pl.Series(T, ['"1"', "1"])])) == []
    assert len(compare([text, number], pl.DataFrame([names, pl.Series(T, ["1", "1"])]))) == 1


def test_columns_of_the_demo_are_those_that_magnet_itself_gave(demo_outputs: Path) -> None:
    """MAGNET leaves the perturbation of an entry of the per-instance stats as a dict; we flatten it."""
    golden = SHARED / "data" / "notebook_columns.json"
    if not golden.is_file():
        pytest.skip(f"{golden} is not there (set MAGNET_ARROW_SHARED)")
    by_suite = json.loads(golden.read_bytes())
    notebook, perturbed = by_suite.values()
    expected = {
        "my-suite": [columns for frame, columns in notebook.items() if frame.startswith("train_split.")],
        "perturbed": list(perturbed.values()),
    }
    for suite, frames in expected.items():
        columns: dict[str, Counter[str]] = {table: Counter() for table in TABLES}
        for run in sorted(demo_outputs.glob(f"runs/{suite}/*")):
            for table, rows in tables(run).items():
                columns[table].update(column for row in rows for column in row)
        own = "per_instance_stats.perturbation"
        for table, frame in zip(TABLES, frames, strict=True):
            found = {own if column.startswith(f"{own}.") else column for column in columns[table]}
            assert found == set(frame), f"{suite}, {table}"
