"""How well a mean of outcomes could be predicted at best: outcomes are draws, even if their probabilities are known."""

from typing import TYPE_CHECKING, TypeAlias

from magnet_arrow.predictions.panel import numpy

if TYPE_CHECKING:
    import numpy as np

    Floats: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
    Booleans: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"


def noise_variance(probabilities: "Floats", asked: "Booleans | None" = None) -> "Floats":
    """The variance of each model's mean outcome about the mean of its probabilities: Σ p(1 − p) ÷ M².

    The sum is over the items that were not asked, whose outcomes are the noise; M is the number of all items. With k
    asked, this is the variance of the others' mean, times ((M − k)/M)². The expected absolute error of the best
    prediction is √(2/π) of its root, as for a normal distribution: the column `noise_floor` of `score`.

    Take the probabilities from an item response model that is fitted to the same outcomes. One that fits badly has
    probabilities too near to ½, and puts the floor too high.

    Args:
        probabilities: models × items.
        asked: models × items; None if no item was asked.

    >>> import numpy as np
    >>> noise_variance(np.array([[0.5, 0.5, 0.9, 1.0]]), np.array([[True, False, False, False]])).round(6)
    array([0.02125])
    """
    np = numpy()
    each = probabilities * (1 - probabilities)
    if asked is not None:
        each = np.where(asked, 0.0, each)
    variance: Floats = each.sum(axis=-1) / probabilities.shape[-1] ** 2
    return variance
