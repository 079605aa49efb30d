"""Predictors of runs and instances in an evaluation, on the demo: two models, two subjects, seven questions each."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from magnet_arrow import HelmRuns, InstancePrediction, InstancePredictor, RunPrediction, RunPredictor, evaluate
from magnet_arrow.errors import SettingError
from magnet_arrow.evaluation import TrainScores
from magnet_arrow.evaluation.predictors.magnet_adapters import adapted
from magnet_arrow.evaluation.score_matrix import ScoreMatrix
from magnet_arrow.instance_predictor import PREDICT_ID

MODEL = "run_spec.adapter_spec.model"
SUBJECT = "run_spec.scenario_spec.args.subject"
STATE = "scenario_state.request_states"


@pytest.fixture(scope="module")
def runs(demo_outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> HelmRuns:
    return HelmRuns(demo_outputs / "runs" / "my-suite", cache=tmp_path_factory.mktemp("cache"))


def means(runs: HelmRuns) -> dict[str, float]:
    """The plain `exact_match` of each run on test, of its own file."""
    found = {}
    for place in runs.places:
        for stat in json.loads((place.path / "stats.json").read_text()):
            name = stat["name"]
            if (name["name"], name["split"], name.get("perturbation")) == ("exact_match", "test", None):
                found[place.folder] = stat["mean"]
    return found


class SeenRuns(RunPredictor):
    """Predicts the mean of `exact_match` over the train runs, and notes what it was given."""

    seen: list[tuple[list[str], str, int]] = []  # noqa: RUF012  # shared by all copies of the predictor

    def predict(self, train_split, sequestered_test_split):  # type: ignore[no-untyped-def]
        (name,) = sequestered_test_split.run_specs["run_spec.name"]
        names = train_split.run_specs["run_spec.name"].to_list()
        self.seen.append((names, name, sequestered_test_split.scenario_state.height))
        assert "stats" not in dir(sequestered_test_split)
        stats = train_split.stats.filter(
            pl.col("stats.name.name") == "exact_match",
            pl.col("stats.name.split") == "test",
            pl.col("stats.name.perturbation.name").is_null(),
        )
        return [RunPrediction(name, "test", "exact_match", mean=stats["stats.mean"].mean())]


def test_a_run_predictor_learns_from_all_other_runs(runs: HelmRuns) -> None:
    SeenRuns.seen.clear()
    found = evaluate(SeenRuns, runs, target="run", folds="run", budgets=[0, 2], draws=1)
    assert found.errors.rows() == []
    actual = means(runs)
    for row in found.predictions.iter_rows(named=True):
        folder = row["run"].partition("/")[2]
        others = [mean for run, mean in actual.items() if run != folder]
        assert row["actual"] == pytest.approx(actual[folder])
        assert row["predicted"] == pytest.approx(sum(others) / 3)
        assert (row["predictor"], row["level"]) == ("SeenRuns", "outputs")
    assert {(len(names), name in names) for names, name, _ in SeenRuns.seen} == {(3, False)}
    # The demo has a perturbed copy of some questions; a sampled instance brings its copies with it.
    assert [states >= 2 for _, _, states in SeenRuns.seen] == [False, True] * 4


def test_runs_of_a_held_out_model_are_hidden_together(runs: HelmRuns) -> None:
    SeenRuns.seen.clear()
    evaluate(SeenRuns, runs, target="run", folds="model")
    models = [
        ({n.partition("model=")[2] for n in names}, name.partition("model=")[2]) for names, name, _ in SeenRuns.seen
    ]
    assert all(len(train) == 1 and held_out not in train for train, held_out in models)
    assert len(models) == 4


def test_a_run_with_one_hidden_score_is_no_train_run(runs: HelmRuns) -> None:
    matrix = ScoreMatrix.of(runs)
    items = [(item, matrix.scenarios[of]) for item, of in zip(matrix.items, matrix.scenario_of, strict=True)]
    adapter = adapted(SeenRuns(), matrix, "run")
    for row, model in enumerate(matrix.models):
        for column in (0, 13):  # of the first scenario and of the second
            scores = matrix.scores.copy()
            scores[row, column] = np.nan
            fitted = adapter.fit(TrainScores(scores, matrix.models, *zip(*items, strict=True)))
            subject = items[column][1].partition("subject=")[2]
            hidden = [
                number
                for number, place in enumerate(runs.places)
                if subject in place.folder and place.folder.endswith(model.replace("/", "_"))
            ]
            assert len(hidden) == 1
            assert fitted.train_runs == sorted({0, 1, 2, 3} - {*hidden})


class Right(InstancePredictor):
    """Predicts that each instance of anatomy is right, and no other one."""

    def predict(self, train_split, sequestered_test_split):  # type: ignore[no-untyped-def]
        (name,) = sequestered_test_split.run_specs["run_spec.name"]
        value = float("anatomy" in name)
        ids = sequestered_test_split.scenario_state[PREDICT_ID]
        return [InstancePrediction(name, number, "exact_match", value) for number in ids]


def test_an_instance_predictor_predicts_the_items_that_were_not_asked(runs: HelmRuns) -> None:
    found = evaluate(Right, runs, target="item", folds="run", budgets=[0, 3], draws=1)
    assert found.errors.rows() == []
    assert found.predictions.group_by("budget").len().sort("budget").rows() == [(0, 28), (3, 16)]
    for scenario, value in found.predictions.select("scenario", "predicted").unique().iter_rows():
        assert value == float("anatomy" in scenario)
    of_runs = evaluate(Right, runs, target="run", folds="run")
    assert of_runs.predictions["predicted"].to_list() == [1, 1, 0, 0]


def test_a_prediction_of_another_stat_counts_as_not_answered(runs: HelmRuns) -> None:
    class Other(RunPredictor):
        def predict(self, train_split, sequestered_test_split):  # type: ignore[no-untyped-def]
            (name,) = sequestered_test_split.run_specs["run_spec.name"]
            return [RunPrediction(name, "valid", "exact_match", mean=0.5)]

    found = evaluate(Other, runs, target="run", folds="run")
    assert set(found.errors["error"]) == {"PredictionError: expected a prediction of exact_match on test, found none."}


def test_what_does_not_go_together_is_refused(runs: HelmRuns) -> None:
    frame = pl.DataFrame({"model": ["a", "b"], "item": [1, 1], "score": [0, 1]})
    with pytest.raises(SettingError, match="expected runs as data"):
        evaluate(SeenRuns, frame, folds="model")
    with pytest.raises(SettingError, match="cuts in two"):
        evaluate(SeenRuns, runs, target="run", folds="item")
    with pytest.raises(SettingError, match="would see what it is to predict"):
        evaluate(Right(level="outcomes"), runs, target="run", folds="run")
