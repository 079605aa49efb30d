"""Predictions beside the truth: what matches, what does not, and in which order."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from magnet_arrow.predictions.records import RunPrediction, frame
from magnet_arrow.predictions.scoring import compare_runs, without_truth

MISSPELT = {"name": "misspellings", "fairness": False, "robustness": True}


def stats(*rows: Mapping[str, Any]) -> pl.LazyFrame:
    """Table `stats`, of rows as `stat` makes them; what no row has is a column that is not there."""
    return pl.DataFrame(rows, infer_schema_length=None).lazy()


def stat(mean: float | None, perturbation: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    names = {"name": "exact_match", "split": "test"} | {key: value for key, value in changes.items() if key != "run"}
    return {
        "run_spec.name": changes.get("run", "tides"),
        **{f"stats.name.{key}": value for key, value in names.items()},
        **{f"stats.name.perturbation.{key}": value for key, value in (perturbation or {}).items()},
        "stats.mean": mean,
    }


def prediction(mean: float = 0.5, **changes: Any) -> RunPrediction:
    values = {"run_spec_name": "tides", "split": "test", "stat_name": "exact_match", "mean": mean}
    return RunPrediction(**values | changes)


def pairs(predictions: list[RunPrediction], truth: pl.LazyFrame) -> list[tuple[float, float | None]]:
    comparison = compare_runs(frame(predictions), truth).collect()
    return list(comparison.select("predicted_mean", "actual_mean").iter_rows())


def test_columns_are_magnets_and_the_sub_split():
    comparison = compare_runs(frame([prediction()]), stats(stat(0.25))).collect()
    assert comparison.to_dicts() == [
        {
            "run_spec": "tides",
            "split": "test",
            "stat_name": "exact_match",
            "predicted_mean": 0.5,
            "actual_mean": 0.25,
            "perturbation_computed_on": None,
            "perturbation_name": None,
            "perturbation_fairness": None,
            "perturbation_robustness": None,
            "sub_split": None,
        }
    ]


@pytest.mark.parametrize("lost", ["stats.mean", "stats.name.name", "stats.name.split", "run_spec.name"])
def test_a_truth_without_a_column_is_a_row_with_a_null(lost: str):
    made = [prediction(), prediction(stat_name="rouge_l")]
    assert pairs(made, stats(stat(0.25)).drop(lost)) == [(0.5, None), (0.5, None)]
    assert pairs(made, pl.LazyFrame({"run_spec.name": []})) == [(0.5, None), (0.5, None)]


def test_nothing_is_looked_at_before_the_collect():
    def explode(_: pl.Series) -> pl.Series:
        raise ValueError("looked at")

    mean = pl.col("stats.mean").map_batches(explode, return_dtype=pl.Float64)
    comparison = compare_runs(frame([prediction()]), stats(stat(0.25)).with_columns(mean))
    with pytest.raises(Exception, match="looked at"):
        comparison.collect()


@pytest.mark.parametrize(
    "other",
    [{"run": "winds"}, {"split": "valid"}, {"name": "f1_score"}, {"split": None}],
    ids=["run", "split", "name", "no split"],
)
def test_run_split_and_name_must_agree(other: dict[str, Any]):
    assert pairs([prediction()], stats(stat(0.25, **other))) == [(0.5, None)]


def test_a_null_matches_a_null():
    truth = stats(stat(0.25, split=None), stat(0.75, MISSPELT, split=None))
    assert pairs([prediction(split=None)], truth) == [(0.5, 0.25)]


def test_a_perturbed_stat_is_matched_by_its_perturbation_only():
    truth = stats(stat(0.25), stat(0.125, MISSPELT | {"computed_on": "perturbed"}))
    perturbed = prediction(0.75, computed_on="perturbed", perturbation_parameters=MISSPELT)
    worst = prediction(1, computed_on="worst", perturbation_parameters=MISSPELT)
    assert pairs([perturbed, prediction(), worst], truth) == [(0.75, 0.125), (0.5, 0.25), (1, None)]


def test_a_parameter_counts_if_a_prediction_names_it():
    sweep = stats(*(stat(prob, MISSPELT | {"prob": prob}) for prob in (0.25, 0.75)))
    anything = prediction(perturbation_parameters=MISSPELT)
    named = prediction(1, perturbation_parameters=MISSPELT | {"prob": 0.75})
    assert pairs([anything], sweep) == [(0.5, 0.25), (0.5, 0.75)]
    assert pairs([named], sweep) == [(1, 0.75)]
    # Once one names it, it counts for all, and those that do not name it match only where there is none.
    assert pairs([anything, named], sweep) == [(0.5, None), (1, 0.75)]


def test_a_parameter_that_no_stat_has_is_null_in_all():
    own = prediction(perturbation_parameters={"own": 1})
    assert pairs([own, prediction()], stats(stat(0.25))) == [(0.5, None), (0.5, 0.25)]


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (1, 1.0, True),
        (1, 1, True),
        (True, True, True),
        ("a", "a", True),
        (1, "1", False),
        (True, 1, False),
        (True, "true", False),
        ("1.0", 1.0, False),
    ],
)
def test_values_of_two_kinds_are_never_the_same(ours: Any, theirs: Any, same: bool):
    own = prediction(perturbation_parameters={"own": ours})
    assert pairs([own], stats(stat(0.25, {"own": theirs}))) == [(0.5, 0.25 if same else None)]


def test_nulls_match_even_where_the_kinds_differ():
    truth = stats(stat(0.25, {"own": "x"}), stat(0.75, {"own": None}))
    predictions = [prediction(0, perturbation_parameters={"own": 1}), prediction(1)]
    assert pairs(predictions, truth) == [(0, None), (1, 0.75)]


def test_a_prediction_without_sub_split_matches_any():
    parts = stats(stat(0.25, sub_split="easy"), stat(0.75, sub_split="hard"), stat(0.5, sub_split=None))
    comparison = compare_runs(frame([prediction()]), parts).collect()
    assert comparison["sub_split"].to_list() == ["easy", "hard", None]
    assert comparison["actual_mean"].to_list() == [0.25, 0.75, 0.5]


def test_a_sub_split_that_is_named_must_agree_and_is_shown():
    parts = stats(stat(0.25, sub_split="easy"), stat(0.75, sub_split="hard"))
    predictions = [prediction(sub_split="odd"), prediction(sub_split="hard")]
    comparison = compare_runs(frame(predictions), parts).collect()
    assert comparison["sub_split"].to_list() == ["odd", "hard"]
    assert comparison["actual_mean"].to_list() == [None, 0.75]


def test_rows_are_in_the_order_of_the_predictions_then_of_the_stats():
    truth = stats(stat(3, name="b", sub_split="x"), stat(1, name="a", sub_split="x"), stat(2, name="b", sub_split="y"))
    predictions = [
        prediction(0, stat_name="a"),
        prediction(1, stat_name="b", sub_split="y"),
        prediction(2, stat_name="c"),
        prediction(3, stat_name="b"),
    ]
    assert pairs(predictions, truth) == [(0, 1), (1, 2), (2, None), (3, 3), (3, 2)]


def test_a_stat_that_is_there_twice_is_two_rows():
    assert pairs([prediction()], stats(stat(0.25), stat(0.75))) == [(0.5, 0.25), (0.5, 0.75)]


def test_without_truth_gives_what_matched_nothing_and_what_has_no_mean():
    truth = stats(stat(0.25), stat(None, name="f1_score"))
    predictions = [prediction(), prediction(stat_name="f1_score"), prediction(stat_name="rouge_l")]
    missing = without_truth(compare_runs(frame(predictions), truth)).collect()
    assert missing["stat_name"].to_list() == ["f1_score", "rouge_l"]


def test_no_predictions_compare_to_nothing():
    assert compare_runs(frame([]), stats(stat(0.25))).collect().height == 0


def test_runs_of_equal_names_are_told_apart():
    """A prediction that matches nothing is of the one run that has its name; of a name that two have nobody knows."""
    places = [("tides", "one", 0.25), ("tides", "two", 0.75), ("moon", "one", 0.125)]
    truth = stats(*(stat(mean, run=run) | {"magnet.suite": suite} for run, suite, mean in places))
    specs = pl.LazyFrame(
        {"run_spec.name": ["tides", "tides", "moon"], "magnet.suite": ["one", "two", "one"], "more": [1, 2, 3]}
    )
    made = [prediction(), prediction(run_spec_name="moon", stat_name="rouge_l"), prediction(stat_name="rouge_l")]
    comparison = compare_runs(frame(made), truth, specs).collect()
    assert comparison.columns[:3] == ["run_spec", "magnet.suite", "split"]
    assert comparison.select("run_spec", "magnet.suite", "actual_mean").rows() == [
        ("tides", "one", 0.25),
        ("tides", "two", 0.75),
        ("moon", "one", None),
        ("tides", None, None),
    ]
    assert compare_runs(frame(made), truth).collect()["magnet.suite"].to_list() == ["one", "two", None, None]
