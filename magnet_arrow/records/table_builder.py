"""Decoded runs to record batches, by the registry.

Each table has a `Rows`: it takes the elements of one run after the other, and gives a `Batch` of all of them, which
becomes one row group. A run is staged until it is known to be whole: `keep` lets its rows join, `drop` forgets them.

What no column holds is the row's residual (`magnet.extra`): JSON text of the values by their JSON pointer in the
row's element, an explicit null included. Places that held a plain string for `{"text": ...}` (HELM 0.1.0) are listed
under `~text`.
"""

import contextlib
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain

import pyarrow as pa

from magnet_arrow import _arrow_compute as pc
from magnet_arrow import _interning
from magnet_arrow.decode.chunks import Chunk, CrowdedError
from magnet_arrow.decode.decoder import BadPieceError, NotPlainError
from magnet_arrow.decode.wire import Residual
from magnet_arrow.records.column_builders import InexactError, Shared, int32
from magnet_arrow.records.flatten import RunRows, Spreader, residual_text, row_place, undeclared
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import Table

GROUP_ROWS = 32_768
GROUP_BYTES = 16 << 20
"""A row group ends at a run's end, at the first of these: rows, or bytes of JSON. A longer run is several.

Half as long takes 5 % more bytes on `mmlu`, 2 % on `large` (`benchmarks/size.py`); four of 3,000 runs are then read
with a tenth less of processor time (`predict.py`), and an ingest's memory peaks 9 MB lower of 240.
"""


MAX_STAGED_ROWS = 1 << 18
"""How many rows one element may have, and how many are made at once of many: each may take 1,500 bytes."""


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
        return sum(column.nbytes for _, column in self.columns())

    def columns(self) -> "Iterator[tuple[str, pa.Array]]":
        """All columns, by name."""
        return chain(self.registered.items(), self.dynamic.items())

    def parts(self, size_bytes: int) -> "Iterator[Batch]":
        """The rows in batches whose repeated lists have items of at most so many bytes; of one row at least."""
        sizes = [
            _interning.item_bytes(column) for _, column in self.columns() if _interning.is_interned_list(column.type)
        ]
        if sum(pc.sum(size).as_py() or 0 for size in sizes) <= size_bytes:
            yield self
            return
        begin, filled = 0, 0
        for row, size in enumerate(map(sum, zip(*(size.to_pylist() for size in sizes), strict=True))):
            if row > begin and filled + size > size_bytes:
                yield self._slice(begin, row)
                begin, filled = row, 0
            filled += size
        yield self._slice(begin, self.rows)

    def _slice(self, begin: int, end: int) -> "Batch":
        runs = []
        for run in self.runs:
            first, last = max(run.first, begin), min(run.first + run.rows, end)
            if first < last:
                runs.append(replace(run, first=first - begin, rows=last - first, dynamic=dict(run.dynamic)))
        registered = {name: column.slice(begin, end - begin) for name, column in self.registered.items()}
        dynamic = {name: column.slice(begin, end - begin) for name, column in self.dynamic.items()}
        return Batch(self.table, end - begin, registered, dynamic, self.kinds, runs)


def plain_columns(batch: Batch) -> dict[str, pa.Array]:
    """All columns of a batch in their registered or stored types: a dictionary is only how one was made."""
    return {name: _interning.dense(column) for name, column in batch.columns()}


@dataclass(slots=True)
class _Run:
    key: str
    name: str
    first_row: int
    rows: int = 0


class Rows:
    """The rows of one table, of several runs, until they are a row group."""

    def __init__(self, name: str) -> None:
        self.table = registry.table(name)
        self._open_names: dict[str, set[str] | None] = {}
        self._next_row = 0
        self._reset()
        self._clear_staged()

    def _reset(self) -> None:
        """Begin a new row group."""
        self._runs: list[_Run] = []
        self._residuals: dict[int, Residual] = {}
        self._shared: tuple[Shared, ...] = ()
        self.rows = 0
        self.json_bytes = 0

    def _clear_staged(self) -> None:
        self._parts: deque[int] = deque()
        self._staged_residuals: dict[int, Residual] = {}

    @property
    def has_staged(self) -> bool:
        """Whether the run at hand has a file that is neither kept nor dropped; it may have no rows."""
        return bool(self._parts)

    @property
    def is_full(self) -> bool:
        """Whether it is time for a new row group."""
        return self.rows >= GROUP_ROWS or self.json_bytes >= GROUP_BYTES

    @property
    def staged_rows(self) -> int:
        """Rows staged since the last `keep`."""
        return sum(self._parts)

    @property
    def staged_parts(self) -> list[int]:
        """Rows of each file that `stage_plain` was given."""
        return list(self._parts)

    def stage(self, chunk: Chunk) -> None:
        """Some elements of the run at hand; `keep` or `drop` is to follow.

        What holds nothing out of the ordinary is taken at once, what does is looked at with care.

        Raises:
            BadFileError: one of them is no JSON, or too large.
            CrowdedError: there are too many of them; nothing is staged.
        """
        with contextlib.suppress(NotPlainError):
            self.stage_plain([chunk])
            if self.staged_rows <= MAX_STAGED_ROWS:
                return
            self.drop()
            if not chunk.is_part:
                raise CrowdedError
        if not chunk.is_part and chunk.is_crowded:
            raise CrowdedError
        self._stage(chunk)

    def stage_plain(self, files: Sequence[Chunk]) -> None:
        """The table's files of some runs at once; a `keep` for each or a `drop` for all is to follow.

        They lie one behind the other in a buffer.

        Raises:
            NotPlainError: one of them may hold something that needs another look. Nothing is staged.
        """
        self._stage_parts(self._stage_plain, files)

    def _stage_parts(self, stage: Callable[[Sequence[Chunk]], list[int]], files: Sequence[Chunk]) -> None:
        """Stage a part for each file, by a way that tells how many rows each has; all of them, or nothing."""
        try:
            self._parts.extend(stage(files))
        except (NotPlainError, InexactError, UnicodeDecodeError, BadPieceError):
            self.drop()
            raise NotPlainError from None

    def _stage_plain(self, files: Sequence[Chunk]) -> list[int]:
        """How many rows each file has."""
        raise NotPlainError

    def _stage(self, chunk: Chunk) -> None:
        raise AssertionError  # tables that are not arrays are staged in their own way

    def staged_residuals(self) -> Iterator[Residual]:
        """What no column holds of each staged row's element, object by object, as it stands in the element."""
        yield from self._staged_residuals.values()
        for part in self._shared:
            pointer = f"{part.pointer}/0" if part.pointer == "/stats" else part.pointer
            for residual in part.residuals_from(self.rows):
                yield moved(residual, pointer)

    def _add_staged(self, rows: int) -> None:
        """More rows of the run at hand."""
        if not self._parts:
            self._parts.append(0)
        self._parts[-1] += rows

    def keep(self, key: str, name: str, json_bytes: int = 0) -> None:
        """The rows staged first are of this run, and good. Called once a chunk for a run that is long."""
        rows = self._parts.popleft() if self._parts else 0
        for row, residual in self._staged_residuals.items():
            self._residuals[self.rows + row] = residual
        self._staged_residuals = {}
        if not rows:
            return
        if not self._runs or self._runs[-1].key != key:
            self._runs.append(_Run(key, name, self._next_row))
        self._runs[-1].rows += rows
        self._next_row += rows
        self.rows += rows
        self.json_bytes += json_bytes

    def drop(self) -> None:
        """The staged rows are of a bad run: forget them."""
        for part in self._shared:
            part.truncate(self.rows)
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
        found[registry.RUN_NAME] = _per_run([run.name for run in self._runs], counts)
        found[registry.RUN] = _per_run([run.key for run in self._runs], counts)
        found[registry.ROW] = _numbers([run.first_row for run in self._runs], counts)
        runs = _slices(self._runs)
        residuals = self._all_residuals()
        spreader = Spreader(runs, residuals, self._open_names)
        for spread in self.table.spreads:
            if spread.open and not residuals:
                continue
            texts = undeclared(spread, self.table, residuals, self.rows) if spread.open else found[spread.name]
            spreader.add(spread, texts)
        found[registry.EXTRA] = _residual_column(residuals, self.rows)
        registered = {name: found[name] for name in self.table.names}
        _note_occurring(self.table, registered, residuals, runs)
        batch = Batch(self.table, self.rows, registered, spreader.columns, spreader.kinds, runs)
        self._reset()
        return batch

    def _all_residuals(self) -> dict[int, Residual]:
        """Residuals by row, places as seen from the row's element."""
        residuals = dict(self._residuals)
        for part in self._shared:
            for row, residual in part.residual_rows(self.rows):
                residuals[row] = residuals.get(row, {}) | moved(residual, self._pointer_of(part, row))
        return residuals

    def _pointer_of(self, part: Shared, row: int) -> str:
        return part.pointer


def _slices(runs: Sequence[_Run]) -> list[RunRows]:
    slices, first = [], 0
    for run in runs:
        slices.append(RunRows(run.key, first, run.rows))
        first += run.rows
    return slices


def _per_run(values: Sequence[str], counts: Sequence[int]) -> pa.Array:
    """A value for each run, repeated over its rows."""
    distinct: dict[str, int] = {}
    codes = [distinct.setdefault(value, len(distinct)) for value in values]
    texts = pa.array(list(distinct), pa.string())
    return pa.DictionaryArray.from_arrays(_repeated(pa.array(codes, pa.int32()), counts), texts)


def _numbers(firsts: Sequence[int], counts: Sequence[int]) -> pa.Int64Array:
    """Numbers that count up from each of these so many times."""
    begins = accumulate(counts, initial=0)
    ahead = [first - begin for first, begin in zip(firsts, begins, strict=False)]
    return pc.add(pa.arange(0, sum(counts)), _repeated(pa.array(ahead, pa.int64()), counts))


def _repeated(values: pa.Array, counts: Sequence[int]) -> pa.Array:
    """Each value so many times, at least once."""
    return repeated(values, array("i", accumulate(counts)))


def repeated(values: pa.Array, ends: "array[int]") -> pa.Array:
    """Values, each in the rows up to the next of `ends`, which grow."""
    if not ends:
        return values
    encoded = pa.run_end_encoded(pa.int32(), values.type)
    parts = [int32(ends), values]
    # `from_arrays` makes a scalar, and looks for a library each time it does.
    return pc.run_end_decode(pa.RunEndEncodedArray.from_buffers(encoded, ends[-1], [None], 0, 0, parts))


def int64(numbers: "array[int]") -> pa.Int64Array:
    """Numbers as an Arrow array."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers.tobytes())])


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
    """The residuals as texts; what is one object for several rows is one text."""
    if not any(residuals.values()):
        return pa.nulls(rows, pa.string())
    texts: list[str] = []
    known: dict[int, int] = {}
    codes: list[int | None] = [None] * rows
    for row, residual in residuals.items():
        if residual and id(residual) not in known:
            known[id(residual)] = len(texts)
            texts.append(residual_text(residual))
        codes[row] = known.get(id(residual))
    return _interning.texts_of(codes, texts)


def _note_occurring(
    table: Table, columns: dict[str, pa.Array], residuals: dict[int, Residual], runs: list[RunRows]
) -> None:
    """Which registered columns each run has a key for, null or not."""
    everywhere = 0
    for bit, column in enumerate(columns.values()):
        nulls = column.null_count
        if not nulls:
            everywhere |= 1 << bit
        elif nulls < len(column):
            for run in runs:
                if column.slice(run.first, run.rows).null_count < run.rows:
                    run.occurs |= 1 << bit
    for run in runs:
        run.occurs |= everywhere
    bits = {column.pointer: 1 << bit for bit, column in enumerate(table.columns) if column.pointer}
    for run in runs:
        for row in range(run.first, run.first + run.rows) if residuals else ():
            for place in residuals.get(row, ()):
                run.occurs |= bits.get(row_place(table, place), 0)
