"""Emptying a cache."""

import contextlib
from pathlib import Path

from magnet_arrow.errors import MagnetError
from magnet_arrow.storage import commit, manifest
from magnet_arrow.storage.maintenance import vacuum


def clear(cache: Path) -> None:
    """Delete all that a cache holds, and nothing else. Frames that were made before cannot be collected any more.

    The manifest goes first: a process that dies in between leaves files that nothing names.

    Raises:
        MagnetError: the folder is no cache; nothing in it is touched.
        CacheLockedError: another process does not let go of the lock.
        CacheNotWritableError: the disk refused.
    """
    if not (cache / manifest.MANIFEST).is_file():
        raise MagnetError(f"{cache} is no cache.", expected=f"{manifest.MANIFEST} in it", found="none")
    with commit.locked(cache):
        commit.swap(cache, manifest.Manifest())
        try:
            for inside in vacuum.files_of_ours(cache):
                commit.require_lock(cache)  # else it may be of who has committed since
                (cache / inside).unlink()
        except OSError as error:
            raise commit.not_writable(cache, error) from error
        for folder in vacuum.FOLDERS:
            with contextlib.suppress(OSError):  # it is not there, or holds what is not ours
                (cache / folder).rmdir()
