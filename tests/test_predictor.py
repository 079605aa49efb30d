"""What people subclass: filters, the draw behind the splits, and a predictor that is called."""

import inspect
import json
import logging
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import polars as pl
import pytest
from makedump import make_run, stat, write_run, write_runs

import magnet_arrow.predictor
from magnet_arrow.errors import (
    BadFileError,
    CacheNotWritableError,
    ColumnNotFoundError,
    FilterError,
    MagnetWarning,
    NotEnoughRunsError,
    NotEnoughSamplesError,
    PredictionError,
    SettingError,
)
from magnet_arrow.ingestion import execution
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmOutputs, HelmRuns
from magnet_arrow.predictor import Predictor, RunPrediction, RunPredictor, SequesteredTestSplit, TrainSplit

NAME = "run_spec.name"


class Half(RunPredictor):
    """Predicts 0.5 for both stats of an invented run, and for one that it lacks."""

    def predict(self, train_split: Any, sequestered_test_split: Any) -> list[RunPrediction]:
        name = sequestered_test_split.run_specs[NAME][0]
        stats = ("exact_match", "rouge_l", "num_instances")
        return [RunPrediction(name, "test", stat, 0.5) for stat in stats]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    runs = [make_run(f"tides {n}", args={"subject": "even" if n % 2 == 0 else "odd"}) for n in range(6)]
    write_runs(tmp_path, runs)
    return tmp_path


def drawn(predictor: Predictor, source: Any) -> set[str]:
    """Names of all runs that were drawn."""
    train_split, sequestered = predictor.prepare_predict_inputs(source)
    return {*train_split.run_specs[NAME], *sequestered.run_specs[NAME]}


def test_defaults_are_magnets():
    parameters = inspect.signature(Predictor).parameters
    given = {name: parameter.default for name, parameter in parameters.items() if name != "cache"}
    assert given == {
        "num_example_runs": 3,
        "num_eval_samples": 20,
        "random_seed": 1,
        "insufficient_eval_sample_policy": "warn",
        "include_partial": False,
        "skip_unreadable": False,
        "level": "outputs",
        "level_of_others": "plan",
    }


def test_the_module_has_what_magnets_users_import_from_it():
    assert {"Predictor", "RunPredictor", "RunPrediction", "TrainSplit"} <= set(magnet_arrow.predictor.__all__)


def test_both_ways_of_preparing_give_the_same_draw(outputs: Path):
    predictor = Predictor(num_eval_samples=1)
    train_split, test_split = predictor.prepare_all_dataframes(outputs)
    again, sequestered = predictor.prepare_predict_inputs(outputs)
    assert train_split.stats.equals(again.stats)
    assert test_split.run_specs.equals(sequestered.run_specs)
    assert test_split.scenario_state.equals(sequestered.scenario_state)


def test_anything_that_stands_for_runs_is_taken(outputs: Path):
    suite = outputs / "runs" / "made"
    predictor = Predictor(num_eval_samples=1, random_seed=3)
    expected = drawn(predictor, suite)
    dump = HelmOutputs(outputs)
    paths = [str(outputs), str(suite / "tides*"), sorted(suite.iterdir())]
    for source in (*paths, dump, dump.suites(), dump.suites()[0], HelmRuns(suite)):
        assert drawn(predictor, source) == expected


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
FEW: dict[str, Any] = {"num_eval_samples": 1}


@pytest.mark.parametrize("how", [*PARTS, "no spec"])
def test_a_drawn_run_that_is_not_complete_is_named_whatever_the_cache_has(outputs: Path, how: str):
    spoil(outputs, 3, how)
    for earlier in ({}, {"partial": True}, {"strict": True}, None):
        if earlier is not None:
            ingest(outputs, **earlier)
        with pytest.raises(BadFileError, match="skip_unreadable=True") as caught:
            Predictor(5, 1).prepare_predict_inputs(outputs)
        assert caught.value.where.run == "made/tides 3"


@pytest.mark.parametrize("how", PARTS)
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


@pytest.mark.parametrize("how", PARTS)
@pytest.mark.parametrize("warm", PASTS)
def test_partial_runs_are_drawn_if_asked_for(outputs: Path, how: str, warm: bool | None):
    for number in (1, 4):
        spoil(outputs, number, how)
    if warm is not None:
        ingest(outputs, partial=warm)
    predictor = Predictor(5, 1, insufficient_eval_sample_policy="ignore", include_partial=True)
    assert drawn(predictor, outputs) == {f"tides {n}" for n in range(6)}
    assert len(HelmRuns(outputs).incomplete()) == 2


@pytest.mark.parametrize("how", [*PARTS, "no spec"])
@pytest.mark.parametrize("warm", PASTS)
def test_runs_that_cannot_be_read_are_skipped_if_asked_for(outputs: Path, how: str, warm: bool | None):
    for number in (1, 4):
        spoil(outputs, number, how)
    if warm is not None:
        ingest(outputs, partial=warm)
    left = [f"tides {n}" for n in (0, 2, 3, 5)]
    for seed in range(4):
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


class ByJson(Predictor):
    def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
        return run_spec["scenario_spec"]["args"]["subject"] == "even"


class ByFrame(Predictor):
    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
        return pl.col("run_spec.scenario_spec.args.subject") == "even"


@pytest.mark.parametrize("predictor", [ByJson, ByFrame])
@pytest.mark.parametrize("text", ["{", "[]", "", None], ids=["cut", "no object", "empty", "gone"])
def test_a_run_spec_that_a_filter_cannot_read_is_named(outputs: Path, predictor: type[Predictor], text: str | None):
    ingest(outputs)
    runs = HelmRuns(outputs)
    file = outputs / "runs" / "made" / "tides 3" / "run_spec.json"
    file.unlink() if text is None else file.write_text(text)
    for _ in range(2):
        with pytest.raises(BadFileError) as caught:
            predictor(2, 1).prepare_predict_inputs(runs)
        assert (caught.value.where.run, caught.value.where.file) == ("made/tides 3", "run_spec.json")
        ingest(outputs, partial=True)
    with pytest.warns(MagnetWarning, match="will not be drawn"):
        assert drawn(predictor(2, 1, skip_unreadable=True), runs) == {f"tides {n}" for n in (0, 2, 4)}


@pytest.mark.parametrize("predictor", [ByJson, ByFrame])
def test_filters_read_run_specs_as_they_are_now(outputs: Path, predictor: type[Predictor]):
    ingest(outputs)
    runs = HelmRuns(outputs)
    file = outputs / "runs" / "made" / "tides 3" / "run_spec.json"
    file.write_text(file.read_text().replace('"odd"', '"even"'))
    assert drawn(predictor(3, 1), runs) == {f"tides {n}" for n in (0, 2, 3, 4)}


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


def test_an_unknown_policy_is_refused_at_once():
    with pytest.raises(SettingError, match="error, warn, ignore"):
        Predictor(insufficient_eval_sample_policy="raise")


@pytest.mark.parametrize("numbers", [(-1, 20), (3, -1)], ids=["runs", "samples"])
def test_a_number_below_zero_is_refused_at_once(numbers: tuple[int, int]):
    with pytest.raises(SettingError, match=f"0 or more, not {numbers[0]} and {numbers[1]}"):
        Predictor(*numbers)


def test_a_filter_on_the_json_chooses_what_is_drawn_from(outputs: Path):
    class Odd(Predictor):
        def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
            return run_spec["scenario_spec"]["args"]["subject"] == "odd"

    assert drawn(Odd(2, 1), outputs) == {"tides 1", "tides 3", "tides 5"}


def test_the_json_filter_is_given_what_the_file_holds(outputs: Path):
    seen = []

    class Looking(Predictor):
        def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
            seen.append(run_spec)
            return True

    drawn(Looking(1, 1), outputs)
    files = sorted((outputs / "runs" / "made").glob("*/run_spec.json"))
    assert seen == [json.loads(file.read_bytes()) for file in files]


def test_a_filter_by_expression_chooses_what_is_drawn_from(outputs: Path):
    class Even(Predictor):
        def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
            return pl.col("run_spec.scenario_spec.args.subject") == "even"

    assert drawn(Even(2, 1), outputs) == {"tides 0", "tides 2", "tides 4"}


def test_the_filter_by_expression_is_asked_once_about_what_the_other_left(outputs: Path):
    asked = []

    class Both(Predictor):
        def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
            return run_spec["name"] != "tides 0"

        def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
            asked.append(run_specs.collect()[NAME].to_list())
            return pl.col(NAME) < "tides 4"

    assert drawn(Both(2, 1), outputs) == {"tides 1", "tides 2", "tides 3"}
    assert asked == [[f"tides {n}" for n in range(1, 6)]]


def test_a_filter_may_name_a_registered_column_that_no_run_has(outputs: Path):
    class WithoutAnnotators(Predictor):
        def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
            return pl.col("run_spec.annotators").is_null()

    assert len(drawn(WithoutAnnotators(3, 1), outputs)) == 4


def test_a_filter_that_leaves_too_few_says_so(outputs: Path):
    class Two(Predictor):
        def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
            return pl.col(NAME).is_in(["tides 0", "tides 1"])

    with pytest.raises(NotEnoughRunsError, match=r"at least 4 .* found 2"):
        Two().prepare_predict_inputs(outputs)


def test_a_filter_on_an_unknown_column_offers_the_near_one(outputs: Path):
    class Misspelt(Predictor):
        def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
            return pl.col("run_spec.adapter_spec.modle") == "x"

    with pytest.raises(ColumnNotFoundError, match=r"Did you mean 'run_spec\.adapter_spec\.model'"):
        Misspelt().prepare_predict_inputs(outputs)


class Opened:
    """Which of a dump's files are opened, as `run/file`, by whatever code."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, []
        sys.addaudithook(self.hook)  # for good: a hook cannot be taken away

    def hook(self, event: str, arguments: Any) -> None:
        if event == "open" and self.folder is not None and isinstance(arguments[0], str | os.PathLike):
            path = Path(arguments[0])
            if path.is_relative_to(self.folder):
                self.files.append(f"{path.parent.name}/{path.name}")

    def during(self, action: Callable[[], Any]) -> tuple[Any, list[str]]:
        self.files.clear()
        return action(), sorted(self.files)


@pytest.fixture
def opened(outputs: Path) -> Iterator[Opened]:
    watch = Opened(outputs / "runs")
    yield watch
    watch.folder = None


FILES = ("per_instance_stats.json", "run_spec.json", "scenario_state.json", "stats.json")


def test_without_filters_only_the_files_of_the_drawn_runs_are_opened(outputs: Path, opened: Opened):
    predictor = Predictor(2, 1)
    names, files = opened.during(lambda: drawn(predictor, outputs))
    assert len(names) == 3
    assert files == sorted(f"{name}/{file}" for name in names for file in FILES)
    assert opened.during(lambda: drawn(predictor, outputs)) == (names, [])


def test_for_a_filter_the_other_runs_run_specs_are_opened_too(outputs: Path, opened: Opened):
    class Filtered(Predictor):
        def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
            return pl.col("run_spec.scenario_spec.args.subject") == "odd"

    every = {f"tides {n}/run_spec.json" for n in range(6)}
    names, files = opened.during(lambda: drawn(Filtered(1, 1), outputs))
    assert set(files) == every | {f"{name}/{file}" for name in names for file in FILES}
    again, files = opened.during(lambda: drawn(Filtered(1, 1), outputs))
    assert again == names
    assert set(files) == every - {f"{name}/run_spec.json" for name in names}


def old_bool(self: Predictor, row: Any) -> Any:
    return True


def old_subscript(self: Predictor, row: Any) -> Any:
    return row["run_spec.adapter_spec.model"] == "openai/gpt2"


def old_get(self: Predictor, row: Any) -> Any:
    return row.get("run_spec.adapter_spec.model") == "openai/gpt2"


@pytest.mark.parametrize("old", [old_bool, old_subscript, old_get], ids=["bool", "subscript", "get"])
def test_a_filter_in_magnets_form_is_shown_the_new_one(outputs: Path, old: Any):
    predictor = type("Old", (Predictor,), {"run_spec_dataframe_filter": old})()
    with pytest.raises(FilterError) as caught:
        predictor.prepare_predict_inputs(outputs)
    assert "MAGNET's form" in str(caught.value)
    assert 'return pl.col("run_spec.adapter_spec.model") == "openai/gpt2"' in caught.value.hint


def test_a_mistake_inside_a_filter_is_not_taken_for_the_old_form(outputs: Path):
    class Broken(Predictor):
        def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
            return len(None)

    with pytest.raises(TypeError, match="has no len"):
        Broken().prepare_predict_inputs(outputs)


def test_calling_compares_with_the_truth(outputs: Path):
    comparison = Half(num_eval_samples=2)(helm_runs=outputs)
    assert comparison.columns[:5] == ["run_spec", "split", "stat_name", "predicted_mean", "actual_mean"]
    rows = comparison.select("stat_name", "predicted_mean", "actual_mean").rows()
    assert rows == [("exact_match", 0.5, 0.5), ("rouge_l", 0.5, None), ("num_instances", 0.5, 2.0)]


def test_suites_can_be_given_instead_of_runs(outputs: Path):
    by_suites = Half(num_eval_samples=2)(helm_suites=HelmOutputs(outputs).suites("made"))
    assert by_suites.equals(Half(num_eval_samples=2)(helm_runs=outputs))


@pytest.mark.parametrize("given", [{}, {"helm_runs": "a", "helm_suites": "b"}], ids=["none", "both"])
def test_exactly_one_of_runs_and_suites_is_given(given: dict[str, str]):
    with pytest.raises(TypeError, match="exactly one of helm_runs and helm_suites"):
        Half()(**given)


def test_predictions_without_truth_are_counted_aloud(outputs: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING, "magnet_arrow"):
        Half(num_eval_samples=2)(helm_runs=outputs)
    assert caplog.messages == [
        "1 of 3 predictions have no actual value to compare with; their actual_mean is null: rouge_l (test)"
    ]


def test_many_predictions_without_truth_are_not_all_named(outputs: Path, caplog: pytest.LogCaptureFixture):
    class Wrong(RunPredictor):
        def predict(self, train_split: Any, sequestered_test_split: Any) -> list[RunPrediction]:
            return [RunPrediction("tides", "test", f"metric\x1b {n}", 0.5) for n in range(7)]

    with caplog.at_level(logging.WARNING, "magnet_arrow"):
        assert Wrong(num_eval_samples=2)(helm_runs=outputs)["actual_mean"].null_count() == 7
    assert "7 of 7" in caplog.text
    assert caplog.messages[0].endswith(r"metric\x1b 4 (test), …")


@pytest.mark.parametrize("made", [None, 0.5, "text", [0.5]], ids=repr)
def test_a_predictor_that_gives_something_else_is_told(outputs: Path, made: Any):
    predictor = type("Odd", (RunPredictor,), {"predict": lambda *_: made})(num_eval_samples=2)
    with pytest.raises(PredictionError, match="expected a list of RunPrediction"):
        predictor(helm_runs=outputs)


def test_runs_may_be_given_by_position(outputs: Path):
    predictor = Half(num_eval_samples=2)
    assert predictor(outputs).equals(predictor(helm_runs=outputs))


def test_two_predictions_of_one_stat_are_refused(outputs: Path):
    class Twice(Half):
        def predict(self, train_split: Any, sequestered_test_split: Any) -> list[RunPrediction]:
            return [*super().predict(train_split, sequestered_test_split), RunPrediction("x", "test", "f1", 0.5)] * 2

    with pytest.raises(PredictionError, match=r"(?s)4 stats of a run have .* found 2 of exact_match \(test\) of tides"):
        Twice(num_eval_samples=2)(outputs)


def test_a_predictor_without_predict_cannot_be_made():
    with pytest.raises(TypeError, match="predict"):
        RunPredictor()


def test_a_cache_can_be_named(outputs: Path, tmp_path: Path, cache_dir: Path):
    own = tmp_path / "own"
    Predictor(1, 1, cache=own).prepare_predict_inputs(outputs)
    assert own.is_dir()
    assert not cache_dir.exists()


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name:magnet_arrow.errors.MagnetWarning")
def test_equal_names_in_two_suites_do_not_leak(tmp_path: Path):
    for suite, value in (("one", 0.25), ("two", 0.75)):
        for name in "abc":
            run = make_run(name)
            run["stats"][0]["mean"] = value
            write_run(tmp_path, run, suite=suite)
    for seed in range(10):
        train_split, test_split = Predictor(3, 1, seed).prepare_all_dataframes(tmp_path)
        assert train_split.stats.height == 6
        assert test_split.stats.height == 2
        assert set(test_split.stats["stats.mean"]) in ({0.25, 2.0}, {0.75, 2.0})
        assert not {*train_split.run_specs[NAME]} & {*test_split.run_specs[NAME]}


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name")
def test_comparisons_and_splits_tell_runs_of_equal_names_apart(tmp_path: Path):
    """Those of the runs drawn from; the truth of one run is missing."""
    for suite, value in (("one", 0.25), ("two", 0.75)):
        for name in "abc":
            run = make_run(name)
            run["stats"] = [stat("exact_match", value)]
            write_run(tmp_path, run, suite=suite)

    class Guess(RunPredictor):
        def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
            for frame in (train_split.stats, train_split.run_specs, sequestered_test_split.scenario_state):
                assert frame.columns[:2] == ["run_spec.name", "magnet.suite"]
            (name,) = sequestered_test_split.run_specs["run_spec.name"]
            return [RunPrediction(name, "test", stat_name, 0.5) for stat_name in ("exact_match", "rouge_l")]

    suites = set()
    for seed in range(6):
        comparison = Guess(2, 1, seed)(helm_runs=tmp_path)
        assert comparison.columns[:2] == ["run_spec", "magnet.suite"]
        (suite,) = comparison["magnet.suite"].unique()
        assert comparison["actual_mean"].to_list() == [{"one": 0.25, "two": 0.75}[suite], None]
        suites.add(suite)
    assert suites == {"one", "two"}
    train_split, _ = Predictor(2, 1).prepare_all_dataframes(tmp_path / "runs" / "one")
    assert [name for name in train_split.stats.columns if name.startswith("magnet.")] == []
