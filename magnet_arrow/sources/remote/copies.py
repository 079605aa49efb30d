"""Copies of objects, complete and checked: as many bytes as were listed, and the MD5 where the store tells one."""

import hashlib
import os
import re

from magnet_arrow.errors import MagnetError, RemoteError
from magnet_arrow.sources.remote import stores
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.remote.urls import Address
from magnet_arrow.sources.stamps import FileStamp

_CHUNK_BYTES = 8 << 20
_MD5 = re.compile(r"(?:^|\d+ )([0-9a-f]{32})(?: packed)?")


class ReplacedError(Exception):
    """The object is not the one that was listed: it was replaced or removed since."""


def copy_to(known: Stores, address: Address, file: FileStamp, descriptor: int) -> None:
    """Write an object to an open file, which gets its date.

    Raises:
        ReplacedError: it is not the one that was listed.
        RemoteError: the store refused, did not answer, or sent other bytes than it listed.
    """
    found = hashlib.md5(usedforsecurity=False)
    size = 0
    try:
        answer = stores.package().get(known.of(address), address.key, options=_options(address, file))
        for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
            found.update(chunk)
            size += _write(descriptor, memoryview(chunk))
    except MagnetError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) or type(error).__name__ == "PreconditionError":
            raise ReplacedError(address.url) from None
        raise stores.remote_error(address, error) from None
    if not file.tag.endswith(" packed"):
        _check(address, file, size, found.hexdigest())
    os.utime(descriptor, ns=(file.mtime_ns, file.mtime_ns))


def _options(address: Address, file: FileStamp) -> dict[str, str]:
    """Asks for the object that was listed, and for no other one of the same key."""
    if address.scheme == "gs":
        generation = file.tag.split(" ")[0]
        return {"version": generation} if generation.isdecimal() else {}
    return {"if_match": f'"{file.tag}"'} if file.tag else {}


def _write(descriptor: int, data: memoryview) -> int:
    size = len(data)
    while data:
        data = data[os.write(descriptor, data) :]
    return size


def _check(address: Address, file: FileStamp, size_bytes: int, md5: str) -> None:
    """Compare what came with what was listed."""
    if size_bytes != file.size_bytes:
        raise RemoteError.of(address.url, f"{size_bytes} bytes in place of the {file.size_bytes} that were listed")
    listed = _MD5.fullmatch(file.tag)
    if listed is not None and listed[1] != md5:
        raise RemoteError.of(address.url, f"other bytes than those listed (MD5 {md5} in place of {listed[1]})")
