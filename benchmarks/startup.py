"""What a fresh process takes to import the package, to its first frame, and for a short command.

    python benchmarks/startup.py

Whole processes, the interpreter's start included, turn by turn on one core. The first of each writes bytecode and is
not counted.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from dumps import dump, work_folder
from harness import ONE_THREAD, Measured, arguments, header, lines_of, report, run_once

BASE = "import polars, pyarrow.parquet, msgspec"
EVERY_NAME = "import magnet_arrow; [getattr(magnet_arrow, name) for name in magnet_arrow.__all__]"
COMMAND = "from magnet_arrow.cli.start import main; main()"


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=15)
    parser.add_argument("--dump", default="mmlu", help="whose runs are cached")
    args = parser.parse_args()
    head = header()
    with work_folder(args.work) as work:
        outputs = dump(args.dump, work)
        assert outputs, f"There is no dump {args.dump}."
        cache = str(work / "startup-cache")
        run_once("candidates.frames:kept", "", str(outputs), cache)
        first_frame = f"import magnet_arrow; magnet_arrow.HelmRuns({str(outputs)!r}, cache={cache!r}).stats()"
        commands = {
            BASE: [BASE],
            "import magnet_arrow, every public name": [EVERY_NAME],
            "the first stats()": [first_frame],
            "magnet-arrow ls": [COMMAND, "ls", "--cache", cache],
            "magnet-arrow --help": [COMMAND, "--help"],
        }
        found = _take_turns(commands, args.rounds, work)
    lines = lines_of("fresh process", found, BASE)
    base = lines[0].first_s or 1
    more = {f"{line.candidate} ÷ the import": round((line.first_s or 0) / base, 2) for line in lines[1:]}
    report(__file__, head, lines, write_json=args.json, more=more)


def _take_turns(commands: dict[str, list[str]], rounds: int, work: Path) -> dict[str, Measured]:
    environment = os.environ | ONE_THREAD | {"PYTHONPYCACHEPREFIX": str(work / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(cores)])
    found: dict[str, Measured] = defaultdict(Measured)
    for number in range(rounds + 1):
        for name, command in commands.items():
            begin = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-c", *command],
                env=environment,
                stdout=subprocess.DEVNULL,
                cwd=Path(__file__).parents[1],
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, name
            if number:
                found[name].first.append(time.perf_counter() - begin)
                found[name].cpu.append(usage.ru_utime + usage.ru_stime)
                found[name].peak_bytes.append(usage.ru_maxrss << 10)
    os.sched_setaffinity(0, cores)
    return dict(found)


if __name__ == "__main__":
    main()
