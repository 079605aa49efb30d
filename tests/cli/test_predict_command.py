import random
import re
import sys
from pathlib import Path

import pytest
from command_line import Run, rows


def test_the_demo_ends_with_its_tables(run: Run) -> None:
    ended = run("demo")
    assert ended.code == 0
    assert ended.err == ""
    assert "9 ingested, 0 unchanged, 0 rejected" in ended.out
    # 3 of my-suite's 4 runs to learn from: 7 request states and 89 stats each; 5 instances of the fourth.
    assert re.search(r"run_specs +3 .*\n *scenario_state +21 .*\n *stats +267 ", ended.out)
    assert re.search(r"run_specs +1 .*\n *scenario_state +5 ", ended.out)
    assert re.search(r"predicted_mean +actual_mean", ended.out)
    assert "0 ingested, 9 unchanged, 0 rejected" in run("demo").out


def test_a_predictor_without_its_method_is_wrong_use(
    run: Run, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = "from magnet_arrow.predictor import RunPredictor\nclass Empty(RunPredictor):\n    pass\n"
    (tmp_path / "without_method.py").write_text(text)
    ended = run("predict", "without_method:Empty", outputs)
    assert ended.code == 2
    assert "without_method:Empty has no method predict" in ended.err


def test_a_predictor_predicts_a_run(run: Run, demo_outputs: Path) -> None:
    name = "magnet_arrow.examples.random_run_predictor:RandomRunPredictor"
    args = ("predict", name, demo_outputs / "runs" / "my-suite", "--samples", "5", "--json")
    (row,) = rows(run(*args))
    assert row["stat_name"] == "exact_match"
    assert (row["predicted_mean"], row["actual_mean"]) != (None, None)
    assert rows(run(*args)) == [row]
    assert rows(run(*args, "--seed", "2")) != [row]
    assert run(*args, "--examples", "4").code == 2


def test_an_instance_predictor_predicts_request_states(run: Run, demo_outputs: Path) -> None:
    name = "magnet_arrow.examples.random_instance_predictor:RandomInstancePredictor"
    ended = run("predict", name, demo_outputs / "runs" / "my-suite", "--samples", "5", "--json")
    assert [row["instance_id"] for row in rows(ended)] == ["id11", "id9", "id15", "id7", "id13"]
    assert [row["actual_mean"] for row in rows(ended)] == [1.0, 1.0, 1.0, 0.0, 1.0]
    assert "prediction_id" in run("predict", name, demo_outputs / "runs" / "my-suite").out


PREDICTORS = """
from magnet_arrow.predictor import RunPrediction, RunPredictor

class Nonsense(RunPredictor):
    def predict(self, train_split, sequestered_test_split):
        name = sequestered_test_split.run_specs["run_spec.name"][0]
        return [RunPrediction(name, "test", stat, mean=0.5) for stat in ("exact_match", "beauty")]

class Faulty(RunPredictor):
    def predict(self, train_split, sequestered_test_split):
        raise LookupError("lost my model")
"""


@pytest.fixture
def own_predictors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("my_predictors.py").write_text(PREDICTORS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.usefixtures("own_predictors")
def test_predictions_without_truth_are_shown_and_are_1(
    run: Run, outputs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = run("predict", "my_predictors:Nonsense", outputs, "--examples", "2", "--json")
    assert ended.code == 1
    assert [(row["stat_name"], row["actual_mean"]) for row in rows(ended)] == [
        ("exact_match", 0.5),
        ("beauty", None),
    ]
    assert "beauty" in caplog.text


@pytest.mark.usefixtures("own_predictors")
@pytest.mark.parametrize("file", ["my_predictors.py", "./my_predictors", "./my_predictors.py"])
def test_a_file_is_no_module(file: str, run: Run, outputs: Path) -> None:
    ended = run("predict", f"{file}:Nonsense", outputs)
    assert ended.code == 2
    assert "write my_predictors:Nonsense" in ended.err


@pytest.mark.parametrize("is_warm", [pytest.param(False, marks=pytest.mark.slow), True], ids=["cold", "warm"])
def test_a_drawn_run_that_is_broken_is_3_unless_such_runs_are_skipped(
    run: Run, broken: Path, tmp_path: Path, is_warm: bool
) -> None:
    predictor = "magnet_arrow.examples.random_run_predictor:RandomRunPredictor"
    codes = set()
    for seed in range(6):
        draw = random.Random(seed).sample(range(3), 2)
        args = [predictor, broken, "--examples", "1", "--samples", "2", "--seed", str(seed)]
        args += ["--cache", tmp_path / f"cache {seed}"]
        if is_warm:
            run("ingest", *args[1:2], *args[-2:])
        ended = run("predict", *args)
        assert ended.code == (3 if 1 in draw else 0), ended.err
        assert ended.err.startswith("made/tide:n=1/stats.json" if 1 in draw else "")
        assert " --partial" not in ended.err  # which is no option of this command
        if 1 in draw:
            assert run("predict", *args, "--include-partial").code in (0, 1)
        codes.add(ended.code)
        skipped = run("predict", *args, "--skip-unreadable", "--json")
        assert skipped.code == 1
        assert "1 of 3 runs cannot be read" in skipped.err
        *_, held_out = (("tide:n=0", "tide:n=2")[index] for index in random.Random(seed).sample(range(2), 2))
        assert rows(skipped)[0]["run_spec"] == held_out
    assert codes == {0, 3}


@pytest.mark.usefixtures("own_predictors")
def test_a_predictors_own_mistake_shows_its_way(run: Run, outputs: Path) -> None:
    ended = run("predict", "my_predictors:Faulty", outputs, "--examples", "2")
    assert ended.code == 3
    assert "lost my model" in ended.err
    assert "my_predictors.py" in ended.err


@pytest.mark.usefixtures("own_predictors")
@pytest.mark.parametrize("name", ["my_predictors:Other", "my_predictors", "no_module:X", "my_predictors:RunPrediction"])
def test_no_predictor_is_2(run: Run, outputs: Path, name: str) -> None:
    ended = run("predict", name, outputs)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert name.partition(":")[0] in ended.err
