"""Sources into a cache: which runs are new, changed or known, and their way through `runs` into commits."""

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import polars as pl

from magnet_arrow import gathering, schema
from magnet_arrow.cache import changes, compaction, sweeping
from magnet_arrow.cache.changes import Change
from magnet_arrow.cache.curing import Cure
from magnet_arrow.cache.manifest import RejectedRun, Segment, read_manifest, run_key
from magnet_arrow.cache.segments import SegmentWriter
from magnet_arrow.cache.snapshot import CachedRun, Snapshot
from magnet_arrow.cache.sources import SourceIds, Stamped
from magnet_arrow.cache.store import Cache
from magnet_arrow.errors import (
    BadFileError,
    CacheError,
    CacheLockedError,
    CacheNotWritableError,
    MagnetWarning,
    Rejected,
)
from magnet_arrow.helm import layout
from magnet_arrow.helm.elements import Buffer
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.helm.source import Fingerprint, SourceFile
from magnet_arrow.refusals import ChangedError, LongRunError, rejected_of
from magnet_arrow.runs import RUN_SPEC, RunTaker, is_long, read_run_spec, stamps_of, where_of
from magnet_arrow.scan import read_run_specs_of
from magnet_arrow.table_rows import ObjectRows
from magnet_arrow.taking import Progress, Rules

SEGMENT_JSON_BYTES = 1 << 30
SEGMENT_TIME_S = 60.0
"""A segment is committed at the first of these, so that a crash costs no more."""

CacheLike: TypeAlias = "Cache | str | Path | None"


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        runs: runs that were read and are now in the cache.
        rows: rows of these runs by table.
        bytes_in: bytes of their JSON.
        bytes_out: bytes that the cache grew by in Parquet and run lists.
        seconds: from the call to the last commit.
        skipped: runs that the cache had in the same state.
        rejected: runs that could not be taken, and why; those known from an earlier ingest too.
        notes: what was passed over and is worth a word.
        pruned: runs taken out of the cache because their source no longer has them.
        odd: unknown fields and values of another type, kept in `magnet.extra`: how often, by what it is and where
            (file and JSON path, `[]` for any index).
        partial: of `runs`, those that lack something.
    """

    runs: int
    rows: dict[str, int]
    bytes_in: int
    bytes_out: int
    seconds: float
    skipped: int
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...] = ()
    pruned: int = 0
    odd: dict[tuple[str, str], int] = field(default_factory=dict)
    partial: int = 0


def ingest(
    source: layout.Source,
    cache: CacheLike = None,
    *,
    runs: str = "*",
    retry: bool = False,
    prune: bool = False,
    partial: bool = False,
    strict: bool = False,
    pictures: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Take every run of a source into the cache; runs that are there unchanged cost a look at their files' dates.

    Args:
        source: an outputs folder, its parent or its `runs`, a suite, a run, a pattern, or a list of such.
        cache: the cache or its folder; None for the default one.
        runs: pattern of run folders to take.
        retry: read rejected runs again though their files have not changed.
        prune: take runs out of the cache that their source no longer has.
        partial: take what is there of a run that lacks files or has one that ends early; it is marked everywhere.
            Such runs that were rejected before are read again.
        strict: reject a run with unknown fields, or with values of a type that HELM does not declare.
        pictures: take `display_predictions.json` where it embeds pictures too (226 GB for HEIM's release).
        progress: called now and then.

    Raises:
        SourceNotFoundError: nothing there, or no run in it.
        CacheNotWritableError: the disk refused; what was committed stays.
        CacheLockedError: another process does not let go of the cache's lock.

    A run that can't be taken does not raise: it is in the report's `rejected`, and the others go in.
    """
    begin = time.monotonic()
    cache = Cache.coerce(cache)
    found = layout.find_runs(source, pattern=runs)
    work = _Work(cache.path, cache.snapshot(), progress, Rules(partial, strict, pictures))
    places = [*found.places, *layout.suites_around(source, found.places)]
    plan = work.plan(places, retry=retry or partial)
    done = work.carry_out(plan, prune=prune)
    return IngestReport(
        runs=done.runs,
        rows=done.rows,
        bytes_in=done.bytes_in,
        bytes_out=done.bytes_out,
        seconds=time.monotonic() - begin,
        skipped=plan.skipped,
        rejected=tuple(sorted([*plan.known_bad, *done.rejected], key=lambda rejected: rejected.run)),
        notes=(*found.notes, *work.cure.notes, *done.notes),
        pruned=done.pruned,
        odd=dict(sorted(done.odd.items())),
        partial=done.partial,
    )


@dataclass(frozen=True, slots=True)
class _Todo:
    place: RunPlace
    source: str
    stamps: Fingerprint

    @property
    def key(self) -> str:
        return run_key(self.source, self.place.suite, self.place.folder)

    @property
    def size_bytes(self) -> int:
        return sum(stamp.size_bytes for stamp in self.stamps)


@dataclass(slots=True)
class _Plan:
    """What is to be done about the runs of a source."""

    todo: list[_Todo] = field(default_factory=list)
    all_sources: list[str] = field(default_factory=list)
    known_bad: list[Rejected] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    skipped: int = 0


@dataclass(slots=True)
class _Done:
    """What has been done."""

    snapshot: Snapshot
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(schema.TABLES, 0))
    rejected: list[Rejected] = field(default_factory=list)
    runs: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    pruned: int = 0
    partial: int = 0
    odd: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def count(self, taker: RunTaker[Segment], segment: Segment) -> None:
        """Add what a segment brings."""
        self.runs += taker.n_runs
        self.partial += taker.n_partial
        self.bytes_in += taker.json_bytes
        self.bytes_out += sum(table.file.size_bytes for table in segment.tables.values()) + segment.runs.size_bytes
        self.odd.update(taker.odd)
        self.notes += taker.notes
        for table, rows in taker.rows.items():
            self.rows[table] += rows


class _Work:
    def __init__(
        self,
        cache: Path,
        snapshot: Snapshot,
        progress: Callable[[Progress], None] | None,
        rules: Rules,
    ) -> None:
        self._cache, self.snapshot, self._progress, self._rules = cache, snapshot, progress, rules
        self._buffer = Buffer()
        self._bytes_done = self._bytes_total = self._runs_done = 0
        self._n_runs = 0
        self._run = ""
        self._done = _Done(snapshot)
        self.cure = Cure(cache)
        self._pending = Change()
        self._taker: RunTaker[Segment] | None = None
        self._segment_id = ""
        self._begun = 0.0

    def plan(self, places: Iterable[RunPlace], *, retry: bool = False) -> _Plan:
        """Which runs are to be read: those that the cache does not have in the state that they are in now."""
        plan = _Plan()
        self.snapshot = self._done.snapshot = self.cure.readable(self.snapshot)
        stamped = [(place, stamps_of(place)) for place in places]
        ids = self._source_ids(stamped)
        for place, stamps in stamped:
            todo = _Todo(place, ids.id_of(place), stamps)
            held = self.snapshot.entries.get(todo.key)
            bad = self.snapshot.rejected.get(todo.key)
            if held is not None and held.fingerprint == stamps and self._is_good(held):
                plan.skipped += bool(place.folder)
                if bad is not None:  # it went bad, and is again what it was
                    plan.recovered.append(todo.key)
            elif bad is not None and bad.fingerprint == stamps and not retry:
                plan.known_bad.append(bad.rejected)
            else:
                plan.todo.append(todo)
        plan.todo.sort(key=lambda todo: todo.key)
        plan.all_sources = sorted({ids.id_of(place) for place, _ in stamped})
        return plan

    def _is_good(self, held: CachedRun) -> bool:
        """Whether the cache's rows of a run can stay, if the run has not changed."""
        return held.schema_version == schema.SCHEMA_VERSION and not self.cure.is_damaged(held.segment)

    def _source_ids(self, stamped: Stamped) -> SourceIds:
        """Ids of the sources; new ones are committed first, so that two first ingests of a source agree on one.

        Raises:
            CacheNotWritableError: there are new ones, and the disk refused.
            CacheLockedError: there are new ones, and another process does not let go of the lock.
        """
        ids = SourceIds(self.snapshot, stamped)
        if not ids.new:
            return ids
        self.snapshot = self._done.snapshot = changes.apply(self._cache, Change(sources=ids.new))
        return SourceIds(self.snapshot, stamped)

    def carry_out(self, plan: _Plan, *, prune: bool = False) -> _Done:
        """Read what is to be read, and commit: at the end, and on the way at bounds of size and time."""
        self._n_runs = sum(bool(todo.place.folder) for todo in plan.todo)
        self._bytes_total = sum(todo.size_bytes for todo in plan.todo)
        pruned = self._vanished(plan.all_sources) if prune else []
        self._pending = Change(pruned=pruned, recovered=plan.recovered)
        self._done.pruned = sum(not key.endswith("/") for key in pruned)  # runs; what stands beside them is no run
        try:
            for batch, may_be_plain in gathering.batches(plan.todo, min(gathering.BATCH_BYTES, SEGMENT_JSON_BYTES)):
                left = self._take_plain(batch) if may_be_plain else batch
                self._runs_done += len(batch) - len(left)
                for todo in left:
                    self._run = where_of(todo.place)
                    self._take(todo)
                    self._runs_done += bool(todo.place.folder)
                    self._tell()
            self._commit()
            if plan.todo:
                with contextlib.suppress(CacheError):  # the next ingest will
                    sweeping.sweep(self._cache)
        except BaseException:
            if self._taker is not None and not self._is_committed():
                self._taker.discard()
            raise
        return self._done

    def _is_committed(self) -> bool:
        """Whether the segment is in the cache, though what came after the commit failed or was interrupted."""
        return any(segment.id == self._segment_id for segment in read_manifest(self._cache).segments)

    def _take_plain(self, batch: Sequence[_Todo]) -> list[_Todo]:
        """Take short runs together; those that are left are to be taken singly."""
        self._run = where_of(batch[0].place)
        return self._begun_taker().take_plain(batch)

    def _take(self, todo: _Todo) -> None:
        """Take one run, again where it turns out to be long or one of its files to end early."""
        long, salvage = is_long(todo.stamps), frozenset[str]()
        while True:
            try:
                self._take_once(todo, long, salvage)
            except LongRunError as error:
                if long and self._taker is not None:
                    self._taker.discard()
                    self._taker = None
                long, salvage = True, error.salvage
            else:
                return

    def _take_once(self, todo: _Todo, long: bool, salvage: frozenset[str]) -> None:
        """Take one run; if it can't be taken, say why. A long one has a segment of its own."""
        taker = self._begun_taker(alone=long)
        rejected = self._try(taker, todo, long, salvage)
        if rejected is not None:
            self._done.rejected.append(rejected.rejected)
            self._pending.rejected = [*self._pending.rejected, rejected]
            if long:
                taker.discard()
                self._taker = None
        elif long:
            self._commit()

    def _begun_taker(self, *, alone: bool = False) -> RunTaker[Segment]:
        """The taker at hand, or a new one where that is due, or a run is to be alone in its segment."""
        if self._taker is not None and (alone or self._is_due(self._taker)):
            self._commit()
        if self._taker is None:
            writer = SegmentWriter(self._cache)
            self._taker = RunTaker(writer, self._buffer, self._count, self._rules)
            self._segment_id, self._begun = writer.id, time.monotonic()
        return self._taker

    def _is_due(self, taker: RunTaker[Segment]) -> bool:
        return taker.json_bytes >= SEGMENT_JSON_BYTES or time.monotonic() - self._begun >= SEGMENT_TIME_S

    def _try(self, taker: RunTaker[Segment], todo: _Todo, long: bool, salvage: frozenset[str]) -> RejectedRun | None:
        stamps = todo.stamps
        try:
            try:
                taker.take(todo.place, todo.source, stamps, long=long, salvage=salvage)
            except ChangedError:
                if long:
                    raise
                stamps = stamps_of(todo.place)
                taker.take(todo.place, todo.source, stamps, long=long)
        except BadFileError as error:
            rejected = rejected_of(self._run, todo.place.path, error)
            return RejectedRun(todo.source, todo.place.suite, todo.place.folder, stamps, rejected)
        return None

    def _commit(self) -> None:
        """Commit what has been taken since the last time."""
        taker, pending, done = self._taker, self._pending, self._done
        if taker is not None and taker.n_entries:
            pending.segment = taker.finish()
            done.count(taker, pending.segment)
        elif taker is not None:
            taker.discard()
        if pending.segment or pending.rejected or pending.pruned or pending.recovered:
            pending.damaged = self.cure.segments
            done.snapshot = changes.apply(self._cache, pending)
        self._taker, self._pending = None, Change()
        self._merge_due()

    def _merge_due(self) -> None:
        """Merge segments where there are many; what was committed does not depend on it."""
        try:
            self._done.snapshot = compaction.merge_due(self._done.snapshot)
        except CacheError as error:
            self._done.notes.append(f"Small segments could not be merged: {error.message}")

    def _vanished(self, sources: Sequence[str]) -> list[str]:
        """Keys of cached or rejected runs, and of suites, of these sources whose folder is gone."""
        paths = {source.id: Path(source.path) for source in self.snapshot.manifest.sources}
        entries = self.snapshot.entries
        held = [(key, run.entry.source, run.entry.suite, run.entry.folder) for key, run in entries.items()]
        held += [(key, run.source, run.suite, run.folder) for key, run in self.snapshot.rejected.items()]
        return [
            key
            for key, source, suite, folder in held
            if source in sources
            and source in paths
            and not any(
                layout.is_run(root / suite / folder) if folder else (root / suite).exists()
                for root in (paths[source] / "runs", paths[source])
            )
        ]

    def _count(self, size_bytes: int) -> None:
        self._bytes_done += size_bytes
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    min(self._bytes_done, self._bytes_total),
                    self._bytes_total,
                    self._runs_done,
                    self._n_runs,
                    self._run,
                    len(self._done.rejected),
                )
            )


def ensure_cached(places: Sequence[RunPlace], cache: CacheLike = None) -> Snapshot:
    """A snapshot that has these runs as they are now: what is missing or has changed is ingested.

    Where the cache cannot be written, runs that it has in an older state are read as they are there, with a
    `MagnetWarning` that names them.

    Raises:
        BadFileError: one of the runs can't be taken.
        CacheNotWritableError: a run is not in the cache at all, and can't be put there.
    """
    cache = Cache.coerce(cache)
    work = _Work(cache.path, cache.snapshot(), None, Rules())
    plan = work.plan(places)
    snapshot = work.snapshot
    for note in work.cure.notes:
        warnings.warn(note, MagnetWarning, stacklevel=3)
    bad = list(plan.known_bad)
    if plan.todo:
        try:
            done = work.carry_out(plan)
        except (CacheNotWritableError, CacheLockedError) as error:
            _fall_back(plan, snapshot, error)
        else:
            snapshot = done.snapshot
            bad += done.rejected
    if bad:
        raise _rejected_error(bad)
    return snapshot


def _fall_back(plan: _Plan, snapshot: Snapshot, error: CacheNotWritableError | CacheLockedError) -> None:
    """Say which runs are read in an older state, or raise where one is not there at all."""
    if any(todo.key not in snapshot.runs for todo in plan.todo):
        raise error
    stale = ", ".join(where_of(todo.place) for todo in plan.todo)
    warnings.warn(f"{error} These runs are read as they were when last ingested: {stale}.", MagnetWarning, stacklevel=4)


def _rejected_error(bad: Sequence[Rejected]) -> BadFileError:
    first = bad[0]
    n_others = len(bad) - 1
    others = f" {n_others} other {'run was' if n_others == 1 else 'runs were'} rejected too." if n_others else ""
    hint = f"{first.hint or ''}{others}".strip() or None
    if first.expected or first.found:
        return BadFileError("", where=first.where, expected=first.expected, found=first.found, hint=hint)
    return BadFileError(first.reason, where=first.where, hint=hint)


def read_run_specs(
    places: Sequence[RunPlace], cache: CacheLike = None, *, stamps: Sequence[Fingerprint] | None = None
) -> pl.DataFrame:
    """The run specs of some runs, without ingesting any: row i is that of place i.

    Args:
        places: where the runs lie.
        cache: the cache or its folder.
        stamps: the runs' fingerprints, if they have been taken; a run that has changed since is read as it was.

    Columns: those that occur, as in `run_spec`, and `magnet.run` (for a run of a source that was never ingested, a
    place without meaning outside this frame).

    Raises:
        BadFileError: the run spec of a run that is not in the cache can't be read.
    """
    snapshot = Cache.coerce(cache).snapshot()
    known = [stamps_of(place) for place in places] if stamps is None else stamps
    stamped = list(zip(places, known, strict=True))
    ids = SourceIds(snapshot, stamped)
    rows = ObjectRows("run_spec")
    buffer = Buffer()
    keys = []
    for place, now in stamped:
        key = run_key(ids.id_of(place), place.suite, place.folder)
        keys.append(key)
        held = snapshot.runs.get(key)
        if held is None or held.fingerprint != now:
            with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
                spec, residual = read_run_spec(buffer, file)
            rows.stage_object(spec, residual)
            rows.keep(key, spec.name)
            rows.end_run()
    return read_run_specs_of(snapshot, keys, rows.flush() if rows.rows else None)
