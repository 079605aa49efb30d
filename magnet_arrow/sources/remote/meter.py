"""Counts what this process fetches, and how long its readers wait for it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

TELL_EVERY_S = 0.25
clock = time.monotonic


class Meter:
    """Counts, which only grow.

    Attributes:
        fetched_bytes: bytes of copies that were written, or were there before.
        waited_s: how long readers have waited for copies.
    """

    def __init__(self) -> None:
        self.fetched_bytes = 0
        self.waited_s = 0.0
        self._tell: Callable[[], None] = _nobody

    @contextlib.contextmanager
    def telling(self, tell: Callable[[], None]) -> Iterator[None]:
        """Within the context, a function is called now and then while a reader waits."""
        before, self._tell = self._tell, tell
        try:
            yield
        finally:
            self._tell = before

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
                self._tell()
        future.result()


def _nobody() -> None:
    """Nobody wants to know."""


METER = Meter()
"""That of this process."""
