"""What a terminal shows of messages: no word and no number is cut."""

import sys

import pytest

from magnet_arrow.cli.printing import complain, wrapped


def test_a_line_is_wrapped_between_words_and_keeps_its_indentation() -> None:
    line = "  found 1,017 runs of made/owl-7b-instruct."
    assert wrapped(line, 20).split("\n") == ["  found 1,017 runs", "  of", "  made/owl-7b-instruct."]
    assert wrapped(line, len(line)) == line
    assert wrapped("x" * 50, 20) == "x" * 50


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
