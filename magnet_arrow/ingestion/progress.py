"""How far an ingest is, reported to the caller's function."""

from collections.abc import Callable

from magnet_arrow.ingestion.parallel.task import Task, TaskResult
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.ingestion.rules import Progress


class ProgressCounter:
    """Counts bytes and runs, and reports the counts.

    Args:
        report: the caller's function, called now and then; None if there is none.
        n_bytes: bytes of JSON to read.
        n_runs: runs to read.

    Attributes:
        stopped_by: what the caller's function raised, which is no fault of a run.
    """

    def __init__(self, report: Callable[[Progress], None] | None = None, n_bytes: int = 0, n_runs: int = 0) -> None:
        self._report_to, self._n_bytes, self._n_runs = report, n_bytes, n_runs
        self._bytes = self._runs = self._rejected = 0
        self._run = ""
        self.stopped_by: Exception | None = None

    def begin(self, run: str) -> None:
        """Reading of a run begins."""
        self._run = run

    def read(self, n_bytes: int) -> None:
        """So many more bytes have been read."""
        self._bytes += n_bytes
        self._report()

    def end(self, n_runs: int, n_rejected: int = 0) -> None:
        """So many more runs are done, and so many of them were rejected."""
        self._runs += n_runs
        self._rejected += n_rejected
        self._report()

    def end_task(self, task: Task, result: TaskResult) -> TaskResult:
        """Another process has ended a task: count all of it at once, and give back its result.

        A run that two tasks read is done when both have ended, so it is not counted here.
        """
        left = {run.key for run in result.left}
        done = [run for run in task.runs if run.key not in left]
        if done:
            self._run = where_of(done[-1].place)
            self._bytes += sum(run.size_bytes for run in done)
            if task.is_part:
                self._report()
            else:
                self.end(sum(bool(run.place.folder) for run in done), result.n_rejected)
        return result

    def _report(self) -> None:
        if self._report_to is not None:
            done = min(self._bytes, self._n_bytes)  # what is read twice counts once
            progress = Progress(done, self._n_bytes, self._runs, self._n_runs, self._run, self._rejected)
            try:
                self._report_to(progress)
            except Exception as error:
                self.stopped_by = error
                raise
