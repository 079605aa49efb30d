"""Shapes: HELM's declared types as a small tree of values.

`structs` declares the types in Python; a `Shape` says the same as data. Decoding (`decode.wire`), the column registry
(`schema`), column builders (`records`) and rebuilding (`restore`) each walk this tree, so a field is named only once.
"""

from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from magnet_arrow.helm import structs
from magnet_arrow.helm.structs import Doc
from magnet_arrow.helm.summary_structs import RUN_FILE_TYPES


class Scalar(Struct, frozen=True):
    """A string, a number or a truth value.

    Attributes:
        python: str, int, float or bool.
        or_int: whether some scenarios write the string as an integer (instance ids).
    """

    python: type
    or_int: bool = False


class FreeForm(Struct, frozen=True):
    """An object whose keys HELM does not declare (`keyed`), or any JSON."""

    keyed: bool


class ListOf(Struct, frozen=True):
    """A list of one shape."""

    item: "Shape"


class Field(Struct, frozen=True):
    """One field of an object, in HELM's spelling."""

    name: str
    shape: "Shape"
    doc: Doc


class Object(Struct, frozen=True):
    """A JSON object with declared fields.

    Attributes:
        struct: the msgspec struct that declares it.
        fields: in HELM's order.
        or_text: HELM 0.1.0 wrote a plain string where later releases write `{"text": ...}`.
        open: whether undeclared keys are parameters too, not unknown fields.
    """

    struct: type[Struct]
    fields: tuple[Field, ...]
    or_text: bool = False
    open: bool = False


Shape = Scalar | FreeForm | ListOf | Object


@cache
def object_shape(struct: type[Struct], or_text: bool = False) -> Object:
    """The shape that a struct of `helm.structs` declares."""
    hints = get_type_hints(struct, include_extras=True)
    fields = tuple(
        Field(name, _shape(get_args(hints[name])[0]), hints[name].__metadata__[0]) for name in struct.__struct_fields__
    )
    return Object(struct, fields, or_text, struct in structs.OPEN)


@cache
def file_shape(file: str) -> Shape:
    """The shape that HELM declares for a file of a run; any JSON for a file of no declared shape."""
    types = structs.FILE_TYPES | RUN_FILE_TYPES
    return _shape(types[file]) if file in types else FreeForm(keyed=False)


def _shape(hint: Any) -> Shape:
    options = [option for option in _options(hint) if option is not type(None)]
    if hint is Any:
        return FreeForm(keyed=False)
    objects = [option for option in options if isinstance(option, type) and issubclass(option, Struct)]
    if objects:
        return object_shape(objects[0], str in options)
    first = options[0]
    if get_origin(first) is dict:
        return FreeForm(keyed=True)
    if get_origin(first) is list:
        return ListOf(_shape(get_args(first)[0]))
    return Scalar(first, or_int=first is str and int in options)


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
