"""Candidates measured turn by turn, each in a fresh process on the same core, and the table of what came out.

A candidate is a function `f(*arguments) -> rows` in one of the scripts, named `module:function`. The process that runs
it imports its module, which is not timed, and then calls it: *first* is the first call in a process, *again* the
later ones, *cpu* the processor time of a later call (of the first, if there is but one), which is less moved by what
else the machine does but leaves out waiting for the disk. Peak memory is anonymous: `RssAnon` of the process and its
children, read by the parent every 5 ms (50 where a candidate uses all cores) from `/proc/PID/status`. So libraries and
other mapped files, which the system can drop, do not count.

A function that needs something that is not to be timed is a generator: what it does up to its first `yield` prepares,
up to the second is timed, and the rest cleans up. It yields None, then its rows.
"""

import argparse
import datetime
import importlib
import inspect
import json
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from math import log
from pathlib import Path
from statistics import fmean, median
from typing import Any

HERE = Path(__file__).parent
PACKAGES = ("magnet-arrow", "polars", "pyarrow", "msgspec", "orjson", "fastsimdjson", "duckdb")
SAMPLE_S = 0.005
SELDOM_S = 0.05
"""Where a candidate uses all cores, who watches takes some of its time, at `SAMPLE_S` more than can be overlooked."""
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "ARROW_IO_THREADS": "1"}


SAME_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""glibc moves these as a process goes, so that what one candidate frees may come back to it as new pages and another's
may not: the page faults of `orjson.loads` on a long file would flatter us. Set, they stay where they are."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One contender for a question.

    Attributes:
        name: as the table shows it.
        function: `module:function` in this folder.
        arguments: texts.
        python: interpreter that runs it, where that is not ours.
        cores: how many cores it may use.
        calls: in each process; the first is reported apart from the later ones.
        same_malloc: whether its allocator keeps what is freed, see `SAME_MALLOC`; its peak is then not a user's.
    """

    name: str
    function: str
    arguments: tuple[str, ...] = ()
    python: str = sys.executable
    cores: int = 1
    calls: int = 1
    same_malloc: bool = False


@dataclass(slots=True)
class Measured:
    """What one candidate took.

    Attributes:
        first: seconds of the first call, one a process.
        again: seconds of later calls.
        cpu: processor seconds of later calls, or of the first where there are none.
        peak_bytes: anonymous memory at its highest, one a process.
        rows: what the function gave; the same in every process.
        error: why there is nothing.
    """

    first: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    rows: Any = None
    error: str | None = None


@dataclass(slots=True)
class Line:
    """One line of the table."""

    question: str
    candidate: str
    first_s: float | None
    again_s: float | None
    cpu_s: float | None
    ratio: float | None
    ratio_again: float | None
    ratio_cpu: float | None
    peak_bytes: float | None
    note: str = ""


def take_turns(candidates: Sequence[Candidate], rounds: int) -> dict[str, Measured]:
    """Run all candidates, then all again, so that whatever slows the machine down slows all of them."""
    found: dict[str, Measured] = defaultdict(Measured)
    for _ in range(rounds):
        for candidate in candidates:
            measured = found[candidate.name]
            if measured.error is None:
                _measure(candidate, measured)
    _check_rows({name: measured for name, measured in found.items() if measured.error is None})
    return dict(found)


def _check_rows(found: dict[str, Measured]) -> None:
    """Candidates that give other numbers of rows did not do the same job."""
    rows = {name: json.dumps(measured.rows, sort_keys=True) for name, measured in found.items() if measured.rows}
    assert len(set(rows.values())) <= 1, f"The candidates do not agree on the rows: {rows}"


def _measure(candidate: Candidate, measured: Measured) -> None:
    cores = sorted(os.sched_getaffinity(0))
    command = [candidate.python, str(HERE / "harness.py"), candidate.function, str(candidate.calls)]
    environment = os.environ | (ONE_THREAD if candidate.cores == 1 else {})
    environment |= SAME_MALLOC if candidate.same_malloc else {}
    with subprocess.Popen(
        [*command, ",".join(map(str, cores[: candidate.cores])), *candidate.arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE,
    ) as process:
        peak = _watch(process, cores, SAMPLE_S if candidate.cores < len(cores) else SELDOM_S)
        output, errors = process.communicate()
    if process.returncode:
        words = errors.strip().splitlines()
        measured.error = words[-1] if words else f"ended by signal {-process.returncode}"
        return
    answer = json.loads(output.splitlines()[-1])
    assert measured.rows in (None, answer["rows"]), f"{candidate.name}: {measured.rows}, then {answer['rows']}"
    measured.rows = answer["rows"]
    measured.first.append(answer["seconds"][0])
    measured.again += answer["seconds"][1:]
    if candidate.cores == 1:  # a process's own time says nothing of its workers'
        measured.cpu += answer["cpu"][1:] or answer["cpu"]
    measured.peak_bytes.append(peak)


def _watch(process: "subprocess.Popen[str]", cores: list[int], sample_s: float) -> int:
    """The highest anonymous memory of a process and those that it starts; watched from another core if there is one."""
    os.sched_setaffinity(0, cores[1:] or cores)
    peak = 0
    try:
        while process.poll() is None:
            peak = max(peak, _anonymous(process.pid))
            time.sleep(sample_s)
    finally:
        os.sched_setaffinity(0, cores)
    return peak


def _anonymous(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return 0
    own = next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon")), 0)
    return own + sum(_anonymous(int(child)) for child in children)


def run_candidate(function: str, calls: int, cores: str, arguments: list[str]) -> None:
    """What the fresh process does."""
    os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    if "," not in cores:
        _one_arrow_thread()
    module, name = function.split(":")
    job = getattr(importlib.import_module(module), name)
    seconds, cpu, rows = [], [], None
    for _ in range(calls):
        clock, rows = _call(job, arguments)
        seconds.append(clock.wall)
        cpu.append(clock.cpu)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": rows}))


def _one_arrow_thread() -> None:
    try:
        import pyarrow as pa
    except ImportError:
        return
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


class _Clock:
    """What passed since it was made and until it was stopped."""

    def __init__(self) -> None:
        self.wall, self.cpu = -time.perf_counter(), -time.process_time()

    def stop(self) -> "_Clock":
        self.wall, self.cpu = self.wall + time.perf_counter(), self.cpu + time.process_time()
        return self


def _call(job: Any, arguments: list[str]) -> tuple[_Clock, Any]:
    if not inspect.isgeneratorfunction(job):
        clock = _Clock()
        rows = job(*arguments)
        return clock.stop(), rows
    steps = job(*arguments)
    next(steps)
    clock = _Clock()
    rows = next(steps)
    clock.stop()
    next(steps, None)
    return clock, rows


def run_once(function: str, *arguments: str) -> Any:
    """Prepare something in a process of its own, and give its rows."""
    measured = take_turns([Candidate(function, function, arguments)], 1)[function]
    if measured.error:
        raise RuntimeError(f"{function}: {measured.error}")
    return measured.rows


def compare(question: str, candidates: Sequence[Candidate], rounds: int) -> list[Line]:
    """Lines of the table; ratios are those of the first candidate, ours, to each of the others."""
    found = take_turns(candidates, rounds)
    return lines_of(question, found, candidates[0].name)


def lines_of(question: str, found: dict[str, Measured], ours: str) -> list[Line]:
    """Lines of the table for what was measured."""
    first = found[ours]
    return [
        Line(
            question,
            name,
            _median(measured.first),
            _median(measured.again),
            _median(measured.cpu),
            *_ratios(first, measured),
            _median(measured.peak_bytes),
            measured.error or "",
        )
        for name, measured in found.items()
    ]


def _ratios(ours: Measured, theirs: Measured) -> tuple[float | None, float | None, float | None]:
    if ours is theirs:
        return None, None, None
    return _ratio(ours.first, theirs.first), _ratio(ours.again, theirs.again), _ratio(ours.cpu, theirs.cpu)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    return median(ours) / median(theirs) if ours and theirs else None


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log cost over log size, by least squares: 1 where cost grows as size does."""
    xs, ys = [log(size) for size in sizes], [log(cost) for cost in costs]
    x, y = fmean(xs), fmean(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def header() -> dict[str, Any]:
    """The machine and the versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        **versions,
        "processor": _first_line("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": _first_line("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "load_at_begin": round(os.getloadavg()[0], 2),
    }


def _commit() -> str:
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _first_line(path: str, key: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "unknown")


def arguments(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The options that all scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each candidate (default {rounds})")
    parser.add_argument("--work", type=Path, help="folder for dumps and caches; kept (default: a temporary one)")
    parser.add_argument("--json", action="store_true", help="write benchmarks/results/<script>.json too")
    return parser


def report(script: str, head: dict[str, Any], lines: Sequence[Line], *, write_json: bool, more: Any = None) -> None:
    """Print the table, and write it down if that was asked for."""
    head = head | {"load_at_end": round(os.getloadavg()[0], 2)}
    name = Path(script).stem
    print(f"# {name}\n" + ", ".join(f"{key} {value}" for key, value in head.items()))
    print("peak: highest RssAnon, sampled every 5 ms (50 where a candidate uses all cores), children included\n")
    titles = ("question", "candidate", "first ms", "again ms", "cpu ms", "ours ÷ it", "… again", "… cpu", "peak MB", "")
    cells = [titles, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
    for row in cells:
        left, right = row[:2], row[2:]
        text = [f"{cell:<{width}}" for cell, width in zip(left, widths, strict=False)]
        text += [f"{cell:>{width}}" for cell, width in zip(right, widths[2:], strict=True)]
        print("  ".join(text).rstrip())
    for key, value in (more or {}).items():
        print(f"{key}: {value}")
    if write_json:
        path = HERE / "results" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        document = {"header": head, "lines": [asdict(line) for line in lines]} | ({"more": more} if more else {})
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.question,
        line.candidate,
        _shown(line.first_s, 1e3, 1),
        _shown(line.again_s, 1e3, 1),
        _shown(line.cpu_s, 1e3, 1),
        _shown(line.ratio, 1, 3),
        _shown(line.ratio_again, 1, 3),
        _shown(line.ratio_cpu, 1, 3),
        _shown(line.peak_bytes, 1e-6, 0),
        line.note[:100],
    )


def _shown(value: float | None, factor: float, digits: int) -> str:
    return "–" if value is None else f"{value * factor:,.{digits}f}"


if __name__ == "__main__":
    run_candidate(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:])
