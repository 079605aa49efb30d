"""A long run that two workers take: what is cached is the same, and nothing is left of a half."""

import gzip
import json
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from itertools import count
from pathlib import Path

import msgspec
import pytest
from makedump import make_run, write_runs
from reading import all_tables
from test_workers import Inline, pending_run

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import verify
from magnet_arrow.decode import limits
from magnet_arrow.errors import WorkersLostError
from magnet_arrow.ingestion import batch_reader, run_reader
from magnet_arrow.ingestion.api import Progress, ingest
from magnet_arrow.ingestion.parallel import division, shared_run
from magnet_arrow.ingestion.parallel.task import PendingRun, Task
from magnet_arrow.storage.manifest import RunEntry

LONG = "long:n=0"
MB = 1_000_000


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    made = [make_run(LONG, n_instances=60, extra_data=[{"depth": 1.5}] * 60), make_run("short:n=0")]
    write_runs(tmp_path / "outputs", made)
    return tmp_path / "outputs"


@pytest.fixture
def folder(outputs: Path) -> Path:
    return outputs / "runs" / "made" / LONG


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of some kilobytes is a long one, and worth two workers."""
    monkeypatch.setattr(shared_run, "MIN_PART_BYTES", 1)
    for module in (limits, run_reader, batch_reader):
        monkeypatch.setattr(module, "BLOCK_BYTES", 8192)


def entry_of(cache: Path) -> RunEntry:
    """What the cache says of the long run; a source's id is random, and places are the segment's."""
    (entry,) = (run.entry for run in Cache(cache).snapshot().entries.values() if run.entry.folder == LONG)
    return msgspec.structs.replace(entry, source="", tables={})


def stems(cache: Path) -> set[str]:
    return {path.stem for kind in ("parquet", "zst", "part*") for path in cache.rglob(f"*.{kind}")}


def alter(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def compress(folder: Path) -> None:
    """The smaller one, so that the run still looks long."""
    file = folder / "per_instance_stats.json"
    (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()


def add_unknown_fields(folder: Path) -> None:
    for name in ("scenario_state.json", "per_instance_stats.json", "stats.json"):
        alter(folder / name, lambda text: text.replace(b'"train_trial_index"', b'"trial"').replace(b'"mean"', b'"men"'))


def add_files(folder: Path) -> None:
    (folder / "notes.json").write_text('{"by": "hand"}')
    (folder / "bytes.json").write_bytes(b"\xff")
    (folder / "instances.json").write_text(json.dumps([{"input": {"text": "?"}, "references": [], "id": "id0"}]))


def embed_pictures(folder: Path) -> None:
    add_files(folder)
    shown = {"instance_id": "id0", "predicted_text": "", "train_trial_index": 0, "stats": {}}
    (folder / "display_predictions.json").write_text(json.dumps([shown | {"base64_images": ["x" * 400_000]}]))


def nothing(_: Path) -> None:
    pass


def cut_states(folder: Path) -> None:
    alter(folder / "scenario_state.json", lambda text: text[: len(text) // 2])


def cut_instance_stats(folder: Path) -> None:
    alter(folder / "per_instance_stats.json", lambda text: text[: len(text) // 2])


def cut_both(folder: Path) -> None:
    cut_states(folder)
    cut_instance_stats(folder)


def lose_a_file(folder: Path) -> None:
    (folder / "stats.json").unlink()


def add_an_entry_without_rows(folder: Path) -> None:
    alter(folder / "per_instance_stats.json", lambda text: text.replace(b"\n]", b',\n  {"instance_id": "x"}\n]'))


def compress_what_is_cut(folder: Path) -> None:
    """Of which it is not known how much there was."""
    file = folder / "stats.json"
    (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()[:-20]))
    file.unlink()


@pytest.mark.parametrize(
    "partial", [pytest.param(False, id=""), pytest.param(True, id="partial", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "change",
    [
        *(add_unknown_fields, cut_states, lose_a_file, embed_pictures),
        *(
            pytest.param(change, marks=pytest.mark.slow)
            for change in (
                *(nothing, compress, compress_what_is_cut, add_files),
                *(cut_instance_stats, cut_both, add_an_entry_without_rows),
            )
        ),
    ],
)
def test_what_is_cached_does_not_depend_on_who_takes_which_files(
    change: Callable[[Path], None], partial: bool, outputs: Path, folder: Path, tmp_path: Path
) -> None:
    change(folder)
    alone = ingest(outputs, tmp_path / "alone", workers=1, partial=partial)
    executor = Inline()
    report = ingest(outputs, tmp_path / "shared", executor=executor, workers=2, partial=partial)
    assert executor.tasks[:2] == [[LONG], [LONG]]
    for name in ("runs", "rows", "bytes_in", "skipped", "rejected", "notes", "unexpected", "partial"):
        assert getattr(report, name) == getattr(alone, name), name
    expected = all_tables(tmp_path / "alone")
    for table, frame in all_tables(tmp_path / "shared").items():
        assert frame.equals(expected[table]), table
    if report.rejected:
        assert [task for task in executor.tasks if task == [LONG]] == [[LONG]] * 3  # once more, as a whole
    else:
        assert entry_of(tmp_path / "shared") == entry_of(tmp_path / "alone")
        assert verify(outputs, tmp_path / "shared").differences == ()
    assert Cache(tmp_path / "shared").check().damages == ()
    assert len(stems(tmp_path / "shared")) == 2 - bool(report.rejected)
    again = ingest(outputs, tmp_path / "shared", partial=partial)
    assert (again.runs, again.rejected) == (0, report.rejected)


@pytest.mark.parametrize("tables", [["stats", "scenario_state"], ["per_instance_stats", "files"], ["scenario_state"]])
def test_two_workers_read_chosen_tables(tables: list[str], outputs: Path, folder: Path, tmp_path: Path) -> None:
    add_files(folder)
    (folder / "per_instance_stats.json" if "stats" in tables else folder / "stats.json").unlink()
    ingest(outputs, tmp_path / "alone", workers=1, tables=tables)
    executor = Inline()
    report = ingest(outputs, tmp_path / "shared", executor=executor, workers=2, tables=tables)
    assert (report.runs, report.partial, report.rejected) == (2, 0, ())
    assert executor.tasks[:2] == [[LONG], [LONG]]
    assert entry_of(tmp_path / "shared") == entry_of(tmp_path / "alone")
    assert entry_of(tmp_path / "shared").chosen == tuple(sorted({"run_spec", *tables}))
    assert verify(outputs, tmp_path / "shared").is_equal
    assert Cache(tmp_path / "shared").check().damages == ()
    again = ingest(outputs, tmp_path / "shared", executor=Inline(), workers=2, tables=["run_spec"])
    assert (again.runs, again.skipped) == (0, 2)


@pytest.mark.slow
def test_worker_processes_take_parts(
    outputs: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In other processes, which know nothing of this test's small blocks."""
    monkeypatch.undo()
    monkeypatch.setattr(shared_run, "MIN_PART_BYTES", 1 << 20)
    write_runs(outputs, [make_run("large:n=0", n_instances=14_000)])
    assert (outputs / "runs" / "made" / "large:n=0" / "scenario_state.json").stat().st_size > limits.BLOCK_BYTES
    told: list[Progress] = []
    ingest(outputs, tmp_path / "alone", workers=1)
    report = ingest(outputs, tmp_path / "shared", workers=2, content_hash=True, progress=told.append)
    assert (report.runs, told[-1].runs_done, told[-1].bytes_done) == (3, 3, told[-1].bytes_total)
    expected = all_tables(tmp_path / "alone")
    for table, frame in all_tables(tmp_path / "shared").items():
        assert frame.equals(expected[table]), table
    assert ingest(outputs, tmp_path / "shared", content_hash=True).skipped == 3


def test_a_largest_file_that_is_no_table_is_kept_as_text_with_the_others(
    outputs: Path, folder: Path, tmp_path: Path
) -> None:
    """Both parts would have rows of the same table."""
    add_files(folder)
    (folder / "display_predictions.json").write_text(json.dumps({"not": "an array", "x": "y" * 400_000}))
    ingest(outputs, tmp_path / "alone", workers=1)
    executor = Inline()
    ingest(outputs, tmp_path / "shared", executor=executor, workers=2)
    assert executor.tasks.count([LONG]) == 3
    assert all_tables(tmp_path / "shared")["files"].equals(all_tables(tmp_path / "alone")["files"])
    assert entry_of(tmp_path / "shared") == entry_of(tmp_path / "alone")
    assert len(stems(tmp_path / "shared")) == 2


def test_bytes_that_change_between_two_parts_are_noticed(outputs: Path, folder: Path, cache: Path) -> None:
    """Neither their number nor the file's date do."""
    file = folder / "scenario_state.json"

    def change(task: Task) -> None:
        if task.is_rest:
            times = file.stat()
            alter(file, lambda text: text.replace(b"tide id7?", b"tide id8?"))
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    ingest(outputs, cache, executor=Inline(change), workers=2, content_hash=True)
    assert verify(outputs, cache).differences == ()
    assert ingest(outputs, cache, content_hash=True).skipped == 2


def test_what_stands_beside_runs_is_one_workers(outputs: Path, cache: Path, tmp_path: Path) -> None:
    (outputs / "runs" / "made" / "summary.json").write_text("{}")
    (outputs / "runs" / "made" / "run_specs.json").write_text(json.dumps(["x" * 500_000]))
    executor = Inline()
    ingest(outputs, cache, executor=executor, workers=2)
    assert executor.tasks.count([""]) == 1
    ingest(outputs, tmp_path / "alone", workers=1)
    assert all_tables(cache)["suite_files"].equals(all_tables(tmp_path / "alone")["suite_files"])


@pytest.mark.parametrize("which", [[False], [True], [False, True]], ids=["the one", "the rest", "both"])
def test_a_part_that_makes_workers_fail_costs_the_run_and_no_other(
    which: list[bool], outputs: Path, cache: Path
) -> None:
    def fail(task: Task) -> None:
        if task.is_part and task.is_rest in which:
            raise MemoryError

    told: list[Progress] = []
    executor = Inline(fail)
    report = ingest(outputs, cache, executor=executor, workers=2, progress=told.append)
    (fault,) = report.rejected
    assert (fault.run, fault.reason) == (f"made/{LONG}", "It could not be read: MemoryError.")
    assert (report.runs, told[-1].runs_done, told[-1].rejected) == (1, 2, 1)
    assert told[-1].bytes_done == told[-1].bytes_total
    assert Cache(cache).runs()["folder"].to_list() == ["short:n=0"]
    assert len(stems(cache)) == 1
    assert ingest(outputs, cache, executor=Inline(), workers=2, retry=True).runs == 1


def test_a_part_that_fails_once_is_tried_again(outputs: Path, cache: Path) -> None:
    tries = count()

    def fail(task: Task) -> None:
        if task.is_rest and not next(tries):
            raise MemoryError

    assert ingest(outputs, cache, executor=Inline(fail), workers=2).runs == 2
    assert len(stems(cache)) == 2


def test_nothing_is_left_of_a_half_when_the_executor_breaks(outputs: Path, cache: Path) -> None:
    def fail(task: Task) -> None:
        if task.is_rest:
            raise BrokenExecutor("a process was killed")

    with pytest.raises(WorkersLostError, match="lost 1 runs"):
        ingest(outputs, cache, executor=Inline(fail), workers=2)
    assert Cache(cache).runs()["folder"].to_list() == ["short:n=0"]
    assert len(stems(cache)) == 1
    assert ingest(outputs, cache).runs == 1


def test_nothing_is_left_of_a_half_when_the_ingest_is_stopped(outputs: Path, cache: Path) -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        ingest(outputs, cache, executor=executor, workers=2, progress=stop)
    assert stems(cache) == set()
    assert ingest(outputs, cache).runs == 2


def long_run(name: str, size_mb: int) -> PendingRun:
    """More than half of it per-instance stats."""
    first = pending_run(name, MB)
    (stamp,) = first.stamps
    sizes = {"per_instance_stats.json": size_mb * MB * 5 // 9, "scenario_state.json": size_mb * MB * 4 // 9}
    stamps = (*(msgspec.structs.replace(stamp, name=file, size_bytes=size) for file, size in sizes.items()), stamp)
    return msgspec.structs.replace(first, stamps=stamps)


@pytest.mark.parametrize(
    ("sizes", "workers", "divided"),
    [
        pytest.param([900], 2, ["a per_instance_stats.json", "a the rest"], id="one alone"),
        pytest.param([900, 900], 2, ["a", "b"], id="one each"),
        pytest.param([900, 900, 900], 2, ["a", "b", "c per_instance_stats.json", "c the rest"], id="one too many"),
        pytest.param([900, 90], 2, ["a per_instance_stats.json", "a the rest", "b"], id="a small one beside it"),
        pytest.param([60], 2, ["a"], id="too small to share"),
    ],
)
def test_a_run_is_shared_where_others_would_have_nothing_to_do(
    sizes: list[int], workers: int, divided: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    found = []
    for run in division.divide_among([long_run(name, size) for name, size in zip("abc", sizes, strict=False)], workers):
        (one,) = run
        file = "" if one.share is None else " the rest" if one.share.rest else f" {one.share.file}"
        found.append(one.place.folder + file)
    assert found == divided
