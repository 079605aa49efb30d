"""Reads segments of another schema version by today's schema: columns were added, removed or changed.

A segment says itself which registered columns its profiles are about (`RunList.columns`) and which texts of its files
are JSON (in their footers). The first caches did not: they are of schema version 1, whose columns are in
`columns_v1.json`.

A column that the segment lacks is empty. If the registry no longer has a column, its values are in the residual; if its
type has changed, those that do not fit are. An ingest under this schema would put them there too. Values
from beside the row's element (in the rest of a scenario state, in a stat of an instance) are under `BESIDE`.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import pyarrow as pa
from msgspec import Struct

from magnet_arrow import _interning
from magnet_arrow.decode.wire import BESIDE, INT64_MAX, INT64_MIN, Residual, dumps, escape
from magnet_arrow.records.flatten import residual_text
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import JSON_TEXT, Kind
from magnet_arrow.schema.registry import Table

JSON_TEXT_KEY = b"magnet_arrow.json_text"
"""Under it a file's footer has the paths of its texts that are JSON."""


@cache
def _version_1() -> Mapping[str, Mapping[str, list[str]]]:
    """For each table, the registered columns of schema version 1 in order, and which texts in them are JSON."""
    text = files("magnet_arrow.storage.segments").joinpath("columns_v1.json").read_text("utf-8")
    found: dict[str, dict[str, list[str]]] = json.loads(text)
    return found


def columns_of_version_1(table: str) -> tuple[str, ...]:
    """The columns of profiles in a run list that does not name them."""
    return tuple(_version_1()[table]["columns"])


@lru_cache(maxsize=4096)
def registered_bits(table: str, columns: tuple[str, ...], occurs: str) -> int:
    """A profile's bit set over some columns, as one over the registered columns of today, without removed ones.

    Args:
        table: which table.
        columns: what the bits stand for, the lowest first.
        occurs: the bit set, in hexadecimal.
    """
    bits = int(occurs, 16)
    there = {name for bit, name in enumerate(columns) if bits >> bit & 1}
    return sum(1 << bit for bit, name in enumerate(registry.table(table).names) if name in there)


def bits_found(table: str, dynamic: Collection[str]) -> int:
    """Bit set over the registered columns: those that were found in the data when the registry did not have them."""
    found = _types(table).keys() & dynamic
    return sum(1 << bit for bit, name in enumerate(registry.table(table).names) if name in found) if found else 0


def named_bits(table: str, occurs: Iterable[int]) -> tuple[tuple[str, ...], dict[int, int]]:
    """The registered columns that occur in some bit sets, and for each bit set the one over these alone."""
    distinct = set(occurs)
    in_all = 0
    for bits in distinct:
        in_all |= bits
    places = [(bit, name) for bit, name in enumerate(registry.table(table).names) if in_all >> bit & 1]
    packed = {bits: sum((bits >> bit & 1) << place for place, (bit, _) in enumerate(places)) for bits in distinct}
    return tuple(name for _, name in places), packed


def file_metadata(table: Table, names: Iterable[str]) -> dict[bytes, bytes]:
    """The footer's metadata about these columns."""
    there = set(names)
    paths = [path for column in table.columns if column.name in there for path in column.json_text]
    return {JSON_TEXT_KEY: json.dumps(paths).encode()}


class Other(Struct, frozen=True):
    """A column of a file that the registry does not have, or in another type.

    Attributes:
        name: of the column.
        type: in the file.
        json_text: which texts in it are JSON.
        pointer: where its values are in the row's element, or beside it.
        is_beside: whether they are beside it.
        want: type in the registry; None if it has no such column.
        want_json_text: which texts in that are JSON.
    """

    name: str
    type: pa.DataType
    json_text: frozenset[str]
    pointer: str
    is_beside: bool
    want: pa.DataType | None
    want_json_text: frozenset[str]

    @property
    def may_lose(self) -> bool:
        """Whether there is no room for some of its values in the registry's type."""
        return self.want is None or self.json_text != self.want_json_text or _may_lose(self.type, self.want)

    def fitted(self, values: Sequence[Any]) -> tuple[list[Any], list[Residual]]:
        """Its values in the registry's type, and for each row the values that do not fit."""
        fits: list[Any] = []
        left = []
        for value in values:
            rest: Residual = {}
            whole = _json_value(value, self.type, self.name, self.json_text)
            if self.want is None:
                fits.append(None)
                if whole is not None:
                    rest[self.pointer] = whole
            else:
                fits.append(_fitted(whole, self.want, self.name, self.want_json_text, self.pointer, rest))
            left.append(rest)
        return fits, left


def others(
    table: Table, fields: pa.Schema, dynamic: Mapping[str, int], metadata: Mapping[bytes, bytes]
) -> tuple[Other, ...]:
    """The columns of a file that are not as the registry has them.

    Args:
        table: which table.
        fields: the file's schema.
        dynamic: kinds in the columns that were found in the data.
        metadata: what its footer says beside.
    """
    types = _types(table.name)
    return tuple(
        _other(table, name, arrow, dynamic, metadata)
        for name, arrow in zip(fields.names, fields.types, strict=True)
        if (name in types) == (name in dynamic) or (name in types and types[name] != arrow)
    )


@cache
def _types(table: str) -> dict[str, pa.DataType]:
    return {column.name: column.type for column in registry.table(table).columns}


def _other(
    table: Table, name: str, arrow: pa.DataType, dynamic: Mapping[str, int], metadata: Mapping[bytes, bytes]
) -> Other:
    told = metadata.get(JSON_TEXT_KEY)
    paths = _version_1()[table.name]["json_text"] if told is None else json.loads(told)
    json_text = {path for path in paths if path == name or path.startswith(f"{name}.list.")}
    if name in dynamic and dynamic_types.stored_type(Kind(dynamic[name])) == JSON_TEXT:
        json_text.add(name)
    column = next((column for column in table.columns if column.name == name), None)
    pointer, is_beside = _place(table, name)
    return Other(
        name,
        arrow,
        frozenset(json_text),
        pointer,
        is_beside,
        None if column is None else column.type,
        frozenset(column.json_text if column else ()),
    )


def _place(table: Table, name: str) -> tuple[str, bool]:
    """Where the values of a registered column are, by its name, and whether that is beside the row's element."""
    for inner, is_beside in _INNER.get(table.name, ()):
        if name.startswith(inner):
            return "/" + name[len(inner) :].replace(".", "/"), is_beside
    return "/" + name[len(table.name) + 1 :].replace(".", "/"), table.name == "scenario_state"


_INNER = {
    "scenario_state": (("scenario_state.request_states.", False),),
    "per_instance_stats": (("per_instance_stats.stats.", True),),
}


def adapted(columns: Mapping[str, Any], found: Sequence[Other]) -> dict[str, Any]:
    """Columns of a file as the registry has them; what does not fit is added to the residual, if that is among them.

    Args:
        columns: by name; all of `found` are there.
        found: those that are not as the registry has them.
    """
    result = dict(columns)
    left: dict[int, Residual] = {}
    for other in found:
        values, rests = other.fitted(columns[other.name].to_pylist())
        if other.want is None:
            del result[other.name]
        else:
            result[other.name] = pa.chunked_array([pa.array(values, other.want)])
        for row, rest in enumerate(rests):
            if rest:
                residual = left.setdefault(row, {})
                (residual.setdefault(BESIDE, {}) if other.is_beside else residual).update(rest)
    if left and registry.EXTRA in result:
        texts = result[registry.EXTRA].to_pylist()
        for row, rest in left.items():
            held = {} if texts[row] is None else dict(dynamic_types.parse_many([texts[row]])[0])
            if BESIDE in held and BESIDE in rest:
                rest[BESIDE] = {**held[BESIDE], **rest[BESIDE]}
            texts[row] = residual_text({**held, **rest})
        result[registry.EXTRA] = pa.chunked_array([pa.array(texts, pa.string())])
    return result


def out_of_residual(extra: pa.ChunkedArray, table: Table, kinds: Mapping[str, Kind]) -> dict[str, pa.Array]:
    """Columns whose values an older cache has in the residual, and the residual without these."""
    texts = _interning.used(extra)
    residuals = dynamic_types.parse_many(texts.dictionary.to_pylist())
    columns: dict[str, pa.Array] = {}
    for name, kind in kinds.items():
        owner = table.dynamic_object_of(name)
        assert owner is not None, name
        place = registry.pointer_of(owner, name)
        values = [None if residual.get(place) is None else residual.pop(place) for residual in residuals]
        columns[name] = dynamic_types.array_of(values, dynamic_types.stored_type(kind)).take(texts.indices)
    left = [residual_text(residual) if residual else None for residual in residuals]
    return {**columns, registry.EXTRA: pa.array(left, pa.string()).take(texts.indices)}


def _json_value(value: Any, arrow: pa.DataType, path: str, json_text: frozenset[str]) -> Any:
    """A stored value as it was in the JSON; members of objects that are null were missing."""
    if value is None:
        return None
    if path in json_text:
        return dynamic_types.parse_many([value])[0]
    if pa.types.is_list(arrow):
        return [_json_value(item, arrow.value_type, f"{path}.list.element", json_text) for item in value]
    if pa.types.is_struct(arrow):
        return {
            field.name: _json_value(value[field.name], field.type, f"{path}.{field.name}", json_text)
            for field in arrow
            if value[field.name] is not None
        }
    return value


def _fitted(value: Any, arrow: pa.DataType, path: str, json_text: frozenset[str], pointer: str, left: Residual) -> Any:
    """A JSON value in a column's type; what does not fit is added to `left` by its pointer."""
    if value is None:
        return None
    if path in json_text:
        return dumps(value).decode("ascii")
    if pa.types.is_list(arrow) and isinstance(value, list):
        inner = f"{path}.list.element"
        return [
            _fitted(item, arrow.value_type, inner, json_text, f"{pointer}/{place}", left)
            for place, item in enumerate(value)
        ]
    if pa.types.is_struct(arrow) and isinstance(value, dict):
        types = {field.name: field.type for field in arrow}
        left.update({f"{pointer}/{escape(key)}": value[key] for key in value.keys() - types.keys()})
        return {
            key: _fitted(value.get(key), inner, f"{path}.{key}", json_text, f"{pointer}/{escape(key)}", left)
            for key, inner in types.items()
        }
    if _is_of(value, arrow):
        return value
    left[pointer] = value
    return None


def _may_lose(have: pa.DataType, want: pa.DataType) -> bool:
    if pa.types.is_list(have) and pa.types.is_list(want):
        return _may_lose(have.value_type, want.value_type)
    if pa.types.is_struct(have) and pa.types.is_struct(want):
        types = {field.name: field.type for field in want}
        return any(field.name not in types or _may_lose(field.type, types[field.name]) for field in have)
    return bool(have != want)


def _is_of(value: Any, arrow: pa.DataType) -> bool:
    if pa.types.is_string(arrow):
        return isinstance(value, str)
    if pa.types.is_boolean(arrow):
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if pa.types.is_integer(arrow):
        return isinstance(value, int) and INT64_MIN <= value <= INT64_MAX
    return pa.types.is_floating(arrow) and (isinstance(value, float) or value in _EXACT)


_EXACT = range(-(2**53), 2**53 + 1)
"""Integers that are floats too."""
