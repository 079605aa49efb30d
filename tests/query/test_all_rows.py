"""All live rows of a table, by Polars over every segment."""

from pathlib import Path

import polars as pl
import pytest
from makesegment import commit_runs, key_of

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.schema import registry
from magnet_arrow.storage.manifest import read_manifest
from magnet_arrow.storage.transaction import Change, apply

OWN = "stats.name.perturbation"


def test_columns_are_the_registered_ones_and_then_those_found_in_the_data(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [{"z": 1}, {"b": "x"}]})
    columns = Cache(tmp_path).scan("stats").collect_schema().names()
    assert columns == [*registry.table("stats").names, f"{OWN}.b", f"{OWN}.z"]


def test_segments_that_differ_in_columns_and_types_are_one_frame(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [{"n": 1}]})
    commit_runs(tmp_path, {"b": [{"n": 0.5, "t": "x"}]})
    commit_runs(tmp_path, {"c": [3]}, {"d": []})
    rows = Cache(tmp_path).scan("stats").sort("magnet.run").select(f"{OWN}.n", f"{OWN}.t", "stats.mean")
    assert rows.collect().rows() == [(1.0, None, None), (0.5, "x", None), (None, None, 3.0)]


def test_one_segment_with_text_makes_all_cells_json(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", "1"), ("c", True), ("d", [1])):
        commit_runs(tmp_path, {folder: [{"n": value}]})
    cells = Cache(tmp_path).scan("stats").sort("magnet.run").collect()[f"{OWN}.n"]
    assert cells.to_list() == ["1", '"1"', "true", "[1]"]


def test_columns_without_room_are_found_in_the_residual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(registry, "MAX_DYNAMIC_COLUMNS", 1)
        commit_runs(tmp_path, {"a": [{"m": 1, "n": 2}], "b": [{"n": 4, "m": 3}, 5]})
    rows = Cache(tmp_path).scan("stats").sort("magnet.run", "magnet.row").select(f"{OWN}.m", f"{OWN}.n")
    assert rows.collect().rows() == [(1, 2), (3, 4), (None, None)]


def test_deleted_runs_are_left_out(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    commit_runs(tmp_path, {"c": [3]})
    frame = Cache(tmp_path).scan("stats")
    apply(tmp_path, Change(pruned=[key_of("a")]))
    assert Cache(tmp_path).scan("stats").sort("magnet.run").collect()["stats.mean"].to_list() == [2.0, 3.0]
    # A frame taken before is of its own commit.
    assert frame.sort("magnet.run").collect()["stats.mean"].to_list() == [1.0, 2.0, 3.0]


def test_polars_reads_just_what_a_query_needs(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1, 2], "b": [{"n": 3}]})
    frame = Cache(tmp_path).scan("stats")
    assert frame.filter(pl.col("stats.mean") > 1).select("magnet.row").collect().rows() == [(1,)]
    assert frame.select(pl.len()).collect().item() == 3


@pytest.mark.parametrize("change", ["gone", "cut", "footer"])
def test_a_damaged_file_is_noticed_when_the_frame_is_made(change: str, tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    path = tmp_path / read_manifest(tmp_path).segments[0].tables["stats"].file.path
    data = path.read_bytes()
    path.unlink()
    if change != "gone":
        path.write_bytes(data[:-9] if change == "cut" else data[:-12] + b"\0" + data[-11:])
    with pytest.raises(CacheDamagedError, match="is damaged"):
        Cache(tmp_path).scan("stats")
