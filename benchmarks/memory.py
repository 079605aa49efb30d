"""Peak memory of an ingest of one run, as its files grow.

    python benchmarks/memory.py                 # scenario states of 500 MB, 2 GB and 4 GB
    python benchmarks/memory.py --one-line      # each file on one line, which is not how HELM writes
    python benchmarks/memory.py --bucket --sizes 500MB 2GB   # out of a bucket that rclone serves (extra `servers`)

The per-instance stats beside a scenario state of 4 GB are as large again: 9 GB of disk are needed for a while; twice as
much for a bucket, whose objects are copied before they are read.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from dumps import json_bytes, made, work_folder
from generate import size_of
from harness import Candidate, Line, arguments, compare, header, report
from remote import serving


@contextlib.contextmanager
def source_of(outputs: Path, *, bucket: bool) -> Iterator[str]:
    """The outputs folder, or its URL while it is served as a bucket."""
    if not bucket:
        yield str(outputs)
        return
    with serving(outputs.parent) as address:
        os.environ["AWS_ENDPOINT_URL"] = address
        yield f"s3://{outputs.name}"


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--sizes", nargs="+", default=["500MB", "2GB", "4GB"], help="of scenario_state.json")
    parser.add_argument("--one-line", action="store_true", help="without line breaks")
    parser.add_argument("--bucket", action="store_true", help="ingest it out of a bucket")
    args = parser.parse_args()
    head = header()
    lines: list[Line] = []
    with work_folder(args.work) as work:
        for size in args.sizes:
            outputs = made(work, long_bytes=size_of(size), one_line=args.one_line)
            how = f"{' on one line' if args.one_line else ''}{' in a bucket' if args.bucket else ''}"
            question = f"{size}{how} ({json_bytes(outputs) / 1e9:.2f} GB in all)"
            with source_of(outputs, bucket=args.bucket) as source:
                candidate = Candidate("ours", "candidates.ours:cold", (source, str(work)))
                lines += compare(question, [candidate], args.rounds)
            shutil.rmtree(outputs.parent)
    peaks = {size: line.peak_bytes for size, line in zip(args.sizes, lines, strict=True) if line.peak_bytes}
    first = next(iter(peaks), "")
    more = {f"peak of {size} ÷ peak of {first}": round(peak / peaks[first], 3) for size, peak in peaks.items()}
    report(__file__, head, lines, write_json=args.json, more=more)


if __name__ == "__main__":
    main()
