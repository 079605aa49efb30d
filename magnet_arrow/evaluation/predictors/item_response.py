"""`FactorResponse`: item response theory with a level, a slope and factors for each model."""

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.predictors.train_matrix import filled, item_means, with_own_scores
from magnet_arrow.statistics.stats_packages import scipy

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats

ABILITY_VARIANCE = 9.0
EASINESS_VARIANCE = 4.0
MAX_STEPS = 50


class FactorResponse(PanelPredictor):
    """Logistic regression of a model's answers on the items' easiness and factors, with the train models as its prior.

    Item j has the features [1, eⱼ − ē, uⱼ]: e is the easiness of the one-parameter model (`one_parameter`), u are the
    first `factors` right singular vectors of the train models' Pearson residuals (x − p) ÷ √(p(1 − p)), × √items. A
    model answers right with probability σ(β · features). Each train model's β is its posterior mode given the prior
    N((ē, 1, 0, …), diag(9, 1, 1, …)); mean and covariance of these β, with `level_variance` added to the level's, are a
    held-out model's prior. Its unasked items have the expected score σ(f ÷ √(1 + πv/8)), f and v being the mean and
    variance of β · features (Laplace's approximation; MacKay 1992, "The evidence framework applied to classification
    networks"). A model that was asked nothing has the train means. Multidimensional item response theory: Reckase 2009.

    Scores between 0 and 1 count as that share of a right answer; those of another range are scaled to it.

    Args:
        factors: how many factors items have.
        level_variance: lets a held-out model be better or worse than all train models. 0 is 3% better where models are
            held out at random, and has up to twice the error where they are better than the train models
            (`benchmarks/budget.py`, seeds 200 to 219, and splits that it does not have).
    """

    name = "item response with factors"

    def __init__(self, factors: int = 1, level_variance: float = 4.0) -> None:
        self.factors = factors
        self.level_variance = level_variance

    def fit(self, train: TrainScores) -> Self:
        """Features of the items; mean and covariance of the train models' coefficients."""
        np = numpy()
        self._train = train
        self._item_means = item_means(train)
        scores = filled(train)
        self._low = min(scores.min(), 0.0)
        self._span = max(scores.max(), 1.0) - self._low
        shares = (scores - self._low) / self._span
        self._features, easiness = item_features(shares, self.factors)
        mean = np.array([easiness] + [1.0] + [0.0] * (self._features.shape[1] - 2))
        precision = np.diag([1 / ABILITY_VARIANCE] + [1.0] * (len(mean) - 1))
        coefficients, _ = posterior_modes(self._features, shares, mean, precision)
        self._mean = coefficients.mean(0)
        covariance = np.cov(coefficients.T) if len(coefficients) > 1 else np.linalg.inv(precision)
        self._covariance = covariance + 0.001 * np.eye(len(mean))
        return self

    def with_level_variance(self, level_variance: float) -> Self:
        """The same fit with another prior of the level."""
        other = copy(self)
        other.level_variance = level_variance
        return other

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """Expected scores under the posterior, and the standard deviation of the mean score."""
        np = numpy()
        known = with_own_scores(asked, self._train)
        shares = ((known.answers - self._low) / self._span).clip(0, 1)
        columns = ~np.isnan(shares).all(0)
        features = self._features
        covariance = self._covariance.copy()
        covariance[0, 0] += self.level_variance
        precision = np.linalg.inv(covariance)
        modes, covariances = posterior_modes(features[columns], shares[:, columns], self._mean, precision)
        variances = np.einsum("mi,nij,mj->nm", features, covariances, features, optimize=True)
        expected = scipy("special").expit(modes @ features.T / np.sqrt(1 + np.pi * variances / 8))
        nothing = np.isnan(shares).all(1, keepdims=True)
        outcomes = np.where(nothing, self._item_means, self._low + self._span * expected)
        predictions = PredictedScores.of_outcomes(outcomes, known)
        return replace(predictions, stddev=self._span * self._stddev(expected, covariances, known))

    def _stddev(self, expected: "Floats", covariances: "Floats", known: AskedAnswers) -> "Floats":
        """Of the mean over the wanted items: of the coefficients by the delta method, and of each unasked answer."""
        np = numpy()
        of_answers = expected * (1 - expected) * (known.wanted & np.isnan(known.answers))
        n_wanted = known.wanted.sum(1)
        slopes = of_answers @ self._features / n_wanted[:, None]
        of_coefficients = np.einsum("ni,nij,nj->n", slopes, covariances, slopes)
        stddev: Floats = np.sqrt(of_coefficients + of_answers.sum(1) / n_wanted**2)
        return stddev


def item_features(shares: "Floats", n_factors: int) -> "tuple[Floats, float]":
    """Of each item: 1, its easiness less the mean, and the factors of the residuals; and the mean easiness."""
    np = numpy()
    abilities, easiness = one_parameter(shares)
    p = scipy("special").expit(abilities[:, None] + easiness)
    residuals = (shares - p) / np.sqrt(p * (1 - p))
    factors = np.linalg.svd(residuals, full_matrices=False)[2][:n_factors] * len(easiness) ** 0.5
    features = np.column_stack([np.ones_like(easiness), easiness - easiness.mean(), factors.T])
    return features, float(easiness.mean())


def one_parameter(shares: "Floats") -> "tuple[Floats, Floats]":
    """Abilities of models and easiness of items: the posterior mode of P(right) = σ(ability + easiness).

    The model is Rasch's (1960). Abilities are N(0, 9), easiness N(0, 4). Newton's method; the block of the items is
    diagonal, so that each step solves as many equations as there are models (Schur's complement).
    """
    np = numpy()
    abilities, easiness = np.zeros(len(shares)), np.zeros(shares.shape[1])
    for _ in range(MAX_STEPS):
        p = scipy("special").expit(abilities[:, None] + easiness)
        weights, residuals = p * (1 - p), shares - p
        of_items = weights.sum(0) + 1 / EASINESS_VARIANCE
        item_gradient = residuals.sum(0) - easiness / EASINESS_VARIANCE
        scaled = weights / of_items
        complement = np.diag(weights.sum(1) + 1 / ABILITY_VARIANCE) - scaled @ weights.T
        gradient = residuals.sum(1) - abilities / ABILITY_VARIANCE - scaled @ item_gradient
        step = np.linalg.solve(complement, gradient)
        item_step = item_gradient / of_items - step @ scaled
        abilities += step.clip(-2, 2)
        easiness += item_step.clip(-2, 2)
        if max(np.abs(step).max(), np.abs(item_step).max()) < 1e-10:
            break
    return abilities, easiness


def posterior_modes(
    features: "Floats", shares: "Floats", mean: "Floats", precision: "Floats"
) -> "tuple[Floats, Floats]":
    """Coefficients of each model by Bayesian logistic regression, and their covariance: Newton's method.

    Args:
        features: items × coefficients.
        shares: models × items, NaN where the answer is not known.
        mean: of the normal prior.
        precision: the inverse of its covariance.
    """
    np = numpy()
    known = ~np.isnan(shares)
    right = np.where(known, shares, 0.0)
    products = (features[:, :, None] * features[:, None, :]).reshape(len(features), len(mean) ** 2)
    modes = np.tile(mean, (len(shares), 1))
    for _ in range(MAX_STEPS):
        p = scipy("special").expit(modes @ features.T)
        gradient = (right - p * known) @ features - (modes - mean) @ precision
        hessian = (p * (1 - p) * known @ products).reshape(-1, len(mean), len(mean)) + precision
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        modes += step.clip(-2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return modes, np.linalg.inv(hessian)
