"""Rows back to the JSON that they came from: the inverse of `records.table_builder`.

A row's registered columns become nested objects again, its columns found in the data their free-form objects, and
what its residual holds is set at the places that it names. Key order is HELM's for declared fields; in free-form
objects it is that of the names.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
from msgspec import Struct

from magnet_arrow.decode.wire import BESIDE, TEXT_FORM, Residual, unescape
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape, object_shape
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import CellType
from magnet_arrow.schema.registry import EXTRA, Form, Table

Path: TypeAlias = tuple[str, ...]
Roots: TypeAlias = tuple[tuple[str, Path, Object], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A column, and where in an element its values go.

    Attributes:
        name: of the column.
        path: keys, from the element.
        shape: what HELM declares there, or the type of a dynamic column.
        default: see `_integer_defaults`.
    """

    name: str
    path: Path
    shape: Shape | CellType
    default: int | None = None

    def values(self, rows: pa.Table) -> list[Any] | None:
        """The column's values as they were in the JSON; None if it has none."""
        index = rows.schema.get_field_index(self.name)
        if index < 0:
            return None
        column = rows.column(index)
        if column.null_count == len(column):
            return None
        values: list[Any] = column.to_pylist()
        match self.shape:
            case CellType(is_json=True) | FreeForm():
                parsed = _parsed(values)
                return [
                    _NULL if one is None and text is not None else one for one, text in zip(parsed, values, strict=True)
                ]
            case ListOf() | Object():
                return [None if value is None else _json_value(value, self.shape) for value in values]
        return values if self.default is None else self._with_default(values, self.default)

    def _with_default(self, values: list[Any], default: int) -> list[Any]:
        """With the default as HELM writes it: `1` for 1.0, a value all the same."""
        plain = str(float(default))
        return [default if str(value) == plain else value for value in values]


class Rebuilder:
    """Rebuilds elements from the stored rows of one table.

    Args:
        table: which table.
        roots: prefixes of its columns, their paths in the element, and their shapes.
        dynamic: types of the stored dynamic columns.
    """

    def __init__(self, table: Table, roots: Roots, dynamic: Mapping[str, CellType]) -> None:
        found: dict[str, list[_Place]] = {}
        for name, cell_type in sorted(dynamic.items()):
            owner = table.dynamic_object_of(name)
            if owner is not None:
                keys = [] if name == owner.name else registry.key_parts(name[len(owner.name) + 1 :])
                found.setdefault(owner.name, []).append(_Place(name, tuple(keys), cell_type))
        self._root = _Node()
        seen: set[str] = set()
        for prefix, path, shape in roots:
            for place in _places_of(shape, prefix, path, found):
                if place.name not in seen:
                    seen.add(place.name)
                    self._root.add(place)

    def elements(self, rows: pa.Table) -> Iterator[tuple[dict[str, Any], Residual]]:
        """For each row the element from its columns, and its residual, which `put` sets in the element."""
        built = self._root.values(rows) or [None] * rows.num_rows
        for element, residual in zip(built, _parsed(rows.column(EXTRA).to_pylist()), strict=True):
            yield element or {}, residual or {}


_NULL = object()
"""An explicit null of the JSON; None means that there is no value."""


class _Node:
    """A path in an element that has a column, columns below it, or both; `values` puts them together."""

    def __init__(self) -> None:
        self._place: _Place | None = None
        self._below: dict[str, _Node] = {}

    def add(self, place: _Place) -> None:
        """Add a column at its path."""
        node = self
        for key in place.path:
            node = node._below.setdefault(key, _Node())
        node._place = place

    def values(self, rows: pa.Table) -> list[Any] | None:
        """Each row's value at this path, None if it has none; one None for all if no row has one.

        It goes path by path over all rows, which takes a third of the time of going row by row.
        """
        own = None if self._place is None else self._place.values(rows)
        below = {key: values for key, node in self._below.items() if (values := node.values(rows)) is not None}
        if not below:
            return own
        keys = list(below)
        objects: list[Any] = [
            {key: None if value is _NULL else value for key, value in zip(keys, row, strict=True) if value is not None}
            or None
            for row in zip(*below.values(), strict=True)
        ]
        return objects if own is None else list(map(_merged, own, objects))


def _merged(own: Any, below: dict[str, Any] | None) -> Any:
    """An object and the columns below it; None if there is neither."""
    if below is None or own is None:
        return own if below is None else below
    return below if own is _NULL else {**own, **below}


def _parsed(texts: Sequence[str | None]) -> list[Any]:
    """JSON texts parsed, None where there is no text."""
    values = iter(dynamic_types.parse_many([text for text in texts if text is not None]))
    return [None if text is None else next(values) for text in texts]


@lru_cache(maxsize=256)
def _rebuilder(table: str, is_rest: bool, dynamic: tuple[tuple[str, CellType], ...]) -> Rebuilder:
    schema = registry.table(table)
    return Rebuilder(schema, STATE_REST if is_rest else roots_of(schema), dict(dynamic))


def rebuilder_of_elements(table: Table, dynamic: Mapping[str, CellType]) -> Rebuilder:
    """The rebuilder of the elements of a table. It is kept: making one takes as long as rebuilding a short run."""
    return _rebuilder(table.name, False, tuple(sorted(dynamic.items(), key=itemgetter(0))))


def rebuilder_of_rest(table: Table) -> Rebuilder:
    """The rebuilder of what a scenario state holds besides its request states."""
    return _rebuilder(table.name, True, ())


STATES = "scenario_state.request_states"
"""Prefix of the columns of a request state; the others of its table are of the rest of the file."""


def roots_of(table: Table) -> Roots:
    """The roots that the elements of a table's file are rebuilt from."""
    assert table.struct is not None, table.name
    shape = object_shape(table.struct)
    match table.form:
        case Form.STATE:
            return ((STATES, (), shape),)
        case Form.ENTRIES:
            return ((f"{table.name}.stats", ("stats",), object_shape(structs.Stat)), (table.name, (), shape))
    return ((table.name, (), shape),)


STATE_REST: Roots = (("scenario_state", (), registry.STATE_REST),)
"""What a scenario state holds besides its request states."""


def _places_of(shape: Object, name: str, path: Path, found: Mapping[str, Sequence[_Place]]) -> Iterator[_Place]:
    """The columns of an object in HELM's order; `found`: its dynamic columns, by the name of the object."""
    for field in shape.fields:
        inner_name, inner_path = f"{name}.{field.name}", (*path, field.name)
        if isinstance(field.shape, Object):
            yield from _places_of(field.shape, inner_name, inner_path, found)
        elif not (isinstance(field.shape, FreeForm) and field.shape.keyed):
            yield _Place(inner_name, inner_path, field.shape, _integer_defaults(shape.struct).get(field.name))
        for place in found.get(inner_name, ()):
            yield replace(place, path=(*inner_path, *place.path))


@cache
def _integer_defaults(struct: type[Struct]) -> Mapping[str, int]:
    """Float fields whose default in HELM's class is an integer, so that its files hold an integer.

    A stat has none: its sums only begin at 0.
    """
    if struct is structs.Stat:
        return {}
    floats = {field.name for field in object_shape(struct).fields if field.shape == Scalar(float)}
    return {
        field.name: field.default
        for field in msgspec.structs.fields(struct)
        if field.name in floats and type(field.default) is int
    }


def _json_value(value: Any, shape: Shape | CellType) -> Any:
    """A column's value as it was in the JSON."""
    match shape:
        case FreeForm():
            return dynamic_types.parse_many([value])[0]
        case ListOf(item=item):
            return [_json_value(entry, item) for entry in value]
        case Object(fields=fields):
            return {
                field.name: _json_value(value[field.name], field.shape)
                for field in fields
                if value[field.name] is not None
            }
    return value


def put(element: Any, residual: Residual) -> Any:
    """An element with its residual set in it.

    Args:
        element: built from the columns; it is changed.
        residual: values by JSON pointer; `TEXT_FORM` lists objects `{"text": ...}` that were plain strings.
    """
    texts = residual.get(TEXT_FORM, [])
    for pointer in sorted((pointer for pointer in residual if not pointer.startswith("~")), key=_depth):
        element = _put_at(element, pointer, residual[pointer])
    for pointer in texts:
        element = _put_at(element, pointer, _text_of(_at(element, pointer)))
    return element


def with_integer_zeros(stat: Any) -> Any:
    """A stat of no values as HELM writes it: its sums are still integers, as they began."""
    if isinstance(stat, dict) and stat.get("count") == 0:
        stat.update({name: 0 for name in ("sum", "sum_squared") if str(stat.get(name)) == "0.0"})
    return stat


def _depth(pointer: str) -> tuple[int, str]:
    return pointer.count("/"), pointer


def _text_of(value: Any) -> Any:
    """The string that `{"text": ...}` replaced; the value itself if a residual has already put a string there."""
    return value["text"] if isinstance(value, dict) else value


def _keys_of(pointer: str) -> list[str]:
    return [unescape(part) for part in pointer.split("/")[1:]]


def _at(element: Any, pointer: str) -> Any:
    for key in _keys_of(pointer):
        element = element[int(key)] if isinstance(element, list) else element[key]
    return element


def _put_at(element: Any, pointer: str, value: Any) -> Any:
    if not pointer:
        return value
    *outer, last = _keys_of(pointer)
    place = element
    for key in outer:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return element


def entries(rows: Iterable[tuple[int, dict[str, Any], Residual]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries that rows of `per_instance_stats` are of, in order.

    Args:
        rows: number of the entry, the element from the columns (its stat under `stats`), residual.

    Raises:
        CacheDamagedError: the rows of an entry do not agree about it.
    """
    for number, of_entry in groupby(rows, key=itemgetter(0)):
        entry: dict[str, Any] = {}
        residuals = []
        stats = []
        for _, element, residual in of_entry:
            stat = element.pop("stats", {})
            stats.append(put(stat, residual[BESIDE]) if BESIDE in residual else stat)
            residuals.append(residual)
            if len(stats) > 1 and element != entry and repr(element) != repr(entry):  # NaN differs from itself
                expected = f"one and the same entry {number} in its {len(stats)} rows"
                raise CacheDamagedError("", expected=expected, found="rows that do not agree")
            entry = element
        entry["stats"] = stats
        for residual in residuals:
            entry = put(entry, residual)
        yield number, entry
