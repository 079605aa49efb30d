"""Progress is shown on a terminal and in a notebook, after two seconds, and leaves nothing behind."""

import contextlib
import dataclasses
import io
import itertools
import os
import re
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
from magnet_arrow.pages import Section
from magnet_arrow.reports import report as reports

pty = pytest.importorskip("pty", reason="Windows has none")
SHOW_CURSOR, ERASE_LINE = "\x1b[?25h", "\x1b[2K"


@contextlib.contextmanager
def terminal(width: int = 120) -> Iterator[list[str]]:
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
        patch.setenv("COLUMNS", str(width))
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


def test_a_step_that_takes_long_is_shown_though_nothing_is_reported_during_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer of a terminal's view calls `_show_last`."""
    now = 0.0
    monkeypatch.setattr(_progress, "clock", lambda: now)
    delayed = _progress._Delayed(_progress.TerminalBar)
    with terminal() as shown:
        delayed._show_last()
        delayed.update(Step(1, 2, "a long step"))
        delayed._show_last()
        now = 2.5
        delayed._show_last()
        delayed.close()
        delayed._show_last()
    assert shown[0].count("a long step") == shown[0].count(SHOW_CURSOR) == 1
    assert shown[0].endswith(ERASE_LINE)


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


@pytest.mark.usefixtures("slow")
def test_a_report_shows_what_it_is_at(outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the sections themselves, whose packages take long to load."""
    told: list[Step] = []
    monkeypatch.setattr(_progress.TerminalBar, "update", lambda _, step, __: told.append(step))
    monkeypatch.setattr(reports, "require_packages", lambda: None)
    for name in ("rankings", "by_scenario", "usage"):
        monkeypatch.setattr(reports, name, lambda _: Section("", []))
    monkeypatch.setattr(reports.questions.Questions, "all_of", lambda _: [])
    for name in ("audit", "disputed", "all_wrong"):
        monkeypatch.setattr(reports.questions, name, lambda _: Section("", []))
    ingest(outputs, cache, progress=False)
    with terminal():
        reports.report(HelmRuns(outputs, cache=cache, progress=False))
        assert told == []
        reports.report(HelmRuns(outputs, cache=cache))
    texts = ["reading scores", "comparing models", "drawing the ranking", "looking for suspicious questions"]
    assert [step.text for step in told] == [*texts, "writing the page"]
    assert [step.done / step.total for step in told] == [0, 0.2, 0.4, 0.6, 0.8]


def test_what_is_shown_of_each_report() -> None:
    progress = Progress(bytes_done=5, bytes_total=20, runs_done=3, runs_total=10, run="s/[/b]", rejected=1)
    assert step_of(progress) == Step(5, 20, "run 3 of 10, 1 rejected", of_bytes=True)
    assert _step_of(ExportProgress("stats", rows_done=1, rows_total=4)) == Step(1, 4, "stats")
    of_bucket = dataclasses.replace(progress, bytes_fetched=2_000_000, waits_for="network")
    assert step_of(of_bucket).text == "run 3 of 10, 1 rejected, 2 MB fetched, waiting for the network"
    assert step_of(dataclasses.replace(of_bucket, waits_for="retries")).text.endswith("to repeat requests that failed")
    assert step_of(dataclasses.replace(of_bucket, waits_for="decoding")).text.endswith(", waiting for decoding")


LONG = Step(
    123_456_789_012,
    999_888_777_666,
    "run 12,345 of 20,000, 123 rejected, 240 GB fetched, waiting for the network",
    True,
)


@pytest.mark.parametrize("width", [80, 120])
def test_a_bar_and_what_is_below_it_fit_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock shows 0, then 5,000 seconds."""
    monkeypatch.setattr(_progress, "clock", iter([0.0, 5_000.0]).__next__)
    with terminal(width) as shown, watched(None, lambda step: step) as report:
        assert report is not None
        report(LONG)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[0]).split("\n")
    figures = "12%  123 GB of 1 TB, 24.7 MB/s, 10 hours left"
    [bar] = {line.strip() for line in lines if figures in line}
    [text] = {line.strip() for line in lines if "run 12,345" in line}
    assert (len(bar) <= 80, text) == (True, LONG.text)


def test_speed_and_time_left_are_those_of_the_last_seconds() -> None:
    speed = _progress._Speed(0.0)
    found = []
    for second in range(1, 61):  # 100 bytes a second, and after half a minute none
        speed.add(float(second), 100 * min(second, 30))
        found.append(list(speed.figures(Step(100 * min(second, 30), 6_000, "", of_bytes=True))))
    assert found[9] == ["1 kB of 6 kB", "100 bytes/s", "50 seconds left"]
    assert found[29] == ["3 kB of 6 kB", "100 bytes/s", "30 seconds left"]
    assert found[39] == ["3 kB of 6 kB", "50 bytes/s", "60 seconds left"]
    assert found[59] == ["3 kB of 6 kB", "0 bytes/s"]
    assert list(speed.figures(Step(30, 60, "runs"))) == []


def test_how_long_steps_of_uneven_length_take_is_not_said() -> None:
    speed = _progress._Speed(0.0)
    speed.add(10.0, 5)
    assert list(speed.figures(Step(5, 10, ""))) == ["10 seconds left"]
    assert list(speed.figures(Step(5, 10, "", is_even=False))) == []
    assert list(speed.figures(Step(10, 10, ""))) == []


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
    assert [re.sub(r"[0-9.]+ (kB|bytes)", "…", line) for line in lines[-2:]] == ["100 %  … of …, …/s  run 3 of 3", ""]
    assert written == [""]
