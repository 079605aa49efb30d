"""Folders and files that are complete or not there, and writes that survive a loss of power.

A folder or file is written next to its place, under another name, and renamed at the end.

A process that is killed leaves what it wrote. The writer holds a lock on the folder itself, which ends with the
process; so the next one knows which are left over, and removes them. Windows has no locks on folders: there they stay.
"""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk. Windows does the latter by itself.

    Raises:
        OSError: the disk refused.
    """
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(target: Path, new_name: Callable[[], str]) -> Iterator[Path]:
    """A folder to write into. It takes the place of `target` at the end, or is removed if an exception was raised.

    Args:
        target: is not there yet, or is an empty folder. The folder that it is in is there.
        new_name: a name that no other folder beside it has.

    Raises:
        OSError: the disk refused.
    """
    folder, lock = _made(target.parent, new_name)
    try:
        yield folder
        if target.exists():
            target.rmdir()
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def replacing_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write into. It takes the place of `target` at the end, or is removed if an exception was raised.

    Of two writers the last one wins. A process that is killed leaves `NAME.….part`.

    Raises:
        OSError: the disk refused.
    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise OSError("it is a device or a pipe, and no file")  # /dev/null would be replaced by a file
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
        sync(part)
        part.replace(target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def begin_of(target: Path, size: int) -> bytes:
    """The first bytes of a file that is to be replaced; none if it is not there, or is a pipe or a device.

    Raises:
        OSError: it is a folder, or cannot be read.
    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        return b""  # to read from a pipe would wait; `replacing_file` refuses it
    try:
        with target.open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        return b""


def remove_leftovers(parent: Path, name: re.Pattern[str]) -> list[Path]:
    """Remove the folders of this name that killed writers have left; returns them."""
    try:
        named = [parent / entry for entry in sorted(os.listdir(parent)) if name.fullmatch(entry)]
    except OSError:  # it is not there; or writing will tell
        return []
    removed = []
    for path in named:
        if os.path.islink(path) or not os.path.isdir(path):
            continue
        lock = _locked(path, wait=False)
        if lock is None:  # someone is at work in it, or nobody can tell
            continue
        try:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)
        removed += [] if os.path.lexists(path) else [path]
    return removed


def _made(parent: Path, new_name: Callable[[], str]) -> tuple[Path, int | None]:
    while True:
        folder = parent / new_name()
        folder.mkdir()
        lock = _locked(folder, wait=True)
        if folder.is_dir():
            return folder, lock
        if lock is not None:  # another process removed it as left over before it was locked
            os.close(lock)


def _locked(folder: Path, *, wait: bool) -> int | None:
    """A descriptor that holds the lock on a folder; None if it cannot be had."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # it is held, or the file system has none
        os.close(descriptor)
        return None
    return descriptor
