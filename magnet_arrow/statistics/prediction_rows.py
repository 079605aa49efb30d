"""The rows of a frame of predictions, checked, with the losses of each: what `score` sums up."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, Literal, TypeAlias

import polars as pl

from magnet_arrow.errors import ColumnNotFoundError, PredictionError, SettingError
from magnet_arrow.predictions.asked import check_choice
from magnet_arrow.statistics.calibration import CLIP
from magnet_arrow.statistics.predicted_spread import COVERED, CRPS, WIDTH, WIS, Spread, spread_losses

Unanswered: TypeAlias = Literal["exclude", "train_mean"]

PREDICTED, ACTUAL = " predicted", " actual"
SCORED, TRUE, UNTRUE, ANSWERED, FRACTION, CLIPPED = " scored", " true", " untrue", " answered", " fraction", " clipped"
ERROR, ABSOLUTE, SQUARE, LOG_LOSS = " error", " absolute", " square", " log loss"
BY_MEAN, BY_MEDIAN, HAS_MEAN, HAS_MEDIAN = " by mean", " by median", " has mean", " has median"
FLOOR, FLOOR_BY_COUNT, HAS_FLOOR, HAS_COUNT = " floor", " floor by count", " has floor", " has count"
HAS_CRPS, HAS_WIS, HAS_ENDS = " has crps", " has wis", " has ends"
"""Names of columns of ours begin with a space: the others are the user's."""

_OPTIONAL = ("train_mean", "train_median", "noise_variance", "n_items")
_MEAN_OF_NORMAL = sqrt(2 / pi)
"""E|x| of a standard normal x."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of the user's frame are read.

    Attributes:
        by: the columns that make the groups.
        over: the factors.
        fold: those of `fold` and `draw` that there are; together they tell folds apart.
        predicted: the predictions.
        actual: the truths.
        known: all names and types of the frame.
    """

    by: tuple[str, ...]
    over: tuple[str, ...]
    fold: tuple[str, ...]
    predicted: str
    actual: str
    known: pl.Schema

    def number(self, name: str) -> pl.Expr:
        """A column of numbers: null where it is not finite, and everywhere if there is no such column."""
        return _finite(pl.col(name).cast(pl.Float64) if name in self.known else pl.lit(None, pl.Float64))

    def asked(self) -> pl.Expr:
        """How many items of a model were asked: no budget means all if the target is the model, else none."""
        of_model = pl.col("target") == "model" if "target" in self.known else pl.lit(True)
        if "budget" not in self.known:
            return pl.lit(0.0).alias(" asked")
        if not (self.known["budget"].is_numeric() or self.known["budget"] == pl.Null):
            return pl.lit(None, pl.Float64).alias(" asked")  # somebody's own words
        return (
            pl.when(of_model)
            .then(self.number("budget").fill_null(self.number("n_items")))
            .otherwise(0.0)
            .alias(" asked")
        )


def names(given: str | Iterable[str], what: str) -> tuple[str, ...]:
    """The columns that an argument names: one, or several.

    Raises:
        SettingError: it is neither a name nor a list of names, or has a name twice.
    """
    found = (given,) if isinstance(given, str) else given
    if not isinstance(found, Iterable) or isinstance(found, pl.DataFrame | pl.LazyFrame):
        raise SettingError(f"{what}={given!r} names no columns.", expected="a name or a list of names")
    listed = tuple(found)
    for name in listed:
        if not isinstance(name, str):
            raise SettingError(f"{what}: {name!r} is no name of a column.", expected="strings")
    if len(set(listed)) < len(listed):
        raise SettingError(f"{what} names a column twice: {', '.join(listed)}.")
    return listed


def require(known: pl.Schema, columns: Iterable[str]) -> None:
    """Check that columns are there.

    Raises:
        ColumnNotFoundError: one is missing.
    """
    for name in columns:
        if name not in known:
            raise ColumnNotFoundError.among(name, known, table="The frame of predictions")


def require_types(columns: Columns) -> None:
    """Check that predictions, truths and the like are numbers, and that keys can be sorted.

    Raises:
        PredictionError: a column has a wrong type.
    """
    for name in (*columns.by, *columns.over, *columns.fold):
        if columns.known[name] == pl.Object:
            raise PredictionError(f"Column {name!r} cannot make groups.", found="a column of Python objects")
    for name in (columns.predicted, columns.actual, *_OPTIONAL):
        dtype = columns.known.get(name, pl.Null())
        if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
            raise PredictionError(f"Column {name!r} has a wrong type.", expected="numbers", found=str(dtype))


def loss_rows(
    table: pl.LazyFrame, columns: Columns, spread: Spread | None, unanswered: Unanswered = "exclude"
) -> pl.DataFrame:
    """One row per prediction, with its losses; sums of them over rows make the scores.

    Columns: `by`, `over` and `fold` of the user; then ours, of type float64. A loss is 0 where the row has none, and a
    column of ones and zeros says which rows have one.

    Raises:
        PredictionError: there are no rows, or a spread makes no sense.
    """
    keys = dict.fromkeys((*columns.by, *columns.over, *columns.fold))
    given = {PREDICTED: columns.number(columns.predicted), ACTUAL: columns.number(columns.actual)}
    optional = {f" {name}": columns.number(name) for name in _OPTIONAL}
    carried = spread.expressions() if spread is not None else []
    rows = (
        table.select(*keys, *carried, columns.asked(), **given, **optional)
        .with_columns(*_answers(unanswered))
        .collect()
    )
    if rows.is_empty():
        raise PredictionError("There are no predictions to score.", expected="a row or more", found="none")
    if unanswered == "train_mean":
        _require_train_means(rows)
    losses = spread_losses(rows, spread, PREDICTED, ACTUAL) if spread is not None else []
    sums = [*_SUMS, *(_SPREAD_SUMS if spread is not None else ())]
    rows = rows.with_columns(*losses).with_columns(*_losses()).with_columns(*_spread_losses(losses))
    return rows.select(*keys, PREDICTED, ACTUAL, *(pl.col(name).cast(pl.Float64).fill_null(0.0) for name in sums))


def _answers(unanswered: Unanswered) -> list[pl.Expr]:
    """Which rows have a truth, an answer and a score, and the prediction that is scored."""
    predicted, truth = pl.col(PREDICTED), pl.col(ACTUAL).is_not_null()
    scored = predicted.fill_null(pl.col(" train_mean")) if unanswered == "train_mean" else predicted
    return [
        truth.alias(TRUE),
        (~truth).alias(UNTRUE),
        (truth & predicted.is_not_null()).alias(ANSWERED),
        (truth & scored.is_not_null()).alias(SCORED),
        scored.alias(PREDICTED),
    ]


def _require_train_means(rows: pl.DataFrame) -> None:
    lacking = rows.filter(pl.col(TRUE) & ~pl.col(SCORED)).height
    if lacking:
        raise PredictionError(
            f"{lacking:,} of {rows.height:,} rows have neither a prediction nor a train_mean.",
            hint="Without unanswered='train_mean' they are counted and not scored.",
        )


def _losses() -> list[pl.Expr]:
    predicted, actual, scored = pl.col(PREDICTED), pl.col(ACTUAL), pl.col(SCORED)
    mean, median = pl.col(" train_mean"), pl.col(" train_median")
    clipped = predicted.clip(CLIP, 1 - CLIP)
    log_loss = pl.when(actual == 1).then(-clipped.log()).otherwise(-(1 - clipped).log())
    one_item = pl.col(" n_items").fill_null(1) == 1
    return [
        (predicted - actual).alias(ERROR),
        (predicted - actual).abs().alias(ABSOLUTE),
        ((predicted - actual) ** 2).alias(SQUARE),
        pl.when(scored).then((mean - actual) ** 2).alias(BY_MEAN),
        pl.when(scored).then((median - actual).abs()).alias(BY_MEDIAN),
        (scored & mean.is_not_null()).alias(HAS_MEAN),
        (scored & median.is_not_null()).alias(HAS_MEDIAN),
        (actual.is_not_null() & ~(actual.is_in([0.0, 1.0]) & one_item)).alias(FRACTION),
        pl.when(scored).then(log_loss).alias(LOG_LOSS),
        (scored & (predicted != clipped)).alias(CLIPPED),
        *_floors(),
    ]


def _floors() -> list[pl.Expr]:
    """The expected |actual − prediction| of a perfect prediction: of a normal whose variance is that of the actual."""
    actual, scored = pl.col(ACTUAL), pl.col(SCORED)
    variance, n_items = pl.col(" noise_variance"), pl.col(" n_items")
    unasked = (n_items - pl.col(" asked")).clip(0)
    by_count = (actual * (1 - actual) * unasked).sqrt() / n_items
    several = n_items.fill_null(2) > 1  # the outcome of one item is far from normal
    has_floor = scored & (variance >= 0) & several
    has_count = scored & actual.is_between(0, 1) & (n_items > 1) & unasked.is_not_null()
    return [
        pl.when(has_floor).then(_MEAN_OF_NORMAL * variance.sqrt()).alias(FLOOR),
        pl.when(has_count).then(_MEAN_OF_NORMAL * by_count).alias(FLOOR_BY_COUNT),
        has_floor.fill_null(False).alias(HAS_FLOOR),
        has_count.fill_null(False).alias(HAS_COUNT),
    ]


def _spread_losses(losses: list[pl.Series]) -> list[pl.Expr]:
    """The losses of scored rows alone, and which rows have them."""
    if not losses:
        return []
    pairs = ((CRPS, HAS_CRPS), (WIS, HAS_WIS), (WIDTH, HAS_ENDS))
    found = [(pl.col(SCORED) & pl.col(loss).is_not_null()).alias(has) for loss, has in pairs]
    return [*found, *(pl.when(SCORED).then(pl.col(loss.name)).alias(loss.name) for loss in losses)]


_SUMS = (
    *(SCORED, TRUE, UNTRUE, ANSWERED, FRACTION, CLIPPED, ERROR, ABSOLUTE, SQUARE, LOG_LOSS),
    *(BY_MEAN, BY_MEDIAN, HAS_MEAN, HAS_MEDIAN, FLOOR, FLOOR_BY_COUNT, HAS_FLOOR, HAS_COUNT),
)
_SPREAD_SUMS = (CRPS, WIS, COVERED, WIDTH, HAS_CRPS, HAS_WIS, HAS_ENDS)


def _finite(value: pl.Expr) -> pl.Expr:
    return pl.when(value.is_finite()).then(value)


def checked_unanswered(given: Any) -> Unanswered:
    """The argument, if it is one of the choices.

    Raises:
        SettingError: it is not.
    """
    check_choice("unanswered", given, ("exclude", "train_mean"))
    choice: Unanswered = given
    return choice
