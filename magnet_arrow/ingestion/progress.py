"""How far an ingest is, and telling it to whoever wants to know."""

from collections.abc import Callable

from magnet_arrow.ingestion.parallel.task import Order, Outcome
from magnet_arrow.ingestion.rules import Progress
from magnet_arrow.ingestion.run_reader import where_of


class Meter:
    """Counts, and tells what it has counted.

    Args:
        tell: called now and then; None if nobody wants to know.
        n_bytes: bytes of JSON that there are to read.
        n_runs: runs that there are to read.

    Attributes:
        stopped_by: what the caller's function raised, which is no fault of a run.
    """

    def __init__(self, tell: Callable[[Progress], None] | None = None, n_bytes: int = 0, n_runs: int = 0) -> None:
        self._tell, self._n_bytes, self._n_runs = tell, n_bytes, n_runs
        self._bytes = self._runs = self._rejected = 0
        self._run = ""
        self.stopped_by: Exception | None = None

    def begin(self, run: str) -> None:
        """This run is at hand."""
        self._run = run

    def read(self, n_bytes: int) -> None:
        """So many bytes more have been read."""
        self._bytes += n_bytes
        self._report()

    def end(self, n_runs: int, n_rejected: int = 0) -> None:
        """So many runs more are done, of which so many were rejected."""
        self._runs += n_runs
        self._rejected += n_rejected
        self._report()

    def end_order(self, order: Order, outcome: Outcome) -> Outcome:
        """An order has ended elsewhere: all of it at once. A run that several take is done when they all are."""
        left = {run.key for run in outcome.left}
        done = [run for run in order.runs if run.key not in left]
        if done:
            self._run = where_of(done[-1].place)
            self._bytes += sum(run.size_bytes for run in done)
            if order.is_part:
                self._report()
            else:
                self.end(sum(bool(run.place.folder) for run in done), outcome.n_rejected)
        return outcome

    def _report(self) -> None:
        if self._tell is not None:
            done = min(self._bytes, self._n_bytes)  # what is read twice counts once
            progress = Progress(done, self._n_bytes, self._runs, self._n_runs, self._run, self._rejected)
            try:
                self._tell(progress)
            except Exception as error:
                self.stopped_by = error
                raise
