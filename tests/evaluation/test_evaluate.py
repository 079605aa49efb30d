import concurrent.futures
import multiprocessing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import threadpoolctl
from evaluation_predictors import (
    Breaks,
    CopiesTwin,
    CountsThreads,
    Fails,
    InOrder,
    Mean,
    Noise,
    ReachesBases,
    Remembers,
    Rewrites,
    Sample,
)

import magnet_arrow
from magnet_arrow import Evaluation, Panel, evaluate, load_evaluation
from magnet_arrow.errors import (
    BadFileError,
    PanelError,
    PredictionError,
    SettingError,
    SourceNotFoundError,
    WorkersLostError,
)
from magnet_arrow.evaluation.harness.interviews import Interview


def scores(n_models: int = 6, n_items: int = 20, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(7)
    made = (rng.random((n_models, n_items)) < rng.random(n_items)).astype(float)
    made[rng.random(made.shape) < missing] = np.nan
    return made


def panel(matrix: np.ndarray, names: list[str] | None = None) -> Panel:
    names = names or [f"m{row}" for row in range(len(matrix))]
    rows = [
        (names[row], str(item), None if np.isnan(value) else value) for (row, item), value in np.ndenumerate(matrix)
    ]
    schema = {"model": pl.String, "item": pl.String, "score": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return Panel.from_frame(frame, model="model", item="item", score="score")


@pytest.mark.parametrize("missing", [0.0, 0.2], ids=["complete", "with gaps"])
def test_errors_are_those_of_a_plain_loop(missing: float) -> None:
    matrix = scores(missing=missing)
    found = evaluate(Mean, panel(matrix), folds="model", budgets=[0, 3, "all"], draws=2, seed=5)
    expected = []
    for model in range(len(matrix)):
        means = np.nanmean(np.delete(matrix, model, axis=0), axis=0)
        there = [item for item in range(20) if not np.isnan(matrix[model, item])]
        for draw in range(2):
            order = np.random.default_rng(np.random.SeedSequence([5, model, draw])).permutation(20)
            asked = [item for item in order if item in there][:3]
            for budget, items in ((0, []), (3, asked), (None, there)):
                if draw and budget != 3:
                    continue
                guesses = [matrix[model, item] if item in items else means[item] for item in there]
                row = (draw, budget, f"m{model}", np.mean(guesses), np.mean(matrix[model, there]), len(there))
                expected.append(row)
    columns = ["draw", "budget", "model", "predicted", "actual", "n_items"]
    got = found.predictions.select(columns).rows()
    assert [row[:3] for row in got] == [row[:3] for row in expected]
    np.testing.assert_allclose([row[3:] for row in got], [row[3:] for row in expected], rtol=1e-12)


def test_constants_are_those_of_the_train_models() -> None:
    matrix = scores()
    found = evaluate(Mean, panel(matrix), folds="model", budgets=[0])
    for model, row in enumerate(found.predictions.iter_rows(named=True)):
        others = np.delete(matrix, model, axis=0).mean(axis=1)
        assert row["train_mean"] == pytest.approx(others.mean(), abs=1e-12)
        assert row["train_median"] == pytest.approx(np.median(others), abs=1e-12)


def test_items_that_were_not_asked_are_predicted_one_by_one() -> None:
    matrix = scores(4, 5)
    found = evaluate(Mean, panel(matrix), target="item", folds="model", budgets=[2, 5, "all"], draws=1, seed=3)
    expected = []
    for model in range(4):
        order = np.random.default_rng(np.random.SeedSequence([3, model, 0])).permutation(5)
        means = np.delete(matrix, model, axis=0).mean(axis=0)
        expected += [(f"m{model}", str(i), means[i], matrix[model, i]) for i in range(5) if i not in order[:2]]
    assert found.predictions.select("model", "item", "predicted", "actual").rows() == expected
    assert set(found.predictions["budget"]) == {2}
    assert found.predictions["train_mean"][0] == pytest.approx(matrix[1:].mean(), abs=1e-12)


def test_scenarios_are_problems_of_their_own() -> None:
    matrix = scores(5, 12)
    rows = [(f"m{m}", "easy" if i < 5 else "hard", i if i < 5 else i - 5, v) for (m, i), v in np.ndenumerate(matrix)]
    frame = pl.DataFrame(rows, schema=["model", "scenario", "item", "score"], orient="row")
    found = evaluate(Sample, frame, folds="model", budgets=[0, 6], draws=1).predictions
    assert found.filter(pl.col("budget") == 6)["scenario"].unique().to_list() == ["hard"]  # the other one has 5 items
    easy = found.filter(scenario="easy", budget=0)
    assert easy["actual"].to_list() == pytest.approx(matrix[:, :5].mean(axis=1).tolist())
    others = [np.delete(matrix[:, :5], m, axis=0).mean() for m in range(5)]
    assert easy["predicted"].to_list() == pytest.approx(others)


def test_runs_are_predicted_from_all_others() -> None:
    matrix = scores(4, 10)
    matrix[3, 5:] = np.nan
    names = ["a"] * 5 + ["b"] * 5
    rows = [(f"m{m}", names[i], str(i), v) for (m, i), v in np.ndenumerate(matrix) if not np.isnan(v)]
    frame = pl.DataFrame(rows, schema=["model", "scenario", "item", "score"], orient="row")
    found = evaluate(Sample, frame, target="run", folds="run").predictions
    runs = [(m, s) for s in range(2) for m in range(4) if (m, s) != (3, 1)]
    assert found.select("model", "scenario").rows() == [(f"m{m}", "ab"[s]) for m, s in runs]
    for (m, s), row in zip(runs, found.iter_rows(named=True), strict=True):
        rest = matrix.copy()
        rest[m, s * 5 : s * 5 + 5] = np.nan
        means = [np.mean(rest[i, j * 5 : j * 5 + 5]) for i in range(4) for j in range(2)]
        assert row["predicted"] == pytest.approx(np.nanmean(rest), abs=1e-12)
        assert row["train_mean"] == pytest.approx(np.nanmean(means), abs=1e-12)
        assert row["actual"] == pytest.approx(matrix[m, s * 5 : s * 5 + 5].mean(), abs=1e-12)


def test_extrapolation_is_from_one_half_to_the_other_end() -> None:
    matrix = np.tril(np.ones((10, 10)))[[3, 9, 0, 5, 1, 2, 8, 7, 6, 4]]
    found = evaluate(Mean, panel(matrix), target="extrapolation", budgets=[0])
    assert found.provenance["folds"] == [
        {"fold": 0, "name": "the best 30% from the weaker half", "models": ["m7", "m6", "m1"]},
        {"fold": 1, "name": "the worst 30% from the stronger half", "models": ["m2", "m4", "m5"]},
    ]
    weaker = [row for row in matrix.tolist() if sum(row) <= 5]
    assert found.predictions["predicted"][0] == pytest.approx(np.mean(weaker), abs=1e-12)


@pytest.fixture(scope="module")
def first() -> Evaluation:
    return of_workers(None)


def of_workers(executor: concurrent.futures.Executor | None, seed: int = 0) -> Evaluation:
    predictors = [Mean, Sample, Noise, InOrder(), Fails("nan")]
    return evaluate(predictors, panel(scores(missing=0.1)), folds="model", draws=2, seed=seed, executor=executor)


def test_results_are_equal_twice(first: Evaluation) -> None:
    assert of_workers(None) == first
    assert of_workers(None, seed=1) != first


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_results_are_equal_with_any_number_of_workers(workers: int, first: Evaluation) -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as executor:
        assert of_workers(executor) == first


def test_linear_algebra_has_one_thread() -> None:
    with threadpoolctl.threadpool_limits(limits=2):
        found = evaluate(CountsThreads, panel(scores()), folds="model", budgets=[0]).predictions
        assert max(library["num_threads"] for library in threadpoolctl.threadpool_info()) == 2
    assert set(found["predicted"]) == {1.0}


def test_an_evaluation_is_the_same_after_it_was_saved(first: Evaluation, tmp_path: Path) -> None:
    first.to_parquet(tmp_path / "e.parquet")
    loaded = load_evaluation(tmp_path / "e.parquet")
    assert loaded == first
    assert repr(loaded) == repr(first) == "<Evaluation 5 predictors, 6 folds, 291 predictions, 64 not answered>"


def test_random_numbers_of_others_go_on() -> None:
    np.random.seed(1)
    expected = np.random.rand(2)
    np.random.seed(1)
    first = np.random.rand()
    evaluate(Noise, panel(scores()), folds="model", budgets=[0])
    assert [first, np.random.rand()] == expected.tolist()


FAILURES = {
    "spread": "PredictionError: expected stddev of 0 or more from predict(), found -1.0.",
    "fit": "ValueError: no fit today",
    "predict": "ZeroDivisionError: division by zero",
    "exit": "SystemExit: 3",
    "nothing": "PredictionError: expected the predictor itself from fit(), found NoneType.",
    "infinite": "predicted inf",
    "shape": "PredictionError: expected scores of shape (1,) from predict(), found shape (2,).",
    "number": "PredictionError: expected PredictedScores from predict(), found float.",
    "words": "PredictionError: expected numbers as scores from predict(), found ['half'].",
    "text": "PredictionError: expected numbers as scores from predict(), found ['0.5'].",
    "complex": "PredictionError: expected numbers as scores from predict(), found array([0.5+1.j]).",
    "masked": "predicted nan",
    "negative": "PredictionError: expected stddev of 0 or more from predict(), found -1.0.",
    "write": "ValueError: assignment destination is read-only",
    "unlock": "ValueError: cannot set WRITEABLE flag to True of this array",
    "rename": "AttributeError: 'tuple' object has no attribute 'append'",
    "want less": "ValueError: assignment destination is read-only",
    "answer": "ValueError: cannot set WRITEABLE flag to True of this array",
    "move": "ValueError: assignment destination is read-only",
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_failure_counts_as_not_answered(how: str) -> None:
    matrix = scores()
    found = evaluate([Fails(how), Mean], panel(matrix), folds="model", budgets=[0])
    assert found.errors.rows()[0] == ("Fails", 0, "m0", FAILURES[how], 1)
    assert found.errors.height == 6
    ranking = found.ranking()
    assert ranking.select("predictor", "n", "answered").sort("predictor").rows() == [("Fails", 6, 0), ("Mean", 6, 6)]
    constant = [np.delete(matrix, row, axis=0).mean() - matrix[row].mean() for row in range(6)]
    mae = dict(ranking.select("predictor", "mae").iter_rows())
    assert mae["Fails"] == pytest.approx(np.abs(constant).mean(), abs=1e-12)


def test_scores_are_those_of_a_plain_loop() -> None:
    matrix = scores()
    found = evaluate([Mean, Sample], panel(matrix), folds="model", budgets=[0, 3], draws=2, seed=5)
    table = found.scores(over=["model"])
    assert table.select("predictor", "budget", "n", "answered").rows() == [
        (name, budget, 6 * (1 + (budget > 0)), 6 * (1 + (budget > 0)))
        for name in ("Mean", "Sample")
        for budget in (0, 3)
    ]
    for row in table.iter_rows(named=True):
        mine = found.predictions.filter(predictor=row["predictor"], budget=row["budget"])
        off = [abs(one["predicted"] - one["actual"]) for one in mine.iter_rows(named=True)]
        assert row["mae"] == pytest.approx(sum(off) / len(off), abs=1e-12)
        assert row["mae_low"] < row["mae"] < row["mae_high"]
        assert 0 < row["noise_floor"] < 0.2
        assert dict(found.ranking(row["budget"]).select("predictor", "mae").iter_rows())[
            row["predictor"]
        ] == pytest.approx(row["mae"])


def test_a_level_that_does_not_exist_is_refused() -> None:
    class Psychic(Mean):
        level = "mind"  # type: ignore[assignment]

    with pytest.raises(SettingError, match="level of Psychic"):
        evaluate(Psychic, panel(scores()), folds="model")


def test_a_predictor_changes_nothing_of_others_and_no_answer_of_its_own() -> None:
    found = evaluate([Rewrites, Mean], panel(scores()), folds="model", budgets=[1, 4], draws=2).predictions
    of_each = [found.filter(predictor=name).drop("predictor") for name in ("Rewrites", "Mean")]
    assert of_each[0].equals(of_each[1])


def test_the_memory_behind_the_arrays_has_nothing_more() -> None:
    found = evaluate(ReachesBases, panel(scores()), folds="model", budgets=[0, 1, "all"], draws=2)
    assert set(found.predictions["predicted"]) == {0.0}


def test_a_predictor_remembers_no_answers_of_another_draw() -> None:
    found = evaluate([Remembers, Mean], panel(scores()), folds="model", budgets=[1, 4, "all"], draws=3).predictions
    of_each = [found.filter(predictor=name)["predicted"].to_list() for name in ("Remembers", "Mean")]
    assert of_each[0] == pytest.approx(of_each[1], abs=1e-12)


def test_one_value_may_be_missing() -> None:
    found = evaluate(Fails("nan"), panel(scores(4)), target="extrapolation", budgets=[0, 1])
    assert found.predictions.filter(pl.col("error").is_not_null()).select("budget", "error").unique().height == 2
    assert set(found.errors["error"]) == {"predicted nan"}


def test_a_predictor_of_means_predicts_no_items() -> None:
    found = evaluate(Fails("no outcomes"), panel(scores()), target="item", folds="model", budgets=[1], draws=1)
    assert set(found.errors["error"]) == {"PredictionError: expected outcomes of items from predict(), found None."}


def test_a_slow_predictor_is_stopped() -> None:
    found = evaluate([Fails("slow"), Mean], panel(scores(2)), folds="model", budgets=[0, 1], timeout=0.05)
    assert found.errors.rows() == [("Fails", fold, f"m{fold}", "time limit of 0.05 s", 13) for fold in range(2)]


def test_ctrl_c_is_no_failure_of_the_predictor() -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(Fails("stop"), panel(scores()), folds="model")


def test_an_executor_that_is_shut_down_is_an_error_of_ours() -> None:
    executor = concurrent.futures.ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(WorkersLostError, match="cannot schedule new futures"):
        evaluate(Mean, panel(scores()), folds="model", executor=executor)


def test_a_predictor_that_does_not_reach_a_worker_process_is_refused() -> None:
    class Local(Mean):
        """A class in a function, which no other process can import."""

    with (
        concurrent.futures.ProcessPoolExecutor(1) as executor,
        pytest.raises(SettingError, match="cannot be sent"),
    ):
        evaluate(Local, panel(scores()), folds="model", executor=executor)


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error_of_ours() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor, pytest.raises(WorkersLostError):
        evaluate(Fails("die"), panel(scores()), folds="model", executor=executor)


def test_an_adaptive_predictor_is_asked_what_it_chooses() -> None:
    matrix = scores(4, 6)
    found = evaluate(InOrder(), panel(matrix), folds="model", budgets=[0, 2, 4, "all"], draws=3).predictions
    assert found["draw"].unique().to_list() == [0]
    for row in found.iter_rows(named=True):
        model = int(row["model"][1:])
        guesses = np.delete(matrix, model, axis=0).mean(axis=0)
        first = 6 - (6 if row["budget"] is None else row["budget"])
        guesses[first:] = matrix[model, first:]
        assert row["predicted"] == pytest.approx(guesses.mean(), abs=1e-12)


def test_an_adaptive_predictor_predicts_the_items_that_it_did_not_choose() -> None:
    found = evaluate(InOrder(), panel(scores(4, 6)), target="item", folds="model", budgets=[4]).predictions
    assert found.select("model", "item").rows() == [(f"m{m}", str(i)) for m in range(4) for i in range(2)]


def test_an_interview_refuses_the_question_after_the_last() -> None:
    interview = Interview(np.array([1.0, 0.0, 1.0]), np.ones(3, dtype=np.bool_))
    for item in (2, 1):
        interview.ask(item, budget=2)
    with pytest.raises(PredictionError, match=r"choose\(\) asks question 3\.\n  expected at most 2"):
        interview.ask(0, budget=2)
    np.testing.assert_array_equal(interview.answers, [np.nan, 0, 1])
    assert interview.n_asked == 2


ADAPTIVE_FAILURES = {
    "twice": ([0, 1], "expected an item from choose() that was not asked before, found 5."),
    "outside": ([0], "expected the index of a wanted item from choose(), found 6."),
    "text": ([0], "expected the index of an item from choose(), found 'first'."),
}


@pytest.mark.parametrize("how", ADAPTIVE_FAILURES)
def test_a_wrong_choice_counts_as_not_answered(how: str) -> None:
    found = evaluate(InOrder(how), panel(scores(3, 6)), folds="model", budgets=[0, 1, 2, 3]).predictions
    fine, error = ADAPTIVE_FAILURES[how]
    assert found.filter(pl.col("predicted").is_not_null())["budget"].unique().sort().to_list() == fine
    assert found["error"].drop_nulls().unique().to_list() == [f"PredictionError: {error}"]


def test_twins_are_held_out_together(tmp_path: Path) -> None:
    matrix = scores(6, 30)
    matrix[1::2] = matrix[::2]  # each model has a twin
    names = ["owl-a", "owl-b", "wren-a", "wren-b", "finch-a", "finch-b"]
    made = panel(matrix, names)
    leaks = evaluate(CopiesTwin, made, folds="model", budgets=[0]).ranking()
    assert leaks["mae"].to_list() == [0.0]
    file = tmp_path / "families.csv"
    header = "model,weights,family,organisation\n"
    file.write_text(header + "".join(f"{name},{name[:-2]},{name[:-2]},{name[:-2]} lab\n" for name in names))
    for folds in ("model", "family", "organization"):
        found = evaluate(CopiesTwin, made, folds=folds, budgets=[0], families=file)  # type: ignore[arg-type]
        assert found.predictions["predicted"].to_list() == [0.0] * 6
        assert len(found.provenance["folds"]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "models"}, "expected one of model, item, run, extrapolation, found 'models'"),
        ({"folds": "organisation"}, "expected one of organization, family, model, run, scenario, item"),
        ({"folds": "scenario"}, "leaves no model out"),
        ({"target": "run", "folds": "scenario"}, "there is only one scenario"),
        ({"budgets": "all"}, "expected a list"),
        ({"budgets": [-1]}, "expected numbers of items or 'all', found -1"),
        ({"budgets": []}, "expected at least one"),
        ({"draws": 0}, "expected a whole number from 1 on, found 0"),
        ({"seed": -1}, "expected a whole number from 0 on"),
        ({"timeout": 0}, "expected seconds above 0, or None, found 0"),
        ({"executor": 4}, "expected one of concurrent.futures, or None, found 4"),
        (
            {"budgets": [21]},
            "a budget of as many items as a held-out model has scores on",
        ),
        ({"target": "item", "budgets": [20, "all"]}, "in a scenario and more, found 20, all"),
        ({"seed": None}, "expected a whole number from 0 on, found None"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(options: dict[str, object], message: str) -> None:
    settings = {"folds": "model"} | options
    with pytest.raises(SettingError, match=message):
        evaluate(Mean, panel(scores()), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "predictors",
    [[], [Mean, Mean], [object()], [Panel]],
    ids=["none", "one of them twice", "an object of another class", "another class"],
)
def test_impossible_predictors_are_refused(predictors: list[object]) -> None:
    with pytest.raises(SettingError, match="redictors"):
        evaluate(predictors, panel(scores()), folds="model")  # type: ignore[arg-type]


class Nameless(Mean):
    name = ""


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        (Fails, "Fails cannot be made.\n  expected an instance, or a class that needs no arguments, found TypeError"),
        (Breaks, "Breaks cannot be made.\n  .*, found OSError: no weights here"),
        (magnet_arrow.PanelPredictor, "PanelPredictor cannot be made"),  # it is abstract
        (Nameless, "Nameless.name:\n  expected a string, found ''"),
    ],
)
def test_predictors_with_impossible_attributes_are_refused(predictor: type[Mean], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        evaluate(predictor, panel(scores()), folds="model")


def test_what_was_not_evaluated_cannot_be_ranked() -> None:
    found = evaluate(Mean, panel(scores()), folds="model", budgets=[1, "all"])
    for options, message in (
        ({"budget": 2}, "expected a budget among 1, all, found 2"),
        ({"budget": "many"}, "expected a budget among 1, all, found many"),
        ({"level": "plan"}, "expected level outcomes, found 'plan'"),
    ):
        with pytest.raises(SettingError, match=message):
            found.ranking(**options)  # type: ignore[arg-type]


def test_a_time_limit_may_be_longer_than_any_timer() -> None:
    assert evaluate(Mean, panel(scores()), folds="model", budgets=[0], timeout=1e300).errors.is_empty()


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 1e308], ids=str)
def test_scores_without_a_mean_or_a_variance_are_refused(value: float) -> None:
    matrix = scores()
    matrix[2, 7] = value
    with pytest.raises(PanelError, match=r"found .* for model 'm2', item '7'"):
        evaluate(Mean, panel(matrix), folds="model")
    with pytest.raises(PanelError, match="No model has a score"):
        evaluate(Mean, panel(np.full((2, 3), np.nan)), folds="model")


def test_levels_are_not_mixed_in_a_ranking() -> None:
    class SeesOutputs(Mean):
        level = "outputs"

    found = evaluate([Mean, SeesOutputs], panel(scores()), folds="model", budgets=[0])
    with pytest.raises(SettingError, match=r"one level\.\n  found outcomes and outputs"):
        found.ranking()
    assert found.ranking(level="outputs")["predictor"].to_list() == ["SeesOutputs"]
    with pytest.raises(SettingError, match="nothing to rank"):
        found.ranking(3, level="outputs")


def test_a_file_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    good = evaluate(Mean, panel(scores()), folds="model", budgets=[1])
    good.predictions.write_parquet(tmp_path / "c.parquet", metadata={"magnet_arrow.evaluation": "{}"})
    good.to_parquet(tmp_path / "d.parquet")
    (tmp_path / "d.parquet").write_bytes((tmp_path / "d.parquet").read_bytes()[:-100])
    for name in "abcd":
        with pytest.raises(BadFileError, match="no evaluation"):
            load_evaluation(tmp_path / f"{name}.parquet")
    with pytest.raises(SourceNotFoundError):
        load_evaluation(tmp_path / "e.parquet")


def test_progress_ends_with_all_folds() -> None:
    seen: list[tuple[int, int]] = []
    found = evaluate(
        Mean, panel(scores()), folds="model", budgets=[0], progress=lambda at: seen.append((at.done, at.folds))
    )
    assert seen == [(fold, 6) for fold in range(1, 7)]
    assert isinstance(found, Evaluation)


def test_runs_of_the_demo(demo_outputs: Path) -> None:
    runs = magnet_arrow.HelmRuns(demo_outputs / "runs" / "my-suite")
    found = evaluate([Mean, Sample], runs, target="run", folds="run").predictions
    assert found.height == 8
    assert set(found["scenario"]) == {"MMLUScenario:subject=anatomy", "MMLUScenario:subject=philosophy"}
    actual = dict(
        zip(*(runs.scores().select(pl.concat_str("suite", "run", separator="/"), "score").get_columns()), strict=True)
    )
    assert {run: pytest.approx(value) for run, value in found.select("run", "actual").iter_rows()} == actual
