"""How the tests ingest and read: through the package's own functions, with the frames as they return them."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magnet_arrow import HelmRuns
from magnet_arrow.cache import Cache
from magnet_arrow.helm.layout import RunPlace, find_runs
from magnet_arrow.ingestion import batch_reader
from magnet_arrow.ingestion.api import IngestReport, ingest
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import RUN_TABLES
from magnet_arrow.storage import snapshot

Source = PathLike[str] | Sequence[PathLike[str]]


def ingest_in_batches_of_one(outputs: Path, cache: Path, **options: Any) -> IngestReport:
    """As `ingest`, with a batch for each run, as in a dump of its own: of a batch with one odd run all are read singly.

    So cases that each need a run share a dump, which is ingested once.
    """
    batches = batch_reader.batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_reader, "batches", lambda runs, _: batches(runs, 1))
        return ingest(outputs, cache, **options)


def cached_places(source: Source, cache: Path) -> list[RunPlace]:
    """Those runs of a source that the cache has, in the order in which the source lists them."""
    cached = Cache(cache).snapshot()
    return [place for place in find_runs(source).places if cached.lookup(place) is not None]


def read(places: Sequence[RunPlace], table: str, cache: Path, *, hidden: bool = False) -> pl.DataFrame:
    """One table's frame for these runs, which must be cached, without columns that tell suites apart."""
    cached = Cache(cache).snapshot()
    entries = [cached.lookup(place) for place in places]
    keys = [entry.key for entry in entries if entry]
    return select_runs(cached, table, keys, own="hidden" if hidden else "none", telling=()).lazy().collect()


def forget_run_lists() -> None:
    """What this process has read of caches, as if it were another: one reads a run list once."""
    snapshot.listed.cache_clear()
    snapshot._deleted.cache_clear()


def all_tables(cache: Path) -> dict[str, pl.DataFrame]:
    """All rows of all tables, sorted by place. A source's id is random, and left out."""
    found = {}
    for table in registry.TABLES:
        run = pl.col("magnet.run").str.split("/").list.slice(1).list.join("/")
        frame = Cache(cache).scan(table).with_columns(run.alias("magnet.run"))
        found[table] = frame.sort("magnet.run", "magnet.row").collect()
    return found


def assert_same_tables(local: Path, source: str | Path, cache: Path) -> None:
    """Compare each table of a source in its cache with that of a folder, which is ingested into a cache beside it."""
    ours, theirs = HelmRuns(source, cache=cache), HelmRuns(local, cache=cache.with_name("local"))
    assert [place.folder for place in ours.places] == [place.folder for place in theirs.places]
    for table in RUN_TABLES:
        assert ours.scan(table.name).collect().equals(theirs.scan(table.name).collect()), table.name
