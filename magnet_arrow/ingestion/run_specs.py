"""The run specs of some runs, from the cache where they are unchanged, else from their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from magnet_arrow.cache import Cache
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import BadFileError
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.api import CacheLike
from magnet_arrow.ingestion.plan import has_same_run_spec
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.ingestion.run_reader import RUN_SPEC, read_run_spec, stamps_of
from magnet_arrow.query.scan_runs import read_run_specs_of
from magnet_arrow.records.table_builder import Owner
from magnet_arrow.records.table_builders import ObjectBuilder
from magnet_arrow.sources.file import SourceFile
from magnet_arrow.storage.manifest import run_key
from magnet_arrow.storage.source_ids import SourceIds


@dataclass(frozen=True, slots=True)
class RunSpecs:
    """The run specs of some runs.

    Attributes:
        rows: of runs that can be read, in order. Columns: those of `run_spec` that occur, and `magnet.run` (of a run of
            a source that was never ingested, it means nothing outside this frame).
        readable: for each row, the index of its run.
        json_columns: the columns that are JSON text, since their values share no type.
        bad: why other runs cannot be read, by the index of the run.
    """

    rows: pl.LazyFrame
    readable: list[int]
    json_columns: frozenset[str]
    bad: Mapping[int, BadFileError]


def readable_run_specs(places: Sequence[RunPlace], cache: CacheLike = None) -> RunSpecs:
    """The run specs of some runs, without ingesting any.

    Args:
        places: of the runs.
        cache: the cache or its folder.
    """
    snapshot = Cache.coerce(cache).snapshot()
    known = snapshot.keys_of(places)
    ids = SourceIds(snapshot, [(place, stamps_of(place)) for place, key in zip(places, known, strict=True) if not key])
    cached = snapshot.among([key for key in known if key])
    builder = ObjectBuilder("run_spec")
    buffer = Buffer()
    keys, readable, bad = [], [], {}
    for index, place in enumerate(places):
        key = known[index] or run_key(ids.id_of(place), place.suite, place.folder)
        held = cached.get(key)
        if held is None or not has_same_run_spec(place, held.fingerprint):
            try:
                with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
                    spec, residual = read_run_spec(buffer, file)
            except BadFileError as error:
                bad[index] = error
                continue
            builder.append(builder.row_of(spec, residual), [Owner(key, spec.name)])
        keys.append(key)
        readable.append(index)
    frame, json_columns = read_run_specs_of(snapshot, keys, builder.flush() if builder.rows else None)
    return RunSpecs(frame, readable, json_columns, bad)


def read_run_specs(places: Sequence[RunPlace], cache: CacheLike = None) -> pl.DataFrame:
    """The rows of `readable_run_specs`, whose arguments these are: row i is that of place i.

    Raises:
        BadFileError: one of the run specs can't be read.
    """
    found = readable_run_specs(places, cache)
    for error in found.bad.values():
        raise error
    return found.rows.collect()
