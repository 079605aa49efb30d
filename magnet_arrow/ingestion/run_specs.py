"""The run specs of some runs, from the cache where they are unchanged, else from their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from magnet_arrow.cache import Cache
from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.decoder import FastDecodeError
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import BadFileError
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.api import CacheLike
from magnet_arrow.ingestion.batch_reader import BATCH_BYTES
from magnet_arrow.ingestion.plan import has_same_run_spec
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.ingestion.run_reader import RUN_SPEC, read_run_spec, stamps_of
from magnet_arrow.query.scan_runs import read_run_specs_of
from magnet_arrow.records.table_builder import Owner
from magnet_arrow.records.table_builders import ObjectBuilder, ObjectRows
from magnet_arrow.sources import filesystem, remote_copies
from magnet_arrow.sources.file import FileStamp, SourceFile, plain_name
from magnet_arrow.storage.manifest import run_key
from magnet_arrow.storage.source_ids import SourceIds

_BATCH_RUNS = 256
"""How many run specs are decoded at once; if one of them needs a closer look, all of them are decoded one by one."""


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
    keys = [
        key or run_key(ids.id_of(place), place.suite, place.folder) for place, key in zip(places, known, strict=True)
    ]
    unread = []
    for index, (place, key) in enumerate(zip(places, keys, strict=True)):
        held = cached.get(key)
        if held is None or not has_same_run_spec(place, held.fingerprint):
            unread.append(index)
    builder, buffer = ObjectBuilder("run_spec"), Buffer()
    bad: dict[int, BadFileError] = {}
    for begin in range(0, len(unread), _BATCH_RUNS):
        runs = [(index, places[index], keys[index]) for index in unread[begin:][:_BATCH_RUNS]]
        with remote_copies.fetching_ahead(None, [_spec_of(place) for _, place, _ in runs]):
            bad |= _append(builder, buffer, runs)
    readable = [index for index in range(len(places)) if index not in bad]
    batch = builder.finish() if builder.rows else None
    frame, json_columns = read_run_specs_of(snapshot, [keys[index] for index in readable], batch)
    return RunSpecs(frame, readable, json_columns, bad)


def _spec_of(place: RunPlace) -> tuple[Path, list[FileStamp]]:
    """The folder of a run in a bucket and its run spec, to be fetched; of a local one no file."""
    stamps = stamps_of(place) if filesystem.is_remote(place.path) else ()
    return place.path, [stamp for stamp in stamps if plain_name(stamp.name) == RUN_SPEC]


def _append(
    builder: ObjectBuilder, buffer: Buffer, runs: Sequence[tuple[int, RunPlace, str]]
) -> dict[int, BadFileError]:
    """Append the run specs of some runs.

    Args:
        builder: of the run specs.
        buffer: for their files.
        runs: the index, the place and the key of each.

    Returns:
        Why those that are not appended cannot be read, by index.
    """
    rows = _read_together(builder, buffer, [place for _, place, _ in runs])
    if rows is not None:
        builder.append(rows, [Owner(key, spec.name) for (_, _, key), spec in zip(runs, rows.values, strict=True)])
        return {}
    bad = {}
    for index, place, key in runs:
        try:
            with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
                spec, residual = read_run_spec(buffer, file)
        except BadFileError as error:
            bad[index] = error
        else:
            builder.append(builder.row_of(spec, residual), [Owner(key, spec.name)])
    return bad


def _read_together(builder: ObjectBuilder, buffer: Buffer, places: Sequence[RunPlace]) -> ObjectRows | None:
    """The run specs at some places, decoded at once; None if one needs a closer look, or they are long."""
    buffer.clear()
    documents = []
    try:
        for place in places:
            with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
                documents.append(buffer.load(file))
            if buffer.used > BATCH_BYTES:
                return None
        rows = builder.read_files(
            [Chunk(buffer.data, one.begin, one.end, one.offset, 0, "$", one.where) for one in documents]
        )
    except (BadFileError, FastDecodeError):
        return None
    return rows if all(isinstance(spec.name, str) for spec in rows.values) else None


def read_run_specs(places: Sequence[RunPlace], cache: CacheLike = None) -> pl.DataFrame:
    """The rows of `readable_run_specs`, whose arguments these are: row i is that of place i.

    Raises:
        BadFileError: one of the run specs can't be read.
    """
    found = readable_run_specs(places, cache)
    for error in found.bad.values():
        raise error
    return found.rows.collect()
