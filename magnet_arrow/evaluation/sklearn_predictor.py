"""`from_sklearn`: any scikit-learn regressor or classifier as a predictor of panels."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from magnet_arrow.errors import SettingError
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.train_matrix import alike, filled, item_means, others, with_own_scores
from magnet_arrow.predictions.panel import numpy
from magnet_arrow.predictions.stats_packages import sklearn

if TYPE_CHECKING:
    from magnet_arrow.evaluation.panel_predictor import Floats

    ItemFeatures: TypeAlias = Callable[[TrainScores], "Floats"]


def from_sklearn(
    estimator: Any, *, features: "Literal['asked', 'models'] | ItemFeatures", name: str | None = None
) -> PanelPredictor:
    """A predictor that fits a clone of the estimator for each held-out model, or once for all that are asked the same.

    Args:
        estimator: a regressor, a classifier with `predict_proba`, or a pipeline that ends in one.
        features: what the estimator learns from.
            "asked": a row per train model. Its scores on the asked items predict its mean score over the wanted items.
            For regressors only.
            "models": a row per asked item. The train models' scores on it predict the held-out model's.
            A function of the train scores that returns an array with a row per item, such as embeddings of the
            questions: as "models", with these features.
        name: what tables call it; None for the estimator as scikit-learn prints it.

    A classifier predicts the mean of the classes, weighted by their probabilities. Where all answers that it would
    learn from are equal, they are the prediction; where none is, it is the train mean.

    Raises:
        SettingError: there are no such features, or they do not suit the estimator.

    >>> from sklearn.linear_model import RidgeCV
    >>> from_sklearn(RidgeCV(), features="asked").name
    'RidgeCV() on asked'
    """
    if not (callable(features) or features in ("asked", "models")):
        found = repr(features)
        raise SettingError("features:", expected="'asked', 'models' or a function of the train scores", found=found)
    if features == "asked" and hasattr(estimator, "predict_proba"):
        hint = "features='models' predicts each item's outcome."
        raise SettingError(
            "features='asked' predicts mean scores.", expected="a regressor", found=str(estimator), hint=hint
        )
    if name is None:
        name = f"{estimator} on {getattr(features, '__name__', features)}"
    if features == "asked":
        return RegressionOverModels(estimator, name)
    return RegressionOverItems(estimator, features if callable(features) else None, name)


class RegressionOverModels(PanelPredictor):
    """Predicts the mean score from the answers, as it is for the train models. See `from_sklearn`."""

    def __init__(self, estimator: Any, name: str) -> None:
        self.estimator = estimator
        self._name = name

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def fit(self, train: TrainScores) -> Self:
        """Keep the train scores: which of them are features depends on what is asked."""
        self._train = train
        self._filled = filled(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The mean score over the wanted items; no outcomes."""
        np = numpy()
        known = with_own_scores(asked, self._train)
        scores = np.empty(len(known.answers))
        for rows in alike(known):
            columns = ~np.isnan(known.answers[rows[0]])
            train = others(self._filled, known.train_rows[rows[0]])
            means = train[:, known.wanted[rows[0]]].mean(1)
            scores[rows] = _predicted(self.estimator, train[:, columns], means, known.answers[rows][:, columns])
        return PredictedScores(scores)


class RegressionOverItems(PanelPredictor):
    """Predicts a held-out model's outcome of each item from features of the item. See `from_sklearn`."""

    def __init__(self, estimator: Any, features: "ItemFeatures | None", name: str) -> None:
        self.estimator = estimator
        self._features = features
        self._name = name

    @property
    def name(self) -> str:
        """As given."""
        return self._name

    def fit(self, train: TrainScores) -> Self:
        """Compute the features of the items."""
        self._train = train
        self._item_means = item_means(train)
        self._of_items = filled(train).T if self._features is None else self._features(train)
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The outcomes, and their mean over the wanted items, where asked ones count as they were answered."""
        np = numpy()
        known = with_own_scores(asked, self._train)
        outcomes = np.empty(known.answers.shape)
        for row, answers in enumerate(known.answers):
            items, features = ~np.isnan(answers), self._features_for(known.train_rows[row])
            outcomes[row] = (
                _predicted(self.estimator, features[items], answers[items], features)
                if items.any()
                else self._item_means
            )
        return PredictedScores.of_outcomes(outcomes, known)

    def _features_for(self, train_row: int) -> "Floats":
        """Without the held-out model's own scores, which are what is to be predicted."""
        return others(self._of_items.T, train_row).T if self._features is None else self._of_items


def _predicted(estimator: Any, features: "Floats", targets: "Floats", new_features: "Floats") -> "Floats":
    """What a clone of the estimator that is fitted to features and targets predicts of other features."""
    np = numpy()
    if not features.shape[1] or (targets == targets[0]).all():
        constant: Floats = np.full(len(new_features), targets.mean())
        return constant
    fitted = sklearn("base").clone(estimator).fit(features, targets)
    classifies = hasattr(fitted, "predict_proba")
    predicted: Floats = (
        fitted.predict_proba(new_features) @ fitted.classes_ if classifies else fitted.predict(new_features)
    )
    return predicted
