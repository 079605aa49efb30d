"""`RidgeOnFactors`: a held-out model's outcomes by what the train models say of the items."""

from typing import TYPE_CHECKING, Self

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.predictors.train_matrix import alike, filled, item_means, with_own_scores
from magnet_arrow.statistics.stats_packages import sklearn

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats


class RidgeOnFactors(PanelPredictor):
    """Ridge regression of a held-out model's answers on the train mean of each item and on `FACTORS` item factors.

    The factors are the principal components of the train scores, without the means of models and items: right singular
    vectors × singular values. Each feature is divided by its standard deviation; the penalty is `Ridge(alpha=10)`.
    Outcomes are clipped to the range of the train scores; asked items count as they were answered. Principal component
    regression is Hotelling's (1957); that few components carry most of a benchmark's scores is shown by Ruan, Maddison
    & Hashimoto 2024, arXiv 2405.10938.
    """

    name = "ridge on item factors"
    FACTORS = 3

    def fit(self, train: TrainScores) -> Self:
        """The features of the items."""
        np = numpy()
        self._train = train
        self._item_means = item_means(train)
        scores = filled(train)
        self._range = scores.min(), scores.max()
        differences = scores - self._item_means
        centred = differences - differences.mean(1, keepdims=True)
        _, values, vectors = np.linalg.svd(centred, full_matrices=False)
        features = np.column_stack([self._item_means, (vectors.T * values)[:, : self.FACTORS]])
        self._features = sklearn("preprocessing").StandardScaler().fit_transform(features)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """One ridge regression for all models that are asked the same items."""
        np = numpy()
        known = with_own_scores(asked, self._train)
        outcomes = np.empty(known.answers.shape)
        for rows in alike(known):
            outcomes[rows] = self._regression(known.answers[rows])
        return PredictedScores.of_outcomes(outcomes.clip(*self._range), known)

    def _regression(self, answers: "Floats") -> "Floats":
        items = ~numpy().isnan(answers[0])
        if not items.any():
            return self._item_means
        ridge = sklearn("linear_model").Ridge(alpha=10).fit(self._features[items], answers[:, items].T)
        outcomes: Floats = ridge.predict(self._features).T
        return outcomes
