"""The one way to change a cache: `commit_transaction` adds and removes runs, `replace` merges segments."""

import secrets
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from magnet_arrow.storage import checksums, commit, manifest
from magnet_arrow.storage.manifest import Deleted, Dropped, Manifest, RejectedRun, Segment, Source, run_key
from magnet_arrow.storage.snapshot import Snapshot, listed

GRACE_S = 24 * 60 * 60.0
"""How long files stay that no manifest names any more. Frames that were made before can be read for that long."""


@dataclass(slots=True)
class Transaction:
    """What a commit changes.

    Attributes:
        segment: a finished segment, and its run list; None if no run was read.
        rejected: runs that could not be ingested.
        sources: outputs folders by id, new or moved; those that the cache has by now under another id keep that.
        pruned: keys of runs that are to go.
        recovered: keys of runs that were rejected or gone, and are again what the cache has of them.
        gone: keys of runs whose folder is gone; what the cache has of them stays, marked.
        damaged: ids of segments whose runs are replaced even by what was read in the same state.
        unreadable: ids of segments that are to go, since nobody can tell which runs are in them.
        skipped: ids of such segments that stay, unread.
    """

    segment: Segment | None = None
    rejected: Sequence[RejectedRun] = ()
    sources: Sequence[Source] = ()
    pruned: Iterable[str] = ()
    recovered: Iterable[str] = ()
    gone: Collection[str] = ()
    damaged: Collection[str] = ()
    unreadable: Collection[str] = ()
    skipped: Collection[str] = ()


def commit_transaction(cache: Path, transaction: Transaction) -> Snapshot:
    """Commit a transaction; what others committed meanwhile stays.

    Runs that the cache has in the same state by now are not added twice; those that it has in another state, or without
    one of the tables, are replaced. If a run is rejected, what the cache has of it from before stays.

    Returns:
        The cache as it is then, without segments that were skipped.

    Raises:
        CacheLockedError: another process does not let go of the lock.
        CacheNotWritableError: the disk refused; the cache is as it was.
        CacheNotReadableError: so did it when it was to be read; the cache is as it was.
        SnapshotExpiredError: the files of the segment were removed, as it was uncommitted for too long; the cache is
            as it was.
    """
    if transaction.segment is not None:
        _flush(cache, transaction.segment)
    with commit.locked(cache):
        now = manifest.read_manifest(cache)
        before = Snapshot(cache, _without(now, {*transaction.unreadable, *transaction.skipped}))
        after = _Merge(before, transaction).result()
        if transaction.skipped:
            skipped = [segment for segment in now.segments if segment.id in transaction.skipped]
            after = msgspec.structs.replace(after, segments=(*skipped, *after.segments))
        committed = _swap(cache, now, after)
        return Snapshot(cache, _without(committed.manifest, transaction.skipped)) if transaction.skipped else committed


def _without(held: Manifest, segments: Collection[str]) -> Manifest:
    return msgspec.structs.replace(held, segments=tuple(one for one in held.segments if one.id not in segments))


def replace(cache: Path, segment: Segment, merged: Sequence[Segment]) -> bool:
    """Commit a segment in place of those that it was merged from.

    What others committed meanwhile stays, and runs that they deleted are deleted in the new segment too. Where they
    have dropped one of the merged segments altogether, nothing is done.

    Returns:
        Whether the cache has the new segment.

    Raises:
        CacheLockedError: another process does not let go of the lock.
        CacheNotWritableError: the disk refused; the cache is as it was.
    """
    _flush(cache, segment)
    with commit.locked(cache):
        now = manifest.read_manifest(cache)
        held = {one.id: one for one in now.segments}
        if not all(one.id in held for one in merged):
            return False
        then, before = Snapshot(cache, Manifest()), Snapshot(cache, now)
        # Only those that died since: others with the same key may be what was merged.
        dead = {key for one in merged for key in before.deleted(held[one.id]) - then.deleted(one)}
        new = with_deletions(cache, segment, dead) if dead else segment
        gone = {one.id for one in merged}
        place = min(number for number, one in enumerate(now.segments) if one.id in gone)
        kept: list[Segment | None] = [None if one.id in gone else one for one in now.segments]
        kept[place] = new
        after = msgspec.structs.replace(now, segments=tuple(one for one in kept if one is not None))
        _swap(cache, now, after)
    return new is not None


def _flush(cache: Path, segment: Segment) -> None:
    commit.flush(cache / file.path for file in segment.files())


def _swap(cache: Path, now: Manifest, after: Manifest) -> Snapshot:
    """Put a manifest in place of the one there is, and note what it no longer names."""
    new = after.files_by_path().items() - now.files_by_path().items()
    for _, entry in new:  # the files of a writer that was stopped for a day may be gone
        checksums.check_file(cache, entry)
    time_s = int(time.time())
    stems = {Path(path).stem for path in now.files_by_path()} - {Path(path).stem for path in after.files_by_path()}
    dropped = [one for one in now.dropped if one.time_s > time_s - GRACE_S]
    dropped += [Dropped(stem, time_s) for stem in sorted(stems)]
    after = msgspec.structs.replace(after, dropped=tuple(dropped))
    commit.swap(cache, after)
    return Snapshot(cache, after)


def with_deletions(cache: Path, segment: Segment, dead: Collection[str]) -> Segment | None:
    """A segment with another deletion file, which is durable; None if no run of it is left.

    Raises:
        CacheNotWritableError: the disk refused.
    """
    if len(dead) == segment.n_runs:
        return None
    path = cache / "deleted" / f"{segment.id}.{secrets.token_hex(4)}.json"
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(manifest.encode(Deleted(tuple(sorted(dead)))))
    except OSError as error:
        raise commit.not_writable(path, error) from error
    commit.flush([path])
    return msgspec.structs.replace(segment, deleted=checksums.file_entry(path, cache))


class _Merge:
    """The manifest that a transaction makes of the one it finds."""

    def __init__(self, before: Snapshot, transaction: Transaction) -> None:
        self._before, self._transaction = before, transaction
        self._dead: dict[str, set[str]] = {}

    def result(self) -> Manifest:
        before, transaction = self._before, self._transaction
        new = self._new_runs()
        for key, run in before.among(list(transaction.pruned)).items():
            self._dead.setdefault(run.segment.id, set()).add(key)
        found = [*before.manifest.segments, *([transaction.segment] if transaction.segment else [])]
        kept = [self._with_deletions(segment) for segment in found]
        sources = {source.id: source for source in before.manifest.sources}
        for source in transaction.sources:
            # Another writer may have been the first to see this folder: it keeps the id that it has by now.
            if before.source_ids.get(source.path, source.id) == source.id:
                sources[source.id] = source
        return Manifest(
            sources=tuple(sources.values()),
            segments=tuple(segment for segment in kept if segment is not None),
            rejected=self._rejections(new),
            gone=self._gone(new),
        )

    def _new_runs(self) -> set[str]:
        """The keys that the transaction adds; those that the cache has already are marked as deleted in it."""
        segment = self._transaction.segment
        if segment is None:
            return set()
        entries = {entry.key: entry for entry in listed(self._before.path, segment.runs).entries}
        for key, held in self._before.among(entries).items():
            entry = entries[key]
            is_same = held.fingerprint == entry.fingerprint and held.schema_version >= segment.schema_version
            is_same = is_same and entry.content in ("", held.entry.content)
            is_same = is_same and held.entry.has_all_of(entry.choice)
            is_good = is_same and held.segment.id not in self._transaction.damaged
            loser = segment if is_good else held.segment
            self._dead.setdefault(loser.id, set()).add(key)
        return set(entries)

    def _with_deletions(self, segment: Segment) -> Segment | None:
        """The segment with its deletion file brought up to date; None if no run of it is left."""
        dead = self._dead.get(segment.id)
        return with_deletions(self._before.path, segment, dead | self._before.deleted(segment)) if dead else segment

    def _gone(self, taken: set[str]) -> tuple[str, ...]:
        there = {*taken, *self._transaction.pruned, *self._transaction.recovered}
        there.update(run_key(run.source, run.suite, run.folder) for run in self._transaction.rejected)
        gone = self._before.among(sorted(self._transaction.gone))  # another may have removed some meanwhile
        return tuple(sorted({*self._before.manifest.gone, *gone} - there))

    def _rejections(self, taken: set[str]) -> tuple[RejectedRun, ...]:
        rejected = dict(self._before.rejected)
        for key in (*taken, *self._transaction.pruned, *self._transaction.recovered):
            rejected.pop(key, None)
        for run in self._transaction.rejected:
            rejected[run_key(run.source, run.suite, run.folder)] = run
        return tuple(rejected[key] for key in sorted(rejected))
