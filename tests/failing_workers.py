"""What tests have worker processes do when they begin, in place of `process_pool._begin_worker`."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from magnet_arrow.ingestion.ingester import Ingester
from magnet_arrow.ingestion.parallel import process_pool
from magnet_arrow.ingestion.parallel.task import PendingRun

BAD = "tide:n=3"
really_begin = process_pool._begin_worker


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory() -> None:
    raise MemoryError


def _fail_at_the_bad_run(begin: tuple[Any, ...], fail: Callable[[], None]) -> None:
    really_begin(*begin)
    really = Ingester.ingest_batch

    def ingest_batch(self: Ingester[Any], runs: Sequence[PendingRun]) -> list[PendingRun]:
        if any(run.place.folder == BAD for run in runs):
            fail()
        return really(self, runs)

    Ingester.ingest_batch = ingest_batch  # type: ignore[method-assign, assignment]


def killed(*begin: Any) -> None:
    _fail_at_the_bad_run(begin, die)


def out_of_memory(*begin: Any) -> None:
    _fail_at_the_bad_run(begin, run_out_of_memory)


def never_begun(*_: Any) -> None:
    die()
