"""A predictor on the command line: what it prints is kept from the data, and however it ends is said."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, write_runs

from magnet_arrow.cli import main as cli

LOUD = """
import atexit, ctypes, os, subprocess, sys, warnings
from magnet_arrow.predictor import RunPrediction, RunPredictor

def say(what):
    print("printed", what)
    sys.stdout.write(f"written {what}\\n")
    os.write(1, f"to descriptor {what}\\n".encode())
    subprocess.run([sys.executable, "-c", f"print('child {what}')"], check=True)
    ctypes.CDLL(None).printf(f"held back {what}\\n".encode())

atexit.register(say, "at exit")
say("imported")

class Loud(RunPredictor):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        say("made")

    def run_spec_filter(self, run_spec):
        print("filter", run_spec["name"])
        return True

    def predict(self, train_split, sequestered_test_split):
        say("predict")
        return [RunPrediction(sequestered_test_split.run_specs["run_spec.name"][0], "test", "exact_match", 0.5)]
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs; not to be changed."""
    folder = tmp_path_factory.mktemp("two")
    write_runs(folder / "outputs", [make_run(f"tide:n={number}") for number in range(2)])
    return folder / "outputs"


@pytest.fixture(autouse=True)
def cache_dir(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One default cache for all of them: no predictor depends on what it has."""
    path = outputs.with_name("cache")
    monkeypatch.setenv("MAGNET_ARROW_CACHE_DIR", str(path))
    return path


@pytest.mark.slow
def test_all_that_a_predictor_prints_goes_to_stderr(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    script = "from magnet_arrow.cli.start import main; main()"
    command = [sys.executable, "-c", script, "predict", "loud:Loud", str(outputs), "--examples", "1", "--samples", "2"]
    ended = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (row,) = map(json.loads, ended.stdout.splitlines())
    assert (row["stat_name"], row["predicted_mean"], row["actual_mean"]) == ("exact_match", 0.5, 0.5)
    said = ended.stderr.splitlines()
    for what in ("imported", "made", "predict", "at exit"):
        for way in ("printed", "written", "to descriptor", "child", "held back"):
            assert said.count(f"{way} {what}") == 1
    assert "filter tide:n=0" in said


@pytest.mark.slow
def test_what_is_printed_of_the_data_can_be_cut_short(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "quiet.py").write_text(MODULE.format(body="return [prediction(stat_name=str(n)) for n in range(5000)]"))
    script = "from magnet_arrow.cli.start import main; main()"
    command = [sys.executable, "-c", script, "predict", "quiet:P", str(outputs), "--examples", "1", "--json"]
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.close(writer)
    assert (ended.returncode, "Traceback" in ended.stderr, "Exception" in ended.stderr) == (0, False, False)


MODULE = """
import os, sys
from magnet_arrow.errors import NotEnoughRunsError
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.predictor import RunPrediction, RunPredictor

class P(RunPredictor):
    def predict(self, train_split, sequestered_test_split):
        def prediction(**changes):
            name = sequestered_test_split.run_specs["run_spec.name"][0]
            values = {{"run_spec_name": name, "split": "test", "stat_name": "exact_match", "mean": 0.5}} | changes
            return RunPrediction(**values)

        {body}
"""

FAILING = {
    "raise": ('raise LookupError("lost my model")', "LookupError: lost my model"),
    "exit with 0": ("sys.exit(0)", "ended the process: exit code 0"),
    "exit without a code": ("sys.exit()", "ended the process: exit code 0"),
    "exit with 1": ("sys.exit(1)", "ended the process: exit code 1"),
    "exit with a text": ('sys.exit("no model here")', "ended the process: no model here"),
    "end of input": ("raise EOFError", "EOFError"),
    "broken pipe": ('raise BrokenPipeError(32, "my server hung up")', "my server hung up"),
    "an error of ours": ('raise NotEnoughRunsError("too few for me")', "too few for me"),
    "a source that is not there": ('HelmRuns("/no/such/folder")', "/no/such/folder"),
    "nothing": ("return None", "expected a list of RunPrediction"),
    "a number": ("return 0.5", "expected a list of RunPrediction"),
    "numbers": ("return [0.5]", "found 0.5 in it"),
    "a large mean": ("return [prediction(mean=10**400)]", "mean of a prediction is wrong"),
    "a mean too large to show": ("return [prediction(mean=10**5000)]", "mean of a prediction is wrong"),
    "a large count": ("return [prediction(count=2**63)]", "count of a prediction is wrong"),
    "a large parameter": ('return [prediction(perturbation_parameters={"k": 2**64})]', "k of a prediction is wrong"),
    "a text for a mean": ('return [prediction(mean="0.5")]', "expected a number, found '0.5'"),
    "no name": ("return [prediction(run_spec_name=None)]", "expected a string, found None"),
    "half a character": (r'return [prediction(run_spec_name="\ud800")]', "expected a string that UTF-8 can encode"),
    "two kinds": (
        'return [prediction(perturbation_parameters={"k": k}) for k in ("a", True)]',
        "expected values of one type, found bool and str",
    ),
}


@pytest.fixture
def predict(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Any]:
    """Runs `magnet-arrow predict` in this process, with the class `P` of a module of this text."""

    def predict(text: str, *options: str) -> tuple[int, str, str]:
        name = f"predictor_{abs(hash((text, tmp_path)))}"
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        args = ["magnet-arrow", "predict", f"{name}:P", str(outputs), "--examples", "1", "--samples", "2"]
        monkeypatch.setattr(sys, "argv", [*args, *options])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert isinstance(end.value.code, int)
        return int(end.value.code), *capsys.readouterr()

    return predict


@pytest.mark.parametrize(("body", "said"), FAILING.values(), ids=FAILING)
def test_a_predictor_that_fails_is_3_and_says_why(predict: Callable[..., Any], body: str, said: str) -> None:
    code, out, err = predict(MODULE.format(body=body), *(["--json"] if "raise" in body else []))
    assert (code, out) == (3, "")
    assert said in err


@pytest.mark.parametrize("statement", ["sys.exit(0)", "raise EOFError", "import a_module_that_is_not_there_at_all"])
def test_a_module_that_fails_is_3_too(predict: Callable[..., Any], statement: str) -> None:
    code, out, err = predict(MODULE.replace("{body}", "return []") + f"\n{statement}\n")
    assert (code, out) == (3, "")
    assert err


def test_a_filter_that_exits_is_3_too(predict: Callable[..., Any]) -> None:
    method = "\n    def run_spec_filter(self, run_spec):\n        sys.exit(0)\n"
    assert predict(MODULE.format(body="return []") + method)[0] == 3
    method = "\n    def run_spec_dataframe_filter(self, run_specs):\n        return True\n"
    code, _, err = predict(MODULE.format(body="return []") + method)
    assert code == 3
    assert "expected a method that returns a pl.Expr" in err
