"""The table `runs`: where each cached run comes from, and whether its rows are complete and current."""

from collections.abc import Set

import pyarrow as pa

from magnet_arrow.schema import registry
from magnet_arrow.storage.snapshot import Snapshot

RUNS = pa.schema(
    [
        *((name, pa.string()) for name in (registry.RUN, "source", "suite", "folder", registry.RUN_NAME)),
        *((name, pa.bool_()) for name in ("partial", "stale")),
    ]
)


def runs_table(snapshot: Snapshot, without: Set[str] = frozenset()) -> pa.Table:
    """One row per run, but for those of the keys `without`."""
    paths = {source.id: source.path for source in snapshot.manifest.sources}
    rows = [
        {
            registry.RUN: key,
            "source": paths.get(run.entry.source),
            "suite": run.entry.suite,
            "folder": run.entry.folder,
            registry.RUN_NAME: run.name,
            "partial": run.entry.is_partial,
            "stale": key in snapshot.stale,
        }
        for key, run in snapshot.runs.items()
        if key not in without
    ]
    return pa.Table.from_pylist(rows, schema=RUNS)
