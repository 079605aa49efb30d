"""`report`: a page about runs, to be read and sent."""

import re
from pathlib import Path
from typing import Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.large_reads import run_ingest
from magnet_arrow.cli.options import CacheDir, Partial, require_folder
from magnet_arrow.cli.printing import complain


@with_bucket_options
def report(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="An outputs folder, a suite, a run, or a glob pattern of these.",
            autocompletion=candidates.some_paths,
        ),
    ],
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file to write, by default NAME-report.html in the current folder.",
            autocompletion=candidates.some_paths,
        ),
    ] = None,
    partial: Partial = False,
    cache: CacheDir = None,
) -> None:
    """Write a page about runs: contents, ranking, scores, tokens, suspicious and disputed questions.

    The page is one HTML file that needs no network and runs no script. An older report is replaced, another file is
    not. Runs that cannot be read are listed in it. Runs that the cache lacks are ingested.
    """
    from magnet_arrow._text import as_size, counted, for_terminal
    from magnet_arrow.pages.report import check_file
    from magnet_arrow.reports.report import report_of, require_packages
    from magnet_arrow.runs.helm_runs import HelmRuns

    file = to or Path(_file_name(source))
    require_folder(file, "--to")
    check_file(file)  # before much work is done
    require_packages()
    store = open_cache(cache)
    run_ingest([source], store, partial=partial)
    runs = HelmRuns(source, cache=store, partial=partial)
    page = report_of(runs, source)
    page.save(file)
    print(f"{for_terminal(str(file))}: {counted(len(runs), 'run')}, {as_size(len(page.html.encode()))}")
    n_unread = len(runs) - len(runs.complete())
    if n_unread and not partial:
        complain(f"{counted(n_unread, 'run')} rejected or incomplete: the report lists them.")
        raise typer.Exit(ExitCode.REPORTED)


def _file_name(source: str) -> str:
    """A name made of the source: `mmlu-report.html` for `data/mmlu/benchmark_output`."""
    parts = [part for part in Path(source).expanduser().absolute().parts if part not in ("benchmark_output", "runs")]
    name = re.sub(r"[^\w.-]+", "-", parts[-1]).strip("-.")[:100] if len(parts) > 1 else ""
    return f"{name}-report.html" if name else "report.html"
