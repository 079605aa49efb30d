"""Whether predicted probabilities mean what they say: slope, intercept, and calibration-in-the-large."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from magnet_arrow._numpy import numpy
from magnet_arrow.statistics.stats_packages import scipy, sklearn

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats

CLIP = 1e-6
"""Probabilities are clipped to [1e-6, 1 − 1e-6] before a logarithm: 0 and 1 would count as infinitely sure."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How truths depend on predicted probabilities.

    Attributes:
        slope: 1 if well calibrated; below 1 the predictions are too extreme, above 1 too timid. None if it has none.
        intercept: of the same fit; 0 if well calibrated.
        in_the_large: the intercept with the slope fixed at 1: above 0 the predictions are too low on the whole.
        why: why something is None.
    """

    slope: float | None = None
    intercept: float | None = None
    in_the_large: float | None = None
    why: str | None = None


def calibrate(actual: "Floats", predicted: "Floats") -> Calibration:
    """Slope and intercept of the logistic regression of truths on the logit of predictions (Cox 1958).

    Both by maximum likelihood, without penalty. In the large, the logit of the prediction is an offset.

    Args:
        actual: 0 or 1.
        predicted: probabilities; clipped to [1e-6, 1 − 1e-6].

    >>> import numpy as np
    >>> calibrate(np.array([1, 1, 1, 0, 1, 0, 0, 0.0]), np.repeat([0.9, 0.1], 4)).slope.__round__(3)
    0.5
    """
    np = numpy()
    logits = scipy("special").logit(np.clip(predicted, CLIP, 1 - CLIP))
    right = actual == 1
    if right.all() or not right.any():
        return Calibration(why="the truths are all equal")
    in_the_large = _in_the_large(actual, logits)
    of_right, of_wrong = logits[right], logits[~right]
    if logits.min() == logits.max():
        return Calibration(in_the_large=in_the_large, why="the predictions are all equal")
    if of_wrong.max() <= of_right.min() or of_right.max() <= of_wrong.min():
        return Calibration(in_the_large=in_the_large, why="a threshold separates the truths, so the slope is infinite")
    slope, intercept = _logistic(actual, logits)
    return Calibration(slope, intercept, in_the_large)


def _logistic(actual: "Floats", logits: "Floats") -> tuple[float, float]:
    """Slope and intercept. The logits are scaled, so that the steps of the solver do not depend on their spread."""
    center, scale = logits.mean(), logits.std()
    model: Any = sklearn("linear_model").LogisticRegression(
        C=numpy().inf, solver="newton-cholesky", tol=1e-10, max_iter=1000
    )
    with warnings.catch_warnings():
        # At the optimum rounding may keep Newton's line search from getting on; lbfgs then ends there too.
        warnings.simplefilter("ignore", sklearn("exceptions").ConvergenceWarning)
        model.fit(((logits - center) / scale)[:, None], actual)
    slope = float(model.coef_[0, 0] / scale)
    return slope, float(model.intercept_[0] - slope * center)


def _in_the_large(actual: "Floats", logits: "Floats") -> float:
    """Where the predictions, shifted by it on the logit scale, add up to the truths: the score equation of the GLM."""
    special = scipy("special")
    n_right = actual.sum()
    rate = special.logit(actual.mean())

    def surplus(shift: float) -> float:
        return float(special.expit(logits + shift).sum() - n_right)

    # If all logits were the lowest or the highest one, the shift would be at one of these ends.
    low, high = rate - logits.max() - 1e-9, rate - logits.min() + 1e-9
    return float(scipy("optimize").brentq(surplus, low, high, xtol=1e-12, rtol=1e-14))
