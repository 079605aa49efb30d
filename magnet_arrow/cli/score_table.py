"""Scores of runs by model, scenario and other columns, as a table that fits its width."""

from collections.abc import Sequence

import polars as pl

from magnet_arrow.cli.tables import Layout, fitted
from magnet_arrow.errors import ColumnNotFoundError, SettingError

METRIC, SPLIT, SCORE, RUNS = "metric", "split", "score", "runs"


def grouped(scores: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The mean score of the runs that agree in some columns, in metric and in split.

    Rows: one per group, sorted. Runs without a score count in `runs` only.

    Args:
        scores: as `HelmRuns.scores` gives them.
        by: names of its columns.

    Raises:
        SettingError: no column, or one twice.
        ColumnNotFoundError: it has no such column.
    """
    known = [name for name in scores.columns if name not in (METRIC, SPLIT, SCORE, "n", "stderr")]
    if not by or len(set(by)) < len(by):
        raise SettingError("--by:", expected="names of columns, each once", found=",".join(by) or "none")
    for name in by:
        if name not in known:
            raise ColumnNotFoundError.among(name, known, table="The table of scores")
    keys = [*by, METRIC, SPLIT]
    # HELM's leaderboards too take the plain mean over the runs of a cell.
    return scores.group_by(keys).agg(pl.col(SCORE).mean(), pl.len().cast(pl.Int64).alias(RUNS)).sort(keys)


def as_table(groups: pl.DataFrame, by: Sequence[str], width: int | None) -> tuple[pl.DataFrame, Layout]:
    """The groups as the first of these tables that is no wider than the terminal, and how it is fitted.

    One column per value of the last of `by`; one per value of the first; one row per group, below the values of the
    columns but the last, whose names are shortened.

    Args:
        groups: as `grouped` gives them.
        by: the columns that they are grouped by.
        width: of the terminal; None for any.
    """
    if groups[METRIC].drop_nulls().len():
        groups = groups.filter(pl.col(METRIC).is_not_null())  # of the others a note says how many they are
    for order in [by, [*by[1:], by[0]]] if len(by) > 1 else []:
        table = _pivot(groups, order)
        layout = Layout(least={name: _LEAST_NAME if name in by else _ALL for name in table.columns}, decimals=_DECIMALS)
        if width is None or not fitted(table, width, layout).left_out:
            return table, layout
    return _long(groups, by), Layout(heading=by[:-1], drop=[RUNS], decimals=_DECIMALS)


_DECIMALS = 4
_LEAST_NAME = 20
_ALL = 1000
_LABEL = "label of the column"


def _pivot(groups: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    *rows, last = by
    labelled = groups.with_columns(_label(groups, last))
    return labelled.pivot(_LABEL, index=rows, values=SCORE, sort_columns=True)


def _long(groups: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    return groups.select(*by, *(name for name in (METRIC, SPLIT) if groups[name].n_unique() > 1), SCORE, RUNS)


def _label(groups: pl.DataFrame, column: str) -> pl.Expr:
    """The values of a column, with metric and split where these are several."""
    parts = [column, *(name for name in (METRIC, SPLIT) if groups[name].n_unique() > 1)]
    return pl.concat_str([pl.col(name).cast(pl.String).fill_null("–") for name in parts], separator=" ").alias(_LABEL)
