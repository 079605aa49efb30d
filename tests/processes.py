"""Ingests in processes of their own, which tests stop, starve and let meet."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PACKAGE = str(Path(__file__).parents[1])
# Each run is a segment and a commit of its own, and segments are merged often, so that there is much to interrupt.
INGEST = """
import sys
sys.path[:0] = [{package!r}, {tests!r}]
from magnet_arrow.cli import main as cli
from magnet_arrow.ingestion import execution as ingestion, worker as work
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.storage import commit
from magnet_arrow.storage.maintenance import compact as compaction
{prelude}
division.SEGMENT_JSON_BYTES = {segment_bytes}
compaction.MAX_SMALL = {max_small}
print("begin", flush=True)
sys.argv = ["magnet-arrow", "ingest", *{sources!r}, "--cache", {cache!r}, "--workers", "{workers}"]
cli.main()
"""


def start(code: str) -> "subprocess.Popen[str]":
    """A Python that runs this code, in a session of its own."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def start_ingest(
    sources: Sequence[Path | str],
    cache: Path,
    *,
    prelude: str = "",
    segment_bytes: int = 1,
    max_small: int = 4,
    workers: int = 1,
) -> "subprocess.Popen[str]":
    """An ingest by the command line; it has begun when this returns."""
    code = INGEST.format(
        package=PACKAGE,
        tests=str(Path(__file__).parent),
        prelude=prelude,
        segment_bytes=segment_bytes,
        max_small=max_small,
        sources=[str(source) for source in sources],
        cache=str(cache),
        workers=workers,
    )
    child = start(code)
    assert child.stdout is not None
    assert child.stdout.readline() == "begin\n", child.communicate()[1]
    return child


def alive(group: int) -> list[str]:
    """The processes of a group, but for those that have no memory any more: they are dead, though not yet seen off."""
    done = subprocess.run(["ps", "-eo", "pgid=,rss=,args="], capture_output=True, text=True, check=True)
    found = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    return [" ".join(rest) for pgid, memory, *rest in found if int(pgid) == group and int(memory)]
