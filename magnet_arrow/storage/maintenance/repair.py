"""Repair of a damaged cache by an ingest, which reads the affected runs from their source again."""

from pathlib import Path

import msgspec

from magnet_arrow._text import counted
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.storage import transaction
from magnet_arrow.storage.maintenance import check
from magnet_arrow.storage.manifest import Segment
from magnet_arrow.storage.snapshot import Snapshot
from magnet_arrow.storage.transaction import Transaction


class Repair:
    """The damage that one ingest meets.

    A damaged segment stays until the last of its runs has been read again: those of other sources may be sound in it,
    and their sources gone.

    Only damage is repaired. What cannot be read for another reason is an error, and nothing changes.

    Args:
        cache: its folder.
        drops: remove segments whose runs nobody can tell. A reader leaves them there, since the sources of their runs
            may be gone, and someone may know how to repair a file.

    Attributes:
        notes: a sentence or two for each.
        skipped: ids of segments that are left there like this.
    """

    def __init__(self, cache: Path, *, drops: bool = True) -> None:
        self._cache, self._drops = cache, drops
        self.skipped: list[str] = []
        self._looked_at: dict[str, bool] = {}
        self.notes: list[str] = []

    def readable(self, snapshot: Snapshot) -> Snapshot:
        """The cache without segments whose runs are unknown: they keep all others from being read.

        Raises:
            CacheNotReadableError: the system refuses to say whether there are some.
            CacheNotWritableError: there are some, and the disk refused.
            CacheLockedError: there are some, and another process does not let go of the lock.
        """
        try:
            snapshot.read_run_lists()
        except CacheDamagedError:
            pass
        else:
            return snapshot
        segments = snapshot.manifest.segments
        found = [(one, error) for one in segments if (error := check.of_run_list(self._cache, one))]
        so = "are no longer in the cache" if self._drops else "cannot be found in it"
        self.notes += [
            f"{error.message} The {_runs(one)} of its segment {so}; those of this source are read again, others "
            "when their source is ingested."
            for one, error in found
        ]
        ids = [one.id for one, _ in found]
        if self._drops:
            return transaction.commit_transaction(self._cache, Transaction(unreadable=ids))
        self.skipped = ids
        kept = tuple(one for one in segments if one.id not in ids)
        return Snapshot(snapshot.path, msgspec.structs.replace(snapshot.manifest, segments=kept))

    def is_damaged(self, segment: Segment) -> bool:
        """Whether the runs of a segment are to be read again though they have not changed."""
        if segment.id not in self._looked_at:
            found = check.of_segment(self._cache, segment)
            self._looked_at[segment.id] = found is not None
            if found is not None:
                self.notes.append(f"{found.message} The runs of this source that are in it are read again.")
        return self._looked_at[segment.id]

    @property
    def segments(self) -> list[str]:
        """Ids of the damaged segments."""
        return [segment for segment, is_damaged in self._looked_at.items() if is_damaged]


def _runs(segment: Segment) -> str:
    """How many runs a segment has whose run list cannot be read, which has an entry for each suite too."""
    spec = segment.tables.get("run_spec")
    return counted(spec.rows if spec else 0, "run")
