"""A snapshot to lazy frames of chosen runs. Every frame is made here.

A frame reads just the row groups of these runs and verifies page checksums. The type of a column depends on these runs
alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source

from magnet_arrow.query import row_places, run_columns, text_views
from magnet_arrow.query.chosen_rows import ChosenRows, RowReader, in_stored_order, shaped
from magnet_arrow.query.polars_types import frame_schema
from magnet_arrow.query.projection import (
    Columns,
    ProjectedColumn,
    found_in_data,
    hidden_columns,
    occurring_columns,
    projected_columns,
    registered,
)
from magnet_arrow.query.run_columns import RUN_COLUMNS
from magnet_arrow.records.row_group import Batch, plain_columns
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import RUN, RUN_NAME, Table
from magnet_arrow.storage.profiles import bits_of, kinds_of, merge_kinds
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_WINDOW_ROWS = 65_536
_WINDOW_BYTES = 4 << 20
"""Rows that are put in order together, and their bytes in Parquet: some 70 MB in memory."""

OwnColumns = Literal["none", "run", "hidden"]
"""Which of our own columns are added to those of a table."""


class Selection(ChosenRows):
    """Rows and columns to be read as frames."""

    __slots__ = ()

    def lazy(self) -> pl.LazyFrame:
        """The rows as a lazy frame.

        Raises when it is collected:
            CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
        """
        source = partial(_read, self)
        return register_io_source(source, schema=frame_schema(self.projection), is_pure=True)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows in frames of one or several row groups each, page checksums verified.

        Texts that recur are in memory once. Row groups that are met again and again, as the runs are in another order
        than in the cache, are read once for many rows.

        Raises:
            CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
        """
        name = self.table.name
        with RowReader(self) as reader:
            for window in row_places.windows(reader.visits(), _WINDOW_ROWS, _WINDOW_BYTES, name):
                found, order = row_places.merged(window)
                if order is None:
                    yield from map(self._frame, map(reader.read, found))
                else:
                    yield pl.concat(map(self._frame, map(reader.read, found)))[order]

    def _frame(self, rows: pa.Table) -> pl.DataFrame:
        # A frame without columns still has rows to count.
        types = frame_schema(self.projection)
        return text_views.frame_of(rows, types) if self.projection else pl.DataFrame(height=rows.num_rows)


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
    entries = in_stored_order(snapshot, table)
    projection = [registered(schema, name) for name in schema.names if name not in schema.hidden]
    projection += hidden_columns(schema)
    projection += [found_in_data(name, kind) for name, kind in sorted(kinds_of(schema, entries).items())]
    return Selection(snapshot.path, schema, tuple(entries), tuple(projection)).lazy()


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
    read = text_views.frame_of(shaped(pa.table(plain_columns(batch)), stored, projection), frame_schema(projection))
    rows = pl.concat([*chosen.frames(), read])
    place = {key: row for row, key in enumerate(rows.get_column(RUN))}
    return rows[[place[key] for key in keys]].lazy(), json_columns
