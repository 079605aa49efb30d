"""One long run that two workers read: its parts, and one segment of the two that they wrote.

One part is the run's largest file, the other all other files. A run of 2.1 GB is read a third faster so.
"""

import os
from collections import Counter
from pathlib import Path

import msgspec

from magnet_arrow.decode.anomalies import add_counts
from magnet_arrow.ingestion.parallel.task import PendingRun, Task, TaskResult
from magnet_arrow.ingestion.rules import Share, chosen_files
from magnet_arrow.ingestion.run_reader import largest_file
from magnet_arrow.schema import registry
from magnet_arrow.sources.file import plain_name
from magnet_arrow.storage import commit, manifest
from magnet_arrow.storage.checksums import file_entry
from magnet_arrow.storage.maintenance import vacuum
from magnet_arrow.storage.manifest import FileEntry, RunEntry, RunList, Segment, TableEntry
from magnet_arrow.storage.snapshot import listed

MIN_PART_BYTES = 32 << 20
"""A run with a smaller part is read by one worker."""

_FILE_ORDER = [table.file for table in registry.RUN_TABLES]
"""The order in which one worker reads the files of a run."""


def parts_of(run: PendingRun) -> list[PendingRun]:
    """A long run in two parts for two workers; the run itself if a part is too small."""
    if not run.place.folder:
        return [run]
    file = largest_file(chosen_files(run))
    parts = [msgspec.structs.replace(run, share=Share(file, rest)) for rest in (False, True)]
    return parts if min(part.size_bytes for part in parts) >= MIN_PART_BYTES else [run]


class SharedRuns:
    """Collects the results of parts, until both parts of a run have ended."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._ended: dict[str, tuple[Task, TaskResult]] = {}

    def add(self, task: Task, result: TaskResult) -> tuple[list[Task], TaskResult] | None:
        """Add the result of a part: None if the other part has not ended, else both tasks and the run's result.

        If a part could not be read, nothing of the other is kept. The run is rejected if a worker died of it, and else
        left to be read by one worker.

        Raises:
            CacheNotWritableError: the disk refused.
        """
        key = task.runs[0].key
        if key not in self._ended:
            self._ended[key] = task, result
            return None
        other, other_result = self._ended.pop(key)
        rest, one = (result, other_result) if task.is_rest else (other_result, result)
        tasks = [other, task]
        joined = self._join(rest, one)
        if joined is None:
            for part in tasks:
                vacuum.discard(self._cache, part.name)
            rejected = (*other_result.rejected, *result.rejected)[:1]
            joined = TaskResult(rejected=rejected, left=() if rejected else (task.runs[0].undivided(),))
        return tasks, joined

    def _join(self, rest: TaskResult, one: TaskResult) -> TaskResult | None:
        """The result of the whole run; None if one worker must read it."""
        if rest.segment is None or one.segment is None:
            return None
        joined = _join_segments(self._cache, rest.segment, one.segment)
        if joined is None:
            return None
        segment, entry = joined
        unexpected = Counter(rest.unexpected)
        add_counts(unexpected, one.unexpected)
        return msgspec.structs.replace(
            rest,
            segment=segment,
            partial=int(entry.is_partial),
            lacking=entry.lacking,
            rows=dict(Counter(rest.rows) + Counter(one.rows)),
            unexpected=unexpected,
            notes=tuple(sorted(one.notes + rest.notes)),
        )


def _join_segments(cache: Path, segment: Segment, other: Segment) -> tuple[Segment, RunEntry] | None:
    """Make one segment of two, not committed yet, that hold different tables of the same run; its entry of the run.

    Args:
        cache: the cache's folder.
        segment: keeps its id. Its entry of the run is right but for the files that are in the other.
        other: all its files are moved or removed.

    Returns:
        None, and nothing has changed, if both have rows of one table (a file that could be no table was kept as text,
        as other files are), or if the run's bytes changed between the two.

    Raises:
        CacheNotWritableError: the disk refused. All files that are left have the ids of either.
    """
    ours, theirs = (listed(cache, one.runs) for one in (segment, other))
    if segment.tables.keys() & other.tables.keys() or ours.entries[0].content != theirs.entries[0].content:
        return None
    entry = _join_entries(ours.entries[0], theirs.entries[0], len(ours.profiles))
    path = cache / segment.runs.path
    profiles = (*ours.profiles, *theirs.profiles)
    try:
        moved = {name: _move(cache, table, segment.id) for name, table in other.tables.items()}
        path.write_bytes(manifest.run_list_bytes(RunList(profiles, (entry,), ours.columns | theirs.columns)))
        (cache / other.runs.path).unlink()
    except OSError as error:
        raise commit.not_writable(cache, error) from error
    return msgspec.structs.replace(segment, tables=segment.tables | moved, runs=file_entry(path, cache)), entry


def _join_entries(ours: RunEntry, theirs: RunEntry, n_profiles: int) -> RunEntry:
    tables = {
        name: msgspec.structs.replace(rows, profile=rows.profile + n_profiles) for name, rows in theirs.tables.items()
    }
    return msgspec.structs.replace(
        ours,
        tables=ours.tables | tables,
        missing=tuple(sorted(ours.missing + theirs.missing, key=_FILE_ORDER.index)),
        cut=ours.cut | theirs.cut,
        residual=ours.residual | theirs.residual,
        not_kept=tuple(sorted(theirs.not_kept + ours.not_kept)),
        elements=ours.elements | theirs.elements,
        rejected=tuple(
            sorted(ours.rejected + theirs.rejected, key=lambda one: _FILE_ORDER.index(plain_name(one.file)))
        ),
    )


def _move(cache: Path, table: TableEntry, segment: str) -> TableEntry:
    """Give a table's file the name that it has in another segment."""
    old = Path(table.file.path)
    new = old.with_name(f"{segment}{old.suffix}")
    os.replace(cache / old, cache / new)
    file: FileEntry = msgspec.structs.replace(table.file, path=new.as_posix())
    return msgspec.structs.replace(table, file=file)
