"""One row per answered question: prompt, answer, what would have been right, and the scores."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from magnet_arrow.errors import ColumnNotFoundError, SettingError
from magnet_arrow.predictions import joins
from magnet_arrow.predictions.answers import answer_columns
from magnet_arrow.predictions.asked import check_choice, check_name
from magnet_arrow.predictions.described_runs import METHOD
from magnet_arrow.predictions.identity import ITEM_KEY, PROMPT_KEY, REASON
from magnet_arrow.predictions.joins import NAME, ROW, STAT_NAME, VALUE, Duplicates
from magnet_arrow.predictions.metrics import METRIC, of_kind
from magnet_arrow.schema.registry import RUN, TABLES

Rows: TypeAlias = Literal["samples", "requests"]
"""Which request states are rows: one per answered question, or every one."""

Metrics: TypeAlias = Literal["main", "all"] | Sequence[str]
"""Which scores samples have: the run's main metric, every metric of kind quality, or these."""

SCORE = "score"
_STATE = TABLES["scenario_state"]
_REFERENCE = _STATE.named("request_states.reference_index")
_MODE = _STATE.named("request_states.request_mode")
_PICK = "predicted_index"
"""The stat that says which reference an adapter with one request per reference chose."""
_KEPT, _REFERENCE_INDEX, _REQUEST_MODE, _WANTED = "is a sample", "reference index", "request mode", "is chosen"
_PER_REFERENCE = pl.col(METHOD).str.starts_with("multiple_choice_separate") | (pl.col(METHOD) == "ranking_binary")


@dataclass(frozen=True, slots=True)
class RunTables:
    """The frames that samples are made of, all of the same runs and the same commit.

    Attributes:
        runs: one row per run: `magnet.run`, `method`, `metric` (the main one), and the columns that samples begin with.
        request_states: rows of table `scenario_state`, with `magnet.run`.
        per_instance_stats: rows of table `per_instance_stats`, with `magnet.run`.
        with_keys: adds `item_key`, `prompt_key` and why they are null to request states.
    """

    runs: pl.DataFrame
    request_states: pl.LazyFrame
    per_instance_stats: pl.LazyFrame
    with_keys: Callable[[pl.LazyFrame], pl.LazyFrame]


def scan_samples(
    tables: RunTables, metrics: Metrics = "main", *, rows: Rows = "samples", duplicates: Duplicates = "error"
) -> pl.LazyFrame:
    """See `HelmRuns.scan_samples`."""
    check_choice("rows", rows, ("samples", "requests"))
    if not (metrics in ("main", "all") if isinstance(metrics, str) else isinstance(metrics, Sequence)):
        raise SettingError("metrics:", expected="'main', 'all' or a list of names", found=repr(metrics))
    for name in metrics:
        check_name("metrics, a name", name)
    states, values = _stat_values(tables, metrics, duplicates)
    picks = _picks(values, states.height)
    if not isinstance(metrics, str):
        _check_names(metrics, tables.per_instance_stats, set(values[NAME].unique()))
    beside = [picks.to_frame(), _scores(values, states, tables.runs, metrics)]
    if rows == "samples":
        beside.append(_kept(tables, states, picks).to_frame())
    return _assembled(tables, pl.concat(beside, how="horizontal"))


def _stat_values(tables: RunTables, metrics: Metrics, duplicates: Duplicates) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The keys of the request states; and of each, by stat name, the values that are asked for."""
    wanted = tables.runs.get_column(METRIC).unique() if metrics == "main" else pl.Series(metrics, dtype=pl.String)
    stats = tables.per_instance_stats
    if metrics != "all" and STAT_NAME in stats.collect_schema():
        names = [*wanted.drop_nulls(), _PICK]
        stats = stats.filter(pl.col(STAT_NAME).is_in(names))
    states, found = joins.instance_keys(tables.request_states, stats)
    if metrics == "main":
        of_run = tables.runs.select(RUN, pl.col(METRIC).alias(NAME))
        is_main = found.join(of_run, on=[RUN, NAME], how="semi", maintain_order="left")
        found = pl.concat([is_main, found.filter(pl.col(NAME) == _PICK)])
    elif metrics == "all":
        names = [*of_kind(found[NAME].unique(), "quality"), _PICK]
        found = found.filter(pl.col(NAME).is_in(names))
    return states, joins.one_value_each(joins.match(states, found), duplicates)


def _picks(values: pl.DataFrame, n_states: int) -> pl.Series:
    """The reference that the adapter chose, by request state."""
    index = pl.col(VALUE).cast(pl.Int64, strict=False)  # NaN and the like choose no reference
    picked = values.filter(pl.col(NAME) == _PICK).unique(ROW).select(ROW, index.alias(_PICK))
    return joins.beside_rows(picked, n_states).get_column(_PICK)


def _scores(values: pl.DataFrame, states: pl.DataFrame, runs: pl.DataFrame, metrics: Metrics) -> pl.DataFrame:
    """`metric` and `score` of each request state, or one column per name."""
    if metrics == "main":
        main = states.select(RUN).join(runs.select(RUN, METRIC), on=RUN, how="left", maintain_order="left")
        scores = values.filter(pl.col(NAME) != _PICK).select(ROW, pl.col(VALUE).alias(SCORE))
        return pl.concat([main.select(METRIC), joins.beside_rows(scores, states.height)], how="horizontal")
    asked = set() if metrics == "all" else set(metrics)
    columns = joins.wide(values.filter((pl.col(NAME) != _PICK) | pl.col(NAME).is_in(asked)), states.height)
    if metrics == "all":
        return columns
    missing = {name: pl.lit(None, pl.Float64) for name in metrics if name not in columns.columns}
    return columns.with_columns(**missing).select(list(dict.fromkeys(metrics)))


def _check_names(metrics: Sequence[str], stats: pl.LazyFrame, found: Collection[str]) -> None:
    """Raise where no instance has a stat of a name that is asked for."""
    missing = [name for name in metrics if name not in found]
    if not missing:
        return
    has_stats = STAT_NAME in stats.collect_schema()
    known = stats.select(pl.col(STAT_NAME).unique()).collect()[STAT_NAME].to_list() if has_stats else []
    unknown = [name for name in missing if name not in known]
    if unknown:
        raise ColumnNotFoundError.among(unknown[0], known, table="per_instance_stats", what="stat")


def _kept(tables: RunTables, states: pl.DataFrame, picks: pl.Series) -> pl.Series:
    """Which request states are samples: all, or one per instance where each reference has a request.

    That is the request of the reference that the adapter chose, else the first; never one for calibration.
    """
    everything = pl.repeat(True, states.height, dtype=pl.Boolean, eager=True).alias(_KEPT)
    if not tables.runs.select(_PER_REFERENCE.any()).item():
        return everything
    types = tables.request_states.collect_schema()
    names = {_REFERENCE_INDEX: _REFERENCE, _REQUEST_MODE: _MODE}
    found = {alias: pl.col(name) if name in types else pl.lit(None) for alias, name in names.items()}
    # With the run, which is always there: a frame of nothing but nulls would have a single row.
    parts = tables.request_states.select(pl.col(RUN).alias("of run"), **found).drop("of run").collect()
    rows = pl.concat([states, parts, picks.to_frame()], how="horizontal")
    rows = rows.join(tables.runs.select(RUN, METHOD), on=RUN, how="left", maintain_order="left")
    key = [name for name in states.columns if name != ROW]
    is_original = (pl.col(_REQUEST_MODE) != "calibration").fill_null(True)
    is_pick = is_original & (pl.col(_REFERENCE_INDEX) == pl.col(_PICK)).fill_null(False)
    rows = rows.filter(_PER_REFERENCE).with_columns(is_original.alias(_REQUEST_MODE), is_pick.alias(_WANTED))
    wanted = pl.when(pl.col(_WANTED).any().over(key)).then(_WANTED).otherwise(_REQUEST_MODE)
    first = wanted & (wanted.cast(pl.UInt32).cum_sum().over(key) == 1)
    dropped = rows.select(ROW, first.alias(_KEPT)).filter(~pl.col(_KEPT))
    return joins.beside_rows(dropped, states.height).get_column(_KEPT).fill_null(True)


def _assembled(tables: RunTables, beside: pl.DataFrame) -> pl.LazyFrame:
    """The samples, with what is known of each request state beside its row."""
    types = tables.request_states.collect_schema()
    of_run = [name for name in tables.runs.columns if name not in (RUN, METHOD, METRIC)]
    scores = [name for name in beside.columns if name not in (_PICK, _KEPT)]
    states = tables.with_keys(tables.request_states)
    # Beside each other, and not joined: a join would have to find again what is in order already.
    rows = pl.concat([states, beside.lazy().select(pl.all().name.prefix(_BESIDE))], how="horizontal")
    if _KEPT in beside.columns:
        rows = rows.filter(_BESIDE + _KEPT)
    rows = rows.join(tables.runs.drop(METRIC).lazy(), on=RUN, how="left", maintain_order="left")
    methods = tables.runs[METHOD].drop_nulls().unique().to_list()
    columns = answer_columns(types, methods, pl.col(METHOD), pl.col(_BESIDE + _PICK))
    keys = [pl.col(ITEM_KEY), pl.col(ITEM_KEY + REASON), pl.col(PROMPT_KEY)]
    return rows.select(*of_run, *columns, *keys, *(pl.col(_BESIDE + name).alias(name) for name in scores))


_BESIDE = "beside."
