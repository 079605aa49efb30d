"""What of a cache can be read though some of it is damaged."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from magnet_arrow._forks import require_threads
from magnet_arrow._text import counted
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.storage import manifest
from magnet_arrow.storage.maintenance import check
from magnet_arrow.storage.snapshot import Snapshot

_GO_ON = "If its source is gone: skip_damaged=True leaves the damaged runs out, the others are sound."


@contextlib.contextmanager
def going_on() -> Iterator[None]:
    """Errors about damage say how the sound runs can be had."""
    try:
        yield
    except CacheDamagedError as error:
        error.hint = " ".join(filter(None, (error.hint, _GO_ON)))
        raise


def snapshot_of(cache: Path, *, skip_damaged: bool, tell: Callable[[str], None]) -> tuple[Snapshot, frozenset[str]]:
    """The cache as it is now, its run lists read, and the keys of the runs that are to be left out of it.

    Args:
        cache: its folder.
        skip_damaged: leave out runs that damage affects, for which all that the cache holds is read.
        tell: told which runs these are.

    Raises:
        CacheDamagedError: a run list is damaged, and `skip_damaged` is false; or the manifest is.
        ForkedError: this process was forked from one that had used Polars.
    """
    require_threads()
    current = manifest.read_manifest(cache)
    if not skip_damaged:
        snapshot = Snapshot(cache, current)
        with going_on():
            snapshot.read_run_lists()
        return snapshot, frozenset()
    known = tuple(segment for segment in current.segments if check.of_run_list(cache, segment) is None)
    keys = frozenset(key for found in check.check(cache).damages for key in found.keys)
    if keys:
        names = sorted(key.partition("/")[2].rstrip("/") for key in keys)
        more = ", …" if len(names) > _SHOWN else ""
        tell(f"{counted(len(names), 'run')} left out, as the cache is damaged: {', '.join(names[:_SHOWN])}{more}.")
    return Snapshot(cache, msgspec.structs.replace(current, segments=known)), keys


_SHOWN = 5
