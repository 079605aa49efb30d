"""A verification, beside the ingest that it proves: both as whole commands, start-up included, with all cores.

    python benchmarks/verify.py

Ratios are those of `verify` to `ingest`.
"""

import os
import shutil
from pathlib import Path

from dumps import complete, made, work_folder
from harness import Candidate, Line, arguments, header, lines_of, report, take_turns


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--runs", type=int, default=10_000, help="made short runs, 100 kB each (default 10,000)")
    args = parser.parse_args()
    head = header()
    with work_folder(args.work) as work:
        mmlu = complete("mmlu", work)
        lines = [] if mmlu is None else _lines("mmlu, as it is", mmlu, work / "verify-cache", args.rounds)
        outputs = made(work, runs=args.runs, instances=6)
        lines += _lines(f"{args.runs} runs", outputs, work / "verify-cache", args.rounds)
    report(__file__, head, lines, write_json=args.json)


def _lines(question: str, outputs: Path, cache: Path, rounds: int) -> list[Line]:
    cores, folders = len(os.sched_getaffinity(0)), (str(outputs), str(cache))
    candidates = [
        Candidate(command, f"candidates.commands:{command}", folders, cores=cores) for command in ("ingest", "verify")
    ]
    lines = lines_of(question, take_turns(candidates, rounds), "verify")
    shutil.rmtree(cache)
    return lines


if __name__ == "__main__":
    main()
