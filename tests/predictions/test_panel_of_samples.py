"""Which samples are cells, worked out by hand on few rows."""

import math
from typing import Any

import polars as pl
import pytest

from magnet_arrow.errors import ColumnNotFoundError, PanelError, SettingError
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.predictions.panel_of_samples import Wanted, panel_of_samples

TYPES = {
    "source": pl.String,
    "suite": pl.String,
    "run": pl.String,
    "model": pl.String,
    "scenario": pl.String,
    "args.subject": pl.String,
    "split": pl.String,
    "sub_split": pl.String,
    "instance_id": pl.String,
    "trial": pl.Int64,
    "perturbation": pl.String,
    "item_key": pl.String,
    "item_key_reason": pl.String,
    "metric": pl.String,
    "score": pl.Float64,
    "f1": pl.Float64,
    "gold": pl.List(pl.String),
}


def sample(item: str | None, score: float | None, model: str = "owl", **changed: Any) -> dict[str, Any]:
    """A sample of a run of its own for each model."""
    row: dict[str, Any] = dict.fromkeys(TYPES)
    row |= {"source": "dump", "suite": "s", "run": f"tides,model={model}", "model": model, "scenario": "Tides"}
    row |= {"args.subject": "ebb", "split": "test", "instance_id": f"id of {item}", "trial": 0, "metric": "exact_match"}
    return row | {"item_key": item, "item_key_reason": None if item else "empty", "score": score, "f1": 0.5} | changed


def panel_of(rows: list[dict[str, Any]], main_split: str | None = "test", **wanted: Any) -> Panel:
    samples = pl.DataFrame(rows, schema=TYPES)
    main = samples.select("source", "suite", "run").unique()
    main = main.with_columns(metric=pl.lit("exact_match"), split=pl.lit(main_split, pl.String))
    return panel_of_samples(samples.lazy(), main, Wanted(**wanted))


def cells(panel: Panel) -> dict[tuple[str, str], float | None]:
    return {(model, item): score for model, item, score in panel.frame.iter_rows()}


def test_models_and_items_in_order_and_what_was_not_asked_is_missing() -> None:
    panel = panel_of([sample("b", 1), sample("a", 0), sample("a", None, "wren"), sample("c", 0.5, "wren")])
    assert panel.models == ["owl", "wren"]
    assert panel.items == ["b", "a", "c"]
    assert cells(panel) == {
        ("owl", "b"): 1,
        ("owl", "a"): 0,
        ("owl", "c"): None,
        ("wren", "b"): None,
        ("wren", "a"): None,
        ("wren", "c"): 0.5,
    }
    assert panel.metrics.rows() == [("exact_match", "test", 2)]
    assert panel.excluded.is_empty()
    assert panel.repeats.is_empty()


def test_trials_are_averaged_unless_one_is_asked_for() -> None:
    rows = [sample("a", 1), sample("a", 0, trial=1), sample("a", 0, trial=2), sample("b", 1)]
    assert cells(panel_of(rows)) == {("owl", "a"): 1 / 3, ("owl", "b"): 1}
    assert panel_of(rows).repeats.is_empty()
    assert cells(panel_of(rows, trial=1)) == {("owl", "a"): 0}
    with pytest.raises(PanelError, match="trial 3"):
        panel_of(rows, trial=3)


def test_a_missing_trial_does_not_count_as_wrong() -> None:
    assert cells(panel_of([sample("a", 1), sample("a", None, trial=1)])) == {("owl", "a"): 1}


def test_the_main_split_and_no_perturbation_count_unless_asked() -> None:
    rows = [
        sample("a", 1),
        sample("b", 0, split="valid"),
        sample("c", 0.25, perturbation="typos"),
        sample("d", 0.75, split=None),
    ]
    assert cells(panel_of(rows)) == {("owl", "a"): 1}
    assert cells(panel_of(rows, "valid")) == {("owl", "b"): 0}
    assert cells(panel_of(rows, split="valid")) == {("owl", "b"): 0}
    assert cells(panel_of(rows, perturbation="typos")) == {("owl", "c"): 0.25}
    with pytest.raises(PanelError, match=r"perturbation 'typo'(?s:.*)Did you mean 'typos'\?"):
        panel_of(rows, perturbation="typo")
    with pytest.raises(PanelError, match=r"split 'vald'(?s:.*)Did you mean 'valid'\?"):
        panel_of(rows, split="vald")
    with pytest.raises(PanelError, match="split 'xyz'"):
        panel_of(rows, split="xyz")


@pytest.mark.parametrize(
    ("splits", "expected"),
    [(["valid", "test"], "test"), (["train", "valid"], "valid"), (["b", "a"], "a"), ([None], None)],
)
def test_where_a_run_has_no_main_split_test_comes_before_valid(splits: list[Any], expected: str | None) -> None:
    rows = [sample(f"item {split}", 1, split=split) for split in splits]
    assert panel_of(rows, None, metric="f1").items == [f"item {expected}"]


def test_a_named_metric_has_a_column_of_its_own() -> None:
    panel = panel_of([sample("a", 1, metric=None)], metric="f1")
    assert cells(panel) == {("owl", "a"): 0.5}
    assert panel.metrics.rows() == [("f1", "test", 1)]


def test_what_can_be_no_cell_is_counted_with_its_reason() -> None:
    rows = [
        sample("a", 1),
        sample(None, 1),
        sample(None, 0),
        sample("a", None, "wren", metric=None),
        sample(None, None, "wren", metric=None),
    ]
    panel = panel_of(rows)
    assert panel.models == ["owl"]
    assert panel.excluded.rows() == [("owl", "its question is empty", 2), ("wren", "its run has no main metric", 2)]
    with pytest.raises(PanelError, match="2 as its run has no main metric") as caught:
        panel_of(rows[3:])
    assert "metric='exact_match'" in str(caught.value)
    with pytest.raises(PanelError, match="2 as its question is empty"):
        panel_of(rows[1:3])


def test_an_item_that_is_there_twice_is_averaged_and_counted() -> None:
    within = [sample("a", 1), sample("a", 0, instance_id="another"), sample("a", 0, instance_id="another", trial=1)]
    elsewhere = sample("b", 1, run="winds", **{"args.subject": "winds"})
    panel = panel_of([*within, sample("b", 0), elsewhere])
    assert cells(panel) == {("owl", "a"): 0.5, ("owl", "b"): 0.5}
    assert panel.repeats.rows() == [("owl", "a", 2), ("owl", "b", 2)]


def test_two_runs_of_one_scenario_by_one_model_are_refused_by_name() -> None:
    rows = [sample("a", 1), sample("a", 0, run="tides,shots=5,model=owl"), sample("b", 1)]
    with pytest.raises(PanelError, match="1 cells have scores of several runs") as caught:
        panel_of(rows)
    assert "model 'owl', item 'a': s/tides,model=owl, s/tides,shots=5,model=owl" in str(caught.value)
    averaged = panel_of(rows, repeats="mean")
    assert cells(averaged) == {("owl", "a"): 0.5, ("owl", "b"): 1}
    assert averaged.repeats.rows() == [("owl", "a", 2)]
    with pytest.raises(SettingError, match="one of refuse, mean"):
        panel_of(rows, repeats="first")


def test_the_same_run_in_two_suites_is_two_runs() -> None:
    with pytest.raises(PanelError, match=r"s/tides,model=owl, t/tides,model=owl"):
        panel_of([sample("a", 1), sample("a", 1, suite="t")])


def test_an_item_is_scored_by_one_metric() -> None:
    rows = [sample("b", 1), sample("a", 1), sample("a", 7, "wren", metric="bits_per_byte")]
    with pytest.raises(PanelError, match="1 of 2 items have main metrics that differ") as caught:
        panel_of(rows)
    assert "exact_match and bits_per_byte for item 'a'" in str(caught.value)
    several = panel_of([rows[0], rows[2]])
    assert several.metrics.rows() == [("exact_match", "test", 1), ("bits_per_byte", "test", 1)]


def test_an_instance_id_of_several_questions_is_refused_by_name() -> None:
    rows = [sample("a", 1, instance_id="id1"), sample("b", 0, instance_id="id1", run="other"), sample("c", 1)]
    with pytest.raises(PanelError, match="1 of 2 items by instance_id") as caught:
        panel_of(rows, items="instance_id")
    assert "2 questions called 'id1'" in str(caught.value)
    assert cells(panel_of(rows[1:], items="instance_id")) == {("owl", "id1"): 0, ("owl", "id of c"): 1}
    redacted = [sample(None, 1, instance_id="id1"), sample(None, 0, "wren", instance_id="id1")]
    assert panel_of(redacted, items="instance_id").items == ["id1"]


def test_items_are_named_by_a_column_of_names() -> None:
    assert panel_of([sample("a", 1, trial=3)], items="trial").items == ["3"]
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'item_key'"):
        panel_of([sample("a", 1)], items="itemkey")
    with pytest.raises(SettingError, match="strings or integers"):
        panel_of([sample("a", 1)], items="gold")


def test_a_nan_is_refused_by_name() -> None:
    with pytest.raises(PanelError, match="1 scores are NaN") as caught:
        panel_of([sample("a", 1), sample("b", math.nan)])
    assert "exact_match NaN for id of b of s/tides,model=owl" in str(caught.value)


def test_a_metric_that_no_instance_has_is_refused() -> None:
    with pytest.raises(PanelError, match="None of 2 samples has a score by exact_match"):
        panel_of([sample("a", None), sample("b", None)])
