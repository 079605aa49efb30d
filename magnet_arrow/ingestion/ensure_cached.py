"""Makes sure that some runs are cached as they are now: missing and changed ones are ingested first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from magnet_arrow._progress import watched
from magnet_arrow.cache import Cache
from magnet_arrow.errors import BadFileError, CacheError, CacheLockedError, CacheNotWritableError, Rejected, warn
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.api import CacheLike
from magnet_arrow.ingestion.execution import Ingestion
from magnet_arrow.ingestion.parallel.settings import WorkerSettings
from magnet_arrow.ingestion.parallel.task import PendingRun
from magnet_arrow.ingestion.plan import is_same_state
from magnet_arrow.ingestion.rules import Rules, step_of
from magnet_arrow.query import kept_frames
from magnet_arrow.schema.table_choice import Choice
from magnet_arrow.storage.manifest import RejectedRun
from magnet_arrow.storage.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Ensured:
    """A snapshot that has some runs, and what it does not have of them.

    Attributes:
        snapshot: it has the runs as they are now, but for the following.
        rejected: runs that cannot be read, by key, also if an earlier ingest rejected them. The snapshot may have an
            older state of them.
        outdated: keys of changed runs of which the snapshot has an older state, as the cache cannot be written.
        error: why the cache cannot be written.
    """

    snapshot: Snapshot
    rejected: Mapping[str, RejectedRun]
    outdated: frozenset[str] = frozenset()
    error: CacheNotWritableError | CacheLockedError | None = None


def ensure_cached(
    places: Sequence[RunPlace],
    cache: CacheLike = None,
    *,
    partial: bool = False,
    retry: bool = False,
    progress: bool = True,
    tables: Choice = None,
) -> Ensured:
    """A snapshot that has these runs as they are now: what is missing or has changed is ingested.

    Args:
        places: of the runs.
        cache: the cache or its folder.
        partial: ingest what is there of a run that lacks files or has one that ends early.
        retry: read runs again that an earlier ingest has rejected.
        progress: show how far it is, where somebody watches.
        tables: that are needed; None for all. A run that the cache has without one of them is read again, with those
            that it has; of a run that it does not have at all, all tables are read.

    Raises:
        CacheNotWritableError: a run, or one of the tables of it, is not in the cache at all, and can't be put there.
        CacheLockedError: the same, as another process does not let go of the lock.
    """
    cache = Cache.coerce(cache)
    before = cache.snapshot()
    rules = Rules(partial=partial, tables=tables, all_of_new=True)
    ingestion = Ingestion(cache.path, before, rules, drops=False)
    plan = ingestion.plan(places, retry=retry)
    for note in ingestion.repair.notes:
        warn(note)
    error = None
    if plan.pending:
        try:
            with watched(None if progress else False, step_of) as report:
                ingestion.execute(plan, WorkerSettings(), progress=report)
        except (CacheNotWritableError, CacheLockedError) as refused:
            error = refused
        kept_frames.follow(before, ingestion.snapshot)
    rejected = {bad.key: bad for bad in [*plan.rejected, *ingestion.done.rejected]}
    outdated: frozenset[str] = frozenset()
    if error is not None:
        outdated = _outdated(
            [run for run in plan.pending if run.key not in rejected], ingestion.snapshot, tables, error
        )
    return Ensured(ingestion.snapshot, rejected, outdated, error)


def _outdated(unread: Sequence[PendingRun], snapshot: Snapshot, tables: Choice, error: CacheError) -> frozenset[str]:
    """Keys of the runs that the cache has in an older state only; raises `error` if it has no such rows of one."""
    held = snapshot.among([run.key for run in unread])
    if any(run.key not in held or not held[run.key].entry.has_all_of(tables) for run in unread):
        raise error
    return frozenset(run.key for run in unread if not is_same_state(held[run.key].entry, run))


def rejected_error(bad: Sequence[Rejected], *, go_on: str) -> BadFileError:
    """The error for runs that could not be ingested; `go_on` says how to do without them."""
    first = bad[0]
    n_others = len(bad) - 1
    others = f" {n_others} other {'run was' if n_others == 1 else 'runs were'} rejected too." if n_others else ""
    hint = " ".join(filter(None, (first.hint, others.strip(), go_on)))
    if first.expected or first.found:
        return BadFileError("", where=first.where, expected=first.expected, found=first.found, hint=hint)
    return BadFileError(first.reason, where=first.where, hint=hint)
