"""Taking runs, in plain values: by what rules, into what, how far it is, and what was met."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from msgspec import Struct

from magnet_arrow.errors import Rejected
from magnet_arrow.records.table_builder import Batch
from magnet_arrow.storage.manifest import RunEntry

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest, or a look through a source, is.

    Attributes:
        bytes_done: bytes of JSON read so far.
        bytes_total: bytes that there are to read.
        runs_done: runs taken or rejected so far.
        runs_total: runs that there are to read.
        run: the run at hand.
        rejected: runs rejected so far.
    """

    bytes_done: int
    bytes_total: int
    runs_done: int
    runs_total: int
    run: str
    rejected: int


class Sink(Protocol[T_co]):
    """Where the row groups of runs go: into a segment, or nowhere."""

    def add(self, batch: Batch) -> None:
        """One row group of one table."""

    def add_run(self, entry: RunEntry) -> None:
        """A run whose rows are in row groups that were added or will be."""

    def finish(self) -> T_co:
        """All is there."""

    def discard(self) -> None:
        """Nothing of it is wanted."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is taken of a run.

    Attributes:
        partial: what is there of one that lacks files, or whose files end early; else it is refused.
        strict: refuse one with unknown fields, or with values of a type that HELM does not declare.
        pictures: files that embed pictures (`display_predictions.json` of HEIM: 226 GB), which are left out else.
        content_hash: tell one state of a run from another by its files' bytes too, not by size and date alone.
    """

    partial: bool = False
    strict: bool = False
    pictures: bool = False
    content_hash: bool = False


class Share(Struct, frozen=True):
    """Some of the files of a long run, which several workers take: one of them, or all the others.

    Attributes:
        file: that one, without the ending of a compressed one.
        rest: it is the others.
    """

    file: str
    rest: bool = False

    def has(self, name: str) -> bool:
        """Whether a file is among them, by its name without the ending of a compressed one."""
        return (name == self.file) != self.rest


@dataclass(slots=True)
class Taken:
    """What was met in the files of a run, or of a suite.

    Attributes:
        unexpected: unknown fields and values of another type: how often, by (what, file and JSON path).
        elements: what is to become rows, by file.
        rejected: what was left out of files that end early, and files of a partial run that are missing.
    """

    unexpected: Counter[tuple[str, str]] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)

    def copy(self) -> "Taken":
        """As it is now."""
        return Taken(self.unexpected.copy(), self.elements.copy(), list(self.rejected))
