"""How far a worker process is with its task: numbers in memory that it shares with its caller."""

from multiprocessing.sharedctypes import RawArray

from magnet_arrow.ingestion.rules import Progress, WaitsFor

_WAITS: tuple[WaitsFor, ...] = ("", "retries", "network", "decoding")


class LiveCount:
    """Written by one worker process at a time, and read by its caller.

    There is no lock: a worker that is killed would hold it. A number may be a little older than its neighbour.
    """

    def __init__(self) -> None:
        self._numbers = RawArray("d", 5)

    def tell(self, progress: Progress) -> None:
        """Note how far the task is."""
        self._numbers[:] = [
            progress.bytes_done,
            progress.bytes_fetched,
            progress.runs_done,
            progress.rejected,
            _WAITS.index(progress.waits_for),
        ]

    def clear(self) -> None:
        """The task has ended, and its result counts in place of this."""
        self._numbers[:] = [0.0] * len(self._numbers)

    def read(self) -> Progress:
        """How far the task is; of its totals nothing is known."""
        n_bytes, fetched, runs, rejected, waits = map(int, self._numbers)
        return Progress(n_bytes, 0, runs, 0, "", rejected, fetched, _WAITS[waits])
