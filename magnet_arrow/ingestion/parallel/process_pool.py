"""Worker processes of our own.

Each is an executor of one: a `ProcessPoolExecutor` of many is broken as a whole by the death of one worker, and nobody
can tell then which order it was that did it.
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
from magnet_arrow.ingestion.parallel.task import Order, Outcome
from magnet_arrow.ingestion.progress import Meter
from magnet_arrow.ingestion.worker import carry_out
from magnet_arrow.storage.maintenance import vacuum

T = TypeVar("T")
R = TypeVar("R")

_MOST_FALSE_STARTS = 3
"""So many processes in a row may die before they have begun."""


class Pool:
    """Worker processes that are started when they are first needed, and again when they died."""

    def __init__(self, workers: int, meter: Meter) -> None:
        self._meter = meter
        self._ended: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._processes = [_Process(self._ended.put) for _ in range(workers)]

    @property
    def has_room(self) -> bool:
        """See `Hands`."""
        return any(process.order is None for process in self._processes)

    @property
    def is_busy(self) -> bool:
        """See `Hands`."""
        return any(process.order is not None for process in self._processes)

    def give(self, order: Order) -> None:
        """See `Hands`."""
        next(process for process in self._processes if process.order is None).begin(order)

    def take_back(self) -> tuple[Order, Outcome | Failed]:
        """See `Hands`."""
        while True:
            process = self._ended.get()
            order, result = process.end()
            if result is None:  # it died before it had begun
                process.begin(order)
            elif isinstance(result, Outcome):
                return order, self._meter.end_order(order, result)
            else:
                return order, result

    def close(self) -> None:
        """See `Hands`."""
        for process in self._processes:
            process.let_go()
        for process in self._processes:
            process.join()

    def stop(self) -> None:
        """See `Hands`."""
        for process in self._processes:
            process.kill()


class _Process:
    """One worker process at a time, and the order that it is at."""

    def __init__(self, ended: "Callable[[_Process], None]") -> None:
        self._tell = ended
        self._executor: ProcessPoolExecutor | None = None
        self._context = _Context()
        self._ready: Future[None] = Future()
        self._future: Future[Outcome] = Future()
        self._false_starts = 0
        self.order: Order | None = None

    def begin(self, order: Order) -> None:
        self.order = order
        try:
            self._submit(order)
        except BrokenProcessPool:  # it was killed while it had nothing to do
            self.let_go()
            self._submit(order)
        self._future.add_done_callback(lambda _: self._tell(self))

    def _submit(self, order: Order) -> None:
        if self._executor is None:
            self._context = _Context()
            self._executor = ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin_worker)
            self._ready = self._executor.submit(_ready)
        self._future = self._executor.submit(carry_out, order)

    def end(self) -> tuple[Order, Outcome | Failed | None]:
        """The order that has ended, and what became of it; None if it was not so much as begun."""
        order = self.order
        assert order is not None
        try:
            result: Outcome | Failed | None = self._future.result()
        except BrokenProcessPool:
            result = self._died(order)
        except CacheError:
            raise
        except Exception as error:
            result = failed(error)
        else:
            self._false_starts = 0
        self.order = None
        return order, result

    def _died(self, order: Order) -> Failed | None:
        was_ready = self._ready.done() and self._ready.exception() is None
        self.let_go()
        vacuum.discard(order.cache, order.name)
        if was_ready:
            return Failed("its worker process died (out of memory, or killed)")
        self._false_starts += 1
        if self._false_starts >= _MOST_FALSE_STARTS:
            raise WorkersLostError(
                f"{self._false_starts} worker processes died before they had begun.",
                hint="What was committed stays. With workers=1 (--workers 1) no other process is needed.",
            )
        return None

    @property
    def _started(self) -> list[SpawnProcess]:
        return [process for process in self._context.processes if process.pid is not None]

    def let_go(self) -> None:
        """End the process, which has nothing to do."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None

    def join(self) -> None:
        for process in self._started:
            process.join()

    def kill(self) -> None:
        for process in self._started:
            process.kill()
        self.let_go()
        self.join()


def can_start_processes() -> bool:
    """Whether there is more than one core to use, and this process may have children: a daemonic one may not."""
    return cores() > 1 and not multiprocessing.current_process().daemon


def results(function: Callable[[T], R], tasks: Sequence[T]) -> Iterator[R]:
    """What a function gives for each task, in their order, by one process per core. The processes end with the caller.

    Args:
        function: can be pickled, and writes nothing that a lost process would leave half done.
        tasks: can be pickled, as what is given back.

    Raises:
        WorkersLostError: a process died.
    """
    context = _Context()
    executor = ProcessPoolExecutor(min(cores(), len(tasks)), mp_context=context, initializer=_begin_worker)
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


# How a process is started, and what it does at first.


_STARTING = threading.Lock()
"""Held while the main module is out of sight, which one thread at a time may do."""


class _SpawnedProcess(SpawnProcess):
    def start(self) -> None:
        with _STARTING, _unseen_main(), _without_ctrl_c():
            super().start()


class _Context(SpawnContext):
    """Remembers the processes, so that they can be killed."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """As the class attribute of this name that it replaces."""
        process = _SpawnedProcess(*args, **options)
        self.processes.append(process)
        return process


@contextlib.contextmanager
def _unseen_main() -> Iterator[None]:
    """A spawned process runs the caller's main module again, which a script without a guard would not survive.

    Nothing in there is needed by a worker of ours.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """The process inherits that Ctrl-C is blocked, so that it only ever ends the caller, which ends the process."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    hide_pandas()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_caller, daemon=True).start()


def _end_with_caller() -> None:
    """Without it a worker would wait for work for ever after the caller has been killed."""
    caller = multiprocessing.parent_process()
    assert caller is not None
    connection.wait([caller.sentinel])
    os._exit(1)


def _ready() -> None:
    """Called before the first order: once it has returned, it is no fault of the machine that a process dies."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
