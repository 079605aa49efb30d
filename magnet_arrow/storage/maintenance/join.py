"""A run whose files were taken by two workers: their segments, not committed yet, become one."""

import os
from pathlib import Path

import msgspec

from magnet_arrow.schema import registry
from magnet_arrow.sources.file import plain_name
from magnet_arrow.storage import commit, manifest
from magnet_arrow.storage.checksums import file_entry
from magnet_arrow.storage.manifest import FileEntry, RunEntry, RunList, Segment, TableEntry
from magnet_arrow.storage.snapshot import listed


def join(cache: Path, segment: Segment, other: Segment) -> tuple[Segment, RunEntry] | None:
    """Make one segment of two that hold different tables of the same run; its entry of the run.

    Args:
        cache: the cache's folder.
        segment: keeps its id. The run's entry in it is right but for the files that are in the other.
        other: nothing is left of it.

    Returns:
        None, and nothing has changed, if both have rows of a table (a file that could be no table was kept as text in
        one of many files), or if the run's bytes were others to one than to the other.

    Raises:
        CacheNotWritableError: the disk refused. What is left of both has the ids of either.
    """
    ours, theirs = (listed(cache, one.runs) for one in (segment, other))
    if segment.tables.keys() & other.tables.keys() or ours.entries[0].content != theirs.entries[0].content:
        return None
    entry = _joined(ours.entries[0], theirs.entries[0], len(ours.profiles))
    path = cache / segment.runs.path
    profiles = (*ours.profiles, *theirs.profiles)
    try:
        moved = {name: _moved(cache, table, segment.id) for name, table in other.tables.items()}
        path.write_bytes(manifest.run_list_bytes(RunList(profiles, (entry,), ours.columns | theirs.columns)))
        (cache / other.runs.path).unlink()
    except OSError as error:
        raise commit.not_writable(cache, error) from error
    return msgspec.structs.replace(segment, tables=segment.tables | moved, runs=file_entry(path, cache)), entry


def _joined(ours: RunEntry, theirs: RunEntry, n_profiles: int) -> RunEntry:
    tables = {
        name: msgspec.structs.replace(rows, profile=rows.profile + n_profiles) for name, rows in theirs.tables.items()
    }
    return msgspec.structs.replace(
        ours,
        tables=ours.tables | tables,
        missing=tuple(sorted(ours.missing + theirs.missing, key=_PLACES.index)),
        cut=ours.cut | theirs.cut,
        residual=ours.residual | theirs.residual,
        not_kept=tuple(sorted(theirs.not_kept + ours.not_kept)),
        elements=ours.elements | theirs.elements,
        rejected=tuple(sorted(ours.rejected + theirs.rejected, key=lambda one: _PLACES.index(plain_name(one.file)))),
    )


_PLACES = [table.file for table in registry.RUN_TABLES]
"""In which order one worker takes a run's files."""


def _moved(cache: Path, table: TableEntry, segment: str) -> TableEntry:
    """A table's file under the name that it has in another segment."""
    old = Path(table.file.path)
    new = old.with_name(f"{segment}{old.suffix}")
    os.replace(cache / old, cache / new)
    file: FileEntry = msgspec.structs.replace(table.file, path=new.as_posix())
    return msgspec.structs.replace(table, file=file)
