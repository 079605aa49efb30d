"""Audits of items: figures by hand, and keys that were made wrong."""

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from magnet_arrow import Panel, panel
from magnet_arrow.errors import PanelError, SettingError
from magnet_arrow.evaluation import audit
from magnet_arrow.evaluation.audit import audit_items
from magnet_arrow.examples.helm_lite import matrix

RIGHT = {"a": "1110", "b": "1100", "c": "1011", "d": "10-1"}


def table(right: dict[str, str]) -> pl.DataFrame:
    cells = [
        (model, f"q{place}", None if bit == "-" else int(bit))
        for model, bits in right.items()
        for place, bit in enumerate(bits)
    ]
    return pl.DataFrame(cells, schema=["model", "item", "score"], orient="row")


def of_matrix(scores: np.ndarray) -> pl.DataFrame:
    n_models, n_items = scores.shape
    models = np.repeat([f"m{row:02}" for row in range(n_models)], n_items)
    items = np.tile([f"q{column:04}" for column in range(n_items)], n_models)
    return pl.DataFrame({"model": models, "item": items, "score": scores.ravel()})


@pytest.fixture(scope="module")
def flipped() -> tuple[pl.DataFrame, set[str]]:
    """200 items of HELM Lite's math, four of them with a wrong key."""
    scores = matrix("math")[0][:, :200]
    places = [10, 60, 110, 160]
    lucky = np.random.default_rng(18).random((len(scores), 4)) < 1 / 3
    scores[:, places] = np.where(scores[:, places] == 1, 0, lucky)
    return of_matrix(scores), {f"q{place:04}" for place in places}


@pytest.fixture(scope="module")
def audited(flipped: tuple[pl.DataFrame, set[str]]) -> pl.DataFrame:
    return audit_items(flipped[0])


def test_figures_of_items_by_hand() -> None:
    found = audit_items(table(RIGHT)).sort("item")
    assert found.select("item", "n", "difficulty", "all_right", "all_wrong").rows() == [
        ("q0", 4, 0.0, True, False),
        ("q1", 4, 0.5, False, False),
        ("q2", 3, pytest.approx(1 / 3), False, False),
        ("q3", 4, 0.5, False, False),
    ]
    # Mean scores on the items other than q1: a 2/3, b 1/3, c 1, d (who has no score on q2) 1.
    rest = [2 / 3, 1 / 3, 1, 1]
    assert found.item(1, "item_rest") == pytest.approx(np.corrcoef([1, 1, 0, 0], rest)[0, 1], abs=1e-12)
    # a and b pass q1, c and d fail it: in all four pairs the failing one is stronger.
    assert found.item(1, "stronger_fail") == 1.0
    # Other than q3: a 1, b 2/3, c 2/3, d 1/2. c and d pass; of the pairs (c, a), (c, b), (d, a), (d, b) one is a tie.
    assert found.item(3, "stronger_fail") == 3.5 / 4
    assert found.select("item_rest", "stronger_fail").row(0) == (None, None)


def test_few_items_or_models_have_no_suspicion() -> None:
    for right in (RIGHT, {"a": "10" * 20, "b": "01" * 20}):
        found = audit_items(table(right))
        assert found.select(pl.col("suspicion", "recall", "precision").null_count()).row(0) == (found.height,) * 3


def test_wrong_keys_are_the_most_suspicious(flipped: tuple[pl.DataFrame, set[str]], audited: pl.DataFrame) -> None:
    assert flipped[1] <= set(audited.head(8)["item"])
    assert audited["suspicion"].is_sorted(descending=True)
    assert audited.filter(pl.col("item").is_in(flipped[1]))["suspicion"].min() > 0


def test_recall_and_precision_are_of_all_items_that_are_at_least_as_suspicious(audited: pl.DataFrame) -> None:
    assert audited["recall"].is_sorted()
    assert audited.select(pl.col("recall", "precision").is_between(0, 1).all()).row(0) == (True, True)
    assert audited.item(-1, "recall") == pytest.approx(1, abs=0.01)
    assert audited.item(-1, "precision") == pytest.approx(0.01, abs=0.001)
    # Of the copies of item i: recall r; of the items themselves, i + 1 of 200.
    place, n = 8, audited.height
    share = (place + 1) / n
    recall = audited.item(place, "recall")
    assert audited.item(place, "precision") == pytest.approx(0.01 * recall / (0.01 * recall + 0.99 * share), abs=1e-12)


def test_the_order_of_rows_does_not_matter(flipped: tuple[pl.DataFrame, set[str]], audited: pl.DataFrame) -> None:
    rows = flipped[0].rows()
    shuffled = pl.DataFrame(random.Random(18).sample(rows, len(rows)), schema=flipped[0].schema, orient="row")
    assert audit_items(shuffled).equals(audited)


def test_the_seed_decides(flipped: tuple[pl.DataFrame, set[str]], audited: pl.DataFrame) -> None:
    other = audit_items(flipped[0], seed=1)
    assert other["suspicion"].to_list() != audited["suspicion"].to_list()
    assert flipped[1] <= set(other.head(8)["item"])


def test_missing_scores(flipped: tuple[pl.DataFrame, set[str]]) -> None:
    is_kept = np.random.default_rng(0).random(flipped[0].height) < 0.7
    score = pl.when(pl.Series(is_kept) & (pl.col("item") != "q0000")).then("score")
    found = audit_items(flipped[0].with_columns(score))
    assert flipped[1] <= set(found.head(12)["item"])
    assert found.row(-1) == ("q0000", 0, None, None, None, False, False, None, None, None)
    assert found["suspicion"].null_count() == 1


def test_the_chance_of_a_wrong_answer_to_count(flipped: tuple[pl.DataFrame, set[str]]) -> None:
    """Where answers are free, an item with a wrong key is one that nobody passes."""
    scores = flipped[0].with_columns(pl.when(pl.col("item") != "q0010").then("score").otherwise(0.0).alias("score"))
    suspicions = [audit_items(scores, guess=guess).filter(item="q0010").item(0, "suspicion") for guess in (0, 1 / 3)]
    assert suspicions[0] > suspicions[1]
    with pytest.raises(SettingError, match="a number from 0 to 1"):
        audit_items(scores, guess=1.5)


def test_scores_in_between_need_a_threshold() -> None:
    scores = table(RIGHT).with_columns(pl.col("score") * 0.8)
    with pytest.raises(PanelError, match="neither 0 nor 1"):
        audit_items(scores)
    with pytest.raises(PanelError, match="neither 0 nor 1"):
        audit_items(Panel.from_frame(scores, model="model", item="item", score="score", missing="keep"))
    assert audit_items(scores, threshold=0.5).equals(audit_items(table(RIGHT)))


def test_runs_have_texts(demo_outputs: Path) -> None:
    suite = demo_outputs / "runs" / "my-suite"
    found = audit_items(suite)
    assert found.height == 14
    item = found.filter(pl.col("prompt").str.ends_with("Parotid\nAnswer:") & pl.col("prompt").str.contains("kidney"))
    assert item.filter(pl.col("gold").list.contains("Adrenal")).height == 1
    assert set(found["item"]) == set(panel(suite).items)
    assert found["most_chosen"].null_count() == 0


def test_items_that_the_same_models_pass_count_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = (np.random.default_rng(5).random((4, 60)) < [[0.4], [0.6], [0.7], [0.9]]).astype(float)
    merged = audit_items(of_matrix(scores)).sort("item")
    monkeypatch.setattr(audit, "_merged", lambda rows, is_copy: (np.arange(len(rows)), np.ones(len(rows), int)))
    one_by_one = audit_items(of_matrix(scores)).sort("item")
    # The solver stops within 0.001 of the optimum.
    assert merged["suspicion"].to_list() == pytest.approx(one_by_one["suspicion"].to_list(), abs=0.003)
