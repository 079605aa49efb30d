"""Work divided into orders: some runs that become one segment. Plain values, since they cross process borders."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from magnet_arrow.errors import Rejected
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.rules import Rules, Share
from magnet_arrow.ingestion.run_reader import is_long, largest_file
from magnet_arrow.sources.file import Fingerprint, plain_name
from magnet_arrow.storage.manifest import RejectedRun, Segment, run_key

SEGMENT_JSON_BYTES = 2 << 30
"""No order is made larger, if it can be: a crash costs no more."""
MAX_TASK_BYTES = 512 << 20
MIN_TASK_BYTES = 8 << 20
"""Orders for workers grow smaller towards the end, so that none has much left when the others are done. Those of a
large dump are large, as the segments of many small ones would have to be merged."""
_PIECES = 8
MIN_SHARE_BYTES = 32 << 20
_MOST_UNEVEN = 1.1
"""A long run with which a worker would have more than that share of what all have on average is taken by two, if each
of them has so many bytes to read."""


class Todo(Struct, frozen=True):
    """A run that is to be taken, or what stands beside the runs of a suite.

    Attributes:
        place: where it lies.
        source: the id of its source.
        stamps: its fingerprint, made before.
        long: it has turned out to be long, though its size does not show it.
        salvage: files of a long one that are known to end early.
        share: those of its files that are to be taken, where several workers take it; None for all.
        content: digest of its files' bytes; empty where that is not known yet, or not asked for.
    """

    place: RunPlace
    source: str
    stamps: Fingerprint
    long: bool = False
    salvage: frozenset[str] = frozenset()
    share: Share | None = None
    content: str = ""

    @property
    def key(self) -> str:
        """What `magnet.run` will hold."""
        return run_key(self.source, self.place.suite, self.place.folder)

    @property
    def size_bytes(self) -> int:
        """Bytes of its files, of those that are to be taken."""
        share = self.share
        return sum(stamp.size_bytes for stamp in self.stamps if share is None or share.has(plain_name(stamp.name)))

    @property
    def is_long(self) -> bool:
        """Whether it has a segment of its own."""
        return self.long or is_long(self.stamps)


class Order(Struct, frozen=True):
    """Runs that one worker takes into one segment.

    Attributes:
        cache: the cache's folder, absolute, since workers may be anywhere.
        name: what the segment's id begins with. The caller knows by it which files to remove of an order that was
            lost; the rest of the id differs from try to try, so that two workers never write the same file.
        runs: a long one is alone, and perhaps not all of it.
        rules: what is taken of them.
        tries: workers that died of it, or of an order that these runs were in.
    """

    cache: Path
    name: str
    runs: tuple[Todo, ...]
    rules: Rules
    tries: int = 0

    @property
    def is_part(self) -> bool:
        """Whether it is for some files of a run, of which another order has the others."""
        return self.runs[0].share is not None

    @property
    def is_rest(self) -> bool:
        """Whether it is for all the files of a run but one, which another order has."""
        share = self.runs[0].share
        return share is not None and share.rest

    @property
    def is_blamed(self) -> bool:
        """Whether the next failure is the fault of its only run."""
        return self.tries > 0 and len(self.runs) == 1


class Outcome(Struct, frozen=True):
    """What became of an order.

    Attributes:
        segment: finished, though not committed; None if no run could be taken.
        rejected: runs that could not be taken.
        unread: runs that the system did not let be read, which is not remembered.
        left: runs that are to be taken by another order.
        runs: how many are in the segment; what stands beside the runs of a suite does not count.
        partial: of these, those that lack something.
        lacking: what they lack.
        json_bytes: bytes of their files.
        rows: by table.
        unexpected: unknown fields and values of another type: how often, by (what, file and JSON path).
        notes: what was passed over and is worth a word.
    """

    segment: Segment | None = None
    rejected: tuple[RejectedRun, ...] = ()
    unread: tuple[RejectedRun, ...] = ()
    left: tuple[Todo, ...] = ()
    runs: int = 0
    partial: int = 0
    lacking: tuple[Rejected, ...] = ()
    json_bytes: int = 0
    rows: dict[str, int] = {}
    unexpected: dict[tuple[str, str], int] = {}
    notes: tuple[str, ...] = ()

    @property
    def n_rejected(self) -> int:
        """How many runs could not be taken, for whatever reason."""
        return len(self.rejected) + len(self.unread)


def order(cache: Path, runs: Iterable[Todo], rules: Rules, *, tries: int = 0) -> Order:
    """A new order, with a name of its own."""
    return Order(cache.absolute(), secrets.token_hex(6), tuple(runs), rules, tries)


def in_parallel(runs: Iterable[Todo], workers: int) -> Iterator[tuple[Todo, ...]]:
    """The runs of each order, for several workers: the largest first, so that none is begun when all else is done."""
    by_size = sorted(runs, key=lambda run: -run.size_bytes)
    short = sorted((run for run in by_size if not run.is_long), key=lambda run: run.key)
    most = _MOST_UNEVEN * sum(run.size_bytes for run in by_size) / workers
    loads = [0] * workers  # each run goes to who has least to do
    for run in filter(lambda run: run.is_long, by_size):
        for part in in_parts(run) if min(loads) + run.size_bytes > most else [run]:
            yield (part,)
            loads[loads.index(min(loads))] += part.size_bytes
    yield from divide(short, workers)


def in_parts(run: Todo) -> list[Todo]:
    """A long run for two workers: its largest file, and all the others; the run itself if these are too small."""
    if not run.place.folder:
        return [run]
    file = largest_file(run.stamps)
    parts = [msgspec.structs.replace(run, share=Share(file, rest)) for rest in (False, True)]
    return parts if min(part.size_bytes for part in parts) >= MIN_SHARE_BYTES else [run]


def whole(run: Todo) -> Todo:
    """The same run, to be taken by one worker."""
    return msgspec.structs.replace(run, share=None)


def divide(runs: Sequence[Todo], workers: int | None = None) -> Iterator[tuple[Todo, ...]]:
    """The runs of each order: neighbours together, long ones alone.

    Args:
        runs: in the order in which they are to be taken.
        workers: how many share them; None for one that takes as many at once as may be in a segment.
    """
    left = sum(run.size_bytes for run in runs)
    together: list[Todo] = []
    size = 0
    for run in runs:
        if run.is_long:
            if together:
                yield tuple(together)
            yield (run,)
            together, size = [], 0
            continue
        together.append(run)
        size += run.size_bytes
        if size >= _order_bytes(left, workers):
            yield tuple(together)
            left -= size
            together, size = [], 0
    if together:
        yield tuple(together)


def _order_bytes(left: int, workers: int | None) -> int:
    """An order ends with the run that reaches this, when so much is left to be divided."""
    if workers is None:
        return SEGMENT_JSON_BYTES
    share = min(MAX_TASK_BYTES, left // (2 * workers))
    return min(SEGMENT_JSON_BYTES, max(MIN_TASK_BYTES, share))


def again(failed: Order) -> list[Order]:
    """Orders for the runs of one that cost a worker: a few smaller ones, until the run that does it is alone."""
    step = -(-len(failed.runs) // _PIECES)
    parts = [failed.runs[first : first + step] for first in range(0, len(failed.runs), step)]
    return [order(failed.cache, part, failed.rules, tries=failed.tries + 1) for part in parts]


def as_long(run: Todo, stamps: Fingerprint, salvage: frozenset[str]) -> Todo:
    """The same run, to be taken as a long one."""
    return msgspec.structs.replace(run, stamps=stamps, long=True, salvage=salvage)
