"""What an ingest leaves that is stopped on its way."""

from pathlib import Path
from typing import Any

import pytest
from dump_files import cached
from makedump import THREE as NAMES

from magnet_arrow import _durable
from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheNotWritableError
from magnet_arrow.ingestion import batch_reader
from magnet_arrow.ingestion.api import Progress, ingest
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.storage import checksums, commit
from magnet_arrow.storage.manifest import FileEntry, read_manifest


def named_files(cache: Path) -> list[FileEntry]:
    """All files that the manifest names."""
    found = []
    for segment in read_manifest(cache).segments:
        found += [table.file for table in segment.tables.values()] + [segment.runs]
        found += [segment.deleted] if segment.deleted else []
    return found


def assert_whole(cache: Path, *, strays: bool = False) -> None:
    """What is named is there, and unless strays are meant to be, nothing else."""
    entries = named_files(cache)
    for entry in entries:
        checksums.check_digest(cache, entry)
    there = {path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()}
    data = {path for path in there if "/" in path}
    assert {entry.path for entry in entries} <= data
    assert strays or data == {entry.path for entry in entries}
    for table in ("run_spec", "stats", "scenario_state", "per_instance_stats"):
        rows = Cache(cache).scan(table).collect()
        assert set(rows["magnet.run"]) == set(Cache(cache).runs()["magnet.run"])


@pytest.mark.parametrize("batch_bytes", [pytest.param(0, marks=pytest.mark.slow), 1 << 20], ids=["singly", "together"])
@pytest.mark.parametrize(
    "segment_bytes", [pytest.param(1, marks=pytest.mark.slow), 1 << 30], ids=["a commit a run", "one commit"]
)
def test_ctrl_c_at_any_moment_leaves_what_was_committed(
    segment_bytes: int, batch_bytes: int, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(division, "SEGMENT_JSON_BYTES", segment_bytes)
    monkeypatch.setattr(batch_reader, "BATCH_BYTES", batch_bytes)
    committed = set()
    for call in range(1000):
        cache = tmp_path / f"cache-{call}"
        calls = iter(range(1000))

        def stop(progress: Progress, calls: Any = calls, call: int = call) -> None:
            if next(calls) == call:
                raise KeyboardInterrupt

        try:
            ingest(outputs, cache, progress=stop)
        except KeyboardInterrupt:
            assert_whole(cache)
            committed.add(len(cached(cache)))
            assert ingest(outputs, cache).runs == 3 - len(cached(cache)) or cached(cache) == NAMES
            assert_whole(cache)
        else:
            break
    assert call > (3 if batch_bytes else 10)
    assert committed == ({0, 1, 2} if segment_bytes == 1 else {0})


@pytest.mark.parametrize("error", [KeyboardInterrupt, CacheNotWritableError], ids=["Ctrl-C", "a disk that fails"])
def test_a_stop_just_after_the_manifest_was_swapped_leaves_a_whole_cache(
    error: type[BaseException], outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = _durable.sync

    def stop(folder: Path) -> None:
        if folder == cache:
            raise error("stop")
        really(folder)

    monkeypatch.setattr(_durable, "sync", stop)
    with pytest.raises(error):
        ingest(outputs, cache)
    assert_whole(cache)
    monkeypatch.undo()
    ingest(outputs, cache)
    assert cached(cache) == NAMES


def test_a_stop_before_the_manifest_is_swapped_leaves_no_file(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commit, "swap", stop)
    with pytest.raises(KeyboardInterrupt):
        ingest(outputs, cache)
    assert_whole(cache)
