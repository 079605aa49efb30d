"""The baselines against plain loops and plain scikit-learn, on real scores and on small ones worked out by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

from magnet_arrow.evaluation import (
    BASELINES,
    Aipw,
    AskedAnswers,
    OneParameterResponse,
    RsLearn,
    SampleMean,
    TrainScores,
)
from magnet_arrow.evaluation.one_parameter import most_probable_abilities
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


def test_one_parameter_response_is_logistic_regression_on_one_hot_columns(protocol):
    train = protocol[0][:20, :60].copy()
    train[3, 10:30] = NAN
    fitted = OneParameterResponse().fit(train_scores(train))
    models, items = (~np.isnan(train)).nonzero()
    # The level of the only scenario is a third block, of one column.
    columns = np.hstack([3 * np.eye(20)[models], np.eye(60)[items], np.full((len(models), 1), 3.0)])
    plain = LogisticRegression(C=1, fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    coefficients = plain.fit(columns, train[models, items]).coef_[0]
    assert fitted.abilities == pytest.approx(3 * coefficients[:20], abs=1e-6)
    assert fitted.easiness == pytest.approx(coefficients[20:80] + 3 * coefficients[80], abs=1e-6)


def test_the_ability_of_a_held_out_model_is_the_mode_of_its_posterior():
    easiness = np.array([-2.0, -0.5, 0.0, 1.0, 3.0])
    answers = np.array([[1, 0, 1, NAN, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [NAN] * 5, [0.5, NAN, NAN, 0.25, NAN]])
    for row, ability in zip(answers, most_probable_abilities(answers, easiness), strict=True):
        known = ~np.isnan(row)

        def minus_log(theta, known=known, row=row):
            logit = theta + easiness[known]
            return theta**2 / 18 + np.sum(np.log1p(np.exp(logit)) - row[known] * logit)

        assert ability == pytest.approx(minimize_scalar(minus_log, tol=1e-12).x, abs=1e-6)


@pytest.mark.parametrize(("missing", "items", "models"), [(0.0, 0.93, 0.99), (0.5, 0.88, 0.985)])
def test_one_parameter_response_recovers_simulated_truth(missing, items, models):
    # ../shared/BASELINES.md has .948 and .996, with half of the scores missing .900.
    rng = np.random.default_rng(0)
    ability, difficulty = rng.normal(size=(50, 1)), rng.normal(size=800)
    right = (rng.random((50, 800)) < 1 / (1 + np.exp(difficulty - ability))).astype(float)
    fitted = OneParameterResponse().fit(train_scores(np.where(rng.random((50, 800)) < missing, NAN, right)))
    assert np.corrcoef(-fitted.easiness, difficulty)[0, 1] > items
    assert np.corrcoef(fitted.abilities, ability[:, 0])[0, 1] > models


def test_items_are_about_as_easy_as_their_scenario():
    easy_and_hard = [[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 0, 0]]
    train = train_scores(np.hstack([easy_and_hard, np.full((3, 2), NAN)]), ["a"] * 3 + ["b"] * 3 + ["a", "b"])
    easiness = OneParameterResponse().fit(train).easiness
    assert easiness[0] > easiness[6] > easiness[7] > easiness[3]


def test_scores_that_are_all_equal_have_finite_abilities():
    fitted = OneParameterResponse().fit(train_scores(np.ones((3, 4))))
    assert (fitted.abilities > 0).all()
    assert (fitted.easiness < 10).all()
