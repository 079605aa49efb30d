"""Which frames and columns of the held-out run exist at each level, and a predictor that recomputes the scores."""

import pickle
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_run

from magnet_arrow.data_splits import SequesteredTestSplit, frames_of
from magnet_arrow.errors import SettingError
from magnet_arrow.instance_predictor import InstancePrediction, InstancePredictor
from magnet_arrow.outputs import HelmOutputs
from magnet_arrow.predictor import Predictor

PREFIX = "scenario_state.request_states."
COMPLETIONS, REFERENCES = f"{PREFIX}result.completions", f"{PREFIX}instance.references"


def seen(source: Any, level: Any, others: Any = "plan") -> SequesteredTestSplit:
    predictor = Predictor(0, 1, level=level, level_of_others=others)
    return predictor.prepare_predict_inputs(source)[1]


@pytest.mark.parametrize(
    ("level", "others", "frames"),
    [
        ("plan", "plan", ["run_specs"]),
        ("items", "plan", ["run_specs", "scenario_state"]),
        ("outputs", "plan", ["run_specs", "scenario_state"]),
        ("outcomes", "plan", ["run_specs", "scenario_state", "per_instance_stats"]),
        ("plan", "items", ["run_specs", "other_items"]),
        ("outcomes", "outputs", ["run_specs", "scenario_state", "per_instance_stats", "other_items"]),
    ],
)
def test_a_level_decides_which_frames_exist(tmp_path: Path, level: str, others: str, frames: list[str]):
    write_run(tmp_path, make_run("tides", n_instances=3))
    split = seen(tmp_path, level, others)
    assert list(frames_of(split)) == frames
    for name in {"scenario_state", "per_instance_stats", "other_items", "stats"} - {*frames}:
        with pytest.raises(AttributeError, match=f"has no {name}. At the predictor's level it has run_specs"):
            getattr(split, name)
    heights = {"run_specs": 1, "scenario_state": 1, "per_instance_stats": 2, "other_items": 2}
    assert {name: frame.height for name, frame in frames_of(split).items()} == {name: heights[name] for name in frames}


def test_items_have_inputs_and_references_and_no_tags(tmp_path: Path):
    run = make_run("tides", extra_data=[{"gold": "A"}] * 2)
    write_run(tmp_path, run)
    states = seen(tmp_path, "items").scenario_state
    instance = f"{PREFIX}instance."
    assert states.columns == [
        "run_spec.name",
        f"{instance}id",
        f"{instance}input.text",
        REFERENCES,
        f"{instance}split",
        f"{PREFIX}train_trial_index",
    ]
    (references,) = states[REFERENCES]
    assert all(list(one) == ["output"] for one in references)
    ids = [state["instance"]["id"] for state in run["scenario_state"]["request_states"]]
    expected = run["scenario_state"]["request_states"][ids.index(states[f"{instance}id"].item())]["instance"]
    assert [one["output"]["text"] for one in references] == [one["output"]["text"] for one in expected["references"]]


def test_other_items_are_those_that_were_not_sampled(tmp_path: Path):
    write_run(tmp_path, make_run("tides", n_instances=4))
    split = seen(tmp_path, "outputs", "items")
    ids = [*split.scenario_state[f"{PREFIX}instance.id"], *split.other_items[f"{PREFIX}instance.id"]]
    assert sorted(ids) == ["id0", "id1", "id2", "id3"]
    assert COMPLETIONS in split.scenario_state.columns
    assert COMPLETIONS not in split.other_items.columns


def test_a_split_cannot_be_changed_and_can_be_pickled(tmp_path: Path):
    write_run(tmp_path, make_run("tides"))
    split = seen(tmp_path, "items")
    with pytest.raises(AttributeError, match="cannot be changed"):
        split.scenario_state = None
    copy = pickle.loads(pickle.dumps(split))
    assert list(frames_of(copy)) == ["run_specs", "scenario_state"]
    assert copy.scenario_state.equals(split.scenario_state)


@pytest.mark.parametrize("given", [{"level": "all"}, {"level_of_others": "none"}, {"level_of_others": "outcomes"}])
def test_a_level_that_does_not_exist_is_refused_at_once(given: dict[str, Any]):
    with pytest.raises(SettingError, match=r"expected .*plan"):
        Predictor(**given)


class Recomputed(InstancePredictor):
    """Recomputes `exact_match` from completions and tags, as anyone can at MAGNET's default."""

    def predict(self, train_split: Any, sequestered_test_split: Any) -> list[InstancePrediction]:
        return [
            InstancePrediction(row["run_spec.name"], row["magnet.instance_predict_id"], "exact_match", is_right(row))
            for row in sequestered_test_split.scenario_state.to_dicts()
        ]


def is_right(row: dict[str, Any]) -> float:
    answer = row[COMPLETIONS][0]["text"].strip()
    answer = row.get(f"{PREFIX}output_mapping.{answer}") or answer
    return float(any(one["output"]["text"].strip() == answer for one in row[REFERENCES] if "correct" in one["tags"]))


@pytest.mark.parametrize("suite", ["my-suite", "perturbed"])
def test_outputs_give_the_scores_away_and_items_do_not(demo_outputs: Path, suite: str):
    runs = HelmOutputs(demo_outputs).suites(suite)
    for seed in range(4):
        comparison = Recomputed(random_seed=seed, num_eval_samples=5)(runs)
        assert comparison.height >= 5
        assert comparison["actual_mean"].null_count() == 0
        assert (comparison["predicted_mean"] == comparison["actual_mean"]).all()
    for level in ("plan", "items"):
        with pytest.raises((AttributeError, KeyError), match=r"scenario_state|completions"):
            Recomputed(level=level, num_eval_samples=5)(runs)


@pytest.mark.shared
@pytest.mark.slow
def test_outputs_give_the_scores_of_mmlu_away(shared_dumps: Any):
    runs = HelmOutputs(shared_dumps("mmlu")).suites()[0].runs()[:40]
    errors = pl.concat(Recomputed(random_seed=seed)(runs) for seed in range(10))
    assert errors.height > 150
    assert (errors["predicted_mean"] == errors["actual_mean"]).all()
