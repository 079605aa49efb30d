import ast
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, write_runs

import magnet_arrow as magnet
from magnet_arrow.examples.random_run_predictor import RandomRunPredictor

SEED = Path(__file__).parents[2] / "shared" / "seed" / "notebook.txt"


def cells() -> list[str]:
    text = files("magnet_arrow.examples").joinpath("notebook.ipynb").read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert all(cell["cell_type"] == "code" and not cell["outputs"] for cell in notebook["cells"])
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def test_the_nine_cells_run_in_order_and_the_last_ones_show_frames() -> None:
    names: dict[str, object] = {}
    shown = []
    for cell in cells():
        *statements, last = ast.parse(cell).body
        exec(compile(ast.Module(statements, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
    # Counted in the files: 3 train runs of 7 instances, 5 of 7 sampled in the held-out run; 89 stats per run.
    heights = [frame.height for frame in shown]
    assert [heights[0], heights[1], heights[2], heights[4], heights[5]] == [3, 21, 267, 1, 5]
    assert all("run_spec.name" in frame.columns for frame in shown)


@pytest.mark.shared
@pytest.mark.skipif(not SEED.is_file(), reason="no ../shared/seed")
def test_the_code_is_the_seed_notebooks_but_for_the_import() -> None:
    seed = SEED.read_text(encoding="utf-8").split("In [")[1:]
    ours = cells()
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
