"""Tasks: some runs that one worker reads into one segment. Plain values, since they cross process borders."""

import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from magnet_arrow.errors import Rejected
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.rules import RULES, Rules, Share, chosen_files
from magnet_arrow.ingestion.run_reader import is_streamed
from magnet_arrow.sources.file import Fingerprint, plain_name
from magnet_arrow.sources.remote import settings
from magnet_arrow.sources.remote.settings import RemoteSettings
from magnet_arrow.storage.manifest import RejectedRun, Segment, run_key


class PendingRun(Struct, frozen=True):
    """A run that is to be read, or the files beside the runs of a suite.

    Attributes:
        place: its location.
        source: the id of its source.
        stamps: its fingerprint, from before it is read.
        rules: what is read of it.
        must_stream: it must be streamed, though its size does not show it.
        salvage: files of a streamed run that are known to end early.
        share: the files to read, if two workers read the run; None for all.
        content: digest of its files' bytes; empty where that is not known yet, or not asked for.
    """

    place: RunPlace
    source: str
    stamps: Fingerprint
    rules: Rules = RULES
    must_stream: bool = False
    salvage: frozenset[str] = frozenset()
    share: Share | None = None
    content: str = ""

    @property
    def key(self) -> str:
        """The value of `magnet.run`."""
        return run_key(self.source, self.place.suite, self.place.folder)

    @property
    def size_bytes(self) -> int:
        """Bytes of the files to read."""
        share = self.share
        return sum(
            stamp.size_bytes for stamp in chosen_files(self) if share is None or share.has(plain_name(stamp.name))
        )

    @property
    def is_streamed(self) -> bool:
        """Whether it is streamed into a segment of its own."""
        return self.must_stream or is_streamed(chosen_files(self))

    def streamed(self, salvage: frozenset[str]) -> "PendingRun":
        """The same run, to be streamed."""
        return msgspec.structs.replace(self, must_stream=True, salvage=salvage)

    def undivided(self) -> "PendingRun":
        """The same run, to be read by one worker."""
        return msgspec.structs.replace(self, share=None)


class Task(Struct, frozen=True):
    """Runs that one worker reads into one segment.

    Attributes:
        cache: the cache's folder, absolute, since workers may be anywhere.
        name: the beginning of the segment's id. By it the caller knows which files to remove if the task is lost. The
            rest of the id differs from try to try, so that two workers never write the same file.
        runs: a streamed run is alone in its task, perhaps with only some of its files.
        tries: how many workers died of this task, or of a larger one with these runs.
        remote: how buckets are read; None for as the worker's environment says.
    """

    cache: Path
    name: str
    runs: tuple[PendingRun, ...]
    tries: int = 0
    remote: RemoteSettings | None = None

    @property
    def is_part(self) -> bool:
        """Whether another task reads the other files of the same run."""
        return self.runs[0].share is not None

    @property
    def is_rest(self) -> bool:
        """Whether it reads all files of a run but one, which another task reads."""
        share = self.runs[0].share
        return share is not None and share.rest

    @property
    def is_blamed(self) -> bool:
        """Whether its only run is rejected if it fails once more."""
        return self.tries > 0 and len(self.runs) == 1


class TaskResult(Struct, frozen=True):
    """What a task has brought.

    Attributes:
        segment: complete, though not committed; None if no run could be read.
        rejected: runs that could not be read.
        unread: runs that the system did not let be read, which the cache does not remember.
        left: runs that other tasks must read.
        runs: how many runs are in the segment; the files beside the runs of a suite do not count.
        partial: how many of these are incomplete.
        lacking: what they lack.
        json_bytes: bytes of their files.
        rows: by table.
        unexpected: unknown fields and values of another type: how often, by (what, file and JSON path).
        notes: sentences for the report.
    """

    segment: Segment | None = None
    rejected: tuple[RejectedRun, ...] = ()
    unread: tuple[RejectedRun, ...] = ()
    left: tuple[PendingRun, ...] = ()
    runs: int = 0
    partial: int = 0
    lacking: tuple[Rejected, ...] = ()
    json_bytes: int = 0
    rows: dict[str, int] = {}
    unexpected: dict[tuple[str, str], int] = {}
    notes: tuple[str, ...] = ()

    @property
    def n_rejected(self) -> int:
        """How many runs could not be read, for whatever reason."""
        return len(self.rejected) + len(self.unread)


def new_task(cache: Path, runs: Iterable[PendingRun], *, tries: int = 0) -> Task:
    """A task with a name of its own."""
    return Task(cache.absolute(), secrets.token_hex(6), tuple(runs), tries, settings.given())
