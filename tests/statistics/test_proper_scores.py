"""Proper scores against closed forms of SciPy, plain sums over pairs, and cases worked out by hand."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import scoringrules

from magnet_arrow.statistics.proper_scores import crps_normal, crps_samples, weighted_interval_score


def test_the_crps_of_a_normal_distribution_is_its_integral() -> None:
    def squared_difference(x: float) -> float:
        return float((scipy.stats.norm.cdf(x, 0.3, 0.2) - (x >= 0.45)) ** 2)

    parts = [scipy.integrate.quad(squared_difference, *ends, epsabs=1e-13)[0] for ends in ((-3, 0.45), (0.45, 4))]
    found = crps_normal(np.array([0.45]), np.array([0.3]), np.array([0.2]))
    assert found[0] == pytest.approx(sum(parts), abs=1e-10)
    assert found[0] == pytest.approx(scoringrules.crps_normal(0.45, 0.3, 0.2), abs=1e-12)


def test_the_crps_of_a_certain_prediction_is_its_absolute_error() -> None:
    found = crps_normal(np.array([0.0, 1.0, 1.0]), np.array([0.25, 1.0, 0.5]), np.array([0.0, 0.0, np.nan]))
    assert found[:2].tolist() == [0.25, 0.0]
    assert np.isnan(found[2])


@pytest.mark.parametrize("m", [2, 3, 17])
def test_the_crps_of_samples_is_the_fair_form(m: int) -> None:
    rng = np.random.default_rng(m)
    truths, samples = rng.normal(size=5), rng.normal(size=(5, m))
    found = crps_samples(truths, samples)
    for row in range(5):
        pairs = sum(abs(a - b) for a in samples[row] for b in samples[row])
        by_hand = sum(abs(samples[row] - truths[row])) / m - pairs / (2 * m * (m - 1))
        assert found[row] == pytest.approx(by_hand, abs=1e-12)
    assert found == pytest.approx(scoringrules.crps_ensemble(truths, samples, estimator="fair"), abs=1e-12)


def test_the_fair_form_is_zero_where_samples_are_as_far_apart_as_from_the_truth() -> None:
    # Mean |x − ½| of 0, ½, 1 is ⅓, and half the mean |xᵢ − xⱼ| of two of them is (½ + 1 + ½) ÷ 6 = ⅓. At the median of
    # the samples the fair form is least, and never below 0.
    found = crps_samples(np.array([0.5, 0.5]), np.array([[0.0, 0.5, 1.0], [0.0, 0.0, 1.0]]))
    assert found == pytest.approx([0, 1 / 2 - 2 / 6], abs=1e-12)


def test_the_weighted_interval_score_is_the_weighted_sum_of_interval_scores() -> None:
    # Truth 0.9, median 0.5, 50% interval [0.4, 0.65], 80% interval [0.3, 0.8]. Interval scores: 0.25 + 4·0.25 = 1.25
    # and 0.5 + 10·0.1 = 1.5; their weights α/2 are 0.25 and 0.1, that of the median ½:
    # (½·0.4 + 0.25·1.25 + 0.1·1.5) ÷ 2.5 = 0.265.
    quantiles = np.array([[0.3, 0.4, 0.5, 0.65, 0.8]])
    found = weighted_interval_score(np.array([0.9]), quantiles, [0.1, 0.25, 0.5, 0.75, 0.9])
    assert found[0] == pytest.approx(0.265, abs=1e-12)


def test_the_weighted_interval_score_of_many_levels_is_the_crps() -> None:
    levels = (np.arange(2000) + 0.5) / 2000
    quantiles = scipy.stats.norm.ppf(levels, 0.3, 0.2)[None]
    crps = scoringrules.crps_normal(0.45, 0.3, 0.2)
    assert weighted_interval_score(np.array([0.45]), quantiles, levels)[0] == pytest.approx(crps, abs=1e-5)
