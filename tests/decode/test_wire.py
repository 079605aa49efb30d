"""The decoding types, and the careful way to them: what they hold, and where what they can't hold stood."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec import Raw
from strategies import json_values, keys

from magnet_arrow.decode import wire
from magnet_arrow.decode.wire import TEXT_FORM, MisfitError, Residual, escape, partial_type, structure, unescape
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Scalar, Shape, object_shape

TEXT, INTEGER, FLOAT, TRUTH = Scalar(str), Scalar(int), Scalar(float), Scalar(bool)


def test_a_twin_has_the_fields_of_its_struct_and_makes_nothing_up() -> None:
    stat = partial_type(structs.Stat)
    assert stat.__struct_fields__ == structs.Stat.__struct_fields__
    empty = msgspec.json.decode(b"{}", type=stat)
    assert {getattr(empty, name) for name in stat.__struct_fields__} == {None}


def test_a_twin_keeps_free_form_parts_as_they_were_written() -> None:
    text = b'{"class_name": "x", "args": {"b": 1.50, "a": [ ]}}'
    assert bytes(msgspec.json.decode(text, type=partial_type(structs.ScenarioSpec)).args) == b'{"b": 1.50, "a": [ ]}'
    assert not msgspec.json.decode(b"{}", type=partial_type(structs.ScenarioSpec)).args


@pytest.mark.parametrize("text", ['{"new": 1}', '{"count": "3"}', '{"mean": true}', '{"name": "x"}'])
def test_a_twin_refuses_what_the_careful_way_is_for(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=partial_type(structs.Stat))


HELD = [
    pytest.param(TEXT, "x", "x", {}, id="text"),
    pytest.param(TEXT, "\ud83d!", "\ufffd!", {"/p": "\ud83d!"}, id="half a surrogate pair"),
    pytest.param(Scalar(str, or_int=True), 7, "7", {"/p": 7}, id="integer id"),
    pytest.param(INTEGER, 3, 3, {}, id="integer"),
    pytest.param(INTEGER, 2**63 - 1, 2**63 - 1, {}, id="largest integer"),
    pytest.param(INTEGER, 3.0, 3, {}, id="whole float for an integer"),
    pytest.param(FLOAT, 0.5, 0.5, {}, id="float"),
    pytest.param(FLOAT, 1, 1.0, {}, id="top_p: 1"),
    pytest.param(FLOAT, 2**53, 2.0**53, {}, id="2^53 for a float"),
    pytest.param(FLOAT, 2**53 + 2, 2.0**53 + 2, {}, id="2^53 + 2 is a double"),
    pytest.param(FLOAT, math.inf, math.inf, {}, id="infinity"),
    pytest.param(TRUTH, False, False, {}, id="truth value"),
    pytest.param(ListOf(FLOAT), [1, 0.5], [1.0, 0.5], {}, id="list of numbers"),
    pytest.param(ListOf(TEXT), ["a", "\udc00"], ["a", "\ufffd"], {"/p/1": "\udc00"}, id="list of texts"),
]


@pytest.mark.parametrize(("shape", "value", "held", "rest"), HELD)
def test_what_fits_a_shape(shape: Shape, value: Any, held: Any, rest: Residual) -> None:
    residual: Residual = {}
    found = structure(value, shape, "/p", residual)
    assert (repr(found), residual) == (repr(held), rest)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        pytest.param(TEXT, 1, id="number for a text"),
        pytest.param(TEXT, None, id="null for a text"),
        pytest.param(Scalar(str, or_int=True), True, id="true for an id"),
        pytest.param(INTEGER, "1", id="text for an integer"),
        pytest.param(INTEGER, True, id="true for an integer"),
        pytest.param(INTEGER, 2**63, id="integer past 64 bits"),
        pytest.param(INTEGER, 1.5, id="1.5 for an integer"),
        pytest.param(INTEGER, 2.0**60, id="large float for an integer"),
        pytest.param(INTEGER, math.nan, id="NaN for an integer"),
        pytest.param(FLOAT, 2**53 + 1, id="2^53 + 1 for a float"),
        pytest.param(FLOAT, 10**400, id="10^400 for a float"),
        pytest.param(FLOAT, True, id="true for a float"),
        pytest.param(TRUTH, 1, id="1 for a truth value"),
        pytest.param(ListOf(TEXT), "a", id="text for a list"),
        pytest.param(ListOf(TEXT), ["a", 1], id="list with one misfit"),
        pytest.param(ListOf(ListOf(TEXT)), [["a"], [None]], id="inner list with one misfit"),
        pytest.param(object_shape(structs.Stat), [], id="list for an object"),
        pytest.param(object_shape(structs.Stat), "x", id="text for an object that is never one"),
    ],
)
def test_what_fits_nowhere_is_left_whole(shape: Shape, value: Any) -> None:
    residual: Residual = {}
    with pytest.raises(MisfitError):
        structure(value, shape, "/p", residual)
    assert residual == {}


def test_nan_is_a_value_and_not_a_null() -> None:
    residual: Residual = {}
    stat = structure({"mean": math.nan, "max": None}, object_shape(structs.Stat), "", residual)
    assert math.isnan(stat.mean)
    assert (stat.max, stat.min) == (None, None)
    assert residual == {"/max": None}


def test_an_object_keeps_its_good_fields_beside_bad_ones() -> None:
    value = {
        "name": {"name": "x", "split": 5, "perturbation": {"name": "p", "a/b~c": [1], "prob": 1}},
        "count": "3",
        "new": {"deep": None},
    }
    residual: Residual = {}
    stat = structure(value, object_shape(structs.Stat), "", residual)
    assert (stat.name.name, stat.name.split, stat.count) == ("x", None, None)
    assert repr(stat.name.perturbation.prob) == "1.0"
    assert residual == {
        "/name/split": 5,
        "/name/perturbation/a~1b~0c": [1],
        "/count": "3",
        "/new": {"deep": None},
    }


def test_an_empty_object_is_told_apart_from_a_missing_one() -> None:
    residual: Residual = {}
    assert structure({"name": {}}, object_shape(structs.Stat), "", residual).name is not None
    assert residual == {"/name": {}}


def test_plain_texts_of_old_releases_are_listed() -> None:
    value = {"input": "why", "references": [{"output": "so", "tags": []}, {"output": {"text": "no"}, "tags": []}]}
    residual: Residual = {}
    instance = structure(value, object_shape(structs.Instance), "", residual)
    assert instance.input.text == "why"
    assert [reference.output.text for reference in instance.references] == ["so", "no"]
    assert residual == {TEXT_FORM: ["/input", "/references/0/output"]}


def test_what_items_of_a_list_can_not_hold_stands_under_their_number() -> None:
    value = {"references": [{}, {"tags": [], "new": 1, "output": {}}]}
    residual: Residual = {}
    instance = structure(value, object_shape(structs.Instance), "", residual)
    assert len(instance.references) == 2
    assert residual == {"/references/1/new": 1, "/references/1/output": {}}


def test_free_form_values_are_written_compactly_whatever_they_are() -> None:
    value = {"b": [1, 1.0, math.nan], "a": "\ud83dé"}
    raw = structure(value, FreeForm(keyed=True), "/p", {})
    assert bytes(raw) == b'{"b":[1,1.0,NaN],"a":"\\ud83d\\u00e9"}'


def test_what_recurs_stays_raw() -> None:
    residual: Residual = {}
    state = structure({"instance": {"id": 7}}, object_shape(structs.RequestState), "", residual)
    assert (bytes(state.instance), residual) == (b'{"id":7}', {})
    entry = structure({"stats": [{"count": 1}, 3]}, object_shape(structs.PerInstanceStats), "", residual)
    assert ([bytes(stat) for stat in entry.stats], residual) == ([b'{"count":1}', b"3"], {})


@pytest.mark.parametrize("value", [0, 2**53, 2**53 + 2, 2**62, -(2**63), 10**22], ids=str)
def test_integers_that_a_double_holds(value: int) -> None:
    assert wire.is_exact(value)


@pytest.mark.parametrize(
    "value",
    [2**53 + 1, -(2**53) - 1, 2**63 - 1, 10**23, 10**309],
    ids=["2^53+1", "-2^53-1", "2^63-1", "10^23", "10^309"],
)
def test_integers_that_a_double_rounds(value: int) -> None:
    assert not wire.is_exact(value)


@given(keys(strict=False))
def test_pointers_follow_rfc_6901(key: str) -> None:
    assert "/" not in escape(key)
    assert unescape(escape(key)) == key


def test_the_examples_of_rfc_6901() -> None:
    assert [escape(key) for key in ("a/b", "m~n", "~1", "")] == ["a~1b", "m~0n", "~01", ""]


@given(json_values(strict=False))
def test_dumps_is_ascii_that_json_reads_back(value: Any) -> None:
    assert repr(json.loads(wire.dumps(value).decode("ascii"))) == repr(value)


def test_raw_is_what_msgspec_takes() -> None:
    """The default of a raw field: `Raw | None` refuses objects, an empty `Raw` does not."""
    field = partial_type(structs.ScenarioSpec).__struct_defaults__[-1]
    assert isinstance(field, Raw)
    assert bytes(field) == b""
