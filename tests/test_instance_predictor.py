"""Instance predictors: ids of request states, comparisons, and where MAGNET multiplies rows."""

import copy
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import Run, instance_stats, make_run, request_state, stat, write_run, write_runs

from magnet_arrow.errors import JoinError, PredictionError
from magnet_arrow.instance_predictor import PREDICT_ID, InstancePrediction, InstancePredictor

NAME, ID = "run_spec.name", "scenario_state.request_states.instance.id"
STAT_ID, STAT = "per_instance_stats.instance_id", "per_instance_stats.stats.name.name"
MEAN = "per_instance_stats.stats.mean"
WORSE = {"name": "misspelling", "prob": 0.5, "fairness": False, "robustness": True}


def predictor_of(predict: Callable[[str, pl.DataFrame], Any]) -> InstancePredictor:
    """An instance predictor whose predictions are made of the run's name and its scenario state."""

    class Made(InstancePredictor):
        def predict(self, train_split: Any, sequestered_test_split: Any) -> Any:
            return predict(sequestered_test_split.run_specs[NAME].item(), sequestered_test_split.scenario_state)

    return Made(0, 100, insufficient_eval_sample_policy="ignore")


def every_state(name: str, states: pl.DataFrame) -> list[InstancePrediction]:
    return [InstancePrediction(name, number, "exact_match", 0.5) for number in states[PREDICT_ID]]


def state(instance_id: str, *, trial: int = 0, perturbation: dict[str, Any] | None = None) -> dict[str, Any]:
    made = request_state(instance_id) | {"train_trial_index": trial}
    if perturbation:
        made["instance"]["perturbation"] = perturbation
    return made


def entry(instance_id: str, value: float, *, trial: int = 0, perturbation: Any = None) -> dict[str, Any]:
    return instance_stats(instance_id, value, perturbation) | {"train_trial_index": trial}


def run_of(states: Iterable[dict[str, Any]], entries: Iterable[dict[str, Any]]) -> Run:
    run = make_run("tides")
    run["scenario_state"]["request_states"] = list(states)
    run["per_instance_stats"] = list(entries)
    return run


def actual(tmp_path: Path, run: Run) -> list[tuple[str, int, float | None]]:
    """Instance id, number and actual value for each request state."""
    write_run(tmp_path, run)
    comparison = predictor_of(every_state)(tmp_path)
    return comparison.select("instance_id", "prediction_id", "actual_mean").rows()


def test_ids_number_the_request_states_and_are_on_their_stats(tmp_path: Path):
    write_runs(tmp_path, [make_run(f"tides {number}", n_instances=3) for number in range(3)])
    train, test = predictor_of(every_state).__class__(2, 2, 5).prepare_all_dataframes(tmp_path)
    for split, rows in ((train, 6), (test, 2)):
        states, stats = split.scenario_state, split.per_instance_stats
        assert states.columns[0] == stats.columns[0] == PREDICT_ID
        assert states[PREDICT_ID].to_list() == list(range(rows))
        expected = {(name, one): number for number, name, one in states.select(PREDICT_ID, NAME, ID).rows()}
        found = stats.select(PREDICT_ID, NAME, STAT_ID).rows()
        assert found == [(expected[name, one], name, one) for _, name, one in found]
        assert len(found) == 2 * rows  # two stats in each entry


def test_ids_are_in_the_sequestered_split(tmp_path: Path):
    write_run(tmp_path, make_run("tides"))
    _, sequestered = predictor_of(every_state).prepare_predict_inputs(tmp_path)
    assert sequestered.scenario_state[PREDICT_ID].to_list() == [0, 1]


def test_copies_of_an_instance_have_their_own_values(tmp_path: Path):
    run = run_of(
        [state("a"), state("a", perturbation=WORSE), state("a", perturbation=WORSE | {"prob": 1})],
        [entry("a", 1, perturbation=WORSE), entry("a", 2, perturbation=WORSE | {"prob": 1}), entry("a", 3)],
    )
    assert actual(tmp_path, run) == [("a", 0, 3.0), ("a", 1, 1.0), ("a", 2, 2.0)]


def test_each_trial_has_its_own_values(tmp_path: Path):
    """MAGNET gives each of the two states both values."""
    run = run_of([state("a", trial=0), state("a", trial=1)], [entry("a", 1, trial=1), entry("a", 0, trial=0)])
    assert actual(tmp_path, run) == [("a", 0, 0.0), ("a", 1, 1.0)]


def test_several_requests_of_an_instance_share_its_stats(tmp_path: Path):
    run = run_of([state("a"), state("a"), state("b"), state("b")], [entry("a", 1), entry("b", 0)])
    assert actual(tmp_path, run) == [("a", 0, 1.0), ("a", 1, 1.0), ("b", 2, 0.0), ("b", 3, 0.0)]


def test_as_many_values_as_requests_are_matched_in_order(tmp_path: Path):
    """MAGNET gives each of the three states all three values."""
    run = run_of([state("a")] * 3, [entry("a", value) for value in (1, 2, 3)])
    assert actual(tmp_path, run) == [("a", 0, 1.0), ("a", 1, 2.0), ("a", 2, 3.0)]


def test_a_stat_that_is_there_twice_is_compared_once(tmp_path: Path):
    """MAGNET gives two rows."""
    assert actual(tmp_path, run_of([state("a")], [entry("a", 1), entry("a", 1)])) == [("a", 0, 1.0)]


def test_a_stat_with_two_values_is_named(tmp_path: Path):
    with pytest.raises(JoinError, match=r"exact_match for request state 0 of tides, found 1\.0 and 2\.0"):
        actual(tmp_path, run_of([state("a")], [entry("a", 1), entry("a", 2)]))


@pytest.mark.parametrize("order", [1, -1])
def test_a_null_is_no_other_value(order: int, tmp_path: Path):
    """HELM writes null for a stat over no values; `join_instances` passes over it, too."""
    empty = entry("a", 1)
    empty["stats"] = [stat("exact_match", 0) | {"count": 0, "mean": None}]
    assert actual(tmp_path, run_of([state("a")], [empty, entry("a", 1)][::order])) == [("a", 0, 1.0)]


def test_a_stat_with_two_values_that_nobody_predicts_is_no_matter(tmp_path: Path):
    other = entry("a", 1)
    other["stats"] = [stat("length", 1), stat("length", 2)]
    assert actual(tmp_path, run_of([state("a")], [entry("a", 1), other])) == [("a", 0, 1.0)]


def test_values_that_are_missing_are_counted_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_run(tmp_path, make_run("tides"))
    asked = [(1, "exact_match"), (0, "beauty"), (7, "exact_match"), (0, "exact_match")]
    predictor = predictor_of(lambda name, _: [InstancePrediction(name, number, stat, 1) for number, stat in asked])
    with caplog.at_level(logging.WARNING, "magnet_arrow"):
        comparison = predictor(tmp_path)
    assert comparison.rows() == [
        ("tides", "id1", 1, "exact_match", 1.0, 1.0),
        ("tides", "id0", 0, "beauty", 1.0, None),
        ("tides", None, 7, "exact_match", 1.0, None),
        ("tides", "id0", 0, "exact_match", 1.0, 0.0),
    ]
    assert "2 of 4 predictions have no actual value" in caplog.text
    assert "beauty (0), exact_match (7)" in caplog.text


def test_another_runs_name_has_no_truth(tmp_path: Path):
    write_run(tmp_path, make_run("tides"))
    comparison = predictor_of(lambda *_: [InstancePrediction("winds", 0, "exact_match", 1)])(tmp_path)
    assert comparison.rows() == [("winds", None, 0, "exact_match", 1.0, None)]


def test_predictions_may_be_a_frame(tmp_path: Path):
    write_run(tmp_path, make_run("tides"))

    def as_frame(_: str, states: pl.DataFrame) -> pl.LazyFrame:
        return states.lazy().select(NAME, PREDICT_ID, pl.lit("exact_match").alias(STAT), pl.lit(0.5).alias(MEAN))

    assert predictor_of(as_frame)(tmp_path).equals(predictor_of(every_state)(tmp_path))


BARE: dict[str, Any] = {
    "no stats": {"per_instance_stats": []},
    "no request states": {"scenario_state": {"adapter_spec": {}, "request_states": []}},
    "empty request states": {"scenario_state": {"request_states": [{}]}},
    "empty entries": {"per_instance_stats": [{"stats": [{}]}]},
}


@pytest.mark.parametrize("changes", BARE.values(), ids=BARE)
def test_any_dump_can_be_predicted(tmp_path: Path, changes: dict[str, Any]):
    write_run(tmp_path, make_run("tides") | copy.deepcopy(changes))
    comparison = predictor_of(every_state)(tmp_path)
    assert comparison["actual_mean"].null_count() == comparison.height


@pytest.mark.parametrize("made", [None, 0.5, "text", [0.5]], ids=repr)
def test_a_predictor_that_gives_something_else_is_told(tmp_path: Path, made: Any):
    write_run(tmp_path, make_run("tides"))
    with pytest.raises(PredictionError, match="expected a list of InstancePrediction"):
        predictor_of(lambda *_: made)(tmp_path)


def test_suites_can_be_given_and_exactly_one_of_both_is(tmp_path: Path):
    write_run(tmp_path, make_run("tides"))
    predictor = predictor_of(every_state)
    assert predictor(helm_suites=tmp_path).equals(predictor(helm_runs=tmp_path))
    for given in ({}, {"helm_runs": tmp_path, "helm_suites": tmp_path}):
        with pytest.raises(TypeError, match="exactly one"):
            predictor(**given)
    with pytest.raises(TypeError, match="predict"):
        InstancePredictor()


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name")
def test_runs_of_equal_names_keep_their_own_stats(tmp_path: Path):
    for suite, value in (("one", 1), ("two", 2)):
        for name in "abc":
            run = make_run(name)
            run["per_instance_stats"] = [entry(f"id{number}", value) for number in range(2)]
            write_run(tmp_path, run, suite=suite)
    predictor = predictor_of(every_state).__class__(4, 2, 3)
    train, _ = predictor.prepare_all_dataframes(tmp_path)
    suites = dict(train.scenario_state.select(PREDICT_ID, "magnet.suite").rows())
    assert sorted(suites.values()) == ["one"] * 4 + ["two"] * 4
    values = {number: {"one": 1.0, "two": 2.0}[suite] for number, suite in suites.items()}
    exact = train.per_instance_stats.filter(pl.col(STAT) == "exact_match")
    assert dict(exact.select(PREDICT_ID, MEAN).rows()) == values
    assert exact.height == 8
