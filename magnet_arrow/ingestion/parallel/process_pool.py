"""Worker processes.

Each is a `ProcessPoolExecutor` of one worker: the death of one worker breaks an executor of many as a whole, and nobody
can tell which task killed it.
"""

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, TypeVar

from magnet_arrow._no_pandas import hide_pandas
from magnet_arrow.errors import CacheError, WorkersLostError
from magnet_arrow.ingestion.parallel.executors import Failed, failed
from magnet_arrow.ingestion.parallel.live_count import LiveCount
from magnet_arrow.ingestion.parallel.task import Task, TaskResult
from magnet_arrow.ingestion.progress import ProgressCounter, bytes_to_read
from magnet_arrow.ingestion.worker import run_task
from magnet_arrow.sources import remote_copies
from magnet_arrow.sources.remote import settings
from magnet_arrow.sources.remote.settings import RemoteSettings
from magnet_arrow.storage.maintenance import vacuum

T = TypeVar("T")
R = TypeVar("R")

_REPORT_EVERY_S = 0.25
"""While processes are at work, how far they are is reported."""
_MAX_FALSE_STARTS = 3
"""So many processes in a row may die before they have begun a task."""


class ProcessPool:
    """A `TaskExecutor` of worker processes, which are started when they are first needed, and again when they died."""

    def __init__(self, workers: int, counter: ProgressCounter) -> None:
        self._counter = counter
        self._ended: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._processes = [_Process(workers, self._ended.put) for _ in range(workers)]
        counter.live = [process.live for process in self._processes]

    @property
    def has_room(self) -> bool:
        """Whether a process has nothing to do."""
        return any(process.task is None for process in self._processes)

    @property
    def is_busy(self) -> bool:
        """Whether a process has a task."""
        return any(process.task is not None for process in self._processes)

    def submit(self, task: Task) -> None:
        """Have a process without a task run this one."""
        next(process for process in self._processes if process.task is None).begin(task)

    def next_result(self) -> tuple[Task, TaskResult | Failed]:
        """Wait for the next task to end; the task, and its result.

        Raises:
            CacheError: the cache, or its disk, is at fault.
            WorkersLostError: several processes in a row died before they had begun.
        """
        while True:
            process = self._next_ended()
            task, result = process.end()
            self._counter.drop(process.live)
            if result is None:  # it died before it had begun
                process.begin(task)
            elif isinstance(result, TaskResult):
                return task, self._counter.end_task(task, result)
            else:
                return task, result

    def _next_ended(self) -> "_Process":
        while True:
            try:
                return self._ended.get(timeout=_REPORT_EVERY_S)
            except queue.Empty:
                self._counter.report()

    def close(self) -> None:
        """End the processes, which have nothing to do, and wait for them."""
        for process in self._processes:
            process.shut_down()
        for process in self._processes:
            process.join()

    def stop(self) -> None:
        """Kill the processes."""
        for process in self._processes:
            process.kill()


class _Process:
    """One worker process at a time, and its task; `workers` is how many there are of these."""

    def __init__(self, workers: int, on_end: "Callable[[_Process], None]") -> None:
        self._workers, self._on_end = workers, on_end
        self._executor: ProcessPoolExecutor | None = None
        self._context = _Context()
        self._ready: Future[None] = Future()
        self._future: Future[TaskResult] = Future()
        self._false_starts = 0
        self.live = LiveCount()
        self.task: Task | None = None

    def begin(self, task: Task) -> None:
        self.task = task
        try:
            self._submit(task)
        except BrokenProcessPool:  # it was killed while it had nothing to do
            self.shut_down()
            self._submit(task)
        self._future.add_done_callback(lambda _: self._on_end(self))

    def _submit(self, task: Task) -> None:
        if self._executor is None:
            self._context = _Context()
            self._executor = _executor(1, self._context, self._workers, self.live)
            self._ready = self._executor.submit(_ready)
        self._future = self._executor.submit(_run_task, task)

    def end(self) -> tuple[Task, TaskResult | Failed | None]:
        """The task that has ended, and its result; None if it was not begun."""
        task = self.task
        assert task is not None
        try:
            result: TaskResult | Failed | None = self._future.result()
        except BrokenProcessPool:
            result = self._died(task)
        except CacheError:
            raise
        except Exception as error:
            result = failed(error)
        else:
            self._false_starts = 0
        self.task = None
        return task, result

    def _died(self, task: Task) -> Failed | None:
        was_ready = self._ready.done() and self._ready.exception() is None
        self.shut_down()
        vacuum.discard(task.cache, task.name)
        if was_ready:
            return Failed("its worker process died (out of memory, or killed)")
        self._false_starts += 1
        if self._false_starts >= _MAX_FALSE_STARTS:
            raise WorkersLostError(
                f"{self._false_starts} worker processes died before they had begun.",
                hint="What was committed stays. With workers=1 (--workers 1) no other process is needed.",
            )
        return None

    @property
    def _started(self) -> list[SpawnProcess]:
        return [process for process in self._context.processes if process.pid is not None]

    def shut_down(self) -> None:
        """Have the process end, which has no task any more."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    def join(self) -> None:
        for process in self._started:
            process.join()

    def kill(self) -> None:
        for process in self._started:
            process.kill()
        self.shut_down()
        self.join()


def can_start_processes() -> bool:
    """Whether there is more than one core, and this process may have children, which a daemonic process may not."""
    return cores() > 1 and not multiprocessing.current_process().daemon


def results(function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
    """The results of a function for some tasks, in their order, by one process per core.

    The processes end with the caller.

    Args:
        function: it can be pickled, and writes nothing that a process which dies would leave half done.
        tasks: they can be pickled, as can the results.

    Raises:
        WorkersLostError: a process died.
    """
    context = _Context()
    workers = min(cores(), len(tasks))
    executor = _executor(workers, context, workers)
    try:
        yield from executor.map(function, tasks)
    except BaseException as error:
        for process in context.processes:
            if process.pid is not None:
                process.kill()
        if isinstance(error, BrokenProcessPool):
            hint = "Name fewer runs at once, or give the machine more memory."
            raise WorkersLostError("A worker process died (out of memory, or killed).", hint=hint) from error
        raise
    finally:
        executor.shutdown(cancel_futures=True)


_STARTING = threading.Lock()
"""Held while the main module is hidden, which one thread at a time may do."""


class _SpawnedProcess(SpawnProcess):
    def start(self) -> None:
        with _STARTING, _hidden_main(), _without_ctrl_c():
            super().start()


class _Context(SpawnContext):
    """Remembers the processes, so that they can be killed."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """A process of ours; this method takes the place of a class attribute of the same name."""
        process = _SpawnedProcess(*args, **options)
        self.processes.append(process)
        return process


@contextlib.contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep a new process from running the caller's main module again, as `spawn` has it do.

    A script without a guard would start processes without end. A worker needs nothing of that module.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start a process with Ctrl-C blocked: it ends the caller only, which ends the process."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _executor(
    workers: int, context: "_Context", all_workers: int, live: LiveCount | None = None
) -> ProcessPoolExecutor:
    """Some worker processes, beside others that have the same caller."""
    begin = (all_workers, settings.given(), live)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=begin)


_live: LiveCount | None = None
"""Where this process, if it is a worker, tells how far it is."""


def _begin_worker(all_workers: int, remote: RemoteSettings | None, live: LiveCount | None) -> None:
    global _live
    _live = live
    hide_pandas()
    settings.use(remote)
    remote_copies.share_connections(all_workers)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_caller, daemon=True).start()


def _end_with_caller() -> None:
    """End this process when the caller is killed; without this it would wait for tasks for ever."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    connection.wait([caller.sentinel])
    os._exit(1)


def _run_task(task: Task) -> TaskResult:
    """Run a task, and tell the caller meanwhile how far it is."""
    if _live is None:
        return run_task(task)
    n_bytes = sum(bytes_to_read(run) for run in task.runs)
    return run_task(task, ProgressCounter(_live.tell, n_bytes, len(task.runs)))


def _ready() -> None:
    """Called before the first task: if the process dies later than this, the task is to blame, not the machine."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
