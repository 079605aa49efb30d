"""All rows of a table, by Polars over every segment."""

from collections.abc import Callable, Sequence

import polars as pl
import pyarrow as pa

from magnet_arrow.query.projection import (
    Residuals,
    Shown,
    frame_schema,
    hidden_columns,
    polars_type,
    registered,
    without_shown,
)
from magnet_arrow.records.flatten import bounded, with_overflow
from magnet_arrow.schema import dynamic_types, registry
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import EXTRA, RUN, Table
from magnet_arrow.storage import checksums
from magnet_arrow.storage.manifest import TableEntry
from magnet_arrow.storage.profiles import kinds_of
from magnet_arrow.storage.segments import evolution, segment_files
from magnet_arrow.storage.segments.evolution import Other
from magnet_arrow.storage.snapshot import Snapshot


def scan(snapshot: Snapshot, table: str) -> pl.LazyFrame:
    """See `Cache.scan`."""
    schema = registry.table(table)
    runs = list(snapshot.entries.values())
    shown = [registered(schema, name) for name in schema.names if name not in schema.hidden]
    shown += hidden_columns(schema, runs)
    kept, _ = bounded(kinds_of(schema, runs), (run.dynamic(table) for run in runs))
    shown += [Shown(name, dynamic_types.frame_type(kind), registered=False) for name, kind in sorted(kept.items())]
    frames = []
    for segment in snapshot.manifest.segments:
        entry = segment.tables.get(table)
        if entry is None:
            continue
        frame = pl.scan_parquet(checksums.check_digest(snapshot.path, entry.file), glob=False)
        others = segment_files.others(snapshot.path, segment, table)
        with checksums.reading(snapshot.path, entry.file):
            frame = _with_registered(_adapted(frame, others) if others else frame, schema)
        dead = snapshot.deleted(segment)
        if dead:
            frame = frame.filter(~pl.col(RUN).is_in(sorted(dead)))
        frames.append(frame.select(_expression(schema, entry, column) for column in shown))
    if not frames:
        return pl.LazyFrame(schema=frame_schema(shown))
    return pl.concat(frames, how="vertical")


def _adapted(frame: pl.LazyFrame, others: Sequence[Other]) -> pl.LazyFrame:
    """A segment's rows, written under another schema, in the columns of this one."""
    names = [EXTRA, *(other.name for other in others)]
    types = {EXTRA: pl.String()} | {other.name: polars_type(other.want) for other in others if other.want is not None}

    def adapt(series: pl.Series) -> pl.Series:
        columns = {column.name: column.to_arrow() for column in series.struct.unnest()}
        adapted = evolution.adapted(columns, others)
        return pl.DataFrame({name: pl.Series(name, adapted[name], dtype) for name, dtype in types.items()}).to_struct()

    column = pl.struct(names).map_batches(adapt, return_dtype=pl.Struct(types)).alias(_ADAPTED)
    return frame.with_columns(column).drop(names).unnest(_ADAPTED)


_ADAPTED = "magnet.adapted"


def _with_registered(frame: pl.LazyFrame, table: Table) -> pl.LazyFrame:
    """A segment's rows with the registered columns that it has no values of."""
    there = frame.collect_schema()
    absent = [column for column in table.columns if column.name not in there]
    return frame.with_columns(pl.lit(None, polars_type(column.type)).alias(column.name) for column in absent)


def _expression(table: Table, entry: TableEntry, column: Shown) -> pl.Expr:
    """A frame's column out of a segment's file."""
    dtype = polars_type(column.type.arrow)
    if column.registered:
        overflow = {name: Kind(entry.dynamic[name]) for name in column.overflow if name in entry.dynamic}
        if overflow or any(name not in entry.dynamic for name in column.shown):
            return _extra(table, entry, column, overflow)
        return pl.col(column.name)
    if column.name not in entry.dynamic:
        if not entry.rows:
            return pl.lit(None, dtype).alias(column.name)
        return _mapped(EXTRA, lambda values: Residuals.of(values).column(table, column), dtype).alias(column.name)
    have = dynamic_types.stored_type(Kind(entry.dynamic[column.name]))
    if have == column.type:
        return pl.col(column.name)
    return _mapped(column.name, lambda values: dynamic_types.convert(values.combine_chunks(), have, column.type), dtype)


def _extra(table: Table, entry: TableEntry, column: Shown, overflow: dict[str, Kind]) -> pl.Expr:
    """The residual column with what the frame has no room for, and without what only the segment had no room for."""

    def merge(series: pl.Series) -> pl.Series:
        columns = series.struct.unnest().to_arrow()
        extra = without_shown(columns.column(EXTRA), table, column, entry.dynamic)
        return pl.Series(EXTRA, with_overflow(extra, columns, table, overflow), dtype=pl.String)

    return pl.struct(EXTRA, *overflow).map_batches(merge, return_dtype=pl.String).alias(EXTRA)


def _mapped(name: str, function: Callable[[pa.ChunkedArray], pa.Array], dtype: pl.DataType) -> pl.Expr:
    """A conversion that Polars cannot do itself (JSON text from texts, say), column by column."""

    def convert(series: pl.Series) -> pl.Series:
        values = series.to_arrow()
        chunked = pa.chunked_array([values.cast(pa.string()) if pa.types.is_large_string(values.type) else values])
        return pl.Series(series.name, function(chunked), dtype=dtype)

    return pl.col(name).map_batches(convert, return_dtype=dtype)
