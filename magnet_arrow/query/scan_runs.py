"""A snapshot to lazy frames of chosen runs. Every frame is made here.

A frame reads just the row groups of these runs and verifies page checksums. The type of a column depends on these runs
alone.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from magnet_arrow import _interning
from magnet_arrow.query import row_places, run_columns
from magnet_arrow.query.projection import (
    Columns,
    ProjectedColumn,
    found_in_data,
    frame_schema,
    hidden_columns,
    occurring_columns,
    projected_columns,
    registered,
)
from magnet_arrow.query.row_places import Visit
from magnet_arrow.query.run_columns import RUN_COLUMNS
from magnet_arrow.records.row_group import Batch, plain_columns
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.registry import EXTRA, RUN, RUN_NAME, Table
from magnet_arrow.storage.manifest import Segment
from magnet_arrow.storage.profiles import bits_of, in_residual, kinds_of, merge_kinds
from magnet_arrow.storage.segments import shared_text
from magnet_arrow.storage.segments.reader import TableFile, open_table
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_BATCH_ROWS = 65_536
_BATCH_BYTES = 8 << 20
"""A part of a stream ends at the first of these, in Arrow bytes."""
_WINDOW_ROWS = 65_536
_WINDOW_BYTES = 4 << 20
"""Rows that are put in order together, and their bytes in Parquet: some 70 MB in memory."""

OwnColumns = Literal["none", "run", "hidden"]
"""Which of our own columns are added to those of a table."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows and columns to be read: runs as given, then file order. Nothing is read before `parts` is asked.

    Attributes:
        cache: its folder.
        table: which table.
        runs: in order.
        projection: the columns.
    """

    cache: Path
    table: Table
    runs: tuple[CachedRun, ...]
    projection: tuple[ProjectedColumn, ...]

    @property
    def n_rows(self) -> int:
        """Rows in all, as the run lists say."""
        return sum(run.rows(self.table.name).rows for run in self.runs)

    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return pa.schema([pa.field(column.name, column.type.arrow) for column in self.projection])

    @property
    def json_columns(self) -> frozenset[str]:
        """Columns found in the data whose texts are JSON: their values are of several kinds."""
        return frozenset(column.name for column in self.projection if column.type.is_json)

    def lazy(self) -> pl.LazyFrame:
        """The rows as a lazy frame.

        Raises when it is collected:
            CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
        """
        source = partial(_read, self)
        return register_io_source(source, schema=frame_schema(self.projection), is_pure=True)

    def parts(self) -> Iterator[pa.Table]:
        """The rows in tables of bounded size, page checksums verified.

        Raises:
            CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
        """
        fields = self.schema()
        held: list[pa.Table] = []
        rows = size = 0
        with _Reader(self) as reader:
            for visit in reader.visits():
                for part in shared_text.plain_parts(reader.read(visit), _BATCH_BYTES):
                    held.append(part.cast(fields))
                    rows, size = rows + part.num_rows, size + part.nbytes
                    if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
                        yield pa.concat_tables(held)
                        held, rows, size = [], 0, 0
        if held:
            yield pa.concat_tables(held)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows in frames of one or several row groups each, page checksums verified.

        Texts that recur are in memory once. Row groups that are met again and again, as the runs are in another order
        than in the cache, are read once for many rows.

        Raises:
            CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
        """
        name = self.table.name
        with _Reader(self) as reader:
            for window in row_places.windows(reader.visits(), _WINDOW_ROWS, _WINDOW_BYTES, name):
                found, order = row_places.merged(window)
                if order is None:
                    yield from map(reader.frame, found)
                else:
                    yield pl.concat(map(reader.frame, found))[order]


def select_runs(
    snapshot: Snapshot,
    table: str,
    keys: Sequence[str],
    columns: Columns = "occurring",
    *,
    own: OwnColumns = "none",
    telling: Sequence[str] | None = None,
) -> Selection:
    """The rows of chosen runs, to be read: runs as given, then file order.

    Args:
        snapshot: of the cache.
        table: which table.
        keys: of the runs, in order.
        columns: "occurring" for those whose key occurs in one of these runs, "registered" for the full stable
            schema, or names. `run_spec` keeps HELM's order (free-form keys sorted, where their object would be); the
            others are `run_spec.name`, then by code point. Names may be `run_columns.RUN_COLUMNS`, too.
        own: columns of ours to add at the end: `magnet.run` ("run"), or all hidden ones (`magnet.run`, `magnet.row`
            and others).
        telling: those of `run_columns.RUN_COLUMNS` that "occurring" has; None for those that are needed to tell these
            runs apart.

    Raises:
        RunNotCachedError: a key is not in the snapshot.
        ColumnNotFoundError: no such table or column.
    """
    schema = registry.table(table)
    runs = snapshot.chosen(keys)
    projection = _projection(snapshot, schema, runs, columns, telling)
    there = {column.name for column in projection}
    if own == "hidden":
        projection += [column for column in hidden_columns(schema) if column.name not in there]
    elif own == "run" and RUN not in there:
        projection.append(registered(schema, RUN))
    return Selection(snapshot.path, schema, tuple(runs), tuple(projection))


def _projection(
    snapshot: Snapshot, table: Table, runs: Sequence[CachedRun], columns: Columns, telling: Sequence[str] | None
) -> list[ProjectedColumn]:
    """The requested columns. Those that say where a run is follow the run's name."""

    def run_column(name: str) -> ProjectedColumn:
        sources = {source.id: source.path for source in snapshot.manifest.sources}
        values = run_columns.values_by_run(name, runs, sources)
        return ProjectedColumn(name, run_columns.TYPE, registered=False, by_run=values)

    if not isinstance(columns, str):
        others = iter(projected_columns(table, runs, [name for name in columns if name not in RUN_COLUMNS]))
        return [run_column(name) if name in RUN_COLUMNS else next(others) for name in columns]
    projection = projected_columns(table, runs, columns)
    if columns == "occurring" and table.of == "run":
        names = run_columns.telling_apart(runs) if telling is None else telling
        behind = [column.name for column in projection].index(RUN_NAME) + 1
        projection[behind:behind] = map(run_column, names)
    return projection


def read_all(snapshot: Snapshot, table: str) -> pl.LazyFrame:
    """All rows of a table, lazily, in the order in which they are stored; see `Cache.scan`."""
    schema = registry.table(table)
    entries = list(snapshot.entries.values())
    places = {segment.id: number for number, segment in enumerate(snapshot.manifest.segments)}

    def place(run: CachedRun) -> tuple[int, int, int]:
        rows = run.rows(table)
        return places[run.segment.id], rows.group, rows.skip

    projection = [registered(schema, name) for name in schema.names if name not in schema.hidden]
    projection += hidden_columns(schema)
    projection += [found_in_data(name, kind) for name, kind in sorted(kinds_of(schema, entries).items())]
    return Selection(snapshot.path, schema, tuple(sorted(entries, key=place)), tuple(projection)).lazy()


def _read(
    chosen: Selection,
    with_columns: list[str] | None,
    predicate: pl.Expr | None,
    n_rows: int | None,
    batch_size: int | None,
) -> Iterator[pl.DataFrame]:
    """Called by Polars for the rows, with the columns, filter and limit of the query."""
    if with_columns is not None:
        chosen = replace(
            chosen, projection=tuple(column for column in chosen.projection if column.name in set(with_columns))
        )
    left = n_rows
    empty = True
    for frame in chosen.frames() if n_rows != 0 else ():
        part = frame if left is None else frame.head(left)
        empty = False
        yield part if predicate is None else part.filter(predicate)
        if left is not None:
            left -= part.height
            if not left:
                break
    if empty:
        yield pl.DataFrame(schema=frame_schema(chosen.projection))


class _Reader:
    """The row groups of a selection; one file is open at a time."""

    def __init__(self, chosen: Selection) -> None:
        self._chosen = chosen
        bits = bits_of(chosen.table, chosen.runs)
        # The residual may hold values of columns that a segment no longer has, even if no run had one.
        occurring = {name for bit, name in enumerate(chosen.table.names) if bits >> bit & 1 or name == EXTRA}
        self._absent = {column.name for column in chosen.projection if column.registered} - occurring
        one_of_segment = {run.segment.id: run for run in chosen.runs}
        self._in_residual = {
            key: in_residual(run.segment, run.profiles, chosen.table) for key, run in one_of_segment.items()
        }
        self._open = contextlib.ExitStack()
        self._file: TableFile
        self._segment = ""
        self._group_rows: dict[str, list[int]] = {}

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def visits(self) -> Iterator[Visit]:
        """The row groups that hold the rows, in their order."""
        return row_places.visits(self._chosen.runs, self._chosen.table.name, self._rows_of_group)

    def _rows_of_group(self, segment: Segment, group: int) -> int:
        if segment.id not in self._group_rows:
            self._group_rows[segment.id] = self._file_of(segment).group_rows
        return self._group_rows[segment.id][group]

    def read(self, visit: Visit) -> pa.Table:
        """The rows of a visit with the columns of the selection; texts that recur as dictionaries."""
        projection, dynamic = self._chosen.projection, self._dynamic(visit.segment)
        names = [name for name in _stored_names(projection, dynamic) if name not in self._absent]
        group = self._file_of(visit.segment).read(visit.group, names or [RUN])
        return _shape(row_places.take(group, visit), dynamic, projection)

    def _dynamic(self, segment: Segment) -> Mapping[str, int]:
        """Kinds in the columns of a segment's table that were found in the data."""
        return {**segment.tables[self._chosen.table.name].dynamic, **self._in_residual[segment.id]}

    def frame(self, visit: Visit) -> pl.DataFrame:
        """As `read`, for Polars."""
        rows = self.read(visit)
        # A frame without columns still has rows to count.
        projection = self._chosen.projection
        return (
            shared_text.frame_of(rows, frame_schema(projection)) if projection else pl.DataFrame(height=rows.num_rows)
        )

    def _file_of(self, segment: Segment) -> TableFile:
        if segment.id != self._segment:
            self._open.close()
            self._segment = ""
            entry = segment.tables[self._chosen.table.name]
            file = open_table(self._chosen.cache, entry, interned=True, in_residual=self._in_residual[segment.id])
            self._file = self._open.enter_context(file)
            self._segment = segment.id
        return self._file


def _stored_names(projection: Sequence[ProjectedColumn], dynamic: Mapping[str, int]) -> list[str]:
    """Columns to read from a segment's file for a frame's columns."""
    names = [column.name for column in projection if column.registered or column.name in dynamic]
    return [*names, RUN] if RUN not in names and any(column.by_run is not None for column in projection) else names


def read_run_specs_of(
    snapshot: Snapshot, keys: Sequence[str], batch: Batch | None
) -> tuple[pl.LazyFrame, frozenset[str]]:
    """The run specs of some runs, those in `batch` from there and the others from the cache: row i is of key i.

    Columns: those that occur, as in `select_runs`, and `magnet.run` at the end. And which of these are JSON text.
    """
    table = registry.table("run_spec")
    fresh = {run.key for run in batch.runs} if batch else set()
    cached = snapshot.chosen([key for key in keys if key not in fresh])
    bits, kinds = bits_of(table, cached), kinds_of(table, cached)
    for run in batch.runs if batch else ():
        bits |= run.occurs
        merge_kinds(kinds, run.dynamic)
    projection = (*occurring_columns(table, bits, kinds), registered(table, RUN))
    chosen = Selection(snapshot.path, table, tuple(cached), projection)
    json_columns = frozenset(column.name for column in projection if column.type.is_json)
    if batch is None:
        return chosen.lazy(), json_columns
    stored = {name: int(kind) for name, kind in batch.kinds.items()}
    read = shared_text.frame_of(_shape(pa.table(plain_columns(batch)), stored, projection), frame_schema(projection))
    rows = pl.concat([*chosen.frames(), read])
    place = {key: row for row, key in enumerate(rows.get_column(RUN))}
    return rows[[place[key] for key in keys]].lazy(), json_columns


def _shape(part: pa.Table, dynamic: Mapping[str, int], projection: Sequence[ProjectedColumn]) -> pa.Table:
    """A part with just a frame's columns, in its types; `dynamic` tells the kinds of its own columns."""
    if not projection:
        return part.select([])  # which keeps the number of rows
    types = {column.name: column.type for column in projection if not column.registered and column.by_run is None}
    found = dynamic_types.convert_all(part, dynamic, types, part.num_rows)
    there = set(part.column_names)
    columns = []
    for column in projection:
        if column.by_run is not None:
            columns.append(run_columns.column(part.column(RUN), column.by_run))
        elif not column.registered:
            columns.append(_without_interned_lists(found[column.name]))
        elif column.name in there:
            columns.append(part.column(column.name))
        else:
            columns.append(pa.nulls(part.num_rows, column.type.arrow))
    return pa.table(columns, names=[column.name for column in projection])


def _without_interned_lists(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return _interning.dense(column) if _interning.is_interned_list(column.type) else column
