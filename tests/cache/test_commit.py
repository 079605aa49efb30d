"""How a commit is made: what is flushed when, and what is said when it can't be."""

import os
from pathlib import Path

import filelock
import pytest
from makesegment import commit_runs, make_segment

from magnet_arrow.cache import commit
from magnet_arrow.cache.changes import Change, apply
from magnet_arrow.cache.manifest import Manifest, Source, read_manifest
from magnet_arrow.errors import CacheLockedError, CacheNotWritableError

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
    apply(cache, Change(segment=segment))
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
        apply(tmp_path, Change(segment=segment))
    assert "MAGNET_ARROW_CACHE_DIR" in str(caught.value)
    assert read_manifest(tmp_path) == before
    assert not (tmp_path / "manifest.new").exists()


def test_a_disk_that_does_not_flush_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    segment = make_segment(tmp_path, {"a": [1]})
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CacheNotWritableError, match="Input/output error"):
        apply(tmp_path, Change(segment=segment))
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
    apply(tmp_path, Change(sources=[Source("s0", "/x")]))
    assert read_manifest(tmp_path) == Manifest(sources=(Source("s0", "/x"),))


def test_a_cache_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(CacheNotWritableError, match="cannot be written"), commit.locked(tmp_path / "cache"):
        pass
