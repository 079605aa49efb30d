"""Samples to a panel: which rows count, and how several of them become one score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import polars as pl

from magnet_arrow._near_names import did_you_mean
from magnet_arrow.errors import ColumnNotFoundError, PanelError, SettingError
from magnet_arrow.predictions.asked import check_choice, check_name
from magnet_arrow.predictions.metrics import split_rank
from magnet_arrow.predictions.panel import EXCLUDED, METRICS, Panel
from magnet_arrow.predictions.panel_files import ITEM, MODEL, SCORE

Repeats: TypeAlias = Literal["refuse", "mean"]

_RUN = ("source", "suite", "run")
_INSTANCE = (*_RUN, "split", "sub_split", "instance_id", "perturbation")
_ITEM_KEY, _KEY_REASON = "item_key", "item_key_reason"
_MAIN_SPLIT = "main split"
SCENARIO = "scenario and arguments"
_CELL = (MODEL, ITEM)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which samples are cells of a panel.

    Attributes:
        metric: "main", or the name of a stat.
        items: the column that names the item.
        split: "main" for that of the run's main metric (test, else valid, where it has none), or a name.
        perturbation: None for the unperturbed questions, or a name.
        trial: None for the mean over train trials, or the number of one.
        repeats: what if runs of one scenario by one model have scores for the same item: "refuse" raises.
    """

    metric: str = "main"
    items: str = _ITEM_KEY
    split: str = "main"
    perturbation: str | None = None
    trial: int | None = None
    repeats: Repeats = "refuse"


def panel_of_samples(samples: pl.LazyFrame, main_metrics: pl.DataFrame, wanted: Wanted) -> Panel:
    """The panel of samples; see `magnet_arrow.panel`.

    Args:
        samples: with the scores that are wanted: `metric` and `score`, or a column of the metric's name.
        main_metrics: `source`, `suite`, `run`, `metric`, `split` of each run.
        wanted: which samples count.
    """
    rows, excluded = rows_of_cells(samples, main_metrics, wanted)
    by_instance = rows.group_by(*_CELL, *_INSTANCE, maintain_order=True).agg(pl.col(SCORE).mean())
    cells = by_instance.group_by(_CELL, maintain_order=True).agg(pl.col(SCORE).mean(), pl.len().alias("rows"))
    panel = Panel.from_frame(cells, model=MODEL, item=ITEM, score=SCORE, missing="keep")
    repeats = cells.filter(pl.col("rows") > 1).select(*_CELL, "rows")
    metrics = rows.group_by("metric", "split", maintain_order=True).agg(pl.struct(_RUN).n_unique().alias("runs"))
    return replace(panel, excluded=excluded, repeats=repeats, metrics=metrics.cast(METRICS))


def rows_of_cells(
    samples: pl.LazyFrame, main_metrics: pl.DataFrame, wanted: Wanted
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The samples that are in cells, and the number of others; arguments as in `panel_of_samples`.

    Columns of the samples: `model`, `item`, `score`, `metric`, `trial`, `source`, `suite`, `run`, those that name the
    instance, and `SCENARIO`: JSON of the scenario and its arguments.
    """
    check_choice("repeats", wanted.repeats, ("refuse", "mean"))
    _check_wanted(wanted)
    rows = _wanted_rows(samples, main_metrics, wanted)
    excluded = _excluded(rows)
    rows = rows.filter(pl.col(_REASON).is_null())
    if rows.is_empty():
        raise _nothing_left(samples, excluded, wanted)
    _check(rows, wanted)
    _check_metrics(rows)
    if wanted.items != _ITEM_KEY:
        _check_labels(rows, wanted.items)
    if wanted.repeats == "refuse":
        _check_runs(rows)
    return rows, excluded


def _check_wanted(wanted: Wanted) -> None:
    check_name("items", wanted.items)
    check_name("split", wanted.split)
    check_name("perturbation", wanted.perturbation, or_none=True)
    if wanted.trial is not None and type(wanted.trial) is not int:
        raise SettingError("trial:", expected="a whole number or None", found=repr(wanted.trial))


_REASON = "reason"


def _wanted_rows(samples: pl.LazyFrame, main_metrics: pl.DataFrame, wanted: Wanted) -> pl.DataFrame:
    """The samples that are asked for, and why some of them can be no cell."""
    known = samples.collect_schema()
    if wanted.items not in known:
        raise ColumnNotFoundError.among(wanted.items, list(known), table="samples()")
    if not (known[wanted.items] == pl.String or known[wanted.items].is_integer()):
        found = str(known[wanted.items])
        raise SettingError(f"items={wanted.items!r} names no items.", expected="strings or integers", found=found)
    arguments = [name for name in known if name == "scenario_args" or name.startswith("args.")]
    is_main = wanted.metric == "main"
    rows = samples.select(
        MODEL,
        pl.col(wanted.items).cast(pl.String).alias(ITEM),
        _ITEM_KEY,
        _KEY_REASON,
        *_INSTANCE,
        "trial",
        pl.col("metric") if is_main else pl.lit(wanted.metric).alias("metric"),
        pl.col(SCORE if is_main else wanted.metric).alias(SCORE),
        pl.struct("scenario", *arguments).struct.json_encode().alias(SCENARIO),
    )
    rows = rows.filter(pl.col("perturbation").eq_missing(pl.lit(wanted.perturbation, pl.String)))
    of_trial = rows if wanted.trial is None else rows.filter(pl.col("trial") == wanted.trial)
    of_split = _of_split(of_trial.collect(), main_metrics, wanted.split)
    no_metric = pl.when(pl.col("metric").is_null()).then(pl.lit("its run has no main metric"))
    if wanted.items == _ITEM_KEY:
        no_item = pl.format("its question is {}", _KEY_REASON)  # null where there is a key
    else:
        no_item = pl.when(pl.col(ITEM).is_null()).then(pl.lit(f"it has no {wanted.items}")).otherwise(None)
    return of_split.with_columns(pl.coalesce(no_metric, no_item).alias(_REASON))


def _of_split(rows: pl.DataFrame, main_metrics: pl.DataFrame, split: str) -> pl.DataFrame:
    if split != "main":
        return rows.filter(pl.col("split") == split)
    main = main_metrics.select(*_RUN, pl.col("split").alias(_MAIN_SPLIT))
    rows = rows.join(main, on=_RUN, how="left", maintain_order="left")
    first = pl.col("split").sort_by(split_rank(), "split").first().over(_RUN)
    return rows.filter(pl.col("split").eq_missing(pl.coalesce(_MAIN_SPLIT, first))).drop(_MAIN_SPLIT)


def _excluded(rows: pl.DataFrame) -> pl.DataFrame:
    left_out = rows.filter(pl.col(_REASON).is_not_null())
    counts = left_out.group_by(MODEL, _REASON, maintain_order=True).agg(pl.len().alias("rows"))
    return counts.cast(EXCLUDED)


def _nothing_left(samples: pl.LazyFrame, excluded: pl.DataFrame, wanted: Wanted) -> PanelError:
    if excluded.is_empty():
        asked = f"split {wanted.split!r}, perturbation {wanted.perturbation!r}, trial {wanted.trial!r}"
        hint = _near_split_or_perturbation(samples, wanted) or None
        return PanelError("No sample is of what was asked for.", found=f"none with {asked}", hint=hint)
    reasons = ", ".join(f"{rows:,} as {reason}" for _, reason, rows in excluded.iter_rows())
    hint = (
        "Name a metric: metric='exact_match'." if "metric" in reasons else "Name another column: items='instance_id'."
    )
    return PanelError("No sample can be a cell of a panel.", found=f"excluded: {reasons}", hint=hint)


def _near_split_or_perturbation(samples: pl.LazyFrame, wanted: Wanted) -> str:
    known = samples.select("split", "perturbation").unique().collect()
    perturbed = known.filter(pl.col("perturbation").eq_missing(pl.lit(wanted.perturbation, pl.String)))
    if perturbed.is_empty():
        return did_you_mean(wanted.perturbation or "", known["perturbation"].drop_nulls())
    return did_you_mean(wanted.split, perturbed["split"].drop_nulls())


def _check(rows: pl.DataFrame, wanted: Wanted) -> None:
    nan = rows.filter(pl.col(SCORE).is_nan())
    if nan.height:
        metric, run, instance = nan.select("metric", _run_text(), "instance_id").row(0)
        raise PanelError(
            f"{nan.height:,} scores are NaN, so their means would be too.",
            found=f"{metric} NaN for {instance} of {run}",
            hint="Filter these runs out, or make a table of your own for Panel.from_frame.",
        )
    if rows.get_column(SCORE).null_count() == rows.height:
        metrics = ", ".join(rows.get_column("metric").unique(maintain_order=True).drop_nulls())
        raise PanelError(f"None of {rows.height:,} samples has a score by {metrics}.", hint=_WHICH_METRICS)


_WHICH_METRICS = "samples(metrics='all') has the metrics that single instances have."


def _check_metrics(rows: pl.DataFrame) -> None:
    """Raise where the scores of an item are by several metrics: they neither average nor compare."""
    metrics = rows.group_by(ITEM, maintain_order=True).agg(pl.col("metric").unique(maintain_order=True))
    several = metrics.filter(pl.col("metric").list.len() > 1)
    if several.height:
        item, names = several.row(0)
        raise PanelError(
            f"{several.height:,} of {metrics.height:,} items have main metrics that differ from run to run.",
            found=f"{' and '.join(names)} for item {item!r}",
            hint=f"Name one: metric={names[0]!r}.",
        )


def _check_labels(rows: pl.DataFrame, items: str) -> None:
    """Raise where one label stands for several questions, such as an instance id in two subjects."""
    keys = rows.group_by(ITEM, maintain_order=True).agg(pl.col(_ITEM_KEY).drop_nulls().n_unique())
    unequal = keys.filter(pl.col(_ITEM_KEY) > 1)
    if unequal.height:
        name, n = unequal.row(0)
        raise PanelError(
            f"{unequal.height:,} of {keys.height:,} items by {items} are not one question.",
            found=f"{n} questions called {name!r}",
            hint="items='item_key' tells them apart.",
        )


def _check_runs(rows: pl.DataFrame) -> None:
    """Raise where two runs of one scenario by one model answer the same item: which one is meant is not ours to say."""
    key = [*_CELL, SCENARIO]
    runs = rows.select(*key, _run_text().alias("of run")).unique(maintain_order=True)
    several = runs.group_by(key, maintain_order=True).agg("of run").filter(pl.col("of run").list.len() > 1)
    if several.height:
        model, item, _, names = several.row(0)
        raise PanelError(
            f"{several.height:,} cells have scores of several runs of one scenario by one model.",
            found=f"{len(names)} runs for model {model!r}, item {item!r}: {_few(names)}",
            hint="Choose some of the runs, or average over them: panel(…, repeats='mean').",
        )


def _run_text() -> pl.Expr:
    return pl.concat_str("suite", "run", separator="/")


def _few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
