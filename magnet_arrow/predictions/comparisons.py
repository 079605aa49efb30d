"""Comparisons of two models or predictors on the rows that both have, and of many, two by two.

`paired` compares two by any statistic of sums; `pairwise` compares all rows of a matrix models × items at once.
`holm` corrects the p-values of several comparisons (Holm 1979): of the best in the data with all others, all
k(k−1)/2 of them; of one that was named beforehand, the k−1 with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magnet_arrow.predictions.intervals import LEVEL, MIN_LEVELS, Interval, Statistic, clustered, mean
from magnet_arrow.predictions.panel import numpy
from magnet_arrow.predictions.stats_packages import scipy_special

if TYPE_CHECKING:
    from magnet_arrow.predictions.intervals import Booleans, Codes, Floats

POWER = 0.8


@dataclass(frozen=True, slots=True)
class Comparison:
    """One of two minus the other.

    Attributes:
        difference: with its interval, or why it has none.
        n: the rows that both have.
        p_value: two-sided, of t, that the difference is 0; None if there is no interval.
        minimum_detectable: the difference that would be found significant at 5% in 80% of cases; None as `p_value`.
    """

    difference: Interval
    n: int
    p_value: float | None
    minimum_detectable: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """Many mean differences over items, each with its test. One value per difference in each array.

    Attributes:
        n: int64, the items that both have.
        difference: mean difference over those.
        stderr: its standard error; NaN if it is not known.
        p_value: two-sided, of t with n − 1 degrees of freedom; NaN if the two differ in fewer than 5 items.
    """

    n: "Codes"
    difference: "Floats"
    stderr: "Floats"
    p_value: "Floats"

    @property
    def minimum_detectable(self) -> "Floats":
        """The differences that would be found significant at 5% in 80% of cases."""
        return minimum_detectable(self.stderr, _df(self.n))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs(Differences):
    """All pairs of rows of a matrix, `first` < `second`: first row minus second row.

    Attributes:
        first: int64, the row.
        second: int64, the other row.
    """

    first: "Codes"
    second: "Codes"


def paired(
    sums: "Floats",
    factors: "Sequence[Codes]",
    carries: "Booleans",
    statistic: Statistic = mean,
    *,
    n: int | None = None,
    level: float = LEVEL,
) -> Comparison:
    """Two predictors or models compared on the rows that both answered.

    Args:
        sums: as for `clustered`; for a mean the difference of the two and 1.
        factors: as for `clustered`.
        carries: the rows in which the two differ.
        statistic: the difference of the two, of the sums.
        n: the number of rows behind the sums; the number of sums if None.
        level: the share of intervals that hold the truth.

    >>> import numpy as np
    >>> differences = np.array([0.1, 0.2, -0.1, 0.3, 0.2, 0.1])
    >>> found = paired(np.stack([differences, np.ones(6)], axis=1), [], differences != 0)
    >>> round(found.difference.estimate, 3), round(found.p_value, 3), round(found.minimum_detectable, 3)
    (0.133, 0.062, 0.195)
    """
    found = clustered(sums, factors, statistic, carries=carries, level=level)
    n = len(sums) if n is None else n
    if found.stderr is None or found.df is None:
        return Comparison(found, n, None, None)
    p_value = float(two_sided(found.estimate, found.stderr, found.df))
    return Comparison(found, n, p_value, float(minimum_detectable(found.stderr, found.df)))


def pairwise(matrix: "Floats") -> Pairs:
    """All pairs of models compared on the items of which both have a score. Items are a draw from more, models fixed.

    Args:
        matrix: float64, models × items (or scenarios); NaN where a score is missing.

    >>> import numpy as np
    >>> found = pairwise(np.array([[1.0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1]]))
    >>> found.difference.round(3).tolist(), found.p_value.round(3).tolist()
    ([0.5, -0.167, -0.667], [0.203, nan, nan])
    """
    np = numpy()
    later = [differences(matrix[row] - matrix[row + 1 :]) for row in range(len(matrix))]
    first, second = np.triu_indices(len(matrix), 1)
    n, difference, stderr, p_value = (
        np.concatenate([getattr(part, name) for part in later]) for name in ("n", "difference", "stderr", "p_value")
    )
    return Pairs(n, difference, stderr, p_value, first, second)


def differences(values: "Floats") -> Differences:
    """The mean of each row and whether it is 0: rows are differences of two models on the same items.

    For a reference that was named beforehand: `differences(matrix[reference] - matrix[others])`.

    Args:
        values: float64, differences × items; NaN where one of the two has no score.
    """
    np = numpy()
    known = ~np.isnan(values)
    n = known.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        filled = np.where(known, values, 0.0)
        means = filled.sum(axis=1) / n
        from_mean = np.where(known, filled - means[:, None], 0.0)
        # for a mean the jackknife is the usual standard error
        stderr = np.sqrt((from_mean * from_mean).sum(axis=1) / (n * (n - 1.0)))
    enough = (filled != 0).sum(axis=1) >= MIN_LEVELS
    return Differences(n, means, stderr, np.where(enough, two_sided(means, stderr, _df(n)), np.nan))


def holm(p_values: "Floats") -> "Floats":
    """The p-values corrected for their number (Holm 1979, step-down). NaN counts as a comparison and stays NaN.

    >>> import numpy as np
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    np = numpy()
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")  # NaN last
    stepped = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    corrected: Floats = np.empty_like(p)
    corrected[order] = stepped
    return corrected


def two_sided(difference: "Floats | float", stderr: "Floats | float", df: "Floats | float") -> "Floats":
    """The p-value of t = difference ÷ standard error. If the standard error is 0: 1 for no difference, else 0."""
    np = numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(np.equal(difference, 0), 0.0, np.abs(difference) / stderr)
    p: Floats = 2 * scipy_special().stdtr(df, -t)
    return p


def minimum_detectable(stderr: "Floats | float", df: "Floats | float", level: float = LEVEL) -> "Floats":
    """The minimum detectable effect: (t at 0.975 + t at 0.80) standard errors, for 80% power at 5%."""
    quantile = scipy_special().stdtrit
    effect: Floats = (quantile(df, (1 + level) / 2) + quantile(df, POWER)) * stderr
    return effect


def _df(n: "Codes") -> "Floats":
    np = numpy()
    df: Floats = np.maximum(n.astype(np.float64) - 1, 1)
    return df
