"""Filters of a predictor: which runs they choose, which files they open, and what is said of wrong ones."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from six_runs import NAME, drawn, write_six_runs

from magnet_arrow.errors import BadFileError, ColumnNotFoundError, FilterError, MagnetWarning, NotEnoughRunsError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.predictor import Predictor


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return write_six_runs(tmp_path)


class ByJson(Predictor):
    def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
        return run_spec["scenario_spec"]["args"]["subject"] == "even"


UNREADABLE: dict[str, str | None] = {"cut": "{", "no object": "[]", "empty": "", "gone": None}


class ByFrame(Predictor):
    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
        return pl.col("run_spec.scenario_spec.args.subject") == "even"


@pytest.mark.parametrize(
    ("predictor", "text"),
    [
        *(pytest.param(ByJson, text, id=f"JSON, {what}") for what, text in UNREADABLE.items()),
        pytest.param(ByFrame, "{", id="frame, cut"),
        *(
            pytest.param(ByFrame, text, id=f"frame, {what}", marks=pytest.mark.slow)
            for what, text in UNREADABLE.items()
            if what != "cut"
        ),
    ],
)
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
