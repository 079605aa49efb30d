"""The one way to commit: what others committed stays, a run is there once, what is replaced is gone."""

from pathlib import Path

import polars as pl
import pytest
from makesegment import SUITE, commit_runs, key_of, make_segment, run_entry

from magnet_arrow.cache import Cache
from magnet_arrow.errors import ColumnNotFoundError, Rejected, RunNotCachedError
from magnet_arrow.storage.manifest import RejectedRun, Source, read_manifest
from magnet_arrow.storage.transaction import Transaction, commit_transaction


def means(cache: Path) -> dict[str, list[float]]:
    """Means of each live run, by folder."""
    rows = Cache(cache).scan("stats").sort("magnet.run", "magnet.row").collect()
    found: dict[str, list[float]] = {}
    for key, mean in rows.select("magnet.run", "stats.mean").iter_rows():
        found.setdefault(key.rpartition("/")[2], []).append(mean)
    return found


def rejection(folder: str, state: int = 1) -> RejectedRun:
    fault = Rejected(run=f"{SUITE}/{folder}", file="stats.json", reason="expected a list.", byte=7, found="a number")
    return RejectedRun("s0", SUITE, folder, run_entry(folder, state=state).fingerprint, fault)


def n_segments(cache: Path) -> int:
    return len(read_manifest(cache).segments)


def test_commits_add_up(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"b": [2, 3]})
    commit_runs(tmp_path, {"a": [1]}, {"c": []})
    assert means(tmp_path) == {"a": [1.0], "b": [2.0, 3.0]}
    assert Cache(tmp_path).runs()["folder"].to_list() == ["a", "b", "c"]


def test_two_writers_that_bring_a_run_in_the_same_state_bring_it_once(tmp_path: Path) -> None:
    """Both read it before either committed."""
    first, second = make_segment(tmp_path, {"a": [1], "b": [2]}), make_segment(tmp_path, {"b": [2], "c": [3]})
    for segment in (first, second):
        commit_transaction(tmp_path, Transaction(segment=segment))
    assert means(tmp_path) == {"a": [1.0], "b": [2.0], "c": [3.0]}
    assert Cache(tmp_path).runs().height == 3


def test_a_writer_that_brings_nothing_new_adds_no_segment(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    before = read_manifest(tmp_path).segments
    commit_runs(tmp_path, {"a": [1]})
    assert read_manifest(tmp_path).segments == before


def test_a_run_in_another_state_is_replaced_as_a_whole(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1, 2, 3], "b": [4]})
    commit_runs(tmp_path, {"a": [5]}, state=2)
    assert means(tmp_path) == {"a": [5.0], "b": [4.0]}
    commit_runs(tmp_path, {"a": [6, 7]}, state=3)
    assert means(tmp_path) == {"a": [6.0, 7.0], "b": [4.0]}
    assert n_segments(tmp_path) == 2  # that of state 2 has no run left


def test_deletions_of_a_segment_add_up(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2], "c": [3]})
    for folder in ("a", "b"):
        commit_transaction(tmp_path, Transaction(pruned=[key_of(folder)]))
    assert means(tmp_path) == {"c": [3.0]}
    assert Cache(tmp_path).runs()["folder"].to_list() == ["c"]


def test_a_segment_of_which_no_run_is_left_is_not_named_any_more(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    commit_transaction(tmp_path, Transaction(pruned=[key_of("a"), key_of("b"), key_of("never there")]))
    assert n_segments(tmp_path) == 0
    assert means(tmp_path) == {}


def test_equal_places_in_two_sources_are_two_runs(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]}, source="s0")
    commit_runs(tmp_path, {"a": [2]}, source="s1", state=2)
    runs = Cache(tmp_path).runs()
    assert runs.select("magnet.run", "source").rows() == [
        (key_of("a", "s0"), "/dumps/s0"),
        (key_of("a", "s1"), "/dumps/s1"),
    ]


def test_a_source_that_moved_has_one_path(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    commit_transaction(tmp_path, Transaction(sources=[Source("s0", "/elsewhere"), Source("s1", "/new")]))
    assert read_manifest(tmp_path).sources == (Source("s0", "/elsewhere"), Source("s1", "/new"))


def test_a_source_that_another_writer_has_seen_first_keeps_its_id(tmp_path: Path) -> None:
    for number in (0, 1):
        snapshot = commit_transaction(tmp_path, Transaction(sources=[Source(f"s{number}", "/same")]))
    assert snapshot.manifest.sources == (Source("s0", "/same"),)


def test_a_rejected_run_leaves_what_there_was_of_it(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    commit_transaction(tmp_path, Transaction(rejected=[rejection("a", 2), rejection("b")]))
    assert means(tmp_path) == {"a": [1.0]}
    rejects = Cache(tmp_path).rejects()
    assert rejects.columns == [
        *("source", "suite", "folder", "left_out", "file", "json_path", "byte", "begin_byte", "end_byte"),
        *("expected", "found", "reason", "hint", "sample"),
    ]
    told = {name: value for name, value in rejects.row(1, named=True).items() if value is not None}
    assert list(told.values()) == ["/dumps/s0", SUITE, "b", "run", "stats.json", 7, "a number", "expected a list."]


def test_a_rejection_goes_when_the_run_is_taken_or_pruned(tmp_path: Path) -> None:
    commit_transaction(tmp_path, Transaction(rejected=[rejection("a"), rejection("b"), rejection("c")]))
    commit_runs(tmp_path, {"a": [1]}, state=2)
    commit_transaction(tmp_path, Transaction(pruned=[key_of("b")]))
    assert Cache(tmp_path).rejects()["folder"].to_list() == ["c"]


def stale(cache: Path) -> list[str]:
    found: list[str] = Cache(cache).runs().filter("stale")["folder"].to_list()
    return found


def test_what_was_rejected_or_lost_since_is_stale(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2], "c": [3], "d": [4]})
    assert stale(tmp_path) == []
    commit_transaction(
        tmp_path, Transaction(rejected=[rejection("a", 2), rejection("e")], gone=[key_of("b"), key_of("c")])
    )
    assert stale(tmp_path) == ["a", "b", "c"]
    assert Cache(tmp_path).snapshot().stale == {
        key_of("a"): "rejected since",
        key_of("b"): "gone from its source",
        key_of("c"): "gone from its source",
    }
    commit_transaction(tmp_path, Transaction(recovered=[key_of("b")]))
    commit_runs(tmp_path, {"c": [5]}, state=2)
    assert stale(tmp_path) == ["a"]
    commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
    assert stale(tmp_path) == []


def test_no_mark_is_left_of_a_run_that_another_has_removed(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    commit_transaction(tmp_path, Transaction(gone=[key_of("a"), key_of("b")]))
    assert read_manifest(tmp_path).gone == (key_of("a"),)
    Cache(tmp_path).remove("a")
    assert read_manifest(tmp_path).gone == ()


def test_a_mark_outlives_other_commits_and_a_merge(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    commit_transaction(tmp_path, Transaction(gone=[key_of("b")]))
    commit_runs(tmp_path, {"c": [3]})
    Cache(tmp_path).compact()
    assert stale(tmp_path) == ["b"]


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (["/dumps/s0"], ["s1/v1/a"]),
        (["/dumps/s0/runs"], ["s1/v1/a"]),
        (["/dumps/s0/runs/v1/"], ["s1/v1/a"]),
        (["/dumps/s0/v1"], ["s1/v1/a"]),
        (["/dumps/s0/runs/v1/a"], ["s0/v1/b", "s1/v1/a"]),
        (["s0/v1/a"], ["s0/v1/b", "s1/v1/a"]),
        (["b"], ["s0/v1/a", "s1/v1/a"]),
        (["v1/b", "/dumps/s1"], ["s0/v1/a"]),
        (["/dumps"], []),
    ],
)
def test_runs_are_removed_by_source_suite_or_run(names: list[str], left: list[str], tmp_path: Path) -> None:
    """None of the sources is there."""
    commit_runs(tmp_path, {"a": [1], "b": [2]}, source="s0")
    commit_runs(tmp_path, {"a": [3]}, source="s1")
    assert Cache(tmp_path).remove(*names) == 3 - len(left)
    assert Cache(tmp_path).runs()["magnet.run"].to_list() == left


def test_what_was_rejected_is_removed_too(tmp_path: Path) -> None:
    commit_transaction(
        tmp_path, Transaction(sources=[Source("s0", "/dumps/s0")], rejected=[rejection("a"), rejection("b")])
    )
    assert Cache(tmp_path).remove("a") == 0
    assert Cache(tmp_path).rejects()["folder"].to_list() == ["b"]
    assert Cache(tmp_path).remove("/dumps/s0") == 0
    assert Cache(tmp_path).rejects().is_empty()


@pytest.mark.parametrize("name", ["a", "", "/dumps/s2", "nothing"])
def test_a_name_of_several_runs_or_none_removes_nothing(name: str, tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]}, source="s0")
    commit_runs(tmp_path, {"a": [3]}, source="s1")
    with pytest.raises(RunNotCachedError):
        Cache(tmp_path).remove("s0/v1/a", name)
    assert Cache(tmp_path).runs().height == 2


def test_a_source_is_offered_where_one_can_be_named(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]}, source="s0")
    path = Cache(tmp_path).snapshot().manifest.sources[0].path
    with pytest.raises(RunNotCachedError, match="Did you mean"):
        Cache(tmp_path).remove(path + "x")


def test_what_is_cached_is_one_row_a_run(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"b": [1, 2], "a": [3]})
    runs = Cache(tmp_path).runs()
    kept = ["folder", "run_spec.name", "partial", "missing", "rows.stats", "rows.run_spec", "size_bytes"]
    assert runs.select(kept).rows() == [
        ("a", "name of a", False, [], 1, 0, 100),
        ("b", "name of b", False, [], 2, 0, 100),
    ]


def test_an_empty_cache_has_all_tables_without_rows(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "nothing")
    assert cache.runs().height == cache.rejects().height == 0
    frame = cache.scan("stats").collect()
    assert frame.height == 0
    assert frame.schema["stats.mean"] == pl.Float64
    assert not (tmp_path / "nothing").exists()


def test_reading_makes_no_file_and_takes_no_lock(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    for path in tmp_path.glob("lock*"):
        path.unlink()
    before = sorted(tmp_path.rglob("*"))
    cache = Cache(tmp_path)
    cache.runs(), cache.rejects(), cache.scan("stats").collect()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cache_that_was_moved_still_reads(tmp_path: Path) -> None:
    commit_runs(tmp_path / "old", {"a": [1], "b": [2]})
    commit_transaction(tmp_path / "old", Transaction(pruned=[key_of("b")]))
    (tmp_path / "old").rename(tmp_path / "new")
    assert means(tmp_path / "new") == {"a": [1.0]}


def test_a_wrong_table_is_answered_with_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'stats'"):
        Cache(tmp_path).scan("stat")


def test_which_folder_a_cache_is(tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Cache().path == cache_dir
    assert Cache.coerce(None).path == cache_dir
    assert Cache.coerce(str(tmp_path)).path == tmp_path
    cache = Cache(tmp_path)
    assert Cache.coerce(cache) is cache
    assert repr(cache) == f"Cache({str(tmp_path)!r})"
    monkeypatch.delenv("MAGNET_ARROW_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Cache().path.parts[-2:] == ("magnet_arrow", "cache")
