"""Predictors of runs and of instances, as MAGNET's, in an evaluation."""

import copy
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Self, TypeAlias

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.data_splits import INSTANCE_ID, SequesteredTestSplit, TestSplit, TrainSplit, draw
from magnet_arrow.errors import PredictionError, SettingError
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.score_matrix import RunScores, ScoreMatrix
from magnet_arrow.instance_predictor import InstancePredictor, with_ids
from magnet_arrow.predictions.instance_ids import PREDICT_ID
from magnet_arrow.predictions.instance_records import instance_frame
from magnet_arrow.predictions.joins import STAT_NAME as INSTANCE_STAT_NAME
from magnet_arrow.predictions.joins import STAT_VALUE as INSTANCE_STAT_MEAN
from magnet_arrow.predictions.records import PERTURBATION, STAT_MEAN, STAT_NAME, STAT_SPLIT, frame
from magnet_arrow.predictor import RunPredictor, listed
from magnet_arrow.schema.registry import TABLES

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats

MagnetPredictor: TypeAlias = RunPredictor | InstancePredictor
_STATE = TABLES["scenario_state"]
_PERTURBATION = _STATE.named("request_states.instance.perturbation.name")


def adapted(predictor: MagnetPredictor, matrix: ScoreMatrix, folds: str) -> PanelPredictor:
    """A predictor of runs or of instances as one of panels.

    A run is a train run if none of its scores is hidden: a question that is in two scenarios is hidden in both.

    Raises:
        SettingError: the scores are of no runs, the folds cut runs in two, or the predictor would see what it is to
            predict.
    """
    name = type(predictor).__name__
    if matrix.of_runs is None:
        raise SettingError(f"{name} predicts runs.", expected="runs as data", found="scores")
    if folds == "item":
        raise SettingError(f"{name} predicts runs, which folds='item' cuts in two.", expected="other folds")
    if isinstance(predictor, RunPredictor):
        return RunAdapter(predictor, matrix.of_runs)
    if predictor.level == "outcomes":
        raise SettingError(
            f"{name} has level 'outcomes' and would see what it is to predict.", expected="plan, items or outputs"
        )
    return InstanceAdapter(predictor, matrix.of_runs)


class _Adapter(PanelPredictor):
    """What both kinds have in common: which runs are train runs, which one is held out, and their frames."""

    def __init__(self, predictor: MagnetPredictor, runs: RunScores) -> None:
        self.predictor, self.runs = predictor, runs
        self.level = predictor.level

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A copy of its own predictor; the runs are shared."""
        new = copy.copy(self)
        new.predictor = copy.deepcopy(self.predictor, memo)
        return new

    @property
    def name(self) -> str:
        """The name of the predictor's class."""
        return type(self.predictor).__name__

    def fit(self, train: TrainScores) -> Self:
        """Note which runs have train scores; they are read when a run is predicted."""
        seen = train.lazy().group_by("model", "scenario").len().collect()
        pairs = [
            (model, scenario) for model, scenario, n in seen.iter_rows() if n == self.runs.n_scores[model, scenario]
        ]
        self.scenarios = train.scenarios
        self.items = train.items
        self.train_runs = sorted(number for pair in pairs for number in self.runs.numbers[pair])
        self.train_split: TrainSplit | None = None
        return self

    @cached_property
    def main_metrics(self) -> Mapping[int, tuple[str, str]]:
        """Metric and split of each run."""
        return {run: (metric, split) for run, metric, split in self.runs.metrics.iter_rows()}

    def held_out_run(self, asked: AskedAnswers, row: int) -> int:
        """The number of the run that is held out of one model."""
        scenarios = {self.scenarios[column] for column in asked.wanted[row].nonzero()[0]}
        runs = [number for scenario in scenarios for number in self.runs.numbers[asked.models[row], scenario]]
        if len(runs) != 1:
            raise PredictionError(f"{asked.models[row]} has {len(runs)} held-out runs in one scenario.", expected="one")
        return runs[0]

    def splits(self, run: int, instances: Iterable[str] | None) -> tuple[TrainSplit, TestSplit]:
        """The frames of the train runs, which are read once, and of some instances of the held-out run."""
        keep_others = self.predictor.level_of_others != "plan"
        items = None if instances is None else list(instances)
        train = self.train_runs if self.train_split is None else []
        found, test = draw(self.runs.source, train=train, test=[run], items=items, keep_others=keep_others)
        self.train_split = self.train_split or found
        return self.train_split, test

    def sequestered(self, split: TestSplit) -> SequesteredTestSplit:
        """What the predictor sees of a test split."""
        return split.sequester(self.predictor.level, self.predictor.level_of_others)

    def instances(self, run: int) -> dict[str, str]:
        """The id of the instance of each item of a run."""
        rows = self.runs.instances.filter(pl.col("number") == run)
        return dict(rows.select("item", "instance_id").iter_rows())


class RunAdapter(_Adapter):
    """A `RunPredictor`: it sees the asked instances at its level, and predicts the run's main metric."""

    predictor: RunPredictor

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """One call of the predictor for each held-out run."""
        np = numpy()
        return PredictedScores(np.array([self._score(asked, row) for row in range(len(asked.models))]))

    def _score(self, asked: AskedAnswers, row: int) -> float:
        run = self.held_out_run(asked, row)
        ids = self.instances(run)
        names = (_item(self.items[column]) for column in (~numpy().isnan(asked.answers[row])).nonzero()[0])
        train, test = self.splits(run, dict.fromkeys(ids[name] for name in names))
        made = listed(self.predictor.predict(train, self.sequestered(test)), "RunPrediction")
        metric, split = self.main_metrics[run]
        rows = frame(made).filter(pl.col(STAT_NAME) == metric, pl.col(STAT_SPLIT) == split).collect()
        plain = rows.filter(pl.col(f"{PERTURBATION}name").is_null()) if f"{PERTURBATION}name" in rows.columns else rows
        if not plain.height:
            raise PredictionError("", expected=f"a prediction of {metric} on {split}", found="none")
        return float(plain.item(0, STAT_MEAN))


class InstanceAdapter(_Adapter):
    """An `InstancePredictor`: it sees all instances at its level, and predicts the main metric of each.

    The score of a run is the mean over its items, where an asked item counts as it was answered.
    """

    predictor: InstancePredictor

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """One call of the predictor for each held-out run."""
        np = numpy()
        outcomes = np.full(asked.answers.shape, np.nan)
        for row in range(len(asked.models)):
            self._fill(outcomes[row], asked, row)
        return PredictedScores.of_outcomes(np.where(asked.wanted, outcomes, 0.0), asked)

    def _fill(self, outcomes: "Floats", asked: AskedAnswers, row: int) -> None:
        """Set the predicted scores of one run's items."""
        run = self.held_out_run(asked, row)
        train, test = self.splits(run, None)
        visible = with_ids(test)
        made = self.predictor.predict(with_ids(train), self.sequestered(visible))
        found = instance_frame(
            made if isinstance(made, pl.DataFrame | pl.LazyFrame) else listed(made, "InstancePrediction")
        )
        metric, _ = self.main_metrics[run]
        states = visible.scenario_state
        if _PERTURBATION in states.columns:
            states = states.filter(pl.col(_PERTURBATION).is_null())
        means = (
            found.filter(pl.col(INSTANCE_STAT_NAME) == metric)
            .join(states.select(PREDICT_ID, INSTANCE_ID), on=PREDICT_ID)
            .group_by(INSTANCE_ID)
            .agg(pl.col(INSTANCE_STAT_MEAN).mean())
        )
        scores = dict(means.iter_rows())
        ids = self.instances(run)
        for column in asked.wanted[row].nonzero()[0]:
            outcomes[column] = scores.get(ids[_item(self.items[column])], numpy().nan)


def _item(name: str) -> str:
    """The key of an item; in a matrix, that of a question of several scenarios has its scenario in front."""
    return name.rpartition("/")[2]
