"""Predicted vs. actual: lazy joins of predictions with the stats of the held-out run."""

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.errors import JoinError
from magnet_arrow.predictions.instance_ids import PREDICT_ID
from magnet_arrow.predictions.joins import STAT_NAME as INSTANCE_STAT_NAME
from magnet_arrow.predictions.joins import STAT_VALUE
from magnet_arrow.predictions.records import PERTURBATION, STAT_MEAN, STAT_NAME, STAT_SPLIT, STAT_SUB_SPLIT
from magnet_arrow.query.run_columns import RUN_COLUMNS
from magnet_arrow.schema.registry import RUN_NAME, TABLES

INSTANCE_ID = TABLES["scenario_state"].named("request_states.instance.id")

_ROW = "prediction"
_PREDICTED = (RUN_NAME, PREDICT_ID, INSTANCE_STAT_NAME)
_ACTUAL = "actual_mean"
_KNOWN = " known"


def compare_runs(predictions: pl.LazyFrame, stats: pl.LazyFrame, run_specs: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Each prediction with the stats that match it.

    A stat matches a prediction if run, split, name and perturbation are equal, and the sub-split where the prediction
    has one. Nulls are equal. Of a perturbation, those parameters count that the prediction names, as in MAGNET; so
    several stats may match a prediction.

    Rows: one per match, in the order of the predictions, then of the stats. A prediction without a match
    has one row, with null as its `actual_mean`. HELM also writes null for a stat over no values;
    `without_truth` gives the rows of both kinds.

    Columns: `run_spec`, `split`, `stat_name`, `predicted_mean`, `actual_mean`, `perturbation_<parameter>` in
    the predictions' order, and `sub_split`: the stat's, or the prediction's if nothing matched. After `run_spec`, if
    `stats` has them, the columns that tell runs of equal names apart (`magnet.suite` and others).

    Args:
        predictions: a frame of `records.frame`.
        stats: rows of table `stats` of the held-out runs; columns that occur in none may be missing.
        run_specs: rows of table `run_spec` of these runs; they locate the run of a prediction without a match.
    """
    types = predictions.collect_schema()
    perturbation = [name for name in types if name.startswith(PERTURBATION)]
    keys = [RUN_NAME, STAT_SPLIT, STAT_NAME, *perturbation]
    predictions = predictions.with_row_index(_ROW)
    telling = [name for name in RUN_COLUMNS if name in stats.collect_schema()]
    strings = dict.fromkeys(telling, pl.String())
    stats = _actual(stats, {key: types[key] for key in [*keys, STAT_SUB_SPLIT, STAT_MEAN]} | strings)
    any_sub_split = predictions.filter(pl.col(STAT_SUB_SPLIT).is_null()).drop(STAT_SUB_SPLIT)
    with_sub_split = predictions.filter(pl.col(STAT_SUB_SPLIT).is_not_null())
    matches = [_joined(any_sub_split, stats, keys), _joined(with_sub_split, stats, [*keys, STAT_SUB_SPLIT])]
    return _with_runs(pl.concat(matches, how="diagonal").sort(_ROW, maintain_order=True), telling, run_specs).select(
        pl.col(RUN_NAME).alias("run_spec"),
        *telling,
        pl.col(STAT_SPLIT).alias("split"),
        pl.col(STAT_NAME).alias("stat_name"),
        pl.col(STAT_MEAN).alias("predicted_mean"),
        _ACTUAL,
        *(pl.col(name).alias("perturbation_" + name.removeprefix(PERTURBATION)) for name in perturbation),
        pl.col(STAT_SUB_SPLIT).alias("sub_split"),
    )


def compare_instances(predictions: pl.LazyFrame, stats: pl.LazyFrame, states: pl.LazyFrame) -> pl.LazyFrame:
    """Each prediction of a stat of a request state with the actual one.

    Rows: one per prediction, in their order. A prediction without an actual value has null as its `actual_mean`.

    Columns: `run_spec`, `instance_id`, `prediction_id`, `stat_name`, `predicted_mean`, `actual_mean`. The instance id
    is null if no request state has the prediction's id.

    Args:
        predictions: a frame of `instance_records.instance_frame`.
        stats: rows of table `per_instance_stats` with `magnet.instance_predict_id`, one value for each stat of a
            request state (`require_one_value`).
        states: rows of table `scenario_state` with `magnet.instance_predict_id`.
    """
    ids = states.select(RUN_NAME, PREDICT_ID, _named_or_null(states, INSTANCE_ID, "instance_id", pl.String()))
    name = _named_or_null(stats, INSTANCE_STAT_NAME, INSTANCE_STAT_NAME, pl.String())
    means = stats.select(RUN_NAME, PREDICT_ID, name, _named_or_null(stats, STAT_VALUE, _ACTUAL, pl.Float64()))
    means = means.drop_nulls(_ACTUAL).unique(_PREDICTED, keep="first")
    known = predictions.join(ids, on=[RUN_NAME, PREDICT_ID], how="left", maintain_order="left")
    return known.join(means, on=_PREDICTED, how="left", maintain_order="left").select(
        pl.col(RUN_NAME).alias("run_spec"),
        "instance_id",
        pl.col(PREDICT_ID).alias("prediction_id"),
        pl.col(INSTANCE_STAT_NAME).alias("stat_name"),
        pl.col(STAT_VALUE).alias("predicted_mean"),
        _ACTUAL,
    )


def require_one_value(predictions: pl.DataFrame, stats: pl.DataFrame) -> None:
    """Raise where a predicted stat of a request state has several different values; null is none.

    Raises:
        JoinError: it does.
    """
    if not {STAT_VALUE, INSTANCE_STAT_NAME} <= set(stats.columns):
        return
    known = stats.filter(pl.col(STAT_VALUE).is_not_null())
    predicted = known.join(predictions.select(_PREDICTED), on=_PREDICTED, how="semi")
    values = predicted.group_by(_PREDICTED, maintain_order=True).agg(pl.col(STAT_VALUE).unique(maintain_order=True))
    several = values.filter(pl.col(STAT_VALUE).list.len() > 1)
    if several.is_empty():
        return
    run, number, stat, found = several.row(0)
    raise JoinError(
        f"{counted(several.height, 'predicted stat')} of a request state {'has' if several.height == 1 else 'have'} "
        "several actual values.",
        expected=f"one value of {for_terminal(stat)} for request state {number} of {for_terminal(run)}",
        found=" and ".join(map(str, found[:5])),
        hint="Predict other stats, or leave out this run by a filter.",
    )


def _named_or_null(rows: pl.LazyFrame, column: str, name: str, dtype: pl.DataType) -> pl.Expr:
    """A column under another name; null if it does not occur."""
    return (pl.col(column) if column in rows.collect_schema() else pl.lit(None, dtype)).alias(name)


def without_truth(comparison: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of a comparison without an actual value."""
    return comparison.filter(pl.col(_ACTUAL).is_null())


def _with_runs(compared: pl.LazyFrame, telling: list[str], run_specs: pl.LazyFrame | None) -> pl.LazyFrame:
    """Fill in the columns that locate a run for predictions without a match, if just one run has their name."""
    if run_specs is None or not telling:
        return compared
    known = run_specs.select(RUN_NAME, *telling).unique(RUN_NAME, keep="none")
    found = compared.join(known, on=RUN_NAME, how="left", suffix=_KNOWN, maintain_order="left")
    return found.with_columns(pl.coalesce(name, name + _KNOWN) for name in telling)


def _actual(stats: pl.LazyFrame, types: dict[str, pl.DataType]) -> pl.LazyFrame:
    """The keys and the mean of stats; a column that does not occur is null."""
    known = stats.collect_schema()
    columns = [
        pl.col(name) if known.get(name, pl.Null) != pl.Null else pl.lit(None, dtype).alias(name)
        for name, dtype in types.items()
    ]
    return stats.select(*columns).rename({STAT_MEAN: _ACTUAL})


def _joined(predictions: pl.LazyFrame, stats: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    left, right = predictions.collect_schema(), stats.collect_schema()
    pairs = {f"key {key}": _comparable(key, left[key], right[key]) for key in keys}
    predictions = predictions.with_columns(ours.alias(on) for on, (ours, _) in pairs.items())
    stats = stats.select(pl.exclude(keys), *(theirs.alias(on) for on, (_, theirs) in pairs.items()))
    joined = predictions.join(stats, on=list(pairs), how="left", nulls_equal=True, maintain_order="left_right")
    return joined.drop(*pairs)


def _comparable(key: str, left: pl.DataType, right: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    """The key on both sides in one type, in which values of different types (true, 1 and "1") stay different."""
    column = pl.col(key)
    if left == right:
        return column, column
    if left.is_numeric() and right.is_numeric():
        return column.cast(pl.Float64), column.cast(pl.Float64)
    return _tagged(column, left), _tagged(column, right)


def _tagged(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return pl.concat_str(pl.lit(f"{dtype} "), column.cast(pl.String))
