"""Item response against SciPy's minimiser on the log posterior, and on synthetic models of known ability."""

import numpy as np
import pytest
from panel_data import asked_answers, real_panel, train_scores
from scipy.optimize import minimize
from scipy.special import expit

from magnet_arrow.evaluation import FactorResponse
from magnet_arrow.evaluation.predictors.item_response import item_features, one_parameter, posterior_modes


def log_loss(logits, shares):
    return (np.logaddexp(0, logits) - shares * logits).sum()


def test_one_parameter_is_the_mode_of_the_posterior():
    train, _, _ = real_panel(n_train=12, n_items=40)

    def minus_log_posterior(values):
        abilities, easiness = values[:12], values[12:]
        return log_loss(abilities[:, None] + easiness, train) + (abilities**2).sum() / 18 + (easiness**2).sum() / 8

    def gradient(values):
        abilities, easiness = values[:12], values[12:]
        residuals = expit(abilities[:, None] + easiness) - train
        return np.concatenate([residuals.sum(1) + abilities / 9, residuals.sum(0) + easiness / 4])

    found = minimize(minus_log_posterior, np.zeros(52), jac=gradient, method="BFGS", options={"gtol": 1e-8})
    assert np.concatenate(one_parameter(train)) == pytest.approx(found.x, abs=1e-6)
    assert minus_log_posterior(np.concatenate(one_parameter(train))) <= found.fun + 1e-9


def test_posterior_modes_are_those_of_scipy_and_the_covariance_is_the_inverse_hessian():
    rng = np.random.default_rng(1)
    features = np.column_stack([np.ones(30), rng.normal(size=(30, 2))])
    shares = (rng.random((4, 30)) < 0.6).astype(float)
    shares[0, 5:] = np.nan
    shares[1, :] = np.nan
    mean, precision = np.array([0.5, 1.0, 0.0]), np.linalg.inv(np.diag([2.0, 0.5, 0.3]) + 0.1)
    modes, covariances = posterior_modes(features, shares, mean, precision)
    for mode, covariance, answers in zip(modes, covariances, shares, strict=True):
        known = ~np.isnan(answers)

        def minus_log_posterior(b, known=known, answers=answers):
            return log_loss(features[known] @ b, answers[known]) + (b - mean) @ precision @ (b - mean) / 2

        found = minimize(minus_log_posterior, mean, method="BFGS", options={"gtol": 1e-8})
        assert mode == pytest.approx(found.x, abs=1e-6)
        p = expit(features[known] @ found.x)
        hessian = (features[known].T * (p * (1 - p))) @ features[known] + precision
        assert covariance == pytest.approx(np.linalg.inv(hessian), abs=1e-6)


def test_features_are_easiness_and_singular_vectors_of_pearson_residuals():
    train, _, _ = real_panel()
    abilities, easiness = one_parameter(train)
    p = expit(abilities[:, None] + easiness)
    factors = np.linalg.svd((train - p) / np.sqrt(p * (1 - p)))[2][:2].T * 120**0.5
    features, mean = item_features(train, 2)
    assert mean == pytest.approx(easiness.mean())
    assert features[:, :2] == pytest.approx(np.array([np.ones(120), easiness - easiness.mean()]).T)
    assert np.abs(features[:, 2:]) == pytest.approx(np.abs(factors), abs=1e-9)


def test_standard_deviation_covers_and_shrinks_with_the_number_of_asked_items():
    rng = np.random.default_rng(3)
    abilities, easiness = rng.normal(0.5, 1, 300), rng.normal(0, 1, 150)
    scores = (rng.random((300, 150)) < expit(abilities[:, None] + easiness)).astype(float)
    predictor = FactorResponse(factors=2, level_variance=2).fit(train_scores(scores[:60]))
    stddev = []
    for n_asked in (10, 40):
        answers = np.where(np.arange(150) < n_asked, scores[60:], np.nan)
        predictions = predictor.predict(asked_answers(answers))
        error = np.abs(predictions.scores - scores[60:].mean(1))
        assert 0.9 < (error < 1.96 * predictions.stddev).mean() < 0.99
        stddev.append(predictions.stddev.mean())
    assert stddev[1] < 0.6 * stddev[0]


def test_scores_of_another_range_are_scaled():
    train, _, answers = real_panel()
    plain = FactorResponse().fit(train_scores(train)).predict(asked_answers(answers))
    scaled = FactorResponse().fit(train_scores(5 * train - 2)).predict(asked_answers(5 * answers - 2))
    assert scaled.scores == pytest.approx(5 * plain.scores - 2)
    assert scaled.stddev == pytest.approx(5 * plain.stddev)
