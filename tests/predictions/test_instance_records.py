"""Predictions of request states: what they hold, their frame, and what is refused."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from magnet_arrow.errors import ColumnNotFoundError, PredictionError
from magnet_arrow.predictions.instance_records import InstancePrediction, instance_frame

ID, RUN = "magnet.instance_predict_id", "run_spec.name"
STAT, MEAN = "per_instance_stats.stats.name.name", "per_instance_stats.stats.mean"


def prediction(number: Any = 0, mean: Any = 0.5, **changes: Any) -> InstancePrediction:
    values = {"run_spec_name": "tides", "instance_predict_id": number, "stat_name": "exact_match", "mean": mean}
    return InstancePrediction(**values | changes)


def frame_of(**changes: Any) -> pl.DataFrame:
    return pl.DataFrame({ID: [0, 1], RUN: ["tides", "tides"], STAT: ["f1", "f1"], MEAN: [0.25, 0.5]} | changes)


def test_numbers_of_any_type_are_python_numbers():
    made = prediction(np.int32(3), np.float32(0.5), sum=np.int64(3))
    assert [type(value) for value in (made.instance_predict_id, made.mean, made.sum)] == [int, float, int]
    assert (made.sum_squared, made.variance, made.stddev, made.count) == (9, 0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"number": 1.5}, ["instance_predict_id", "expected an integer", "found 1.5"]),
        ({"number": None}, ["instance_predict_id", "found None"]),
        ({"number": 2**64}, ["instance_predict_id", "64 bits"]),
        ({"mean": math.nan}, ["mean", "expected a finite number", "found nan"]),
        ({"mean": "1"}, ["mean", "expected a number", "found '1'"]),
        ({"run_spec_name": 1}, ["run_spec_name", "expected a string"]),
        ({"stat_name": None}, ["stat_name", "expected a string"]),
        ({"count": 0.5}, ["count", "expected an integer"]),
        ({"max": "1"}, ["max", "expected a number or None"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else "-".join(value),
)
def test_a_value_of_a_wrong_kind_is_refused(changes: dict[str, Any], words: list[str]):
    with pytest.raises(PredictionError) as caught:
        prediction(**changes)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_frame_has_the_columns_of_per_instance_stats():
    rows = instance_frame([prediction(sum=0.5), prediction(1, mean=1)])
    assert rows.select(ID, RUN, STAT, MEAN).rows() == [
        (0, "tides", "exact_match", 0.5),
        (1, "tides", "exact_match", 1.0),
    ]
    assert rows["per_instance_stats.stats.sum_squared"].to_list() == [0.25, None]
    assert rows.width == 11


def test_no_predictions_are_a_frame_too():
    empty = instance_frame([])
    assert (empty.height, empty.schema) == (0, instance_frame([prediction()]).schema)


def test_predictions_may_be_a_frame():
    given = frame_of(own=["a", "b"]).with_columns(pl.col(RUN).cast(pl.Categorical), pl.col(ID).cast(pl.UInt32))
    expected = frame_of().select(ID, RUN, STAT, MEAN)
    assert instance_frame(given).equals(expected)
    assert instance_frame(given.lazy()).equals(expected)
    assert instance_frame(frame_of(**{MEAN: [0, 1]}))[MEAN].to_list() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({MEAN: [0.5, math.nan]}, ["1 of 2 predictions has a mean that is NaN", "found 1, tides, f1, nan in row 1"]),
        ({MEAN: [math.inf, 0.5]}, ["has a mean that is NaN or infinite", "found 0, tides, f1, inf in row 0"]),
        ({MEAN: [None, 0.5]}, ["1 of 2 predictions has a null", "found 0, tides, f1, None in row 0"]),
        ({RUN: [None, None]}, ["run_spec.name", "expected String", "found Null"]),
        ({ID: [0.0, 1.0]}, [ID, "expected Int64", "found Float64"]),
        ({MEAN: ["0", "1"]}, [MEAN, "expected Float64", "found String"]),
        ({STAT: [1, 2]}, [STAT, "expected String", "found Int64"]),
        ({ID: [4, 4]}, ["1 stat of a request state has several", "found 2 of f1 of request state 4 of tides"]),
    ],
    ids=["NaN", "infinite", "null", "no run", "float id", "text", "stat", "twice"],
)
def test_a_frame_that_is_wrong_is_refused(changes: dict[str, Any], words: list[str]):
    with pytest.raises(PredictionError) as caught:
        instance_frame(frame_of(**changes))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_frame_without_a_column_is_told_which():
    with pytest.raises(ColumnNotFoundError, match=MEAN):
        instance_frame(frame_of().drop(MEAN))


def test_two_predictions_for_one_key_are_refused():
    with pytest.raises(PredictionError, match=r"(?s)2 stats of a request state have several .* found 3 of exact_match"):
        instance_frame([*[prediction()] * 3, *[prediction(1)] * 2, prediction(2), prediction(stat_name="f1")])


@pytest.mark.parametrize("other", [None, 0.5, ("tides", 0, "f1", 0.5)], ids=repr)
def test_something_else_in_the_list_is_refused(other: Any):
    with pytest.raises(PredictionError, match="expected a list of InstancePrediction"):
        instance_frame([prediction(), other])
