"""`rejects`, `scores` and `samples` for SQL, made by Polars of all runs that the cache has."""

from collections.abc import Collection, Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa

from magnet_arrow._text import counted
from magnet_arrow.cache import Cache
from magnet_arrow.cli.printing import complain
from magnet_arrow.helm.run_place import RUNS, RunPlace
from magnet_arrow.predictions.metrics import METRIC
from magnet_arrow.predictions.scores import scores as scores_of
from magnet_arrow.query.frames import CachedRuns
from magnet_arrow.query.not_ingested import not_ingested_text
from magnet_arrow.runs.summaries import OF_SAMPLES, OF_SCORES, SummarizedRuns
from magnet_arrow.schema.registry import RUN, numbered, sql_name
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_ROWS_AT_ONCE = 50_000
"""Request states whose samples are made together."""
_KEY = sql_name(RUN)


def rejects(snapshot: Snapshot) -> pa.Table:
    """`Cache.rejects`."""
    return _arrow(Cache(snapshot.path).rejects())


def scores(snapshot: Snapshot, *, empty: bool) -> pa.Table:
    """`HelmRuns.scores` of all runs, with `magnet_run` in front; with `empty` just the columns.

    Runs that were ingested without a table that is needed are left out, and a line on stderr counts them.
    """
    summarized = _summarized(snapshot, () if empty else _with_tables(snapshot, OF_SCORES))
    runs = summarized.described()
    _report_missing(runs)
    found = scores_of(runs, summarized.stats(), summarized.cached.scan("per_instance_stats", key=True))
    return _arrow(pl.concat([runs.select(RUN), found], how="horizontal"))


def samples(snapshot: Snapshot, *, empty: bool) -> "Samples":
    """`HelmRuns.samples` of all runs but those that lack a table; see `scores`."""
    summarized = _summarized(snapshot, () if empty else _with_tables(snapshot, OF_SAMPLES))
    runs = summarized.described()
    _report_missing(runs)
    return Samples(summarized, runs)


@dataclass
class Samples:
    """The samples, made of some runs after the other, so that memory is bounded.

    Of a stat that an instance has several times with different values the last one counts, as in HELM.

    Attributes:
        summarized: the runs.
        runs: one row for each of them.
        needed: the columns that are read; None for all.
        error: what went wrong while it was read.
    """

    summarized: SummarizedRuns
    runs: pl.DataFrame
    needed: Set[str] | None = None
    error: Exception | None = field(default=None, init=False)

    @cached_property
    def schema(self) -> pa.Schema:
        """SQL names and types."""
        return _arrow(self._samples(range(0)).collect_schema().to_frame()).schema

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self.schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for numbers in self._parts():
                yield from self._rows(numbers).to_batches()
        except Exception as error:
            self.error = error
            raise

    def _rows(self, numbers: range) -> pa.Table:
        """The samples of some runs with all columns; those that are not needed are null."""
        rows = self._samples(numbers)
        names = dict(zip(self.schema.names, rows.collect_schema().names(), strict=True))
        kept = [name for name in names if self.needed is None or name in self.needed] or [_KEY]
        read = _arrow(rows.select(names[name] for name in kept).collect())
        found = dict(zip(kept, read.columns, strict=True))
        columns = [
            found[part.name].cast(part.type) if part.name in found else pa.nulls(read.num_rows, part.type)
            for part in self.schema
        ]
        return pa.table(columns, schema=self.schema)

    def _samples(self, numbers: range) -> pl.LazyFrame:
        """The samples of some runs, by their numbers."""
        part = SummarizedRuns(self.summarized.cached.take(numbers), ())
        runs = self.runs[numbers.start : numbers.stop]
        found = part.samples_of(runs.with_columns(pl.col(RUN).alias(_KEY)), "main", duplicates="last")
        return found.select(_KEY, pl.exclude(_KEY))

    def _parts(self) -> Iterator[range]:
        """Numbers of runs that have so many rows together, or of one that has more."""
        cached = self.summarized.cached
        begin = rows = 0
        for number, run in enumerate(cached.snapshot.chosen(cached.keys)):
            rows += run.rows("scenario_state").rows
            if rows >= _ROWS_AT_ONCE or number == len(cached.keys) - 1:
                yield range(begin, number + 1)
                begin, rows = number + 1, 0


def _with_tables(snapshot: Snapshot, tables: Collection[str]) -> tuple[str, ...]:
    if text := not_ingested_text(tables, snapshot.runs.values()):
        complain(text)
    wanted = frozenset(tables)
    return tuple(key for key, run in snapshot.runs.items() if run.entry.has_all_of(wanted))


def _summarized(snapshot: Snapshot, keys: tuple[str, ...]) -> SummarizedRuns:
    paths = {source.id: Path(source.path) for source in snapshot.manifest.sources}
    places = [_place(run, paths[run.entry.source]) for run in snapshot.chosen(keys)]
    return SummarizedRuns(CachedRuns(snapshot, keys), places)


def _place(run: CachedRun, source: Path) -> RunPlace:
    """Where a run is, or was: its suite may have a `schema.json` that names main metrics."""
    suites = source / RUNS if (source / RUNS / run.entry.suite).is_dir() else source
    return RunPlace(suites / run.entry.suite / run.entry.folder, source, run.entry.suite, run.entry.folder)


def _report_missing(runs: pl.DataFrame) -> None:
    if without := runs.get_column(METRIC).null_count():
        complain(f"No main metric for {without:,} of {counted(runs.height, 'run')}, so their scores are null.")


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """A frame in Arrow, with SQL names."""
    names = numbered(map(sql_name, frame.columns))
    nulls = [column.name for column in frame if column.dtype == pl.Null]
    settled = frame.with_columns(pl.col(nulls).cast(pl.String))
    return settled.to_arrow(compat_level=pl.CompatLevel.oldest()).rename_columns(names)
