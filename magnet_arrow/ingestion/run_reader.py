"""One run from its files to rows of its tables, and row groups of many runs to wherever they go.

A run whose files all fit a block is staged whole and then kept or dropped. A longer one is kept chunk by chunk,
in a segment of its own, which is discarded as a whole if the run turns out to be bad. What stands beside the runs of
a suite (`helm-summarize` writes it) is taken the same way, as a run without a folder.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any, Generic, TypeVar, cast

import msgspec

from magnet_arrow import _gc
from magnet_arrow.decode.anomalies import add_places, unexpected_fields
from magnet_arrow.decode.chunk_reader import ChunkReader
from magnet_arrow.decode.chunks import Chunk, CrowdedError
from magnet_arrow.decode.decoder import NotPlainError, document, member_error, parse_document
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.decode.limits import BLOCK_BYTES
from magnet_arrow.decode.wire import DUPLICATES, Residual, dumps, escape
from magnet_arrow.errors import BadFileError, Rejected, Where
from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import Object, object_shape
from magnet_arrow.helm.json_faults import kind
from magnet_arrow.helm.layout import RUN_FILES, RunPlace
from magnet_arrow.ingestion.batch_reader import Gathered, Gatherer, R
from magnet_arrow.ingestion.rejection import (
    LongRunError,
    PicturesError,
    StrictError,
    bytes_at,
    changed,
    escaped,
    rejected_of,
)
from magnet_arrow.ingestion.rules import Rules, Share, Sink, Taken
from magnet_arrow.records.flatten import residual_text
from magnet_arrow.records.stat_builders import InstanceStatRows
from magnet_arrow.records.table_builder import Rows
from magnet_arrow.records.table_builders import ObjectRows, StateRows, TextRows, rows_of
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Form, Table
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import Fingerprint, SourceFile, SystemReadError, fingerprint, plain_name, read_error
from magnet_arrow.storage.manifest import RunEntry

RUN_SPEC = RUN_FILES[0]
MAX_TEXT_BYTES = 64 << 20
"""A file without a table of its own is kept as text up to this size."""
_DERIVED = frozenset({"runs.json"})
"""Files that are not kept: all that is in them is in others (`runs.json` reaches 2 GB)."""
T = TypeVar("T")


def where_of(place: RunPlace) -> str:
    """The run, as messages name it; the suite where it is what stands beside the runs."""
    return f"{place.suite}/{place.folder}".rstrip("/")


def stamps_of(place: RunPlace) -> Fingerprint:
    """The fingerprint of a run, or of what stands beside the runs of a suite."""
    return fingerprint(place.path, () if place.folder else ("groups", "groups/json"))


def is_long(stamps: Fingerprint) -> bool:
    """Whether the run is kept chunk by chunk."""
    return any(stamp.size_bytes >= BLOCK_BYTES for stamp in stamps if plain_name(stamp.name) in _TABLE_OF)


def largest_file(stamps: Fingerprint) -> str:
    """The largest file of a run that has a table, without the ending of a compressed one; empty if there is none."""
    sizes = {plain_name(stamp.name): stamp.size_bytes for stamp in stamps}
    return max(sizes.keys() & _FILES_OF_RUNS, key=sizes.__getitem__, default="")


_PLAIN_TABLES = tuple(table.name for table in registry.RUN_TABLES if table.file)
_TABLE_OF = {table.file: table for table in registry.TABLES.values() if table.file}
_FILES_OF_RUNS = {table.file for table in registry.RUN_TABLES if table.file}


_DEFAULT_RULES = Rules()


class RunReader(Generic[T]):
    """Takes runs into a sink.

    Args:
        sink: where their row groups go.
        buffer: reused from taker to taker.
        on_bytes: told how many bytes of JSON have been read since it was last called.
        rules: what is taken of a run.

    Attributes:
        unexpected: unknown fields and values of another type: how often, by (what, file and JSON path).
        run: what was met in the run taken last.
    """

    def __init__(
        self, sink: Sink[T], buffer: Buffer, on_bytes: Callable[[int], None], rules: Rules = _DEFAULT_RULES
    ) -> None:
        self._buffer = buffer
        self._on_bytes = on_bytes
        self._rules = rules
        self.unexpected: Counter[tuple[str, str]] = Counter()
        self.run = Taken()
        self._sink = sink
        self._salvage: frozenset[str] = frozenset()
        self._share: Share | None = None
        self._gatherer = Gatherer()
        self._tables: dict[str, Rows] = {name: rows_of(table) for name, table in registry.TABLES.items()}
        self.json_bytes = 0
        self.rows: dict[str, int] = dict.fromkeys(registry.TABLES, 0)
        self.n_runs = self.n_entries = self.n_partial = 0
        self.notes: list[str] = []
        self.lacking: list[Rejected] = []

    def take(
        self,
        place: RunPlace,
        source: str,
        stamps: Fingerprint,
        *,
        long: bool,
        salvage: frozenset[str] = frozenset(),
        by_layout: bool = True,
        share: Share | None = None,
    ) -> RunEntry:
        """Take one run, or what stands beside the runs of a suite; its entry, without places of rows.

        Args:
            place: where it lies.
            source: id of its source.
            stamps: its fingerprint, made before.
            long: keep it chunk by chunk; it is to be alone in the sink.
            salvage: files of a long run that are known to end early.
            by_layout: of a long run, trust HELM's layout to tell where elements end; else its files are scanned.
            share: those of a long run's files that are to be taken; None for all.

        Raises:
            BadFileError: it can't be taken. Nothing of it is in the sink; but if it is long, the sink is of no use
                any more.
            LongRunError: it is long, though its size does not show it, and nothing of it is in the sink; or it was
                taken as a long one, which must be done in another way, and the sink is of no use any more.
            CacheNotWritableError: the disk refused.
        """
        self.run, self._salvage, self._share = Taken(), salvage, share
        with _gc.paused():
            return self._take(place, source, stamps, long, by_layout)

    def _take(self, place: RunPlace, source: str, stamps: Fingerprint, long: bool, by_layout: bool) -> RunEntry:
        try:
            entry = self._read(place, source, stamps, long, by_layout)
            now = stamps_of(place)
            if now != stamps:
                raise changed(where_of(place), stamps, now)
        except BaseException:
            for table in self._tables.values():
                table.drop()
            raise
        add_places(self.unexpected, self.run.unexpected)
        self._keep(entry, {name for name, table in self._tables.items() if table.has_staged})
        for table in self._tables.values():  # those of a long run that was kept as it came, too
            table.end_run()
        self._flush_full()
        self.notes += [f"{where_of(place)}/{name} is not kept: {why_not_kept(name)}." for name in entry.not_kept]
        return entry

    def take_plain(self, runs: Sequence[R]) -> list[R]:
        """Take short runs together, see `batch_reader`; those that hold something out of the ordinary are left.

        Returns:
            Those that were not taken, of which nothing is in the sink.

        Raises:
            CacheNotWritableError: the disk refused.
        """
        with _gc.paused():
            return self._take_plain(runs)

    def _take_plain(self, runs: Sequence[R]) -> list[R]:
        gathered = self._gatherer.gather(runs)
        try:
            names = self._stage_gathered(gathered) if gathered else []
        except NotPlainError:
            for table in self._tables.values():
                table.drop()
            return list(runs)
        counts = {name: iter(self._tables[name].staged_parts) for name in _PLAIN_TABLES}
        taken = set()
        for one, name in zip(gathered, names, strict=True):
            run = one.run
            elements = {
                registry.TABLES[table].file: next(counts[table]) for table in _PLAIN_TABLES if table in one.files
            }
            entry = RunEntry(run.source, run.place.suite, run.place.folder, name, run.stamps, {}, elements=elements)
            self._keep(entry, one.files.keys())
            self._on_bytes(sum(stamp.size_bytes for stamp in run.stamps))
            taken.add(id(run))
        self._flush_full()
        return [run for run in runs if id(run) not in taken]

    def _stage_gathered(self, gathered: Sequence[Gathered]) -> list[str]:
        """Stage the files of some runs, a part for each; the runs' names.

        Raises:
            NotPlainError: one of them may hold something that needs another look.
        """
        for name in _PLAIN_TABLES:
            files = [run.files[name] for run in gathered if name in run.files]
            rows = self._tables[name]
            if not files:
                continue
            if name == _PICTURED and not self._rules.pictures and any(map(_has_pictures, files)):
                raise NotPlainError
            if isinstance(rows, StateRows):
                rows.stage_documents(files)
            else:
                rows.stage_plain(files)
            if any(rows.staged_residuals()):
                raise NotPlainError  # each run's unexpected fields are reported, and may be refused
        specs = cast(ObjectRows, self._tables["run_spec"]).plain_objects
        if not all(isinstance(spec.name, str) for spec in specs):
            raise NotPlainError
        return [spec.name for spec in specs]

    def _keep(self, entry: RunEntry, tables: Set[str]) -> None:
        """The run is good: what was staged first of these tables is its."""
        sizes = {plain_name(stamp.name): stamp.size_bytes for stamp in entry.fingerprint}
        for name in tables:
            table = self._tables[name]
            table.keep(entry.key, entry.name, sizes.get(table.table.file, 0))
            table.end_run()
        self._sink.add_run(entry)
        self.json_bytes += sum(sizes.values())
        self.n_runs += bool(entry.folder)
        self.n_entries += 1
        self.n_partial += entry.is_partial
        self.lacking += entry.lacking

    def _flush_full(self) -> None:
        for table in self._tables.values():
            self._flush_if(table.is_full, table)

    def _read(self, place: RunPlace, source: str, stamps: Fingerprint, long: bool, by_layout: bool) -> RunEntry:
        """Stage the run's files, or keep them as they come if it is long."""
        if not stamps:
            _require_listing(place)
        entry = RunEntry(source, place.suite, place.folder, "", stamps, {})
        if place.folder:
            spec, residual = self._run_spec(place)
            entry = msgspec.structs.replace(entry, name=spec.name)
            if self._takes(RUN_SPEC):
                cast(ObjectRows, self._tables["run_spec"]).stage_object(spec, residual)
                self._staged(self._tables["run_spec"], entry, 0, long)
        before = self.run.copy()
        try:
            return self._stage_files(place, entry, long, by_layout=by_layout)
        except (StrictError, SystemReadError):
            raise
        except BadFileError:
            # A file in another layout may have been cut in the wrong places. It is read once more, scanned; what is
            # bad then is bad.
            if not by_layout:
                raise
            if long:  # some of it is in the sink
                raise LongRunError(self._salvage, by_layout=False) from None
            for name, table in self._tables.items():
                if name != "run_spec":
                    table.drop()
        self.run = before
        return self._stage_files(place, entry, long, by_layout=False)

    def _takes(self, name: str) -> bool:
        return self._share is None or self._share.has(name)

    def _run_spec(self, place: RunPlace) -> tuple[Any, Residual]:
        with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
            self._on_bytes(file.size_bytes)
            return read_run_spec(self._buffer, file)

    def _stage_files(self, place: RunPlace, entry: RunEntry, long: bool, *, by_layout: bool) -> RunEntry:
        names = {plain_name(stamp.name) for stamp in entry.fingerprint}
        if not place.folder:
            left = tuple(self._stage_suite(place, names))
            return msgspec.structs.replace(entry, not_kept=left, rejected=tuple(self.run.rejected))
        residuals: dict[str, Residual] = {}
        missing, pictures, cut = [], [], {}
        others = set(filter(self._takes, names - _FILES_OF_RUNS))
        for table in filter(lambda table: self._takes(table.file), registry.RUN_TABLES[1:]):
            required = table.file in RUN_FILES
            if not required and table.file not in names:
                continue
            try:
                residuals[table.file], at = self._stage_table(place, table, entry, long, by_layout)
            except (StrictError, SystemReadError):
                raise
            except PicturesError:
                self._forget(table)
                pictures.append(table.file)
                continue
            except BadFileError as error:
                kept_already = long and self.run.elements[table.file]
                if kept_already or by_layout or (required and not self._rules.partial):
                    raise
                self._forget(table)
                if required:
                    missing.append(table.file)
                    self.run.rejected.append(rejected_of(where_of(place), place.path, error))
                # What can't be a table is kept as text: what helm-summarize writes may be stale, or half there.
                if table.file in names:
                    others.add(table.file)
                continue
            if at is not None:
                cut[table.file] = at
        not_kept = [name for name in sorted(others) if self._stage_text("files", place, name) is None]
        kept = {name: residual_text(residual) for name, residual in residuals.items() if residual}
        return msgspec.structs.replace(
            entry,
            residual=kept,
            not_kept=tuple(sorted(pictures + not_kept)),
            missing=tuple(missing),
            cut=cut,
            elements=dict(self.run.elements),
            rejected=tuple(self.run.rejected),
        )

    def _forget(self, table: Table) -> None:
        """The table's file is to be read again, or has no rows."""
        self._tables[table.name].drop()
        self.run.elements.pop(table.file, None)

    def _stage_table(
        self, place: RunPlace, table: Table, entry: RunEntry, long: bool, by_layout: bool
    ) -> tuple[Residual, int | None]:
        """Stage a table's file: what no row of it can hold, and the byte up to which a cut one was taken."""
        try:
            if table.file not in self._salvage:
                with SourceFile(place.path, table.file, where_of(place)) as file:
                    return self._stage_file(table, file, place, entry, long, by_layout)
        except (LongRunError, PicturesError, SystemReadError):
            raise
        except BadFileError:
            is_array = table.form is not Form.OBJECT
            if not (self._rules.partial and is_array) or by_layout:
                raise
            if long and self.run.elements[table.file]:
                raise LongRunError(self._salvage | {table.file}, by_layout=False) from None
        self._forget(table)
        with SourceFile(place.path, table.file, where_of(place)) as file:
            return self._stage_file(table, file, place, entry, long, by_layout, salvage=True)

    def _stage_file(
        self,
        table: Table,
        file: SourceFile,
        place: RunPlace,
        entry: RunEntry,
        long: bool,
        by_layout: bool,
        *,
        salvage: bool = False,
    ) -> tuple[Residual, int | None]:
        rows = self._tables[table.name]
        if table.form is Form.OBJECT:
            self._stage_object(table, file)
            self._staged(rows, entry, file.size_bytes, long)
            return {}, None
        key = "request_states" if table.form is Form.STATE else None
        reader = ChunkReader(file, self._buffer, key, by_layout=by_layout, salvage=salvage)
        residual = self._stage_rest(reader, entry, file.where) if key else {}
        before = reader.members
        count = self._stage_chunks(reader, rows, entry, long)
        if reader.members != before:
            # The array is whole, so the file is not cut in it; what follows it was not known when rows were made.
            raise BadFileError("", where=file.where, expected="a whole file, or one cut in its array", found="neither")
        if reader.duplicate_keys:
            twice: Residual = {DUPLICATES: [f"/{escape(name)}" for name in reader.duplicate_keys]}
            self._note_unexpected(unexpected_fields([twice], _STATE, f"{table.file} $"), entry, table)
        if key and not count:
            # No row is there to hold what stands beside the request states.
            residual = {f"/{escape(name)}": json.loads(raw) for name, raw in reader.members.items()}
        if isinstance(rows, InstanceStatRows):
            residual = {f"/{number}": value for number, value in rows.rowless_entries().items()}
        if reader.cut_at is not None:
            self._note_rest(file, place, f"${'.' + key if key else ''}[{count}]", reader.cut_at)
        return residual, reader.cut_at

    def _note_rest(self, file: SourceFile, place: RunPlace, json_path: str, cut_at: int) -> None:
        """What a file holds after its last whole element is an element that was left out, unless it is nothing."""
        rest = bytes_at(place.path, file.where, cut_at)
        if rest.strip(b", \t\r\n"):
            self.run.rejected.append(
                Rejected(
                    run=where_of(place),
                    file=file.where.file or "",
                    reason="expected the rest of an element, found the end of the file.",
                    json_path=json_path,
                    byte=cut_at,
                    expected="the rest of an element",
                    found="the end of the file",
                    hint="What is whole before it was taken.",
                    begin_byte=cut_at,
                    end_byte=None if file.is_compressed else file.size_bytes,
                    sample=escaped(rest),
                )
            )

    def _stage_object(self, table: Table, file: SourceFile) -> None:
        assert table.struct is not None
        whole = _load(self._buffer, file)
        value, residual = document(whole, object_shape(table.struct), file.where)
        self._on_bytes(file.size_bytes)
        cast(ObjectRows, self._tables[table.name]).stage_object(value, residual)

    def _stage_rest(self, reader: ChunkReader, entry: RunEntry, where: Where) -> Residual:
        if not reader.has_array:
            raw = reader.members.get("request_states")
            found = "no such key" if raw is None else kind(parse_document(raw, where))
            place = Where(where.run, where.file, "$.request_states")
            raise BadFileError("", where=place, expected="an array", found=found)
        text = b",".join(dumps(name) + b":" + raw for name, raw in reader.members.items())
        try:
            rest, residual = document(b"{" + text + b"}", registry.STATE_REST, where)
        except BadFileError as error:
            # Its place is one in the text above, not in the file.
            raise member_error(reader.members, where) or error from None
        residual.pop("", None)
        self._note_unexpected(
            unexpected_fields([residual], _STATE, "scenario_state.json $"), entry, registry.TABLES["scenario_state"]
        )
        cast(StateRows, self._tables["scenario_state"]).stage_rest(rest)
        return residual

    def _stage_chunks(self, reader: ChunkReader, rows: Rows, entry: RunEntry, long: bool) -> int:
        """Stage all elements of a file; how many there were."""
        count = 0
        self.run.elements[rows.table.file] += 0  # it has a table, though perhaps no row
        for number, chunk in enumerate(reader):
            if number and not long:
                raise LongRunError
            if not number and rows.table.name == _PICTURED and not self._rules.pictures and _has_pictures(chunk):
                raise PicturesError("", where=chunk.where)
            for part in _staged_parts(rows, chunk, long):
                self._on_bytes(part.end - part.begin)
                self._staged(rows, entry, part.end - part.begin, long)
            count += chunk.count
        return count

    def _staged(self, rows: Rows, entry: RunEntry, size_bytes: int, long: bool) -> None:
        """Look at what was staged; of a long run, keep it."""
        table = rows.table
        self.run.elements[table.file] += rows.staged_rows
        if table.struct is not None:
            array = "$.request_states[]" if table.form is Form.STATE else "$[]"
            root = f"{table.file} {'$' if table.form is Form.OBJECT else array}"
            self._note_unexpected(
                unexpected_fields(rows.staged_residuals(), object_shape(table.struct), root), entry, table
            )
        if long:
            rows.keep(entry.key, entry.name, size_bytes)
            self._flush_if(rows.is_full, rows)

    def _note_unexpected(self, odd: Counter[tuple[str, str]], entry: RunEntry, table: Table) -> None:
        add_places(self.run.unexpected, odd)
        if odd and self._rules.strict:
            (what, path), count = next(iter(odd.items()))
            where = Where(f"{entry.suite}/{entry.folder}", table.file, path.split(" ", 1)[1])
            hint = "Without strict=True it is kept in magnet.extra, and reported."
            raise StrictError("", where=where, expected="what HELM declares", found=f"{count} × {what}", hint=hint)

    def _stage_text(self, table: str, place: RunPlace, name: str) -> bytes | None:
        """Keep a file as text; its bytes without a byte-order mark, None if that could not be done.

        Raises:
            SystemReadError: the system does not let it be read.
        """
        try:
            with SourceFile(place.path, name, where_of(place)) as file:
                if file.size_bytes > MAX_TEXT_BYTES:
                    return None
                self._buffer.clear()
                whole = self._buffer.load(file, empty=True, max_bytes=MAX_TEXT_BYTES)
                text = bytes(whole.buffer[: whole.end]).decode("utf-8")
                self._on_bytes(file.size_bytes)
        except SystemReadError:
            raise
        except (BadFileError, UnicodeDecodeError):
            return None
        cast(TextRows, self._tables[table]).stage_pair(name, text)
        return bytes(memoryview(whole.buffer)[whole.begin : whole.end])

    def _stage_suite(self, place: RunPlace, names: set[str]) -> list[str]:
        """Keep a suite's files as texts, and show those that have a table there too; names of those not kept."""
        not_kept = []
        shown: list[tuple[str, bytes]] = []
        for name in sorted(names):
            whole = None if name in _DERIVED else self._stage_text("suite_files", place, name)
            if whole is None:
                not_kept.append(name)
                if name not in _DERIVED:
                    error = BadFileError(f"It is not kept: {why_not_kept(name)}.", where=Where(where_of(place), name))
                    self.run.rejected.append(rejected_of(where_of(place), place.path, error))
            elif _shown_in(name) is not None:
                shown.append((name, whole))
            if sum(len(whole) for _, whole in shown) >= _SHOWN_BYTES:
                self._show_all(shown, place)
                shown = []
        self._show_all(shown, place)
        return not_kept

    def _show_all(self, files: Sequence[tuple[str, bytes]], place: RunPlace) -> None:
        """Show a suite's files in their tables: all of one table at once if they hold nothing out of the ordinary."""
        by_table: dict[str, list[tuple[str, bytes]]] = {}
        for name, whole in files:
            table = _shown_in(name)
            assert table is not None, name
            by_table.setdefault(table.name, []).append((name, whole))
        for table_name, of_table in by_table.items():
            rows = self._tables[table_name]
            if _is_staged_whole(rows, of_table):
                continue
            for name, whole in of_table:
                try:
                    self._show(rows, name, whole, Where(where_of(place), name))
                except BadFileError as error:
                    rejected = rejected_of(where_of(place), place.path, error)
                    hint = (
                        f"It is not in table {table_name}, but kept as text in suite_files. Run helm-summarize again."
                    )
                    self.run.rejected.append(msgspec.structs.replace(rejected, hint=hint))

    def _show(self, rows: Rows, name: str, whole: bytes, where: Where) -> None:
        if _is_staged_whole(rows, [(name, whole)]):
            return
        value = parse_document(whole, where)
        if isinstance(rows, TextRows):
            for key, text in value.items() if isinstance(value, dict) else ():
                rows.stage_pair(key, text if isinstance(text, str) else json.dumps(text))
            return
        elements = value if isinstance(value, list) else [value]
        shown = [document(dumps(element), _shape(rows.table), where) for element in elements]
        for struct, residual in shown:
            cast(ObjectRows, rows).stage_object(struct, residual, name)

    def _flush_if(self, due: bool, table: Rows) -> None:
        if due and table.rows:
            batch = table.flush()
            self.rows[batch.table.name] += batch.rows
            self._sink.add(batch)

    def finish(self) -> T:
        """What the sink makes of all the runs.

        Raises:
            CacheNotWritableError: the disk refused; nothing is left of the segment.
        """
        with _gc.paused():
            try:
                for table in self._tables.values():
                    self._flush_if(True, table)
            except BaseException:
                self._sink.discard()
                raise
            return self._sink.finish()

    def discard(self) -> None:
        """Remove whatever was written."""
        self._sink.discard()


def _staged_parts(rows: Rows, chunk: Chunk, long: bool) -> Iterator[Chunk]:
    """Stage a chunk at once, or in parts where it is crowded; each is to be kept before the next one is asked for.

    Raises:
        BadFileError: one of its elements is no JSON, or too large.
        LongRunError: it is crowded, and the run is not taken as a long one.
    """
    try:
        rows.stage(chunk)
    except CrowdedError:
        if not long:
            raise LongRunError from None
    else:
        yield chunk
        return
    for part in chunk.parts():
        rows.stage(part)
        yield part


def _require_listing(place: RunPlace) -> None:
    """Of a folder that may be entered but not listed nobody can tell which files it has.

    Raises:
        SystemReadError: it is such a folder.
    """
    try:
        filesystem.names(place.path)
    except OSError as error:
        raise read_error(Where(where_of(place)), error, what="folder") from error


_PICTURED = "display_predictions"


def _has_pictures(chunk: Chunk) -> bool:
    return chunk.has(b'"base64_images"') and _PICTURES.search(chunk.view) is not None


_PICTURES = re.compile(rb'"base64_images"\s*:\s*\[\s*"')


def why_not_kept(name: str) -> str:
    """Why a file of a run or a suite is not in the cache."""
    if name == registry.TABLES[_PICTURED].file:
        return "it embeds pictures; they go in with pictures=True or --pictures"
    if name in _DERIVED:
        return "all that is in it is in the runs' own files"
    return f"it is no UTF-8 text of at most {MAX_TEXT_BYTES >> 20} MiB"


_GROUPS = registry.TABLES["groups"]
_SHOWN_BYTES = 1 << 20
"""A suite's files are shown together up to this size: more would leave the processor's caches."""


def _shown_in(name: str) -> Table | None:
    """The table that shows a file of a suite, if there is one."""
    table = _GROUPS if name.startswith("groups/") else _TABLE_OF.get(name)
    return table if table is not None and table.of == "suite" else None


def _is_staged_whole(rows: Rows, files: Sequence[tuple[str, bytes]]) -> bool:
    """Whether the files could be staged at once."""
    if not isinstance(rows, ObjectRows):
        return False
    try:
        rows.stage_whole(files)
    except NotPlainError:
        return False
    return True


_STATE = object_shape(structs.ScenarioState)


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
        found = kind(residual["/name"]) if "/name" in residual else "no such key"
        if found == "a string":
            found += " with half a surrogate pair"
        place = Where(file.where.run, file.where.file, "$.name")
        raise BadFileError("", where=place, expected="a string", found=found)
    return spec, residual
