"""The event loop of this process, in a thread of its own: requests run there, so that Ctrl-C ends the wait for them."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="magnet_arrow fetches", daemon=True).start()
    return loop


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
