"""What a fork leaves behind: a child has none of the threads that its parent had, and Polars starts its own only once.

A child of a process that has used Polars would wait for them for ever, with the first frame as with the first ingest.
It cannot start them again, so all that it can do is say so.
"""

import os
import re
import sys
from pathlib import Path

from magnet_arrow.errors import ForkedError

_THREADS = Path("/proc/self/task")
_OF_POLARS = re.compile(r"polars-\d+\s*")

_had_threads = False
_lost_threads = False


def require_threads() -> None:
    """Ends what would never end.

    Raises:
        ForkedError: this process was forked from one that had used Polars.
    """
    if _lost_threads:
        raise ForkedError(
            "This process was forked from one that had used Polars, whose threads a fork leaves behind: it would wait "
            "for them for ever.",
            hint='Start processes by multiprocessing.get_context("spawn") or "forkserver", give them nothing that '
            "Polars made, or fork before the first frame.",
        )


def _note_threads() -> None:
    global _had_threads
    _had_threads = _has_threads()


def _has_threads() -> bool:
    """Whether Polars has started its threads, which it does when it first needs them; where nobody can tell, yes."""
    if not sys.platform.startswith("linux"):
        return True
    try:
        return any(_OF_POLARS.fullmatch(_name(thread)) for thread in _THREADS.iterdir())
    except OSError:
        return True


def _name(thread: Path) -> str:
    try:
        return (thread / "comm").read_text()
    except OSError:  # it has ended
        return ""


def _note_loss() -> None:
    global _lost_threads
    _lost_threads = _lost_threads or _had_threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note_threads, after_in_child=_note_loss)
