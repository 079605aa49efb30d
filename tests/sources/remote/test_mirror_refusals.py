"""Folders that no mirror may be in, disks that are full, and runs of two sources that would mix."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from buckets import OUTPUTS, Server, filled
from mirrors import assert_nothing_read, files_of

from magnet_arrow import Cache, ingest
from magnet_arrow.errors import FolderNotWritableError, SettingError
from magnet_arrow.sources.remote import mirror as mirror_module
from magnet_arrow.sources.remote.mirror import Mirror
from magnet_arrow.sources.stamps import FileStamp

pytest.importorskip("obstore")


def test_runs_of_another_bucket_do_not_mix_with_these(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, other, cache, kept = filled(server, outputs), filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    with pytest.raises(SettingError, match=f"cannot take what is fetched from {url} and from {other}"):
        ingest([url, other], cache, keep_json=kept)
    ingest(url, cache, keep_json=kept)
    with pytest.raises(SettingError, match=f"has what was fetched from {url}") as caught:
        ingest(other, cache, keep_json=kept)
    assert caught.value.hint == "Name another folder, or another cache."
    assert ingest(other, cache, keep_json=tmp_path / "others").runs == 3
    assert files_of(kept) == files_of(tmp_path / "others")


def test_a_folder_that_was_a_source_of_its_own_is_not_mixed_with_a_bucket(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache)
    shutil.copytree(outputs, kept / OUTPUTS)
    ingest(kept, cache)
    with pytest.raises(SettingError, match="has runs in the cache by itself"):
        ingest(url, cache, keep_json=kept)
    Cache(cache).remove(str(kept / OUTPUTS))
    report = ingest(url, cache, keep_json=kept)
    assert_nothing_read(report, 3)


def test_a_source_of_this_machine_is_refused(server: Server, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    for source in (outputs, [url, outputs]):
        with pytest.raises(SettingError, match="is a folder of this machine"):
            ingest(source, tmp_path / "cache", keep_json=tmp_path / "kept")
    for folder in (tmp_path / "cache", tmp_path / "cache" / "json"):
        with pytest.raises(SettingError, match="is in the cache"):
            ingest(url, tmp_path / "cache", keep_json=folder)
    with pytest.raises(SettingError, match="is a folder on this machine, not s3:/"):
        ingest(url, tmp_path / "cache", keep_json="s3://bucket/folder")
    assert not (tmp_path / "kept").exists()


@pytest.mark.slow
def test_runs_that_are_right_in_a_bucket_would_have_another_suite(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    server.make_bucket("a-suite")
    run = min(outputs.glob("runs/*/*"))
    server.put_folder("a-suite", run, run.name)
    with pytest.raises(SettingError, match="it would be a run of another suite there, kept"):
        ingest("s3://a-suite", tmp_path / "cache", keep_json=tmp_path / "kept")


def test_a_folder_that_cannot_be_written_is_an_error(server: Server, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotWritableError, match=r"file/kept cannot be written: Not a directory\."):
        ingest(url, tmp_path / "cache", keep_json=tmp_path / "file" / "kept")


def test_a_full_disk_stops_or_rejects_and_keeps_what_was_committed(
    server: Server, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    blocked = kept / OUTPUTS / min(outputs.glob("runs/*/*")).relative_to(outputs)
    blocked.parent.mkdir(parents=True)
    blocked.touch()  # a file where the folder of a run has to be
    report = ingest(url, cache, keep_json=kept)
    assert (report.runs, len(report.rejected)) == (2, 1)
    blocked.unlink()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mirror_module.MirroredCopy, "publish", full)
        with pytest.raises(FolderNotWritableError, match="No space left on device"):
            ingest(url, cache, keep_json=kept)
    assert len(Cache(cache).runs()) == 2
    assert ingest(url, cache, keep_json=kept).runs == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs)


def test_a_disk_that_is_full_keeps_nothing_of_a_small_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str, __: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    copy = Mirror(tmp_path).copy_of("s3://b/run/stats.json", FileStamp("stats.json", 4, 5_000, "tag"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left on device"):
            copy.write(b"[1] ")
    assert files_of(tmp_path) == {}


def test_names_that_windows_does_not_take() -> None:
    mirror_module.require_names_for_windows(["lite", "stats.json", "console"])
    for name in ("a:b", "..\\x", "x.", "NUL", "com1.json", "a*"):
        with pytest.raises(OSError, match="Windows takes no file"):
            mirror_module.require_names_for_windows(["lite", name])
