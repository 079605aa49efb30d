"""One row per run with what samples, scores and panels say of it: where it is, its model, its scenario."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.errors import warn
from magnet_arrow.predictions.metrics import METRIC, SPLIT, RunOfMetric, Splits, SuiteSchema, main_metrics
from magnet_arrow.query.run_columns import FOLDER, SOURCE, SUITE
from magnet_arrow.schema.registry import RUN, RUN_NAME, TABLES, key_parts

METHOD, GROUPS = "method", "groups"
_SPEC, _STATS = TABLES["run_spec"], TABLES["stats"]
_METHOD, _GROUPS = _SPEC.named("adapter_spec.method"), _SPEC.named("groups")
_MODEL, _DEPLOYMENT = _SPEC.named("adapter_spec.model"), _SPEC.named("adapter_spec.model_deployment")
_CLASS = _SPEC.named("scenario_spec.class_name")
_ARGS = _CLASS.removesuffix("class_name") + "args"
SPEC_COLUMNS = [RUN_NAME, SOURCE, SUITE, FOLDER, _MODEL, _DEPLOYMENT, _CLASS, _METHOD, _GROUPS]
"""Columns of table `run_spec` that are needed, beside those of the scenario's arguments."""

STAT_NAME, STAT_SPLIT = _STATS.named("name.name"), _STATS.named("name.split")
PERTURBATION_NAME = _STATS.named("name.perturbation.name")


def argument_columns(names: Collection[str]) -> list[str]:
    """Those columns of table `run_spec` that hold arguments of the scenario."""
    return [name for name in names if name == _ARGS or name.startswith(f"{_ARGS}.")]


def describe(run_specs: pl.LazyFrame, json_columns: Collection[str] = ()) -> pl.DataFrame:
    """One row per run, in their order.

    Columns: `magnet.run`, `source`, `suite`, `run` (the folder), `run_spec_name`, `model`, `model_deployment`,
    `scenario` (its class, without modules); `args.<name>` for each argument of the scenario that all these runs have,
    and where some have others, `scenario_args`: all arguments of the run as JSON. Behind them `method` and `groups`.

    Args:
        run_specs: rows of table `run_spec` with `SPEC_COLUMNS`, `argument_columns` and `magnet.run`.
        json_columns: columns of it whose texts are JSON because their values are of several kinds.
    """
    specs = run_specs.collect()
    names = [name for name in argument_columns(specs.columns) if name != _ARGS]
    shared = [name for name in names if not specs[name].null_count()]
    columns: list[pl.Expr | pl.Series] = [pl.col(name).alias("args" + name.removeprefix(_ARGS)) for name in shared]
    if len(shared) < len(names):
        columns.append(_as_json(specs, names, json_columns))
    return specs.select(
        RUN,
        pl.col(SOURCE).alias("source"),
        pl.col(SUITE).alias("suite"),
        pl.col(FOLDER).alias("run"),
        pl.col(RUN_NAME).alias("run_spec_name"),
        pl.col(_MODEL).alias("model"),
        pl.col(_DEPLOYMENT).alias("model_deployment"),
        pl.col(_CLASS).str.split(".").list.last().alias("scenario"),
        *columns,
        pl.col(_METHOD).alias(METHOD),
        pl.col(_GROUPS).alias(GROUPS),
    )


def with_main_metrics(
    runs: pl.DataFrame, schemas: Mapping[str, SuiteSchema | None], stats: pl.LazyFrame
) -> pl.DataFrame:
    """The runs with the columns of `metrics.main_metrics`.

    Args:
        runs: as `describe` gives them.
        schemas: the schema of each run's suite, by `magnet.run`.
        stats: rows of table `stats` of these runs, with `magnet.run`.
    """
    parts = runs.select(RUN, GROUPS, "scenario", METHOD).iter_rows()
    of_metric = [
        RunOfMetric(key, groups or (), scenario or "", method or "") for key, groups, scenario, method in parts
    ]
    mains = main_metrics(of_metric, schemas, lambda keys: _splits_of(stats, keys))
    return pl.concat([runs, mains.drop(RUN)], how="horizontal")


def report_missing(runs: pl.DataFrame) -> None:
    """Say how many runs have no main metric."""
    without = runs.filter(pl.col(METRIC).is_null())
    if not without.is_empty():
        first = without.row(0, named=True)
        warn(
            f"No main metric for {without.height:,} of {counted(runs.height, 'run')}, so their scores are null. The "
            f"first: {first['suite']}/{first['run']}: {first['reason']}.",
            "`main_metrics()` tells all; name a metric.",
            shell_hint="Name one with --metric.",
        )


def unperturbed(stats: pl.LazyFrame) -> pl.LazyFrame:
    """The stats that are of no perturbation."""
    return stats.filter(pl.col(PERTURBATION_NAME).is_null()) if PERTURBATION_NAME in stats.collect_schema() else stats


def _splits_of(stats: pl.LazyFrame, keys: Sequence[str]) -> dict[str, Splits]:
    """Unperturbed stats of these runs, with their splits."""
    types = stats.collect_schema()
    if STAT_NAME not in types:
        return {}
    split = pl.col(STAT_SPLIT) if STAT_SPLIT in types else pl.lit(None, pl.String)
    rows = unperturbed(stats).filter(pl.col(RUN).is_in(keys)).select(RUN, name=STAT_NAME, split=split)
    found: dict[str, dict[str, list[str | None]]] = {}
    for key, name, splits in rows.unique().group_by(RUN, "name").agg(SPLIT).collect().iter_rows():
        found.setdefault(key, {})[name] = splits
    return dict(found)


def _as_json(specs: pl.DataFrame, names: Sequence[str], json_columns: Collection[str]) -> pl.Series:
    """All arguments of each run as a JSON object."""
    rows = specs.select(names).iter_rows()
    paths = [key_parts(name.removeprefix(f"{_ARGS}.")) for name in names]
    is_json = [name in json_columns for name in names]
    texts = []
    for row in rows:
        arguments: dict[str, Any] = {}
        for path, value, as_json in zip(paths, row, is_json, strict=True):
            if value is not None:
                inner = arguments
                for key in path[:-1]:
                    inner = inner.setdefault(key, {})
                inner[path[-1]] = json.loads(value) if as_json else value
        texts.append(json.dumps(arguments, ensure_ascii=False))
    return pl.Series("scenario_args", texts, pl.String)
