"""What a command ends with, for tests of the command line."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from magnet_arrow.cli import main as cli


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


def in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process."""

    def run(*args: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["magnet-arrow", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert isinstance(end.value.code, int)
        return Ended(int(end.value.code), *capsys.readouterr())

    return run


def rows(ended: Ended) -> list[dict[str, object]]:
    return [json.loads(line) for line in ended.out.splitlines()]


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each command of a group of typer's with the words that call it, the groups included."""
    yield before, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{before} {name}".strip())
