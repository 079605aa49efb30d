"""A cold ingest of the four tables on one core, beside what else reads these bytes.

    python benchmarks/ingest.py                      # mmlu, classic, large, and made: a run of 1 GB, and 5,000 runs
    python benchmarks/ingest.py mmlu 100MB --aiq-magnet ENV

Candidates: ours (JSON to a committed cache), `orjson.loads` alone, Polars and DuckDB with the schema given and Parquet
out, and the four frames of aiq-magnet, which are skipped unless its environment is named.
"""

import subprocess
import sys
from pathlib import Path

from candidates.ours import has_workers
from dumps import dump, json_bytes, work_folder
from harness import Candidate, Line, arguments, header, lines_of, report, take_turns
from json_types import write_types

TWO_WORKERS = "ours, 2 workers"
SMALL_BYTES = 200 << 20
"""Dumps below this are ingested several times a process, the first time and the later ones told apart."""


def candidates(outputs: Path, types: Path, work: Path, calls: int, aiq: Path | None) -> list[Candidate]:
    """All that can be run here; ours first. Two workers need a dump that is not small."""
    source, place = str(outputs), str(work)
    found = [
        Candidate("ours", "candidates.ours:cold", (source, place), calls=calls),
        Candidate("orjson.loads", "candidates.with_orjson:loads", (source,), calls=calls),
        Candidate("Polars", "candidates.with_polars:to_parquet", (source, str(types), place), calls=calls),
        Candidate("DuckDB", "candidates.with_duckdb:to_parquet", (source, str(types), place), calls=calls),
    ]
    if calls == 1 and has_workers():
        found.insert(1, Candidate(TWO_WORKERS, "candidates.ours:cold", (source, place, "2"), cores=2))
    if aiq is not None:
        python = str(aiq / "bin" / "python")
        found.append(Candidate("aiq-magnet", "candidates.with_aiq_magnet:four_frames", (source,), python, calls=1))
    return found


def aiq_environment(given: Path | None) -> Path | None:
    """The environment of aiq-magnet, made where it was asked for; None, with a word, where it was not."""
    if given is None:
        print("aiq-magnet is left out: --aiq-magnet ENV names its environment, and makes it if need be.")
        return None
    if not (given / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(given)], check=True)
        subprocess.run([str(given / "bin" / "pip"), "install", "-q", "aiq-magnet[helm]==0.1.0"], check=True)
    return given.absolute()


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=7)
    names = ["mmlu", "classic", "large", "1GB", "5000runs"]
    parser.add_argument("dumps", nargs="*", default=names, help="names, sizes or paths")
    parser.add_argument("--aiq-magnet", type=Path, metavar="ENV", help="virtual environment of aiq-magnet")
    parser.add_argument("--calls", type=int, default=3, help="ingests of a small dump in each process (default 3)")
    args = parser.parse_args()
    head, aiq = header(), aiq_environment(args.aiq_magnet)
    lines: list[Line] = []
    with work_folder(args.work) as work:
        for name in args.dumps:
            outputs = dump(name, work)
            if outputs is None:
                print(f"{name} is left out: it is not here.")
                continue
            size = json_bytes(outputs)
            types = write_types(outputs, work / f"types-{Path(name).name}.json")
            calls, rounds = (args.calls, args.rounds) if size < SMALL_BYTES else (1, min(args.rounds, 3))
            question = f"{Path(name).name} {size / 1e6:,.0f} MB"
            found = take_turns(candidates(outputs, types, work, calls, aiq), rounds)
            lines += lines_of(question, found, "ours")
            if TWO_WORKERS in found:
                lines += lines_of(question, {name: found[name] for name in (TWO_WORKERS, "orjson.loads")}, TWO_WORKERS)
    report(__file__, head, lines, write_json=args.json)


if __name__ == "__main__":
    main()
