"""Intervals against SciPy, statsmodels, or plain loops over the rows."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint

from magnet_arrow.errors import SettingError
from magnet_arrow.statistics.intervals import Interval, clustered, mean, proportion, wilson

Rows = list[tuple[int, int, float]]


def rows_of(seed: int, n_models: int = 6, n_items: int = 9) -> Rows:
    """Model, item, value: some cells twice, some not at all."""
    rng = np.random.default_rng(seed)
    cells = [(m, i) for m in range(n_models) for i in range(n_items) for _ in range(rng.integers(0, 3))]
    return [(m, i, float(m + i * i + rng.normal())) for m, i in cells]


def summed(rows: Rows) -> np.ndarray:
    return np.array([[value, 1.0] for _, _, value in rows])


def factors_of(rows: Rows) -> list[np.ndarray]:
    return [np.array([row[0] for row in rows]), np.array([row[1] for row in rows])]


def plain_variance(rows: Rows, level_of: Callable[[tuple[int, int, float]], object]) -> float:
    """(G−1)/G · Σ (mean without a level − mean)², by leaving rows out of a list."""
    everything = math.fsum(row[2] for row in rows) / len(rows)
    levels = {level_of(row) for row in rows}
    total = 0.0
    for level in levels:
        others = [row[2] for row in rows if level_of(row) != level]
        total += (math.fsum(others) / len(others) - everything) ** 2
    return total * (len(levels) - 1) / len(levels)


def assert_interval(found: Interval, estimate: float, variance: float, df: int, level: float = 0.95) -> None:
    half = scipy.stats.t.ppf((1 + level) / 2, df) * math.sqrt(variance)
    assert found.why is None
    assert found.df == df
    assert found.estimate == pytest.approx(estimate, rel=1e-12)
    assert found.stderr == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert found.low == pytest.approx(estimate - half, rel=1e-12)
    assert found.high == pytest.approx(estimate + half, rel=1e-12)


def test_without_factors_it_is_students_interval_of_the_mean() -> None:
    values = np.array([0.5, 1.5, 1.0, 4.0, 2.5, 3.0])
    low, high = scipy.stats.t.interval(0.95, 5, values.mean(), scipy.stats.sem(values))
    found = clustered(np.stack([values, np.ones(6)], axis=1), [])
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-12), pytest.approx(high, rel=1e-12))


@pytest.mark.parametrize("seed", range(3))
def test_one_factor_is_the_jackknife_that_leaves_its_levels_out(seed: int) -> None:
    rows = rows_of(seed)
    expected = plain_variance(rows, lambda row: row[0])
    estimate = math.fsum(row[2] for row in rows) / len(rows)
    assert_interval(clustered(summed(rows), factors_of(rows)[:1]), estimate, expected, 5)


@pytest.mark.parametrize("seed", range(3))
def test_two_factors_take_off_the_cells_that_both_count(seed: int) -> None:
    rows = rows_of(seed)
    models, items = plain_variance(rows, lambda row: row[0]), plain_variance(rows, lambda row: row[1])
    cells = plain_variance(rows, lambda row: row[:2])
    estimate = math.fsum(row[2] for row in rows) / len(rows)
    expected = max(models, items, models + items - cells)
    assert_interval(clustered(summed(rows), factors_of(rows), level=0.9), estimate, expected, 5, level=0.9)


def test_the_variance_is_not_below_that_of_one_factor_alone() -> None:
    """Values that are −1 and +1 like a chessboard: both factors say 0, the cells do not."""
    board = [(m, i, float((-1) ** (m + i) + m)) for m in range(6) for i in range(6)]
    models = plain_variance(board, lambda row: row[0])
    assert models + 0 - plain_variance(board, lambda row: row[:2]) < models
    assert_interval(clustered(summed(board), factors_of(board)), 2.5, models, 5)


def test_sums_of_cells_give_the_same_as_their_rows() -> None:
    rows = rows_of(4)
    cells = sorted({row[:2] for row in rows})
    sums = np.array([[sum(r[2] for r in rows if r[:2] == c), sum(r[:2] == c for r in rows)] for c in cells])
    codes = [np.array([cell[0] for cell in cells]), np.array([cell[1] for cell in cells])]
    of_rows, of_cells = clustered(summed(rows), factors_of(rows)), clustered(sums, codes)
    assert of_rows.low == pytest.approx(of_cells.low, rel=1e-12)
    assert of_rows.high == pytest.approx(of_cells.high, rel=1e-12)


def test_levels_are_any_integers_in_any_order() -> None:
    rows = rows_of(5)
    named = [np.array([7, -3, 100, 2, 1, 0])[factors_of(rows)[0]], factors_of(rows)[1][:] * 1000 - 4]
    assert clustered(summed(rows), named).low == pytest.approx(clustered(summed(rows), factors_of(rows)).low, rel=1e-12)


def correlation(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def test_a_correlation_is_symmetric_on_fishers_z() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)
    group = np.arange(40) % 8
    z = np.arctanh(np.corrcoef(x, y)[0, 1])
    changes = [np.arctanh(np.corrcoef(x[group != g], y[group != g])[0, 1]) - z for g in range(8)]
    stderr = math.sqrt(7 / 8 * math.fsum(change**2 for change in changes))
    half = scipy.stats.t.ppf(0.975, 7) * stderr
    sums = np.stack([np.ones(40), x, y, x * x, y * y, x * y], axis=1)
    found = clustered(sums, [group], correlation, scale="fisher")
    assert found.estimate == pytest.approx(np.tanh(z), rel=1e-12)
    assert (found.low, found.high) == (pytest.approx(np.tanh(z - half)), pytest.approx(np.tanh(z + half)))
    assert found.stderr == pytest.approx(stderr * (1 - np.tanh(z) ** 2), rel=1e-10)


def test_a_perfect_correlation_has_no_interval() -> None:
    x = np.arange(10.0)
    sums = np.stack([np.ones(10), x, x, x * x, x * x, x * x], axis=1)
    found = clustered(sums, [], correlation, scale="fisher")
    assert (found.estimate, found.low, found.why) == (
        1.0,
        None,
        "without one of the levels the statistic is not defined",
    )


def test_a_root_mean_square_is_symmetric_at_the_mean_square() -> None:
    errors = np.array([0.1, -0.4, 0.2, 0.9, -0.3, 0.5, 0.0])
    squares = clustered(np.stack([errors**2, np.ones(7)], axis=1), [])
    found = clustered(np.stack([errors**2, np.ones(7)], axis=1), [], scale="root")
    assert squares.low is not None
    assert squares.high is not None
    assert squares.stderr is not None
    assert found.estimate == pytest.approx(math.sqrt(squares.estimate), rel=1e-12)
    assert found.low == math.sqrt(max(squares.low, 0))
    assert found.high == pytest.approx(math.sqrt(squares.high), rel=1e-12)
    assert found.stderr == pytest.approx(squares.stderr / (2 * found.estimate), rel=1e-12)


@pytest.mark.parametrize(("count", "n"), [(0, 7), (3, 7), (7, 7), (50, 100), (1, 1000)])
def test_wilson_is_that_of_statsmodels(count: int, n: int) -> None:
    low, high = proportion_confint(count, n, method="wilson")
    assert wilson(count / n, n) == (pytest.approx(low, rel=1e-12, abs=1e-16), pytest.approx(high, rel=1e-12))


def test_a_proportion_counts_effective_rows() -> None:
    rows = [(m, i, float((m * i + m) % 3 > 0)) for m in range(7) for i in range(11)]
    p = sum(row[2] for row in rows) / 77
    by = plain_variance(rows, lambda row: row[0]), plain_variance(rows, lambda row: row[1])
    variance = max(*by, sum(by) - plain_variance(rows, lambda row: row[:2]))
    n = p * (1 - p) / variance * (scipy.stats.norm.ppf(0.975) / scipy.stats.t.ppf(0.975, 6)) ** 2
    assert n < 77
    low, high = proportion_confint(p * n, n, method="wilson")
    found = proportion(summed(rows), factors_of(rows))
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-12), pytest.approx(high, rel=1e-12))
    assert found.stderr == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_a_proportion_has_at_most_as_many_effective_rows_as_rows() -> None:
    """Every model has three of six: both factors vary by nothing, so n = 36 and not infinitely many."""
    rows = [(m, i, float((m + i) % 2)) for m in range(6) for i in range(6)]
    low, high = proportion_confint(18, 36, method="wilson")
    found = proportion(summed(rows), factors_of(rows))
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-12), pytest.approx(high, rel=1e-12))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_at_the_ends_a_proportion_has_as_many_effective_rows_as_the_rarer_factor_has_levels(p: float) -> None:
    rows = [(m, i, p) for m in range(6) for i in range(20)]
    low, high = proportion_confint(6 * p, 6, method="wilson")
    found = proportion(summed(rows), factors_of(rows))
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


@pytest.mark.parametrize("kind", [clustered, proportion])
def test_few_levels_have_no_interval(kind: Callable[..., Interval]) -> None:
    rows = [(m, i, float(m < i)) for m in range(4) for i in range(20)]
    found = kind(summed(rows), factors_of(rows))
    assert (found.low, found.high, found.stderr, found.df) == (None, None, None, None)
    assert found.why == "4 levels, fewer than 5"
    assert found.estimate == pytest.approx(np.mean([row[2] for row in rows]), rel=1e-12)
    assert kind(summed(rows), factors_of(rows)[1:]).why is None  # models are fixed then


@pytest.mark.parametrize(("n", "why"), [(0, "0 rows, fewer than 5"), (1, "1 row, fewer than 5"), (5, None)])
def test_few_rows_have_no_interval(n: int, why: str | None) -> None:
    assert clustered(np.ones((n, 2)), []).why == why


def test_a_difference_that_few_levels_carry_has_no_interval() -> None:
    rows = [(m, i, float(m < 4) * (i - 3)) for m in range(8) for i in range(8)]
    differ = np.array([row[2] != 0 for row in rows])
    found = clustered(summed(rows), factors_of(rows), carries=differ)
    assert (found.low, found.why) == (None, "they differ in 4 levels, fewer than 5")
    assert clustered(summed(rows), factors_of(rows)[1:], carries=differ).why is None
    assert clustered(summed(rows), [], carries=differ).why is None
    assert clustered(summed(rows), [], carries=np.zeros(64, bool)).why == "they differ in 0 rows, fewer than 5"


def test_equal_values_have_an_interval_without_width() -> None:
    found = clustered(np.array([[0.25, 1.0]] * 8), [])
    assert (found.estimate, found.low, found.high) == (0.25, 0.25, 0.25)


def test_a_level_that_holds_everything_has_no_interval() -> None:
    """Without it there are no rows to take a mean of."""
    sums = np.array([[3.0, 5.0], *([[0.0, 0.0]] * 5)])
    found = clustered(sums, [np.arange(6)])
    assert (found.estimate, found.low, found.why) == (
        0.6,
        None,
        "without one of the levels the statistic is not defined",
    )


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_has_no_interval(value: float) -> None:
    found = clustered(np.array([[value, 1.0], *([[1.0, 1.0]] * 8)]), [])
    assert (found.low, found.high) == (None, None)
    assert found.why is not None


def test_more_than_two_factors_are_refused() -> None:
    with pytest.raises(SettingError, match="3 factors are too many"):
        clustered(np.ones((6, 2)), [np.arange(6)] * 3)


def test_a_factor_of_another_length_is_refused() -> None:
    with pytest.raises(SettingError, match=r"A factor has 5 values\.\n?.*one for each of 6 rows"):
        clustered(np.ones((6, 2)), [np.arange(5)])


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(SettingError, match="is no confidence level"):
        clustered(np.ones((6, 2)), [], level=level)


def test_mean_is_the_first_column_by_the_second() -> None:
    assert mean(np.array([[6.0, 3.0], [1.0, 4.0]])).tolist() == [2.0, 0.25]


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_mean_that_is_at_the_end_up_to_rounding_is_at_the_end(p: float) -> None:
    near = np.array([[p + 1e-16 * (row - 4), 1.0] for row in range(9)])
    exact = proportion(np.array([[p, 1.0]] * 9), [])
    found = proportion(near, [])
    assert (found.estimate, found.low, found.high) == (exact.estimate, exact.low, exact.high)


def test_a_mean_above_one_is_no_proportion() -> None:
    found = proportion(np.array([[1.5, 1.0]] * 8), [])
    assert (found.estimate, found.low, found.why) == (1.5, None, "a proportion is between 0 and 1")


@pytest.mark.parametrize("value", [1e300, 1e-300, -1e150])
def test_any_size_of_values_comes_without_a_warning(value: float) -> None:
    rows = [(m, i, value * (m + i)) for m in range(6) for i in range(6)]
    found = clustered(summed(rows), factors_of(rows))
    assert found.estimate == pytest.approx(5 * value, rel=1e-12)
    assert found.why == ("the values are too large" if value == 1e300 else None)
