"""Frames, draws and comparisons are those that MAGNET itself gave, and its users' code runs unchanged."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from magnet_arrow.ingestion.api import ingest
from magnet_arrow.magnet_compat.data_splits import DataSplit
from magnet_arrow.magnet_compat.instance_predictor import InstancePrediction, InstancePredictor
from magnet_arrow.magnet_compat.outputs import HelmSuite
from magnet_arrow.magnet_compat.predictor import RunPrediction, RunPredictor

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "data" / "golden"
NAME = "run_spec.name"
ID = "scenario_state.request_states.instance.id"
FRAMES = ("run_specs", "scenario_state", "stats", "per_instance_stats")
SEEDS = [
    pytest.param(
        suite.removeprefix("demo "), seed, id=f"{suite} {seed['seed']}", marks=[pytest.mark.slow] * (number >= 2)
    )
    for suite, golden in json.loads((GOLDEN / "magnet_golden.json").read_bytes()).items()
    for number, seed in enumerate(golden["seeds"])
]


@pytest.fixture(scope="module")
def demo_cache(demo_outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("demo") / "cache"
    ingest(demo_outputs, cache)
    return cache


@pytest.fixture(autouse=True)
def cache_dir(demo_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default cache, which has the demo."""
    monkeypatch.setenv("MAGNET_ARROW_CACHE_DIR", str(demo_cache))
    return demo_cache


def suite_of(demo_outputs: Path, name: str) -> HelmSuite:
    return HelmSuite(demo_outputs / "runs" / name)


def heights(split: DataSplit) -> dict[str, int]:
    return {name: len(getattr(split, name)) for name in FRAMES}


@pytest.mark.parametrize(("suite", "seed"), SEEDS)
def test_the_demo_is_drawn_and_compared_as_by_magnet(demo_outputs: Path, suite: str, seed: dict[str, Any]):
    predictor = InstancePredictor(num_eval_samples=5, random_seed=seed["seed"])
    train, test = predictor.prepare_all_dataframes(suite_of(demo_outputs, suite))
    run = seed["evaluated"]
    assert sorted(train.run_specs[NAME]) == sorted(seed["train"])
    assert list(test.run_specs[NAME]) == [run]
    assert set(test.scenario_state[ID]) == set(seed["instance_ids"])
    assert {"train": heights(train), "test": heights(test)} == seed["rows"]

    stats = ("exact_match", "quasi_exact_match", "num_prompt_tokens")
    quarter = [RunPrediction(run, split, stat, 0.25) for split in ("valid", "test") for stat in stats]
    table = RunPredictor().compare_predicted_to_actual(RunPrediction.to_df(quarter), test.stats)
    columns = ["split", "stat_name", "predicted_mean", "actual_mean"]
    assert table[columns].to_numpy().tolist() == seed["run_comparison_constant_0.25"]

    numbers = test.scenario_state["magnet.instance_predict_id"]
    half = [InstancePrediction(run, number, "exact_match", 0.5) for number in numbers]
    table = predictor.compare_predicted_to_actual(InstancePrediction.to_df(half), test.per_instance_stats)
    golden = seed["instance_comparison_constant_0.5"]
    assert (len(table), table["actual_mean"].sum()) == (golden["rows"], golden["actual_sum"])
    columns = ["instance_id", "prediction_id", "stat_name", "actual_mean"]
    assert table[columns].to_numpy().tolist()[: len(golden["first"])] == golden["first"]


def columns_of(name: str) -> dict[str, list[str]]:
    return json.loads((GOLDEN / "notebook_columns.json").read_bytes())[name]


def test_the_notebooks_frames_have_magnets_columns_in_order(demo_outputs: Path):
    golden = columns_of("notebook (suite my-suite, num_eval_samples=5)")
    predictor = RunPredictor(num_eval_samples=5)
    splits = predictor.prepare_predict_inputs(demo_outputs / "runs" / "my-suite")
    for split, prefix in zip(splits, ("train_split", "sequestered_test_split"), strict=True):
        frames = {f"{prefix}.{name}": getattr(split, name) for name in FRAMES if getattr(split, name) is not None}
        assert {name: list(frame.columns) for name, frame in frames.items()} == {
            name: columns for name, columns in golden.items() if name.startswith(prefix)
        }


def test_frames_of_perturbed_runs_have_magnets_columns_in_order(demo_outputs: Path):
    runs = suite_of(demo_outputs, "perturbed").runs()
    frames = {name: getattr(runs, "run_spec" if name == "run_specs" else name)() for name in FRAMES}
    assert {name: list(frame.columns) for name, frame in frames.items()} == columns_of("suite perturbed")


def test_nested_values_are_those_of_the_files(demo_outputs: Path):
    for run in suite_of(demo_outputs, "perturbed").runs():
        states = json.loads((run.path / "scenario_state.json").read_bytes())["request_states"]
        frame = run.scenario_state()
        for column, of in (("instance.references", "instance"), ("result.completions", "result")):
            values = frame[f"scenario_state.request_states.{column}"].tolist()
            assert values == [state[of][column.partition(".")[2]] for state in states]
            assert json.loads(json.dumps(values)) == values  # lists and dictionaries all the way down
        entries = json.loads((run.path / "per_instance_stats.json").read_bytes())
        if any("perturbation" in entry for entry in entries):
            values = run.per_instance_stats()["per_instance_stats.perturbation"]
            expected = [entry.get("perturbation") for entry in entries for _ in entry["stats"]]
            assert [None if value is pd.NA or value != value else value for value in values] == expected


@pytest.mark.parametrize("suite", ["my-suite", pytest.param("perturbed", marks=pytest.mark.slow)])
def test_users_code_runs(demo_outputs: Path, suite: str, capsys: pytest.CaptureFixture[str]):
    tables = importlib.import_module("magnet_users").tables_of(str(demo_outputs / "runs" / suite))
    for name, table in tables.items():
        assert len(table), name
    shown = tables["ByAnswer 1 comparison"].round(3).to_string()
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize("suite", ["my-suite", "perturbed"])
def test_users_code_gives_equal_tables_under_aiq_magnet(demo_outputs: Path, tmp_path: Path, suite: str):
    """Values, types of nested values, dtypes and index, under the same pandas."""
    python = os.environ.get("MAGNET_ARROW_AIQ_PYTHON", sys.executable)
    there = "import magnet.instance_predictor; assert not hasattr(magnet, '__magnet_arrow__')"
    if subprocess.run([python, "-c", there], capture_output=True, timeout=300).returncode:
        pytest.skip("aiq-magnet is not installed (MAGNET_ARROW_AIQ_PYTHON names a Python with it and our dependencies)")
    script = [str(TESTS / "magnet_users.py"), str(demo_outputs / "runs" / suite)]
    run_with = {"check": True, "timeout": 300, "capture_output": True}
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    subprocess.run([python, *script, str(tmp_path / "aiq.json")], **run_with)
    ours = [python, "-m", "magnet_arrow.magnet_compat", *script, str(tmp_path / "ours.json")]
    subprocess.run(ours, env=environment, **run_with)
    assert json.loads((tmp_path / "ours.json").read_bytes()) == json.loads((tmp_path / "aiq.json").read_bytes())
