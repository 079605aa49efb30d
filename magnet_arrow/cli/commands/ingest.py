"""`ingest`: runs into the cache."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.options import CacheDir, FollowLinks, Json, Sources
from magnet_arrow.cli.printing import complain, say

if TYPE_CHECKING:
    from magnet_arrow.cache import Cache
    from magnet_arrow.ingestion.api import IngestReport


def ingest(
    paths: Sources,
    runs: Annotated[str, typer.Option(metavar="GLOB", help="Only run folders that match.")] = "*",
    cache: CacheDir = None,
    retry: Annotated[bool, typer.Option("--retry", help="Read rejected runs again, even if unchanged.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove cached runs that are gone from the source.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Ingest what is complete of runs that lack a file or have one cut short.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Reject runs that hold fields or values that HELM does not declare.")
    ] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Ingest display_predictions.json with pictures, too.")
    ] = False,
    content_hash: Annotated[
        bool, typer.Option("--content-hash", help="Notice changed files by their bytes, not by size and date alone.")
    ] = False,
    follow_links: FollowLinks = True,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Number of reading processes; by default one per core where that pays."),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that all processes together may use, such as 2GB.")
    ] = None,
    json: Json = False,
) -> None:
    """Read runs into the cache.

    Unchanged runs are skipped. Rejected runs are read again only with --retry or --partial.
    """
    from magnet_arrow.ingestion.parallel.settings import parse_bytes

    store = open_cache(cache)
    known = () if retry or partial else {found.rejected for found in store.snapshot_to_ingest().rejected.values()}
    report = run_ingest(
        paths,
        store,
        runs=runs,
        retry=retry,
        prune=prune,
        partial=partial,
        strict=strict,
        pictures=pictures,
        content_hash=content_hash,
        follow_links=follow_links,
        workers=workers,
        memory_bytes=None if memory is None else parse_bytes(memory),
    )
    print_ingest(report, json=json)
    if any(rejected in known for rejected in report.rejected):
        complain("Runs that were rejected before and have not changed were not read again; --retry reads them.")
    raise typer.Exit(ingest_code(report))


def run_ingest(paths: list[str], store: "Cache", **options: Any) -> "IngestReport":
    """Call `magnet_arrow.ingest`; `options` are its arguments."""
    from magnet_arrow.ingestion.api import ingest

    return ingest(paths, store, **options)


def ingest_code(report: "IngestReport") -> ExitCode:
    """The exit code for what an ingest reports."""
    if report.rejected and not (report.runs or report.skipped):
        return ExitCode.STOPPED
    return ExitCode.REPORTED if report.rejected or report.lacking or report.stale else ExitCode.DONE


def print_ingest(report: "IngestReport", *, json: bool = False) -> None:
    """Print the summary to stdout, and what needs attention to stderr."""
    from magnet_arrow.cli.summaries import (
        as_json,
        first_of,
        ingest_facts,
        ingest_summary,
        lacking_text,
        rejected_text,
        stale_text,
        unexpected_lines,
    )

    if json:
        print(as_json(ingest_facts(report)))
    else:
        say(ingest_summary(report))
    kept = [f"Kept in magnet.extra: {line}" for line in unexpected_lines(report.unexpected)]
    rejected = [rejected_text(one) for one in report.rejected]
    texts = (
        first_of(report.notes, rest="; --json has all"),
        first_of(kept, rest="; --json has all"),
        first_of(rejected, rest="; `magnet-arrow rejects` lists all"),
        lacking_text(report),
        stale_text(report),
    )
    for text in filter(None, texts):
        complain(text)
