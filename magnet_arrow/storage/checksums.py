"""Checks that a file of the cache is as it was written, by size and digest, and explains failed reads.

A Parquet file's pages have checksums of their own, which every read verifies. So opening a file checks the digest of
its footer alone. `check` and a read that failed check the digest of the whole file.

Only a file that is missing or other than it was written is damaged. A file that the system refuses for the moment
(rights, a limit, a failing disk) raises a `CacheNotReadableError`, and is not taken for damaged.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from magnet_arrow.errors import CacheDamagedError, CacheError, SnapshotExpiredError
from magnet_arrow.storage import manifest
from magnet_arrow.storage.manifest import FileEntry

_blake2b = partial(hashlib.blake2b, digest_size=16)


def file_entry(path: Path, cache: Path) -> FileEntry:
    """The entry of a file that has just been written."""
    content = content_digest(path) if path.suffix == ".parquet" else None
    return FileEntry(path.relative_to(cache).as_posix(), path.stat().st_size, digest(path), content)


def content_digest(path: Path) -> str:
    """BLAKE2b of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _blake2b).hexdigest()


def digest(path: Path) -> str:
    """BLAKE2b of a file; of a Parquet file of its footer alone, since its pages have checksums."""
    with path.open("rb") as file:
        if path.suffix == ".parquet":
            file.seek(-8, os.SEEK_END)
            length = int.from_bytes(file.read(4), "little")
            file.seek(-min(length + 8, file.tell() + 4), os.SEEK_END)
        return _blake2b(file.read()).hexdigest()


def check_file(cache: Path, entry: FileEntry) -> Path:
    """The path of a file of the cache; checks that it exists and has its size.

    Raises:
        CacheDamagedError: it is not.
        CacheNotReadableError: the system refuses to say.
        SnapshotExpiredError: it is not there, and the cache has moved on since it was.
    """
    path = cache / entry.path
    with missing(cache, entry):
        size = path.stat().st_size
    if size != entry.size_bytes:
        raise damaged(path, f"it has {size} bytes, {entry.size_bytes} were written")
    return path


def check_digest(cache: Path, entry: FileEntry) -> Path:
    """As `check_file`; checks the digest too: of a Parquet file that of the footer, else that of the whole file.

    Raises:
        CacheDamagedError: it is not.
        CacheNotReadableError: the system refuses to say.
        SnapshotExpiredError: it is not there, and the cache has moved on since it was.
    """
    path = check_file(cache, entry)
    with missing(cache, entry):
        found = digest(path)
    if found != entry.digest:
        raise damaged(path, "its content has changed")
    return path


def check_content(cache: Path, entry: FileEntry) -> Path:
    """As `check_digest`; of a Parquet file it checks every byte.

    Raises:
        CacheDamagedError: it is not.
        CacheNotReadableError: the system refuses to say.
        SnapshotExpiredError: it is not there, and the cache has moved on since it was.
    """
    path = check_digest(cache, entry)
    with missing(cache, entry):
        sound = entry.content_digest is None or content_digest(path) == entry.content_digest
    if not sound:
        raise damaged(path, "its content has changed")
    return path


def read_whole(cache: Path, entry: FileEntry) -> bytes:
    """The bytes of a small file, checked to be those that were written.

    Raises:
        CacheDamagedError: they are not.
        CacheNotReadableError: the system refuses to read them.
        SnapshotExpiredError: it is not there, and the cache has moved on since it was.
    """
    path = check_file(cache, entry)
    with missing(cache, entry):
        data = path.read_bytes()
    if _blake2b(data).hexdigest() != entry.digest:
        raise damaged(path, "its content has changed")
    return data


@contextlib.contextmanager
def missing(cache: Path, entry: FileEntry) -> Iterator[None]:
    """The error for a file that can't be opened.

    If it is missing, one that the manifest names is damaged, and another one was vacuumed. Otherwise nothing is known.
    """
    path = cache / entry.path
    try:
        yield
    except CacheError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        if entry.path in manifest.read_manifest(cache).files_by_path():
            raise damaged(path, error.strerror or "missing") from None
        hint = "Open the cache again, or make the frame again."
        raise SnapshotExpiredError(f"{path} is gone: the cache has moved on since.", hint=hint) from None
    except IsADirectoryError:
        raise damaged(path, "it is a folder") from None
    except (OSError, MemoryError, RuntimeError) as error:  # of the last kind is a thread that can't start
        raise manifest.not_readable(path, error) from error


@contextlib.contextmanager
def reading(cache: Path, entry: FileEntry) -> Iterator[None]:
    """The error for a file of the cache that a library could not read; see `explained`."""
    try:
        yield
    except CacheError:
        raise
    except (OSError, MemoryError, RuntimeError, pa.ArrowException) as error:
        raise explained(cache, entry, error) from error


def explained(cache: Path, entry: FileEntry, error: Exception) -> CacheError:
    """The error for a failed read. If size and digest are as written, the system refused; else the file is damaged."""
    path = cache / entry.path
    try:
        check_content(cache, entry)
    except CacheDamagedError as found:
        mark(path)
        return damaged(path, str(error)) if path.exists() else found
    except CacheError as found:
        return found
    is_covered = entry.content_digest is not None or path.suffix != ".parquet"
    if is_covered or isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
        return manifest.not_readable(path, error)
    mark(path)  # the first caches have a digest of the footer alone
    return damaged(path, str(error))


def damaged(path: Path, what: str) -> CacheDamagedError:
    """The error for a damaged file of the cache."""
    hint = (
        "Ingest the source again: the affected runs are read again. `magnet-arrow check` names them. If the source is "
        "gone, `export` and `head` skip them with --skip-damaged, and `magnet-arrow cache remove RUN…` removes them."
    )
    text = " ".join(what.split()).rstrip(".")  # Arrow's has several lines
    return CacheDamagedError(f"{path} is damaged: {text}.", hint=hint)


def mark(path: Path) -> None:
    """Leave a note for the next ingest that a table's file is damaged, which only reading all of it would show."""
    if path.suffix != ".parquet":
        return
    marks = path.parent.parent / manifest.MARKS
    with contextlib.suppress(OSError):  # a reader may not be allowed to write
        marks.mkdir(exist_ok=True)
        (marks / path.stem).touch()
