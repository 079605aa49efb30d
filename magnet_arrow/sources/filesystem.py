"""The file system that a dump is on: every look at a folder or file of a dump goes through here, or `sources.file`.

Functions raise `OSError` where `os` does. Another kind of storage has to answer these questions, and no others.
"""

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

AnyPath: TypeAlias = "str | os.PathLike[str]"

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def exists(path: AnyPath) -> bool:
    """Whether a path leads to something, which may be behind a link."""
    return os.path.exists(path)


def is_there(path: AnyPath) -> bool:
    """Whether there is something of this name, be it a link that leads nowhere."""
    return os.path.lexists(path)


def is_folder(path: AnyPath) -> bool:
    """Whether a path leads to a folder."""
    return os.path.isdir(path)


def is_file(path: AnyPath) -> bool:
    """Whether a path leads to a regular file."""
    return os.path.isfile(path)


def is_link(path: AnyPath) -> bool:
    """Whether a path is itself a link."""
    return os.path.islink(path)


def link_target(path: AnyPath) -> str:
    """The path that is written in a link."""
    return os.readlink(path)


def real_path(path: AnyPath) -> str:
    """The absolute path with links resolved; of what does not exist too."""
    return os.path.realpath(path)


def status(path: AnyPath) -> os.stat_result:
    """Size and date of what a path leads to."""
    return os.stat(path)


def own_status(path: AnyPath) -> os.stat_result:
    """Size and date of a file, or of a link itself."""
    return os.lstat(path)


def names(folder: AnyPath) -> list[str]:
    """The names in a folder, in no order."""
    return os.listdir(folder)


def entries(folder: AnyPath) -> list[os.DirEntry[str]]:
    """What is in a folder, in no order."""
    with os.scandir(folder) as found:
        return list(found)


def require_listing(folder: AnyPath) -> None:
    """Raise `OSError` if a folder cannot be listed."""
    os.scandir(folder).close()


def walk(
    root: AnyPath, *, on_error: Callable[[OSError], None], follow_links: bool
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every folder from a root down: its path, its folders (those removed from the list are skipped), its files."""
    return os.walk(root, onerror=on_error, followlinks=follow_links)


def matches(pattern: str, root: AnyPath) -> list[str]:
    """Paths below a root that match a glob pattern, relative to it, in no order."""
    return glob.glob(pattern, root_dir=root)


def open_to_read(path: AnyPath) -> int:
    """A descriptor for reading; of whatever is there, without waiting: a pipe would otherwise never open."""
    return os.open(path, _OPEN_FLAGS)


def open_status(descriptor: int) -> os.stat_result:
    """Size, date and kind of an open file."""
    return os.fstat(descriptor)


def close(descriptor: int) -> None:
    """Close an open file."""
    os.close(descriptor)


def first_bytes(path: AnyPath, count: int) -> bytes:
    """The first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(count)


def read_bytes(path: AnyPath) -> bytes:
    """All bytes of a file."""
    return Path(path).read_bytes()
