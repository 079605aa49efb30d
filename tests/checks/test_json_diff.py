import json
import math
from typing import Any

import pytest

from magnet_arrow.checks.json_diff import Comparison, json_path, n_values, n_values_of_text
from magnet_arrow.errors import Where
from magnet_arrow.helm.declared_types import file_shape

STATE = {"request_states": [{"request": {"top_p": 1, "prompt": "a"}, "instance": {"extra_data": {"k": 1}}}]}


def compared(source: Any, cached: Any, file: str = "scenario_state.json") -> Comparison:
    comparison = Comparison()
    comparison.compare(Where("s/r", file), source, cached, file_shape(file))
    return comparison


def state(**request: Any) -> dict[str, Any]:
    return {"request_states": [{"request": request}]}


def free(value: Any) -> dict[str, Any]:
    return {"request_states": [{"instance": {"extra_data": {"k": value}}}]}


EQUAL: dict[str, tuple[Any, Any]] = {
    "an integer and a float where a float is declared": (state(top_p=1), state(top_p=1.0)),
    "a float and an integer where an integer is declared": (state(max_tokens=5.0), state(max_tokens=5)),
    "an integer past 2^53 and its float, where they are one": (state(top_p=2**60), state(top_p=2.0**60)),
    "zero and minus zero, one an integer": (state(top_p=0), state(top_p=-0.0)),
    "NaN and NaN": (free(math.nan), free(float("nan"))),
    "the infinities": (free([math.inf, -math.inf]), free([math.inf, -math.inf])),
    "another order of keys": ({"a": 1, "b": [{}]}, {"b": [{}], "a": 1}),
    "another spelling": (json.loads('{"a": 1e400, "b": 1e2, "c": "\\u00e9"}'), {"a": math.inf, "b": 100.0, "c": "é"}),
    "the last of two values": (json.loads('{"a": 1, "a": 2}'), {"a": 2}),
}

DIFFERENT: dict[str, tuple[Any, Any, str, str, str]] = {
    "an integer past 2^53 and a float beside it": (
        state(top_p=2**53 + 1),
        state(top_p=2.0**53),
        "$.request_states[0].request.top_p",
        "9007199254740993",
        "9007199254740992.0",
    ),
    "an integer and a float in a free-form object": (
        free(1),
        free(1.0),
        "$.request_states[0].instance.extra_data.k",
        "1",
        "1.0",
    ),
    "an integer and a float below an unknown key": ({"made": 1}, {"made": 1.0}, "$.made", "1", "1.0"),
    "an integer and a float where a text is declared": (
        state(prompt=1),
        state(prompt=1.0),
        "$.request_states[0].request.prompt",
        "1",
        "1.0",
    ),
    "true and one": (state(top_p=True), state(top_p=1), "$.request_states[0].request.top_p", "true", "1"),
    "false and zero": (free(0), free(False), "$.request_states[0].instance.extra_data.k", "0", "false"),
    "a number and its digits": (free(1), free("1"), "$.request_states[0].instance.extra_data.k", "1", '"1"'),
    "zero and minus zero": (
        free(0.0),
        free(-0.0),
        "$.request_states[0].instance.extra_data.k",
        "0.0",
        "-0.0",
    ),
    "NaN and null": (free(math.nan), free(None), "$.request_states[0].instance.extra_data.k", "NaN", "null"),
    "a missing key and null": ({"a": None}, {}, "$.a", "null", "nothing"),
    "null and a missing key": ({}, {"a": None}, "$", "{}", "an object of 1"),
    "null and a missing key beside another": ({"b": 1}, {"b": 1, "a": None}, "$.a", "nothing", "null"),
    "an empty object and null": ({"a": {}}, {"a": None}, "$.a", "{}", "null"),
    "an empty object and an empty list": ({"a": {}}, {"a": []}, "$.a", "{}", "[]"),
    "an empty list and a list": ({"a": []}, {"a": [1]}, "$.a", "[]", "a list of 1"),
    "a longer list": ({"a": [1, 2]}, {"a": [1]}, "$.a[1]", "2", "nothing"),
    "a shorter list": ({"a": [1]}, {"a": [1, 2]}, "$.a[1]", "nothing", "2"),
    "another order in a list": ({"a": [1, 2]}, {"a": [2, 2]}, "$.a[0]", "1", "2"),
    "an object and a text": ({"a": {"text": "x"}}, {"a": "x"}, "$.a", "an object of 1", '"x"'),
    "a letter and half of a pair": ({"a": "\ud83d"}, {"a": "\ufffd"}, "$.a", '"\\ud83d"', '"\\ufffd"'),
}


@pytest.mark.parametrize("kind", EQUAL)
def test_these_are_one_value(kind: str) -> None:
    source, cached = EQUAL[kind]
    for pair in ((source, cached), (cached, source)):
        assert compared(*pair).differences == []


@pytest.mark.parametrize("kind", DIFFERENT)
def test_these_are_two_values(kind: str) -> None:
    source, cached, path, ours, theirs = DIFFERENT[kind]
    found = compared(source, cached)
    assert found.n_differences == 1
    [one] = found.differences
    assert (one.where, one.source, one.cache) == (Where("s/r", "scenario_state.json", path), ours, theirs)


def test_values_are_counted_whether_they_are_equal_or_not() -> None:
    # 1, "x", {}, [], null and the two in c
    source = {"a": 1, "b": ["x", {}, [], None], "c": {"d": 1, "e": {"f": 2}}}
    assert compared(source, source).values == 7
    assert compared(source, {}).values == 7
    assert compared(source, source | {"more": [1, 2, 3]}).values == 7
    assert compared([], []).values == compared({}, {}).values == compared(1, 2).values == 1


@pytest.mark.parametrize("value", [1, {}, [], {"a": [], "b\n{\n": "[\n"}, [[[1, "}"], {}], {"c": None, "d": {"e": 2}}]])
def test_values_are_counted_in_the_text_as_in_the_document(value: Any) -> None:
    assert n_values_of_text(json.dumps(value, indent=2).encode()) == n_values(value) == compared(value, value).values


def test_differences_come_in_the_order_of_the_source() -> None:
    found = compared({"a": [1, 2], "b": {"c": 3, "d": 4}}, {"a": [2, 3], "b": {"c": 4, "d": 5}})
    assert [one.where.json_path for one in found.differences] == ["$.a[0]", "$.a[1]", "$.b.c", "$.b.d"]


def test_values_nest_as_deeply_as_they_like() -> None:
    source: Any = 1
    other: Any = 2
    for _ in range(10_000):
        source, other = [source], [other]
    [one] = compared(source, other).differences
    assert one.where.json_path == "$" + "[0]" * 10_000


def test_elements_of_lists_are_compared_one_by_one() -> None:
    comparison = Comparison()
    shape = file_shape("stats.json")
    source = [{"mean": 1}, {"mean": 2}, {"mean": 3}]
    cached = [{"mean": 1.0}, {"mean": 2.5}]
    comparison.elements(Where("s/r", "stats.json"), source, iter(cached), shape, None)
    assert [str(one) for one in comparison.differences] == [
        "s/r/stats.json, at $[1].mean:\n  the source has 2, the cache 2.5.",
        "s/r/stats.json, at $[2]:\n  the source has an object of 1, the cache nothing.",
    ]
    assert comparison.values == 3


def test_elements_of_what_is_no_list_are_one_difference() -> None:
    comparison = Comparison()
    comparison.elements(Where("s/r"), {"a": 1}, iter([1]), file_shape("stats.json"), "request_states")
    assert [one.where.json_path for one in comparison.differences] == ["$.request_states"]


def test_what_is_shown_does_not_act_on_a_terminal_and_is_short() -> None:
    [one] = compared({"\x1b[31m": "\x1b[31m"}, {"\x1b[31m": "x" * 10_000}).differences
    assert "\x1b" not in str(one)
    assert len(str(one)) < 300


def test_odd_keys_are_quoted_in_a_path() -> None:
    assert json_path(((((None, "a b"), 0), ""), "id")) == '$["a b"][0][""].id'
