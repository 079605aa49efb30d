"""Detects forked processes that lack Polars' threads.

A forked child has none of its parent's threads, and Polars starts its threads only once. So a child of a process that
has used Polars would wait forever at its first frame or ingest. It can only say so.
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
    """Raise in a process in which Polars would wait forever.

    Raises:
        ForkedError: this process was forked from one that had used Polars.
    """
    if _lost_threads:
        raise ForkedError(
            "This process was forked from one that had used Polars. A fork lacks Polars' threads and would wait for "
            "them forever.",
            hint='Start processes by multiprocessing.get_context("spawn") or "forkserver", give them nothing that '
            "Polars made, or fork before the first frame.",
        )


def _note_threads() -> None:
    global _had_threads
    _had_threads = _has_threads()


def _has_threads() -> bool:
    """Whether Polars has started its threads, which it does when it first needs them; True if that is not known."""
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
