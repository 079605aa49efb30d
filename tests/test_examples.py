import ast
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_runs

import magnet_arrow as magnet
from magnet_arrow.examples.perturbation_line_predictor import PerturbationLinePredictor, line
from magnet_arrow.examples.random_instance_predictor import RandomInstancePredictor
from magnet_arrow.examples.random_run_predictor import RandomRunPredictor

SEED = Path(__file__).parents[2] / "shared" / "seed" / "notebook.txt"


def cells(name: str) -> list[dict[str, Any]]:
    """The code cells of a notebook of the package."""
    text = files("magnet_arrow.examples").joinpath(name).read_text(encoding="utf-8")
    return [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


def value_of(cell: dict[str, Any], names: dict[str, object]) -> object:
    """Runs a cell, and gives the value of its last line if that is an expression."""
    *statements, last = ast.parse("".join(cell["source"])).body
    exec(compile(ast.Module(statements, []), "cell", "exec"), names)
    if isinstance(last, ast.Expr):
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    exec(compile(ast.Module([last], []), "cell", "exec"), names)
    return None


def test_the_nine_cells_run_in_order_and_the_last_ones_show_frames() -> None:
    names: dict[str, object] = {}
    values = [value_of(cell, names) for cell in cells("notebook.ipynb")]
    shown = [value for value in values if isinstance(value, pl.DataFrame)]
    # Counted in the files: 3 train runs of 7 instances, 5 of 7 sampled in the held-out run; 89 stats per run.
    heights = [frame.height for frame in shown]
    assert [heights[0], heights[1], heights[2], heights[4], heights[5]] == [3, 21, 267, 1, 5]
    assert all("run_spec.name" in frame.columns for frame in shown)


def test_the_cells_from_a_dump_to_a_ranking_show_what_the_notebook_holds() -> None:
    names: dict[str, object] = {}
    n_shown = 0
    with pl.Config():  # a cell changes how frames are shown
        for cell in cells("dump_to_ranking.ipynb"):
            value = value_of(cell, names)
            held = ["".join(output["data"]["text/plain"]) for output in cell["outputs"]]
            assert held == ([] if value is None else [repr(value)]), "run `python docs/run_notebook.py`"
            n_shown += len(held)
    assert n_shown == 9


@pytest.mark.shared
@pytest.mark.skipif(not SEED.is_file(), reason="no ../shared/seed")
def test_the_code_is_the_seed_notebooks_but_for_the_import() -> None:
    seed = SEED.read_text(encoding="utf-8").split("In [")[1:]
    ours = ["".join(cell["source"]) for cell in cells("notebook.ipynb")]
    assert not any(cell["outputs"] for cell in cells("notebook.ipynb"))
    assert len(ours) == len(seed) == 9
    for mine, theirs in zip(ours, seed, strict=True):
        code = theirs.partition("]:\n")[2].partition("\n\nUnnamed: 0")[0]
        code = code.replace("import magnet\n", "import magnet_arrow as magnet\n")
        code = code.replace("from magnet.", "from magnet_arrow.")
        assert ast.dump(ast.parse(mine)) == ast.dump(ast.parse(code))


def test_the_random_predictor_predicts_each_held_out_run_once_and_repeatably() -> None:
    suite = magnet.HelmOutputs.demo().suites()[0]
    predictor = RandomRunPredictor(random_seed=7)
    comparison = predictor(helm_runs=suite.runs())
    assert comparison.height == 1
    assert comparison["stat_name"].to_list() == ["exact_match"]
    assert 0 <= comparison["predicted_mean"].item() <= 1
    assert comparison["actual_mean"].null_count() == 0
    assert comparison.equals(RandomRunPredictor(random_seed=7)(helm_runs=suite.runs()))
    assert not comparison.equals(RandomRunPredictor(random_seed=8)(helm_runs=suite.runs()))


def test_the_random_instance_predictor_predicts_each_request_state_once_and_repeatably() -> None:
    suite = magnet.HelmOutputs.demo().suites("perturbed")[0]
    comparison = RandomInstancePredictor(random_seed=7)(suite)
    _, sequestered = RandomInstancePredictor(random_seed=7).prepare_predict_inputs(suite)
    assert comparison["prediction_id"].to_list() == list(range(sequestered.scenario_state.height))
    assert set(comparison["predicted_mean"]) == {0.0, 1.0}
    assert comparison["actual_mean"].null_count() == 0
    assert comparison.equals(RandomInstancePredictor(random_seed=7)(suite))


def test_the_line_is_fitted_to_the_strengths_of_the_train_runs() -> None:
    """The demo's misspelled runs have 0 at .05 and .2, and 2/7 at .5 (read in `stats.json`)."""
    suite = magnet.HelmOutputs.demo().suites("perturbed")[0]
    points = {0.05: 0.0, 0.2: 0.0, 0.5: 2 / 7}
    seen = set()
    for seed in range(12):
        comparison = PerturbationLinePredictor(2, 7, seed, level="items")(suite)
        (row,) = comparison.rows(named=True)
        asked = row["perturbation_prob"]
        (x0, y0), (x1, y1) = (point for point in points.items() if point[0] != asked)
        assert row["predicted_mean"] == pytest.approx(y0 + (y1 - y0) / (x1 - x0) * (asked - x0))
        assert row["actual_mean"] == pytest.approx(points[asked])
        seen.add(asked)
    assert seen == set(points)


def test_without_two_strengths_the_line_is_level() -> None:
    assert line(pl.DataFrame({"x": [0.5, 0.5], "y": [0.25, 0.75]})) == (0.0, 0.5)
    assert line(pl.DataFrame({"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 5.0]})) == (2.0, 1.0)


BARE = {
    "no stats": {"stats": [], "per_instance_stats": []},
    "no request states": {"scenario_state": {"adapter_spec": {}, "request_states": []}},
    "nothing but names": {"stats": [], "per_instance_stats": [], "scenario_state": {"request_states": []}},
}


@pytest.mark.parametrize("changes", BARE.values(), ids=BARE)
def test_the_random_predictor_works_on_any_dump(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_runs(tmp_path, [make_run(f"tides {number}") | changes for number in range(2)])
    predictor = RandomRunPredictor(1, 1, insufficient_eval_sample_policy="ignore")
    assert predictor(helm_runs=tmp_path)["actual_mean"].to_list() == [None]


def test_a_mean_or_a_split_that_no_run_has_is_null(tmp_path: Path) -> None:
    runs = [make_run(f"tides {number}") for number in range(2)]
    for run in runs:
        for state in run["scenario_state"]["request_states"]:
            del state["instance"]["split"]
        for stat in run["stats"]:
            del stat["mean"], stat["name"]["split"]
    write_runs(tmp_path, runs)
    comparison = RandomRunPredictor(1, 1)(helm_runs=tmp_path)
    assert comparison.select("stat_name", "split", "actual_mean").rows() == [("exact_match", None, None)]
