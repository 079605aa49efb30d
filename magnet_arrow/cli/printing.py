"""Where a command prints: data to stdout, everything else to stderr."""

import shutil
import sys
import textwrap
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
    """Print lines to stderr; on a terminal they are wrapped between words."""
    from magnet_arrow._text import for_terminal

    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    for line in map(for_terminal, text.split("\n")):
        print(line if width is None else wrapped(line, width), file=sys.stderr)


def wrapped(line: str, width: int) -> str:
    """A line as several ones that fit the width, each indented as the first; words stay whole."""
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    parts = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts)


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
        text = getattr(message, "for_shell", str(message))
        shown.append(text)
        complain(f"Note: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield shown
