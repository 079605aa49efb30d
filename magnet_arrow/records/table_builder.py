"""Elements of files to rows, and the rows of many runs to row groups, by the registry.

Each table has a `TableBuilder`. It reads elements into `Rows`, which are in no row group yet. The reader of a run
appends them when all files of the run are known to be good. What was appended becomes one row group, a `Batch`.

What no column holds of a row is its residual (`magnet.extra`): JSON text of the values by their JSON pointer in the
row's element, an explicit null included. Places that held a plain string for `{"text": ...}` (HELM 0.1.0) are listed
under `~text`.
"""

import contextlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow as pa

from magnet_arrow import _arrow_compute as pc
from magnet_arrow import _interning
from magnet_arrow._interning import Numbers
from magnet_arrow.decode.chunks import Chunk, CrowdedError
from magnet_arrow.decode.decoder import BadPieceError, FastDecodeError
from magnet_arrow.decode.wire import Residual
from magnet_arrow.records.column_builders import InexactError, int32
from magnet_arrow.records.flatten import Flattener, OpenNames, residual_text, row_place, undeclared
from magnet_arrow.records.interner import Interner
from magnet_arrow.records.row_group import Batch, RunRows
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Table

GROUP_ROWS = 32_768
GROUP_BYTES = 16 << 20
"""A row group ends at a run's end, at the first of these: rows, or bytes of JSON. A longer run is several.

Half as long takes 5 % more bytes on `mmlu`, 2 % on `large` (`benchmarks/size.py`); four of 3,000 runs are then read
with a tenth less of processor time (`predict.py`), and an ingest's memory peaks 9 MB lower of 240.
"""

MAX_ROWS_AT_ONCE = 1 << 18
"""How many rows one element may have, and how many are read at once of many: each may take 1,500 bytes."""


class Owner(NamedTuple):
    """A run that rows are appended for.

    Attributes:
        key: the run, as `magnet.run` has it.
        name: its name.
        json_bytes: bytes of JSON that the rows were read from.
    """

    key: str
    name: str
    json_bytes: int = 0


@dataclass(slots=True)
class Rows:
    """Rows that were read and not appended yet. They are of no use after the next `flush` of their builder.

    Attributes:
        counts: how many each file has.
        residuals: what no column holds of a row's element, by row.
        rowless: elements without a row, by their place in the file.
    """

    counts: list[int]
    residuals: dict[int, Residual] = field(default_factory=dict, kw_only=True)
    rowless: dict[int, Any] = field(default_factory=dict, kw_only=True)

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.counts)


R = TypeVar("R", bound=Rows)


@dataclass(slots=True)
class _Run:
    key: str
    name: str
    first_row: int
    rows: int = 0


class TableBuilder(Generic[R]):
    """Builds row groups of one table.

    Attributes:
        table: which.
        rows: how many were appended to the row group that is being built.
    """

    def __init__(self, name: str) -> None:
        self.table = registry.table(name)
        self._key = ""  # the run whose rows were appended last
        self._next_row = 0  # its next row
        self._open_names: dict[str, OpenNames] = {}
        self._begin_group()

    def _begin_group(self) -> None:
        self._runs: list[_Run] = []
        self._residuals: dict[int, Residual] = {}
        self._interners: tuple[Interner, ...] = ()
        self.rows = 0
        self._json_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time for a new row group."""
        return self.rows >= GROUP_ROWS or self._json_bytes >= GROUP_BYTES

    def read_files(self, files: Sequence[Chunk]) -> R:
        """The table's files of some runs at once, if all are ordinary.

        Args:
            files: complete ones, which follow one another in a buffer.

        Raises:
            FastDecodeError: one of them may hold something that needs a closer look.
        """
        try:
            return self._read_files(files)
        except (InexactError, UnicodeDecodeError, BadPieceError):
            raise FastDecodeError from None

    def _read_files(self, files: Sequence[Chunk]) -> R:
        raise FastDecodeError

    def residuals_of(self, rows: R) -> Iterator[Residual]:
        """What no column holds of each row's element, object by object, as it is in the element."""
        yield from rows.residuals.values()

    def append(self, rows: R, owners: Sequence[Owner]) -> None:
        """Append rows: they are good.

        Args:
            rows: as read.
            owners: the run of each file, in order. A run may come again with its next rows, before any other.
        """
        self._append_values(rows)
        for row, residual in rows.residuals.items():
            self._residuals[self.rows + row] = residual
        for owner, count in zip(owners, rows.counts, strict=True):
            if owner.key != self._key:
                self._key, self._next_row, self._open_names = owner.key, 0, {}
            if count:
                self._add_run(owner, count)

    def _append_values(self, rows: R) -> None:
        """Append what is in the table's own columns."""

    def _add_run(self, owner: Owner, count: int) -> None:
        if not self._runs or self._runs[-1].key != owner.key:
            self._runs.append(_Run(owner.key, owner.name, self._next_row))
        self._runs[-1].rows += count
        self._next_row += count
        self.rows += count
        self._json_bytes += owner.json_bytes

    def flush(self) -> Batch:
        """Return all appended rows as a row group, and begin the next one."""
        batch = self.finish()
        self._begin_group()
        return batch

    def finish(self) -> Batch:
        """Return all appended rows as a row group. The builder is of no use any more."""
        counts = [run.rows for run in self._runs]
        found = dict(self._columns())
        found[registry.RUN_NAME] = _per_run([run.name for run in self._runs], counts)
        found[registry.RUN] = _per_run([run.key for run in self._runs], counts)
        found[registry.ROW] = _numbers([run.first_row for run in self._runs], counts)
        runs = _slices(self._runs)
        residuals = self._all_residuals()
        flattener = Flattener(runs, residuals, self._open_names)
        for owner in self.table.dynamic_objects:
            if owner.open and not residuals:
                continue
            texts = undeclared(owner, self.table, residuals, self.rows) if owner.open else found[owner.name]
            flattener.add(owner, texts)
        found[registry.EXTRA] = _residual_column(residuals, self.rows)
        registered = {name: found[name] for name in self.table.names}
        _note_occurring(self.table, registered, residuals, runs)
        return Batch(self.table, self.rows, registered, flattener.columns, flattener.kinds, runs)

    def _columns(self) -> Iterator[tuple[str, pa.Array]]:
        """The columns but those that every table has."""
        for interner in self._interners:
            yield from interner.columns()

    def _all_residuals(self) -> dict[int, Residual]:
        """Residuals by row, with places relative to the row's element."""
        residuals = dict(self._residuals)
        for interner in self._interners:
            for row, residual in interner.residual_rows():
                residuals[row] = residuals.get(row, {}) | moved(residual, self._pointer_of(interner, row))
        return residuals

    def _pointer_of(self, interner: Interner, row: int) -> str:
        return interner.pointer


class ArrayBuilder(TableBuilder[R]):
    """Builds row groups of a table whose file is, or has, an array of elements."""

    def read(self, chunk: Chunk, beside: Any = None) -> R:
        """The rows of some elements of one run.

        Those that are ordinary are decoded all at once; if one is not, all of them with care.

        Args:
            chunk: the elements.
            beside: what is in the file beside the array; None if the file is the array.

        Raises:
            BadFileError: one of them is no JSON, or too large.
            CrowdedError: there are too many of them.
        """
        with contextlib.suppress(FastDecodeError, InexactError, UnicodeDecodeError, BadPieceError):
            rows = self._read_fast([chunk])
            if rows.count <= MAX_ROWS_AT_ONCE:
                return rows
            if not chunk.is_part:
                raise CrowdedError
        if not chunk.is_part and chunk.is_crowded:
            raise CrowdedError
        return self._read_carefully(chunk)

    def _read_files(self, files: Sequence[Chunk]) -> R:
        return self._read_fast(files)

    def _read_fast(self, chunks: Sequence[Chunk]) -> R:
        """The rows of chunks that follow one another in a buffer, if all their elements are ordinary.

        Raises:
            FastDecodeError, InexactError, UnicodeDecodeError, BadPieceError: one may not be.
        """
        raise NotImplementedError

    def _read_carefully(self, chunk: Chunk) -> R:
        """The rows of a chunk, each element decoded by itself.

        Raises:
            BadFileError: one is no JSON, or has too many rows.
            CrowdedError: together they have too many.
        """
        raise NotImplementedError


def _slices(runs: Sequence[_Run]) -> list[RunRows]:
    slices, first = [], 0
    for run in runs:
        slices.append(RunRows(run.key, first, run.rows))
        first += run.rows
    return slices


def _per_run(values: Sequence[str], counts: Sequence[int]) -> pa.Array:
    """A value for each run, repeated over its rows."""
    numbers: Numbers[str] = Numbers()
    codes = [numbers[value] for value in values]
    texts = pa.array(list(numbers), pa.string())
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


def moved(residual: Residual, pointer: str) -> Residual:
    """A residual with `pointer` put before each of its places."""
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
    """The residuals as texts, each of which is kept once; what is one object for several rows is written once."""
    if not any(residuals.values()):
        return pa.nulls(rows, pa.string())
    texts = _interning.Numbers[str]()
    known: dict[int, int] = {}
    codes: list[int | None] = [None] * rows
    for row, residual in residuals.items():
        if residual and id(residual) not in known:
            known[id(residual)] = texts[residual_text(residual)]
        codes[row] = known.get(id(residual))
    return _interning.texts_of(codes, list(texts))


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
