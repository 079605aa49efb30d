"""Plans an ingest: which runs are new, changed, known, rejected before, or gone.

In: a source's runs and a snapshot of a cache. Out: a `Plan`. Files of the source are looked at, and read only for the
digest of their bytes; nothing is written.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from magnet_arrow.errors import BadFileError, Rejected, Where
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import Found, RunPlace
from magnet_arrow.helm.name_patterns import fits
from magnet_arrow.ingestion.parallel.task import PendingRun
from magnet_arrow.ingestion.reading import PICTURED, where_of
from magnet_arrow.ingestion.rejection import unfit
from magnet_arrow.ingestion.rules import Rules, chosen_files, is_chosen
from magnet_arrow.ingestion.run_reader import RUN_SPEC
from magnet_arrow.schema import registry
from magnet_arrow.schema.table_choice import joined, narrowed
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import (
    Fingerprint,
    content_digest,
    is_same_fingerprint,
    is_unchanged,
    plain_name,
    read_error,
)
from magnet_arrow.sources.remote import settings
from magnet_arrow.storage.manifest import RejectedRun, RunEntry, Segment
from magnet_arrow.storage.snapshot import CachedRun, Snapshot


@dataclass(slots=True)
class Plan:
    """The plan for the runs of a source.

    Attributes:
        pending: runs to read, by key.
        sources: ids of the outputs folders of all runs.
        keys: of all runs, those to read and those that the cache has.
        rejected: runs that cannot be read, by what is known or seen without reading them.
        recovered: keys of runs that were rejected or gone, and are again what the cache has of them.
        skipped: how many runs the cache has in the same state.
        skipped_partial: how many of these are incomplete.
        lacking: what these lack.
        vanished: keys of cached or rejected runs, and of suites, that are gone from the source.
    """

    pending: list[PendingRun] = field(default_factory=list)
    sources: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    rejected: list[RejectedRun] = field(default_factory=list)
    recovered: list[str] = field(default_factory=list)
    skipped: int = 0
    skipped_partial: int = 0
    lacking: list[Rejected] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)

    def skip(self, held: CachedRun) -> None:
        """Count a run, or the files beside those of a suite, that the cache has as it is now."""
        self.skipped += bool(held.entry.folder)
        self.skipped_partial += held.entry.is_partial
        self.lacking += held.entry.lacking


@dataclass(frozen=True, slots=True)
class Known:
    """What a source is compared with.

    Attributes:
        snapshot: of the cache.
        rules: of this ingest.
        is_damaged: whether the runs of a segment must be read again though they have not changed.
    """

    snapshot: Snapshot
    rules: Rules
    is_damaged: Callable[[Segment], bool]

    def is_good(self, held: CachedRun) -> bool:
        """Whether the cache's rows of a run may stay, if the run has not changed."""
        is_sound = held.schema_version == registry.SCHEMA_VERSION and not self.is_damaged(held.segment)
        return is_sound and held.entry.has_all_of(self.rules.tables)

    def may_be_read(self, bad: RejectedRun, run: PendingRun) -> bool:
        """Whether these rules may accept a run that was rejected by other ones."""
        if bad.is_strict and not self.rules.strict:
            return True
        file = plain_name(bad.rejected.file)
        return file not in ("", RUN_SPEC) and (self.rules.partial or not is_chosen(run, file))

    def with_rules(self, run: PendingRun, held: CachedRun | None) -> PendingRun:
        """The run, with what is read of it: besides what is asked for, all that the cache has of it."""
        rules = self.rules
        tables = None if held is None and rules.all_of_new else rules.tables
        if held is not None:
            tables = joined(tables, held.entry.choice)
        if held is not None and has_fingerprint(held.entry, run.stamps):
            partial, pictures = held.entry.is_partial, PICTURED.file in held.entry.elements
            rules = replace(rules, partial=rules.partial or partial, pictures=rules.pictures or pictures)
        rules = replace(rules, tables=narrowed(tables, of_run=bool(run.place.folder)))
        return run if rules == run.rules else msgspec.structs.replace(run, rules=rules)


def find_unchanged(known: Known, places: Sequence[RunPlace]) -> tuple[list[CachedRun], list[RunPlace]]:
    """The runs that the cache has as they are now, and the places of the others, which need a closer look.

    This is most of what a frame of many cached runs costs beside its rows.
    """
    if known.rules.content_hash:
        return [], list(places)
    snapshot = known.snapshot
    keys = snapshot.keys_of(places)
    cached = snapshot.among([key for key in keys if key is not None])
    special = {*snapshot.manifest.gone, *snapshot.rejected}
    unchanged, others = [], []
    seen: set[str] = set()
    for place, key in zip(places, keys, strict=True):
        if key is not None:
            if key in seen:  # a bucket and its mirror were named: the first one counts
                continue
            seen.add(key)
        held = None if key is None or key in special or not place.folder else cached.get(key)
        if held is not None and _is_as_cached(place, held.entry) and known.is_good(held):
            unchanged.append(held)
        else:
            others.append(place)
    return unchanged, others


def _is_as_cached(place: RunPlace, held: RunEntry) -> bool:
    return is_unchanged(place.path, held.fingerprint, held.not_fetched)


def make_plan(known: Known, unchanged: Sequence[CachedRun], others: Sequence[PendingRun], *, retry: bool) -> Plan:
    """The plan for the runs that `find_unchanged` has divided; `retry` reads rejected runs again."""
    plan = Plan()
    for same in unchanged:
        plan.skip(same)
    others = _each_once(unchanged, others)
    snapshot = known.snapshot
    gone = frozenset(snapshot.manifest.gone)
    cached = snapshot.among([run.key for run in others])
    runs = [known.with_rules(run, cached.get(run.key)) for run in others]
    for run in _with_contents(known, runs, cached):
        held, bad = cached.get(run.key), snapshot.rejected.get(run.key)
        if held is not None and is_same_state(held.entry, run) and known.is_good(held):
            plan.skip(held)
            if bad is not None or run.key in gone:
                plan.recovered.append(run.key)
        elif (rejected := _why_unreadable(run)) is not None:
            plan.rejected.append(rejected)
        elif bad is not None and is_same_state(bad, run) and not (retry or known.may_be_read(bad, run)):
            plan.rejected.append(bad)
        else:
            plan.pending.append(run)
    plan.pending.sort(key=lambda run: run.key)
    plan.keys = frozenset((*(same.entry.key for same in unchanged), *(run.key for run in others)))
    plan.sources = frozenset((*(same.entry.source for same in unchanged), *(run.source for run in others)))
    return plan


def _each_once(unchanged: Sequence[CachedRun], others: Sequence[PendingRun]) -> list[PendingRun]:
    """The first of the runs with a key, if none is unchanged: a mirror may have been moved, or be new to the cache."""
    seen = {same.entry.key for same in unchanged}
    first: dict[str, PendingRun] = {}
    for run in others:
        if run.key not in seen:
            first.setdefault(run.key, run)
    return list(first.values())


def is_same_state(known: RunEntry | RejectedRun, run: PendingRun) -> bool:
    """Whether a run is in the state that the cache knows. If there is a digest now, there must have been one then."""
    return has_fingerprint(known, run.stamps) and run.content in ("", known.content)


def has_fingerprint(known: RunEntry | RejectedRun, stamps: Fingerprint) -> bool:
    """Whether a run has the fingerprint that the cache knows, be it that of a bucket and this that of its mirror.

    A mirror may lack what was not fetched; of a rejected run nobody knows what was.
    """
    if isinstance(known, RejectedRun):
        return is_same_fingerprint(known.fingerprint, stamps, {plain_name(stamp.name) for stamp in known.fingerprint})
    return is_same_fingerprint(known.fingerprint, stamps, known.not_fetched)


def _with_contents(known: Known, runs: Sequence[PendingRun], cached: Mapping[str, CachedRun]) -> Iterable[PendingRun]:
    """The same runs. If the rules ask for digests, runs with the known sizes and dates have theirs."""
    if not known.rules.content_hash:
        return runs

    def with_content(run: PendingRun) -> PendingRun:
        held = cached.get(run.key)
        states = (None if held is None else held.entry, known.snapshot.rejected.get(run.key))
        if not any(state is not None and has_fingerprint(state, run.stamps) for state in states):
            return run
        return msgspec.structs.replace(run, content=content_digest(run.place.path, chosen_files(run)))

    with ThreadPoolExecutor(
        initializer=settings.use, initargs=(settings.given(),)
    ) as threads:  # neither reading nor BLAKE2b holds the interpreter's lock
        return list(threads.map(with_content, runs))


def _why_unreadable(run: PendingRun) -> RejectedRun | None:
    """The rejection of a run that need not be read: its name, folder or run spec is at fault. Never kept in a cache."""
    place = run.place
    error = unfit(where_of(place), place.path, run.stamps)
    if error is None and place.folder and not any(plain_name(stamp.name) == RUN_SPEC for stamp in run.stamps):
        error = _without_run_spec(place)
    if error is None:
        return None
    rejected = Rejected.from_error(where_of(place), error)
    return RejectedRun(run.source, place.suite, place.folder, run.stamps, rejected)


def _without_run_spec(place: RunPlace) -> BadFileError:
    """The error for a run that is no longer there, or cannot be listed."""
    try:
        filesystem.names(place.path)
    except FileNotFoundError:
        pass
    except OSError as error:
        return read_error(Where(where_of(place)), error, what="folder")
    return BadFileError("", where=Where(where_of(place), RUN_SPEC), expected="a file", found="none any more")


def has_same_run_spec(place: RunPlace, stamps: Fingerprint) -> bool:
    """Whether the run spec at a place is as it was, whatever happened to the run's other files."""
    before = next(stamp for stamp in stamps if plain_name(stamp.name) == RUN_SPEC)
    try:
        now = filesystem.status(f"{place.path}{os.sep}{before.name}")
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (before.size_bytes, before.mtime_ns)


def vanished_runs(found: Found, snapshot: Snapshot, sources: Collection[str], pattern: str) -> list[str]:
    """Keys of cached or rejected runs, and of suites, that were asked for and were seen to be gone.

    Args:
        found: what the source holds.
        snapshot: of the cache.
        sources: ids of the outputs folders of these runs. If neither a run of an outputs folder nor the suite is left,
            a disk may not be mounted.
        pattern: run folders that were asked for.
    """
    if not found.patterns and {place.path for place in found.places if place.folder}.issuperset(found.roots):
        return []  # single runs were named, which are there
    paths = {source.id: filesystem.as_path(source.path) for source in snapshot.manifest.sources}
    paths = {source: path for source, path in paths.items() if source in sources or _may_cover(found, path)}
    held = {key: (run.entry.source, run.entry.suite, run.entry.folder) for key, run in snapshot.entries.items()}
    held |= {key: (run.source, run.suite, run.folder) for key, run in snapshot.rejected.items()}
    there = {(place.source, place.suite, place.folder) for place in found.places}
    return [
        key
        for key, (source, suite, folder) in held.items()
        if source in paths
        and (paths[source], suite, folder) not in there
        and fits(folder, pattern)
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


def _is_gone(found: Found, paths: Sequence[Path], folder: str) -> bool:
    """Whether a folder was asked for and seen to be gone, with and without the level `runs`."""
    return any(found.covers(path, run=bool(folder)) for path in paths) and all(
        layout.is_gone(path, run=bool(folder)) for path in paths
    )
