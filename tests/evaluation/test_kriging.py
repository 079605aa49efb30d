"""Kriging against the Gaussian process of scikit-learn's parts and against a dense solve."""

import numpy as np
import pytest
from panel_data import asked_answers, real_panel, train_scores
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct

from magnet_arrow.evaluation import Kriging


def covariance_features(train):
    """1, item mean less its mean, and each model's residual ÷ √n about its own line: a row per item."""
    means = train.mean(0)
    columns = [np.ones(len(means)), means - means.mean()]
    for scores in train:
        slope, level = np.polyfit(means, scores, 1)
        columns.append((scores - level - slope * means) / len(train) ** 0.5)
    return np.array(columns).T


def test_is_scikit_learns_gaussian_process_with_the_residuals_covariance():
    train, _, answers = real_panel()
    features, means = covariance_features(train), train.mean(0)
    items = ~np.isnan(answers[0])
    expected = []
    for row in answers:
        process = GaussianProcessRegressor(DotProduct(sigma_0=0, sigma_0_bounds="fixed"), alpha=0.3, optimizer=None)
        process.fit(features[items], row[items] - means[items])
        expected.append(np.clip(means + process.predict(features), 0, 1))
    assert Kriging().fit(train_scores(train)).predict(asked_answers(answers)).outcomes == pytest.approx(
        np.array(expected), abs=1e-12
    )


def test_is_the_dense_solve_for_models_that_are_asked_different_items():
    train, held_out, answers = real_panel(n_held_out=2)
    answers[1] = np.nan
    answers[1, 40:47] = held_out[1, 40:47]
    features, means = covariance_features(train), train.mean(0)
    covariance = features @ features.T
    predictions = Kriging().fit(train_scores(train)).predict(asked_answers(answers))
    for row, outcomes, score in zip(answers, predictions.outcomes, predictions.scores, strict=True):
        items = ~np.isnan(row)
        weights = np.linalg.solve(covariance[np.ix_(items, items)] + 0.3 * np.eye(items.sum()), (row - means)[items])
        expected = np.clip(means + covariance[:, items] @ weights, 0, 1)
        assert outcomes == pytest.approx(expected, abs=1e-12)
        assert score == pytest.approx(np.where(items, row, expected).mean(), abs=1e-12)
