"""Frames of runs that were ingested for some tables only, and what readers of the cache alone say of them."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from magnet_arrow import Cache, HelmRuns, ingest, panel
from magnet_arrow.data_splits import draw
from magnet_arrow.errors import MagnetWarning

SUITE = "runs/my-suite"
ALL = {"run_spec", "scenario_state", "stats", "per_instance_stats"}


@pytest.fixture(scope="module")
def suite(demo_outputs: Path) -> Path:
    """Four runs, each with the four files of every run and `scenario.json`."""
    return demo_outputs / SUITE


def chosen(cache: Path) -> set[str] | None:
    """The tables that all runs were read for."""
    [found] = {run.entry.chosen for run in Cache(cache).snapshot().runs.values()}
    return None if found is None else set(found)


FRAMES: dict[str, tuple[Callable[[HelmRuns], object], set[str]]] = {
    "run_spec": (lambda runs: runs.run_spec(), {"run_spec"}),
    "stats": (lambda runs: runs.stats(), {"run_spec", "stats"}),
    "table": (lambda runs: runs.table("stats").reader().read_all(), {"run_spec", "stats"}),
    "main_metrics": (lambda runs: runs.main_metrics(), {"run_spec", "stats"}),
    "recipes": (lambda runs: runs.recipes(), {"run_spec"}),
    "rejects": (lambda runs: runs.rejects(), {"run_spec"}),
    "filter": (lambda runs: runs.filter(pl.col("run_spec.name") != ""), {"run_spec"}),
    "one run": (lambda runs: [run.scenario_state() for run in runs], {"run_spec", "scenario_state"}),
    "scores": (lambda runs: runs.scores(), ALL - {"scenario_state"}),
    "samples": (lambda runs: runs.samples(), ALL),
    "panel": (panel, ALL),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_adds_the_tables_that_it_needs(name: str, suite: Path, cache: Path) -> None:
    read, needed = FRAMES[name]
    ingest(suite, cache, tables=["scenario"])
    read(HelmRuns(suite, cache=cache))
    assert chosen(cache) == needed | {"run_spec", "scenario"}


def test_frames_are_those_of_a_cache_with_all_tables(suite: Path, tmp_path: Path) -> None:
    ingest(suite, tmp_path / "part", tables=["run_spec"])
    part, whole = (HelmRuns(suite, cache=tmp_path / name) for name in ("part", "whole"))
    for table in (*sorted(ALL), "scenario"):
        assert part.scan(table).collect().equals(whole.scan(table).collect())
    assert part.samples().equals(whole.samples())
    assert (chosen(tmp_path / "part"), chosen(tmp_path / "whole")) == (ALL | {"scenario"}, None)


def test_a_table_of_which_the_runs_have_no_file_is_not_asked_for(suite: Path, cache: Path) -> None:
    ingest(suite, cache, tables=["stats"])
    assert HelmRuns(suite, cache=cache).scan("instances").collect().is_empty()
    assert ingest(suite, cache, tables=["display_requests", "files"]).skipped == 4
    assert Cache(cache).scan("instances").collect().is_empty()
    assert chosen(cache) == {"run_spec", "stats"}


def test_a_draw_has_its_four_tables(suite: Path, cache: Path) -> None:
    ingest(suite, cache, tables=["stats"])
    draw(HelmRuns(suite, cache=cache), train=[0], test=[1])
    held = Cache(cache).snapshot().runs.values()
    assert {run.entry.chosen for run in held} == {("run_spec", "stats"), tuple(sorted(ALL))}


def test_readers_of_the_cache_alone_say_what_is_missing(suite: Path, cache: Path) -> None:
    first, *others = sorted(suite.iterdir())
    ingest(first, cache)
    ingest(others, cache, tables=["stats"])
    shown = Cache(cache)
    assert sorted(shown.runs()["rows.scenario_state"].fill_null(-1))[:3] == [-1, -1, -1]
    assert shown.runs()["rows.stats"].null_count() == 0
    assert shown.scan("stats").collect().height == HelmRuns(suite, cache=cache).stats().height
    with pytest.warns(MagnetWarning, match="^3 of 4 runs were ingested without table scenario_state, which"):
        states = shown.scan("scenario_state")
    assert states.collect()["run_spec.name"].n_unique() == 1
    cached = HelmRuns(suite, cache=cache).cached(["stats"])
    with pytest.warns(MagnetWarning, match="^3 of 4 runs were ingested without table scenario, .* --tables scenario "):
        cached.scan("scenario")
    assert HelmRuns(suite, cache=cache).cached().scan("scenario").collect().height == 4
    assert chosen(cache) is None
