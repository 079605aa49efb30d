"""Comparisons against SciPy and statsmodels."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import tt_solve_power

from magnet_arrow.predictions.comparisons import differences, holm, minimum_detectable, paired, pairwise, two_sided


def test_rows_that_are_their_own_clusters_give_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=30), rng.normal(size=30) + 0.3
    expected = scipy.stats.ttest_rel(first, second)
    ends = expected.confidence_interval()
    sums = np.stack([first - second, np.ones(30)], axis=1)
    for factors in ([], [np.arange(30)]):
        found = paired(sums, factors, first != second)
        assert found.n == 30
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
        assert found.difference.low == pytest.approx(ends.low, rel=1e-12)
        assert found.difference.high == pytest.approx(ends.high, rel=1e-12)


def test_the_minimum_detectable_effect_is_two_quantiles_of_standard_errors() -> None:
    expected = (scipy.stats.t.ppf(0.975, 29) + scipy.stats.t.ppf(0.8, 29)) * 0.25
    assert minimum_detectable(0.25, 29) == pytest.approx(expected, rel=1e-12)
    exact = tt_solve_power(nobs=30, alpha=0.05, power=0.8) * 0.25 * math.sqrt(30)  # by the noncentral t
    assert expected == pytest.approx(exact, rel=0.003)


def test_too_few_levels_have_neither_p_value_nor_detectable_effect() -> None:
    found = paired(np.ones((4, 2)), [], np.ones(4, bool), n=40)
    assert (found.n, found.p_value, found.minimum_detectable) == (40, None, None)
    assert found.difference.why == "4 rows, fewer than 5"


@pytest.mark.parametrize("seed", range(4))
def test_pairs_of_a_matrix_are_paired_t_tests_over_what_both_have(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(7, 40)) + rng.normal(size=(7, 1)) * 0.2
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    found = pairwise(matrix)
    assert list(zip(found.first, found.second, strict=True)) == [(a, b) for a in range(7) for b in range(a + 1, 7)]
    for k, (a, b) in enumerate(zip(found.first, found.second, strict=True)):
        both = ~np.isnan(matrix[a] + matrix[b])
        expected = scipy.stats.ttest_rel(matrix[a][both], matrix[b][both])
        stderr = scipy.stats.sem(matrix[a][both] - matrix[b][both])
        assert found.n[k] == both.sum()
        assert found.difference[k] == pytest.approx((matrix[a] - matrix[b])[both].mean(), rel=1e-12)
        assert found.stderr[k] == pytest.approx(stderr, rel=1e-12)
        assert found.p_value[k] == pytest.approx(expected.pvalue, rel=1e-12)
        assert found.minimum_detectable[k] == pytest.approx(minimum_detectable(stderr, both.sum() - 1.0), rel=1e-12)


def test_pairs_that_differ_in_few_items_have_no_p_value() -> None:
    matrix = np.zeros((3, 12))
    matrix[1, :4] = 1
    matrix[2, :5] = 1
    found = pairwise(matrix)
    assert np.isnan(found.p_value).tolist() == [True, False, True]


def test_models_without_a_common_item_have_no_p_value() -> None:
    matrix = np.full((2, 12), np.nan)
    matrix[0, :6] = 1
    matrix[1, 6:] = 0
    found = pairwise(matrix)
    assert found.n.tolist() == [0]
    assert np.isnan(found.difference[0])
    assert np.isnan(found.p_value[0])


def test_one_model_has_no_pairs() -> None:
    assert len(pairwise(np.ones((1, 9))).p_value) == 0


def test_always_right_against_always_wrong_is_certain() -> None:
    found = pairwise(np.array([[1.0] * 6, [0.0] * 6]))
    assert (found.difference[0], found.stderr[0], found.p_value[0]) == (1.0, 0.0, 0.0)
    assert two_sided(0.0, 0.0, 5.0) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).random(25) ** 4
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12)


def test_holm_counts_comparisons_without_a_p_value() -> None:
    found = holm(np.array([math.nan, 0.01, 0.02]))
    assert found[1:].tolist() == [0.03, 0.04]
    assert math.isnan(found[0])
    assert holm(np.array([])).tolist() == []


def test_a_reference_named_beforehand_is_compared_with_each_other_model() -> None:
    matrix = np.random.default_rng(1).normal(size=(4, 20))
    found = differences(matrix[2] - matrix[[0, 1, 3]])
    expected = [scipy.stats.ttest_rel(matrix[2], matrix[other]).pvalue for other in (0, 1, 3)]
    assert found.p_value == pytest.approx(expected, rel=1e-12)
    assert found.minimum_detectable == pytest.approx(minimum_detectable(found.stderr, 19.0), rel=1e-12)
