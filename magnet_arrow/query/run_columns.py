"""Columns that say where a run is. Default frames show them where runs of equal names are to be told apart."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa

from magnet_arrow import _interning
from magnet_arrow.schema.dynamic_types import CellType
from magnet_arrow.storage.snapshot import CachedRun

SUITE, SOURCE, FOLDER = "magnet.suite", "magnet.source", "magnet.folder"
RUN_COLUMNS = (SUITE, SOURCE, FOLDER)
TYPE = CellType(pa.string())

Named: TypeAlias = tuple[str, str, str, str]
"""Name, suite, source and folder of a run."""


def telling_apart(runs: Sequence[CachedRun]) -> list[str]:
    """The columns that tell apart runs of equal names; none if all names differ."""
    if len({run.name for run in runs}) == len(runs):
        return []
    return telling_names_apart((run.name, run.entry.suite, run.entry.source, run.entry.folder) for run in runs)


def telling_names_apart(runs: Iterable[Named]) -> list[str]:
    """As `telling_apart`; a run that occurs twice counts once."""
    by_name: dict[str, set[Named]] = defaultdict(set)
    for run in runs:
        by_name[run[0]].add(run)
    twins = [run for same in by_name.values() if len(same) > 1 for run in same]
    if not twins:
        return []
    sources, folders = defaultdict(set), defaultdict(set)
    for name, suite, source, folder in twins:
        sources[name, suite].add(source)
        folders[name, suite, source].add(folder)
    needs_source = any(len(several) > 1 for several in sources.values())
    needs_folder = any(len(several) > 1 for several in folders.values())
    return [SUITE, *([SOURCE] if needs_source else []), *([FOLDER] if needs_folder else [])]


def values_by_run(name: str, runs: Iterable[CachedRun], sources: Mapping[str, str]) -> dict[str, str]:
    """One of `RUN_COLUMNS`: its value for each run, by `magnet.run`.

    Args:
        name: of the column.
        runs: the runs.
        sources: paths of sources, by id.
    """
    entries = [run.entry for run in runs]
    match name:
        case "magnet.suite":
            return {entry.key: entry.suite for entry in entries}
        case "magnet.source":
            return {entry.key: sources[entry.source] for entry in entries}
        case _:
            return {entry.key: entry.folder for entry in entries}


def column(keys: pa.ChunkedArray, values: Mapping[str, str]) -> pa.DictionaryArray:
    """The column for some rows, by their `magnet.run`."""
    import polars as pl  # which a query of other columns does without

    found = _interning.used(keys)
    # By Polars: `pa.array` of a list imports pandas, to see whether the list is one of its own.
    texts = pl.Series([values[key] for key in found.dictionary.to_pylist()], dtype=pl.String)
    distinct = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
    return pa.DictionaryArray.from_arrays(found.indices, distinct)
