"""Predictions beside the truth: joins by lazy Polars, which look at no data themselves."""

import polars as pl

from magnet_arrow.predictions.records import PERTURBATION, STAT_MEAN, STAT_NAME, STAT_SPLIT, STAT_SUB_SPLIT
from magnet_arrow.query.run_columns import RUN_COLUMNS
from magnet_arrow.schema.registry import RUN_NAME

_ROW = "prediction"
_ACTUAL = "actual_mean"
_KNOWN = " known"


def compare_runs(predictions: pl.LazyFrame, stats: pl.LazyFrame, run_specs: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """Each prediction beside the stats that it foretells.

    A stat is foretold if it is of the same run and split and has the same name, the same perturbation and,
    where the prediction has one, the same sub-split. Two nulls are the same. The parameters of a perturbation
    that count are those that a prediction names, as in MAGNET; so several stats may match, each a row.

    Rows: one a match, in the order of the predictions, then of the stats. A prediction that matches nothing
    has a row too, with null as its `actual_mean`. Null is also what HELM has for a stat over no values: there
    is no truth to compare with either, and `without_truth` gives both.

    Columns: `run_spec`, `split`, `stat_name`, `predicted_mean`, `actual_mean`, `perturbation_<parameter>` in
    the predictions' order, and `sub_split`: the stat's, or the prediction's where nothing matched. Behind `run_spec`,
    where `stats` has them, the columns that tell runs of equal names apart (`magnet.suite` and its like).

    Args:
        predictions: as `records.frame` makes it.
        stats: rows of table `stats` of the evaluated runs; columns that occur in none may be missing.
        run_specs: rows of table `run_spec` of these runs: where the run of a prediction without a match is.
    """
    types = predictions.collect_schema()
    perturbation = [name for name in types if name.startswith(PERTURBATION)]
    keys = [RUN_NAME, STAT_SPLIT, STAT_NAME, *perturbation]
    predictions = predictions.with_row_index(_ROW)
    telling = [name for name in RUN_COLUMNS if name in stats.collect_schema()]
    strings = dict.fromkeys(telling, pl.String())
    stats = _truth(stats, {key: types[key] for key in [*keys, STAT_SUB_SPLIT, STAT_MEAN]} | strings)
    any_part = predictions.filter(pl.col(STAT_SUB_SPLIT).is_null()).drop(STAT_SUB_SPLIT)
    one_part = predictions.filter(pl.col(STAT_SUB_SPLIT).is_not_null())
    matches = [_joined(any_part, stats, keys), _joined(one_part, stats, [*keys, STAT_SUB_SPLIT])]
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


def without_truth(comparison: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of a comparison that have nothing to be compared with."""
    return comparison.filter(pl.col(_ACTUAL).is_null())


def _with_runs(compared: pl.LazyFrame, telling: list[str], run_specs: pl.LazyFrame | None) -> pl.LazyFrame:
    """With the columns that tell where a run is, also for predictions that match nothing, if one run has their name."""
    if run_specs is None or not telling:
        return compared
    known = run_specs.select(RUN_NAME, *telling).unique(RUN_NAME, keep="none")
    found = compared.join(known, on=RUN_NAME, how="left", suffix=_KNOWN, maintain_order="left")
    return found.with_columns(pl.coalesce(name, name + _KNOWN) for name in telling)


def _truth(stats: pl.LazyFrame, types: dict[str, pl.DataType]) -> pl.LazyFrame:
    """The keys and the mean; one that occurs in no stat is null."""
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
    """The key on both sides with one type, such that values of two kinds (true, 1 and "1") stay different."""
    column = pl.col(key)
    if left == right:
        return column, column
    if left.is_numeric() and right.is_numeric():
        return column.cast(pl.Float64), column.cast(pl.Float64)
    return _tagged(column, left), _tagged(column, right)


def _tagged(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return pl.concat_str(pl.lit(f"{dtype} "), column.cast(pl.String))
