"""The typer application: which commands there are, in the order of `--help`."""

from typing import Annotated

import typer

from magnet_arrow.cli.commands.cache import cache_clear, cache_info, cache_path, cache_remove, check, compact, rejects
from magnet_arrow.cli.commands.evaluate import evaluate
from magnet_arrow.cli.commands.ingest import ingest
from magnet_arrow.cli.commands.panel import panel
from magnet_arrow.cli.commands.predict import demo, predict
from magnet_arrow.cli.commands.query import export, head, ls, schemas
from magnet_arrow.cli.commands.rank import rank
from magnet_arrow.cli.commands.scores import scores
from magnet_arrow.cli.commands.verify import restore, validate, verify


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"magnet-arrow {version('magnet-arrow')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """HELM's output as typed tables, and predictors on top of them."""


def _build() -> typer.Typer:
    # Plain help: laying it out by rich takes three times as long as all the rest of typer.
    app = typer.Typer(
        name="magnet-arrow",
        rich_markup_mode=None,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    for command in (demo, ingest, validate, ls, head, scores, rank, panel, export, schemas, check, compact):
        app.command()(command)
    for other in (predict, evaluate, verify, restore, rejects):
        app.command()(other)
    of_cache = typer.Typer(
        help="Look at the cache, or remove what is in it.", rich_markup_mode=None, no_args_is_help=True
    )
    of_cache.command("path")(cache_path)
    of_cache.command("info")(cache_info)
    of_cache.command("clear")(cache_clear)
    of_cache.command("remove")(cache_remove)
    app.add_typer(of_cache, name="cache")
    return app


app = _build()
