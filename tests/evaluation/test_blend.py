"""The weights of ours, and what it has in common with its members: limits, gaps, orders."""

import numpy as np
import pytest
from panel_data import asked_answers, real_panel, train_scores

from magnet_arrow.evaluation import Aipw, Blend, FactorResponse, Kriging, RidgeOnFactors, RsLearn

OURS = (RidgeOnFactors, Kriging, FactorResponse, Blend)


def test_members_that_regress_have_no_weight_beyond_the_train_models():
    train, held_out, _ = real_panel(n_train=40, n_held_out=20)
    answers = np.where(np.arange(120) < 30, held_out, np.nan)
    answers[0, :30], answers[1, :30] = 1, 0  # beyond the best and the worst
    members = (
        Kriging(),
        FactorResponse(level_variance=0),
        RsLearn(),
        FactorResponse(level_variance=4),
        Aipw(),
        Blend(),
    )
    predicted = [member.fit(train_scores(train)).predict(asked_answers(answers)) for member in members]
    kriging, response, rs_learn, wide, aipw, ours = (predictions.scores for predictions in predicted)
    near, far = (kriging + response + rs_learn) / 3, (wide + aipw) / 2
    low, high = train.mean(1).min(), train.mean(1).max()
    weights = [
        min(max(min(score - low, high - score) / (2 * stddev), 0), 1)
        for score, stddev in zip(far, predicted[3].stddev, strict=True)
    ]
    assert ours == pytest.approx([w * a + (1 - w) * b for w, a, b in zip(weights, near, far, strict=True)], abs=1e-9)
    assert weights[:2] == [0, 0]
    assert max(weights) == 1


@pytest.mark.parametrize("predictor", OURS)
def test_all_asked_gives_the_truth(predictor):
    train, held_out, _ = real_panel()
    predictions = predictor().fit(train_scores(train)).predict(asked_answers(held_out))
    assert predictions.scores == pytest.approx(held_out.mean(1), abs=1e-12)


@pytest.mark.parametrize("predictor", OURS)
def test_order_of_models_does_not_matter(predictor):
    train, _, answers = real_panel()
    one = predictor().fit(train_scores(train)).predict(asked_answers(answers))
    other = predictor().fit(train_scores(train[::-1])).predict(asked_answers(answers[::-1]))
    assert other.scores[::-1] == pytest.approx(one.scores, abs=1e-9)
    assert other.outcomes[::-1] == pytest.approx(one.outcomes, abs=1e-9)


@pytest.mark.parametrize("predictor", OURS)
@pytest.mark.parametrize("n_train", [1, 2, 3])
def test_few_train_models_with_gaps_give_finite_scores(predictor, n_train):
    train, _, answers = real_panel(n_train=n_train)
    train[0, ::7] = np.nan
    train[:, 3] = np.nan
    for n_asked in (0, 1, 2, 20):
        few = np.where(np.arange(120) < n_asked, answers, np.nan)
        predictions = predictor().fit(train_scores(train)).predict(asked_answers(few))
        assert np.isfinite(predictions.scores).all()
        assert np.isfinite(predictions.outcomes).all()
        assert ((predictions.outcomes >= 0) & (predictions.outcomes <= 1)).all()


@pytest.mark.parametrize("predictor", OURS)
def test_a_held_out_run_of_a_train_model_uses_what_else_is_known_of_it(predictor):
    train, held_out, _ = real_panel()
    with_own = np.vstack([train, np.where(np.arange(120) < 60, held_out[:1], np.nan)])
    wanted = np.arange(120)[None] >= 60
    nothing = np.full((1, 120), np.nan)
    fitted = predictor().fit(train_scores(with_own))
    known = fitted.predict(asked_answers(nothing, wanted, train_rows=[30])).scores
    same = fitted.predict(asked_answers(with_own[30:], wanted, train_rows=[30])).scores
    assert known == pytest.approx(same, abs=1e-9)
    assert known != pytest.approx(fitted.predict(asked_answers(nothing, wanted)).scores, abs=1e-4)
