"""Copies of objects in a folder, complete or begun. The name of a copy says which object it is of, in which state.

Small ones share files (`packs`). Several processes may write the same copy: each writes the same bytes.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from magnet_arrow.sources.remote.packs import Packs, as_file, discard, open_or_make, write_all
from magnet_arrow.sources.stamps import PACKED, FileStamp

SMALL_BYTES = 1 << 20
"""A copy below this size is written at once, a larger one as it comes."""
_BINARY = getattr(os, "O_BINARY", 0)
_BEGUN = ".part0"


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of an object in one state, which may not be there.

    Attributes:
        path: of the complete copy.
        size_bytes: of it; None if that is not known.
    """

    path: str
    size_bytes: int | None

    @property
    def is_small(self) -> bool:
        """Whether it is written at once."""
        return self.size_bytes is not None and self.size_bytes < SMALL_BYTES

    def open(self) -> int | None:
        """A descriptor, if it is there and complete."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | _BINARY)
        except FileNotFoundError:
            return None
        if self.size_bytes is None or os.fstat(descriptor).st_size == self.size_bytes:
            return descriptor
        os.close(descriptor)  # a process was killed while it wrote a small one
        return None

    def read_into(self, room: memoryview) -> int | None:
        """Read it, or as much of it as there is room for; the number of bytes. None if it is not there, or complete."""
        descriptor = self.open()
        if descriptor is None:
            return None
        with open(descriptor, "rb") as file:
            return file.readinto(room)

    @property
    def is_there(self) -> bool:
        """Whether it is there and complete."""
        descriptor = self.open()
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is not None

    def write(self, data: bytes) -> None:
        """Write all of it at once."""
        descriptor = open_or_make(self.path, os.O_WRONLY | os.O_TRUNC)
        try:
            write_all(descriptor, memoryview(data))
        finally:
            os.close(descriptor)

    def begin(self) -> int:
        """A descriptor to write it to bit by bit; what was begun before is there."""
        return open_or_make(self.path + _BEGUN, os.O_RDWR)

    @property
    def begun_bytes(self) -> int:
        """How much there is of a copy that was begun."""
        try:
            return os.stat(self.path + _BEGUN).st_size
        except OSError:
            return 0

    def finish(self) -> None:
        """What was begun is complete."""
        try:
            os.replace(self.path + _BEGUN, self.path)
        except FileNotFoundError:  # another process was first
            if not os.path.exists(self.path):
                raise

    def discard_begun(self) -> None:
        """Remove what was begun."""
        with contextlib.suppress(OSError):
            os.unlink(self.path + _BEGUN)


@dataclass(frozen=True, slots=True)
class _PackedCopy(Copy):
    """A copy in a pack."""

    _packs: Packs

    def open(self) -> int | None:
        data = bytearray(self.size_bytes or 0)
        return as_file(data) if self.read_into(memoryview(data)) == self.size_bytes else None

    def read_into(self, room: memoryview) -> int | None:
        return self._packs.read_into(os.path.basename(self.path), room)

    @property
    def is_there(self) -> bool:
        return os.path.basename(self.path) in self._packs

    def write(self, data: bytes) -> None:
        self._packs.write(os.path.basename(self.path), data)

    @property
    def begun_bytes(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder of copies, made when the first one is written.

    Attributes:
        folder: the folder.
        packs: those in it; None if each copy is to have a file of its own.
    """

    folder: Path
    packs: Packs | None = None

    def copy_of(self, url: str, stamp: FileStamp) -> Copy:
        """The copy of an object as it was listed, which may not be there."""
        state = f"{url}\n{stamp.size_bytes}\n{stamp.mtime_ns}\n{stamp.tag}".encode("utf-8", "surrogateescape")
        path = os.path.join(self.folder, hashlib.blake2b(state, digest_size=8).hexdigest())
        copy = Copy(path, None if stamp.tag.endswith(PACKED) else stamp.size_bytes)
        return _PackedCopy(path, copy.size_bytes, self.packs) if self.packs is not None and copy.is_small else copy

    def bytes_of(self, wanted: Iterable[tuple[str, FileStamp]]) -> int:
        """How much there is of some objects, in complete copies and in those that a fetch goes on with."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries} | (self.packs or Packs(self.folder)).sizes()
            return sum(self._bytes_in(sizes, *one) for one in wanted) if sizes else 0
        return 0

    def _bytes_in(self, sizes: Mapping[str, int], url: str, stamp: FileStamp) -> int:
        copy = self.copy_of(url, stamp)
        name = os.path.basename(copy.path)
        if copy.size_bytes is None:
            return stamp.size_bytes if name in sizes else 0
        return min(copy.size_bytes, max(sizes.get(name, 0), sizes.get(name + _BEGUN, 0)))

    def remove_all(self, wanted: Iterable[tuple[str, FileStamp]]) -> None:
        """Remove the copies of some objects, and the spool's folder if nothing is left in it."""
        names = {os.path.basename(self.copy_of(*one).path) for one in wanted}
        discard(self.folder, names)
        with contextlib.suppress(OSError):  # there is no such folder, or something is left in it
            for name in names.intersection(os.listdir(self.folder)):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self.folder, name))
            self.folder.rmdir()
