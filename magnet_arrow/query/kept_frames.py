"""Frames of small runs that this process has read, kept for the next draw: many seeds draw the same runs.

A frame is kept under the segment that it was read from, which never changes; a run that is ingested again is in another
one. Where a merge puts runs into another segment, `follow` says so. The caller has a snapshot, so a changed source is
noticed before this module is asked.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import polars as pl
from msgspec import structs

from magnet_arrow.errors import CacheError
from magnet_arrow.query.frames import CachedRuns
from magnet_arrow.query.scan_runs import Selection, select_runs
from magnet_arrow.sources.file import Fingerprint
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

MAX_BYTES = 128 << 20
"""Frames are kept up to this size, those that were used last."""
MAX_RUN_BYTES = 4 << 20
"""Larger runs, by the size of their files, are read each time."""
MAX_TEXT_BYTES = 16 << 20
"""So are tables of a run with more text. A frame that shares a text among rows has it once, a copy in every row."""


class FrameKey(NamedTuple):
    """Which rows and columns a frame has.

    Attributes:
        cache: its folder.
        segment: id of the segment that the run is in.
        run: its key.
        fingerprint: of the run's files.
        table: which table.
        columns: names, types and values that are the run's own.
    """

    cache: Path
    segment: str
    run: str
    fingerprint: Fingerprint
    table: str
    columns: tuple[object, ...]


class KeptFrames:
    """Frames by key, the least recently used dropped where they exceed `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._frames: OrderedDict[FrameKey, tuple[pl.DataFrame, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: FrameKey) -> pl.DataFrame | None:
        """The frame of this key, if it is kept. It is a new object: columns added to it are not kept."""
        with self._lock:
            if key not in self._frames:
                return None
            self._frames.move_to_end(key)
            return self._frames[key][0].clone()

    def put(self, key: FrameKey, frame: pl.DataFrame) -> None:
        """Keep a frame."""
        size = int(frame.estimated_size())
        with self._lock:
            self.bytes += size - self._frames.pop(key, (None, 0))[1]
            self._frames[key] = frame.clone(), size
            while self.bytes > self.max_bytes:
                self.bytes -= self._frames.popitem(last=False)[1][1]

    def rename(self, new_key: Callable[[FrameKey], FrameKey]) -> None:
        """Keep each frame under the key that a function gives for its own."""
        with self._lock:
            self._frames = OrderedDict((new_key(key), kept) for key, kept in self._frames.items())
            self.bytes = sum(size for _, size in self._frames.values())


_KEPT = KeptFrames(MAX_BYTES)


def follow(before: Snapshot, after: Snapshot) -> None:
    """Keep frames of runs that a merge has put into another segment; of runs that were ingested again they are not.

    Small ingests are merged after every few dozen: 384 draws of `mmlu` read each frame three times without this.
    """
    gone = {one.id for one in before.manifest.segments} - {one.id for one in after.manifest.segments}
    if not gone:
        return
    try:
        was, now = before.runs, after.runs
    except CacheError:
        return  # a run list is damaged or cannot be read: the ingest has said so, and frames are read again
    moved = {key: run for key, run in was.items() if run.segment.id in gone and _is_same(run, now.get(key))}

    def new_key(key: FrameKey) -> FrameKey:
        run = moved.get(key.run)
        if run is None or (key.cache, key.segment) != (before.path, run.segment.id):
            return key
        return key._replace(segment=now[key.run].segment.id)

    _KEPT.rename(new_key)


def _is_same(before: CachedRun, after: CachedRun | None) -> bool:
    """Whether all is the same but where the rows are."""
    if after is None or before.schema_version != after.schema_version:
        return False
    return structs.replace(before.entry, tables={}) == structs.replace(after.entry, tables={})


def scan_kept(runs: CachedRuns, table: str) -> pl.LazyFrame:
    """The rows of one table, as `CachedRuns.scan` gives them; frames of small runs may be kept ones."""
    kept = _kept(runs, table)
    return runs.scan(table) if kept is None else kept.lazy()


def read_copy(runs: CachedRuns, table: str) -> pl.DataFrame:
    """The rows of one table, in buffers that hold no rows of other runs."""
    kept = _kept(runs, table)
    return copied(runs.scan(table).collect()) if kept is None else kept


def _kept(runs: CachedRuns, table: str) -> pl.DataFrame | None:
    """The rows of one table from kept frames; None where a run is large, or a copy of its rows would be."""
    chosen = select_runs(runs.snapshot, table, runs.keys, telling=runs.telling)
    if not chosen.runs or any(_source_bytes(run) > MAX_RUN_BYTES for run in chosen.runs):
        return None
    frames = _frames(chosen)
    if frames is None:
        return None
    # One chunk, as where they are not kept: the last digit of a mean depends on how rows are divided into chunks.
    return frames[0] if len(frames) == 1 else pl.concat(frames, rechunk=True)


def _frames(chosen: Selection) -> list[pl.DataFrame] | None:
    """The rows of each run; None where a copy of them would be large.

    Runs whose frames are not kept are read together: a scan for each took a third longer.
    """
    keys = {run.key: _key(chosen, run) for run in chosen.runs}
    frames = {run: frame for run, key in keys.items() if (frame := _KEPT.get(key)) is not None}
    missing = tuple(run for run in chosen.runs if run.key not in frames)
    if missing:
        rows = replace(chosen, runs=missing).lazy().collect()
        first = 0
        for run in missing:
            n_rows = run.rows(chosen.table.name).rows
            of_run = rows.slice(first, n_rows)
            if _text_bytes(of_run) > MAX_TEXT_BYTES:
                return None
            frames[run.key] = copied(of_run)
            _KEPT.put(keys[run.key], frames[run.key])
            first += n_rows
    return [frames[run.key] for run in chosen.runs]


def copied(frame: pl.DataFrame) -> pl.DataFrame:
    """A copy of a frame in buffers that hold its own rows and no others.

    `clone` shares all buffers, and `rechunk` the buffers of strings (both tried). Arrow's oldest layout has no shared
    string buffers, so a round trip through it copies just these rows. Frames of one run, kept without a copy, held
    those of the other runs in their row groups: 1.2 GB after 384 draws of `mmlu`.
    """
    stream = io.BytesIO()
    frame.write_ipc(stream, compat_level=pl.CompatLevel.oldest())
    return pl.read_ipc(stream.getvalue())


def _text_bytes(frame: pl.DataFrame) -> int:
    """Bytes of all texts, each as often as it occurs; texts in lists are not counted."""
    lengths = frame.select(pl.col(pl.String).str.len_bytes().cast(pl.Int64).sum())
    return sum(lengths.row(0)) if lengths.width else 0


def _source_bytes(run: CachedRun) -> int:
    return sum(stamp.size_bytes for stamp in run.fingerprint)


def _key(chosen: Selection, run: CachedRun) -> FrameKey:
    columns = tuple(
        (column.name, column.type, None if column.by_run is None else column.by_run[run.key])
        for column in chosen.projection
    )
    return FrameKey(chosen.cache, run.segment.id, run.key, run.fingerprint, chosen.table.name, columns)
