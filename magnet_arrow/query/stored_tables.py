"""The stored rows of one run after another, in their stored types."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import CellType, Kind
from magnet_arrow.storage.segments import shared_text
from magnet_arrow.storage.segments.reader import open_table
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_BATCH_BYTES = 8 << 20
_GROUP_BYTES = 256 << 20
"""A row group up to this size is kept with a string for each row."""


def stored_types(run: CachedRun, table: str) -> dict[str, CellType]:
    """The stored columns of a run that were found in the data, as its segment has them."""
    if not run.rows(table).rows:
        return {}
    dynamic = run.segment.tables[table].dynamic
    return {name: dynamic_types.stored_type(Kind(dynamic[name])) for name in run.dynamic(table) if name in dynamic}


@dataclass(frozen=True, slots=True)
class _Group:
    """A row group of a segment's table.

    Attributes:
        rows: texts are plain strings where there is room for that, see `shared_text`.
        row_bytes: average bytes of a row, as asking for each run's part is slow; 0 where there was no room.
    """

    segment: str
    number: int
    rows: pa.Table
    names: frozenset[str]
    row_bytes: int


class StoredTables:
    """The tables of a snapshot, read run by run.

    Neighbouring runs share a row group, so the last one of each table is kept: 10,000 runs of 100 kB would else read
    each group some 600 times.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._kept: dict[str, _Group] = {}

    def rows(self, run: CachedRun, table: str) -> Iterator[pa.Table]:
        """All that is stored of a run's rows, in parts of bounded size.

        Columns: registered ones that occur in the run, hidden ones, and those of `stored_types`, if they are there.

        Raises:
            CacheDamagedError: a segment that the manifest names is missing, cut, or has a flipped bit.
        """
        stored = run.rows(table)
        schema = registry.table(table)
        bits = run.occurs(table)
        names = [name for bit, name in enumerate(schema.names) if bits >> bit & 1 or name in schema.hidden]
        names += stored_types(run, table)
        skip, left = stored.skip, stored.rows
        for number in range(stored.group, stored.group + stored.groups):
            group = self._group(run, table, number)
            part = group.rows.slice(skip, left).select([name for name in names if name in group.names])
            skip, left = 0, left - part.num_rows
            if not group.row_bytes:
                yield from shared_text.plain_parts(part, _BATCH_BYTES)
                continue
            step = max(1, _BATCH_BYTES // group.row_bytes)
            for begin in range(0, part.num_rows, step):
                yield part.slice(begin, step)

    def _group(self, run: CachedRun, table: str, number: int) -> "_Group":
        kept = self._kept.pop(table, None)  # before another is read, so that there are never two
        if kept is None or (kept.segment, kept.number) != (run.segment.id, number):
            kept = None
            with open_table(self._snapshot.path, run.segment.tables[table], interned=True) as file:
                rows = file.read(number, file.names)
            row_bytes = 0
            if shared_text.plain_bytes(rows) <= _GROUP_BYTES:
                (rows,) = shared_text.plain_parts(rows, _GROUP_BYTES)
                row_bytes = 1 + rows.nbytes // max(1, rows.num_rows)
            kept = _Group(run.segment.id, number, rows, frozenset(rows.column_names), row_bytes)
        self._kept[table] = kept
        return kept
