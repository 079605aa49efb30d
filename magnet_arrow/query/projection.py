"""The columns of a frame and their types, which depend on the frame's runs alone."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from magnet_arrow.errors import ColumnNotFoundError, SettingError
from magnet_arrow.schema import dynamic_types
from magnet_arrow.schema.dynamic_types import CellType, Kind
from magnet_arrow.schema.registry import RUN_NAME, Table
from magnet_arrow.storage.profiles import bits_of, kinds_of
from magnet_arrow.storage.snapshot import CachedRun

Columns: TypeAlias = Literal["occurring", "registered"] | Sequence[str]
"""Columns of a frame: those that the chosen runs have, all that are registered, or these."""


class ProjectedColumn(Struct, frozen=True):
    """One column of a frame: registered ones have a fixed type, others that of their kinds.

    Attributes:
        name: dotted.
        type: in the frame.
        registered: whether the registry has it; else it was found in the data.
        by_run: of a column that says where a run is: its values by `magnet.run`.
    """

    name: str
    type: CellType
    registered: bool
    by_run: Mapping[str, str] | None = None


def projected_columns(table: Table, runs: Sequence[CachedRun], columns: Columns) -> list[ProjectedColumn]:
    """The columns of a frame over these runs, in its order."""
    if columns == "registered":
        return [registered(table, name) for name in table.names if name not in table.hidden]
    kinds = kinds_of(table, runs)
    if isinstance(columns, str) and columns != "occurring":
        raise SettingError(f"{columns!r} says no columns.", expected="'occurring', 'registered', or a list of names")
    if columns != "occurring":
        return [_named(table, kinds, name) for name in columns]
    return occurring_columns(table, bits_of(table, runs), kinds)


def hidden_columns(table: Table) -> list[ProjectedColumn]:
    """The columns that default frames hide."""
    return [registered(table, name) for name in table.hidden]


def all_columns(table: Table, runs: Sequence[CachedRun]) -> list[ProjectedColumn]:
    """All registered columns, the hidden ones too, then those found in the data of these runs, by name."""
    found = [found_in_data(name, kind) for name, kind in sorted(kinds_of(table, runs).items())]
    return [registered(table, name) for name in table.names] + found


def occurring_columns(table: Table, bits: int, kinds: dict[str, Kind]) -> list[ProjectedColumn]:
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


def _in_file_order(
    table: Table, occurring: list[ProjectedColumn], found: list[ProjectedColumn]
) -> list[ProjectedColumn]:
    """The columns in HELM's order of keys; dynamic columns are at the place of their object, sorted."""
    places = {name: number for number, name in enumerate(table.file_order)}

    def place(column: ProjectedColumn) -> tuple[int, str]:
        if column.registered:
            return places[column.name], ""
        owner = table.dynamic_object_of(column.name)
        return (places[owner.name] if owner else len(places)), column.name

    return sorted(occurring + found, key=place)


def registered(table: Table, name: str) -> ProjectedColumn:
    """A registered column, which has one type in every frame."""
    return ProjectedColumn(name, CellType(table.column(name).type), registered=True)


def found_in_data(name: str, kind: Kind) -> ProjectedColumn:
    """A column that the registry does not have, in the type that its values decide."""
    return ProjectedColumn(name, dynamic_types.frame_type(kind), registered=False)


def _named(table: Table, kinds: dict[str, Kind], name: str) -> ProjectedColumn:
    if name in table.names:
        return registered(table, name)
    if name in kinds:
        return found_in_data(name, kinds[name])
    raise ColumnNotFoundError.among(name, [*table.names, *kinds], table=table.name)
