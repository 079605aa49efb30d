"""Where a command prints: data to stdout, everything else to stderr."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console


def stdout() -> "Console":
    """Where data goes; in a file or a pipe no line is cut or folded."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def stderr() -> "Console":
    """Where progress bars go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def complain(text: str) -> None:
    """Print lines to stderr."""
    from magnet_arrow._text import for_terminal

    print("\n".join(map(for_terminal, text.split("\n"))), file=sys.stderr)


def print_frame(frame: "pl.DataFrame", *, title: str = "", fold: bool = False) -> None:
    """Print a frame, one line per row, which a narrow terminal wraps; with `fold`, fold cells on a terminal."""
    if title:
        print(title)
    if fold and sys.stdout.isatty():
        from magnet_arrow.cli.summaries import table

        stdout().print(table(frame))
    else:
        from magnet_arrow.cli.tables import lines

        for line in lines(frame):
            print(line)


def print_rows(frame: "pl.DataFrame", *, json: bool) -> None:
    """Print a frame, as one JSON object per line if `json` says so."""
    if not json:
        print_frame(frame)
        return
    from magnet_arrow.cli.summaries import rows_as_json

    for line in rows_as_json(frame):
        print(line)


@contextmanager
def warnings_shown() -> Iterator[list[str]]:
    """Print each warning as a note to stderr, without the line of code; the list holds what was printed."""
    shown: list[str] = []

    def show(message: Warning | str, *_: object, **__: object) -> None:
        shown.append(str(message))
        complain(f"Note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield shown
