"""MAGNET's predictors over pandas: splits, comparisons, and what users get wrong."""

import contextlib
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from makedump import instance_stats, make_run, request_state, write_run, write_runs

from magnet_arrow.errors import (
    MagnetWarning,
    NotEnoughRunsError,
    NotEnoughSamplesError,
    PredictionError,
    SettingError,
)
from magnet_arrow.magnet_compat.data_splits import SequesteredTestSplit, TestSplit, TrainSplit
from magnet_arrow.magnet_compat.instance_predictor import InstancePrediction, InstancePredictor, _reindex_split
from magnet_arrow.magnet_compat.predictor import Policy, Predictor, RunPrediction, RunPredictor

NAME = "run_spec.name"
ID = "magnet.instance_predict_id"
MEAN = "per_instance_stats.stats.mean"
SIX = [f"r:x={number}" for number in range(6)]


@pytest.fixture
def six(tmp_path: Path) -> Path:
    write_runs(tmp_path / "six", [make_run(name) for name in SIX])
    return tmp_path / "six" / "runs" / "made"


def predicting(kind: type, predictions: Callable[[str], Any]) -> Any:
    """A predictor that gives these predictions for the held-out run."""

    class Given(kind):
        def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> Any:
            return predictions(sequestered_test_split.run_specs[NAME].iloc[0])

    return Given(num_eval_samples=2)


def test_a_call_returns_the_comparison(six: Path, caplog: pytest.LogCaptureFixture):
    def two(run: str) -> list[RunPrediction]:
        return [RunPrediction(run, "test", "exact_match", 0.25), RunPrediction(run, "valid", "exact_match", 0.5)]

    predictor = predicting(RunPredictor, two)
    for table in (predictor(six), predictor(helm_runs=str(six)), predictor(helm_suites=six)):
        assert table[["split", "stat_name", "predicted_mean", "actual_mean"]].to_numpy().tolist() == [
            ["test", "exact_match", 0.25, 0.5]
        ]
    assert "1 of 2 predictions have no actual value" in caplog.text


@pytest.mark.parametrize("sources", [{}, {"helm_runs": "a", "helm_suites": "b"}])
def test_a_call_names_one_source(sources: dict[str, str]):
    with pytest.raises(SettingError, match="exactly one"):
        RunPredictor()(**sources)


@pytest.mark.parametrize(
    ("kind", "returned", "found"),
    [
        (RunPredictor, None, "NoneType"),
        (RunPredictor, "exact_match", "str"),
        (RunPredictor, [0.5], "a float in it"),
        (InstancePredictor, [RunPrediction("r", "test", "exact_match", 0.5)], "a RunPrediction in it"),
    ],
)
def test_predict_returns_predictions(six: Path, kind: type, returned: Any, found: str):
    with pytest.raises(PredictionError, match=rf"expected a list of {kind.__name__[:-2]}ion from .*found {found}\."):
        predicting(kind, lambda run: returned)(six)


def test_no_predictions_give_an_empty_table(six: Path):
    for kind, width in ((RunPredictor, 9), (InstancePredictor, 6)):
        assert predicting(kind, lambda run: [])(six).shape == (0, width)


def test_a_key_of_another_type_is_an_error(six: Path):
    wrong = predicting(InstancePredictor, lambda run: [InstancePrediction(run, "first", "exact_match", 1.0)])
    with pytest.raises(PredictionError, match="cannot be compared"):
        wrong(six)


def test_predictions_fill_in_what_follows(six: Path):
    run = RunPrediction("r", "test", "exact_match", 0.5, "perturbed", {"name": "typos", "prob": 0.5}, sum=3)
    assert run.sum_squared == 9
    assert run.perturbation_parameters == {"name": "typos", "fairness": None, "robustness": None, "prob": 0.5}
    run.mean = 0.75  # attributes can be set
    assert RunPrediction.to_df([run])["stats.mean"].tolist() == [0.75]
    assert InstancePrediction("r", 0, "exact_match", 0.5, sum=2, sum_squared=5).sum_squared == 5


def test_filters_are_methods_over_json_and_rows(six: Path):
    class Filtered(Predictor):
        def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
            return run_spec["name"] != SIX[0]

        def run_spec_dataframe_filter(self, row: pd.Series) -> bool:
            return row[NAME] != SIX[5]

    predictor = Filtered(num_example_runs=3, num_eval_samples=2)
    train, test = predictor.prepare_all_dataframes(six)
    assert sorted([*train.run_specs[NAME], *test.run_specs[NAME]]) == SIX[1:5]
    predictor.num_example_runs = 4
    with pytest.raises(NotEnoughRunsError, match="at least 5"):
        predictor.prepare_all_dataframes(six)


def test_too_few_samples(six: Path, caplog: pytest.LogCaptureFixture):
    def prepared(policy: str) -> None:
        Predictor(num_eval_samples=3, insufficient_eval_sample_policy=policy).prepare_all_dataframes(six)

    with pytest.raises(NotEnoughSamplesError, match="at least 3 request states"):
        prepared(Policy.ERROR)
    with pytest.raises(SettingError, match="'never'"):
        prepared("never")
    with caplog.at_level(logging.WARNING):
        prepared("ignore")
        assert not caplog.text
        prepared("warn")
    assert "found 2" in caplog.text


def test_no_train_run_has_the_held_out_runs_name(tmp_path: Path):
    """MAGNET puts both runs of a name into a split, so that actual stats of the held-out run are in the train split."""
    for suite in ("one", "two"):
        write_runs(tmp_path / "twins", [make_run(name) for name in SIX[:3]], suite=suite)
    replaced = 0
    for seed in range(10):
        predictor = Predictor(num_example_runs=3, num_eval_samples=2, random_seed=seed)
        with pytest.warns(MagnetWarning) if _draws_a_twin(seed) else contextlib.nullcontext():
            train, test = predictor.prepare_all_dataframes(tmp_path / "twins")
        replaced += _draws_a_twin(seed)
        assert len(test.run_specs) == 1
        assert len(train.run_specs) == 3
        assert test.run_specs[NAME].iloc[0] not in set(train.run_specs[NAME])
    assert 0 < replaced < 10


def _draws_a_twin(seed: int) -> bool:
    """Whether the draw from six runs, of which each name is there twice, holds out a train run's name."""
    *train, held_out = random.Random(seed).sample(range(6), 4)
    return (held_out + 3) % 6 in train


def test_a_stat_has_the_number_of_its_own_trial(tmp_path: Path):
    """MAGNET's key lacks the trial: each of the two request states has the stats of both there, four rows for two."""
    made = make_run("t:x=1", n_instances=1)
    made["scenario_state"]["request_states"].append(request_state("id0") | {"train_trial_index": 1})
    made["per_instance_stats"] = [instance_stats("id0", trial) | {"train_trial_index": trial} for trial in (0, 1)]
    write_runs(tmp_path, [made, make_run("t:x=2", n_instances=1)])
    predictor = InstancePredictor(num_example_runs=1, num_eval_samples=1)
    splits = predictor.prepare_all_dataframes(tmp_path / "runs" / "made")
    (rows,) = (split.per_instance_stats for split in splits if split.run_specs[NAME].iloc[0] == "t:x=1")
    matches = rows[rows["per_instance_stats.stats.name.name"] == "exact_match"]
    assert matches[[ID, MEAN]].to_numpy().tolist() == [[0, 0.0], [1, 1.0]]


def test_splits_take_four_frames_and_can_be_changed():
    frame = pd.DataFrame({"a": [1]})
    split = TestSplit(frame, frame, stats=frame, per_instance_stats=None)
    assert split.per_instance_stats is None
    split.per_instance_stats = frame
    seen = split.sequester()
    assert isinstance(seen, TestSplit)
    assert (seen.stats, seen.per_instance_stats) == (None, None)
    assert seen.run_specs.equals(frame)
    assert TrainSplit().run_specs is None
    with pytest.raises(SettingError, match="holds no stats"):
        SequesteredTestSplit(frame, frame, stats=frame)
    with pytest.raises(SettingError, match="no instances to number"):
        _reindex_split(TrainSplit(frame))


def test_the_sequestered_split_has_no_annotations(tmp_path: Path):
    """The one column that MAGNET shows and this package does not: what judges wrote about the completions."""
    run = make_run("j:x=1", annotations=[{"judge": {"score": 5}}])
    write_run(tmp_path, run)
    predictor = Predictor(num_example_runs=0, num_eval_samples=2)
    _, test = predictor.prepare_all_dataframes(tmp_path / "runs" / "made")
    annotation = "scenario_state.request_states.annotations.judge.score"
    assert test.scenario_state[annotation].tolist()[0] == 5
    assert set(test.scenario_state.columns) - set(test.sequester().scenario_state.columns) == {annotation}


def test_changing_a_split_changes_no_later_one(six: Path):
    predictor = Predictor(num_eval_samples=2)
    train, _ = predictor.prepare_all_dataframes(six)
    train.stats["stats.mean"] = 7.0
    again, _ = predictor.prepare_all_dataframes(six)
    assert 7.0 not in set(again.stats["stats.mean"])
