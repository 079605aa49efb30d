"""One file of a dump: opened safely, read in blocks, fingerprinted.

Files are read, never mapped: a file that is cut while it is mapped ends the process with SIGBUS (tried). Only
regular files are opened, without waiting: a FIFO named `stats.json` would hang the process.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterable
from pathlib import Path

import pyarrow as pa

from magnet_arrow._text import as_size
from magnet_arrow.errors import BadFileError, RemoteError, Where
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.stamps import FileStamp as FileStamp
from magnet_arrow.sources.stamps import Fingerprint as Fingerprint
from magnet_arrow.sources.stamps import is_mirrored
from magnet_arrow.sources.stamps import max_unpacked_bytes as max_unpacked_bytes


class SystemReadError(BadFileError):
    """The system did not allow a file or folder to be read: no permission, a failing disk, too many open files.

    This says nothing about the file, so no cache remembers it: the next ingest tries again.
    """


_OF_THE_DUMP = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EINVAL}
)
"""Errors for a file that is missing, or is of a kind that cannot be read."""


def is_system_error(error: BaseException) -> bool:
    """Whether an error is the system's (no permission, a failing disk, no memory), and says nothing about the dump."""
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _OF_THE_DUMP


def fingerprint(folder: Path, below: Iterable[str] = ()) -> Fingerprint:
    """The stamps of the JSON files of a folder, by name.

    Args:
        folder: of a run, or of a suite.
        below: sub-folders whose files count too, under names such as `groups/mmlu.json`.

    A folder or pipe with the name of a JSON file has a stamp too: reading it raises an error that says what it is. A
    file whose size and date the system does not tell has a stamp too.
    """
    if filesystem.is_remote(folder):
        return _remote_fingerprint(folder, below)
    stamps = []
    for part in ("", *below):
        try:
            with os.scandir(os.path.join(folder, part) if part else folder) as entries:
                listed = list(entries)
        except OSError:
            continue
        for entry in listed:
            name = entry.name
            if not name.endswith(_JSON_ENDINGS) or name[0] == ".":
                continue
            path = f"{part}/{name}" if part else name
            try:
                status = entry.stat()
            except OSError as error:
                if is_system_error(error):
                    stamps.append((path, 0, 0))
                continue
            stamps.append((path, status.st_size, status.st_mtime_ns))
    stamps.sort()
    return tuple([FileStamp(*stamp) for stamp in stamps])


def _remote_fingerprint(folder: Path, below: Iterable[str]) -> Fingerprint:
    stamps = []
    for part in ("", *below):
        for file in filesystem.remote_files(folder / part):
            if file.name.endswith(_JSON_ENDINGS) and file.name[0] != ".":
                name = f"{part}/{file.name}" if part else file.name
                stamps.append(FileStamp(name, file.size_bytes, file.mtime_ns, file.tag))
    return tuple(sorted(stamps, key=lambda stamp: stamp.name))


def is_unchanged(folder: Path, stamps: Fingerprint, may_lack: Collection[str] = ()) -> bool:
    """Whether a run's folder certainly has these stamps.

    It asks the system the same as `fingerprint`, in two thirds of the time, since it makes no objects.

    Args:
        folder: of the run.
        stamps: as they are known; those of a bucket if the folder may be its mirror.
        may_lack: as of `is_same_fingerprint`.
    """
    if filesystem.is_remote(folder):
        return is_same_fingerprint(stamps, fingerprint(folder))
    known = {stamp.name: stamp for stamp in stamps}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                stamp = known.pop(name, None)
                if stamp is None:
                    if name.endswith(_JSON_ENDINGS) and name[0] != ".":
                        return False
                    continue
                status = entry.stat()
                if status.st_mtime_ns != stamp.mtime_ns or status.st_size != stamp.size_bytes:
                    if stamp.tag and is_mirrored(stamp, status.st_size, status.st_mtime_ns):
                        continue
                    return False
    except OSError:
        return False
    return not known or _may_lack(known.values(), may_lack)


def is_same_fingerprint(known: Fingerprint, now: Fingerprint, may_lack: Collection[str] = ()) -> bool:
    """Whether files are in the state that is known. Those of a bucket and of its mirror are compared without tags.

    Args:
        known: stamps as they were.
        now: stamps as they are, of the same folder or of its mirror.
        may_lack: names, without the ending of a compressed file, that a mirror may lack: they were not fetched.
    """
    if known == now:
        return True
    if _is_of_bucket(known) == _is_of_bucket(now):
        return False
    objects, files = (known, now) if _is_of_bucket(known) else (now, known)
    listed = {stamp.name: stamp for stamp in objects}
    for file in files:
        stamp = listed.pop(file.name, None)
        if stamp is None or not is_mirrored(stamp, file.size_bytes, file.mtime_ns):
            return False
    return not listed or (objects is known and _may_lack(listed.values(), may_lack))


def _is_of_bucket(stamps: Fingerprint) -> bool:
    return any(stamp.tag for stamp in stamps)


def _may_lack(stamps: Iterable[FileStamp], names: Collection[str]) -> bool:
    return all(stamp.tag and plain_name(stamp.name) in names for stamp in stamps)


def content_digest(folder: Path, stamps: Fingerprint) -> str:
    """BLAKE2b of the bytes and names of some files of a folder.

    A file that can't be read counts as unreadable; reading it raises an error that says why.
    """
    found = hashlib.blake2b(digest_size=16)
    for stamp in stamps:
        name = stamp.name.encode("utf-8", "surrogateescape")
        found.update(b"%d %b %d\n" % (len(name), name, stamp.size_bytes))
        try:
            _digest_file(folder / stamp.name, found)
        except OSError:
            found.update(b"unreadable")
    return found.hexdigest()


def _digest_file(path: Path, found: "hashlib.blake2b") -> None:
    descriptor = filesystem.open_to_read(path)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe would never end
            with open(descriptor, "rb", closefd=False) as file:
                hashlib.file_digest(file, lambda: found)
    finally:
        os.close(descriptor)


_CODECS = {"": None, ".gz": "gzip", ".zst": "zstd"}
ENDINGS = tuple(_CODECS)
"""What may follow `.json` in the name of a JSON file; all but the first say how it is compressed."""
_JSON_ENDINGS = tuple(f".json{ending}" for ending in ENDINGS)
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # RFC 1952, RFC 8878


def codec_of(data: bytes) -> str | None:
    """How bytes are compressed, by their first bytes: HELM's public bucket stores gzip under plain names."""
    return next((codec for magic, codec in _MAGIC.items() if data.startswith(magic)), None)


def _unpacked(descriptor: int, codec: str) -> pa.NativeFile:
    """What a file unpacks to, from where it is read next; closing it does not close the file."""
    raw = pa.PythonFile(os.fdopen(os.dup(descriptor), "rb"), "r")
    return pa.CompressedInputStream(raw, codec)


def _is_bomb(descriptor: int, codec: str, most: int) -> bool:
    """Whether a file unpacks to more than so many bytes, if it says so itself; else it is seen while it is read.

    To unpack it twice costs less than to look for values in a gigabyte of `[0,0,0,…`. What it says is not believed: the
    end of one that is cut is any number.
    """
    if _declared_bytes(descriptor, codec) <= most:
        return False
    room = memoryview(bytearray(1 << 20))
    with contextlib.suppress(OSError), _unpacked(descriptor, codec) as stream:
        while most >= 0 and (count := stream.readinto(room)):
            most -= count
    os.lseek(descriptor, 0, os.SEEK_SET)
    return most < 0


def _declared_bytes(descriptor: int, codec: str) -> int:
    """How many bytes a file says that it unpacks to; less or 0 if it does not say so, or in several parts."""
    size = os.fstat(descriptor).st_size
    if codec == "gzip":  # RFC 1952: modulo 4 GiB, at the end
        return int.from_bytes(_bytes_at(descriptor, max(0, size - 4), 4), "little")
    header = _bytes_at(descriptor, 4, 14)  # RFC 8878, 3.1.1.1
    if not header:
        return 0
    is_single = header[0] >> 5 & 1
    begin = 1 + (not is_single) + (0, 1, 2, 4)[header[0] & 3]
    length = (is_single, 2, 4, 8)[header[0] >> 6]
    return int.from_bytes(header[begin : begin + length], "little") + 256 * (length == 2)


def _bytes_at(descriptor: int, begin: int, count: int) -> bytes:
    """Some bytes of a file, which is read from its beginning after that."""
    os.lseek(descriptor, begin, os.SEEK_SET)
    try:
        return os.read(descriptor, count)
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)


def plain_name(name: str) -> str:
    """The name of a file without the ending that says how it is compressed."""
    for suffix in _CODECS:
        if suffix and name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


class SourceFile:
    """An open regular file of a run, read from front to end; gzip and zstd are decompressed.

    Raises:
        BadFileError: it is missing, no regular file, or may not be read.
    """

    def __init__(self, folder: Path, name: str, run: str) -> None:
        self.where = Where(run=run, file=name)
        self._folder, self._name = folder, name
        for suffix in _CODECS:
            try:
                self._open(suffix)
            except FileNotFoundError:
                continue
            return
        raise self._error(
            "a file",
            "none of this name",
            "The run is incomplete: copy or make it again, or read what is there of it with partial=True.",
        )

    def _open(self, suffix: str) -> None:
        self.where = Where(self.where.run, self._name + suffix)
        try:
            descriptor = filesystem.open_to_read(self._folder / (self._name + suffix))
        except FileNotFoundError:
            self.where = Where(self.where.run, self._name)
            raise
        except OSError as error:
            raise read_error(self.where, error) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise self._error("a regular file", _kind(status.st_mode))
        self.size_bytes = status.st_size
        self._descriptor = descriptor
        self._stream: pa.NativeFile | None = None
        self._unpacked_bytes = 0
        try:
            codec = _CODECS[suffix] or codec_of(_bytes_at(descriptor, 0, 4))
            is_bomb = codec is not None and _is_bomb(descriptor, codec, max_unpacked_bytes(self.size_bytes))
        except OSError as error:
            os.close(descriptor)
            raise read_error(self.where, error) from error
        if is_bomb:
            os.close(descriptor)
            raise self._bomb_error()
        if codec:
            self._stream = _unpacked(descriptor, codec)

    @property
    def is_compressed(self) -> bool:
        """Whether there is more to read than `size_bytes`."""
        return self._stream is not None

    def __enter__(self) -> "SourceFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
        os.close(self._descriptor)

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` from where the last read ended; the number of bytes, fewer than asked only at the end."""
        filled = 0
        while filled < len(buffer):
            try:
                count = self._read(buffer[filled:])
            except OSError as error:
                raise read_error(self.where, error) from error
            if count == 0:
                break
            filled += count
        return filled

    def _read(self, buffer: memoryview) -> int:
        if self._stream is None:
            return read_into(self._descriptor, buffer)
        count: int = self._stream.readinto(buffer)
        self._unpacked_bytes += count
        if self._unpacked_bytes > max_unpacked_bytes(self.size_bytes):
            raise self._bomb_error()
        return count

    def _bomb_error(self) -> BadFileError:
        expected = f"at most {as_size(max_unpacked_bytes(self.size_bytes))} unpacked"
        found = f"{as_size(self.size_bytes)} that unpack to more"
        return self._error(expected, found, "If it is no gzip bomb, unpack it first.")

    def skip(self, count: int) -> None:
        """Skip bytes from where the last read ended."""
        if self._stream is None:
            os.lseek(self._descriptor, count, os.SEEK_CUR)
            return
        room = memoryview(bytearray(min(count, 1 << 20)))
        while count and (got := self.read_into(room[:count])):
            count -= got

    def tail(self, most: int) -> bytes:
        """The last bytes of the file, none if it is compressed. The next read goes on where the last one ended."""
        if self._stream is not None:
            return b""
        place = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        try:
            os.lseek(self._descriptor, max(0, self.size_bytes - most), os.SEEK_SET)
            data = bytearray(most)
            return bytes(data[: self.read_into(memoryview(data))])
        finally:
            os.lseek(self._descriptor, place, os.SEEK_SET)

    def again(self) -> "SourceFile":
        """The same file, opened once more."""
        return SourceFile(self._folder, self._name, self.where.run or "")

    def _error(self, expected: str, found: str, hint: str | None = None) -> BadFileError:
        return BadFileError("", where=self.where, expected=expected, found=found, hint=hint)


def read_error(where: Where, error: OSError, *, what: str = "file") -> BadFileError:
    """The error for a file or folder that cannot be read."""
    expected, found = f"a readable {what}", error.strerror or str(error) or type(error).__name__
    if not is_system_error(error):
        return BadFileError("", where=where, expected=expected, found=found)
    own = error.hint if isinstance(error, RemoteError) else None  # such as which option signs
    hint = " ".join(filter(None, ("This is not remembered: the next ingest looks again.", own)))
    return SystemReadError("", where=where, expected=expected, found=found, hint=hint)


def read_into(descriptor: int, buffer: memoryview) -> int:
    """Fill `buffer`, or a part of it; the number of bytes."""
    if _HAS_READV:
        return os.readv(descriptor, [buffer])
    data = os.read(descriptor, len(buffer))
    buffer[: len(data)] = data
    return len(data)


_HAS_READV = hasattr(os, "readv")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
