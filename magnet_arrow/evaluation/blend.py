"""`Blend`: our own predictor, the mean of kriging, item response and, within their range, RS-Learn."""

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from magnet_arrow.evaluation.item_response import FactorResponse
from magnet_arrow.evaluation.kriging import Kriging
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.regressions import RsLearn
from magnet_arrow.evaluation.train_matrix import filled
from magnet_arrow.predictions.panel import numpy

if TYPE_CHECKING:
    from magnet_arrow.evaluation.panel_predictor import Floats


class Blend(PanelPredictor):
    """The mean of `Kriging`, `FactorResponse` and, where it can be trusted, `RsLearn`.

    RS-Learn regresses towards the scores of the train models. It is good for models among them and has three times the
    error of the others beyond. So its weight is 0 for a model whose score, by the first two, is beyond the best or the
    worst train model, and grows to 1, that of the others, `MARGIN` standard deviations within.
    """

    name = "ours"
    MARGIN = 2.0

    def fit(self, train: TrainScores) -> Self:
        """Fit the three members."""
        self._train_scores = filled(train)
        self._kriging, self._response, self._rs_learn = Kriging(), FactorResponse(), RsLearn()
        for member in (self._kriging, self._response, self._rs_learn):
            member.fit(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The weighted mean of the scores; outcomes are the mean of kriging and item response."""
        kriging, response = self._kriging.predict(asked), self._response.predict(asked)
        both = (kriging.scores + response.scores) / 2
        weight = self._weight(both, response, asked)
        scores = (2 * both + weight * self._rs_learn.predict(asked).scores) / (2 + weight)
        outcomes = numpy().mean([kriging.outcomes, response.outcomes], axis=0)
        return replace(response, scores=scores, outcomes=outcomes)

    def _weight(self, scores: "Floats", response: PredictedScores, asked: AskedAnswers) -> "Floats":
        """Of RS-Learn: 0 beyond the scores of the train models, 1 from `MARGIN` standard deviations within."""
        np = numpy()
        of_train = self._train_scores @ asked.wanted.T / asked.wanted.sum(1)
        margin = np.minimum(scores - of_train.min(0), of_train.max(0) - scores)
        weight: Floats = (margin / (self.MARGIN * np.maximum(response.stddev, 1e-9))).clip(0, 1)
        return weight
