"""The accuracy–rejection curve against PredictaBoard's rule, written out, and its expectation over ties."""

from itertools import permutations

import numpy as np
import pytest
from scipy.integrate import simpson

from magnet_arrow.errors import PredictionError
from magnet_arrow.statistics.rejection_curve import rejection_area, rejection_curve


def _written_out(truths: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Rows strictly above the linear quantile at each of 100 rates; the last point is 1."""
    thresholds = np.quantile(predicted, np.linspace(0, 1, 100)[:-1])
    return [*(truths[predicted > threshold].mean() for threshold in thresholds), 1.0]


# With 49, 5, 4 or 1 steps between rows, no quantile but the first and last falls on a row, so rounding decides nothing.
@pytest.mark.parametrize("n", [50, 6, 2])
def test_the_curve_is_predictaboards(n: int) -> None:
    rng = np.random.default_rng(n)
    truths, predicted = rng.integers(0, 2, n).astype(float), rng.random(n)
    rates, accuracies = rejection_curve(truths, predicted)
    assert rates == pytest.approx(np.linspace(0, 1, 100), abs=1e-15)
    assert accuracies == pytest.approx(_written_out(truths, predicted), abs=1e-12)
    assert rejection_area(truths, predicted) == pytest.approx(simpson(y=accuracies, x=rates), abs=1e-12)


def test_a_quantile_on_a_row_rejects_it() -> None:
    # 100 rows: at rate i/99 the quantile is row i itself, so 99 − i rows are left.
    truths = (np.arange(100) % 3 == 0).astype(float)
    _, accuracies = rejection_curve(truths, np.arange(100) / 100)
    assert accuracies[:-1] == pytest.approx([truths[i + 1 :].mean() for i in range(99)], abs=1e-12)


def test_with_ties_the_curve_is_the_mean_over_all_orders() -> None:
    truths = np.array([1, 0, 0, 1, 1.0])
    predicted = np.array([0.2, 0.2, 0.2, 0.7, 0.7])
    curves = []
    for order in permutations(range(5)):
        broken = predicted + 1e-6 * np.array(order)
        curves.append(_written_out(truths, broken))
    assert rejection_curve(truths, predicted)[1] == pytest.approx(np.mean(curves, axis=0), abs=1e-12)


def test_the_curve_of_a_constant_is_the_accuracy() -> None:
    _, accuracies = rejection_curve(np.array([1.0, 0, 0, 1, 1]), np.full(5, 0.3))
    assert accuracies[:-1] == pytest.approx(np.full(99, 0.6), abs=1e-12)
    assert accuracies[-1] == 1


@pytest.mark.parametrize("n", [0, 1])
def test_a_curve_needs_two_rows(n: int) -> None:
    with pytest.raises(PredictionError, match="two rows or more") as caught:
        rejection_curve(np.ones(n), np.ones(n))
    assert caught.value.found == str(n)
