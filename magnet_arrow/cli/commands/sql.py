"""`sql`: a SELECT over the tables of the cache."""

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from magnet_arrow.cli import candidates
from magnet_arrow.cli.commands.store import existing_folder
from magnet_arrow.cli.options import CacheDir, Csv, Full, JsonLines, one_form, require_folder
from magnet_arrow.cli.printing import complain

_MEMORY_BYTES = 2 << 30


def sql(
    statement: Annotated[
        str, typer.Argument(metavar="SELECT", help="One SELECT, in quotes; - reads it from standard input.")
    ],
    csv: Csv = False,
    full: Full = False,
    parquet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the rows to this file instead.", autocompletion=candidates.some_paths),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory that DuckDB may use; by default 2GiB.")
    ] = None,
    cache: CacheDir = None,
    json: JsonLines = False,
) -> None:
    """Query the cache in SQL.

    The tables are those of `magnet-arrow schemas`, whose columns have _ for each dot (stats.mean is stats_mean), and
    runs, rejects, scores and samples. SHOW TABLES lists them, DESCRIBE stats the columns of one. DuckDB runs the
    query, reads nothing but the cache, and writes nothing.
    """
    from magnet_arrow.cli.sql.connection import Opening

    _check_output(csv=csv, json=json, full=full, parquet=parquet)
    text = _from_stdin() if statement == "-" else statement
    folder = existing_folder(cache)
    with Opening(_MEMORY_BYTES if memory is None else _bytes(memory)) as opening:
        # These import PyArrow and all that reads a cache, while the connection is opened.
        from magnet_arrow.cli.sql import output
        from magnet_arrow.cli.sql.session import rows_of

        if parquet is not None:
            output.check_file(parquet, folder)
        rows = rows_of(text, folder, opening, dates_as_text=parquet is None)
        if parquet is not None:
            n_rows = output.write_parquet(rows.schema, rows.batches, parquet)
            complain(f"{n_rows:,} rows are in {parquet}.")
        elif json:
            output.write_json(rows.batches)
        elif rows.is_plan and not csv:
            output.print_plan(rows.batches)
        elif csv or not (full or sys.stdout.isatty()):
            output.write_csv(rows.schema, rows.batches)
        else:
            output.print_table(rows.schema, rows.batches, full=full)


def _from_stdin() -> str:
    """The text of standard input, which is UTF-8 in any locale; what is not becomes halves of surrogate pairs."""
    if sys.stdin is None:  # the parent process closed it
        return ""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    return sys.stdin.read().removeprefix("\ufeff")


def _check_output(*, csv: bool, json: bool, full: bool, parquet: Path | None) -> None:
    one_form(json=json, csv=csv, full=full)
    if parquet is not None and (json or csv or full):
        raise typer.BadParameter("--parquet excludes --json, --csv and --full.")
    if parquet is not None:
        require_folder(parquet, "--parquet")


def _bytes(memory: str) -> int:
    from magnet_arrow.ingestion.parallel.settings import parse_bytes

    return parse_bytes(memory)
