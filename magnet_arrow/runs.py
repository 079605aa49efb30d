"""One run from its files to rows of its tables, and row groups of many runs to a segment.

A run whose files all fit a block is staged whole and then kept or dropped. A longer one is kept stretch by stretch,
in a segment of its own, which is discarded as a whole if the run turns out to be bad. What stands beside the runs of
a suite (`helm-summarize` writes it) is taken the same way, as a run without a folder.
"""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from magnet_arrow import schema
from magnet_arrow.cache.manifest import RunEntry, Segment
from magnet_arrow.cache.segments import SegmentWriter
from magnet_arrow.columns import (
    FiledRows,
    InstanceStatRows,
    ObjectRows,
    Rows,
    StateRows,
    TextRows,
    rows_of,
)
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm import structs
from magnet_arrow.helm.decode import document, kind, parse_document
from magnet_arrow.helm.elements import BLOCK_BYTES, Buffer, Reader
from magnet_arrow.helm.layout import RUN_FILES, RunPlace
from magnet_arrow.helm.shapes import Object, object_shape
from magnet_arrow.helm.source import Fingerprint, SourceFile, fingerprint
from magnet_arrow.helm.wire import Residual, dumps, escape
from magnet_arrow.schema import Form, Table
from magnet_arrow.spreading import residual_text

RUN_SPEC = RUN_FILES[0]
MOST_TEXT_BYTES = 64 << 20
"""A file without a table of its own is kept as text up to this size."""
_DERIVED = frozenset({"runs.json"})
"""Files that are not kept: all that is in them is in others (`runs.json` reaches 2 GB)."""


def where_of(place: RunPlace) -> str:
    """The run, as messages name it; the suite where it is what stands beside the runs."""
    return f"{place.suite}/{place.folder}".rstrip("/")


def stamps_of(place: RunPlace) -> Fingerprint:
    """The fingerprint of a run, or of what stands beside the runs of a suite."""
    return fingerprint(place.path, () if place.folder else ("groups", "groups/json"))


def is_long(stamps: Fingerprint) -> bool:
    """Whether the run is kept stretch by stretch."""
    return any(stamp.size_bytes >= BLOCK_BYTES for stamp in stamps if stamp.name in _TABLE_OF)


_TABLE_OF = {table.file: table for table in schema.TABLES.values() if table.file}


class RunTaker:
    """Takes runs into one segment.

    Args:
        cache: folder of the cache.
        buffer: reused from segment to segment.
        on_bytes: told how many bytes of JSON have been read since it was last called.
    """

    def __init__(self, cache: Path, buffer: Buffer, on_bytes: Callable[[int], None]) -> None:
        self._buffer = buffer
        self._on_bytes = on_bytes
        self._writer = SegmentWriter(cache)
        self._tables: dict[str, Rows] = {name: rows_of(table) for name, table in schema.TABLES.items()}
        self.json_bytes = 0
        self.rows: dict[str, int] = dict.fromkeys(schema.TABLES, 0)
        self.n_runs = self.n_entries = 0

    def take(self, place: RunPlace, source: str, stamps: Fingerprint) -> None:
        """Take one run, or what stands beside the runs of a suite.

        Args:
            place: where it lies.
            source: id of its source.
            stamps: its fingerprint, made before.

        Raises:
            BadFileError: it can't be taken. Nothing of it is in the segment; but if it is long, the segment is of no
                use any more.
            CacheNotWritableError: the disk refused.
        """
        long = is_long(stamps)
        try:
            entry = self._read(place, source, stamps, long)
            now = stamps_of(place)
            if now != stamps:
                raise _changed(place, stamps, now)
        except BaseException:
            for table in self._tables.values():
                table.drop()
            raise
        sizes = {stamp.name: stamp.size_bytes for stamp in stamps}
        for table in self._tables.values():
            if not long:
                table.keep(entry.key, entry.name, sizes.get(table.table.file, 0))
            table.end_run()
            self._flush_if(table.is_full, table)
        self._writer.add_run(entry)
        self.json_bytes += sum(sizes.values())
        self.n_runs += bool(place.folder)
        self.n_entries += 1

    def _read(self, place: RunPlace, source: str, stamps: Fingerprint, long: bool) -> RunEntry:
        """Stage the run's files, or keep them as they come if it is long."""
        entry = RunEntry(source, place.suite, place.folder, "", stamps, {})
        if place.folder:
            spec, residual = self._run_spec(place)
            entry = msgspec.structs.replace(entry, name=spec.name)
            cast(ObjectRows, self._tables["run_spec"]).stage_object(spec, residual)
            self._keep_if(long, self._tables["run_spec"], entry, 0)
        try:
            return self._stage_files(place, entry, long, by_layout=True)
        except BadFileError:
            # A file in another layout may have been cut in the wrong places. It is read once more, scanned; what is
            # bad then is bad.
            if long:
                raise
            for name, table in self._tables.items():
                if name != "run_spec":
                    table.drop()
        return self._stage_files(place, entry, long, by_layout=False)

    def _run_spec(self, place: RunPlace) -> tuple[Any, Residual]:
        with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
            self._on_bytes(file.size_bytes)
            return read_run_spec(self._buffer, file)

    def _stage_files(self, place: RunPlace, entry: RunEntry, long: bool, *, by_layout: bool) -> RunEntry:
        names = {stamp.name for stamp in entry.fingerprint}
        if not place.folder:
            return msgspec.structs.replace(entry, not_kept=tuple(self._stage_suite(place, names)))
        residuals: dict[str, Residual] = {}
        others = names - _TABLE_OF.keys()
        for table in schema.RUN_TABLES[1:]:
            if table.file in RUN_FILES or table.file in names:
                try:
                    with SourceFile(place.path, table.file, where_of(place)) as file:
                        residuals[table.file] = self._stage_file(table, file, entry, long, by_layout)
                except BadFileError:
                    # What helm-summarize writes may be stale or half there; it is kept as text then.
                    if table.file in RUN_FILES or long or by_layout:
                        raise
                    self._tables[table.name].drop()
                    others.add(table.file)
        not_kept = [name for name in sorted(others) if not self._stage_text("files", place, name)]
        kept = {name: residual_text(residual) for name, residual in residuals.items() if residual}
        return msgspec.structs.replace(entry, residual=kept, not_kept=tuple(not_kept))

    def _stage_file(self, table: Table, file: SourceFile, entry: RunEntry, long: bool, by_layout: bool) -> Residual:
        """Stage one file; what no row of it can hold."""
        rows = self._tables[table.name]
        if table.form is Form.OBJECT:
            self._stage_object(table, file)
            self._keep_if(long, rows, entry, file.size_bytes)
            return {}
        key = "request_states" if table.form is Form.STATE else None
        reader = Reader(file, self._buffer, key, by_layout=by_layout)
        residual = self._stage_rest(reader, file.where) if key else {}
        some = self._stage_stretches(reader, rows, entry, long)
        if key and not some:
            # No row is there to hold what stands beside the request states.
            residual = {f"/{escape(name)}": json.loads(raw) for name, raw in reader.members.items()}
        if isinstance(rows, InstanceStatRows):
            residual = {f"/{number}": value for number, value in rows.rowless_entries().items()}
        return residual

    def _stage_object(self, table: Table, file: SourceFile) -> None:
        assert table.struct is not None
        whole = _load(self._buffer, file)
        value, residual = document(whole, object_shape(table.struct), file.where)
        self._on_bytes(file.size_bytes)
        cast(ObjectRows, self._tables[table.name]).stage_object(value, residual)

    def _stage_rest(self, reader: Reader, where: Where) -> Residual:
        if not reader.has_array:
            raw = reader.members.get("request_states")
            found = "none" if raw is None else kind(parse_document(raw, where))
            place = Where(where.run, where.file, "$.request_states")
            raise BadFileError("", where=place, expected="an array", found=found)
        text = b",".join(dumps(name) + b":" + raw for name, raw in reader.members.items())
        rest, residual = document(b"{" + text + b"}", schema.STATE_REST, where)
        residual.pop("", None)
        cast(StateRows, self._tables["scenario_state"]).stage_rest(rest)
        return residual

    def _stage_stretches(self, reader: Reader, rows: Rows, entry: RunEntry, long: bool) -> bool:
        """Stage all elements of a file; whether there were any."""
        some = False
        for stretch in reader:
            rows.stage(stretch)
            some = some or stretch.count > 0
            self._on_bytes(stretch.end - stretch.begin)
            self._keep_if(long, rows, entry, stretch.end - stretch.begin)
        return some

    def _keep_if(self, long: bool, rows: Rows, entry: RunEntry, size_bytes: int) -> None:
        if long:
            rows.keep(entry.key, entry.name, size_bytes)
            self._flush_if(rows.is_full, rows)

    def _stage_text(self, table: str, place: RunPlace, name: str) -> bool:
        """Keep a file as text; whether that could be done."""
        try:
            with SourceFile(place.path, name, where_of(place)) as file:
                if file.size_bytes > MOST_TEXT_BYTES:
                    return False
                self._buffer.clear()
                whole = self._buffer.load(file, empty=True)
                text = bytes(whole.buffer[: whole.end]).decode("utf-8")
                self._on_bytes(file.size_bytes)
        except (BadFileError, UnicodeDecodeError):
            return False
        cast(TextRows, self._tables[table]).stage_pair(name, text)
        return True

    def _stage_suite(self, place: RunPlace, names: set[str]) -> list[str]:
        """Keep a suite's files as texts, and show those that have a table there too; names of those not kept."""
        not_kept = []
        for name in sorted(names):
            if name in _DERIVED or not self._stage_text("suite_files", place, name):
                not_kept.append(name)
                continue
            with contextlib.suppress(BadFileError), SourceFile(place.path, name, where_of(place)) as file:
                # What can't be shown as a table is there as text.
                self._show(name, _load(self._buffer, file), file.where)
        return not_kept

    def _show(self, name: str, whole: bytes, where: Where) -> None:
        table = _TABLE_OF.get(name) or (_GROUPS if name.startswith("groups/") else None)
        if table is None or table.of != "suite":
            return
        rows = self._tables[table.name]
        value = parse_document(whole, where)
        if isinstance(rows, TextRows):
            for key, text in value.items() if isinstance(value, dict) else ():
                rows.stage_pair(key, text if isinstance(text, str) else json.dumps(text))
            return
        elements = value if isinstance(value, list) else [value]
        shown = [document(dumps(element), _shape(table), where) for element in elements]
        for struct, residual in shown:
            if isinstance(rows, FiledRows):
                rows.stage_from(name, struct, residual)
            else:
                cast(ObjectRows, rows).stage_object(struct, residual)

    def _flush_if(self, due: bool, table: Rows) -> None:
        if due and table.rows:
            batch = table.flush()
            self.rows[batch.table.name] += batch.rows
            self._writer.add(batch)

    def finish(self) -> Segment:
        """The segment, complete but not flushed to disk.

        Raises:
            CacheNotWritableError: the disk refused; nothing is left of the segment.
        """
        try:
            for table in self._tables.values():
                self._flush_if(True, table)
        except BaseException:
            self._writer.discard()
            raise
        return self._writer.finish()

    def discard(self) -> None:
        """Remove whatever was written."""
        self._writer.discard()


_GROUPS = schema.TABLES["groups"]


def _shape(table: Table) -> Object:
    assert table.struct is not None
    return object_shape(table.struct)


def _load(buffer: Buffer, file: SourceFile) -> bytes:
    buffer.clear()
    whole = buffer.load(file)
    return bytes(whole.buffer[whole.begin : whole.end])


def read_run_spec(buffer: Buffer, file: SourceFile) -> tuple[Any, Residual]:
    """A run spec as its wire struct, and what that can't hold.

    Raises:
        BadFileError: no JSON, no object, or without a name.
    """
    buffer.clear()
    whole = buffer.load(file)
    raw = bytes(whole.buffer[whole.begin : whole.end])
    spec, residual = document(raw, object_shape(structs.RunSpec), file.where, offset=whole.offset + whole.begin)
    if not isinstance(spec.name, str) or "/name" in residual:
        found = kind(residual["/name"]) if "/name" in residual else "none"
        place = Where(file.where.run, file.where.file, "$.name")
        raise BadFileError("", where=place, expected="a text", found=found)
    return spec, residual


def _changed(place: RunPlace, before: Fingerprint, now: Fingerprint) -> BadFileError:
    names = sorted({stamp.name for stamp in set(before) ^ set(now)})
    return ChangedError(
        "",
        where=Where(run=where_of(place), file=names[0]),
        expected="a run that stays as it is while it is read",
        found="that the file was changed meanwhile",
        hint="Ingest again when whatever writes to it is done.",
    )


class ChangedError(BadFileError):
    """A file changed while the run was read; it may be whole at the next try."""
