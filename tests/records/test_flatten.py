"""Free-form objects to columns, run by run."""

import json
from typing import Any

import pyarrow as pa
import pytest

from magnet_arrow.decode.wire import Residual
from magnet_arrow.records.flatten import Flattener, OpenNames, row_place, undeclared
from magnet_arrow.records.row_group import RunRows
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import DynamicObject

FREE = DynamicObject("x", "/x", "any object")
STRENGTH = "stats.name.perturbation.strength"


def flatten(
    *runs: list[Any],
    owner_: DynamicObject = FREE,
    residuals: dict[int, Residual] | None = None,
    open_names: dict[str, OpenNames] | None = None,
) -> tuple[Flattener, list[RunRows]]:
    """The columns of one object; a run is a list of its values, None for no object at all."""
    texts: list[str | None] = []
    rows = []
    for number, values in enumerate(runs):
        rows.append(RunRows(f"run{number}", len(texts), len(values)))
        texts += [None if value is None else json.dumps(value) for value in values]
    flattener = Flattener(rows, {} if residuals is None else residuals, {} if open_names is None else open_names)
    flattener.add(owner_, pa.array(texts, pa.string()).dictionary_encode())
    return flattener, rows


def columns(flattener: Flattener) -> dict[str, list[Any]]:
    return {name: column.to_pylist() for name, column in flattener.columns.items()}


def test_keys_become_columns_in_the_order_of_their_names() -> None:
    flattener, (first, second) = flatten([{"b": 1, "a": {"c": "t"}}, None], [{"b": 2}])
    assert list(columns(flattener).items()) == [("x.a.c", ["t", None, None]), ("x.b", [1, None, 2])]
    assert first.dynamic == {"x.a.c": Kind.TEXT, "x.b": Kind.INTEGER}
    assert second.dynamic == {"x.b": Kind.INTEGER}


def test_kinds_are_told_for_each_run_and_decide_together_how_a_column_is_stored() -> None:
    flattener, runs = flatten([{"a": 1}], [{"a": True}], [{"a": None}, {"a": 2**60}])
    assert columns(flattener) == {"x.a": ["1", "true", None, str(2**60)]}
    big = Kind.INTEGER | Kind.BEYOND_2_53
    assert [run.dynamic for run in runs] == [{"x.a": Kind.INTEGER}, {"x.a": Kind.BOOLEAN}, {"x.a": big | Kind.NULL}]


def test_a_null_is_noted_where_it_stood_and_one_that_is_absent_is_not() -> None:
    residuals: dict[int, Residual] = {1: {"/other": 1}}
    flattener, _ = flatten([{"a": None}, {"a": {"b/c": None}}, {"d": 1}], residuals=residuals)
    assert residuals == {0: {"/x/a": None}, 1: {"/other": 1, "/x/a/b~1c": None}}
    assert columns(flattener) == {"x.d": [None, None, 1]}
    assert flattener.kinds["x.a"] == Kind.NULL


@pytest.mark.parametrize("value", [{}, [1], "x", {"\ud83d": 1}], ids=["empty", "list", "text", "odd key"])
def test_what_can_not_be_flattened_is_text_in_its_own_column_beside_those_that_can(value: Any) -> None:
    flattener, (run,) = flatten([value, {"a": 1}])
    found = columns(flattener)
    assert found.pop("x.a") == [None, 1]
    (cells,) = found.values()
    assert [cells[1], json.loads(cells[0])] == [None, value]
    assert run.dynamic == {"x": Kind.JSON, "x.a": Kind.INTEGER}


def test_an_object_with_too_many_keys_is_text_in_its_run_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_KEYS", 2)
    flattener, runs = flatten([{"a": 1, "b": 2}, {"c": 3}], [{"a": 1, "b": 2}])
    assert columns(flattener) == {
        "x": ['{"a": 1, "b": 2}', '{"c": 3}', None],
        "x.a": [None, None, 1],
        "x.b": [None, None, 2],
    }
    assert [list(run.dynamic) for run in runs] == [["x"], ["x.a", "x.b"]]


def test_an_unbounded_object_may_have_any_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_KEYS", 2)
    flattener, _ = flatten([{"a": 1, "b": 2, "c": 3}], owner_=DynamicObject("x", "/x", "", unbounded=True))
    assert columns(flattener) == {"x.a": [1], "x.b": [2], "x.c": [3]}


def test_a_key_that_comes_in_a_later_row_group_of_a_run_is_a_column() -> None:
    open_names: dict[str, OpenNames] = {}
    flatten([{"a": 1, "b": 1}], open_names=open_names)
    assert open_names == {"x": OpenNames({"a", "b"})}
    later, _ = flatten([{"a": 2}, {"late": 3}], [{"late": 4}], open_names=open_names)
    assert columns(later) == {"x.a": [2, None, None], "x.late": [None, 3, 4]}


def test_too_many_keys_in_a_later_row_group_of_a_run_leave_the_columns_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "MAX_KEYS", 2)
    open_names: dict[str, OpenNames] = {}
    flatten([{"a": 1}], open_names=open_names)
    later, _ = flatten([{"a": 2}, {"b": 3, "c": 3}], open_names=open_names)
    assert columns(later) == {"x": [None, '{"b": 3, "c": 3}'], "x.a": [2, None]}
    assert open_names == {"x": OpenNames({"a"}, are_final=True)}
    last, _ = flatten([{"a": 4}, {"b": 5}], open_names=open_names)  # "b" was text before, so it stays text
    assert columns(last) == {"x": [None, '{"b": 5}'], "x.a": [4, None]}


def test_a_run_may_reach_the_bound_of_keys_row_group_by_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_KEYS", 2)
    open_names: dict[str, OpenNames] = {}
    first, _ = flatten([{}], open_names=open_names)
    assert columns(first) == {"x": ["{}"]}
    later, _ = flatten([{"a": 1}], open_names=open_names)
    assert columns(later) == {"x.a": [1]}
    full, _ = flatten([{"b": 2}], open_names=open_names)
    assert columns(full) == {"x.b": [2]}
    last, _ = flatten([{"a": 3, "b": 3}, {"c": 3}], open_names=open_names)
    assert columns(last) == {"x": [None, '{"c": 3}'], "x.a": [3, None], "x.b": [3, None]}


def test_an_object_with_too_many_keys_stays_text_in_later_row_groups_of_its_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "MAX_KEYS", 2)
    open_names: dict[str, OpenNames] = {}
    flatten([{"a": 1, "b": 2, "c": 3}], open_names=open_names)
    assert open_names == {"x": OpenNames(are_final=True)}
    later, _ = flatten([{"a": 2}], open_names=open_names)
    assert columns(later) == {"x": ['{"a": 2}']}


def test_the_own_parameters_of_a_perturbation_are_taken_out_of_the_residual() -> None:
    table = registry.table("stats")
    (open_object,) = (one for one in table.dynamic_objects if one.open)
    residuals: dict[int, Residual] = {
        0: {"/name/perturbation/strength": 0.5, "/mean": None},
        1: {"/name/perturbation/strength": None, "/name/perturbation/prob": "high"},
        2: {"/name/perturbation/a~1b": {"c": 1}},
    }
    texts = undeclared(open_object, table, residuals, 4)
    assert texts.to_pylist() == ['{"strength":0.5}', None, '{"a/b":{"c":1}}', None]
    # A null, and a declared parameter of another type, stay where they are.
    assert residuals == {
        0: {"/mean": None},
        1: {"/name/perturbation/strength": None, "/name/perturbation/prob": "high"},
        2: {},
    }
    run = RunRows("run", 0, 4)
    flattener = Flattener([run], residuals, {})
    flattener.add(open_object, texts)
    assert columns(flattener) == {
        STRENGTH: [0.5, None, None, None],
        "stats.name.perturbation.a/b": [None, None, '{"c":1}', None],
    }


def test_places_in_an_entry_of_per_instance_stats_are_those_of_its_stat() -> None:
    table = registry.table("per_instance_stats")
    assert row_place(table, "/stats/12/name/perturbation/x") == "/name/perturbation/x"
    assert row_place(table, "/perturbation/x") == "/perturbation/x"
    assert row_place(registry.table("stats"), "/stats/12") == "/stats/12"
