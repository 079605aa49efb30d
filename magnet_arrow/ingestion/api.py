"""Sources into a cache: which runs are new, changed or known, and their way through `run_reader` into commits."""

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

import msgspec
import polars as pl

from magnet_arrow.cache import Cache
from magnet_arrow.decode.anomalies import add_places
from magnet_arrow.decode.chunks import Buffer
from magnet_arrow.errors import (
    BadFileError,
    CacheError,
    CacheLockedError,
    CacheNotWritableError,
    Rejected,
    SettingError,
    Where,
    WorkersLostError,
    warn,
)
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import Found, RunPlace
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.ingestion.parallel.executors import Failed, Lost, TaskExecutor
from magnet_arrow.ingestion.parallel.settings import WorkerSettings
from magnet_arrow.ingestion.parallel.shared_run import SharedRuns
from magnet_arrow.ingestion.parallel.task import PendingRun, Task, TaskResult, new_task
from magnet_arrow.ingestion.progress import ProgressCounter
from magnet_arrow.ingestion.rejection import not_taken, unfit
from magnet_arrow.ingestion.rules import Progress, Rules
from magnet_arrow.ingestion.run_reader import RUN_SPEC, read_run_spec, stamps_of, where_of
from magnet_arrow.query.scan_runs import read_run_specs_of
from magnet_arrow.records.table_builders import ObjectRows
from magnet_arrow.schema import registry
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import Fingerprint, SourceFile, content_digest, is_unchanged, plain_name, read_error
from magnet_arrow.storage import manifest, transaction
from magnet_arrow.storage.maintenance import compact, vacuum
from magnet_arrow.storage.maintenance.repair import Cure
from magnet_arrow.storage.manifest import RejectedRun, RunEntry, run_key
from magnet_arrow.storage.snapshot import CachedRun, Snapshot
from magnet_arrow.storage.source_ids import SourceIds, Stamped
from magnet_arrow.storage.transaction import Change

CacheLike: TypeAlias = "Cache | str | Path | None"


@dataclass(frozen=True, slots=True)
class StaleRun:
    """A cached run that its source has rejected or lost since, so that the cache has what it was.

    Attributes:
        run: `suite/folder`.
        why: in words.
    """

    run: str
    why: str


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
        rejected: runs that could not be taken, and why; those known from an earlier ingest too, and folders and
            entries of releases that could not be looked into.
        notes: what was passed over and is worth a word.
        pruned: runs taken out of the cache because their source no longer has them.
        unexpected: unknown fields and values of another type, kept in `magnet.extra`: how often, by what and where
            (file and JSON path, `[]` for any index).
        partial: of `runs`, those that lack something.
        skipped_partial: of `skipped`, those that lack something.
        lacking: what these partial runs lack: which file, from which byte, and why.
        stale: runs of this source that are in the cache as they were before their source rejected or lost them.
            `prune=True` removes those that are gone, `Cache.remove` any.
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
    unexpected: dict[tuple[str, str], int] = field(default_factory=dict)
    partial: int = 0
    skipped_partial: int = 0
    lacking: tuple[Rejected, ...] = ()
    stale: tuple[StaleRun, ...] = ()


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
    content_hash: bool = False,
    follow_links: bool = True,
    workers: int | None = None,
    memory_bytes: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Take every run of a source into the cache; runs that are there unchanged cost a look at their files' dates.

    Args:
        source: an outputs folder, its parent or its `runs`, a suite, a run, a pattern, or a list of such.
        cache: the cache or its folder; None for the default one.
        runs: pattern of run folders to take.
        retry: read rejected runs again though their files have not changed.
        prune: take runs out of the cache that are gone from their source, of those that `source` and `runs` name. What
            cannot be looked into is not gone.
        partial: take what is there of a run that lacks files or has one that ends early; it is marked everywhere.
            Such runs that were rejected before are read again.
        strict: reject a run with unknown fields, or with values of a type that HELM does not declare.
        pictures: take `display_predictions.json` where it embeds pictures too (226 GB for HEIM's release).
        content_hash: look at the bytes of files whose size and date are those that the cache knows, and take a run anew
            if they are others. A run that was taken without this is taken once more, as its bytes are not known.
        follow_links: follow links in the source, also those that lead out of it. Else linked folders are noted, and
            runs with a linked file rejected; what is named itself may be a link all the same.
        workers: processes that read; 1 for this one alone. None for one a core where there is enough to read for that
            to be faster. A daemonic process, such as a worker of `multiprocessing.Pool`, always reads alone.
        memory_bytes: what all processes together may take, this one included; there are fewer workers if need be. It
            says nothing to the workers of an executor.
        executor: what is to read in place of processes of our own, on other machines too if they share the file system
            (`dask.distributed.Client.get_executor()`). It must be able to import this package. It stays open.
        progress: called now and then; of other processes, when one has finished a part of its work.

    Raises:
        SourceNotFoundError: nothing there, or no run in it.
        SettingError: there is no room for one process in that much memory, or there are to be no workers; or the
            cache's folder is one of the source.
        WorkersLostError: the executor was shut down or broke; what was committed stays.
        CacheNotWritableError: the disk refused; what was committed stays.
        CacheLockedError: another process does not let go of the cache's lock.

    A run that can't be taken does not raise: it is in the report's `rejected`, and the others go in.
    """
    begin = time.monotonic()
    settings = WorkerSettings(workers, memory_bytes, executor)
    cache = Cache.coerce(cache)
    found = layout.find_all(source, pattern=runs, follow_links=follow_links)
    lost = manifest.lost(cache.path)
    snapshot = cache.snapshot_to_ingest()
    work = _Work(cache.path, snapshot, Rules(partial, strict, pictures, content_hash), progress)
    plan = work.plan(found.places, retry=retry)
    plan.vanished = work.vanished(found, plan.all_sources, runs)
    done = work.execute(plan, settings, prune=prune)
    return IngestReport(
        runs=done.runs,
        rows=done.rows,
        bytes_in=done.bytes_in,
        bytes_out=done.bytes_out,
        seconds=time.monotonic() - begin,
        skipped=plan.skipped,
        rejected=tuple(
            sorted(
                [*found.rejected, *(bad.rejected for bad in [*plan.known_bad, *done.rejected])], key=lambda one: one.run
            )
        ),
        notes=(*found.notes, *_lost_notes(lost), *work.cure.notes, *done.notes),
        pruned=done.pruned,
        unexpected=dict(sorted(done.unexpected.items())),
        partial=done.partial,
        skipped_partial=plan.partial,
        lacking=tuple(sorted([*plan.lacking, *done.lacking], key=lambda one: (one.run, one.file))),
        stale=_stale(done.snapshot, plan),
    )


def _stale(snapshot: Snapshot, plan: "_Plan") -> tuple[StaleRun, ...]:
    """The stale runs among those that were asked for."""
    named = plan.keys.union(plan.vanished)
    stale = {key: why for key, why in snapshot.stale.items() if key in named}
    held = snapshot.among(sorted(stale))
    return tuple(StaleRun(f"{run.entry.suite}/{run.entry.folder}", stale[key]) for key, run in held.items())


def _lost_notes(lost: CacheError | None) -> Iterator[str]:
    if lost is not None:
        yield f"{lost.message} The cache is begun again; files of runs that are not ingested again go after a day."


def _require_own_folder(cache: Path, places: Sequence[RunPlace]) -> None:
    """A cache has folders that are called as those of an outputs folder: they must not become the same."""
    folder = Path(filesystem.real_path(cache))
    for source in {place.source for place in places}:
        if folder == source or folder.is_relative_to(source / "runs"):
            raise SettingError(
                f"The cache {cache} lies among the runs of {source}.",
                hint="Give it a folder of its own; the outputs stay as they are.",
            )


def _is_as_it_was(known: RunEntry | RejectedRun, todo: PendingRun) -> bool:
    """Whether a run is in the state that the cache knows: one taken without a digest is not, if there is one now."""
    return known.fingerprint == todo.stamps and todo.content in ("", known.content)


def _has_same_run_spec(place: RunPlace, stamps: Fingerprint) -> bool:
    """Whether the run's run spec is as it was, whatever became of its other files."""
    before = next(stamp for stamp in stamps if stamp.name == RUN_SPEC or plain_name(stamp.name) == RUN_SPEC)
    try:
        now = filesystem.status(f"{place.path}{os.sep}{before.name}")
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (before.size_bytes, before.mtime_ns)


def _has_run_spec(stamps: Fingerprint) -> bool:
    return any(plain_name(stamp.name) == RUN_SPEC for stamp in stamps)


def _gone(todo: PendingRun) -> RejectedRun:
    """A run that is no longer there, or cannot be looked into. It may come back as it was, so nothing is kept of it."""
    place = todo.place
    error = BadFileError("", where=Where(where_of(place), RUN_SPEC), expected="a file", found="none any more")
    try:
        filesystem.names(place.path)
    except FileNotFoundError:
        pass
    except OSError as refused:
        error = read_error(Where(where_of(place)), refused, what="folder")
    return _unread(todo, error)


def _unread(todo: PendingRun, error: BadFileError) -> RejectedRun:
    rejected = Rejected.from_error(where_of(todo.place), error)
    return RejectedRun(todo.source, todo.place.suite, todo.place.folder, todo.stamps, rejected)


@dataclass(slots=True)
class _Plan:
    """What is to be done about the runs of a source."""

    todo: list[PendingRun] = field(default_factory=list)
    all_sources: list[str] = field(default_factory=list)
    known_bad: list[RejectedRun] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    skipped: int = 0
    partial: int = 0
    lacking: list[Rejected] = field(default_factory=list)
    keys: frozenset[str] = frozenset()
    vanished: list[str] = field(default_factory=list)

    def skip(self, held: CachedRun) -> None:
        """The cache has this run, or what is beside those of a suite, as it is now."""
        self.skipped += bool(held.entry.folder)
        self.partial += held.entry.is_partial
        self.lacking += held.entry.lacking


@dataclass(slots=True)
class _Done:
    """What has been done."""

    snapshot: Snapshot
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(registry.TABLES, 0))
    rejected: list[RejectedRun] = field(default_factory=list)
    runs: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    pruned: int = 0
    partial: int = 0
    lacking: list[Rejected] = field(default_factory=list)
    unexpected: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def count(self, result: TaskResult) -> None:
        """Add what a task brings."""
        self.runs += result.runs
        self.partial += result.partial
        self.bytes_in += result.json_bytes
        if result.segment is not None:
            self.bytes_out += result.segment.size_bytes + result.segment.runs.size_bytes
        self.rejected += [*result.rejected, *result.unread]
        self.lacking += result.lacking
        add_places(self.unexpected, result.unexpected)
        self.notes += result.notes
        for table, rows in result.rows.items():
            self.rows[table] += rows


class _Work:
    def __init__(
        self,
        cache: Path,
        snapshot: Snapshot,
        rules: Rules,
        progress: Callable[[Progress], None] | None = None,
        *,
        drops: bool = True,
    ) -> None:
        self._cache, self.snapshot, self._rules, self._progress = cache, snapshot, rules, progress
        self.done = _Done(snapshot)
        self.cure = Cure(cache, drops=drops)
        self._pending = Change()
        self._counter = ProgressCounter()
        self._open: dict[str, Task] = {}
        self._shared = SharedRuns(cache)

    def plan(self, places: Iterable[RunPlace], *, retry: bool = False) -> _Plan:
        """Which runs are to be read: those that the cache does not have in the state that they are in now.

        Raises:
            SettingError: the cache's folder is one of a source.
        """
        plan = _Plan()
        places = list(places)
        _require_own_folder(self._cache, places)
        self.snapshot = self.done.snapshot = self.cure.readable(self.snapshot)
        places = self._without_unchanged(places, plan)
        stamped = [(place, stamps_of(place)) for place in places]
        ids = self._source_ids(stamped)
        todos = [PendingRun(place, ids.id_of(place), stamps) for place, stamps in stamped]
        plan.keys |= frozenset(todo.key for todo in todos)
        gone = frozenset(self.snapshot.manifest.gone)
        cached = self.snapshot.among([todo.key for todo in todos])
        for todo in self._with_contents(todos, cached):
            held = cached.get(todo.key)
            bad = self.snapshot.rejected.get(todo.key)
            if held is not None and _is_as_it_was(held.entry, todo) and self._is_good(held):
                plan.skip(held)
                if bad is not None or todo.key in gone:  # it went bad, and is again what it was
                    plan.recovered.append(todo.key)
            elif (wrong := unfit(where_of(todo.place), todo.place.path, todo.stamps)) is not None:
                plan.known_bad.append(_unread(todo, wrong))
            elif todo.place.folder and not _has_run_spec(todo.stamps):
                plan.known_bad.append(_gone(todo))
            elif bad is not None and _is_as_it_was(bad, todo) and not (retry or self._may_go_in(bad)):
                plan.known_bad.append(bad)
            else:
                plan.todo.append(todo)
        plan.todo.sort(key=lambda todo: todo.key)
        plan.all_sources = sorted({*plan.all_sources, *(ids.id_of(place) for place, _ in stamped)})
        return plan

    def _without_unchanged(self, places: Sequence[RunPlace], plan: _Plan) -> Sequence[RunPlace]:
        """Skip the runs that the cache has as they are now, and give the others, which need another look.

        This is most of what a frame of many cached runs costs beside its rows.
        """
        if self._rules.content_hash:
            return places
        snapshot = self.snapshot
        keys = snapshot.keys_of(places)
        cached = snapshot.among([key for key in keys if key is not None])
        special = {*snapshot.manifest.gone, *snapshot.rejected}
        left, unchanged = [], []
        for place, key in zip(places, keys, strict=True):
            held = None if key is None or key in special or not place.folder else cached.get(key)
            if held is not None and is_unchanged(place.path, held.entry.fingerprint) and self._is_good(held):
                plan.skip(held)
                unchanged.append(held.entry)
            else:
                left.append(place)
        plan.keys = frozenset(entry.key for entry in unchanged)
        plan.all_sources = list({entry.source for entry in unchanged})
        return left

    def _with_contents(self, todos: Iterable[PendingRun], cached: Mapping[str, CachedRun]) -> Iterable[PendingRun]:
        """With the digests of those whose dates say that they are what they were, if they are to be made."""
        if not self._rules.content_hash:
            return todos
        with ThreadPoolExecutor() as threads:  # neither reading nor BLAKE2b holds the interpreter's lock
            return list(threads.map(lambda todo: self._with_content(todo, cached.get(todo.key)), todos))

    def _with_content(self, todo: PendingRun, held: CachedRun | None) -> PendingRun:
        bad = self.snapshot.rejected.get(todo.key)
        if todo.stamps not in (held and held.fingerprint, bad and bad.fingerprint):
            return todo
        return msgspec.structs.replace(todo, content=content_digest(todo.place.path, todo.stamps))

    def _may_go_in(self, bad: RejectedRun) -> bool:
        """Whether a rejected run may be ingested by these rules, where those that rejected it were others."""
        if bad.is_strict and not self._rules.strict:
            return True
        return self._rules.partial and plain_name(bad.rejected.file) not in ("", RUN_SPEC)

    def _is_good(self, held: CachedRun) -> bool:
        """Whether the cache's rows of a run can stay, if the run has not changed."""
        return held.schema_version == registry.SCHEMA_VERSION and not self.cure.is_damaged(held.segment)

    def _source_ids(self, stamped: Stamped) -> SourceIds:
        """Ids of the sources; new ones are committed first, so that two first ingests of a source agree on one.

        Raises:
            CacheNotWritableError: there are new ones, and the disk refused.
            CacheLockedError: there are new ones, and another process does not let go of the lock.
        """
        ids = SourceIds(self.snapshot, stamped)
        if not ids.new:
            return ids
        self.snapshot = self.done.snapshot = self._apply(Change(sources=ids.new))
        return SourceIds(self.snapshot, stamped)

    def execute(self, plan: _Plan, settings: WorkerSettings, *, prune: bool = False) -> _Done:
        """Have read what is to be read, and commit it as it comes."""
        pruned = plan.vanished if prune else []
        self._pending = Change(pruned=pruned, recovered=plan.recovered, gone=[] if prune else self._unmarked(plan))
        self.done.pruned = sum(not key.endswith("/") for key in pruned)  # runs; what stands beside them is no run
        n_runs = sum(bool(todo.place.folder) for todo in plan.todo)
        self._counter = ProgressCounter(self._progress, sum(todo.size_bytes for todo in plan.todo), n_runs)
        executor, divided = settings.executor_for(plan.todo, self._counter)
        waiting = deque(self._orders(divided))
        try:
            self._run_tasks(waiting, executor)
            executor.close()
            self._commit(TaskResult())
            if plan.todo:
                with contextlib.suppress(CacheError):  # the next ingest will
                    vacuum.sweep_now_and_then(self._cache)
        except BaseException:
            executor.stop()
            for task in self._open.values():
                with contextlib.suppress(OSError, CacheError):  # a later sweep will
                    vacuum.discard(self._cache, task.name)
            raise
        return self.done

    def _unmarked(self, plan: _Plan) -> list[str]:
        """Cached runs that are gone, and not marked so yet."""
        marked = frozenset(self.snapshot.manifest.gone)
        return [key for key in plan.vanished if key not in marked and key in self.snapshot.runs]

    def _run_tasks(self, waiting: deque[Task], executor: TaskExecutor) -> None:
        """Hand out tasks and commit what comes back, in whatever order it comes.

        Raises:
            WorkersLostError: the caller's executor, or all that we tried to start, has no workers any more.
        """
        lost: dict[str, set[str]] = {}
        while waiting or executor.is_busy:
            self._submit_tasks(waiting, executor)
            task, result = executor.next_result()
            self._submit_tasks(waiting, executor)  # before the commit, so that nobody waits for it
            if isinstance(result, TaskResult):
                waiting.extendleft(self._settle(task, result))
            elif isinstance(result, Lost):
                lost.setdefault(result.why, set()).update(run.key for run in task.runs if run.place.folder)
            elif task.is_blamed:
                refused = self._counter.end_task(task, self._refuse(task.runs[0], result))
                waiting.extendleft(self._settle(task, refused))
            else:
                waiting.extendleft(division.retries(task))
        if lost:
            why, hint = next(iter(lost)), "What was committed stays; ingest again to take the others."
            raise WorkersLostError(f"The executor lost {sum(map(len, lost.values()))} runs: {why}.", hint=hint)

    def _settle(self, task: Task, result: TaskResult) -> Iterator[Task]:
        """Commit what came back, if all is there that belongs to it; tasks for what was left."""
        ended = [task]
        if task.is_part:
            both = self._shared.add(task, result)
            if both is None:
                return iter(())
            ended, result = both
            self._counter.end(result.runs + result.n_rejected, result.n_rejected)
        self._commit(result, ended)
        return self._orders(division.divide(result.left))

    def _orders(self, divided: Iterable[Sequence[PendingRun]]) -> Iterator[Task]:
        return (new_task(self._cache, runs, self._rules) for runs in divided)

    def _submit_tasks(self, waiting: deque[Task], executor: TaskExecutor) -> None:
        while waiting and executor.has_room:
            task = waiting.popleft()
            self._open[task.name] = task
            executor.submit(task)

    def _refuse(self, todo: PendingRun, failed: Failed) -> TaskResult:
        """The result of a run that cost its workers their lives, or raised what is no fault of its files."""
        run, place = where_of(todo.place), todo.place
        why = Rejected.from_error(run, not_taken(run, failed.why, failed.hint))
        bad = RejectedRun(todo.source, place.suite, place.folder, todo.stamps, why, todo.content)
        return TaskResult(unread=(bad,)) if failed.is_system else TaskResult(rejected=(bad,))

    def _commit(self, result: TaskResult, ended: Sequence[Task] = ()) -> None:
        """Commit what tasks brought; or, at the end, what else is to be said."""
        pending, done = self._pending, self.done
        done.count(result)
        pending.segment, pending.rejected = result.segment, result.rejected
        if pending.segment or pending.rejected or pending.pruned or pending.recovered or pending.gone:
            pending.damaged = self.cure.segments
            done.snapshot = self._apply(pending)
        self._pending = Change()
        for task in ended:
            del self._open[task.name]
        self._merge_due()

    def _apply(self, change: Change) -> Snapshot:
        change.skipped = self.cure.skipped
        return transaction.apply(self._cache, change)

    def _merge_due(self) -> None:
        """Merge segments where there are many; what was committed does not depend on it."""
        if self.cure.skipped:  # this snapshot is not all of the cache
            return
        try:
            self.done.snapshot = compact.merge_due(self.done.snapshot)
        except CacheError as error:
            self.done.notes.append(f"Small segments could not be merged: {error.message}")

    def vanished(self, found: Found, sources: Collection[str], pattern: str) -> list[str]:
        """Keys of cached or rejected runs, and of suites, that were asked for and were seen to be gone.

        Args:
            found: what the source holds.
            sources: ids of the outputs folders of these runs. Where neither one of its runs nor the suite is left, a
                disk may not be mounted.
            pattern: run folders that were asked for.
        """
        if not found.patterns and {place.path for place in found.places if place.folder}.issuperset(found.roots):
            return []  # single runs were named, which are there
        paths = {source.id: Path(source.path) for source in self.snapshot.manifest.sources}
        paths = {source: path for source, path in paths.items() if source in sources or _may_cover(found, path)}
        entries = self.snapshot.entries
        held = {key: (run.entry.source, run.entry.suite, run.entry.folder) for key, run in entries.items()}
        held |= {key: (run.source, run.suite, run.folder) for key, run in self.snapshot.rejected.items()}
        there = {(place.source, place.suite, place.folder) for place in found.places}
        return [
            key
            for key, (source, suite, folder) in held.items()
            if source in paths
            and (paths[source], suite, folder) not in there
            and (folder == pattern or fnmatchcase(folder, pattern))
            and (source in sources or any(filesystem.is_folder(root / suite) for root in _roots(paths[source])))
            and _is_gone(found, [root / suite / folder for root in _roots(paths[source])], folder)
        ]


def _roots(source: Path) -> tuple[Path, Path]:
    """The folders that suites may be in."""
    return source / "runs", source


def _may_cover(found: Found, source: Path) -> bool:
    """Whether a folder of this source may have been asked for."""
    return bool(found.patterns) or any(
        root.is_relative_to(source) or source.is_relative_to(root) for root in found.roots
    )


def _is_gone(found: Found, ways: Sequence[Path], folder: str) -> bool:
    """Whether a folder was asked for and seen to be gone, with and without the level `runs`."""
    return any(found.covers(way, run=bool(folder)) for way in ways) and all(
        layout.is_gone(way, run=bool(folder)) for way in ways
    )


@dataclass(frozen=True, slots=True)
class Ensured:
    """A snapshot for whoever reads some runs, and what it does not have of them.

    Attributes:
        snapshot: has the runs as they are now, apart from the following.
        rejected: runs that cannot be read, by key; those known from an earlier ingest too. The snapshot may have
            them in an older state.
        outdated: keys of runs that have changed, and that the snapshot has in an older state, as the cache cannot be
            written.
        error: why it cannot.
    """

    snapshot: Snapshot
    rejected: Mapping[str, RejectedRun]
    outdated: frozenset[str] = frozenset()
    error: CacheNotWritableError | CacheLockedError | None = None


def ensure_cached(
    places: Sequence[RunPlace], cache: CacheLike = None, *, partial: bool = False, retry: bool = False
) -> Ensured:
    """A snapshot that has these runs as they are now: what is missing or has changed is ingested.

    Args:
        places: of the runs.
        cache: the cache or its folder.
        partial: ingest what is there of a run that lacks files or has one that ends early.
        retry: read runs again that an earlier ingest has rejected, whatever for.

    Raises:
        CacheNotWritableError: a run is not in the cache at all, and can't be put there.
        CacheLockedError: the same, as another process does not let go of the lock.
    """
    cache = Cache.coerce(cache)
    work = _Work(cache.path, cache.snapshot(), Rules(partial=partial), drops=False)
    plan = work.plan(places, retry=retry)
    for note in work.cure.notes:
        warn(note)
    error = None
    if plan.todo:
        try:
            work.execute(plan, WorkerSettings())
        except (CacheNotWritableError, CacheLockedError) as refused:
            error = refused
    rejected = {bad.key: bad for bad in [*plan.known_bad, *work.done.rejected]}
    outdated = frozenset() if error is None else _outdated(plan, work.done.snapshot, rejected, error)
    return Ensured(work.done.snapshot, rejected, outdated, error)


def _outdated(plan: _Plan, snapshot: Snapshot, rejected: Collection[str], error: CacheError) -> frozenset[str]:
    """Keys of the runs that the cache has in an older state only; raises `error` if it has one in none."""
    left = [todo for todo in plan.todo if todo.key not in rejected]
    held = snapshot.among([todo.key for todo in left])
    if len(held) < len(left):
        raise error
    return frozenset(todo.key for todo in left if not _is_as_it_was(held[todo.key].entry, todo))


def rejected_error(bad: Sequence[Rejected], *, go_on: str) -> BadFileError:
    """The error for runs that could not be ingested; `go_on` says how to do without them."""
    first = bad[0]
    n_others = len(bad) - 1
    others = f" {n_others} other {'run was' if n_others == 1 else 'runs were'} rejected too." if n_others else ""
    hint = " ".join(filter(None, (first.hint, others.strip(), go_on)))
    if first.expected or first.found:
        return BadFileError("", where=first.where, expected=first.expected, found=first.found, hint=hint)
    return BadFileError(first.reason, where=first.where, hint=hint)


@dataclass(frozen=True, slots=True)
class RunSpecs:
    """The run specs of some runs.

    Attributes:
        rows: those that can be read, in order. Columns: those that occur, as in `run_spec`, and `magnet.run` (for a
            run of a source that was never ingested, a place without meaning outside this frame).
        readable: which of the runs each row is of.
        json_columns: those of the columns that are JSON text, as the values share no type.
        bad: why others cannot be read, by which of the runs it is.
    """

    rows: pl.LazyFrame
    readable: list[int]
    json_columns: frozenset[str]
    bad: Mapping[int, BadFileError]


def readable_run_specs(places: Sequence[RunPlace], cache: CacheLike = None) -> RunSpecs:
    """The run specs of some runs, without ingesting any.

    Args:
        places: where the runs lie.
        cache: the cache or its folder.
    """
    snapshot = Cache.coerce(cache).snapshot()
    known = snapshot.keys_of(places)
    ids = SourceIds(snapshot, [(place, stamps_of(place)) for place, key in zip(places, known, strict=True) if not key])
    cached = snapshot.among([key for key in known if key])
    rows = ObjectRows("run_spec")
    buffer = Buffer()
    keys, readable, bad = [], [], {}
    for index, place in enumerate(places):
        key = known[index] or run_key(ids.id_of(place), place.suite, place.folder)
        held = cached.get(key)
        if held is None or not _has_same_run_spec(place, held.fingerprint):
            try:
                with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
                    spec, residual = read_run_spec(buffer, file)
            except BadFileError as error:
                bad[index] = error
                continue
            rows.stage_object(spec, residual)
            rows.keep(key, spec.name)
            rows.end_run()
        keys.append(key)
        readable.append(index)
    frame, json_columns = read_run_specs_of(snapshot, keys, rows.flush() if rows.rows else None)
    return RunSpecs(frame, readable, json_columns, bad)


def read_run_specs(places: Sequence[RunPlace], cache: CacheLike = None) -> pl.DataFrame:
    """The rows of `readable_run_specs`, whose arguments these are: row i is that of place i.

    Raises:
        BadFileError: one of them can't be read.
    """
    found = readable_run_specs(places, cache)
    for error in found.bad.values():
        raise error
    return found.rows.collect()
