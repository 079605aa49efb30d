"""`Kriging`: a held-out model's outcomes by their covariance over the train models."""

from typing import TYPE_CHECKING, Self

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.predictors.train_matrix import alike, filled, item_means, others, with_own_scores
from magnet_arrow.statistics.stats_packages import sklearn

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats


class Kriging(PanelPredictor):
    """A Gaussian process over items, whose covariance is that of the train models' residuals.

    With mⱼ the train mean of item j, m̄ their mean, and rᵢⱼ the residual of train model i of n after a least-squares fit
    of its scores on 1 and mⱼ, a held-out model scores

        yⱼ = mⱼ + level + slope · (mⱼ − m̄) + Σᵢ wᵢ rᵢⱼ ÷ √n + noise,

    where level, slope and each wᵢ are N(0, 1) and the noise is N(0, `NOISE`) for every item. So it is a ridge
    regression of yⱼ − mⱼ with penalty `NOISE`. This is universal kriging (Cressie 1993, Statistics for Spatial Data,
    section 3.4) with items as places; Rasmussen & Williams 2006, section 2.7, have the same model. Predicted outcomes
    are clipped to the range of the train scores; asked items count as they were answered.

    The noise was chosen on seeds 200 to 219 of `benchmarks/budget.py`, where .2 to .5 differ by less than .01 of AIPW's
    error. Noise of variance mⱼ(1 − mⱼ) is worse: an item that all train models fail says much too much about a model
    that is better than they are.
    """

    name = "kriging"
    NOISE = 0.3

    def fit(self, train: TrainScores) -> Self:
        """Residuals of the train models about their lines over the item means."""
        np = numpy()
        self._train = train
        scores = filled(train)
        self._range = scores.min(), scores.max()
        self._item_means = item_means(train)
        line = np.column_stack([np.ones_like(self._item_means), self._item_means - self._item_means.mean()])
        self._line, self._residuals = line, scores - (line @ np.linalg.lstsq(line, scores.T)[0]).T
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """One ridge regression for all models that are asked the same items."""
        np = numpy()
        known = with_own_scores(asked, self._train)
        outcomes = np.empty(known.answers.shape)
        for rows in alike(known):
            residuals = others(self._residuals, known.train_rows[rows[0]])
            features = np.column_stack([self._line, residuals.T / len(residuals) ** 0.5])
            outcomes[rows] = self._item_means + self._differences(features, known.answers[rows])
        return PredictedScores.of_outcomes(outcomes.clip(*self._range), known)

    def _differences(self, features: "Floats", answers: "Floats") -> "Floats | float":
        """Predicted scores less the item means, held-out models × items."""
        items = ~numpy().isnan(answers[0])
        if not items.any():
            return 0.0
        ridge = sklearn("linear_model").Ridge(alpha=self.NOISE, fit_intercept=False)
        ridge.fit(features[items], (answers[:, items] - self._item_means[items]).T)
        differences: Floats = features @ ridge.coef_.T
        return differences.T
