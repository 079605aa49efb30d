"""How a commit is made: the lock, the order of flushes, the swap of the manifest.

Data files are complete and flushed, then their folders, and only then the manifest that names them is written beside
the old one, flushed, and put in its place. Whoever dies in between leaves files that nothing refers to.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock

from magnet_arrow.cache import manifest
from magnet_arrow.cache.manifest import Manifest
from magnet_arrow.errors import CacheLockedError, CacheNotWritableError

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
LOCK_TIMEOUT_S = 120.0
"""How long a commit waits for another one; a commit takes milliseconds, an ingest holds no lock."""


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Hold the cache's lock.

    Raises:
        CacheLockedError: another process has held it for two minutes.
        CacheNotWritableError: the cache's folder can't be written.
    """
    lock = filelock.FileLock(cache / manifest.LOCK)
    owner = cache / f"{manifest.LOCK}.owner"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except filelock.Timeout:
        holder = _read_owner(owner) or "another process"
        raise CacheLockedError(
            f"{lock.lock_file} has been held for {LOCK_TIMEOUT_S:g} s by {holder}.",
            hint="If that process is gone, remove the file and try again. Reading needs no lock.",
        ) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS:
            raise CacheNotWritableError(
                f"{lock.lock_file} cannot be locked: {error}.",
                hint="Its file system offers no locks. Ingest into a cache on another one; reading needs no lock.",
            ) from error
        raise not_writable(cache, error) from error
    try:
        with contextlib.suppress(OSError):
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", "utf-8")
        yield
    finally:
        lock.release()


def _read_owner(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text("utf-8", "replace")
    return ""


def flush(paths: Iterable[Path]) -> None:
    """Make files durable, then the folders that they are in.

    Raises:
        CacheNotWritableError: the disk refused.
    """
    folders = set()
    for path in paths:
        _sync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        folders.add(path.parent)
    for folder in sorted(folders):
        flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows does so by itself."""
    if os.name != "nt":
        _sync(folder, os.O_RDONLY)


def swap(cache: Path, new: Manifest) -> None:
    """Put a new manifest in place of the old one: the commit. The lock is held.

    Raises:
        CacheNotWritableError: the disk refused; the old manifest is still there.
    """
    path = cache / manifest.MANIFEST
    beside = path.with_suffix(".new")
    try:
        beside.write_bytes(manifest.manifest_bytes(new))
        _sync(beside, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise not_writable(cache, error) from error
    flush_folder(cache)


def _sync(path: Path, flags: int) -> None:
    try:
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise not_writable(path, error) from error


def not_writable(path: Path, error: OSError) -> CacheNotWritableError:
    """The error for a cache that refuses to be written."""
    hint = "Free some space, or name another folder with cache= or MAGNET_ARROW_CACHE_DIR."
    return CacheNotWritableError(f"{path} cannot be written: {error.strerror or error}.", hint=hint)
