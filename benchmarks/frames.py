"""How frames, filters and listings of cached runs grow with the number of runs.

    python benchmarks/frames.py --before ../c42d928

`--before` is a folder with an earlier state of the repository (`git worktree add ../c42d928 c42d928`), whose
`Cache.scan(...).collect()` is what ours is held against; without it today's is. Dumps are made, or named (`mmlu`).
"""

import shutil
from typing import Any

from dumps import dump, work_folder
from harness import Candidate, Line, arguments, compare, exponent, header, report, run_once

TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--dumps", nargs="*", default=["100runs", "1000runs", "10000runs", "mmlu"])
    parser.add_argument("--before", default="", help="folder of an earlier state of this repository")
    args = parser.parse_args()
    head = header()
    lines: list[Line] = []
    more: dict[str, Any] = {}
    points: dict[str, list[tuple[float, float]]] = {}
    with work_folder(args.work) as work:
        for name in args.dumps:
            outputs = dump(name, work)
            if outputs is None:
                continue
            caches = {tree: str(work / f"frames-{name}-{number}") for number, tree in enumerate(["", args.before])}
            for tree, cache in caches.items():
                shutil.rmtree(cache, ignore_errors=True)
                runs = run_once("candidates.frames:kept", tree, str(outputs), cache)["runs"]
            for line in _measure(name, str(outputs), caches, args.before, args.rounds, more):
                lines.append(line)
                if line.candidate.startswith("ours") and name.endswith("runs"):
                    key = f"{line.candidate}, {line.question.partition(' of ')[0]}"
                    points.setdefault(key, []).append((runs, line.again_s or line.first_s or 0))
            for cache in caches.values():
                shutil.rmtree(cache)
    for key, found in points.items():
        if len(found) > 1:
            more[f"exponent over runs, {key}"] = round(exponent(*zip(*found, strict=True)), 3)
    report(__file__, head, lines, write_json=args.json, more=more)


def _measure(
    name: str, outputs: str, caches: dict[str, str], before: str, rounds: int, more: dict[str, Any]
) -> list[Line]:
    def candidate(what: str, function: str, tree: str, *rest: str) -> Candidate:
        return Candidate(what, f"candidates.frames:{function}", (tree, outputs, caches[tree], *rest), calls=3)

    lines = compare(f"runs of {name}", [candidate("opened", "opened", "")], 1)
    opened_bytes = lines[0].peak_bytes or 0
    run_spec = candidate("Cache.scan of run_spec", "scan", before, "run_spec")
    for table in TABLES:
        found = [candidate("ours", "frame", "", table), candidate("Cache.scan before", "scan", before, table)]
        if before:
            found.append(candidate("frame before", "frame", before, table))
        lines += compare(f"{table} of {name}", found, rounds)
        ours = next(line for line in lines if line.question == f"{table} of {name}")
        size = run_once("candidates.frames:size", "", outputs, caches[""], table)["bytes"]
        if size > 50e6:  # of less, what the process takes once is most
            more[f"{table} of {name}: peak ÷ size"] = round(((ours.peak_bytes or 0) - opened_bytes) / size, 2)
    for what in ("filtered", "listed", "stat_files"):
        lines += compare(f"{what} of {name}", [candidate("ours", what, "")], rounds)
    lines += compare(f"scan of {name}", [run_spec], rounds)
    return lines


if __name__ == "__main__":
    main()
