"""`scores`: how well each model did."""

import sys
from typing import Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.large_reads import ask_before_frames
from magnet_arrow.cli.options import CacheDir, Csv, Full, JsonLines, Partial, one_form
from magnet_arrow.cli.printing import complain, print_rows, terminal_width


@with_bucket_options
def scores(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="An outputs folder, a suite, a run, or a pattern.",
            autocompletion=candidates.some_paths,
        ),
    ],
    by: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Columns to group by; each value of the last is a column.",
            autocompletion=candidates.lists_of(candidates.SCORE_COLUMNS),
        ),
    ] = "model,scenario",
    metric: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="A metric, such as exact_match; by default each run's main one.",
            autocompletion=candidates.metrics,
        ),
    ] = "main",
    partial: Partial = False,
    cache: CacheDir = None,
    full: Full = False,
    csv: Csv = False,
    json: JsonLines = False,
) -> None:
    """Show the mean scores of runs, by model and scenario or other columns of `HelmRuns.scores`.

    A run's score is that of its stats.json, on the main split and without perturbation. Runs that the cache lacks are
    ingested.
    """
    from magnet_arrow.cli.score_table import as_table, grouped
    from magnet_arrow.runs.helm_runs import HelmRuns

    one_form(json=json, csv=csv, full=full)
    columns = [name.strip() for name in by.split(",") if name.strip()]
    store = open_cache(cache)
    ask_before_frames([path], store, partial=partial)
    groups = grouped(HelmRuns(path, cache=store, partial=partial).scores(metric), columns)
    if csv or json:
        print_rows(groups, json=json, csv=csv)
    else:
        table, layout = as_table(groups, columns, None if full else terminal_width(sys.stdout))
        print_rows(table, full=full, layout=layout)
        complain(_caption(groups["metric"].unique().to_list(), groups["split"].unique().to_list()))


def _caption(metrics: list[str | None], splits: list[str | None]) -> str:
    """What the numbers are."""
    named, on = sorted(filter(None, metrics)), sorted(filter(None, splits))
    if not named:
        return "No run has a main metric: name one with --metric."
    return f"Mean of {', '.join(named)} over the runs of each cell" + (f", on {', '.join(on)}." if on else ".")
