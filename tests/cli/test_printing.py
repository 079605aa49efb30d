"""What a terminal shows of messages: no word and no number is cut."""

import sys
from collections.abc import Callable

import polars as pl
import pytest
from command_line import Run
from rich.text import Text

from magnet_arrow.cli.printing import complain, print_rows, stderr, wrapped


def test_a_line_is_wrapped_between_words_and_keeps_its_indentation() -> None:
    line = "  found 1,017 runs of made/owl-7b-instruct."
    assert wrapped(line, 20).split("\n") == ["  found 1,017 runs", "  of", "  made/owl-7b-instruct."]
    assert wrapped(line, len(line)) == line
    assert wrapped("x" * 50, 20) == "x" * 50
    assert wrapped("rows      stats 1,430, scenario 9", 24).split("\n") == [
        "rows      stats 1,430,",
        "          scenario 9",
    ]
    assert wrapped("  " + "x" * 30 + " y", 20).split("\n") == ["  " + "x" * 30, "  y"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_messages_are_wrapped_on_a_terminal_alone(
    is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("COLUMNS", "16")
    complain("one two three four\n  five six seven\x1b")
    lines = ["one two three", "four", "  five six", "  seven\\x1b"] if is_terminal else [
        "one two three four", "  five six seven\\x1b",
    ]  # fmt: skip
    assert capsys.readouterr().err.splitlines() == lines


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        pytest.param({}, "red\n", id="no-terminal"),
        pytest.param({"FORCE_COLOR": "1"}, "\x1b[1;31mred\x1b[0m\n", id="forced"),
        pytest.param({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "\x1b[1mred\x1b[0m\n", id="no-colour"),
        pytest.param({"FORCE_COLOR": "1", "TERM": "dumb"}, "red\n", id="dumb-terminal"),
    ],
)
def test_colours_of_progress_bars(
    environment: dict[str, str], shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | environment).items():
        monkeypatch.setenv(name, value)
    stderr().print(Text("red", style="bold red"))
    assert tuple(capsys.readouterr()) == ("", shown)


def test_of_many_columns_that_are_left_out_twelve_are_named(
    capsys: pytest.CaptureFixture[str], terminal: Callable[[int], None]
) -> None:
    terminal(40)
    for number in (16, 40):
        print_rows(pl.DataFrame({f"column_{place:02}": ["x" * 12] for place in range(number)}))
    out, err = capsys.readouterr()
    assert out.count("\n") == 4
    assert "column_13" in err
    assert "and 1 more; --full" in " ".join(err.split())
    assert "and 25 more; --full" in " ".join(err.split())


def test_errors_about_arguments_are_wrapped_on_a_terminal_alone(run: Run, terminal: Callable[[int], None]) -> None:
    (line,) = [line for line in run("head", "tables").err.splitlines() if line.startswith("Error")]
    terminal(60)
    printed = run("head", "tables").err
    wrapped = printed[printed.index("Error") :].splitlines()
    assert all(len(one) <= 60 for one in wrapped)
    assert " ".join(wrapped) == line
    assert len(wrapped) > 2
