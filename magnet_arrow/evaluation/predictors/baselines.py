"""Baselines that are means: of scores known of the held-out model, of train models, or of both.

All of them predict the expected score of every item, and fall back to the mean over the train models where nothing is
known of the held-out model.
"""

from typing import TYPE_CHECKING, Self

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.predictors.train_matrix import (
    filled,
    item_means,
    mean_over,
    means,
    scenario_codes,
    with_own_scores,
)

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats


class TrainMean(PanelPredictor):
    """The mean of the train models on each item, whatever the held-out model answered."""

    name = "train mean"

    def fit(self, train: TrainScores) -> Self:
        """Average over the train models."""
        self._item_means = item_means(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The same outcomes for every held-out model."""
        outcomes = numpy().broadcast_to(self._item_means, asked.answers.shape)
        return PredictedScores(mean_over(asked.wanted, outcomes), outcomes)


class SampleMean(PanelPredictor):
    """The mean of the held-out model's answers to the asked items. If none was asked, as `TrainMean`."""

    name = "sample mean"

    def fit(self, train: TrainScores) -> Self:
        """Average over the train models, for held-out models that are asked nothing."""
        self._train_mean = TrainMean().fit(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """Each unasked item is expected to be as the mean of the asked ones."""
        np = numpy()
        nothing = self._train_mean.predict(asked)
        known = ~np.isnan(asked.answers)
        mean = means(np.where(known, asked.answers, 0.0).sum(1), known.sum(1), np.nan)
        outcomes = np.where(np.isnan(mean)[:, None], nothing.outcomes, mean[:, None])
        return PredictedScores(np.where(np.isnan(mean), nothing.scores, mean), outcomes)


class ItemAdjustedMean(PanelPredictor):
    """The train mean, moved by as much as the held-out model differs from it on the items known of it.

    This is the difference estimator of survey sampling (Särndal, Swensson & Wretman 1992, section 6.3): difficult items
    that happen to be asked are no longer held against the model.
    """

    name = "item-adjusted mean"

    def fit(self, train: TrainScores) -> Self:
        """Average over the train models."""
        self._train = train
        self._item_means = item_means(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The item means, each moved by the same amount."""
        outcomes = self._item_means + _mean_difference(with_own_scores(asked, self._train), self._item_means)[:, None]
        return PredictedScores(mean_over(asked.wanted, outcomes), outcomes)


class SameScenario(PanelPredictor):
    """The mean of all scores of the train models in the scenario, whatever the held-out model answered."""

    name = "same scenario"

    def fit(self, train: TrainScores) -> Self:
        """Average over models and items of each scenario."""
        np = numpy()
        codes, (count, total) = scenario_codes(train.scenarios), _counts(train.scores)
        count, total = (np.bincount(codes, column.sum(0)) for column in (count, total))
        self._expected = means(total, count, total.sum() / count.sum())[codes]
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The same outcomes for every held-out model."""
        outcomes = numpy().broadcast_to(self._expected, asked.answers.shape)
        return PredictedScores(mean_over(asked.wanted, outcomes), outcomes)


class SameModel(PanelPredictor):
    """The mean of all that is known of the model: its answers, and its train scores if only a run of it is held out.

    For a model that is not in train this is the mean of the asked items.
    """

    name = "same model"

    def fit(self, train: TrainScores) -> Self:
        """Keep the train scores."""
        self._train = train
        self._sample_mean = SampleMean().fit(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """Each item is expected to be as the mean of the known ones."""
        return self._sample_mean.predict(with_own_scores(asked, self._train))


class AdditiveMean(PanelPredictor):
    """An effect of the scenario plus an effect of the model, by ordinary least squares over all train scores.

    The model's effect is the mean difference of what is known of it from the effects of the scenarios. A model of which
    nothing is known has the mean effect of the train models; a scenario without train scores that of the scenarios.
    """

    name = "additive"

    def fit(self, train: TrainScores) -> Self:
        """Solve the normal equations of the two effects, about the mean of all scores."""
        np = numpy()
        self._train = train
        codes, (known, total) = scenario_codes(train.scenarios), _counts(train.scores)
        of_scenario = np.eye(codes.max() + 1)[codes]
        mean = total.sum() / known.sum()
        count, differences = known @ of_scenario, (total - mean * known) @ of_scenario
        models, scenarios = count.sum(1), count.sum(0)
        equations = np.block([[np.diag(models), count], [count.T, np.diag(scenarios)]])
        sums = np.concatenate([differences.sum(1), differences.sum(0)])
        effects = np.linalg.lstsq(equations, sums, rcond=None)[0]
        of_models, of_scenarios = effects[: len(models)], effects[len(models) :]
        self._typical_model = of_models[models > 0].mean()
        self._expected = (mean + np.where(scenarios > 0, of_scenarios, of_scenarios[scenarios > 0].mean()))[codes]
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The scenario's effect plus the model's."""
        known = with_own_scores(asked, self._train)
        outcomes = self._expected + _mean_difference(known, self._expected, self._typical_model)[:, None]
        return PredictedScores(mean_over(asked.wanted, outcomes), outcomes)


class NearestModels(PanelPredictor):
    """The mean of the train models that agree most with the held-out model on the items known of both.

    Nearest neighbours (Cover & Hart 1967), where agreement is one minus the mean absolute difference of the scores.
    Models that agree as much as the last of the nearest ones count as well, so that all of them do if nothing is asked.

    Args:
        neighbours: how many models are averaged, at least. With 50 items of HELM Lite the error of 1, 2, 3, 5 and 8 is
            5.4, 5.2, 5.2, 5.4 and 5.8 points (benchmarks/budget.py's protocol, seeds 200:220).
    """

    name = "nearest models"

    def __init__(self, neighbours: int = 2) -> None:
        self.neighbours = neighbours

    def fit(self, train: TrainScores) -> Self:
        """Keep the train scores."""
        self._train = train
        self._filled = filled(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The neighbours' mean on each item; asked items count as they were answered."""
        np = numpy()
        known = with_own_scores(asked, self._train)
        agreement = self._agreement(known)
        last = np.sort(agreement, axis=1)[:, ::-1][:, min(self.neighbours, agreement.shape[1]) - 1]
        near = agreement >= last[:, None] - 1e-12
        return PredictedScores.of_outcomes(near @ self._filled / near.sum(1, keepdims=True), known)

    def _agreement(self, known: AskedAnswers) -> "Floats":
        """Held-out × train models; -1 for models without a common item, -2 for the held-out model itself."""
        np = numpy()
        columns = ~np.isnan(known.answers).all(0)
        theirs = self._train.scores[:, columns]
        agreement: Floats = np.empty((len(known.answers), len(theirs)))
        for row, answers in enumerate(known.answers[:, columns]):
            differences = np.abs(theirs - answers)
            common = ~np.isnan(differences)
            agreement[row] = means((1 - differences).sum(1, where=common), common.sum(1), -1.0)
        in_train = (known.train_rows >= 0).nonzero()[0]
        agreement[in_train, known.train_rows[in_train]] = -2.0
        return agreement


def _counts(scores: "Floats") -> tuple["Floats", "Floats"]:
    """1 where a score is known, and the score there; both 0 elsewhere."""
    np = numpy()
    known = ~np.isnan(scores)
    return known.astype(np.float64), np.where(known, scores, 0.0)


def _mean_difference(known: AskedAnswers, expected: "Floats", otherwise: float = 0.0) -> "Floats":
    """How far each held-out model's known scores are from the expected ones, in the mean; `otherwise` if none is."""
    count, total = _counts(known.answers - expected)
    return means(total.sum(1), count.sum(1), otherwise)
