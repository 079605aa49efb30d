"""Shows progress of work of more than two seconds: a bar on a terminal, a line in a notebook.

Functions that take long have an argument `progress`: a function that is called now and then. Without one they call what
`watched` gives. It shows nothing in a pipe, in a file, in other processes and threads, and in the first two seconds.
"""

import contextlib
import multiprocessing
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from magnet_arrow._text import about, as_size

if TYPE_CHECKING:
    from rich.console import RenderableType

AFTER_S = 2.0
"""Nothing is shown before."""
_EVERY_S = 0.2
"""A notebook's line is not written more often."""
_SPEED_S, _SAMPLE_S = 20.0, 0.5
"""The speed is that of so many last seconds, of which it is noted so often how much was done."""
_BAR_WIDTH = 24
"""Bar and figures fit a terminal of 80 columns."""

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
        is_even: whether what is left will take as long as what is done, in proportion: then it is shown how long.
    """

    done: int
    total: int
    text: str
    of_bytes: bool = False
    is_even: bool = True


class View(Protocol):
    """Something that shows steps until it is closed, and then leaves nothing behind."""

    def update(self, step: Step, figures: str) -> None:
        """Show a step, with how fast it goes and how long it takes."""

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
    """Makes a view when the first seconds are over, on a terminal even if nothing is reported then."""

    def __init__(self, make: Callable[[], View]) -> None:
        self._make, self._begin = make, clock()
        self._speed = _Speed(self._begin)
        self._view: View | None = None
        self._last: Step | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(AFTER_S, self._show_last)
        self._timer.daemon = True
        if make is TerminalBar:  # what another thread displays in a notebook may get lost
            self._timer.start()

    def update(self, step: Step) -> None:
        with self._lock:
            self._last = step
            now = clock()
            self._speed.add(now, step.done)
            if now - self._begin >= AFTER_S:
                self._show(step)

    def _show_last(self) -> None:
        with self._lock:
            if self._view is None and self._last is not None and clock() - self._begin >= AFTER_S:
                self._show(self._last)

    def _show(self, step: Step) -> None:
        with contextlib.suppress(OSError):  # a terminal that was closed is no reason to stop the work
            if self._view is None:
                self._view = self._make()
            self._view.update(step, ", ".join(self._speed.figures(step)))

    def close(self) -> None:
        self._timer.cancel()
        with self._lock, contextlib.suppress(OSError):
            if self._view is not None:
                self._view.close()
            self._last = None


class _Speed:
    """How fast something goes, by the last seconds: a rate since the beginning would hide that it has stalled."""

    def __init__(self, begin: float) -> None:
        self._before = deque([(begin, 0)])
        self._now = begin

    def add(self, now: float, done: int) -> None:
        """So much is done now."""
        self._now = now
        if now - self._before[-1][0] >= _SAMPLE_S:
            self._before.append((now, done))
        while len(self._before) > 2 and now - self._before[1][0] >= _SPEED_S:
            self._before.popleft()

    def figures(self, step: Step) -> Iterator[str]:
        """How much is done of what, how fast, and how long it still takes."""
        begin, done = self._before[0]
        per_s = max(0, step.done - done) / (self._now - begin) if self._now > begin else 0.0
        if step.of_bytes:
            yield f"{as_size(step.done)} of {as_size(step.total)}"
            yield f"{as_size(round(per_s))}/s"
        if per_s and step.is_even and step.done < step.total:
            yield f"{about((step.total - step.done) / per_s)} left"


def _view() -> Callable[[], View] | None:
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
    """Two lines on stderr: a bar with figures, and what the text says."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._bar, self._below = "", ""
        self._share = 0.0
        console = Console(stderr=True, highlight=False)
        self._live = Live(get_renderable=self._lines, console=console, refresh_per_second=10, transient=True)
        self._live.start()

    def update(self, step: Step, figures: str) -> None:
        """Show a step."""
        self._share = _share(step)
        self._bar, self._below = f"{self._share:4.0%}  {figures}", step.text

    def close(self) -> None:
        """Remove the bar, and show the cursor again."""
        self._live.stop()

    def _lines(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid()
        bar = ProgressBar(1.0, self._share, width=_BAR_WIDTH)
        line.add_row(bar, Text(self._bar, no_wrap=True, overflow="ellipsis"))
        return Group(line, Text(self._below, no_wrap=True, overflow="ellipsis"))


class NotebookLine:
    """A line below the cell. Unlike rich's bar it needs no ipywidgets."""

    def __init__(self) -> None:
        from IPython.display import display  # type: ignore[import-not-found]  # it is the notebook's own

        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True)
        self._next = 0.0

    def update(self, step: Step, figures: str) -> None:
        """Show a step."""
        if clock() >= self._next or step.done >= step.total:
            self._next = clock() + _EVERY_S
            share = int(100 * _share(step))
            self._write("  ".join(filter(None, (f"{share:3} %", figures, step.text))))

    def close(self) -> None:
        """Empty the line."""
        self._write("")

    def _write(self, text: str) -> None:
        self._handle.update({"text/plain": text}, raw=True)


def _share(step: Step) -> float:
    return step.done / step.total if step.total else 0.0
