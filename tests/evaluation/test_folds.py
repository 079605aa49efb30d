import numpy as np
import polars as pl
import pytest
from evaluation_predictors import CopiesTwin, Mean

from magnet_arrow import evaluate
from magnet_arrow.errors import FamilyNotFoundError, PanelError, SettingError
from magnet_arrow.evaluation.harness.folds import make_folds, model_groups
from magnet_arrow.evaluation.score_matrix import ScoreMatrix


def frame(n_models: int = 4, n_items: int = 24, n_scenarios: int = 3) -> pl.DataFrame:
    rows = [
        (f"m{model}", f"s{item % n_scenarios}", f"i{item}", float((model * 7 + item * item) % 3 == 0))
        for model in range(n_models)
        for item in range(n_items)
    ]
    return pl.DataFrame(rows, schema=["model", "scenario", "item", "score"], orient="row")


def families(rows: list[tuple[str, str | None, str | None, str | None]]) -> pl.DataFrame:
    schema = dict.fromkeys(("model", "weights", "family", "organisation"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


KNOWN = families(
    [("a", "w1", "Owl", "Nest"), ("b", "w1", "Wren", "Hedge"), ("c", None, "Wren", "Hedge"), ("d", "w2", "Tit", "Nest")]
)


def test_models_of_equal_weights_are_in_one_group_whatever_they_are_called() -> None:
    assert model_groups(KNOWN, "model") == ["a", "a", "c", "d"]
    assert model_groups(KNOWN, "family") == ["Owl", "Owl", "Owl", "Tit"]  # b joins Wren to Owl
    assert model_groups(KNOWN, "organization") == ["Nest"] * 4


def test_a_model_without_a_group_is_named() -> None:
    lacking = families([("a", None, "Owl", None), ("b", None, "Owl", "Nest")])
    assert model_groups(lacking, "family") == ["Owl", "Owl"]
    with pytest.raises(FamilyNotFoundError, match=r"1 of 2 models without an organization: a\.") as caught:
        model_groups(lacking, "organization")
    assert "folds='model'" in str(caught.value)
    assert "families='families.csv'" in str(caught.value)


def test_every_cell_is_predicted_once_and_never_seen() -> None:
    matrix = ScoreMatrix.of(frame())
    for kind, n_folds in (("run", 12), ("scenario", 3), ("item", 10)):
        found = make_folds(matrix, "run", kind, seed=1)  # type: ignore[arg-type]
        assert [fold.number for fold in found] == list(range(n_folds))
        times = np.zeros(matrix.scores.shape, dtype=int)
        for fold in found:
            for columns in fold.wanted:
                times[np.ix_(fold.held_out, columns)] += 1
                assert set(columns) <= set(fold.hidden)
        assert (times == 1).all()


def test_a_question_of_two_scenarios_is_hidden_in_both() -> None:
    matrix = ScoreMatrix.of(frame(n_items=6))
    same = ScoreMatrix(
        matrix.scores,
        matrix.models,
        matrix.items,
        matrix.scenarios,
        matrix.scenario_of,
        np.array([0, 1, 2, 3, 0, 5]),  # items 0 and 4 are one question, in scenarios 0 and 1
        matrix.families,
    )
    (first, *_) = make_folds(same, "run", "scenario", seed=0)
    assert (first.wanted[0].tolist(), first.hidden.tolist()) == ([0, 3], [0, 3, 4])
    for fold in make_folds(same, "run", "item", seed=0):
        assert (0 in fold.hidden) == (4 in fold.hidden)


@pytest.mark.parametrize("folds", ["scenario", "item"])
def test_a_twin_is_of_no_use_where_items_are_held_out(folds: str) -> None:
    data = frame()
    twin = data.with_columns(model=pl.col("model") + "x")
    both = pl.concat([data.with_columns(model=pl.col("model") + "y"), twin])
    found = evaluate(CopiesTwin, both, target="run", folds=folds)  # type: ignore[arg-type]
    assert set(found.predictions["predicted"]) == {0.0}
    leaks = evaluate(CopiesTwin, both, target="run", folds="run")
    assert leaks.ranking()["mae"].to_list() == [0.0]


@pytest.mark.parametrize(
    ("data", "target", "folds", "message"),
    [
        (frame(n_models=1), "model", "model", "all models are of one model"),
        (frame(n_scenarios=1), "run", "scenario", "only one scenario"),
        (frame(n_items=1, n_scenarios=1), "run", "item", "only one item"),
        (frame(n_models=3), "extrapolation", "model", "too few models for extrapolation"),
    ],
    ids=["one model", "one scenario", "one item", "three models"],
)
def test_too_little_data_is_an_error_in_words(data: pl.DataFrame, target: str, folds: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        evaluate(Mean, data, target=target, folds=folds)  # type: ignore[arg-type]


def test_two_models_and_one_item_are_enough() -> None:
    found = evaluate(Mean, frame(n_models=2, n_items=1, n_scenarios=1), folds="model")
    assert found.predictions["budget"].to_list() == ([1, None] + [1] * 11) * 2


def test_a_model_without_scores_is_not_predicted() -> None:
    data = frame(n_scenarios=1).with_columns(score=pl.when(pl.col("model") != "m2").then("score"))
    found = evaluate(Mean, data, folds="model", budgets=[0])
    assert found.predictions["model"].to_list() == ["m0", "m1", "m3"]
    nothing = data.with_columns(score=pl.lit(None, pl.Float64))
    with pytest.raises(PanelError, match="No model has a score"):
        evaluate(Mean, nothing, folds="model", budgets=[0])
