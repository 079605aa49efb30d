"""Unexpected fields of a dump, named and counted: unknown fields, values of another type, duplicate keys.

A residual holds everything that has no column. Part of that is expected: HELM itself writes half surrogate pairs,
integer ids and explicit nulls. The rest is reported, since it comes from a newer HELM or a file edited by hand.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from magnet_arrow.decode.wire import DUPLICATES, TEXT_FORM, Residual, unescape
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape

UNKNOWN = "unknown field"
OTHER_TYPE = "value of another type"
DUPLICATE = "duplicate key"
MAX_PLACES = 1000
"""How many JSON paths of one part of a file are counted separately. The others are counted together, by file."""
_TOO_LARGE = {
    float: "integer past 2^53, null in its column",  # that a float does not hold
    int: "integer past 64 bits, null in its column",
}


def unexpected_fields(residuals: Iterable[Residual], shape: Object, root: str = "$") -> Counter[tuple[str, str]]:
    """How often each unexpected field occurs, by (what it is, JSON path with `[]` for any index).

    Args:
        residuals: of elements.
        shape: of the elements.
        root: JSON path of an element, such as `$[]`.
    """
    found: Counter[tuple[str, str]] = Counter()
    # Rows of one entry share a residual, which may be long.
    of_rows = list(residuals)
    counts = Counter(map(id, of_rows))
    for residual in {id(residual): residual for residual in of_rows}.values():
        for field in _fields_of(residual, shape, root):
            _add(found, field, counts[id(residual)], MAX_PLACES)
    return found


def add_counts(found: Counter[tuple[str, str]], more: Mapping[tuple[str, str], int]) -> None:
    """Add the counts of one run to those of others; past 10 × `MAX_PLACES` paths they are counted together."""
    for field, count in more.items():
        _add(found, field, count, 10 * MAX_PLACES)


def _add(found: Counter[tuple[str, str]], field: tuple[str, str], count: int, max_fields: int) -> None:
    if field not in found and len(found) >= max_fields:
        field = field[0], f"{field[1].partition(' ')[0]} $ (other paths)"
    found[field] += count


def _fields_of(residual: Residual, shape: Object, root: str) -> Iterator[tuple[str, str]]:
    for pointer, value in residual.items():
        if pointer == DUPLICATES:
            yield from ((DUPLICATE, _path(key, root)) for key in value)
        elif pointer != TEXT_FORM:
            field = _unexpected(pointer, value, shape, root)
            if field is not None:
                yield field


def _path(pointer: str, root: str) -> str:
    """A JSON path in which any index is `[]`. A key of digits looks like one; only the message suffers."""
    parts = [unescape(part) for part in pointer.split("/")[1:]]
    return root + "".join("[]" if part.isdigit() else f".{part}" for part in parts)


def _unexpected(pointer: str, value: Any, shape: Shape, path: str) -> tuple[str, str] | None:
    """The kind of an unexpected value in a residual, and its JSON path; None if HELM itself writes such values."""
    is_item = True
    for key in (unescape(part) for part in pointer.split("/")[1:]):
        is_item = isinstance(shape, ListOf)
        if isinstance(shape, ListOf):
            shape, path = shape.item, f"{path}[]"
            continue
        if isinstance(shape, FreeForm):
            return None
        field = (
            next((field for field in shape.fields if field.name == key), None) if isinstance(shape, Object) else None
        )
        path = f"{path}.{key}"
        if field is None:
            is_open = isinstance(shape, Object) and shape.open
            return None if is_open or value is None else (UNKNOWN, path)
        shape = field.shape
    if value is None:  # HELM leaves members out, but no element of a list is null
        return (OTHER_TYPE, path) if is_item else None
    if isinstance(shape, Scalar) and type(value) is int and shape.python in _TOO_LARGE:
        return _TOO_LARGE[shape.python], path
    expected = isinstance(shape, Scalar) and shape.python is str and (isinstance(value, str) or shape.or_int)
    empty = isinstance(shape, Object) and value == {}
    return None if expected or empty else (OTHER_TYPE, path)
