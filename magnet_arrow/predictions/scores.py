"""One row per run with its score, as `stats.json` has it."""

from collections.abc import Sequence

import polars as pl

from magnet_arrow.errors import ColumnNotFoundError
from magnet_arrow.predictions import joins
from magnet_arrow.predictions.asked import check_name
from magnet_arrow.predictions.described_runs import (
    GROUPS,
    METHOD,
    PERTURBATION_NAME,
    STAT_NAME,
    STAT_SPLIT,
    unperturbed,
)
from magnet_arrow.predictions.metrics import METRIC, SPLIT, split_rank
from magnet_arrow.schema.registry import RUN, TABLES

_STATS, _PER_INSTANCE = TABLES["stats"], TABLES["per_instance_stats"]
_COUNT, _SUM, _MEAN = _STATS.named("count"), _STATS.named("sum"), _STATS.named("mean")
_COMPUTED_ON = _STATS.named("name.perturbation.computed_on")
_ID, _INSTANCE_SPLIT = _PER_INSTANCE.named("instance_id"), _PER_INSTANCE.named("stats.name.split")
_INSTANCE_SUB_SPLIT = _PER_INSTANCE.named("stats.name.sub_split")
_INSTANCE_PERTURBATION = _PER_INSTANCE.named("perturbation.name")
_NUMBERS = (_COUNT, _SUM, _MEAN)
_N_INSTANCES = "num_instances"
_FINDINGS = (METHOD, GROUPS, "run_spec_name", "model_deployment", "metric_source", "reason", METRIC, SPLIT)


def scores(
    runs: pl.DataFrame,
    stats: pl.LazyFrame,
    per_instance_stats: pl.LazyFrame,
    *,
    metric: str = "main",
    split: str = "main",
    perturbation: str | None = None,
) -> pl.DataFrame:
    """See `HelmRuns.scores`.

    Args:
        runs: as `described_runs.with_main_metrics` gives them.
        stats: rows of table `stats`, with `magnet.run`.
        per_instance_stats: rows of table `per_instance_stats`, with `magnet.run`.
        metric: "main", or the name of one.
        split: "main", or the name of one.
        perturbation: None, or the name of one.
    """
    check_name("metric", metric)
    check_name("split", split)
    check_name("perturbation", perturbation, or_none=True)
    worst = None if perturbation is None else _worst(stats, perturbation)
    wanted = _wanted(runs, unperturbed(stats), metric, split)
    names = wanted[METRIC].unique().drop_nulls().to_list()
    rows = _rows(unperturbed(stats), [*names, _N_INSTANCES])
    found = _found(rows if worst is None else _rows(worst, names), wanted)
    n_instances = _found(rows, wanted.with_columns(pl.lit(_N_INSTANCES).alias(METRIC)))
    scored = wanted.join(found.select(RUN, score=_score()), on=RUN, how="left", maintain_order="left")
    counts = n_instances.select(RUN, n=pl.col(_MEAN).list.sum().cast(pl.Int64, strict=False))
    scored = scored.join(counts, on=RUN, how="left", maintain_order="left")
    errors = _stderr(per_instance_stats, wanted) if perturbation is None else pl.DataFrame(schema=_STDERR)
    scored = scored.join(errors, on=RUN, how="left", maintain_order="left").drop(RUN)
    described = runs.drop(RUN, *_FINDINGS, strict=False)
    return pl.concat([described, scored], how="horizontal")


_STDERR = {RUN: pl.String(), "stderr": pl.Float64()}


def _wanted(runs: pl.DataFrame, stats: pl.LazyFrame, metric: str, split: str) -> pl.DataFrame:
    """`magnet.run`, `metric` and `split` of what is looked for, one row per run."""
    wanted = runs.select(RUN, METRIC, SPLIT)
    if metric != "main":
        wanted = wanted.with_columns(pl.lit(metric).alias(METRIC))
        by_run = _splits(stats, metric).rename({SPLIT: "other"})
        joined = wanted.join(by_run, on=RUN, how="left", maintain_order="left")
        wanted = joined.select(RUN, METRIC, pl.coalesce(SPLIT, "other").alias(SPLIT))
    if split == "main":
        return wanted
    _check_split(stats, split)
    return wanted.with_columns(pl.lit(split).alias(SPLIT))


def _check_split(stats: pl.LazyFrame, split: str) -> None:
    """Raise where no stat is of this split."""
    has_splits = STAT_SPLIT in stats.collect_schema()
    known = stats.select(pl.col(STAT_SPLIT).unique().drop_nulls()).collect()[STAT_SPLIT].to_list() if has_splits else []
    if split not in known:
        raise ColumnNotFoundError.among(split, known, table="stats", what="split")


def _splits(stats: pl.LazyFrame, metric: str) -> pl.DataFrame:
    """Of each run that has the metric the split that counts: test, else valid, else the first by name.

    Raises:
        ColumnNotFoundError: no run has it.
    """
    types = stats.collect_schema()
    names = stats.select(pl.col(STAT_NAME).unique()).collect()[STAT_NAME].to_list() if STAT_NAME in types else []
    if metric not in names:
        raise ColumnNotFoundError.among(metric, names, table="stats", what="stat")
    split = pl.col(STAT_SPLIT) if STAT_SPLIT in types else pl.lit(None, pl.String)
    found = stats.filter(pl.col(STAT_NAME) == metric).select(RUN, split.alias(SPLIT)).unique().collect()
    return found.sort(split_rank(), SPLIT).unique(RUN, keep="first", maintain_order=True)


def _worst(stats: pl.LazyFrame, perturbation: str) -> pl.LazyFrame:
    """The stats of a perturbation that HELM's leaderboards show: over the worst copy of each instance.

    Raises:
        ColumnNotFoundError: no stat is of this perturbation.
    """
    if PERTURBATION_NAME in stats.collect_schema():
        known = stats.select(pl.col(PERTURBATION_NAME).unique().drop_nulls()).collect()[PERTURBATION_NAME].to_list()
    else:
        known = []
    if perturbation not in known:
        raise ColumnNotFoundError.among(perturbation, known, table="stats", what="perturbation")
    return stats.filter(pl.col(PERTURBATION_NAME) == perturbation, pl.col(_COMPUTED_ON) == "worst")


def _rows(stats: pl.LazyFrame, names: Sequence[str]) -> pl.DataFrame:
    """`magnet.run`, `metric`, `split`, count, sum and mean of the stats of these names."""
    types = stats.collect_schema()
    if STAT_NAME not in types:
        of_stat = dict.fromkeys([RUN, METRIC, SPLIT], pl.String())
        return pl.DataFrame(schema={**of_stat, **dict.fromkeys(_NUMBERS, pl.Float64())})
    split = pl.col(STAT_SPLIT) if STAT_SPLIT in types else pl.lit(None, pl.String)
    columns = [pl.col(name) if name in types else pl.lit(None, pl.Float64).alias(name) for name in _NUMBERS]
    named = stats.filter(pl.col(STAT_NAME).is_in(names))
    return named.select(RUN, pl.col(STAT_NAME).alias(METRIC), split.alias(SPLIT), *columns).collect()


def _found(rows: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Those numbers of the stats that are looked for, as lists by run: one per sub-split."""
    matching = rows.join(wanted, on=[RUN, METRIC, SPLIT], how="semi", nulls_equal=True)
    return matching.group_by(RUN, maintain_order=True).agg(_NUMBERS)


def _score() -> pl.Expr:
    """HELM merges what is there several times, such as one stat per sub-split: sum of sums by sum of counts.

    HELM 0.5.16, metrics/statistic.py, `Stat.merge`.
    """
    merged = pl.col(_SUM).list.sum() / pl.col(_COUNT).list.sum()
    return pl.when(pl.col(_MEAN).list.len() == 1).then(pl.col(_MEAN).list.first()).otherwise(merged)


def _stderr(per_instance_stats: pl.LazyFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """Standard error of the mean over instances, whose trials are averaged first; null for fewer than two."""
    types = per_instance_stats.collect_schema()
    if joins.STAT_NAME not in types or joins.STAT_VALUE not in types:
        return pl.DataFrame(schema=_STDERR)
    rows = per_instance_stats.filter(pl.col(joins.STAT_NAME).is_in(wanted[METRIC].unique().drop_nulls().implode()))
    if _INSTANCE_PERTURBATION in types:
        rows = rows.filter(pl.col(_INSTANCE_PERTURBATION).is_null())
    parts = {SPLIT: _INSTANCE_SPLIT, "sub_split": _INSTANCE_SUB_SPLIT}
    columns = {alias: pl.col(name) if name in types else pl.lit(None, pl.String) for alias, name in parts.items()}
    instance = rows.select(RUN, pl.col(joins.STAT_NAME).alias(METRIC), _ID, joins.STAT_VALUE, **columns).collect()
    matching = instance.join(wanted, on=[RUN, METRIC, SPLIT], how="semi", nulls_equal=True)
    means = matching.group_by(RUN, _ID, *parts, maintain_order=True).agg(pl.col(joins.STAT_VALUE).mean())
    value = pl.col(joins.STAT_VALUE)
    return means.group_by(RUN).agg((value.std(ddof=1) / value.count().sqrt()).alias("stderr"))
