"""Predictions that say how sure they are: by a standard deviation, quantiles, or samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import PredictionError, SettingError
from magnet_arrow.statistics.proper_scores import MIN_SAMPLES, crps_normal, crps_samples, weighted_interval_score
from magnet_arrow.statistics.stats_packages import scipy

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats, Integers

CRPS, WIS, COVERED, WIDTH = " crps", " wis", " covered", " width"
STDDEV, VARIANCE, QUANTILES, SAMPLES = "stddev", "variance", "quantiles", "samples"
INTERVAL_LEVEL = 0.95
_LISTS = (QUANTILES, SAMPLES)


@dataclass(frozen=True, slots=True)
class Spread:
    """Which spread the predictions of a frame carry, and how it is read.

    Attributes:
        columns: those of `stddev`, `variance`, `quantiles` and `samples` that there are.
        quantile_levels: the levels of the quantiles, in the order of each list.
        interval_level: how much the predicted intervals claim to cover.
    """

    columns: tuple[str, ...]
    quantile_levels: tuple[float, ...]
    interval_level: float

    def expressions(self) -> list[pl.Expr]:
        """The columns that are read, as float64 or lists of it, under names of ours."""
        found = [pl.col(name).cast(pl.List(pl.Float64)).alias(f" {name}") for name in self.columns if name in _LISTS]
        if STDDEV in self.columns:
            found.append(pl.col(STDDEV).cast(pl.Float64).alias(" stddev"))
        elif VARIANCE in self.columns:  # MAGNET's predictions have 0.0 where nobody has said anything
            variance = pl.col(VARIANCE).cast(pl.Float64)
            root = variance.sign() * variance.abs().sqrt()  # a negative one is found below
            found.append(pl.when(variance != 0).then(root).alias(" stddev"))
        return found


def spread_of(known: pl.Schema, quantile_levels: Sequence[float] | None, interval_level: float | None) -> Spread | None:
    """The spread that a frame of these columns has; None if it has none.

    Raises:
        PredictionError: a column has a wrong type.
        SettingError: a level is not between 0 and 1, levels do not ascend, or there are quantiles without levels.
    """
    columns = tuple(name for name in (STDDEV, VARIANCE, QUANTILES, SAMPLES) if known.get(name, pl.Null()) != pl.Null())
    for name in columns:
        dtype: Any = known[name]
        is_list = isinstance(dtype, pl.List | pl.Array)
        fits = is_list and dtype.inner.is_numeric() if name in _LISTS else dtype.is_numeric()
        if not fits:
            expected = "lists of numbers" if name in _LISTS else "numbers"
            raise PredictionError(f"Column {name!r} has a wrong type.", expected=expected, found=str(dtype))
    levels = _levels(quantile_levels)
    if QUANTILES in columns and not levels:
        raise SettingError(
            "The predictions have quantiles, but nobody says which.", hint="Such as quantile_levels=[0.05, 0.5, 0.95]."
        )
    covering = _interval_level(interval_level, levels if QUANTILES in columns else ())
    return Spread(columns, levels, covering) if columns else None


def _levels(given: Sequence[float] | None) -> tuple[float, ...]:
    if given is None:
        return ()
    found = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()
    if not found or not all(isinstance(level, int | float) and 0 < level < 1 for level in found):
        raise SettingError(f"quantile_levels={given!r}.", expected="a list of numbers between 0 and 1")
    if list(found) != sorted(set(found)):
        raise SettingError(f"quantile_levels={given!r} are in no order.", expected="ascending levels, each once")
    return found


def _interval_level(given: float | None, levels: tuple[float, ...]) -> float:
    """The level asked for; else that of the outermost pair of quantiles, else 0.95."""
    if given is not None:
        if not isinstance(given, int | float) or not 0 < given < 1:
            raise SettingError(f"interval_level={given!r}.", expected="a number between 0 and 1")
        return given
    pairs = [low for low in levels if low < 0.5 and _place(1 - low, levels) is not None]
    return 1 - 2 * pairs[0] if pairs else INTERVAL_LEVEL


def _place(level: float, levels: tuple[float, ...]) -> int | None:
    return next((place for place, known in enumerate(levels) if abs(known - level) < 1e-9), None)


def spread_losses(rows: pl.DataFrame, spread: Spread, predicted: str, actual: str) -> list[pl.Series]:
    """CRPS, weighted interval score, whether the predicted interval covers the truth, and its width; null for none.

    The CRPS is that of the samples, else of the normal distribution. The interval is between the quantiles of its
    level, else those of the samples, else those of the normal distribution.

    Raises:
        PredictionError: a standard deviation is negative, or there are more or fewer quantiles than levels.
    """
    np = numpy()
    truths = _array(rows, actual)
    crps, wis, low, high = (np.full(rows.height, np.nan) for _ in range(4))
    if " stddev" in rows.columns:
        stddev = _stddev(rows)
        crps = crps_normal(truths, _array(rows, predicted), stddev)
        half = stddev * float(scipy("special").ndtri((1 + spread.interval_level) / 2))
        low, high = _array(rows, predicted) - half, _array(rows, predicted) + half
    if " samples" in rows.columns:
        for chosen, samples in _lists(rows, " samples", spread):
            crps[chosen] = crps_samples(truths[chosen], samples)
            low[chosen], high[chosen] = np.quantile(samples, _tails(spread), axis=1)
    if " quantiles" in rows.columns:
        places = [_place(tail, spread.quantile_levels) for tail in _tails(spread)]
        for chosen, quantiles in _lists(rows, " quantiles", spread):
            wis[chosen] = weighted_interval_score(truths[chosen], quantiles, spread.quantile_levels)
            if None not in places:
                low[chosen], high[chosen] = quantiles[:, places[0]], quantiles[:, places[1]]
    covered = np.where(np.isnan(low), np.nan, (low <= truths) & (truths <= high))
    found = {CRPS: crps, WIS: wis, COVERED: covered, WIDTH: high - low}
    return [pl.Series(name, values).fill_nan(None) for name, values in found.items()]


def _tails(spread: Spread) -> tuple[float, float]:
    return (1 - spread.interval_level) / 2, (1 + spread.interval_level) / 2


def _array(rows: pl.DataFrame, name: str) -> "Floats":
    found: Floats = rows.get_column(name).fill_null(float("nan")).to_numpy()
    return found


def _stddev(rows: pl.DataFrame) -> "Floats":
    np = numpy()
    stddev = _array(rows, " stddev")
    negative = int((stddev < 0).sum())
    if negative:
        raise PredictionError(
            f"{negative:,} of {rows.height:,} standard deviations or variances are negative.",
            hint="Null is for a prediction that has none.",
        )
    finite: Floats = np.where(np.isfinite(stddev), stddev, np.nan)
    return finite


def _lists(rows: pl.DataFrame, name: str, spread: Spread) -> "Iterator[tuple[Integers, Floats]]":
    """The rows that have lists of each length, and these lists as an array; not those with a null or NaN in it."""
    np = numpy()
    lists = rows.get_column(name)
    lengths = lists.list.len().fill_null(0).to_numpy()
    finite = lists.list.eval(pl.element().is_finite().fill_null(False)).list.all().fill_null(False).to_numpy()
    for length in np.unique(lengths[finite & (lengths > 0)]):
        if name == " quantiles" and length != len(spread.quantile_levels):
            raise PredictionError(
                "There are more or fewer quantiles than levels.",
                expected=f"{len(spread.quantile_levels)} in each list",
                found=str(length),
            )
        if name == " samples" and length < MIN_SAMPLES:
            continue
        chosen = np.flatnonzero(finite & (lengths == length))
        yield chosen, lists.gather(chosen).explode().to_numpy().reshape(len(chosen), length)
