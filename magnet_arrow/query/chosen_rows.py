"""Rows of chosen runs, read by row group into Arrow tables with the columns of a projection. No Polars is needed."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from magnet_arrow import _interning
from magnet_arrow.query import row_places, run_columns
from magnet_arrow.query.projection import ProjectedColumn
from magnet_arrow.query.row_places import Visit
from magnet_arrow.schema import dynamic_types
from magnet_arrow.schema.registry import EXTRA, RUN, Table
from magnet_arrow.storage.manifest import Segment
from magnet_arrow.storage.profiles import bits_of, in_residual
from magnet_arrow.storage.segments import shared_text
from magnet_arrow.storage.segments.reader import TableFile, open_table
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_BATCH_ROWS = 65_536
_BATCH_BYTES = 8 << 20
"""A part of a stream ends at the first of these, in Arrow bytes."""


@dataclass(frozen=True, slots=True)
class ChosenRows:
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

    def parts(self) -> Iterator[pa.Table]:
        """The rows in tables of bounded size, page checksums verified.

        Raises:
            CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
        """
        fields = self.schema()
        held: list[pa.Table] = []
        rows = size = 0
        with RowReader(self) as reader:
            for visit in reader.visits():
                for part in shared_text.plain_parts(reader.read(visit), _BATCH_BYTES):
                    held.append(part.cast(fields))
                    rows, size = rows + part.num_rows, size + part.nbytes
                    if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
                        yield pa.concat_tables(held)
                        held, rows, size = [], 0, 0
        if held:
            yield pa.concat_tables(held)


def in_stored_order(snapshot: Snapshot, table: str) -> list[CachedRun]:
    """All runs and suites, in the order in which their rows of a table are stored."""
    places = {segment.id: number for number, segment in enumerate(snapshot.manifest.segments)}

    def place(run: CachedRun) -> tuple[int, int, int]:
        rows = run.rows(table)
        return places[run.segment.id], rows.group, rows.skip

    return sorted(snapshot.entries.values(), key=place)


class RowReader:
    """The row groups of a selection; one file is open at a time."""

    def __init__(self, chosen: ChosenRows) -> None:
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

    def __enter__(self) -> "RowReader":
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
        return shaped(row_places.take(group, visit), dynamic, projection)

    def _dynamic(self, segment: Segment) -> Mapping[str, int]:
        """Kinds in the columns of a segment's table that were found in the data."""
        return {**segment.tables[self._chosen.table.name].dynamic, **self._in_residual[segment.id]}

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


def shaped(part: pa.Table, dynamic: Mapping[str, int], projection: Sequence[ProjectedColumn]) -> pa.Table:
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
