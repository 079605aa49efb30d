"""Decides how many processes an ingest uses, and which executor, by the bytes to read and the memory allowed."""

import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from magnet_arrow._text import as_size
from magnet_arrow.errors import SettingError
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.ingestion.parallel.executors import CallerExecutor, InProcess, TaskExecutor
from magnet_arrow.ingestion.parallel.process_pool import ProcessPool, cores
from magnet_arrow.ingestion.parallel.task import PendingRun
from magnet_arrow.ingestion.progress import ProgressCounter

POOL_JSON_BYTES = 128 << 20
"""Below this size no processes are started. To start and end two of them costs 0.6 s, mostly imports. In that time one
process reads 50 to 80 MB, so two are not faster below twice that."""
PROCESS_BYTES = 300 << 20
"""Memory that a process may need. Measured: 218 MB of anonymous memory in a worker, 248 MB in a process that reads and
commits, 304 MB in a caller that merges segments (1.2 GB of JSON with a run of 600 MB; Linux, two cores)."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The caller's wishes about processes.

    Attributes:
        workers: processes; None for as many as are faster. A daemonic process, which may have no children, is the
            only one.
        memory_bytes: memory for all processes together; None for no bound.
        executor: the caller's, to use in place of processes of our own.

    Raises:
        SettingError: `workers` is less than one, or one process may need more memory than `memory_bytes`.
    """

    workers: int | None = None
    memory_bytes: int | None = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SettingError("", expected="at least one worker", found=str(self.workers))
        if self.memory_bytes is not None and self.memory_bytes < PROCESS_BYTES:
            least = f"at least {as_size(PROCESS_BYTES)} of memory, as one process may need them"
            raise SettingError("", expected=least, found=as_size(self.memory_bytes))

    def executor_for(
        self, runs: Sequence[PendingRun], counter: ProgressCounter
    ) -> tuple[TaskExecutor, list[tuple[PendingRun, ...]]]:
        """The executor for these runs, and the runs of each task."""
        if self.executor is not None:
            return CallerExecutor(self.executor, counter), list(division.divide_among(runs, self.workers or cores()))
        workers = self._max_workers(sum(run.size_bytes for run in runs))
        if workers > 1:
            divided = list(division.divide_among(runs, workers))
            if len(divided) > 1:
                return ProcessPool(min(workers, len(divided)), counter), divided
        return InProcess(counter), list(division.divide(runs))

    def _max_workers(self, json_bytes: int) -> int:
        if multiprocessing.current_process().daemon:  # such as a worker of someone's pool
            return 1
        wanted = self.workers or (cores() if json_bytes >= POOL_JSON_BYTES else 1)
        if self.memory_bytes is None:
            return wanted
        return max(1, min(wanted, self.memory_bytes // PROCESS_BYTES - 1))  # one is for this process, which merges


_UNITS = {unit: 1000**power for power, unit in enumerate(("b", "kb", "mb", "gb", "tb"))}
_UNITS |= {unit: 1024**power for power, unit in enumerate(("kib", "mib", "gib", "tib"), 1)}


def parse_bytes(text: str) -> int:
    """The bytes of an amount of memory as people write it.

    >>> parse_bytes("2GB"), parse_bytes("0.5 GiB"), parse_bytes("1.5kB")
    (2000000000, 536870912, 1500)

    Raises:
        SettingError: the text is no such amount.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]+)", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise SettingError("", expected="an amount such as 2GB or 500MB", found=repr(text))
    return int(float(match[1]) * _UNITS[match[2]])
