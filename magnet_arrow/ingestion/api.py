"""The public `ingest`: a source into a cache, and the report of what was done."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from magnet_arrow._progress import watched
from magnet_arrow._text import as_size, counted
from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheError, Rejected
from magnet_arrow.helm import layout
from magnet_arrow.ingestion import mirroring
from magnet_arrow.ingestion.bill import Bill, make_bill
from magnet_arrow.ingestion.execution import Ingestion
from magnet_arrow.ingestion.parallel.settings import WorkerSettings
from magnet_arrow.ingestion.plan import Plan, vanished_runs
from magnet_arrow.ingestion.rules import ALL_RUNS, Progress, Rules, Selection, step_of
from magnet_arrow.pages import card, few
from magnet_arrow.schema.table_choice import choice_of
from magnet_arrow.storage import manifest
from magnet_arrow.storage.snapshot import Snapshot

CacheLike: TypeAlias = "Cache | str | Path | None"


@dataclass(frozen=True, slots=True)
class StaleRun:
    """A cached run that was rejected since, or is gone from its source: the cache has an older state of it.

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
        rejected: runs that could not be read, and why, also if an earlier ingest rejected them; and folders and entries
            of releases that could not be read.
        notes: sentences about what was skipped.
        pruned: runs removed from the cache because they are gone from their source.
        unexpected: unknown fields and values of another type, kept in `magnet.extra`: how often, by what and where
            (file and JSON path, `[]` for any index).
        partial: how many of `runs` are incomplete.
        skipped_partial: how many of `skipped` are incomplete.
        lacking: what these incomplete runs lack: which file, from which byte, and why.
        stale: runs of this source of which the cache has an older state, since they were rejected or are gone.
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

    def __repr__(self) -> str:
        """How many runs were ingested, unchanged, rejected and stale."""
        return f"<IngestReport {self._counts()}>"

    def _repr_html_(self) -> str:
        of_tables = [f"{table} {rows:,}" for table, rows in self.rows.items() if rows]
        facts = {
            "runs": self._counts(),
            "rows": ", ".join(of_tables) or "none",
            "size": f"{as_size(self.bytes_in)} of JSON, {as_size(self.bytes_out)} in the cache",
            "unexpected": counted(sum(self.unexpected.values()), "value"),
            "seconds": f"{self.seconds:.1f}",
        }
        stale = [f"Stale: {one.run}: {one.why}" for one in self.stale]
        reasons = [f"Rejected: {one.summary}" for one in self.rejected]
        lacking = [f"Lacking: {one.summary}" for one in self.lacking]
        return card("Ingest", facts, few([*reasons, *lacking, *stale, *self.notes]))

    def _counts(self) -> str:
        partial = f" ({self.partial:,} partial)" if self.partial else ""
        others = {"rejected": len(self.rejected), "pruned": self.pruned, "stale": len(self.stale)}
        more = "".join(f", {count:,} {what}" for what, count in others.items() if count)
        return f"{counted(self.runs, 'run')} ingested{partial}, {self.skipped:,} unchanged{more}"


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
    keep_json: str | os.PathLike[str] | None = None,
    follow_links: bool = True,
    workers: int | None = None,
    memory_bytes: int | None = None,
    executor: Executor | None = None,
    tables: Iterable[str] | None = None,
    progress: Callable[[Progress], None] | Literal[False] | None = None,
) -> IngestReport:
    """Ingest every run of a source into a cache. Of runs that have not changed only the files' dates are looked at.

    Args:
        source: an outputs folder, its parent or its `runs`, a suite, a run, a pattern, or a list of such.
        cache: the cache or its folder; None for the default one.
        runs: pattern of run folders to ingest: a name, a glob, `regex:…`, or several of these with `|` between them.
        retry: read rejected runs again though their files have not changed.
        prune: remove runs from the cache that `source` and `runs` name and that are gone. A run in a folder that cannot
            be read is not gone.
        partial: ingest what is there of a run that lacks files or has one that ends early; it is marked as incomplete
            everywhere. Such runs that were rejected before are read again.
        strict: reject a run with unknown fields, or with values of a type that HELM does not declare.
        pictures: ingest `display_predictions.json` also if it embeds pictures (226 GB in HEIM's release).
        content_hash: compare the bytes of files whose size and date are unchanged too, and re-ingest a run if they
            differ. A run that was ingested without this option is re-ingested once, as its bytes are not known.
        keep_json: a folder of this machine that keeps what is fetched from a bucket, byte for byte, each object under
            its key: runs are then in `FOLDER/lite/benchmark_output/runs/v1.0.0`, as the tools of HELM and MAGNET expect
            them. A later ingest of it, or of the bucket, reads nothing again.
        follow_links: follow links in the source, also those that lead out of it. If not, linked folders are noted, and
            runs with a linked file are rejected. A path in `source` may always be a link.
        workers: processes that read; 1 for this process alone. None for one per core if there is so much to read that
            this is faster. A daemonic process, such as a worker of `multiprocessing.Pool`, always reads alone.
        memory_bytes: memory for all processes together, this one included; if needed, there are fewer workers. It does
            not bound the workers of an executor.
        executor: reads in place of processes of our own, on other machines too if they share the file system
            (`dask.distributed.Client.get_executor()`). Its workers must be able to import this package. It stays open.
        tables: names of tables to read, of runs and of suites; None for all. Files that none of these needs are neither
            fetched nor read, and a required file among them may be missing. `run_spec` is always read. A run that the
            cache has without one of these tables is read again, with all tables that it has.
        progress: called now and then; if an executor reads, when it has finished a task. None for a bar on a
            terminal or a line in a notebook, if it takes more than two seconds; False for neither.

    Raises:
        SourceNotFoundError: nothing there, or no run in it.
        ColumnNotFoundError: there is no table of a name in `tables`.
        SettingError: `workers` is less than one, one process may need more than `memory_bytes`, or the cache's folder
            is one of the source. Or `keep_json` is given with a source on this machine, or runs of another source are
            in that folder.
        FolderNotWritableError: `keep_json` cannot be written; what was committed stays.
        WorkersLostError: the executor was shut down or broke; what was committed stays.
        CacheNotWritableError: the disk refused; what was committed stays.
        CacheLockedError: another process does not let go of the cache's lock.

    A run that can't be read does not raise: it is in the report's `rejected`, and the others are ingested.
    """
    settings = WorkerSettings(workers, memory_bytes, executor)
    kept = None if keep_json is None else Path(keep_json)
    rules = Rules(partial, strict, pictures, content_hash, choice_of(tables), keep_json=kept)
    prepared = prepare(source, cache, Selection(runs, follow_links, retry), rules=rules)
    return prepared.execute(settings, prune=prune, progress=progress)


def prepare(
    source: layout.Source,
    cache: CacheLike,
    selection: Selection = ALL_RUNS,
    *,
    rules: Rules,
    writes: bool = True,
) -> "PreparedIngest":
    """Find the runs of a source, and plan their ingest; see `ingest`.

    Args:
        source: as of `ingest`.
        cache: as of `ingest`.
        selection: which of its runs.
        rules: how runs are read.
        writes: whether it will be executed; if not, the cache stays as it is.
    """
    begin = time.monotonic()
    cache = Cache.coerce(cache)
    found = layout.find_all(source, pattern=selection.runs, follow_links=selection.follow_links)
    if rules.keep_json is not None:
        rules = replace(
            rules, keep_json=mirroring.checked_folder(rules.keep_json, found.places, cache.path, writes=writes)
        )
    lost = manifest.lost(cache.path)
    ingestion = Ingestion(cache.path, cache.snapshot_to_ingest(), rules, drops=writes, commits=writes)
    plan = ingestion.plan(found.places, retry=selection.retry)
    plan.vanished = vanished_runs(found, ingestion.snapshot, plan.sources, selection.runs)
    return PreparedIngest(cache.path, found, plan, ingestion, rules, tuple(_lost_notes(lost)), time.monotonic() - begin)


@dataclass(frozen=True, slots=True)
class PreparedIngest:
    """An ingest whose plan is made, and which can be executed once.

    Attributes:
        cache: the cache's folder.
        found: what the source holds.
        plan: what is to be done.
        ingestion: what does it.
        rules: how runs are read.
        lost_notes: what is said of a cache that has lost its manifest.
        seconds: how long it took so far.
    """

    cache: Path
    found: layout.Found
    plan: Plan
    ingestion: Ingestion
    rules: Rules
    lost_notes: tuple[str, ...]
    seconds: float

    @property
    def size_bytes(self) -> int:
        """Bytes of the files of all runs that are to be read."""
        return sum(run.size_bytes for run in self.plan.pending)

    @property
    def rejected_before(self) -> frozenset[Rejected]:
        """What the cache rejected before, of any source."""
        return frozenset(found.rejected for found in self.ingestion.snapshot.rejected.values())

    def bill(self) -> Bill:
        """What it is going to read."""
        return make_bill(self.plan, self.found, self.ingestion.snapshot, self.cache, keep_json=self.rules.keep_json)

    def execute(
        self,
        settings: WorkerSettings,
        *,
        prune: bool = False,
        progress: Callable[[Progress], None] | Literal[False] | None = None,
    ) -> IngestReport:
        """Do what was planned; see `ingest`."""
        begin = time.monotonic()
        found, plan, ingestion = self.found, self.plan, self.ingestion
        with watched(progress, step_of) as report:
            done = ingestion.execute(plan, settings, prune=prune, progress=report)
        rejected = [*found.rejected, *(bad.rejected for bad in [*plan.rejected, *done.rejected])]
        return IngestReport(
            runs=done.runs,
            rows=done.rows,
            bytes_in=done.bytes_in,
            bytes_out=done.bytes_out,
            seconds=self.seconds + time.monotonic() - begin,
            skipped=plan.skipped,
            rejected=tuple(sorted(rejected, key=lambda one: one.run)),
            notes=(*found.notes, *self.lost_notes, *ingestion.repair.notes, *done.notes, *self._mirror_notes(rejected)),
            pruned=done.pruned,
            unexpected=dict(sorted(done.unexpected.items())),
            partial=done.partial,
            skipped_partial=plan.skipped_partial,
            lacking=tuple(sorted([*plan.lacking, *done.lacking], key=lambda one: (one.run, one.file))),
            stale=_stale(done.snapshot, plan),
        )

    def _mirror_notes(self, rejected: Iterable[Rejected]) -> Iterator[str]:
        return mirroring.notes(self.rules.keep_json, self.found.places, {one.run for one in rejected})


def _stale(snapshot: Snapshot, plan: Plan) -> tuple[StaleRun, ...]:
    """The stale runs among those that were asked for."""
    named = plan.keys.union(plan.vanished)
    stale = {key: why for key, why in snapshot.stale.items() if key in named}
    held = snapshot.among(sorted(stale))
    return tuple(StaleRun(f"{run.entry.suite}/{run.entry.folder}", stale[key]) for key, run in held.items())


def _lost_notes(lost: CacheError | None) -> Iterator[str]:
    if lost is not None:
        yield f"{lost.message} The cache is begun again; files of runs that are not ingested again go after a day."
