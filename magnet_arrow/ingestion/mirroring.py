"""The mirror of an ingest from a bucket (`keep_json`): its folder, and when what was fetched gets its names there."""

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from magnet_arrow._text import counted
from magnet_arrow.errors import FolderNotWritableError, SettingError
from magnet_arrow.helm.layout import RunPlace, is_run
from magnet_arrow.helm.run_place import place_of
from magnet_arrow.ingestion.parallel.task import PendingRun, TaskResult
from magnet_arrow.sources import filesystem, remote_copies
from magnet_arrow.sources.file import Fingerprint
from magnet_arrow.sources.paths import own_folder
from magnet_arrow.storage.snapshot import listed

_OTHER = "with keep_json= or --keep-json"


def checked_folder(folder: str | os.PathLike[str], places: Iterable[RunPlace], cache: Path, *, writes: bool) -> Path:
    """The folder of a mirror, absolute, links resolved.

    Args:
        folder: as it was given.
        places: of the runs that are to be mirrored.
        cache: the folder of the cache.
        writes: whether it is to be made.

    Raises:
        SettingError: it is on another machine or in the cache, or runs are on this machine, or would be of another
            suite there.
        FolderNotWritableError: it cannot be made, or written to.
    """
    mirror = Path(filesystem.real_path(own_folder(folder, "The folder for JSON files")))
    if mirror.is_relative_to(filesystem.real_path(cache)):
        raise SettingError(f"The folder for JSON files {mirror} is in the cache.", hint=f"Name another one {_OTHER}.")
    for place in {place.path.parent: place for place in places}.values():  # thousands of runs are in a suite
        _require_place(mirror, place)
    if writes:
        _require_writable(mirror)
    return mirror


def _require_place(mirror: Path, place: RunPlace) -> None:
    """Require that a run is in the mirror what it is in its bucket."""
    if not filesystem.is_remote(place.path):
        raise SettingError(
            f"Only what is fetched from a bucket is kept as JSON: {place.source} is a folder of this machine.",
            hint="Leave it out, or ingest it by itself.",
        )
    try:
        there = place_of(filesystem.real_path(remote_copies.mirrored(mirror, place.path)))
        is_alike = not place.folder or (there.suite, str(there.source)) == (place.suite, mirror_of(mirror, place))
    except OSError as error:
        raise SettingError(f"{place.path} cannot be kept in {mirror}: {error.strerror}.") from error
    if not is_alike:
        raise SettingError(
            f"{place.path} cannot be kept in {mirror}: it would be a run of another suite there, {there.suite}.",
            hint=f"Keep runs that are in a folder of their bucket, or name another folder {_OTHER}.",
        )


def _require_writable(mirror: Path) -> None:
    try:
        mirror.mkdir(parents=True, exist_ok=True)
        tempfile.NamedTemporaryFile(prefix=".", dir=mirror).close()
    except OSError as error:
        raise FolderNotWritableError.of(mirror, error, _OTHER) from error


def mirror_of(mirror: Path, place: RunPlace) -> str:
    """The path that the source of a run has in a mirror."""
    return filesystem.real_path(remote_copies.mirrored(mirror, place.source))


def mirrors_of(mirror: Path | None, places: Iterable[RunPlace]) -> dict[str, str]:
    """The same for the sources of some runs, by their path; nothing without a mirror.

    Raises:
        SettingError: two sources have the same path there.
    """
    if mirror is None:
        return {}
    sources = {place.source: place for place in places}
    mirrors = {str(source): mirror_of(mirror, place) for source, place in sources.items()}
    source_of = {path: source for source, path in mirrors.items()}
    for source, path in mirrors.items():
        if source_of[path] != source:
            raise SettingError(
                f"{path} cannot take what is fetched from {source} and from {source_of[path]}.",
                hint="Ingest one after the other, each with a folder of its own.",
            )
    return mirrors


def publish(mirror: Path, cache: Path, result: TaskResult, runs: Iterable[PendingRun]) -> None:
    """Give what was fetched of runs its names in a mirror, before they are committed.

    If the process is killed between the two, the next ingest reads the mirror.

    Args:
        mirror: the folder.
        cache: the folder of the cache.
        result: what became of the runs. Nothing is published of those that a store did not let be read.
        runs: that were read or rejected.

    Raises:
        FolderNotWritableError: the disk refused.
    """
    entries = () if result.segment is None else listed(cache, result.segment.runs).entries
    read: dict[str, Fingerprint] = {entry.key: entry.fingerprint for entry in entries}
    rejected = {bad.key: bad.fingerprint for bad in result.rejected}
    try:
        for run in runs:
            stamps = read.get(run.key, rejected.get(run.key))
            if stamps is not None:
                remote_copies.publish(mirror, run.place.path, stamps, is_read=run.key in read)
    except OSError as error:
        raise FolderNotWritableError.of(mirror, error, _OTHER) from error


def notes(mirror: Path | None, places: Iterable[RunPlace], rejected: Collection[str]) -> Iterator[str]:
    """What is said of runs that are not in the mirror, as the cache had them.

    Args:
        mirror: the folder.
        places: of all runs.
        rejected: `suite/folder` of runs that could not be read.
    """
    if mirror is None:
        return
    missing = [
        place
        for place in places
        if place.folder
        and f"{place.suite}/{place.folder}" not in rejected
        and not is_run(remote_copies.mirrored(mirror, place.path))
    ]
    if missing:
        begin = counted(len(missing), "run")
        yield f"{begin} in the cache already: not fetched, and not in {mirror}. Another cache has them fetched."
