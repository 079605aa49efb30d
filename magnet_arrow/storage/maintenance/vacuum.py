"""Removes files that no manifest names, once their grace time is over.

A file may be unnamed because a writer is still at work on it, because one died, or because a later commit dropped it,
and then someone may still read it. So it goes only after a grace time: since the commit that dropped it, which the
manifest remembers; for a file that was never named, since it was last written.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from magnet_arrow.errors import CacheError
from magnet_arrow.schema.registry import TABLES
from magnet_arrow.storage import commit, manifest, rates
from magnet_arrow.storage.manifest import Manifest
from magnet_arrow.storage.transaction import GRACE_S

FOLDERS = (*TABLES, manifest.RUNS, "deleted", manifest.MARKS, manifest.FETCHED)
_OURS = re.compile(r"[0-9a-f]{16}(\.[0-9a-f]{8}\.json|\.json|\.zst|\.parquet|\.part\d+|\.pack)?")
_SWEPT = "swept"
"""A file that is as old as the last vacuum after an ingest."""
_PAUSE_S = 60 * 60.0
_LOCKS = (manifest.LOCK, f"{manifest.LOCK}.owner")
_BESIDE = {manifest.MANIFEST, "manifest.new", *_LOCKS, _SWEPT, rates.FILE, rates.NEW, *FOLDERS}


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What was removed."""

    files: int = 0
    bytes: int = 0


def vacuum(cache: Path, *, grace_s: float = GRACE_S) -> Vacuumed:
    """Remove files that have not been named for the grace time. Files that are not ours stay.

    Args:
        cache: its folder.
        grace_s: for what a commit dropped. What was never named is always given a day, since it may become named.

    Raises:
        CacheLockedError: another process does not let go of the lock.
        CacheNotWritableError: the cache's folder can't be written.
    """
    with commit.locked(cache):
        try:
            return _vacuum(cache, grace_s)
        except CacheError:
            raise
        except OSError as error:  # a folder that can't be listed
            raise commit.not_writable(cache, error) from error


def _vacuum(cache: Path, grace_s: float) -> Vacuumed:
    files = n_bytes = 0
    now_s = time.time()
    for inside, since_s, was_named in _unnamed(cache, manifest.read_manifest(cache)):
        if now_s - since_s < (grace_s if was_named else GRACE_S):
            continue
        path = cache / inside
        commit.require_lock(cache)  # else the manifest may name it by now
        with contextlib.suppress(OSError):  # another user's, or open on Windows: it stays for the next time
            size = path.stat().st_size
            path.unlink()
            files, n_bytes = files + 1, n_bytes + size
    return Vacuumed(files, n_bytes)


def vacuum_hourly(cache: Path) -> None:
    """As `vacuum`, but not within an hour of the last time.

    After a thousand ingests within a day, looking for files whose grace time is over takes a third as long as an
    ingest.

    Raises:
        CacheLockedError: another process does not let go of the lock.
        CacheNotWritableError: the cache's folder can't be written.
    """
    now_s = time.time()
    stamp = cache / _SWEPT
    with contextlib.suppress(OSError):  # there was none yet, or nobody can tell
        if 0 <= now_s - stamp.stat().st_mtime < _PAUSE_S:
            return
    vacuum(cache)
    with contextlib.suppress(OSError):  # then the next ingest vacuums too
        stamp.touch()
        os.utime(stamp, (now_s, now_s))


def discard(cache: Path, name: str) -> None:
    """Remove the files of a segment that was never committed, and whose writer has ended.

    Args:
        cache: its folder.
        name: what the segment's id begins with.
    """
    if any(segment.id.startswith(name) for segment in manifest.read_manifest(cache).segments):
        return  # it was committed, though what came after that failed or was interrupted
    for folder in (*TABLES, "runs"):
        for path in (cache / folder).glob(f"{name}*"):
            path.unlink(missing_ok=True)


def _unnamed(cache: Path, current: Manifest) -> Iterator[tuple[str, float, bool]]:
    """Files of ours that the manifest does not name, since when (seconds since 1970), and if an earlier one did.

    There are thousands, where much was merged within a day; so paths are plain texts, inside the cache.
    """
    named = {*current.files_by_path(), *(f"{manifest.MARKS}/{segment.id}" for segment in current.segments)}
    dropped = {one.stem: one.time_s for one in current.dropped}
    for inside in files_of_ours(cache):
        if inside in named:
            continue
        time_s = dropped.get(os.path.splitext(os.path.basename(inside))[0])
        if time_s is not None:
            yield inside, time_s, True
            continue
        with contextlib.suppress(OSError):
            yield inside, os.stat(cache / inside).st_mtime, False


def files_of_ours(cache: Path) -> Iterator[str]:
    """Files in a cache's folders with names of our form, whether or not the manifest names them; relative paths."""
    for folder in FOLDERS:
        for name in _listed(cache / folder):
            if _OURS.fullmatch(name):
                yield f"{folder}/{name}"


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def orphan_files(cache: Path, current: Manifest) -> list[str]:
    """Files in the cache's folder that are no part of it, by path inside; nothing reads them.

    Files of ours whose grace time is not over do not count.
    """
    foreign = [path for path in cache.glob("*") if path.name not in _BESIDE]
    foreign += [path for folder in FOLDERS for path in (cache / folder).glob("*") if not _OURS.fullmatch(path.name)]
    return sorted(path.relative_to(cache).as_posix() for path in foreign)
