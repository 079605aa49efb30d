"""Intervals of scores against the jackknife over models and items, written out."""

from math import sqrt

import polars as pl
import pytest
import scipy.stats
from score_frames import jackknife, only_row, predictions

from magnet_arrow import score


def _mse(frame: pl.DataFrame) -> float:
    return float(((frame["predicted"] - frame["actual"]) ** 2).mean())


def _q2(frame: pl.DataFrame) -> float:
    squares = ((frame["predicted"] - frame["actual"]) ** 2).sum()
    return float(1 - squares / ((frame["train_mean"] - frame["actual"]) ** 2).sum())


@pytest.mark.parametrize("factors", [["model", "item"], ["model"]], ids=["two", "one"])
def test_intervals_are_the_jackknife_over_models_and_items(factors: list[str]) -> None:
    frame = predictions(120)
    found = only_row(frame, level=0.9, over=factors)
    for name, statistic in (("mse", _mse), ("q2", _q2)):
        variance, df = jackknife(frame, factors, statistic)
        half = scipy.stats.t.ppf(0.95, df) * sqrt(variance)
        assert (found[f"{name}_low"], found[f"{name}_high"]) == pytest.approx(
            (found[name] - half, found[name] + half), abs=1e-9
        )
    assert found["rmse_high"] == pytest.approx(sqrt(found["mse_high"]), abs=1e-9)


def test_by_default_intervals_are_over_models_and_items_that_are_not_in_by() -> None:
    frame = predictions(200)
    assert score(frame).equals(score(frame, over=["model", "item"]))
    assert score(frame, by="model").equals(score(frame, by="model", over="item"))
    of_means = frame.with_columns(item=pl.lit(None, pl.String), scenario=pl.col("item"))
    assert score(of_means).equals(score(of_means, over=["model", "scenario"]))
    four_scenarios = of_means.with_columns(scenario=pl.col("scenario").str.len_chars())
    assert four_scenarios["scenario"].n_unique() < 5
    assert score(four_scenarios).equals(score(four_scenarios, over="model"))


def test_each_row_is_a_draw_where_no_factor_is_named() -> None:
    frame = predictions(50)
    found = only_row(frame, over=(), level=0.95)
    errors = (frame["predicted"] - frame["actual"]).abs().to_numpy()
    low, high = scipy.stats.t.interval(0.95, 49, errors.mean(), errors.std(ddof=1) / sqrt(50))
    assert (found["mae_low"], found["mae_high"]) == pytest.approx((low, high), abs=1e-12)


def test_fewer_than_5_models_have_no_interval() -> None:
    frame = predictions(200).filter(pl.col("model").is_in(["m0", "m1", "m2"]))
    found = only_row(frame, level=0.95)
    assert found["mae"] is not None
    assert (found["mae_low"], found["mae_high"], found["q2_low"], found["correlation_low"]) == (None,) * 4
    assert "interval of mae" in found["why_null"]
    assert "3 levels, fewer than 5" in found["why_null"]


def test_levels_without_an_answer_do_not_count() -> None:
    frame = predictions(200)
    silent = frame.with_columns(pl.when(pl.col("model") != "m0").then("predicted"))
    names = ["mae", "q2", "correlation"]
    kept = score(frame.filter(pl.col("model") != "m0"), scores=names).drop("n", "folds")
    assert score(silent, scores=names).drop("n", "folds").equals(kept)


def test_one_row_has_scores_without_intervals() -> None:
    frame = pl.DataFrame({"predicted": [0.5], "actual": [1], "model": ["a"], "item": ["b"], "fold": [0]})
    found = only_row(frame, level=0.95)
    assert (found["mae"], found["mae_low"], found["rejection_area"], found["correlation_folds"]) == (0.5, None, None, 0)
    assert "or are all of one" in found["why_null"]
