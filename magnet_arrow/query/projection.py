"""Which columns a frame over some runs has, of which types: decided from these runs alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import polars as pl
import pyarrow as pa

from magnet_arrow import _interning
from magnet_arrow.decode.wire import Residual
from magnet_arrow.errors import ColumnNotFoundError, SettingError
from magnet_arrow.records.flatten import bounded, residual_text
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import CellType, Kind
from magnet_arrow.schema.registry import EXTRA, RUN_NAME, Table
from magnet_arrow.storage.profiles import bits_of, distinct_profiles, kinds_of
from magnet_arrow.storage.snapshot import CachedRun

Columns: TypeAlias = Literal["occurring", "registered"] | Sequence[str]
"""Columns of a frame: those that the chosen runs have, all that are registered, or these."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One column of a frame: registered ones have a fixed type, others that of their kinds.

    Attributes:
        name: dotted.
        type: in the frame.
        registered: whether the registry has it; else it was found in the data.
        overflow: of the residual column: columns found in the data that the frame has no room for. Their values are
            shown in it, as everything else that has no column.
        shown: of the residual column: columns of the frame that a segment had no room for. Their values stand in the
            stored residual, and are not shown in it.
        by_run: of a column that says where a run is: its values by `magnet.run`.
    """

    name: str
    type: CellType
    registered: bool
    overflow: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    by_run: Mapping[str, str] | None = None


def shown_columns(table: Table, runs: Sequence[CachedRun], columns: Columns) -> list[Shown]:
    """The columns of a frame over these runs, in its order."""
    if columns == "registered":
        return [registered(table, name) for name in table.names if name not in table.hidden]
    kinds = kinds_of(table, runs)
    if isinstance(columns, str) and columns != "occurring":
        raise SettingError(f"{columns!r} says no columns.", expected="'occurring', 'registered', or a list of names")
    if columns != "occurring":
        return [_named(table, kinds, name) for name in columns]
    kept, _ = bounded(kinds, (run.dynamic(table.name) for run in runs))
    return occurring_columns(table, bits_of(table, runs), kept)


def hidden_columns(table: Table, runs: Sequence[CachedRun]) -> list[Shown]:
    """The columns that default frames hide; the residual with what such a frame has no room for."""
    kept, overflow = bounded(kinds_of(table, runs), (run.dynamic(table.name) for run in runs))
    shown = sorted(kept.keys() & _in_residual(table, runs))
    extra = (
        replace(registered(table, EXTRA), overflow=tuple(overflow), shown=tuple(shown))
        if EXTRA in table.hidden
        else None
    )
    return [extra if extra and name == EXTRA else registered(table, name) for name in table.hidden]


def _in_residual(table: Table, runs: Sequence[CachedRun]) -> set[str]:
    """Columns found in the data that a segment of these runs had no room for."""
    return {
        name
        for run in distinct_profiles(table, runs)
        for name, kind in run.dynamic(table.name).items()
        if name not in run.segment.tables[table.name].dynamic
        and dynamic_types.stored_type(kind) != dynamic_types.NOTHING
    }


def occurring_columns(table: Table, bits: int, kinds: dict[str, Kind]) -> list[Shown]:
    """The columns that occur, in a frame's order.

    Args:
        table: which table.
        bits: over its registered columns.
        kinds: of what was found in the data.
    """
    occurring = [
        registered(table, name)
        for bit, name in enumerate(table.names)
        if (bits >> bit & 1 or name == RUN_NAME) and name not in table.hidden
    ]
    found = [found_in_data(name, kind) for name, kind in sorted(kinds.items())]
    if table.name == "run_spec":
        return _in_file_order(table, occurring, found)
    return occurring[:1] + sorted(occurring[1:] + found, key=lambda column: column.name)


def _in_file_order(table: Table, occurring: list[Shown], found: list[Shown]) -> list[Shown]:
    """HELM's order of keys; what was found in the data stands where its object does, sorted."""
    places = {name: number for number, name in enumerate(table.file_order)}

    def place(column: Shown) -> tuple[int, str]:
        if column.registered:
            return places[column.name], ""
        spread = table.spread_of(column.name)
        return (places[spread.name] if spread else len(places)), column.name

    return sorted(occurring + found, key=place)


def registered(table: Table, name: str) -> Shown:
    """A registered column, which has one type in every frame."""
    return Shown(name, CellType(table.column(name).type), registered=True)


def found_in_data(name: str, kind: Kind) -> Shown:
    """A column that the registry does not have, in the type that its values decide."""
    return Shown(name, dynamic_types.frame_type(kind), registered=False)


def _named(table: Table, kinds: dict[str, Kind], name: str) -> Shown:
    if name in table.names:
        return registered(table, name)
    if name in kinds:
        return found_in_data(name, kinds[name])
    raise ColumnNotFoundError.among(name, [*table.names, *kinds], table=table.name)


def frame_schema(shown: Sequence[Shown]) -> pl.Schema:
    """The Polars schema of a frame with these columns."""
    return pl.Schema({column.name: polars_type(column.type.arrow) for column in shown})


def polars_type(arrow: pa.DataType) -> pl.DataType:
    """The type that a column of this Arrow type has in a Polars frame."""
    if pa.types.is_list(arrow):
        return pl.List(polars_type(arrow.value_type))
    if pa.types.is_struct(arrow):
        return pl.Struct({field.name: polars_type(field.type) for field in arrow})
    return _POLARS_TYPES[arrow]


# Asking Polars for the types of an empty Arrow table would load pandas, where that is installed.
_POLARS_TYPES: dict[pa.DataType, pl.DataType] = {
    pa.string(): pl.String(),
    pa.int64(): pl.Int64(),
    pa.float64(): pl.Float64(),
    pa.bool_(): pl.Boolean(),
    pa.null(): pl.Null(),
}


def without_shown(extra: pa.Array | pa.ChunkedArray, table: Table, column: Shown, stored: Collection[str]) -> pa.Array:
    """The residual column without the values of columns that the frame has and the segment has not."""
    places = {
        registry.pointer_of(spread, name)
        for name in column.shown
        if (spread := table.spread_of(name)) and name not in stored
    }
    residuals = Residuals.of(extra)
    texts = []
    for residual in residuals.distinct:
        left = {place: value for place, value in residual.items() if value is None or place not in places}
        texts.append(residual_text(left) if left else None)
    return pa.array(texts, pa.string()).take(residuals.codes)


@dataclass(frozen=True, slots=True)
class Residuals:
    """A residual column, each distinct text of it parsed once.

    Attributes:
        distinct: what the texts say.
        codes: which one each row has; null for none.
    """

    distinct: list[Residual]
    codes: pa.Array

    @classmethod
    def of(cls, extra: pa.Array | pa.ChunkedArray) -> "Residuals":
        """Those of a stored column."""
        encoded = _interning.used(extra)
        return cls(dynamic_types.parse_many(encoded.dictionary.to_pylist()), encoded.indices)

    def column(self, table: Table, column: Shown) -> pa.Array:
        """A column that its segment had no room for: its values stand in the residual."""
        spread = table.spread_of(column.name)
        place = registry.pointer_of(spread, column.name) if spread else ""
        values = [residual.get(place) for residual in self.distinct]
        return dynamic_types.array_of(values, column.type).take(self.codes)
