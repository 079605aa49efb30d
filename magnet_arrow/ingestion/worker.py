"""Runs one task: ingests its runs into one segment, in the caller's process or in a worker process."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from magnet_arrow._forks import require_threads
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import BadFileError
from magnet_arrow.ingestion import batch_reader
from magnet_arrow.ingestion.ingester import Ingester
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.ingestion.parallel.task import PendingRun, Task, TaskResult
from magnet_arrow.ingestion.progress import ProgressCounter
from magnet_arrow.ingestion.reading import read_as_a_whole, where_of
from magnet_arrow.ingestion.rejection import ChangedError, ReadModeError, StrictError, rejected_of
from magnet_arrow.ingestion.rules import ReadMode, chosen_files
from magnet_arrow.ingestion.run_reader import RUN_SPEC, stamps_of
from magnet_arrow.records.row_group import Batch
from magnet_arrow.sources import filesystem, remote_copies
from magnet_arrow.sources.file import FileStamp, SystemReadError, content_digest, plain_name
from magnet_arrow.sources.remote import settings
from magnet_arrow.storage.manifest import FETCHED, RejectedRun, RunEntry, Segment
from magnet_arrow.storage.segments.writer import SegmentWriter

SEGMENT_PARQUET_BYTES = 64 << 20
SEGMENT_TIME_S = 60.0
"""A segment ends with the run that reaches one of these, so that a crash costs no more."""


def run_task(task: Task, counter: ProgressCounter | None = None, buffer: Buffer | None = None) -> TaskResult:
    """Ingest the runs of a task into a segment.

    Args:
        task: the runs.
        counter: told of each run.
        buffer: reused from task to task.

    Raises:
        CacheNotWritableError: the disk refused. Nothing is left of the segment, as after any other exception.
        ForkedError: this process was forked from one that had used Polars.
    """
    require_threads()
    for run in task.runs:
        filesystem.know(run.place.path, run.stamps)
    counter = ProgressCounter() if counter is None else counter
    work = _Work(task, counter, Buffer() if buffer is None else buffer)
    wanted = [(run.place.path, _wanted(run)) for run in task.runs]
    try:
        with (
            settings.using(task.remote),
            remote_copies.telling_while_waiting(counter.tick),
            remote_copies.fetching_ahead(task.cache / FETCHED, wanted, mirror=task.runs[0].rules.keep_json),
        ):
            work.ingest_all()
        return work.finish()
    except BaseException:
        work.discard()
        raise


def _wanted(run: PendingRun) -> list[FileStamp]:
    """The files of a run that the task will certainly read as a whole."""
    share = run.share
    certain = ((stamp, plain_name(stamp.name)) for stamp in read_as_a_whole(run))
    return [stamp for stamp, name in certain if share is None or name == RUN_SPEC or share.has(name)]


@dataclass(slots=True)
class _Sink:
    """A segment's writer that adds to each run the digest of its files."""

    _writer: SegmentWriter
    _contents: Mapping[str, str]

    def add(self, batch: Batch) -> None:
        self._writer.add(batch)

    def add_run(self, entry: RunEntry) -> None:
        content = self._contents.get(entry.key, "")
        self._writer.add_run(msgspec.structs.replace(entry, content=content) if content else entry)

    def finish(self) -> Segment:
        return self._writer.finish()

    def discard(self) -> None:
        self._writer.discard()


class _Work:
    def __init__(self, task: Task, counter: ProgressCounter, buffer: Buffer) -> None:
        self._task, self._counter, self._buffer = task, counter, buffer
        self._begun = time.monotonic()
        self._rejected: list[RejectedRun] = []
        self._unread: list[RejectedRun] = []
        self._left: list[PendingRun] = []
        self._contents: dict[str, str] = {}
        self._begin_segment()

    def _begin_segment(self) -> None:
        self._writer = SegmentWriter(self._task.cache, self._task.name, streamed=self._task.runs[0].is_streamed)
        sink = _Sink(self._writer, self._contents)
        self._ingester: Ingester[Segment] = Ingester(sink, self._buffer, self._counter.read)

    def ingest_all(self) -> None:
        """Ingest the runs, until the segment must end; the others are left to other tasks."""
        runs = self._task.runs
        if runs[0].is_streamed:
            self._note_contents(runs)
            self._ingest_streamed(runs[0])
            return
        for batch, may_be_read_together in batch_reader.batches(
            runs, min(batch_reader.BATCH_BYTES, division.SEGMENT_JSON_BYTES)
        ):
            if self._is_due():
                self._left += batch
                continue
            self._counter.begin(where_of(batch[0].place))
            self._note_contents(batch)
            left = self._ingester.ingest_batch(batch) if may_be_read_together else batch
            self._counter.end(len(batch) - len(left))
            self._ingest_singly(left)

    def _note_contents(self, runs: Sequence[PendingRun]) -> None:
        """Note the digests of runs before they are read, if the rules ask for them."""
        for run in runs:
            if run.rules.content_hash:
                self._contents[run.key] = run.content or content_digest(run.place.path, chosen_files(run))

    def _is_due(self) -> bool:
        if not (self._ingester.n_entries or self._rejected or self._unread):
            return False
        is_late = time.monotonic() - self._begun >= SEGMENT_TIME_S
        return is_late or self._writer.is_wide or self._writer.written_bytes >= SEGMENT_PARQUET_BYTES

    def _ingest_singly(self, runs: Sequence[PendingRun]) -> None:
        for number, run in enumerate(runs):
            if number and self._is_due():
                self._left += runs[number:]
                return
            self._ingest_short(run)

    def _ingest_short(self, run: PendingRun) -> None:
        self._counter.begin(where_of(run.place))
        try:
            try:
                self._ingester.ingest(run)
            except ChangedError:
                run = msgspec.structs.replace(run, stamps=stamps_of(run.place), content="")
                self._note_contents([run])
                self._ingester.ingest(run)
        except ReadModeError as error:
            self._left.append(run.streamed(error.salvage))
        except BadFileError as error:
            self._reject(run, error)
        else:
            self._counter.end(bool(run.place.folder))

    def _ingest_streamed(self, run: PendingRun) -> None:
        """Ingest a streamed run; read it again if another mode is needed."""
        self._counter.begin(where_of(run.place))
        mode = ReadMode(streamed=True, salvage=run.salvage, share=run.share)
        while True:
            try:
                self._ingester.ingest(run, mode)
            except ReadModeError as error:
                self._ingester.discard()
                self._begin_segment()
                mode = replace(mode, salvage=error.salvage, by_layout=error.by_layout)
            except BadFileError as error:
                self._ingester.discard()
                self._begin_segment()
                if run.share is None:
                    self._reject(run, error)
                else:  # which of its faults is reported must not depend on which worker is first
                    self._left.append(run.undivided())
                return
            else:
                self._counter.end(bool(run.place.folder))
                return

    def _reject(self, run: PendingRun, error: BadFileError) -> None:
        place = run.place
        content = self._contents.get(run.key, "")
        why = rejected_of(where_of(place), place.path, error)
        strict = isinstance(error, StrictError)
        # What the system or a changing folder is at fault for says nothing of the state that would be remembered.
        is_passing = isinstance(error, SystemReadError) or stamps_of(place) != run.stamps
        bad = self._unread if is_passing else self._rejected
        bad.append(RejectedRun(run.source, place.suite, place.folder, run.stamps, why, content, strict))
        self._counter.end(bool(place.folder), 1)

    def finish(self) -> TaskResult:
        """What the task has brought; the segment's files are complete."""
        ingester = self._ingester
        segment = ingester.finish() if ingester.n_entries else None
        if segment is None:
            ingester.discard()
        return TaskResult(
            segment=segment,
            rejected=tuple(self._rejected),
            unread=tuple(self._unread),
            left=tuple(self._left),
            runs=ingester.n_runs,
            partial=ingester.n_partial,
            lacking=tuple(ingester.lacking),
            json_bytes=ingester.json_bytes,
            rows=ingester.rows,
            unexpected=dict(ingester.unexpected),
            notes=tuple(ingester.notes),
        )

    def discard(self) -> None:
        """Remove what was written."""
        self._ingester.discard()
