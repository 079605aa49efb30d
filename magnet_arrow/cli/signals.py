"""Ctrl-C and SIGTERM: the first one raises, so that every `with` ends in order; later ones end the process."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

received: list[int] = []
"""The signals that came since `raising` began."""

_CLI = os.path.join(os.path.dirname(__file__), "")
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_PREDICTOR = os.path.join(_CLI, "load_predictor.py")


class Terminated(BaseException):
    """SIGTERM came; like Ctrl-C, it ends every `with` in order."""


@contextmanager
def raising() -> Iterator[None]:
    """Ctrl-C raises `KeyboardInterrupt` in here, SIGTERM `Terminated`; a signal that was ignored stays ignored."""
    received.clear()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in ours:
            signal.signal(number, _on_signal)
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _on_signal(number: int, frame: "FrameType | None") -> None:
    received.append(number)
    if len(received) == 2:  # `timeout` signals the process and then its group: the first signal is being handled
        return
    if len(received) > 2 or _is_importing(frame):
        with suppress(OSError):
            os.write(2, b"Interrupted.\n" if number == signal.SIGINT else b"Terminated.\n")
        os._exit(128 + number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _is_importing(frame: "FrameType | None") -> bool:
    """Whether a command is importing what it needs, and has done nothing yet.

    An exception that comes in the middle of an import is turned into another one there, or ignored with a message.
    """
    inner: list[FrameType] = []
    while frame is not None and frame.f_code.co_filename != _MAIN:
        inner.append(frame)
        frame = frame.f_back
    for one in reversed(inner):
        file = one.f_code.co_filename
        if file.startswith("<frozen importlib"):
            return True
        if _does_work(file) and one.f_code.co_name != "<module>":
            return False
    return False


def _does_work(file: str) -> bool:
    """Whether functions of a file do a command's work, unlike those of `cli`, which mostly import it."""
    return file.startswith(_PACKAGE) and (not file.startswith(_CLI) or file == _PREDICTOR)


_MAIN = os.path.join(_CLI, "main.py")
