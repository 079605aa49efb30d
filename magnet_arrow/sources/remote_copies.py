"""Copies of files of buckets: fetched ahead of their readers, and kept in a folder of a cache or in a mirror."""

import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import structs

from magnet_arrow.sources import filesystem
from magnet_arrow.sources.filesystem import AnyPath, catalog
from magnet_arrow.sources.remote.meter import METER
from magnet_arrow.sources.remote.mirror import Mirror
from magnet_arrow.sources.remote.packs import Packs
from magnet_arrow.sources.remote.spool import Spool
from magnet_arrow.sources.stamps import PACKED, FileStamp


def share_connections(n_processes: int) -> None:
    """Say that so many processes fetch at the same time, this one included: all together have a bounded number."""
    global _n_fetching
    _n_fetching = n_processes


_n_fetching: int | None = None


def _fetching_processes() -> int:
    """How many processes fetch at the same time; in a worker of somebody's own pool, as many as there are cores."""
    if _n_fetching is not None:
        return _n_fetching
    return 1 if multiprocessing.parent_process() is None else os.cpu_count() or 1


@contextlib.contextmanager
def fetching_ahead(
    copies: Path | None, wanted: Iterable[tuple[AnyPath, Iterable[FileStamp]]], *, mirror: Path | None = None
) -> Iterator[None]:
    """Within the context, files of buckets are fetched in the background before they are opened.

    Args:
        copies: a folder for copies, which stay there until `discard_copies`: if this process is killed, the next one
            goes on with them. None for a temporary one, which is made only if something is fetched.
        wanted: folders, and the files to fetch in each, in the order in which they will be opened. Local ones are
            ignored.
        mirror: a folder that is to keep what is fetched, in place of `copies`; see `publish`.
    """
    files = list(_urls(wanted))
    if not files:
        yield
        return
    with contextlib.ExitStack() as stack:
        if mirror is not None:
            spool: Spool = Mirror(mirror)
        elif copies is not None:
            spool = Spool(copies, Packs(copies))
        else:
            temporary = tempfile.TemporaryDirectory(prefix="magnet-arrow-", ignore_cleanup_errors=True)
            copies = Path(stack.enter_context(temporary))
            spool = Spool(copies, Packs(copies))
        METER.fetched_bytes += spool.bytes_of(files)
        stack.enter_context(catalog().fetching_ahead(spool, files, _fetching_processes()))
        yield


def _urls(wanted: Iterable[tuple[AnyPath, Iterable[FileStamp]]]) -> Iterator[tuple[str, FileStamp]]:
    for folder, stamps in wanted:
        if filesystem.is_remote(folder):
            for stamp in stamps:
                url = f"{os.fspath(folder)}/{stamp.name}"
                if "/" in stamp.name:  # of a suite: the path below it; a file is opened by its own name
                    stamp = structs.replace(stamp, name=os.path.basename(stamp.name))
                yield url, stamp


def fetched_bytes() -> int:
    """How much this process has fetched of buckets, or has found fetched."""
    return METER.fetched_bytes


def waited_s() -> float:
    """How long this process has waited for files that are fetched ahead."""
    return METER.waited_s


def is_repeating_fetches() -> bool:
    """Whether most fetches of this process have failed and will be tried again."""
    return METER.is_repeating


def telling_while_waiting(tell: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Within the context, a function is called now and then while a file that is fetched ahead is waited for."""
    return METER.telling(tell)


def discard_copies(copies: Path, fetched: Iterable[tuple[AnyPath, Iterable[FileStamp]]]) -> None:
    """Remove the copies of files that were fetched ahead; see `fetching_ahead` for the arguments."""
    urls = list(_urls(fetched))
    if urls:
        Spool(copies).remove_all(urls)


def copied_bytes(
    copies: Path, wanted: Iterable[tuple[AnyPath, Iterable[FileStamp]]], *, mirror: Path | None = None
) -> int:
    """How much of files of buckets is in a folder of copies, or in a mirror; see `fetching_ahead` for the arguments."""
    spool = Spool(copies) if mirror is None else Mirror(mirror)
    return spool.bytes_of(_urls(wanted))


def is_packed(stamp: FileStamp) -> bool:
    """Whether an object is stored compressed and may come unpacked: a fetch that breaks off starts over."""
    return stamp.tag.endswith(PACKED)


def mirrored(mirror: Path, folder: AnyPath) -> Path:
    """The folder of a mirror that has what is fetched of a folder of a bucket.

    Raises:
        OSError: its key cannot be the path of a file on this system.
    """
    return Path(Mirror(mirror).path_of(os.fspath(folder)))


def publish(mirror: Path, folder: AnyPath, files: Iterable[FileStamp], *, is_read: bool) -> None:
    """Give what was fetched of a folder of a bucket its names in a mirror.

    Args:
        mirror: the folder.
        folder: that of the bucket.
        files: that are in it.
        is_read: whether all that is wanted of them was fetched; else nothing happens to files of an older state.

    Raises:
        OSError: the disk refused.
    """
    Mirror(mirror).publish(os.fspath(folder), list(files), is_read=is_read)


def read_fetched(path: AnyPath, stamp: FileStamp, room: memoryview) -> int | None:
    """Read an object that is fetched ahead, in a state that was listed; the number of bytes. None if it is not.

    Raises:
        RemoteError: the store refused, did not answer, or sent other bytes than it listed.
        OSError: the copy could not be written.
    """
    return catalog().read_fetched(os.fspath(path), stamp, room) if filesystem.is_remote(path) else None
