"""The inputs of a predictor out of a large cache, beside Polars by hand over one Parquet file a table.

    python benchmarks/predict.py

Three runs to learn from and one to evaluate are drawn of all, another draw at each call, the same for both. Ours
verifies the checksum of each page that it reads, and that the four runs are as they were ingested; Polars does neither.
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
        outputs, cache, parquet = str(made(work, runs=args.runs)), work / "predict-cache", work / "predict-parquet"
        for folder in (cache, parquet):
            shutil.rmtree(folder, ignore_errors=True)
        parquet.mkdir()
        run_once("candidates.ours:kept", outputs, str(cache))
        run_once("candidates.ours:to_parquet", str(cache), str(parquet))
        candidates = [
            Candidate("ours", "candidates.ours:predict_inputs", (outputs, str(cache)), calls=20),
            Candidate("Polars by hand", "candidates.with_polars:predict_inputs", (str(parquet),), calls=20),
        ]
        lines = compare(f"4 of {args.runs} runs", candidates, args.rounds)
        for folder in (cache, parquet):
            shutil.rmtree(folder)
    report(__file__, head, lines, write_json=args.json)


if __name__ == "__main__":
    main()
