"""Predicted spreads against scoringrules and SciPy, and cases worked out by hand."""

from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats
import scoringrules
from score_frames import only_row, predictions

from magnet_arrow import score
from magnet_arrow.errors import PredictionError, SettingError


def test_the_crps_is_scoringrules() -> None:
    rng = np.random.default_rng(0)
    frame = predictions(50).with_columns(
        stddev=pl.Series(rng.random(50)), samples=pl.Series(rng.random((50, 5)).tolist())
    )
    truth, predicted = frame["actual"].to_numpy(), frame["predicted"].to_numpy()
    normal = scoringrules.crps_normal(truth, predicted, frame["stddev"].to_numpy()).mean()
    assert only_row(frame.drop("samples"))["crps"] == pytest.approx(normal, abs=1e-12)
    fair = scoringrules.crps_ensemble(truth, np.array(frame["samples"].to_list()), estimator="fair").mean()
    assert only_row(frame)["crps"] == pytest.approx(fair, abs=1e-12)


def test_rows_without_a_spread_are_counted() -> None:
    samples = [[0.5, 0.7], [0.5], None, [0.5, None], [0.4, 0.6, float("nan")], [0.2, 0.2, 0.2]]
    frame = pl.DataFrame({"predicted": [0.5] * 6, "actual": [0.5] * 6, "samples": samples})
    found = only_row(frame)
    # |0.5 − 0.5| and |0.7 − 0.5| have the mean 0.1, the pair 0.2 ÷ 2; and 0.3
    assert (found["n_crps"], found["n_interval"], found["answered"]) == (2, 2, 6)
    assert found["crps"] == pytest.approx((0.1 - 0.1 + 0.3) / 2, abs=1e-12)


def test_a_spread_of_0_is_certain_and_magnets_variance_of_0_is_none() -> None:
    frame = pl.DataFrame({"predicted": [0.5, 0.5], "actual": [0.75, 0.5], "spread": [0.0, 0.0]})
    assert only_row(frame.rename({"spread": "stddev"}))["crps"] == 0.125
    found = only_row(frame.rename({"spread": "variance"}))
    assert (found["crps"], found["n_crps"]) == (None, 0)
    variance = frame.select("predicted", "actual", variance=pl.lit(0.04))
    stddev = frame.select("predicted", "actual", stddev=pl.lit(0.2))
    assert only_row(variance)["crps"] == pytest.approx(only_row(stddev)["crps"], abs=1e-12)


def test_quantiles_have_the_weighted_interval_score_and_their_outermost_interval() -> None:
    frame = pl.DataFrame(
        {
            "predicted": [0.5, 0.5],
            "actual": [0.9, 0.5],
            "quantiles": [[0.3, 0.4, 0.5, 0.65, 0.8], [0.5] * 5],
        }
    )
    found = only_row(frame, quantile_levels=[0.1, 0.25, 0.5, 0.75, 0.9])
    assert found["wis"] == pytest.approx((0.265 + 0) / 2, abs=1e-12)  # as in test_proper_scores
    assert (found["interval_coverage"], found["interval_width"]) == pytest.approx((0.5, 0.25), abs=1e-12)
    inner = only_row(frame, quantile_levels=[0.1, 0.25, 0.5, 0.75, 0.9], interval_level=0.5)
    assert inner["interval_width"] == pytest.approx(0.125, abs=1e-12)
    none = only_row(frame, quantile_levels=[0.1, 0.25, 0.5, 0.75, 0.9], interval_level=0.7)
    assert (none["interval_width"], none["n_interval"], none["n_wis"]) == (None, 0, 2)


def test_predicted_intervals_are_normal_or_of_samples() -> None:
    frame = pl.DataFrame({"predicted": [0.5, 0.5], "actual": [0.69, 0.71], "stddev": [0.1, 0.1]})
    found = only_row(frame)
    assert found["interval_coverage"] == 0.5
    assert found["interval_width"] == pytest.approx(0.2 * scipy.stats.norm.ppf(0.975), abs=1e-12)
    samples = frame.with_columns(samples=pl.lit([0.0, 1.0], dtype=pl.List(pl.Float64)))
    assert only_row(samples, interval_level=0.5)["interval_width"] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantile_levels": [0.5, 0.1]}, "in no order"),
        ({"quantile_levels": [0, 0.5]}, "between 0 and 1"),
        ({"quantile_levels": 0.5}, "a list of numbers"),
        ({"quantile_levels": [0.1, 0.5], "interval_level": 90}, "between 0 and 1"),
    ],
)
def test_wrong_levels_are_errors(options: dict[str, Any], words: str) -> None:
    frame = pl.DataFrame({"predicted": [0.5], "actual": [0.5], "quantiles": [[0.5, 0.6]]})
    with pytest.raises(SettingError, match=words):
        score(frame, **options)


def test_as_many_quantiles_as_levels() -> None:
    frame = pl.DataFrame({"predicted": [0.5] * 2, "actual": [0.5] * 2, "quantiles": [[0.5, 0.6], [0.5]]})
    with pytest.raises(PredictionError, match="expected 2 in each list, found 1"):
        score(frame, quantile_levels=[0.5, 0.6])


@pytest.mark.parametrize("name", ["stddev", "variance"])
def test_a_negative_spread_is_an_error(name: str) -> None:
    with pytest.raises(PredictionError, match="1 of 2 standard deviations or variances are negative"):
        score(pl.DataFrame({"predicted": [0.5] * 2, "actual": [1, 0], name: [0.1, -0.1]}))
