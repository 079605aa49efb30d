"""What people subclass: a predictor that is made and called."""

import inspect
import logging
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, stat, write_run
from six_runs import NAME, drawn, write_six_runs

import magnet_arrow.predictor
from magnet_arrow.errors import PredictionError, SettingError
from magnet_arrow.outputs import HelmOutputs, HelmRuns
from magnet_arrow.predictor import Predictor, RunPrediction, RunPredictor, SequesteredTestSplit, TrainSplit


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return write_six_runs(tmp_path)


class Half(RunPredictor):
    """Predicts 0.5 for both stats of an invented run, and for one that it lacks."""

    def predict(self, train_split: Any, sequestered_test_split: Any) -> list[RunPrediction]:
        name = sequestered_test_split.run_specs[NAME][0]
        stats = ("exact_match", "rouge_l", "num_instances")
        return [RunPrediction(name, "test", stat, 0.5) for stat in stats]


def test_defaults_are_magnets():
    parameters = inspect.signature(Predictor).parameters
    given = {name: parameter.default for name, parameter in parameters.items() if name != "cache"}
    assert given == {
        "num_example_runs": 3,
        "num_eval_samples": 20,
        "random_seed": 1,
        "insufficient_eval_sample_policy": "warn",
        "include_partial": False,
        "skip_unreadable": False,
        "level": "outputs",
        "level_of_others": "plan",
    }


def test_the_module_has_what_magnets_users_import_from_it():
    assert {"Predictor", "RunPredictor", "RunPrediction", "TrainSplit"} <= set(magnet_arrow.predictor.__all__)


def test_both_ways_of_preparing_give_the_same_draw(outputs: Path):
    predictor = Predictor(num_eval_samples=1)
    train_split, test_split = predictor.prepare_all_dataframes(outputs)
    again, sequestered = predictor.prepare_predict_inputs(outputs)
    assert train_split.stats.equals(again.stats)
    assert test_split.run_specs.equals(sequestered.run_specs)
    assert test_split.scenario_state.equals(sequestered.scenario_state)


def test_anything_that_stands_for_runs_is_taken(outputs: Path):
    suite = outputs / "runs" / "made"
    predictor = Predictor(num_eval_samples=1, random_seed=3)
    expected = drawn(predictor, suite)
    dump = HelmOutputs(outputs)
    paths = [str(outputs), str(suite / "tides*"), sorted(suite.iterdir())]
    for source in (*paths, dump, dump.suites(), dump.suites()[0], HelmRuns(suite)):
        assert drawn(predictor, source) == expected


def test_an_unknown_policy_is_refused_at_once():
    with pytest.raises(SettingError, match="error, warn, ignore"):
        Predictor(insufficient_eval_sample_policy="raise")


@pytest.mark.parametrize("numbers", [(-1, 20), (3, -1)], ids=["runs", "samples"])
def test_a_number_below_zero_is_refused_at_once(numbers: tuple[int, int]):
    with pytest.raises(SettingError, match=f"0 or more, not {numbers[0]} and {numbers[1]}"):
        Predictor(*numbers)


def test_calling_compares_with_the_truth(outputs: Path):
    comparison = Half(num_eval_samples=2)(helm_runs=outputs)
    assert comparison.columns[:5] == ["run_spec", "split", "stat_name", "predicted_mean", "actual_mean"]
    rows = comparison.select("stat_name", "predicted_mean", "actual_mean").rows()
    assert rows == [("exact_match", 0.5, 0.5), ("rouge_l", 0.5, None), ("num_instances", 0.5, 2.0)]


def test_suites_can_be_given_instead_of_runs(outputs: Path):
    by_suites = Half(num_eval_samples=2)(helm_suites=HelmOutputs(outputs).suites("made"))
    assert by_suites.equals(Half(num_eval_samples=2)(helm_runs=outputs))


@pytest.mark.parametrize("given", [{}, {"helm_runs": "a", "helm_suites": "b"}], ids=["none", "both"])
def test_exactly_one_of_runs_and_suites_is_given(given: dict[str, str]):
    with pytest.raises(TypeError, match="exactly one of helm_runs and helm_suites"):
        Half()(**given)


def test_predictions_without_truth_are_counted_aloud(outputs: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "magnet_arrow"):
        Half(num_eval_samples=2)(helm_runs=outputs)
    assert caplog.messages == [
        "1 of 3 predictions have no actual value to compare with; their actual_mean is null: rouge_l (test)"
    ]


def test_many_predictions_without_truth_are_not_all_named(outputs: Path, caplog: pytest.LogCaptureFixture):
    class Wrong(RunPredictor):
        def predict(self, train_split: Any, sequestered_test_split: Any) -> list[RunPrediction]:
            return [RunPrediction("tides", "test", f"metric\x1b {n}", 0.5) for n in range(7)]

    with caplog.at_level(logging.WARNING, "magnet_arrow"):
        assert Wrong(num_eval_samples=2)(helm_runs=outputs)["actual_mean"].null_count() == 7
    assert "7 of 7" in caplog.text
    assert caplog.messages[0].endswith(r"metric\x1b 4 (test), …")


@pytest.mark.parametrize("made", [None, 0.5, "text", [0.5]], ids=repr)
def test_a_predictor_that_gives_something_else_is_told(outputs: Path, made: Any):
    predictor = type("Odd", (RunPredictor,), {"predict": lambda *_: made})(num_eval_samples=2)
    with pytest.raises(PredictionError, match="expected a list of RunPrediction"):
        predictor(helm_runs=outputs)


def test_runs_may_be_given_by_position(outputs: Path):
    predictor = Half(num_eval_samples=2)
    assert predictor(outputs).equals(predictor(helm_runs=outputs))


def test_two_predictions_of_one_stat_are_refused(outputs: Path):
    class Twice(Half):
        def predict(self, train_split: Any, sequestered_test_split: Any) -> list[RunPrediction]:
            return [*super().predict(train_split, sequestered_test_split), RunPrediction("x", "test", "f1", 0.5)] * 2

    with pytest.raises(PredictionError, match=r"(?s)4 stats of a run have .* found 2 of exact_match \(test\) of tides"):
        Twice(num_eval_samples=2)(outputs)


def test_a_predictor_without_predict_cannot_be_made():
    with pytest.raises(TypeError, match="predict"):
        RunPredictor()


def test_a_cache_can_be_named(outputs: Path, tmp_path: Path, cache_dir: Path):
    own = tmp_path / "own"
    Predictor(1, 1, cache=own).prepare_predict_inputs(outputs)
    assert own.is_dir()
    assert not cache_dir.exists()


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name")
def test_comparisons_and_splits_tell_runs_of_equal_names_apart(tmp_path: Path):
    """Those of the runs drawn from; the truth of one run is missing."""
    for suite, value in (("one", 0.25), ("two", 0.75)):
        for name in "abc":
            run = make_run(name)
            run["stats"] = [stat("exact_match", value)]
            write_run(tmp_path, run, suite=suite)

    class Guess(RunPredictor):
        def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
            for frame in (train_split.stats, train_split.run_specs, sequestered_test_split.scenario_state):
                assert frame.columns[:2] == ["run_spec.name", "magnet.suite"]
            (name,) = sequestered_test_split.run_specs["run_spec.name"]
            return [RunPrediction(name, "test", stat_name, 0.5) for stat_name in ("exact_match", "rouge_l")]

    suites = set()
    for seed in range(6):
        comparison = Guess(2, 1, seed)(helm_runs=tmp_path)
        assert comparison.columns[:2] == ["run_spec", "magnet.suite"]
        (suite,) = comparison["magnet.suite"].unique()
        assert comparison["actual_mean"].to_list() == [{"one": 0.25, "two": 0.75}[suite], None]
        suites.add(suite)
    assert suites == {"one", "two"}
    train_split, _ = Predictor(2, 1).prepare_all_dataframes(tmp_path / "runs" / "one")
    assert [name for name in train_split.stats.columns if name.startswith("magnet.")] == []
