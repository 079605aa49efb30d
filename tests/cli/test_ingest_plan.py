"""`ingest` of HELM's public bucket: its lists, the plan, and the question before a large ingest."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import public_bucket as made
import pytest
from command_line import Run, rows
from public_bucket import Listed

from magnet_arrow import Cache
from magnet_arrow.cli import large_reads
from magnet_arrow.sources import filesystem

RUN_FILES = ("run_spec.json", "scenario_state.json", "stats.json", "per_instance_stats.json")

PREDICTOR = """
from magnet_arrow import RunPredictor


class Half(RunPredictor):
    def __init__(self, num_example_runs=1, **options):
        super().__init__(num_example_runs, **options)

    def predict(self, train_split, sequestered_test_split):
        raise AssertionError
"""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    return made.listed(tmp_path / "bucket", monkeypatch)


def test_benchmarks_versions_and_runs_are_listed(store: Listed, run: Run) -> None:
    listed = rows(run("ingest", "helm://", "--list-benchmarks", "--json"))
    assert [one["benchmark"] for one in listed] == ["air-bench", "lite", "new"]
    listed = rows(run("ingest", "helm://lite", "--list-versions", "--json"))
    assert [tuple(one.values()) for one in listed] == [
        ("lite", "v1.11.0-rc1", False, True),
        ("lite", "v1.10.0", True, False),
        ("lite", "v1.9.0", False, False),
        ("lite", "v1.0.0", False, False),
    ]
    listed = rows(run("ingest", "helm://", "--benchmark", "lite|new", "--list-runs", "--runs", "mmlu:*", "--json"))
    assert [one["run"] for one in listed] == ["mmlu:subject=a,model=a", "mmlu:subject=c,model=b"]
    listed = rows(run("ingest", "helm://lite", "--version", "all", "--list-runs", "--json"))
    assert [(one["version"], one["run"]) for one in listed] == [
        ("v1.11.0-rc1", "mmlu:subject=d,model=b"),
        ("v1.10.0", "mmlu:subject=a,model=a"),
        ("v1.10.0", "mmlu:subject=c,model=b"),
        ("v1.0.0", "gsm:x,model=a"),
        ("v1.0.0", "mmlu:subject=b,model=a"),
    ]
    assert {request.split()[0] for request in store.requests} == {"names"}


def test_the_runs_of_a_release_are_listed(
    store: Listed, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> bytes:
        return (tmp_path / "bucket" / str(path).removeprefix(f"gs://{made.NAME}/")).read_bytes()

    monkeypatch.setattr(filesystem, "read_bytes", read)
    listed = rows(run("ingest", "helm://lite", "--release", "v1.10.0", "--list-runs", "--json"))
    assert [tuple(one.values()) for one in listed] == [
        ("lite", "v1.0.0", "gsm:x,model=a"),
        ("lite", "v1.9.0", "mmlu:subject=a,model=a"),
    ]
    listed = rows(run("ingest", "helm://lite", "--release", "latest", "--list-runs", "--runs", "mmlu:*", "--json"))
    assert [tuple(one.values()) for one in listed] == [("lite", "v1.9.0", "mmlu:subject=a,model=a")]
    assert {request.split()[0] for request in store.requests} == {"names"}


def test_wrong_choices_are_refused(store: Listed, run: Run, outputs: Path) -> None:
    for args, message in (
        (["helm://lite", "--list-runs", "--list-versions"], "exclude each other"),
        ([outputs, "--list-runs"], "lists helm://"),
        ([outputs, "--version", "all"], "--version choose from helm://"),
        (["helm://lite/v1.0.0", "--release", "v1.10.0"], "A version and a release are named."),
        (["helm://lite/v1.0.0", "--release", "v1.10.0", "--list-runs"], "A version and a release are named."),
        (["helm://lite", "--release", "v1.10.0", "--list-versions"], "--release chooses runs: --list-runs lists"),
        (["helm://lite", "--release", "v1.1", "--list-runs"], "found v1.10.0."),
        (["helm://lite", "--version", "v1.9"], "Did you mean 'v1.9.0'?"),
    ):
        ended = run("ingest", *args)
        assert (ended.code, message in " ".join(ended.err.split())) == (2, True), ended.err


def test_the_plan_is_made_of_the_listing(store: Listed, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "bucket/lite/benchmark_output/runs/v1.10.0/mmlu:subject=c,model=b"
    (folder / "picture.png").write_bytes(b"x" * 50)
    with (folder / "display_predictions.json").open("wb") as pictured:
        pictured.truncate(5_000_000)
    ended = run("ingest", "helm://lite", "--plan", "--json", "--cache", tmp_path / "cache")
    facts = json.loads(ended.out)
    outputs = tmp_path / "bucket/lite/benchmark_output"
    size = (outputs / "releases/v1.10.0/runs_to_run_suites.json").stat().st_size
    size += sum(file.stat().st_size for name in RUN_FILES for file in folder.parent.glob(f"*/{name}"))
    assert (ended.code, facts["runs"], facts["files"], facts["bytes"]) == (0, 2, 9, size)
    source = f"gs://{made.NAME}/lite/benchmark_output"
    assert facts["suites"] == [{"source": source, "suite": "v1.10.0", "runs": 2}]
    of_runs = [one for one in facts["to_read"] if one["suite"] == "v1.10.0"]
    assert {one["file"]: one["files"] for one in of_runs} == dict.fromkeys(RUN_FILES, 2)
    assert [(one["file"], one["why"], one["files"], one["bytes"]) for one in facts["left_out"]] == [
        ("*.png", "no JSON", 1, 50),
        ("display_predictions.json", "read only if no pictures are embedded in it", 1, 5_000_000),
    ]
    assert (facts["requests"], facts["cached_runs"], facts["rejected"]) == (10, 0, 0)
    assert not (tmp_path / "cache").exists()
    assert len([request for request in store.requests if "mmlu" in request]) == 0
    text = run("ingest", "helm://lite", "--plan", "--cache", tmp_path / "cache").out
    assert "to read   2 runs, 9 files, " in text
    assert f"\nfrom      {source}\n            v1.10.0           2 runs, 8 files, " in text
    assert "\n          *.png, 1 file, 50 bytes: no JSON\n" in text


def test_the_plan_says_what_is_cached(run: Run, outputs: Path) -> None:
    first = next((outputs / "runs/made").iterdir())
    run("ingest", first)
    facts = json.loads(run("ingest", outputs, "--plan", "--json").out)
    assert (facts["runs"], facts["files"], facts["cached_runs"], facts["requests"]) == (2, 8, 1, 0)
    size = sum(file.stat().st_size for file in first.glob("*.json"))
    assert facts["cached_bytes"] == size
    text = run("ingest", outputs, "--plan").out
    assert f"\ncached    1 run, {size / 1000:.3g} kB, unchanged: not read again\n" in text


def test_a_large_ingest_is_asked_for_on_a_terminal(
    run: Run, outputs: Path, terminal: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    asked = []
    terminal(100)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(large_reads, "ASKED_BYTES", 1_000)
    monkeypatch.setattr(large_reads, "agrees", lambda question: asked.append(question) or next(answers))
    ended = run("ingest", outputs)
    assert (ended.code, Cache().runs().height) == (0, 0)
    assert "to read   3 runs, 12 files, " in ended.err
    assert "Nothing was read." in ended.err
    assert "3 ingested" in run("ingest", outputs, "--workers", "1").out
    assert len(asked) == 2
    assert "3 unchanged" in run("ingest", outputs).out
    assert "Read " in asked[0]
    (outputs / "runs/made/tide:n=0/stats.json").write_text("[]")
    assert "1 ingested" in run("ingest", outputs, "--yes").out
    assert len(asked) == 2


@pytest.mark.parametrize(
    "command",
    [["scores"], ["validate"], ["verify"], ["rank"], ["report"], ["panel", "--to", "x.csv"], ["evaluate"]],
)
def test_every_command_asks_before_it_reads_much_of_a_bucket(
    command: list[str], store: Listed, run: Run, terminal: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    terminal(100)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(large_reads, "ASKED_BYTES", 1_000)
    monkeypatch.setattr(large_reads, "agrees", lambda question: bool(asked.append(question)))
    name, *options = command
    ended = run(name, "helm://lite", *options)
    assert (ended.code, len(asked)) == (0, 1), ended.err


@pytest.mark.parametrize(
    ("options", "n_runs"), [([], 2), (["--skip-unreadable"], 3), (["--include-partial", "--examples", "0"], 3)]
)
def test_predict_asks_before_it_reads_what_it_draws(
    options: list[str],
    n_runs: int,
    store: Listed,
    run: Run,
    terminal: Callable[[int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PREDICTOR)
    asked = []
    terminal(100)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(large_reads, "ASKED_BYTES", 1_000)
    monkeypatch.setattr(large_reads, "agrees", lambda question: bool(asked.append(question)))
    ended = run("predict", "mine:Half", "helm://lite/v1.0.0", *options)
    assert (ended.code, len(asked)) == (0, 1), ended.err
    assert f"to read   {n_runs} runs, " in ended.err
    assert ended.err.endswith("Nothing was read.\n")
