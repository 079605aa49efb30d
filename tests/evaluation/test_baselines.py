"""The baselines against plain loops and plain scikit-learn, on real scores and on small ones worked out by hand."""

import json
import sys
import zlib
from importlib import resources

import budget
import numpy as np
import polars as pl
import pytest
from panel_data import asked_answers, train_scores
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV

import magnet_arrow
from magnet_arrow.errors import PanelError
from magnet_arrow.evaluation import (
    BASELINES,
    AdditiveMean,
    Aipw,
    ItemAdjustedMean,
    NearestModels,
    OneParameterResponse,
    PanelPredictor,
    PredictedScores,
    RsLearn,
    SameModel,
    SameScenario,
    SampleMean,
    TrainMean,
)
from magnet_arrow.evaluation.predictors.one_parameter import most_probable_abilities
from magnet_arrow.evaluation.predictors.train_matrix import item_means
from magnet_arrow.examples.helm_lite import matrix

NAN = np.nan


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
    expected = [np.mean([row[i] for i in items]) for row in held_out]
    assert predicted(SampleMean(), protocol) == pytest.approx(expected, abs=1e-12)


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


def test_item_response_needs_scores_from_0_to_1():
    with pytest.raises(PanelError, match=r"from 0 to 1(.|\n)*found 3\.5(.|\n)*threshold"):
        OneParameterResponse().fit(train_scores([[1, 0, NAN], [3.5, 1, 0]]))


def test_means_worked_out_by_hand():
    #                       a  a  b  b
    train = train_scores([[1, 0, 1, 0], [1, 1, 0, NAN]], ["a", "a", "b", "b"])
    asked = asked_answers([[0, NAN, NAN, 1]], wanted=[[1, 1, 1, 0]])
    expected = {
        TrainMean: (1 + 1 / 2 + 1 / 2) / 3,
        SameScenario: (3 / 4 + 3 / 4 + 1 / 3) / 3,
        SampleMean: 1 / 2,
        SameModel: 1 / 2,
        ItemAdjustedMean: 2 / 3 + ((0 - 1) + (1 - 0)) / 2,
    }
    for baseline, score in expected.items():
        assert baseline().fit(train).predict(asked).scores == pytest.approx([score]), baseline


def test_a_held_out_run_of_a_model_in_train():
    train = train_scores([[1, 0, NAN, NAN], [1, 1, 0, 0], [0, 0, 1, 0]], ["a", "a", "b", "b"])
    asked = asked_answers([[NAN, NAN, 1, NAN]], wanted=[[0, 0, 1, 1]], train_rows=[0])
    expected = {
        TrainMean: (1 / 2 + 0) / 2,
        SampleMean: 1,  # of the run that is held out
        SameModel: 2 / 3,
        ItemAdjustedMean: 1 / 4 + ((1 - 2 / 3) + (0 - 1 / 3) + (1 - 1 / 2)) / 3,
    }
    for baseline, score in expected.items():
        assert baseline().fit(train).predict(asked).scores == pytest.approx([score]), baseline


def test_items_that_no_train_model_has():
    train = train_scores([[1, 0, NAN, NAN], [1, 1, NAN, NAN]], ["a", "a", "a", "b"])
    assert item_means(train) == pytest.approx([1, 1 / 2, 3 / 4, 3 / 4])


def test_additive_is_ordinary_least_squares():
    rng = np.random.default_rng(3)
    scores, scenarios = rng.random((6, 24)), [f"s{item // 6}" for item in range(24)]
    scores[rng.random(scores.shape) < 0.4] = NAN
    scores[2, 12:18] = NAN  # the held-out run
    models, items = (~np.isnan(scores)).nonzero()
    columns = np.hstack([np.eye(6)[models], np.eye(4)[items // 6]])
    effects = np.linalg.lstsq(columns, scores[models, items], rcond=None)[0]
    asked = asked_answers(np.full((1, 24), NAN), wanted=[[12 <= item < 18 for item in range(24)]], train_rows=[2])
    predicted = AdditiveMean().fit(train_scores(scores, scenarios)).predict(asked).scores
    assert predicted == pytest.approx([effects[2] + effects[6 + 2]], abs=1e-12)


def test_additive_of_a_scenario_that_is_new_is_the_mean_of_the_model():
    train = train_scores([[1, 1, 0, 1, NAN], [1, 0, 0, 0, NAN]], ["a", "a", "b", "b", "c"])
    asked = asked_answers([[NAN] * 5], wanted=[[0, 0, 0, 0, 1]], train_rows=[0])
    assert AdditiveMean().fit(train).predict(asked).scores == pytest.approx([3 / 4])


def test_nearest_models_by_a_loop():
    rng = np.random.default_rng(11)
    train, held_out = (rng.random((7, 20)) < 0.5).astype(float), (rng.random((4, 20)) < 0.5).astype(float)
    train[rng.random(train.shape) < 0.1] = NAN
    items = range(0, 20, 2)
    answers = np.full(held_out.shape, NAN)
    answers[:, items] = held_out[:, items]
    predicted = NearestModels(2).fit(train_scores(train)).predict(asked_answers(answers)).outcomes
    for row in range(4):
        agreement = []
        for model in range(7):
            both = [item for item in items if not np.isnan(train[model, item])]
            agreement.append(sum(train[model, item] == held_out[row, item] for item in both) / len(both))
        second = sorted(agreement)[-2]
        for item in range(20):
            mean = np.mean([score for score in train[:, item] if not np.isnan(score)])
            near = [model for model in range(7) if agreement[model] >= second]
            theirs = [mean if np.isnan(train[model, item]) else train[model, item] for model in near]
            assert predicted[row, item] == pytest.approx(np.mean(theirs))


@pytest.fixture
def two_scenarios(tmp_path):
    with resources.files("magnet_arrow.examples").joinpath("helm_lite_scores.npz").open("rb") as file:
        arrays = dict(np.load(file))
    kept = ("models", "math", "math_items", "mmlu", "mmlu_items")
    np.savez(tmp_path / "scores.npz", **{name: arrays[name] for name in kept})
    return str(tmp_path / "scores.npz")


@pytest.mark.slow
def test_the_budget_script_finds_the_same_with_any_number_of_workers(two_scenarios):
    found = [budget.measured(two_scenarios, "random", (5, 20), range(2), workers) for workers in (1, 2)]
    assert budget.as_json(found[0]) == budget.as_json(found[1])


def test_the_budget_script_prints_what_a_loop_finds(two_scenarios, capsys, monkeypatch):
    """Two seeds of two scenarios in the protocol of arXiv 2506.07673, and the same split of the weaker half."""
    monkeypatch.setattr(budget, "BASELINES", (SampleMean, RsLearn, Aipw))
    for split in ("random", "weaker", "stronger"):
        arguments = ["budget.py", two_scenarios, "--split", split, "--budget", "20", "--seeds", "3:5", "--workers", "1"]
        monkeypatch.setattr(sys, "argv", [*arguments, "--json"])
        budget.main()
        printed = json.loads(capsys.readouterr().out)["methods"]
        for scenario in ("math", "mmlu"):
            errors = [errors_by_hand(scenario, split, seed) for seed in (3, 4)]
            for method, expected in zip(("sample mean", "rs-learn", "aipw"), np.mean(errors, axis=0), strict=True):
                assert printed[method][scenario] == pytest.approx(expected, abs=1e-9)


def test_the_budget_script_holds_each_organisation_out_once():
    scores, models = matrix("mmlu")
    folds = budget.folds_of(scores, models, "organization", seed=0)
    assert sorted(row for _, held_out in folds for row in held_out) == list(range(83))
    for train, held_out in folds:
        assert sorted([*train, *held_out]) == list(range(83))
        makers = {models[row].partition("_")[0] for row in held_out}
        assert not makers & {models[row].partition("_")[0] for row in train}


def errors_by_hand(scenario, split, seed):
    scores, _ = matrix(scenario)
    n, order = len(scores), np.argsort(scores.mean(1))
    np.random.seed(seed)
    held_out = np.random.permutation(n)[: int(0.25 * n)]
    train = [row for row in range(n) if row not in held_out]
    if split == "weaker":
        train, held_out = order[: int(0.5 * n)], order[-int(0.3 * n) :]
    elif split == "stronger":
        train, held_out = order[-int(0.5 * n) :], order[: int(0.3 * n)]
    np.random.seed(seed)
    items = np.random.permutation(scores.shape[1])[:20]
    unasked = [item for item in range(scores.shape[1]) if item not in items]
    rs_learn = RidgeCV().fit(scores[train][:, items], scores[train].mean(1))
    errors = np.zeros(3)
    for row in held_out:
        aipw = Ridge(alpha=10).fit(scores[train][:, items].T, scores[row, items])
        predicted = (
            scores[row, items].mean(),
            rs_learn.predict(scores[[row]][:, items])[0],
            aipw.predict(scores[train][:, unasked].T).mean(),
        )
        errors += np.abs(np.array(predicted) - scores[row].mean()) * 100 / len(held_out)
    return errors


@pytest.mark.slow
@pytest.mark.shared
def test_the_order_of_baselines_on_runs(shared_dumps):
    """Leave one run out, as ../shared/BASELINES.md measured it."""
    runs = magnet_arrow.HelmOutputs(shared_dumps("mmlu") / "benchmark_output").suites("*").runs()
    predictors = [AdditiveMean, OneParameterResponse, SameModel, SameScenario, GlobalMean, UniformRandom]
    found = magnet_arrow.evaluate(predictors, runs, target="run", folds="run").predictions
    errors = found.group_by("predictor").agg((pl.col("predicted") - pl.col("actual")).abs().mean()).rows()
    of = dict(errors)
    assert max(of["additive"], of["one-parameter response"]) < of["same model"] < of["GlobalMean"] < of["UniformRandom"]
    assert of["additive"] == pytest.approx(0.094, abs=0.002)
    assert of["one-parameter response"] == pytest.approx(0.089, abs=0.002)
    assert of["same model"] == pytest.approx(0.148, abs=0.002)
    assert of["same scenario"] == pytest.approx(0.160, abs=0.001)
    assert of["GlobalMean"] == pytest.approx(0.187, abs=0.001)


class GlobalMean(PanelPredictor):
    def fit(self, train):
        self.mean = np.nanmean(train.scores)
        return self

    def predict(self, asked):
        return PredictedScores(np.full(len(asked.models), self.mean))


class UniformRandom(PanelPredictor):
    def fit(self, train):
        self.random = np.random.default_rng(zlib.crc32(train.scores.tobytes()))
        return self

    def predict(self, asked):
        return PredictedScores(self.random.random(len(asked.models)))
