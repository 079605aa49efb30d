"""The cache at one commit: it stays readable, and finds its runs by place."""

from pathlib import Path

import pytest
from makesegment import SUITE, commit_runs, key_of
from reading import forget_run_lists

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheDamagedError, RunNotCachedError
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.storage import snapshot as snapshot_module
from magnet_arrow.storage.manifest import read_manifest
from magnet_arrow.storage.snapshot import Snapshot
from magnet_arrow.storage.transaction import Transaction, commit_transaction


def means(snapshot: Snapshot) -> list[float]:
    return means_of(snapshot, sorted(snapshot.runs))


def means_of(snapshot: Snapshot, keys: list[str]) -> list[float]:
    found: list[float] = select_runs(snapshot, "stats", keys).lazy().collect()["stats.mean"].to_list()
    return found


def place(folder: str, source: str = "/dumps/s0") -> RunPlace:
    return RunPlace(Path(source, "runs", SUITE, folder), Path(source), SUITE, folder)


def test_a_snapshot_reads_what_it_was_made_of_after_later_commits(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    before = Cache(tmp_path).snapshot()
    frame = select_runs(before, "stats", sorted(before.runs)).lazy()
    commit_runs(tmp_path, {"a": [10]}, state=2)
    commit_transaction(tmp_path, Transaction(pruned=[key_of("b")]))
    assert means(before) == frame.collect()["stats.mean"].to_list() == [1.0, 2.0]
    assert means(Cache(tmp_path).snapshot()) == [10.0]


def test_a_run_is_looked_up_by_its_place_and_nothing_else(tmp_path: Path) -> None:
    snapshot = commit_runs(tmp_path, {"a": [1]})
    found = snapshot.lookup(place("a"))
    assert found is not None
    assert (found.key, found.name) == (key_of("a"), "name of a")
    assert snapshot.lookup(place("b")) is None
    assert snapshot.lookup(place("a", "/dumps/other")) is None
    assert snapshot.key_of(place("b")) == key_of("b")
    assert snapshot.key_of(place("a", "/dumps/other")) is None


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    snapshot = commit_runs(tmp_path, {"a": [1]})
    assert [run.rows("stats").rows for run in snapshot.chosen([key_of("a"), key_of("a")])] == [1, 1]
    with pytest.raises(RunNotCachedError, match=f"has no run '{key_of('z')}'"):
        snapshot.chosen([key_of("a"), key_of("z")])


@pytest.mark.parametrize("few", [0, 100])
def test_runs_are_found_whether_a_few_are_looked_up_or_all_are_read(
    few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "_FEW", few)
    commit_runs(tmp_path, {"a": [1], "b": [2], "b/": [3], "d": [4]})
    commit_runs(tmp_path, {"c": [5]})
    commit_runs(tmp_path, {"b": [6], "e": [7]}, state=2)
    commit_transaction(tmp_path, Transaction(pruned=[key_of("d")]))
    snapshot = Cache(tmp_path).snapshot()
    asked = [key_of(folder) for folder in ("e", "b", "", "d", "b/", "bb", "a", "c", "f")]
    found = snapshot.among(asked)
    assert list(found) == [key_of(folder) for folder in ("e", "b", "b/", "a", "c")]
    assert [run.fingerprint[0].mtime_ns for run in found.values()] == [2, 2, 1, 1, 1]
    assert means_of(snapshot, list(found)) == [7.0, 6.0, 3.0, 1.0, 5.0]
    assert ("entries" in vars(snapshot)) is (few == 0)


def test_a_few_runs_are_taken_from_all_where_these_are_known(tmp_path: Path) -> None:
    snapshot = commit_runs(tmp_path, {"a": [1], "b": [2]})
    assert snapshot.among([key_of("b")])[key_of("b")] is not snapshot.entries[key_of("b")]
    assert snapshot.among([key_of("b")])[key_of("b")] is snapshot.entries[key_of("b")]


def test_a_run_tells_what_occurs_in_its_tables(tmp_path: Path) -> None:
    snapshot = commit_runs(tmp_path, {"a": [{"n": 1}], "b": [1]})
    a, b = snapshot.chosen([key_of(folder) for folder in "ab"])
    assert list(a.dynamic("stats")) == ["stats.name.perturbation.n"]
    assert b.dynamic("stats") == b.dynamic("scenario_state") == {}
    assert a.occurs("stats") != b.occurs("stats")
    assert a.occurs("scenario_state") == 0


@pytest.mark.parametrize("change", ["cut", "altered", "gone"])
def test_a_damaged_run_list_is_noticed(change: str, tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    path = tmp_path / read_manifest(tmp_path).segments[0].runs.path
    data = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if change == "cut" else data[:-9] + b"changed!!")
    forget_run_lists()
    with pytest.raises(CacheDamagedError, match="is damaged") as caught:
        _ = Cache(tmp_path).snapshot().runs
    assert str(path) in str(caught.value)


def test_a_damaged_deletion_file_does_not_bring_runs_back(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
    (path,) = (tmp_path / "deleted").iterdir()
    path.write_bytes(path.read_bytes().replace(b"/a", b"/x"))
    with pytest.raises(CacheDamagedError):
        _ = Cache(tmp_path).snapshot().runs
