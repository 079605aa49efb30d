"""The typer application: which commands there are, in the order of `--help`."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from magnet_arrow.cli.examples import epilog

_MODULES = {
    "demo": "predict",
    "ingest": "ingest",
    "validate": "verify",
    "ls": "query",
    "head": "query",
    "sql": "sql",
    "scores": "scores",
    "rank": "rank",
    "report": "report",
    "panel": "panel",
    "export": "query",
    "schemas": "query",
    "check": "cache",
    "compact": "cache",
    "predict": "predict",
    "evaluate": "evaluate",
    "verify": "verify",
    "restore": "verify",
    "rejects": "cache",
}
"""In which module of `cli.commands` each command is a function of its name."""
_OF_CACHE = ("path", "info", "clear", "remove")
"""The commands of `cache`, which are functions `cache_…`."""


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


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """The application.

    Args:
        arguments: what it will be called with. If they begin with a command, it has no other one: to import and
            build all of them takes as long as the rest of typer.
    """
    named = next(iter(arguments), "")
    chosen = [named] if named in _MODULES or named == "cache" else [*_MODULES, "cache"]
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
    for name in chosen:
        if name == "cache":
            app.add_typer(_cache_commands(), name=name)
        else:
            app.command(epilog=epilog(name))(_function(_MODULES[name], name))
    return app


def _cache_commands() -> typer.Typer:
    app = typer.Typer(
        help="Look at the cache, or remove what is in it.",
        rich_markup_mode=None,
        no_args_is_help=True,
        epilog=epilog("cache"),
    )
    for name in _OF_CACHE:
        app.command(name, epilog=epilog(f"cache {name}"))(_function("cache", f"cache_{name}"))
    return app


def _function(module: str, name: str) -> Callable[..., None]:
    found: Callable[..., None] = getattr(import_module(f"magnet_arrow.cli.commands.{module}"), name)
    return found
