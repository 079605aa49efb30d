"""Column builders: values of one field, kept until they are a column."""

import json
import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from msgspec import Raw

from magnet_arrow.decode.decoder import ElementDecoder
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Scalar, Shape, object_shape
from magnet_arrow.records.column_builders import ColumnBuilder, InexactError, JsonBuilder, StructBuilder, column_builder

STAT, STATE, SPEC = (ElementDecoder(kind) for kind in (structs.Stat, structs.RequestState, structs.RunSpec))
FLOAT, INTEGER, FREE = Scalar(float), Scalar(int), FreeForm(keyed=True)


def decoded(decoder: ElementDecoder, *values: Any) -> list[Any]:
    return decoder.careful_pieces([json.dumps(value).encode() for value in values]).structs


def add(builder: ColumnBuilder[Any], values: Sequence[Any]) -> None:
    builder.append(builder.convert(values, exact=True))


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
    part = column_builder(shape)
    add(part, values[:1])
    part.append_nulls(2)
    add(part, values[1:])
    assert shown(part.array()) == repr([texts(value) for value in (values[0], None, None, *values[1:])])


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (FLOAT, 0.5),
        (Scalar(str), "a"),
        (FREE, Raw(b"{}")),
        (ListOf(FLOAT), [0.5, 1.5]),
        (ListOf(FREE), [Raw(b"{}"), Raw(b"[]")]),
        (ListOf(ListOf(FREE)), [[Raw(b"{}")], [], [Raw(b"[]")]]),
    ],
)
def test_values_that_are_converted_and_not_appended_leave_nothing(shape: Shape, value: Any) -> None:
    part = column_builder(shape)
    part.convert([value], exact=True)
    assert shown(part.array()) == "[]"
    add(part, [value, None])
    part.convert([value, value, value], exact=True)
    part.append_nulls(1)
    part.convert([None], exact=True)
    add(part, [value])
    assert shown(part.array()) == repr([texts(value), None, None, texts(value)])


def test_objects_that_are_not_appended_leave_nothing_in_any_field() -> None:
    part = StructBuilder(SPEC.shape)
    add(part, decoded(SPEC, {"name": "a", "metric_specs": [{}]}))
    part.convert(decoded(SPEC, {"name": "b", "metric_specs": [{}, {}]}), exact=True)
    add(part, decoded(SPEC, {"name": "c", "groups": ["g"]}))
    columns = {name: column.to_pylist() for name, column in part.columns("s")}
    assert (columns["s.name"], columns["s.groups"]) == (["a", "c"], [None, ["g"]])
    assert columns["s.metric_specs"] == [[{"class_name": None, "args": None}], None]
    assert part.count == 2


def test_objects_that_cannot_be_converted_leave_nothing_in_any_field() -> None:
    part = StructBuilder(STAT.shape)
    add(part, decoded(STAT, {"name": {"name": "a"}, "count": 1}))
    with pytest.raises(InexactError):  # the name comes before what cannot be converted
        part.convert(decoded(STAT, {"name": {"name": "b"}, "count": 2, "sum": 2.0**60}), exact=False)
    columns = {name: column.to_pylist() for name, column in part.columns("s")}
    assert (columns["s.name.name"], columns["s.count"], columns["s.sum"]) == (["a"], [1], [None])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"name": "a"}, id="a text"),
        pytest.param({"name": 'say "a"'}, id="marks in a text"),
        pytest.param({"groups": ["a", 'b"', ""]}, id="a list of texts"),
        pytest.param({"groups": []}, id="an empty list"),
        pytest.param({"adapter_spec": {"num_outputs": 1, "model": "m", "stop_sequences": ['"']}}, id="an object"),
        pytest.param({"scenario_spec": {"args": {"a": {"b": ["c", None, '"']}}}}, id="a free-form object"),
        pytest.param({"metric_specs": [{"class_name": "x"}, {"args": {"a": "b"}}]}, id="objects in a list"),
    ],
)
def test_quotation_marks_are_counted_as_a_file_has_them(value: Any) -> None:
    """Python's `json` writes the file that they are counted in."""
    part = StructBuilder(SPEC.shape)
    texts = [json.dumps(value), json.dumps({"name": "z"})]
    objects = part.convert(decoded(SPEC, value, {"name": "z"}), exact=False)
    assert objects.quotes == sum(text.count('"') for text in texts)


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
    part = column_builder(shape)
    part.convert([None, good], exact=False)
    with pytest.raises(InexactError):
        part.convert([None, doubtful], exact=False)


def test_an_empty_object_may_not_be_what_the_file_says() -> None:
    part = StructBuilder(object_shape(structs.ScenarioSpec))
    part.convert([*decoded(ElementDecoder(structs.ScenarioSpec), {"args": {"a": 1}}), None], exact=False)
    with pytest.raises(InexactError):
        part.convert(decoded(ElementDecoder(structs.ScenarioSpec), {}), exact=False)


def test_each_free_form_text_is_kept_once_and_compact() -> None:
    part = JsonBuilder()
    add(part, [Raw(b'{"a": 1.50}'), None, Raw(b"")])
    add(part, [Raw(b'{"a": 1.50}'), Raw(b'{"b":NaN}'), Raw(b'{ "c" : "\\u00e9" }')])
    column = part.array()
    assert column.dictionary.to_pylist() == ['{"a":1.50}', '{"b":NaN}', '{"c":"\\u00e9"}']
    assert column.indices.to_pylist() == [0, None, None, 0, 1, 2]


def test_text_is_copied_out_of_the_buffer() -> None:
    buffer = bytearray(b'[{"annotations":{"a":1}}]')
    state = STATE._many.decode(memoryview(buffer))[0]
    part = JsonBuilder()
    add(part, [state.annotations])
    buffer[:] = b'[{"annotations":{"b":2}}]'
    assert part.array().to_pylist() == ['{"a":1}']


def test_objects_are_flattened_to_their_scalars() -> None:
    part = StructBuilder(STAT.shape)
    add(part, decoded(STAT, {"name": {"name": "x", "split": "test"}, "mean": 1}, {"count": 2}))
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
    part = StructBuilder(SPEC.shape)
    add(part, specs)
    columns = dict(part.columns("run_spec"))
    assert columns["run_spec.metric_specs"].to_pylist() == [
        [{"class_name": "x", "args": '{"a":[1]}'}, {"class_name": None, "args": None}],
        None,
    ]


def test_values_of_a_field_that_is_kept_elsewhere_make_no_column() -> None:
    part = StructBuilder(STATE.shape, without=["instance"])
    add(part, decoded(STATE, {"instance": {"id": "a"}, "train_trial_index": 3}))
    columns = dict(part.columns("s"))
    assert columns["s.train_trial_index"].to_pylist() == [3]
    assert not any(name.startswith("s.instance") for name in columns)
