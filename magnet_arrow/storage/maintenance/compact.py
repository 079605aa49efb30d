"""Small segments into larger ones, and segments without their dead runs: frames stay the same, files get fewer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from magnet_arrow.schema import registry
from magnet_arrow.storage import manifest, transaction
from magnet_arrow.storage.maintenance import check, merge, vacuum
from magnet_arrow.storage.manifest import Segment
from magnet_arrow.storage.profiles import in_residual
from magnet_arrow.storage.snapshot import Snapshot, listed
from magnet_arrow.storage.transaction import GRACE_S

SMALL_BYTES = 64 << 20
MAX_SMALL = 32
MAX_DEAD = 1 / 5
"""After a commit segments are merged where more than so many are small, or more of one's runs are dead."""
MERGED_BYTES = 256 << 20
MAX_MERGED = 64
"""A merge takes segments up to these bounds: what it makes is not small, and it opens a file of each at once."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting did.

    Attributes:
        segments_before: how many there were.
        segments_after: how many there are.
        bytes_before: of their tables.
        bytes_after: of their tables.
        swept_files: files removed that had been out of use for longer than the grace time.
        swept_bytes: their bytes.
        damaged: what is wrong with segments that were left as they are.
    """

    segments_before: int
    segments_after: int
    bytes_before: int
    bytes_after: int
    swept_files: int
    swept_bytes: int
    damaged: tuple[str, ...]


def compact(cache: Path, *, grace_s: float = GRACE_S) -> Compacted:
    """See `Cache.compact`."""
    before = manifest.read_manifest(cache).segments
    while _merge(now := Snapshot(cache, manifest.read_manifest(cache)), _compactable(now)):
        pass  # what was merged may be small still
    swept = vacuum.vacuum(cache, grace_s=grace_s)
    segments = manifest.read_manifest(cache).segments
    return Compacted(
        len(before),
        len(segments),
        sum(segment.size_bytes for segment in before),
        sum(segment.size_bytes for segment in segments),
        swept.files,
        swept.bytes,
        tuple(str(found) for segment in segments if (found := check.of_segment(cache, segment))),
    )


def merge_due(snapshot: Snapshot) -> Snapshot:
    """Merge the segments that are due after a commit; returns the new snapshot.

    Raises:
        CacheError: it could not be done. What was committed stays as it was.
    """
    chosen = _due(snapshot)
    if not chosen or not _merge(snapshot, chosen):
        return snapshot
    return Snapshot(snapshot.path, manifest.read_manifest(snapshot.path))


def _due(snapshot: Snapshot) -> list[Segment]:
    segments = _of_this_version(snapshot)
    dead = [one for one in segments if len(snapshot.deleted(one)) > MAX_DEAD * one.n_runs]
    small = [one for one in segments if one.size_bytes < SMALL_BYTES and one not in dead]
    if len(small) <= MAX_SMALL:
        return dead
    # Not those that are much larger than all smaller ones together: each run is rewritten a few times, not at each
    # merge. What is left of them grows from one to the next, so that there are few.
    small.sort(key=lambda one: one.size_bytes)
    below = [sum(one.size_bytes for one in small[:number]) for number in range(len(small))]
    last = max(number for number, one in enumerate(small) if one.size_bytes <= 2 * below[number] or number == 0)
    return [*dead, *small[: last + 1]]


def _compactable(snapshot: Snapshot) -> list[Segment]:
    return [one for one in _of_this_version(snapshot) if one.size_bytes < SMALL_BYTES or one.deleted is not None]


def _of_this_version(snapshot: Snapshot) -> list[Segment]:
    """The next ingest of its source reads the runs of another version again; until then they are read as they are."""
    return [one for one in snapshot.manifest.segments if one.schema_version == registry.SCHEMA_VERSION]


def _merge(snapshot: Snapshot, chosen: Sequence[Segment]) -> bool:
    """Merge these segments, except damaged ones and those that lack columns; whether the cache has changed."""
    cache, changed = snapshot.path, False
    sound = [one for one in chosen if check.of_segment(cache, one) is None and _has_all_columns(cache, one)]
    for pack in _packs(sound):
        if len(pack) == 1 and pack[0].deleted is None:
            continue
        new = merge.merge(snapshot, pack)
        if not transaction.replace(cache, new, pack):
            vacuum.discard(cache, new.id)
        changed = True
    return changed


def _has_all_columns(cache: Path, segment: Segment) -> bool:
    """Whether a segment has a column for every dynamic column of its runs, as segments of today have."""
    profiles = listed(cache, segment.runs).profiles
    return not any(in_residual(segment, profiles, registry.table(name)) for name in segment.tables)


def _packs(chosen: Sequence[Segment]) -> list[list[Segment]]:
    packs: list[list[Segment]] = [[]]
    for segment in chosen:
        full = sum(one.size_bytes for one in packs[-1]) + segment.size_bytes > MERGED_BYTES
        if packs[-1] and (full or len(packs[-1]) >= MAX_MERGED or _is_too_wide([*packs[-1], segment])):
            packs.append([])
        packs[-1].append(segment)
    return [pack for pack in packs if pack]


def _is_too_wide(pack: Sequence[Segment]) -> bool:
    """Whether a table of these segments has more columns that were found in the data than a segment may have."""
    names: dict[str, set[str]] = {}
    for segment in pack:
        for name, table in segment.tables.items():
            names.setdefault(name, set()).update(table.dynamic)
    return any(len(found) > registry.MAX_DYNAMIC_COLUMNS for found in names.values())
