"""A mirror: a folder that keeps what is fetched of buckets, each object under its key, with its date.

What is fetched has a hidden name beside its own until the run is read as a whole (`publish`): a run that was replaced
in the bucket is never there half old and half new. A fetch that was killed goes on with what it had begun.
"""

import contextlib
import errno
import gzip
import hashlib
import os
import re
import secrets
import stat
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from magnet_arrow.sources.remote.spool import Copy, Spool
from magnet_arrow.sources.remote.urls import address_of
from magnet_arrow.sources.stamps import FileStamp, is_mirrored, max_unpacked_bytes, md5_of

_FETCHED = ".fetched"
_HIDDEN = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(_FETCHED)}(?:\.\w+)?")
_BLOCK_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_PACKED_NAMES = (".gz", ".zst")
_NO_NAME_ON_WINDOWS = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MirroredCopy(Copy):
    """A copy that gets its own name in the mirror when it is published.

    Attributes:
        target: its path in the mirror.
        stamp: the object as it was listed.
    """

    target: str
    stamp: FileStamp

    def open(self) -> int | None:
        """A descriptor, if it is there and complete, be it published or not."""
        with _no_fault_of_the_object():
            descriptor = Copy.open(self)
        if descriptor is not None or not self.is_published:
            return descriptor
        return Copy(self.target, None).open()

    def write(self, data: bytes) -> None:
        """Write all of it at once."""
        own = f"{self.path}.{secrets.token_hex(4)}"  # another process may just publish what it has written
        try:
            with _no_fault_of_the_object():
                Copy(own, None).write(data)
                os.replace(own, self.path)
        except OSError:
            _remove(own)
            if not self.is_published:  # another process has even published it, and removed what it had no use for
                raise

    def begin(self) -> int:
        """A descriptor to write it to bit by bit; what was begun before is there."""
        with _no_fault_of_the_object():
            return Copy.begin(self)

    def finish(self) -> None:
        """What was begun is complete."""
        try:
            Copy.finish(self)
        except FileNotFoundError:  # another process has even published it
            if not self.is_published:
                raise

    @property
    def is_published(self) -> bool:
        """Whether the mirror has the object in the state that was listed."""
        return self.has_date or self._is_adopted()

    @property
    def has_date(self) -> bool:
        """The same, as far as it is seen without reading the file."""
        try:
            found = os.stat(self.target)
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and is_mirrored(self.stamp, found.st_size, found.st_mtime_ns)

    def _is_adopted(self) -> bool:
        """Whether another tool has fetched the same bytes; then the file gets the date of the object."""
        md5 = md5_of(self.stamp)
        try:
            if md5 is None or not _is_file_of(self.target, self.stamp.size_bytes):
                return False
            with open(self.target, "rb") as file:
                is_same = hashlib.file_digest(file, "md5").hexdigest() == md5
            if is_same:
                self._set_date(self.target)
        except OSError:
            return False
        return is_same

    def _set_date(self, path: str) -> None:
        os.utime(path, ns=(self.stamp.mtime_ns, self.stamp.mtime_ns))

    @property
    def is_outdated(self) -> bool:
        """Whether there is a file in its place that is older than the object."""
        try:
            return os.lstat(self.target).st_mtime_ns < self.stamp.mtime_ns
        except OSError:
            return False

    @property
    def is_fetched(self) -> bool:
        """Whether it is complete and was not published yet."""
        try:
            descriptor = Copy.open(self)
        except OSError:
            return False
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is not None

    def publish(self) -> None:
        """Give it its own name and the date of the object; unpack it if it is packed and its name does not say so."""
        try:
            path = self._unpacked() or self.path
            self._set_date(path)
            os.replace(path, self.target)
        except FileNotFoundError:  # another process was first
            if not self.is_published:
                raise
        self.discard()

    def discard(self) -> None:
        """Remove it, if it was not published."""
        _remove(self.path)

    def _unpacked(self) -> str | None:
        """The path of an unpacked copy; None if there is nothing to unpack: HELM's tools know packed files by name."""
        with open(self.path, "rb") as packed:
            if self.target.endswith(_PACKED_NAMES) or packed.read(len(_GZIP)) != _GZIP:
                return None
        plain = f"{self.path}.plain"
        try:
            _unpack(self.path, plain)
        except BaseException as error:
            _remove(plain)
            if isinstance(error, EOFError | gzip.BadGzipFile | zlib.error):  # as it is, it shows what is wrong with it
                return None
            raise
        return plain


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _is_file_of(path: str, size_bytes: int) -> bool:
    found = os.stat(path)
    return stat.S_ISREG(found.st_mode) and found.st_size == size_bytes


def _unpack(packed: str, plain: str) -> None:
    left = max_unpacked_bytes(os.stat(packed).st_size)
    with gzip.open(packed) as source, open(plain, "wb") as target:
        while block := source.read(_BLOCK_BYTES):
            left -= len(block)
            if left < 0:
                raise gzip.BadGzipFile("a bomb")
            target.write(block)


@contextlib.contextmanager
def _no_fault_of_the_object() -> Iterator[None]:
    """Raise errors as those of a disk: a name too long, or a file in place of a folder, says nothing of a dump."""
    try:
        yield
    except OSError as error:
        code = error.errno if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS) else errno.EIO
        raise OSError(code, error.strerror) from error


@dataclass(frozen=True, slots=True)
class Mirror(Spool):
    """A folder that keeps what is fetched of buckets."""

    def path_of(self, url: str) -> str:
        """Where the file or folder of a URL is in the mirror.

        Raises:
            OSError: its key cannot be the path of a file on this system.
        """
        names = address_of(url).key.split("/")
        if os.name == "nt":
            require_names_for_windows(names)
        return os.path.join(self.folder, *names)

    def copy_of(self, url: str, stamp: FileStamp) -> MirroredCopy:
        """The copy of an object as it was listed, which may not be there."""
        target = self.path_of(url)
        copy = Spool.copy_of(self, url, stamp)
        hidden = f".{os.path.basename(copy.path)}{_FETCHED}"
        return MirroredCopy(os.path.join(os.path.dirname(target), hidden), copy.size_bytes, target, stamp)

    def bytes_of(self, wanted: Iterable[tuple[str, FileStamp]]) -> int:
        """How much there is of some objects, in complete copies and in those that a fetch goes on with."""
        copies = ((self.copy_of(url, stamp), stamp.size_bytes) for url, stamp in wanted)
        return sum(size if copy.has_date or copy.is_fetched else copy.begun_bytes for copy, size in copies)

    def publish(self, folder: str, stamps: Collection[FileStamp], *, is_read: bool) -> None:
        """Give the files of a folder their own names.

        Args:
            folder: its URL.
            stamps: all files in it, as they were listed.
            is_read: whether all that is wanted of them was fetched. Then files go that are older than their objects,
                which were not fetched; else, if there are files of another state, nothing is published.

        Raises:
            OSError: the disk refused.
        """
        copies = [self.copy_of(f"{folder}/{stamp.name}", stamp) for stamp in stamps]
        others = [copy for copy in copies if not (copy.is_fetched or copy.is_published)]
        others = [copy for copy in others if os.path.lexists(copy.target)]
        if others and not is_read:
            return
        for copy in others:
            if copy.is_outdated:
                os.unlink(copy.target)
        # The run spec is the last one: without it the folder is no run.
        for copy in sorted(copies, key=lambda copy: os.path.basename(copy.target).startswith("run_spec.json")):
            if copy.is_published:
                copy.discard()
            elif copy.is_fetched:
                copy.publish()
        _remove_leftovers({os.path.dirname(copy.target) for copy in copies}, copies, everything=is_read)


def _remove_leftovers(folders: Iterable[str], copies: Iterable[MirroredCopy], *, everything: bool) -> None:
    """Remove what was fetched of older states of the files in some folders; `everything`: and of this one."""
    of_this_state = {os.path.basename(copy.path) for copy in copies}
    for folder in folders:
        with contextlib.suppress(OSError):
            for name in filter(_HIDDEN.fullmatch, os.listdir(folder)):
                if everything or name.partition(_FETCHED)[0] + _FETCHED not in of_this_state:
                    os.unlink(os.path.join(folder, name))


def require_names_for_windows(names: Iterable[str]) -> None:
    """Refuse names that Windows does not take, or takes for others.

    Raises:
        OSError: there is such a name.
    """
    for name in names:
        if _NO_NAME_ON_WINDOWS.search(name):
            raise OSError(errno.EIO, f"Windows takes no file called {name!r}")
