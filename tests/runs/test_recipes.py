from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, write_run

from magnet_arrow import HelmOutputs, HelmRuns


def make(outputs: Path, name: str, args: Any, model: str, **adapter: Any) -> None:
    run = make_run(name, args=args)
    run["run_spec"]["adapter_spec"] |= {"model": model, "model_deployment": f"host/{model}"} | adapter
    write_run(outputs, run)


@pytest.fixture
def runs(tmp_path: Path) -> HelmRuns:
    """Runs a and b differ in the model alone; arguments called `limit` are of three kinds."""
    make(tmp_path / "outputs", "a", {"limit": 1}, "owl")
    make(tmp_path / "outputs", "b", {"limit": 1}, "wren")
    make(tmp_path / "outputs", "c", {"limit": "1"}, "owl")
    make(tmp_path / "outputs", "d", {"limit": [1]}, "owl")
    make(tmp_path / "outputs", "e", {"limit": 1}, "owl", max_tokens=6)
    make(tmp_path / "outputs", "f", {}, "owl", invented=True)
    return HelmRuns(tmp_path / "outputs", cache=tmp_path / "cache")


def test_a_recipe_is_all_but_the_model(runs: HelmRuns) -> None:
    found = runs.recipes()
    assert found.columns == ["source", "suite", "run", "model", "model_deployment", "recipe_key"]
    assert found["run"].to_list() == list("abcdef")
    assert found["model_deployment"].to_list()[:2] == ["host/owl", "host/wren"]
    keys = found["recipe_key"].to_list()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 5


def test_a_key_is_the_same_whatever_other_runs_there_are(runs: HelmRuns) -> None:
    together = runs.recipes()["recipe_key"].to_list()
    assert [run.recipes()["recipe_key"].item() for run in runs] == together
    assert runs[::-1].recipes()["recipe_key"].to_list() == together[::-1]


def test_runs_of_equal_names_in_two_suites(tmp_path: Path) -> None:
    for suite in ("v1", "v2"):
        write_run(tmp_path / "outputs", make_run("a"), suite=suite)
    found = HelmOutputs(tmp_path / "outputs", cache=tmp_path / "cache").recipes()
    assert found.select("suite", "run").rows() == [("v1", "a"), ("v2", "a")]
    assert found["recipe_key"].n_unique() == 1
