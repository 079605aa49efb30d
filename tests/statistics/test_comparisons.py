"""Comparisons against SciPy and statsmodels."""

import math

import numpy as np
import polars as pl
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import tt_solve_power

from magnet_arrow.errors import SettingError
from magnet_arrow.statistics.comparisons import (
    compare,
    differences,
    holm,
    minimum_detectable,
    paired,
    pairwise,
    two_sided,
)


def test_rows_that_are_their_own_clusters_give_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=30), rng.normal(size=30) + 0.3
    expected = scipy.stats.ttest_rel(first, second)
    ends = expected.confidence_interval()
    for factors in ([], [np.arange(30)]):
        found = paired(first - second, factors)
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
    found = paired(np.ones(4), [])
    assert (found.n, found.p_value, found.minimum_detectable) == (4, None, None)
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


def test_equal_differences_have_the_p_value_of_the_sign_test() -> None:
    found = pairwise(np.array([[1.0] * 6, [0.0] * 6, [0.3, 0.2, 0.1, 0.2, 0.3, 0.1], [0.2, 0.1, 0.0, 0.1, 0.2, 0.0]]))
    expected = scipy.stats.binomtest(6, 6).pvalue
    assert (found.difference[0], found.stderr[0], found.p_value[0]) == (1.0, 0.0, expected)
    assert found.p_value[5] == expected
    of_clusters = paired(np.full(42, 0.25), [np.arange(42) % 6, np.arange(42) // 6])
    assert of_clusters.p_value == pytest.approx(expected, rel=1e-12)
    assert two_sided(0.0, 0.0, 5.0) == 1.0


@pytest.mark.parametrize("seed", range(2))
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


LOSSES = {
    # model, item: loss of each predictor; None where it has not answered
    (model, item): {
        "kriging": 0.1 * model + 0.01 * item,
        "mean": None if (model, item) == (3, 3) else 0.1 * item + 0.02 * model * item,
        "twin": math.nan
        if item == 6
        else 0.1 * model + 0.01 * item + (0.2 if (model, item) in {(0, 0), (1, 2)} else 0),
    }
    for model in range(6)
    for item in range(7)
}


def loss_rows() -> pl.LazyFrame:
    rows = [(name, m, f"q{i}", loss) for (m, i), each in LOSSES.items() for name, loss in each.items()]
    shuffled = [rows[k] for k in np.random.default_rng(0).permutation(len(rows))]
    return pl.LazyFrame(shuffled, schema=["predictor", "model", "item", "loss"], orient="row")


def answered(first: str, second: str) -> dict[tuple[int, int], float]:
    pairs = {cell: (each[first], each[second]) for cell, each in LOSSES.items()}
    known = {cell: (a, b) for cell, (a, b) in pairs.items() if a is not None and b is not None}
    return {cell: a - b for cell, (a, b) in known.items() if not math.isnan(a - b)}


@pytest.mark.parametrize("over", [["model", "item"], ["item"], []], ids=["both", "item", "none"])
def test_predictors_are_compared_on_the_rows_that_both_answered(over: list[str]) -> None:
    found = compare(loss_rows(), ["kriging", "mean", "twin"], row=["model", "item"], over=over)
    assert found.select("first", "second").rows() == [("kriging", "mean"), ("kriging", "twin"), ("mean", "twin")]
    p_values = []
    for row in found.iter_rows(named=True):
        between = answered(row["first"], row["second"])
        codes = [np.array([cell[name == "item"] for cell in between]) for name in over]
        values = np.array(list(between.values()))
        expected = paired(values, codes)
        assert row["n"] == len(between)
        assert row["difference"] == pytest.approx(values.mean(), rel=1e-12)
        assert row["why"] == expected.difference.why
        assert (row["stderr"] is None) == (expected.p_value is None)
        if expected.p_value is not None:
            assert row["stderr"] == pytest.approx(expected.difference.stderr, rel=1e-9)
            assert row["p_value"] == pytest.approx(expected.p_value, rel=1e-9)
            assert row["low"] == pytest.approx(expected.difference.low, rel=1e-9)
            assert row["minimum_detectable"] == pytest.approx(expected.minimum_detectable, rel=1e-9)
        p_values.append(math.nan if expected.p_value is None else expected.p_value)
    assert found["p_holm"].fill_null(math.nan).to_numpy() == pytest.approx(holm(np.array(p_values)), nan_ok=True)


def test_predictors_that_differ_in_two_rows_are_not_told_apart() -> None:
    row = compare(loss_rows(), ["kriging", "twin"], row=["model", "item"]).row(0, named=True)
    assert (row["n"], row["low"], row["p_value"], row["p_holm"]) == (36, None, None, None)
    assert row["difference"] == pytest.approx(-0.4 / 36, rel=1e-12)
    assert row["why"] == "they differ in 2 levels, fewer than 5"


def test_holm_counts_the_pairs_of_a_reference() -> None:
    names = ["kriging", "mean", "twin"]
    found = compare(loss_rows(), names, row=["model", "item"], over=["item"], reference="mean")
    assert found.select("first", "second").rows() == [("mean", "kriging"), ("mean", "twin")]
    assert found["p_holm"].to_numpy() == pytest.approx(holm(found["p_value"].to_numpy()), rel=1e-12)


def test_predictors_without_common_rows_have_no_difference() -> None:
    rows = pl.LazyFrame({"predictor": ["x", "y"], "model": ["a", "b"], "item": ["q", "q"], "loss": [0.1, 0.2]})
    row = compare(rows, ["x", "y", "z"], row=["model", "item"]).row(0, named=True)
    assert (row["n"], row["difference"], row["why"]) == (0, None, "0 levels, fewer than 5")


@pytest.mark.parametrize(
    ("names", "reference", "message"),
    [(["a", "b"], "c", "reference:"), (["a", "b", "a"], None, "one is there twice")],
)
def test_names_must_be_sound(names: list[str], reference: str | None, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        compare(loss_rows(), names, row=["model", "item"], reference=reference)


def test_rounding_is_no_difference() -> None:
    """0.1 + 0.2 is not 0.3: always the same way, so it would be found significant."""
    found = pairwise(np.array([[0.1 + 0.2] * 8, [0.3] * 8, [0.5, *[0.3] * 7]]))
    assert found.difference[0] == 0
    assert np.isnan(found.p_value).all()
    rows = [(name, m, loss) for m in range(8) for name, loss in {"x": 0.1 + 0.2, "y": 0.3}.items()]
    losses = pl.LazyFrame(rows, schema=["predictor", "model", "loss"], orient="row")
    for over in (["model"], []):
        row = compare(losses, ["x", "y"], row=["model"], over=over).row(0, named=True)
        assert (row["n"], row["difference"], row["p_value"]) == (8, 0.0, None)


@pytest.mark.parametrize("score", [math.inf, 1e308, 1e-300])
def test_pairs_of_any_numbers_come_without_a_warning(score: float) -> None:
    matrix = np.ones((3, 9))
    matrix[0, :7] = score
    matrix[1, 3:] = -score
    assert len(pairwise(matrix).p_value) == 3


def test_losses_may_be_truth_values_and_levels_null() -> None:
    rows = [(name, None if m == 0 else m, m % 2 == (name == "x")) for m in range(7) for name in ("x", "y")]
    losses = pl.LazyFrame(rows, schema=["predictor", "model", "loss"], orient="row")
    row = compare(losses, ["x", "y"], row=["model"], over=["model"]).row(0, named=True)
    assert (row["n"], row["difference"]) == (7, pytest.approx(-1 / 7))


def test_the_order_of_rows_changes_no_digit() -> None:
    rng = np.random.default_rng(3)
    rows = [(name, m, f"q{i}", rng.random()) for m in range(9) for i in range(30) for name in ("x", "y", "z")]
    losses = pl.DataFrame(rows, schema=["predictor", "model", "item", "loss"], orient="row")
    for over in (["model", "item"], ["item"], []):
        first, again = (
            compare(
                losses.sample(fraction=1, shuffle=True, seed=seed).lazy(), [*"xyz"], row=["model", "item"], over=over
            )
            for seed in (1, 2)
        )
        assert first.equals(again)


def test_infinite_losses_have_no_interval() -> None:
    rows = [(name, m, math.inf if m == 0 else m * k) for m in range(8) for k, name in enumerate("xy")]
    losses = pl.LazyFrame(rows, schema=["predictor", "model", "loss"], orient="row", strict=False)
    row = compare(losses, ["x", "y"], row=["model"], over=["model"]).row(0, named=True)
    assert (row["n"], row["difference"]) == (7, -4.0)  # inf − inf is no number
