"""What `magnet-arrow sql` takes on a warm cache, beside DuckDB on the same Parquet files.

    python benchmarks/sql.py

Whole processes, start-up included, turn by turn on all cores. DuckDB reads the files by their paths, in a `python -c`
that imports nothing else, and checks neither page checksums nor which runs were replaced. `SELECT 1` is start-up alone.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from dumps import dump, work_folder
from harness import Line, Measured, arguments, header, lines_of, report, run_once

OURS = "from magnet_arrow.cli.start import main; main()"
THEIRS = "import duckdb, sys; duckdb.sql(sys.argv[1]).write_csv('/dev/stdout')"
STATEMENTS = {
    "start-up": "SELECT 1",
    "a mean per run": (
        'SELECT "run_spec.name", avg("stats.mean") FROM stats WHERE "stats.name.name" = \'exact_match\' '
        "GROUP BY 1 ORDER BY 1"
    ),
    "a mean per metric": (
        'SELECT "per_instance_stats.stats.name.name", count(*), avg("per_instance_stats.stats.mean") '
        "FROM per_instance_stats GROUP BY 1 ORDER BY 1"
    ),
    "the longest prompt per run": (
        'SELECT "run_spec.name", max(length("scenario_state.request_states.request.prompt")) FROM scenario_state '
        "GROUP BY 1 ORDER BY 1"
    ),
}
"""By what they ask, with the columns' names of the files."""


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=7)
    parser.add_argument("--dumps", nargs="*", default=["mmlu", "2000runs"])
    args = parser.parse_args()
    head = header()
    lines: list[Line] = []
    with work_folder(args.work) as work:
        for name in args.dumps:
            outputs = dump(name, work)
            if outputs is None:
                continue
            cache = work / f"sql-{name}"
            if not cache.exists():
                run_once("candidates.frames:kept", "", str(outputs), str(cache))
            for asked, statement in STATEMENTS.items():
                found = _take_turns(_commands(statement, cache), args.rounds, work)
                lines += lines_of(f"{asked}, {name}", found, "magnet-arrow sql")
    report(__file__, head, lines, write_json=args.json)


def _commands(statement: str, cache: Path) -> dict[str, list[str]]:
    """Both commands, each with the names and tables that it knows."""
    ours = "".join(
        part if place % 2 == 0 else part.replace(".", "_") for place, part in enumerate(statement.split('"'))
    )
    theirs = statement
    for table in ("per_instance_stats", "scenario_state", "stats"):
        theirs = theirs.replace(f"FROM {table} ", f"FROM read_parquet('{cache}/{table}/*.parquet') ")
    return {
        "magnet-arrow sql": [OURS, "sql", ours, "--cache", str(cache)],
        "DuckDB": [THEIRS, theirs],
    }


def _take_turns(commands: dict[str, list[str]], rounds: int, work: Path) -> dict[str, Measured]:
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(work / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    found: dict[str, Measured] = defaultdict(Measured)
    for number in range(rounds + 1):  # the first of each writes bytecode and is not counted
        for name, command in commands.items():
            begin = time.perf_counter()
            with subprocess.Popen(
                [sys.executable, "-c", *command], env=environment, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
            ) as process:
                assert process.stdout is not None
                n_rows = process.stdout.read().count(b"\n") - 1
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, name
            assert found[name].rows in (None, n_rows)
            found[name].rows = n_rows
            if number:
                found[name].first.append(time.perf_counter() - begin)
                found[name].cpu.append(usage.ru_utime + usage.ru_stime)
                found[name].peak_bytes.append(usage.ru_maxrss << 10)
    assert len({measured.rows for measured in found.values()}) == 1, found
    return dict(found)


if __name__ == "__main__":
    main()
