"""Partial types: the types that HELM's JSON is decoded into. Every field is optional, and none has HELM's default.

HELM's own structs fill a missing key with a default; a cache must not. So each struct has a partial type here. Its
fields are None unless the file has them. It refuses unknown keys and the spellings of old releases (a string for an
object, a number for an id), and keeps free-form parts as raw JSON. Fields named in `INTERNED` stay raw too: the same
bytes recur from row to row (of the 152,820 stats in MMLU 6,840 are distinct), so only distinct ones are decoded.

`structure` is the careful way to the same types, for elements that the fast way refuses. It takes an element that
Python's `json` parsed; what does not fit goes to a residual, by its JSON pointer.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape, object_shape

INTERNED: frozenset[tuple[type[Struct], str]] = frozenset(
    {(structs.RequestState, "instance"), (structs.PerInstanceStats, "stats")}
)

TEXT_FORM = "~text"
"""Key in a residual of the list of JSON pointers where the file has a plain string for `{"text": ...}`."""

DUPLICATES = "~duplicates"
"""Key in a residual of the list of JSON pointers of keys that occur more than once; the last one counts."""

BESIDE = "~beside"
"""Key in a residual of values outside of the row's element, by JSON pointer, whose columns only another schema version
has: in the rest of a scenario state, or in a stat of an instance."""

Residual = dict[str, Any]
"""What a partial type could not hold, by JSON pointer (RFC 6901) from the element, and lists of pointers (`~…`)."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
NOTHING = Raw(b"")
"""The value of a free-form field that the file does not have."""


@cache
def partial_type(struct: type[Struct]) -> type[Struct]:
    """The partial type of a struct: the same fields, all optional; unknown keys are refused."""
    fields = [
        (field.name, *_wire_field(field.shape, (struct, field.name) in INTERNED))
        for field in object_shape(struct).fields
    ]
    return msgspec.defstruct(struct.__name__, fields, gc=False, forbid_unknown_fields=True, omit_defaults=True)


def _wire_field(shape: Shape, interned: bool) -> tuple[Any, Any]:
    """Type and default of a field. A raw field's default is an empty `Raw`: `Raw | None` refuses objects (tried)."""
    if isinstance(shape, FreeForm) or (interned and isinstance(shape, Object)):
        return Raw, NOTHING
    if interned:
        return list[Raw] | None, None
    return _wire_type(shape) | None, None


def _wire_type(shape: Shape) -> Any:
    match shape:
        case Scalar(python=python):
            return python
        case ListOf(item=item):
            return list[_wire_type(item)]  # type: ignore[misc]  # a type made at run time
        case Object(struct=struct):
            return partial_type(struct)
        case FreeForm():
            return Raw


class MisfitError(Exception):
    """The value is of another kind than its shape, so all of it goes to the residual. Caught where it is structured."""


def structure(value: Any, shape: Shape, pointer: str, residual: Residual, *, interned: bool = False) -> Any:
    """A parsed JSON value in the partial type of its shape; what does not fit goes to `residual`.

    Args:
        value: as Python's `json` gives it.
        shape: what HELM declares it to be.
        pointer: JSON pointer of the value.
        residual: gets unknown keys, explicit nulls, values of another type, integers beyond 64 bits or that a double
            would round, strings with half a surrogate pair.
        interned: give raw JSON (of an object, or of a list's items) instead of structs.

    Raises:
        MisfitError: the value is of another kind than the shape.
    """
    match shape:
        case FreeForm():
            return Raw(dumps(value))
        case Scalar():
            return _scalar(value, shape, pointer, residual)
        case ListOf(item=item):
            if not isinstance(value, list):
                raise MisfitError
            if interned:
                return [Raw(dumps(entry)) for entry in value]
            return _list(value, item, pointer, residual)
        case Object():
            if interned:
                return Raw(dumps(value))
            return _object(value, shape, pointer, residual)


def _object(value: Any, shape: Object, pointer: str, residual: Residual) -> Any:
    if isinstance(value, str) and shape.or_text:
        residual.setdefault(TEXT_FORM, []).append(pointer)
        value = {"text": value}
    if not isinstance(value, dict):
        raise MisfitError
    fields = {field.name: field for field in shape.fields}
    held: dict[str, Any] = {}
    for key, entry in value.items():
        inner = f"{pointer}/{escape(key)}"
        field = fields.get(key)
        if field is None:
            residual[inner] = entry
            continue
        try:
            interned = (shape.struct, key) in INTERNED
            if entry is None and not (isinstance(field.shape, FreeForm)):
                raise MisfitError
            held[key] = structure(entry, field.shape, inner, residual, interned=interned)
        except MisfitError:
            residual[inner] = entry
    if not value:
        residual[pointer] = {}
    return partial_type(shape.struct)(**held)


def _list(value: list[Any], item: Shape, pointer: str, residual: Residual) -> list[Any]:
    """A list whose items all fit, else nothing: a column can't hold half a list."""
    inner: Residual = {}
    held = [structure(entry, item, f"{pointer}/{index}", inner) for index, entry in enumerate(value)]
    if TEXT_FORM in inner:
        residual.setdefault(TEXT_FORM, []).extend(inner.pop(TEXT_FORM))
    if isinstance(item, Object):
        # An item `{}` needs no mention: unlike a flattened object, a struct in a list is there or not.
        empty = {f"{pointer}/{index}" for index, entry in enumerate(value) if entry == {}}
        inner = {key: entry for key, entry in inner.items() if key not in empty}
    residual.update(inner)
    return held


def _scalar(value: Any, shape: Scalar, pointer: str, residual: Residual) -> Any:
    if isinstance(value, bool) or shape.python is bool:
        if isinstance(value, bool) and shape.python is bool:
            return value
        raise MisfitError
    match shape.python(), value:
        case str(), str():
            clean = _SURROGATE.sub("\ufffd", value)
            if clean != value:
                residual[pointer] = value
            return clean
        case str(), int() if shape.or_int:
            residual[pointer] = value
            return str(value)
        case int(), int() if INT64_MIN <= value <= INT64_MAX:
            return value
        case int(), float() if value.is_integer() and abs(value) <= 2**53:
            return int(value)
        case float(), float():
            return value
        case float(), int() if is_exact(value):
            return float(value)
    raise MisfitError


def is_exact(value: int) -> bool:
    """Whether a double holds this integer."""
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def escape(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def unescape(part: str) -> str:
    """The inverse of `escape`."""
    return part.replace("~1", "/").replace("~0", "~")


def dumps(value: Any) -> bytes:
    """Compact ASCII JSON: half surrogate pairs stay escapes, NaN and the infinities Python's words."""
    return _encode(value).encode("ascii")


_encode: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=True).encode
