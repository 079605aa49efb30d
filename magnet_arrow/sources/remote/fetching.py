"""Fetches objects into a spool, many at once, by one thread with an event loop.

A request that fails for a moment is repeated after a pause, and goes on at the byte where the last one stopped.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

from magnet_arrow._text import as_size
from magnet_arrow.errors import MagnetError, RemoteError
from magnet_arrow.sources.remote import event_loop, settings, stores
from magnet_arrow.sources.remote.meter import METER
from magnet_arrow.sources.remote.packs import write_all
from magnet_arrow.sources.remote.spool import Copy, Spool
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.remote.urls import Address, address_of
from magnet_arrow.sources.stamps import FileStamp, max_unpacked_bytes, md5_of

_CHUNK_BYTES = 1 << 20
_WRITTEN_BYTES = 1 << 16
"""So much of a large object is written at once: what is not yet written when the process is killed comes again."""
_PROGRESS_BYTES = 8 << 20
"""After an attempt that came this much further than any before, attempts are counted from one again."""
_GZIP = b"\x1f\x8b"
_STRANGER = "an answer that does not tell the object's state, as a login page"


class ReplacedError(Exception):
    """The object is not the one that was listed: it was replaced or removed since."""


class _OtherAnswerError(Exception):
    """What a store is about to send is not what was listed."""


class _OtherBytesError(_OtherAnswerError):
    """What came is not what was listed."""


def fetch(known: Stores, url: str, stamp: FileStamp, copy: Copy) -> None:
    """Fetch one object, and wait for it; see `_Fetch`."""
    event_loop.wait_for(_Fetch(known, url, stamp, copy).run())


class Ahead:
    """Objects that are being fetched in the background, in their order, before they are asked for."""

    def __init__(self, known: Stores, spool: Spool, wanted: Iterable[tuple[str, FileStamp]], connections: int) -> None:
        self._known, self.spool = known, spool
        self._futures: dict[tuple[str, FileStamp], Future[None]] = {one: Future() for one in wanted}
        self._tasks = event_loop.wait_for(self._begin(connections))

    async def _begin(self, connections: int) -> list[asyncio.Task[None]]:
        settings.use(settings.current())  # else each object asks the environment
        waiting = iter(list(self._futures.items()))
        return [asyncio.create_task(self._fetch_next(waiting)) for _ in range(min(connections, len(self._futures)))]

    async def _fetch_next(self, waiting: "Iterator[tuple[tuple[str, FileStamp], Future[None]]]") -> None:
        for (url, stamp), future in waiting:
            try:
                await self._fetch(url, stamp)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(None)

    async def _fetch(self, url: str, stamp: FileStamp) -> None:
        copy = self.spool.copy_of(url, stamp)
        if not copy.is_there:
            await _Fetch(self._known, url, stamp, copy).run()

    def wait(self, url: str, stamp: FileStamp) -> bool:
        """Wait until an object was fetched; False if it is none of these, or they were not fetched to the end.

        Raises:
            ReplacedError: it is not the one that was listed.
            RemoteError: the store refused, did not answer, or sent other bytes than it listed.
            OSError: the copy could not be written.
        """
        future = self._futures.get((url, stamp))
        if future is None:
            return False
        try:
            METER.wait_for(future)
        except CancelledError:
            return False
        return True

    def close(self) -> None:
        """Stop, and return when nothing more is written; what was begun stays in the spool."""
        event_loop.wait_for(self._stop())

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for future in self._futures.values():  # another thread may wait for one
            future.cancel()


async def _pause(seconds: float) -> None:
    await asyncio.sleep(seconds)


class _Fetch:
    """One object on its way into its copy."""

    def __init__(self, known: Stores, url: str, stamp: FileStamp, copy: Copy) -> None:
        self._known, self._copy = known, copy
        self._url, self._stamp, self._address = url, stamp, address_of(url)
        self._md5 = md5_of(stamp)
        self._n_attempts = settings.current().n_attempts
        self._is_signed = self._must_sign = False
        self._counted = 0

    async def run(self) -> None:
        """Fetch it.

        Raises:
            ReplacedError: it is not the one that was listed.
            RemoteError: the store refused, did not answer, or sent other bytes than it listed.
            OSError: the copy could not be written.
        """
        with METER.fetching():
            await self._try_until_done()

    async def _try_until_done(self) -> None:
        attempt, furthest = 1, self._copy.begun_bytes
        is_small = self._copy.is_small and not furthest
        self._counted = 0 if self._copy.size_bytes is None else furthest  # which `Spool.bytes_of` has told
        while True:
            try:
                await (self._fetch_at_once() if is_small else self._fetch_rest())
            except Exception as error:
                if (begun := self._copy.begun_bytes) >= furthest + _PROGRESS_BYTES:
                    attempt, furthest = 1, begun
                self._raise_unless_passing(error, attempt)
                with METER.pausing():
                    await _pause(stores.pause_s(attempt, await self._asked_pause_s(error)))
            else:
                return
            attempt += 1

    async def _asked_pause_s(self, error: Exception) -> float | None:
        if not stores.is_busy(error) or self._is_signed:
            return None
        return await event_loop.in_thread(stores.ask_for_pause, self._address)

    def _raise_unless_passing(self, error: Exception, attempt: int) -> None:
        """Raise the error for a failed attempt, unless another one may do better."""
        if isinstance(error, MagnetError | ReplacedError):
            raise error
        if isinstance(error, OSError):
            raise OSError(error.errno, f"{error.strerror} (its copy goes to {os.path.dirname(self._copy.path)})")
        if isinstance(error, _OtherBytesError):
            self._copy.discard_begun()  # it may be at fault
        if isinstance(error, _OtherAnswerError):
            if attempt >= self._n_attempts:
                raise RemoteError.of(self._url, str(error), attempts=attempt)
            return
        if self._known.may_sign(self._address, error, was_signed=self._is_signed):
            self._must_sign = True
            return
        if attempt >= self._n_attempts or not stores.is_passing(error):
            raise stores.remote_error(self._address, error, attempt)

    async def _fetch_at_once(self) -> None:
        answer = await self._ask(0)
        data = await answer.bytes_async()
        self._check(len(data), hashlib.md5(data, usedforsecurity=False).hexdigest())
        self._copy.write(data)
        self._count(len(data))

    def _count(self, size_bytes: int) -> None:
        """The copy has so many bytes by now."""
        METER.fetched_bytes += size_bytes - self._counted
        self._counted = size_bytes

    async def _fetch_rest(self) -> None:
        descriptor = self._copy.begin()
        try:
            await self._write(descriptor)
        finally:
            os.close(descriptor)
        self._copy.finish()

    async def _write(self, descriptor: int) -> None:
        """Write what the copy lacks, and compare all of it with what was listed."""
        begun = 0 if self._copy.size_bytes is None else os.fstat(descriptor).st_size
        if self._copy.size_bytes is None or begun > self._copy.size_bytes:
            os.ftruncate(descriptor, 0)
            begun = 0
        digest = hashlib.md5(usedforsecurity=False)
        size = _digest_begun(descriptor, digest, begun)
        self._count(size)
        if size < self._stamp.size_bytes or not begun:
            os.lseek(descriptor, size, os.SEEK_SET)
            async for chunk in self._chunks(begun):
                size += len(chunk)
                self._require_room(size)
                digest.update(chunk)
                write_all(descriptor, memoryview(chunk))
                self._count(size)
        self._check(size, digest.hexdigest(), is_packed=_begin_of(descriptor) == _GZIP)

    def _require_room(self, size_bytes: int) -> None:
        """Refuse more bytes than the object can have: they would fill the disk."""
        if self._copy.size_bytes is not None:
            if size_bytes > self._copy.size_bytes:
                raise _OtherBytesError(f"more bytes than the {self._copy.size_bytes} that were listed")
        elif size_bytes > (most := max_unpacked_bytes(self._stamp.size_bytes)):
            self._copy.discard_begun()
            packed = as_size(self._stamp.size_bytes)
            raise RemoteError.of(self._url, f"{packed} that unpack to more than {as_size(most)}")

    async def _chunks(self, begin: int) -> Any:
        answer = await self._ask(begin)
        if answer is None:  # the store gives no ranges
            raise _OtherBytesError("no part of it where a part was asked for")
        async for chunk in answer.stream(min_chunk_size=_WRITTEN_BYTES):
            yield chunk

    async def _ask(self, begin: int) -> Any:
        """The store's answer; None if it refuses a range."""
        self._is_signed = self._must_sign or self._known.is_signed(self._address)
        options = _condition(self._address, self._stamp) | ({"range": {"offset": begin}} if begin else {})
        try:
            store = self._known.of(self._address, signed=self._is_signed)
            answer = await stores.package().get_async(store, self._address.key, options=options)
        except FileNotFoundError:
            raise ReplacedError(self._url) from None
        except Exception as error:
            if type(error).__name__ == "PreconditionError":
                raise ReplacedError(self._url) from None
            if begin and "non-partial response" in str(error):
                return None
            if "Header missing from response" in str(error):
                raise _OtherAnswerError(_STRANGER) from None
            raise
        if self._must_sign:  # only now: of a public bucket with one private object, the keys may be no good
            self._known.sign(self._address)
        self._require_object(answer.meta)
        return answer

    def _require_object(self, meta: Any) -> None:
        """Require that an answer is the object that was listed, before its bytes are read."""
        if _is_other(self._address, self._stamp, meta):
            raise ReplacedError(self._url)
        listed = self._copy.size_bytes
        if listed is not None and meta["size"] != listed:
            raise _OtherAnswerError(f"{meta['size']} bytes in place of the {listed} that were listed")
        if not _tells_state(self._address, self._stamp, meta):
            raise _OtherAnswerError(_STRANGER)

    def _check(self, size_bytes: int, md5: str, *, is_packed: bool = True) -> None:
        listed = self._copy.size_bytes
        if listed is None:
            if not is_packed:  # size and MD5 are those of the packed bytes
                return
            listed = self._stamp.size_bytes
        if size_bytes != listed:
            raise _OtherBytesError(f"{size_bytes} bytes in place of the {listed} that were listed")
        if self._is_signed:
            return  # the ETag of an object that is encrypted with a key of its owner looks like an MD5, and is none
        if self._md5 is not None and self._md5 != md5:
            raise _OtherBytesError(f"other bytes than those listed (MD5 {md5} in place of {self._md5})")


def _condition(address: Address, stamp: FileStamp) -> dict[str, Any]:
    """Asks for the object that was listed, and for no other one of the same key."""
    if address.scheme == "gs":
        generation = stamp.tag.partition(" ")[0]
        return {"version": generation} if generation.isdecimal() else {}
    return {"if_match": f'"{stamp.tag}"'} if stamp.tag else {}


def _is_other(address: Address, stamp: FileStamp, meta: Any) -> bool:
    """Whether an answer is about another state of the object than was listed: some stores ignore the condition."""
    if address.scheme == "gs":
        generation = stamp.tag.partition(" ")[0]
        return bool(meta["version"]) and generation.isdecimal() and meta["version"] != generation
    return bool(meta["e_tag"] and stamp.tag) and meta["e_tag"].strip('"') != stamp.tag


def _tells_state(address: Address, stamp: FileStamp, meta: Any) -> bool:
    """Whether an answer says which state of the object it is about, if the listing did."""
    if address.scheme == "gs":
        return bool(meta["version"]) or not stamp.tag.partition(" ")[0].isdecimal()
    return bool(meta["e_tag"]) or not stamp.tag


def _begin_of(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, len(_GZIP))


def _digest_begun(descriptor: int, digest: Any, size: int) -> int:
    """Add the bytes that a copy has to its digest; how many there are."""
    done = 0
    while done < size:
        data = os.read(descriptor, min(_CHUNK_BYTES, size - done))
        if not data:
            break
        digest.update(data)
        done += len(data)
    return done
