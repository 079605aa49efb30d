"""The accuracy–rejection curve: how right the models are where a predictor is most confident that they are."""

from typing import TYPE_CHECKING

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import PredictionError
from magnet_arrow.statistics.stats_packages import scipy

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats

N_RATES = 100


def rejection_curve(actual: "Floats", predicted: "Floats") -> tuple["Floats", "Floats"]:
    """The mean truth of the rows that are left when a share of those with the lowest predictions is rejected.

    The grid is that of PredictaBoard (arXiv 2502.14445 and its code): rejection rates i/99 for i = 0 to 99. Left are
    the rows that are strictly above the linear quantile of the predictions, so that at rate 0 the lowest row is
    rejected; the last point is (1, 1). Of rows with equal predictions, PredictaBoard leaves all or none, which makes
    the curve of a constant undefined. Ours is the expected curve when ties are broken at random.

    Args:
        actual: 0 or 1, whether the model was right.
        predicted: confidence that it was.

    Returns:
        100 rejection rates, and the accuracy at each.

    Raises:
        PredictionError: there are fewer than two rows.

    >>> import numpy as np
    >>> rates, accuracies = rejection_curve(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.4]))
    >>> accuracies[[0, 32, 33, 65, 66, 99]].round(3)
    array([0.667, 0.667, 0.5  , 0.5  , 1.   , 1.   ])
    """
    np = numpy()
    n = len(actual)
    if n < 2:
        raise PredictionError("", expected="two rows or more for an accuracy–rejection curve", found=str(n))
    steps = np.arange(N_RATES)
    # In integers: at a quantile that is a row's own value, that row is rejected, whatever rounding would make of it.
    left = n - 1 - (n - 1) * steps[:-1] // (N_RATES - 1)
    right_so_far = np.concatenate([[0.0], np.cumsum(_expected(actual, predicted))])
    return steps / (N_RATES - 1), np.append(right_so_far[left] / left, 1.0)


def rejection_area(actual: "Floats", predicted: "Floats") -> float:
    """The area under the accuracy–rejection curve by Simpson's rule, as in PredictaBoard; 1 is best."""
    rates, accuracies = rejection_curve(actual, predicted)
    return float(scipy("integrate").simpson(y=accuracies, x=rates))


def _expected(actual: "Floats", predicted: "Floats") -> "Floats":
    """The truths from the highest to the lowest prediction; of rows with equal predictions each has their mean."""
    np = numpy()
    _, ties, sizes = np.unique(-predicted, return_inverse=True, return_counts=True)
    means: Floats = np.bincount(ties, weights=actual) / sizes
    expected: Floats = np.repeat(means, sizes)
    return expected
