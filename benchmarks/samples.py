"""Samples and scores of cached runs, beside the four frames of the same runs.

    python benchmarks/samples.py

All have to look at each run, and verify page checksums. Samples join request states with the stats of their instances
and hash every question and prompt.
"""

import shutil

from dumps import complete, work_folder
from harness import Candidate, Line, arguments, compare, header, report, run_once


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--dumps", nargs="*", default=["mmlu", "classic", "bbq"])
    args = parser.parse_args()
    head = header()
    lines: list[Line] = []
    with work_folder(args.work) as work:
        for name in args.dumps:
            outputs = complete(name, work)
            if outputs is None:
                continue
            cache = str(work / f"samples-{name.replace('/', '_')}")
            run_once("candidates.samples:kept", str(outputs), cache)
            lines += _measure(name, str(outputs), cache, args.rounds)
            shutil.rmtree(cache)
    report(__file__, head, lines, write_json=args.json, more={})


def _measure(name: str, outputs: str, cache: str, rounds: int) -> list[Line]:
    def candidate(what: str, function: str, *rest: str) -> Candidate:
        return Candidate(what, f"candidates.samples:{function}", (outputs, cache, *rest), calls=5)

    frames = candidate("four frames", "four_frames")
    lines = compare(f"samples of {name}", [candidate("ours", "samples"), frames], rounds)
    lines += compare(f"samples with all metrics of {name}", [candidate("ours", "samples", "all"), frames], rounds)
    return lines + compare(f"scores of {name}", [candidate("ours", "scores")], rounds)


if __name__ == "__main__":
    main()
