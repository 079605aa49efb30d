"""A time limit for code of others."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType


class TimeIsUp(BaseException):  # not an `Exception`, so that code that catches all of those does not
    """The time limit has passed."""


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[Callable[[], None]]:
    """A context for code that may take so long; it gets a function that raises if time is up.

    In the main thread of a process (not on Windows) the code is interrupted, at the next line of Python. Elsewhere time
    is up when the function is called.

    Raises:
        TimeIsUp: the time limit has passed.
    """
    if seconds is None:
        yield lambda: None
        return
    end = time.monotonic() + seconds

    def check() -> None:
        if time.monotonic() > end:
            raise TimeIsUp

    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGALRM, _raise)
    try:
        signal.setitimer(signal.ITIMER_REAL, min(max(seconds, 1e-6), threading.TIMEOUT_MAX))
        yield check
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _raise(number: int, frame: FrameType | None) -> None:
    raise TimeIsUp
