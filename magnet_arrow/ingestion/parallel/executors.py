"""Who carries out orders: this process itself, or the workers of an executor that the caller has."""

import contextlib
import queue
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from magnet_arrow.decode.chunks import Buffer
from magnet_arrow.errors import CacheError, ForkedError
from magnet_arrow.ingestion.parallel.task import Order, Outcome
from magnet_arrow.ingestion.progress import Meter
from magnet_arrow.ingestion.rejection import said
from magnet_arrow.ingestion.worker import carry_out
from magnet_arrow.sources.file import is_system_error
from magnet_arrow.storage.maintenance import vacuum

_MORE_MEMORY = "Give it more memory, by fewer workers or another machine, and ingest with retry=True."
_REPORT = "Please report this; with retry=True the run is read again."


@dataclass(frozen=True, slots=True)
class Failed:
    """An order was not carried out, and why not.

    Attributes:
        why: in words.
        hint: what can be done about it.
        is_system: the system is at fault, so that the next ingest is to look again.
    """

    why: str
    hint: str = _MORE_MEMORY
    is_system: bool = False


class Lost(Failed):
    """It was not carried out as there is nobody left to do so; nobody knows if it would have failed."""


class Hands(Protocol):
    """What carries out orders."""

    @property
    def has_room(self) -> bool:
        """Whether another order would be begun at once."""

    @property
    def is_busy(self) -> bool:
        """Whether an order is under way."""

    def give(self, order: Order) -> None:
        """Begin an order."""

    def take_back(self) -> tuple[Order, Outcome | Failed]:
        """Wait for the next order to end, whichever that is.

        Raises:
            CacheError: the cache, or its disk, is at fault.
            WorkersLostError: there is no way on.
        """

    def close(self) -> None:
        """All is done."""

    def stop(self) -> None:
        """Nothing more is wanted. When this returns, no process of ours is at work any more."""


class OwnHands:
    """This process: an order is carried out when it is asked for."""

    def __init__(self, meter: Meter) -> None:
        self._meter, self._buffer = meter, Buffer()
        self._order: Order | None = None

    @property
    def has_room(self) -> bool:
        """See `Hands`."""
        return self._order is None

    @property
    def is_busy(self) -> bool:
        """See `Hands`."""
        return self._order is not None

    def give(self, order: Order) -> None:
        """See `Hands`."""
        self._order = order

    def take_back(self) -> tuple[Order, Outcome | Failed]:
        """See `Hands`."""
        order = self._order
        assert order is not None
        try:
            result: Outcome | Failed = carry_out(order, self._meter, self._buffer)
        except CacheError:
            raise
        except Exception as error:
            if error is self._meter.stopped_by:
                raise
            result = failed(error)
        self._order = None
        return order, result

    def close(self) -> None:
        """See `Hands`."""

    def stop(self) -> None:
        """See `Hands`."""
        self._order = None


class BorrowedHands:
    """The workers of a caller's executor. All orders are given to it at once, since it alone knows how many it has."""

    def __init__(self, executor: Executor, meter: Meter) -> None:
        self._executor, self._meter = executor, meter
        self._futures: dict[Future[Outcome], Order] = {}
        self._ended: queue.SimpleQueue[Future[Outcome]] = queue.SimpleQueue()

    @property
    def has_room(self) -> bool:
        """See `Hands`."""
        return True

    @property
    def is_busy(self) -> bool:
        """See `Hands`."""
        return bool(self._futures)

    def give(self, order: Order) -> None:
        """See `Hands`."""
        try:
            future = self._executor.submit(carry_out, order)
        except RuntimeError as error:  # a broken executor, or one that was shut down
            future = Future()
            future.set_exception(error if isinstance(error, BrokenExecutor) else BrokenExecutor(str(error)))
        self._futures[future] = order
        future.add_done_callback(self._ended.put)

    def take_back(self) -> tuple[Order, Outcome | Failed]:
        """See `Hands`."""
        future = self._ended.get()
        order = self._futures.pop(future)
        try:
            return order, self._meter.end_order(order, future.result())
        except (BrokenExecutor, CancelledError) as error:
            return order, Lost(said(error))
        except (CacheError, ForkedError):
            raise
        except Exception as error:
            return order, failed(error)

    def close(self) -> None:
        """See `Hands`."""

    def stop(self) -> None:
        """See `Hands`."""
        # What is under way can't be stopped; its files go when it is done.
        for future, order in self._futures.items():
            if not future.cancel():
                future.add_done_callback(_discarding(order.cache, order.name))


def _discarding(cache: Path, name: str) -> Callable[[object], None]:
    def discard(_: object) -> None:
        with contextlib.suppress(OSError, CacheError):  # the sweep will, in a day
            vacuum.discard(cache, name)

    return discard


def failed(error: Exception) -> Failed:
    """What an exception means that is not about the cache: it is a run's that raised it."""
    if is_system_error(error):
        return Failed(said(error), "This is not remembered: the next ingest looks again.", is_system=True)
    return Failed(said(error)) if isinstance(error, MemoryError) else Failed(said(error), _REPORT)
