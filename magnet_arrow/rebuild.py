"""Rows back to the JSON that they came from: the inverse of `columns`.

A row's registered columns become nested objects again, its columns found in the data their free-form objects, and
what its residual holds is set at the places that it names. Key order is HELM's for declared fields; in free-form
objects it is that of the names.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa
from msgspec import Struct

from magnet_arrow import freeform, schema
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.freeform import CellType
from magnet_arrow.helm import structs
from magnet_arrow.helm.shapes import FreeForm, ListOf, Object, Scalar, Shape, object_shape
from magnet_arrow.helm.wire import TEXT_FORM, Residual, unescape
from magnet_arrow.schema import EXTRA, Form, Table

Path: TypeAlias = tuple[str, ...]
Roots: TypeAlias = tuple[tuple[str, Path, Object], ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A column, and where in an element its values go.

    Attributes:
        name: of the column.
        path: keys, from the element.
        shape: what HELM declares there, or the type that was found in the data.
        default: see `_integer_defaults`.
    """

    name: str
    path: Path
    shape: Shape | CellType
    default: int | None = None

    def tokens(self, values: list[Any]) -> list[Any]:
        """The column's values, with the default as HELM writes it: `1` for 1.0, a value all the same."""
        if self.default is None:
            return values
        plain = str(float(self.default))
        return [self.default if str(value) == plain else value for value in values]


class Rebuilder:
    """Rebuilds elements from the stored rows of one table.

    Args:
        table: which table.
        roots: prefixes of its columns, where in the element they begin, and the shapes that stand there.
        dynamic: types of the stored columns that were found in the data.
    """

    def __init__(self, table: Table, roots: Roots, dynamic: Mapping[str, CellType]) -> None:
        found: dict[str, list[_Place]] = {}
        for name, cell_type in sorted(dynamic.items()):
            spread = table.spread_of(name)
            if spread is not None:
                keys = [] if name == spread.name else schema.key_parts(name[len(spread.name) + 1 :])
                found.setdefault(spread.name, []).append(_Place(name, tuple(keys), cell_type))
        self._places: dict[str, _Place] = {}
        for prefix, path, shape in roots:
            for place in _places_of(shape, prefix, path, found):
                self._places.setdefault(place.name, place)

    def elements(self, rows: pa.Table) -> Iterator[tuple[dict[str, Any], Residual]]:
        """For each row what its columns say, and its residual, which is to be set in it (`put`)."""
        there = set(rows.column_names)
        columns = [
            (place.path, place.shape, place.tokens(rows.column(name).to_pylist()))
            for name, place in self._places.items()
            if name in there
        ]
        for row, extra in enumerate(rows.column(EXTRA).to_pylist()):
            element: dict[str, Any] = {}
            for path, shape, values in columns:
                if values[row] is not None:
                    _set(element, path, _json_value(values[row], shape))
            yield element, {} if extra is None else freeform.parse_many([extra])[0]


STATES = "scenario_state.request_states"
"""Prefix of the columns of a request state; the others of its table are of the rest of the file."""


def roots_of(table: Table) -> Roots:
    """What the elements of a table's file are rebuilt from."""
    assert table.struct is not None, table.name
    shape = object_shape(table.struct)
    match table.form:
        case Form.STATE:
            return ((STATES, (), shape),)
        case Form.ENTRIES:
            return ((f"{table.name}.stats", ("stats",), object_shape(structs.Stat)), (table.name, (), shape))
    return ((table.name, (), shape),)


STATE_REST: Roots = (("scenario_state", (), schema.STATE_REST),)
"""What stands beside the request states of a scenario state."""


def _places_of(shape: Object, name: str, path: Path, found: Mapping[str, Sequence[_Place]]) -> Iterator[_Place]:
    """The columns of an object in HELM's order; `found`: those found in the data, by the name of their object."""
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
    """Fields of floats whose default in HELM's class is an integer, so that its files have an integer there.

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


def _set(element: dict[str, Any], path: Path, value: Any) -> None:
    """Set a value below an element, objects on the way made as needed."""
    *outer, last = path
    for key in outer:
        element = element.setdefault(key, {})
    if isinstance(value, dict) and isinstance(element.get(last), dict):
        element[last].update(value)
    else:
        element[last] = value


def _json_value(value: Any, shape: Shape | CellType) -> Any:
    """A column's value as it stood in the JSON."""
    match shape:
        case CellType(is_json=True) | FreeForm():
            return freeform.parse_many([value])[0]
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
        element: what the columns say; changed.
        residual: values by JSON pointer; `TEXT_FORM` lists objects `{"text": ...}` that were plain texts.
    """
    texts = residual.get(TEXT_FORM, [])
    for pointer in sorted((pointer for pointer in residual if not pointer.startswith("~")), key=_depth):
        element = _put_at(element, pointer, residual[pointer])
    for pointer in texts:
        element = _put_at(element, pointer, _text_of(_at(element, pointer)))
    return element


def with_integer_zeros(stat: Any) -> Any:
    """A stat of no values as HELM writes it: its sums are still the integers that they began with."""
    if stat.get("count") == 0:
        stat.update({name: 0 for name in ("sum", "sum_squared") if str(stat.get(name)) == "0.0"})
    return stat


def _depth(pointer: str) -> tuple[int, str]:
    return pointer.count("/"), pointer


def _text_of(value: Any) -> Any:
    """The text that `{"text": ...}` stands for; a text that a residual has put there already."""
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
    """Rows of `per_instance_stats` as the entries that they are of, in order.

    Args:
        rows: number of the entry, what the columns say (the stat under `stats`), residual.

    Raises:
        CacheDamagedError: the rows of an entry do not agree about it.
    """
    for number, of_entry in groupby(rows, key=itemgetter(0)):
        entry: dict[str, Any] = {}
        residuals = []
        stats = []
        for _, element, residual in of_entry:
            stats.append(element.pop("stats", {}))
            residuals.append(residual)
            if len(stats) > 1 and element != entry and repr(element) != repr(entry):  # NaN differs from itself
                expected = f"one and the same entry {number} in its {len(stats)} rows"
                raise CacheDamagedError("", expected=expected, found="rows that do not agree")
            entry = element
        entry["stats"] = stats
        for residual in residuals:
            entry = put(entry, residual)
        yield number, entry
