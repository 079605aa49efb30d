"""Copies of objects in a folder, complete or begun. The name of a copy says which object it is of, in which state.

Several processes may write the same copy: each writes the same bytes to the same place.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from magnet_arrow.sources.stamps import FileStamp

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_WRITE_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder of copies, made when the first one is written."""

    folder: Path

    def open(self, url: str, stamp: FileStamp) -> int | None:
        """A descriptor of a complete copy, which has the object's date; None if there is none."""
        try:
            descriptor = os.open(self._path(url, stamp), _OPEN_FLAGS)
        except FileNotFoundError:
            return None
        os.utime(descriptor, ns=(stamp.mtime_ns, stamp.mtime_ns))
        return descriptor

    def has(self, url: str, stamp: FileStamp) -> bool:
        """Whether there is a complete copy."""
        return os.path.exists(self._path(url, stamp))

    def begun_bytes(self, url: str, stamp: FileStamp) -> int:
        """How much there is of a copy that was begun."""
        try:
            return os.stat(f"{self._path(url, stamp)}.part0").st_size
        except OSError:
            return 0

    def begin(self, url: str, stamp: FileStamp) -> int:
        """A descriptor to write a copy to; it may hold the beginning already."""
        path = f"{self._path(url, stamp)}.part0"
        try:
            return os.open(path, _WRITE_FLAGS, 0o666)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(path, _WRITE_FLAGS, 0o666)

    def finish(self, url: str, stamp: FileStamp) -> None:
        """The copy is complete."""
        path = self._path(url, stamp)
        try:
            os.replace(f"{path}.part0", path)
        except FileNotFoundError:  # another process was first
            if not os.path.exists(path):
                raise

    def remove(self, url: str, stamp: FileStamp) -> None:
        """Remove a copy, complete or begun, if there is one."""
        path = self._path(url, stamp)
        for name in (path, f"{path}.part0"):
            with contextlib.suppress(OSError):
                os.unlink(name)

    def remove_all(self, folder: str, stamps: Iterable[FileStamp]) -> None:
        """Remove the copies of the files of a folder, and the spool's folder if nothing is left in it."""
        for stamp in stamps:
            self.remove(f"{folder}/{stamp.name}", stamp)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _path(self, url: str, stamp: FileStamp) -> str:
        state = f"{url}\n{stamp.size_bytes}\n{stamp.mtime_ns}\n{stamp.tag}".encode("utf-8", "surrogateescape")
        return os.path.join(self.folder, hashlib.blake2b(state, digest_size=8).hexdigest())
