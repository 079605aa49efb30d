"""Many draws of a predictor, each with another seed, beside one draw with an empty cache.

    python benchmarks/repeated_draws.py mmlu

Each call is `Predictor(random_seed=…).prepare_all_dataframes(path)` in the same process. Both candidates begin with an
empty cache, so the draws ingest what they draw.
"""

from dumps import complete, work_folder
from harness import Candidate, arguments, compare, header, report


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("dump", nargs="?", default="mmlu")
    parser.add_argument("--draws", type=int, default=384)
    args = parser.parse_args()
    head = header()
    with work_folder(args.work) as work:
        outputs = complete(args.dump, work)
        if outputs is None:
            raise SystemExit(f"There is no dump {args.dump}.")
        candidates = [
            Candidate(f"{number} draws", "candidates.ours:draws", (str(outputs), str(work), str(number)))
            for number in (args.draws, 1)
        ]
        lines = compare(f"draws of {args.dump}", candidates, args.rounds)
    report(__file__, head, lines, write_json=args.json)


if __name__ == "__main__":
    main()
