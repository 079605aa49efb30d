"""Sources into a cache: what is read and what is not, and what is said of it."""

import os
from pathlib import Path

import pytest
from dump_files import cached, file_of, files_opened, first_mean, rejected, set_mean
from makedump import THREE as NAMES

from magnet_arrow.cache import Cache
from magnet_arrow.errors import NoRunsError, SettingError
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion import batch_reader, ingester
from magnet_arrow.ingestion.api import Progress, ingest
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.sources.file import FileStamp, Fingerprint
from magnet_arrow.storage.manifest import read_manifest


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return files_opened(monkeypatch)


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


def test_an_ingest_sweeps_what_a_writer_left_that_died(outputs: Path, cache: Path) -> None:
    left = cache / "stats" / "0123456789abcdef.parquet"
    left.parent.mkdir(parents=True)
    left.touch()
    os.utime(left, (1, 1))
    ingest(outputs, cache)
    assert not left.exists()


@pytest.mark.parametrize("inside", ["", "runs", "runs/made"])
def test_a_cache_has_a_folder_of_its_own(inside: str, outputs: Path) -> None:
    before = sorted(outputs.rglob("*"))
    for take in (ingest, lambda source, cache: HelmRuns(source, cache=cache).stats()):
        with pytest.raises(SettingError, match="is among the runs"):
            take(outputs, outputs / inside)
    assert sorted(outputs.rglob("*")) == before


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
