"""The examples of `--help`."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, commands
from typer.main import get_command

from magnet_arrow.cli.app import application
from magnet_arrow.cli.examples import EXAMPLES
from magnet_arrow.ingestion.api import ingest

READ_ONLY = ("ls", "head", "scores", "restore")


def test_each_command_has_one_to_three_examples() -> None:
    assert {name: len(lines) for name, lines in EXAMPLES.items() if not 1 <= len(lines) <= 3} == {}
    names = {name for name, _ in commands(get_command(application()))}
    assert set(EXAMPLES) == names, "cli/examples.py has one for each command"


@pytest.mark.parametrize(
    ("command", "line"), [(command, line) for command, lines in EXAMPLES.items() for line in lines]
)
def test_the_parser_takes_each_example(command: str, line: str) -> None:
    assert f"{line} ".startswith(f"{command} ".lstrip())
    group: Any = get_command(application())
    context, words = group.make_context("magnet-arrow", shlex.split(line)), shlex.split(line)
    while hasattr(group, "commands"):
        name, group, words = group.resolve_command(context, words)
        context = group.make_context(name, words, parent=context)


def test_help_shows_examples_as_whole_lines(run: Run) -> None:
    shown = run("head", "--help").out.splitlines()
    assert shown[shown.index("  Examples:") + 1 :] == [f"    magnet-arrow {line}" for line in EXAMPLES["head"]]


def test_the_examples_work_on_the_demo(
    run: Run, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "benchmark_output").symlink_to(demo_outputs)
    monkeypatch.chdir(tmp_path)
    ingest("benchmark_output")
    for command in READ_ONLY:
        for line in EXAMPLES[command][:-1] if command == "restore" else EXAMPLES[command]:
            ended = run(*shlex.split(line))
            assert (ended.code, bool(ended.out or ended.err)) == (0, True), line
