"""Decoded runs to record batches, by the registry.

Each table has a `Rows`: it takes the elements of one run after the other, and gives a `Batch` of all of them, which
becomes one row group. A run is staged until it is known to be whole: `keep` lets its rows join, `drop` forgets them.

What no column holds is the row's residual (`magnet.extra`): JSON text of the values by their JSON pointer in the
row's element, an explicit null included. Places that held a plain string for `{"text": ...}` (HELM 0.1.0) are listed
under `~text`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import pyarrow as pa
from msgspec import Raw, Struct

from magnet_arrow import schema
from magnet_arrow.collectors import InexactError, Objects, Shared, taken
from magnet_arrow.freeform import Kind
from magnet_arrow.helm import structs
from magnet_arrow.helm.decode import KEY_MARK, BadPieceError, ElementDecoder, key_marks, no_object, parse, raw_elements
from magnet_arrow.helm.elements import Stretch
from magnet_arrow.helm.shapes import Object, object_shape
from magnet_arrow.helm.wire import Residual
from magnet_arrow.schema import Form, Table
from magnet_arrow.spreading import RunRows, Spreader, residual_text, row_place, undeclared

GROUP_ROWS = 16_384
GROUP_BYTES = 8 << 20
"""A row group ends at a run's end, at the first of these: rows, or bytes of JSON. A longer run is several."""


@dataclass(slots=True)
class Batch:
    """One row group: registered columns in the table's order, and those found in the data, with their kinds."""

    table: Table
    rows: int
    registered: dict[str, pa.Array]
    dynamic: dict[str, pa.Array]
    kinds: dict[str, Kind]
    runs: list[RunRows]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(column.nbytes for column in chain(self.registered.values(), self.dynamic.values()))


def plain_columns(batch: Batch) -> dict[str, pa.Array]:
    """All columns of a batch in their registered or stored types: a dictionary is only how one was made."""
    columns = {**batch.registered, **batch.dynamic}
    return {
        name: column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for name, column in columns.items()
    }


@dataclass(slots=True)
class _Run:
    key: str
    name: str
    rows: int = 0


class Rows:
    """The rows of one table, of several runs, until they are a row group."""

    def __init__(self, name: str) -> None:
        self.table = schema.table(name)
        self._open_names: dict[str, set[str] | None] = {}
        self._next_row = 0
        self._reset()
        self._clear_staged()

    def _reset(self) -> None:
        """Begin a new row group."""
        self._runs: list[_Run] = []
        self._numbers: list[int] = []
        self._residuals: dict[int, Residual] = {}
        self._shared: tuple[Shared, ...] = ()
        self.rows = 0
        self.json_bytes = 0

    def _clear_staged(self) -> None:
        self._staged_rows = 0
        self._staged_residuals: dict[int, Residual] = {}

    @property
    def has_staged(self) -> bool:
        """Whether the run at hand has rows that are neither kept nor dropped."""
        return self._staged_rows > 0

    @property
    def is_full(self) -> bool:
        """Whether it is time for a new row group."""
        return self.rows >= GROUP_ROWS or self.json_bytes >= GROUP_BYTES

    @property
    def staged_rows(self) -> int:
        """Rows staged since the last `keep`."""
        return self._staged_rows

    def stage(self, stretch: Stretch) -> None:
        """Some elements of the run at hand; `keep` or `drop` is to follow.

        Raises:
            BadFileError: one of them is no JSON, or no object.
        """
        try:
            self._stage(stretch, carefully=False)
        except (InexactError, UnicodeDecodeError, BadPieceError):
            self.drop()
            self._stage(stretch, carefully=True)

    def _stage(self, stretch: Stretch, *, carefully: bool) -> None:
        raise AssertionError  # tables that are not arrays are staged in their own way

    def staged_residuals(self) -> Iterator[Residual]:
        """What no column holds of each staged row's element, object by object, as it stands in the element."""
        yield from self._staged_residuals.values()
        for part in self._shared:
            pointer = f"{part.pointer}/0" if part.pointer == "/stats" else part.pointer
            for residual in part.staged_residuals():
                yield moved(residual, pointer)

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """The staged rows are of this run, and good. Called once a stretch for a run that is long."""
        for part in self._shared:
            part.keep()
        for row, residual in self._staged_residuals.items():
            self._residuals[self.rows + row] = residual
        if not self._runs or self._runs[-1].key != key:
            self._runs.append(_Run(key, name))
        self._runs[-1].rows += self._staged_rows
        self._numbers.extend(range(self._next_row, self._next_row + self._staged_rows))
        self._next_row += self._staged_rows
        self.rows += self._staged_rows
        self.json_bytes += json_bytes
        self._clear_staged()

    def drop(self) -> None:
        """The staged rows are of a bad run: forget them."""
        for part in self._shared:
            part.drop()
        self._clear_staged()

    def end_run(self) -> None:
        """The run at hand is complete: the next row is the first of another."""
        self._next_row = 0
        self._open_names = {}

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        """All columns but those common to every table."""
        for part in self._shared:
            yield from part.columns()

    def flush(self) -> Batch:
        """All kept rows as one batch; a new row group begins."""
        counts = [run.rows for run in self._runs]
        found = dict(self._columns())
        found[schema.RUN_NAME] = _per_run([run.name for run in self._runs], counts)
        found[schema.RUN] = _per_run([run.key for run in self._runs], counts)
        found[schema.ROW] = pa.array(self._numbers, pa.int64())
        runs = _slices(self._runs)
        residuals = self._all_residuals()
        spreader = Spreader(runs, residuals, self._open_names)
        for spread in self.table.spreads:
            texts = undeclared(spread, self.table, residuals, self.rows) if spread.open else found[spread.name]
            spreader.add(spread, texts)
        found[schema.EXTRA] = _residual_column(residuals, self.rows)
        registered = {name: found[name] for name in self.table.names}
        _note_occurring(self.table, registered, residuals, runs)
        batch = Batch(self.table, self.rows, registered, spreader.columns, spreader.kinds, runs)
        self._reset()
        return batch

    def _all_residuals(self) -> dict[int, Residual]:
        """Residuals by row, places as seen from the row's element."""
        residuals = dict(self._residuals)
        for part in self._shared:
            for row, residual in part.residual_rows(0, self.rows):
                residuals[row] = residuals.get(row, {}) | moved(residual, self._pointer_of(part, row))
        return residuals

    def _pointer_of(self, part: Shared, row: int) -> str:
        return part.pointer


class ObjectRows(Rows):
    """A table whose file is one object: one row a run or suite."""

    def __init__(self, name: str) -> None:
        super().__init__(name)

    def _reset(self) -> None:
        super()._reset()
        self._objects = Shared(self.table.name, "", Objects(_shape_of(self.table)))
        self._shared = (self._objects,)

    def stage_object(self, value: Any, residual: Residual) -> None:
        """The object of the run at hand."""
        self._objects.stage([self._objects.add(value, residual)])
        self._staged_rows += 1


class FiledRows(ObjectRows):
    """A table of objects out of several files, which a column names."""

    def _reset(self) -> None:
        super()._reset()
        self._files: list[str] = []

    def _clear_staged(self) -> None:
        super()._clear_staged()
        self._staged_files: list[str] = []

    def stage_from(self, file: str, value: Any, residual: Residual) -> None:
        """One object of a file."""
        self.stage_object(value, residual)
        self._staged_files.append(file)

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """See `Rows`."""
        self._files.extend(self._staged_files)
        super().keep(key, name, json_bytes)

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield self.table.named("file"), pa.array(self._files, pa.string())
        yield from super()._columns()


class ElementRows(Rows):
    """A table whose file is an array of objects that seldom recur: one row an element."""

    def __init__(self, name: str) -> None:
        self._decoder = ElementDecoder(_struct_of(schema.table(name)))
        self._staged_objects = Objects(self._decoder.shape)
        super().__init__(name)

    def _reset(self) -> None:
        super()._reset()
        self._objects = Objects(self._decoder.shape)

    def _stage(self, stretch: Stretch, *, carefully: bool) -> None:
        decoded = self._decoder.stretch(stretch, carefully=carefully)
        self._staged_objects.extend(decoded.structs, decoded.exact)
        self._staged_residuals = decoded.residuals
        self._staged_rows = len(decoded.structs)

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """See `Rows`."""
        self._objects.absorb(self._staged_objects)
        super().keep(key, name, json_bytes)

    def drop(self) -> None:
        """See `Rows`."""
        self._staged_objects.clear()
        super().drop()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield from self._objects.columns(self.table.name)


class TextRows(Rows):
    """A table of two texts a row: a file's path and content, or a map's key and value."""

    def _reset(self) -> None:
        super()._reset()
        self._pairs: list[tuple[str, str]] = []

    def _clear_staged(self) -> None:
        super()._clear_staged()
        self._staged_pairs: list[tuple[str, str]] = []

    def stage_pair(self, first: str, second: str) -> None:
        """One row."""
        self._staged_pairs.append((first, second))
        self._staged_rows += 1

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """See `Rows`."""
        self._pairs.extend(self._staged_pairs)
        super().keep(key, name, json_bytes)

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        own = [name for name in self.table.names if name not in self.table.hidden and name != schema.RUN_NAME]
        for place, name in enumerate(own):
            yield name, pa.array([pair[place] for pair in self._pairs], pa.string())


class StateRows(Rows):
    """`scenario_state`: one row a request state, with the rest of the file beside it."""

    _PREFIX = "scenario_state.request_states"
    _INSTANCE = ElementDecoder(structs.Instance)
    _REQUEST = ElementDecoder(structs.RequestState)

    def __init__(self) -> None:
        self._rest_value: Any = None
        self._staged_requests = Objects(self._REQUEST.shape, shared=["instance"])
        super().__init__("scenario_state")

    def _reset(self) -> None:
        super()._reset()
        self._rest = Shared("scenario_state", "", Objects(schema.STATE_REST))
        self._rest_number: int | None = None
        shape = self._INSTANCE.shape
        self._instances = Shared(f"{self._PREFIX}.instance", "/instance", Objects(shape), self._INSTANCE)
        self._requests = Objects(self._REQUEST.shape, shared=["instance"])
        self._shared = (self._rest, self._instances)

    def stage_rest(self, rest: Any) -> None:
        """What stands beside the request states of the run at hand, before the first of them."""
        self._rest_value, self._rest_number = rest, None

    def _stage(self, stretch: Stretch, *, carefully: bool) -> None:
        decoded = self._REQUEST.stretch(stretch, carefully=carefully)
        self._staged_requests.extend(decoded.structs, decoded.exact)
        numbers = self._instances.number_pieces([state.instance for state in decoded.structs])
        if self._rest_number is None:
            self._rest_number = self._rest.add(self._rest_value)
        self._instances.stage(numbers)
        self._rest.stage(repeat(self._rest_number, len(numbers)))
        self._staged_residuals = decoded.residuals
        self._staged_rows = len(numbers)

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """See `Rows`."""
        self._requests.absorb(self._staged_requests)
        super().keep(key, name, json_bytes)

    def drop(self) -> None:
        """See `Rows`."""
        self._staged_requests.clear()
        super().drop()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        yield from self._requests.columns(self._PREFIX)
        yield from super()._columns()


class StatRows(Rows):
    """`stats`: one row a stat."""

    _STAT = ElementDecoder(structs.Stat)

    def __init__(self) -> None:
        super().__init__("stats")

    def _reset(self) -> None:
        super()._reset()
        self._stats = Shared("stats", "", Objects(self._STAT.shape), self._STAT)
        self._shared = (self._stats,)

    def _stage(self, stretch: Stretch, *, carefully: bool) -> None:
        raws = raw_elements(stretch, carefully=carefully)
        _require_objects(raws)
        self._stats.stage(self._stats.number_pieces(raws))
        self._staged_rows = len(raws)


_PARAMETERS = "/perturbation/"
_DECLARED = frozenset(column.pointer for column in schema.table("per_instance_stats").columns)


class InstanceStatRows(Rows):
    """`per_instance_stats`: one row a stat of an entry, with the entry's own fields beside it."""

    _PREFIX = "per_instance_stats"
    _STAT = ElementDecoder(structs.Stat)
    _ENTRY = ElementDecoder(structs.PerInstanceStats)

    def __init__(self) -> None:
        self._staged_entries = Objects(self._ENTRY.shape, shared=["stats"])
        self._next_entry = 0
        self._rowless: dict[int, Any] = {}
        super().__init__("per_instance_stats")

    def _reset(self) -> None:
        super()._reset()
        self._stats = Shared(f"{self._PREFIX}.stats", "/stats", Objects(self._STAT.shape), self._STAT)
        self._entries = Objects(self._ENTRY.shape, shared=["stats"])
        self._entry_of_row: list[int] = []
        self._entry_numbers: list[int] = []
        self._firsts: list[int] = []
        self._shared = (self._stats,)

    def _clear_staged(self) -> None:
        super()._clear_staged()
        self._staged_lengths: list[int] = []
        self._staged_rowless: dict[int, Any] = {}

    def _stage(self, stretch: Stretch, *, carefully: bool) -> None:
        decoded = self._ENTRY.stretch(stretch, carefully=carefully)
        raws = list(chain.from_iterable(filter(None, (entry.stats for entry in decoded.structs))))
        if carefully:
            _require_stats(decoded.structs, stretch)
        else:
            _require_objects(raws)
        self._staged_entries.extend(decoded.structs, decoded.exact)
        numbers = self._stats.number_pieces(raws)
        self._stats.stage(numbers)
        self._staged_lengths = [len(entry.stats or ()) for entry in decoded.structs]
        if not decoded.exact:
            _require_single_keys(stretch, decoded.structs, self._stats.marks(numbers))
        self._staged_rows = len(raws)
        if 0 in self._staged_lengths:
            self._stage_rowless(stretch)
        first = 0
        for index, length in enumerate(self._staged_lengths):
            if index in decoded.residuals and length:
                self._stage_residual(decoded.residuals[index], first, length)
            first += length

    def _stage_residual(self, residual: Residual, first: int, length: int) -> None:
        """An entry's residual stands in its first row; but what will be a column belongs in all of its rows."""
        self._staged_residuals[first] = residual
        parameters = {
            place: value
            for place, value in residual.items()
            if place.startswith(_PARAMETERS) and place not in _DECLARED and value is not None
        }
        for row in range(first + 1, first + length) if parameters else ():
            self._staged_residuals[row] = parameters

    @property
    def has_staged(self) -> bool:
        """See `Rows`; an entry may have no rows."""
        return bool(self._staged_lengths)

    def _stage_rowless(self, stretch: Stretch) -> None:
        for index, (begin, end) in enumerate(stretch.elements()):
            if not self._staged_lengths[index]:
                self._staged_rowless[stretch.first + index] = parse(memoryview(stretch.buffer)[begin:end])

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """See `Rows`."""
        held = self._entries.count
        for index, length in enumerate(self._staged_lengths):
            self._firsts.append(len(self._entry_of_row))
            self._entry_of_row.extend(repeat(held + index, length))
            self._entry_numbers.extend(repeat(self._next_entry + index, length))
        self._next_entry += len(self._staged_lengths)
        self._rowless.update(self._staged_rowless)
        self._entries.absorb(self._staged_entries)
        super().keep(key, name, json_bytes)

    def drop(self) -> None:
        """See `Rows`."""
        self._staged_entries.clear()
        super().drop()

    def rowless_entries(self) -> dict[int, Any]:
        """Entries of the run at hand without a row to stand in, staged ones too, by their place in the file."""
        return self._rowless | self._staged_rowless

    def end_run(self) -> None:
        """See `Rows`."""
        self._next_entry = 0
        self._rowless = {}
        super().end_run()

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        codes = pa.array(self._entry_of_row, pa.int32())
        for name, column in self._entries.columns(self._PREFIX):
            yield name, taken(column, codes)
        yield schema.ENTRY, pa.array(self._entry_numbers, pa.int64())
        yield from super()._columns()

    def _pointer_of(self, part: Shared, row: int) -> str:
        return f"/stats/{row - self._firsts[self._entry_of_row[row]]}"


def rows_of(table: Table) -> Rows:
    """The `Rows` that fills a table."""
    own = {"scenario_state": StateRows, "stats": StatRows, "per_instance_stats": InstanceStatRows}
    if table.name in own:
        return own[table.name]()
    if table.name == "groups":
        return FiledRows(table.name)
    if table.of == "suite" and table.form is Form.ARRAY:
        return ObjectRows(table.name)
    forms = {Form.OBJECT: ObjectRows, Form.ARRAY: ElementRows, Form.MAP: TextRows, Form.TEXTS: TextRows}
    return forms[table.form](table.name)


def _struct_of(table: Table) -> type[Struct]:
    assert table.struct is not None, table.name
    return table.struct


def _shape_of(table: Table) -> Object:
    return object_shape(_struct_of(table))


def _require_objects(raws: Iterable[Raw]) -> None:
    """A row must be an object; the careful way says which one is not."""
    if not all(memoryview(raw)[0] == 0x7B for raw in raws):
        raise BadPieceError


def _require_stats(entries: Iterable[Any], stretch: Stretch) -> None:
    for index, entry in enumerate(entries):
        for place, raw in enumerate(entry.stats or ()):
            if memoryview(raw)[0] != 0x7B:
                raise no_object(stretch, index, f".stats[{place}]", parse(raw))


def _require_single_keys(stretch: Stretch, entries: list[Any], marks: int) -> None:
    """See `decode.key_marks`; the stats' share is known piece by piece."""
    with_stats = 0
    for entry in entries:
        with_stats += entry.stats is not None
        entry.stats = None
    if stretch.count_of(KEY_MARK) != marks + with_stats + key_marks(entries):
        raise BadPieceError


def _slices(runs: Sequence[_Run]) -> list[RunRows]:
    slices, first = [], 0
    for run in runs:
        slices.append(RunRows(run.key, first, run.rows))
        first += run.rows
    return slices


def _per_run(values: Sequence[str], counts: Sequence[int]) -> pa.Array:
    """A value for each run, repeated over its rows."""
    codes = chain.from_iterable(repeat(number, count) for number, count in enumerate(counts))
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(values, pa.string()))


def moved(residual: Residual, pointer: str) -> Residual:
    """A residual seen from further out: `pointer` before each of its places."""
    if not pointer:
        return residual
    outer: Residual = {}
    for place, value in residual.items():
        if place.startswith("~"):
            outer[place] = [pointer + inner for inner in value]
        else:
            outer[pointer + place] = value
    return outer


def _residual_column(residuals: dict[int, Residual], rows: int) -> pa.Array:
    texts: list[str | None] = [None] * rows
    for row, residual in residuals.items():
        if residual:
            texts[row] = residual_text(residual)
    return pa.array(texts, pa.string())


def _note_occurring(
    table: Table, columns: dict[str, pa.Array], residuals: dict[int, Residual], runs: list[RunRows]
) -> None:
    """Which registered columns each run has a key for, null or not."""
    for bit, column in enumerate(columns.values()):
        nulls = column.null_count
        if nulls == len(column):
            continue
        for run in runs:
            if not nulls or column.slice(run.first, run.rows).null_count < run.rows:
                run.occurs |= 1 << bit
    bits = {column.pointer: 1 << bit for bit, column in enumerate(table.columns) if column.pointer}
    for run in runs:
        for row in range(run.first, run.first + run.rows) if residuals else ():
            for place in residuals.get(row, ()):
                run.occurs |= bits.get(row_place(table, place), 0)
