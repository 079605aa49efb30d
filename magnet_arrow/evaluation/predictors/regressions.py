"""RS-Learn and AIPW, the two regressions that are hardest to beat in the comparison of arXiv 2506.07673.

G. Zhang, F. E. Dorner and M. Hardt, "How Benchmark Prediction from Fewer Data Misses the Mark", NeurIPS 2025; their
code is https://github.com/socialfoundations/benchmark-prediction.
"""

from typing import TYPE_CHECKING, Self

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.predictors.sklearn_predictor import RegressionOverModels
from magnet_arrow.evaluation.predictors.train_matrix import (
    alike,
    filled,
    item_means,
    mean_over,
    others,
    with_own_scores,
)
from magnet_arrow.statistics.stats_packages import sklearn

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats


class RsLearn(RegressionOverModels):
    """Ridge regression from the answers to the asked items to the mean score, over the train models.

    As `from_sklearn(RidgeCV(), features="asked")`. It does not extrapolate: on HELM Lite its error is 3.2 times that of
    AIPW where models are better than those of the train part (benchmarks/budget.py --split weaker, seeds 0:100).
    """

    name = "rs-learn"

    def __init__(self) -> None:
        super().__init__(sklearn("linear_model").RidgeCV(), self.name)


class Aipw(PanelPredictor):
    """Augmented inverse propensity weighting: predicted outcomes, corrected by what they miss on the asked items.

    For each held-out model, `Ridge(alpha=10)` from the train models' scores on the asked items to its own. The mean
    score is the mean prediction on the unasked items plus the mean residual on the asked ones ÷ (1 + asked ÷ unasked).
    The residuals of a regression with an intercept, as this one is, have mean 0: the mean prediction remains.
    """

    name = "aipw"

    def fit(self, train: TrainScores) -> Self:
        """Keep the train scores: the regression is over the asked items."""
        self._train = train
        self._filled = filled(train)
        self._item_means = item_means(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The ridge regression's outcomes, and their mean over the unasked items; over all if none is unasked."""
        np = numpy()
        known = with_own_scores(asked, self._train)
        outcomes = np.empty(known.answers.shape)
        for rows in alike(known):
            train = others(self._filled, known.train_rows[rows[0]])
            outcomes[rows] = self._regression(train, known.answers[rows])
        unasked = known.wanted & np.isnan(known.answers)
        some = unasked.any(1, keepdims=True)
        expected = np.where(some, outcomes, known.answers)
        return PredictedScores(mean_over(np.where(some, unasked, known.wanted), expected), outcomes)

    def _regression(self, train: "Floats", answers: "Floats") -> "Floats":
        """Predictions for models that were asked the same items. One fit is as many: the penalty is fixed."""
        items = ~numpy().isnan(answers[0])
        if not items.any():
            return self._item_means
        fitted = sklearn("linear_model").Ridge(alpha=10).fit(train[:, items].T, answers[:, items].T)
        outcomes: Floats = fitted.predict(train.T).T
        return outcomes
