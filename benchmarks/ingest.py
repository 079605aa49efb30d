"""A cold ingest, beside what else reads these bytes.

    python benchmarks/ingest.py             # mmlu, classic, large, nine mmlu, and made: a run of 1 GB, and 5,000 runs
    python benchmarks/ingest.py mmlu 100MB --aiq-magnet ENV

A real dump is measured as it is first: all files, beside `orjson.loads` and `fastsimdjson.loads` of them. Then the four
files of each run alone, on one core, beside these, Polars and DuckDB with the schema given and Parquet out, and the
four frames of aiq-magnet, which are skipped unless its environment is named. Where there is much to read, what two
workers take is shown too, and what each takes as its users run it, with all cores.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dumps import complete, dump, json_bytes, work_folder
from harness import Candidate, Line, Measured, arguments, header, lines_of, report, take_turns
from json_types import write_types

PARSERS = ("orjson", "fastsimdjson")
TWO_WORKERS = "ours, 2 workers"
TWO_PROCESSES = "orjson.loads, 2 processes"
SMALL_BYTES = 200 << 20
"""Dumps below this are ingested several times a process, the first time and the later ones told apart."""
ALL_CORES = 64
"""More than a machine here has: a candidate gets those that there are."""


@dataclass(frozen=True, slots=True)
class Bench:
    """How dumps are measured.

    Attributes:
        work: folder for what is made.
        calls: ingests of a small dump in each process.
        rounds: processes of each candidate; three of one that is not small.
        aiq: environment of aiq-magnet, if it is to be measured.
    """

    work: Path
    calls: int
    rounds: int
    aiq: Path | None

    def lines(self, name: str) -> list[Line]:
        """The lines of one dump; none, with a word, if it is not here."""
        whole, outputs = complete(name, self.work), dump(name, self.work)
        if whole is None and outputs is None:
            print(f"{name} is left out: it is not here.")
            return []
        lines: list[Line] = []
        if whole is not None:
            lines += self._compare(f"{Path(name).name}, as it is", whole, self._parsers(whole, "all"))
        if outputs is not None:
            lines += self._four_files(name, outputs)
        return lines

    def _four_files(self, name: str, outputs: Path) -> list[Line]:
        types = write_types(outputs, self.work / f"types-{Path(name).name}.json")
        others = [*self._parsers(outputs, "four"), *self._databases(outputs, types)]
        if self.aiq is not None:
            python = str(self.aiq / "bin" / "python")
            others.append(Candidate("aiq-magnet", "candidates.with_aiq_magnet:four_frames", (str(outputs),), python))
        lines = self._compare(f"{Path(name).name}, four files", outputs, others)
        if not self._is_small(outputs):
            ours = self._ours("ours, all cores", outputs, "default", ALL_CORES)
            databases = self._databases(outputs, types, ALL_CORES)
            lines += self._lines(f"{Path(name).name}, all cores", outputs, [ours, *databases])
        return lines

    def _compare(self, question: str, outputs: Path, others: Sequence[Candidate]) -> list[Line]:
        """Ours beside others on one core, and by two workers where the dump is not small."""
        ours = [self._ours("ours", outputs, "1", 1)]
        if not self._is_small(outputs):
            ours.append(self._ours(TWO_WORKERS, outputs, "2", 2))
        return self._lines(question, outputs, [*ours, *others])

    def _lines(self, question: str, outputs: Path, candidates: Sequence[Candidate]) -> list[Line]:
        found = take_turns(candidates, self.rounds if self._is_small(outputs) else min(self.rounds, 3))
        question = f"{question}, {json_bytes(outputs) / 1e6:,.0f} MB"
        lines = lines_of(question, found, candidates[0].name)
        for two, one in ((TWO_WORKERS, "ours"), (TWO_PROCESSES, "orjson.loads")):
            lines += _two_and_one(question, found, two, one)
        return lines

    def _ours(self, name: str, outputs: Path, workers: str, cores: int) -> Candidate:
        arguments = str(outputs), str(self.work), workers
        return Candidate(
            name, "candidates.ours:cold", arguments, cores=cores, calls=self._calls(outputs), same_malloc=True
        )

    def _parsers(self, outputs: Path, which: str) -> list[Candidate]:
        calls = self._calls(outputs)
        found = [
            Candidate(
                f"{parser}.loads",
                "candidates.with_loads:loads",
                (str(outputs), parser, which),
                calls=calls,
                same_malloc=True,
            )
            for parser in PARSERS
        ]
        if not self._is_small(outputs):
            arguments = str(outputs), "orjson", which
            two = Candidate(TWO_PROCESSES, "candidates.with_loads:loads_by_two", arguments, cores=2, same_malloc=True)
            found.append(two)
        return found

    def _databases(self, outputs: Path, types: Path, cores: int = 1) -> list[Candidate]:
        calls = self._calls(outputs)
        arguments = str(outputs), str(types), str(self.work)
        threads = "1" if cores == 1 else "2"
        return [
            Candidate(
                "Polars", "candidates.with_polars:to_parquet", arguments, cores=cores, calls=calls, same_malloc=True
            ),
            Candidate(
                "DuckDB",
                "candidates.with_duckdb:to_parquet",
                (*arguments, threads),
                cores=cores,
                calls=calls,
                same_malloc=True,
            ),
        ]

    def _calls(self, outputs: Path) -> int:
        return self.calls if self._is_small(outputs) else 1

    def _is_small(self, outputs: Path) -> bool:
        return json_bytes(outputs) < SMALL_BYTES


def _two_and_one(question: str, found: dict[str, Measured], two: str, one: str) -> list[Line]:
    """What a second process is good for: the line of one beside two."""
    if two not in found or one not in found:
        return []
    return [line for line in lines_of(question, {two: found[two], one: found[one]}, two) if line.candidate == one]


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
    names = ["mmlu", "classic", "large", "9xmmlu", "1GB", "5000runs"]
    parser.add_argument("dumps", nargs="*", default=names, help="names, sizes or paths")
    parser.add_argument("--aiq-magnet", type=Path, metavar="ENV", help="virtual environment of aiq-magnet")
    parser.add_argument("--calls", type=int, default=3, help="ingests of a small dump in each process (default 3)")
    args = parser.parse_args()
    head, aiq = header(), aiq_environment(args.aiq_magnet)
    with work_folder(args.work) as work:
        bench = Bench(work, args.calls, args.rounds, aiq)
        lines = [line for name in args.dumps for line in bench.lines(name)]
    report(__file__, head, lines, write_json=args.json)


if __name__ == "__main__":
    main()
