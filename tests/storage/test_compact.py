"""Segments made fewer: what is merged and when, and that only the files are others afterwards (R3, R9)."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from makesegment import commit_runs, key_of, make_segment
from polars.testing import assert_frame_equal

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheDamagedError, CacheNotWritableError
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.schema import registry
from magnet_arrow.storage import transaction
from magnet_arrow.storage.maintenance import compact, merge, vacuum
from magnet_arrow.storage.manifest import Source, read_manifest
from magnet_arrow.storage.snapshot import Snapshot
from magnet_arrow.storage.transaction import Transaction, commit_transaction

FOLDERS = "abcdef"
CELLS = st.sampled_from([1, 2.5, True, "t", None, [1, 2], [], {"deep": 1}, 2**53 + 1])
ROWS = st.lists(
    st.integers(-3, 3) | st.dictionaries(st.sampled_from("klmn"), CELLS, min_size=1, max_size=3), min_size=1, max_size=4
)
GROUPS = st.lists(st.dictionaries(st.sampled_from(FOLDERS), ROWS, max_size=3), min_size=1, max_size=3)


def distinct(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A run is in one row group only."""
    met: set[str] = set()
    found = []
    for group in groups:
        found.append({folder: rows for folder, rows in group.items() if folder not in met})
        met |= group.keys()
    return found


STEPS = st.lists(
    st.tuples(st.just("commit"), GROUPS.map(distinct))
    | st.tuples(st.just("prune"), st.sampled_from(FOLDERS))
    | st.tuples(st.just("compact"), st.integers(1, 5)),
    min_size=1,
    max_size=8,
)


def frame(cache: Path, keys: list[str]) -> pl.DataFrame:
    return select_runs(Cache(cache).snapshot(), "stats", keys, own="hidden").lazy().collect()


def n_segments(cache: Path) -> int:
    return len(read_manifest(cache).segments)


def columns(cache: Path) -> list[set[str]]:
    """Those that were found in the data, by segment."""
    return [set(segment.tables["stats"].dynamic) for segment in read_manifest(cache).segments if segment.tables]


def is_wide(cache: Path) -> bool:
    """Whether all segments together have more columns than one may have."""
    return len(set().union(*columns(cache))) > registry.MAX_DYNAMIC_COLUMNS


@given(STEPS)
def test_frames_depend_on_the_runs_and_on_nothing_else(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[Any]
) -> None:
    """Commits, prunings and compactions in any order against each run committed once, alone."""
    monkeypatch.setattr(registry, "MAX_DYNAMIC_COLUMNS", 3)
    cache, plain = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("plain")
    expected: dict[str, list[Any]] = {}
    for state, (step, what) in enumerate(steps):
        match step:
            case "commit":
                commit_runs(cache, *what, state=state)
                expected.update(run for group in what for run in group.items())
            case "prune":
                commit_transaction(cache, Transaction(pruned=[key_of(what)]))
                expected.pop(what, None)
            case "compact":
                monkeypatch.setattr(merge, "GROUP_ROWS", what)
                Cache(cache).compact()
                assert n_segments(cache) <= 1 or is_wide(cache)
    for folder in reversed(expected):
        commit_runs(plain, {folder: expected[folder]})
    keys = sorted(Cache(plain).snapshot().runs)
    assert sorted(Cache(cache).snapshot().runs) == keys
    for some in (keys, keys[::-1], *([key] for key in keys)):
        assert_frame_equal(frame(cache, some), frame(plain, some))
    assert_frame_equal(
        Cache(cache).scan("stats").collect().sort("magnet.run", "magnet.row"),
        Cache(plain).scan("stats").collect().sort("magnet.run", "magnet.row"),
    )
    assert Cache(cache).check().damages == ()


def test_segments_are_not_merged_past_the_bound_of_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "MAX_DYNAMIC_COLUMNS", 3)
    for folder, names in (("a", "kl"), ("b", "lm"), ("c", "no"), ("d", "n")):
        commit_runs(tmp_path, {folder: [dict.fromkeys(names, 1)]})
    before = frame(tmp_path, [key_of(folder) for folder in "abcd"])
    done = Cache(tmp_path).compact()
    assert (done.segments_before, done.segments_after) == (4, 2)
    assert [{name[-1] for name in names} for names in columns(tmp_path)] == [{*"klm"}, {*"no"}]
    assert_frame_equal(frame(tmp_path, [key_of(folder) for folder in "abcd"]), before)


def test_a_segment_of_an_older_cache_that_lacks_columns_stays_as_it_is(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "data" / "cache_overflow", tmp_path / "cache")
    keys = [key_of(folder) for folder in "abc"]
    before = frame(tmp_path / "cache", keys)
    done = Cache(tmp_path / "cache").compact()
    assert (done.segments_before, done.segments_after) == (2, 2)
    assert_frame_equal(frame(tmp_path / "cache", keys), before)


def test_what_is_merged_is_sorted_by_place_in_full_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_runs(tmp_path, {"d": [1, 2, 3]}, {"e": [4]})
    commit_runs(tmp_path, {"a": [5], "c": [6, 7], "f": []})
    commit_runs(tmp_path, {"b": [8], "c": [9, 9]}, state=2)
    monkeypatch.setattr(merge, "GROUP_ROWS", 4)
    done = Cache(tmp_path).compact()
    assert (done.segments_before, done.segments_after) == (3, 1)
    assert done.bytes_after < done.bytes_before
    (segment,) = read_manifest(tmp_path).segments
    assert (segment.n_runs, segment.deleted, segment.tables["stats"].rows) == (6, None, 8)
    runs = Snapshot(tmp_path, read_manifest(tmp_path)).runs
    places = {key[-1]: (run.rows("stats").group, run.rows("stats").skip) for key, run in runs.items()}
    assert places == {"a": (0, 0), "b": (0, 1), "c": (0, 2), "d": (1, 0), "e": (1, 3), "f": (0, 0)}
    assert frame(tmp_path, [key_of("c")])["stats.mean"].to_list() == [9.0, 9.0]


def test_a_run_of_many_row_groups_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "GROUP_ROWS", 2)
    commit_runs(tmp_path, {"b": list(range(5)), "a": [9]})
    commit_runs(tmp_path, {"c": [7]})
    Cache(tmp_path).compact()
    assert frame(tmp_path, [key_of("b")])["stats.mean"].to_list() == [0.0, 1.0, 2.0, 3.0, 4.0]
    monkeypatch.setattr(merge, "GROUP_ROWS", 3)
    commit_runs(tmp_path, {"0": [8]})
    Cache(tmp_path).compact()
    assert frame(tmp_path, [key_of(name) for name in "bc0"])["stats.mean"].to_list() == [0, 1, 2, 3, 4, 7, 8]


def test_compacting_again_changes_nothing(tmp_path: Path) -> None:
    for folder in FOLDERS:
        commit_runs(tmp_path, {folder: [1]})
    Cache(tmp_path).compact()
    before = (tmp_path / "manifest.json").read_bytes()
    Cache(tmp_path).compact()
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_a_cache_without_runs_can_be_compacted(tmp_path: Path) -> None:
    assert Cache(tmp_path / "none").compact().segments_after == 0


def test_writers_merge_where_many_segments_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MAX_SMALL", 4)
    sizes = []
    for number in range(30):
        snapshot = commit_runs(tmp_path, {f"r{number:02}": [number]})
        compact.merge_due(snapshot)
        sizes.append(n_segments(tmp_path))
    assert max(sizes) <= 4
    keys = [key_of(f"r{number:02}") for number in range(30)]
    assert frame(tmp_path, keys)["stats.mean"].to_list() == list(range(30))


def test_what_is_large_already_is_not_rewritten_at_every_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MAX_SMALL", 4)
    commit_runs(tmp_path, {f"large{number}": [number * key / 7 for key in range(2000)] for number in range(40)})
    large = read_manifest(tmp_path).segments[0]
    for number in range(4):
        compact.merge_due(commit_runs(tmp_path, {f"r{number}": [number]}))
    assert [segment.n_runs for segment in read_manifest(tmp_path).segments] == [40, 4]
    assert read_manifest(tmp_path).segments[0] == large


@pytest.mark.parametrize(("dead", "merged"), [(2, False), (3, True)], ids=["a fifth", "more"])
def test_writers_rewrite_a_segment_with_many_dead_runs(dead: int, merged: bool, tmp_path: Path) -> None:
    commit_runs(tmp_path, {f"r{number}": [number] for number in range(10)})
    snapshot = commit_transaction(tmp_path, Transaction(pruned=[key_of(f"r{number}") for number in range(dead)]))
    compact.merge_due(snapshot)
    assert (read_manifest(tmp_path).segments[0].deleted is None) == merged
    assert Cache(tmp_path).runs().height == 10 - dead


def test_what_others_commit_during_a_merge_stays(tmp_path: Path) -> None:
    """They replace one run and prune another; a third was replaced before."""
    commit_runs(tmp_path, {"a": [1], "b": [2], "c": [3], "e": [7]})
    commit_runs(tmp_path, {"a": [4], "d": [5]}, state=2)
    snapshot = Cache(tmp_path).snapshot()
    new = merge.merge(snapshot, snapshot.manifest.segments)
    commit_runs(tmp_path, {"b": [6]}, state=3)
    commit_transaction(tmp_path, Transaction(pruned=[key_of("c")], sources=[Source("s1", "/new")]))
    assert transaction.replace(tmp_path, new, snapshot.manifest.segments)
    assert frame(tmp_path, [key_of(name) for name in "abd"])["stats.mean"].to_list() == [4.0, 6.0, 5.0]
    assert Cache(tmp_path).runs()["folder"].to_list() == ["a", "b", "d", "e"]
    assert [source.id for source in read_manifest(tmp_path).sources] == ["s0", "s1"]
    assert Cache(tmp_path).check().damages == ()


def test_of_two_that_merge_the_same_one_gives_way(tmp_path: Path) -> None:
    for folder in "ab":
        commit_runs(tmp_path, {folder: [1]})
    snapshot = Cache(tmp_path).snapshot()
    first, second = (merge.merge(snapshot, snapshot.manifest.segments) for _ in range(2))
    assert transaction.replace(tmp_path, first, snapshot.manifest.segments)
    assert not transaction.replace(tmp_path, second, snapshot.manifest.segments)
    vacuum.discard(tmp_path, second.id)
    assert Cache(tmp_path).runs().height == 2
    assert not list(tmp_path.rglob(f"{second.id}*"))


def test_a_merge_whose_runs_have_all_gone_leaves_nothing(tmp_path: Path) -> None:
    for folder in "ab":
        commit_runs(tmp_path, {folder: [1]})
    snapshot = Cache(tmp_path).snapshot()
    new = merge.merge(snapshot, snapshot.manifest.segments[:1])
    commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
    assert not transaction.replace(tmp_path, new, snapshot.manifest.segments[:1])
    assert Cache(tmp_path).runs()["folder"].to_list() == ["b"]


def test_a_damaged_segment_is_left_and_named(tmp_path: Path) -> None:
    for folder in "abc":
        commit_runs(tmp_path, {folder: [1]})
    bad = tmp_path / read_manifest(tmp_path).segments[0].tables["stats"].file.path
    bad.write_bytes(bad.read_bytes()[:-5])
    done = Cache(tmp_path).compact()
    assert (done.segments_before, done.segments_after) == (3, 2)
    assert bad.name in done.damaged[0]
    assert sorted(key[-1] for key in Cache(tmp_path).snapshot().runs) == ["a", "b", "c"]


def test_a_page_that_turns_out_bad_stops_the_merge_and_leaves_nothing(tmp_path: Path) -> None:
    for folder in "ab":
        commit_runs(tmp_path, {folder: [1]})
    bad = tmp_path / read_manifest(tmp_path).segments[0].tables["stats"].file.path
    chunk = pq.ParquetFile(bad).metadata.row_group(0).column(0)
    begin = chunk.dictionary_page_offset or chunk.data_page_offset
    data = bytearray(bad.read_bytes())
    data[begin + chunk.total_compressed_size - 1] ^= 1
    bad.write_bytes(data)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(CacheDamagedError, match=bad.name):
        Cache(tmp_path).compact()
    left = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert left == {tmp_path / "damaged" / bad.stem}
    assert Cache(tmp_path).compact().segments_after == 2  # the next time it is skipped


def test_a_full_disk_leaves_the_cache_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for folder in "ab":
        commit_runs(tmp_path, {folder: [1]})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr("magnet_arrow.storage.maintenance.merge.write_runs", full)
    with pytest.raises(CacheNotWritableError, match="No space left"):
        Cache(tmp_path).compact()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_writer_whose_files_were_swept_does_not_commit(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    segment = make_segment(tmp_path, {"b": [2]})
    before = read_manifest(tmp_path)
    (tmp_path / segment.tables["stats"].file.path).unlink()
    with pytest.raises((CacheNotWritableError, CacheDamagedError, OSError)):
        commit_transaction(tmp_path, Transaction(segment=segment))
    assert read_manifest(tmp_path) == before
