"""A snapshot to lazy frames of chosen runs: the one way by which frames are handed out.

It reads just the row groups of these runs, verifies page checksums, and gives every column the type that these runs
alone decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from magnet_arrow import freeform, schema
from magnet_arrow.cache import segments
from magnet_arrow.cache.manifest import StoredRows, TableEntry
from magnet_arrow.cache.shown import (
    Columns,
    Shown,
    bits_of,
    frame_schema,
    from_residual,
    hidden_columns,
    kinds_of,
    merge_kinds,
    occurring_columns,
    registered,
    shown_columns,
    without_shown,
)
from magnet_arrow.cache.snapshot import CachedRun, Snapshot
from magnet_arrow.columns import Batch, plain_columns
from magnet_arrow.freeform import Kind
from magnet_arrow.schema import EXTRA, RUN, Table
from magnet_arrow.spreading import with_overflow

_BATCH_ROWS = 65_536
_BATCH_BYTES = 8 << 20
_KEPT_BYTES = 16 << 20
"""Arrow bytes of row groups that stay when another is read."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows and columns to be read: runs as given, then file order. Nothing is read before `parts` is asked.

    Attributes:
        cache: its folder.
        table: which table.
        runs: in order.
        shown: the columns.
    """

    cache: Path
    table: Table
    runs: tuple[CachedRun, ...]
    shown: tuple[Shown, ...]

    @property
    def n_rows(self) -> int:
        """Rows in all, as the run lists say."""
        return sum(run.rows(self.table.name).rows for run in self.runs)

    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return pa.schema([pa.field(column.name, column.type.arrow) for column in self.shown])

    def parts(self) -> Iterator[pa.Table]:
        """The rows in tables of bounded size, page checksums verified.

        Raises:
            CacheDamagedError: as `read_runs`.
        """
        for _, of_segment in groupby(self.runs, key=lambda run: run.segment.id):
            chosen = [run for run in of_segment if run.rows(self.table.name).rows]
            if not chosen:
                continue
            entry = chosen[0].segment.tables[self.table.name]
            places = [run.rows(self.table.name) for run in chosen]
            for part in _parts(self.cache, entry, places, _stored_names(entry, self.shown)):
                yield _shape(part, self.table, entry.dynamic, self.shown)


def select_runs(
    snapshot: Snapshot, table: str, keys: Sequence[str], columns: Columns = "occurring", *, hidden: bool = False
) -> Selection:
    """What `read_runs` with the same arguments reads; it raises the same."""
    registry = schema.table(table)
    runs = snapshot.chosen(keys)
    shown = shown_columns(registry, runs, columns)
    if hidden:
        there = {column.name for column in shown}
        shown += [column for column in hidden_columns(registry, runs) if column.name not in there]
    return Selection(snapshot.path, registry, tuple(runs), tuple(shown))


def read_runs(
    snapshot: Snapshot,
    table: str,
    keys: Sequence[str],
    columns: Columns = "occurring",
    *,
    hidden: bool = False,
) -> pl.LazyFrame:
    """The rows of chosen runs: runs as given, then file order.

    Args:
        snapshot: of the cache.
        table: which table.
        keys: of the runs, in order.
        columns: "occurring" for those whose key occurs in one of these runs, "registered" for the full stable
            schema, or names. `run_spec` keeps HELM's order (free-form keys sorted, where their object stands); the
            others are `run_spec.name`, then by code point.
        hidden: with `magnet.run`, `magnet.row` and their like, at the end.

    Raises:
        RunNotCachedError: a key is not in the snapshot.
        ColumnNotFoundError: no such table or column.
    When collected:
        CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
    """
    chosen = select_runs(snapshot, table, keys, columns, hidden=hidden)
    return register_io_source(partial(_read, chosen), schema=frame_schema(chosen.shown), is_pure=True)


def _read(
    chosen: Selection,
    with_columns: list[str] | None,
    predicate: pl.Expr | None,
    n_rows: int | None,
    batch_size: int | None,
) -> Iterator[pl.DataFrame]:
    """What Polars calls for the rows: the columns that a query needs, filtered and cut as it says."""
    if with_columns is not None:
        chosen = replace(chosen, shown=tuple(column for column in chosen.shown if column.name in set(with_columns)))
    left = n_rows
    empty = True
    for frame in _frames(chosen):
        if left is not None and left <= 0:
            break
        part = frame if left is None else frame.head(left)
        left = None if left is None else left - part.height
        empty = False
        yield part if predicate is None else part.filter(predicate)
    if empty:
        yield pl.DataFrame(schema=frame_schema(chosen.shown))


def _frames(chosen: Selection) -> Iterator[pl.DataFrame]:
    for part in chosen.parts():
        # A frame without columns still has rows to count.
        yield pl.DataFrame(part) if chosen.shown else pl.DataFrame(height=part.num_rows)


def _stored_names(entry: TableEntry, shown: Sequence[Shown]) -> list[str]:
    """Columns to read from a segment's file for a frame's columns; at least one, for the number of rows."""
    names = [column.name for column in shown if column.registered or column.name in entry.dynamic]
    names += [name for column in shown for name in column.overflow if name in entry.dynamic]
    elsewhere = [column for column in shown if column.name not in names and column.type != freeform.NOTHING]
    if elsewhere and EXTRA not in names:
        names.append(EXTRA)
    return names or [RUN]


def _parts(cache: Path, entry: TableEntry, places: Sequence[StoredRows], names: Sequence[str]) -> Iterator[pa.Table]:
    """The rows at these places, in their order, in tables of bounded size."""
    slices: list[pa.Table] = []
    rows = size = 0
    with segments.open_table(cache, entry) as file:
        reader = _GroupReader(file, names)
        for place in places:
            skip, left = place.skip, place.rows
            for number in range(place.group, place.group + place.groups):
                group, row_bytes = reader.read(number)
                part = group.slice(skip, left)
                skip, left = 0, left - part.num_rows
                slices.append(part)
                rows, size = rows + part.num_rows, size + part.num_rows * row_bytes
                if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
                    yield pa.concat_tables(slices)
                    slices, rows, size = [], 0, 0
    if slices:
        yield pa.concat_tables(slices)


class _GroupReader:
    """Row groups of a file; the last few are kept, since neighbouring runs share one."""

    def __init__(self, file: segments.TableFile, names: Sequence[str]) -> None:
        self._file, self._names = file, names
        self._kept: dict[int, tuple[pa.Table, int]] = {}
        self._kept_bytes = 0

    def read(self, group: int) -> tuple[pa.Table, int]:
        """A row group, and bytes a row, which would take long to ask of each slice of it."""
        if group not in self._kept:
            while self._kept_bytes > _KEPT_BYTES:
                table, row_bytes = self._kept.pop(next(iter(self._kept)))
                self._kept_bytes -= row_bytes * table.num_rows
            table = self._file.read(group, self._names)
            self._kept[group] = table, table.nbytes // max(1, table.num_rows)
            self._kept_bytes += self._kept[group][1] * table.num_rows
        return self._kept[group]


def read_run_specs_of(
    snapshot: Snapshot, keys: Sequence[str], batch: Batch | None
) -> tuple[pl.DataFrame, frozenset[str]]:
    """The run specs of some runs, those in `batch` from there and the others from the cache: row i is of key i.

    Columns: those that occur, as in `read_runs`, and `magnet.run` at the end. And which of these are JSON text.
    """
    table = schema.table("run_spec")
    fresh = {run.key for run in batch.runs} if batch else set()
    cached = tuple(snapshot.chosen([key for key in dict.fromkeys(keys) if key not in fresh]))
    bits, kinds = bits_of(table, cached), kinds_of(table, cached)
    for run in batch.runs if batch else ():
        bits |= run.occurs
        merge_kinds(kinds, run.dynamic)
    shown = (*occurring_columns(table, bits, kinds), registered(table, RUN))
    frames = [pl.DataFrame(schema=frame_schema(shown)), *_frames(Selection(snapshot.path, table, cached, shown))]
    if batch:
        stored = {name: int(kind) for name, kind in batch.kinds.items()}
        frames.append(pl.DataFrame(_shape(pa.table(plain_columns(batch)), table, stored, shown)))
    rows = pl.concat(frames)
    place = {key: row for row, key in enumerate(rows.get_column(RUN))}
    return rows[[place[key] for key in keys]], frozenset(column.name for column in shown if column.type.is_json)


def _shape(part: pa.Table, table: Table, dynamic: Mapping[str, int], shown: Sequence[Shown]) -> pa.Table:
    """A part with just a frame's columns, in its types; `dynamic` tells the kinds of its own columns."""
    if not shown:
        return part.select([])  # which keeps the number of rows
    columns = []
    for column in shown:
        if column.registered:
            stored = {name: Kind(dynamic[name]) for name in column.overflow if name in dynamic}
            values = part.column(column.name)
            if any(name not in dynamic for name in column.shown):
                values = without_shown(values, table, column, dynamic)
            columns.append(with_overflow(values, part, table, stored) if stored else values)
        elif column.type == freeform.NOTHING:
            columns.append(pa.nulls(part.num_rows))
        elif column.name in dynamic:
            have = freeform.stored_type(Kind(dynamic[column.name]))
            columns.append(freeform.convert(part.column(column.name).combine_chunks(), have, column.type))
        else:
            columns.append(from_residual(part.column(EXTRA), table, column))
    return pa.table(columns, names=[column.name for column in shown])
