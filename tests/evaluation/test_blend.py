"""The weights of ours, and what it has in common with its members: limits, gaps, orders."""

import numpy as np
import pytest
from panel_data import asked_answers, real_panel, train_scores

from magnet_arrow.evaluation import Blend, FactorResponse, Kriging, RidgeOnFactors, RsLearn

OURS = (RidgeOnFactors, Kriging, FactorResponse, Blend)


def test_rs_learn_joins_within_the_range_of_the_train_models_only():
    train, held_out, _ = real_panel(n_train=40, n_held_out=20)
    answers = np.where(np.arange(120) < 30, held_out, np.nan)
    answers[0, :30], answers[1, :30] = 1, 0  # beyond the best and the worst
    scores, stddev = {}, None
    for predictor in (Kriging(), FactorResponse(), RsLearn(), Blend()):
        predictions = predictor.fit(train_scores(train)).predict(asked_answers(answers))
        scores[predictor.name] = predictions.scores
        stddev = predictions.stddev if isinstance(predictor, FactorResponse) else stddev
    both = (scores["kriging"] + scores["item response with factors"]) / 2
    low, high = train.mean(1).min(), train.mean(1).max()
    for row, (middle, rs_learn, ours) in enumerate(zip(both, scores["rs-learn"], scores["ours"], strict=True)):
        weight = min(max(min(middle - low, high - middle) / (2 * stddev[row]), 0), 1)
        assert ours == pytest.approx((2 * middle + weight * rs_learn) / (2 + weight), abs=1e-9)
        assert row > 1 or weight == 0
    assert np.sum((both > low) & (both < high)) > 10


@pytest.mark.parametrize("predictor", OURS)
def test_all_asked_gives_the_truth(predictor):
    train, held_out, _ = real_panel()
    predictions = predictor().fit(train_scores(train)).predict(asked_answers(held_out))
    tolerance = 0.12 if predictor is Blend else 1e-12  # RS-Learn, one of its members, regresses
    assert predictions.scores == pytest.approx(held_out.mean(1), abs=tolerance)


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
