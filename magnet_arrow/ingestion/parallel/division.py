"""Which runs a task reads: pending runs in, the runs of each task out."""

from collections.abc import Iterable, Iterator, Sequence

from magnet_arrow.ingestion.parallel import shared_run
from magnet_arrow.ingestion.parallel.task import PendingRun, Task, new_task

SEGMENT_JSON_BYTES = 2 << 30
"""The largest task, unless a single run is larger: a crash loses no more work."""
MAX_TASK_BYTES = 512 << 20
MIN_TASK_BYTES = 8 << 20
"""Tasks for several workers grow smaller towards the end, so that no worker is busy long after the others. The first
tasks of a large dump are large, since many small segments would have to be merged."""
_N_RETRIES = 8
_MAX_UNEVEN = 1.1
"""Two workers share a long run if one worker would have more than so many times the average to read with it."""


def divide(runs: Sequence[PendingRun], workers: int | None = None) -> Iterator[tuple[PendingRun, ...]]:
    """The runs of each task: neighbours together, streamed runs alone.

    Args:
        runs: in the order in which they are to be read.
        workers: how many share them; None for one, which reads as many at once as may be in a segment.
    """
    left_bytes = sum(run.size_bytes for run in runs)
    together: list[PendingRun] = []
    size = 0
    for run in runs:
        if run.is_streamed:
            if together:
                yield tuple(together)
            yield (run,)
            together, size = [], 0
            continue
        together.append(run)
        size += run.size_bytes
        if size >= _task_bytes(left_bytes, workers):
            yield tuple(together)
            left_bytes -= size
            together, size = [], 0
    if together:
        yield tuple(together)


def _task_bytes(left_bytes: int, workers: int | None) -> int:
    """A task ends with the run that reaches this size, if so much is left to be divided."""
    if workers is None:
        return SEGMENT_JSON_BYTES
    share = min(MAX_TASK_BYTES, left_bytes // (2 * workers))
    return min(SEGMENT_JSON_BYTES, max(MIN_TASK_BYTES, share))


def divide_among(runs: Iterable[PendingRun], workers: int) -> Iterator[tuple[PendingRun, ...]]:
    """The runs of each task for several workers: the largest first, so that none is begun when all else is done."""
    by_size = sorted(runs, key=lambda run: -run.size_bytes)
    short = sorted((run for run in by_size if not run.is_streamed), key=lambda run: run.key)
    max_load = _MAX_UNEVEN * sum(run.size_bytes for run in by_size) / workers
    loads = [0] * workers  # each run goes to the worker with the least to do
    for run in filter(lambda run: run.is_streamed, by_size):
        for part in shared_run.parts_of(run) if min(loads) + run.size_bytes > max_load else [run]:
            yield (part,)
            loads[loads.index(min(loads))] += part.size_bytes
    yield from divide(short, workers)


def retries(failed: Task) -> list[Task]:
    """Smaller tasks for the runs of one that killed its worker, until the run at fault is alone in a task."""
    step = -(-len(failed.runs) // _N_RETRIES)
    parts = [failed.runs[first : first + step] for first in range(0, len(failed.runs), step)]
    return [new_task(failed.cache, part, tries=failed.tries + 1) for part in parts]
