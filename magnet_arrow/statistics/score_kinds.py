"""The scores that `score` knows: how each is made of a group of predictions. Their definitions are in its docstring."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, TypeAlias

from magnet_arrow._numpy import numpy
from magnet_arrow.statistics import prediction_rows as rows
from magnet_arrow.statistics.calibration import Calibration
from magnet_arrow.statistics.intervals import Interval, Scale, Statistic, clustered, mean, proportion
from magnet_arrow.statistics.predicted_spread import COVERED, CRPS, WIDTH, WIS
from magnet_arrow.statistics.rejection_curve import rejection_area
from magnet_arrow.statistics.score_groups import Group, nothing

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats

Of: TypeAlias = Callable[[Group, "float | None"], Interval]
_NOT_BINARY = "a truth is neither 0 nor 1, or of several items"
_NO_ANSWER = "no answered row has a truth"


@dataclass(frozen=True, slots=True)
class Kind:
    """A score.

    Attributes:
        of: its value for a group, with an interval of a level if it may have one; NaN and why if it has no value.
        interval: whether it may have one.
        counts: the counts that belong to it.
        spread: whether it is of the predictions' spread.
    """

    of: Of
    interval: bool = True
    counts: tuple[str, ...] = ()
    spread: bool = False


@dataclass(frozen=True, slots=True)
class _Ratio:
    """A score that is a function of two sums, one divided by the other.

    Attributes:
        above: the column whose sum is divided.
        below: the column by whose sum it is divided.
        has: the column that says which rows have the score.
        lacking: why a group has no value if not all scored rows have it; None if the score is of those that have it.
        statistic: the function, of sums (…, 2).
        scale: of the interval.
        is_share: whether it is a share of rows, whose interval is Wilson's.
        binary: whether all truths must be 0 or 1.
    """

    above: str
    below: str = rows.SCORED
    has: str = rows.SCORED
    lacking: str | None = None
    statistic: Statistic = mean
    scale: Scale = "plain"
    is_share: bool = False
    binary: bool = False

    def __call__(self, group: Group, level: float | None) -> Interval:
        n_scored, n = group.total(rows.SCORED), group.total(self.has)
        if not n_scored:
            return nothing(_NO_ANSWER)
        if self.binary and group.total(rows.FRACTION):
            return nothing(_NOT_BINARY)
        if not n or (self.lacking is not None and n < n_scored):
            return nothing(self.lacking or "no answered row has a spread of this kind")
        sums = group.sums((self.above, self.below), self.has)
        if not sums[:, 1].sum():
            return nothing("the best constant makes no error")
        if level is None or group.why is not None:
            return self._value(sums, group.why)
        if self.is_share:
            return proportion(sums, group.clusters(self.has), level=level)
        return clustered(sums, group.clusters(self.has), self.statistic, scale=self.scale, level=level)

    def _value(self, sums: "Floats", why: str | None) -> Interval:
        value = float(self.statistic(sums.sum(axis=0)))
        if not isfinite(value):
            return nothing("it is not finite")
        return Interval(value**0.5 if self.scale == "root" else value, why=why)


def _explained(sums: "Floats") -> "Floats":
    return 1 - sums[..., 0] / sums[..., 1]


def _explained_root(sums: "Floats") -> "Floats":
    root: Floats = 1 - numpy().sqrt(sums[..., 0] / sums[..., 1])
    return root


def _max_error(group: Group, level: float | None) -> Interval:
    actual, predicted = group.scored()
    return Interval(float(abs(predicted - actual).max())) if len(actual) else nothing(_NO_ANSWER)


def _correlation(ranks: bool) -> Of:
    def of(group: Group, level: float | None) -> Interval:
        found = group.correlation(level, ranks=ranks)
        if found is None:
            return nothing("the predictions have no column fold")
        if found.interval.estimate != found.interval.estimate:
            return nothing("no fold has 4 rows, different truths and different predictions, and |r| < 1")
        return Interval(found.interval.estimate, why=group.why) if group.why is not None else found.interval

    return of


def _calibration(value: Callable[[Calibration], float | None]) -> Of:
    def of(group: Group, level: float | None) -> Interval:
        if group.total(rows.FRACTION):
            return nothing(_NOT_BINARY)
        found = group.calibration()
        number = value(found)
        return Interval(nan if number is None else number, why=found.why if number is None else None)

    return of


def _rejection_area(group: Group, level: float | None) -> Interval:
    actual, predicted = group.scored()
    if group.total(rows.FRACTION):
        return nothing(_NOT_BINARY)
    return Interval(rejection_area(actual, predicted)) if len(actual) > 1 else nothing("fewer than 2 answered rows")


_BY_MEAN = _Ratio(rows.SQUARE, rows.BY_MEAN, rows.HAS_MEAN, "not all rows have a train_mean", _explained)
_FLOOR = _Ratio(rows.FLOOR, rows.HAS_FLOOR, rows.HAS_FLOOR, "not all rows have a noise_variance, of several items")
_FLOOR_BY_COUNT = _Ratio(
    rows.FLOOR_BY_COUNT,
    rows.HAS_COUNT,
    rows.HAS_COUNT,
    "not all truths are between 0 and 1, of several items (n_items), with a budget that is a number",
)
_FOLDS = ("correlation_folds", "correlation_folds_perfect")

KINDS: dict[str, Kind] = {
    "mae": Kind(_Ratio(rows.ABSOLUTE)),
    "rmse": Kind(_Ratio(rows.SQUARE, scale="root")),
    "mse": Kind(_Ratio(rows.SQUARE)),
    "bias": Kind(_Ratio(rows.ERROR)),
    "max_error": Kind(_max_error, interval=False),
    "q2": Kind(_BY_MEAN),
    "skill": Kind(
        _Ratio(rows.ABSOLUTE, rows.BY_MEDIAN, rows.HAS_MEDIAN, "not all rows have a train_median", _explained)
    ),
    "skill_rmse": Kind(
        _Ratio(rows.SQUARE, rows.BY_MEAN, rows.HAS_MEAN, "not all rows have a train_mean", _explained_root)
    ),
    "skill_brier": Kind(
        _Ratio(rows.SQUARE, rows.BY_MEAN, rows.HAS_MEAN, "not all rows have a train_mean", _explained, binary=True)
    ),
    "correlation": Kind(_correlation(False), counts=("folds", *_FOLDS)),
    "rank_correlation": Kind(_correlation(True), counts=("folds", *(f"rank_{name}" for name in _FOLDS))),
    "noise_floor": Kind(lambda group, level: _FLOOR(group, None), interval=False),
    "noise_floor_binomial": Kind(lambda group, level: _FLOOR_BY_COUNT(group, None), interval=False),
    "brier": Kind(_Ratio(rows.SQUARE, binary=True)),
    "log_loss": Kind(_Ratio(rows.LOG_LOSS, binary=True), counts=("clipped",)),
    "calibration_slope": Kind(_calibration(lambda found: found.slope), False, ("clipped",)),
    "calibration_intercept": Kind(_calibration(lambda found: found.intercept), False, ("clipped",)),
    "calibration_in_the_large": Kind(_calibration(lambda found: found.in_the_large), False, ("clipped",)),
    "rejection_area": Kind(_rejection_area, interval=False),
    "crps": Kind(_Ratio(CRPS, rows.HAS_CRPS, rows.HAS_CRPS), counts=("n_crps",), spread=True),
    "wis": Kind(_Ratio(WIS, rows.HAS_WIS, rows.HAS_WIS), counts=("n_wis",), spread=True),
    "interval_coverage": Kind(
        _Ratio(COVERED, rows.HAS_ENDS, rows.HAS_ENDS, is_share=True), counts=("n_interval",), spread=True
    ),
    "interval_width": Kind(_Ratio(WIDTH, rows.HAS_ENDS, rows.HAS_ENDS), counts=("n_interval",), spread=True),
}
SCORES = tuple(KINDS)
