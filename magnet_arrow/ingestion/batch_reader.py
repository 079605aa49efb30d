"""Short runs together: their files are read table by table behind one another, so that many are taken at once.

What a run costs beside its bytes (arrays begun, kernels called) is then paid once a batch. Only runs that look
ordinary come here; those that turn out not to be so are left to be taken singly.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.limits import BLOCK_BYTES
from magnet_arrow.errors import Where
from magnet_arrow.helm.layout import RUN_FILES, RunPlace
from magnet_arrow.schema import registry
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import FileStamp, Fingerprint, read_into

BATCH_BYTES = 8 << 20
"""JSON bytes of the runs that are taken together: the more, the less a column costs beside its values."""
_SHORT_BYTES = 4 << 20
"""A run with a longer file is taken by itself."""
_TABLES = {table.file: table.name for table in registry.RUN_TABLES if table.file}
_REQUIRED = frozenset(RUN_FILES)


class Run(Protocol):
    """A run that is to be taken."""

    @property
    def place(self) -> RunPlace:
        """Where it lies."""

    @property
    def source(self) -> str:
        """The id of its source."""

    @property
    def stamps(self) -> Fingerprint:
        """Its fingerprint, made before."""


R = TypeVar("R", bound=Run)


def batches(runs: Iterable[R], size_bytes: int = BATCH_BYTES) -> Iterator[tuple[list[R], bool]]:
    """Neighbours that may be taken together, and whether they may; those that may not come one by one.

    Args:
        runs: in the order in which they are to be taken.
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
        size += sum(stamp.size_bytes for stamp in run.stamps)
        if size >= size_bytes:
            yield batch, True
            batch, size = [], 0
    if batch:
        yield batch, True


def _looks_ordinary(run: Run) -> bool:
    names = {stamp.name for stamp in run.stamps}
    short = all(stamp.size_bytes < min(_SHORT_BYTES, BATCH_BYTES, BLOCK_BYTES) for stamp in run.stamps)
    return bool(run.place.folder) and short and names >= _REQUIRED and names <= _TABLES.keys()


@dataclass(slots=True)
class Gathered:
    """A run whose files are in the buffers: by table where."""

    run: Run
    files: dict[str, Chunk]


@dataclass(slots=True)
class Gatherer:
    """Reads runs into buffers, one a table, that are reused from batch to batch."""

    _buffers: dict[str, bytearray] = field(default_factory=dict)

    def gather(self, runs: Sequence[Run]) -> list[Gathered]:
        """Those of the runs that could be read, and whose files were still as their stamps say when they had been."""
        used = dict.fromkeys(_TABLES.values(), 0)
        self._make_room(runs)
        found = []
        for run in runs:
            files = self._read(run, used)
            if files is not None:
                used |= {table: chunk.end for table, chunk in files.items()}
                found.append(Gathered(run, files))
        return found

    def _make_room(self, runs: Sequence[Run]) -> None:
        wanted = dict.fromkeys(_TABLES.values(), 1)
        for run in runs:
            for stamp in run.stamps:
                wanted[_TABLES[stamp.name]] += stamp.size_bytes
        for table, size in wanted.items():
            if len(self._buffers.get(table, b"")) < size:
                self._buffers[table] = bytearray(size)

    def _read(self, run: Run, used: dict[str, int]) -> dict[str, Chunk] | None:
        where = Where(run.place.path.name)
        folder = os.fspath(run.place.path)
        files = {}
        for stamp in run.stamps:
            table = _TABLES[stamp.name]
            buffer, begin = self._buffers[table], used[table]
            end = begin + stamp.size_bytes
            if not _fill(folder, stamp, memoryview(buffer)[begin : end + 1]):
                return None
            files[table] = Chunk(buffer, begin, end, -begin, 0, "$", where)
        return files


def _fill(folder: str, stamp: FileStamp, room: memoryview) -> bool:
    """Read a regular file that still is as its stamp says; there is room for a byte more."""
    try:
        descriptor = filesystem.open_to_read(f"{folder}{os.sep}{stamp.name}")
    except OSError:
        return False
    try:
        if read_into(descriptor, room) != stamp.size_bytes:
            return False
        now = filesystem.open_status(descriptor)
        return stat.S_ISREG(now.st_mode) and (now.st_size, now.st_mtime_ns) == (stamp.size_bytes, stamp.mtime_ns)
    except OSError:
        return False
    finally:
        filesystem.close(descriptor)
