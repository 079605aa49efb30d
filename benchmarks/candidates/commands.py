"""Our command line, as a person runs it: a process of its own for each command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "magnet_arrow"]


def ingest(outputs: str, cache: str) -> dict[str, int]:
    """`magnet-arrow ingest` into a cache that is not there yet; the number of runs."""
    shutil.rmtree(cache, ignore_errors=True)
    return {"runs": _report("ingest", outputs, cache)["runs"]}


def verify(outputs: str, cache: str) -> dict[str, int]:
    """`magnet-arrow verify` of what `ingest` has cached; the number of runs."""
    return {"runs": _report("verify", outputs, cache)["runs"]}


def _report(command: str, outputs: str, cache: str) -> Any:
    done = subprocess.run(
        [*COMMAND, command, outputs, "--cache", cache, "--json"], stdout=subprocess.PIPE, check=True, cwd=Path.home()
    )
    return json.loads(done.stdout)
