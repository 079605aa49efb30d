"""What the structs declare, read off as data."""

from collections.abc import Iterator

from sameness import NUMBERS

from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape, object_shape


def shape_at(struct: type, *path: str) -> Shape:
    """The shape of a field below a struct; through lists too."""
    shape: Shape = object_shape(struct)
    for name in path:
        while isinstance(shape, ListOf):
            shape = shape.item
        assert isinstance(shape, Object)
        (shape,) = (field.shape for field in shape.fields if field.name == name)
    return shape


def test_fields_stand_in_helms_order() -> None:
    fields = object_shape(structs.Stat).fields
    first = ["name", "count", "sum", "sum_squared", "min", "max", "mean", "variance", "stddev"]
    assert [field.name for field in fields][: len(first)] == first


def test_scalars_have_the_type_without_their_null() -> None:
    assert shape_at(structs.Stat, "mean") == Scalar(float)
    assert shape_at(structs.Stat, "count") == Scalar(int)
    assert shape_at(structs.Stat, "name", "perturbation", "fairness") == Scalar(bool)
    assert shape_at(structs.Stat, "name", "split") == Scalar(str)


def test_an_instance_id_may_be_an_integer_and_nothing_else_may() -> None:
    assert shape_at(structs.Instance, "id") == Scalar(str, or_int=True)
    assert shape_at(structs.PerInstanceStats, "instance_id") == Scalar(str, or_int=True)
    assert shape_at(structs.Instance, "split") == Scalar(str)


def test_inputs_and_outputs_may_be_plain_texts() -> None:
    for path in (("input",), ("references", "output")):
        shape = shape_at(structs.Instance, *path)
        assert isinstance(shape, Object)
        assert shape.or_text


def test_lists_have_the_shape_of_their_items() -> None:
    assert shape_at(structs.RunSpec, "groups") == ListOf(Scalar(str))
    assert shape_at(structs.PerInstanceStats, "stats") == ListOf(object_shape(structs.Stat))


def test_free_form_is_an_object_of_any_keys_or_any_json() -> None:
    assert shape_at(structs.ScenarioSpec, "args") == FreeForm(keyed=True)
    assert shape_at(structs.RequestState, "output_mapping") == FreeForm(keyed=True)
    assert shape_at(structs.RequestState, "annotations") == FreeForm(keyed=False)
    assert shape_at(structs.Instance, "input", "messages") == ListOf(FreeForm(keyed=True))


def test_only_perturbations_have_parameters_that_are_not_declared() -> None:
    def is_open(struct: type) -> bool:
        return object_shape(struct).open

    assert is_open(structs.PerturbationDescription)
    assert not any(map(is_open, (structs.Stat, structs.RunSpec, structs.Instance, structs.MetricName)))


def test_the_numbers_whose_kind_is_free_to_the_tests_are_those_that_are_declared() -> None:
    """A number that `sameness` has not heard of would be a false alarm: 0.0 where 0 was written."""
    files = (structs.RunSpec, structs.ScenarioState, structs.Stat, structs.PerInstanceStats)
    declared = {name for struct in files for name in numbers(object_shape(struct))}
    assert declared - NUMBERS == set(), "add them to FLOATS in tests/reference.py, or to INTEGERS in tests/sameness.py"


def numbers(shape: Shape, name: str = "") -> Iterator[str]:
    """Names of the fields that hold numbers."""
    match shape:
        case Scalar(python=python) if python in (int, float):
            yield name
        case ListOf(item=item):
            yield from numbers(item, name)
        case Object(fields=fields):
            for field in fields:
                yield from numbers(field.shape, field.name)
