"""Rows back to the JSON that they came from: the inverse of `columns`.

A row's registered columns become nested objects again, its columns found in the data their free-form objects, and
what its residual holds is set at the places that it names. Key order is HELM's for declared fields; in free-form
objects it is that of the names.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import pyarrow as pa

from magnet_arrow import freeform, schema
from magnet_arrow.freeform import CellType
from magnet_arrow.helm import structs
from magnet_arrow.helm.shapes import FreeForm, ListOf, Object, Shape, object_shape
from magnet_arrow.helm.wire import TEXT_FORM, Residual, unescape
from magnet_arrow.schema import EXTRA, Table

Path: TypeAlias = tuple[str, ...]
Roots: TypeAlias = tuple[tuple[str, Path, Object], ...]


class Rebuilder:
    """Rebuilds elements from the stored rows of one table.

    Args:
        roots: prefixes of its columns, where in the element they begin, and the shapes that stand there.
        table: which table.
        dynamic: types of the stored columns that were found in the data.
    """

    def __init__(self, roots: Roots, table: Table, dynamic: Mapping[str, CellType]) -> None:
        self._places: dict[str, tuple[Path, Shape | CellType]] = {}
        for prefix, path, shape in roots:
            _declared_places(shape, prefix, path, self._places)
        for name, cell_type in sorted(dynamic.items()):
            spread = table.spread_of(name)
            outer = next(((prefix, path) for prefix, path, _ in roots if name.startswith(f"{prefix}.")), None)
            if spread is None or outer is None:
                continue
            prefix, path = outer
            keys = [] if name == spread.name else schema.key_parts(name[len(spread.name) + 1 :])
            self._places[name] = ((*path, *spread.name[len(prefix) + 1 :].split("."), *keys), cell_type)

    def elements(self, rows: pa.Table) -> Iterator[tuple[dict[str, Any], Residual]]:
        """For each row what its columns say, and its residual, which is to be set in it (`put`)."""
        there = set(rows.column_names)
        columns = [
            (path, shape, rows.column(name).to_pylist())
            for name, (path, shape) in self._places.items()
            if name in there
        ]
        for row, extra in enumerate(rows.column(EXTRA).to_pylist()):
            element: dict[str, Any] = {}
            for path, shape, values in columns:
                if values[row] is not None:
                    _set(element, path, _json_value(values[row], shape))
            yield element, {} if extra is None else freeform.parse_many([extra])[0]


ROOTS: Mapping[str, Roots] = {
    "run_spec": (("run_spec", (), object_shape(structs.RunSpec)),),
    "scenario_state": (("scenario_state.request_states", (), object_shape(structs.RequestState)),),
    "stats": (("stats", (), object_shape(structs.Stat)),),
    "per_instance_stats": (
        ("per_instance_stats.stats", ("stats",), object_shape(structs.Stat)),
        ("per_instance_stats", (), object_shape(structs.PerInstanceStats)),
    ),
}
"""What the elements of each table's file are rebuilt from."""

STATE_REST: Roots = (("scenario_state", (), schema.STATE_REST),)
"""What stands beside the request states of a scenario state."""


def _declared_places(shape: Object, name: str, path: Path, found: dict[str, tuple[Path, Shape | CellType]]) -> None:
    for field in shape.fields:
        inner_name, inner_path = f"{name}.{field.name}", (*path, field.name)
        if isinstance(field.shape, Object):
            _declared_places(field.shape, inner_name, inner_path, found)
        elif not (isinstance(field.shape, FreeForm) and field.shape.keyed):
            found.setdefault(inner_name, (inner_path, field.shape))


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
    """
    for number, of_entry in groupby(rows, key=itemgetter(0)):
        entry: dict[str, Any] = {}
        residuals = []
        stats = []
        for _, element, residual in of_entry:
            stats.append(element.pop("stats", {}))
            residuals.append(residual)
            entry = entry or element
        entry["stats"] = stats
        for residual in residuals:
            entry = put(entry, residual)
        yield number, entry
