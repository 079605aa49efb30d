"""Reads runs, one by one or in batches, and passes their row groups to a sink."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import structs

from magnet_arrow import _gc
from magnet_arrow.decode.anomalies import add_counts
from magnet_arrow.decode.decoder import FastDecodeError
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import Rejected
from magnet_arrow.ingestion.batch_reader import BatchReader, BufferedRun
from magnet_arrow.ingestion.reading import (
    PICTURED,
    Found,
    ReadContext,
    TableBuilders,
    new_entry,
    where_of,
    why_not_kept,
)
from magnet_arrow.ingestion.rejection import changed
from magnet_arrow.ingestion.rules import ReadMode, Run, Sink, chosen_files
from magnet_arrow.ingestion.run_reader import RunReader, has_pictures, stamps_of
from magnet_arrow.ingestion.suite_reader import SuiteReader
from magnet_arrow.records.table_builder import Owner, Rows
from magnet_arrow.records.table_builders import ObjectBuilder
from magnet_arrow.schema import registry
from magnet_arrow.sources.file import plain_name
from magnet_arrow.storage.manifest import RunEntry

T = TypeVar("T")
R = TypeVar("R", bound=Run)
_RUN_SPECS = registry.TABLES["run_spec"]
_BATCH_TABLES = tuple(table for table in registry.RUN_TABLES if table.file)
_MODE = ReadMode()


class Ingester(Generic[T]):
    """Reads runs into a sink.

    Args:
        sink: where their row groups go.
        buffer: for the files of runs that are read one by one.
        on_bytes: told how many bytes of JSON have been read since it was last called.

    Attributes:
        unexpected: unknown fields and values of another type: how often, by (what, file and JSON path).
        json_bytes: bytes of the runs' files.
        n_runs: how many runs were ingested.
        n_entries: the same, with suites.
        n_partial: how many of these are incomplete.
        lacking: what they lack.
        notes: sentences for the report.
    """

    def __init__(self, sink: Sink[T], buffer: Buffer, on_bytes: Callable[[int], None]) -> None:
        self._sink = sink
        self._tables = TableBuilders(sink.add)
        self._context = ReadContext(self._tables, buffer, on_bytes)
        self._batch_reader = BatchReader()
        self.unexpected: Counter[tuple[str, str]] = Counter()
        self.json_bytes = 0
        self.n_runs = self.n_entries = self.n_partial = 0
        self.lacking: list[Rejected] = []
        self.notes: list[str] = []

    @property
    def rows(self) -> dict[str, int]:
        """How many rows the sink was given, by table."""
        return self._tables.rows

    def ingest(self, run: Run, mode: ReadMode = _MODE) -> tuple[RunEntry, Found]:
        """Ingest one run, or the files beside the runs of a suite.

        Args:
            run: the run.
            mode: how to read it.

        Returns:
            Its entry without places of rows, and what was read.

        Raises:
            BadFileError: it cannot be read. Nothing of it is in the sink; but after a streamed run the sink is of no
                use any more.
            ReadModeError: it must be read in another mode, and nothing of it is in the sink; but after a streamed run
                the sink is of no use any more.
            CacheNotWritableError: the disk refused.
        """
        with _gc.paused():
            reader = RunReader(run, mode, self._context) if run.place.folder else SuiteReader(run, self._context)
            entry, found = reader.read(), reader.found
            now = stamps_of(run.place)
            if now != run.stamps:
                raise changed(where_of(run.place), run.stamps, now)
            for table, rows, json_bytes in found.rows:
                self._context.append(entry, table, rows, json_bytes)
            add_counts(self.unexpected, found.unexpected)
            self._add_run(run, entry)
            self._tables.flush_full()
        self.notes += [f"{where_of(run.place)}/{name} is not kept: {why_not_kept(name)}." for name in entry.not_kept]
        return entry, found

    def ingest_batch(self, runs: Sequence[R]) -> list[R]:
        """Ingest short runs together, see `batch_reader`.

        Returns:
            Those that must be read one by one, as something in them is not ordinary. Nothing of them is in the sink.

        Raises:
            CacheNotWritableError: the disk refused.
        """
        with _gc.paused():
            buffered = self._batch_reader.read(runs)
            try:
                names, rows = self._read_batch(buffered) if buffered else ([], {})
            except FastDecodeError:
                return list(runs)
            self._append_batch(buffered, names, rows)
            self._tables.flush_full()
        ingested = {id(one.run) for one in buffered}
        return [run for run in runs if id(run) not in ingested]

    def _read_batch(self, runs: Sequence[BufferedRun[R]]) -> tuple[list[str], dict[str, Rows]]:
        """The runs' names, and the rows of all of them by table.

        Raises:
            FastDecodeError: one of them may hold something that needs a closer look.
        """
        rows: dict[str, Rows] = {}
        for table in _BATCH_TABLES[1:]:
            there = [run for run in runs if table.name in run.files]
            if not there:
                continue
            files = [run.files[table.name] for run in there]
            if table is PICTURED and any(map(_has_unwanted_pictures, there)):
                raise FastDecodeError
            builder = self._tables.of(table)
            rows[table.name] = builder.read_files(files)
            if any(builder.residuals_of(rows[table.name])):
                raise FastDecodeError  # each run's unexpected fields are reported, and may be a reason to reject it
        specs = self._tables.find(_RUN_SPECS, ObjectBuilder).read_files([run.files[_RUN_SPECS.name] for run in runs])
        if not all(isinstance(spec.name, str) for spec in specs.values):
            raise FastDecodeError
        rows[_RUN_SPECS.name] = specs
        return [spec.name for spec in specs.values], rows

    def _append_batch(self, runs: Sequence[BufferedRun[R]], names: Sequence[str], rows: dict[str, Rows]) -> None:
        entries = []
        counts = {name: iter(of_table.counts) for name, of_table in rows.items()}
        for one, name in zip(runs, names, strict=True):
            run = one.run
            elements = {table.file: next(counts[table.name]) for table in _BATCH_TABLES if table.name in one.files}
            entry = structs.replace(new_entry(run, name), elements=elements)
            entries.append(entry)
            self._add_run(run, entry)
            self._context.on_bytes(sum(stamp.size_bytes for stamp in chosen_files(run)))
        for table, of_table in rows.items():
            owners = [
                Owner(entry.key, entry.name, one.files[table].end - one.files[table].begin)
                for entry, one in zip(entries, runs, strict=True)
                if table in one.files
            ]
            self._tables.of(registry.TABLES[table]).append(of_table, owners)

    def _add_run(self, run: Run, entry: RunEntry) -> None:
        self._sink.add_run(entry)
        self.json_bytes += sum({plain_name(stamp.name): stamp.size_bytes for stamp in chosen_files(run)}.values())
        self.n_runs += bool(entry.folder)
        self.n_entries += 1
        self.n_partial += entry.is_partial
        self.lacking += entry.lacking

    def finish(self) -> T:
        """What the sink makes of all the runs.

        Raises:
            CacheNotWritableError: the disk refused; nothing is left of the segment.
        """
        with _gc.paused():
            try:
                self._tables.finish()
            except BaseException:
                self._sink.discard()
                raise
            return self._sink.finish()

    def discard(self) -> None:
        """Remove what was written."""
        self._sink.discard()


def _has_unwanted_pictures(one: BufferedRun[Any]) -> bool:
    return not one.run.rules.pictures and has_pictures(one.files[PICTURED.name])
