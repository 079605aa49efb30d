"""Adding one run to a large cache beside ingesting it alone, and the last of many single ingests beside the first.

python benchmarks/append.py
"""

import shutil
from statistics import median

from dumps import made, work_folder
from harness import Candidate, Line, arguments, compare, header, report, run_once, take_turns

FEW = 20
"""How many ingests at the begin and at the end are compared; the very first, which warms the process up, is none."""


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--runs", type=int, default=5000, help="runs of the large cache (default 5000)")
    parser.add_argument("--singles", type=int, default=1000, help="single ingests into one cache (default 1000)")
    args = parser.parse_args()
    head = header()
    with work_folder(args.work) as work:
        outputs, cache = str(made(work, runs=args.runs)), work / "append-cache"
        shutil.rmtree(cache, ignore_errors=True)
        run_once("candidates.ours:kept", outputs, str(cache), "1")
        candidates = [
            Candidate(f"into {args.runs - 1}", "candidates.ours:last_run", (outputs, str(cache), str(work)), calls=5),
            Candidate("alone", "candidates.ours:last_run", (outputs, "", str(work)), calls=5),
        ]
        lines = compare("adding one run", candidates, args.rounds)
        shutil.rmtree(cache)
        lines += singles(outputs, str(cache), args.singles)
        shutil.rmtree(cache)
    report(__file__, head, lines, write_json=args.json)


def singles(outputs: str, cache: str, number: int) -> list[Line]:
    """The last few of so many ingests of one run each, and the first few."""
    candidate = Candidate("singles", "candidates.ours:one_more", (outputs, cache), calls=number)
    measured = take_turns([candidate], 1)[candidate.name]
    if measured.error:
        raise RuntimeError(measured.error)
    first, last = median(measured.again[:FEW]), median(measured.again[-FEW:])
    cpu = median(measured.cpu[:FEW]), median(measured.cpu[-FEW:])
    question = f"{number} single ingests"
    return [
        Line(question, "the last", None, last, cpu[1], None, None, None, measured.peak_bytes[0]),
        Line(question, "the first", None, first, cpu[0], None, last / first, cpu[1] / cpu[0], None),
    ]


if __name__ == "__main__":
    main()
