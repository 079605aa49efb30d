"""What in a dump is odd, said in words and counted: unknown fields, values of another type, keys that stand twice.

A residual holds whatever has no column. Part of that is expected: HELM itself writes half surrogate pairs and
integer ids, and a null that is spelt out is no more than that. The rest is worth a word, since a newer HELM or a
hand-edited file is behind it.
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
"""How many places of a file's part are told apart; what is at others is counted together, by file."""
_TOO_LARGE = {
    float: "integer past 2^53, null in its column",  # that a float does not hold
    int: "integer past 64 bits, null in its column",
}


def unexpected_fields(residuals: Iterable[Residual], shape: Object, root: str = "$") -> Counter[tuple[str, str]]:
    """How often what was met, as (what, JSON path with `[]` for any index).

    Args:
        residuals: of elements.
        shape: of the elements.
        root: JSON path of an element, such as `$[]`.
    """
    found: Counter[tuple[str, str]] = Counter()
    # Rows of one entry share a residual, which may be long.
    alive = list(residuals)
    times = Counter(map(id, alive))
    for residual in {id(residual): residual for residual in alive}.values():
        for met in _all_met(residual, shape, root):
            _add(found, met, times[id(residual)], MAX_PLACES)
    return found


def add_places(found: Counter[tuple[str, str]], more: Mapping[tuple[str, str], int]) -> None:
    """Add what was met in a run to what was met in others; past 10 × `MAX_PLACES` it is counted together."""
    for met, times in more.items():
        _add(found, met, times, 10 * MAX_PLACES)


def _add(found: Counter[tuple[str, str]], met: tuple[str, str], times: int, most: int) -> None:
    if met not in found and len(found) >= most:
        met = met[0], f"{met[1].partition(' ')[0]} $ (other places)"
    found[met] += times


def _all_met(residual: Residual, shape: Object, root: str) -> Iterator[tuple[str, str]]:
    for pointer, value in residual.items():
        if pointer == DUPLICATES:
            yield from ((DUPLICATE, _path(place, root)) for place in value)
        elif pointer != TEXT_FORM:
            met = _met(pointer, value, shape, root)
            if met is not None:
                yield met


def _path(pointer: str, root: str) -> str:
    """A JSON path in which any index is `[]`. A key of digits is taken for one: nothing but the wording is at stake."""
    parts = [unescape(part) for part in pointer.split("/")[1:]]
    return root + "".join("[]" if part.isdigit() else f".{part}" for part in parts)


def _met(pointer: str, value: Any, shape: Shape, path: str) -> tuple[str, str] | None:
    """What a residual's value is, and where; None if HELM itself writes it so."""
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
