"""`magnet.instance_predict_id`: a number for each request state of a split, which its per-instance stats bear too."""

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.errors import warn
from magnet_arrow.predictions.joins import ROW, STAT_ROW, instance_keys, match, one_pair_each, with_key_columns
from magnet_arrow.query.run_columns import RUN_COLUMNS
from magnet_arrow.schema.registry import RUN, RUN_NAME

PREDICT_ID = "magnet.instance_predict_id"


def with_predict_ids(states: pl.DataFrame, stats: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Request states and per-instance stats of a split, each with `magnet.instance_predict_id` as first column.

    The id of a request state is its row number, from 0. A stat has the id of the request state of its instance: with
    the same run, trial, instance id, split, sub-split and perturbation. Where an instance has several requests (one
    per reference, for example), its stats are there once for each; where it has as many values of a stat as requests,
    the first value belongs to the first request, and so on. Stats without a request state are excluded,
    and counted by a `MagnetWarning`.

    Args:
        states: request states; runs of equal names are told apart by `magnet.suite` and so on, as in default frames.
        stats: per-instance stats of the same runs.
    """
    columns = [name for name in (RUN_NAME, *RUN_COLUMNS) if name in states.columns and name in stats.columns]
    run = pl.concat_str(columns, separator="\0").alias(RUN) if columns else pl.lit("").alias(RUN)
    keyed = with_key_columns(states.lazy().with_columns(run), stats.lazy().with_columns(run))
    pairs = one_pair_each(match(*instance_keys(*keyed))).sort(STAT_ROW, ROW)
    n_unmatched = stats.height - pairs[STAT_ROW].n_unique()
    if n_unmatched:
        warn(f"{counted(n_unmatched, 'per-instance stat')} of {stats.height:,} without a request state excluded.")
    return (
        states.with_row_index(PREDICT_ID).cast({PREDICT_ID: pl.Int64}),
        stats[pairs[STAT_ROW]].insert_column(0, pairs[ROW].cast(pl.Int64).alias(PREDICT_ID)),
    )
