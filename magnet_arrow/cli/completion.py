"""Completion for bash and zsh: the script that a shell loads, and the answers to what the script asks.

The script runs `magnet-arrow` with the variable `_MAGNET_ARROW_COMPLETE`, and the answer is one line for each way to go
on. typer's own scripts split the names of HELM's runs: bash takes each `:` and `=` for the end of a word, and blanks,
brackets and quotes are to be quoted.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from magnet_arrow.cli.candidates import MORE

if TYPE_CHECKING:
    from typer._completion_classes import BashComplete

SHELLS = ("bash", "zsh")
_LINE, _BREAKS = "_MAGNET_ARROW_LINE", "_MAGNET_ARROW_BREAKS"
_NAME = "magnet-arrow"


def print_answer(app: typer.Typer, shell: str) -> None:
    """Print how the line may go on, one way a line: for bash as it is to be typed, for zsh with a tab and help."""
    if shell == "bash":
        words = split_line(os.environ.get(_LINE, ""), os.environ.get(_BREAKS, " \t\n"))
        *before, last = words
        for value, is_open, _ in _ways(app, [word.text for word in before[1:]], last.text):
            reply = last.reply(value, is_open=is_open)
            if reply is not None:
                print(reply)
    else:
        for value, is_open, help_text in _ways(app, sys.argv[1:-1], sys.argv[-1]):
            print(value + (" " if not is_open else "") + (f"\t{help_text}" if help_text else ""))


def _ways(app: typer.Typer, before: list[str], incomplete: str) -> Iterator[tuple[str, bool, str]]:
    """Each word that the incomplete one may become, whether it may go on, and what it is."""
    option, equals, _ = incomplete.partition("=")
    begin = option + equals if equals and option.startswith("--") else ""
    for item in _completer(app).get_completions(before, incomplete):
        # An escape sequence in the name of a run would act on the terminal, and a line break would end the answer.
        if item.value.isprintable():
            is_open = item.help == MORE or item.value.endswith("/")
            yield begin + item.value, is_open, "" if item.help in (None, MORE) else " ".join(item.help.split())


def _completer(app: typer.Typer) -> "BashComplete":
    from typer._completion_classes import BashComplete
    from typer.main import get_command

    return BashComplete(get_command(app), {}, _NAME, "")


@dataclass(slots=True)
class Word:
    """A word of a line, as bash sees it.

    Attributes:
        text: what it stands for, without quotes.
        kept: the part of `text` before that which bash replaces.
        quote: the quotation mark that is open at its end, if any.
        has_tilde: whether it begins with an unquoted `~`.
        is_begun: whether there is anything of it; quotes without anything between them are a word.
    """

    text: str = ""
    kept: str = ""
    quote: str = ""
    has_tilde: bool = False
    is_begun: bool = False

    def reply(self, value: str, *, is_open: bool) -> str | None:
        """What bash is to put there for the whole word to stand for `value`; None if that cannot be.

        Args:
            value: the word.
            is_open: whether it may go on; else a blank follows.
        """
        if not value.startswith(self.kept):
            return None
        rest = value[len(self.kept) :]
        if self.quote == "'":
            return rest.replace("'", r"'\''")
        if self.quote:
            return re.sub(r'(["\\$`])', r"\\\1", rest)
        tilde = "~" if self.has_tilde and not self.kept else ""
        return tilde + re.sub(r"([^\w@%+=:,./^-])", r"\\\1", rest.removeprefix(tilde)) + " " * (not is_open)


def split_line(line: str, breaks: str) -> list[Word]:
    """The words of a line up to the cursor; the last one is incomplete, and may be empty.

    Args:
        line: the line.
        breaks: where readline breaks words, `COMP_WORDBREAKS`: it replaces only what follows the last unquoted one, or
            an open quotation mark.
    """
    words = [Word()]
    for token in _TOKEN.finditer(line):
        word = words[-1]
        if token["blank"]:
            words += [Word()] if word.is_begun else []
            continue
        if token["end"] == "":
            word.kept, word.quote = word.text, token[0][0]
        word.has_tilde = word.has_tilde or (token[0] == "~" and not word.is_begun)
        word.text += _meant(token)
        if token[0] in breaks:
            word.kept = word.text
        word.is_begun = True
    return words


def _meant(token: re.Match[str]) -> str:
    """What a part of a word stands for."""
    if token["double"] is not None:
        return _ESCAPED_IN_DOUBLE.sub(r"\1", token["double"])
    inner = token["single"] if token["single"] is not None else token["escaped"]
    return token[0] if inner is None else inner


_TOKEN = re.compile(
    r"""(?P<blank>[ \t\n]+)|(?:'(?P<single>[^']*)|"(?P<double>(?:\\.|[^"\\])*\\?))(?P<end>['"]?)|\\(?P<escaped>.?)|.""",
    re.DOTALL,
)
_ESCAPED_IN_DOUBLE = re.compile(r'\\(["\\$`])')


def script(shell: str) -> str:
    """The script for a shell."""
    from importlib.resources import files

    return files(__package__).joinpath(f"completion.{shell}").read_text(encoding="utf-8")


def install(shell: str) -> tuple[Path, Path]:
    """Write the script to a file, and a line that loads it to the shell's start-up file, once.

    Returns:
        The two files.
    """
    import platformdirs

    file = platformdirs.user_data_path("magnet_arrow") / f"completion.{shell}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(script(shell), encoding="utf-8")
    start_up = Path.home() / ".bashrc" if shell == "bash" else Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    line = os.fsencode(f"source {shlex.quote(str(file))}  # completion of magnet-arrow\n")
    before = start_up.read_bytes() if start_up.exists() else b""  # in any encoding
    if line not in before:
        with start_up.open("ab") as stream:
            stream.write(line if not before or before.endswith(b"\n") else b"\n" + line)
    return file, start_up


def current_shell() -> str:
    """The shell that runs this command: bash or zsh.

    Raises:
        MagnetError: it is another one, or not known.
    """
    import shellingham  # type: ignore[import-untyped]  # it says nothing of types

    from magnet_arrow.errors import MagnetError

    try:
        name = shellingham.detect_shell()[0]
    except shellingham.ShellDetectionFailure:
        name = os.path.basename(os.environ.get("SHELL", ""))
    if name in SHELLS:
        return str(name)
    raise MagnetError("There is no completion for this shell.", expected=" or ".join(SHELLS), found=name or "none")
