"""Scores of predictions against scikit-learn, SciPy, statsmodels, loops written out, and cases worked out by hand."""

from math import isfinite, log, pi, sqrt
from typing import Any

import numpy as np
import polars as pl
import pytest
from score_frames import only_row, predictions
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, mean_squared_error, r2_score
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools import add_constant

import magnet_arrow
from magnet_arrow import HelmOutputs, RunPrediction, RunPredictor, score
from magnet_arrow.errors import ColumnNotFoundError, MagnetError, PanelError, PredictionError, SettingError
from magnet_arrow.statistics.score_kinds import SCORES


def test_errors_are_scikit_learns() -> None:
    frame = predictions()
    truth, predicted = frame["actual"].to_numpy(), frame["predicted"].to_numpy()
    found = only_row(frame)
    assert found["mae"] == pytest.approx(mean_absolute_error(truth, predicted), abs=1e-12)
    assert found["mse"] == pytest.approx(mean_squared_error(truth, predicted), abs=1e-12)
    assert found["rmse"] == pytest.approx(sqrt(mean_squared_error(truth, predicted)), abs=1e-12)
    assert found["bias"] == pytest.approx(np.mean(predicted - truth), abs=1e-12)
    assert found["max_error"] == max(abs(predicted - truth))
    assert (found["n"], found["answered"], found["without_truth"]) == (300, 300, 0)


def test_q2_is_r2_where_the_train_mean_is_the_mean() -> None:
    frame = predictions().with_columns(pl.col("actual").mean().alias("train_mean"))
    assert only_row(frame)["q2"] == pytest.approx(r2_score(frame["actual"], frame["predicted"]), abs=1e-12)


def test_q2_and_skill_are_by_the_constants_of_each_fold() -> None:
    frame = pl.DataFrame(
        {
            "fold": [0, 0, 1],
            "predicted": [0.5, 0.75, 0.25],
            "actual": [0.25, 0.75, 0.5],
            "train_mean": [0.5, 0.5, 1.0],
            "train_median": [0.75, 0.75, 0.0],
        }
    )
    # Errors ¼, 0, −¼. Those of the mean: ¼, −¼, ½; of the median: ½, 0, −½.
    found = only_row(frame)
    assert found["q2"] == pytest.approx(1 - (2 / 16) / (6 / 16), abs=1e-12)
    assert found["skill"] == pytest.approx(1 - (2 / 4) / (4 / 4), abs=1e-12)
    assert found["skill_rmse"] == pytest.approx(1 - sqrt(2 / 16) / sqrt(6 / 16), abs=1e-12)
    assert found["skill_brier"] is None


def test_scores_of_probabilities_are_scikit_learns() -> None:
    frame = predictions(binary=True)
    truth, predicted = frame["actual"].to_numpy(), frame["predicted"].to_numpy()
    found = only_row(frame)
    constant = frame["train_mean"].to_numpy()
    brier = brier_score_loss(truth, predicted)
    assert found["brier"] == pytest.approx(brier, abs=1e-12)
    assert found["log_loss"] == pytest.approx(log_loss(truth, np.clip(predicted, 1e-6, 1 - 1e-6)), abs=1e-12)
    assert found["skill_brier"] == pytest.approx(1 - brier / brier_score_loss(truth, constant), abs=1e-12)
    design = add_constant(np.log(predicted / (1 - predicted)))
    intercept, slope = Logit(truth, design).fit(disp=0, tol=1e-14).params
    assert found["calibration_slope"] == pytest.approx(slope, abs=1e-6)
    assert found["calibration_intercept"] == pytest.approx(intercept, abs=1e-6)


def test_the_log_loss_clips_and_says_how_often() -> None:
    frame = pl.DataFrame({"predicted": [0.0, 1.0, 0.5, 1e-6], "actual": [0, 1, 1, 0]})
    found = only_row(frame, scores=["log_loss"])
    assert found["log_loss"] == pytest.approx(-(2 * log(1 - 1e-6) + log(0.5) + log(1 - 1e-6)) / 4, abs=1e-12)
    assert found["clipped"] == 2


def test_a_prediction_outside_0_and_1_has_a_brier_score_and_is_clipped_for_the_rest() -> None:
    found = only_row(pl.DataFrame({"predicted": [1.5, -0.5, 0.5], "actual": [1, 0, 1]}))
    assert found["brier"] == pytest.approx(0.25, abs=1e-12)
    assert found["clipped"] == 2


@pytest.mark.parametrize("change", ["a truth in between", "several items"])
def test_only_truths_of_0_and_1_of_one_item_have_a_brier_score(change: str) -> None:
    frame = predictions(20, binary=True)
    if change == "several items":
        frame = frame.with_columns(n_items=pl.lit(5))
    else:
        frame = frame.with_columns(pl.when(pl.int_range(20) == 7).then(2 / 3).otherwise("actual").alias("actual"))
    found = only_row(frame)
    names = ("brier", "log_loss", "skill_brier", "rejection_area", *(name for name in SCORES if "calibration" in name))
    assert [found[name] for name in names] == [None] * len(names)
    assert found["mse"] == pytest.approx(np.mean((frame["predicted"] - frame["actual"]).to_numpy() ** 2), abs=1e-12)
    assert "brier, log_loss" in found["why_null"]
    assert "a truth is neither 0 nor 1, or of several items" in found["why_null"]


def test_each_row_is_counted() -> None:
    frame = pl.DataFrame(
        {
            "predicted": [0.5, None, float("nan"), float("inf"), 0.5, 0.5, None],
            "actual": [0.25, 0.5, 0.5, 0.5, None, float("nan"), None],
        }
    )
    found = only_row(frame)
    assert (found["n"], found["answered"], found["without_truth"]) == (4, 1, 3)
    assert found["mae"] == 0.25


def test_the_unanswered_may_count_as_the_train_mean() -> None:
    frame = pl.DataFrame({"predicted": [0.5, None], "actual": [0.5, 0.0], "train_mean": [0.75, 0.75]})
    assert only_row(frame)["mae"] == 0
    found = only_row(frame, unanswered="train_mean")
    assert (found["mae"], found["n"], found["answered"]) == (0.375, 2, 1)


def test_a_group_without_an_answer_has_a_row() -> None:
    frame = pl.DataFrame({"predictor": ["a", "b"], "predicted": [0.5, None], "actual": [0.5, 0.5]})
    found = score(frame, by="predictor", level=None)
    assert found["answered"].to_list() == [1, 0]
    assert found["mae"].to_list() == [0.0, None]
    assert "mae, rmse, mse, bias, max_error" in found["why_null"][1]
    assert "no answered row has a truth" in found["why_null"][1]


def test_groups_are_in_order_with_null_last() -> None:
    frame = pl.DataFrame({"budget": [4, None, 1, 4], "predicted": [0.5] * 4, "actual": [0.25, 0.5, 0.75, 0.75]})
    found = score(frame, by="budget", scores="mae", level=None)
    assert found.select("budget", "n", "mae").rows() == [(1, 1, 0.25), (4, 2, 0.25), (None, 1, 0.0)]


def test_integers_booleans_and_lazy_frames_are_accepted() -> None:
    frame = pl.LazyFrame({"predicted": [1, 0], "actual": [True, True]})
    assert score(frame, scores=["brier"], level=None)["brier"].to_list() == [0.5]


def test_a_pandas_frame_is_accepted() -> None:
    frame = predictions(30)
    assert score(frame.to_pandas(), by="predictor").equals(score(frame, by="predictor"))


def test_what_a_run_predictor_gives_can_be_scored() -> None:
    class Half(RunPredictor):
        def predict(self, train_split: Any, sequestered_test_split: Any) -> list[RunPrediction]:
            name = sequestered_test_split.run_specs["run_spec.name"][0]
            return [RunPrediction(name, "test", stat, mean=0.5) for stat in ("exact_match", "no such stat")]

    comparison = Half(num_eval_samples=5)(HelmOutputs.demo().suites("my-suite"))
    found = score(comparison, predicted="predicted_mean", actual="actual_mean")
    assert found.select("n", "without_truth").row(0) == (1, 1)
    assert found["mae"][0] == pytest.approx(12 / 14 - 0.5, abs=1e-12)
    assert "over=… names factors" in found["why_null"][0]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"predicted": "prediction"}, ColumnNotFoundError, "no column 'prediction'"),
        ({"by": "predictr"}, ColumnNotFoundError, "Did you mean 'predictor'"),
        ({"over": ["model", "itm"]}, ColumnNotFoundError, "Did you mean 'item'"),
        ({"over": ["model", "item", "fold"]}, SettingError, "two at most"),
        ({"scores": ["maee"]}, ColumnNotFoundError, "no score 'maee'"),
        ({"by": ["model", "model"]}, SettingError, "twice"),
        ({"by": 3}, SettingError, "a name or a list of names"),
        ({"by": [3]}, SettingError, "strings"),
        ({"level": 95}, SettingError, "a number between 0 and 1"),
        ({"unanswered": "drop"}, SettingError, "one of exclude, train_mean"),
        ({"predicted": "model"}, PredictionError, "expected numbers, found String"),
        ({"actual": None}, SettingError, "a string"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_named(change: dict[str, Any], error: type[MagnetError], words: str) -> None:
    with pytest.raises(error, match=words):
        score(predictions(20), **change)


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        (pl.DataFrame(schema={"predicted": pl.Float64, "actual": pl.Float64}), PredictionError, "no predictions"),
        (pl.DataFrame({"predicted": [0.5]}), ColumnNotFoundError, "'actual'"),
        (pl.DataFrame({"predicted": [0.5], "actual": ["1"]}), PredictionError, "'actual' has a wrong type"),
        ([0.5], PanelError, "expected a Polars frame"),
        (pl.DataFrame({"predicted": [0.5], "actual": [1], "stddev": ["1"]}), PredictionError, "'stddev'"),
        (pl.DataFrame({"predicted": [0.5], "actual": [1], "stddev": [-1]}), PredictionError, "are negative"),
        (pl.DataFrame({"predicted": [0.5], "actual": [1], "samples": [1.0]}), PredictionError, "lists of numbers"),
        (pl.DataFrame({"predicted": [0.5], "actual": [1], "quantiles": [[1.0]]}), SettingError, "quantile_levels="),
        (pl.DataFrame({"predicted": [0.5], "actual": [1], "train_mean": ["?"]}), PredictionError, "'train_mean'"),
    ],
    ids=["no rows", "no truths", "text", "a list", "text as stddev", "negative", "no lists", "no levels", "train mean"],
)
def test_a_wrong_frame_is_an_error(frame: Any, error: type[MagnetError], words: str) -> None:
    with pytest.raises(error, match=words):
        score(frame)


def test_a_column_of_the_result_cannot_make_groups() -> None:
    with pytest.raises(SettingError, match="'n' is a column of the result"):
        score(predictions(20).with_columns(n=1), by="n")


def test_the_noise_floor_is_that_of_normal_noise() -> None:
    frame = pl.DataFrame(
        {
            "predicted": [0.5, 0.5],
            "actual": [0.75, 0.5],
            "noise_variance": [0.01, 0.04],
            "n_items": [100, 20],
            "budget": [36, 4],
        }
    )
    found = only_row(frame)
    assert found["noise_floor"] == pytest.approx(sqrt(2 / pi) * (0.1 + 0.2) / 2, abs=1e-12)
    # y(1−y) of 64 of 100 items, and of 16 of 20
    by_hand = sqrt(2 / pi) * (sqrt(0.1875 * 64) / 100 + sqrt(0.25 * 16) / 20) / 2
    assert found["noise_floor_binomial"] == pytest.approx(by_hand, abs=1e-12)


def test_single_items_have_no_noise_floor() -> None:
    found = only_row(pl.DataFrame({"predicted": [0.5], "actual": [1], "noise_variance": [0.25], "n_items": [1]}))
    assert (found["noise_floor"], found["noise_floor_binomial"]) == (None, None)


@pytest.mark.parametrize(("target", "floor"), [("model", 0.0), ("run", sqrt(2 / pi) * 0.5 / 10)])
def test_no_budget_is_all_items_of_a_model_and_none_of_a_run(target: str, floor: float) -> None:
    budget = pl.Series([None], dtype=pl.Int64)
    frame = pl.DataFrame({"predicted": [0.5], "actual": [0.5], "n_items": [100], "budget": budget, "target": [target]})
    assert only_row(frame)["noise_floor_binomial"] == pytest.approx(floor, abs=1e-12)


def test_scores_do_not_depend_on_the_order_of_columns_or_the_type_of_keys() -> None:
    frame = predictions(100)
    coded = frame.with_columns(pl.col("model").str.tail(1).cast(pl.Int64), pl.col("item").cast(pl.Categorical))
    assert score(coded.select(sorted(coded.columns)), by="predictor").equals(score(frame, by="predictor"))


def test_the_same_again_is_the_same() -> None:
    frame = predictions(20_000, seed=3, binary=True)  # enough that sums in another order are other sums
    names = ["mae", "log_loss", "q2", "correlation", "rank_correlation"]
    first, second = (score(frame, by="predictor", scores=names) for _ in range(2))
    assert first.equals(second)


def test_chosen_scores_come_in_the_order_asked() -> None:
    found = score(predictions(50), by=["predictor"], scores=["q2", "mae"])
    assert found.columns == [
        *("predictor", "n", "answered", "without_truth"),
        *("q2", "q2_low", "q2_high", "mae", "mae_low", "mae_high", "why_null"),
    ]
    plain = score(predictions(50), scores=["mae"], level=None)
    assert plain.columns == ["n", "answered", "without_truth", "mae", "why_null"]


def test_each_score_is_defined_in_the_docstring() -> None:
    assert [name for name in SCORES if f"`{name}`" not in (score.__doc__ or "")] == []


def test_columns_do_not_depend_on_the_data() -> None:
    whole = score(predictions(50, binary=True))
    assert whole.schema == score(pl.DataFrame({"predicted": [None], "actual": [None]})).schema
    assert magnet_arrow.score is score


def test_a_truth_that_the_constant_knows_has_no_skill_and_says_why() -> None:
    frame = pl.DataFrame({"predicted": [0.5, 0.75], "actual": [1, 1], "train_mean": [1, 1], "train_median": [1, 1]})
    found = only_row(frame)
    assert [found[name] for name in ("q2", "skill", "skill_rmse", "skill_brier")] == [None] * 4
    assert "q2, skill, skill_rmse, skill_brier: the best constant makes no error" in found["why_null"]


def test_scores_that_overflow_are_null() -> None:
    found = only_row(pl.DataFrame({"predicted": [1e200, -1e200, 1.0], "actual": [0, 1, 0], "fold": [0, 0, 0]}))
    assert (found["mae"], found["mse"]) == (pytest.approx(2e200 / 3), None)
    assert "rmse, mse" in found["why_null"]
    assert "it is not finite" in found["why_null"]


def test_a_budget_in_words_only_costs_the_noise_floor() -> None:
    frame = pl.DataFrame({"predicted": [0.5], "actual": [0.25], "n_items": [4], "budget": ["all"]})
    found = score(frame, by="budget", level=None).row(0, named=True)
    assert (found["mae"], found["noise_floor_binomial"]) == (0.25, None)
    assert "a budget that is a number" in found["why_null"]


def test_some_rows_without_a_train_mean_have_no_q2() -> None:
    frame = pl.DataFrame({"predicted": [0.5, 0.5], "actual": [0.25, 0.5], "train_mean": [0.5, None]})
    assert only_row(frame)["q2"] is None
    with pytest.raises(PredictionError, match="1 of 2 rows have neither a prediction nor a train_mean"):
        score(frame.with_columns(predicted=pl.lit(None, pl.Float64)), unanswered="train_mean")


def test_python_objects_make_no_groups() -> None:
    frame = pl.DataFrame({"predicted": [0.5], "actual": [1]}).with_columns(
        pl.Series("kind", [object()], dtype=pl.Object)
    )
    with pytest.raises(PredictionError, match="'kind' cannot make groups"):
        score(frame, by="kind")


@pytest.mark.parametrize("seed", range(30))
def test_of_any_frame_each_row_is_counted_and_each_null_explained(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 4, 9, 40]))
    odd = [0, 1, 0, 1, 0.5, 0.2, None, float("nan"), float("inf"), 1e-9, 2, -1, 1e200]
    pool = odd[: int(rng.choice([2, 6, 8, len(odd)]))]

    def column(values: list[Any], dtype: Any = pl.Float64) -> pl.Series:
        return pl.Series([values[place] for place in rng.integers(0, len(values), n)], dtype=dtype, strict=False)

    columns = {
        **dict.fromkeys(("model", "item"), (["a", "b", "c", "d", "e", "f", "g", None], pl.String)),
        **dict.fromkeys(("fold", "draw", "n_items", "budget"), ([0, 1, 2, None], pl.Int64)),
        **dict.fromkeys(("train_mean", "train_median", "noise_variance"), (pool, pl.Float64)),
        "stddev": ([0, 0.1, None], pl.Float64),
        "samples": ([None, [], [0.5], [0.1, 0.2], [None, 0.1], [0.0, 0.0, 1.0]], pl.List(pl.Float64)),
    }
    chosen = {name: column(*of) for name, of in columns.items() if rng.random() < 0.7}
    frame = pl.DataFrame({"predicted": column(pool), "actual": column(pool[:6])} | chosen)
    by = [name for name in ("model", "fold") if name in chosen and rng.random() < 0.3]
    found = score(frame, by=by)
    assert found["n"].sum() + found["without_truth"].sum() == n
    assert found.height == (frame.n_unique(by) if by else 1)
    for row in found.rows(named=True):
        for name in SCORES:
            low, value, high = (row.get(name + end, 0) for end in ("_low", "", "_high"))
            assert value is None or isfinite(value), name
            if value is None or low is None:
                assert name in row["why_null"], name
            elif f"{name}_low" in row:
                assert low <= value + 1e-9 * abs(value), name
                assert high >= value - 1e-9 * abs(value), name
