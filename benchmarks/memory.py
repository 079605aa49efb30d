"""Peak memory of an ingest of one run, as its files grow.

    python benchmarks/memory.py                 # scenario states of 500 MB, 2 GB and 4 GB
    python benchmarks/memory.py --one-line      # each file on one line, which is not how HELM writes

The per-instance stats beside a scenario state of 4 GB are as large again: 9 GB of disk are needed for a while.
"""

import shutil

from dumps import json_bytes, made, work_folder
from generate import size_of
from harness import Candidate, Line, arguments, compare, header, report


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--sizes", nargs="+", default=["500MB", "2GB", "4GB"], help="of scenario_state.json")
    parser.add_argument("--one-line", action="store_true", help="without line breaks")
    args = parser.parse_args()
    head = header()
    lines: list[Line] = []
    with work_folder(args.work) as work:
        for size in args.sizes:
            outputs = made(work, long_bytes=size_of(size), one_line=args.one_line)
            question = f"{size}{' on one line' if args.one_line else ''} ({json_bytes(outputs) / 1e9:.2f} GB in all)"
            lines += compare(
                question, [Candidate("ours", "candidates.ours:cold", (str(outputs), str(work)))], args.rounds
            )
            shutil.rmtree(outputs.parent)
    peaks = {size: line.peak_bytes for size, line in zip(args.sizes, lines, strict=True) if line.peak_bytes}
    first = next(iter(peaks), "")
    more = {f"peak of {size} ÷ peak of {first}": round(peak / peaks[first], 3) for size, peak in peaks.items()}
    report(__file__, head, lines, write_json=args.json, more=more)


if __name__ == "__main__":
    main()
