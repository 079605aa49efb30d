"""A dump as a person sees it: what the objects are made from, list, filter, show, and read."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_run, write_runs

from magnet_arrow.errors import (
    BadFileError,
    ColumnNotFoundError,
    FilterError,
    MagnetWarning,
    NoRunsError,
    SourceNotFoundError,
    UnsupportedError,
)
from magnet_arrow.helm import structs
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmOutputs, HelmRun, HelmRuns, HelmSuite, HelmSuites

SUBJECT = "run_spec.scenario_spec.args.subject"


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    """Two suites: `one` with the runs a, b, c, and `two` with c and d."""
    outputs = tmp_path / "benchmark_output"
    for suite, names in (("one", "bca"), ("two", "dc")):
        write_runs(outputs, [make_run(name, args={"subject": suite + name}) for name in names], suite=suite)
    return outputs


def folders(runs: HelmRuns) -> list[str]:
    return [f"{run.path.parent.name}/{run.name}" for run in runs]


ALL = ["one/a", "one/b", "one/c", "two/c", "two/d"]


def test_outputs_are_made_from_the_folder_its_parent_or_its_runs(dump: Path):
    for root in (dump, dump.parent, dump / "runs", str(dump)):
        assert HelmOutputs(root).path == dump


def test_outputs_that_are_not_there_say_so(tmp_path: Path):
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        HelmOutputs(tmp_path / "nowhere")


def test_suites_are_sorted_and_leave_out_latest(dump: Path):
    (dump / "runs" / "latest").symlink_to(dump / "runs" / "one")
    assert [suite.name for suite in HelmOutputs(dump).suites()] == ["one", "two"]
    assert HelmOutputs(dump).list_suites() == ["one", "two"]


def test_suites_are_chosen_by_pattern(dump: Path):
    assert [suite.name for suite in HelmOutputs(dump).suites("t*")] == ["two"]
    with pytest.raises(NoRunsError, match=r"'x\*'.*\n.*found one, two"):
        HelmOutputs(dump).suites("x*")


def test_run_specs_are_listed_sorted_and_once(dump: Path):
    assert HelmOutputs(dump).list_run_specs() == ["a", "b", "c", "d"]
    assert HelmOutputs(dump).list_run_specs("two") == ["c", "d"]


def test_runs_of_a_suite_are_sorted_whatever_their_names(dump: Path):
    write_run(dump, make_run("x:y=1"), suite="one")
    suite = HelmSuite(dump / "runs" / "one")
    assert folders(suite.runs()) == ["one/a", "one/b", "one/c", "one/x:y=1"]
    assert folders(suite.runs("[ab]")) == ["one/a", "one/b"]


def test_a_suite_without_runs_counts_nothing_and_its_runs_say_so(dump: Path):
    (dump / "runs" / "three").mkdir()
    outputs = HelmOutputs(dump)
    assert outputs.summarize().rows() == [("one", 3, 0, 0), ("three", 0, 0, 0), ("two", 2, 0, 0)]
    assert folders(outputs.suites().runs()) == ALL
    with pytest.raises(NoRunsError, match="three"):
        outputs.suites("three").runs()


def test_a_summary_tells_which_runs_are_cached(dump: Path, tmp_path: Path):
    outputs = HelmOutputs(dump, cache=tmp_path / "cache")
    outputs.suites("one").runs("a").stats()
    assert outputs.summarize().to_dict(as_series=False) == {
        "suite": ["one", "two"],
        "runs": [3, 2],
        "cached": [1, 0],
        "partial": [0, 0],
    }


def test_partial_runs_are_marked_until_they_are_whole(dump: Path, tmp_path: Path):
    """A run of which the cache has a part counts as complete once its files have changed, and is ingested again."""
    cache = tmp_path / "cache"
    outputs = HelmOutputs(dump, cache=cache)
    runs = outputs.suites("one").runs()
    file = runs[1].path / "stats.json"
    text = file.read_text()
    file.unlink()
    ingest(dump, cache, partial=True)
    assert repr(runs) == "<HelmRuns 3 runs, 1 partial>"
    assert "3 runs, 1 partial" in runs._repr_html_()
    assert outputs.summarize().rows() == [("one", 3, 3, 1), ("two", 2, 2, 0)]
    assert (folders(runs.incomplete()), folders(runs.complete())) == (folders(runs[1:2]), folders(runs.take([0, 2])))
    assert HelmRuns(dump, cache=cache, partial=True)[1].stats().is_empty()
    file.write_text(text)
    assert repr(runs) == "<HelmRuns 3 runs>"
    assert not runs[1].stats().is_empty()
    (cache / "manifest.json").write_text("damaged")
    assert repr(runs) == "<HelmRuns 3 runs>"


SOURCES: dict[str, Callable[[Path], Any]] = {
    "outputs": lambda dump: dump,
    "text": str,
    "parent": lambda dump: dump.parent,
    "runs folder": lambda dump: dump / "runs",
    "pattern": lambda dump: str(dump / "runs" / "*" / "*"),
    "suites": lambda dump: [dump / "runs" / "one", dump / "runs" / "two"],
    "runs": lambda dump: [dump / "runs" / folder for folder in ALL],
    "HelmOutputs": HelmOutputs,
    "HelmSuites": lambda dump: HelmOutputs(dump).suites(),
    "HelmSuite and path": lambda dump: [HelmSuite(dump / "runs" / "one"), dump / "runs" / "two"],
    "HelmRuns": HelmRuns,
    "HelmRun objects": lambda dump: list(HelmRuns(dump)),
    "generator": lambda dump: (run for run in HelmRuns(dump)),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_runs_are_made_from_anything(dump: Path, source: Callable[[Path], Any]):
    assert folders(HelmRuns.coerce(source(dump))) == ALL


def test_coerce_gives_an_object_of_its_own_kind_back(dump: Path, tmp_path: Path):
    outputs, runs = HelmOutputs(dump), HelmRuns(dump)
    suites = outputs.suites()
    assert HelmOutputs.coerce(outputs) is outputs
    assert HelmSuites.coerce(suites) is suites
    assert HelmRuns.coerce(runs) is runs
    for made in (
        HelmOutputs.coerce(outputs, cache=tmp_path / "own"),
        HelmSuites.coerce(suites, cache=tmp_path / "own"),
        HelmRuns.coerce(runs, cache=tmp_path / "own"),
    ):
        assert made.cache.path == tmp_path / "own"


def test_the_cache_of_an_object_is_handed_on(dump: Path, tmp_path: Path):
    outputs = HelmOutputs(dump, cache=tmp_path / "own")
    suites = outputs.suites()
    runs = suites[0].runs()
    for made in (
        suites,
        suites[:1],
        suites[0],
        runs,
        runs[:2],
        runs[0],
        HelmRuns([runs[0]]),
        HelmRuns(outputs),
    ):
        assert made.cache.path == tmp_path / "own"


def test_suites_are_made_from_paths_patterns_and_runs(dump: Path):
    for source in (dump, str(dump / "runs" / "*"), HelmOutputs(dump), HelmRuns(dump)):
        assert [suite.path for suite in HelmSuites(source)] == [dump / "runs" / "one", dump / "runs" / "two"]
    assert [suite.name for suite in HelmSuites([dump / "runs" / "two"])] == ["two"]


def test_runs_are_a_sequence(dump: Path):
    runs = HelmRuns(dump)
    assert len(runs) == 5
    assert [run.name for run in (runs[0], runs[-1])] == ["a", "d"]
    assert folders(runs[1:3]) == ["one/b", "one/c"]
    assert folders(runs[::-1]) == ALL[::-1]
    assert folders(runs.take([4, 0])) == ["two/d", "one/a"]
    assert runs[2] in runs
    assert HelmRun(dump / "runs" / "one" / "c") in runs
    assert runs[2] != runs[3]


@pytest.mark.parametrize("what", ["d", "z", 1.5, None])
def test_runs_and_suites_are_no_mappings(dump: Path, what: Any):
    runs, suites = HelmRuns(dump), HelmOutputs(dump).suites()
    with pytest.raises(TypeError, match=r"expected an index or a slice, found .*\n.*runs\(\"NAME\"\)") as caught:
        runs[what]
    assert ("Number 4" in str(caught.value)) == (what == "d")
    with pytest.raises(TypeError, match=r"suites\(\"NAME\"\)"):
        suites[what]


def test_runs_are_a_snapshot_until_they_are_refreshed(dump: Path):
    runs = HelmRuns(dump)
    write_run(dump, make_run("e"), suite="two")
    shutil.rmtree(dump / "runs" / "one" / "b")
    assert folders(runs) == ALL
    assert folders(runs.existing()) == ["one/a", "one/c", "two/c", "two/d"]
    assert folders(runs.refresh()) == ["one/a", "one/c", "two/c", "two/d", "two/e"]


def test_suites_that_are_gone_are_no_longer_existing(dump: Path):
    suites = HelmOutputs(dump).suites()
    shutil.rmtree(dump / "runs" / "one")
    assert [suite.name for suite in suites.existing()] == ["two"]


def test_a_filter_by_expression_keeps_the_order(dump: Path):
    runs = HelmRuns(dump)[::-1]
    assert folders(runs.filter(pl.col(SUBJECT).str.ends_with("c"))) == ["two/c", "one/c"]
    assert folders(runs.filter(pl.col(SUBJECT) == "nothing")) == []


def test_a_filter_knows_registered_columns_that_do_not_occur(dump: Path):
    assert len(HelmRuns(dump).filter(pl.col("run_spec.annotators").is_null())) == 5


def test_filtering_ingests_nothing(dump: Path, cache_dir: Path):
    HelmRuns(dump).filter(pl.col(SUBJECT) == "onea")
    assert HelmOutputs(dump).summarize()["cached"].sum() == 0


@pytest.mark.parametrize(
    ("predicate", "error", "words"),
    [
        (True, FilterError, "a pl.Expr over run_spec's columns, found bool"),
        (lambda row: True, FilterError, "found function"),
        (pl.col(SUBJECT), FilterError, "true, false or null"),
        (pl.col("run_spec.nmae") == "a", ColumnNotFoundError, "Did you mean 'run_spec.name'?"),
        (pl.col("model") == "a", ColumnNotFoundError, "Did you mean 'run_spec.adapter_spec.model'?"),
    ],
    ids=["bool", "function", "no truth value", "unknown column", "end of a column"],
)
def test_a_filter_that_is_none_is_refused(dump: Path, predicate: Any, error: type[Exception], words: str):
    with pytest.raises(error) as caught:
        HelmRuns(dump).filter(predicate)
    assert words in str(caught.value)


def test_a_filter_leaves_out_run_specs_that_cannot_be_read(dump: Path, tmp_path: Path):
    """Cold and warm. Those of partial and rejected runs can be read, and are filtered as others."""
    (dump / "runs/one/b/run_spec.json").write_text("{")
    (dump / "runs/two/d/stats.json").unlink()
    shutil.copytree(dump / "runs/one/a", dump / "runs/one/z")
    for seen in (False, True):
        if seen:
            ingest(dump, tmp_path / "cache")
        runs = HelmRuns(dump, cache=tmp_path / "cache")
        shutil.move(dump / "runs/one/z", tmp_path / "z")  # once the runs have been listed
        with pytest.warns(MagnetWarning, match=r"2 of 6 runs excluded.*one/b/run_spec\.json") as warned:
            found = runs.filter(pl.col(SUBJECT) != "onea")
        shutil.move(tmp_path / "z", dump / "runs/one/z")
        assert folders(found) == ["one/c", "two/c", "two/d"]
        assert len(warned) == 1
        with pytest.raises(BadFileError, match="one/b/run_spec"):
            HelmRuns.coerce(runs, strict=True).filter(pl.col(SUBJECT) != "onea")
        with pytest.raises(BadFileError, match="one/b/run_spec"):
            runs[1:2].filter(pl.lit(True))
    assert folders(runs[:0].filter(pl.lit(True))) == []


@pytest.fixture
def mixed(tmp_path: Path) -> HelmRuns:
    """Runs a to e, whose argument n is 5, "five", "six", [7] and 8; all have the text s."""
    values = [5, "five", "six", [7], 8]
    runs = [make_run(name, args={"n": value, "s": "5"}) for name, value in zip("abcde", values, strict=True)]
    write_runs(tmp_path / "mixed", runs)
    return HelmRuns(tmp_path / "mixed")


def test_a_filter_on_a_column_of_mixed_types_names_it_and_the_runs(mixed: HelmRuns):
    column = pl.col("run_spec.scenario_spec.args.n")
    words = r"args\.n is JSON text, as it holds numbers in a, e and strings in b, c and lists in d\."
    with pytest.raises(FilterError, match=words):
        mixed.filter(column == 5)
    for texts, names in ((["five"], []), (['"five"', "8"], ["b", "e"])):
        with pytest.warns(MagnetWarning, match=words):
            assert [run.name for run in mixed.filter(column.is_in(texts))] == names
    ingest(mixed, mixed.cache)
    with pytest.raises(FilterError, match=words):
        mixed.filter(column == 5)
    assert [run.name for run in mixed.take([0, 4]).filter(column == 5)] == ["a"]
    with pytest.raises(FilterError, match=r"args\.s is String"):
        mixed.filter(pl.col("run_spec.scenario_spec.args.s") > 4)


def test_frames_have_the_rows_of_the_runs_as_given(dump: Path):
    runs = HelmRuns(dump).take([4, 0])
    assert runs.run_spec()[SUBJECT].to_list() == ["twod", "onea"]
    assert runs.stats()["run_spec.name"].to_list() == ["d", "d", "a", "a"]
    assert runs.scenario_state()["run_spec.name"].to_list() == ["d", "d", "a", "a"]
    assert runs.per_instance_stats()["run_spec.name"].to_list() == ["d"] * 4 + ["a"] * 4


def test_frames_have_the_columns_that_are_asked_for(dump: Path):
    runs = HelmOutputs(dump).suites("one").runs()
    assert runs.stats(columns=["stats.mean"]).columns == ["stats.mean"]
    occurring, registered = runs.stats().columns, runs.stats(columns="registered").columns
    assert "stats.name.sub_split" not in occurring
    assert "stats.name.sub_split" in registered
    assert set(occurring) < set(registered)


def test_a_scan_is_lazy_and_gives_the_same(dump: Path):
    scanned = HelmRuns(dump).scan("stats")
    assert isinstance(scanned, pl.LazyFrame)
    assert scanned.collect().equals(HelmRuns(dump).stats())


def test_a_table_of_suites_says_where_it_is(dump: Path, cache_dir: Path):
    for ask in (HelmRuns(dump).scan, HelmRuns(dump).table, HelmRuns(dump)[0].scan, HelmRuns(dump).cached().scan):
        with pytest.raises(ColumnNotFoundError, match=r"groups is a table of suites.*\n.*cache\.scan\(\"groups\"\)"):
            ask("groups")


def test_a_column_or_a_table_by_a_part_of_its_name_is_guessed(dump: Path):
    runs = HelmRuns(dump)
    for column, guess in (
        ("mean", "'stats.mean'"),
        ("maen", "'stats.mean'"),
        ("perturbation.name", "'stats.name.perturbation.name'"),
        ("name", "'run_spec.name' or 'stats.name.name' or 'stats.name.perturbation.name'"),
    ):
        with pytest.raises(ColumnNotFoundError) as caught:
            runs.stats(columns=[column])
        assert f"Did you mean {guess}?" in str(caught.value)
    with pytest.raises(ColumnNotFoundError, match=r"Did you mean 'stats'\?"):
        runs.scan("stat")


def test_a_pattern_that_matches_nothing_is_answered_with_one_that_does(dump: Path):
    outputs = HelmOutputs(dump)
    suite = outputs.list_suites()[0]
    folder = outputs.list_run_specs()[0]
    for ask, offered in (
        (lambda: outputs.suites(suite.upper()), suite),
        (lambda: outputs.suites(f"x{suite}"), suite),
        (lambda: outputs.suites().runs(folder[:-1]), f"*{folder[:-1]}*"),
        (lambda: outputs.suites().runs(folder.upper()), folder),
    ):
        with pytest.raises(NoRunsError) as caught:
            ask()
        assert f"Did you mean {offered!r}?" in str(caught.value)


def test_an_empty_choice_gives_empty_frames(dump: Path):
    none = HelmRuns(dump)[:0]
    assert len(none) == 0
    assert none.stats().height == 0
    assert none.run_spec(columns="registered").height == 0


def test_a_frame_sees_a_run_that_has_changed(dump: Path):
    runs = HelmRuns(dump)
    assert runs[0].stats()["stats.mean"].to_list() == [0.5, 2.0]
    file = runs[0].path / "stats.json"
    file.write_text(file.read_text().replace("0.5", "0.125"))
    assert runs[0].stats()["stats.mean"].to_list() == [0.125, 2.0]


def test_a_run_has_the_four_frames_twice(dump: Path):
    run = HelmRun(dump / "runs" / "one" / "a")
    for table in ("run_spec", "scenario_state", "stats", "per_instance_stats"):
        assert getattr(run, table)().equals(getattr(run.dataframe, table)())


def test_a_run_is_made_without_a_look_and_tells_whether_it_is_there(dump: Path):
    assert HelmRun(dump / "runs" / "one" / "a").exists()
    missing = HelmRun(dump / "runs" / "one" / "z")
    assert (missing.name, missing.exists()) == ("z", False)
    with pytest.raises(SourceNotFoundError, match="z"):
        missing.stats()


def test_a_suite_is_no_run(dump: Path):
    with pytest.raises(SourceNotFoundError, match=r"is no run\.\n.*3 of them below it"):
        HelmRun(dump / "runs" / "one").stats()


def test_dataclasses_are_refused_with_the_reason(dump: Path):
    with pytest.raises(UnsupportedError, match="HELM itself") as caught:
        _ = HelmRuns(dump)[0].dataclass
    assert ".msgspec" in caught.value.hint


FILES = ("run_spec", "scenario_state", "stats", "per_instance_stats")


def test_the_json_view_gives_what_the_files_hold(dump: Path):
    run = HelmRuns(dump)[0]
    for file in FILES:
        assert getattr(run.json, file)() == json.loads((run.path / f"{file}.json").read_bytes())


def test_the_structs_view_gives_helms_objects(dump: Path):
    view = HelmRuns(dump)[0].msgspec
    spec, state, stats, instances = (getattr(view, file)() for file in FILES)
    assert (type(spec), spec.name, spec.scenario_spec.args) == (structs.RunSpec, "a", {"subject": "onea"})
    assert (type(state), state.request_states[1].instance.id) == (structs.ScenarioState, "id1")
    assert [(stat.name.name, stat.mean) for stat in stats] == [("exact_match", 0.5), ("num_instances", 2.0)]
    assert [(entry.instance_id, entry.stats[0].sum) for entry in instances] == [("id0", 0), ("id1", 1)]


def test_views_of_the_scenario_read_its_file(demo_outputs: Path):
    run = HelmRuns(demo_outputs)[0]
    assert run.json.scenario()["name"] == "mmlu"
    assert run.msgspec.scenario().name == "mmlu"


def test_views_take_what_pythons_json_takes(dump: Path):
    run = HelmRuns(dump)[0]
    (run.path / "stats.json").write_text(r'[{"name": {"name": "\ud800"}, "count": 1, "mean": NaN}]')
    (stat,) = run.msgspec.stats()
    assert stat.name.name == "\ud800"
    assert stat.mean != stat.mean
    assert run.json.stats()[0]["name"] == {"name": "\ud800"}


@pytest.mark.parametrize(
    ("data", "byte", "words"),
    [
        (b'[{"name": "\xc3\xa9", ', 16, "expected JSON, found the end of the file"),
        (b'["\xc3\xa9", x]', 7, "expected JSON, found no value"),
        (b"[" * 100_000, None, "found too many levels of it"),
        (b'["\xff"]', None, "expected JSON"),
    ],
    ids=["cut", "no JSON", "deep", "no text"],
)
def test_views_of_a_bad_file_say_where(dump: Path, data: bytes, byte: int | None, words: str):
    run = HelmRuns(dump)[0]
    (run.path / "stats.json").write_bytes(data)
    with pytest.raises(BadFileError, match=words) as caught:
        run.json.stats()
    assert (caught.value.where.run, caught.value.where.file) == ("one/a", "stats.json")
    assert caught.value.where.byte == byte


def test_structs_of_a_wrong_kind_say_where(dump: Path):
    run = HelmRuns(dump)[0]
    (run.path / "stats.json").write_text('[{"name": {"name": "a"}}, {"name": {"name": 1}}]')
    with pytest.raises(BadFileError, match="Expected `str`, got `int`") as caught:
        run.msgspec.stats()
    assert caught.value.where.json_path == "$[1].name.name"


def test_views_of_a_missing_file_say_which(dump: Path):
    run = HelmRuns(dump)[0]
    (run.path / "stats.json").unlink()
    with pytest.raises(BadFileError, match=r"one/a/stats\.json"):
        run.json.stats()


def test_nothing_that_is_shown_acts_on_its_surroundings(tmp_path: Path):
    write_run(tmp_path, make_run("a"), folder="<script>\x1b[31m", suite="<b>")
    outputs = HelmOutputs(tmp_path)
    suites = outputs.suites()
    runs = suites.runs()
    for shown in (suites, suites[0], runs, runs[0], outputs):
        assert "\x1b" not in repr(shown) + shown._repr_html_()
        assert "<script>" not in shown._repr_html_()
        assert "<b><b>" not in shown._repr_html_()
    assert "&lt;script&gt;" in runs._repr_html_()


def test_showing_reads_no_data(dump: Path):
    for file in dump.rglob("*.json"):
        file.write_text("no JSON")
    runs = HelmRuns(dump)
    assert repr(runs) == "<HelmRuns 5 runs>"
    assert runs._repr_html_().count("<p") == 5


def test_many_runs_are_shown_by_the_first_few(tmp_path: Path):
    write_runs(tmp_path, [make_run(f"run {number}") for number in range(9)])
    shown = HelmRuns(tmp_path)._repr_html_()
    assert "9 runs" in shown
    assert shown.count("<p") == 6
    assert "4 more" in shown


def test_the_demo_lies_in_the_cache_and_is_unpacked_once(tmp_path: Path):
    outputs = HelmOutputs.demo(cache=tmp_path / "own")
    assert outputs.path.is_relative_to(tmp_path / "own")
    assert outputs.list_suites() == ["my-suite", "perturbed"]
    again = HelmOutputs.demo(cache=tmp_path / "own")
    assert again.path.stat().st_ino == outputs.path.stat().st_ino
