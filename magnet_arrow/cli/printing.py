"""Where a command prints: data to stdout, everything else to stderr."""

import re
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from magnet_arrow.cli.tables import Layout


def stderr() -> "Console":
    """Where progress bars go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(text: str, out: TextIO | None = None) -> None:
    """Print lines to stdout or another stream; on a terminal they are wrapped between words."""
    _print_text(text, out or sys.stdout)


def complain(text: str) -> None:
    """Print lines to stderr; on a terminal they are wrapped between words."""
    _print_text(text, sys.stderr)


def _print_text(text: str, stream: TextIO) -> None:
    from magnet_arrow._text import for_terminal

    width = terminal_width(stream)
    for line in map(for_terminal, text.split("\n")):
        print(line if width is None else wrapped(line, width), file=stream)


def wrapped_error(text: str) -> str:
    """An error that typer prints to stderr, wrapped between words on a terminal: line ends replace blanks."""
    width = terminal_width(sys.stderr)
    return text if width is None else "\n".join(wrapped(line, width) for line in text.split("\n"))


def wrapped(line: str, width: int) -> str:
    """A line as several ones that fit the width, each indented as the first or as what follows its label.

    Words stay whole.
    """
    if len(line) <= width:
        return line
    begin, label = _LABEL.match(line).groups()  # type: ignore[union-attr]  # it matches any line
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    wrapper.initial_indent, wrapper.subsequent_indent = begin, begin + " " * len(label)
    return "\n".join(wrapper.wrap(line[len(begin) :]))


_LABEL = re.compile(r"( *)((?:\w+(?: \w+)? {2,})?)")


def terminal_width(out: TextIO) -> int | None:
    """How many columns the terminal has that the stream goes to; None for a file or a pipe, where nothing is cut."""
    return shutil.get_terminal_size().columns if out.isatty() else None


def print_rows(
    frame: "pl.DataFrame",
    *,
    json: bool = False,
    csv: bool = False,
    full: bool = False,
    layout: "Layout | None" = None,
    out: TextIO | None = None,
) -> None:
    """Print a frame: as one JSON object per line, as CSV, or as a table, which is made to fit a terminal.

    Args:
        frame: the frame.
        json: print JSON, with all columns.
        csv: print CSV, with all columns.
        full: print the whole table on a terminal too, as in a file or a pipe.
        layout: what of the table gives way on a terminal.
        out: where to print, if not to stdout.
    """
    from magnet_arrow.cli.summaries import csv_text, rows_as_json
    from magnet_arrow.cli.tables import PLAIN, fitted, lines

    stream = out or sys.stdout
    width = terminal_width(stream)
    if csv:
        stream.write(csv_text(frame) if width is None else _escaped(csv_text(frame)))
    elif json or full or width is None:
        rows = rows_as_json(frame) if json else lines(frame, layout or PLAIN)
        stream.writelines(f"{line}\n" for line in rows)
    else:
        table = fitted(frame, width, layout or PLAIN)
        stream.writelines(f"{line}\n" for line in table.lines)
        _say_what_is_left_out(table.left_out)


def _say_what_is_left_out(columns: Sequence[str]) -> None:
    """A line under a table that has no room for some columns."""
    if columns:
        more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
        complain(f"Left out: {', '.join(columns[:_NAMED])}{more}; --full or --json shows all.")


_NAMED = 12


def _escaped(text: str) -> str:
    from magnet_arrow._text import for_terminal

    return "\n".join(map(for_terminal, text.split("\n")))


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
