"""The event loop of this process, in a thread of its own: requests run there, so that Ctrl-C ends the wait for them."""

import asyncio
import atexit
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
_SETTLE_S, _MAX_SETTLE_S = 0.05, 1.0


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="magnet_arrow fetches", daemon=True).start()
    atexit.register(_settle, loop)
    return loop


def _settle(loop: asyncio.AbstractEventLoop) -> None:
    """Give up all requests, and let obstore's threads finish: one that needs Python while it ends aborts the process.

    The pause is needed even if no request is under way. Of 150 processes that ended right after their last answer, 5
    were aborted without it, and none of 60 after a pause of 2 ms.
    """

    async def give_up() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(_SETTLE_S)

    with contextlib.suppress(TimeoutError, RuntimeError):
        asyncio.run_coroutine_threadsafe(give_up(), loop).result(_MAX_SETTLE_S)


def start(work: Coroutine[Any, Any, T]) -> "Future[T]":
    """Begin work in the event loop, with the settings that hold for the caller: asyncio copies its context."""
    return asyncio.run_coroutine_threadsafe(work, _loop())


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Have work done in the event loop; it is abandoned if the wait is interrupted."""
    future = start(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that blocks in a thread for which nobody waits when the process ends."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def set_once(setter: Callable[[Any], None], value: object) -> None:
        if not result.done():
            setter(value)

    def call() -> None:
        try:
            found: Any = function(*arguments)
        except Exception as error:
            loop.call_soon_threadsafe(set_once, result.set_exception, error)
        else:
            loop.call_soon_threadsafe(set_once, result.set_result, found)

    threading.Thread(target=contextvars.copy_context().run, args=(call,), daemon=True).start()
    return await result
