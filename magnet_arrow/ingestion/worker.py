"""What a worker does: the runs of one task into one segment. The same in the caller's process and in any other."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from magnet_arrow._forks import require_threads
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import BadFileError
from magnet_arrow.ingestion import batch_reader
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.ingestion.parallel.task import PendingRun, Task, TaskResult
from magnet_arrow.ingestion.progress import ProgressCounter
from magnet_arrow.ingestion.rejection import ChangedError, LongRunError, StrictError, rejected_of
from magnet_arrow.ingestion.run_reader import RunReader, stamps_of, where_of
from magnet_arrow.records.table_builder import Batch
from magnet_arrow.sources.file import Fingerprint, SystemReadError, content_digest
from magnet_arrow.storage.manifest import RejectedRun, RunEntry, Segment
from magnet_arrow.storage.segments.segment_files import SegmentWriter

SEGMENT_PARQUET_BYTES = 64 << 20
SEGMENT_TIME_S = 60.0
"""A segment is handed over at the first of these, at the end of a run, so that a crash costs no more."""


def run_task(task: Task, counter: ProgressCounter | None = None, buffer: Buffer | None = None) -> TaskResult:
    """Take the runs of a task into a segment.

    Args:
        task: what to take.
        counter: told of each run.
        buffer: reused from task to task.

    Raises:
        CacheNotWritableError: the disk refused. Nothing is left of the segment, as after any other exception.
        ForkedError: this process was forked from one that had used Polars.
    """
    require_threads()
    work = _Work(task, ProgressCounter() if counter is None else counter, Buffer() if buffer is None else buffer)
    try:
        work.take_all()
        return work.finish()
    except BaseException:
        work.discard()
        raise


@dataclass(slots=True)
class _Sink:
    """The segment's writer, which is told the digest of each run as well."""

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
        self._writer = SegmentWriter(self._task.cache, self._task.name, long=self._task.runs[0].is_long)
        sink = _Sink(self._writer, self._contents)
        self._taker: RunReader[Segment] = RunReader(sink, self._buffer, self._counter.read, self._task.rules)

    def take_all(self) -> None:
        """Take the runs until the segment is due to be handed over."""
        runs = self._task.runs
        if runs[0].is_long:
            self._note_contents(runs)
            self._take_long(runs[0])
            return
        for batch, may_be_plain in batch_reader.batches(
            runs, min(batch_reader.BATCH_BYTES, division.SEGMENT_JSON_BYTES)
        ):
            if self._is_due():
                self._left += batch
                continue
            self._counter.begin(where_of(batch[0].place))
            self._note_contents(batch)
            singly = self._taker.take_plain(batch) if may_be_plain else batch
            self._counter.end(len(batch) - len(singly))
            self._take_singly(singly)

    def _note_contents(self, runs: Sequence[PendingRun]) -> None:
        """Before they are read: see `RunEntry.content`."""
        if self._task.rules.content_hash:
            for run in runs:
                self._contents[run.key] = run.content or content_digest(run.place.path, run.stamps)

    def _is_due(self) -> bool:
        if not (self._taker.n_entries or self._rejected or self._unread):
            return False
        is_late = time.monotonic() - self._begun >= SEGMENT_TIME_S
        return is_late or self._writer.is_wide or self._writer.written_bytes >= SEGMENT_PARQUET_BYTES

    def _take_singly(self, runs: Sequence[PendingRun]) -> None:
        for number, run in enumerate(runs):
            if number and self._is_due():
                self._left += runs[number:]
                return
            self._take_short(run)

    def _take_short(self, run: PendingRun) -> None:
        self._counter.begin(where_of(run.place))
        stamps = run.stamps
        try:
            try:
                self._taker.take(run.place, run.source, stamps, long=False)
            except ChangedError:
                stamps = stamps_of(run.place)
                self._note_contents([msgspec.structs.replace(run, stamps=stamps, content="")])
                self._taker.take(run.place, run.source, stamps, long=False)
        except LongRunError as error:
            self._left.append(run.streamed(stamps, error.salvage))
        except BadFileError as error:
            self._reject(run, stamps, error)
        else:
            self._counter.end(bool(run.place.folder))

    def _take_long(self, run: PendingRun) -> None:
        """Take a run whose rows are written as they come; again, where that turns out to need another way."""
        self._counter.begin(where_of(run.place))
        salvage, by_layout = run.salvage, True
        while True:
            try:
                self._taker.take(
                    run.place,
                    run.source,
                    run.stamps,
                    long=True,
                    salvage=salvage,
                    by_layout=by_layout,
                    share=run.share,
                )
            except LongRunError as error:
                self._taker.discard()
                self._begin_segment()
                salvage, by_layout = error.salvage, error.by_layout
            except BadFileError as error:
                self._taker.discard()
                self._begin_segment()
                if run.share is None:
                    self._reject(run, run.stamps, error)
                else:  # which of its faults is told must not depend on who finds his first
                    self._left.append(run.undivided())
                return
            else:
                self._counter.end(bool(run.place.folder))
                return

    def _reject(self, run: PendingRun, stamps: Fingerprint, error: BadFileError) -> None:
        place = run.place
        content = self._contents.get(run.key, "")
        why = rejected_of(where_of(place), place.path, error)
        strict = isinstance(error, StrictError)
        bad = self._unread if isinstance(error, SystemReadError) else self._rejected
        bad.append(RejectedRun(run.source, place.suite, place.folder, stamps, why, content, strict))
        self._counter.end(bool(place.folder), 1)

    def finish(self) -> TaskResult:
        """What became of the task; the segment's files are complete."""
        taker = self._taker
        segment = taker.finish() if taker.n_entries else None
        if segment is None:
            taker.discard()
        return TaskResult(
            segment=segment,
            rejected=tuple(self._rejected),
            unread=tuple(self._unread),
            left=tuple(self._left),
            runs=taker.n_runs,
            partial=taker.n_partial,
            lacking=tuple(taker.lacking),
            json_bytes=taker.json_bytes,
            rows=taker.rows,
            unexpected=dict(taker.unexpected),
            notes=tuple(taker.notes),
        )

    def discard(self) -> None:
        """Remove what was written."""
        self._taker.discard()
