"""`from_sklearn` against the same estimators used by hand."""

import pickle

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.validation import check_is_fitted

from magnet_arrow.errors import SettingError
from magnet_arrow.evaluation import AskedAnswers, RsLearn, TrainScores, from_sklearn

NAN = np.nan
RNG = np.random.default_rng(5)
TRAIN = (RNG.random((12, 40)) < RNG.random((12, 1))).astype(float)
HELD_OUT = (RNG.random((3, 40)) < 0.6).astype(float)
ITEMS = np.arange(0, 40, 3)


def train_scores(scores=TRAIN):
    return TrainScores(scores, [f"m{n}" for n in range(len(scores))], [f"i{n}" for n in range(40)], ["s"] * 40)


def asked(items=ITEMS, train_rows=(-1, -1, -1), wanted=range(40)):
    answers, is_wanted = np.full((3, 40), NAN), np.zeros((3, 40), np.bool_)
    answers[:, items] = HELD_OUT[:, items]
    is_wanted[:, wanted] = True
    return AskedAnswers(answers, is_wanted, ["a", "b", "c"], np.array(train_rows))


@pytest.mark.parametrize("estimator", [KNeighborsRegressor(3), RandomForestRegressor(5, random_state=0)], ids=str)
def test_asked_items_predict_the_mean_score(estimator):
    predicted = from_sklearn(estimator, features="asked").fit(train_scores()).predict(asked(wanted=range(30)))
    expected = estimator.fit(TRAIN[:, ITEMS], TRAIN[:, :30].mean(1)).predict(HELD_OUT[:, ITEMS])
    assert predicted.scores == pytest.approx(expected)
    assert predicted.outcomes is None


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LinearRegression()),
        GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=3),
        RandomForestClassifier(5, random_state=0),
        LogisticRegression(),
    ],
    ids=str,
)
def test_train_models_predict_each_item(estimator):
    predicted = from_sklearn(estimator, features="models").fit(train_scores()).predict(asked())
    for row, answers in enumerate(HELD_OUT):
        estimator.fit(TRAIN[:, ITEMS].T, answers[ITEMS])
        right = hasattr(estimator, "predict_proba")
        expected = estimator.predict_proba(TRAIN.T)[:, 1] if right else estimator.predict(TRAIN.T)
        assert predicted.outcomes[row] == pytest.approx(expected)
        known = [answers[item] if item in ITEMS else expected[item] for item in range(40)]
        assert predicted.scores[row] == pytest.approx(np.mean(known))


def length_of_question(train):
    return np.array([[len(item), int(item[1:]) % 7] for item in train.items], np.float64)


def test_features_of_items_by_a_function():
    predictor = from_sklearn(LinearRegression(), features=length_of_question)
    assert predictor.name == "LinearRegression() on length_of_question"
    features = np.array([[2 if n < 10 else 3, n % 7] for n in range(40)])
    outcomes = predictor.fit(train_scores()).predict(asked()).outcomes
    for row, answers in enumerate(HELD_OUT):
        expected = LinearRegression().fit(features[ITEMS], answers[ITEMS]).predict(features)
        assert outcomes[row] == pytest.approx(expected)


def test_classes_are_weighted_by_their_probabilities():
    train, three = train_scores(), asked()
    three.answers[:, ITEMS] = np.arange(len(ITEMS)) % 3
    outcomes = from_sklearn(LogisticRegression(), features="models").fit(train).predict(three).outcomes
    by_hand = LogisticRegression().fit(TRAIN[:, ITEMS].T, np.arange(len(ITEMS)) % 3).predict_proba(TRAIN.T)
    assert outcomes[0] == pytest.approx(by_hand[:, 1] + 2 * by_hand[:, 2])


def test_a_classifier_without_probabilities_predicts_classes():
    outcomes = from_sklearn(LinearSVC(), features="models").fit(train_scores()).predict(asked()).outcomes
    assert set(outcomes.ravel()) <= {0.0, 1.0}


def test_the_estimator_itself_is_not_fitted():
    estimator = RidgeCV()
    from_sklearn(estimator, features="asked").fit(train_scores()).predict(asked())
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)


@pytest.mark.parametrize("features", ["asked", "models", length_of_question])
def test_nothing_asked_gives_the_train_mean(features):
    predicted = from_sklearn(LinearRegression(), features=features).fit(train_scores()).predict(asked(items=[]))
    assert predicted.scores == pytest.approx([TRAIN.mean()] * 3)


def test_answers_that_are_all_equal_are_the_prediction():
    predictor = from_sklearn(LogisticRegression(), features="models").fit(train_scores())
    outcomes = predictor.predict(asked(items=[0])).outcomes
    assert (outcomes == HELD_OUT[:, [0]]).all()


@pytest.mark.parametrize("features", ["asked", "models"])
def test_the_own_row_of_a_held_out_model_is_no_feature(features):
    """Of model 4 of train a run (the last 10 items) is held out: what is left of it counts as asked."""
    hidden = TRAIN.copy()
    hidden[4, 30:] = NAN
    answers, wanted = np.full((1, 40), NAN), np.arange(40)[None] >= 30
    held_out = AskedAnswers(answers, wanted, ["m4"], np.array([4]))
    predicted = from_sklearn(Ridge(), features=features).fit(train_scores(hidden)).predict(held_out).scores
    others = np.delete(TRAIN, 4, axis=0)
    if features == "asked":
        expected = Ridge().fit(others[:, :30], others[:, 30:].mean(1)).predict(TRAIN[[4], :30])
    else:
        expected = [Ridge().fit(others[:, :30].T, TRAIN[4, :30]).predict(others[:, 30:].T).mean()]
    assert predicted == pytest.approx(expected)


def test_rs_learn_is_one_of_them():
    same = from_sklearn(RidgeCV(), features="asked").fit(train_scores()).predict(asked()).scores
    assert (RsLearn().fit(train_scores()).predict(asked()).scores == same).all()


def test_predictors_can_be_sent_to_another_process():
    for features in ("asked", "models", length_of_question):
        predictor = from_sklearn(RidgeCV(), features=features, name="mine")
        copy = pickle.loads(pickle.dumps(predictor))
        assert copy.name == "mine"
        before, after = (one.fit(train_scores()).predict(asked()).scores for one in (predictor, copy))
        assert (before == after).all()


@pytest.mark.parametrize(
    ("estimator", "features", "words"),
    [
        (RidgeCV, "asked", "an instance with fit and predict"),
        (StandardScaler(), "asked", "an instance with fit and predict"),
        (RidgeCV(), "items", "'asked', 'models' or a function"),
        (LogisticRegression(), "asked", "expected a regressor"),
    ],
    ids=["class", "no predict", "features", "classifier"],
)
def test_what_cannot_be_a_predictor(estimator, features, words):
    with pytest.raises(SettingError, match=words):
        from_sklearn(estimator, features=features)


def test_features_of_another_number_of_items():
    predictor = from_sklearn(RidgeCV(), features=lambda train: train.scores)
    with pytest.raises(SettingError, match=r"a row for each of 40 items(.|\n)*shape \(12, 40\)"):
        predictor.fit(train_scores())
