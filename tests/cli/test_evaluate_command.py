import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import Run

from magnet_arrow import load_evaluation

MINE = """
import numpy as np
from magnet_arrow import PanelPredictor
from magnet_arrow.evaluation import PredictedScores

class Half(PanelPredictor):
    def fit(self, train):
        print("fitted")
        return self
    def predict(self, asked):
        return PredictedScores(np.full(len(asked.models), 0.5))

class Broken(Half):
    def predict(self, asked):
        raise ValueError("no idea")
"""


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CSV of scores, in a folder with a module of predictors."""
    rng = np.random.default_rng(3)
    rows = [
        f"m{model},{'ab'[item // 20]},{item},{int(rng.random() < 0.2 + 0.1 * model)}"
        for model in range(6)
        for item in range(40)
    ]
    (tmp_path / "scores.csv").write_text("\n".join(["model,scenario,item,score", *rows]))
    (tmp_path / "mine_for_test.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "scores.csv"


def test_a_table_of_errors_fits_80_columns(run: Run, scores: Path) -> None:
    ended = run("evaluate", "mine_for_test:Half", scores, "--folds", "model", "--draws", 1)
    assert (ended.code, ended.err) == (0, "fitted\n" * 12)
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "target model: 6 models, 40 items, 2 scenarios, 6 folds by model, 1 draw"
    header = next(line for line in lines if line.startswith("  predictor"))
    assert header.split() == ["predictor", "1", "2", "4", "8", "16", "all", "skill"]
    assert sum(line.startswith("> Half ") for line in lines) == 1
    assert any(line.startswith("  sample mean ") for line in lines)
    assert any(line.startswith("  noise floor ") for line in lines)
    assert lines[-2].startswith("Order and skill: with 16 items asked. The best there, tied with ")
    assert lines[-1] == lines[lines.index(header) + 1].partition(".")[0].rstrip()


def test_names_and_budgets_give_way_where_there_is_no_room(
    run: Run, scores: Path, terminal: Callable[[int], None]
) -> None:
    options = ["--folds", "model", "--draws", 1, "--budgets"]
    assert "  item response with factors ." in run("evaluate", scores, *options, "4,16").out
    terminal(40)
    narrow = run("evaluate", scores, *options, "4,16")
    assert max(map(len, narrow.out.splitlines())) <= 40
    assert narrow.out.splitlines()[5].split() == ["predictor", "16", "skill"]
    assert narrow.err.endswith("Left out: 4; --full or --json shows all.\n")


def test_csv_has_every_ranking(run: Run, scores: Path) -> None:
    options = ["--folds", "model", "--draws", 1, "--no-baselines", "--budgets", "4,all", "--csv"]
    ended = run("evaluate", "mine_for_test:Half", scores, *options)
    table = pl.read_csv(io.StringIO(ended.out))
    assert table.select("level", "budget", "predictor", "rank").rows() == [
        ("outcomes", "4", "Half", 1),
        ("outcomes", "all", "Half", 1),
    ]


def test_progress_ends_before_the_table_begins(
    run: Run, scores: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = []

    @contextlib.contextmanager
    def watched(*_: object) -> Iterator[None]:
        yield None
        before.append(capsys.readouterr().out)

    monkeypatch.setattr("magnet_arrow.evaluation.evaluate.watched", watched)
    ended = run("evaluate", scores, "--folds", "model", "--draws", 1, "--budgets", 4)
    assert (ended.code, before) == (0, [""])


def test_json_has_every_budget_and_parquet_the_evaluation(run: Run, scores: Path) -> None:
    options = ["--folds", "model", "--budgets", "0,4,all", "--draws", 2, "--no-baselines", "--over", "model"]
    ended = run("evaluate", "mine_for_test:Half", scores, *options, "--json", "--parquet", "found.parquet")
    assert ended.code == 0
    found = json.loads(ended.out)
    assert [(one["level"], one["budget"]) for one in found["rankings"]] == [
        ("outcomes", 0),
        ("outcomes", 4),
        ("outcomes", "all"),
    ]
    (half,) = found["rankings"][1]["predictors"]
    assert (half["predictor"], half["n"], half["rank"], half["tie_group"]) == ("Half", 24, 1, 1)
    loaded = load_evaluation("found.parquet")
    assert loaded.provenance == found["provenance"]
    assert half["mae"] == pytest.approx(loaded.ranking(4)["mae"][0], abs=1e-15)


def test_a_report_is_written_with_the_line_that_repeats_it(run: Run, scores: Path) -> None:
    options = ["--folds", "model", "--budgets", "0,4", "--draws", 2, "--no-baselines"]
    ended = run("evaluate", "mine_for_test:Half", "scores.csv", *options, "--report", "found.html")
    assert (ended.code, len(ended.out.splitlines())) == (0, 8)
    line = (
        "magnet-arrow evaluate mine_for_test:Half scores.csv --target model --folds model --budgets 0,4 --draws 2 "
        "--seed 0 --no-baselines"
    )
    assert f"<pre>{line}</pre>" in (scores.parent / "found.html").read_text()


def test_a_predictor_that_does_not_answer_is_reported(run: Run, scores: Path) -> None:
    ended = run("evaluate", "mine_for_test:Broken", scores, "--folds", "model", "--budgets", 2, "--draws", 1)
    assert ended.code == 1
    assert "Broken did not answer 2 values of fold m0: ValueError: no idea" in ended.err
    assert "and 1 more failure" in ended.err
    assert "> Broken" in ended.out


def test_a_level_that_no_predictor_has_is_said(run: Run, scores: Path) -> None:
    options = ["--folds", "model", "--budgets", 2, "--draws", 1, "--no-baselines"]
    ended = run("evaluate", "mine_for_test:Half", scores, *options, "--level", "outputs")
    assert ended.code == 0
    assert ended.out.splitlines()[1:] == ["No predictor has level outputs."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scores.csv"], "6 of 6 models without an organization: m0, m1, m2, m3, m4, …"),
        (["scores.csv"], "--folds model"),
        (["scores.csv", "--folds", "models"], "--folds: expected one of organization, family, model"),
        (["scores.csv", "--folds", "models"], "Did you mean 'model'?"),
        (["scores.csv", "--over", "modle"], "Did you mean 'model'?"),
        (["mine_for_tset:Half", "scores.csv"], "Did you mean 'mine_for_test'?"),
        (["no.csv", "--folds", "items"], "Did you mean 'item'?"),
        (["scores.csv", "--budgets", "1,many"], "'many' is neither a number nor all"),
        (["scores.csv", "--level", "mind"], "expected one of plan, items, outputs, outcomes, found 'mind'"),
        (["scores.csv", "--parquet", "no/such.parquet"], "there is no folder no"),
        (["mine_for_test:Hlf", "scores.csv"], "called 'Hlf'. Did you mean 'Half'?"),
        (["scores.csv", "--report", "no/such.html"], "there is no folder no"),
        (["scores.csv", "--report", "scores.csv"], "scores.csv is there already, and is no report"),
        (["missing.csv"], "There is no file "),
        (["scores.csv", "--families", "no.csv"], "There is no file "),
        (["scores.csv", "--folds", "model", "--budgets", "99"], "There is nothing to predict"),
        (["scores.csv", "--folds", "model", "--over", "weather"], "expected one or two of"),
        ([], "Missing argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_an_error_in_words(arguments: list[str], message: str, run: Run, scores: Path) -> None:
    ended = run("evaluate", *arguments)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())


def test_runs_are_read_through_the_cache(run: Run, demo_outputs: Path, cache: Path) -> None:
    source = demo_outputs / "runs" / "my-suite"
    ended = run("evaluate", source, "--target", "run", "--folds", "run", "--cache", cache, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["provenance"]["data"]["models"] == 2
    assert cache.is_dir()
