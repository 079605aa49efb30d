"""`from_sklearn`: any scikit-learn regressor or classifier as a predictor of panels."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import SettingError
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.predictors.train_matrix import alike, filled, item_means, others, with_own_scores
from magnet_arrow.statistics.stats_packages import sklearn

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats

    ItemFeatures: TypeAlias = Callable[[TrainScores], "Floats"]


def from_sklearn(
    estimator: Any, *, features: "Literal['asked', 'models'] | ItemFeatures", name: str | None = None
) -> PanelPredictor:
    """A predictor that fits clones of the estimator to what is known of a held-out model and of the train models.

    Where all values that a clone would learn from are equal, they are the prediction. Where nothing is known of the
    held-out model, the prediction is the train mean.

    Args:
        estimator: a regressor, a classifier, or a pipeline or search that ends in one. Of a classifier with
            `predict_proba` the mean of the classes is used, weighted by their probabilities.
        features: what the estimator learns from.

            - "asked": a row per train model. Its scores on the asked items predict its mean score over the wanted
              items. Predicts no single items, and needs a regressor.
            - "models": a row per asked item. The train models' scores on it predict the held-out model's.
            - A function of the train scores that returns an array with a row per item, such as embeddings of the
              questions: as "models", with these features.
        name: what tables call it; None for the estimator as scikit-learn prints it.

    Raises:
        SettingError: there are no such features, or they do not suit the estimator.
        MissingPackageError: scikit-learn is not installed.

    >>> from sklearn.linear_model import RidgeCV
    >>> from_sklearn(RidgeCV(), features="asked").name
    'RidgeCV() on asked'
    """
    if isinstance(estimator, type) or not (hasattr(estimator, "fit") and hasattr(estimator, "predict")):
        raise SettingError("estimator:", expected="an instance with fit and predict", found=repr(estimator))
    if not (callable(features) or features in ("asked", "models")):
        expected = "'asked', 'models' or a function of the train scores"
        raise SettingError("features:", expected=expected, found=repr(features))
    if name is None:
        name = f"{estimator} on {features if isinstance(features, str) else getattr(features, '__name__', 'features')}"
    if features != "asked":
        return RegressionOverItems(estimator, features if callable(features) else None, name)
    if sklearn("base").is_classifier(estimator):
        hint = 'features="models" predicts the outcome of each item.'
        raise SettingError("features='asked':", expected="a regressor", found=repr(estimator), hint=hint)
    return RegressionOverModels(estimator, name)


class _NamedRegression(PanelPredictor):
    """A predictor that fits clones of an estimator and has the name that it is given."""

    def __init__(self, estimator: Any, name: str) -> None:
        self.estimator = estimator
        self._name = name

    @property
    def name(self) -> str:
        """As given."""
        return self._name


class RegressionOverModels(_NamedRegression):
    """Predicts the mean score from the answers, as it is for the train models. See `from_sklearn`."""

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


class RegressionOverItems(_NamedRegression):
    """Predicts a held-out model's outcome of each item from features of the item. See `from_sklearn`."""

    def __init__(self, estimator: Any, features: "ItemFeatures | None", name: str) -> None:
        super().__init__(estimator, name)
        self._features = features

    def fit(self, train: TrainScores) -> Self:
        """Compute the features of the items."""
        self._train = train
        self._item_means = item_means(train)
        self._of_items = filled(train).T if self._features is None else self._features(train)
        if self._of_items.ndim != 2 or len(self._of_items) != len(train.items):
            expected = f"an array with a row for each of {len(train.items):,} items"
            raise SettingError("features:", expected=expected, found=f"one of shape {self._of_items.shape}")
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
