"""What lies in a source or in the cache, as frames to look through. Nothing is ingested for it."""

from fnmatch import fnmatchcase

import polars as pl

from magnet_arrow.cache.shown import Columns
from magnet_arrow.cache.store import Cache
from magnet_arrow.errors import NoRunsError
from magnet_arrow.helm.layout import Source
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.scan import read_runs
from magnet_arrow.schema import RUN, RUN_NAME, TABLES

_SPEC = TABLES["run_spec"]
_WHAT = {_SPEC.named("adapter_spec.model"): "model", _SPEC.named("scenario_spec.class_name"): "scenario"}
_ROWS = {f"rows.{table}": table for table in TABLES}


def source_runs(source: Source, cache: Cache) -> pl.DataFrame:
    """One row a run of `source`: suite, run folder, model, scenario, and rows a table where it is cached."""
    runs = HelmRuns(source, cache=cache)
    snapshot = cache.snapshot()
    places = [(place.suite, place.folder) for place in runs.places]
    cached = [snapshot.lookup(place) for place in runs.places]
    rows = {table: [run.rows(table).rows if run else None for run in cached] for table in TABLES}
    return pl.concat(
        [
            pl.DataFrame(places, schema={"suite": pl.String, "run": pl.String}, orient="row"),
            runs.scan_run_specs().select(*_WHAT).rename(_WHAT).collect(),
            pl.DataFrame(rows, schema=dict.fromkeys(TABLES, pl.Int64)),
        ],
        how="horizontal",
    )


def cached_runs(cache: Cache) -> pl.DataFrame:
    """One row a cached run: source, suite, run folder, model, scenario, and rows a table.

    Raises:
        NoRunsError: the cache is empty.
    """
    runs = _runs(cache)
    specs = read_runs(cache.snapshot(), _SPEC.name, runs[RUN].to_list(), list(_WHAT)).collect()
    places = runs.select("source", "suite", pl.col("folder").alias("run"))
    rows = runs.select(*_ROWS).rename(_ROWS)
    return pl.concat([places, specs.select(*_WHAT).rename(_WHAT), rows], how="horizontal")


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
