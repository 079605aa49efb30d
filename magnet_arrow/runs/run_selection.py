"""Which runs a frame holds: the complete ones. The others are reported with the reasons.

Only the sources as they are now decide, not what earlier ingests accepted: every call gives the same answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.cache import Cache, rejects_frame
from magnet_arrow.checks.validate import validate
from magnet_arrow.errors import CacheLockedError, CacheNotWritableError, Rejected, Where, warn
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.ensure_cached import Ensured, ensure_cached, rejected_error
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.schema.table_choice import Choice
from magnet_arrow.storage.snapshot import CachedRun, Snapshot


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that frames do not hold, or hold a part of.

    Attributes:
        place: of the run.
        what: is excluded: "run", "rest of file", "file", or "newer state".
        rejected: why.
        is_partial: some of the run could be read.
    """

    place: RunPlace
    what: str
    rejected: Rejected
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Selected:
    """The runs that frames hold, in one snapshot of a cache.

    Attributes:
        snapshot: of the cache.
        keys: of the runs, in order.
        left_out: what is not read, in the order of the runs.
        error: why some runs are read in an older state than the source has.
    """

    snapshot: Snapshot
    keys: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    error: CacheNotWritableError | CacheLockedError | None = None

    def rejects(self) -> pl.DataFrame:
        """What is excluded, in the columns of `Cache.rejects`."""
        return rejects_frame(
            (str(one.place.source), one.place.suite, one.place.folder, one.what, reason_of(one))
            for one in self.left_out
        )


def select_runs(
    places: Sequence[RunPlace],
    cache: Cache,
    *,
    partial: bool,
    strict: bool,
    progress: bool = True,
    tables: Choice = None,
) -> Selected:
    """The runs that can be read. Those that the cache does not have as they are now are ingested first.

    A `MagnetWarning` counts the excluded runs.

    Args:
        places: of the runs.
        cache: the cache.
        partial: read partial runs too.
        strict: raise where a run would be excluded, or read in an older state.
        progress: that of `ensure_cached`.
        tables: that of `ensure_cached`.

    Raises:
        BadFileError: a run cannot be read, or is partial, and `strict` says so or no other is left.
        CacheNotWritableError: a run is not in the cache, which can't be written; or it has changed, and `strict`.
        CacheLockedError: the same, as another process does not let go of the lock.
    """
    selected = look_at(places, cache, partial=partial, progress=progress, tables=tables)
    bad = [one for one in selected.left_out if one.what == "run"]
    if bad and (strict or not selected.keys):
        go_on = "Without strict=True frames hold the other runs." if selected.keys else "There is no other run."
        raise rejected_error([reason_of(bad[0]), *(one.rejected for one in bad[1:])], go_on=go_on)
    outdated = [one for one in selected.left_out if one.what == "newer state"]
    if outdated and strict and selected.error is not None:
        raise type(selected.error)(selected.error.message, hint=_outdated_text(outdated))
    if bad:
        warn(_left_out_text(bad, len(places)), _HINT, shell_hint=_SHELL_HINT)
    if outdated:
        warn(f"{selected.error} {_outdated_text(outdated)}")
    return selected


def look_at(
    places: Sequence[RunPlace],
    cache: Cache,
    *,
    partial: bool,
    retry: bool = False,
    progress: bool = True,
    tables: Choice = None,
) -> Selected:
    """The same without warnings and errors for single runs; `retry`, `progress` and `tables` as of `ensure_cached`."""
    ensured = ensure_cached(places, cache, partial=partial, retry=retry, progress=progress, tables=tables)
    snapshot = ensured.snapshot
    keys = [key or "" for key in snapshot.keys_of(places)]
    held = snapshot.among(keys)
    kept, left_out = [], []
    first: dict[str, RunPlace] = {}
    for key, place in zip(keys, places, strict=True):
        if key and first.setdefault(key, place) != place:  # of a bucket and its mirror a run is there once
            continue
        run = held.get(key)
        faults = _faults(ensured, key, run, place, partial) if _is_special(ensured, key, run) else []
        left_out += faults
        if run is not None and all(fault.what != "run" for fault in faults):
            kept.append(key)
    return Selected(snapshot, tuple(kept), tuple(left_out), ensured.error)


def _is_special(ensured: Ensured, key: str, run: CachedRun | None) -> bool:
    return run is None or key in ensured.rejected or key in ensured.outdated or run.entry.is_partial


def _faults(ensured: Ensured, key: str, run: CachedRun | None, place: RunPlace, partial: bool) -> list[LeftOut]:
    """What is excluded of a run that is incomplete, or that the cache has in an older state."""
    if run is None or key in ensured.rejected:
        return [LeftOut(place, "run", ensured.rejected[key].rejected)]
    faults = []
    if run.entry.is_partial:
        lacking = run.entry.lacking if partial else run.entry.lacking[:1]
        what = run.entry.left_out if partial else lambda _: "run"
        faults = [LeftOut(place, what(one), one, is_partial=True) for one in lacking]
    if key in ensured.outdated:
        reason = f"It has changed, and the cache cannot be written: {ensured.error}"
        faults.append(LeftOut(place, "newer state", Rejected(run=where_of(place), file="", reason=reason)))
    return faults


def reason_of(one: LeftOut) -> Rejected:
    """Why a run is excluded; of an incomplete one, why it is rejected without `partial`."""
    found = validate([one.place]).rejected if one.is_partial and one.what == "run" else ()
    return found[0] if found else one.rejected


def _left_out_text(bad: Sequence[LeftOut], n_runs: int) -> str:
    """The warning that some runs are excluded; its text does not depend on the state of the cache."""
    first = Where(bad[0].rejected.run, bad[0].rejected.file)
    return (
        f"{len(bad):,} of {counted(n_runs, 'run')} excluded, as they cannot be read, are partial or have vanished. "
        f"The first: {first}."
    )


_HINT = "`rejects()` tells why; with partial=True partial runs are read, with strict=True this raises."
_SHELL_HINT = "`magnet-arrow rejects` tells why; with --partial partial runs are read."


def _outdated_text(outdated: Sequence[LeftOut]) -> str:
    names = ", ".join(where_of(one.place) for one in outdated)
    return f"These runs have changed, and are known only as they were when last ingested: {names}."
