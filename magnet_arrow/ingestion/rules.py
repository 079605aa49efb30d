"""Plain values about an ingest: its rules, how a run is read, the sink, and the progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from magnet_arrow._progress import Step
from magnet_arrow._text import as_size
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.records.row_group import Batch
from magnet_arrow.schema.table_choice import Choice, needs
from magnet_arrow.sources.file import FileStamp, Fingerprint, plain_name
from magnet_arrow.storage.manifest import RunEntry

T_co = TypeVar("T_co", covariant=True)
WaitsFor: TypeAlias = Literal["", "retries", "network", "decoding"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest or a validation is.

    Attributes:
        bytes_done: bytes of JSON read so far.
        bytes_total: bytes that there are to read.
        runs_done: runs ingested or rejected so far.
        runs_total: runs that there are to read.
        run: the run that is being read.
        rejected: runs rejected so far.
        bytes_fetched: bytes fetched of buckets so far, and what an ingest that was stopped had fetched.
        waits_for: what the last seconds were spent waiting for: `network`, if reading waited for it most of the time;
            `retries`, if most requests failed and are going to be repeated; `decoding`, if what was fetched waits to be
            read; empty for neither, and for local files.
    """

    bytes_done: int
    bytes_total: int
    runs_done: int
    runs_total: int
    run: str
    rejected: int
    bytes_fetched: int = 0
    waits_for: WaitsFor = ""


def step_of(progress: Progress) -> Step:
    """What a bar shows of it."""
    texts = [f"run {progress.runs_done:,} of {progress.runs_total:,}"]
    if progress.rejected:
        texts.append(f"{progress.rejected:,} rejected")
    if progress.bytes_fetched:
        texts.append(f"{as_size(progress.bytes_fetched)} fetched")
    if progress.waits_for:
        texts.append(_WAITING[progress.waits_for])
    return Step(progress.bytes_done, progress.bytes_total, ", ".join(texts), of_bytes=True)


_WAITING = {
    "retries": "waiting to repeat requests that failed",
    "network": "waiting for the network",
    "decoding": "waiting for decoding",
}


class Sink(Protocol[T_co]):
    """Where the row groups of runs go: into a segment, or nowhere."""

    def add(self, batch: Batch) -> None:
        """Add one row group of one table."""

    def add_run(self, entry: RunEntry) -> None:
        """Add a run whose rows are in row groups that were added or will be."""

    def finish(self) -> T_co:
        """Everything was added; what the sink made of it."""

    def discard(self) -> None:
        """Remove everything."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is read of a run.

    Attributes:
        partial: read an incomplete run, which lacks files or whose files end early; else it is rejected.
        strict: reject a run with unknown fields, or with values of a type that HELM does not declare.
        pictures: read files that embed pictures (`display_predictions.json` of HEIM: 226 GB); else they are excluded.
        content_hash: tell a changed run by its files' bytes too, not by size and date alone.
        tables: those to read; None for all. Files that none of them needs are left out.
        all_of_new: read all tables of a run that the cache does not have at all.
        keep_json: a folder that keeps what is fetched of a bucket as it is.
    """

    partial: bool = False
    strict: bool = False
    pictures: bool = False
    content_hash: bool = False
    tables: Choice = None
    all_of_new: bool = False
    keep_json: Path | None = None


RULES = Rules()
"""Those of an ingest that nothing is said of."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs of a source an ingest looks at.

    Attributes:
        runs: pattern of their folders: a name, a glob, `regex:…`, or several of these with `|` between them.
        follow_links: follow links in the source.
        retry: read rejected runs again though they have not changed.
    """

    runs: str = "*"
    follow_links: bool = True
    retry: bool = False


ALL_RUNS = Selection()


class Share(Struct, frozen=True):
    """The files of a streamed run that one of two workers reads: one file, or all others.

    Attributes:
        file: the one file, without the ending of a compressed one.
        rest: all others are meant.
    """

    file: str
    rest: bool = False

    def has(self, name: str) -> bool:
        """Whether a file is among them, by its name without the ending of a compressed one."""
        return (name == self.file) != self.rest


class Run(Protocol):
    """A run that is to be read, or the files beside the runs of a suite: then its place has no folder."""

    @property
    def place(self) -> RunPlace:
        """Its location."""

    @property
    def source(self) -> str:
        """The id of its source."""

    @property
    def stamps(self) -> Fingerprint:
        """Its fingerprint, from before it is read."""

    @property
    def rules(self) -> Rules:
        """What is read of it."""


@dataclass(frozen=True, slots=True)
class StampedRun:
    """A `Run` and nothing more."""

    place: RunPlace
    source: str
    stamps: Fingerprint
    rules: Rules = RULES


def is_chosen(run: Run, name: str) -> bool:
    """Whether the chosen tables need a file of a run, by its name without the ending of a compressed one."""
    return needs(run.rules.tables, name, of_run=bool(run.place.folder))


def chosen_files(run: Run) -> tuple[FileStamp, ...]:
    """The files of a run that the chosen tables need."""
    if run.rules.tables is None:
        return run.stamps
    return tuple(stamp for stamp in run.stamps if is_chosen(run, plain_name(stamp.name)))


@dataclass(frozen=True, slots=True)
class ReadMode:
    """How a run is read.

    Attributes:
        streamed: append its rows chunk by chunk. It must be alone in its sink.
        by_layout: trust HELM's layout to tell where elements end; else files are scanned.
        salvage: files of a streamed run that are known to end early.
        share: the files to read of a streamed run; None for all.
    """

    streamed: bool = False
    by_layout: bool = True
    salvage: frozenset[str] = frozenset()
    share: Share | None = None
