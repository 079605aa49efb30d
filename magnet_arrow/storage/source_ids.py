"""Which source a run belongs to: outputs folders keep their id when they are moved, and copies get their own.

A mirror of a bucket's folder is no copy: its runs are those of the bucket.
"""

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from magnet_arrow.errors import SettingError
from magnet_arrow.helm.run_place import RunPlace
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import Fingerprint, is_same_fingerprint
from magnet_arrow.storage.manifest import Source
from magnet_arrow.storage.snapshot import Snapshot

Stamped = Sequence[tuple[RunPlace, Fingerprint]]


class SourceIds:
    """The ids of the sources that some runs belong to.

    A folder that was seen before has its id. One that was not takes over the id of a source whose folder is gone and
    whose runs have the same fingerprints (it was moved); else it gets a new, random one.

    Args:
        snapshot: of the cache.
        stamped: the runs.
        mirrors: where a mirror is made of sources, by the path of the source.

    Attributes:
        new: sources that the manifest does not have, or has under another path, or without a mirror.

    Raises:
        SettingError: a mirror is to be made where runs of another source are.
    """

    def __init__(self, snapshot: Snapshot, stamped: Stamped, mirrors: Mapping[str, str] | None = None) -> None:
        self._snapshot = snapshot
        self._ids = dict(snapshot.source_ids)
        self._sources = {source.id: source for source in snapshot.manifest.sources}
        self.new: list[Source] = []
        unknown: dict[str, dict[tuple[str, str], Fingerprint]] = {}
        for place, stamps in stamped:
            path = str(place.source)
            if path not in self._ids:
                unknown.setdefault(path, {})[place.suite, place.folder] = stamps
        mirrors = mirrors or {}
        taken: set[str] = set()
        for path, found in unknown.items():
            source = self._mirrored_before(path, mirrors) or _moved_from(snapshot, path, found, taken)
            source = Source(secrets.token_hex(8), path) if source is None else _at(source, path)
            taken.add(source.id)
            self._add(source)
        for path, mirror in mirrors.items():
            self._add_mirror(path, mirror)

    def _add(self, source: Source) -> None:
        self._ids |= dict.fromkeys(source.paths, source.id)
        self._sources[source.id] = source
        self.new = [*(one for one in self.new if one.id != source.id), source]

    def _mirrored_before(self, path: str, mirrors: Mapping[str, str]) -> Source | None:
        """The source of a mirror that is there, though the cache does not know of which folder it is one."""
        mirror = mirrors.get(path)
        source = None if mirror is None else self._sources.get(self._ids.get(mirror, ""))
        return source if source is not None and source.path == mirror else None

    def _add_mirror(self, path: str, mirror: str) -> None:
        own, other = self._ids.get(path), self._ids.get(mirror)
        if own is None or own == other:
            return
        if other is not None and filesystem.exists(mirror) and self._has_runs(other):
            found = self._sources[other].path
            what = "has runs in the cache by itself" if found == mirror else f"has what was fetched from {found}"
            raise SettingError(
                f"{mirror} {what}, so it cannot take what is fetched from {path}.",
                hint="Name another folder, or another cache.",
            )
        if other is not None:  # it has none any more, or they are not there
            self._add(_without_mirror(self._sources[other], mirror))
        source = self._sources[own]
        self._add(msgspec.structs.replace(source, mirrors=(*source.mirrors, mirror)))

    def _has_runs(self, source: str) -> bool:
        held = (run.entry.source for run in self._snapshot.runs.values())
        return any(source == one for one in (*held, *(one.id for one in self.new)))

    def id_of(self, place: RunPlace) -> str:
        """The id of a run's source."""
        return self._ids[str(place.source)]


def _at(source: Source, path: str) -> Source:
    """A source at another path: the new one of the folder, or of a mirror that is gone from where it was."""
    if not filesystem.is_remote(source.path):
        mirrors = (source.path,) if filesystem.is_remote(path) else ()
        return Source(source.id, path, mirrors)
    return msgspec.structs.replace(source, mirrors=(*filter(filesystem.exists, source.mirrors), path))


def _without_mirror(source: Source, mirror: str) -> Source:
    return msgspec.structs.replace(source, mirrors=tuple(one for one in source.mirrors if one != mirror))


def _may_have_moved(source: Source, path: str) -> bool:
    """Whether a source's folder may be at another path now: it is gone, or that of a mirror.

    A bucket is not asked: it takes a while, and buckets do not move.
    """
    paths = (source.path,) if filesystem.is_remote(path) else source.paths
    return any(not (filesystem.is_remote(one) or filesystem.exists(one)) for one in paths)


def _moved_from(
    snapshot: Snapshot, path: str, found: Mapping[tuple[str, str], Fingerprint], taken: set[str]
) -> Source | None:
    """The source that was moved to a path: its folder is gone, it has some of these runs, and those are alike."""
    gone = {source.id: source for source in snapshot.manifest.sources if _may_have_moved(source, path)}
    alike = {source: 0 for source in gone if source not in taken}
    if not alike:
        return None
    for run in snapshot.runs.values():
        entry = run.entry
        stamps = found.get((entry.suite, entry.folder))
        if entry.source not in alike or stamps is None:
            continue
        if is_same_fingerprint(entry.fingerprint, stamps, entry.not_fetched):
            alike[entry.source] += 1
        else:
            del alike[entry.source]
    best = max(alike, key=lambda source: alike[source], default=None)
    return gone[best] if best is not None and alike[best] else None
