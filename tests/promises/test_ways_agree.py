"""Whichever way a file was taken (together with others, cut by kernels, or with care), its tables are the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from large_dumps import dump_params
from makedump import make_run, write_runs
from polars.testing import assert_frame_equal
from reading import cached_places, read

from magnet_arrow.decode import layout_split
from magnet_arrow.decode.decoder import FastDecodeError
from magnet_arrow.helm.layout import RunPlace, find_runs
from magnet_arrow.ingestion import batch_reader
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.ingester import Ingester
from magnet_arrow.ingestion.rules import Run
from magnet_arrow.records import table_builders
from magnet_arrow.records.stat_builders import InstanceStatsBuilder, RecurringBuilder
from magnet_arrow.records.table_builders import ElementBuilder, StateBuilder
from magnet_arrow.schema import registry

RUN_TABLES = [table.name for table in registry.RUN_TABLES]


def frames(places: list[RunPlace], cache: Path) -> dict[str, pl.DataFrame]:
    return {table: read(places, table, cache, hidden=True).drop("magnet.run") for table in RUN_TABLES}


def singly(patch: pytest.MonkeyPatch) -> None:
    """Each run by itself, by kernels where that can be."""
    patch.setattr(batch_reader, "BATCH_BYTES", 0)


def in_small_pieces(patch: pytest.MonkeyPatch) -> None:
    """As ever, but cut in many places: a region is one element, a batch one run."""
    patch.setattr(layout_split, "BATCH_BYTES", 1)
    patch.setattr(table_builders, "_HOT_BYTES", 1)


def singly_in_small_pieces(patch: pytest.MonkeyPatch) -> None:
    """Each run by itself, element by element."""
    singly(patch)
    in_small_pieces(patch)


def with_care(patch: pytest.MonkeyPatch) -> None:
    """Each run by itself, by msgspec's raw elements."""

    def refuse(self: object, files: object) -> None:
        raise FastDecodeError

    singly(patch)
    for builder in (ElementBuilder, StateBuilder, RecurringBuilder, InstanceStatsBuilder):
        patch.setattr(builder, "_read_fast", refuse)


def same_by_all_ways(source: Path, tmp_path: Path) -> None:
    report = ingest(source, tmp_path / "as-ever")
    places = cached_places(source, tmp_path / "as-ever")
    expected = frames(places, tmp_path / "as-ever")
    for way in (singly, in_small_pieces, singly_in_small_pieces, with_care):
        cache = tmp_path / way.__name__
        with pytest.MonkeyPatch.context() as patch:
            way(patch)
            again = ingest(source, cache)
        assert (again.rows, again.unexpected) == (report.rows, report.unexpected)
        assert [rejected.run for rejected in again.rejected] == [rejected.run for rejected in report.rejected]
        for table, frame in frames(places, cache).items():
            assert_frame_equal(frame, expected[table])


def test_the_demo(demo_outputs: Path, tmp_path: Path) -> None:
    same_by_all_ways(demo_outputs / "runs" / "*" / "*finch*", tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize("name", dump_params(["classic", "helm_made", "helm_old", "mmlu", "modelbench"]))
def test_a_real_dump(name: str, shared_dumps: Callable[[str], Path], tmp_path: Path) -> None:
    dump = shared_dumps(name)
    # The 283 runs of mmlu are of one kind: 65 of them, by each model, show as much.
    some = "benchmark_output/runs/*/mmlu:subject=[a-c]*"
    same_by_all_ways(dump / some if name == "mmlu" else dump, tmp_path)


@pytest.mark.parametrize("indent", [None, *(pytest.param(each, marks=pytest.mark.slow) for each in (0, 1, 4)), "\t"])
def test_another_layout_gives_the_same_tables(indent: int | str | None, tmp_path: Path) -> None:
    runs = [make_run(f"tide:n={number}", n_instances=5) for number in range(3)]
    write_runs(tmp_path / "outputs", runs)
    expected = frames_of(tmp_path / "outputs", tmp_path / "cache")
    for path in (tmp_path / "outputs").rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=indent))
    for table, frame in frames_of(tmp_path / "outputs", tmp_path / "other").items():
        assert_frame_equal(frame, expected[table])


def frames_of(outputs: Path, cache: Path) -> dict[str, pl.DataFrame]:
    assert ingest(outputs, cache).rejected == ()
    return frames(list(find_runs(outputs).places), cache)


def test_ordinary_runs_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `write_runs` makes is in HELM's layout, and an odd run among others is the only one read by itself."""
    runs = [make_run(f"tide:n={number}", n_instances=5) for number in range(3)]
    paths = write_runs(tmp_path / "outputs", runs)
    alone: list[str] = []
    ingest_one = Ingester.ingest

    def noted(self: Ingester[object], run: Run, *mode: Any) -> object:
        alone.extend([run.place.folder] if run.place.folder else [])
        return ingest_one(self, run, *mode)

    monkeypatch.setattr(Ingester, "ingest", noted)
    assert ingest(tmp_path / "outputs", tmp_path / "cache").runs == 3
    assert alone == []
    (paths[1] / "costs.json").write_text("{}")
    assert ingest(tmp_path / "outputs", tmp_path / "cache").runs == 1
    assert alone == [paths[1].name]
