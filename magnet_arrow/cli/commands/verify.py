"""`validate`, `verify` and `restore`: a source before its ingest, and the way back from the cache."""

from pathlib import Path
from typing import Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.large_reads import ask_before_all
from magnet_arrow.cli.options import CacheDir, FollowLinks, Json, Sources
from magnet_arrow.cli.printing import complain, say


@with_bucket_options
def validate(paths: Sources, follow_links: FollowLinks = True, json: Json = False) -> None:
    """Look at runs without ingesting them.

    Tells what is there, what HELM does not declare, what would be rejected, and which releases of HELM wrote it.
    Nothing is written, and no cache is read.
    """
    from magnet_arrow.checks.validate import validate
    from magnet_arrow.cli.summaries import (
        as_json,
        findings_text,
        first_of,
        validation_facts,
        validation_summary,
    )

    ask_before_all(paths)
    found = validate(paths, follow_links=follow_links)
    if json:
        print(as_json(validation_facts(found)))
    else:
        say(validation_summary(found))
        texts = [str(one) for one in found.unreadable]
        texts += [findings_text(one) for one in (*found.runs, *found.suites) if not one.is_clean]
        _print_paragraphs(first_of(texts, rest="; --json has all"), first_of(found.notes, rest="; --json has all"))
    raise typer.Exit(ExitCode.DONE if found.is_clean else ExitCode.REPORTED)


@with_bucket_options
def verify(paths: Sources, cache: CacheDir = None, follow_links: FollowLinks = True, json: Json = False) -> None:
    """Rebuild every file from the cache, and compare it with the source.

    A run or a file that is not in the cache is a difference; a rejected run is reported. Nothing is ingested.
    """
    from magnet_arrow.checks.verify import verify
    from magnet_arrow.cli.summaries import (
        as_json,
        first_of,
        verify_facts,
        verify_reasons,
        verify_summary,
    )

    ask_before_all(paths)
    report = verify(paths, open_cache(cache), follow_links=follow_links)
    if not report.runs:
        complain("No run of this source is cached. `magnet-arrow ingest PATH` reads runs into the cache.")
    if json:
        print(as_json(verify_facts(report)))
    else:
        say(verify_summary(report))
        _print_paragraphs(first_of(verify_reasons(report), rest="; --json has more"), first_of(report.notes))
    raise typer.Exit(ExitCode.DONE if report.is_equal else ExitCode.REPORTED)


def _print_paragraphs(*texts: str) -> None:
    for text in filter(None, texts):
        say(f"\n{text}")


def restore(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="A run's folder, its suite/folder in the cache, or its name.",
            autocompletion=candidates.cached_runs,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="The folder to write runs/SUITE/RUN into.", autocompletion=candidates.some_paths
        ),
    ],
    cache: CacheDir = None,
) -> None:
    """Write cached runs as the JSON files that they came from.

    Nothing is overwritten.
    """
    from magnet_arrow._text import for_terminal
    from magnet_arrow.query.stored_tables import StoredTables
    from magnet_arrow.restore.run_files import remove_leftovers, restore
    from magnet_arrow.storage.named_runs import find_cached

    snapshot = open_cache(cache).snapshot()
    stored = StoredTables(snapshot)
    for path in remove_leftovers(out):
        complain(f"{path} was removed: it was left by a restore that was killed.")
    for run in [find_cached(snapshot, name) for name in runs]:
        print(for_terminal(str(restore(snapshot, run, out, stored=stored))))
        if left_out := run.entry.not_chosen:
            complain(f"Not restored, as they were left out of the ingest: {', '.join(left_out)}.")
