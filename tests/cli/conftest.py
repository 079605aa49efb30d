"""Fixtures that tests of commands share: the command line in this process, and runs for it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Run, in_this_process
from makedump import make_run, write_runs


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process."""
    return in_this_process(monkeypatch, capsys)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[int], None]:
    """Makes stdout and stderr of this process a terminal of so many columns."""

    def terminal(width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        for stream in (sys.stdout, sys.stderr):
            monkeypatch.setattr(stream, "isatty", lambda: True)

    return terminal


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three whole runs of two instances, so of 2 stats and 4 stats of instances each."""
    write_runs(tmp_path / "outputs", [make_run(f"tide:n={number}") for number in range(3)])
    return tmp_path / "outputs"


@pytest.fixture
def broken(outputs: Path) -> Path:
    """The same, one of them cut off."""
    file = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    file.write_bytes(file.read_bytes()[:100])
    return outputs
