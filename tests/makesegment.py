"""Segments without a dump: runs whose only file is stats.json, committed as an ingest would commit them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.errors import Where
from magnet_arrow.records.row_group import Batch
from magnet_arrow.records.stat_builders import StatsBuilder
from magnet_arrow.records.table_builder import Owner
from magnet_arrow.sources.file import FileStamp
from magnet_arrow.storage.manifest import RunEntry, Segment, Source, run_key
from magnet_arrow.storage.segments.writer import SegmentWriter
from magnet_arrow.storage.snapshot import Snapshot
from magnet_arrow.storage.transaction import Transaction, commit_transaction

SUITE = "v1"
Runs = Mapping[str, Iterable[Any]]
"""Values of each run, by its folder: numbers are means, a dict is a stat's perturbation parameters."""


def key_of(folder: str, source: str = "s0") -> str:
    return run_key(source, SUITE, folder)


def stats_batch(runs: Runs, source: str = "s0", builder: StatsBuilder | None = None) -> Batch:
    """One row group of these runs; the same `builder` again for a run that goes on."""
    builder = builder or StatsBuilder()
    for folder, values in runs.items():
        stats = [
            {"name": {"name": "m", "perturbation": value}} if isinstance(value, dict) else {"mean": value}
            for value in values
        ]
        data = json.dumps(stats).encode()
        rows = builder.read(Chunk(bytearray(data), 0, len(data), 0, 0, "$", Where(folder, "stats.json")))
        builder.append(rows, [Owner(key_of(folder, source), f"name of {folder}")])
    return builder.flush()


def run_entry(folder: str, source: str = "s0", state: int = 1) -> RunEntry:
    """A run whose file was in this state when it was read."""
    stamp = FileStamp("stats.json", 100, state)
    return RunEntry(source, SUITE, folder, f"name of {folder}", (stamp,), {})


def make_segment(cache: Path, *groups: Runs, source: str = "s0", state: int = 1) -> Segment:
    """A finished segment that no manifest names yet; each mapping is a row group."""
    writer = SegmentWriter(cache)
    for runs in groups:
        writer.add(stats_batch(runs, source))
        for folder in runs:
            writer.add_run(run_entry(folder, source, state))
    return writer.finish()


def commit_runs(cache: Path, *groups: Runs, source: str = "s0", state: int = 1) -> Snapshot:
    """A commit of one segment."""
    segment = make_segment(cache, *groups, source=source, state=state)
    return commit_transaction(cache, Transaction(segment=segment, sources=[Source(source, f"/dumps/{source}")]))
