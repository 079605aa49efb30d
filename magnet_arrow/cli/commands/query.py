"""`ls`, `head`, `export` and `schemas`: what is in a source, in the cache, in its tables."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.bucket_options import with_bucket_options
from magnet_arrow.cli.commands.store import open_cache
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.cli.options import CacheDir, Csv, Full, Json, JsonLines, SkipDamaged, one_form, table_name
from magnet_arrow.cli.printing import complain, print_rows


@with_bucket_options
def ls(
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="A source; by default the cache.", autocompletion=candidates.some_paths),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="GLOB", help="Only runs whose model matches.")] = None,
    scenario: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Only runs whose scenario matches, such as MMLU*.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Only runs whose folder matches.", autocompletion=candidates.cached_folders),
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Only runs that the cache lacks, or has in part.")
    ] = False,
    cache: CacheDir = None,
    full: Full = False,
    csv: Csv = False,
    json: JsonLines = False,
) -> None:
    """List the runs of a source, or of the cache.

    Shows model and scenario; of a cached run also its numbers of rows (– where the table was left out), whether it is
    partial (and what it lacks), and whether it is stale: its source has rejected or lost it since, and the cache holds
    its older state. Nothing is ingested.
    """
    from magnet_arrow.cli.listing import cached_runs, matching, runs_layout, source_runs

    one_form(json=json, csv=csv, full=full)
    store = open_cache(cache)
    listed = cached_runs(store) if path is None else source_runs(path, store)
    shown = matching(listed, model=model, scenario=scenario, run=run, incomplete=incomplete)
    if incomplete and shown.is_empty():
        complain("No run is incomplete.")
    else:
        print_rows(shown, json=json, csv=csv, full=full, layout=runs_layout(shown))


def head(
    table: Annotated[
        str,
        typer.Argument(
            parser=table_name,
            metavar="TABLE",
            help="Such as stats; `magnet-arrow schemas` shows all.",
            autocompletion=candidates.of(candidates.TABLES),
        ),
    ],
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these columns, separated by commas.", autocompletion=candidates.columns),
    ] = None,
    run: Annotated[
        str,
        typer.Option(metavar="GLOB", help="Only runs whose name matches.", autocompletion=candidates.cached_folders),
    ] = "*",
    n: Annotated[int, typer.Option("-n", min=1, metavar="ROWS", help="Number of rows.")] = 3,
    skip_damaged: SkipDamaged = False,
    cache: CacheDir = None,
    full: Full = False,
    csv: Csv = False,
    json: JsonLines = False,
) -> None:
    """Show the first rows of a cached table: on a terminal one line per column, else one line per value."""
    from magnet_arrow.cli.listing import first_rows, records, records_layout, values
    from magnet_arrow.storage.maintenance.sound import Reading

    one_form(json=json, csv=csv, full=full)
    chosen = [name.lstrip() for name in columns.split(",")] if columns else "occurring"
    reading = Reading(skip_damaged, complain)
    frame = first_rows(open_cache(cache), table, runs=run, columns=chosen, rows=n, reading=reading)
    if frame.is_empty():
        complain(f"No rows of {table} are cached for {run!r}.")
    if json or csv:
        print_rows(frame, json=json, csv=csv)
    elif full or not sys.stdout.isatty():
        print_rows(values(frame), full=True)
    else:
        turned = records(frame)
        print_rows(turned, layout=records_layout(turned))


def export(
    to: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="The folder to make; it must not exist, or be empty.",
            autocompletion=candidates.some_paths,
        ),
    ] = Path("magnet-export"),
    tables: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            parser=table_name,
            metavar="TABLE",
            help="Only this table; may be repeated.",
            autocompletion=candidates.of(candidates.TABLES),
        ),
    ] = None,
    partition_by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Divide tables that have this column into one folder per value."),
    ] = None,
    skip_damaged: SkipDamaged = False,
    cache: CacheDir = None,
    json: Json = False,
) -> None:
    """Write everything that is cached as plain Parquet, one folder per table.

    Any tool can read it. A README in the folder says what each table is, and the table `runs` which runs are partial or
    stale.
    """
    import polars as pl

    from magnet_arrow.cli.listing import EXPORTED
    from magnet_arrow.export.parquet import export_tables, remove_leftovers
    from magnet_arrow.storage.maintenance.sound import Reading

    told: list[str] = []
    for path in remove_leftovers(to):
        complain(f"{path} was removed: it was left by an export that was killed.")
    exported = export_tables(
        open_cache(cache),
        to,
        tables=tables or (),
        partition_by=partition_by,
        reading=Reading(skip_damaged, told.append),
    )
    print_rows(pl.DataFrame(exported), json=json, layout=EXPORTED)
    for text in [*told, f"The tables are in {to}"]:
        complain(text)
    raise typer.Exit(ExitCode.REPORTED if told else ExitCode.DONE)


def schemas(
    table: Annotated[
        str | None,
        typer.Argument(
            parser=table_name,
            metavar="TABLE",
            help="Only this table, such as stats.",
            autocompletion=candidates.of(candidates.TABLES),
        ),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write one JSON file per table into this folder.", autocompletion=candidates.some_paths
        ),
    ] = None,
    full: Full = False,
    csv: Csv = False,
    json: Json = False,
) -> None:
    """Show the columns of every table or of one, or write schemas/."""
    from magnet_arrow.cli.listing import COLUMNS, columns
    from magnet_arrow.cli.summaries import as_json
    from magnet_arrow.schema.registry import TABLES

    one_form(json=json, csv=csv, full=full)
    names = list(TABLES) if table is None else [table]
    published = {name: TABLES[name].to_json() for name in names}
    if write:
        _write_schemas(published, write)
    elif json:
        print(as_json(published))
    else:
        print_rows(columns(names), csv=csv, full=full, layout=COLUMNS)


def _write_schemas(published: dict[str, Any], folder: Path) -> None:
    from magnet_arrow.cli.summaries import as_json
    from magnet_arrow.sources.paths import absolute

    folder = absolute(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, contract in published.items():
        (folder / f"{name}.json").write_text(as_json(contract, indent=2) + "\n", encoding="utf-8")
        print(folder / f"{name}.json")
