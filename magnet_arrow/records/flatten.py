"""Flattens free-form objects of many runs into columns, run by run, by the rules in `schema.registry`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from magnet_arrow._interning import Numbers, take, texts_of
from magnet_arrow.decode.wire import Residual, dumps, unescape
from magnet_arrow.records.row_group import RunRows
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import Cells, Kind
from magnet_arrow.schema.registry import DynamicObject, Table

_MAX_ITEMS = 1024
_STAT_PLACE = re.compile(r"^/stats/\d+")


def row_place(table: Table, place: str) -> str:
    """A JSON pointer in an element as the table's columns have it: for a stat of an entry, the pointer in the stat."""
    return _STAT_PLACE.sub("", place) if table.name == "per_instance_stats" else place


def undeclared(owner: DynamicObject, table: Table, residuals: dict[int, Residual], rows: int) -> pa.DictionaryArray:
    """The undeclared members of an open object, which are removed from the residuals, as JSON text per row."""
    declared = {column.pointer for column in table.columns}
    stem = owner.pointer + "/"
    codes: list[int | None] = [None] * rows
    numbers: Numbers[str] = Numbers()
    # Rows of one entry share a residual, which is looked through once: its texts may be long.
    known: dict[int, tuple[int | None, Residual]] = {}
    before = dict(residuals)  # which keeps them alive, and so their ids apart
    for row, residual in before.items():
        if id(residual) not in known:
            found = {}
            for place, value in residual.items():
                inner = row_place(table, place)
                is_member = inner.startswith(stem) and "/" not in inner[len(stem) :]
                if is_member and inner not in declared and value is not None:
                    found[place] = unescape(inner[len(stem) :])
            rest = {place: value for place, value in residual.items() if place not in found} if found else residual
            code = None
            if found:
                code = numbers[dumps({key: residual[place] for place, key in found.items()}).decode("ascii")]
            known[id(residual)] = code, rest
        codes[row], residuals[row] = known[id(residual)]
    return texts_of(codes, list(numbers))


def residual_text(residual: Residual) -> str:
    """A residual as JSON text, places in order."""
    return dumps(dict(sorted(residual.items()))).decode("ascii")


@dataclass(frozen=True, slots=True)
class OpenNames:
    """Columns of one free-form object in the row groups of a run so far.

    Attributes:
        names: of the columns, below the object.
        are_final: the run has more than `registry.MAX_KEYS` names, so that no column is added.
    """

    names: set[str] = field(default_factory=set)
    are_final: bool = False

    def with_names(self, more: Iterable[Iterable[str]]) -> "OpenNames":
        """These names and those of more objects; if they are too many, these alone, which are final then."""
        if self.are_final:
            return self
        names = self.names.union(*more)
        return OpenNames(names) if len(names) <= registry.MAX_KEYS else OpenNames(self.names, are_final=True)


class Flattener:
    """Flattens the free-form objects of a row group's runs.

    Args:
        runs: the runs, in the order of their rows.
        residuals: by row; what gets no column is added to them.
        open_names: by object, the columns of a run that goes on from the last row group. Those of this row group's
            last run are left in it.

    Attributes:
        columns: the columns, by name.
        kinds: kinds of value met in each.
    """

    def __init__(self, runs: list[RunRows], residuals: dict[int, Residual], open_names: dict[str, OpenNames]) -> None:
        self._runs, self._residuals, self._open_names = runs, residuals, open_names
        self.columns: dict[str, pa.Array] = {}
        self.kinds: dict[str, Kind] = {}

    def add(self, owner: DynamicObject, texts: pa.DictionaryArray) -> None:
        """Add the columns of one free-form object.

        Args:
            owner: the object.
            texts: the JSON of each row's object.
        """
        distinct = texts.dictionary.to_pylist()
        if not distinct:
            return
        codes: list[int | None] = texts.indices.to_pylist()
        # Of an open object, what is no single value stays JSON text, and its nulls stay in the residual. A long list
        # would be in each row of an entry, whereas a text is shared.
        levels, max_items = (1, _MAX_ITEMS) if owner.open else (registry.LEVELS, None)
        values = enumerate(dynamic_types.parse_many(distinct))
        cells = {
            code: found
            for code, value in values
            if (found := dynamic_types.flatten(value, levels, max_items)) is not None
        }
        if owner.unbounded:
            for found in cells.values():
                _bound(owner, found)
        numbers: Numbers[tuple[tuple[str, Kind], ...]] = Numbers()
        form_of = {code: numbers[tuple(found.kinds.items())] for code, found in cells.items()}
        forms = list(numbers)
        flat: list[int | None] = [None] * len(codes)
        whole: list[int | None] = [None] * len(codes)
        for run in self._runs:
            rows = slice(run.first, run.first + run.rows)
            met: set[Any] = {*codes[rows]} - {None}
            flattened = self._flattened(owner, run, met, cells)
            if not met:
                continue
            if flattened >= met:
                flat[rows] = codes[rows]
            else:
                flat[rows] = [code if code in flattened else None for code in codes[rows]]
                whole[rows] = [None if code in flattened else code for code in codes[rows]]
            if any(cells[code].residual for code in flattened):
                for row in range(run.first, run.first + run.rows):
                    code = flat[row]
                    if code is not None:
                        self._note_residual(owner, row, cells[code])
            # The kinds are noted once for objects that are alike in them: an operation on flags takes a microsecond.
            self._note_kinds(owner, run, [forms[number] for number in {form_of[code] for code in flattened}])
            if met - flattened:
                run.dynamic[owner.name] = Kind.JSON
        self._add_flat(owner, flat, cells)
        if any(code is not None for code in whole):
            self.columns[owner.name] = take(pa.array(distinct, pa.string()), pa.array(whole, pa.int32()))
            self.kinds[owner.name] = Kind.JSON

    def _flattened(self, owner: DynamicObject, run: RunRows, met: set[int], cells: dict[int, Cells]) -> set[int]:
        """Which of the objects met in a run become columns."""
        able = met & cells.keys()
        if owner.unbounded:
            return able
        before = OpenNames()
        if run is self._runs[0]:
            before = self._open_names.get(owner.name, before)
        now = before.with_names(cells[code].values for code in able)
        if run is self._runs[-1]:
            self._open_names[owner.name] = now
        # Columns of earlier row groups stay columns. Once they are final, an object with another name is text.
        return {code for code in able if now.names.issuperset(cells[code].values)} if now.are_final else able

    def _note_residual(self, owner: DynamicObject, row: int, cells: Cells) -> None:
        if cells.residual:
            residual = dict(self._residuals.get(row, {}))
            residual.update({owner.pointer + place: value for place, value in cells.residual.items()})
            self._residuals[row] = residual

    def _note_kinds(self, owner: DynamicObject, run: RunRows, met: Iterable[tuple[tuple[str, Kind], ...]]) -> None:
        for kinds in met:
            for name, kind in kinds:
                full = f"{owner.name}.{name}"
                for known in (run.dynamic, self.kinds):
                    if known.get(full) != kind:
                        known[full] = known.get(full, Kind(0)) | kind

    def _add_flat(self, owner: DynamicObject, flat: list[int | None], cells: dict[int, Cells]) -> None:
        numbers = pa.array(flat, pa.int32())
        used = sorted({code for code in flat if code is not None})
        names = sorted({name for code in used for name in cells[code].values})
        for name in names:
            full = f"{owner.name}.{name}"
            values: list[Any] = [None] * (used[-1] + 1)
            for code in used:
                values[code] = cells[code].values.get(name)
            cell_type = dynamic_types.stored_type(self.kinds[full])
            if cell_type != dynamic_types.NOTHING:
                self.columns[full] = take(dynamic_types.array_of(values, cell_type), numbers)


def _bound(owner: DynamicObject, cells: Cells) -> None:
    """Keep the first `MAX_DYNAMIC_COLUMNS` members by name as columns, and move the others to the residual.

    So a run alone decides which of its keys are columns, whatever else is cached.
    """
    for name in sorted(cells.values)[registry.MAX_DYNAMIC_COLUMNS :]:
        place = registry.pointer_of(owner, f"{owner.name}.{name}").removeprefix(owner.pointer)
        cells.residual[place] = cells.values.pop(name)
        del cells.kinds[name]
