"""Panels of runs: expected cells come from a loop over HELM's JSON."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makedump import instance_stats, make_run, request_state, stat, write_run

from magnet_arrow import HelmOutputs, HelmRuns, panel
from magnet_arrow.errors import ColumnNotFoundError, MagnetWarning, PanelError
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.runs.summaries import Summaries, SummarizedRuns


def key_of(instance: dict[str, Any]) -> str:
    references = [{"text": reference["output"]["text"]} for reference in instance["references"]]
    item = {"input": {"text": instance["input"]["text"]}, "references": references}
    text = json.dumps(item, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def expected_cells(source: Path, metric: str = "exact_match", split: str = "test") -> dict[tuple[str, str], float]:
    """Mean scores by model and item, of unperturbed instances of a split."""
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for folder in sorted(path.parent for path in source.glob("runs/*/*/run_spec.json")):
        read = {name: json.loads((folder / f"{name}.json").read_bytes()) for name in ("run_spec", "scenario_state")}
        of_id: dict[str, list[float]] = defaultdict(list)
        for entry in json.loads((folder / "per_instance_stats.json").read_bytes()):
            if not entry.get("perturbation"):
                values = [one["mean"] for one in entry["stats"] if one["name"]["name"] == metric]
                of_id[entry["instance_id"]] += values
        model = read["run_spec"]["adapter_spec"]["model"]
        for state in read["scenario_state"]["request_states"]:
            instance = state["instance"]
            if instance["split"] == split and not instance.get("perturbation"):
                assert len(of_id[instance["id"]]) == 1
                scores[model, key_of(instance)] += of_id[instance["id"]]
    return {cell: sum(values) / len(values) for cell, values in scores.items()}


def cells(found: Panel) -> dict[tuple[str, str], float]:
    return {(model, item): score for model, item, score in found.frame.iter_rows() if score is not None}


def test_a_panel_of_the_demo_is_a_loop_over_its_json(demo_outputs: Path, cache: Path) -> None:
    runs = HelmOutputs(demo_outputs, cache=cache).suites("my-suite").runs()
    found = panel(runs)
    expected = expected_cells(demo_outputs)
    assert cells(found) == {cell: expected[cell] for cell in cells(found)}
    assert found.matrix().shape == (2, 14)
    assert found.missing.is_empty()
    by_id = panel(runs.filter(pattern_of("anatomy")), items="instance_id")
    assert by_id.matrix().shape == (2, 7)


class CountedLooks(Summaries):
    """Runs that count how often a snapshot of them is asked for."""

    def __init__(self, runs: HelmRuns) -> None:
        self.runs = runs
        self.n_looks = 0

    def _summarized(self, tables: Collection[str]) -> SummarizedRuns:
        self.n_looks += 1
        return self.runs._summarized(tables)


@pytest.mark.parametrize("metric", ["main", "exact_match"])
def test_a_panel_is_of_one_snapshot(metric: str, demo_outputs: Path, cache: Path) -> None:
    runs = CountedLooks(HelmOutputs(demo_outputs, cache=cache).suites("my-suite").runs())
    assert panel(runs, metric).matrix().shape == (2, 14)
    assert runs.n_looks == 1


def pattern_of(subject: str) -> Any:
    import polars as pl

    return pl.col("run_spec.scenario_spec.args.subject") == subject


@pytest.mark.parametrize("level", ["suites", "suite", "runs", "path"])
def test_whatever_stands_for_runs_has_a_panel(level: str, demo_outputs: Path) -> None:
    outputs = HelmOutputs(demo_outputs)
    sources = {
        "suites": outputs.suites("my-suite"),
        "suite": outputs.suites("my-suite")[0],
        "runs": outputs.suites("my-suite").runs(),
        "path": demo_outputs / "runs" / "my-suite",
    }
    assert repr(panel(sources[level])) == "<Panel 2 models × 14 items>"


def test_runs_without_a_main_metric_are_counted(tmp_path: Path, cache: Path) -> None:
    for name in ("tide:n=1", "tide:n=2"):
        write_run(tmp_path / "outputs", make_run(name, args={"name": name}))
    runs = HelmRuns(tmp_path / "outputs", cache=cache)
    with pytest.warns(MagnetWarning, match="No main metric"), pytest.raises(PanelError) as caught:
        panel(runs)
    assert "4 as its run has no main metric" in str(caught.value)
    assert "metric='exact_match'" in str(caught.value)
    found = panel(runs, "exact_match")
    assert found.items == [key_of(request_state(f"id{number}")["instance"]) for number in range(2)]
    assert found.matrix().tolist() == [[0, 1]]
    assert found.repeats["rows"].to_list() == [2, 2]
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'exact_match'"):
        panel(runs, "exact_mach")


def test_a_redacted_question_is_no_item(tmp_path: Path, cache: Path) -> None:
    run = make_run("tide:n=1", n_instances=0)
    states = [request_state(f"id{number}") for number in range(3)]
    states[0]["instance"]["input"]["text"] = states[1]["instance"]["input"]["text"] = "[redacted]"
    run["scenario_state"]["request_states"] = states
    run["per_instance_stats"] = [instance_stats(f"id{number}", 1) for number in range(3)]
    run["stats"] = [stat("exact_match", 1)]
    write_run(tmp_path / "outputs", run)
    found = panel(HelmRuns(tmp_path / "outputs", cache=cache), "exact_match")
    assert found.items == [key_of(states[2]["instance"])]
    assert found.excluded.rows() == [("made/heron-2b", "its question is redacted", 2)]
    samples = HelmRuns(tmp_path / "outputs", cache=cache).samples(["exact_match"])
    assert samples["item_key_reason"].to_list() == ["redacted", "redacted", None]


def test_two_recipes_of_one_model_are_refused_unless_averaged(tmp_path: Path, cache: Path) -> None:
    for shots in (0, 5):
        run = make_run(f"tide:shots={shots}")
        run["run_spec"]["adapter_spec"]["max_train_instances"] = shots
        write_run(tmp_path / "outputs", run)
    runs = HelmRuns(tmp_path / "outputs", cache=cache)
    with pytest.raises(PanelError, match="made/tide:shots=0, made/tide:shots=5"):
        panel(runs, "exact_match")
    assert panel(runs, "exact_match", repeats="mean").matrix().tolist() == [[0, 1]]


@pytest.mark.slow
@pytest.mark.shared
def test_a_panel_of_mmlu_is_a_loop_over_its_json(shared_dumps: Callable[[str], Path], tmp_path: Path) -> None:
    """1,018 test instances a model, of which two are one question; one model was not asked two of the subjects."""
    source = shared_dumps("mmlu") / "benchmark_output"
    found = panel(HelmRuns(source, cache=tmp_path / "cache"))
    expected = expected_cells(source)
    assert cells(found) == expected
    assert (len(found.models), len(found.items), found.missing.height) == (5, 1017, 5 * 1017 - len(expected))
    assert {model for model, _ in found.missing.rows()} == {"groq/llama3-70b-8192"}
    assert found.repeats["rows"].to_list() == [2] * 5
    matrix = np.array([[expected.get((model, item), np.nan) for item in found.items] for model in found.models])
    assert np.array_equal(found.matrix(), matrix, equal_nan=True)
    assert found.metrics.rows() == [("exact_match", "test", 283)]
    with pytest.raises(PanelError, match="168 of 295 items by instance_id are not one question"):
        panel(HelmRuns(source, cache=tmp_path / "cache"), items="instance_id")


@pytest.mark.slow
@pytest.mark.shared
def test_a_panel_of_synthetic_models_is_a_loop_over_their_json(
    shared_dumps: Callable[[str], Path], tmp_path: Path
) -> None:
    source = shared_dumps("mmlu_made") / "benchmark_output"
    found = panel(HelmRuns(source, cache=tmp_path / "cache"))
    assert cells(found) == expected_cells(source)
    assert found.matrix().shape == (5, 800)
    assert found.binary() is found
