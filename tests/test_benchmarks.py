"""Benchmark scripts import, and name functions that exist: what is measured is moved now and then."""

import importlib
from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_can_be_imported(script: str) -> None:
    assert importlib.import_module(script).__doc__


def test_the_stages_of_an_ingest_are_functions_of_ours() -> None:
    stages = importlib.import_module("stages").STAGES
    assert [(owner.__name__, name) for owner, name, *_ in stages if not callable(vars(owner).get(name))] == []
