"""Which source a run belongs to: outputs folders keep their id when they are moved, and copies get their own."""

import secrets
from collections.abc import Mapping, Sequence

from magnet_arrow.helm.run_place import RunPlace
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import Fingerprint
from magnet_arrow.storage.manifest import Source
from magnet_arrow.storage.snapshot import Snapshot

Stamped = Sequence[tuple[RunPlace, Fingerprint]]


class SourceIds:
    """The ids of the sources that some runs belong to.

    A folder that was seen before has its id. One that was not takes over the id of a source whose folder is gone and
    whose runs have the same fingerprints (it was moved); else it gets a new, random one.

    Attributes:
        new: sources that the manifest does not have, or has under another path.
    """

    def __init__(self, snapshot: Snapshot, stamped: Stamped) -> None:
        self._ids = dict(snapshot.source_ids)
        self.new: list[Source] = []
        unknown: dict[str, dict[tuple[str, str], Fingerprint]] = {}
        for place, stamps in stamped:
            path = str(place.source)
            if path not in self._ids:
                unknown.setdefault(path, {})[place.suite, place.folder] = stamps
        taken: set[str] = set()
        for path, found in unknown.items():
            moved = _moved_from(snapshot, found, taken)
            self._ids[path] = moved or secrets.token_hex(8)
            taken.add(self._ids[path])
            self.new.append(Source(self._ids[path], path))

    def id_of(self, place: RunPlace) -> str:
        """The id of a run's source."""
        return self._ids[str(place.source)]


def _may_have_moved(path: str) -> bool:
    """Whether a source's folder is gone. A bucket is not asked: it takes a while, and buckets do not move."""
    return not (filesystem.is_remote(path) or filesystem.exists(path))


def _moved_from(snapshot: Snapshot, found: Mapping[tuple[str, str], Fingerprint], taken: set[str]) -> str | None:
    """The source that was moved here: its folder is gone, it has some of these runs, and all of those are alike."""
    gone = {source.id for source in snapshot.manifest.sources if _may_have_moved(source.path)} - taken
    if not gone:
        return None
    alike: dict[str, int] = dict.fromkeys(gone, 0)
    for run in snapshot.runs.values():
        entry = run.entry
        stamps = found.get((entry.suite, entry.folder))
        if entry.source not in alike or stamps is None:
            continue
        if stamps == entry.fingerprint:
            alike[entry.source] += 1
        else:
            del alike[entry.source]
    best = max(alike, key=lambda source: alike[source], default=None)
    return best if best is not None and alike[best] else None
