"""Correlations of predictions and truths within folds, averaged on Fisher's z scale."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magnet_arrow._numpy import numpy
from magnet_arrow.statistics.intervals import (
    Clusters,
    Interval,
    interval_of,
    renumbered,
    sums_by,
    variance_of,
    why_no_interval,
)

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Codes, Floats

MIN_ROWS = 4
"""Fisher's z of n rows has the variance 1/(n − 3), so that 3 rows would have none."""

_PERFECT = 1 - 1e-12
_CONSTANT = 1e-12


@dataclass(frozen=True, slots=True)
class FoldCorrelation:
    """The mean correlation within folds.

    Attributes:
        interval: of the mean; the estimate is NaN if no fold has a correlation.
        n_folds: folds that are in the mean.
        n_perfect: folds with |r| = 1, whose z is infinite; they are left out.
    """

    interval: Interval
    n_folds: int
    n_perfect: int


def fold_correlation(
    first: "Floats", second: "Floats", folds: "Codes", clusters: Clusters, level: float | None
) -> FoldCorrelation:
    """Pearson's r within each fold, averaged on the scale of Fisher's z with weights n − 3.

    Source: L. Hedges and I. Olkin, "Statistical Methods for Meta-Analysis" (1985), chapter 11.

    Folds with fewer than 4 rows, with equal predictions or with equal truths have no r. Across folds r would mislead:
    the mean of a train part is the higher, the lower the truths of its held-out part are, so predictions by it have
    r = −1 if one row is left out at a time.

    Args:
        first: predictions, or their ranks within the fold.
        second: truths, or their ranks.
        folds: the fold of each row, from 0.
        clusters: of the rows.
        level: of the interval; None for no interval.
    """
    np = numpy()
    n = np.bincount(folds)
    if not len(n):
        return FoldCorrelation(Interval(float("nan"), why="no rows"), 0, 0)
    x, y = (values - (np.bincount(folds, weights=values) / np.maximum(n, 1))[folds] for values in (first, second))
    # Rounding leaves a little variance in a fold of equal values.
    sizes = np.stack([np.bincount(folds, weights=np.abs(values)) for values in (first, second)], axis=1)
    products = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)
    sums = sums_by(folds, products, len(n))
    tiny = np.maximum(_CONSTANT * sums[:, 3:5], (_CONSTANT * sizes) ** 2)
    z, weights, perfect = _fisher(sums, tiny)
    total, weight = float((weights * z).sum()), float(weights.sum())
    used, n_perfect = int((weights > 0).sum()), int(perfect.sum())
    estimate = total / weight if weight else float("nan")
    why = why_no_interval(clusters) or ("no fold has a correlation" if not weight else None)
    if level is None or why is not None:
        return FoldCorrelation(Interval(float(np.tanh(estimate)), why=why), used, n_perfect)
    without = []
    for codes in clusters.parts or [np.arange(len(x))]:
        changes, weight_changes = _changes(folds, codes, products, sums, tiny)
        with np.errstate(divide="ignore", invalid="ignore"):
            without.append((total + changes) / (weight + weight_changes))
    found = variance_of(estimate, without, clusters.levels, None)
    return FoldCorrelation(interval_of(found, "fisher", level), used, n_perfect)


def _changes(
    folds: "Codes", codes: "Codes", products: "Floats", sums: "Floats", tiny: "Floats"
) -> "tuple[Floats, Floats]":
    """What each level changes of the sum of weighted z, and of the sum of weights, if it is left out."""
    np = numpy()
    n_levels = int(codes.max()) + 1
    combined = folds * n_levels + codes
    places = renumbered(combined)
    pairs = np.empty(int(places.max()) + 1, dtype=np.int64)
    pairs[places] = combined
    of_fold, of_level = pairs // n_levels, pairs % n_levels
    left = sums[of_fold] - sums_by(places, products, len(pairs))
    all_z, all_weights, _ = _fisher(sums, tiny)
    z, weights, _ = _fisher(left, tiny[of_fold])
    changes = np.bincount(of_level, weights=z * weights - (all_z * all_weights)[of_fold], minlength=n_levels)
    return changes, np.bincount(of_level, weights=weights - all_weights[of_fold], minlength=n_levels)


def _fisher(sums: "Floats", tiny: "Floats") -> "tuple[Floats, Floats, Booleans]":
    """Fisher's z and its weight for each row of sums, 0 for none; and whether |r| is 1."""
    np = numpy()
    n, sum_x, sum_y = sums[:, 0], sums[:, 1], sums[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        xx, yy, xy = sums[:, 3] - sum_x**2 / n, sums[:, 4] - sum_y**2 / n, sums[:, 5] - sum_x * sum_y / n
        r = xy / np.sqrt(xx * yy)
    defined = (n > MIN_ROWS - 0.5) & (xx > tiny[:, 0]) & (yy > tiny[:, 1])
    perfect = defined & (np.abs(r) >= _PERFECT)
    used = defined & ~perfect
    return np.arctanh(np.where(used, r, 0.0)), np.where(used, n - 3, 0.0), perfect
