"""Confidence intervals of statistics of rows that share models and items.

`clustered(sums, factors, statistic)` is the interval of any statistic that is made of sums: a mean, a root mean square,
a correlation, a difference of two of them. `proportion` is that of a share of rows that are right (Wilson 1927).

Rows of one model share that model, rows of one item share that item, so they are not independent. Both are seen as
draws from more of their kind; the interval says what would come out with others. `factors` names them: one array with
a number per row for each; two of them are crossed. With one factor the others are seen as fixed. With none, each row is
a draw of its own: the interval of this dump alone.

How often 95% intervals hold the truth, in percent, the lowest and highest of six scenarios of HELM Lite
(`benchmarks/coverage.py`, seed 0, 2,000 draws of models × items with replacement, predictions fitted once to all):

    interval  of                                             5 × 20       10 × 50       20 × 100
    t         abs(actual − predicted), additive              94.8–98.2    94.0–96.7     95.2–95.8
    t         Brier score, additive                          94.8–98.0    94.0–96.5     94.4–95.5
    t         Brier score, item response                     94.9–98.1    93.7–96.5     94.1–95.5
    t         difference of these two                        99.0–99.9    97.0–98.5     94.6–96.2
    t         accuracy, additive                             94.6–97.8    93.8–95.5     94.0–95.6
    Wilson    accuracy, additive: effective rows             98.0–99.1    94.6–96.6     94.8–96.0
    Wilson    accuracy, additive: all rows (not offered)     78.6–86.5    63.7–73.5     48.2–62.8
    t         a model's mean score on 20, 50, 100 items      83.2–94.4    90.8–94.6     92.5–95.0
    Wilson    a model's mean score on 20, 50, 100 items      96.4–97.4    95.0–96.5     94.9–96.0
    t         difference of accuracies, additive − item mean 96.2–100     83.9–97.3     79.4–94.0

So two fail. t of a model's mean score on few items, where most are right: use `proportion`. And the difference of two
predictors' accuracies, where few weak models make all the difference: 79 to 89% on commonsense, 84 to 90% on gsm from
10 × 50 on (at 5 × 20 they have none in 29 to 96% of draws, since fewer than 5 models differ). Compare Brier scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import SettingError
from magnet_arrow.statistics.stats_packages import scipy

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Codes, Floats

Statistic: TypeAlias = "Callable[[Floats], Floats]"
"""From sums (…, s) to values (…): it is called with the sums of all rows, and with those of many parts at once."""

Scale: TypeAlias = Literal["plain", "fisher", "root"]
"""Where the interval is symmetric: at the statistic itself; at Fisher's z of it, for a correlation; at its square.

With "root" the statistic is the mean square, and estimate and interval are its square root.
"""

LEVEL = 0.95
ROUNDING = 1e-12
"""Relative to the values; what differs by less is equal, for sums of 0.1 depend on their order."""

MIN_LEVELS = 5
"""With fewer models or items an interval would be a guess, so there is none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic with its confidence interval, or why it has none.

    Attributes:
        estimate: the statistic of all rows; NaN if it is not defined.
        stderr: its standard error, in its own unit (for correlations and roots by the delta method); None if unknown.
        low: lower end; None if there is no interval.
        high: upper end; None if there is no interval.
        df: degrees of freedom of t: the smaller number of levels − 1.
        why: why there is no interval; None if there is one.
    """

    estimate: float
    stderr: float | None = None
    low: float | None = None
    high: float | None = None
    df: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Variance:
    """What the jackknife finds.

    Attributes:
        estimate: the statistic of all rows, on its scale.
        variance: of that; NaN if it is not known.
        levels: the number of levels of each factor; of rows if there is no factor.
        why: why the variance is not known; None if it is.
    """

    estimate: float
    variance: float
    levels: tuple[int, ...]
    why: str | None

    @property
    def df(self) -> int:
        """Degrees of freedom."""
        return min(self.levels) - 1


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Which rows share a level of a factor; made once, by `clusters_of`, for many statistics of the same rows.

    Attributes:
        codes: for each factor the level of each row, counted from 0.
        parts: the codes, and with two factors the cell of each row.
        levels: the number of levels of each factor; of rows if there is no factor.
    """

    codes: "Sequence[Codes]"
    parts: "Sequence[Codes]"
    levels: tuple[int, ...]

    def sums(self, sums: "Floats") -> "Sequence[Floats]":
        """The sums of each level of each factor, and of each cell; those of each row if there is no factor."""
        return [sums_by(code, sums) for code in self.parts] if self.parts else [sums]


Factors: TypeAlias = "Sequence[Codes] | Clusters"


def clusters_of(factors: "Sequence[Codes]", n_rows: int) -> Clusters:
    """The clusters of none, one or two factors.

    Raises:
        SettingError: there are more factors, or one has not a level for each row.
    """
    np = numpy()
    codes = [renumbered(np.asarray(factor)) for factor in _checked(n_rows, factors)]
    levels = tuple(int(code.max(initial=-1)) + 1 for code in codes) or (n_rows,)
    parts = list(codes)
    if len(codes) == 2:
        parts.append(renumbered(codes[0] * levels[1] + codes[1]))
    return Clusters(codes, parts, levels)


def renumbered(codes: "Codes") -> "Codes":
    """The place of each number among the different ones in order: 0 for the least. Sorts only if numbers are large."""
    np = numpy()
    if len(codes) and codes.min() >= 0 and codes.max() < 4 * len(codes) + 1000:
        there = np.bincount(codes) > 0
        numbers: Codes = (np.cumsum(there) - 1)[codes]
        return numbers
    inverse: Codes = np.unique(codes, return_inverse=True)[1]
    return inverse


def mean(sums: "Floats") -> "Floats":
    """The mean: column 0 of the sums is of the values, column 1 is the number of rows."""
    values: Floats = sums[..., 0] / sums[..., 1]
    return values


def clustered(
    sums: "Floats",
    factors: Factors,
    statistic: Statistic = mean,
    *,
    carries: "Booleans | None" = None,
    scale: Scale = "plain",
    level: float = LEVEL,
) -> Interval:
    """The t interval of a statistic by the cluster jackknife.

    For a factor g with G levels, V_g = (G−1)/G · Σ(θ without a level − θ)². With two factors V₁₂ is the same over their
    cells, and the variance is max(V₁, V₂, V₁ + V₂ − V₁₂); t has min(G) − 1 degrees of freedom (MacKinnon, Nielsen and
    Webb, arXiv 2406.08880). Correlations use Fisher's z, root mean squares the mean square.

    On HELM Lite 95% intervals of errors, Brier scores and their differences hold the truth in 93.7 to 99.9% of
    draws. Those of two other statistics do not: figures at the head of this module.

    Args:
        sums: float64, rows × s: what the statistic is made of, such as the loss and 1. A row may be the sum over many
            rows of one cell.
        factors: none, one or two arrays with the level of each row, as integers; or their `Clusters`.
        statistic: see `Statistic`.
        carries: for a difference: the rows in which the two differ. A difference that fewer than 5 levels of a factor
            carry has no interval.
        scale: see `Scale`.
        level: the share of intervals that hold the truth.

    Returns:
        The interval; without one if a factor has fewer than 5 levels, or the statistic is not defined without a level.

    >>> import numpy as np
    >>> losses = np.array([0.1, 0.4, 0.2, 0.3, 0.5, 0.3])
    >>> found = clustered(np.stack([losses, np.ones(6)], axis=1), [])
    >>> round(found.estimate, 3), round(found.low, 3), round(found.high, 3)
    (0.3, 0.152, 0.448)
    """
    return interval_of(jackknife(sums, factors, _on_scale(statistic, scale), carries), scale, level)


def interval_of(found: Variance, scale: Scale = "plain", level: float = LEVEL) -> Interval:
    """The t interval of a statistic whose variance is known on its scale."""
    np = numpy()
    estimate = float(_back(found.estimate, scale))
    if found.why is not None:
        return Interval(estimate, df=found.df if min(found.levels) >= MIN_LEVELS else None, why=found.why)
    half = t_quantile(level, found.df) * sqrt(found.variance)
    ends = _back(np.array([found.estimate - half, found.estimate + half]), scale)
    return Interval(estimate, _stderr(found, estimate, scale), float(ends[0]), float(ends[1]), found.df)


def proportion(sums: "Floats", factors: Factors, *, level: float = LEVEL) -> Interval:
    """Wilson's interval of a mean of scores between 0 and 1, with the effective number of rows.

    That is p(1−p)/V · (z/t)², where V is the variance of `clustered`, but at most the number of rows. At p = 0 or 1,
    where V is 0, it is the smaller number of levels. Over all rows it is right only if they are independent: on HELM
    Lite that would hold the truth in 48 to 87% of draws, this one in 95 to 99% (figures at the head of this module).

    Args:
        sums: float64, rows × 2: the sum of the scores and their number.
        factors: as for `clustered`.
        level: the share of intervals that hold the truth.

    Returns:
        The interval; without one as for `clustered`, and if the mean is below 0 or above 1.

    >>> import numpy as np
    >>> found = proportion(np.ones((6, 2)), [])
    >>> found.estimate, round(found.low, 3), found.high
    (1.0, 0.61, 1.0)
    """
    found = jackknife(sums, factors, mean)
    if found.why is not None:
        return Interval(found.estimate, df=found.df if min(found.levels) >= MIN_LEVELS else None, why=found.why)
    found = replace(found, estimate=_at_the_end(found.estimate))
    if not 0 <= found.estimate <= 1:
        return Interval(found.estimate, df=found.df, why="a proportion is between 0 and 1")
    n = effective_rows(found, float(sums[:, 1].sum()), level)
    low, high = wilson(found.estimate, n, level)
    return Interval(found.estimate, sqrt(found.variance), low, high, found.df)


def effective_rows(found: Variance, n_rows: float, level: float = LEVEL) -> float:
    """How many independent rows would tell as much about a proportion; see `proportion`."""
    p = found.estimate
    if p in (0.0, 1.0):
        return min(found.levels)
    if found.variance == 0:
        return n_rows
    narrower = float(scipy("special").ndtri((1 + level) / 2)) / t_quantile(level, found.df)
    return min(n_rows, p * (1 - p) / found.variance * narrower**2)


def wilson(p: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion `p` of `n` independent rows; `n` need not be whole (Wilson 1927).

    >>> tuple(round(end, 4) for end in wilson(0.5, 10))
    (0.2366, 0.7634)
    """
    z2 = float(scipy("special").ndtri((1 + level) / 2)) ** 2
    center = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = (z2 * (p * (1 - p) / n + z2 / (4 * n * n))) ** 0.5 / (1 + z2 / n)
    return (0.0 if p == 0 else center - half), (1.0 if p == 1 else center + half)


def jackknife(sums: "Floats", factors: Factors, statistic: Statistic, carries: "Booleans | None" = None) -> Variance:
    """The statistic and its variance; see `clustered`."""
    np = numpy()
    clusters = factors if isinstance(factors, Clusters) else clusters_of(factors, len(sums))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = sums.sum(axis=0)
        estimate = float(statistic(total))
        why = why_no_interval(clusters, carries)
        without = [] if why else [statistic(total - part) for part in clusters.sums(sums)]
    return variance_of(estimate, without, clusters.levels, why)


def variance_of(estimate: float, without: "Sequence[Floats]", levels: tuple[int, ...], why: str | None) -> Variance:
    """The jackknife variance from the statistic without each level: of each factor, and of each cell of two.

    Args:
        estimate: of all rows.
        without: may be empty if there is a reason why.
        levels: as in `Clusters`.
        why: why there is no variance; None if there may be one.
    """
    if why is None and estimate != estimate:
        why = "the statistic is not defined"
    if why is not None:
        return Variance(estimate, float("nan"), levels, why)
    with numpy().errstate(invalid="ignore", over="ignore"):
        variance = combined(*(_around(estimate, values) for values in without))
        defined = all(numpy().isfinite(values).all() for values in without)
    if not isfinite(variance):
        why = "the values are too large" if defined else "without one of the levels the statistic is not defined"
    return Variance(estimate, variance if why is None else float("nan"), levels, why)


def level_codes(levels: pl.Series) -> "Codes":
    """A factor for `clustered`: an integer for each distinct value; null is a level of its own.

    >>> level_codes(pl.Series(["b", "a", None, "b"])).tolist()
    [2, 1, 0, 2]
    """
    codes: Codes = levels.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    return codes


def combined(first: float, second: float | None = None, cells: float | None = None) -> float:
    """The variance of one factor, or of two crossed ones: never below that of one of them alone."""
    if second is None or cells is None:
        return first
    # numpy's maximum would do; Python's max drops a NaN that comes second.
    both = first + second - cells
    return both if both != both else max(first, second, both)


def t_quantile(level: float, df: float) -> float:
    """What ± how many standard errors hold the truth with probability `level`: the quantile of Student's t."""
    if not 0 < level < 1:
        raise SettingError(f"level={level!r} is no confidence level.", expected="a number between 0 and 1, as 0.95")
    return float(scipy("special").stdtrit(df, (1 + level) / 2))


def _checked(n_rows: int, factors: "Sequence[Codes]") -> "Sequence[Codes]":
    if len(factors) > 2:
        raise SettingError(f"{len(factors)} factors are too many.", expected="at most two, such as model and item")
    for factor in factors:
        if len(factor) != n_rows:
            raise SettingError(f"A factor has {len(factor):,} values.", expected=f"one for each of {n_rows:,} rows")
    return factors


def why_no_interval(clusters: Clusters, carries: "Booleans | None" = None) -> str | None:
    """Why rows of these clusters have no interval: too few levels, or too few that differ; None if they have one."""
    what = ("level", "levels") if clusters.codes else ("row", "rows")
    fewest = min(clusters.levels)
    if fewest < MIN_LEVELS:
        return f"{fewest} {what[fewest != 1]}, fewer than {MIN_LEVELS}"
    if carries is None:
        return None
    np = numpy()
    carried = (len(np.unique(code[carries])) for code in clusters.codes)
    differing = min(carried, default=int(np.count_nonzero(carries)))
    if differing < MIN_LEVELS:
        return f"they differ in {differing} {what[differing != 1]}, fewer than {MIN_LEVELS}"
    return None


def sums_by(codes: "Codes", columns: "Floats", n_levels: int = 0) -> "Floats":
    """The sums of the rows of each level, levels × columns; of `n_levels` levels at least."""
    np = numpy()
    found: Floats = np.stack([np.bincount(codes, weights=column, minlength=n_levels) for column in columns.T], axis=1)
    return found


def _around(estimate: float, without: "Floats") -> float:
    """The jackknife variance of one factor, centred on the statistic of all rows."""
    changes = without - estimate
    return float((changes * changes).sum()) * (len(without) - 1) / len(without)


def _on_scale(statistic: Statistic, scale: Scale) -> Statistic:
    if scale != "fisher":
        return statistic
    arctanh = numpy().arctanh
    return lambda sums: arctanh(statistic(sums))


def _at_the_end(p: float) -> float:
    """0 or 1 for a mean that is so up to rounding."""
    return next((end for end in (0.0, 1.0) if abs(p - end) <= ROUNDING), p)


def _back(values: "Floats | float", scale: Scale) -> "Floats":
    np = numpy()
    back: Floats = np.asarray(values)
    if scale == "fisher":
        back = np.tanh(back)
    elif scale == "root":
        back = np.sqrt(np.maximum(back, 0))
    return back


def _stderr(found: Variance, estimate: float, scale: Scale) -> float:
    stderr = sqrt(found.variance)
    if scale == "fisher":
        return stderr * (1 - estimate**2)
    if scale == "root":
        return stderr / (2 * estimate) if estimate else 0.0
    return stderr
