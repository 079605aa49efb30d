"""Measures how fast an ingest is, which the plan of the next one says."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from magnet_arrow.ingestion.parallel.task import PendingRun
from magnet_arrow.ingestion.reading import read_as_a_whole
from magnet_arrow.sources import filesystem
from magnet_arrow.storage.manifest import FETCHED, RejectedRun
from magnet_arrow.storage.rates import Kind, keep_rate

clock = time.monotonic


def kind_of(source: str | Path) -> Kind:
    """The kind of a source, by a path in it."""
    return "bucket" if filesystem.is_remote(source) else "local"


@contextlib.contextmanager
def rate_measured(cache: Path, runs: Sequence[PendingRun], rejected: Sequence[RejectedRun]) -> Iterator[None]:
    """Keep the rate at which runs are read within the context.

    Not kept is that of runs from buckets and this machine together, and of an ingest from a bucket that goes on with
    what another one has fetched.

    Args:
        cache: the cache's folder.
        runs: to read.
        rejected: those that were not read, when the context ends.
    """
    kinds = {kind_of(run.place.path) for run in runs}
    goes_on = kinds == {"bucket"} and filesystem.is_folder(cache / FETCHED)
    begin = clock()
    yield
    seconds = clock() - begin
    if len(kinds) == 1 and not goes_on:
        bad = {one.key for one in rejected}
        read = (run for run in runs if run.key not in bad)
        size_bytes = sum(stamp.size_bytes for run in read for stamp in read_as_a_whole(run))
        keep_rate(cache, kinds.pop(), size_bytes, seconds)
