"""Shows progress of work of more than two seconds: a bar on a terminal, a line in a notebook.

Functions that take long have an argument `progress`: a function that is called now and then. Without one they call what
`watched` gives. It shows nothing in a pipe, in a file, in other processes and threads, and in the first two seconds.
"""

import contextlib
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

AFTER_S = 2.0
"""Nothing is shown before."""
_EVERY_S = 0.2
"""A notebook's line is not written more often."""

P = TypeVar("P")

clock = time.monotonic


@dataclass(frozen=True, slots=True)
class Step:
    """How far something is.

    Attributes:
        done: of `total`.
        total: bytes, or what the text counts.
        text: what is behind the bar.
        of_bytes: whether bytes are counted, which are shown with their rate.
    """

    done: int
    total: int
    text: str
    of_bytes: bool = False


class View(Protocol):
    """Something that shows steps until it is closed, and then leaves nothing behind."""

    def update(self, step: Step) -> None:
        """Show a step."""

    def close(self) -> None:
        """Remove what is shown."""


@contextlib.contextmanager
def watched(
    progress: Callable[[P], None] | Literal[False] | None, describe: Callable[[P], Step]
) -> Iterator[Callable[[P], None] | None]:
    """The function to report progress to; None if nobody wants to know.

    Args:
        progress: the caller's function; False for none; None for a bar where somebody watches.
        describe: what is shown of a report.
    """
    if progress is not None:
        yield progress or None
        return
    view = _view()
    if view is None or not _shown.acquire(blocking=False):  # one bar at a time
        yield None
        return
    delayed = _Delayed(view)
    try:
        yield lambda report: delayed.update(describe(report))
    finally:
        delayed.close()
        _shown.release()


_shown = threading.Lock()


class _Delayed:
    """Makes a view when the first seconds are over."""

    def __init__(self, make: Callable[[bool], View]) -> None:
        self._make, self._begin = make, clock()
        self._view: View | None = None

    def update(self, step: Step) -> None:
        if self._view is None:
            if clock() - self._begin < AFTER_S:
                return
            self._view = self._make(step.of_bytes)
        with contextlib.suppress(OSError):  # a terminal that was closed is no reason to stop the work
            self._view.update(step)

    def close(self) -> None:
        if self._view is not None:
            with contextlib.suppress(OSError):
                self._view.close()


def _view() -> Callable[[bool], View] | None:
    """What can show something here; None if nobody watches."""
    if multiprocessing.parent_process() is not None or threading.current_thread() is not threading.main_thread():
        return None
    if _is_notebook():
        return NotebookLine
    return TerminalBar if sys.stderr is not None and sys.stderr.isatty() else None


def _is_notebook() -> bool:
    """Whether this is a kernel of Jupyter, which has imported IPython before."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


class TerminalBar:
    """A bar on stderr with a share, the time left, and of bytes their rate."""

    def __init__(self, of_bytes: bool) -> None:
        from rich import progress as columns
        from rich.console import Console

        of_size = (columns.DownloadColumn(), columns.TransferSpeedColumn()) if of_bytes else ()
        self._bar = columns.Progress(
            columns.BarColumn(),
            columns.TaskProgressColumn(),
            *of_size,
            columns.TimeRemainingColumn(),
            columns.TextColumn("{task.fields[text]}", markup=False),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, text="")
        self._bar.start()

    def update(self, step: Step) -> None:
        """Show a step."""
        self._bar.update(self._task, completed=step.done, total=step.total, text=step.text)

    def close(self) -> None:
        """Remove the bar, and show the cursor again."""
        self._bar.stop()


class NotebookLine:
    """A line below the cell. Unlike rich's bar it needs no ipywidgets."""

    def __init__(self, of_bytes: bool) -> None:
        from IPython.display import display  # type: ignore[import-not-found]  # it is the notebook's own

        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True)
        self._next = 0.0

    def update(self, step: Step) -> None:
        """Show a step."""
        if clock() >= self._next or step.done >= step.total:
            self._next = clock() + _EVERY_S
            share = 100 * step.done // step.total if step.total else 0
            self._write(f"{share:3} %  {step.text}")

    def close(self) -> None:
        """Empty the line."""
        self._write("")

    def _write(self, text: str) -> None:
        self._handle.update({"text/plain": text}, raw=True)
