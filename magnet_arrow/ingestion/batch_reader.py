"""Reads the files of many short runs into buffers, one buffer per table, so that they can be decoded at once.

The fixed cost of a run (new arrays, calls of kernels) is then paid once per batch. Only runs that look ordinary are
read like this; if one turns out not to be, they are read one by one.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.limits import BLOCK_BYTES
from magnet_arrow.errors import Where
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.rules import Run, chosen_files, is_chosen
from magnet_arrow.schema import registry
from magnet_arrow.sources import filesystem, remote_copies
from magnet_arrow.sources.file import FileStamp, read_into

BATCH_BYTES = 8 << 20
"""JSON bytes of the runs in a batch: the more, the less a column costs besides its values."""
_SHORT_BYTES = 4 << 20
"""A run with a longer file is read by itself."""
_TABLES = {table.file: table.name for table in registry.RUN_TABLES if table.file}


R = TypeVar("R", bound=Run)


def batches(runs: Iterable[R], size_bytes: int = BATCH_BYTES) -> Iterator[tuple[list[R], bool]]:
    """Batches of neighbours, and whether they may be read together; a run that may not is a batch by itself.

    Args:
        runs: in the order in which they are to be read.
        size_bytes: a batch ends with the run that reaches this.
    """
    batch: list[R] = []
    size = 0
    for run in runs:
        if not _looks_ordinary(run):
            if batch:
                yield batch, True
            yield [run], False
            batch, size = [], 0
            continue
        batch.append(run)
        size += sum(stamp.size_bytes for stamp in chosen_files(run))
        if size >= size_bytes:
            yield batch, True
            batch, size = [], 0
    if batch:
        yield batch, True


def _looks_ordinary(run: Run) -> bool:
    files = chosen_files(run)
    names = {stamp.name for stamp in files}
    short = all(stamp.size_bytes < min(_SHORT_BYTES, BATCH_BYTES, BLOCK_BYTES) for stamp in files)
    required = {name for name in RUN_FILES if is_chosen(run, name)}
    return bool(run.place.folder) and short and required <= names <= _TABLES.keys()


@dataclass(slots=True)
class BufferedRun(Generic[R]):
    """A run whose files are in the buffers: where, by table."""

    run: R
    files: dict[str, Chunk]


@dataclass(slots=True)
class BatchReader:
    """Reads runs into buffers, one per table, that are reused from batch to batch."""

    _buffers: dict[str, bytearray] = field(default_factory=dict)

    def read(self, runs: Sequence[R]) -> list[BufferedRun[R]]:
        """Those of the runs that could be read, and whose files were as their stamps say after that."""
        used = dict.fromkeys(_TABLES.values(), 0)
        self._make_room(runs)
        found = []
        for run in runs:
            files = self._read(run, used)
            if files is not None:
                used |= {table: file.end for table, file in files.items()}
                found.append(BufferedRun(run, files))
        return found

    def _make_room(self, runs: Sequence[Run]) -> None:
        wanted = dict.fromkeys(_TABLES.values(), 1)
        for run in runs:
            for stamp in chosen_files(run):
                wanted[_TABLES[stamp.name]] += stamp.size_bytes
        for table, size in wanted.items():
            if len(self._buffers.get(table, b"")) < size:
                self._buffers[table] = bytearray(size)

    def _read(self, run: Run, used: dict[str, int]) -> dict[str, Chunk] | None:
        where = Where(run.place.path.name)
        folder = os.fspath(run.place.path)
        files = {}
        for stamp in chosen_files(run):
            table = _TABLES[stamp.name]
            buffer, begin = self._buffers[table], used[table]
            end = begin + stamp.size_bytes
            if not _fill(folder, stamp, memoryview(buffer)[begin : end + 1]):
                return None
            files[table] = Chunk(buffer, begin, end, -begin, 0, "$", where)
        return files


def _fill(folder: str, stamp: FileStamp, room: memoryview) -> bool:
    """Read a regular file; whether it still is as its stamp says. There is room for one byte more."""
    path = f"{folder}{os.sep}{stamp.name}"
    try:
        count = remote_copies.read_fetched(path, stamp, room)
        return _fill_from(path, stamp, room) if count is None else count == stamp.size_bytes
    except OSError:
        return False


def _fill_from(path: str, stamp: FileStamp, room: memoryview) -> bool:
    descriptor = filesystem.open_to_read(path)
    try:
        if read_into(descriptor, room) != stamp.size_bytes:
            return False
        if stamp.tag:  # a copy of an object in this state
            return True
        now = filesystem.open_status(descriptor)
        return stat.S_ISREG(now.st_mode) and (now.st_size, now.st_mtime_ns) == (stamp.size_bytes, stamp.mtime_ns)
    finally:
        filesystem.close(descriptor)
