"""`check`, `compact`, `rejects` and `cache …`: the cache itself."""

import textwrap
from typing import Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.commands.store import existing_cache, open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.options import CacheDir, Csv, Full, Json, JsonLines, one_form
from magnet_arrow.cli.printing import complain, print_rows, say
from magnet_arrow.cli.questions import agrees


def check(cache: CacheDir = None, json: Json = False) -> None:
    """Read all that is cached, and name what is damaged.

    Names each damaged file and the runs that it affects. Ingesting their sources again repairs them.
    """
    from magnet_arrow.cli.summaries import as_json, check_facts, check_lines, check_summary

    found = existing_cache(cache).check()
    if json:
        print(as_json(check_facts(found)))
    else:
        print(check_summary(found))
        for line in check_lines(found):
            complain(line)
    raise typer.Exit(ExitCode.REPORTED if found.damages else ExitCode.DONE)


def compact(
    cache: CacheDir = None,
    grace: Annotated[
        float, typer.Option(min=0, metavar="HOURS", help="How long files that are no longer in use are kept.")
    ] = 24,
    json: Json = False,
) -> None:
    """Merge small segments, and drop replaced runs.

    An ingest does so by itself from time to time. Readers that have opened the cache can go on for the grace time; a
    shorter one frees space sooner.
    """
    from magnet_arrow.cli.summaries import as_json, compact_facts, compact_summary

    done = existing_cache(cache).compact(grace_s=grace * 3600)
    print(as_json(compact_facts(done)) if json else compact_summary(done))
    for text in done.damaged:
        complain(text)
    raise typer.Exit(ExitCode.REPORTED if done.damaged else ExitCode.DONE)


def rejects(cache: CacheDir = None, csv: Csv = False, json: JsonLines = False) -> None:
    """List what was rejected, and why.

    Of partial runs, the files that are missing or end early. Shows the range of bytes at fault, and a sample of it.
    """
    import polars as pl

    from magnet_arrow._text import as_options
    from magnet_arrow.cli.summaries import rejection

    one_form(json=json, csv=csv)
    rejected = existing_cache(cache).rejects()
    if json or csv:
        print_rows(rejected.with_columns(pl.col("hint").map_elements(as_options, pl.String)), json=json, csv=csv)
    else:
        for (source,), rows in rejected.group_by("source", maintain_order=True):
            say(f"source {source}")
            for row in rows.iter_rows(named=True):
                say(textwrap.indent(rejection(row), "  "))
    if rejected.is_empty():
        complain("Nothing was rejected.")


def cache_path(cache: CacheDir = None) -> None:
    """Print the cache's folder."""
    print(open_cache(cache).path)


def cache_info(cache: CacheDir = None, full: Full = False, csv: Csv = False, json: JsonLines = False) -> None:
    """Show the cache's sources, with runs, size of their JSON and rows per table, and the cache's size on disk."""
    from magnet_arrow._text import as_size
    from magnet_arrow.cli.listing import SOURCES, bytes_on_disk, sources

    one_form(json=json, csv=csv, full=full)
    shown = existing_cache(cache)
    print_rows(sources(shown), json=json, csv=csv, full=full, layout=SOURCES)
    complain(f"{as_size(bytes_on_disk(shown))} on disk, in {shown.path}")


def cache_clear(
    cache: CacheDir = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete everything that is cached. The sources stay as they are."""
    from magnet_arrow.storage.maintenance.clear import clear

    path = open_cache(cache).path
    if not path.exists():
        print(f"There is no cache in {path}.")
    elif yes or agrees(f"Delete everything that is cached in {path}?", "Use --yes to skip the question."):
        clear(path)
        print(f"The cache in {path} is empty.")
    else:
        complain("Nothing was deleted.")


def cache_remove(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE|RUN",
            help="Folders of sources, suites or runs, which may be gone; or names of runs.",
            autocompletion=candidates.cached_sources_and_runs,
        ),
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="All runs that their source has rejected or lost since.")
    ] = False,
    cache: CacheDir = None,
) -> None:
    """Remove runs from the cache, whether or not their source still exists.

    The sources stay as they are.
    """
    from magnet_arrow._text import counted

    if not names and not stale:
        raise typer.BadParameter("name a source or a run, or give --stale.")
    store = existing_cache(cache)
    print(f"{counted(store.remove(*names or (), stale=stale), 'run')} removed from the cache.")
