"""Request states joined with the stats of their instances.

HELM gives no pointer from a stat of an instance to the request that it is about, and writes several entries per
instance: one per metric class, and with some metrics one per request. So this is the one place that knows the key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.errors import ColumnNotFoundError, JoinError, SettingError, warn
from magnet_arrow.predictions.asked import check_choice
from magnet_arrow.query.polars_types import polars_type
from magnet_arrow.schema.registry import RUN, TABLES, Table

_STATE, _STAT = TABLES["scenario_state"], TABLES["per_instance_stats"]

Duplicates: TypeAlias = Literal["error", "first", "last", "mean"]
"""What to do where one stat of one instance has several different values."""

STAT_NAME, STAT_VALUE = _STAT.named("stats.name.name"), _STAT.named("stats.mean")
ROW = "row"
"""Position of a request state in its frame, from 0."""

_TRIAL, _ID, _SPLIT, _SUB_SPLIT = "trial", "instance id", "split", "sub-split"
_STATE_KEY = {
    RUN: RUN,
    _TRIAL: _STATE.named("request_states.train_trial_index"),
    _ID: _STATE.named("request_states.instance.id"),
    _SPLIT: _STATE.named("request_states.instance.split"),
    _SUB_SPLIT: _STATE.named("request_states.instance.sub_split"),
}
_STAT_KEY = {
    RUN: RUN,
    _TRIAL: _STAT.named("train_trial_index"),
    _ID: _STAT.named("instance_id"),
    _SPLIT: _STAT.named("stats.name.split"),
    _SUB_SPLIT: _STAT.named("stats.name.sub_split"),
}
_STATE_PERTURBATION = _STATE.named("request_states.instance.perturbation.name").removesuffix("name")
_STAT_PERTURBATION = _STAT.named("perturbation.name").removesuffix("name")
_NEEDED_OF_STATES = [_STATE_KEY[part] for part in (RUN, _TRIAL, _ID)]
_NEEDED_OF_STATS = [*(_STAT_KEY[part] for part in (RUN, _TRIAL, _ID)), STAT_NAME, STAT_VALUE]
"""Columns without which there is no key, or nothing to join."""
NAME, VALUE = "name", "value"
"""Columns of a stat's name and its mean."""
STAT_ROW = "stat row"
"""Position of a stat in its frame, from 0."""
_VALUES = "values"
_AS_SCANNED = "Leave the columns of the key and of the stats as scan() gives them."
_PLACE, _PLACES = "place in its key", "request states of its key"


@dataclass(frozen=True, slots=True)
class InstanceJoin:
    """Request states with the stats of their instances.

    Attributes:
        rows: the request states in their order, each once, with all their columns, and behind them one column per
            stat name with the stat's mean; null where the instance has no such stat.
        unmatched_states: request states whose instance has no stat.
        unmatched_stats: stats of which there is no request state.
        n_unmatched_states: how many request states these are.
        n_unmatched_stats: how many stats these are.
    """

    rows: pl.LazyFrame
    unmatched_states: pl.LazyFrame
    unmatched_stats: pl.LazyFrame
    n_unmatched_states: int
    n_unmatched_stats: int


def join_instances(
    request_states: pl.LazyFrame,
    per_instance_stats: pl.LazyFrame,
    *,
    validate: Literal["m:1", "1:1"] = "m:1",
    unmatched: Literal["report", "error", "ignore"] = "report",
    duplicates: Duplicates = "error",
) -> InstanceJoin:
    """The request states with the stats of their instances, one column per stat name.

    Both are of one instance if they have the same run (`magnet.run`: where it is, not how it is called), trial,
    instance id, split, sub-split and perturbation with all its parameters; two nulls are the same. A stat that has no
    split, as in dry runs, belongs to the instance whatever its split.

    The entries that HELM writes for one instance are merged by stat name. Where an instance has several requests
    (one per reference, for example) its stats go to each of them. Where there are as many values as requests, as in
    language modeling, the first value belongs to the first request, and so on.

    The columns of the key are read at once, everything else when `rows` is collected.

    Args:
        request_states: rows of table `scenario_state`, with `magnet.run` (`key=True`).
        per_instance_stats: rows of table `per_instance_stats` of the same cache, with `magnet.run`.
        validate: "m:1": several request states may share the stats of one instance; "1:1": they may not.
        unmatched: what happens where something has no partner: "report" counts it by a `MagnetWarning`, "error"
            raises, "ignore" says nothing.
        duplicates: what happens where an instance has a stat several times, with different values: "error" raises;
            "first", "last" (as in HELM) and "mean" say which value counts.

    Raises:
        ColumnNotFoundError: a column of the key is missing.
        JoinError: a stat has different values; a column has a type that does not join; or what `validate` or
            `unmatched` do not allow.

    >>> from magnet_arrow import HelmOutputs
    >>> runs = HelmOutputs.demo().suites("my-suite").runs()
    >>> states, stats = runs.scan("scenario_state", key=True), runs.scan("per_instance_stats", key=True)
    >>> join_instances(states, stats).rows.select("exact_match").sum().collect().item()
    18.0
    """
    check_choice("validate", validate, ("m:1", "1:1"))
    check_choice("unmatched", unmatched, ("report", "error", "ignore"))
    check_choice("duplicates", duplicates, ("error", "first", "last", "mean"))
    _check_frames(request_states=request_states, per_instance_stats=per_instance_stats)
    request_states, per_instance_stats = request_states.lazy(), per_instance_stats.lazy()
    states, stats = instance_keys(request_states, per_instance_stats)
    matched = match(states, stats)
    if validate == "1:1":
        _check_one_to_one(states)
    values = one_value_each(matched, duplicates)
    columns = wide(values, states.height)
    taken = next((name for name in columns.columns if name in request_states.collect_schema()), None)
    if taken is not None:
        text = f"The request states have a column {taken!r} already, which is also the name of a stat."
        raise JoinError(text, hint="Rename or drop the column first.")
    lonely_states = ~states[ROW].is_in(matched[ROW].unique().implode())
    lonely_stats = ~stats[STAT_ROW].is_in(matched[STAT_ROW].unique().implode())
    _report_unmatched(unmatched, lonely_states, lonely_stats)
    return InstanceJoin(
        pl.concat([request_states, columns.lazy()], how="horizontal"),
        _where(request_states, lonely_states),
        _where(per_instance_stats, lonely_stats),
        int(lonely_states.sum()),
        int(lonely_stats.sum()),
    )


def instance_keys(request_states: pl.LazyFrame, per_instance_stats: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The keys of request states and of stats under the same names, with their row numbers; and the stats' values.

    Raises:
        ColumnNotFoundError: a column without which there is no key is missing.
        JoinError: a column of the key, or of the stats' names and values, has a type that it cannot have.
    """
    request_states = _with_needed(request_states, _NEEDED_OF_STATES, _STATE)
    per_instance_stats = _with_needed(per_instance_stats, _NEEDED_OF_STATS, _STAT)
    state_types, stat_types = request_states.collect_schema(), per_instance_stats.collect_schema()
    _check_stat_types(stat_types)
    pairs = dict(zip(_STATE_KEY.values(), _STAT_KEY.values(), strict=True)) | _parameters(state_types, stat_types)
    ours, theirs = [], []
    for name, (state, stat) in zip([*_STATE_KEY, *list(pairs)[len(_STATE_KEY) :]], pairs.items(), strict=True):
        left, right = _comparable(state, stat, state_types.get(state), stat_types.get(stat))
        ours.append(left.alias(name))
        theirs.append(right.alias(name))
    numbers = {NAME: pl.col(STAT_NAME), VALUE: pl.col(STAT_VALUE)}
    states = request_states.select(ours).with_row_index(ROW)
    stats = per_instance_stats.select(*theirs, **numbers).with_row_index(STAT_ROW)
    return pl.collect_all([states, stats])  # type: ignore[return-value]


def match(states: pl.DataFrame, stats: pl.DataFrame) -> pl.DataFrame:
    """Every pair of a request state and a stat of its instance, in the order of the stats."""
    key = [name for name in states.columns if name != ROW]
    without_split = [name for name in key if name not in (_SPLIT, _SUB_SPLIT)]
    has_split = stats[_SPLIT].is_not_null()
    parts = []
    for on, rows in ((key, stats.filter(has_split)), (without_split, stats.filter(~has_split))):
        if not rows.is_empty():
            found = _numbered(states, on).join(rows, on=on, nulls_equal=True, maintain_order="right")
            parts.append(found.select(ROW, _PLACE, _PLACES, STAT_ROW, NAME, VALUE))
    if not parts:
        return _numbered(states, key).join(stats, on=key).select(ROW, _PLACE, _PLACES, STAT_ROW, NAME, VALUE)
    return pl.concat(parts)


def one_value_each(matched: pl.DataFrame, duplicates: Duplicates) -> pl.DataFrame:
    """One value per request state and stat name.

    Raises:
        JoinError: a stat has different values for one instance, and `duplicates` is "error".
    """
    one = matched.select(pl.struct(ROW, NAME).n_unique()).item() == matched.height
    if one:
        return matched.select(ROW, NAME, VALUE)
    known = pl.col(VALUE).drop_nulls()
    grouped = matched.group_by(ROW, NAME, maintain_order=True).agg(
        pl.col(_PLACE).first(),
        pl.col(_PLACES).first(),
        pl.col(STAT_ROW),
        pl.col(VALUE).alias(_VALUES),
        known.first().alias("first"),
        known.last().alias("last"),
        known.mean().alias("mean"),
        (known.n_unique() > 1).alias("different"),
    )
    by_order = pl.col(_VALUES).list.len() == pl.col(_PLACES)
    if duplicates == "error":
        _check_same(grouped.filter(pl.col("different") & ~by_order))
    in_order = pl.col(_VALUES).list.get(pl.col(_PLACE), null_on_oob=True)
    other = pl.col("first" if duplicates == "error" else duplicates)
    return grouped.select(ROW, NAME, pl.when(by_order).then(in_order).otherwise(other).alias(VALUE))


def one_pair_each(matched: pl.DataFrame) -> pl.DataFrame:
    """The pairs of `match`; of as many values of a stat as there are request states, each has the one at its place."""
    group = (ROW, NAME)
    by_order = pl.len().over(group) == pl.col(_PLACES)
    at_its_place = pl.int_range(pl.len(), dtype=pl.UInt32).over(group) == pl.col(_PLACE)
    return matched.filter(~by_order | at_its_place)


def with_key_columns(states: pl.LazyFrame, stats: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The frames with every column of the key; what occurs in no run is null."""
    return _with_nulls(states, _NEEDED_OF_STATES, _STATE), _with_nulls(stats, _NEEDED_OF_STATS, _STAT)


def _with_nulls(rows: pl.LazyFrame, names: list[str], table: Table) -> pl.LazyFrame:
    missing = [name for name in names if name not in rows.collect_schema()]
    return rows.with_columns(pl.lit(None, polars_type(table.column(name).type)).alias(name) for name in missing)


def wide(values: pl.DataFrame, n_states: int) -> pl.DataFrame:
    """One row per request state, in their order, and one column per stat name, sorted by name."""
    names = values[NAME].unique().sort()
    if names.is_empty():
        return beside_rows(values.select(ROW).clear(), n_states)
    return beside_rows(values.pivot(NAME, on_columns=names, index=ROW, values=VALUE), n_states)


def beside_rows(values: pl.DataFrame, n_states: int) -> pl.DataFrame:
    """One row per request state, in their order: the values of its row number, or null."""
    rows = pl.DataFrame({ROW: pl.int_range(n_states, dtype=pl.UInt32, eager=True)})
    return rows.join(values, on=ROW, how="left", maintain_order="left").drop(ROW)


def _numbered(states: pl.DataFrame, on: list[str]) -> pl.DataFrame:
    """The request states, each with its place among those of the same key, and how many these are."""
    sizes = states.group_by(on).len(_PLACES)
    if sizes.height == states.height:
        return states.with_columns(pl.lit(0, pl.UInt32).alias(_PLACE), pl.lit(1, pl.UInt32).alias(_PLACES))
    place = pl.int_range(pl.len(), dtype=pl.UInt32).over(on).alias(_PLACE)
    return states.with_columns(place, pl.len().over(on).alias(_PLACES))


def _parameters(state_types: pl.Schema, stat_types: pl.Schema) -> dict[str, str]:
    """The columns of a perturbation's parameters, also those that only one side has."""
    keys = {name.removeprefix(_STATE_PERTURBATION) for name in state_types if name.startswith(_STATE_PERTURBATION)}
    keys |= {name.removeprefix(_STAT_PERTURBATION) for name in stat_types if name.startswith(_STAT_PERTURBATION)}
    return {_STATE_PERTURBATION + key: _STAT_PERTURBATION + key for key in sorted(keys)}


def _comparable(state: str, stat: str, left: pl.DataType | None, right: pl.DataType | None) -> tuple[pl.Expr, pl.Expr]:
    """A part of the key on both sides, with one type; a column that does not occur is null.

    Raises:
        JoinError: one side is a list or a struct, and the other is not.
    """
    types = [dtype for dtype in (left, right) if dtype is not None and dtype != pl.Null()]
    if not types:
        return pl.lit(None, pl.String), pl.lit(None, pl.String)
    # Values of one dump are of one kind on both sides; where the kinds of all runs differ, text tells them apart.
    shared = (
        types[0]
        if len(set(types)) == 1
        else pl.Float64()
        if all(dtype.is_numeric() for dtype in types)
        else pl.String()
    )
    if shared == pl.String() and any(dtype.is_nested() for dtype in types):
        raise JoinError(
            f"Columns {state!r} and {stat!r} have types that cannot be compared.",
            expected="one type",
            found=" and ".join(map(str, types)),
            hint=_AS_SCANNED,
        )
    return tuple(  # type: ignore[return-value]
        pl.col(name).cast(shared) if dtype is not None else pl.lit(None, shared)
        for name, dtype in ((state, left), (stat, right))
    )


def _with_needed(rows: pl.LazyFrame, names: list[str], table: Table) -> pl.LazyFrame:
    """The rows, if they have these columns; where there are no rows, no column occurs.

    Raises:
        ColumnNotFoundError: one is missing.
    """
    types = rows.collect_schema()
    missing = [name for name in names if name not in types]
    if not missing:
        return rows
    if RUN in types and rows.select(pl.len()).collect().item() == 0:
        return _with_nulls(rows, missing, table)
    error = ColumnNotFoundError.among(missing[0], types, table=table.name)
    error.hint = "Scan the table with key=True." if missing[0] == RUN else f"Let columns=[…] have {missing[0]!r}."
    raise error


def _check_stat_types(types: pl.Schema) -> None:
    """Raise unless names of stats are strings and their values numbers."""
    name, value = types[STAT_NAME], types[STAT_VALUE]
    is_text = name in (pl.String, pl.Categorical, pl.Enum)
    is_number = value.is_numeric() or value in (pl.Boolean, pl.Null)
    checks = ((is_text, STAT_NAME, "strings", name), (is_number, STAT_VALUE, "numbers", value))
    for fits, column, expected, found in checks:
        if not fits:
            raise JoinError(f"Column {column!r}:", expected=expected, found=str(found), hint=_AS_SCANNED)


def _check_frames(**frames: object) -> None:
    for name, frame in frames.items():
        if not isinstance(frame, pl.LazyFrame | pl.DataFrame):
            raise SettingError(f"{name}:", expected="a frame of Polars, lazy or not", found=type(frame).__name__)


def _check_one_to_one(states: pl.DataFrame) -> None:
    key = [name for name in states.columns if name != ROW]
    shared = states.filter(pl.struct(key).is_duplicated())
    if not shared.is_empty():
        first = shared.row(0, named=True)
        raise JoinError(
            f"{counted(shared.height, 'request state')} share their instance with others.",
            expected="one request state per instance (validate='1:1')",
            found=f"several of {_instance(first)}",
            hint="With validate='m:1' each of them has the stats of the instance.",
        )


def _check_same(different: pl.DataFrame) -> None:
    """Raise where a stat has different values for one request state."""
    if different.is_empty():
        return
    first = different.row(0, named=True)
    names = different[NAME].unique().sort().to_list()
    raise JoinError(
        f"{counted(different.height, 'stat')} of an instance are there several times with different values: "
        f"{', '.join(map(for_terminal, names[:5]))}.",
        expected=f"one value of {first[NAME]} for the request state in row {first[ROW]}",
        found=" and ".join(map(str, first[_VALUES][:5])),
        hint="Say which one counts: duplicates='last' as in HELM, 'first' or 'mean'.",
    )


def _instance(key: Mapping[str, object]) -> str:
    return f"instance {key[_ID]} of {key[RUN]}"


def _report_unmatched(unmatched: str, states: pl.Series, stats: pl.Series) -> None:
    n_states, n_stats = int(states.sum()), int(stats.sum())
    if unmatched == "ignore" or not n_states + n_stats:
        return
    text = (
        f"{n_states:,} of {counted(len(states), 'request state')} have no stats, "
        f"and {n_stats:,} of {counted(len(stats), 'stat')} have no request state."
    )
    if unmatched == "error":
        raise JoinError(text, hint="With unmatched='report' they are counted, and can be had as frames.")
    warn(f"{text} See `unmatched_states` and `unmatched_stats`.")


def _where(rows: pl.LazyFrame, mask: pl.Series) -> pl.LazyFrame:
    """The rows for which a mask holds. A column beside them: a filter would be pushed below the rows' order."""
    name = "unmatched row"
    return pl.concat([rows, mask.alias(name).to_frame().lazy()], how="horizontal").filter(name).drop(name)
