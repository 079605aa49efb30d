"""`rank`: models by score, with those that cannot be told apart."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.large_reads import run_ingest
from magnet_arrow.cli.options import CacheDir, Csv, Full, JsonLines, Partial, one_form, require_folder
from magnet_arrow.cli.printing import complain, print_rows

if TYPE_CHECKING:
    import polars as pl

    from magnet_arrow.predictions.panel import Panel

_MODEL, _ITEM, _SCORE, _MAIN = "model", "item", "score", "main"
_LABEL = "values of --by"


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE|CSV",
        help="An outputs folder, a suite or a pattern; or a table as .csv, .parquet or .npz.",
        autocompletion=candidates.some_paths,
    ),
]
Metric = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="A stat, or a table's column of scores. main: each run's, or `score`.",
        autocompletion=candidates.metrics,
    ),
]
By = Annotated[
    str,
    typer.Option(
        metavar="A,B",
        help="What models are compared on: each item, or the mean scores by columns such as scenario.",
        autocompletion=candidates.lists_of(["item", *candidates.SCORE_COLUMNS]),
    ),
]
Model = Annotated[str, typer.Option(metavar="COLUMN", help="The table's column that names the model.")]
LowerIsBetter = Annotated[
    bool | None,
    typer.Option("--lower-is-better/--higher-is-better", help="The direction, if not the one that HELM says."),
]
WinRates = Annotated[
    bool, typer.Option("--win-rates", help="Rank by mean win rate over what --by says, as HELM's leaderboards.")
]
Pairs = Annotated[bool, typer.Option("--pairs", help="Print the comparison of each pair of models instead.")]
ParquetFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write all columns to this file, too.", autocompletion=candidates.some_paths),
]


@with_bucket_options
def rank(
    source: Source,
    metric: Metric = _MAIN,
    by: By = _ITEM,
    model: Model = _MODEL,
    lower_is_better: LowerIsBetter = None,
    win_rates: WinRates = False,
    pairs: Pairs = False,
    partial: Partial = False,
    cache: CacheDir = None,
    full: Full = False,
    csv: Csv = False,
    json: JsonLines = False,
    parquet: ParquetFile = None,
) -> None:
    """Rank models by score, with intervals, ranges of ranks and groups of tied models.

    Which models differ is decided by comparing all pairs on the items that both have, with Holm's correction. A table
    has a row for each model and item; the runs of a source are ingested where the cache lacks them.
    """
    from magnet_arrow.evaluation import ranking
    from magnet_arrow.evaluation.score_files import is_score_file
    from magnet_arrow.evaluation.win_rates import win_rates as rates_of

    one_form(json=json, csv=csv, full=full)
    if parquet is not None:
        require_folder(parquet, "--parquet")
    columns = _names(by)
    if is_score_file(source):
        scores = _panel_of_file(Path(source), metric, columns, model)
    else:
        scores = _panel_of_runs(source, metric, columns, partial, cache)
    if win_rates:
        scores, lower_is_better = rates_of(scores, lower_is_better=bool(lower_is_better)), False
    found = (ranking.pairwise_comparisons if pairs else ranking.rank)(scores, lower_is_better=lower_is_better)
    if parquet is not None:
        found.write_parquet(parquet)
    if csv or json:
        print_rows(found, json=json, csv=csv)
    else:
        _print_table(found, of_pairs=pairs, full=full)
        complain(_caption(found, scores, win_rates))


def _names(by: str) -> list[str]:
    columns = [name.strip() for name in by.split(",") if name.strip()]
    if not columns or len(set(columns)) < len(columns):
        raise typer.BadParameter("expected names of columns, each once.", param_hint="--by")
    return columns


def _print_table(found: "pl.DataFrame", *, of_pairs: bool, full: bool) -> None:
    from magnet_arrow.cli.rank_table import PAIRS, RANKING, pairs_table, ranking_table

    shown, layout = (pairs_table(found), PAIRS) if of_pairs else (ranking_table(found), RANKING)
    print_rows(shown, full=full, layout=layout)


def _panel_of_runs(source: str, metric: str, by: Sequence[str], partial: bool, cache: Path | None) -> "Panel":
    """The panel of runs: by question, or by the values of columns of `HelmRuns.scores`."""
    from magnet_arrow.cli.score_table import grouped
    from magnet_arrow.panels import panel
    from magnet_arrow.runs.helm_runs import HelmRuns

    store = open_cache(cache)
    run_ingest([source], store, partial=partial)
    runs = HelmRuns(source, cache=store, partial=partial)
    if list(by) == [_ITEM]:
        found = panel(runs, metric)
        for name, reason, rows in found.excluded.iter_rows():
            complain(f"{name}: {rows:,} samples excluded: {reason}.")
        return found
    scores = runs.scores(metric)
    found = _panel_of_groups(grouped(scores, [_MODEL, *by]), by)
    if len(found.items) == 1 and (finer := _varying_arguments(scores)):
        complain(f"All runs have one {' and '.join(by)}. They differ in {', '.join(finer)}: try --by {finer[0]}.")
    return found


def _varying_arguments(scores: "pl.DataFrame") -> list[str]:
    """The scenario's arguments that have several values, those with most values first."""
    values = {name: scores.get_column(name).n_unique() for name in scores.columns if name.startswith("args.")}
    return sorted((name for name, n in values.items() if n > 1), key=lambda name: (-values[name], name))


def _panel_of_groups(groups: "pl.DataFrame", by: Sequence[str]) -> "Panel":
    """The panel of mean scores, where what `by` names is the item."""
    import polars as pl

    from magnet_arrow.errors import PanelError
    from magnet_arrow.predictions.panel import METRICS, Panel

    several = groups.filter(pl.struct(_MODEL, *by).is_duplicated())
    if several.height:
        cell, metrics = several.row(0, named=True), several.get_column("metric").unique(maintain_order=True)
        raise PanelError(
            "Scores by several metrics or on several splits have no common mean.",
            found=f"{', '.join(map(str, metrics))} for {', '.join(f'{cell[name]}' for name in (_MODEL, *by))}",
            hint=f"Name one metric: metric={metrics[0]!r}.",
        )
    found = Panel.from_frame(groups.with_columns(_label(by)), model=_MODEL, item=_LABEL, score=_SCORE, missing="keep")
    counts = groups.group_by("metric", "split", maintain_order=True).agg(pl.col("runs").sum()).drop_nulls("metric")
    return dataclasses.replace(found, metrics=counts.cast(METRICS))


def _panel_of_file(file: Path, metric: str, by: Sequence[str], model: str) -> "Panel":
    """The panel of a table: by item, or by the values of other columns."""
    import polars as pl

    from magnet_arrow.evaluation.score_files import read_score_file
    from magnet_arrow.predictions.panel import Panel

    table = read_score_file(file, [model, _ITEM, *by])
    score = _SCORE if metric == _MAIN else metric
    _check_columns(table, [model, *by, score])
    items = [*by, _ITEM] if _ITEM in table.columns and _ITEM not in by else by
    found = Panel.from_frame(table.with_columns(_label(items)), model=model, item=_LABEL, score=score, missing="keep")
    if items == by:
        return found
    means = table.group_by(pl.col(model).alias(_MODEL), _label(by), maintain_order=True).agg(pl.col(score).mean())
    return Panel.from_frame(means, model=_MODEL, item=_LABEL, score=score, missing="keep")


def _check_columns(table: "pl.DataFrame", names: Sequence[str]) -> None:
    from magnet_arrow.errors import ColumnNotFoundError

    for name in names:
        if name not in table.columns:
            raise ColumnNotFoundError.among(name, table.columns, table="The table")


def _label(by: Sequence[str]) -> "pl.Expr":
    """What the columns say, as one text; null where a single one is null."""
    import polars as pl

    texts = [pl.col(name).cast(pl.String) for name in by]
    return (
        texts[0] if len(texts) == 1 else pl.concat_str([text.fill_null("–") for text in texts], separator=", ")
    ).alias(_LABEL)


def _caption(found: "pl.DataFrame", scores: "Panel", win_rates: bool) -> str:
    """What the numbers are."""
    from magnet_arrow._text import counted

    named = sorted(set(scores.metrics.get_column("metric")))
    what = "win rate" if win_rates else "score"
    of = f" by {', '.join(named)}" if named else ""
    lines = [f"Mean {what}{of} over {counted(len(scores.items), 'item')}; these are seen as a draw from more."]
    if "group" not in found.columns:
        return "\n".join([*lines, "p_holm is corrected for the number of pairs; –: they differ on too few items."])
    lines.append("The ranks that a model may have hold for all models together (Holm, 95%).")
    lines.append("In a group no model differs significantly from the first one.")
    reasons = found.get_column("why").drop_nulls().unique().sort()
    lines += [f"No interval: {'; '.join(reasons)}."] if len(reasons) else []
    return "\n".join(lines)
