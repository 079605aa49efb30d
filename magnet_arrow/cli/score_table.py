"""Scores of runs by model, scenario and other columns, as a table that fits its width."""

from collections.abc import Sequence

import polars as pl

from magnet_arrow.cli.tables import lines
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


def pivoted(groups: pl.DataFrame, by: Sequence[str], width: int | None) -> list[str]:
    """The groups as lines of text, one column per value of the last of `by`; one row per group if that is too wide.

    Args:
        groups: as `grouped` gives them.
        by: the columns that they are grouped by.
        width: of the terminal; None for any.
    """
    long = list(lines(groups))
    if len(by) < 2:
        return long
    for order in (by, [*by[1:], by[0]]):
        wide = list(lines(_pivot(groups, order)))
        if width is None or len(wide[0]) <= width:
            return wide
    return long


def _pivot(groups: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    *rows, last = by
    if groups[METRIC].drop_nulls().len():
        groups = groups.filter(pl.col(METRIC).is_not_null())  # of the others a note says how many they are
    label = pl.col(last).cast(pl.String).fill_null("–")
    if groups[METRIC].n_unique() > 1:
        label = pl.concat_str(label, METRIC, separator=" ")
    if groups[SPLIT].n_unique() > 1:
        label = pl.concat_str(label, pl.col(SPLIT).fill_null("–"), separator=" ")
    labelled = groups.with_columns(label.alias(_LABEL), pl.col(SCORE).round(4))
    return labelled.pivot(_LABEL, index=rows, values=SCORE, sort_columns=True)


_LABEL = "label of the column"
