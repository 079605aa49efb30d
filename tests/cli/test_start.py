"""The script `magnet-arrow` from its first line to its last: a signal ends it as promised, without a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from makedump import make_run, write_run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

# The signal comes when a certain module is about to be imported, so that no clock decides where the command is.
SCRIPT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

{before}
sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = {args}
from magnet_arrow.cli.start import main
{after}
main()
"""
SIGNALS = pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        pytest.param(signal.SIGINT, 130, "Interrupted.", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, "Terminated.", id="SIGTERM", marks=pytest.mark.slow),
    ],
)


def ended(
    number: int, module: str, args: list[str], *, before: str = "", after: str = ""
) -> "subprocess.CompletedProcess[str]":
    code = SCRIPT.format(number=int(number), module=module, args=args, before=before, after=after)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@SIGNALS
@pytest.mark.parametrize(
    "module",
    [
        *("magnet_arrow._no_pandas", "polars"),
        *(
            pytest.param(module, marks=pytest.mark.slow)
            for module in ("typer", "magnet_arrow.errors", "magnet_arrow.cli.tables")
        ),
    ],
)
def test_a_signal_while_something_is_imported(number: int, code: int, said: str, module: str) -> None:
    before = f"sys.modules.pop({module!r}, None)"
    done = ended(number, module, ["schemas"], before=before)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


@SIGNALS
def test_a_signal_when_all_is_done(number: int, code: int, said: str) -> None:
    after = f"import atexit\natexit.register(os.kill, os.getpid(), {int(number)})"
    done = ended(number, "", ["--version"], after=after)
    assert done.returncode == code
    assert done.stdout.startswith("magnet-arrow ")
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


@SIGNALS
def test_a_signal_that_is_to_be_ignored_is(number: int, code: int, said: str) -> None:
    before = f"signal.signal({int(number)}, signal.SIG_IGN)"
    done = ended(number, "polars", ["schemas"], before=before)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_that_something_made_of_ctrl_c_is_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("""
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except BaseException as error:
    raise ImportError("something is broken") from error
""")
    script = "from magnet_arrow.cli.start import main; main()"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run_spec.json").write_text("{}")
    command = [sys.executable, "-c", script, "predict", "mine:P", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted. What was committed stays.\n")


@SIGNALS
def test_a_signal_while_an_ingest_imports_something_ends_it_in_order(
    number: int, code: int, said: str, tmp_path: Path
) -> None:
    """The command cleans up, although the signal came during an import."""
    write_run(tmp_path, make_run("a"))
    args = ["ingest", str(tmp_path), "--cache", str(tmp_path / "cache")]
    done = ended(number, "filelock", args, before="sys.modules.pop('filelock', None)")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"{said} What was committed stays.\n"
