"""Proper scores of predictions that come with a spread: a loss per row, in the unit of the truth; less is better.

They are scoringrules' functions, with a gap closed. Of a prediction that is certain, each of them is |ŷ − y|.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from magnet_arrow._numpy import numpy
from magnet_arrow.statistics.stats_packages import scoringrules

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats

MIN_SAMPLES = 2
"""The fair form divides by m(m − 1)."""


def crps_normal(actual: "Floats", mean: "Floats", stddev: "Floats") -> "Floats":
    """The continuous ranked probability score of normal distributions, in closed form (Gneiting and others 2005).

    With a standard deviation of 0 it is |actual − mean|, its limit, where scoringrules gives NaN. NaN in, NaN out.

    >>> import numpy as np
    >>> crps_normal(np.array([0.0, 0.0]), np.array([0.1, 0.1]), np.array([0.4, 0.0])).round(4)
    array([0.1034, 0.1   ])
    """
    np = numpy()
    spread = stddev > 0
    losses: Floats = np.where(np.isnan(stddev), np.nan, np.abs(actual - mean))
    losses[spread] = scoringrules().crps_normal(actual[spread], mean[spread], stddev[spread])
    return losses


def crps_samples(actual: "Floats", samples: "Floats") -> "Floats":
    """The CRPS from m ≥ 2 samples per row, in the fair form: mean |xᵢ − y| − Σᵢ<ⱼ |xᵢ − xⱼ| ÷ m(m − 1) (Ferro 2014).

    Its expected value is the CRPS of the distribution that the samples are drawn from, whatever m is; the plain form
    favours samples that are too close together, the more so the fewer they are.

    Args:
        actual: rows.
        samples: rows × m.

    >>> import numpy as np
    >>> crps_samples(np.array([0.5, 0.0]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    array([0., 0.])
    """
    # "pwm" is the same sum from sorted samples. "fair" compares each pair: for 100 samples, 130 times as slow, and a
    # matrix of 80 kB per row.
    losses: Floats = scoringrules().crps_ensemble(actual, samples, estimator="pwm")
    return losses


def weighted_interval_score(actual: "Floats", quantiles: "Floats", levels: Sequence[float]) -> "Floats":
    """The weighted interval score: twice the mean pinball loss over the levels (Bracher and others 2021).

    For levels that are a median and pairs about it, this is the sum of interval scores that it is named after. With
    many even levels it approaches the CRPS. (`scoringrules.weighted_interval_score` 0.10.0 is something else: see the
    hand-worked case in the tests.)

    Args:
        actual: rows.
        quantiles: rows × levels.
        levels: between 0 and 1, such as 0.05, 0.5, 0.95.

    >>> import numpy as np
    >>> weighted_interval_score(np.array([0.3]), np.array([[0.1, 0.5, 0.9]]), [0.1, 0.5, 0.9]).round(12)
    array([0.12])
    """
    losses: Floats = scoringrules().crps_quantile(actual, quantiles, numpy().asarray(levels))
    return losses
