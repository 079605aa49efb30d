"""The file system that a dump is on: every look at a folder or file of a dump goes through here, or `sources.file`.

Functions raise `OSError` where `os` does. A URL of a bucket (`s3://`, `gs://`) is answered from a listing of the folder
that was named, see `sources.remote`.
"""

import errno
import glob
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from magnet_arrow.sources.remote.urls import as_path as as_path
from magnet_arrow.sources.remote.urls import is_remote as is_remote
from magnet_arrow.sources.stamps import FileStamp

if TYPE_CHECKING:
    from magnet_arrow.sources.remote.catalog import Catalog

AnyPath: TypeAlias = "str | os.PathLike[str]"

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Entry(Protocol):
    """Something in a folder, as `os.DirEntry` tells of it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def path(self) -> str:
        """Its path."""

    def is_dir(self) -> bool:
        """Whether it leads to a folder."""

    def is_symlink(self) -> bool:
        """Whether it is a link."""


class Status(Protocol):
    """What is known of a file without reading it, as `os.stat_result` tells it."""

    @property
    def st_mode(self) -> int:
        """Its kind."""

    @property
    def st_size(self) -> int:
        """Its size in bytes."""

    @property
    def st_mtime_ns(self) -> int:
        """When it was written."""


class _RemoteEntry(NamedTuple):
    name: str
    path: str
    is_folder: bool

    def is_dir(self) -> bool:
        return self.is_folder

    def is_symlink(self) -> bool:
        return False


class _RemoteStatus(NamedTuple):
    st_mode: int
    st_size: int = 0
    st_mtime_ns: int = 0


def catalog() -> "Catalog":
    """The listings of buckets. Imported only for a URL: it needs an HTTP client."""
    from magnet_arrow.sources.remote.catalog import CATALOG

    return CATALOG


def look(path: AnyPath) -> None:
    """List the folder of a URL again, or what a pattern is below; a local folder is looked at whenever it is asked for.

    Raises:
        SourceNotFoundError: there is no such bucket.
        RemoteError: the store refused, or did not answer.
    """
    url = os.fspath(path)
    if not is_remote(url):
        return
    while glob.has_magic(url):
        url = url.rpartition("/")[0]
    catalog().look(url)


def forget() -> None:
    """Forget what was listed of buckets: each is listed again when something of it is asked for."""
    if "magnet_arrow.sources.remote.catalog" in sys.modules:
        catalog().forget()


def refused(path: AnyPath) -> dict[str, str]:
    """Keys below a URL that was listed which cannot be paths of files, with the reason."""
    return catalog().refused(os.fspath(path)) if is_remote(path) else {}


def exists(path: AnyPath) -> bool:
    """Whether a path leads to something, which may be behind a link."""
    return bool(catalog().kind_of(os.fspath(path))) if is_remote(path) else os.path.exists(path)


def is_there(path: AnyPath) -> bool:
    """Whether there is something of this name, be it a link that leads nowhere."""
    return bool(catalog().kind_of(os.fspath(path))) if is_remote(path) else os.path.lexists(path)


def is_folder(path: AnyPath) -> bool:
    """Whether a path leads to a folder."""
    return catalog().kind_of(os.fspath(path)) is True if is_remote(path) else os.path.isdir(path)


def is_file(path: AnyPath) -> bool:
    """Whether a path leads to a regular file."""
    if is_remote(path):
        return not isinstance(catalog().kind_of(os.fspath(path)), bool)
    return os.path.isfile(path)


def is_link(path: AnyPath) -> bool:
    """Whether a path is itself a link."""
    return not is_remote(path) and os.path.islink(path)


def link_target(path: AnyPath) -> str:
    """The path that is written in a link."""
    return os.readlink(path)


def real_path(path: AnyPath) -> str:
    """The absolute path with links resolved; of what does not exist too."""
    return os.fspath(path) if is_remote(path) else os.path.realpath(path)


def status(path: AnyPath) -> Status:
    """Size and date of what a path leads to."""
    return _remote_status(os.fspath(path)) if is_remote(path) else os.stat(path)


def own_status(path: AnyPath) -> Status:
    """Size and date of a file, or of a link itself."""
    return _remote_status(os.fspath(path)) if is_remote(path) else os.lstat(path)


def _remote_status(url: str) -> Status:
    found = catalog().kind_of(url)
    if found is False:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
    if found is True:
        return _RemoteStatus(stat.S_IFDIR)
    return _RemoteStatus(stat.S_IFREG, found.size_bytes, found.mtime_ns)


def names(folder: AnyPath) -> list[str]:
    """The names in a folder, in no order."""
    if is_remote(folder):
        folders, files = catalog().names(os.fspath(folder))
        return folders + files
    return os.listdir(folder)


def folder_names(folder: AnyPath) -> list[str]:
    """The names of the folders right in a folder, sorted; none if there is no such folder."""
    if is_remote(folder):
        return sorted(catalog().names(os.fspath(folder))[0])
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()) if os.path.isdir(folder) else []


def entries(folder: AnyPath) -> list[Entry]:
    """What is in a folder, in no order."""
    if is_remote(folder):
        url = os.fspath(folder)
        found = [_RemoteEntry(name, f"{url}/{name}", True) for name in catalog().folders(url)]
        return [*found, *(_RemoteEntry(file.name, f"{url}/{file.name}", False) for file in catalog().files(url))]
    with os.scandir(folder) as listed:
        return list(listed)


def remote_files(folder: AnyPath) -> list[FileStamp]:
    """The files in a folder of a bucket, none if there is no such folder."""
    try:
        return catalog().files(os.fspath(folder))
    except FileNotFoundError:
        return []


def know(folder: AnyPath, files: Iterable[FileStamp]) -> None:
    """Take over from another process which files are below a folder of a bucket; of a local one nothing."""
    if is_remote(folder):
        catalog().know(os.fspath(folder), files)


def require_listing(folder: AnyPath) -> None:
    """Raise `OSError` if a folder cannot be listed."""
    if is_remote(folder):
        catalog().folders(os.fspath(folder))
    else:
        os.scandir(folder).close()


def walk(
    root: AnyPath, *, on_error: Callable[[OSError], None], follow_links: bool
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every folder from a root down: its path, its folders (those removed from the list are skipped), its files."""
    return (
        _remote_walk(os.fspath(root)) if is_remote(root) else os.walk(root, onerror=on_error, followlinks=follow_links)
    )


def _remote_walk(url: str) -> Iterator[tuple[str, list[str], list[str]]]:
    folders = list(catalog().folders(url))
    yield url, folders, [file.name for file in catalog().files(url)]
    for name in folders:
        yield from _remote_walk(f"{url}/{name}")


def matches(pattern: str, root: AnyPath) -> list[str]:
    """Paths below a root that match a glob pattern, relative to it, in no order."""
    return _remote_matches(pattern, os.fspath(root)) if is_remote(root) else glob.glob(pattern, root_dir=root)


def _remote_matches(pattern: str, url: str) -> list[str]:
    first, _, rest = pattern.partition("/")
    if not is_folder(url):
        return []
    hidden = first.startswith(".")
    found = [name for name in names(url) if fnmatchcase(name, first) and (hidden or not name.startswith("."))]
    if not rest:
        return found
    return [f"{name}/{below}" for name in found for below in _remote_matches(rest, f"{url}/{name}")]


def open_to_read(path: AnyPath) -> int:
    """A descriptor for reading; of whatever is there, without waiting: a pipe would otherwise never open.

    Of an object of a bucket it is that of a complete copy.
    """
    return catalog().open(os.fspath(path)) if is_remote(path) else os.open(path, _OPEN_FLAGS)


def open_status(descriptor: int) -> os.stat_result:
    """Size, date and kind of an open file."""
    return os.fstat(descriptor)


def close(descriptor: int) -> None:
    """Close an open file."""
    os.close(descriptor)


def first_bytes(path: AnyPath, count: int) -> bytes:
    """The first bytes of a file."""
    if is_remote(path):
        return catalog().first_bytes(os.fspath(path), count)
    with open(path, "rb") as file:
        return file.read(count)


def read_bytes(path: AnyPath) -> bytes:
    """All bytes of a file."""
    with open(open_to_read(path) if is_remote(path) else path, "rb") as file:
        return file.read()
