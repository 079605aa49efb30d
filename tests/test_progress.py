"""Progress is shown on a terminal and in a notebook, after two seconds, and leaves nothing behind."""

import contextlib
import io
import itertools
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from magnet_arrow import HelmOutputs, HelmRuns, _progress, ingest, validate, verify
from magnet_arrow._progress import Step, watched
from magnet_arrow.export.parquet import ExportProgress, _step_of
from magnet_arrow.ingestion.rules import Progress, step_of

pty = pytest.importorskip("pty", reason="Windows has none")
SHOW_CURSOR, ERASE_LINE = "\x1b[?25h", "\x1b[2K"


@contextlib.contextmanager
def terminal() -> Iterator[list[str]]:
    """A terminal as stderr; afterwards the list has what was written to it."""
    ours, theirs = pty.openpty()
    written: list[str] = []
    parts: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # Linux's way to say that nobody writes any more
            while part := os.read(ours, 65536):
                parts.append(part)

    reader = threading.Thread(target=read)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "120")
        with os.fdopen(theirs, "w") as stderr:
            patch.setattr(sys, "stderr", stderr)
            reader.start()
            yield written
    reader.join()
    os.close(ours)
    written.append(b"".join(parts).decode())


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is three seconds after the last one."""
    monkeypatch.setattr(_progress, "clock", itertools.count(0, 3).__next__)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "clock", lambda: 1.9)


def steps(count: int) -> Iterator[int]:
    with watched(None, lambda done: Step(done, count, f"{done} of {count}")) as report:
        for done in range(count):
            if report is not None:
                report(done)
            yield done


@pytest.mark.usefixtures("slow")
def test_what_takes_long_is_shown_on_a_terminal_and_removed(outputs: Path, cache: Path) -> None:
    for work in (lambda: ingest(outputs, cache), lambda: validate(outputs), lambda: verify(outputs, cache)):
        with terminal() as shown:
            work()
        assert "run 3 of 3" in shown[0]
        assert SHOW_CURSOR in shown[0]
        assert shown[0].endswith(ERASE_LINE)


@pytest.mark.usefixtures("slow")
def test_frames_that_ingest_what_the_cache_lacks_show_it_too(outputs: Path, cache: Path) -> None:
    runs = HelmRuns(outputs, cache=cache)
    with terminal() as shown:
        runs.stats()
    assert "run 3 of 3" in shown[0]
    with terminal() as shown:
        runs.stats()
        HelmRuns(outputs, cache=cache.with_name("other"), progress=False).stats()
        HelmOutputs(outputs, cache=cache.with_name("third"), progress=False).suites().runs().stats()
    assert shown == [""]


@pytest.mark.usefixtures("quick")
def test_nothing_is_shown_in_the_first_two_seconds(outputs: Path, cache: Path) -> None:
    with terminal() as shown:
        ingest(outputs, cache)
    assert shown == [""]


@pytest.mark.usefixtures("slow")
def test_nothing_is_shown_if_the_caller_says_so_or_has_a_function(outputs: Path, cache: Path) -> None:
    told: list[Progress] = []
    with terminal() as shown:
        ingest(outputs, cache, progress=False)
        validate(outputs, progress=told.append)
        verify(outputs, cache, progress=False)
    assert shown == [""]
    assert told[-1].runs_done == 3


@pytest.mark.usefixtures("slow")
def test_nothing_is_shown_where_nobody_watches(outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    ingest(outputs, cache)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stderr", None)
    assert len(list(steps(3))) == 3


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_leaves_a_clean_terminal(error: type[BaseException]) -> None:
    def interrupted() -> None:
        with watched(None, lambda done: Step(done, 9, f"{done} of 9")) as report:
            assert report is not None
            report(3)
            raise error

    with terminal() as shown, pytest.raises(error):
        interrupted()
    assert "3 of 9" in shown[0]
    assert shown[0].endswith(ERASE_LINE)
    assert SHOW_CURSOR in shown[0]


@pytest.mark.usefixtures("slow")
def test_of_two_at_once_the_first_one_is_shown() -> None:
    with terminal() as shown:
        for _ in steps(4):
            list(steps(7))
    assert "3 of 4" in shown[0]
    assert "of 7" not in shown[0]
    with terminal() as shown:
        list(steps(7))
    assert "6 of 7" in shown[0]


def test_what_is_shown_of_each_report() -> None:
    progress = Progress(bytes_done=5, bytes_total=20, runs_done=3, runs_total=10, run="s/[/b]", rejected=1)
    assert step_of(progress) == Step(5, 20, "run 3 of 10, 1 rejected", of_bytes=True)
    assert _step_of(ExportProgress("stats", rows_done=1, rows_total=4)) == Step(1, 4, "stats")


@pytest.mark.usefixtures("slow")
def test_a_notebook_has_a_line_that_is_emptied(outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for IPython, without ipywidgets, and with a kernel's shell."""
    lines: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            assert raw
            lines.append(data["text/plain"])

    class ZMQInteractiveShell:
        pass

    def display(data: dict[str, str], **_: Any) -> Handle:
        return Handle()

    ipython, shown = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    shown.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    with terminal() as written:
        ingest(outputs, cache)
    assert lines[-2:] == ["100 %  run 3 of 3", ""]
    assert written == [""]
