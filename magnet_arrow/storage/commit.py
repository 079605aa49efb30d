"""Makes commits: the lock, the order of flushes, the replacement of the manifest.

Data files are complete and flushed, then their folders, and only then the manifest that names them is written beside
the old one, flushed, and put in its place. A process that dies in between leaves files that nothing refers to.

A process that is stopped while it holds the lock (a laptop that sleeps, a disk that hangs) keeps the lock, unless
someone removes the lock file. So it looks, right before it puts its manifest in place, whether the lock file is still
its own and the manifest still the one that it read. Between that check and the rename nothing protects for an
instant: no file system has a rename that depends on the file that it replaces.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from magnet_arrow import _durable
from magnet_arrow._text import of_system, where_to_write
from magnet_arrow.errors import CacheError, CacheLockedError, CacheNotWritableError
from magnet_arrow.storage import manifest
from magnet_arrow.storage.manifest import Manifest

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
LOCK_TIMEOUT_S = 120.0
"""How long a commit waits for another one; a commit takes milliseconds, an ingest holds no lock."""


@dataclass(frozen=True, slots=True)
class _Held:
    """The state when the lock was acquired.

    Attributes:
        lock: device and inode of the lock file.
        manifest: the bytes of the manifest; None if there was none.
    """

    lock: tuple[int, int]
    manifest: bytes | None


_held: dict[Path, _Held] = {}
"""By cache, of this process. The lock file is open as long, so that no other file has its inode."""


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Hold the cache's lock.

    Raises:
        CacheLockedError: another process has held it for two minutes.
        CacheNotWritableError: the cache's folder can't be written.
    """
    import filelock  # for writers alone

    lock = filelock.FileLock(cache / manifest.LOCK)
    owner = cache / f"{manifest.LOCK}.owner"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except filelock.Timeout:
        holder = _read_owner(owner) or "another process"
        raise CacheLockedError(
            f"{lock.lock_file} has been held for {LOCK_TIMEOUT_S:g} s by {holder}.",
            hint="The lock goes with that process: wait for it, or end it if it is stopped. Do not remove the file: "
            "what is committed meanwhile could be lost. Reading needs no lock.",
        ) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) or error.errno in _NO_LOCKS:
            raise CacheNotWritableError(
                f"{lock.lock_file} cannot be locked: {error}.",
                hint="Its file system offers no locks. Ingest into a cache on another one; reading needs no lock.",
            ) from error
        raise not_writable(cache, error) from error
    before = _held.get(cache)  # of this process too, if its lock file was removed
    try:
        with contextlib.suppress(OSError):
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", "utf-8")
        _held[cache] = _Held(_identity(cache), manifest.read_bytes(cache))
        yield
    finally:
        _held.pop(cache, None)
        if before is not None:
            _held[cache] = before
        lock.release()


def _identity(cache: Path) -> tuple[int, int]:
    try:
        found = os.stat(cache / manifest.LOCK)
    except FileNotFoundError:
        return 0, 0
    except OSError as error:
        raise not_writable(cache, error) from error
    return found.st_dev, found.st_ino


def require_lock(cache: Path) -> None:
    """Check that this process still holds the lock.

    Raises:
        CacheLockedError: its file was removed meanwhile, or another process has made a new one.
        CacheNotWritableError: nobody can tell.
    """
    if _identity(cache) != _held[cache].lock:
        raise _lost(cache, f"{cache / manifest.LOCK} was removed")


def _lost(cache: Path, why: str) -> CacheLockedError:
    hint = "Nothing was changed by it. Do it again: what was read and not committed is read once more."
    return CacheLockedError(f"This process lost its lock on {cache} before it could commit: {why}.", hint=hint)


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
        _sync(path)
        folders.add(path.parent)
    for folder in sorted(folders):
        _sync(folder)


def swap(cache: Path, new: Manifest) -> None:
    """Put a new manifest in place of the old one: the commit. The lock is held.

    Raises:
        CacheNotWritableError: the disk refused; the old manifest is still there.
        CacheLockedError: the lock was lost, or the manifest has changed since the lock was acquired.
    """
    path = cache / manifest.MANIFEST
    beside = path.with_suffix(".new")
    data = manifest.manifest_bytes(new)
    try:
        beside.write_bytes(data)
        _durable.sync(beside)
        require_lock(cache)
        if manifest.read_bytes(cache) != _held[cache].manifest:
            raise _lost(cache, "another process has committed")
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, CacheError):
            raise
        raise not_writable(cache, error) from error
    _sync(cache)
    _held[cache] = replace(_held[cache], manifest=data)


def _sync(path: Path) -> None:
    try:
        _durable.sync(path)
    except OSError as error:
        raise not_writable(path, error) from error


def not_writable(path: Path, error: OSError) -> CacheNotWritableError:
    """The error for a cache that refuses to be written."""
    hint = where_to_write(error, "with cache=, --cache or MAGNET_ARROW_CACHE_DIR")
    return CacheNotWritableError(f"{path} cannot be written: {of_system(error)}.", hint=hint)
