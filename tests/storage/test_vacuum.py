"""What no manifest names goes after a grace time and not before, and only if it is ours (R3)."""

import os
import time
from pathlib import Path

import filelock
import pytest
from makesegment import commit_runs, key_of, make_segment
from reading import forget_run_lists

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheLockedError, SnapshotExpiredError
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.storage import commit
from magnet_arrow.storage.maintenance import vacuum
from magnet_arrow.storage.maintenance.vacuum import Vacuumed, orphan_files, vacuum_hourly
from magnet_arrow.storage.manifest import Dropped, read_manifest
from magnet_arrow.storage.transaction import GRACE_S, Transaction, commit_transaction

DAY_S = 24 * 60 * 60
NOW_S = 1_900_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its one item; files are as old as the test says."""
    now = [NOW_S]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def make_old(path: Path, age_s: float) -> None:
    os.utime(path, (NOW_S - age_s, NOW_S - age_s))


def files(cache: Path) -> set[str]:
    return {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file() and path.parent != cache}


def test_the_grace_time_is_a_day() -> None:
    assert GRACE_S == DAY_S


def test_what_a_commit_drops_goes_a_day_later(tmp_path: Path, clock: list[float]) -> None:
    """However old the files are: what counts is when they were dropped."""
    before = commit_runs(tmp_path, {"a": [1]})
    for path in files(tmp_path):
        make_old(tmp_path / path, 100 * DAY_S)
    commit_runs(tmp_path, {"a": [2]}, state=2)
    assert read_manifest(tmp_path).dropped == (Dropped(before.manifest.segments[0].id, int(NOW_S)),)
    frame = select_runs(before, "stats", [key_of("a")]).lazy()
    clock[0] += DAY_S - 1
    assert vacuum.vacuum(tmp_path) == Vacuumed()
    assert frame.collect()["stats.mean"].to_list() == [1.0]
    clock[0] += 1
    assert vacuum.vacuum(tmp_path).files == 2
    with pytest.raises(SnapshotExpiredError, match="the cache has moved on"):
        frame.collect()
    assert files(tmp_path) == set(read_manifest(tmp_path).files_by_path())
    commit_transaction(tmp_path, Transaction())
    assert read_manifest(tmp_path).dropped == ()


def test_a_deletion_file_that_was_replaced_goes_alone(tmp_path: Path, clock: list[float]) -> None:
    commit_runs(tmp_path, {name: [1] for name in "abc"})
    before = commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
    after = commit_transaction(tmp_path, Transaction(pruned=[key_of("b")]))
    clock[0] += DAY_S
    assert vacuum.vacuum(tmp_path).files == 1
    forget_run_lists()
    assert list(after.runs) == [key_of("c")]
    with pytest.raises(SnapshotExpiredError):
        _ = before.runs


def test_a_snapshot_whose_run_lists_were_not_read_yet_expires_too(tmp_path: Path, clock: list[float]) -> None:
    before = commit_runs(tmp_path, {"a": [1]})
    commit_runs(tmp_path, {"a": [2]}, state=2)
    clock[0] += DAY_S
    vacuum.vacuum(tmp_path)
    forget_run_lists()
    with pytest.raises(SnapshotExpiredError):
        _ = before.runs


def test_what_a_dead_writer_left_goes_a_day_after_it_was_written(tmp_path: Path, clock: list[float]) -> None:
    commit_runs(tmp_path, {"a": [1]})
    kept = files(tmp_path)
    left = make_segment(tmp_path, {"b": [2]})
    part = tmp_path / "stats" / f"{left.id}.part0"
    part.write_bytes(b"PAR1")
    for path in files(tmp_path):
        make_old(tmp_path / path, DAY_S - 1)
    assert vacuum.vacuum(tmp_path, grace_s=0) == Vacuumed()  # it may be at work still
    for path in files(tmp_path):
        make_old(tmp_path / path, DAY_S)
    assert vacuum.vacuum(tmp_path).files == 3
    assert files(tmp_path) == kept


def test_less_grace_frees_what_was_dropped_at_once(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    commit_runs(tmp_path, {"b": [1]})
    done = Cache(tmp_path).compact(grace_s=0)
    assert (done.swept_files, done.swept_bytes > 0) == (4, True)
    assert files(tmp_path) == set(read_manifest(tmp_path).files_by_path())


def test_files_of_others_stay(tmp_path: Path, clock: list[float]) -> None:
    commit_runs(tmp_path, {"a": [1]})
    names = ["stats/mine.parquet", "stats/0123456789abcdef.txt", "runs/.nfs0001", "notes.txt", "0123456789abcdef.json"]
    for name in names:
        (tmp_path / name).touch()
        make_old(tmp_path / name, 100 * DAY_S)
    assert vacuum.vacuum(tmp_path) == Vacuumed()
    assert all((tmp_path / name).exists() for name in names)


def test_a_mark_goes_with_its_segment(tmp_path: Path, clock: list[float]) -> None:
    segment = commit_runs(tmp_path, {"a": [1]}).manifest.segments[0].id
    mark = tmp_path / "damaged" / segment
    mark.parent.mkdir()
    mark.touch()
    make_old(mark, 100 * DAY_S)
    vacuum.vacuum(tmp_path)
    assert mark.exists()
    commit_runs(tmp_path, {"a": [2]}, state=2)
    clock[0] += DAY_S
    vacuum.vacuum(tmp_path)
    assert not mark.exists()


def test_nothing_is_removed_without_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_runs(tmp_path, {"a": [1]})
    commit_runs(tmp_path, {"a": [2]}, state=2)
    before = files(tmp_path)
    monkeypatch.setattr(commit, "LOCK_TIMEOUT_S", 0.01)
    monkeypatch.setattr(filelock.FileLock, "acquire", _timed_out)
    with pytest.raises(CacheLockedError):
        vacuum.vacuum(tmp_path, grace_s=0)
    assert files(tmp_path) == before


def _timed_out(lock: object, timeout: float) -> None:
    raise filelock.Timeout(str(lock))


def test_ingests_vacuum_once_an_hour(tmp_path: Path, clock: list[float]) -> None:
    commit_runs(tmp_path, {"a": [1]})
    left = tmp_path / "stats" / "0123456789abcdef.parquet"

    def has_vacuumed() -> bool:
        left.write_text("by a writer that died")
        make_old(left, 3 * DAY_S)
        vacuum_hourly(tmp_path)
        return not left.exists()

    assert has_vacuumed()
    clock[0] += 3599
    assert not has_vacuumed()
    clock[0] += 1
    assert has_vacuumed()
    clock[0] -= DAY_S  # a clock that is set back does not keep it from being removed
    assert has_vacuumed()
    assert orphan_files(tmp_path, read_manifest(tmp_path)) == []


def test_copies_of_objects_of_buckets_go_after_a_day(tmp_path: Path, clock: list[float]) -> None:
    commit_runs(tmp_path, {"a": [1]})
    names = [f"{'0' * 16}{ending}" for ending in ("", ".part0", ".pack")]
    for name in names:
        (tmp_path / "fetched").mkdir(exist_ok=True)
        (tmp_path / "fetched" / name).write_bytes(b"copy")
        make_old(tmp_path / "fetched" / name, DAY_S - 1)
    assert vacuum.vacuum(tmp_path) == Vacuumed()
    clock[0] += 2
    assert vacuum.vacuum(tmp_path) == Vacuumed(3, 12)
