"""Emptying a cache: all of it, and nothing that is none."""

from pathlib import Path

import pytest
from makesegment import commit_runs, key_of

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheNotWritableError, MagnetError
from magnet_arrow.storage.maintenance.clear import clear
from magnet_arrow.storage.manifest import Manifest, read_manifest
from magnet_arrow.storage.transaction import Transaction, commit_transaction


def test_all_is_gone_and_can_be_filled_again(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
    (tmp_path / "notes.txt").write_text("mine")
    clear(tmp_path)
    assert read_manifest(tmp_path) == Manifest()
    assert not list(tmp_path.rglob("*.parquet"))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    assert (tmp_path / "notes.txt").read_text() == "mine"
    commit_runs(tmp_path, {"c": [3]})
    assert Cache(tmp_path).runs()["folder"].to_list() == ["c"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """HELM has folders that are called as ours."""
    commit_runs(tmp_path, {"a": [1]})
    mine = [tmp_path / inside for inside in ("runs/v1/a/stats.json", "runs/notes.zst", "stats/mine.parquet")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    clear(tmp_path)
    left = {path for path in tmp_path.rglob("*") if path.is_file() and path.parent != tmp_path}
    assert left == set(mine)


def test_a_folder_that_is_no_cache_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(MagnetError, match="is no cache"):
        clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_who_stops_on_the_way_leaves_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    commit_runs(tmp_path, {"a": [1]})
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CacheNotWritableError, match="Read-only file system"):
        clear(tmp_path)
    assert Cache(tmp_path).runs().height == 0
