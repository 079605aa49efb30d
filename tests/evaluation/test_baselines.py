"""The baselines against plain loops and plain scikit-learn, on real scores and on small ones worked out by hand."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from magnet_arrow.evaluation import BASELINES, Aipw, AskedAnswers, RsLearn, SampleMean, TrainScores
from magnet_arrow.examples.helm_lite import matrix

NAN = np.nan


def train_scores(scores, scenarios=None):
    scores = np.array(scores, np.float64)
    models, items = ([f"{kind}{number}" for number in range(n)] for kind, n in zip("mi", scores.shape, strict=True))
    return TrainScores(scores, models, items, scenarios or ["s"] * len(items))


def asked_answers(answers, wanted=None, train_rows=None):
    answers = np.array(answers, np.float64)
    rows = len(answers)
    return AskedAnswers(
        answers,
        np.ones(answers.shape, np.bool_) if wanted is None else np.array(wanted, np.bool_),
        [f"h{row}" for row in range(rows)],
        np.full(rows, -1) if train_rows is None else np.array(train_rows),
    )


@pytest.fixture(scope="module")
def protocol():
    """Train scores, held-out scores and 50 asked items of `math` at seed 7, as arXiv 2506.07673 draws them."""
    scores, _ = matrix("math")
    np.random.seed(7)
    held_out = np.random.permutation(len(scores))[: int(0.25 * len(scores))]
    np.random.seed(7)
    items = np.random.permutation(scores.shape[1])[:50]
    train = scores[[row for row in range(len(scores)) if row not in held_out]]
    return train, scores[held_out], items


def predicted(predictor, protocol):
    train, held_out, items = protocol
    answers = np.full(held_out.shape, NAN)
    answers[:, items] = held_out[:, items]
    return predictor.fit(train_scores(train)).predict(asked_answers(answers)).scores


def test_sample_mean_is_the_mean_of_the_asked(protocol):
    _, held_out, items = protocol
    assert predicted(SampleMean(), protocol) == pytest.approx([np.mean([row[i] for i in items]) for row in held_out])


def test_rs_learn_is_scikit_learns_ridge(protocol):
    train, held_out, items = protocol
    expected = RidgeCV().fit(train[:, items], train.mean(1)).predict(held_out[:, items])
    assert predicted(RsLearn(), protocol) == pytest.approx(expected, abs=1e-9)


def test_aipw_is_one_ridge_for_each_model(protocol):
    train, held_out, items = protocol
    unasked = [item for item in range(train.shape[1]) if item not in items]
    expected = []
    for answers in held_out[:, items]:
        ridge = Ridge(alpha=10).fit(train[:, items].T, answers)
        residual = np.mean(answers - ridge.predict(train[:, items].T))
        expected.append(ridge.predict(train[:, unasked].T).mean() + residual / (1 + 50 / len(unasked)))
    assert predicted(Aipw(), protocol) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("baseline", BASELINES)
def test_nothing_asked_gives_the_train_mean_of_the_wanted_items(baseline):
    train = train_scores([[1, 0, 0, 1], [1, 1, 0, 0], [1, 0, NAN, 0]])
    asked = asked_answers(np.full((2, 4), NAN), wanted=[[1, 1, 1, 1], [0, 1, 0, 0]])
    predictions = baseline().fit(train).predict(asked)
    assert np.isfinite(predictions.scores).all()
    if baseline.__name__ not in ("SameScenario", "AdditiveMean"):  # these have but one mean for the scenario
        assert predictions.scores == pytest.approx([(1 + 1 / 3 + 0 + 1 / 3) / 4, 1 / 3])


@pytest.mark.parametrize("baseline", BASELINES)
def test_predictions_do_not_depend_on_the_batch(baseline):
    rng = np.random.default_rng(0)
    train = train_scores((rng.random((9, 30)) < 0.6).astype(float), ["a"] * 20 + ["b"] * 10)
    answers = np.where(rng.random((5, 30)) < 0.4, (rng.random((5, 30)) < 0.5).astype(float), NAN)
    train.scores[2, 20:] = NAN
    rows = np.array([-1, 2, -1, -1, -1])
    together = baseline().fit(train).predict(asked_answers(answers, train_rows=rows))
    for row in range(5):
        alone = baseline().fit(train).predict(asked_answers(answers[[row]], train_rows=rows[[row]]))
        assert alone.scores == pytest.approx(together.scores[[row]], abs=1e-12)


@pytest.mark.parametrize("baseline", BASELINES)
def test_one_train_model(baseline):
    train = train_scores([[1, 0, 1, 0, 1]])
    asked = asked_answers([[1, 0, NAN, NAN, NAN], [NAN, NAN, 1, 1, NAN], [NAN] * 5])
    assert np.isfinite(baseline().fit(train).predict(asked).scores).all()
