"""Collectors: values of one field, kept until they are a column."""

import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from msgspec import Raw

from magnet_arrow.collectors import InexactError, Objects, Shared, Texts, Values, collector
from magnet_arrow.helm import structs
from magnet_arrow.helm.decode import ElementDecoder
from magnet_arrow.helm.shapes import FreeForm, ListOf, Scalar, Shape, object_shape

STAT, STATE, SPEC = (ElementDecoder(kind) for kind in (structs.Stat, structs.RequestState, structs.RunSpec))
FLOAT, INTEGER, FREE = Scalar(float), Scalar(int), FreeForm(keyed=True)


def decoded(decoder: ElementDecoder, *values: Any) -> list[Any]:
    return decoder.pieces([json.dumps(value).encode() for value in values]).structs


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        pytest.param(Scalar(str), ["a", None, ""], id="texts"),
        pytest.param(INTEGER, [1, None, -(2**63)], id="integers"),
        pytest.param(FLOAT, [0, 0, 0, None, 0.5], id="a late 0.5 stays 0.5"),
        pytest.param(FLOAT, [math.inf, math.nan, None], id="NaN is no null"),
        pytest.param(Scalar(bool), [True, None, False], id="truth values"),
        pytest.param(ListOf(Scalar(str)), [["a"], [], None], id="lists"),
        pytest.param(ListOf(ListOf(Scalar(str))), [[["a"], []], [], None], id="lists of lists"),
        pytest.param(ListOf(FREE), [[Raw(b'{"a":1}')], [], None], id="lists of free-form objects"),
    ],
)
def test_values_come_out_as_they_went_in(shape: Shape, values: Sequence[Any]) -> None:
    whole, staged = collector(shape), collector(shape)
    whole.extend(values[:1], exact=True)
    staged.extend(values[1:], exact=True)
    whole.absorb(staged)
    assert shown(whole.array()) == repr([texts(value) for value in values])
    assert len(staged.array()) == 0


def texts(value: Any) -> Any:
    """Raw JSON as text, inside lists too."""
    if isinstance(value, list):
        return [texts(item) for item in value]
    return bytes(value).decode() if isinstance(value, Raw) else value


def shown(column: pa.Array) -> str:
    numbers = pa.types.is_floating(column.type)
    return repr([int(cell) if numbers and cell == 0 else cell for cell in column.to_pylist()])


@pytest.mark.parametrize(
    ("shape", "good", "doubtful"),
    [
        pytest.param(FLOAT, 2.0**53 - 1, 2.0**53, id="a float that 2^53 + 1 is rounded to"),
        pytest.param(FLOAT, -(2.0**53) + 1, -(2.0**53), id="a negative one"),
        pytest.param(ListOf(FLOAT), [0.5, 1.0], [0.5, 1e300], id="in a list"),
        pytest.param(INTEGER, 2**63 - 1, 2**63, id="an integer past 64 bits"),
        pytest.param(INTEGER, -(2**63), -(2**63) - 1, id="a negative one past 64 bits"),
    ],
)
def test_values_that_may_not_be_what_the_file_says(shape: Shape, good: Any, doubtful: Any) -> None:
    part = collector(shape)
    part.extend([None, good], exact=False)
    with pytest.raises(InexactError):
        part.extend([None, doubtful], exact=False)


def test_an_empty_object_may_not_be_what_the_file_says() -> None:
    part = Objects(object_shape(structs.ScenarioSpec))
    part.extend([*decoded(ElementDecoder(structs.ScenarioSpec), {"args": {"a": 1}}), None], exact=False)
    with pytest.raises(InexactError):
        part.extend(decoded(ElementDecoder(structs.ScenarioSpec), {}), exact=False)


def test_each_free_form_text_is_kept_once_and_compact() -> None:
    whole, staged = Texts(), Texts()
    whole.extend([Raw(b'{"a": 1.50}'), None, Raw(b"")], exact=True)
    staged.extend([Raw(b'{"a": 1.50}'), Raw(b'{"b":NaN}'), Raw(b'{ "c" : "\\u00e9" }')], exact=True)
    whole.absorb(staged)
    column = whole.array()
    assert column.dictionary.to_pylist() == ['{"a":1.50}', '{"b":NaN}', '{"c":"\\u00e9"}']
    assert column.indices.to_pylist() == [0, None, None, 0, 1, 2]


def test_text_is_copied_out_of_the_buffer() -> None:
    buffer = bytearray(b'[{"annotations":{"a":1}}]')
    state = STATE._many.decode(memoryview(buffer))[0]
    part = Texts()
    part.extend([state.annotations], exact=True)
    buffer[:] = b'[{"annotations":{"b":2}}]'
    assert part.array().to_pylist() == ['{"a":1}']


def test_objects_are_flattened_to_their_scalars() -> None:
    part = Objects(STAT.shape)
    part.extend(decoded(STAT, {"name": {"name": "x", "split": "test"}, "mean": 1}, {"count": 2}), exact=True)
    columns = {name: column.to_pylist() for name, column in part.columns("stats")}
    filled = {name: cells for name, cells in columns.items() if cells != [None, None]}
    assert filled == {
        "stats.name.name": ["x", None],
        "stats.name.split": ["test", None],
        "stats.mean": [1.0, None],
        "stats.count": [None, 2],
    }
    assert part.count == 2


def test_objects_in_lists_are_structs_and_an_empty_one_is_no_null() -> None:
    specs = decoded(SPEC, {"metric_specs": [{"class_name": "x", "args": {"a": [1]}}, {}]}, {})
    part = Objects(SPEC.shape)
    part.extend(specs, exact=True)
    columns = dict(part.columns("run_spec"))
    assert columns["run_spec.metric_specs"].to_pylist() == [
        [{"class_name": "x", "args": '{"a":[1]}'}, {"class_name": None, "args": None}],
        None,
    ]


def test_shared_objects_are_decoded_once_and_referred_to_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[bytes]] = []
    pieces = ElementDecoder.pieces
    monkeypatch.setattr(ElementDecoder, "pieces", lambda self, new: (asked.append(list(new)), pieces(self, new))[1])
    shared = Shared("stats", "", Objects(STAT.shape), STAT)
    one, two, bad = (Raw(text) for text in (b'{"mean":1}', b'{"mean":2,"new":0}', b"3"))
    shared.stage(shared.number_pieces([one, two, one, Raw(b"")]))
    shared.keep()
    shared.stage(shared.number_pieces([bad]))
    shared.drop()
    shared.stage(shared.number_pieces([two]))
    shared.keep()
    assert asked == [[bytes(one), bytes(two)], [bytes(bad)]]
    assert dict(shared.columns())["stats.mean"].to_pylist() == [1.0, 2.0, 1.0, None, 2.0]
    assert list(shared.residual_rows(0, 5)) == [(1, {"/new": 0}), (4, {"/new": 0})]


def test_values_of_a_field_that_is_kept_elsewhere_make_no_column() -> None:
    part = Objects(STATE.shape, shared=["instance"])
    part.extend(decoded(STATE, {"instance": {"id": "a"}, "train_trial_index": 3}), exact=True)
    columns = dict(part.columns("s"))
    assert columns["s.train_trial_index"].to_pylist() == [3]
    assert not any(name.startswith("s.instance") for name in columns)


def test_a_collector_forgets() -> None:
    for shape, value in ((FLOAT, 0.5), (FREE, Raw(b"{}")), (ListOf(FREE), [Raw(b"{}")])):
        part = collector(shape)
        part.extend([value], exact=True)
        part.clear()
        assert len(part.array()) == 0
    assert isinstance(collector(ListOf(FLOAT)), Values)
