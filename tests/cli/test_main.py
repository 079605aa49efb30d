import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from command_line import Ended, Run, commands, rows
from makedump import make_run, write_run
from typer.main import get_command

from magnet_arrow.cache import Cache
from magnet_arrow.cli import main as cli
from magnet_arrow.cli.app import application
from magnet_arrow.errors import CacheLockedError, MagnetWarning
from magnet_arrow.ingestion import api


@pytest.mark.parametrize("args", [["--help"], ["ingest", "--help"], ["--version"]], ids=" ".join)
def test_help_is_answered_without_what_is_slow(args: list[str]) -> None:
    code = (
        f"import sys; from magnet_arrow.cli.start import main; sys.argv[1:] = {args}\n"
        "try: main()\n"
        "finally: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout
    loaded = set(ended.stderr.split())
    assert "typer" in loaded
    assert not {"polars", "pyarrow", "rich"} & loaded


@pytest.mark.slow
def test_the_script_is_the_same_command_line(outputs: Path, tmp_path: Path) -> None:
    script = [sys.executable, "-c", "from magnet_arrow.cli.start import main; main()"]
    ended = subprocess.run(
        [*script, "ingest", str(outputs), "--cache", str(tmp_path / "c")], capture_output=True, text=True, check=True
    )
    assert "3 ingested" in ended.stdout
    verify = [*script, "verify", str(outputs), "--cache", str(tmp_path / "c")]
    ended = subprocess.run(verify, capture_output=True, text=True, check=True)
    assert " 0 differences" in ended.stdout
    ended = subprocess.run([*script, "ingest", str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert ended.returncode == 2


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, "magnet-arrow 0.1.0\n", "")


@pytest.mark.parametrize(
    "args", [[], ["nonsense"], ["ingest"], ["head", "[/bold]x"], ["head", "stats", "-n", "0"]], ids=" ".join
)
def test_wrong_use_is_2_and_shows_the_way(run: Run, args: list[str]) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert "magnet-arrow" in ended.out + ended.err


@pytest.mark.parametrize(
    "args",
    [["cache", "path"], *(pytest.param(args, marks=pytest.mark.slow) for args in (["schemas"], ["schemas", "--json"]))],
    ids=" ".join,
)
def test_a_reader_that_has_enough_is_no_error(args: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "magnet_arrow", *args]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_an_output_that_is_closed_is_no_error() -> None:
    closed = subprocess.run(
        ["sh", "-c", '"$0" -m magnet_arrow schemas >&-', sys.executable], capture_output=True, text=True, check=False
    )
    assert (closed.returncode, closed.stderr) == (0, "")


def test_hints_speak_of_options_wherever_a_shell_shows_them(run: Run, broken: Path) -> None:
    """And of arguments where Python does."""
    facts = json.loads(run("ingest", broken, "--json").out)
    (row,) = rows(run("rejects", "--json"))
    shown = [facts["rejected"][0]["hint"], row["hint"], run("rejects").out, run("validate", broken).out]
    for text in (*shown, run("ingest", broken).err):
        assert "--partial" in text
        assert "partial=True" not in text
    assert "partial=True" in Cache().rejects()["hint"].item()


def test_names_from_a_dump_do_not_act_on_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "mmlu:[bold]\x1b[2J\u202ex"
    shown = r"mmlu:[bold]\x1b[2J\u202ex"
    made = make_run("mmlu:[/bold]\x07x", args={"[red]\x1b]0;x\x07": "\x1b[31m[/blue]"})
    made["run_spec"]["adapter_spec"]["model"] = "a\x1b[2Jb[/b]"
    write_run(tmp_path / "evil", made, folder=evil)
    bad = write_run(tmp_path / "evil", make_run("bad:[/bold]"), folder="bad:[bold]\x1b[2J")
    bad.joinpath("stats.json").write_text("[")
    outs = [
        run("ingest", tmp_path / "evil"),
        run("ls", tmp_path / "evil"),
        run("ls"),
        run("head", "run_spec"),
        run("head", "run_spec", "--json"),
        run("rejects"),
        run("rejects", "--json"),
        run("cache", "info"),
        run("validate", tmp_path / "evil"),
        run("validate", tmp_path / "evil", "--json"),
        run("ingest", tmp_path / "evil" / "[/bold]\x1b[2J"),
    ]
    assert [ended.code for ended in outs] == [1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2]
    assert r"bad:[bold]\x1b[2J/stats.json" in outs[0].err
    assert shown in outs[1].out
    assert r"a\x1b[2Jb[/b]" in outs[1].out
    assert shown in outs[2].out
    assert r"mmlu:[/bold]\x07x" in outs[3].out
    assert r"\x1b[31m[/blue]" in outs[3].out
    assert r"bad:[bold]\x1b[2J/stats.json" in outs[5].out
    for ended in outs:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", ended.out + ended.err)


def stopped_by(monkeypatch: pytest.MonkeyPatch, stop: Callable[[], object]) -> None:
    monkeypatch.setattr(api, "prepare", lambda *_, **__: stop())


def raising(err: BaseException) -> Callable[[], NoReturn]:
    def stop() -> NoReturn:
        raise err

    return stop


@pytest.mark.parametrize(
    ("stop", "code", "words"),
    [
        pytest.param(raising(KeyboardInterrupt()), 130, "Interrupted", id="ctrl-c"),
        pytest.param(lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "Terminated", id="sigterm"),
        pytest.param(raising(OSError(errno.ENOSPC, "No space left on device")), 3, "No space left", id="disk-full"),
        pytest.param(
            raising(CacheLockedError("Another writes.", hint="Wait.")),
            3,
            "Another writes.\n  Wait.",
            id="lock",
        ),
    ],
)
def test_what_stops_an_ingest_has_a_code_and_words(
    run: Run,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: Callable[[], object],
    code: int,
    words: str,
) -> None:
    stopped_by(monkeypatch, stop)
    ended = run("ingest", outputs)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow  # test_start.py sends the signal itself
def test_ctrl_c_while_the_package_is_imported_is_an_ordinary_end_too() -> None:
    code = """
import sys
from magnet_arrow.cli.start import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "polars":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["ls"]
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "Interrupted. What was committed stays.\n"


def test_a_warning_is_a_note_and_1(run: Run, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(*args: object, **options: object) -> object:
        warnings.warn(MagnetWarning("made/tide:n=0 is stale\x1b[2J."), stacklevel=2)
        return original(*args, **options)  # type: ignore[arg-type]

    original = api.prepare
    monkeypatch.setattr(api, "prepare", prepare)
    ended = run("ingest", outputs)
    assert (ended.code, ended.err) == (1, "Note: made/tide:n=0 is stale\\x1b[2J.\n")


def test_python_m_is_the_same_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "magnet_arrow", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "magnet-arrow 0.1.0\n"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="names there are no bytes")
@pytest.mark.parametrize(
    "locale", [pytest.param({}, id="as it is"), pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0"}, id="C")]
)
def test_names_and_texts_that_cannot_be_shown_end_nothing(
    outputs: Path, tmp_path: Path, locale: dict[str, str]
) -> None:
    """A folder in Latin-1, as an old zip leaves it, and one with letters that the locale C has not."""
    made = outputs / "runs/made"
    shutil.copytree(made / "tide:n=0", made / os.fsdecode(b"caf\xe9:n=3"))
    shutil.copytree(made / "tide:n=0", made / os.fsdecode("gr\u00fcn:n=4".encode()))
    environment = {**os.environ, **locale}

    def shell(*args: str | bytes | Path) -> Ended:
        code = "from magnet_arrow.cli.start import main; main()"
        ended = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, env=environment, cwd=tmp_path)
        assert b"Traceback" not in ended.stderr
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    n_taken = 3 if locale else 4
    ended = shell("ingest", outputs, "--cache", "c")
    assert ended.code == 1
    assert f"{n_taken} ingested, 0 unchanged, {5 - n_taken} rejected" in ended.out
    assert "made/caf\\udce9:n=3" in ended.err
    assert ("Set PYTHONUTF8=1" in ended.err) == bool(locale)
    assert shell("ls", "--cache", "c").out.count("tide:n=") == 3
    ended = shell("validate", outputs)
    assert ended.code == 1
    assert "made/caf\\udce9:n=3" in ended.out
    assert shell("cache", "path", "--cache", b"caf\xe9").code == 2


def test_a_thread_that_can_not_be_started_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Polars panics then, which is no `Exception`."""

    class PanicException(BaseException):
        pass

    def panic(*_: object) -> None:
        raise PanicException("OS can't spawn worker thread: Resource temporarily unavailable (os error 11)")

    monkeypatch.setattr(cli, "application", panic)
    monkeypatch.setattr(sys, "argv", ["magnet-arrow", "ls"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 3
    complaint = capsys.readouterr().err
    assert "No thread could be started: OS can't spawn worker thread" in complaint
    assert "Traceback" not in complaint


def test_a_command_that_is_named_is_as_among_all() -> None:
    for name, command in commands(get_command(application())):
        if " " in name or not name:
            continue
        ((alone, found),) = [one for one in commands(get_command(application([name, "--json"]))) if one[0] == name]
        assert (alone, found.help, found.epilog) == (name, command.help, command.epilog)
        assert [one.opts for one in found.params] == [one.opts for one in command.params]
    assert {name.split()[0] for name, _ in commands(get_command(application(["cache", "info"]))) if name} == {"cache"}
    assert [name for name, _ in commands(get_command(application(["sql", "SELECT 1"]))) if name] == ["sql"]
