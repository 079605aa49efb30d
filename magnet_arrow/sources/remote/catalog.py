"""What this process knows of buckets: a listing of each folder that was named, kept until it is listed again.

All questions about a path below such a folder are answered from its listing, without a request.
"""

import contextlib
import errno
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path

from magnet_arrow.errors import RemoteError
from magnet_arrow.sources.remote import objects, settings, stores
from magnet_arrow.sources.remote.fetching import Ahead, ReplacedError, fetch
from magnet_arrow.sources.remote.listing import Listing
from magnet_arrow.sources.remote.mirror import Mirror
from magnet_arrow.sources.remote.spool import Spool
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.remote.urls import address_of
from magnet_arrow.sources.stamps import FileStamp

_ahead: ContextVar[tuple[Ahead, ...]] = ContextVar("ahead", default=())
"""What is fetched ahead of this thread. Another one may read another bucket into another mirror."""


class Catalog:
    """The listings of a process."""

    def __init__(self) -> None:
        self._stores = Stores()
        self._listings: dict[str, Listing] = {}
        self._forgotten: set[str] = set()
        self._lock = threading.RLock()

    def look(self, url: str) -> Listing:
        """List a folder again, and keep the listing in place of those below it.

        Raises:
            SourceNotFoundError: there is no such bucket.
            RemoteError: the store refused, or did not answer.
        """
        address = address_of(url)
        listing = self._list(url)
        if listing.is_empty and address.key:
            listing = Listing(url, objects.head(self._stores, address))
        with self._lock:
            for known in [known for known in self._listings if f"{known}/".startswith(f"{url}/")]:
                del self._listings[known]
            self._forgotten = {root for root in self._forgotten if not f"{root}/".startswith(f"{url}/")}
            self._listings[url] = listing
        return listing

    def _list(self, url: str) -> Listing:
        attempt = 1
        while True:
            try:
                return Listing.of(url, objects.list_objects(self._stores, address_of(url)))
            except objects.CutListError as error:
                if attempt >= settings.current().n_attempts:
                    raise RemoteError.of(url, "no list of objects came to its end", attempts=attempt) from error
                time.sleep(stores.pause_s(attempt))
                attempt += 1

    def forget(self) -> None:
        """Forget all listings: each folder is listed again when something of it is asked for."""
        with self._lock:
            self._forgotten.update(root for root, listing in self._listings.items() if not listing.is_partial)
            self._listings.clear()

    def know(self, folder: str, files: Iterable[FileStamp]) -> None:
        """Take over from another process which files are below a folder, unless it was listed here."""
        with self._lock:
            covering = self._covering(folder)
            if covering is None or covering[0].is_partial:
                self._listings[folder] = Listing.of(folder, files)
                self._listings[folder].is_partial = True

    def refused(self, url: str) -> dict[str, str]:
        """Keys below a folder that was listed which cannot be paths of files, and why."""
        listing = self._listings.get(url)
        return {} if listing is None else listing.refused

    def kind_of(self, url: str) -> FileStamp | bool:
        """A file; else whether there is a folder of this name."""
        address = address_of(url)
        if not address.key:
            return bool(address.bucket)
        covering = self._covering(url)
        if covering is not None:
            listing, path = covering
            return listing.folders(path) is not None or listing.file(path) or False
        return objects.head(self._stores, address) or objects.is_folder(self._stores, address)

    def names(self, url: str) -> tuple[list[str], list[str]]:
        """The folders and the files in a folder."""
        covering = self._covering(url)
        if covering is None:
            return objects.names(self._stores, address_of(url))
        return self._folders(*covering), [file.name for file in self.files(url)]

    def folders(self, url: str) -> list[str]:
        """The names of the folders in a folder."""
        return self._folders(*self._listed(url))

    def files(self, url: str) -> list[FileStamp]:
        """The files in a folder."""
        listing, path = self._listed(url)
        found = listing.files(path)
        if found is None:
            raise not_there(url)
        return found

    @contextlib.contextmanager
    def fetching_ahead(self, spool: Spool, wanted: Iterable[tuple[str, FileStamp]], n_processes: int) -> Iterator[None]:
        """Fetch files in the background, in their order, before this thread opens them.

        Args:
            spool: for their copies, which stay there when the context ends. Others that are opened meanwhile go there
                too if it is a mirror.
            wanted: the URLs of the files, and how they were listed.
            n_processes: how many processes share the connections.
        """
        connections = max(1, settings.current().connections // n_processes)
        ahead = Ahead(self._stores, spool, wanted, connections)
        before = _ahead.set((*_ahead.get(), ahead))
        try:
            yield
        finally:
            _ahead.reset(before)
            ahead.close()

    def first_bytes(self, url: str, count: int) -> bytes:
        """The first bytes of a file, without the rest of it if the store gives ranges.

        Raises:
            FileNotFoundError: there is no such file.
            RemoteError: the store refused, or did not answer.
        """
        found = objects.first_bytes(self._stores, address_of(url), count)
        if found is not None:
            return found
        with os.fdopen(self.open(url), "rb") as file:
            return file.read(count)

    def read_fetched(self, url: str, stamp: FileStamp, room: memoryview) -> int | None:
        """Read a file that is fetched ahead, in a state that was listed; the number of bytes. None if it is not.

        Raises:
            RemoteError: the store refused, did not answer, or sent other bytes than it listed.
            OSError: the copy could not be written.
        """
        for ahead in _ahead.get():
            with contextlib.suppress(ReplacedError):
                if ahead.wait(url, stamp):
                    return ahead.spool.copy_of(url, stamp).read_into(room)
        return None

    def open(self, url: str) -> int:
        """A descriptor of a complete copy of a file.

        A file that was replaced since it was listed is looked for again, once.

        Raises:
            FileNotFoundError: there is no such file.
            RemoteError: the store refused, did not answer, or sent other bytes than it listed.
        """
        for is_last in (False, True):
            found = self.kind_of(url)
            if not isinstance(found, FileStamp):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), url) if found else not_there(url)
            try:
                return self._copy(url, found, () if is_last else _ahead.get())
            except ReplacedError:
                if is_last:  # a store that contradicts itself says nothing of the file
                    raise RemoteError.of(url, "another object than the one that is listed", attempts=2) from None
                self.look(url.rpartition("/")[0])
        raise AssertionError

    def _copy(self, url: str, stamp: FileStamp, fetching: Iterable[Ahead]) -> int:
        """A copy that is fetched ahead, or into a mirror; else one that has no name, and goes when it is closed."""
        for ahead in fetching:
            copy = ahead.spool.copy_of(url, stamp).open() if ahead.wait(url, stamp) else None
            if copy is not None:
                return copy
        mirror = next((ahead.spool for ahead in _ahead.get() if isinstance(ahead.spool, Mirror)), None)
        if mirror is not None:
            return self._fetched(url, stamp, mirror)
        with tempfile.TemporaryDirectory(prefix="magnet-arrow-", ignore_cleanup_errors=True) as folder:
            return self._fetched(url, stamp, Spool(Path(folder)))

    def _fetched(self, url: str, stamp: FileStamp, spool: Spool) -> int:
        """A copy in a spool, which is fetched if it is not there."""
        copy = spool.copy_of(url, stamp)
        if not copy.is_there:
            fetch(self._stores, url, stamp, copy)
        descriptor = copy.open()
        assert descriptor is not None
        return descriptor

    def _listed(self, url: str) -> tuple[Listing, str]:
        covering = self._covering(url)
        return (self.look(url), "") if covering is None else covering

    def _folders(self, listing: Listing, path: str) -> list[str]:
        found = listing.folders(path)
        if found is None:
            raise not_there(f"{listing.root}/{path}".rstrip("/"))
        return found

    def _covering(self, url: str) -> tuple[Listing, str] | None:
        """The listing of the nearest folder above a path, and the path below it.

        A folder that was listed and forgotten is listed again, as a whole: one by one its runs would be a request each.
        """
        found = self._held(url)
        if found is not None or not self._forgotten:
            return found
        forgotten = [folder for folder in self._forgotten if f"{url}/".startswith(f"{folder}/")]
        if not forgotten:
            return None
        self.look(min(forgotten, key=len))
        return self._held(url)

    def _held(self, url: str) -> tuple[Listing, str] | None:
        folder = url
        while folder:
            listing = self._listings.get(folder)
            if listing is not None:
                return listing, url[len(folder) + 1 :]
            folder = folder.rpartition("/")[0]
        return None


def not_there(url: str) -> FileNotFoundError:
    """The error for a path at which there is nothing."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)


CATALOG = Catalog()
"""That of this process."""
