"""`ingest`: runs into the cache."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_all_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.large_reads import ask_for
from magnet_arrow.cli.options import CacheDir, FollowLinks, Json, Sources, table_name
from magnet_arrow.cli.printing import complain, print_rows, say

if TYPE_CHECKING:
    from magnet_arrow.helm.public_bucket import PublicRuns
    from magnet_arrow.ingestion.api import IngestReport
    from magnet_arrow.ingestion.bill import Bill


Runs = Annotated[
    str,
    typer.Option(metavar="PATTERN", help="Only run folders that match: a name, a glob, regex:…, or A|B of these."),
]
Benchmark = Annotated[
    str | None, typer.Option(metavar="PATTERN", help="Of helm://, which benchmarks; patterns as of --runs.")
]
Version = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Of helm://, which versions: latest (the default), all (of each run the newest), or a pattern.",
    ),
]
Release = Annotated[
    str | None, typer.Option(metavar="PATTERN", help="Of helm://, the runs of a release in place of a version's.")
]
OnlyPlan = Annotated[
    bool, typer.Option("--plan", help="Only print what would be read: runs, files and bytes, what is cached.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before more than 1 GB is read; only a terminal is asked.")]
ListBenchmarks = Annotated[bool, typer.Option("--list-benchmarks", help="Only list the benchmarks of helm://.")]
ListVersions = Annotated[bool, typer.Option("--list-versions", help="Only list the versions of helm://BENCHMARK.")]
ListRuns = Annotated[bool, typer.Option("--list-runs", help="Only list the run folders of helm://BENCHMARK[/VERSION].")]
Retry = Annotated[bool, typer.Option("--retry", help="Read rejected runs again, even if unchanged.")]
Prune = Annotated[bool, typer.Option("--prune", help="Remove cached runs that are gone from the source.")]
IngestPartial = Annotated[
    bool, typer.Option("--partial", help="Ingest what is complete of runs that lack a file or have one cut short.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Reject runs that hold fields or values that HELM does not declare.")
]
Pictures = Annotated[bool, typer.Option("--pictures", help="Ingest display_predictions.json with pictures, too.")]
ContentHash = Annotated[
    bool, typer.Option("--content-hash", help="Notice changed files by their bytes, not by size and date alone.")
]
Tables = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Only fetch and read what these tables need, such as stats; run_spec is always read.",
        autocompletion=candidates.lists_of(candidates.TABLES),
    ),
]
KeepJson = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Keep what is fetched of a bucket in this folder, as it is, for HELM's tools and later ingests.",
        autocompletion=candidates.some_paths,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of reading processes; by default one per core where that pays."),
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory that all processes together may use, such as 2GB.")
]


@with_all_bucket_options
def ingest(
    paths: Sources,
    runs: Runs = "*",
    benchmark: Benchmark = None,
    version: Version = None,
    release: Release = None,
    plan: OnlyPlan = False,
    yes: Yes = False,
    list_benchmarks: ListBenchmarks = False,
    list_versions: ListVersions = False,
    list_runs: ListRuns = False,
    cache: CacheDir = None,
    retry: Retry = False,
    prune: Prune = False,
    partial: IngestPartial = False,
    strict: Strict = False,
    pictures: Pictures = False,
    content_hash: ContentHash = False,
    tables: Tables = None,
    keep_json: KeepJson = None,
    follow_links: FollowLinks = True,
    workers: Workers = None,
    memory: Memory = None,
    json: Json = False,
) -> None:
    """Read runs into the cache.

    Unchanged runs are skipped. Rejected runs are read again only with --retry or --partial.
    """
    from magnet_arrow.ingestion.api import prepare
    from magnet_arrow.ingestion.parallel.settings import WorkerSettings, parse_bytes
    from magnet_arrow.ingestion.rules import Rules, Selection

    if list_benchmarks or list_versions or list_runs:
        kind = _only_kind({"benchmarks": list_benchmarks, "versions": list_versions, "runs": list_runs}, release)
        for path in paths:
            _list_public(kind, _public(path, benchmark, version, release), runs, json=json)
        raise typer.Exit
    sources = _sources(paths, benchmark, version, release)
    settings = WorkerSettings(workers, None if memory is None else parse_bytes(memory))
    # To compare bytes, a plan would fetch them.
    rules = Rules(partial, strict, pictures, content_hash and not plan, _choice(tables), keep_json=keep_json)
    planned = prepare(sources, open_cache(cache), Selection(runs, follow_links, retry), rules=rules, writes=not plan)
    if plan:
        _print_plan(planned.bill(), json=json)
        raise typer.Exit
    if not yes:
        ask_for(planned)
    known = () if retry or partial else planned.rejected_before
    report = planned.execute(settings, prune=prune)
    print_ingest(report, json=json)
    if any(rejected in known for rejected in report.rejected):
        complain("Runs that were rejected before and have not changed were not read again; --retry reads them.")
    raise typer.Exit(ingest_code(report))


def _choice(tables: str | None) -> frozenset[str] | None:
    """The names in a list of tables, checked; None for all."""
    return None if tables is None else frozenset(table_name(name.strip()) for name in tables.split(","))


def _sources(
    paths: Sequence[str], benchmark: str | None, version: str | None, release: str | None
) -> "list[str | PublicRuns]":
    """The paths as they are, and what the options choose of those that are `helm://`.

    Raises:
        typer.BadParameter: the options have nothing to choose from.
    """
    from magnet_arrow.helm.public_bucket import public_runs
    from magnet_arrow.sources.remote.urls import without_password

    found = [public_runs(path, benchmark=benchmark, version=version, release=release) for path in paths]
    given = {"--benchmark": benchmark, "--version": version, "--release": release}
    named = [name for name, value in given.items() if value is not None]
    if named and None in found:
        raise typer.BadParameter(
            f"{' and '.join(named)} choose from helm://, not from {without_password(paths[found.index(None)])}."
        )
    return [path if public is None else public for path, public in zip(paths, found, strict=True)]


def _only_kind(asked: Mapping[str, bool], release: str | None) -> str:
    """The one kind that is asked for.

    Raises:
        typer.BadParameter: there are two, or it is one that a release does not choose from.
    """
    kinds = [kind for kind, is_asked in asked.items() if is_asked]
    if len(kinds) > 1:
        raise typer.BadParameter(f"--list-{kinds[0]} and --list-{kinds[1]} exclude each other.")
    if release is not None and kinds != ["runs"]:
        raise typer.BadParameter(f"--release chooses runs: --list-runs lists them, not --list-{kinds[0]}.")
    return kinds[0]


def _public(path: str, benchmark: str | None, version: str | None, release: str | None) -> "PublicRuns":
    """What a path and the options choose of HELM's public bucket.

    Raises:
        typer.BadParameter: it is not there.
    """
    from magnet_arrow.helm.public_bucket import public_runs
    from magnet_arrow.sources.remote.urls import without_password

    whole = path.lower().rstrip("/") == "helm:"
    named = f"helm://{benchmark or '*'}" if whole else path
    wanted = public_runs(named, benchmark=benchmark, version=version, release=release)
    if wanted is None:
        raise typer.BadParameter(f"An option --list-… lists helm://, not {without_password(path)}.")
    return wanted


def _list_public(kind: str, wanted: "PublicRuns", runs: str, *, json: bool) -> None:
    from magnet_arrow.cli import public_lists

    if kind == "runs":
        print_rows(public_lists.runs(wanted, runs), json=json)
    elif kind == "versions":
        print_rows(public_lists.versions(wanted), json=json)
    else:
        print_rows(public_lists.benchmarks(wanted), json=json)


def _print_plan(bill: "Bill", *, json: bool) -> None:
    from magnet_arrow.cli.bill import bill_facts, bill_text
    from magnet_arrow.cli.summaries import as_json, first_of

    if json:
        print(as_json(bill_facts(bill)))
        return
    say(bill_text(bill))
    if bill.notes:
        complain(first_of(bill.notes, rest="; --json has all"))


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
