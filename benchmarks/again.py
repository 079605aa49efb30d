"""A second ingest of runs that have not changed, beside `os.stat` of their files.

python benchmarks/again.py
"""

import shutil

from dumps import made, work_folder
from harness import Candidate, arguments, compare, header, report, run_once


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--runs", type=int, default=5000)
    args = parser.parse_args()
    head = header()
    with work_folder(args.work) as work:
        outputs, cache = str(made(work, runs=args.runs)), work / "again-cache"
        shutil.rmtree(cache, ignore_errors=True)
        run_once("candidates.ours:kept", outputs, str(cache))
        candidates = [
            Candidate("ours", "candidates.ours:unchanged", (outputs, str(cache)), calls=10),
            Candidate("os.stat", "candidates.with_os:stat_files", (outputs,), calls=10),
        ]
        lines = compare(f"{args.runs} unchanged runs", candidates, args.rounds)
        shutil.rmtree(cache)
    report(__file__, head, lines, write_json=args.json)


if __name__ == "__main__":
    main()
