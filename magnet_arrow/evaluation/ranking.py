"""Rankings of models: scores with intervals, which models can be told apart, and groups of those that are tied.

`rank` is the ranking, `pairwise_comparisons` the comparison of each pair of models behind it. Models are fixed; what is
drawn, from more of its kind, are the items: questions, or scenarios where the table has one score per scenario.
"""

from dataclasses import dataclass
from math import fsum
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow._text import counted
from magnet_arrow.errors import PanelError, SettingError
from magnet_arrow.evaluation.score_files import is_score_file, read_score_file
from magnet_arrow.evaluation.score_matrix import require_scores
from magnet_arrow.helm.layout import Source
from magnet_arrow.panels import panel
from magnet_arrow.predictions.metrics import metric
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.predictions.panel_files import MODEL, SCORE, is_table
from magnet_arrow.runs.summaries import Summaries
from magnet_arrow.statistics import comparisons
from magnet_arrow.statistics.intervals import LEVEL, MIN_LEVELS, Interval, clustered, proportion, t_quantile

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Floats

Rankable: TypeAlias = "Panel | Summaries | Source | Any"
"""What can be ranked: a panel; a table with a row for each model and item, or a .csv, .parquet or .npz file of one; or
runs or paths of these."""

RANKED = pl.Schema(
    {
        "rank": pl.Int64,
        MODEL: pl.String,
        SCORE: pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,
        "rank_low": pl.Int64,
        "rank_high": pl.Int64,
        "group": pl.Int64,
        "why": pl.String,
    }
)
_TOO_FEW = f"they differ on fewer than {MIN_LEVELS} items"


def rank(
    data: Rankable,
    *,
    model: str = "model",
    item: str = "item",
    score: str = "score",
    lower_is_better: bool | None = None,
    level: float = LEVEL,
) -> pl.DataFrame:
    """Models by mean score, with intervals, and with the models that they cannot be told apart from.

    Rows: one per model, the best first; equal scores by name. Columns: `rank`, equal for equal scores; `model`;
    `score`, the mean over the items that the model has a score on, `n` of them; its interval `low` to `high`, by
    Wilson's formula where all scores are 0 or 1, else by t; `rank_low` to `rank_high`; `group`; `why` there is no
    interval. Scores are Float64, in the unit of the data; ranks, `n` and `group` are Int64. Models without any score
    come last, without rank.

    All pairs of models are compared on the items that both have a score on, and Holm's correction over all pairs
    decides which differ (`pairwise_comparisons` has them). The ranks that a model may have are those from
    1 + the number of models that are significantly better to K − the number of those that are significantly worse, of K
    models. All these ranges hold together, with probability `level`.

    A group begins with the best model that is in none yet and takes the models that follow, up to the first that
    differs significantly from the group's first model. So each member is tied with the first one; two other members may
    differ from each other, and neighbours in different groups need not.

    Intervals of `score` are of one model alone; whether they overlap does not say whether two models differ. Fewer
    than 5 items have none; two models that differ on fewer than 5 items are tied.

    Args:
        data: a panel; a table as for `Panel.from_frame`, one row for each model and item, or a .csv, .parquet or .npz
            file of one; runs, suites, an outputs folder or paths of these: their items are the questions, as in
            `panel(runs)`.
        model: the table's column that names the model.
        item: the table's column that names the item: a question, or a scenario.
        score: the table's column with the scores.
        lower_is_better: whether the best model is the one with the lowest score. None: of runs and panels of runs what
            HELM's schemas say of the metric; no, where they say nothing, and of tables.
        level: the share of intervals that hold the truth; 1 − level is the level of significance.

    Source of the ranges of ranks: M. Mogstad, J. Romano, A. Shaikh and D. Wilhelm, "Inference for Ranks", Review of
    Economic Studies 91 (2024).

    Raises:
        PanelError: no score at all, two for one model and item, or NaN or infinity.

    >>> right = {"a": "111111111111", "b": "111111111110", "c": "111000000000"}
    >>> rows = [(model, item, int(bit)) for model, bits in right.items() for item, bit in enumerate(bits)]
    >>> table = pl.DataFrame(rows, schema=["model", "item", "score"], orient="row")
    >>> rank(table).select("rank", "model", "n", "rank_low", "rank_high", "group").rows()
    [(1, 'a', 12, 1, 2, 1), (2, 'b', 12, 1, 2, 1), (3, 'c', 12, 3, 3, 2)]
    """
    t_quantile(level, 1)  # checks the level before anything is read
    scored = _Scored.of(data, model=model, item=item, score=score, lower_is_better=lower_is_better)
    better = _significantly_better(scored, comparisons.pairwise(scored.matrix), level)
    rank_low = 1 + better.sum(axis=0)
    rank_high = len(scored.models) - better.sum(axis=1)
    intervals = scored.intervals(level)
    columns = {
        "rank": scored.ranks(),
        MODEL: scored.models,
        SCORE: scored.means,
        "low": [one.low for one in intervals],
        "high": [one.high for one in intervals],
        "n": scored.n_scores,
        "rank_low": rank_low,
        "rank_high": rank_high,
        "group": _groups(better | better.T),
        "why": [one.why for one in intervals],
    }
    unscored = {MODEL: scored.unscored, "n": [0] * len(scored.unscored), "why": ["no score"] * len(scored.unscored)}
    parts = [pl.DataFrame(part, schema_overrides=RANKED) for part in (columns, unscored)]
    return pl.concat(parts, how="diagonal").cast(RANKED)


def pairwise_comparisons(
    data: Rankable,
    *,
    model: str = "model",
    item: str = "item",
    score: str = "score",
    lower_is_better: bool | None = None,
    level: float = LEVEL,
) -> pl.DataFrame:
    """The comparisons of all pairs of models that `rank` decides by; the arguments are the same.

    Rows: one per pair, in the order of the ranking. Columns: `first`, the model with the better score, and `second`;
    `n` items that both have a score on; `difference`, first − second on these, with `stderr` and its interval `low` to
    `high`; `p_value` of t, and `p_holm`, corrected for the number of pairs; `minimum_detectable`, the difference that
    would be found in 80% of cases at p_value 0.05; `why` there is no interval. Models without any score are in no pair.

    The interval is of one pair alone. Where all differences are equal, so that t has no spread to go by, `p_value` is
    that of the sign test, 2 ÷ 2ⁿ.

    >>> table = pl.DataFrame({"model": ["a"] * 5 + ["b"] * 5, "item": [1, 2, 3, 4, 5] * 2,
    ...                       "score": [0.9, 0.8, 0.9, 0.7, 0.8, 0.4, 0.2, 0.5, 0.4, 0.3]})
    >>> pairwise_comparisons(table).select("first", "second", "n", pl.col("difference", "p_holm").round(4)).rows()
    [('a', 'b', 5, 0.46, 0.0008)]
    """
    t_quantile(level, 1)  # checks the level before anything is read
    scored = _Scored.of(data, model=model, item=item, score=score, lower_is_better=lower_is_better)
    pairs = comparisons.pairwise(scored.matrix)
    quantiles = {n: t_quantile(level, max(n - 1, 1)) for n in set(pairs.n.tolist())}
    half = pairs.stderr * [quantiles[n] for n in pairs.n.tolist()]
    known = pl.Series(~numpy().isnan(pairs.p_value))
    of_known = {
        "stderr": pairs.stderr,
        "low": pairs.difference - half,
        "high": pairs.difference + half,
        "p_value": pairs.p_value,
        "p_holm": comparisons.holm(pairs.p_value),
        "minimum_detectable": pairs.minimum_detectable,
    }
    return pl.DataFrame(
        {
            "first": [scored.models[row] for row in pairs.first],
            "second": [scored.models[row] for row in pairs.second],
            "n": pairs.n,
            "difference": pl.Series(pairs.difference).fill_nan(None),
            **{
                name: pl.select(pl.when(known).then(pl.Series(values))).to_series() for name, values in of_known.items()
            },
            "why": pl.select(pl.when(~known).then(pl.lit(_TOO_FEW))).to_series(),
        },
        schema=comparisons.COMPARED,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """The scores of a ranking, in its order.

    Attributes:
        models: the best first.
        matrix: float64, models × items, items by name; NaN where a score is missing.
        means: of the models.
        unscored: models that have no score, by name.
        lower_is_better: whether the best model has the lowest mean.
    """

    models: list[str]
    matrix: "Floats"
    means: list[float]
    unscored: list[str]
    lower_is_better: bool

    @classmethod
    def of(cls, data: Rankable, *, model: str, item: str, score: str, lower_is_better: bool | None) -> "_Scored":
        np = numpy()
        scores = panel_of(data, model, item, score)
        matrix = scores.matrix()[:, np.argsort(scores.items)]  # so that the order of rows changes no last digit
        require_scores(scores)
        means = [_mean(row) for row in matrix]
        lower = _is_lower_better(scores, lower_is_better)
        sign = 1 if lower else -1
        known = [place for place, mean in enumerate(means) if mean is not None]
        order = sorted(known, key=lambda place: (sign * cast(float, means[place]), scores.models[place]))
        return cls(
            models=[scores.models[place] for place in order],
            matrix=matrix[order],
            means=[cast(float, means[place]) for place in order],
            unscored=sorted(name for name, mean in zip(scores.models, means, strict=True) if mean is None),
            lower_is_better=lower,
        )

    @property
    def n_scores(self) -> list[int]:
        """How many items each model has a score on."""
        return [int(n) for n in (~numpy().isnan(self.matrix)).sum(axis=1)]

    def ranks(self) -> list[int]:
        """1 + the number of models with a better score."""
        found: list[int] = []
        for place, mean in enumerate(self.means):
            found.append(found[-1] if place and mean == self.means[place - 1] else place + 1)
        return found

    def intervals(self, level: float) -> list[Interval]:
        """Of each model's mean score, with its items as a draw from more."""
        np = numpy()
        known = [row[~np.isnan(row)] for row in self.matrix]
        all_binary = all(bool(np.isin(scores, (0.0, 1.0)).all()) for scores in known)
        return [_interval(scores, all_binary, level) for scores in known]


def panel_of(data: Rankable, model: str, item: str, score: str) -> Panel:
    """The panel of what can be ranked; `model`, `item` and `score` are a table's columns."""
    if isinstance(data, Panel):
        return data
    if is_score_file(data):
        data = read_score_file(data, (model, item))
    if is_table(data):
        return Panel.from_frame(data, model=model, item=item, score=score, missing="keep")
    return panel(data)


def _is_lower_better(scores: Panel, given: bool | None) -> bool:
    if isinstance(given, bool):
        return given
    if given is not None:
        raise SettingError("lower_is_better:", expected="a bool or None", found=repr(given))
    directions = {name: metric(name).lower_is_better for name in scores.metrics.get_column("metric")}
    lower = sorted(name for name, direction in directions.items() if direction)
    others = sorted(directions.keys() - set(lower))
    if lower and others:
        raise PanelError(
            "Metrics of different directions have no common mean.",
            found=f"lower is better for {lower[0]}, not for {others[0]}",
            hint="Name one metric, or rank win rates: rank(win_rates(…)).",
        )
    return bool(lower)


def _mean(scores: "Floats") -> float | None:
    """The mean of what is not NaN, rounded once: models with the same scores on other items are equal."""
    known = [score for score in scores.tolist() if score == score]
    return fsum(known) / len(known) if known else None


def _interval(scores: "Floats", is_proportion: bool, level: float) -> Interval:
    np = numpy()
    estimate = float(scores.mean())
    if len(scores) < MIN_LEVELS:
        return Interval(estimate, why=f"{counted(len(scores), 'item')}, fewer than {MIN_LEVELS}")
    sums = np.stack([scores, np.ones(len(scores))], axis=1)
    if is_proportion:
        return proportion(sums, [], level=level)
    if (scores == scores[0]).all():
        return Interval(estimate, why="all its scores are equal")
    return clustered(sums, [], level=level)


def _significantly_better(scored: _Scored, pairs: comparisons.Pairs, level: float) -> "Booleans":
    """Whether the model of the row is better than that of the column, by Holm's correction over all pairs."""
    np = numpy()
    differs = comparisons.holm(pairs.p_value) <= 1 - level  # False for NaN
    first_is_better = (pairs.difference > 0) != scored.lower_is_better
    better: Booleans = np.zeros((len(scored.models), len(scored.models)), dtype=np.bool_)
    better[pairs.first, pairs.second] = differs & first_is_better
    better[pairs.second, pairs.first] = differs & ~first_is_better
    return better


def _groups(differs: "Booleans") -> list[int]:
    """The number of each model's group, from 1; see `rank`."""
    groups: list[int] = []
    first = 0
    for place in range(len(differs)):
        if place == 0 or differs[first, place]:
            first = place
            groups.append(len(set(groups)) + 1)
        else:
            groups.append(groups[-1])
    return groups
