"""Predictions check their values, and their frame has the columns of table `stats`."""

import math
import pickle
from fractions import Fraction
from typing import Any

import polars as pl
import pytest

from magnet_arrow.errors import PredictionError
from magnet_arrow.predictions.records import RunPrediction, frame

PERTURBATION = "stats.name.perturbation."


def prediction(**changes: Any) -> RunPrediction:
    values = {"run_spec_name": "tides", "split": "test", "stat_name": "exact_match", "mean": 0.5}
    return RunPrediction(**values | changes)


def test_defaults_are_magnets():
    made = prediction()
    assert (made.computed_on, made.count, made.variance, made.stddev) == (None, 1, 0.0, 0.0)
    assert (made.sum, made.sum_squared, made.min, made.max, made.sub_split) == (None, None, None, None, None)
    assert made.perturbation_parameters == {"name": None, "fairness": None, "robustness": None}


def test_sum_squared_follows_from_the_sum_unless_given():
    assert prediction(sum=3).sum_squared == 9.0
    assert prediction(sum=3, sum_squared=5).sum_squared == 5.0


def test_given_parameters_stand_beside_those_that_are_always_named():
    made = prediction(perturbation_parameters={"prob": 0.2, "name": "misspellings"})
    expected = {"name": "misspellings", "fairness": None, "robustness": None, "prob": 0.2}
    assert made.perturbation_parameters == expected


def test_the_users_dictionary_is_left_alone():
    given = {"prob": 0.2}
    prediction(perturbation_parameters=given)
    assert given == {"prob": 0.2}


def test_sub_split_is_by_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        RunPrediction("a", "test", "m", 0.5, None, None, 1, None, None, None, None, 0.0, 0.0, "easy")


def test_numbers_of_other_kinds_are_kept_as_pythons():
    half = Fraction(1, 2)  # a real number that is no float, as NumPy's are
    made = prediction(mean=half, count=True, max=1, perturbation_parameters={"prob": half})
    numbers = [made.mean, made.count, made.max, made.perturbation_parameters["prob"]]
    assert [(type(number), number) for number in numbers] == [(float, 0.5), (int, 1), (int, 1), (float, 0.5)]


def test_predictions_can_be_sent_to_another_process():
    made = prediction(perturbation_parameters={"prob": 0.2})
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": None}, ["mean", "expected a number", "found None"]),
        ({"mean": math.nan}, ["mean", "expected a finite number", "found nan"]),
        ({"mean": -math.inf}, ["mean", "expected a finite number", "found -inf"]),
        ({"mean": "0.5"}, ["mean", "expected a number", "found '0.5'"]),
        ({"stat_name": 1}, ["stat_name", "expected a string", "found 1"]),
        ({"split": 1}, ["split", "expected a string or None"]),
        ({"count": 1.5}, ["count", "expected an integer", "found 1.5"]),
        ({"max": [1]}, ["max", "expected a number or None", "found [1]"]),
        ({"perturbation_parameters": ["prob"]}, ["perturbation_parameters", "expected a dictionary"]),
        ({"perturbation_parameters": {"prob": [0.1]}}, ["prob", "found [0.1]"]),
        ({"perturbation_parameters": {1: 0.1}}, ["key", "expected a string", "found 1"]),
        ({"perturbation_parameters": {"computed_on": "worst"}}, ["Give it as the argument computed_on="]),
    ],
    ids=lambda value: "" if isinstance(value, list) else "-".join(value),
)
def test_a_value_of_a_wrong_kind_is_refused(changes: dict[str, Any], words: list[str]):
    with pytest.raises(PredictionError) as caught:
        prediction(**changes)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_frame_has_the_columns_of_stats():
    rows = frame([prediction(sum=0.5), prediction(mean=1, computed_on="worst", sub_split="easy")]).collect()
    assert rows.to_dict(as_series=False) == {
        "run_spec.name": ["tides", "tides"],
        "stats.name.split": ["test", "test"],
        "stats.name.sub_split": [None, "easy"],
        "stats.name.name": ["exact_match", "exact_match"],
        f"{PERTURBATION}computed_on": [None, "worst"],
        f"{PERTURBATION}name": [None, None],
        f"{PERTURBATION}fairness": [None, None],
        f"{PERTURBATION}robustness": [None, None],
        "stats.count": [1, 1],
        "stats.sum": [0.5, None],
        "stats.sum_squared": [0.25, None],
        "stats.min": [None, None],
        "stats.max": [None, None],
        "stats.mean": [0.5, 1.0],
        "stats.variance": [0.0, 0.0],
        "stats.stddev": [0.0, 0.0],
    }


def test_a_parameter_that_one_names_is_null_in_the_others():
    rows = frame([prediction(), prediction(perturbation_parameters={"prob": 1})]).collect()
    assert rows[f"{PERTURBATION}prob"].to_list() == [None, 1.0]
    assert rows.schema[f"{PERTURBATION}prob"] == pl.Float64


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None], pl.Int64),
        ([1, 0.5], pl.Float64),
        ([True, False], pl.Boolean),
        (["a", "b"], pl.String),
    ],
    ids=["int", "int and float", "bool", "str"],
)
def test_a_parameter_of_a_plugin_has_the_type_of_its_values(values: list[Any], dtype: pl.DataType):
    rows = frame([prediction(perturbation_parameters={"own": value}) for value in values]).collect()
    assert rows.schema[f"{PERTURBATION}own"] == dtype
    assert rows[f"{PERTURBATION}own"].to_list() == values


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("own", ["1", 1], ["'own'", "values of one type", "int and str"]),
        ("own", [True, 1], ["'own'", "values of one type", "bool and int"]),
        ("prob", ["often"], ["'prob'", "Float64", "str"]),
        ("fairness", [1], ["'fairness'", "Boolean", "int"]),
    ],
    ids=["text and number", "bool and number", "text for a number", "number for a bool"],
)
def test_kinds_of_one_parameter_are_never_mixed(key: str, values: list[Any], words: list[str]):
    with pytest.raises(PredictionError) as caught:
        frame([prediction(perturbation_parameters={key: value}) for value in values])
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_no_predictions_give_an_empty_frame_of_the_same_columns():
    assert frame([]).collect_schema() == frame([prediction()]).collect_schema()


def test_something_that_is_no_prediction_is_refused():
    with pytest.raises(PredictionError, match=r"expected a list of RunPrediction, found 0\.5 in it"):
        frame([prediction(), 0.5])


TOO_LARGE = {
    "mean": {"mean": 10**400},
    "fraction": {"mean": Fraction(10**400)},
    "mean too long to show": {"mean": -(10**5000)},
    "sum": {"sum": 10**309},
    "count": {"count": 2**63},
    "parameter": {"perturbation_parameters": {"k": -(2**63) - 1}},
}


@pytest.mark.parametrize("values", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_number_that_no_column_can_hold_is_refused_at_once(values: dict[str, Any]):
    with pytest.raises(PredictionError, match="of a prediction is wrong"):
        RunPrediction("tides", "test", "exact_match", **{"mean": 0.5} | values)


def test_the_largest_numbers_are_taken():
    made = RunPrediction("tides", "test", "exact_match", 2**70, count=2**63 - 1, sum=1e200)
    shown = frame([made, RunPrediction("tides", "test", "exact_match", 0.5, sum=10**200)]).collect()
    assert shown["stats.mean"].to_list() == [2.0**70, 0.5]
    assert shown["stats.count"].to_list() == [2**63 - 1, 1]
    assert shown["stats.sum_squared"].to_list() == [math.inf, math.inf]


@pytest.mark.parametrize("name", ["run_spec_name", "split", "stat_name", "computed_on", "sub_split"])
def test_text_that_no_column_can_hold_is_refused_at_once(name: str):
    values = {"run_spec_name": "tides", "split": "test", "stat_name": "exact_match", "mean": 0.5, name: "\ud800"}
    with pytest.raises(PredictionError, match="UTF-8"):
        RunPrediction(**values)
