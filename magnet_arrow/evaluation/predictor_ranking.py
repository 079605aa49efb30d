"""Predictors by their mean absolute error at one budget, and which of them are not separable from the best."""

from collections.abc import Sequence
from math import pi, sqrt

import polars as pl

from magnet_arrow._near_names import did_you_mean
from magnet_arrow.errors import SettingError
from magnet_arrow.statistics.comparisons import compare
from magnet_arrow.statistics.intervals import MIN_LEVELS

SIGNIFICANT = 0.05
_VALUE = ("fold", "model", "scenario", "item")
_LOSS, _CONSTANT, _FLOOR = "loss", "loss of the best constant", "noise floor"
_OF_NORMAL = sqrt(2 / pi)
"""The mean absolute deviation of a normal distribution, in standard deviations."""


def rank_predictors(predictions: pl.DataFrame, over: Sequence[str] | None) -> pl.DataFrame:
    """One row for each predictor, the best first; see `Evaluation.ranking`.

    Args:
        predictions: of one level and budget, as `Evaluation.predictions`.
        over: the factors of the intervals; None for the default.
    """
    values = _values(predictions)
    found = values.group_by("predictor", maintain_order=True).agg(
        pl.col("n", "answered").sum(),
        pl.col(_LOSS).mean().alias("mae"),
        (1 - pl.col(_LOSS).mean() / pl.col(_CONSTANT).mean()).alias("skill"),
        pl.col(_FLOOR).mean().alias("noise_floor"),
    )
    # a constant that is always right leaves no room for skill
    ordered = found.sort("mae", "predictor").with_columns(pl.when(pl.col("skill").is_finite()).then("skill"))
    factors = _factors(values) if over is None else checked_factors(over)
    compared = compare(values.lazy(), ordered["predictor"].to_list(), row=_VALUE, over=factors)
    leader = ordered["predictor"][0]
    to_leader = compared.filter(first=leader).select(
        pl.col("second").alias("predictor"),
        -pl.col("difference").alias("behind"),
        -pl.col("high").alias("behind_low"),
        -pl.col("low").alias("behind_high"),
        "p_holm",
        "minimum_detectable",
        "why",
    )
    ranked = ordered.join(to_leader, on="predictor", how="left", maintain_order="left")
    groups = pl.Series("tie_group", _tie_groups(ordered["predictor"].to_list(), compared), dtype=pl.Int64)
    return ranked.select(pl.int_range(1, pl.len() + 1).alias("rank"), groups, pl.all())


def _values(predictions: pl.DataFrame) -> pl.DataFrame:
    """The mean loss over the draws of each value, for each predictor."""
    guess = pl.col("predicted").fill_null(pl.col("train_mean"))
    return predictions.group_by("predictor", *_VALUE, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("predicted").count().cast(pl.Int64).alias("answered"),
        # rounded, since equal predictions may differ in their last bit, and that is no difference
        (guess - pl.col("actual")).abs().mean().round(12).alias(_LOSS),
        (pl.col("train_median") - pl.col("actual")).abs().mean().alias(_CONSTANT),
        (_OF_NORMAL * _noise_variance().sqrt()).mean().alias(_FLOOR),
    )


def _noise_variance() -> pl.Expr:
    """Of means over several items, as in `score`: the outcome of one item is far from normal."""
    return pl.when(pl.col("n_items") > 1).then("noise_variance")


def _factors(values: pl.DataFrame) -> list[str]:
    """What values share: the model; and the item, or the scenario if there are enough."""
    if values["item"].null_count() < values.height:
        return ["model", "item"]
    return ["model", "scenario"] if values["scenario"].n_unique() >= MIN_LEVELS else ["model"]


def checked_factors(over: Sequence[str]) -> Sequence[str]:
    """The factors of intervals, if they are one or two of those that values have.

    Raises:
        SettingError: they are not.
    """
    if isinstance(over, str) or not 0 < len(over) <= 2 or not set(over) <= set(_VALUE):
        unknown = [] if isinstance(over, str) else [name for name in over if name not in _VALUE]
        near = [did_you_mean(str(name), _VALUE) for name in unknown]
        raise SettingError(
            "over:",
            expected=f"one or two of {', '.join(_VALUE)}",
            found=repr(over),
            hint=" ".join(filter(None, near)) or None,
        )
    return over


def _tie_groups(names: list[str], compared: pl.DataFrame) -> list[int]:
    """The number of each predictor's group; a group ends before one that is separated from its first."""
    separated = set(compared.filter(pl.col("p_holm") < SIGNIFICANT).select("first", "second").iter_rows())
    first, group, groups = names[0], 1, []
    for name in names:
        if (first, name) in separated:
            first, group = name, group + 1
        groups.append(group)
    return groups
