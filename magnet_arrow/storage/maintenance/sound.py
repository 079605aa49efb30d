"""Reads the sound runs of a damaged cache."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from magnet_arrow._forks import require_threads
from magnet_arrow._text import counted
from magnet_arrow.errors import CacheDamagedError, warn
from magnet_arrow.storage import manifest
from magnet_arrow.storage.maintenance import check
from magnet_arrow.storage.snapshot import Snapshot

_GO_ON = "If its source is gone: skip_damaged=True leaves out the damaged runs; the others are sound."


@contextlib.contextmanager
def going_on() -> Iterator[None]:
    """Add to errors about damage how to get at the sound runs."""
    try:
        yield
    except CacheDamagedError as error:
        error.hint = " ".join(filter(None, (error.hint, _GO_ON)))
        raise


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a cache that may be damaged.

    Attributes:
        skip_damaged: exclude the runs that are damaged. To find them, the whole cache is read.
        tell: is called with a message about what is excluded or stale; by default a `MagnetWarning`.
    """

    skip_damaged: bool = False
    tell: Callable[[str], None] = warn


STRICT = Reading()
"""A damaged cache is an error."""


def snapshot_of(cache: Path, reading: Reading) -> tuple[Snapshot, frozenset[str]]:
    """The current snapshot of a cache, with its run lists read, and the keys of the runs to exclude.

    Args:
        cache: its folder.
        reading: whether damaged runs are excluded, and who is told which.

    Raises:
        CacheDamagedError: a run list is damaged, and damaged runs are not to be excluded; or the manifest is.
        ForkedError: this process was forked from one that had used Polars.
    """
    require_threads()
    current = manifest.read_manifest(cache)
    if not reading.skip_damaged:
        snapshot = Snapshot(cache, current)
        with going_on():
            snapshot.read_run_lists()
        return snapshot, frozenset()
    known = tuple(segment for segment in current.segments if check.of_run_list(cache, segment) is None)
    keys = frozenset(key for found in check.check(cache).damages for key in found.keys)
    if keys:
        names = sorted(key.partition("/")[2].rstrip("/") for key in keys)
        more = ", …" if len(names) > _SHOWN else ""
        reading.tell(
            f"{counted(len(names), 'run')} excluded, as the cache is damaged: {', '.join(names[:_SHOWN])}{more}."
        )
    return Snapshot(cache, msgspec.structs.replace(current, segments=known)), keys


_SHOWN = 5
