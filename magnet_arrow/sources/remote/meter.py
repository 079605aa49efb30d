"""Counts what this process fetches, and how long its readers wait for it.

Fetches are counted by the thread that fetches, waits by the threads that read.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

TELL_EVERY_S = 0.25
clock = time.monotonic


def _nobody() -> None:
    """Nobody wants to know."""


_tell: ContextVar[Callable[[], None]] = ContextVar("tell", default=_nobody)
"""That of the reader's thread: each of several ingests at once tells its own caller."""


class Meter:
    """Counts.

    Attributes:
        fetched_bytes: bytes of copies that were written, or were there before; fewer again if a copy starts over.
        waited_s: how long readers have waited for copies.
        n_fetching: how many fetches are going on.
        n_pausing: how many of these have failed, and pause before they are tried again.
    """

    def __init__(self) -> None:
        self.fetched_bytes = self.n_fetching = self.n_pausing = 0
        self.waited_s = 0.0

    @contextlib.contextmanager
    def telling(self, tell: Callable[[], None]) -> Iterator[None]:
        """Within the context, a function is called now and then while this thread waits."""
        before = _tell.set(tell)
        try:
            yield
        finally:
            _tell.reset(before)

    @property
    def is_repeating(self) -> bool:
        """Whether most fetches have failed and will be tried again."""
        return self.n_pausing * 2 > self.n_fetching

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Within the context, something is fetched."""
        self.n_fetching += 1
        try:
            yield
        finally:
            self.n_fetching -= 1

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Within the context, a fetch pauses."""
        self.n_pausing += 1
        try:
            yield
        finally:
            self.n_pausing -= 1

    def wait_for(self, future: "Future[Any]") -> None:
        """Wait until a copy is complete, or failed; the function of `telling` is called meanwhile."""
        while not future.done():
            since = clock()
            try:
                future.result(TELL_EVERY_S)
            except TimeoutError:
                pass
            finally:
                self.waited_s += clock() - since
            if not future.done():
                _tell.get()()
        future.result()


METER = Meter()
"""That of this process."""
