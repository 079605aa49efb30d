"""Differences between a file's JSON and what a cache rebuilt of it, value by value."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from math import copysign
from typing import Any, TypeAlias

from msgspec import Struct

from magnet_arrow._text import for_terminal
from magnet_arrow.errors import Where
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape, object_shape

MAX_DIFFERENCES = 1000
"""No more differences are kept; all are counted."""

_MAX_SHOWN = 120
_ANY = FreeForm(keyed=False)
_ABSENT = object()

Place: TypeAlias = "tuple[Place, str | int] | None"
"""A position in a document, linked from the inside out; only a difference needs it as a path."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A position at which a source and what the cache rebuilds of it differ.

    Attributes:
        where: run, file and JSON path; only the run if all of it is missing.
        source: the source's value there, as JSON or in words.
        cache: the cache's value.
    """

    where: Where
    source: str
    cache: str

    def __str__(self) -> str:
        return f"{self.where}:\n  the source has {for_terminal(self.source)}, the cache {for_terminal(self.cache)}."


class Comparison:
    """Compares files with what was rebuilt of them, and counts differences.

    These do not count as differences:

    - `1` and `1.0`, and likewise `0` and `-0.0`, at a place that HELM declares to be a number (`helm.structs`).
    - The order of an object's keys.
    - What Python's `json`, by which HELM reads, does not tell apart: the earlier values of a repeated key; blanks,
      escapes, a byte-order mark; the digits of one double (`1e2`, `100.0`); `1e400` and infinity.

    Everything else is a difference. A missing key is not null, `{}` is neither. `true` is not `1`, `"1"` is not `1`.
    `0.0` is not `-0.0`; NaN is NaN. In free-form objects, and below keys that HELM does not declare, `1` is not `1.0`.

    Attributes:
        values: of the sources compared so far: scalars, empty objects and empty lists.
        n_differences: how many differences were found.
        differences: the first differences, in order.
    """

    def __init__(self) -> None:
        self.values = 0
        self.n_differences = 0
        self.differences: list[Difference] = []

    def note(self, where: Where, source: str, cache: str) -> None:
        """Count a difference."""
        self.n_differences += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(Difference(where, source, cache))

    def add(self, other: "Comparison") -> None:
        """Add what was found in files that come after these."""
        self.values += other.values
        self.n_differences += other.n_differences
        self.differences += other.differences[: MAX_DIFFERENCES - len(self.differences)]

    def elements(self, where: Where, source: Any, cached: Iterable[Any], shape: Shape, key: str | None) -> None:
        """Compare a list with the elements of the rebuilt list, one by one.

        Args:
            where: run and file.
            source: the source's value, which should be a list.
            cached: the elements.
            shape: what HELM declares for the list.
            key: the member of the document that holds the list; None if the list is the document.
        """
        place: Place = None if key is None else (None, key)
        item = shape.item if isinstance(shape, ListOf) else _ANY
        if not isinstance(source, list):
            self._differ(where, place, source, [])
            return
        self.values += not source
        for index, (entry, element) in enumerate(zip_longest(source, cached, fillvalue=_ABSENT)):
            self.compare(where, entry, element, item, (place, index))

    def compare(self, where: Where, source: Any, cached: Any, shape: Shape, place: Place = None) -> None:
        """Compare two values and all that is in them.

        Args:
            where: run and file.
            source: what the source has.
            cached: what was rebuilt.
            shape: what HELM declares at this place.
            place: in the document.
        """
        # A stack of its own, since free-form values nest more deeply than functions can.
        todo = [(source, cached, shape, place)]
        while todo:
            source, cached, shape, place = todo.pop()
            kind = type(source)
            if kind is type(cached) and source and kind in (dict, list):
                pairs = _members(source, cached, shape, place) if kind is dict else _items(source, cached, shape, place)
                self.values += len(source) - sum(pair[0] is not _ABSENT for pair in pairs)
                todo.extend(reversed(pairs))
            elif _is_same(source, cached, shape):
                self.values += 1
            else:
                self._differ(where, place, source, cached)

    def _differ(self, where: Where, place: Place, source: Any, cached: Any) -> None:
        self.values += n_values(source)
        self.note(Where(where.run, where.file, json_path(place)), _shown(source), _shown(cached))


def _members(
    source: dict[str, Any], cached: dict[str, Any], shape: Shape, place: Place
) -> list[tuple[Any, Any, Shape, Place]]:
    """The members to compare, without those that are equal scalars, as nearly all are."""
    shapes = _field_shapes(shape.struct) if isinstance(shape, Object) else {}
    pairs: list[tuple[Any, Any, Shape, Place]] = [
        (value, other, shapes.get(key, _ANY), (place, key))
        for key, value in source.items()
        if not _are_one_scalar(value, other := cached.get(key, _ABSENT))
    ]
    if cached.keys() - source.keys():
        pairs += [(_ABSENT, value, _ANY, (place, key)) for key, value in cached.items() if key not in source]
    return pairs


def _items(source: list[Any], cached: list[Any], shape: Shape, place: Place) -> list[tuple[Any, Any, Shape, Place]]:
    """The items to compare, without those that are equal scalars."""
    item = shape.item if isinstance(shape, ListOf) else _ANY
    return [
        (entry, other, item, (place, index))
        for index, (entry, other) in enumerate(zip_longest(source, cached, fillvalue=_ABSENT))
        if not _are_one_scalar(entry, other)
    ]


_SCALARS = frozenset({str, int, bool, float, type(None)})


def _are_one_scalar(source: Any, cached: Any) -> bool:
    """Whether both are certainly one value. Zeros, which may differ in sign, and NaN are left to `_is_same`."""
    kind = type(source)
    return kind is type(cached) and kind in _SCALARS and source == cached and (kind is not float or source != 0)


@cache
def _field_shapes(struct: type[Struct]) -> dict[str, Shape]:
    return {field.name: field.shape for field in object_shape(struct).fields}


def _is_same(source: Any, cached: Any, shape: Shape) -> bool:
    """Whether two leaves are one value; `Comparison` has the rules."""
    kinds = {type(source), type(cached)}
    if kinds == {float}:
        both_nan = source != source and cached != cached
        return both_nan or (source == cached and copysign(1, source) == copysign(1, cached))
    if kinds == {int, float}:
        return isinstance(shape, Scalar) and shape.python in (int, float) and bool(source == cached)
    return len(kinds) == 1 and bool(source == cached)


def n_values(value: Any) -> int:
    """How many values a document has: scalars, empty objects and empty lists."""
    n_values, todo = 0, [value]
    while todo:
        value = todo.pop()
        if isinstance(value, dict | list) and value:
            todo.extend(value.values() if isinstance(value, dict) else value)
        else:
            n_values += value is not _ABSENT
    return n_values


def n_values_of_text(text: bytes) -> int:
    r"""The same of a document that is laid out as HELM's are (`json.dumps(indent=2)`), without parsing it.

    Each value is on a line of its own, and so are both brackets of each object and list that is not empty. No string
    holds a line break: JSON escapes it.

    >>> n_values_of_text(b'{\n  "a": [\n    1,\n    {}\n  ]\n}')
    2
    """
    return text.count(b"\n") + 1 - 2 * (text.count(b"{\n") + text.count(b"[\n"))


def json_path(place: Place) -> str:
    """A place as a JSON path.

    >>> json_path(((((None, "stats"), 4), "a.b"), "mean"))
    '$.stats[4]["a.b"].mean'
    """
    parts: list[str] = []
    while place is not None:
        place, part = place
        match part:
            case int():
                parts.append(f"[{part}]")
            case _:
                parts.append(f".{part}" if part.isidentifier() else f"[{json.dumps(part)}]")
    return "".join(["$", *reversed(parts)])


def _shown(value: Any) -> str:
    """A value for people: scalars as JSON, cut; of an object or list that is not empty, how much is in it."""
    match value:
        case dict() if value:
            return f"an object of {len(value)}"
        case list() if value:
            return f"a list of {len(value)}"
        case _ if value is _ABSENT:
            return "nothing"
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
