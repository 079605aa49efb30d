"""What each command prints on a terminal of 80 and of 120 columns, as files to read: `snapshots/COMMAND-WIDTH.txt`.

`MAGNET_ARROW_WRITE_SNAPSHOTS=1 pytest tests/cli/test_snapshots.py` writes them again; read their diff before a commit.
"""

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import public_bucket
import pytest
from command_line import Run
from rich.cells import cell_len

from magnet_arrow.ingestion.api import ingest

FOLDER = Path(__file__).parent / "snapshots"
AGAIN = "MAGNET_ARROW_WRITE_SNAPSHOTS"
SUITE = "benchmark_output/runs/my-suite"
PREDICTOR = "magnet_arrow.examples.random_run_predictor:RandomRunPredictor"

COMMANDS = {
    "cache info": "cache info",
    "check": "check",
    "compact": "compact",
    "demo": "demo",
    "evaluate": f"evaluate {PREDICTOR} {SUITE} --target run --folds run --budgets 2,4 --draws 1 --no-baselines",
    "export": "export --to tables",
    "head of one row": "head scenario_state -n 1",
    "head": "head stats",
    "ingest": "ingest benchmark_output",
    "ls of a source": "ls benchmark_output/runs/perturbed",
    "ls without a match": "ls --model made/owl-8b",
    "ls": "ls",
    "panel": f"panel {SUITE} --to panel.csv",
    "predict": f"predict {PREDICTOR} benchmark_output/runs/perturbed",
    "rank of pairs": f"rank {SUITE} --pairs",
    "rank": f"rank {SUITE}",
    "schemas": "schemas stats",
    "scores by subject": "scores benchmark_output --by scenario,args.subject,model",
    "scores": "scores benchmark_output",
    "validate": "validate benchmark_output",
    "verify": "verify benchmark_output",
}
WITH_BROKEN_RUNS = {
    "ingest of broken runs": "ingest broken/benchmark_output --partial",
    "ls of broken runs": "ls",
    "rejects": "rejects",
    "validate of broken runs": "validate broken/benchmark_output",
}
OF_A_BUCKET = {"plan of a bucket": "ingest helm:// --benchmark lite|air-bench --version all --plan"}
DISK = [(r"[0-9.]+ [kMGTP]B free for\s+\S+", "… free for …")]
MASKED = [
    (r"(source ).*(/benchmark_output)", r"\1…\2"),
    (r"The demo is in\s+\S+", "The demo is in …"),
    (r" +[0-9.]+ kB(?= out|: no damage| became|\.?$)", "  … kB"),
    (r"[0-9.]+ kB on disk, in\s+\S+", "… kB on disk, in …"),
    (r"(seconds +)[0-9.]+", r"\1…"),
]
"""What differs from machine to machine, or with the version of PyArrow."""

WIDTHS = pytest.mark.parametrize("width", [80, pytest.param(120, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def caches(demo_outputs: Path) -> Iterator[Path]:
    """A folder with the demo, with a copy whose runs are broken, and with a cache of each."""
    # Its path is short: lines that show a long one would be broken elsewhere.
    with tempfile.TemporaryDirectory(dir="/tmp" if os.path.isdir("/tmp") else None) as folder:
        yield filled(Path(folder), demo_outputs)


def filled(folder: Path, demo_outputs: Path) -> Path:
    shutil.copytree(demo_outputs, folder / "benchmark_output")
    broken = shutil.copytree(demo_outputs, folder / "broken" / "benchmark_output")
    cut, gone, *_ = sorted((broken / "runs" / "my-suite").glob("mmlu*"))
    stats = (cut / "stats.json").read_bytes()
    (cut / "stats.json").write_bytes(stats[: len(stats) // 2])
    (gone / "per_instance_stats.json").unlink()
    ingest(folder / "benchmark_output", folder / "cache of the demo")
    ingest(broken, folder / "cache of broken runs", partial=True)
    return folder


@WIDTHS
@pytest.mark.parametrize("name", [*COMMANDS, *WITH_BROKEN_RUNS])
def test_what_a_command_prints(
    name: str,
    width: int,
    run: Run,
    terminal: Callable[[int], None],
    caches: Path,
    tmp_path: Path,
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = "the demo" if name in COMMANDS else "broken runs"
    shutil.copytree(caches / f"cache of {of}", cache_dir)
    for source in ("benchmark_output", "broken"):
        (tmp_path / source).symlink_to(caches / source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rich.console.Console.is_terminal", False)  # no progress bars
    monkeypatch.setenv("NO_COLOR", "1")
    terminal(width)
    _compare(name, (COMMANDS | WITH_BROKEN_RUNS)[name], width, run)


@WIDTHS
def test_what_the_plan_of_a_bucket_prints(
    width: int,
    run: Run,
    terminal: Callable[[int], None],
    tmp_path: Path,
    cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public_bucket.listed(tmp_path / "bucket", monkeypatch)
    folder = tmp_path / "bucket/lite/benchmark_output/runs/v1.10.0/mmlu:subject=c,model=b"
    (folder / "picture.png").write_bytes(b"x" * 50)
    with (folder / "display_predictions.json").open("wb") as pictured:
        pictured.truncate(5_000_000)
    cache_dir.mkdir()
    (cache_dir / "rates.json").write_text('{"bucket": 35.0, "local": 7000000.0}')
    terminal(width)
    [(name, line)] = OF_A_BUCKET.items()
    _compare(name, line, width, run, DISK)


def _compare(name: str, line: str, width: int, run: Run, hidden: list[tuple[str, str]] = MASKED) -> None:
    """Run a command, and compare what it prints with the file of the name."""
    ended = run(*shlex.split(line))
    for printed in (ended.out + ended.err).splitlines():
        assert cell_len(printed) <= width or " " not in printed.strip(), printed
    compare(
        FOLDER / f"{name.replace(' ', '-')}-{width}.txt",
        f"$ magnet-arrow {line}\n{masked(ended.out + ended.err, hidden)}",
    )


def masked(text: str, hidden: list[tuple[str, str]]) -> str:
    for pattern, replacement in hidden:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def compare(file: Path, text: str) -> None:
    if os.environ.get(AGAIN):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    hint = f"Does it read well? Then {AGAIN}=1 pytest tests/cli/test_snapshots.py writes it again."
    assert file.is_file(), f"{file.name} is missing. {hint}"
    assert text == file.read_text(encoding="utf-8"), f"{file.name} differs. {hint}"


def test_no_snapshot_is_of_a_command_that_is_gone() -> None:
    names = {name.replace(" ", "-") for name in (*COMMANDS, *WITH_BROKEN_RUNS, *OF_A_BUCKET)}
    assert {file.stem.rpartition("-")[0] for file in FOLDER.iterdir()} == names
