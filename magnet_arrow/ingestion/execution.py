"""Executes a plan: divides its runs into tasks, has an executor run them, and commits each result as it comes."""

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from magnet_arrow.decode.anomalies import add_counts
from magnet_arrow.errors import CacheError, Rejected, SettingError, WorkersLostError
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion import mirroring
from magnet_arrow.ingestion.measured_rate import rate_measured
from magnet_arrow.ingestion.parallel import division
from magnet_arrow.ingestion.parallel.executors import Failed, Lost, TaskExecutor
from magnet_arrow.ingestion.parallel.settings import WorkerSettings
from magnet_arrow.ingestion.parallel.shared_run import SharedRuns
from magnet_arrow.ingestion.parallel.task import PendingRun, Task, TaskResult, new_task
from magnet_arrow.ingestion.plan import Known, Plan, find_unchanged, make_plan
from magnet_arrow.ingestion.progress import ProgressCounter, bytes_to_read
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.ingestion.rejection import not_read
from magnet_arrow.ingestion.rules import Progress, Rules
from magnet_arrow.ingestion.run_reader import stamps_of
from magnet_arrow.schema import registry
from magnet_arrow.sources import filesystem, remote_copies
from magnet_arrow.storage import transaction
from magnet_arrow.storage.maintenance import compact, vacuum
from magnet_arrow.storage.maintenance.repair import Repair
from magnet_arrow.storage.manifest import FETCHED, RejectedRun
from magnet_arrow.storage.snapshot import Snapshot
from magnet_arrow.storage.source_ids import SourceIds
from magnet_arrow.storage.transaction import Transaction


@dataclass(slots=True)
class Done:
    """What an ingest has done; see `IngestReport` for the attributes, which are counts of runs where they are numbers.

    Attributes:
        snapshot: the cache after the last commit.
    """

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
        """Add a task's result."""
        self.runs += result.runs
        self.partial += result.partial
        self.bytes_in += result.json_bytes
        if result.segment is not None:
            self.bytes_out += result.segment.size_bytes + result.segment.runs.size_bytes
        self.rejected += [*result.rejected, *result.unread]
        self.lacking += result.lacking
        add_counts(self.unexpected, result.unexpected)
        self.notes += result.notes
        for table, rows in result.rows.items():
            self.rows[table] += rows


class Ingestion:
    """One ingest into one cache: first `plan`, then `execute`.

    Args:
        cache: the cache's folder.
        snapshot: of the cache.
        rules: how runs are read.
        drops: remove segments whose runs nobody can tell, see `Repair`.
        commits: keep the ids of new sources; if not, only the plan may be asked for, and nothing is written.
    """

    def __init__(
        self, cache: Path, snapshot: Snapshot, rules: Rules, *, drops: bool = True, commits: bool = True
    ) -> None:
        self._cache, self._rules, self._commits = cache, rules, commits
        self.done = Done(snapshot)
        self.repair = Repair(cache, drops=drops)
        self._pending = Transaction()
        self._counter = ProgressCounter()
        self._open: dict[str, Task] = {}
        self._shared = SharedRuns(cache)
        self._places: Sequence[RunPlace] = ()
        self._others: Sequence[RunPlace] = ()

    @property
    def snapshot(self) -> Snapshot:
        """The cache after the last commit."""
        return self.done.snapshot

    def plan(self, places: Sequence[RunPlace], *, retry: bool = False) -> Plan:
        """Which runs are to be read: those that the cache does not have in the state that they are in now.

        Raises:
            SettingError: the cache's folder is one of a source.
                Or a mirror is to be made where runs of another source are.
            CacheNotWritableError: a source is new, or a run list is damaged, and the disk refused.
            CacheLockedError: the same, as another process does not let go of the lock.
        """
        _require_own_folder(self._cache, places)
        self.done.snapshot = self.repair.readable(self.snapshot)
        unchanged, others = find_unchanged(self._known(), places)
        self._places, self._others = places, others
        runs = self._with_source_ids(others)
        return make_plan(self._known(), unchanged, runs, retry=retry)

    def _known(self) -> Known:
        return Known(self.snapshot, self._rules, self.repair.is_damaged)

    def _with_source_ids(self, places: Sequence[RunPlace]) -> list[PendingRun]:
        """The runs with the ids of their sources; new ids are committed, so that two first ingests agree on one."""
        stamped = [(place, stamps_of(place)) for place in places]
        mirrors = mirroring.mirrors_of(self._rules.keep_json, places)
        ids = SourceIds(self.snapshot, stamped, mirrors)
        while ids.new and self._commits:
            self.done.snapshot = self._apply(Transaction(sources=ids.new))
            ids = SourceIds(self.snapshot, stamped, mirrors)
        return [PendingRun(place, ids.id_of(place), stamps) for place, stamps in stamped]

    def execute(
        self,
        plan: Plan,
        settings: WorkerSettings,
        *,
        prune: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> Done:
        """Read the pending runs, and commit each task's result as it comes.

        Args:
            plan: what to do.
            settings: which processes read.
            prune: remove the runs that have vanished; else they are marked as gone.
            progress: called now and then.

        Raises:
            WorkersLostError: the executor broke, or no worker process can be started.
            CacheError: the cache, or its disk, is at fault.
        """
        pruned = plan.vanished if prune else []
        self._pending = Transaction(
            pruned=pruned, recovered=plan.recovered, gone=[] if prune else self._to_be_marked(plan)
        )
        self.done.pruned = sum(not key.endswith("/") for key in pruned)  # of runs; the key of a suite ends in a slash
        n_runs = sum(bool(run.place.folder) for run in plan.pending)
        n_bytes = sum(bytes_to_read(run) for run in plan.pending)
        self._counter = ProgressCounter(progress, n_bytes, n_runs)
        executor, divided = settings.executor_for(plan.pending, self._counter)
        try:
            with rate_measured(self._cache, plan.pending, self.done.rejected):
                self._run_tasks(deque(self._new_tasks(divided)), executor)
                executor.close()
                self._commit(TaskResult())
            self._discard_leftovers()
            if plan.pending:
                with contextlib.suppress(CacheError):  # the next ingest tries again
                    vacuum.vacuum_hourly(self._cache)
        except BaseException:
            executor.stop()
            for task in self._open.values():
                with contextlib.suppress(OSError, CacheError):  # a later vacuum removes them
                    vacuum.discard(self._cache, task.name)
            raise
        return self.done

    def _discard_leftovers(self) -> None:
        """Remove the copies of runs that a process committed which was killed before it removed them."""
        copies = self._cache / FETCHED
        if filesystem.is_folder(copies):
            remote = {place for place in self._places if filesystem.is_remote(place.path)}
            unchanged = remote.difference(self._others)
            remote_copies.discard_copies(copies, [(place.path, stamps_of(place)) for place in unchanged])

    def _to_be_marked(self, plan: Plan) -> list[str]:
        """Cached runs that are gone, and not marked so yet."""
        marked = frozenset(self.snapshot.manifest.gone)
        return [key for key in plan.vanished if key not in marked and key in self.snapshot.runs]

    def _run_tasks(self, waiting: deque[Task], executor: TaskExecutor) -> None:
        """Submit tasks, and commit results in the order in which they come.

        Raises:
            WorkersLostError: the executor broke, or no worker process can be started.
        """
        lost: dict[str, set[str]] = {}
        while waiting or executor.is_busy:
            self._submit(waiting, executor)
            task, result = executor.next_result()
            self._submit(waiting, executor)  # before the commit, so that no worker waits for it
            if isinstance(result, TaskResult):
                waiting.extendleft(self._settle(task, result))
            elif isinstance(result, Lost):
                lost.setdefault(result.why, set()).update(run.key for run in task.runs if run.place.folder)
            elif task.is_blamed:
                rejection = self._counter.end_task(task, _rejection(task.runs[0], result))
                waiting.extendleft(self._settle(task, rejection))
            else:
                waiting.extendleft(division.retries(task))
        if lost:
            why, hint = next(iter(lost)), "What was committed stays; ingest again to read the others."
            raise WorkersLostError(f"The executor lost {sum(map(len, lost.values()))} runs: {why}.", hint=hint)

    def _submit(self, waiting: deque[Task], executor: TaskExecutor) -> None:
        while waiting and executor.has_room:
            task = waiting.popleft()
            self._open[task.name] = task
            executor.submit(task)

    def _settle(self, task: Task, result: TaskResult) -> Iterator[Task]:
        """Commit a result, and return new tasks for the runs that are left. A part waits for the other part."""
        ended = [task]
        if task.is_part:
            both = self._shared.add(task, result)
            if both is None:
                return iter(())
            ended, result = both
            self._counter.end(result.runs + result.n_rejected, result.n_rejected)
        self._commit(result, ended)
        return self._new_tasks(division.divide(result.left))

    def _new_tasks(self, divided: Iterable[Sequence[PendingRun]]) -> Iterator[Task]:
        return (new_task(self._cache, runs) for runs in divided)

    def _commit(self, result: TaskResult, ended: Sequence[Task] = ()) -> None:
        """Commit a result. The first commit, which may be one without a result, says what has vanished or recovered."""
        pending, done = self._pending, self.done
        done.count(result)
        pending.segment, pending.rejected = result.segment, result.rejected
        left = {run.key for run in result.left}
        settled = [run for task in ended for run in task.runs if run.key not in left]
        if self._rules.keep_json is not None:
            mirroring.publish(self._rules.keep_json, self._cache, result, settled)
        if pending.segment or pending.rejected or pending.pruned or pending.recovered or pending.gone:
            pending.damaged = self.repair.segments
            done.snapshot = self._apply(pending)
        self._pending = Transaction()
        for task in ended:
            del self._open[task.name]
        remote_copies.discard_copies(self._cache / FETCHED, [(run.place.path, run.stamps) for run in settled])
        self._merge_due()

    def _apply(self, change: Transaction) -> Snapshot:
        change.skipped = self.repair.skipped
        return transaction.commit_transaction(self._cache, change)

    def _merge_due(self) -> None:
        """Merge segments if there are many; what was committed does not depend on it."""
        if self.repair.skipped:  # this snapshot is not all of the cache
            return
        try:
            self.done.snapshot = compact.merge_due(self.done.snapshot)
        except CacheError as error:
            self.done.notes.append(f"Small segments could not be merged: {error.message}")


def _require_own_folder(cache: Path, places: Sequence[RunPlace]) -> None:
    """Refuse a cache in a source's folders: a cache has folders of the same names as an outputs folder."""
    folder = Path(filesystem.real_path(cache))
    for source in {place.source for place in places}:
        if folder == source or folder.is_relative_to(source / "runs"):
            raise SettingError(
                f"The cache {cache} is among the runs of {source}.",
                hint="Give it a folder of its own; the outputs stay as they are.",
            )


def _rejection(run: PendingRun, failed: Failed) -> TaskResult:
    """The result for a run that killed its workers, or raised an error that is no fault of its files."""
    where, place = where_of(run.place), run.place
    why = Rejected.from_error(where, not_read(where, failed.why, failed.hint))
    bad = RejectedRun(run.source, place.suite, place.folder, run.stamps, why, run.content)
    return TaskResult(unread=(bad,)) if failed.is_system else TaskResult(rejected=(bad,))
