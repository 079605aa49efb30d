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

    from magnet_arrow.cli.tables import Layout


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


def terminal_width() -> int | None:
    """How many columns the terminal has that stdout is; None for a file or a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_rows(
    frame: "pl.DataFrame",
    *,
    json: bool,
    csv: bool = False,
    full: bool = False,
    layout: "Layout | None" = None,
    others: str = "--full or --json",
) -> None:
    """Print a frame: as one JSON object per line, as CSV, or as a table, which is made to fit a terminal.

    Args:
        frame: the frame.
        json: print one JSON object per line, with all columns.
        csv: print CSV, with all columns.
        full: print the whole table on a terminal too, as in a pipe.
        layout: what of the table gives way on a terminal.
        others: the options that show columns for which the terminal has no room.
    """
    from magnet_arrow.cli.summaries import csv_text, rows_as_json

    if json:
        for line in rows_as_json(frame):
            print(line)
    elif csv:
        _write_csv(csv_text(frame))
    else:
        print_table(frame, layout, full=full, others=others)


def _write_csv(text: str) -> None:
    """Write CSV: as it is to a file or a pipe, escaped to a terminal."""
    from magnet_arrow._text import for_terminal

    sys.stdout.write("\n".join(map(for_terminal, text.split("\n"))) if sys.stdout.isatty() else text)


def print_table(
    frame: "pl.DataFrame", layout: "Layout | None" = None, *, full: bool = False, others: str = "--full or --json"
) -> None:
    """Print a frame as a table; of the arguments see `print_rows`."""
    from magnet_arrow.cli.tables import PLAIN, fitted, lines

    width = None if full else terminal_width()
    if width is None:
        for line in lines(frame, layout or PLAIN):
            print(line)
        return
    table = fitted(frame, width, layout or PLAIN)
    for line in table.lines:
        print(line)
    if table.left_out:
        complain(
            f"Left out: {', '.join(table.left_out)} ({others} shows {'it' if len(table.left_out) == 1 else 'them'})."
        )


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
