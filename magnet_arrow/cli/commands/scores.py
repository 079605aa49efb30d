"""`scores`: how well each model did."""

import shutil
import sys
from typing import Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.options import CacheDir, JsonLines, Partial
from magnet_arrow.cli.printing import complain, print_rows


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
    csv: Annotated[bool, typer.Option("--csv", help="Print one row per group as CSV.")] = False,
    partial: Partial = False,
    cache: CacheDir = None,
    json: JsonLines = False,
) -> None:
    """Show the mean scores of runs, by model and scenario or other columns of `HelmRuns.scores`.

    A run's score is that of its stats.json, on the main split and without perturbation. Runs that the cache lacks are
    ingested.
    """
    from magnet_arrow.cli.score_table import as_lines, grouped
    from magnet_arrow.runs.helm_runs import HelmRuns

    if csv and json:
        raise typer.BadParameter("--csv and --json exclude each other.")
    columns = [name.strip() for name in by.split(",") if name.strip()]
    groups = grouped(HelmRuns(path, cache=open_cache(cache), partial=partial).scores(metric), columns)
    if csv:
        sys.stdout.write(groups.write_csv())
    elif json:
        print_rows(groups, json=True)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print(*as_lines(groups, columns, width), sep="\n")
        complain(_caption(groups["metric"].unique().to_list(), groups["split"].unique().to_list()))


def _caption(metrics: list[str | None], splits: list[str | None]) -> str:
    """What the numbers are."""
    named, on = sorted(filter(None, metrics)), sorted(filter(None, splits))
    if not named:
        return "No run has a main metric: name one with --metric."
    return f"Mean of {', '.join(named)} over the runs of each cell" + (f", on {', '.join(on)}." if on else ".")
