"""Free-form values: their kinds, the types that follow from kinds, and conversions that lose nothing."""

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import free_objects, json_values, scalars

from magnet_arrow.schema import dynamic_types
from magnet_arrow.schema.dynamic_types import (
    JSON_TEXT,
    NOTHING,
    CellType,
    Kind,
    convert,
    flatten,
    frame_type,
    kind_of,
    stored_type,
)

INTEGERS, FLOATS, TEXTS = (CellType(kind) for kind in (pa.int64(), pa.float64(), pa.string()))
BIG = Kind.INTEGER | Kind.BEYOND_2_53


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, Kind.NULL),
        (True, Kind.BOOLEAN),
        (1, Kind.INTEGER),
        (2**53, Kind.INTEGER),
        (2**53 + 1, BIG),
        (-(2**63), BIG),
        (2**63, Kind.JSON),
        (1.0, Kind.FLOAT),
        (math.nan, Kind.FLOAT),
        ("1", Kind.TEXT),
        ("\ud83d", Kind.JSON),
        ({}, Kind.JSON),
        ([], Kind.EMPTY_LIST),
        ([1, 2], Kind.INTEGERS),
        ([1, 2**60], Kind.INTEGERS | Kind.BEYOND_2_53),
        ([0.5], Kind.FLOATS),
        ([True], Kind.BOOLEANS),
        (["a"], Kind.TEXTS),
        ([1, 0.5], Kind.JSON),
        ([1, True], Kind.JSON),
        (["a", None], Kind.JSON),
        ([[1]], Kind.JSON),
        ([2**63], Kind.JSON),
    ],
    ids=lambda value: None if isinstance(value, Kind) else ascii(value),
)
def test_the_kind_of_a_value(value: Any, kind: Kind) -> None:
    assert kind_of(value) == kind


def test_the_kind_of_a_list_is_known_without_going_down_into_it() -> None:
    assert kind_of(json.loads("[" * 900 + "]" * 900)) == Kind.JSON


@pytest.mark.parametrize(
    ("kinds", "stored", "frame"),
    [
        pytest.param(Kind.INTEGER, INTEGERS, INTEGERS, id="integers"),
        pytest.param(BIG, INTEGERS, INTEGERS, id="large integers"),
        pytest.param(Kind.INTEGER | Kind.NULL, INTEGERS, INTEGERS, id="a null has no say"),
        pytest.param(Kind.INTEGER | Kind.FLOAT, JSON_TEXT, FLOATS, id="integers and floats"),
        pytest.param(BIG | Kind.FLOAT, JSON_TEXT, JSON_TEXT, id="large integers and floats"),
        pytest.param(Kind.INTEGER | Kind.BOOLEAN, JSON_TEXT, JSON_TEXT, id="1 and true"),
        pytest.param(Kind.TEXT | Kind.JSON, JSON_TEXT, JSON_TEXT, id="text and an object"),
        pytest.param(Kind.NULL, NOTHING, NOTHING, id="only nulls"),
        pytest.param(
            Kind.TEXTS | Kind.EMPTY_LIST,
            CellType(pa.list_(pa.string())),
            CellType(pa.list_(pa.string())),
            id="an empty list is of any type",
        ),
        pytest.param(Kind.EMPTY_LIST, JSON_TEXT, CellType(pa.list_(pa.null())), id="only empty lists"),
        pytest.param(Kind.INTEGERS | Kind.BOOLEANS, JSON_TEXT, JSON_TEXT, id="lists of two types"),
        pytest.param(Kind.EMPTY_LIST | Kind.INTEGER, JSON_TEXT, JSON_TEXT, id="a list and a number"),
    ],
)
def test_the_type_of_a_column(kinds: Kind, stored: CellType, frame: CellType) -> None:
    assert (stored_type(kinds), frame_type(kinds)) == (stored, frame)


@given(st.lists(json_values(strict=False), max_size=4))
def test_a_stored_type_holds_all_values_whose_kinds_it_is_for(values: list[Any]) -> None:
    kinds = Kind(0)
    for value in values:
        kinds |= kind_of(value)
    cell_type = stored_type(kinds)
    column = dynamic_types.array_of(values, cell_type)
    cells = column.to_pylist()
    if cell_type.is_json:
        cells = [None if cell is None else json.loads(cell) for cell in cells]
    assert repr(cells) == repr(values)


def test_an_object_is_flattened_by_its_keys() -> None:
    cells = flatten({"a": 1, "b": {"c": "x", "d.e": [1]}, "n": None, "/": {"~": None}, "empty": {}})
    assert cells is not None
    assert cells.values == {"a": 1, "b.c": "x", 'b."d.e"': [1], "n": None, "/.~": None, "empty": {}}
    assert cells.kinds["b.c"] == Kind.TEXT
    assert cells.kinds['b."d.e"'] == Kind.INTEGERS
    assert cells.kinds["n"] == Kind.NULL
    assert cells.residual == {"/n": None, "/~1/~0": None}


def test_what_lies_deeper_than_four_levels_stays_an_object() -> None:
    cells = flatten({"1": {"2": {"3": {"4": {"5": {"6": 0}}}}}})
    assert cells is not None
    assert cells.values == {"1.2.3.4": {"5": {"6": 0}}}
    assert cells.kinds == {"1.2.3.4": Kind.JSON}


@pytest.mark.parametrize(
    "value",
    [{}, None, [], "x", 1, {"\ud83d": 1}, {"a": {"\0": 1}}, {"k" * 257: 1}],
    ids=lambda value: ascii(value)[:12],
)
def test_what_can_not_be_flattened(value: Any) -> None:
    assert flatten(value) is None


@given(free_objects(strict=False))
def test_names_of_a_flattened_object_are_told_apart(value: dict[str, Any]) -> None:
    """As many names as leaves: no two keys meet in one column."""

    def leaves(inner: Any, levels: int) -> int:
        if isinstance(inner, dict) and inner and levels:
            return sum(leaves(entry, levels - 1) for entry in inner.values())
        return 1

    cells = flatten(value)
    assert cells is None or len(cells.values) == leaves(value, 4)


@given(st.lists(json_values(strict=False), max_size=4))
def test_json_texts_are_parsed_as_json_does(values: list[Any]) -> None:
    texts = [json.dumps(value) for value in values]
    assert repr(dynamic_types.parse_many(texts)) == repr([json.loads(text) for text in texts])


@pytest.mark.parametrize(
    ("cells", "have", "want", "expected"),
    [
        pytest.param([1, None], INTEGERS, INTEGERS, [1, None], id="as it is"),
        pytest.param([1, None, -5], INTEGERS, FLOATS, [1.0, None, -5.0], id="integers to floats"),
        pytest.param(["1", None, "0.5", "NaN"], JSON_TEXT, FLOATS, [1.0, None, 0.5, math.nan], id="JSON to floats"),
        pytest.param(["1", "2"], JSON_TEXT, INTEGERS, [1, 2], id="JSON to integers"),
        pytest.param(['"a"', None, '"a"'], JSON_TEXT, TEXTS, ["a", None, "a"], id="JSON to texts"),
        pytest.param(["a", None, "1"], TEXTS, JSON_TEXT, ['"a"', None, '"1"'], id="texts to JSON"),
        pytest.param([1.0, math.inf, None], FLOATS, JSON_TEXT, ["1.0", "Infinity", None], id="floats to JSON"),
        pytest.param([True, None], CellType(pa.bool_()), JSON_TEXT, ["true", None], id="truth values to JSON"),
        pytest.param(
            [[1], [], None], CellType(pa.list_(pa.int64())), JSON_TEXT, ["[1]", "[]", None], id="lists to JSON"
        ),
        pytest.param(["[1]", "[]"], JSON_TEXT, CellType(pa.list_(pa.int64())), [[1], []], id="JSON to lists"),
        pytest.param([None, None], NOTHING, INTEGERS, [None, None], id="nothing to integers"),
        pytest.param([1], INTEGERS, NOTHING, [None], id="to nothing"),
    ],
)
def test_conversions(cells: list[Any], have: CellType, want: CellType, expected: list[Any]) -> None:
    found = convert(pa.array(cells, have.arrow), have, want)
    assert found.type == want.arrow
    assert repr(found.to_pylist()) == repr(expected)


@given(st.lists(st.none() | scalars(strict=False), min_size=1, max_size=5))
def test_there_and_back_through_json(values: list[Any]) -> None:
    kinds = Kind(0)
    for value in values:
        kinds |= kind_of(value)
    have = stored_type(kinds)
    if have == NOTHING:
        return
    column = dynamic_types.array_of(values, have)
    there = convert(column, have, JSON_TEXT)
    assert repr(convert(there, JSON_TEXT, have).to_pylist()) == repr(column.to_pylist())


def test_empty_lists_alone_come_out_of_a_column_that_holds_other_runs_numbers() -> None:
    stored = pa.array([[], None, []], pa.list_(pa.float64()))
    found = dynamic_types.convert(stored, CellType(pa.list_(pa.float64())), dynamic_types.frame_type(Kind.EMPTY_LIST))
    assert found.type == pa.list_(pa.null())
    assert found.to_pylist() == [[], None, []]


@pytest.mark.parametrize("want", [Kind.INTEGER, Kind.TEXTS, Kind.JSON, Kind.BOOLEAN], ids=str)
def test_runs_without_a_value_fit_any_type(want: Kind) -> None:
    """The stored column is one of numbers because of other runs; these have nothing in it."""
    stored = pa.nulls(3, pa.float64())
    found = dynamic_types.convert(stored, CellType(pa.float64()), frame_type(want))
    assert found.type == frame_type(want).arrow
    assert found.to_pylist() == [None] * 3


def test_an_object_with_too_many_keys_stays_text() -> None:
    value = {f"k{number}": {"a": number, "b": number} for number in range(dynamic_types.MAX_CELLS // 2)}
    cells = flatten(value)
    assert cells is not None
    assert len(cells.values) == dynamic_types.MAX_CELLS
    assert flatten({**value, "one more": 1}) is None
