"""Validation of a source without a cache: its runs, unexpected fields, runs that would be rejected, HELM releases.

Runs are read as in an ingest, down to row groups, of which only counts are kept.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import pyarrow as pa

from magnet_arrow._forks import require_threads
from magnet_arrow._progress import watched
from magnet_arrow._text import counted
from magnet_arrow.decode.anomalies import add_counts
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.decode.wire import TEXT_FORM, unescape
from magnet_arrow.errors import BadFileError, Rejected
from magnet_arrow.helm import layout
from magnet_arrow.helm.declared_types import ListOf, Object, Shape, object_shape
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.helm.releases import ALWAYS_WRITTEN, FIRST, Era, era_of
from magnet_arrow.ingestion.ingester import Ingester
from magnet_arrow.ingestion.progress import ProgressCounter
from magnet_arrow.ingestion.reading import Found, read_as_a_whole, where_of
from magnet_arrow.ingestion.rejection import ReadModeError, not_read, rejected_of, said, unfit
from magnet_arrow.ingestion.rules import RULES, Progress, ReadMode, Rules, StampedRun, step_of
from magnet_arrow.ingestion.run_reader import is_streamed, stamps_of
from magnet_arrow.pages import card, few
from magnet_arrow.records.row_group import Batch
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import EXTRA, Table
from magnet_arrow.sources import remote_copies
from magnet_arrow.sources.file import Fingerprint
from magnet_arrow.storage.manifest import RunEntry

Span = tuple[str, str | None]
"""First and last release that writes a field."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one run; or, without a folder, in the files beside the runs of a suite or release.

    Attributes:
        path: its folder.
        suite: name of the suite's folder; of a release `releases/<version>`.
        folder: name of the run's folder.
        size_bytes: of its JSON files.
        key: as `magnet.run` would have it, with the source's path for its id; empty where it is rejected.
        name: the run's name in its run spec, which may differ from the folder's; None where it is rejected.
        rows: rows that an ingest makes of it, by table.
        unexpected: unknown fields and values of another type: how often, by (what, file and JSON path).
        era: the HELM releases that may have written it; None if nothing of it can be read, or it is no run.
        rejected: why an ingest rejects it; None if it does not.
        partial: files that are missing or end early, if `partial=True` would ingest the rest; None if it would not.
        not_kept: JSON files that no ingest keeps: derived ones, and those that are no text.
    """

    path: Path
    suite: str
    folder: str
    size_bytes: int
    key: str = ""
    name: str | None = None
    rows: dict[str, int] = field(default_factory=dict)
    unexpected: dict[tuple[str, str], int] = field(default_factory=dict)
    era: Era | None = None
    rejected: Rejected | None = None
    partial: tuple[str, ...] | None = None
    not_kept: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing to say about it."""
        return self.rejected is None and not self.unexpected and not (self.era and self.era.is_mixed)


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What was found in a source.

    Attributes:
        runs: what was found of each run.
        suites: what was found beside the runs of those suites and releases where there is something.
        notes: sentences about what was skipped: empty folders, links that lead nowhere.
        unreadable: folders and entries of releases that could not be read, so that runs may be lacking.
    """

    runs: tuple[Findings, ...]
    suites: tuple[Findings, ...]
    notes: tuple[str, ...]
    unreadable: tuple[Rejected, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether all would be ingested, and all is as HELM declares it."""
        return not (self.notes or self.unreadable) and all(found.is_clean for found in (*self.runs, *self.suites))

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Why runs, or files beside them, would be rejected; folders that could not be read come first."""
        found = (one.rejected for one in (*self.runs, *self.suites))
        return (*self.unreadable, *(rejected for rejected in found if rejected is not None))

    @property
    def unexpected(self) -> dict[tuple[str, str], int]:
        """All unknown fields and values of another type."""
        total: Counter[tuple[str, str]] = Counter()
        for found in (*self.runs, *self.suites):
            add_counts(total, found.unexpected)
        return dict(sorted(total.items()))

    @property
    def rows(self) -> dict[str, int]:
        """Rows of all runs that an ingest makes, by table."""
        every = (*self.runs, *self.suites)
        return {table: sum(found.rows.get(table, 0) for found in every) for table in registry.TABLES}

    @property
    def releases(self) -> dict[Era, int]:
        """How many runs were written by which HELM releases, as far as their fields tell."""
        return dict(sorted(Counter(found.era for found in self.runs if found.era is not None).items()))

    def __repr__(self) -> str:
        """How many runs there are, how many would be rejected, and how many values are unexpected."""
        return f"<ValidationReport {self._counts()}, {self._n_unexpected()}>"

    def _repr_html_(self) -> str:
        of_tables = [f"{table} {rows:,}" for table, rows in self.rows.items() if rows]
        facts = {
            "runs": self._counts(),
            "rows": ", ".join(of_tables) or "none",
            "unexpected": self._n_unexpected(),
            "HELM": ", ".join(f"{era} ({counted(count, 'run')})" for era, count in self.releases.items()),
        }
        reasons = [f"Rejected: {one.summary}" for one in self.rejected]
        unexpected = [f"{what} at {place}: {count:,}" for (what, place), count in self.unexpected.items()]
        return card("Validation", facts, few([*reasons, *unexpected, *self.notes]))

    def _counts(self) -> str:
        return f"{counted(len(self.runs), 'run')}, {len(self.rejected):,} rejected"

    def _n_unexpected(self) -> str:
        return f"{sum(self.unexpected.values()):,} values unexpected"


def validate(
    source: layout.Source,
    *,
    follow_links: bool = True,
    progress: Callable[[Progress], None] | Literal[False] | None = None,
) -> ValidationReport:
    """Read every run of a source as an ingest would, without a cache.

    Args:
        source: an outputs folder, its parent or its `runs`, a suite, a run, a pattern, or a list of such.
        follow_links: as for `ingest`.
        progress: called now and then; None and False as for `ingest`.

    Raises:
        SourceNotFoundError: nothing there, or no run in it.
        ForkedError: this process was forked from one that had used Polars.

    >>> from magnet_arrow import HelmOutputs
    >>> report = validate(HelmOutputs.demo().path)
    >>> len(report.runs), report.is_clean, [str(era) for era in report.releases]
    (9, True, ['0.5.5 to 0.5.16'])
    """
    require_threads()
    found = layout.find_all(source, follow_links=follow_links)
    with watched(progress, step_of) as reported:
        findings = _Validation([(place, stamps_of(place)) for place in found.places], reported).through()
    runs = tuple(one for one in findings if one.folder)
    suites = tuple(one for one in findings if not one.folder and (one.size_bytes or one.unexpected))
    return ValidationReport(runs, suites, found.notes, found.rejected)


@dataclass(slots=True)
class _Seen:
    """What the row groups of a run tell."""

    rows: Counter[str] = field(default_factory=Counter)
    fields: set[str] = field(default_factory=set)
    spans: set[Span] = field(default_factory=set)


class _Evidence:
    """A sink that counts the rows of each run, and keeps which fields tell its HELM release."""

    def __init__(self) -> None:
        self.seen: dict[str, _Seen] = {}

    def add(self, batch: Batch) -> None:
        """Count the rows of a row group, and note its fields."""
        table = batch.table
        for run in batch.runs:
            seen = self.seen.setdefault(run.key, _Seen())
            seen.rows[table.name] += run.rows
            there = [column for bit, column in enumerate(table.columns) if run.occurs >> bit & 1]
            seen.fields.update(column.name for column in there)
            seen.spans.update((column.since, column.until) for column in there if column.since)
            for name, shape in _nested(table):
                seen.spans.update(_spans_in(batch.registered[name].slice(run.first, run.rows), shape))
            extra = batch.registered[EXTRA].slice(run.first, run.rows)
            if extra.null_count < len(extra) and any(f'"{TEXT_FORM}"' in (text or "") for text in extra.to_pylist()):
                seen.spans.add((FIRST, FIRST))  # 0.1.0 alone wrote an instance's input as a plain text

    def add_run(self, entry: RunEntry) -> None:
        """The entry says nothing that the row groups do not."""

    def finish(self) -> None:
        """There is nothing to complete."""

    def discard(self) -> None:
        """What was counted stays; a rejected run's counts are not asked for."""

    def rows(self, key: str) -> dict[str, int]:
        """The rows of a run, by table."""
        found = self.seen[key].rows if key in self.seen else Counter()
        return {table: found[table] for table in registry.TABLES if found[table]}

    def era(self, key: str) -> Era:
        """The era of a run."""
        seen = self.seen.get(key, _Seen())
        adapter = "run_spec.adapter_spec."
        absent = [since for name, since in ALWAYS_WRITTEN.items() if adapter + name not in seen.fields]
        has_adapter = any(name.startswith(adapter) for name in seen.fields)
        return era_of(seen.spans, absent if has_adapter else ())


@cache
def _nested(table: Table) -> tuple[tuple[str, Shape], ...]:
    """The columns that are lists of objects, with the shapes of these."""
    if table.struct is None or table.of != "run":
        return ()
    whole = object_shape(table.struct)
    shapes = [(column.name, _shape_at(whole, column.pointer)) for column in table.columns if column.pointer]
    return tuple((name, shape) for name, shape in shapes if isinstance(shape, ListOf))


def _shape_at(shape: Shape, pointer: str) -> Shape | None:
    for key in map(unescape, pointer.split("/")[1:]):
        fields = shape.fields if isinstance(shape, Object) else ()
        found = next((field.shape for field in fields if field.name == key), None)
        if found is None:
            return None
        shape = found
    return shape


def _spans_in(values: pa.Array, shape: Shape) -> Iterator[Span]:
    """The spans of the fields that some object in a list column has."""
    if isinstance(values, pa.DictionaryArray):  # its values may be those of other runs too
        values = values.dictionary.take(values.indices.unique().drop_null())
    if isinstance(shape, ListOf):
        yield from _spans_in(values.flatten(), shape.item)
    elif isinstance(shape, Object):
        for field_ in shape.fields:
            part = values.field(field_.name)
            if part.null_count < len(part):
                yield field_.doc.since, field_.doc.until
                yield from _spans_in(part, field_.shape)


_REPORT = "Please report this: it is a fault of magnet_arrow."


_Stamped: TypeAlias = tuple[RunPlace, Fingerprint]
_PARTIAL = Rules(partial=True)
_FETCHED_BYTES = 64 << 20
"""Of runs in a bucket so much is fetched ahead, and removed before the next runs are."""


def _run(place: RunPlace, stamps: Fingerprint, rules: Rules = RULES) -> StampedRun:
    return StampedRun(place, str(place.source), stamps, rules)


def _groups(stamped: Sequence[_Stamped]) -> Iterator[list[_Stamped]]:
    """Neighbours that have this many bytes together, or a larger one alone."""
    group: list[_Stamped] = []
    size = 0
    for place, stamps in stamped:
        group.append((place, stamps))
        size += sum(stamp.size_bytes for stamp in stamps)
        if size >= _FETCHED_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


class _Validation:
    """Reads all runs of a source once and collects the findings."""

    def __init__(
        self, stamped: Sequence[tuple[RunPlace, Fingerprint]], progress: Callable[[Progress], None] | None
    ) -> None:
        self._stamped = stamped
        n_bytes = sum(stamp.size_bytes for place, stamps in stamped for stamp in read_as_a_whole(_run(place, stamps)))
        self._counter = ProgressCounter(progress, n_bytes, sum(bool(place.folder) for place, _ in stamped))
        self._buffer = Buffer()
        self._evidence = _Evidence()
        self._ingester = self._new_ingester()

    def through(self) -> list[Findings]:
        """What is found, in the order of the places."""
        found = []
        for together in _groups(self._stamped):
            wanted = [(place.path, read_as_a_whole(_run(place, stamps))) for place, stamps in together]
            with remote_copies.telling_while_waiting(self._counter.tick), remote_copies.fetching_ahead(None, wanted):
                for place, stamps in together:
                    found.append(self._look_at(place, stamps))
                    self._counter.end(bool(found[-1].folder), int(found[-1].rejected is not None))
        self._ingester.finish()
        return [one if one.rejected else self._with_evidence(one) for one in found]

    def _look_at(self, place: RunPlace, stamps: Fingerprint) -> Findings:
        """What reading a run tells; what its row groups tell is known when these are full."""
        self._counter.begin(where_of(place))
        bare = Findings(place.path, place.suite, place.folder, sum(stamp.size_bytes for stamp in stamps))
        if (wrong := unfit(where_of(place), place.path, stamps)) is not None:
            return replace(bare, rejected=Rejected.from_error(where_of(place), wrong))
        try:
            entry, read = self._read(_run(place, stamps))
        except Exception as error:
            if error is self._counter.stopped_by:
                raise
            found = error if isinstance(error, BadFileError) else not_read(where_of(place), said(error), _REPORT)
            rejected = rejected_of(where_of(place), place.path, found)
            partial, era = self._partial_of(place, stamps)
            return replace(bare, rejected=rejected, partial=partial, era=era)
        odd = dict(sorted(read.unexpected.items()))
        if not place.folder:
            odd |= {
                (f"in no table: {one.reason.rstrip('.')}", f"{one.file} {one.json_path or '$'}"): 1
                for one in entry.lacking
            }
        return replace(bare, key=entry.key, name=entry.name or None, unexpected=odd, not_kept=entry.not_kept)

    def _read(self, run: StampedRun) -> tuple[RunEntry, Found]:
        if not is_streamed(run.stamps):
            try:
                return self._ingester.ingest(run)
            except ReadModeError:
                pass
        # After a bad streamed run the ingester is of no use: so the row groups of the other runs are passed on first.
        self._ingester.finish()
        mode = ReadMode(streamed=True)
        while True:
            self._ingester = self._new_ingester()
            try:
                return self._ingester.ingest(run, mode)
            except ReadModeError as error:
                mode = replace(mode, by_layout=error.by_layout)
            except BadFileError:
                self._ingester = self._new_ingester()
                raise

    def _partial_of(self, place: RunPlace, stamps: Fingerprint) -> tuple[tuple[str, ...] | None, Era | None]:
        """The files that would be missing, or end early, if the run were ingested all the same, and its era."""
        run, mode = _run(place, stamps, _PARTIAL), ReadMode(streamed=is_streamed(stamps))
        while True:
            evidence = _Evidence()
            ingester = Ingester(evidence, self._buffer, lambda _: None)
            try:
                entry, _ = ingester.ingest(run, mode)
            except ReadModeError as error:
                mode = ReadMode(streamed=True, salvage=error.salvage, by_layout=error.by_layout)
            except Exception:  # the run is rejected already
                return None, None
            else:
                ingester.finish()
                return tuple(sorted({*entry.missing, *entry.cut})), evidence.era(entry.key)

    def _new_ingester(self) -> Ingester[None]:
        return Ingester(self._evidence, self._buffer, self._counter.read)

    def _with_evidence(self, found: Findings) -> Findings:
        rows = self._evidence.rows(found.key)
        return replace(found, rows=rows, era=self._evidence.era(found.key) if found.folder else None)
