"""Merges segments into one: their live runs sorted by place, in row groups as an ingest would make them.

Memory is bounded by row groups, not by the size of the segments. One row group is made at a time. Some of those that
were read are kept, since runs that are neighbours by place often share one. `query.stored_tables` keeps one row group
per table instead: it converts each group once, and meets the runs of one segment in order.
"""

import contextlib
import secrets
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from magnet_arrow.errors import CacheError
from magnet_arrow.records.table_builder import GROUP_BYTES, GROUP_ROWS
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import Table
from magnet_arrow.sources.file import plain_name
from magnet_arrow.storage import checksums, commit
from magnet_arrow.storage.maintenance import vacuum
from magnet_arrow.storage.manifest import Segment, TableEntry
from magnet_arrow.storage.profiles import bits_of, kinds_of
from magnet_arrow.storage.segments.reader import TableFile, open_table
from magnet_arrow.storage.segments.writer import (
    EVERY_TEXT,
    PART_BYTES,
    Placed,
    fitted,
    open_writer,
    restored_table,
    stored_columns,
    write_group,
    write_runs,
)
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_KEPT_BYTES = 16 << 20
"""Arrow bytes of row groups that stay when they have been read."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one run in one row group."""

    run: CachedRun
    group: int
    first: int
    rows: int


def merge(snapshot: Snapshot, chosen: Sequence[Segment]) -> Segment:
    """A finished segment with all live runs of some others, which are of this schema version.

    No manifest names it yet, and nothing is flushed to disk.

    Raises:
        CacheDamagedError: a file of one of them can't be read.
        CacheNotWritableError: the disk refused. Nothing of the new segment is left.
    """
    ids = {segment.id for segment in chosen}
    live = [run for run in snapshot.entries.values() if run.segment.id in ids]
    live.sort(key=lambda run: run.key)
    new = secrets.token_hex(8)
    paths = {name: snapshot.path / name / f"{new}.parquet" for name in registry.TABLES}
    placed: dict[str, dict[str, Placed]] = {}
    tables = {}
    try:
        for name, path in paths.items():
            runs = [run for run in live if run.rows(name).rows]
            if runs:
                merger = _TableMerger(snapshot.path, registry.table(name), runs)
                tables[name] = merger.write(path)
                placed[name] = merger.placed
        entry = write_runs(snapshot.path, new, (run.entry for run in live), placed)
    except BaseException as error:
        vacuum.discard(snapshot.path, new)
        if isinstance(error, OSError | pa.ArrowException) and not isinstance(error, CacheError):
            raise commit.not_writable(snapshot.path, OSError(str(error))) from error
        raise
    return Segment(new, tables, entry, len(live), schema_version=registry.SCHEMA_VERSION)


class _TableMerger:
    """Writes one table of the new segment."""

    def __init__(self, cache: Path, table: Table, runs: Sequence[CachedRun]) -> None:
        self._cache, self._table, self._runs = cache, table, runs
        self._kinds = kinds_of(table, runs)
        self._stored = stored_columns(self._kinds)
        self._occurs = bits_of(table, runs)
        self.placed: dict[str, Placed] = {}

    def write(self, path: Path) -> TableEntry:
        name = self._table.name
        path.parent.mkdir(exist_ok=True)
        entries = {run.segment.id: run.segment.tables[name] for run in self._runs}
        with contextlib.ExitStack() as stack:
            files = {
                key: stack.enter_context(open_table(self._cache, one, interned=True)) for key, one in entries.items()
            }
            reader = _Reader(files)
            writer = stack.enter_context(open_writer(path, self._table, self._stored, self._occurs, EVERY_TEXT))
            for number, pieces in enumerate(self._groups(reader)):
                self._place(number, pieces)
                write_group(writer, self._rows_of(reader, pieces, entries, writer.schema))
                pa.default_memory_pool().release_unused()  # else what was freed stays with the process
        kinds = {column: int(self._kinds[column]) for column in self._stored}
        rows_in_all = sum(run.rows(name).rows for run in self._runs)
        return TableEntry(checksums.file_entry(path, self._cache), rows_in_all, kinds)

    def _groups(self, reader: "_Reader") -> Iterator[list[_Piece]]:
        """The pieces of each row group: see `table_builder.GROUP_ROWS`, and `writer.PART_BYTES`."""
        pieces: list[_Piece] = []
        rows, json_bytes, item_bytes = 0, 0.0, 0.0
        for run in self._runs:
            stamps = run.fingerprint
            size = sum(stamp.size_bytes for stamp in stamps if plain_name(stamp.name) == self._table.file)
            for piece in _pieces(run, self._table, reader):
                pieces.append(piece)
                rows += piece.rows
                json_bytes += size * piece.rows / run.rows(self._table.name).rows
                item_bytes += reader.item_bytes(piece) * piece.rows
                if rows >= GROUP_ROWS or json_bytes >= GROUP_BYTES or item_bytes >= PART_BYTES:
                    yield pieces
                    pieces, rows, json_bytes, item_bytes = [], 0, 0.0, 0.0
        if pieces:
            yield pieces

    def _place(self, group: int, pieces: Sequence[_Piece]) -> None:
        before = 0
        for piece in pieces:
            run, name = piece.run, self._table.name
            placed = self.placed.get(run.key)
            if placed is None:
                rows = run.rows(name).rows
                self.placed[run.key] = Placed(group, 1, before, rows, run.occurs(name), run.dynamic(name))
            else:
                placed.groups = group - placed.group + 1
            before += piece.rows

    def _rows_of(
        self, reader: "_Reader", pieces: Sequence[_Piece], entries: Mapping[str, TableEntry], fields: pa.Schema
    ) -> pa.Table:
        """The rows of a row group. Those of one segment are refitted together, then all are put in order."""
        by_segment: dict[str, list[_Piece]] = {}
        for piece in pieces:
            by_segment.setdefault(piece.run.segment.id, []).append(piece)
        parts, begins, rows = [], {}, 0
        for segment, of_segment in by_segment.items():
            part = pa.concat_tables(reader.read(piece) for piece in of_segment)
            written = {column: Kind(kind) for column, kind in entries[segment].dynamic.items()}
            restored = restored_table(part, self._table, written, self._stored)
            parts.append(fitted(restored, fields))
            for piece in of_segment:
                begins[id(piece)] = rows
                rows += piece.rows
        whole = pa.concat_tables(parts)
        if len(parts) == 1:
            return whole
        whole = fitted(whole, fields)
        order = [row for piece in pieces for row in range(begins[id(piece)], begins[id(piece)] + piece.rows)]
        return whole.take(pa.array(order, pa.int64()))


def _pieces(run: CachedRun, table: Table, reader: "_Reader") -> Iterator[_Piece]:
    place = run.rows(table.name)
    first, left = place.skip, place.rows
    for number in range(place.group, place.group + place.groups):
        rows = min(left, reader.rows(run.segment.id, number) - first)
        yield _Piece(run, number, first, rows)
        first, left = 0, left - rows


class _Reader:
    """Row groups of several files; those read last are kept, up to a bound in bytes."""

    def __init__(self, files: Mapping[str, TableFile]) -> None:
        self._files = files
        self._group_rows = {segment: file.group_rows for segment, file in files.items()}
        self._kept: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()
        self._kept_bytes = 0
        self._item_bytes: dict[tuple[str, int], float] = {}

    def rows(self, segment: str, group: int) -> int:
        """How many rows a row group has."""
        return self._group_rows[segment][group]

    def item_bytes(self, piece: _Piece) -> float:
        """What the items of lists take in a row of a piece's row group, see `TableFile.item_bytes`."""
        place = piece.run.segment.id, piece.group
        if place not in self._item_bytes:
            rows = max(1, self.rows(*place))
            self._item_bytes[place] = self._files[place[0]].item_bytes(piece.group) / rows
        return self._item_bytes[place]

    def read(self, piece: _Piece) -> pa.Table:
        """The rows of a piece, as they are stored."""
        place = piece.run.segment.id, piece.group
        group = self._kept.get(place)
        if group is None:
            file = self._files[place[0]]
            group = self._kept[place] = file.read(piece.group, file.names)
            self._kept_bytes += group.nbytes
            while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(place)
        return group.slice(piece.first, piece.rows)
