"""Correlations within folds against SciPy and Fisher's z, and their intervals against a jackknife written out."""

from math import atanh, sqrt, tanh

import numpy as np
import polars as pl
import pytest
import scipy.stats
from score_frames import jackknife, only_row, predictions


def pearson(pairs: list[tuple[float, float]]) -> float:
    return float(scipy.stats.pearsonr(*zip(*pairs, strict=True)).statistic)


def test_correlations_are_averaged_on_fishers_z() -> None:
    folds = {
        0: [(0.1, 0.3), (0.2, 0.2), (0.3, 0.5), (0.4, 0.4), (0.6, 0.9)],
        1: [(0.5, 0.1), (0.4, 0.2), (0.3, 0.1), (0.9, 0.3)],
        2: [(0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4)],  # |r| = 1
        3: [(0.1, 0.1), (0.9, 0.9), (0.4, 0.3)],  # three rows
        4: [(0.1, 0.1), (0.1, 0.9), (0.1, 0.3), (0.1, 0.2)],  # a constant
    }
    rows = [(fold, *pair) for fold, pairs in folds.items() for pair in pairs]
    found = only_row(pl.DataFrame(rows, schema=["fold", "predicted", "actual"], orient="row"))
    z = (2 * atanh(pearson(folds[0])) + 1 * atanh(pearson(folds[1]))) / 3
    assert found["correlation"] == pytest.approx(tanh(z), abs=1e-12)
    names = ("folds", "correlation_folds", "correlation_folds_perfect")
    assert [found[name] for name in names] == [5, 2, 1]
    rho = [float(scipy.stats.spearmanr(*zip(*folds[fold], strict=True)).statistic) for fold in (0, 1)]
    assert found["rank_correlation"] == pytest.approx(tanh((2 * atanh(rho[0]) + atanh(rho[1])) / 3), abs=1e-12)


def test_draws_of_a_fold_are_apart() -> None:
    draws = {"fold": [0] * 4, "draw": [0, 0, 1, 1], "predicted": [0.1, 0.4, 0.3, 0.2], "actual": [0.1, 0.2] * 2}
    found = only_row(pl.DataFrame(draws))
    assert (found["correlation"], found["folds"], found["correlation_folds"]) == (None, 2, 0)


def test_leave_one_out_has_no_correlation() -> None:
    truths = np.random.default_rng(0).random(30)
    means = (truths.sum() - truths) / 29
    assert pearson(list(zip(means, truths, strict=True))) == pytest.approx(-1, abs=1e-12)
    found = only_row(pl.DataFrame({"fold": range(30), "predicted": means, "actual": truths}))
    assert (found["correlation"], found["rank_correlation"], found["folds"]) == (None, None, 30)


def test_rounding_makes_no_correlation_of_a_constant() -> None:
    frame = pl.DataFrame({"fold": [0] * 7, "predicted": [0.1] * 7, "actual": [0.3, 0.1, 0.7, 0.7, 0.2, 0.9, 0.4]})
    assert only_row(frame)["correlation_folds"] == 0


def test_without_folds_there_is_no_correlation() -> None:
    found = only_row(predictions().drop("fold"))
    assert (found["correlation"], found["folds"]) == (None, None)
    assert "the predictions have no column fold" in found["why_null"]


def _mean_z(frame: pl.DataFrame) -> float:
    above = below = 0.0
    for fold in frame["fold"].unique():
        rows = frame.filter(fold=fold)
        if rows.height >= 4:
            z = atanh(pearson(rows.select("predicted", "actual").rows()))
            above, below = above + (rows.height - 3) * z, below + rows.height - 3
    return above / below


@pytest.mark.parametrize("factors", [["model", "item"], ["item"]], ids=["two", "one"])
def test_the_interval_of_correlations_leaves_levels_out_of_all_folds(factors: list[str]) -> None:
    frame = predictions(60)
    found = only_row(frame, level=0.95, over=factors)
    variance, df = jackknife(frame, factors, _mean_z)
    half = scipy.stats.t.ppf(0.975, df) * sqrt(variance)
    z = _mean_z(frame)
    assert found["correlation"] == pytest.approx(tanh(z), abs=1e-12)
    ends = (found["correlation_low"], found["correlation_high"])
    assert ends == pytest.approx((tanh(z - half), tanh(z + half)), abs=1e-9)
