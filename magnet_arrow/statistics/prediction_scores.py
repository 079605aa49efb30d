"""`score`: how good predictions are, group by group, with intervals."""

from collections.abc import Iterable, Sequence
from math import isfinite, isnan
from typing import Any

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import ColumnNotFoundError, SettingError
from magnet_arrow.predictions.panel_files import lazy_frame
from magnet_arrow.statistics.intervals import LEVEL
from magnet_arrow.statistics.predicted_spread import spread_of
from magnet_arrow.statistics.prediction_rows import (
    Columns,
    Unanswered,
    checked_unanswered,
    loss_rows,
    names,
    require,
    require_types,
)
from magnet_arrow.statistics.score_groups import Group, groups_of
from magnet_arrow.statistics.score_kinds import KINDS, SCORES

_COUNTS = ("n", "answered", "without_truth")
_FOLD = ("fold", "draw")


def score(
    predictions: Any,
    by: str | Iterable[str] = (),
    *,
    over: str | Iterable[str] | None = None,
    scores: str | Iterable[str] | None = None,
    level: float | None = LEVEL,
    predicted: str = "predicted",
    actual: str = "actual",
    unanswered: Unanswered = "exclude",
    quantile_levels: Sequence[float] | None = None,
    interval_level: float | None = None,
) -> pl.DataFrame:
    """How good predictions are: one row for each group of `by`, in order of its values.

    Rows of `predictions` without a finite truth count in `without_truth`, the others in `n`, and those of `n` with a
    finite prediction in `answered`. Scores are over the answered rows. Each score is null where it cannot be computed,
    and `why_null` says why. These are the scores, ŷ the prediction, y the truth:

    | column | definition |
    | --- | --- |
    | `mae`, `rmse`, `mse` | mean of abs(ŷ − y); root of the mean of (ŷ − y)²; that mean |
    | `bias` | mean of ŷ − y: above 0 the predictions are too high |
    | `max_error` | largest abs(ŷ − y); no interval |
    | `q2` | 1 − Σ(y − ŷ)² ÷ Σ(y − m)², m the mean of the fold's train part (Schüürmann and others 2008) |
    | `skill` | 1 − `mae` ÷ that of the best constant, the median of the fold's train part |
    | `skill_rmse`, `skill_brier` | the same of RMSE and Brier score; their best constant is the mean (Murphy 1988) |
    | `correlation`, `rank_correlation` | Pearson's and Spearman's within folds, see below |
    | `noise_floor` | the `mae` that perfect predictions would have: mean of √(2/π)·√`noise_variance` |
    | `noise_floor_binomial` | an upper bound of it: mean of √(2/π)·√(y(1−y)(M−k)) ÷ M |
    | `brier` | mean of (ŷ − y)² of truths 0 and 1 (Brier 1950) |
    | `log_loss` | mean of −log of what was given to the truth, ŷ clipped to [1e-6, 1 − 1e-6] |
    | `calibration_slope`, `calibration_intercept` | of y regressed on logit ŷ, ŷ clipped as before (Cox 1958) |
    | `calibration_in_the_large` | the intercept with the slope fixed at 1 |
    | `rejection_area` | area under the accuracy–rejection curve of PredictaBoard (arXiv 2502.14445), ties at random |
    | `crps` | of `samples`, in the fair form (Ferro 2014); else of normal distributions with `stddev` |
    | `wis` | weighted interval score: twice the mean pinball loss of `quantiles` (Bracher and others 2021) |
    | `interval_coverage` | the share of truths in the predicted interval, which claims `interval_level` |
    | `interval_width` | mean width of that interval |

    **Truths 0 and 1**, each of one item (`n_items` 1 or null), have the scores from `brier` to `rejection_area`; if one
    truth of a group is something else, the group has none of them, and its squared error is `mse`, which is no Brier
    score. `clipped` counts the predictions that were clipped.

    **Correlations** are of each fold (and draw) with 4 rows or more, averaged on Fisher's z with weights n − 3. Across
    folds they would be pulled towards −1: what is held out is missing from its train part. `folds` counts all folds,
    `correlation_folds` those that are in the mean, `correlation_folds_perfect` those with |r| = 1, which are left out;
    the others are too small or constant. Ranks have the same counts, named `rank_…`.

    **Noise**: `noise_variance` is Σ p̂(1−p̂) ÷ M², over the items behind the truth that the predictor was not asked; M
    is `n_items`, and k is `budget`. So the floor of the M − k others counts (M − k)/M times. The p̂ in
    `Evaluation.predictions` are those of an item response model fitted to the same outcomes; where it fits badly, the
    floor is too high. Both floors are for truths that are means of 0 and 1, over more than one item.

    **Spread**: `stddev` 0 says that the prediction is certain, null that it has no spread. A column `variance` is read
    in its place if there is no `stddev`; there 0 means no spread, as in MAGNET. `n_crps`, `n_wis`
    and `n_interval` count the rows that these scores are of.

    **Intervals** `<score>_low` to `<score>_high` are by the two-way cluster jackknife with t, see
    `magnet_arrow.statistics.intervals`: models and items are seen as draws from more. They do not say how another
    train part would have changed the predictions. Those of `rmse` are symmetric on the scale of `mse`, those of
    correlations on Fisher's z (of ranks that stay as they are), `interval_coverage` has Wilson's.

    Columns: `by`; `n`, `answered`, `without_truth`; each score, and its interval if it may have one, followed by the
    counts that belong to it; `why_null`. Counts are Int64, scores Float64; errors, noise floors, `crps`, `wis` and
    `interval_width` are in the unit of the truth, `mse` in its square.

    Args:
        predictions: a Polars frame, lazy or not, or a table of PyArrow, pandas or the like, with one row per predicted
            value, as `Evaluation.predictions`. Only `predicted`, `actual` and what `by` and `over` name must be there.
        by: the columns that make groups, such as `predictor` and `budget`. None: all rows are one group.
        over: the factors that intervals are over: one column or two, or `()` if each row is a draw of its own. None:
            `model` and `item`, those of them that are there and not in `by`; for want of items `scenario`, if there are
            5 or more.
        scores: which of the scores are computed; all if None.
        level: the share of intervals that hold the truth; None for no intervals, which takes less time.
        predicted: the column of predictions: `predicted_mean` in what a `RunPredictor` gives.
        actual: the column of truths: `actual_mean` in what a `RunPredictor` gives.
        unanswered: what of rows that have no finite prediction: "exclude", or "train_mean" to score the fold's
            `train_mean` in their place, so that a predictor gains nothing if it answers easy rows alone.
        quantile_levels: the levels of the lists in `quantiles`.
        interval_level: which predicted interval is looked at: by default the outermost pair of quantiles, else 0.95.

    Raises:
        ColumnNotFoundError: there is no such column, or no such score.
        PredictionError: a column has a wrong type, a spread is impossible, or there are no rows.
        SettingError: an argument has an impossible value.
        MissingPackageError: NumPy, SciPy, scikit-learn or scoringrules is needed: the extra `stats`.

    >>> frame = pl.DataFrame({"predictor": ["a", "a", "b", "b"], "predicted": [0.5, 0.7, 0.1, None],
    ...                       "actual": [0.4, 0.9, 0.2, 0.4]})
    >>> scores = score(frame, by="predictor", scores=["mae", "bias"], level=None)
    >>> scores.select("predictor", "n", "answered", pl.col("mae", "bias").round(3)).rows()
    [('a', 2, 2, 0.15, -0.05), ('b', 2, 1, 0.1, -0.1)]
    """
    chosen = _chosen(scores)
    if level is not None and not (isinstance(level, int | float) and 0 < level < 1):
        raise SettingError(f"level={level!r} is no confidence level.", expected="a number between 0 and 1, or None")
    table = lazy_frame(predictions)
    columns, factors = _columns(table.collect_schema(), names(by, "by"), over, (predicted, actual))
    spread = None
    if any(KINDS[name].spread for name in chosen):
        spread = spread_of(columns.known, quantile_levels, interval_level)
    with numpy().errstate(all="ignore"):  # a score that is not finite is null and says so
        rows = loss_rows(table, columns, spread, checked_unanswered(unanswered))
        keys, groups = groups_of(rows, columns, factors)
        records = [_record(group, chosen, level) for group in groups]
    return pl.concat([keys, pl.DataFrame(records, schema=_schema(chosen, level), orient="row")], how="horizontal")


def _chosen(scores: str | Iterable[str] | None) -> tuple[str, ...]:
    if scores is None:
        return SCORES
    chosen = names(scores, "scores")
    for name in chosen:
        if name not in KINDS:
            raise ColumnNotFoundError.among(name, SCORES, table="`score`", what="score")
    return chosen


def _columns(
    known: pl.Schema, by: tuple[str, ...], over: str | Iterable[str] | None, values: tuple[str, str]
) -> tuple[Columns, tuple[str, ...] | None]:
    """The columns that are read, and the factors if they are given."""
    factors = None if over is None else names(over, "over")
    if factors is not None and len(factors) > 2:
        raise SettingError(f"over names {len(factors)} factors.", expected="two at most")
    for name in values:
        if not isinstance(name, str):
            raise SettingError(f"{name!r} is no name of a column.", expected="a string")
    require(known, (*by, *(factors or ()), *values))
    taken = [name for name in by if name in _schema(SCORES, LEVEL) or name.startswith(" ")]
    if taken:
        raise SettingError(f"by: {taken[0]!r} is a column of the result.", hint="Rename it first.")
    candidates = ("model", "item", "scenario") if factors is None else factors
    read = tuple(name for name in candidates if name in known and name not in by) if factors is None else factors
    columns = Columns(by, read, tuple(name for name in _FOLD if name in known), *values, known)
    require_types(columns)
    return columns, factors


def _schema(chosen: Sequence[str], level: float | None) -> dict[str, pl.DataType]:
    columns: dict[str, pl.DataType] = dict.fromkeys(_COUNTS, pl.Int64())
    for name in chosen:
        kind = KINDS[name]
        columns[name] = pl.Float64()
        if level is not None and kind.interval:
            columns |= {f"{name}_low": pl.Float64(), f"{name}_high": pl.Float64()}
        columns |= {count: pl.Int64() for count in kind.counts}
    return columns | {"why_null": pl.String()}


def _record(group: Group, chosen: Sequence[str], level: float | None) -> dict[str, Any]:
    """One row of the result."""
    record: dict[str, Any] = dict(zip(_COUNTS, group.counts(), strict=True))
    why: dict[tuple[str, str], list[str]] = {}
    for name in chosen:
        kind = KINDS[name]
        found = kind.of(group, level)
        defined, is_nan = isfinite(found.estimate), isnan(found.estimate)
        record[name] = found.estimate if defined else None
        if kind.interval and level is not None:
            record |= {f"{name}_low": found.low, f"{name}_high": found.high}
        for count in kind.counts:
            record[count] = group.count_of(count, level)
        if not defined:
            why.setdefault(("", (found.why if is_nan else None) or "it is not finite"), []).append(name)
        elif found.why is not None and kind.interval and level is not None:
            why.setdefault(("interval of ", found.why), []).append(name)
    texts = (f"{what}{', '.join(of)}: {reason}" for (what, reason), of in why.items())
    return record | {"why_null": "; ".join(texts) or None}
