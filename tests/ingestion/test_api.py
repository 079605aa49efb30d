"""Sources into a cache: what is read and what is not, what a stop in between leaves, what is said of it."""

import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import THREE as NAMES
from makedump import Run, make_run, write_run, write_runs

from magnet_arrow import _durable
from magnet_arrow.cache import Cache
from magnet_arrow.errors import BadFileError, CacheNotWritableError, NoRunsError, SettingError
from magnet_arrow.helm.layout import RunPlace, find_runs
from magnet_arrow.ingestion import api, batch_reader, ingester
from magnet_arrow.ingestion.api import Progress, ingest
from magnet_arrow.ingestion.ensure_cached import ensure_cached
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.ingestion.run_specs import read_run_specs
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.sources.file import FileStamp, Fingerprint, SourceFile
from magnet_arrow.storage import checksums, commit
from magnet_arrow.storage.manifest import FileEntry, read_manifest


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files of a dump are opened, as `run/file`."""
    names: list[str] = []
    really = SourceFile.__init__

    def opening(self: SourceFile, folder: Path, name: str, run: str) -> None:
        names.append(f"{folder.name}/{name}")
        really(self, folder, name, run)

    fill = batch_reader._fill

    def filling(folder: str, stamp: FileStamp, room: memoryview) -> bool:
        names.append(f"{Path(folder).name}/{stamp.name}")
        return fill(folder, stamp, room)

    monkeypatch.setattr(SourceFile, "__init__", opening)
    monkeypatch.setattr(batch_reader, "_fill", filling)
    return names


def file_of(outputs: Path, run: str, name: str = "stats.json") -> Path:
    return outputs / "runs" / "made" / run / name


def set_mean(path: Path, mean: float) -> None:
    """Another value and, whatever the clock of the disk, another date."""
    stats = json.loads(path.read_text())
    stats[0]["mean"] = mean
    path.write_text(json.dumps(stats, indent=2))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000_000))


def cached(cache: Path) -> list[str]:
    found: list[str] = Cache(cache).runs()["folder"].to_list()
    return found


def first_mean(cache: Path, run: str) -> float:
    rows = Cache(cache).scan("stats").filter(pl.col("magnet.run").str.ends_with(f"/{run}"), pl.col("magnet.row") == 0)
    mean: float = rows.collect()["stats.mean"].item()
    return mean


def rejected(report: api.IngestReport) -> list[str]:
    return [one.run for one in report.rejected]


def test_a_report_counts_what_was_done(outputs: Path, cache: Path) -> None:
    report = ingest(outputs, cache)
    assert (report.runs, report.skipped, report.rejected, report.pruned) == (3, 0, (), 0)
    assert {table: report.rows[table] for table in ("run_spec", "scenario_state", "stats", "per_instance_stats")} == {
        "run_spec": 3,
        "scenario_state": 6,
        "stats": 6,
        "per_instance_stats": 12,
    }
    assert report.bytes_in == sum(path.stat().st_size for path in outputs.rglob("*.json"))
    written = [path for path in cache.rglob("*") if path.is_file() and path.parent != cache]
    assert report.bytes_out == sum(path.stat().st_size for path in written)


def test_a_source_is_anything_that_names_runs(outputs: Path, cache: Path) -> None:
    assert ingest(outputs / "runs" / "made" / NAMES[0], cache).runs == 1
    assert ingest([file_of(outputs, NAMES[1]).parent, outputs / "runs" / "made"], str(cache)).runs == 2
    assert ingest(outputs.parent / "outputs", Cache(cache)).skipped == 3
    with pytest.raises(NoRunsError):
        ingest(outputs, cache, runs="z*")


def test_only_runs_of_the_pattern_are_taken(outputs: Path, cache: Path) -> None:
    assert ingest(outputs, cache, runs="[ab]*").runs == 2
    assert cached(cache) == NAMES[:2]


def test_a_changed_run_is_taken_anew_and_no_other(outputs: Path, cache: Path, opened: list[str]) -> None:
    ingest(outputs, cache)
    set_mean(file_of(outputs, NAMES[1]), 0.75)
    opened.clear()
    report = ingest(outputs, cache)
    assert (report.runs, report.skipped) == (1, 2)
    assert {name.split("/")[0] for name in opened} == {NAMES[1]}
    assert (first_mean(cache, NAMES[1]), first_mean(cache, NAMES[0])) == (0.75, 0.5)
    assert cached(cache) == NAMES


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


def test_a_rejection_is_kept_until_the_file_changes_or_one_retries(
    outputs: Path, cache: Path, opened: list[str]
) -> None:
    bad = file_of(outputs, NAMES[1])
    good = bad.read_text()
    bad.write_text(good[:-30])
    first = ingest(outputs, cache)
    assert (first.runs, rejected(first)) == (2, [f"made/{NAMES[1]}"])
    (fault,) = first.rejected
    assert (fault.file, fault.byte) == ("stats.json", len(good) - 30)
    opened.clear()
    assert ingest(outputs, cache).rejected == first.rejected
    assert opened == []
    assert ingest(outputs, cache, retry=True).rejected == first.rejected
    assert f"{NAMES[1]}/stats.json" in opened
    bad.write_text(good)
    assert ingest(outputs, cache).runs == 1
    assert Cache(cache).rejects().height == 0
    assert cached(cache) == NAMES


def test_a_run_that_went_bad_leaves_what_was_taken_before(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache)
    file_of(outputs, NAMES[0]).write_text("[")
    assert rejected(ingest(outputs, cache)) == [f"made/{NAMES[0]}"]
    assert first_mean(cache, NAMES[0]) == 0.5


def test_progress_goes_up_to_the_whole(outputs: Path, cache: Path) -> None:
    file_of(outputs, NAMES[2]).write_text("[")
    told: list[Progress] = []
    report = ingest(outputs, cache, progress=told.append)
    assert [(one.bytes_done, one.runs_done) for one in told] == sorted((one.bytes_done, one.runs_done) for one in told)
    assert {one.bytes_total for one in told} == {report.bytes_in + sizes(outputs, NAMES[2])}
    last = told[-1]
    assert (last.runs_done, last.runs_total, last.rejected, last.run) == (3, 3, 1, f"made/{NAMES[2]}")
    assert last.bytes_done <= last.bytes_total


def sizes(outputs: Path, run: str) -> int:
    return sum(path.stat().st_size for path in file_of(outputs, run).parent.iterdir())


# A source that changes while it is read.


def changing(times: int, monkeypatch: pytest.MonkeyPatch, victim: Path) -> None:
    """Each time the victim's run is looked at again after it was read, its file has changed, up to so many times.

    Together with others, each file is looked at by itself; singly, the run is looked at as a whole.
    """
    really, fill = ingester.stamps_of, batch_reader._fill
    left = [times]

    def change() -> None:
        if left[0]:
            left[0] -= 1
            set_mean(victim, 0.5 + left[0])

    def look(place: RunPlace) -> Fingerprint:
        if place.folder == victim.parent.name:
            change()
        return really(place)

    def filling(folder: str, stamp: FileStamp, room: memoryview) -> bool:
        if Path(folder, stamp.name) == victim:
            change()
        return fill(folder, stamp, room)

    monkeypatch.setattr(ingester, "stamps_of", look)
    monkeypatch.setattr(batch_reader, "_fill", filling)


def test_a_run_that_changes_while_it_is_read_is_read_once_more(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    changing(1, monkeypatch, file_of(outputs, NAMES[1]))
    report = ingest(outputs, cache)
    assert (report.runs, report.rejected) == (3, ())
    # With the others, singly in the state that it was found in, and in the new one.
    assert [opened.count(f"{name}/stats.json") for name in NAMES] == [1, 3, 1]
    assert Cache(cache).scan("stats").collect().height == 6
    monkeypatch.undo()
    assert ingest(outputs, cache).skipped == 3


def test_a_run_that_goes_on_changing_is_rejected(outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changing(3, monkeypatch, file_of(outputs, NAMES[1]))
    (fault,) = ingest(outputs, cache).rejected
    assert (fault.run, fault.file) == (f"made/{NAMES[1]}", "stats.json")
    assert "stays as it is while it is read" in fault.reason
    assert cached(cache) == [NAMES[0], NAMES[2]]
    monkeypatch.undo()
    assert ingest(outputs, cache).runs == 1  # in its last state it was never seen to be bad


# What a stop leaves.


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


# Two writers.


def test_two_first_ingests_of_a_source_at_once_are_one_source(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins and ends while this one is at its first file."""

    def other(_: Progress, began: list[bool] = []) -> None:  # noqa: B006  (said once)
        if not began:
            began.append(True)
            assert ingest(outputs, cache).runs == 3

    ingest(outputs, cache, progress=other)
    assert cached(cache) == NAMES
    assert Cache(cache).scan("stats").collect().height == 6
    assert len(read_manifest(cache).sources) == 1
    assert ingest(outputs, cache).skipped == 3


# A cache that can't be written.


def places(outputs: Path) -> tuple[RunPlace, ...]:
    return find_runs(outputs).places


def unwritable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the disk is made to refuse."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)


def test_a_cache_that_can_not_be_made_is_an_error(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for call in (ingest, lambda source, cache: ensure_cached(places(source), Cache(cache))):
        with pytest.raises(CacheNotWritableError, match="cannot be written"):
            call(outputs, tmp_path / "file" / "cache")


def test_runs_that_are_cached_are_read_though_the_cache_can_not_be_written(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache)
    unwritable(cache, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ensure_cached(places(outputs), Cache(cache)).snapshot.runs) == 3


def test_stale_runs_are_named_where_the_cache_can_not_be_written(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache)
    set_mean(file_of(outputs, NAMES[1]), 0.75)
    unwritable(cache, monkeypatch)
    ensured = ensure_cached(places(outputs), Cache(cache))
    assert len(ensured.snapshot.runs) == 3
    assert [key.partition("/")[2] for key in ensured.outdated] == [f"made/{NAMES[1]}"]
    assert isinstance(ensured.error, CacheNotWritableError)
    assert first_mean(cache, NAMES[1]) == 0.5


def test_a_run_that_is_not_cached_is_an_error_where_the_cache_can_not_be_written(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache, runs="a*")
    unwritable(cache, monkeypatch)
    with pytest.raises(CacheNotWritableError, match="Read-only file system"):
        ensure_cached(places(outputs), Cache(cache))


# What frames are read from.


def test_what_is_missing_is_taken_and_nothing_else(outputs: Path, cache: Path, opened: list[str]) -> None:
    snapshot = ensure_cached(places(outputs)[1:2], Cache(cache)).snapshot
    assert [run.entry.folder for run in snapshot.runs.values()] == [NAMES[1]]
    opened.clear()
    assert ensure_cached(places(outputs)[1:2], Cache(cache)).rejected == {}
    assert opened == []


@pytest.mark.parametrize("before", [False, True], ids=["found now", "known"])
def test_runs_that_can_not_be_taken_are_told_by_key(before: bool, outputs: Path, cache: Path) -> None:
    file_of(outputs, NAMES[0]).write_text("[")
    file_of(outputs, NAMES[2]).write_text("{}")
    if before:
        ingest(outputs, cache)
    ensured = ensure_cached(places(outputs), Cache(cache))
    assert [key.partition("/")[2] for key in ensured.rejected] == [f"made/{NAMES[0]}", f"made/{NAMES[2]}"]
    assert [bad.rejected.file for bad in ensured.rejected.values()] == ["stats.json", "stats.json"]
    assert [run.entry.folder for run in ensured.snapshot.runs.values()] == [NAMES[1]]


@pytest.mark.parametrize("partial", [False, True])
def test_what_other_rules_rejected_is_looked_at_again(partial: bool, cache: Path, tmp_path: Path) -> None:
    """One has a field that HELM does not declare, of one a file is missing, and one has no name."""
    run_reader = [make_run(name) for name in "abc"]
    run_reader[0]["stats"][0]["more"] = 1
    run_reader[2]["run_spec"]["name"] = 7
    paths = [write_run(tmp_path / "outputs", run, folder=folder) for run, folder in zip(run_reader, "abc", strict=True)]
    (paths[1] / "stats.json").unlink()
    assert len(ingest(tmp_path / "outputs", cache, strict=True).rejected) == 3
    for _ in range(2):
        ensured = ensure_cached(places(tmp_path / "outputs"), cache, partial=partial)
        assert [run.entry.folder for run in ensured.snapshot.runs.values()] == (["a", "b"] if partial else ["a"])


def test_a_run_that_is_gone_is_rejected_and_nothing_is_kept_of_that(outputs: Path, cache: Path) -> None:
    found = places(outputs)
    ingest(outputs, cache)
    before = (cache / "manifest.json").read_bytes()
    shutil.rmtree(found[1].path)
    (bad,) = ensure_cached(found, cache).rejected.values()
    assert (bad.rejected.run, bad.rejected.found) == (f"made/{NAMES[1]}", "none any more")
    assert (cache / "manifest.json").read_bytes() == before


def test_an_ingest_sweeps_what_a_writer_left_that_died(outputs: Path, cache: Path) -> None:
    left = cache / "stats" / "0123456789abcdef.parquet"
    left.parent.mkdir(parents=True)
    left.touch()
    os.utime(left, (1, 1))
    ingest(outputs, cache)
    assert not left.exists()


def test_once_a_run_is_known_as_rejected_the_whole_ones_are_those_without_it(outputs: Path, cache: Path) -> None:
    run_reader = HelmRuns(outputs, cache=cache)
    file_of(outputs, NAMES[0]).write_text("[")
    ingest(outputs, cache)
    assert [place.folder for place in run_reader.complete().places] == NAMES[1:]
    assert set(run_reader.complete().stats()["run_spec.name"]) == set(NAMES[1:])
    file_of(outputs, NAMES[0]).write_text("[]")  # in another state it may be a good one
    assert [place.folder for place in run_reader.complete().places] == list(NAMES)


@pytest.mark.parametrize("inside", ["", "runs", "runs/made"])
def test_a_cache_has_a_folder_of_its_own(inside: str, outputs: Path) -> None:
    before = sorted(outputs.rglob("*"))
    for take in (ingest, lambda source, cache: HelmRuns(source, cache=cache).stats()):
        with pytest.raises(SettingError, match="is among the runs"):
            take(outputs, outputs / inside)
    assert sorted(outputs.rglob("*")) == before


def test_run_specs_are_read_without_taking_the_runs(outputs: Path, cache: Path, opened: list[str]) -> None:
    """One from the cache, one changed since, one never taken: in the order asked for, in one frame."""
    ingest(outputs, cache, runs="[ab]*")
    path = file_of(outputs, NAMES[1], "run_spec.json")
    spec = json.loads(path.read_text())
    spec["scenario_spec"]["args"] = {"subject": "tides", "depth": 0.5}
    path.write_text(json.dumps(spec))
    opened.clear()
    chosen = [places(outputs)[number] for number in (2, 0, 1)]
    frame = read_run_specs(chosen, cache)
    assert opened == [f"{NAMES[2]}/run_spec.json", f"{NAMES[1]}/run_spec.json"]
    assert frame["run_spec.name"].to_list() == [NAMES[2], NAMES[0], NAMES[1]]
    assert frame["run_spec.scenario_spec.args.depth"].to_list() == [None, None, 0.5]
    assert frame.columns[-1] == "magnet.run"
    assert Cache(cache).runs().height == 2


def test_run_specs_of_a_dump_that_was_never_seen(outputs: Path, tmp_path: Path) -> None:
    frame = read_run_specs(places(outputs), tmp_path / "nothing")
    assert frame["run_spec.name"].to_list() == NAMES
    assert read_run_specs([], tmp_path / "nothing").height == 0
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda run: run["run_spec"].pop("name"), "no such key", id="missing"),
        pytest.param(lambda run: run["run_spec"].update(name=7), "a number", id="a number"),
        pytest.param(lambda run: run["run_spec"].update(name=None), "null", id="null"),
    ],
)
def test_a_run_spec_without_a_name_is_bad(change: Callable[[Run], object], found: str, tmp_path: Path) -> None:
    run = make_run("x")
    change(run)
    write_run(tmp_path / "outputs", run, folder="x")
    with pytest.raises(BadFileError) as caught:
        read_run_specs(places(tmp_path / "outputs"), tmp_path / "cache")
    assert caught.value.found == found


def test_a_run_that_went_bad_and_came_back_is_no_longer_rejected(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache)
    file = next((outputs / "runs").glob("*/*/stats.json"))
    good, times = file.read_bytes(), file.stat()
    file.write_bytes(good[:-5])
    assert len(ingest(outputs, cache).rejected) == 1
    file.write_bytes(good)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert ingest(outputs, cache).rejected == ()
    assert Cache(cache).rejects().is_empty()
