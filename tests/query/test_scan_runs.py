"""Frames of chosen runs: their rows in order, only what a query needs, and no damaged page ever as data."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makedump import make_run, write_runs
from makesegment import commit_runs, key_of

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheDamagedError, ColumnNotFoundError, RunNotCachedError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.query import chosen_rows, scan_runs
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.query.stored_tables import StoredTables, stored_types
from magnet_arrow.schema import registry
from magnet_arrow.storage.segments.reader import TableFile
from magnet_arrow.storage.snapshot import Snapshot
from magnet_arrow.storage.transaction import Transaction, commit_transaction

OWN = "stats.name.perturbation"
Reads = list[tuple[int, list[str]]]


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Two segments; in the first, `a` and `b` share a row group, `c` has another."""
    commit_runs(tmp_path, {"a": [1, 2], "b": [3]}, {"c": [4, 5, 6]})
    return commit_runs(tmp_path, {"d": [7], "e": [{"n": 8}], "f": []})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Which row groups are read, and which columns of them."""
    recorded: Reads = []
    really = TableFile.read

    def reading(self: TableFile, group: int, columns: Any) -> Any:
        recorded.append((group, sorted(columns)))
        return really(self, group, columns)

    monkeypatch.setattr(TableFile, "read", reading)
    return recorded


def frame(snapshot: Snapshot, folders: str, columns: Any = "occurring", *, hidden: bool = False) -> pl.LazyFrame:
    return select_runs(
        snapshot, "stats", [key_of(folder) for folder in folders], columns, own="hidden" if hidden else "none"
    ).lazy()


@pytest.mark.parametrize(
    ("folders", "means"),
    [
        ("abcd", [1, 2, 3, 4, 5, 6, 7]),
        ("dcba", [7, 4, 5, 6, 3, 1, 2]),
        ("adb", [1, 2, 7, 3]),
        ("aa", [1, 2, 1, 2]),
        ("ef", [None]),
        ("f", []),
        ("", []),
    ],
)
def test_rows_are_those_of_the_runs_as_given_in_file_order(
    snapshot: Snapshot, folders: str, means: list[float | None]
) -> None:
    rows = frame(snapshot, folders, ["stats.mean", "magnet.row"]).collect()
    assert rows["stats.mean"].to_list() == means
    assert rows.schema == {"stats.mean": pl.Float64, "magnet.row": pl.Int64}


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_rows_are_the_same_in_parts_of_any_size(rows: int, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_runs, "_WINDOW_ROWS", rows)
    found = frame(snapshot, "cab").select("stats.mean", pl.lit(1)).collect()
    assert found["stats.mean"].to_list() == [4, 5, 6, 1, 2, 3]


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
    st.integers(1, 9),
)
def test_frames_and_streams_do_not_depend_on_how_runs_lie_in_segments(
    layout: list[list[int]], random: Random, rows: int
) -> None:
    """Each list is a segment of row groups of two runs; runs are asked for in any order, some twice, some not."""
    values: dict[str, list[Any]] = {}
    batches = mock.patch.object(chosen_rows, "_BATCH_ROWS", rows)
    with TemporaryDirectory() as folder, mock.patch.object(scan_runs, "_WINDOW_ROWS", rows), batches:
        for number, groups in enumerate(layout):
            made = []
            for group, n_rows in enumerate(groups):
                begin = 100 * number + 10 * group
                runs = {f"{begin}": [begin + row for row in range(n_rows)], f"{begin + 5}": [begin + 5]}
                made.append(runs)
                values |= runs
            snapshot = commit_runs(Path(folder), *made)
        chosen = random.choices(sorted(values), k=len(values) + 2)
        keys = [key_of(run) for run in chosen]
        expected = [float(value) for run in chosen for value in values[run]]
        assert select_runs(snapshot, "stats", keys, ["stats.mean"]).lazy().collect()["stats.mean"].to_list() == expected
        assert (
            pa.table(TableHandle(select_runs(snapshot, "stats", keys, ["stats.mean"])))["stats.mean"].to_pylist()
            == expected
        )


def test_a_row_group_is_read_once_for_runs_in_another_order(tmp_path: Path, reads: Reads) -> None:
    commit_runs(tmp_path, *({f"{run}": [run]} for run in range(8)))
    snapshot = commit_runs(tmp_path, *({f"{run}": [run]} for run in range(8, 16)))
    order = [(run * 7) % 16 for run in range(16)] * 2
    found = select_runs(snapshot, "stats", [key_of(f"{run}") for run in order]).lazy().collect()
    assert found["stats.mean"].to_list() == order
    assert len(reads) == 16


def test_texts_of_other_runs_in_a_row_group_do_not_matter(tmp_path: Path) -> None:
    """What is a number in these runs is stored as JSON text, since it is none in their neighbour."""
    snapshot = commit_runs(tmp_path, {"a": [{"n": 1}], "b": [{"n": "x"}], "c": [{"n": 2.5}]})
    found = frame(snapshot, "ca", [f"{OWN}.n"]).collect()
    assert found.schema == {f"{OWN}.n": pl.Float64}
    assert found[f"{OWN}.n"].to_list() == [2.5, 1.0]


def test_only_the_row_groups_of_these_runs_are_read(snapshot: Snapshot, reads: Reads) -> None:
    frame(snapshot, "c").collect()
    assert [group for group, _ in reads] == [1]
    reads.clear()
    frame(snapshot, "abba").collect()
    assert [group for group, _ in reads] == [0], "neighbours share one"


def test_only_the_columns_of_a_query_are_read(snapshot: Snapshot, reads: Reads) -> None:
    lazy = frame(snapshot, "abc")
    assert reads == []
    assert lazy.select("stats.mean").filter(pl.col("stats.mean") > 4).collect().height == 2
    assert lazy.select(pl.len()).collect().item() == 6
    assert {name for _, columns in reads for name in columns} <= {"stats.mean", "magnet.run"}


def test_a_query_that_wants_few_rows_reads_no_further(
    snapshot: Snapshot, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_runs, "_WINDOW_ROWS", 1)
    assert frame(snapshot, "abcd").head(2).collect()["stats.mean"].to_list() == [1.0, 2.0]
    assert [group for group, _ in reads] == [0]


def test_filters_see_all_rows(snapshot: Snapshot) -> None:
    lazy = frame(snapshot, "abcd", hidden=True)
    assert lazy.filter(pl.col("magnet.row") == 1).collect()["stats.mean"].to_list() == [2.0, 5.0]
    assert lazy.filter(pl.col("stats.mean") > 99).collect().height == 0
    assert lazy.filter(pl.col("magnet.row") == 0).head(2).collect()["stats.mean"].to_list() == [1.0, 3.0]


def test_hidden_columns_come_last_and_once(snapshot: Snapshot) -> None:
    assert frame(snapshot, "a").collect_schema().names() == ["run_spec.name", "stats.mean"]
    names = frame(snapshot, "a", hidden=True).collect_schema().names()
    assert names == ["run_spec.name", "stats.mean", "magnet.run", "magnet.row", "magnet.extra"]
    named = frame(snapshot, "a", ["magnet.row", "stats.mean"], hidden=True).collect_schema().names()
    assert named == ["magnet.row", "stats.mean", "magnet.run", "magnet.extra"]


def test_the_registered_schema_is_stable(snapshot: Snapshot) -> None:
    schemas = {tuple(frame(snapshot, folders, "registered").collect().schema.items()) for folders in ("a", "ef", "")}
    assert len(schemas) == 1


def test_what_is_not_there_is_an_error_before_anything_is_read(snapshot: Snapshot, reads: Reads) -> None:
    with pytest.raises(RunNotCachedError, match="has no run"):
        frame(snapshot, "az")
    with pytest.raises(ColumnNotFoundError, match=r"Did you mean 'stats\.mean'"):
        frame(snapshot, "a", ["stats.meen"])
    with pytest.raises(ColumnNotFoundError):
        select_runs(snapshot, "statistics", []).lazy()
    assert reads == []


def test_a_run_alone_decides_which_of_its_arguments_are_columns(tmp_path: Path) -> None:
    """Of 1,030 arguments the first 1,024 by name are; whatever another run has, the others stand in `magnet.extra`."""
    many = {f"k{number:04}": number for number in range(1030)}
    made = [make_run("a", args=many), make_run("b", args={"k1029": 8, "k0001": 9}), make_run("c", args={"z": None})]
    write_runs(tmp_path / "outputs", made)
    ingest(tmp_path / "outputs", tmp_path / "cache")
    snapshot = Cache(tmp_path / "cache").snapshot()
    a, b, c = sorted(snapshot.runs)
    args = "run_spec.scenario_spec.args"
    projection = select_runs(snapshot, "run_spec", [a]).lazy().collect_schema().names()
    names = [f"{args}.k{number:04}" for number in range(1024)]
    assert [name for name in projection if name.startswith(f"{args}.k")] == names
    everything = (
        select_runs(snapshot, "run_spec", [a, b, c], [*names, f"{args}.k1029", "magnet.extra"]).lazy().collect()
    )
    assert everything.row(0)[:1025] == (*range(1024), None)
    assert json.loads(everything.row(0)[1025]) == {
        f"/scenario_spec/args/k{number}": number for number in range(1024, 1030)
    }
    assert [value for value in everything.row(1)[:1025] if value is not None] == [9, 8]
    assert set(everything.row(2)[:1025]) == {None}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A whole run, from files."""
    write_runs(tmp_path / "outputs", [make_run("a:x=1", n_instances=40)])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    return tmp_path / "cache"


TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")


def rows_of(cache: Path, table: str) -> pl.DataFrame:
    snapshot = Cache(cache).snapshot()
    return select_runs(snapshot, table, list(snapshot.runs)).lazy().collect()


def all_rows_of(cache: Path, table: str) -> pl.DataFrame:
    return Cache(cache).scan(table).collect()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "read",
    [
        pytest.param(rows_of, id="frame of runs"),
        pytest.param(all_rows_of, id="scan of the cache", marks=pytest.mark.slow),
    ],
)
def test_a_flipped_bit_in_a_page_is_never_data(
    read: Callable[[Path, str], pl.DataFrame], table: str, cache: Path
) -> None:
    """In the last page of the column of names, which every query for all columns reads."""
    assert read(cache, table).height > 0
    (path,) = (cache / table).iterdir()
    column = pq.read_metadata(path).row_group(0).column(0)
    begin = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    data = bytearray(path.read_bytes())
    data[begin + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CacheDamagedError, match="is damaged") as caught:
        read(cache, table)
    assert path.name in str(caught.value)
    for other in set(TABLES) - {table}:
        assert read(cache, other).height > 0


@pytest.mark.parametrize("change", ["gone", "cut", "another"])
@pytest.mark.parametrize("way", ["frame of runs", "scan of the cache"])
def test_a_damaged_file_is_noticed_when_the_frame_is_collected(way: str, change: str, cache: Path) -> None:
    snapshot = Cache(cache).snapshot()
    is_scan = way == "scan of the cache"
    lazy = Cache(cache).scan("stats") if is_scan else select_runs(snapshot, "stats", list(snapshot.runs)).lazy()
    (path,) = (cache / "stats").iterdir()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] if change == "cut" else (cache / "run_spec" / path.name).read_bytes())
    with pytest.raises(CacheDamagedError, match="is damaged"):
        lazy.collect()


def test_the_rows_of_a_run_as_they_are_stored(snapshot: Snapshot) -> None:
    stored = StoredTables(snapshot)
    (run,) = snapshot.chosen([key_of("b")])
    (part,) = stored.rows(run, "stats")
    assert part.column("stats.mean").to_pylist() == [3.0]
    assert part.column("magnet.run").to_pylist() == [key_of("b")]
    assert list(stored.rows(snapshot.chosen([key_of("f")])[0], "stats")) == []
    assert list(stored_types(snapshot.chosen([key_of("e")])[0], "stats")) == [f"{OWN}.n"]


def test_a_scan_has_the_registered_columns_and_then_those_found_in_the_data(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [{"z": 1}, {"b": "x"}]})
    columns = Cache(tmp_path).scan("stats").collect_schema().names()
    assert columns == [*registry.table("stats").names, f"{OWN}.b", f"{OWN}.z"]


def test_a_scan_of_segments_that_differ_in_columns_and_types_is_one_frame(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("way", ["frame of runs", "scan of the cache"])
def test_what_an_older_cache_had_no_room_for_is_in_its_columns(way: str) -> None:
    """`data/cache_overflow` has it in the residual of its first segment."""
    cache = Cache(Path(__file__).parents[1] / "data" / "cache_overflow")
    snapshot = cache.snapshot()
    runs = [key_of(folder) for folder in "abc"]
    frame = (
        cache.scan("stats") if way == "scan of the cache" else select_runs(snapshot, "stats", runs, own="hidden").lazy()
    )
    names = [f"{OWN}.{name}" for name in ("m", "n", '"o/~\'\\"p"')]
    rows = frame.sort("magnet.run", "magnet.row").select(*names, "magnet.extra").collect().rows()
    nothing = (None, None, None, None)
    assert rows == [(1, 2, "x", None), (3, 4, None, None), nothing, (6, 7, "y", None)]
    assert select_runs(snapshot, "stats", runs[:1], names[::2]).lazy().collect().rows() == [(1, "x")]


def test_a_scan_leaves_deleted_runs_out(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    commit_runs(tmp_path, {"c": [3]})
    frame = Cache(tmp_path).scan("stats")
    commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
    assert Cache(tmp_path).scan("stats").sort("magnet.run").collect()["stats.mean"].to_list() == [2.0, 3.0]
    # A frame taken before is of its own commit.
    assert frame.sort("magnet.run").collect()["stats.mean"].to_list() == [1.0, 2.0, 3.0]


def test_a_scan_reads_each_row_group_once_and_just_the_columns_that_a_query_needs(tmp_path: Path, reads: Reads) -> None:
    commit_runs(tmp_path, {"b": [1, 2]}, {"a": [{"n": 3}], "c": [4]})
    frame = Cache(tmp_path).scan("stats")
    assert frame.filter(pl.col("stats.mean") > 1).select("magnet.row").collect().rows() == [(1,), (0,)]
    assert reads == [(0, ["magnet.row", "stats.mean"]), (1, ["magnet.row", "stats.mean"])]
    assert frame.select(pl.len()).collect().item() == 4
    del reads[:]
    assert frame.select("stats.mean").head(1).collect().item() == 1.0
    assert reads == [(0, ["stats.mean"])]
