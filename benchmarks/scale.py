"""How the cost of an ingest grows with the number of runs and with the size of a file.

    python benchmarks/scale.py

The exponent is the slope of log seconds over log bytes, by least squares: 1 where cost grows as the input does. The
first call in a process is left out where there is another, since what it costs once would make the slope look better.
10,000 runs need 3 GB of disk for a while, a scenario state of 4 GB 9 GB.
"""

import shutil
from pathlib import Path
from typing import Any

from dumps import json_bytes, made, work_folder
from generate import size_of
from harness import Candidate, Line, arguments, compare, exponent, header, report

TWICE_BELOW_BYTES = 2 << 30


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--runs", nargs="*", type=int, default=[10, 100, 1000, 10_000])
    parser.add_argument("--sizes", nargs="*", default=["1MB", "16MB", "256MB", "4GB"], help="of scenario_state.json")
    args = parser.parse_args()
    head = header()
    with work_folder(args.work) as work:
        by_runs = [_measure(made(work, runs=runs), f"{runs} runs", work, args.rounds) for runs in args.runs]
        by_size = [_measure(made(work, long_bytes=size_of(size)), size, work, args.rounds) for size in args.sizes]
    many = [point for runs, point in zip(args.runs, by_runs, strict=True) if runs >= 100]
    more: dict[str, Any] = {}
    for name, points in (("runs", by_runs), ("runs, from 100", many), ("size of a file", by_size)):
        if len(points) > 1:
            more[f"exponent over {name}"] = round(exponent(*zip(*(point for _, point in points), strict=True)), 3)
    report(__file__, head, [line for line, _ in by_runs + by_size], write_json=args.json, more=more)


def _measure(outputs: Path, question: str, work: Path, rounds: int) -> tuple[Line, tuple[float, float]]:
    """The line of the table, and its point: bytes and seconds."""
    size = json_bytes(outputs)
    is_small = size < TWICE_BELOW_BYTES
    candidate = Candidate("ours", "candidates.ours:cold", (str(outputs), str(work)), calls=3 if is_small else 1)
    (line,) = compare(f"{question} ({size / 1e6:,.1f} MB)", [candidate], rounds if is_small else 1)
    shutil.rmtree(outputs.parent)
    if line.first_s is None:
        raise RuntimeError(line.note)
    return line, (size, line.again_s or line.first_s)


if __name__ == "__main__":
    main()
