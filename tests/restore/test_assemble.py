from typing import Any

import pytest

from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.helm.structs import AdapterSpec, Request, Stat
from magnet_arrow.restore import assemble
from magnet_arrow.schema import registry

PUT: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "nothing": ({"a": 1}, {}, {"a": 1}),
    "a member": ({"a": 1}, {"/b": 2}, {"a": 1, "b": 2}),
    "an explicit null": ({}, {"/a": None}, {"a": None}),
    "an object on the way": ({}, {"/a/b/c": 1}, {"a": {"b": {"c": 1}}}),
    "an item": ({"a": [{}, {}]}, {"/a/1/b": 1}, {"a": [{}, {"b": 1}]}),
    "an item itself": ({"a": [1, 2]}, {"/a/1": None}, {"a": [1, None]}),
    "the whole": ({"a": 1}, {"": [1]}, [1]),
    "a key with a slash and a tilde": ({}, {"/~1~0": 1}, {"/~": 1}),
    "an empty object, then what is in it": ({}, {"/a": {}, "/a/b": 1}, {"a": {"b": 1}}),
    "what is in an object before the object": ({}, {"/a/b": 1, "/a": {}}, {"a": {"b": 1}}),
    "a text for an object": ({"input": {"text": "x"}}, {"~text": ["/input"]}, {"input": "x"}),
    "a text of half a pair for an object": (
        {"input": {"text": "?"}},
        {"~text": ["/input"], "/input/text": "\ud83d"},
        {"input": "\ud83d"},
    ),
    "texts in a list": (
        {"a": [{"text": "x"}, {"text": "y"}]},
        {"~text": ["/a/0", "/a/1"]},
        {"a": ["x", "y"]},
    ),
}


@pytest.mark.parametrize("kind", PUT)
def test_a_residual_is_set_in_its_element(kind: str) -> None:
    element, residual, expected = PUT[kind]
    assert assemble.put(element, residual) == expected


def test_rows_become_entries_again() -> None:
    rows = [
        (0, {"instance_id": "a", "stats": {"sum": 1}}, {"/made": 1}),
        (0, {"instance_id": "a", "stats": {"sum": 2}}, {"/stats/1/made": 2}),
        (3, {"instance_id": "b", "stats": {}}, {}),
    ]
    assert list(assemble.entries(rows)) == [
        (0, {"instance_id": "a", "stats": [{"sum": 1}, {"sum": 2, "made": 2}], "made": 1}),
        (3, {"instance_id": "b", "stats": [{}]}),
    ]


def test_rows_of_an_entry_must_agree() -> None:
    rows: list[tuple[int, dict[str, Any], dict[str, Any]]] = [(0, {"instance_id": "a"}, {}), (0, {}, {})]
    with pytest.raises(CacheDamagedError, match="entry 0 in its 2 rows, found rows that do not agree"):
        list(assemble.entries(rows))


def test_nan_agrees_with_itself() -> None:
    nan = {"perturbation": {"prob": float("nan")}}
    rows: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
        (0, dict(nan), {}),
        (0, {"perturbation": {"prob": float("nan")}}, {}),
    ]
    [(_, entry)] = assemble.entries(rows)
    assert str(entry["perturbation"]) == "{'prob': nan}"


def test_integers_stand_where_helm_has_them_by_default() -> None:
    # What HELM 0.5.16 declares: top_p: float = 1, presence_penalty: float = 0; an adapter's temperature: float = 1.
    assert assemble._integer_defaults(Request) == {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
    assert assemble._integer_defaults(AdapterSpec) == {"temperature": 1}
    assert assemble._integer_defaults(Stat) == {}


@pytest.mark.parametrize(
    ("stat", "expected"),
    [
        ({"count": 0, "sum": 0.0, "sum_squared": 0.0}, "{'count': 0, 'sum': 0, 'sum_squared': 0}"),
        ({"count": 1, "sum": 0.0}, "{'count': 1, 'sum': 0.0}"),
        ({"count": 0, "sum": -0.0}, "{'count': 0, 'sum': -0.0}"),
        ({"count": 0, "sum": 0.5}, "{'count': 0, 'sum': 0.5}"),
        ({"sum": 0.0}, "{'sum': 0.0}"),
    ],
    ids=["no values", "a value", "minus zero", "half", "no count"],
)
def test_a_stat_of_no_values_has_integers(stat: dict[str, Any], expected: str) -> None:
    assert str(assemble.with_integer_zeros(stat)) == expected


@pytest.mark.parametrize("name", [table.name for table in registry.RUN_TABLES if table.struct])
def test_every_table_of_a_run_knows_what_it_is_rebuilt_from(name: str) -> None:
    table = registry.table(name)
    prefixes = [f"{prefix}." for prefix, _, _ in (*assemble.roots_of(table), *assemble.STATE_REST)]
    own = [column for column in table.names if column not in table.hidden and column != registry.RUN_NAME]
    assert [column for column in own if not column.startswith(tuple(prefixes))] == []
