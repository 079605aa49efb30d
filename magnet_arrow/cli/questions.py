"""Questions that a command asks before it does what takes long or cannot be undone."""

import sys

import typer


def is_somebody_there() -> bool:
    """Whether a question would be read and answered."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agrees(question: str, hint: str | None = None) -> bool:
    """Whether the answer to a question is yes; `hint` says how to do without the question.

    Raises:
        MagnetError: nobody answers.
    """
    from magnet_arrow.errors import MagnetError

    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # standard input is closed
        print(file=sys.stderr)
        raise MagnetError("Nothing was done, since nobody answered.", hint=hint) from None
