"""Runs tasks in this process, or by an executor of the caller."""

import contextlib
import queue
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import CacheError, ForkedError
from magnet_arrow.ingestion.parallel.task import Task, TaskResult
from magnet_arrow.ingestion.progress import ProgressCounter
from magnet_arrow.ingestion.rejection import said
from magnet_arrow.ingestion.worker import run_task
from magnet_arrow.sources.file import is_system_error
from magnet_arrow.storage.maintenance import vacuum

_MORE_MEMORY = "Give it more memory, by fewer workers or another machine, and ingest with retry=True."
_REPORT = "Please report this; with retry=True the run is read again."


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a task brought no result.

    Attributes:
        why: in words.
        hint: what can be done about it.
        is_system: the system is at fault, so the next ingest tries again.
    """

    why: str
    hint: str = _MORE_MEMORY
    is_system: bool = False


class Lost(Failed):
    """The task was not run, or not to its end, since its executor broke: nobody knows whether it would have failed."""


class TaskExecutor(Protocol):
    """Runs tasks. Results come in the order in which tasks end."""

    @property
    def has_room(self) -> bool:
        """Whether another task would begin at once."""

    @property
    def is_busy(self) -> bool:
        """Whether a task was submitted whose result has not been asked for."""

    def submit(self, task: Task) -> None:
        """Begin a task. Only called while `has_room`."""

    def next_result(self) -> tuple[Task, TaskResult | Failed]:
        """Wait for the next task to end; the task, and its result. Only called while `is_busy`.

        Raises:
            CacheError: the cache, or its disk, is at fault.
            WorkersLostError: no worker process can be started.
        """

    def close(self) -> None:
        """End the workers, when all tasks have ended."""

    def stop(self) -> None:
        """Abandon all tasks. No process of ours is at work any more when this returns."""


class InProcess:
    """Runs tasks in this process, each when its result is asked for."""

    def __init__(self, counter: ProgressCounter) -> None:
        self._counter, self._buffer = counter, Buffer()
        self._task: Task | None = None

    @property
    def has_room(self) -> bool:
        """Whether no task is waiting: there is room for one."""
        return self._task is None

    @property
    def is_busy(self) -> bool:
        """Whether a task is waiting."""
        return self._task is not None

    def submit(self, task: Task) -> None:
        """Keep the task for `next_result`."""
        self._task = task

    def next_result(self) -> tuple[Task, TaskResult | Failed]:
        """Run the task that was submitted; the task, and its result.

        Raises:
            CacheError: the cache, or its disk, is at fault.
            Exception: whatever the caller's progress function raised.
        """
        task = self._task
        assert task is not None
        try:
            result: TaskResult | Failed = run_task(task, self._counter, self._buffer)
        except CacheError:
            raise
        except Exception as error:
            if error is self._counter.stopped_by:
                raise
            result = failed(error)
        self._task = None
        return task, result

    def close(self) -> None:
        """There is nothing to end."""

    def stop(self) -> None:
        """Forget the task."""
        self._task = None


class CallerExecutor:
    """Runs tasks by an executor of the caller. It gets all tasks at once: it alone knows how many workers it has."""

    def __init__(self, executor: Executor, counter: ProgressCounter) -> None:
        self._executor, self._counter = executor, counter
        self._futures: dict[Future[TaskResult], Task] = {}
        self._ended: queue.SimpleQueue[Future[TaskResult]] = queue.SimpleQueue()

    @property
    def has_room(self) -> bool:
        """Always: tasks queue in the executor."""
        return True

    @property
    def is_busy(self) -> bool:
        """Whether the executor has tasks of ours."""
        return bool(self._futures)

    def submit(self, task: Task) -> None:
        """Give the task to the executor; one that is broken or shut down makes it `Lost`."""
        try:
            future = self._executor.submit(run_task, task)
        except RuntimeError as error:  # a broken executor, or one that was shut down
            future = Future()
            future.set_exception(error if isinstance(error, BrokenExecutor) else BrokenExecutor(str(error)))
        self._futures[future] = task
        future.add_done_callback(self._ended.put)

    def next_result(self) -> tuple[Task, TaskResult | Failed]:
        """Wait for the next task to end; the task, and its result.

        Raises:
            CacheError: the cache, or its disk, is at fault.
            ForkedError: a worker was forked from a process that had used Polars.
        """
        future = self._ended.get()
        task = self._futures.pop(future)
        try:
            return task, self._counter.end_task(task, future.result())
        except (BrokenExecutor, CancelledError) as error:
            return task, Lost(said(error))
        except (CacheError, ForkedError):
            raise
        except Exception as error:
            return task, failed(error)

    def close(self) -> None:
        """The executor stays open: it is the caller's."""

    def stop(self) -> None:
        """Cancel what has not begun. What has begun can't be stopped: its files are removed when it ends."""
        for future, task in self._futures.items():
            if not future.cancel():
                future.add_done_callback(_discarding(task.cache, task.name))


def _discarding(cache: Path, name: str) -> Callable[[object], None]:
    def discard(_: object) -> None:
        with contextlib.suppress(OSError, CacheError):  # a vacuum removes them after a day
            vacuum.discard(cache, name)

    return discard


def failed(error: Exception) -> Failed:
    """The failure for an exception that one of the task's runs raised, and that is not about the cache."""
    if is_system_error(error):
        return Failed(said(error), "This is not remembered: the next ingest looks again.", is_system=True)
    return Failed(said(error)) if isinstance(error, MemoryError) else Failed(said(error), _REPORT)
