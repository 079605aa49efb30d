"""The draw behind a predictor's splits: its order, and runs that are incomplete or cannot be read."""

import json
import random
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest
from makedump import make_run, write_run
from six_runs import NAME, drawn, write_six_runs

from magnet_arrow.errors import (
    BadFileError,
    CacheNotWritableError,
    MagnetWarning,
    NotEnoughRunsError,
    NotEnoughSamplesError,
)
from magnet_arrow.ingestion import execution
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.predictor import Predictor


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return write_six_runs(tmp_path)


def test_a_seed_decides_the_draw(outputs: Path):
    draws = {frozenset(drawn(Predictor(2, 1, seed), outputs)) for seed in range(10) for _ in range(2)}
    assert 1 < len(draws) <= 10


def test_too_few_request_states_follow_the_policy(outputs: Path):
    with pytest.raises(NotEnoughSamplesError, match="at least 3"):
        Predictor(1, 3, insufficient_eval_sample_policy="error").prepare_predict_inputs(outputs)


def spoil(outputs: Path, number: int, how: str) -> None:
    """Make a run of `outputs` one that cannot be read whole."""
    folder = outputs / "runs" / "made" / f"tides {number}"
    if how == "cut":
        (folder / "stats.json").write_bytes((folder / "stats.json").read_bytes()[:100])
    elif how == "no spec":
        (folder / "run_spec.json").write_text("{")
    else:
        (folder / how).unlink()


PARTS = ["per_instance_stats.json", "stats.json", "scenario_state.json", "cut"]


PASTS = [
    pytest.param(None, id="cold"),
    pytest.param(False, id="ingested", marks=pytest.mark.slow),
    pytest.param(True, id="ingested in part"),
]


@pytest.mark.parametrize(
    "how", [*(pytest.param(part, marks=pytest.mark.slow) for part in PARTS[1:3]), PARTS[0], PARTS[3], "no spec"]
)
def test_a_drawn_run_that_is_not_complete_is_named_whatever_the_cache_has(outputs: Path, how: str):
    spoil(outputs, 3, how)
    for earlier in ({}, {"partial": True}, {"strict": True}, None):
        if earlier is not None:
            ingest(outputs, **earlier)
        with pytest.raises(BadFileError, match="skip_unreadable=True") as caught:
            Predictor(5, 1).prepare_predict_inputs(outputs)
        assert caught.value.where.run == "made/tides 3"


@pytest.mark.parametrize("how", [*PARTS[2:], *(pytest.param(part, marks=pytest.mark.slow) for part in PARTS[:2])])
def test_the_error_is_the_same_cold_and_warm(outputs: Path, tmp_path: Path, how: str):
    spoil(outputs, 3, how)
    spoil(outputs, 1, "stats.json")
    told = set()
    for number, partial in enumerate((None, False, True)):
        cache = tmp_path / f"cache {number}"
        if partial is not None:
            ingest(outputs, cache, partial=partial)
        with pytest.raises(BadFileError) as caught:
            Predictor(5, 1, cache=cache).prepare_predict_inputs(outputs)
        told.add(str(caught.value))
    assert len(told) == 1
    text = told.pop()
    assert "1 other run was rejected too" in text
    assert " partial=True" not in text  # which is no argument of a predictor


def test_a_run_that_only_a_strict_ingest_rejected_is_drawn(outputs: Path):
    file = outputs / "runs" / "made" / "tides 3" / "run_spec.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"mood": "calm"}))
    assert len(ingest(outputs, strict=True).rejected) == 1
    assert drawn(Predictor(5, 1), outputs) == {f"tides {n}" for n in range(6)}


def test_a_run_that_is_gone_is_named(outputs: Path):
    runs = HelmRuns(outputs)
    ingest(outputs)
    shutil.rmtree(outputs / "runs" / "made" / "tides 3")
    with pytest.raises(BadFileError) as caught:
        Predictor(5, 1).prepare_predict_inputs(runs)
    assert caught.value.where.run == "made/tides 3"


@pytest.mark.parametrize("how", [*PARTS[2:], *(pytest.param(part, marks=pytest.mark.slow) for part in PARTS[:2])])
@pytest.mark.parametrize("warm", PASTS)
def test_partial_runs_are_drawn_if_asked_for(outputs: Path, how: str, warm: bool | None):
    for number in (1, 4):
        spoil(outputs, number, how)
    if warm is not None:
        ingest(outputs, partial=warm)
    predictor = Predictor(5, 1, insufficient_eval_sample_policy="ignore", include_partial=True)
    assert drawn(predictor, outputs) == {f"tides {n}" for n in range(6)}
    assert len(HelmRuns(outputs).incomplete()) == 2


@pytest.mark.parametrize(
    "how", [*(pytest.param(part, marks=pytest.mark.slow) for part in PARTS[:3]), *PARTS[3:], "no spec"]
)
@pytest.mark.parametrize("warm", PASTS)
def test_runs_that_cannot_be_read_are_skipped_if_asked_for(outputs: Path, how: str, warm: bool | None):
    for number in (1, 4):
        spoil(outputs, number, how)
    if warm is not None:
        ingest(outputs, partial=warm)
    left = [f"tides {n}" for n in (0, 2, 3, 5)]
    for seed in range(2):
        *train, held_out = (left[index] for index in random.Random(seed).sample(range(4), 3))
        with pytest.warns(MagnetWarning, match="2 of 6 runs cannot be read"):
            train_split, test_split = Predictor(2, 1, seed, skip_unreadable=True).prepare_predict_inputs(outputs)
        assert set(train_split.run_specs[NAME]) == set(train)
        assert test_split.run_specs[NAME].to_list() == [held_out]


def test_both_can_be_asked_for(outputs: Path):
    spoil(outputs, 1, "stats.json")
    spoil(outputs, 4, "no spec")
    predictor = Predictor(4, 1, include_partial=True, skip_unreadable=True)
    with pytest.warns(MagnetWarning, match="1 of 6 runs"):
        assert drawn(predictor, outputs) == {f"tides {n}" for n in (0, 1, 2, 3, 5)}
    with pytest.raises(BadFileError) as caught:
        drawn(Predictor(5, 1, include_partial=True), outputs)
    assert caught.value.where.run == "made/tides 4"


def test_too_few_that_can_be_read_are_too_few(outputs: Path):
    for number in range(4):
        spoil(outputs, number, "cut")
    with pytest.raises(NotEnoughRunsError, match="found 2"), pytest.warns(MagnetWarning):
        drawn(Predictor(2, 1, skip_unreadable=True), outputs)


def test_a_draw_raises_where_a_changed_run_cannot_be_cached(outputs: Path, monkeypatch: pytest.MonkeyPatch):
    ingest(outputs)
    file = outputs / "runs" / "made" / "tides 3" / "stats.json"
    file.write_text(json.dumps(json.loads(file.read_text())))
    monkeypatch.setattr(execution.transaction, "commit_transaction", refuse)
    with pytest.raises(CacheNotWritableError):
        Predictor(5, 1).prepare_predict_inputs(outputs)


def refuse(*_: Any) -> NoReturn:
    raise CacheNotWritableError("The disk is full.")


def test_a_list_decides_the_draw_by_its_order(outputs: Path):
    names = [4, 0, 5, 2, 1, 3]
    folders = [outputs / "runs" / "made" / f"tides {n}" for n in names]
    for seed in range(5):
        *train, held_out = random.Random(seed).sample(names, 3)
        train_split, test_split = Predictor(2, 1, seed).prepare_predict_inputs(folders)
        given = sorted(train, key=names.index)
        assert train_split.run_specs[NAME].to_list() == [f"tides {n}" for n in given]
        assert test_split.run_specs[NAME].to_list() == [f"tides {held_out}"]


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name:magnet_arrow.errors.MagnetWarning")
def test_equal_names_in_two_suites_do_not_leak(tmp_path: Path):
    for suite, value in (("one", 0.25), ("two", 0.75)):
        for name in "abc":
            run = make_run(name)
            run["stats"][0]["mean"] = value
            write_run(tmp_path, run, suite=suite)
    for seed in range(5):
        train_split, test_split = Predictor(3, 1, seed).prepare_all_dataframes(tmp_path)
        assert train_split.stats.height == 6
        assert test_split.stats.height == 2
        assert set(test_split.stats["stats.mean"]) in ({0.25, 2.0}, {0.75, 2.0})
        assert not {*train_split.run_specs[NAME]} & {*test_split.run_specs[NAME]}
