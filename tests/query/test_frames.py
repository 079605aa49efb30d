"""Frames of runs that bear equal names: what tells them apart, and what they join on."""

import json
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from makedump import make_run, stat, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.errors import ColumnNotFoundError
from magnet_arrow.outputs import HelmOutputs, HelmRuns
from magnet_arrow.schema.registry import RUN_TABLES

FOUR = ("run_spec", "scenario_state", "stats", "per_instance_stats")


def value_run(name: str, value: float) -> dict:
    run = make_run(name, n_instances=1)
    run["stats"] = [stat("exact_match", value)]
    run["run_spec"]["scenario_spec"]["args"] = {"value": value}
    return run


@pytest.fixture
def twins(tmp_path: Path) -> HelmRuns:
    """Suites one and two have a and b each; one has c, too. Every run has a value of its own."""
    outputs = tmp_path / "outputs"
    for number, place in enumerate(("one/a", "one/b", "one/c", "two/a", "two/b")):
        suite, name = place.split("/")
        write_run(outputs, value_run(name, number), suite=suite)
    return HelmRuns(outputs)


SUITES = ["one", "one", "one", "two", "two"]


@pytest.mark.parametrize("table", FOUR)
def test_runs_of_equal_names_are_told_apart_by_their_suite(table: str, twins: HelmRuns) -> None:
    frame = getattr(twins, table)()
    assert frame.columns[:2] == ["run_spec.name", "magnet.suite"]
    assert not {"magnet.source", "magnet.folder", "magnet.run"} & set(frame.columns)
    by_run = frame.unique(["run_spec.name", "magnet.suite"], maintain_order=True)
    assert by_run["magnet.suite"].to_list() == SUITES
    scanned = twins.scan(table)
    assert scanned.collect_schema() == frame.schema
    assert scanned.filter(pl.col("magnet.suite") == "two").select("run_spec.name").unique().collect().height == 2
    streamed = pl.DataFrame(twins.table(table))
    assert streamed.equals(frame)


def test_frames_of_runs_with_names_of_their_own_are_as_they_were(twins: HelmRuns) -> None:
    for runs in (twins[:3], twins[2:], twins.take([0, 0]), twins[:0], twins[3]):
        for table in FOUR:
            assert not [name for name in getattr(runs, table)().columns if name.startswith("magnet.")]
    assert "magnet.suite" not in twins.stats(columns="registered").columns


def test_a_join_on_name_and_suite_keeps_its_rows(twins: HelmRuns) -> None:
    joined = twins.stats().join(twins.run_spec(), on=["run_spec.name", "magnet.suite"])
    assert joined.height == 5
    assert (joined["stats.mean"] == joined["run_spec.scenario_spec.args.value"]).all()


@pytest.mark.parametrize("columns", ["occurring", "registered", ["stats.mean"], ["magnet.run", "stats.mean"]])
def test_a_key_joins_frames_whatever_the_runs_are_called(columns: str | list[str], twins: HelmRuns) -> None:
    stats = twins.stats(columns=columns, key=True)
    assert stats.columns.count("magnet.run") == 1
    specs = twins.scan("run_spec", columns=["run_spec.scenario_spec.args.value"], key=True).collect()
    assert specs.columns == ["run_spec.scenario_spec.args.value", "magnet.run"]
    joined = stats.join(specs, on="magnet.run")
    assert joined["stats.mean"].to_list() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (joined["stats.mean"] == joined["run_spec.scenario_spec.args.value"]).all()
    assert stats["magnet.run"].n_unique() == 5


def test_every_frame_takes_a_key(twins: HelmRuns) -> None:
    for table in FOUR:
        assert getattr(twins, table)(key=True).columns[-1] == "magnet.run"
        assert getattr(twins[0], table)(key=True).columns[-1] == "magnet.run"
        assert twins.table(table, key=True).schema.names[-1] == "magnet.run"
    assert twins[1].table("stats", columns=["stats.mean"], key=True).schema.names == ["stats.mean", "magnet.run"]


def test_a_list_may_name_where_the_runs_are(twins: HelmRuns) -> None:
    named = twins[2:4].stats(columns=["magnet.folder", "stats.mean", "magnet.suite", "magnet.source"])
    source = str(twins.places[0].source)
    assert named.columns == ["magnet.folder", "stats.mean", "magnet.suite", "magnet.source"]
    assert named.rows() == [("c", 2.0, "one", source), ("a", 3.0, "two", source)]
    assert pa.table(twins[:1].table("stats", columns=["magnet.suite"])).to_pydict() == {"magnet.suite": ["one"]}


def test_sources_and_folders_are_shown_where_suites_do_not_tell(twins: HelmRuns, tmp_path: Path) -> None:
    here, copy = tmp_path / "outputs", tmp_path / "copy"
    shutil.copytree(here, copy)
    both = HelmRuns([here / "runs/one", copy / "runs/one"])
    assert both.stats().columns[:4] == ["run_spec.name", "magnet.suite", "magnet.source", "stats.count"]
    assert both.stats()["magnet.source"].to_list() == [str(here)] * 3 + [str(copy)] * 3
    shutil.copytree(here / "runs/one/a", here / "runs/one/a copy")
    one = HelmOutputs(here).suites("one").runs()
    assert one.stats().columns[:4] == ["run_spec.name", "magnet.suite", "magnet.folder", "stats.count"]
    assert one.stats()["magnet.folder"].to_list() == ["a", "a copy", "b", "c"]
    all_four = HelmRuns([here, copy]).stats()
    assert all_four.columns[1:4] == ["magnet.suite", "magnet.source", "magnet.folder"]
    assert all_four.select(all_four.columns[:4]).is_unique().all()


def test_a_name_is_that_of_the_run_spec(tmp_path: Path) -> None:
    write_run(tmp_path / "outputs", value_run("a", 1), folder="first")
    write_run(tmp_path / "outputs", value_run("a", 2), folder="second")
    assert HelmRuns(tmp_path / "outputs").stats()["magnet.folder"].to_list() == ["first", "second"]


def test_runs_that_are_left_out_are_no_twins(twins: HelmRuns) -> None:
    """Whether the cache knows them or not."""
    twins.stats()
    for name in "ab":
        (twins.places[0].source / "runs/two" / name / "stats.json").write_text("{}")
    with pytest.warns(UserWarning, match="2 of 5 runs excluded"):
        assert twins.stats().columns[:2] == ["run_spec.name", "stats.count"]


@pytest.mark.parametrize("table", [table.name for table in RUN_TABLES if table.name != "files"])
def test_a_scan_takes_any_registered_name(table: str, tmp_path: Path) -> None:
    """Of a dump in which next to nothing is: no stats, no request states, no optional file."""
    run = make_run("a")
    run["stats"], run["per_instance_stats"], run["scenario_state"]["request_states"] = [], [], []
    write_run(tmp_path / "outputs", run)
    runs = HelmRuns(tmp_path / "outputs")
    names = [column.name for column in next(one for one in RUN_TABLES if one.name == table).columns]
    frame = runs.scan(table, columns=names).collect()
    assert frame.columns == names
    assert frame.height == (table == "run_spec")
    assert pl.DataFrame(runs.table(table, columns=names)).equals(frame)


def test_a_name_that_does_not_occur_is_null(tmp_path: Path) -> None:
    run = make_run("a")
    for one in run["stats"]:
        del one["mean"]
    write_run(tmp_path / "outputs", run)
    runs = HelmRuns(tmp_path / "outputs")
    names = ["stats.name.name", "stats.name.perturbation.name", "stats.mean"]
    assert runs.stats(columns=names).rows() == [("exact_match", None, None), ("num_instances", None, None)]
    assert "stats.mean" not in runs.stats().columns
    with pytest.raises(ColumnNotFoundError, match="no column"):
        runs.stats(columns=["stats.name.perturbation.made_up"])


def test_other_sources_in_the_cache_change_nothing(twins: HelmRuns, tmp_path: Path) -> None:
    """A segment that two sources share has rows of runs that were not asked for."""
    for number in range(3):
        write_run(tmp_path / "more", value_run("abc"[number], number), suite="three")
    HelmRuns(tmp_path / "more").stats()
    before = twins.stats()
    Cache().compact()
    assert twins.stats().equals(before)
    assert json.loads(before.select("magnet.suite").unique(maintain_order=True).write_json()) == [
        {"magnet.suite": "one"},
        {"magnet.suite": "two"},
    ]
