"""How a commit is made: what is flushed when, and what is said when it can't be."""

import os
from collections.abc import Callable
from pathlib import Path

import filelock
import msgspec
import pytest
from makesegment import commit_runs, make_segment

from magnet_arrow.errors import CacheLockedError, CacheNotWritableError
from magnet_arrow.storage import commit, manifest
from magnet_arrow.storage.maintenance import vacuum
from magnet_arrow.storage.maintenance.clear import clear
from magnet_arrow.storage.manifest import Manifest, Source, manifest_bytes, read_manifest
from magnet_arrow.storage.transaction import Transaction, commit_transaction

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What is made durable or replaced in the cache, in order, by its path in it."""
    recorded: Calls = []
    opened: dict[int, str] = {}
    really = {name: getattr(os, name) for name in ("open", "fsync", "replace")}

    def name_of(path: object) -> str:
        return os.path.relpath(os.fspath(path), tmp_path / "cache")  # type: ignore[call-overload]

    def recording_open(path: str, *args: int, **options: int) -> int:
        descriptor: int = really["open"](path, *args, **options)
        opened[descriptor] = name_of(path)
        return descriptor

    def recording_fsync(descriptor: int) -> None:
        recorded.append(("flush", opened[descriptor]))
        really["fsync"](descriptor)

    def recording_replace(old: Path, new: Path) -> None:
        recorded.append(("replace", name_of(new)))
        really["replace"](old, new)

    monkeypatch.setattr(os, "open", recording_open)
    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "replace", recording_replace)
    return recorded


def test_data_then_folders_then_the_manifest_are_flushed(calls: Calls, tmp_path: Path) -> None:
    """R2: whatever the manifest names is durable before the manifest is, and that before the commit is reported."""
    cache = tmp_path / "cache"
    segment = make_segment(cache, {"a": [1]})
    calls.clear()
    commit_transaction(cache, Transaction(segment=segment))
    files = {segment.runs.path, *(table.file.path for table in segment.tables.values())}
    folders = {os.path.dirname(path) for path in files}
    data, rest = calls[: len(files)], calls[len(files) :]
    assert {path for _, path in data} == files
    assert {path for _, path in rest[: len(folders)]} == folders
    assert rest[len(folders) :] == [("flush", "manifest.new"), ("replace", "manifest.json"), ("flush", ".")]


def test_a_deletion_file_is_flushed_before_the_manifest_that_names_it(calls: Calls, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    commit_runs(cache, {"a": [1], "b": [2]})
    calls.clear()
    snapshot = commit_runs(cache, {"a": [3]}, state=2)
    deleted = snapshot.manifest.segments[0].deleted
    assert deleted is not None
    order = [("flush", deleted.path), ("flush", "deleted"), ("flush", "manifest.new"), ("replace", "manifest.json")]
    assert [call for call in calls if call in order] == order


def test_a_manifest_that_can_not_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = commit_runs(tmp_path, {"a": [1]}).manifest
    segment = make_segment(tmp_path, {"b": [2]})
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CacheNotWritableError, match="No space left on device") as caught:
        commit_transaction(tmp_path, Transaction(segment=segment))
    assert "MAGNET_ARROW_CACHE_DIR" in str(caught.value)
    assert read_manifest(tmp_path) == before
    assert not (tmp_path / "manifest.new").exists()


def test_a_disk_that_does_not_flush_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    segment = make_segment(tmp_path, {"a": [1]})
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CacheNotWritableError, match="Input/output error"):
        commit_transaction(tmp_path, Transaction(segment=segment))
    assert not (tmp_path / "manifest.json").exists()


def test_who_holds_the_lock_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "LOCK_TIMEOUT_S", 0.01)
    with commit.locked(tmp_path):
        other = filelock.FileLock(tmp_path / "lock")
        with pytest.raises(filelock.Timeout):
            other.acquire(timeout=0)
        with pytest.raises(CacheLockedError, match=f"by process {os.getpid()} on"), commit.locked(tmp_path):
            pass
    with commit.locked(tmp_path):  # given back
        pass


def test_the_lock_is_given_back_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), commit.locked(tmp_path):
        raise KeyboardInterrupt
    commit_transaction(tmp_path, Transaction(sources=[Source("s0", "/x")]))
    assert read_manifest(tmp_path) == Manifest(sources=(Source("s0", "/x"),))


def test_a_cache_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(CacheNotWritableError, match="cannot be written"), commit.locked(tmp_path / "cache"):
        pass


def test_a_holder_whose_lock_file_was_removed_changes_nothing(tmp_path: Path) -> None:
    """Its process was stopped, and someone helped himself: what the other committed stays."""
    commit_runs(tmp_path, {"a": [1]})
    mine = make_segment(tmp_path, {"b": [2]})
    with commit.locked(tmp_path):
        now = read_manifest(tmp_path)
        (tmp_path / "lock").unlink()
        other = commit_runs(tmp_path, {"c": [3]}).manifest
        with pytest.raises(CacheLockedError, match="lock was removed") as caught:
            commit.swap(tmp_path, msgspec.structs.replace(now, segments=(*now.segments, mine)))
    assert "Nothing was changed" in str(caught.value)
    assert read_manifest(tmp_path) == other
    commit_transaction(tmp_path, Transaction(segment=mine))  # as the hint says: once more
    assert {segment.id for segment in read_manifest(tmp_path).segments} == {
        *(segment.id for segment in other.segments),
        mine.id,
    }


def test_a_manifest_that_another_process_put_in_place_stays(tmp_path: Path) -> None:
    """The lock file is the holder's, but locks do not hold on every disk."""
    commit_runs(tmp_path, {"a": [1]})
    other = Manifest(sources=(Source("s0", "/x"),))
    with commit.locked(tmp_path):
        (tmp_path / "manifest.json").write_bytes(manifest_bytes(other))
        with pytest.raises(CacheLockedError, match="another process has committed"):
            commit.swap(tmp_path, Manifest())
    assert read_manifest(tmp_path) == other


@pytest.mark.parametrize("use", [vacuum.vacuum, clear])
def test_nothing_is_removed_under_a_lock_that_was_lost(
    use: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_lock(_: object) -> bytes | None:
        (tmp_path / "lock").unlink(missing_ok=True)
        return before

    commit_runs(tmp_path, {"a": [1]})
    left = make_segment(tmp_path, {"b": [2]})
    for file in left.files():
        os.utime(tmp_path / file.path, (0, 0))
    before = (tmp_path / "manifest.json").read_bytes()
    monkeypatch.setattr(manifest, "read_bytes", lose_the_lock)
    monkeypatch.setattr(commit, "swap", lambda *_: lose_the_lock(None))
    with pytest.raises(CacheLockedError, match="lock was removed"):
        use(tmp_path)
    assert all((tmp_path / file.path).exists() for file in left.files())


def test_the_word_about_a_lock_does_not_tell_to_remove_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "LOCK_TIMEOUT_S", 0.01)
    with (
        commit.locked(tmp_path),
        pytest.raises(CacheLockedError, match="Do not remove the file"),
        commit.locked(tmp_path),
    ):
        pass
