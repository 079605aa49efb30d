"""Frames of what is in a source or in the cache. Nothing is ingested for them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

import polars as pl

from magnet_arrow._near_names import did_you_mean_pattern, near_names
from magnet_arrow._text import counted
from magnet_arrow.cache import Cache, n_rows, runs_frame
from magnet_arrow.cli.summaries import SHOWN
from magnet_arrow.cli.tables import Layout, cell_text
from magnet_arrow.errors import NoRunsError
from magnet_arrow.helm.layout import RUN_FILES, Source
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.query.not_ingested import not_ingested_text
from magnet_arrow.query.projection import Columns
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.schema.registry import RUN, RUN_NAME, RUN_TABLES, SUITE_TABLES, TABLES, Form
from magnet_arrow.storage.maintenance import sound
from magnet_arrow.storage.manifest import RunEntry
from magnet_arrow.storage.snapshot import Snapshot

_SPEC = TABLES["run_spec"]
_MODEL, _SCENARIO = _SPEC.named("adapter_spec.model"), _SPEC.named("scenario_spec.class_name")
_ROWS = {f"rows.{table.name}": table.name for table in RUN_TABLES}
_ALWAYS = [table.name for table in RUN_TABLES if table.file in RUN_FILES and table is not _SPEC]
_OTHERS = [table.name for table in RUN_TABLES if table.file not in RUN_FILES]
_SOMETIMES = [table for table in _OTHERS if TABLES[table].form is not Form.OBJECT]  # else each run has one row
_LISTED = [*_ALWAYS, *_SOMETIMES]
_SUITE_TABLES = [table.name for table in SUITE_TABLES]


SOURCES = Layout(heading=["source"], drop=["run_spec"], sizes=["size_bytes"])
COLUMNS = Layout(heading=["table"], drop=["nullable", "type"], least={"name": 32}, prose=["description"])
EXPORTED = Layout(sizes=["size_bytes"])


def runs_layout(listed: pl.DataFrame) -> Layout:
    """How `source_runs` and `cached_runs` are fitted; the column `partial` is the first to go if no run is."""
    needless = [] if listed["partial"].any() else ["partial"]
    tables = [table for table in reversed(_LISTED) if table != "scenario_state"]
    return Layout(
        heading=["source", "suite"],
        drop=[*needless, *tables, "scenario", "scenario_state", "lacks", "model"],
        least={"run": 44, "model": 18},
        prose=["lacks"],
    )


def source_runs(source: Source, cache: Cache) -> pl.DataFrame:
    """One row per run of `source`: suite, folder, model, scenario, and rows per table if it is cached.

    Model and scenario are null if the run spec cannot be read. `partial` is true if the cache lacks something of the
    run; `lacks` says what. `stale` is true if the cache holds an older state of a run that was rejected or lost since.
    The columns `stale` and `lacks`, and those of tables that not every run has, are there if a run has a value.
    """
    runs = HelmRuns(source, cache=cache)
    snapshot = cache.snapshot()
    places = [(place.suite, place.folder) for place in runs.places]
    cached = [snapshot.lookup(place) for place in runs.places]
    partial = pl.Series("partial", [run.entry.is_partial if run else None for run in cached], pl.Boolean)
    state = pl.DataFrame(
        {
            "stale": [run.key in snapshot.stale if run else None for run in cached],
            "lacks": [lacks(run.entry) if run else None for run in cached],
        },
        schema={"stale": pl.Boolean, "lacks": pl.String},
    )
    rows = {table: [n_rows(run, table) if run else None for run in cached] for table in _LISTED}
    listed = pl.concat(
        [
            pl.DataFrame(places, schema={"suite": pl.String, "run": pl.String}, orient="row"),
            _models_and_scenarios(runs),
            partial.to_frame(),
            state,
            pl.DataFrame(rows, schema=dict.fromkeys(_LISTED, pl.Int64)),
        ],
        how="horizontal",
    )
    return _without_unused(listed)


def cached_runs(cache: Cache) -> pl.DataFrame:
    """One row per cached run: source, suite, folder, model, scenario, `partial`, and rows per table.

    The columns `stale` and `lacks` are there if a run has a value.

    Raises:
        NoRunsError: the cache is empty.
    """
    snapshot = cache.snapshot()
    runs = _runs(cache, snapshot)
    specs = (
        select_runs(snapshot, _SPEC.name, runs[RUN].to_list(), [_MODEL, _SCENARIO])
        .lazy()
        .select(_model_and_scenario())
        .collect()
    )
    places = runs.select("source", "suite", pl.col("folder").alias("run"))
    entries = [snapshot.runs[key].entry for key in runs[RUN]]
    state = pl.DataFrame({"lacks": list(map(lacks, entries))}, schema={"lacks": pl.String})
    rows = runs.rename(_ROWS)
    parts = [places, specs, rows.select("partial", "stale"), state, rows.select(_LISTED)]
    return _without_unused(pl.concat(parts, how="horizontal"))


def matching(
    listed: pl.DataFrame,
    *,
    model: str | None = None,
    scenario: str | None = None,
    run: str | None = None,
    incomplete: bool = False,
) -> pl.DataFrame:
    """The runs of a list whose values match all patterns.

    Args:
        listed: as `cached_runs` or `source_runs` gives it.
        model: a pattern for models.
        scenario: a pattern for names of scenarios' classes.
        run: a pattern for folders of runs.
        incomplete: only runs that are not completely in the cache.

    Raises:
        NoRunsError: a pattern matches none of the runs that match those before it.
    """
    for column, pattern in (("model", model), ("scenario", scenario), ("run", run)):
        if pattern is None:
            continue
        names = listed[column].drop_nulls().unique()
        matches = [name for name in names if fnmatchcase(name, pattern) or name == pattern]
        if not matches:
            raise _none_matches(column, pattern, names.to_list())
        listed = listed.filter(pl.col(column).is_in(matches))
    return listed.filter(pl.col("partial").fill_null(value=True)) if incomplete else listed


def _none_matches(column: str, pattern: str, names: list[str]) -> NoRunsError:
    near = near_names(pattern, names)
    shown = [*near, *sorted(set(names).difference(near))][:SHOWN]
    of_others = ", …" if len(names) > SHOWN else ""
    return NoRunsError(
        f"No {column} matches {pattern!r}.",
        found=f"{counted(len(names), column)}: {', '.join(shown)}{of_others}" if names else "none at all",
        hint=did_you_mean_pattern(pattern, names) or None,
    )


def lacks(entry: RunEntry) -> str | None:
    """What a partial run lacks, on one line: which file, from which byte, and why."""
    texts = []
    for one in entry.lacking:
        byte = "" if one.byte is None else f" from byte {one.byte:,}"
        texts.append(f"{one.file}{byte}: {one.reason}")
    return " ".join(texts) or None


def _without_unused(listed: pl.DataFrame) -> pl.DataFrame:
    """Drop columns of tables without rows, and marks that no run has."""
    unused = [table for table in _SOMETIMES if not listed[table].sum()]
    unused += [] if listed["stale"].any() else ["stale"]
    unused += [] if listed["lacks"].count() else ["lacks"]
    return listed.drop(unused)


def _model_and_scenario() -> list[pl.Expr]:
    """Model, and scenario without the module of its class."""
    return [pl.col(_MODEL).alias("model"), pl.col(_SCENARIO).str.split(".").list.last().alias("scenario")]


def _models_and_scenarios(runs: HelmRuns) -> pl.DataFrame:
    """Model and scenario of each run; null if its run spec cannot be read."""
    specs, found = runs.readable_run_specs()
    known = specs.select(_model_and_scenario()).collect()
    rows: list[int | None] = [None] * len(runs)
    for row, index in enumerate(found.readable):
        rows[index] = row
    return known[pl.Series(rows, dtype=pl.UInt32)] if found.bad else known


def sources(cache: Cache) -> pl.DataFrame:
    """One row per source in the cache: number of runs, of partial and of stale runs, bytes, rows per table.

    Tables that not every run has, and tables of suites, are shown if they have rows.
    """
    of_runs = (
        cache.runs()
        .group_by("source", maintain_order=True)
        .agg(pl.len().alias("runs"), pl.col("partial", "stale").sum(), pl.col("size_bytes").sum(), pl.col(*_ROWS).sum())
        .rename(_ROWS)
    )
    listed = of_runs.join(_rows_of_suites(cache), on="source", how="left", maintain_order="left")
    return listed.drop(table for table in [*_OTHERS, *_SUITE_TABLES] if not listed[table].sum())


def bytes_on_disk(cache: Cache) -> int:
    """Bytes of all files in a cache's folder, including those that wait to be removed."""
    return sum(path.stat().st_size for path in cache.path.rglob("*") if path.is_file())


def _rows_of_suites(cache: Cache) -> pl.DataFrame:
    """One row per source: rows of each table of suites."""
    snapshot = cache.snapshot()
    paths = {source.id: source.path for source in snapshot.manifest.sources}
    rows = [
        {"source": paths[suite.entry.source], **{table: suite.rows(table).rows for table in _SUITE_TABLES}}
        for suite in snapshot.suites.values()
    ]
    types = pl.Schema({"source": pl.String(), **dict.fromkeys(_SUITE_TABLES, pl.Int64())})
    return pl.DataFrame(rows, schema=types).group_by("source").agg(pl.col(_SUITE_TABLES).sum())


def columns(tables: Iterable[str]) -> pl.DataFrame:
    """One row per registered column of some tables: table, name, type, nullable, description."""
    rows = [{"table": table, **column} for table in tables for column in TABLES[table].to_json()["columns"]]
    return pl.DataFrame(rows).select("table", "name", "type", "nullable", "description")


def records(frame: pl.DataFrame) -> pl.DataFrame:
    """A wide frame, turned: one row per column, with its type and its values in each row of the frame."""
    values = {str(number): list(map(cell_text, row)) for number, row in enumerate(frame.iter_rows())}
    return pl.DataFrame({"column": frame.columns, "type": list(map(str, frame.dtypes)), **values})


def records_layout(turned: pl.DataFrame) -> Layout:
    """How `records` are fitted: a value is compared with those of the same column."""
    return Layout(drop=["type"], least={"column": 36}, compared=turned.columns[2:])


def values(frame: pl.DataFrame) -> pl.DataFrame:
    """A wide frame, as one row per value: the number of its row, its column, the type, and the value."""
    unpivoted = records(frame).unpivot(index=["column", "type"], variable_name="row", value_name="value")
    return unpivoted.select(pl.col("row").cast(pl.Int64), "column", "type", "value")


def first_rows(
    cache: Cache,
    table: str,
    *,
    runs: str,
    columns: Columns,
    rows: int,
    reading: sound.Reading = sound.STRICT,
) -> pl.DataFrame:
    """The first rows of a table, of the cached runs whose folder or name matches the pattern `runs`.

    For a table of suites: of the suites that match, and of releases, which are called `releases/<version>`.

    Args:
        cache: the cache.
        table: which table.
        runs: the pattern.
        columns: as for `HelmRuns.scan`.
        rows: how many.
        reading: whether damaged runs are excluded; who is told what is excluded, and of stale runs.

    Raises:
        NoRunsError: the cache is empty, or no run in it matches.
        ColumnNotFoundError: `columns` names one that the table does not have.
        CacheDamagedError: a file that must be read is missing or damaged.
    """
    snapshot, damaged = sound.snapshot_of(cache.path, reading)
    known = _runs(cache, snapshot) if TABLES[table].of == "run" else _suites(snapshot, table)
    known = known.filter(~pl.col(RUN).is_in(sorted(damaged)))
    matches = [
        any(fnmatchcase(name, runs) or name == runs for name in names)
        for names in known.select("folder", RUN_NAME).iter_rows()
    ]
    kept = known.filter(pl.Series(matches, dtype=pl.Boolean))
    if kept.is_empty():
        raise NoRunsError(
            f"No {TABLES[table].of} in the cache matches {runs!r}.",
            found=f"{known.height} others, such as {known['folder'][0]}" if known.height else "none at all",
            hint=did_you_mean_pattern(runs, set(known["folder"])) or "`magnet-arrow ls` shows all.",
        )
    # As few runs as have that many rows; the others need not be opened.
    if text := not_ingested_text([table], snapshot.among(kept[RUN].to_list()).values()):
        reading.tell(text)
    before = kept[f"rows.{table}"].fill_null(0).cum_sum().shift(1, fill_value=0)
    keys = kept.filter(before < rows)[RUN].to_list()
    if stale := [key for key in keys if key in snapshot.stale]:
        reading.tell(
            f"{counted(len(stale), 'run')} of these stale, such as {stale[0].partition('/')[2]}; see `magnet-arrow ls`."
        )
    with sound.going_on():
        return select_runs(snapshot, table, keys, columns).lazy().head(rows).collect()


def _suites(snapshot: Snapshot, table: str) -> pl.DataFrame:
    """The suites and releases, in the columns that `first_rows` needs."""
    suites = snapshot.suites
    rows = [(key, suite.entry.suite, suite.entry.suite, suite.rows(table).rows) for key, suite in suites.items()]
    columns = {RUN: pl.String, "folder": pl.String, RUN_NAME: pl.String, f"rows.{table}": pl.Int64}
    return pl.DataFrame(rows, schema=columns, orient="row").sort(RUN)


def _runs(cache: Cache, snapshot: Snapshot) -> pl.DataFrame:
    runs = runs_frame(snapshot)
    if runs.is_empty():
        raise NoRunsError(f"The cache in {cache.path} is empty.", hint="`magnet-arrow ingest PATH` reads runs into it.")
    return runs
