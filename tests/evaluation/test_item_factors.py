"""Ridge on item factors against the singular value decomposition and one plain ridge regression for each model."""

import numpy as np
import pytest
from panel_data import asked_answers, real_panel, train_scores
from sklearn.linear_model import Ridge

from magnet_arrow.evaluation import RidgeOnFactors


def test_is_plain_ridge_on_singular_vectors():
    train, _, answers = real_panel()
    means = train.mean(0)
    centred = train - means - train.mean(1, keepdims=True) + train.mean()
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    features = np.column_stack([means - means.mean(), vectors[:3].T * values[:3]])
    features /= features.std(0)
    items = ~np.isnan(answers[0])
    expected = [Ridge(alpha=10).fit(features[items], row[items]).predict(features).clip(0, 1) for row in answers]
    predictions = RidgeOnFactors().fit(train_scores(train)).predict(asked_answers(answers))
    assert predictions.outcomes == pytest.approx(np.array(expected), abs=1e-9)
    assert predictions.scores == pytest.approx(np.where(items, answers, expected).mean(1), abs=1e-9)
