"""Draws, rows and comparisons are those that MAGNET itself gave (`data/golden`, `magnet_golden.json`)."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from large_dumps import SHARED

from magnet_arrow.data_splits import SequesteredTestSplit, TestSplit, TrainSplit, frames_of
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion.ensure_cached import ensure_cached
from magnet_arrow.instance_predictor import PREDICT_ID, InstancePrediction, InstancePredictor
from magnet_arrow.outputs import HelmOutputs, HelmSuite
from magnet_arrow.predictor import Predictor, RunPrediction, RunPredictor
from magnet_arrow.restore.run_files import restore

GOLDEN = Path(__file__).parent / "data" / "golden"
NAME = "run_spec.name"
ID = "scenario_state.request_states.instance.id"
FRAMES = ("run_specs", "scenario_state", "stats", "per_instance_stats")

COMPARED = ["run_spec", "instance_id", "prediction_id", "stat_name", "predicted_mean", "actual_mean"]

Seed = dict[str, Any]


class Quarter(RunPredictor):
    """Predicts 0.25 for three stats of both splits, like the predictor that MAGNET was run with."""

    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
        name = sequestered_test_split.run_specs[NAME].item()
        return [
            RunPrediction(name, split, stat, 0.25)
            for split in ("valid", "test")
            for stat in ("exact_match", "quasi_exact_match", "num_prompt_tokens")
        ]


class Half(InstancePredictor):
    """Predicts 0.5 for `exact_match` of each request state, like the predictor that MAGNET was run with."""

    def predict(
        self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit
    ) -> list[InstancePrediction]:
        rows = sequestered_test_split.scenario_state.select(NAME, PREDICT_ID).rows()
        return [InstancePrediction(name, number, "exact_match", 0.5) for name, number in rows]


DEMO_SEEDS = [
    pytest.param(
        suite.removeprefix("demo "),
        seed,
        id=f"{suite} {seed['seed']}",
        marks=[pytest.mark.slow] * (number >= 3),
    )
    for suite, golden in json.loads((GOLDEN / "magnet_golden.json").read_bytes()).items()
    for number, seed in enumerate(golden["seeds"])
]


@pytest.fixture(scope="module")
def golden_demo(demo_outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> HelmOutputs:
    return HelmOutputs(demo_outputs, cache=tmp_path_factory.mktemp("golden") / "cache")


@pytest.fixture(scope="module")
def mmlu(shared_dumps: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> HelmSuite:
    outputs = HelmOutputs(shared_dumps("mmlu"), cache=tmp_path_factory.mktemp("golden") / "cache")
    return outputs.suites()[0]


def assert_equal_to_magnets(suite: HelmSuite, seed: Seed) -> None:
    predictor = Quarter(num_eval_samples=5, random_seed=seed["seed"])
    train, test = predictor.prepare_all_dataframes(suite)
    assert sorted(train.run_specs[NAME]) == sorted(seed["train"])
    assert test.run_specs[NAME].to_list() == [seed["evaluated"]]
    assert set(test.scenario_state[ID]) == set(seed["instance_ids"])
    assert {"train": heights(train), "test": heights(test)} == seed["rows"]
    comparison = predictor(helm_suites=suite).filter(pl.col("actual_mean").is_not_null())
    assert set(comparison["run_spec"]) == {seed["evaluated"]}
    compared = comparison.select("split", "stat_name", "predicted_mean", "actual_mean").rows()
    assert [list(row) for row in compared] == seed["run_comparison_constant_0.25"]
    assert_instances_equal_to_magnets(suite, seed)


def assert_instances_equal_to_magnets(suite: HelmSuite, seed: Seed) -> None:
    predictor = Half(num_eval_samples=5, random_seed=seed["seed"])
    train, test = predictor.prepare_all_dataframes(suite)
    assert {"train": heights(train), "test": heights(test)} == seed["rows"]
    assert all(
        split.scenario_state[PREDICT_ID].to_list() == list(range(split.scenario_state.height))
        for split in (train, test)
    )
    comparison = predictor(suite)
    golden = seed["instance_comparison_constant_0.5"]
    assert comparison.columns == [
        "run_spec",
        "instance_id",
        "prediction_id",
        "stat_name",
        "predicted_mean",
        "actual_mean",
    ]
    assert comparison.height == golden["rows"]
    assert comparison["actual_mean"].sum() == golden["actual_sum"]
    first = comparison.select("instance_id", "prediction_id", "stat_name", "actual_mean").head(len(golden["first"]))
    assert [list(row) for row in first.rows()] == golden["first"]
    assert set(comparison["run_spec"]) == {seed["evaluated"]}


def heights(split: TrainSplit | TestSplit) -> dict[str, int]:
    return {name: getattr(split, name).height for name in FRAMES}


@pytest.mark.parametrize(("suite", "seed"), DEMO_SEEDS)
def test_the_demo_is_drawn_and_compared_as_by_magnet(golden_demo: HelmOutputs, suite: str, seed: Seed):
    assert_equal_to_magnets(golden_demo.suites(suite)[0], seed)


@pytest.fixture(scope="module")
def restored_demo(golden_demo: HelmOutputs, tmp_path_factory: pytest.TempPathFactory) -> HelmOutputs:
    """The demo, restored from the cache alone."""
    out = tmp_path_factory.mktemp("restored") / "benchmark_output"
    snapshot = ensure_cached(find_runs(golden_demo.path).places, golden_demo.cache).snapshot
    for run in snapshot.runs.values():
        restore(snapshot, run, out)
    return HelmOutputs(out, cache=tmp_path_factory.mktemp("restored") / "cache")


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "seed"), DEMO_SEEDS)
def test_the_restored_demo_is_to_others_what_the_demo_is(restored_demo: HelmOutputs, suite: str, seed: Seed):
    assert_equal_to_magnets(restored_demo.suites(suite)[0], seed)


@pytest.mark.shared
@pytest.mark.slow
def test_mmlu_is_drawn_and_compared_as_by_magnet(mmlu: HelmSuite, shared_golden: dict[str, Any]):
    assert mmlu.name == "v1"
    seeds = shared_golden["mmlu v1"]["seeds"]
    assert len(seeds) == 6
    for seed in seeds:
        assert_equal_to_magnets(mmlu, seed)


@pytest.fixture
def shared_golden(shared_dumps: Callable[[str], Path]) -> dict[str, Any]:
    return json.loads((SHARED / "data" / "magnet_golden.json").read_bytes())


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_mmlu_is_drawn_by_magnets_rule(mmlu: HelmSuite, seed: int):
    """The rule, worked out over plain JSON: sample runs by name, then instances in order of appearance."""
    files = sorted(mmlu.path.glob("*/run_spec.json"))
    folders = {json.loads(file.read_bytes())["name"]: file.parent for file in files}
    rng = random.Random(seed)
    *train, evaluated = rng.sample(list(folders), 4)
    states = json.loads((folders[evaluated] / "scenario_state.json").read_bytes())["request_states"]
    ids = list(dict.fromkeys(state["instance"]["id"] for state in states))
    chosen = {ids[index] for index in rng.sample(range(len(ids)), min(len(ids), 20))}

    train_split, test_split = Predictor(random_seed=seed).prepare_all_dataframes(mmlu)
    assert train_split.run_specs[NAME].to_list() == [name for name in folders if name in train]
    assert test_split.run_specs[NAME].to_list() == [evaluated]
    kept = [state["instance"]["id"] for state in states if state["instance"]["id"] in chosen]
    assert test_split.scenario_state[ID].to_list() == kept


def columns_of(name: str) -> dict[str, list[str]]:
    return json.loads((GOLDEN / "notebook_columns.json").read_bytes())[name]


def test_the_notebooks_frames_have_magnets_columns_in_order(golden_demo: HelmOutputs):
    golden = columns_of("notebook (suite my-suite, num_eval_samples=5)")
    inputs = Predictor(num_eval_samples=5).prepare_predict_inputs(golden_demo.suites()[0].path)
    for split, prefix in zip(inputs, ("train_split", "sequestered_test_split"), strict=True):
        frames = {f"{prefix}.{name}": getattr(split, name) for name in frames_of(split)}
        assert {name: frame.columns for name, frame in frames.items()} == {
            name: columns for name, columns in golden.items() if name.startswith(prefix)
        }


def test_the_notebooks_sampled_rows_are_those_that_it_shows(golden_demo: HelmOutputs):
    """Rows 0, 2, 3, 4 and 5 of the held-out run's seven."""
    train, test = Predictor(num_eval_samples=5).prepare_all_dataframes(golden_demo.suites()[0])
    (run,) = golden_demo.suites()[0].runs().filter(pl.col(NAME) == test.run_specs[NAME].item())
    ids = [state["instance"]["id"] for state in run.json.scenario_state()["request_states"]]
    assert test.scenario_state[ID].to_list() == [ids[row] for row in (0, 2, 3, 4, 5)]
    assert train.scenario_state.height == 21


# MAGNET leaves an entry's perturbation a dict and appends what a later run adds; ours spreads and sorts.
_DICT = "per_instance_stats.perturbation"


def test_frames_of_perturbed_runs_have_magnets_columns(golden_demo: HelmOutputs):
    golden = columns_of("suite perturbed")
    runs = golden_demo.suites("perturbed").runs()
    assert runs.run_spec().columns == golden["run_specs"]
    for table in ("scenario_state", "stats"):
        assert getattr(runs, table)().columns == [NAME, *sorted(set(golden[table]) - {NAME})]
    ours = runs.per_instance_stats().columns
    spread = [name for name in ours if name.startswith(f"{_DICT}.")]
    assert set(spread) == {
        name.replace(".stats.name.perturbation.", ".perturbation.")
        for name in golden["per_instance_stats"]
        if ".stats.name.perturbation." in name
    }
    assert ours == [NAME, *sorted({*golden["per_instance_stats"], *spread} - {NAME, _DICT})]
