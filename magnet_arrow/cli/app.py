"""The typer application: which commands there are, in the order of `--help`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from magnet_arrow.cli.commands.cache import cache_clear, cache_info, cache_path, cache_remove, check, compact, rejects
from magnet_arrow.cli.commands.evaluate import evaluate
from magnet_arrow.cli.commands.ingest import ingest
from magnet_arrow.cli.commands.panel import panel
from magnet_arrow.cli.commands.predict import demo, predict
from magnet_arrow.cli.commands.query import export, head, ls, schemas
from magnet_arrow.cli.commands.rank import rank
from magnet_arrow.cli.commands.report import report
from magnet_arrow.cli.commands.scores import scores
from magnet_arrow.cli.commands.sql import sql
from magnet_arrow.cli.commands.verify import restore, validate, verify
from magnet_arrow.cli.examples import epilog


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"magnet-arrow {version('magnet-arrow')}")
        raise typer.Exit


def _install_completion(wanted: bool) -> None:
    if wanted:
        from magnet_arrow.cli.completion import current_shell, install
        from magnet_arrow.cli.printing import say

        file, start_up = install(current_shell())
        say(f"Completion is in {file}, and {start_up} loads it: open a new terminal.")
        raise typer.Exit


def _show_completion(wanted: bool) -> None:
    if wanted:
        from magnet_arrow.cli.completion import current_shell, script

        print(script(current_shell()), end="")
        raise typer.Exit


def _eager(name: str, callback: Callable[[bool], None], help_text: str) -> Any:
    """An option that does something of its own, in place of a command."""
    return typer.Option(name, callback=callback, is_eager=True, help=help_text)


def _options(
    version: Annotated[bool, _eager("--version", _print_version, "Print the version.")] = False,
    install_completion: Annotated[
        bool, _eager("--install-completion", _install_completion, "Let bash or zsh complete commands, from now on.")
    ] = False,
    show_completion: Annotated[
        bool, _eager("--show-completion", _show_completion, "Print what --install-completion installs.")
    ] = False,
) -> None:
    """HELM's output as typed tables, and predictors on top of them."""


class _Commands(TyperGroup):
    """The commands; on a terminal an error about an argument is wrapped between words, as other messages are."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from magnet_arrow.cli.printing import wrapped_error

            said = f"Error: {error.format_message()}"
            error.message = wrapped_error(said)[len(said) - len(error.message) :]
            raise


_COMMANDS: Sequence[Callable[..., None]] = (
    *(demo, ingest, validate, ls, head, sql, scores, rank, report, panel, export, schemas, check, compact),
    *(predict, evaluate, verify, restore, rejects),
)


def _build() -> typer.Typer:
    # Plain help: laying it out by rich takes three times as long as all the rest of typer.
    app = typer.Typer(
        name="magnet-arrow",
        cls=_Commands,
        rich_markup_mode=None,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        epilog=epilog(""),
    )
    app.callback()(_options)
    for command in _COMMANDS:
        app.command(epilog=epilog(command.__name__))(command)
    of_cache = typer.Typer(
        help="Look at the cache, or remove what is in it.",
        rich_markup_mode=None,
        no_args_is_help=True,
        epilog=epilog("cache"),
    )
    for of_it in (cache_path, cache_info, cache_clear, cache_remove):
        name = of_it.__name__.removeprefix("cache_")
        of_cache.command(name, epilog=epilog(f"cache {name}"))(of_it)
    app.add_typer(of_cache, name="cache")
    return app


app = _build()
