"""Free-form objects: JSON text to cells, their kinds, and the types of the columns found in the data.

A column that is found in the data has no declared type. Each run has a set of flags for the kinds of value in it.
Storage and frames each decide a type from flags: storage from all runs of a segment (any mixture is JSON text, so that
`true`, `1`, `1.0` and `"1"` stay four things), a frame from its own runs alone (integers and floats are float64 where
no integer is rounded by that).
"""

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Struct

from magnet_arrow import _arrow_compute as pc
from magnet_arrow._interning import combined, take, used
from magnet_arrow.decode.wire import INT64_MAX, INT64_MIN, Residual, dumps, escape
from magnet_arrow.schema.registry import LEVELS, key_part


class Kind(enum.IntFlag):
    """The kinds of value in a column, as flags."""

    INTEGER = 1
    BEYOND_2_53 = 2
    FLOAT = 4
    BOOLEAN = 8
    TEXT = 16
    INTEGERS = 32
    FLOATS = 64
    BOOLEANS = 128
    TEXTS = 256
    EMPTY_LIST = 512
    JSON = 1024
    NULL = 2048
    """An explicit null; it has no say in the type."""


_TYPES: dict[Kind, pa.DataType] = {
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TEXT: pa.string(),
    Kind.INTEGERS: pa.list_(pa.int64()),
    Kind.FLOATS: pa.list_(pa.float64()),
    Kind.BOOLEANS: pa.list_(pa.bool_()),
    Kind.TEXTS: pa.list_(pa.string()),
}
MAX_CELLS = 8192
"""An object with more keys stays JSON text: few keys could be columns, and each would cost 34 µs."""
_EMPTY_LISTS = pa.list_(pa.null())  # of lists without items; no cast leads there
_LISTS = Kind.INTEGERS | Kind.FLOATS | Kind.BOOLEANS | Kind.TEXTS


class CellType(Struct, frozen=True):
    """An Arrow type, and whether its texts are JSON."""

    arrow: pa.DataType
    is_json: bool = False


JSON_TEXT = CellType(pa.string(), is_json=True)
NOTHING = CellType(pa.null())


def stored_type(kinds: Kind) -> CellType:
    """The type in a segment: one kind alone has its own, all else is JSON text; only nulls need no column."""
    kinds &= ~(Kind.NULL | Kind.BEYOND_2_53)
    if not kinds:
        return NOTHING
    if kinds & _LISTS:
        kinds &= ~Kind.EMPTY_LIST
    return CellType(_TYPES[kinds]) if kinds in _TYPES else JSON_TEXT


def frame_type(kinds: Kind) -> CellType:
    """The type in a frame: as stored, but integers and floats together are float64 if that rounds none."""
    plain = kinds & ~Kind.NULL
    if plain == Kind.INTEGER | Kind.FLOAT:
        return CellType(pa.float64())
    if plain == Kind.EMPTY_LIST:
        return CellType(_EMPTY_LISTS)
    return stored_type(kinds)


def settled(arrow: pa.DataType) -> pa.DataType:
    """A type that every tool knows: where nothing but nulls or empty lists were met, what they lack is text.

    >>> settled(pa.null()), settled(pa.list_(pa.null())), settled(pa.int64())
    (DataType(string), ListType(list<item: string>), DataType(int64))
    """
    return {pa.null(): pa.string(), pa.list_(pa.null()): pa.list_(pa.string())}.get(arrow, arrow)


def kind_of(value: Any) -> Kind:
    """The kind of one parsed JSON value."""
    match value:
        case str():  # first, as most are
            return Kind.TEXT if value.isascii() or _is_utf8(value) else Kind.JSON
        case None:
            return Kind.NULL
        case bool():
            return Kind.BOOLEAN
        case int():
            return _integer_kind(value)
        case float():
            return Kind.FLOAT
        case list():
            return _list_kind(value)
    return Kind.JSON


def _integer_kind(value: int) -> Kind:
    if -(2**53) <= value <= 2**53:
        return Kind.INTEGER
    return Kind.INTEGER | Kind.BEYOND_2_53 if INT64_MIN <= value <= INT64_MAX else Kind.JSON


def _list_kind(value: list[Any]) -> Kind:
    if not value:
        return Kind.EMPTY_LIST
    kinds = Kind(0)
    for item in value:
        # Lists of lists are JSON whatever they hold; going into them could pass Python's recursion limit.
        kinds |= Kind.JSON if isinstance(item, list) else kind_of(item)
    plural = {
        Kind.INTEGER: Kind.INTEGERS | kinds & Kind.BEYOND_2_53,
        Kind.FLOAT: Kind.FLOATS,
        Kind.BOOLEAN: Kind.BOOLEANS,
        Kind.TEXT: Kind.TEXTS,
    }
    return plural.get(kinds & ~Kind.BEYOND_2_53, Kind.JSON)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(slots=True)
class Cells:
    """One free-form object, flattened.

    Attributes:
        values: by name below the object; what is nested deeper is still a dict.
        kinds: of each of them.
        residual: what no column holds, by JSON pointer from the object: explicit nulls, and what does not fit.
    """

    values: dict[str, Any] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    residual: Residual = field(default_factory=dict)


def flatten(value: Any, levels: int = LEVELS, max_items: int | None = None) -> Cells | None:
    """The cells of a parsed object; None if it must stay JSON text.

    It is no object, is empty, has a key that no column can be named after, or too many of them.

    Args:
        value: the object.
        levels: how many levels of objects become columns.
        max_items: a list of more stays JSON text.
    """
    if not isinstance(value, dict) or not value:
        return None
    cells = Cells()
    if not _flatten_into(cells, value, "", "", levels):
        return None
    if max_items is not None:
        long = [name for name, entry in cells.values.items() if isinstance(entry, list) and len(entry) > max_items]
        cells.kinds |= dict.fromkeys(long, Kind.JSON)
    return cells


def _flatten_into(cells: Cells, value: dict[str, Any], prefix: str, pointer: str, levels: int) -> bool:
    for key, entry in value.items():
        part = key_part(key)
        if part is None:
            return False
        name = prefix + part
        if isinstance(entry, dict) and entry and levels > 1:
            if not _flatten_into(cells, entry, f"{name}.", f"{pointer}/{escape(key)}", levels - 1):
                return False
            continue
        if entry is None:
            cells.residual[f"{pointer}/{escape(key)}"] = None
        if len(cells.values) == MAX_CELLS:
            return False
        cells.values[name] = entry
        cells.kinds[name] = kind_of(entry)
    return True


def parse_many(texts: Sequence[str]) -> list[Any]:
    """What each JSON text says."""
    try:
        values: list[Any] = msgspec.json.decode("[" + ",".join(texts) + "]")
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        values = [json.loads(text) for text in texts]
    return values


def array_of(values: Iterable[Any], cell_type: CellType) -> pa.Array:
    """A column of parsed values, None where there is none, in a type that holds all of them."""
    if not cell_type.is_json:
        return pa.array(values, cell_type.arrow)
    return pa.array([None if value is None else dumps(value).decode("ascii") for value in values], pa.string())


def convert_all(
    columns: Mapping[str, pa.Array] | pa.Table, kinds: Mapping[str, int], want: Mapping[str, CellType], rows: int
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Stored columns in the types that a frame or another segment needs; those that are not there are null.

    Args:
        columns: by name.
        kinds: of value in each of them.
        want: the columns that are needed, and their types.
        rows: how many there are.
    """
    have = {name: stored_type(Kind(kinds.get(name, 0))) for name in want}
    return {
        name: pa.nulls(rows, cell_type.arrow)
        if have[name] == NOTHING
        else convert(columns[name], have[name], cell_type)
        for name, cell_type in want.items()
    }


def convert(column: pa.Array | pa.ChunkedArray, have: CellType, want: CellType) -> pa.Array | pa.ChunkedArray:
    """A stored column in another type.

    Args:
        column: as stored.
        have: its type; JSON text holds values of any kind.
        want: a type that holds all its values: JSON text, or what `frame_type` says of their kinds.
    """
    if have == want:
        return column
    if want == NOTHING or have == NOTHING or column.null_count == len(column):
        # Where the chosen runs have nothing, the type that other runs gave the stored column says nothing either.
        return pa.nulls(len(column), want.arrow)
    column = combined(column)
    if pa.types.is_dictionary(column.type):
        column = used(column)
        return take(convert(column.dictionary, have, want), column.indices)
    if not have.is_json and not want.is_json and want.arrow != _EMPTY_LISTS:
        return column.cast(want.arrow)
    # Values recur, and each distinct one is converted once.
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):  # large: from Polars
        return array_of(column.to_pylist(), want)
    encoded = pc.dictionary_encode(column)
    distinct = encoded.dictionary
    values = parse_many(distinct.to_pylist()) if have.is_json else distinct.to_pylist()
    if not want.is_json and pa.types.is_floating(want.arrow):
        values = [float(value) for value in values]
    return array_of(values, want).take(encoded.indices)
