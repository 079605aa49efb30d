"""Reads one run: from its files to rows of its tables.

The rows of a run whose files all fit a block are kept until the whole run is known to be good. Those of a longer run,
a streamed one, are appended chunk by chunk: it has a segment of its own, which is discarded if the run turns out to
be bad.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from magnet_arrow.decode.anomalies import add_counts, unexpected_fields
from magnet_arrow.decode.chunk_reader import ChunkReader
from magnet_arrow.decode.chunks import Chunk, CrowdedError
from magnet_arrow.decode.decoder import document, member_error, parse_document
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.decode.limits import BLOCK_BYTES
from magnet_arrow.decode.wire import DUPLICATES, Residual, dumps, escape
from magnet_arrow.errors import BadFileError, Rejected, Where
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import object_shape
from magnet_arrow.helm.json_faults import kind
from magnet_arrow.helm.layout import RUN_FILES, RunPlace
from magnet_arrow.ingestion.reading import PEEK_BYTES, PEEKED_BYTES, PICTURED, Found, ReadContext, new_entry, where_of
from magnet_arrow.ingestion.rejection import (
    PicturesError,
    ReadModeError,
    StrictError,
    bytes_at,
    escaped,
    rejected_of,
)
from magnet_arrow.ingestion.rules import ReadMode, Run, is_chosen
from magnet_arrow.records.table_builder import ArrayBuilder, Rows
from magnet_arrow.records.table_builders import ObjectBuilder, PairBuilder
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Form, Table
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import Fingerprint, SourceFile, SystemReadError, fingerprint, plain_name, read_error
from magnet_arrow.storage.manifest import RunEntry

RUN_SPEC = RUN_FILES[0]
_RUN_SPECS, *_OTHER_TABLES = registry.RUN_TABLES
_FILES = registry.TABLES["files"]
_TABLE_FILES = frozenset(table.file for table in registry.TABLES.values() if table.file)
_FILES_OF_RUNS = frozenset(table.file for table in registry.RUN_TABLES if table.file)
_STATE = object_shape(structs.ScenarioState)


def stamps_of(place: RunPlace) -> Fingerprint:
    """The fingerprint of a run, or of the files beside the runs of a suite."""
    return fingerprint(place.path, () if place.folder else ("groups", "groups/json"))


def is_streamed(stamps: Fingerprint) -> bool:
    """Whether a run of which these files are read must be streamed."""
    return any(stamp.size_bytes >= BLOCK_BYTES for stamp in stamps if plain_name(stamp.name) in _TABLE_FILES)


def largest_file(stamps: Fingerprint) -> str:
    """The largest of some files that has a table, without the ending of a compressed one; empty if there is none."""
    sizes = {plain_name(stamp.name): stamp.size_bytes for stamp in stamps}
    return max(sizes.keys() & _FILES_OF_RUNS, key=sizes.__getitem__, default="")


class RunReader:
    """Reads the files of one run.

    Args:
        run: the run.
        mode: how to read it.
        context: what all readers use.

    Attributes:
        found: what was read.
    """

    def __init__(self, run: Run, mode: ReadMode, context: ReadContext) -> None:
        self._run, self._place, self._stamps = run, run.place, run.stamps
        self._where = where_of(run.place)
        self._mode, self._by_layout = mode, mode.by_layout
        self._context, self._rules = context, run.rules
        self._entry = new_entry(run)
        self._as_text: set[str] = set()
        self.found = Found()

    def read(self) -> RunEntry:
        """Read the run; its entry.

        Raises:
            BadFileError: it cannot be read.
            ReadModeError: it must be read in another mode.
        """
        if not self._stamps:
            self._require_listing()
        self._read_spec()
        before = list(self.found.rows), self.found.unexpected.copy(), self.found.elements.copy()
        try:
            self._read_files()
        except (StrictError, SystemReadError):
            raise
        except BadFileError:
            # A file in another layout may have been split in the wrong places. It is read once more, scanned; what is
            # bad then is bad.
            if not self._by_layout:
                raise
            if self._mode.streamed:  # some of its rows are appended
                raise ReadModeError(self._mode.salvage, by_layout=False) from None
            self.found, self._by_layout = Found(*before), False
            self._read_files()
        return self.found.entry(self._entry)

    def _require_listing(self) -> None:
        """Nobody can tell which files are in a folder that may be entered but not listed.

        Raises:
            SystemReadError: it is such a folder.
        """
        try:
            filesystem.names(self._place.path)
        except OSError as error:
            raise read_error(Where(self._where), error, what="folder") from error

    def _is_wanted(self, name: str) -> bool:
        return is_chosen(self._run, name) and (self._mode.share is None or self._mode.share.has(name))

    def _open(self, name: str) -> SourceFile:
        return SourceFile(self._place.path, name, self._where)

    def _read_spec(self) -> None:
        with self._open(RUN_SPEC) as file:
            self._context.on_bytes(file.size_bytes)
            spec, residual = read_run_spec(self._context.buffer, file)
            self._entry = replace(self._entry, name=spec.name)
            if self._is_wanted(RUN_SPEC):
                builder = self._context.tables.find(_RUN_SPECS, ObjectBuilder)
                self._add(_RUN_SPECS, builder.row_of(spec, residual), file.size_bytes)

    def _read_files(self) -> None:
        names = {plain_name(stamp.name) for stamp in self._stamps}
        self._as_text = set(filter(self._is_wanted, names - _FILES_OF_RUNS))
        for table in _OTHER_TABLES:
            if self._is_wanted(table.file) and (table.file in RUN_FILES or table.file in names):
                self._read_table(table, is_there=table.file in names)
        texts = {name: self._context.read_text(self._place, name) for name in sorted(self._as_text)}
        self.found.not_kept += [name for name, text in texts.items() if text is None]
        pairs = [(name, text[0]) for name, text in texts.items() if text is not None]
        if pairs:
            self._append_or_keep(_FILES, self._context.tables.find(_FILES, PairBuilder).rows_of(pairs), 0)

    def _read_table(self, table: Table, *, is_there: bool) -> None:
        """Read a table's file; as text if it is no table."""
        try:
            self._read_or_salvage(table)
        except (StrictError, SystemReadError):
            raise
        except PicturesError:
            self.found.forget(table)
            self.found.not_kept.append(table.file)
        except BadFileError as error:
            is_required = table.file in RUN_FILES
            is_appended = self._mode.streamed and self.found.elements[table.file]
            if is_appended or self._by_layout or (is_required and not self._rules.partial):
                raise
            self.found.forget(table)
            if is_required:
                self.found.missing.append(table.file)
                self.found.rejected.append(rejected_of(self._where, self._place.path, error))
            if is_there:  # what helm-summarize writes may be stale, or half there
                self._as_text.add(table.file)

    def _read_or_salvage(self, table: Table) -> None:
        """Read a table's file; if it ends early and the rules allow it, what is complete of it."""
        if table is PICTURED and not self._rules.pictures:
            self._peek_at_pictures()
        try:
            if table.file not in self._mode.salvage:
                with self._open(table.file) as file:
                    self._read_file(table, file)
                return
        except (ReadModeError, PicturesError, SystemReadError):
            raise
        except BadFileError:
            is_array = table.form is not Form.OBJECT
            if not (self._rules.partial and is_array) or self._by_layout:
                raise
            if self._mode.streamed and self.found.elements[table.file]:
                raise ReadModeError(self._mode.salvage | {table.file}, by_layout=False) from None
        self.found.forget(table)
        with self._open(table.file) as file:
            self._read_file(table, file, salvage=True)

    def _peek_at_pictures(self) -> None:
        """Look at the beginning of large predictions in a bucket, and leave the rest there if they embed pictures.

        Raises:
            PicturesError: they do.
        """
        large = [
            stamp.name for stamp in self._stamps if stamp.name == PICTURED.file and stamp.size_bytes >= PEEKED_BYTES
        ]
        if not large or not filesystem.is_remote(self._place.path):
            return
        try:
            begin = filesystem.first_bytes(self._place.path / PICTURED.file, PEEK_BYTES)
        except OSError:  # reading the file says why
            return
        if _PICTURES.search(begin):
            raise PicturesError("", where=Where(self._where, PICTURED.file))

    def _read_file(self, table: Table, file: SourceFile, *, salvage: bool = False) -> None:
        if table.form is Form.OBJECT:
            self._read_object(table, file)
            return
        key = "request_states" if table.form is Form.STATE else None
        reader = ChunkReader(file, self._context.buffer, key, by_layout=self._by_layout, salvage=salvage)
        beside = self._read_beside(table, reader, file.where) if key else None
        before = reader.members
        count = self._read_array(table, reader, beside)
        if reader.members != before:
            # The array is complete and the fault behind it. What follows the array was not known when rows were made.
            raise BadFileError("", where=file.where, expected="a whole file, or one cut in its array", found="neither")
        if reader.duplicate_keys:
            twice: Residual = {DUPLICATES: [f"/{escape(name)}" for name in reader.duplicate_keys]}
            self._note_unexpected(unexpected_fields([twice], _STATE, f"{table.file} $"), table)
        if key and not count:
            # No row is there to hold what is beside the request states.
            members = {f"/{escape(name)}": json.loads(raw) for name, raw in reader.members.items()}
            self.found.residuals[table.file] = members
        if reader.cut_at is not None:
            self.found.cut[table.file] = reader.cut_at
            self._note_cut_element(file, f"${'.' + key if key else ''}[{count}]", reader.cut_at)

    def _read_object(self, table: Table, file: SourceFile) -> None:
        assert table.struct is not None
        value, residual = document(self._context.load(file), object_shape(table.struct), file.where)
        self._context.on_bytes(file.size_bytes)
        rows = self._context.tables.find(table, ObjectBuilder).row_of(value, residual)
        self._add(table, rows, file.size_bytes)

    def _read_beside(self, table: Table, reader: ChunkReader, where: Where) -> Any:
        """What is in a scenario state beside its request states."""
        if not reader.has_array:
            raw = reader.members.get("request_states")
            found = "no such key" if raw is None else kind(parse_document(raw, where))
            place = Where(where.run, where.file, "$.request_states")
            raise BadFileError("", where=place, expected="an array", found=found)
        text = b",".join(dumps(name) + b":" + raw for name, raw in reader.members.items())
        try:
            beside, residual = document(b"{" + text + b"}", registry.STATE_REST, where)
        except BadFileError as error:
            # Its byte is one of the text above, not of the file.
            raise member_error(reader.members, where) or error from None
        residual.pop("", None)
        self._note_unexpected(unexpected_fields([residual], _STATE, f"{table.file} $"), table)
        self.found.residuals[table.file] = residual
        return beside

    def _read_array(self, table: Table, reader: ChunkReader, beside: Any) -> int:
        """Read all elements of a file; how many there were."""
        count = 0
        self.found.elements[table.file] += 0  # it has a table, though perhaps no row
        builder = self._context.tables.find(table, ArrayBuilder)
        for number, chunk in enumerate(reader):
            if number and not self._mode.streamed:
                raise ReadModeError
            if not number and table is PICTURED and not self._rules.pictures and has_pictures(chunk):
                raise PicturesError("", where=chunk.where)
            for part, rows in self._rows_of(builder, chunk, beside):
                self._context.on_bytes(part.end - part.begin)
                self._add(table, rows, part.end - part.begin)
            count += chunk.count
        return count

    def _rows_of(self, builder: ArrayBuilder[Any], chunk: Chunk, beside: Any) -> Iterator[tuple[Chunk, Rows]]:
        """The rows of a chunk; of a crowded one part by part, each to be appended before the next one is asked for.

        Raises:
            BadFileError: one of its elements is no JSON, or too large.
            ReadModeError: it is crowded, and the run is not streamed.
        """
        try:
            rows = builder.read(chunk, beside)
        except CrowdedError:
            if not self._mode.streamed:
                raise ReadModeError from None
        else:
            yield chunk, rows
            return
        for part in chunk.parts():
            yield part, builder.read(part, beside)

    def _add(self, table: Table, rows: Rows, json_bytes: int) -> None:
        """Add rows of a table's file to what was found, and note what is unexpected in them."""
        self.found.elements[table.file] += rows.count
        if table.struct is not None:
            array = "$.request_states[]" if table.form is Form.STATE else "$[]"
            root = f"{table.file} {'$' if table.form is Form.OBJECT else array}"
            residuals = self._context.tables.of(table).residuals_of(rows)
            self._note_unexpected(unexpected_fields(residuals, object_shape(table.struct), root), table)
        if rows.rowless:
            rowless = {f"/{number}": value for number, value in rows.rowless.items()}
            self.found.residuals.setdefault(table.file, {}).update(rowless)
        self._append_or_keep(table, rows, json_bytes)

    def _append_or_keep(self, table: Table, rows: Rows, json_bytes: int) -> None:
        if self._mode.streamed:
            self._context.append(self._entry, table, rows, json_bytes)
            self._context.tables.flush_full()
        else:
            self.found.rows.append((table, rows, json_bytes))

    def _note_unexpected(self, unexpected: Counter[tuple[str, str]], table: Table) -> None:
        add_counts(self.found.unexpected, unexpected)
        if unexpected and self._rules.strict:
            (what, path), count = next(iter(unexpected.items()))
            where = Where(self._where, table.file, path.split(" ", 1)[1])
            hint = "Without strict=True it is kept in magnet.extra, and reported."
            raise StrictError("", where=where, expected="what HELM declares", found=f"{count} × {what}", hint=hint)

    def _note_cut_element(self, file: SourceFile, json_path: str, cut_at: int) -> None:
        """Note as excluded what a cut file holds after its last complete element, if anything."""
        rest = bytes_at(self._place.path, file.where, cut_at)
        if rest.strip(b", \t\r\n"):
            self.found.rejected.append(
                Rejected(
                    run=self._where,
                    file=file.where.file or "",
                    reason="expected the rest of an element, found the end of the file.",
                    json_path=json_path,
                    byte=cut_at,
                    expected="the rest of an element",
                    found="the end of the file",
                    hint="What is complete before it was ingested.",
                    begin_byte=cut_at,
                    end_byte=None if file.is_compressed else file.size_bytes,
                    sample=escaped(rest),
                )
            )


_PICTURES = re.compile(rb'"base64_images"\s*:\s*\[\s*"')


def has_pictures(chunk: Chunk) -> bool:
    """Whether predictions embed pictures."""
    return chunk.has(b'"base64_images"') and _PICTURES.search(chunk.view) is not None


def read_run_spec(buffer: Buffer, file: SourceFile) -> tuple[Any, Residual]:
    """A run spec as its wire struct, and what that cannot hold.

    Raises:
        BadFileError: no JSON, no object, or without a name.
    """
    buffer.clear()
    whole = buffer.load(file)
    raw = bytes(whole.buffer[whole.begin : whole.end])
    spec, residual = document(raw, object_shape(structs.RunSpec), file.where, offset=whole.offset + whole.begin)
    if not isinstance(spec.name, str) or "/name" in residual:
        found = kind(residual["/name"]) if "/name" in residual else "no such key"
        if found == "a string":
            found += " with half a surrogate pair"
        place = Where(file.where.run, file.where.file, "$.name")
        raise BadFileError("", where=place, expected="a string", found=found)
    return spec, residual
