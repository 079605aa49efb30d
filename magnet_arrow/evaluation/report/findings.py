"""What a report shows of the predictors of one level: one function for each table or chart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from magnet_arrow.errors import SettingError
from magnet_arrow.evaluation import BASELINES
from magnet_arrow.evaluation.harness.budgets import ALL, Budget
from magnet_arrow.statistics.prediction_rows import Unanswered
from magnet_arrow.statistics.prediction_scores import score

if TYPE_CHECKING:
    from magnet_arrow.evaluation.record import Evaluation

MAX_SHOWN = 6
"""So many predictors have a colour, a panel and a column of their own; tables of predictors have all of them."""
MAX_POINTS = 250
"""So many points of each predictor are drawn."""
N_BINS = 10
MAX_GROUPS = 40
"""So many scenarios or organisations are drawn; tables have all of them."""
MAX_WORST = 15
NOMINAL = (0.5, 0.8, 0.9, 0.95)
"""The levels at which predicted intervals are compared with the truth."""

_VALUE = ("fold", "model", "scenario", "item")
BASELINE_CLASSES = frozenset(f"{kind.__module__}:{kind.__qualname__}" for kind in BASELINES)
BudgetOf: TypeAlias = int | None
"""Number of items asked; None for all."""


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """The predictors of one level.

    Attributes:
        level: what they see of the answers.
        predictions: theirs, as `Evaluation.predictions`.
        rankings: at each budget, the smallest first and "all" last.
        budget: the one that all but the chart of budgets is about: the largest number, "all" if there is none.
        at_budget: the predictions at `budget`.
        own: predictors that are no baselines.
        over: the factors of the intervals.
    """

    level: str
    predictions: pl.DataFrame
    rankings: dict[BudgetOf, pl.DataFrame]
    budget: BudgetOf
    at_budget: pl.DataFrame
    own: tuple[str, ...]
    over: Sequence[str] | None

    @property
    def ranking(self) -> pl.DataFrame:
        """At `budget`."""
        return self.rankings[self.budget]

    @property
    def names(self) -> list[str]:
        """All predictors, the best first."""
        return self.ranking.get_column("predictor").to_list()

    @property
    def shown(self) -> list[str]:
        """The predictors that are drawn, in their order: the best one, those that are no baselines, the next best."""
        best, *others = self.names
        chosen = [best, *sorted(others, key=lambda name: name not in self.own)][:MAX_SHOWN]
        return [name for name in self.names if name in chosen]

    @property
    def unanswered(self) -> Unanswered:
        """How values without an answer are scored: as in a ranking, where it is known how."""
        lacking = self.predictions.filter(pl.col("predicted").is_null() & pl.col("train_mean").is_null())
        return "exclude" if lacking.height else "train_mean"


def findings_of(found: "Evaluation", level: str | None, over: Sequence[str] | None) -> list[Findings]:
    """What was found of the predictors of each level, or of one.

    Raises:
        SettingError: no predictor has this level, or `over` names no factors.
    """
    levels = found.predictions.get_column("level").unique(maintain_order=True).to_list()
    if level is not None and level not in levels:
        raise SettingError("There is nothing to report.", expected=f"level {' or '.join(levels)}", found=repr(level))
    own = tuple(one["name"] for one in found.provenance["predictors"] if one["class"] not in BASELINE_CLASSES)
    by_level: dict[str, dict[BudgetOf, pl.DataFrame]] = {}
    for of, budget, ranking in rankings(found, level, over):
        by_level.setdefault(of, {})[budget] = ranking
    return [_of_level(found, of, rankings, own, over) for of, rankings in by_level.items()]


def _of_level(
    found: "Evaluation",
    level: str,
    rankings: dict[BudgetOf, pl.DataFrame],
    own: tuple[str, ...],
    over: Sequence[str] | None,
) -> Findings:
    predictions = found.predictions.filter(level=level)
    budget = max((budget for budget in rankings if budget is not None), default=None)
    return Findings(level, predictions, rankings, budget, predictions.filter(is_at(budget)), own, over)


def is_at(budget: BudgetOf) -> pl.Expr:
    """Whether a row is of this budget."""
    return pl.col("budget").eq_missing(pl.lit(budget, pl.Int64))


def rankings(
    found: "Evaluation", level: str | None, over: Sequence[str] | None
) -> Iterator[tuple[str, BudgetOf, pl.DataFrame]]:
    """Level, budget and ranking, for each level and each budget at which something was predicted."""
    rows = found.predictions if level is None else found.predictions.filter(level=level)
    for of, *_ in rows.select("level").unique(maintain_order=True).iter_rows():
        for budget in rows.filter(level=of)["budget"].unique().sort(nulls_last=True).to_list():
            yield of, budget, found.ranking(budget_text(budget), level=of, over=over)


def budget_text(budget: BudgetOf) -> Budget:
    """A budget as users write it."""
    return ALL if budget is None else budget


def asked(budget: BudgetOf) -> str:
    """A budget as the head of a column, or as a label."""
    return str(budget_text(budget))


def errors_by_budget(of: Findings) -> pl.DataFrame:
    """The mean absolute error of each predictor at each budget, with its interval.

    Columns: `predictor`, `budget` (null for all), `mae`, `mae_low`, `mae_high`, `why` there is no interval.
    """
    found = score(of.predictions, ["predictor", "budget"], over=of.over, scores="mae", unanswered=of.unanswered)
    columns = ("predictor", "budget", "mae", "mae_low", "mae_high")
    return found.select(*columns, pl.col("why_null").alias("why")).sort("budget", nulls_last=True, maintain_order=True)


def references_by_budget(of: Findings) -> pl.DataFrame:
    """The errors between which a predictor is useful: `budget`, `noise_floor`, `constant` (the best one's `mae`)."""
    rows = [
        (budget, ranking.get_column("noise_floor").mean(), _constant(of, budget))
        for budget, ranking in of.rankings.items()
    ]
    schema = {"budget": pl.Int64, "noise_floor": pl.Float64, "constant": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _constant(of: Findings, budget: BudgetOf) -> float | None:
    """The mean absolute error of the best constant over the values, which all predictors share, and their draws."""
    one = of.rankings[budget].item(0, "predictor")
    rows = of.predictions.filter(is_at(budget), pl.col("predictor") == one)
    error = (pl.col("train_median") - pl.col("actual")).abs().mean()
    values = rows.group_by(_VALUE, maintain_order=True).agg(error.alias("error"))
    found = values.get_column("error").mean()
    return found if isinstance(found, float) else None


def points(of: Findings) -> pl.DataFrame:
    """Predicted and actual values of the predictors that are drawn: `predictor`, `model`, `predicted`, `actual`.

    They are of the first draw. If there are more than `MAX_POINTS` of a predictor, they are so many of equal distance
    in the order of actual values.
    """
    rows = _answered(of).filter(draw=0)
    columns = ("predictor", "model", "scenario", "predicted", "actual")
    chosen = [_spread_out(rows.filter(predictor=name)).select(columns) for name in of.shown]
    return pl.concat(chosen)


def _spread_out(rows: pl.DataFrame) -> pl.DataFrame:
    ordered = rows.sort("actual", "predicted", *_VALUE[1:], nulls_last=True)
    if ordered.height <= MAX_POINTS:
        return ordered
    return ordered[[place * (ordered.height - 1) // (MAX_POINTS - 1) for place in range(MAX_POINTS)]]


def n_points(of: Findings) -> tuple[int, int]:
    """How many answered values one predictor has at most, and how many of them are of the first draw."""
    counts = _answered(of).group_by("predictor").agg(pl.len().alias("n"), (pl.col("draw") == 0).sum().alias("first"))
    return tuple(counts.select(pl.col("n", "first").max()).row(0)) if counts.height else (0, 0)


def reliability(of: Findings) -> pl.DataFrame:
    """Mean predicted and actual values in ten bins of equal size by the predicted value, of all draws.

    Columns: `predictor`, `bin` (from 0), `n`, `predicted`, `actual`.
    """
    ranked = _answered(of).with_columns(
        ((pl.col("predicted").rank("ordinal").over("predictor") - 1) * N_BINS // pl.len().over("predictor")).alias(
            "bin"
        )
    )
    binned = ranked.group_by("predictor", "bin").agg(pl.len().alias("n"), pl.col("predicted", "actual").mean())
    order = pl.DataFrame({"predictor": of.shown})
    return order.join(binned.sort("bin"), on="predictor", how="left", maintain_order="left_right").drop_nulls("bin")


def _answered(of: Findings) -> pl.DataFrame:
    return of.at_budget.filter(pl.col("predictor").is_in(of.shown), pl.col("predicted").is_not_null())


def is_binary(of: Findings) -> bool:
    """Whether each truth is the outcome of one item, 0 or 1."""
    rows = of.at_budget
    return rows.select(((pl.col("n_items") == 1) & pl.col("actual").is_in([0.0, 1.0])).all()).item()  # type: ignore[no-any-return]


def calibration(of: Findings) -> pl.DataFrame:
    """Of probabilities of outcomes: Brier score, log loss, slope and intercept of their calibration; the best first."""
    scores = ("brier", "log_loss", "calibration_slope", "calibration_in_the_large")
    found = score(of.at_budget, "predictor", scores=scores, level=None)
    return _in_order(of, found.select("predictor", "answered", *scores))


def coverage(of: Findings) -> pl.DataFrame:
    """How often predicted intervals of each level hold the truth, for the predictors that give a `stddev`.

    Columns: `predictor`, `n` (values with a `stddev`), `nominal`, `actual`, and `low` and `high` of it.
    """
    rows = with_spread(of)
    if rows.is_empty():
        return pl.DataFrame(schema=_COVERAGE)
    parts = []
    for nominal in NOMINAL:
        found = score(rows, "predictor", over=of.over, scores="interval_coverage", interval_level=nominal)
        columns = (pl.col(f"interval_coverage{end}").alias(name) for end, name in _ENDS.items())
        parts.append(found.select("predictor", "n", pl.lit(nominal).alias("nominal"), *columns))
    return _in_order(of, pl.concat(parts))


_ENDS = {"": "actual", "_low": "low", "_high": "high"}
_COVERAGE = {"predictor": pl.String, "n": pl.Int64, **dict.fromkeys(("nominal", *_ENDS.values()), pl.Float64)}


def spread_scores(of: Findings) -> pl.DataFrame:
    """Of predictors that give a `stddev`: `n`, CRPS, and the mean width of their intervals of 95%."""
    rows = with_spread(of)
    if rows.is_empty():
        return pl.DataFrame()
    found = score(rows, "predictor", scores=("crps", "interval_width"), level=None)
    return _in_order(of, found.select("predictor", "n", "crps", "interval_width"))


def with_spread(of: Findings) -> pl.DataFrame:
    """The predictions that have a `stddev`."""
    return of.at_budget.filter(pl.col("stddev").is_not_null(), pl.col("predicted").is_not_null())


def _in_order(of: Findings, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows by their predictors, the best first."""
    places = {name: place for place, name in enumerate(of.names)}
    return frame.sort(pl.col("predictor").replace_strict(places, return_dtype=pl.Int64), maintain_order=True)


def errors_by(of: Findings, column: str) -> pl.DataFrame:
    """The mean absolute error of the predictors that are drawn, by scenario, organisation or family.

    Rows: one for each value of the column, the largest error of the best predictor first; none for null.
    Columns: the column; `models`; `n` values of one predictor; `bias` of the best predictor (mean of predicted −
    actual); then one for each predictor, named by it.
    """
    rows = of.at_budget.filter(pl.col("predictor").is_in(of.shown), pl.col(column).is_not_null())
    if rows.is_empty():
        return pl.DataFrame()
    guess = pl.col("predicted").fill_null(pl.col("train_mean"))
    off = guess - pl.col("actual")
    grouped = rows.group_by(column, "predictor", maintain_order=True).agg(
        pl.col("model").n_unique().cast(pl.Int64).alias("models"),
        pl.len().cast(pl.Int64).alias("n"),
        off.mean().alias("bias"),
        off.abs().mean().alias("mae"),
    )
    best = grouped.filter(predictor=of.shown[0])
    table = best.select(column, "models", "n", "bias")
    for place, name in enumerate(of.shown):
        one = grouped.filter(predictor=name).select(column, pl.col("mae").alias(f"mae {place}"))
        table = table.join(one, on=column, how="left", maintain_order="left")
    return table.sort("mae 0", column, descending=[True, False], nulls_last=True)


def worst(of: Findings, name: str, n: int = MAX_WORST) -> pl.DataFrame:
    """The values that a predictor was most wrong about, by the mean absolute error over their draws.

    Columns: `model`, `scenario`, `item`, `predicted` (mean over the draws), `actual`, `error`, `draws`.
    """
    rows = of.at_budget.filter(pl.col("predictor") == name, pl.col("predicted").is_not_null())
    values = rows.group_by(_VALUE, maintain_order=True).agg(
        pl.col("predicted").mean(),
        pl.col("actual").first(),
        (pl.col("predicted") - pl.col("actual")).abs().mean().alias("error"),
        pl.len().cast(pl.Int64).alias("draws"),
    )
    # rounded, so that equal errors keep the order of the evaluation whatever their last bit is
    largest = (
        values.filter(pl.col("error") > 0).sort(pl.col("error").round(12), descending=True, maintain_order=True).head(n)
    )
    return largest.drop("fold")


def failures(found: "Evaluation", of: Findings) -> pl.DataFrame:
    """Why values were not answered: `predictor`, `error`, `folds` and `values` (how many), the most frequent first."""
    errors = found.errors.filter(pl.col("predictor").is_in(of.names))
    grouped = errors.group_by("predictor", "error", maintain_order=True).agg(
        pl.col("fold").n_unique().cast(pl.Int64).alias("folds"), pl.col("values").sum().cast(pl.Int64)
    )
    return grouped.sort("values", descending=True, maintain_order=True)
