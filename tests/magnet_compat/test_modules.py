"""The modules under MAGNET's names: which there are, when they are refused, and how a script is run with them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

IMPORTS = """
import magnet_arrow.magnet_compat, sys
import magnet, magnet.predictor, magnet.instance_predictor, magnet.data_splits, magnet.helm_outputs
import magnet.backends.helm.helm_outputs
from magnet.backends.helm.helm_outputs import HelmOutputs
from magnet import helm_outputs
assert magnet.HelmOutputs is HelmOutputs is helm_outputs.HelmOutputs
assert magnet.__version__ == "0.1.0"
import magnet_arrow.magnet_compat
assert sys.modules["magnet"] is magnet
assert not {"helm", "torch", "transformers"} & set(sys.modules)
try:
    import magnet.evaluation
except ModuleNotFoundError as error:
    assert error.name == "magnet.evaluation"
else:
    raise AssertionError("magnet.evaluation can be imported")
"""
REFUSED = """
import magnet
from magnet_arrow.errors import MagnetError
try:
    import magnet_arrow.magnet_compat
except ImportError as error:
    assert isinstance(error, MagnetError)
    print(error)
"""
NO_PANDAS = """
import sys
sys.modules["pandas"] = None
try:
    import magnet_arrow.magnet_compat
except ImportError as error:
    print(error)
"""
SCRIPT = """
import sys
import beside
from magnet.predictor import RunPredictor
print(__name__, sys.argv[1:], beside.VALUE, RunPredictor.__module__)
"""


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=environment)


def test_all_of_magnets_modules_are_there_without_helm() -> None:
    ended = run("-c", IMPORTS)
    assert ended.returncode == 0, ended.stderr


def test_the_real_magnet_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "magnet.py").write_text("")
    ended = run("-c", REFUSED, path=tmp_path)
    assert ended.stdout.splitlines() == [
        f"`magnet` is already imported, from {tmp_path / 'magnet.py'}.",
        "  Import magnet_arrow.magnet_compat before anything that imports magnet.",
    ]


def test_without_pandas_an_error_says_what_to_install() -> None:
    ended = run("-c", NO_PANDAS)
    assert "needs pandas for its frames.\n  pip install 'magnet-arrow[pandas]'" in ended.stdout


@pytest.mark.slow
def test_a_script_is_run_as_by_python(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "beside.py").write_text("VALUE = 7")
    ended = run("-m", "magnet_arrow.magnet_compat", str(tmp_path / "script.py"), "a", "--b")
    assert ended.stdout == "__main__ ['a', '--b'] 7 magnet_arrow.magnet_compat.predictor\n", ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["missing.py"]])
def test_without_a_script_it_fails(arguments: list[str]) -> None:
    ended = run("-m", "magnet_arrow.magnet_compat", *arguments)
    assert ended.returncode
    assert "SCRIPT.py" in ended.stderr or "missing.py" in ended.stderr
