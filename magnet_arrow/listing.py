"""What lies in a source or in the cache, as frames to look through. Nothing is ingested for it."""

from fnmatch import fnmatchcase

import polars as pl

from magnet_arrow.cache.shown import Columns
from magnet_arrow.cache.store import Cache
from magnet_arrow.errors import BadFileError, NoRunsError
from magnet_arrow.helm.layout import Source
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.scan import read_runs
from magnet_arrow.schema import RUN, RUN_NAME, TABLES

_SPEC = TABLES["run_spec"]
_MODEL, _SCENARIO = _SPEC.named("adapter_spec.model"), _SPEC.named("scenario_spec.class_name")
_ROWS = {f"rows.{table}": table for table in TABLES}
_LISTED = [table for table in TABLES if table != _SPEC.name]  # of run specs each run has one


def source_runs(source: Source, cache: Cache) -> pl.DataFrame:
    """One row a run of `source`: suite, run folder, model, scenario, and rows a table where it is cached.

    Model and scenario are null where the run spec cannot be read.
    """
    runs = HelmRuns(source, cache=cache)
    snapshot = cache.snapshot()
    places = [(place.suite, place.folder) for place in runs.places]
    cached = [snapshot.lookup(place) for place in runs.places]
    rows = {table: [run.rows(table).rows if run else None for run in cached] for table in _LISTED}
    return pl.concat(
        [
            pl.DataFrame(places, schema={"suite": pl.String, "run": pl.String}, orient="row"),
            _readable_specs(runs).select(_what()).collect(),
            pl.DataFrame(rows, schema=dict.fromkeys(_LISTED, pl.Int64)),
        ],
        how="horizontal",
    )


def cached_runs(cache: Cache) -> pl.DataFrame:
    """One row a cached run: source, suite, run folder, model, scenario, and rows a table.

    Raises:
        NoRunsError: the cache is empty.
    """
    runs = _runs(cache)
    specs = read_runs(cache.snapshot(), _SPEC.name, runs[RUN].to_list(), [_MODEL, _SCENARIO]).select(_what()).collect()
    places = runs.select("source", "suite", pl.col("folder").alias("run"))
    return pl.concat([places, specs, runs.rename(_ROWS).select(_LISTED)], how="horizontal")


def _what() -> list[pl.Expr]:
    """Model, and scenario without the modules that its class is in."""
    return [pl.col(_MODEL).alias("model"), pl.col(_SCENARIO).str.split(".").list.last().alias("scenario")]


def _readable_specs(runs: HelmRuns) -> pl.LazyFrame:
    """Model and scenario class of each run; one that cannot be read costs a few halvings, not the list."""
    try:
        return runs.scan_run_specs().select(_MODEL, _SCENARIO)
    except BadFileError:
        if len(runs) == 1:
            return pl.LazyFrame([[None], [None]], schema=dict.fromkeys([_MODEL, _SCENARIO], pl.String))
    half = len(runs) // 2
    return pl.concat([_readable_specs(runs[:half]), _readable_specs(runs[half:])])


def sources(cache: Cache) -> pl.DataFrame:
    """One row a source in the cache: how many runs and bytes of it are cached, and rows a table."""
    return (
        cache.runs()
        .group_by("source", maintain_order=True)
        .agg(pl.len().alias("runs"), pl.col("size_bytes").sum(), pl.col(*_ROWS).sum())
        .rename(_ROWS)
    )


def columns(table: str) -> pl.DataFrame:
    """One row a registered column of a table: name, type, nullable, description."""
    contract = TABLES[table].to_json()
    return pl.DataFrame(contract["columns"]).select("name", "type", "nullable", "description")


def first_rows(cache: Cache, table: str, *, runs: str, columns: Columns, rows: int) -> pl.DataFrame:
    """The first rows of a table, over the cached runs whose folder or name matches the pattern `runs`.

    Raises:
        NoRunsError: the cache is empty, or no run in it matches.
        ColumnNotFoundError: `columns` names one that the table does not have.
    """
    known = _runs(cache)
    matches = [
        any(fnmatchcase(name, runs) or name == runs for name in names)
        for names in known.select("folder", RUN_NAME).iter_rows()
    ]
    kept = known.filter(pl.Series(matches, dtype=pl.Boolean))
    if kept.is_empty():
        raise NoRunsError(
            f"No run in the cache matches {runs!r}.",
            found=f"{known.height} others, such as {known['folder'][0]}",
            hint="`magnet-arrow ls` shows them all.",
        )
    # As few runs as hold that many rows: the rest need not be opened.
    before = kept[f"rows.{table}"].cum_sum().shift(1, fill_value=0)
    keys = kept.filter(before < rows)[RUN].to_list()
    return read_runs(cache.snapshot(), table, keys, columns).head(rows).collect()


def _runs(cache: Cache) -> pl.DataFrame:
    runs = cache.runs()
    if runs.is_empty():
        raise NoRunsError(f"The cache in {cache.path} is empty.", hint="`magnet-arrow ingest PATH` takes runs into it.")
    return runs
