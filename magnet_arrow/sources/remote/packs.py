"""Packs: files with the copies of many small objects. To make a file for each costs more than to fetch it.

A pack is a row of records: the name of a copy, whether it was discarded, its size, and its bytes. Where a process was
killed while it wrote, the last record is not complete, and is none.
"""

import contextlib
import os
import secrets
import struct
import tempfile
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

ENDING = ".pack"
_PACK_BYTES = 64 << 20
"""A pack ends with the copy that reaches this: it is removed when all of its copies were discarded."""
_RECENT_BYTES = 32 << 20
"""So much of what was written is in memory too until it is read: to read it from the disk would cost as much again."""
_HEADER = struct.Struct("<8s?Q")
_IS_DISCARDED_AT = 8
_BINARY = getattr(os, "O_BINARY", 0)


class _Record(NamedTuple):
    name: str
    is_discarded: bool
    path: str
    begin: int
    size_bytes: int


class Packs:
    """The packs in a folder: those that are there, and new ones for what is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: str | None = None
        found = (record for path in _packs_in(folder) for record in _records_of(path))
        self._records = {record.name: record for record in found if not record.is_discarded}
        self._recent: dict[str, bytes] = {}
        self._recent_bytes = 0
        self._lock = threading.Lock()

    def sizes(self) -> dict[str, int]:
        """The size of each copy, by name."""
        return {name: record.size_bytes for name, record in self._records.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def read_into(self, name: str, room: memoryview) -> int | None:
        """Read a copy, or as much of it as there is room for; the number of bytes. None if it is not there."""
        recent = self._take_recent(name)
        if recent is not None:
            count = min(len(room), len(recent))
            room[:count] = memoryview(recent)[:count]
            return count
        record = self._records.get(name)
        if record is None:
            return None
        try:
            with open(record.path, "rb", buffering=0) as file:
                file.seek(record.begin)
                return file.readinto(room[: record.size_bytes])
        except FileNotFoundError:  # another process has discarded all that is in it
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a copy. Only one thread may do so.

        Raises:
            OSError: the disk refused.
        """
        path, descriptor = self._pack()
        self._path = None  # nothing may follow a record that is not complete
        with open(descriptor, "wb", buffering=0) as file:
            begin = file.seek(0, os.SEEK_END) + _HEADER.size
            write_all(file.fileno(), memoryview(b"".join((_header(name, len(data)), data))))
        self._records[name] = _Record(name, False, path, begin, len(data))
        if begin + len(data) < _PACK_BYTES:
            self._path = path
        self._keep_recent(name, data)

    def _pack(self) -> tuple[str, int]:
        """The path of the pack that is written to, and a descriptor.

        One that another process has removed is not made again: the records that are known of it would be other bytes.
        """
        flags = os.O_WRONLY | os.O_APPEND
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                return self._path, os.open(self._path, flags | _BINARY)
        path = os.path.join(self._folder, f"{secrets.token_hex(8)}{ENDING}")
        return path, open_or_make(path, flags)

    def _keep_recent(self, name: str, data: bytes) -> None:
        with self._lock:
            if self._recent_bytes + len(data) <= _RECENT_BYTES:
                self._recent[name] = data
                self._recent_bytes += len(data)

    def _take_recent(self, name: str) -> bytes | None:
        with self._lock:
            data = self._recent.pop(name, None)
            self._recent_bytes -= 0 if data is None else len(data)
        return data


def discard(folder: Path, names: Collection[str]) -> None:
    """Discard copies, and remove the packs in which there are no others. A pack that cannot be written stays."""
    for path in _packs_in(folder):
        with contextlib.suppress(OSError):
            _discard_in(path, names)


def _discard_in(path: str, names: Collection[str]) -> None:
    records = [record for record in _records_of(path) if not record.is_discarded]
    discarded = [record for record in records if record.name in names]
    if len(discarded) == len(records):
        os.unlink(path)
        return
    with open(path, "r+b", buffering=0) as file:
        for record in discarded:
            file.seek(record.begin - _HEADER.size + _IS_DISCARDED_AT)
            file.write(b"\1")


def _packs_in(folder: Path) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(ENDING)]
    except OSError:  # there is no such folder; or writing to it says why
        return []


def _records_of(path: str) -> Iterator[_Record]:
    """The complete records of a pack; none if it is gone, or cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:
        end, begin = os.fstat(file.fileno()).st_size, _HEADER.size
        while begin <= end:
            file.seek(begin - _HEADER.size)
            name, is_discarded, size_bytes = _HEADER.unpack(file.read(_HEADER.size))
            if begin + size_bytes > end:
                return
            yield _Record(name.hex(), is_discarded, path, begin, size_bytes)
            begin += size_bytes + _HEADER.size


def _header(name: str, size_bytes: int) -> bytes:
    return _HEADER.pack(bytes.fromhex(name), False, size_bytes)


def as_file(data: bytes | bytearray) -> int:
    """A descriptor of an open file with some bytes, which goes when it is closed."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("copy")
    else:
        with tempfile.TemporaryFile(buffering=0) as file:
            descriptor = os.dup(file.fileno())
    write_all(descriptor, memoryview(data))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all bytes to a descriptor."""
    while data:
        data = data[os.write(descriptor, data) :]


def open_or_make(path: str, flags: int) -> int:
    """A descriptor of a file, which is made with its folder if it is not there."""
    try:
        return os.open(path, flags | os.O_CREAT | _BINARY, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags | os.O_CREAT | _BINARY, 0o666)
