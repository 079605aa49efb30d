"""Runs that are cached, and gone from their source or rejected since: they are marked, and pruned on request."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dump_files import cached, file_of, rejected
from makedump import THREE as NAMES
from makedump import make_run, write_runs

from magnet_arrow.cache import Cache
from magnet_arrow.errors import NoRunsError
from magnet_arrow.ingestion import api
from magnet_arrow.ingestion.api import ingest


def test_a_run_that_vanished_stays_until_it_is_pruned(outputs: Path, cache: Path, tmp_path: Path) -> None:
    ingest(outputs, cache)
    write_runs(tmp_path / "other", [make_run("other:x=1")])
    ingest(tmp_path / "other", cache)
    shutil.rmtree(file_of(outputs, NAMES[1]).parent)
    shutil.rmtree(tmp_path / "other")
    assert ingest(outputs, cache).pruned == 0
    assert len(cached(cache)) == 4
    assert ingest(outputs, cache, prune=True).pruned == 1
    # The other source was not asked for.
    assert sorted(cached(cache)) == [NAMES[0], NAMES[2], "other:x=1"]


def test_only_runs_that_the_pattern_names_are_pruned(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache)
    for name in NAMES[:2]:
        shutil.rmtree(file_of(outputs, name).parent)
    assert ingest(outputs, cache, runs=f"{NAMES[2]}|{NAMES[0]}", prune=True).pruned == 1
    assert sorted(cached(cache)) == sorted(NAMES[1:])


def stale(report: api.IngestReport) -> list[tuple[str, str]]:
    return [(one.run, one.why) for one in report.stale]


def marked(cache: Path) -> list[str]:
    found: list[str] = Cache(cache).runs().filter("stale")["folder"].to_list()
    return found


def test_a_run_that_vanished_is_marked_once_until_it_is_back(outputs: Path, cache: Path, tmp_path: Path) -> None:
    ingest(outputs, cache)
    folder = file_of(outputs, NAMES[1]).parent
    folder.rename(tmp_path / "away")
    assert stale(ingest(outputs, cache)) == [(f"made/{NAMES[1]}", "gone from its source")]
    before = (cache / "manifest.json").stat()
    assert stale(ingest(outputs, cache)) == [(f"made/{NAMES[1]}", "gone from its source")]
    assert stale(ingest(outputs, cache, runs="a*")) == []
    assert ((cache / "manifest.json").stat().st_ino, marked(cache)) == (before.st_ino, [NAMES[1]])
    (tmp_path / "away").rename(folder)
    report = ingest(outputs, cache)
    assert (report.runs, report.skipped, stale(report), marked(cache)) == (0, 3, [], [])


def test_a_run_that_was_rejected_since_is_stale_until_it_is_sound(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache)
    good = file_of(outputs, NAMES[1]).read_text()
    file_of(outputs, NAMES[1]).unlink()
    for _ in range(2):
        report = ingest(outputs, cache, prune=True)
        assert (report.skipped, rejected(report), report.pruned) == (2, [f"made/{NAMES[1]}"], 0)
        assert stale(report) == [(f"made/{NAMES[1]}", "rejected since")]
    assert marked(cache) == [NAMES[1]]
    file_of(outputs, NAMES[1]).write_text(good)
    report = ingest(outputs, cache)
    assert (report.runs, stale(report), marked(cache)) == (1, [], [])


@pytest.mark.parametrize(
    ("named", "pruned"),
    [
        ("runs/v1", ["a"]),
        ("runs/v1/b", []),
        ("runs", ["a", "c"]),
        (".", ["a", "c"]),
        ("runs/v*", ["a", "c"]),
        ("runs/v[2]", ["c"]),
        ("runs/*/a", None),
        ("runs/v2/*", ["c"]),
    ],
)
def test_only_what_is_named_is_pruned_or_marked(
    named: str, pruned: list[str] | None, tmp_path: Path, cache: Path
) -> None:
    outputs = tmp_path / "outputs"
    write_runs(outputs, [make_run("a"), make_run("b")], suite="v1")
    write_runs(outputs, [make_run("c"), make_run("d")], suite="v2")
    ingest(outputs, cache)
    for gone in ("v1/a", "v2/c"):
        shutil.rmtree(outputs / "runs" / gone)
    if pruned is None:
        with pytest.raises(NoRunsError):
            ingest(outputs / named, cache, prune=True)
        return
    assert sorted(one.run[-1] for one in ingest(outputs / named, cache).stale) == marked(cache) == pruned
    assert ingest(outputs / named, cache, prune=True).pruned == len(pruned)
    assert cached(cache) == [name for name in "abcd" if name not in pruned]


def test_the_last_run_of_a_linked_suite_is_marked(tmp_path: Path, cache: Path) -> None:
    """Its source is another: the folder that the suite really is in."""
    write_runs(tmp_path / "outputs", [make_run("a")], suite="v1")
    write_runs(tmp_path / "elsewhere", [make_run("b")], suite="v2")
    (tmp_path / "outputs" / "runs" / "v2").symlink_to(tmp_path / "elsewhere" / "runs" / "v2")
    ingest(tmp_path / "outputs", cache)
    shutil.rmtree(tmp_path / "elsewhere" / "runs" / "v2" / "b")
    assert stale(ingest(tmp_path / "outputs", cache)) == [("v2/b", "gone from its source")]


def test_a_disk_that_is_not_mounted_is_not_gone(tmp_path: Path, cache: Path) -> None:
    """Of two dumps in a folder one is an empty folder for a while."""
    for name in ("one", "other"):
        write_runs(tmp_path / "dumps" / name, [make_run(name)])
    ingest(tmp_path / "dumps", cache)
    (tmp_path / "dumps" / "other").rename(tmp_path / "away")
    (tmp_path / "dumps" / "other").mkdir()
    report = ingest(tmp_path / "dumps", cache, prune=True)
    assert (report.pruned, stale(report), cached(cache)) == (0, [], ["one", "other"])


def test_a_suite_that_is_gone_is_pruned_with_what_is_beside_its_runs(tmp_path: Path, cache: Path) -> None:
    outputs = tmp_path / "outputs"
    write_runs(outputs, [make_run("a")], suite="v1")
    write_runs(outputs, [make_run("b")], suite="v2")
    (outputs / "runs" / "v2" / "summary.json").write_text("{}")
    ingest(outputs, cache)
    shutil.rmtree(outputs / "runs" / "v2")
    assert stale(ingest(outputs, cache)) == [("v2/b", "gone from its source")]
    assert len(Cache(cache).snapshot().suites) == 2
    assert ingest(outputs, cache, prune=True).pruned == 1
    assert [suite.entry.suite for suite in Cache(cache).snapshot().suites.values()] == ["v1"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE], ids=errno.errorcode.get)
@pytest.mark.parametrize("level", ["suite", "run"])
def test_what_cannot_be_looked_into_is_neither_pruned_nor_marked(
    level: str, number: int, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "outputs"
    write_runs(outputs, [make_run("a"), make_run("b")], suite="v1")
    write_runs(outputs, [make_run("c")], suite="v2")
    ingest(outputs, cache)
    closed = outputs / "runs" / ("v1" if level == "suite" else "v1/a")

    def refusing(usual: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(path: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(path, str | Path) and closed in (inside := Path(path), *inside.parents):
                is_itself = inside == closed and usual in (os_lstat, os_stat)
                if not is_itself:
                    raise OSError(number, os.strerror(number), str(path))
            return usual(path, *rest, **options)

        return refuse

    os_lstat, os_stat = os.lstat, os.stat
    for call in ("scandir", "listdir", "lstat", "stat", "open"):
        monkeypatch.setattr(os, call, refusing(getattr(os, call)))
    report = ingest(outputs, cache, prune=True)
    assert (report.pruned, stale(report), marked(cache)) == (0, [], [])
    assert report.rejected
    monkeypatch.undo()
    report = ingest(outputs, cache)
    assert (report.skipped, report.rejected, cached(cache)) == (3, (), ["a", "b", "c"])


def test_pruning_does_not_take_runs_that_a_pattern_leaves_out(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache)
    assert ingest(outputs, cache, runs="a*", prune=True).pruned == 0
