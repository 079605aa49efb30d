import ast
import json
from importlib.resources import files
from pathlib import Path

import pytest

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
    # Counted in the files: 3 train runs of 7 instances, 5 of 7 sampled in the evaluated one; 89 stats a run.
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


def test_the_random_predictor_foretells_each_evaluated_run_once_and_repeatably() -> None:
    suite = magnet.HelmOutputs.demo().suites()[0]
    predictor = RandomRunPredictor(random_seed=7)
    comparison = predictor(helm_runs=suite.runs())
    assert comparison.height == 1
    assert comparison["stat_name"].to_list() == ["exact_match"]
    assert 0 <= comparison["predicted_mean"].item() <= 1
    assert comparison["actual_mean"].null_count() == 0
    assert comparison.equals(RandomRunPredictor(random_seed=7)(helm_runs=suite.runs()))
    assert not comparison.equals(RandomRunPredictor(random_seed=8)(helm_runs=suite.runs()))
