"""Workers: what is in the cache does not depend on them, and what becomes of the runs of those that die."""

import gzip
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import failing_workers
import pyarrow as pa
import pytest
from failing_workers import BAD
from makedump import make_run, write_runs
from processes import PACKAGE, start_ingest
from reading import all_tables

from magnet_arrow.cache import Cache
from magnet_arrow.checks.validate import validate
from magnet_arrow.decode.limits import BLOCK_BYTES
from magnet_arrow.errors import CacheNotWritableError, SettingError, WorkersLostError
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion import batch_reader, worker
from magnet_arrow.ingestion.api import IngestReport, Progress, ingest
from magnet_arrow.ingestion.ingester import Ingester
from magnet_arrow.ingestion.parallel import division, process_pool, settings
from magnet_arrow.ingestion.parallel.executors import InProcess
from magnet_arrow.ingestion.parallel.task import PendingRun, Task
from magnet_arrow.ingestion.progress import ProgressCounter
from magnet_arrow.records.row_group import Batch
from magnet_arrow.sources.file import FileStamp
from magnet_arrow.storage.segments.writer import TableWriter

NAMES = [f"tide:n={number}" for number in range(8)]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "outputs", [make_run(name, args={name: 1}) for name in NAMES])
    return tmp_path / "outputs"


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small dumps are divided among workers too, a run a task."""
    monkeypatch.setattr(division, "MIN_TASK_BYTES", 1)
    monkeypatch.setattr(division, "MAX_TASK_BYTES", 1)


@pytest.mark.parametrize(
    ("workers", "partial"),
    [(2, False), pytest.param(2, True, marks=pytest.mark.slow), pytest.param(4, False, marks=pytest.mark.slow)],
)
def test_what_is_cached_does_not_depend_on_the_workers(
    workers: int, partial: bool, demo_outputs: Path, outputs: Path, tmp_path: Path
) -> None:
    cut, odd = outputs / "runs" / "made" / NAMES[5] / "stats.json", outputs / "runs" / "made" / NAMES[6] / "stats.json"
    cut.write_bytes(cut.read_bytes()[:-40])
    odd.write_text(odd.read_text().replace('"mean"', '"meen"', 1))
    (outputs / "runs" / "made" / NAMES[7] / "per_instance_stats.json").unlink()
    sources = [demo_outputs, outputs]
    alone = ingest(sources, tmp_path / "alone", workers=1, partial=partial)
    report = ingest(sources, tmp_path / "shared", workers=workers, partial=partial)
    assert (len(report.rejected), report.partial) == ((0, 2) if partial else (2, 0))
    assert list(report.unexpected) == [("unknown field", "stats.json $[].meen")]
    for name in ("runs", "rows", "bytes_in", "skipped", "rejected", "notes", "unexpected", "partial", "lacking"):
        assert getattr(report, name) == getattr(alone, name), name
    expected = all_tables(tmp_path / "alone")
    assert {name: frame.height for name, frame in expected.items()} == alone.rows
    for table, frame in all_tables(tmp_path / "shared").items():
        assert frame.equals(expected[table]), table


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_what_is_cached_does_not_depend_on_the_order_in_which_it_comes(
    seed: int, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, tmp_path / "alone", workers=1)
    rng = random.Random(seed)

    def shuffled(runs: Sequence[PendingRun], workers: int) -> list[tuple[PendingRun, ...]]:
        left, divided = list(runs), []
        rng.shuffle(left)
        while left:
            size = rng.randint(1, 3)
            divided.append(tuple(left[:size]))
            left = left[size:]
        return divided

    monkeypatch.setattr(division, "divide_among", shuffled)
    ingest(outputs, tmp_path / "shuffled", executor=Inline())
    expected = all_tables(tmp_path / "alone")
    for table, frame in all_tables(tmp_path / "shuffled").items():
        assert frame.equals(expected[table]), table


@pytest.mark.slow
def test_a_run_that_turns_out_to_be_long_has_a_segment_of_its_own(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed file of more than a block: its size does not show that."""
    monkeypatch.setattr(division, "MIN_TASK_BYTES", 1 << 30)
    write_runs(outputs, [make_run("long:n=0", n_instances=12_000)])
    file = outputs / "runs" / "made" / "long:n=0" / "scenario_state.json"
    text = file.read_bytes()
    assert len(text) > BLOCK_BYTES
    (file.parent / f"{file.name}.gz").write_bytes(gzip.compress(text, 1))
    file.unlink()
    executor = Inline()
    report = ingest(outputs, cache, executor=executor)
    assert (report.runs, report.rejected, report.rows["scenario_state"]) == (9, (), 12_016)
    assert executor.tasks == [["", "long:n=0", *NAMES], ["long:n=0"]]
    assert ingest(outputs, cache.with_name("alone")).rows == report.rows


@pytest.mark.parametrize("bound", ["SEGMENT_TIME_S", "SEGMENT_PARQUET_BYTES"])
def test_a_segment_is_handed_over_in_time(
    bound: str, outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a run; the others become a task of their own."""
    monkeypatch.setattr(worker, bound, 0)
    monkeypatch.setattr(batch_reader, "BATCH_BYTES", 1)
    monkeypatch.setattr(division, "MIN_TASK_BYTES", 1 << 30)
    executor = Inline()
    assert ingest(outputs / "runs" / "made", cache, runs="tide:*", executor=executor).runs == 8
    assert executor.tasks == [["", *NAMES], *(NAMES[number:] for number in range(8))]


@pytest.mark.slow
def test_any_executor_will_do(outputs: Path, tmp_path: Path) -> None:
    ingest(outputs, tmp_path / "alone", workers=1)
    told: list[Progress] = []
    with ThreadPoolExecutor(3) as executor:
        report = ingest(outputs, tmp_path / "shared", executor=executor, progress=told.append)
        assert executor.submit(int, "7").result() == 7  # it is the caller's, and stays open
    assert (report.runs, report.rejected) == (8, ())
    for table, frame in all_tables(tmp_path / "shared").items():
        assert frame.equals(all_tables(tmp_path / "alone")[table]), table
    n_bytes = sum(path.stat().st_size for path in outputs.rglob("*.json"))
    assert [one.runs_done for one in told] == list(range(1, 9))
    assert (told[-1].bytes_done, told[-1].bytes_total) == (n_bytes, n_bytes)


@pytest.mark.slow
def test_a_script_without_a_guard_has_workers_too(outputs: Path, cache: Path, tmp_path: Path) -> None:
    """A spawned process would run the script again, and be refused by multiprocessing."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {PACKAGE!r})\n"
        "from magnet_arrow import ingest\nfrom magnet_arrow.ingestion.parallel import division\n"
        "division.MIN_TASK_BYTES = division.MAX_TASK_BYTES = 1\n"
        f"print(ingest({str(outputs)!r}, {str(cache)!r}, workers=2).runs)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("8\n", "")


# How work is divided.


def pending_run(name: str, size_bytes: int) -> PendingRun:
    place = RunPlace(Path("/made") / name, Path("/made"), "made", name)
    return PendingRun(place, "s0", (FileStamp("stats.json", size_bytes, 0),))


MB = 1_000_000


def test_large_runs_come_first_and_alone() -> None:
    runs = [
        pending_run("a", 2 * MB),
        pending_run("b", 40 * MB),
        pending_run("c", 3 * MB),
        pending_run("d", 90 * MB),
        pending_run("e", MB),
    ]
    divided = [[run.place.folder for run in runs] for runs in division.divide_among(runs, 2)]
    assert divided == [["d"], ["b"], ["a"], ["c"], ["e"]]


def test_short_runs_are_neighbours_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [pending_run(name, 3 * MB) for name in "abcdefg"]
    assert [len(part) for part in division.divide(runs)] == [7]
    monkeypatch.setattr(division, "SEGMENT_JSON_BYTES", 6 * MB)
    assert [len(part) for part in division.divide(runs)] == [2, 2, 2, 1]


def test_orders_grow_smaller_towards_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a quarter of what is left for two workers, within bounds."""
    runs = [pending_run(f"{number:03}", MB) for number in range(100)]
    monkeypatch.setattr(division, "MAX_TASK_BYTES", 20 * MB)
    monkeypatch.setattr(division, "MIN_TASK_BYTES", 5 * MB)
    assert [len(part) for part in division.divide(runs, 2)] == [20, 20, 15, 12, 9, 6, 5, 5, 5, 3]


@pytest.mark.parametrize(
    ("wanted", "memory_bytes", "n_bytes", "found"),
    [
        pytest.param(None, None, 100 * MB, 1, id="too little for processes to pay"),
        pytest.param(None, None, 1000 * MB, 6, id="one a core"),
        pytest.param(3, None, 10 * MB, 3, id="as many as asked for"),
        pytest.param(None, 4 << 30, 1000 * MB, 6, id="memory enough"),
        pytest.param(None, 1 << 30, 1000 * MB, 2, id="memory for two and the caller"),
        pytest.param(4, 600 << 20, 1000 * MB, 1, id="memory for one"),
    ],
)
def test_how_many_workers_there_are(
    wanted: int | None, memory_bytes: int | None, n_bytes: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "cores", lambda: 6)
    runs = [pending_run(f"{number:02}", n_bytes // 40) for number in range(40)]
    monkeypatch.setattr(settings, "ProcessPool", lambda workers, counter: workers)
    executor, _ = settings.WorkerSettings(wanted, memory_bytes).executor_for(runs, ProgressCounter())
    assert (1 if isinstance(executor, InProcess) else executor) == found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "expected at least one worker, found 0"),
        ({"memory_bytes": 100 << 20}, "at least 315 MB of memory, as one process may need them, found 105 MB"),
    ],
)
def test_settings_that_leave_nothing_to_work_with(options: dict[str, int], words: str, outputs: Path) -> None:
    with pytest.raises(SettingError, match=words):
        ingest(outputs, **options)  # type: ignore[arg-type]


# Workers that fail. What makes them fail is the tests' own: no hook in the package serves it.


class Inline(Executor):
    """Carries out at once what is submitted, unless it is made to fail."""

    def __init__(self, fail: Callable[[Task], object] = lambda _: None) -> None:
        self.tasks: list[list[str]] = []
        self._fail = fail

    def submit(self, function: Any, /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append([run.place.folder for run in args[0].runs])
        try:
            self._fail(args[0])
            future.set_result(function(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def test_a_run_that_makes_workers_fail_is_tried_alone_and_rejected(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(task: Task) -> None:
        if any(run.place.folder == BAD for run in task.runs):
            raise MemoryError

    monkeypatch.setattr(division, "MIN_TASK_BYTES", 1 << 30)  # all in one
    executor = Inline(fail)
    report = ingest(outputs / "runs" / "made", cache, runs="tide:*", executor=executor)
    assert executor.tasks[0] == ["", *NAMES]
    assert [BAD] in executor.tasks
    assert_only_the_bad_run_is_rejected(report, cache, "MemoryError")


def assert_only_the_bad_run_is_rejected(report: IngestReport, cache: Path, why: str) -> None:
    (fault,) = report.rejected
    assert (fault.run, fault.file) == (f"made/{BAD}", "")
    assert fault.reason == f"It could not be read: {why}."
    assert report.runs == 7
    assert Cache(cache).runs()["folder"].to_list() == [name for name in NAMES if name != BAD]
    assert Cache(cache).rejects()["folder"].to_list() == [BAD]
    assert Cache(cache).check().damages == ()
    assert list(cache.rglob("*.part*")) == []


@pytest.mark.parametrize(
    ("begin", "why"),
    [
        (failing_workers.killed, "its worker process died (out of memory, or killed)"),
        pytest.param(failing_workers.out_of_memory, "MemoryError", marks=pytest.mark.slow),
    ],
    ids=["killed", "out of memory"],
)
def test_a_run_that_costs_workers_their_lives_is_rejected_and_no_other(
    begin: Callable[[int], None], why: str, outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "_begin_worker", begin)
    told: list[Progress] = []
    report = ingest(outputs, cache, workers=2, progress=told.append)
    assert_only_the_bad_run_is_rejected(report, cache, why)
    assert (told[-1].runs_done, told[-1].runs_total, told[-1].rejected) == (8, 8, 1)
    monkeypatch.undo()
    assert ingest(outputs, cache).rejected == report.rejected  # known, and not tried again
    assert ingest(outputs, cache, retry=True).runs == 1


@pytest.mark.slow
def test_processes_that_can_not_be_started_are_no_fault_of_the_runs(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "_begin_worker", failing_workers.never_begun)
    with pytest.raises(WorkersLostError, match="3 worker processes died before they had begun"):
        ingest(outputs, cache, workers=2)
    assert Cache(cache).rejects().is_empty()
    monkeypatch.undo()
    assert ingest(outputs, cache).runs == 8


def test_an_executor_that_breaks_leaves_its_runs_to_be_done(outputs: Path, cache: Path) -> None:
    executor = Inline()

    def break_at_the_fourth(_: Task) -> None:
        if len(executor.tasks) >= 4:
            raise BrokenExecutor("a process was killed")

    executor._fail = break_at_the_fourth
    with pytest.raises(WorkersLostError, match="lost 5 runs: BrokenExecutor: a process was killed") as caught:
        ingest(outputs, cache, executor=executor)
    assert "ingest again" in str(caught.value)
    assert Cache(cache).runs().height == 3
    assert Cache(cache).rejects().is_empty()
    assert ingest(outputs, cache).runs == 5


def test_an_executor_that_was_shut_down_is_reported(outputs: Path, cache: Path) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(WorkersLostError, match="lost 8 runs: BrokenExecutor: cannot schedule"):
        ingest(outputs, cache, executor=executor)


def test_what_was_wrong_with_the_cache_is_not_blamed_on_a_run(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(task: Task) -> None:
        raise CacheNotWritableError("The disk is full.", hint="Free some space.")

    with pytest.raises(CacheNotWritableError, match="The disk is full"):
        ingest(outputs, cache, executor=Inline(fail))
    assert Cache(cache).rejects().is_empty()


def raising_at_the_bad_run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Whatever a run's files make the package raise, on either way of reading them."""

    def wrapped(really: Callable[..., Any]) -> Callable[..., Any]:
        def raising(self: Ingester[Any], what: Any) -> Any:
            runs = what if isinstance(what, list) else [what]
            if any(run.place.folder == BAD for run in runs):
                raise error
            return really(self, what)

        return raising

    for name in ("ingest", "ingest_batch"):
        monkeypatch.setattr(Ingester, name, wrapped(getattr(Ingester, name)))


@pytest.mark.parametrize(
    ("error", "why"),
    [
        pytest.param(error, why, id=type(error).__name__, marks=marks)
        for error, why, *marks in (
            (pa.ArrowInvalid("offset overflow while concatenating arrays"), "ArrowInvalid: offset overflow while"),
            (MemoryError(), "MemoryError"),
            (RecursionError("maximum recursion depth"), "RecursionError: maximum recursion depth", pytest.mark.slow),
            (OverflowError(), "OverflowError", pytest.mark.slow),
            (KeyError("mean"), "KeyError: 'mean'", pytest.mark.slow),
        )
    ],
)
def test_what_one_run_raises_rejects_that_run_in_this_process_too(
    error: Exception, why: str, outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(division, "MIN_TASK_BYTES", 1 << 30)  # all in one
    raising_at_the_bad_run(monkeypatch, error)
    report = ingest(outputs, cache, workers=1)
    [fault] = report.rejected
    assert (fault.run, fault.reason.startswith(f"It could not be read: {why}")) == (f"made/{BAD}", True)
    assert report.runs == 7
    assert [one.folder for one in validate(outputs).runs if one.rejected] == [BAD]
    monkeypatch.undo()
    assert ingest(outputs, cache).rejected == report.rejected
    assert ingest(outputs, cache, retry=True).runs == 1


def test_what_arrow_says_of_rows_is_not_blamed_on_the_disk(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = TableWriter.add

    def add(self: TableWriter, batch: Batch) -> None:
        if any(run.key.endswith(BAD) for run in batch.runs):
            raise pa.ArrowCapacityError("array cannot contain more than 2147483646 bytes")
        really(self, batch)

    monkeypatch.setattr(TableWriter, "add", add)
    report = ingest(outputs, cache, workers=1)
    assert [(one.run, "ArrowCapacityError" in one.reason) for one in report.rejected] == [(f"made/{BAD}", True)]
    assert report.runs == 7
    assert Cache(cache).check().damages == ()


def test_what_the_callers_function_raises_is_no_fault_of_a_run(outputs: Path, cache: Path) -> None:
    def stop(_: Progress) -> None:
        raise ValueError("enough")

    for look in (lambda: ingest(outputs, cache, workers=1, progress=stop), lambda: validate(outputs, progress=stop)):
        with pytest.raises(ValueError, match="enough"):
            look()
    assert Cache(cache).rejects().is_empty()


def test_errors_cross_process_borders() -> None:
    error = CacheNotWritableError("The disk is full.", hint="Free some space.")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# Ends of the caller.


def test_a_stop_leaves_nothing_of_orders_under_way(outputs: Path, cache: Path) -> None:
    """Of an executor that goes on: what it finishes later is removed then."""

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as executor, pytest.raises(KeyboardInterrupt):
        ingest(outputs, cache, executor=executor, progress=stop)
    assert [path for path in cache.rglob("*") if path.suffix in (".parquet", ".json")] == [cache / "manifest.json"]
    assert ingest(outputs, cache).runs == 8


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups like these")
def test_workers_end_when_the_caller_is_killed(outputs: Path, cache: Path) -> None:
    prelude = (
        "import os, signal; ingestion.transaction.commit_transaction = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = start_ingest([outputs], cache, prelude=prelude, workers=2)
    # They hold the other ends of its pipes, so that this waits for the last of them.
    _, complaint = child.communicate(timeout=60)
    assert (child.returncode, complaint) == (-signal.SIGKILL, "")
