"""Which columns occur in some runs, and which kinds of value, by the profiles in their run lists."""

from collections.abc import Iterable, Mapping, Sequence

from magnet_arrow.schema import dynamic_types
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import Table
from magnet_arrow.storage.manifest import Profile, Segment
from magnet_arrow.storage.snapshot import CachedRun


def bits_of(table: Table, runs: Sequence[CachedRun]) -> int:
    """Bit set over the table's registered columns: those whose key occurs in one of these runs."""
    bits = 0
    for run in distinct_profiles(table, runs):
        bits |= run.occurs(table.name)
    return bits


def distinct_profiles(table: Table, runs: Sequence[CachedRun]) -> Iterable[CachedRun]:
    """One run for each different profile."""
    return {(id(run.profiles), run.rows(table.name).profile): run for run in runs}.values()


def kinds_of(table: Table, runs: Sequence[CachedRun]) -> dict[str, Kind]:
    """Kinds of every column found in the data of these runs."""
    kinds: dict[str, Kind] = {}
    for run in distinct_profiles(table, runs):
        merge_kinds(kinds, run.dynamic(table.name))
    return kinds


def in_residual(segment: Segment, profiles: Iterable[Profile], table: Table) -> dict[str, Kind]:
    """Kinds of the columns that a segment keeps in the residual of a table.

    Segments of older caches had at most 1,024 columns that were found in the data; the values of others were kept
    there.

    Args:
        segment: which segment.
        profiles: those of its run list.
        table: which table.
    """
    stored = segment.tables[table.name].dynamic if table.name in segment.tables else {}
    found: dict[str, Kind] = {}
    for profile in profiles:
        names = [name for name in profile.dynamic.keys() - stored if table.dynamic_object_of(name)]
        merge_kinds(found, {name: Kind(profile.dynamic[name]) for name in names})
    return {name: kind for name, kind in found.items() if dynamic_types.stored_type(kind) != dynamic_types.NOTHING}


def merge_kinds(kinds: dict[str, Kind], more: Mapping[str, Kind]) -> None:
    """Add to each column's kinds."""
    for name, kind in more.items():
        kinds[name] = kinds.get(name, Kind(0)) | kind
