"""One run from its files to rows of the four tables, and row groups of many runs to a segment.

A run whose files all fit a block is staged whole and then kept or dropped. A longer one is kept stretch by stretch,
in a segment of its own, which is discarded as a whole if the run turns out to be bad.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from magnet_arrow import schema
from magnet_arrow.cache.manifest import RunEntry, Segment
from magnet_arrow.cache.segments import SegmentWriter
from magnet_arrow.columns import InstanceStatRows, Rows, RunSpecRows, StateRows, StatRows, residual_text
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm import structs
from magnet_arrow.helm.decode import document
from magnet_arrow.helm.elements import BLOCK_BYTES, Buffer, Document, Reader
from magnet_arrow.helm.layout import RUN_FILES, RunPlace
from magnet_arrow.helm.shapes import object_shape
from magnet_arrow.helm.source import Fingerprint, SourceFile, fingerprint
from magnet_arrow.helm.wire import Residual, escape

RUN_SPEC, STATE, STATS, INSTANCE_STATS = RUN_FILES
_RUN_SPEC_SHAPE = object_shape(structs.RunSpec)


def where_of(place: RunPlace) -> str:
    """The run, as messages name it."""
    return f"{place.suite}/{place.folder}"


def is_long(stamps: Fingerprint) -> bool:
    """Whether the run is kept stretch by stretch."""
    return any(stamp.size_bytes >= BLOCK_BYTES for stamp in stamps)


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
        self._specs, self._states = RunSpecRows(), StateRows()
        self._stats, self._instance_stats = StatRows(), InstanceStatRows()
        self._tables: tuple[Rows, ...] = (self._specs, self._states, self._stats, self._instance_stats)
        self.json_bytes = 0
        self.rows: dict[str, int] = dict.fromkeys(schema.TABLES, 0)

    @property
    def n_runs(self) -> int:
        """Runs taken so far."""
        return self._writer.n_runs

    def take(self, place: RunPlace, source: str, stamps: Fingerprint) -> None:
        """Take one run.

        Args:
            place: where it lies.
            source: id of its source.
            stamps: its fingerprint, made before.

        Raises:
            BadFileError: the run can't be taken. Nothing of it is in the segment; but if it is long, the segment is
                of no use any more.
            CacheNotWritableError: the disk refused.
        """
        long = is_long(stamps)
        try:
            entry = self._read(place, source, stamps, long)
            now = fingerprint(place.path, RUN_FILES)
            if now != stamps:
                raise _changed(place, stamps, now)
        except BaseException:
            for table in self._tables:
                table.drop()
            raise
        for table, stamp in zip(self._tables, _in_order(stamps), strict=True):
            if not long:
                table.keep(entry.key, entry.name, stamp)
            table.end_run()
            self._flush_if(table.is_full, table)
        self._writer.add_run(entry)
        self.json_bytes += sum(stamp.size_bytes for stamp in stamps)

    def _read(self, place: RunPlace, source: str, stamps: Fingerprint, long: bool) -> RunEntry:
        """Stage the run's files, or keep them as they come if it is long."""
        run = where_of(place)
        with SourceFile(place.path, RUN_SPEC, run) as file:
            name = self._stage_spec(self._buffer, file)
        entry = RunEntry(source, place.suite, place.folder, name, stamps, {})
        if long:
            self._specs.keep(entry.key, name)
        residual: dict[str, str] = {}
        for by_layout in (True, False) if not long else (True,):
            try:
                residual = self._stage_elements(place, entry, long, by_layout)
                break
            except BadFileError:
                # A file in another layout may have been cut in the wrong places. It is read once more, scanned;
                # what is bad then is bad.
                for table in self._tables[1:]:
                    table.drop()
                if not by_layout or long:
                    raise
        return msgspec.structs.replace(entry, residual=residual)

    def _stage_spec(self, buffer: Buffer, file: SourceFile) -> str:
        spec, residual = read_run_spec(buffer, file)
        self._specs.stage_spec(spec, residual)
        self._on_bytes(file.size_bytes)
        name: str = spec.name
        return name

    def _stage_elements(self, place: RunPlace, entry: RunEntry, long: bool, by_layout: bool) -> dict[str, str]:
        residuals: dict[str, Residual] = {}
        run = where_of(place)
        with SourceFile(place.path, STATE, run) as file:
            reader = Reader(file, self._buffer, "request_states", by_layout=by_layout)
            residuals[STATE] = self._stage_rest(reader, file.where)
            self._stage_stretches(reader, self._states, entry, long)
        with SourceFile(place.path, STATS, run) as file:
            self._stage_stretches(Reader(file, self._buffer, by_layout=by_layout), self._stats, entry, long)
        with SourceFile(place.path, INSTANCE_STATS, run) as file:
            reader = Reader(file, self._buffer, by_layout=by_layout)
            self._stage_stretches(reader, self._instance_stats, entry, long)
        rowless = self._instance_stats.rowless_entries()
        residuals[INSTANCE_STATS] = {f"/{number}": value for number, value in rowless.items()}
        return {name: residual_text(residual) for name, residual in residuals.items() if residual}

    def _stage_rest(self, reader: Reader, where: Where) -> Residual:
        if not reader.has_array:
            found = "something else" if "request_states" in reader.members else "none"
            raise BadFileError("", where=where, expected="an array 'request_states'", found=found)
        text = b",".join(msgspec.json.encode(name) + b":" + raw for name, raw in reader.members.items())
        rest, residual = document(b"{" + text + b"}", schema.STATE_REST, where)
        residual.pop("", None)
        self._states.stage_rest(rest)
        return residual

    def _stage_stretches(self, reader: Reader, table: Rows, entry: RunEntry, long: bool) -> None:
        for stretch in reader:
            table.stage(stretch)
            self._on_bytes(stretch.end - stretch.begin)
            if long:
                table.keep(entry.key, entry.name, stretch.end - stretch.begin)
                self._flush_if(table.is_full, table)

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
            for table in self._tables:
                self._flush_if(True, table)
        except BaseException:
            self._writer.discard()
            raise
        return self._writer.finish()

    def discard(self) -> None:
        """Remove whatever was written."""
        self._writer.discard()


def read_run_spec(buffer: Buffer, file: SourceFile) -> tuple[structs.RunSpec, Residual]:
    """A run spec as its wire struct, and what that can't hold.

    Raises:
        BadFileError: no JSON, no object, or without a name.
    """
    buffer.clear()
    whole: Document = buffer.load(file).object()
    raw = bytes(whole.buffer[whole.begin : whole.end])
    spec, residual = document(raw, _RUN_SPEC_SHAPE, file.where, offset=whole.offset + whole.begin)
    if not isinstance(spec.name, str) or "/name" in residual:
        raise BadFileError("", where=file.where, expected="a text 'name'", found=_sample(residual))
    return spec, residual


def _sample(residual: Residual) -> str:
    place = f"/{escape('name')}"
    return repr(residual[place])[:40] if place in residual else "none"


def _in_order(stamps: Fingerprint) -> list[int]:
    """Sizes of the run's files in the order of the tables."""
    sizes = {stamp.name: stamp.size_bytes for stamp in stamps}
    return [sizes.get(name, 0) for name in RUN_FILES]


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
