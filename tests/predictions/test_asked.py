"""What callers ask for: values of another type are errors of ours that name the option."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from magnet_arrow import HelmOutputs, join_instances, model_families, panel
from magnet_arrow.errors import BadFileError, JoinError, SettingError
from magnet_arrow.predictions.panel import Panel, load_panel

ROWS = pl.DataFrame({"m": ["a", "a"], "i": ["x", "y"], "s": [1.0, 0.0]})


@pytest.mark.parametrize("asked", ["openai/gpt2", 3, [None], [3], [["a"]]])
def test_families_of_what_is_no_list_of_names(asked: Any) -> None:
    with pytest.raises(SettingError, match="models"):
        model_families(asked)


@pytest.mark.parametrize("items", [3, "x", [None], [["x"]]])
def test_items_that_are_no_names(items: Any) -> None:
    with pytest.raises(SettingError, match="items"):
        Panel.from_frame(ROWS, model="m", item="i", score="s").select(items=items)


@pytest.mark.parametrize("column", [None, ["m"], 3])
def test_a_column_that_is_no_name(column: Any) -> None:
    with pytest.raises(SettingError, match="model"):
        Panel.from_frame(ROWS, model=column, item="i", score="s")


def test_a_threshold_in_a_file_that_is_no_number(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", scores=np.zeros((1, 1)), models=["a"], items=["b"], threshold="x")
    with pytest.raises(BadFileError, match="a number as threshold"):
        load_panel(tmp_path / "p.npz")


@pytest.mark.parametrize("option", ["metric", "items", "split", "perturbation", "trial"])
def test_a_panel_of_what_is_no_name(option: str) -> None:
    asked: Any = {option: 3.5}
    with pytest.raises(SettingError, match=option):
        panel(HelmOutputs.demo().suites("my-suite").runs(), **asked)


@pytest.mark.parametrize("other", [None, "states", ROWS.to_arrow()])
def test_a_join_of_what_is_no_frame(other: Any) -> None:
    with pytest.raises(SettingError, match="request_states"):
        join_instances(other, ROWS.lazy())


def test_a_join_of_request_states_with_a_column_of_a_stats_name() -> None:
    runs = HelmOutputs.demo().suites("my-suite").runs()
    states = runs.scan("scenario_state", key=True).with_columns(exact_match=1)
    with pytest.raises(JoinError, match="'exact_match' already"):
        join_instances(states, runs.scan("per_instance_stats", key=True))
