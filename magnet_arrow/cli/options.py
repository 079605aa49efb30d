"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from magnet_arrow.cli import candidates

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH",
        help="Outputs folders, suites, runs, or glob patterns of these; also gs://, s3:// and helm:// URLs.",
        autocompletion=candidates.some_paths,
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        envvar="MAGNET_ARROW_CACHE_DIR",
        help="The cache's folder, if not the default one.",
        autocompletion=candidates.some_paths,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for scripts.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print all columns as CSV, for spreadsheets and scripts.")]
Full = Annotated[bool, typer.Option("--full", help="Print the whole table, though it is wider than the terminal.")]
Partial = Annotated[bool, typer.Option("--partial", help="Read what is complete of partial runs too.")]
FollowLinks = Annotated[
    bool,
    typer.Option(
        " /--no-follow-links", help="Skip linked folders, and reject runs with linked files.", show_default=False
    ),
]
SkipDamaged = Annotated[
    bool,
    typer.Option("--skip-damaged", help="Exclude runs that damage of the cache affects; reads the whole cache first."),
]


def one_form(*, json: bool, csv: bool = False, full: bool = False) -> None:
    """Refuse two forms of output at once.

    Raises:
        typer.BadParameter: there are two.
    """
    named = [name for name, given in (("--json", json), ("--csv", csv), ("--full", full)) if given]
    if len(named) > 1:
        raise typer.BadParameter(f"{' and '.join(named)} exclude each other.")


def require_folder(file: Path, option: str) -> None:
    """Refuse a file to write in a folder that does not exist.

    Raises:
        typer.BadParameter: there is no such folder.
    """
    if not file.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {file.parent}.", param_hint=option)


def table_name(name: str) -> str:
    """The name of a table, checked."""
    if name in candidates.TABLES:
        return name
    from magnet_arrow._near_names import did_you_mean

    hint = did_you_mean(name, candidates.TABLES) or f"There are {', '.join(candidates.TABLES)}."
    raise typer.BadParameter(f"there is no table {name!r}. {hint}")
