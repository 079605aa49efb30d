"""Which hands an ingest takes: how many processes, by what there is to read and what they may take."""

import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from magnet_arrow.errors import SettingError
from magnet_arrow.ingestion.parallel import task
from magnet_arrow.ingestion.parallel.executors import BorrowedHands, Hands, OwnHands
from magnet_arrow.ingestion.parallel.process_pool import Pool, cores
from magnet_arrow.ingestion.parallel.task import Todo
from magnet_arrow.ingestion.progress import Meter

POOL_JSON_BYTES = 128 << 20
"""Below it no processes are started: two of them are ready and gone again in 0.6 s (imports, for the most part), in
which one process reads 50 to 80 MB, so that two are not faster below twice that."""
PROCESS_BYTES = 300 << 20
"""What a process may take: a worker was seen to take 218 MB of anonymous memory, one that reads and commits 248 MB, a
caller that merges segments 304 MB (1.2 GB of JSON, in it a run of 600 MB; Linux, two cores)."""


@dataclass(frozen=True, slots=True)
class Staff:
    """Who is to read, as the caller wishes.

    Attributes:
        workers: processes; None for as many as pay. A daemonic process, which may have no children, is the only one.
        memory_bytes: what all processes together may take; None for no bound.
        executor: the caller's, in place of processes of our own.

    Raises:
        SettingError: there is no room for one process in that much memory, or there are to be no workers.
    """

    workers: int | None = None
    memory_bytes: int | None = None
    executor: Executor | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SettingError("", expected="at least one worker", found=str(self.workers))
        if self.memory_bytes is not None and self.memory_bytes < PROCESS_BYTES:
            least = f"at least {PROCESS_BYTES >> 20} MiB of memory, as one process may need them"
            raise SettingError("", expected=least, found=f"{self.memory_bytes >> 20} MiB")

    def for_runs(self, runs: Sequence[Todo], meter: Meter) -> tuple[Hands, list[tuple[Todo, ...]]]:
        """Who reads these runs, and how they are divided into orders."""
        if self.executor is not None:
            return BorrowedHands(self.executor, meter), list(task.in_parallel(runs, self.workers or cores()))
        most = self._most_workers(sum(run.size_bytes for run in runs))
        if most > 1:
            divided = list(task.in_parallel(runs, most))
            if len(divided) > 1:
                return Pool(min(most, len(divided)), meter), divided
        return OwnHands(meter), list(task.divide(runs))

    def _most_workers(self, json_bytes: int) -> int:
        if multiprocessing.current_process().daemon:  # a worker of someone's pool: it may have no children
            return 1
        wanted = self.workers or (cores() if json_bytes >= POOL_JSON_BYTES else 1)
        if self.memory_bytes is None:
            return wanted
        return max(1, min(wanted, self.memory_bytes // PROCESS_BYTES - 1))  # this one merges


_UNITS = {unit: 1000**power for power, unit in enumerate(("b", "kb", "mb", "gb", "tb"))}
_UNITS |= {unit: 1024**power for power, unit in enumerate(("kib", "mib", "gib", "tib"), 1)}


def parse_bytes(text: str) -> int:
    """An amount of memory as people write it.

    >>> parse_bytes("2GiB"), parse_bytes("500 MB"), parse_bytes("1.5kB")
    (2147483648, 500000000, 1500)

    Raises:
        SettingError: it is none.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]+)", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise SettingError("", expected="an amount such as 2GiB or 500MB", found=repr(text))
    return int(float(match[1]) * _UNITS[match[2]])
