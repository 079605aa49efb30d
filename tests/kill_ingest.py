"""Kills an ingest again and again at random moments (SIGKILL), and looks at what it left each time.

    python tests/kill_ingest.py 50
    python tests/kill_ingest.py 50 --workers 2

Each run is a segment and a commit of its own, so that most kills fall between the first commit and the last. After
each kill the cache is checked byte by byte, and every run in it is rebuilt and compared with its source; then the
ingest goes on in another process, which is killed too, until all is in. Printed: how many commits there were at the
kills, and what was found.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from makedump import make_run, write_runs
from processes import start_ingest
from reading import cached_places

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import verify
from magnet_arrow.ingestion.api import ingest

N_RUNS = 16


@dataclass
class KillResult:
    """What was found after the kills: runs in the cache at each, and what was wrong."""

    cached: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def make_outputs(folder: Path) -> Path:
    """Runs that differ in their columns, so that merging has something to do."""
    made = [
        make_run(f"tide:n={number}", args={"n": number, f"own{number}": 1}, extra_data=[{"k": number}])
        for number in range(N_RUNS)
    ]
    write_runs(folder / "outputs", made)
    return folder / "outputs"


def torn(outputs: Path, cache: Path) -> list[str]:
    """What is wrong with a cache: damage, and every difference between a run in it and its source."""
    found = [damage.what for damage in Cache(cache).check().damages]
    places = cached_places(outputs, cache)
    if places:
        report = verify([place.path for place in places], cache)
        found += [str(difference) for difference in report.differences]
        if report.n_differences or (report.runs, report.files) != (len(places), 4 * len(places)):
            found.append(f"{len(places)} runs: {report.runs} compared, {report.files} files")
    return found


def kill_often(outputs: Path, folder: Path, kills: int, seed: int, workers: int = 1) -> KillResult:
    """Kills so many ingests; a new cache is begun when one is full."""
    rng, result, number = random.Random(seed), KillResult(), 0
    cache = folder / "cache0"
    whole_s = _time_whole(outputs, folder / "timed", workers)
    while len(result.cached) < kills:
        child = start_ingest([outputs], cache, workers=workers)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(rng.uniform(0, whole_s))
        ended = child.poll() is not None
        if not ended:
            os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        if not ended:
            result.cached.append(Cache(cache).runs().height)
            result.wrong += torn(outputs, cache)
        if ended or rng.random() < 0.7:
            # Whatever the last one left, an ingest goes on from there to the end.
            done = ingest(outputs, cache)
            if done.runs + done.skipped != N_RUNS or done.rejected:
                result.wrong.append(f"{done.runs} runs were ingested, {done.skipped} were there, of {N_RUNS}")
            result.wrong += torn(outputs, cache)
            number += 1
            cache = folder / f"cache{number}"
    return result


def _time_whole(outputs: Path, cache: Path, workers: int) -> float:
    child = start_ingest([outputs], cache, workers=workers)
    begin = time.monotonic()
    child.communicate()
    return time.monotonic() - begin


def histogram(cached: list[int]) -> str:
    """A line for each few runs that were in the cache at a kill."""
    step = 4
    counts = Counter(-1 if not runs else min(runs, N_RUNS) // step for runs in cached)
    lines = [f"  {'none':8} {counts[-1]:4} {'#' * counts[-1]}"]
    for first in range(0, N_RUNS, step):
        count = counts[first // step]
        lines.append(f"  {max(first, 1):2} to {first + step - 1:2} {count:4} {'#' * count}")
    count = counts[N_RUNS // step]
    return "\n".join([*lines, f"  all {N_RUNS:<4} {count:4} {'#' * count}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that read; only the first one is killed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = kill_often(make_outputs(Path(folder)), Path(folder), options.kills, options.seed, options.workers)
    between = sum(0 < runs < N_RUNS for runs in result.cached)
    print(f"{options.kills} kills, {between} of them between the first commit and the last; runs in the cache then:")
    print(histogram(result.cached))
    print(f"{len(result.wrong)} things wrong", *result.wrong[:20], sep="\n")
    sys.exit(bool(result.wrong))


if __name__ == "__main__":
    main()
