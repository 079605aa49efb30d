"""How far an ingest is, reported to the caller's function."""

import contextlib
from collections.abc import Callable, Sequence

from magnet_arrow.ingestion.parallel.live_count import LiveCount
from magnet_arrow.ingestion.parallel.task import PendingRun, Task, TaskResult
from magnet_arrow.ingestion.reading import read_as_a_whole, where_of
from magnet_arrow.ingestion.rules import Progress, WaitsFor
from magnet_arrow.ingestion.waiting import Waiting
from magnet_arrow.sources import remote_copies
from magnet_arrow.sources.file import plain_name


class ProgressCounter:
    """Counts bytes and runs, and reports the counts.

    Args:
        report: the caller's function, called now and then; None if there is none.
        n_bytes: bytes of JSON to read.
        n_runs: runs to read.

    Attributes:
        live: how far other processes are with tasks that have not ended.
        stopped_by: what the caller's function raised, which is no fault of a run.
    """

    def __init__(self, report: Callable[[Progress], None] | None = None, n_bytes: int = 0, n_runs: int = 0) -> None:
        self._report_to, self._n_bytes, self._n_runs = report, n_bytes, n_runs
        self._bytes = self._runs = self._rejected = 0
        self._run = ""
        self._fetched = -remote_copies.fetched_bytes()
        self._waiting = Waiting()
        self.live: Sequence[LiveCount] = ()
        self.stopped_by: Exception | None = None

    def begin(self, run: str) -> None:
        """Reading of a run begins."""
        self._run = run

    def read(self, n_bytes: int) -> None:
        """So many more bytes have been read."""
        self._bytes += n_bytes
        self.report()

    def end(self, n_runs: int, n_rejected: int = 0) -> None:
        """So many more runs are done, and so many of them were rejected."""
        self._runs += n_runs
        self._rejected += n_rejected
        self.report()

    def end_task(self, task: Task, result: TaskResult) -> TaskResult:
        """Another process has ended a task: count all of it at once, and give back its result.

        A run that two tasks read is done when both have ended, so it is not counted here.
        """
        left = {run.key for run in result.left}
        done = [run for run in task.runs if run.key not in left]
        if done:
            self._run = where_of(done[-1].place)
            self._bytes += sum(bytes_to_read(run) for run in done)
            if task.is_part:
                self.report()
            else:
                self.end(sum(bool(run.place.folder) for run in done), result.n_rejected)
        return result

    def drop(self, live: LiveCount) -> None:
        """A task of another process has ended, and no longer counts as live; of its bytes the fetched ones stay."""
        self._fetched += live.read().bytes_fetched
        live.clear()

    def tick(self) -> None:
        """Report while something is waited for. What the caller's function raises is raised by the next report."""
        with contextlib.suppress(Exception):
            self.report()

    def report(self) -> None:
        """Report the counts, if somebody wants to know.

        Raises:
            Exception: what the caller's function raised, now or before.
        """
        if self.stopped_by is not None:
            raise self.stopped_by
        if self._report_to is not None:
            try:
                self._report_to(self._progress())
            except Exception as error:
                self.stopped_by = error
                raise

    def _progress(self) -> Progress:
        live = [one.read() for one in self.live]
        n_bytes = self._bytes + sum(one.bytes_done for one in live)
        fetched = self._fetched + remote_copies.fetched_bytes() + sum(one.bytes_fetched for one in live)
        return Progress(
            min(n_bytes, self._n_bytes),  # what is read twice counts once
            self._n_bytes,
            self._runs + sum(one.runs_done for one in live),
            self._n_runs,
            self._run,
            self._rejected + sum(one.rejected for one in live),
            min(fetched, self._n_bytes),
            self._waits_for(live, fetched - n_bytes) if fetched and n_bytes < self._n_bytes else "",
        )

    def _waits_for(self, live: Sequence[Progress], ahead_bytes: int) -> WaitsFor:
        """What this process waits for; if others read, what half of them do."""
        if not live:
            is_repeating = remote_copies.is_repeating_fetches()
            return self._waiting.waits_for(remote_copies.waited_s(), ahead_bytes, is_repeating=is_repeating)
        waits = [one.waits_for for one in live if one.bytes_fetched]
        often: tuple[WaitsFor, ...] = ("retries", "network", "decoding")
        return next((one for one in often if waits.count(one) * 2 >= max(1, len(waits))), "")


def bytes_to_read(run: PendingRun) -> int:
    """Bytes of the files of a run, or of a share of them, that are certainly read."""
    share = run.share
    read = read_as_a_whole(run)
    return sum(stamp.size_bytes for stamp in read if share is None or share.has(plain_name(stamp.name)))
