"""Comparisons of two models or predictors on the rows that both have, and of many, two by two.

`compare` compares predictors by their losses, in a table; `paired` makes one such comparison; `pairwise` compares all
models of a matrix models × items at once, and `differences` one that was named with others.
`holm` corrects the p-values of several comparisons (Holm 1979): of the best in the data with all others, all
k(k−1)/2 of them; of one that was named beforehand, the k−1 with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import SettingError
from magnet_arrow.predictions.asked import check_choice
from magnet_arrow.statistics.intervals import (
    LEVEL,
    MIN_LEVELS,
    ROUNDING,
    Clusters,
    Factors,
    Interval,
    clustered,
    clusters_of,
    level_codes,
)
from magnet_arrow.statistics.stats_packages import scipy

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Codes, Floats

POWER = 0.8
_NO_SPREAD = 1e-9
"""A standard error below this share of the difference is rounding: all differences are equal."""

COMPARED = pl.Schema(
    {
        "first": pl.String,
        "second": pl.String,
        "n": pl.Int64,
        "difference": pl.Float64,
        "stderr": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p_value": pl.Float64,
        "p_holm": pl.Float64,
        "minimum_detectable": pl.Float64,
        "why": pl.String,
    }
)


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


def compare(
    losses: pl.LazyFrame,
    names: Sequence[str],
    *,
    row: Sequence[str],
    over: Sequence[str] = ("model", "item"),
    reference: str | None = None,
    level: float = LEVEL,
) -> pl.DataFrame:
    """The mean losses of predictors compared two by two, each pair on the rows that both have.

    Rows: one per pair. Columns: `first`, `second`; `n` rows that both have; `difference`, first − second, with `stderr`
    and its interval `low` to `high`; `p_value`, and `p_holm` corrected for the number of pairs; `minimum_detectable`;
    `why` there is no interval. An interval is of one pair alone; Holm's p-values hold for all pairs together.

    Beware of losses that are 0 or 1, such as whether a call is right: where few models make the difference, the 95%
    interval may hold the truth in just 79% of cases. For Brier scores it is 94.6% or more: see `intervals`.

    Args:
        losses: one row for each predictor and predicted value, in the columns `predictor` and `loss`. Null or NaN as
            a loss: it was not answered.
        names: the predictors.
        row: the columns that say which value is predicted; a predictor has one row for each at most.
        over: the columns that are factors, as for `clustered`: none, one or two.
        reference: one of `names`, if it was chosen before the data were seen; it is compared with each other, and
            Holm counts those. Without one, Holm counts all pairs, since the best was found in the data.
        level: the share of intervals that hold the truth.

    Raises:
        SettingError: `reference` is not in `names`, or a name is there twice.

    >>> rows = pl.LazyFrame({"model": [*"abcdef"] * 2, "predictor": ["x"] * 6 + ["y"] * 6,
    ...                      "loss": [0.3, 0.2, 0.4, 0.3, 0.2, 0.3, 0.1, 0.2, 0.1, 0.1, 0.1, 0.0]})
    >>> found = compare(rows, ["x", "y"], row=["model"], over=["model"])
    >>> found.select("n", pl.col("difference", "p_holm").round(3)).row(0)
    (6, 0.183, 0.012)
    """
    pairs = _pairs(names, reference)
    of_all = _Losses.of(losses, names, row=row, over=over)
    found = [of_all.compared(*pair, level) for pair in pairs]
    p_values = numpy().array([float("nan") if one.p_value is None else one.p_value for one in found])
    rows = [
        (
            *pair,
            one.n,
            *_interval_cells(one.difference),
            one.p_value,
            corrected,
            one.minimum_detectable,
            one.difference.why,
        )
        for pair, one, corrected in zip(pairs, found, holm(p_values).tolist(), strict=True)
    ]
    return pl.DataFrame(rows, schema=COMPARED, orient="row").with_columns(pl.col("difference", "p_holm").fill_nan(None))


def paired(between: "Floats", factors: Factors, *, level: float = LEVEL) -> Comparison:
    """The mean difference of two predictors or models on the rows that both answered.

    Args:
        between: float64, for each of these rows first minus second.
        factors: as for `clustered`.
        level: the share of intervals that hold the truth.

    >>> import numpy as np
    >>> found = paired(np.array([0.1, 0.2, -0.1, 0.3, 0.2, 0.1]), [])
    >>> round(found.difference.estimate, 3), round(found.p_value, 3), round(found.minimum_detectable, 3)
    (0.133, 0.062, 0.195)
    """
    np = numpy()
    n = len(between)
    found = clustered(np.stack([between, np.ones(n)], axis=1), factors, carries=between != 0, level=level)
    if found.stderr is None or found.df is None:
        return Comparison(found, n, None, None)
    p_value = float(two_sided(found.estimate, found.stderr, found.df))
    return Comparison(found, n, p_value, float(minimum_detectable(found.stderr, found.df)))


def pairwise(matrix: "Floats") -> Pairs:
    """All pairs of models compared on the items of which both have a score. Items are a draw from more, models fixed.

    With Holm over all pairs of 83 equal models (HELM Lite's answers to each item, shuffled among the models) some pair
    is separated in 0 to 5.2% of 400 draws of 20 to 400 items (`benchmarks/power.py`, seed 0).

    Args:
        matrix: float64, models × items (or scenarios); NaN where a score is missing.

    >>> import numpy as np
    >>> found = pairwise(np.array([[1.0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1], [1, 1, 1, 1, 1, 1]]))
    >>> found.difference.round(3).tolist(), found.p_value.round(3).tolist()
    ([0.5, -0.167, -0.667], [0.203, nan, nan])
    """
    np = numpy()
    with np.errstate(invalid="ignore", over="ignore"):  # scores may be infinite
        rounding = ROUNDING * np.abs(matrix).max(initial=0, where=np.isfinite(matrix))
        later = [differences(_or_equal(matrix[row] - matrix[row + 1 :], rounding)) for row in range(len(matrix))]
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
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
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
    """The p-value of t = difference ÷ standard error.

    If all differences are equal, so that t has no spread to go by, it is that of the sign test over df + 1 levels.
    """
    np = numpy()
    size = np.abs(difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_t = 2 * scipy("special").stdtr(df, -size / stderr)
    all_equal = np.asarray(stderr) <= _NO_SPREAD * size
    p: Floats = np.where(all_equal, np.where(size == 0, 1.0, 0.5 ** np.asarray(df)), of_t)
    return p


def minimum_detectable(stderr: "Floats | float", df: "Floats | float") -> "Floats":
    """The minimum detectable effect: (t at 0.975 + t at 0.80) standard errors, for 80% power at 5% (Bloom 1995).

    On pairs of models of HELM Lite whose differences are shifted to it, with 100 items, the power is 80.0 to 80.3% as
    the mean over 100 pairs of each scenario, and 74.9 to 91.3% for single pairs (`benchmarks/power.py`, seed 0).
    """
    quantile = scipy("special").stdtrit
    effect: Floats = (quantile(df, (1 + LEVEL) / 2) + quantile(df, POWER)) * stderr
    return effect


def _or_equal(values: "Floats", rounding: "Floats | float") -> "Floats":
    """The differences, 0 where there is just rounding: or rounding alone might be significant."""
    np = numpy()
    found: Floats = np.where(np.abs(values) <= rounding, 0.0, values)
    return found


def _df(n: "Codes") -> "Floats":
    np = numpy()
    df: Floats = np.maximum(n.astype(np.float64) - 1, 1)
    return df


def _pairs(names: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    if len(set(names)) < len(names):
        raise SettingError(f"names={list(names)!r}: one is there twice.", expected="names of different predictors")
    if reference is None:
        return list(combinations(names, 2))
    check_choice("reference", reference, names)
    return [(reference, name) for name in names if name != reference]


@dataclass(frozen=True, slots=True, eq=False)
class _Losses:
    """The losses of all predictors next to each other, in an order that does not change, so that no last digit does.

    Attributes:
        values: of each predictor; NaN where it did not answer.
        codes: for each factor the level of each row.
    """

    values: "dict[str, Floats]"
    codes: "Sequence[Codes]"
    _clusters: dict[bytes, Clusters] = field(default_factory=dict)

    @classmethod
    def of(cls, losses: pl.LazyFrame, names: Sequence[str], *, row: Sequence[str], over: Sequence[str]) -> "_Losses":
        keys = list(dict.fromkeys([*row, *over]))
        places = {name: f"loss {place}" for place, name in enumerate(names)}
        columns = [pl.col("loss").filter(predictor=name).first().alias(place) for name, place in places.items()]
        wide = losses.with_columns(pl.col("loss").cast(pl.Float64)).group_by(keys).agg(columns).sort(keys).collect()
        values = {name: wide.get_column(place).fill_null(float("nan")).to_numpy() for name, place in places.items()}
        return cls(values, [level_codes(wide.get_column(name)) for name in over])

    def compared(self, first: str, second: str, level: float) -> Comparison:
        np = numpy()
        with np.errstate(invalid="ignore", over="ignore"):  # losses may be infinite
            between = self.values[first] - self.values[second]
        there = ~np.isnan(between)
        size = np.maximum(np.abs(self.values[first]), np.abs(self.values[second]))
        between = _or_equal(between, ROUNDING * size)[there]
        return paired(between, self._clusters_of(there), level=level)

    def _clusters_of(self, there: "Booleans") -> Clusters:
        """Made once for all pairs that answered the same rows."""
        key = there.tobytes()
        if key not in self._clusters:
            self._clusters[key] = clusters_of([code[there] for code in self.codes], int(there.sum()))
        return self._clusters[key]


def _interval_cells(found: Interval) -> tuple[float | None, ...]:
    return found.estimate, found.stderr, found.low, found.high
