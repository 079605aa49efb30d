"""`InstancePrediction`, a predicted stat of one request state, and frames of such predictions."""

import numbers
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.errors import ColumnNotFoundError, PredictionError
from magnet_arrow.predictions.instance_ids import PREDICT_ID
from magnet_arrow.predictions.joins import STAT_NAME, STAT_VALUE
from magnet_arrow.predictions.prediction_values import MOMENTS, checked, require_64_bits, set_moments, shown
from magnet_arrow.query.frames import registered_types
from magnet_arrow.schema.registry import RUN_NAME, TABLES

_STATS = TABLES["per_instance_stats"]
KEY = (RUN_NAME, PREDICT_ID, STAT_NAME)
"""What a prediction is of. No two predictions have the same."""
_TYPES = {RUN_NAME: pl.String(), PREDICT_ID: pl.Int64(), STAT_NAME: pl.String(), STAT_VALUE: pl.Float64()}


@dataclass(frozen=True, slots=True)
class InstancePrediction:
    """One predicted stat of one request state.

    Any number type is accepted (NumPy's too). Numbers are kept as floats, `count` as an integer.

    Attributes:
        run_spec_name: name of the run.
        instance_predict_id: the request state: its `magnet.instance_predict_id` in the split's scenario state.
        stat_name: metric, such as `exact_match`.
        mean: the number that is compared.
        count: number of values.
        sum: their sum.
        sum_squared: sum of their squares; the sum's square where only a sum is given.
        min: the smallest.
        max: the largest.
        variance: population variance.
        stddev: its root.

    Raises:
        PredictionError: a value has a wrong type, or the mean is NaN or infinite.

    >>> InstancePrediction("mmlu:subject=anatomy", 0, "exact_match", 1).mean
    1
    """

    run_spec_name: str
    instance_predict_id: int
    stat_name: str
    mean: float
    count: int = 1
    sum: float | None = None
    sum_squared: float | None = None
    min: float | None = None
    max: float | None = None
    variance: float | None = 0.0
    stddev: float | None = 0.0

    def __post_init__(self) -> None:
        """Checks the values, and fills in what follows from others."""
        for name in ("run_spec_name", "stat_name"):
            checked(name, getattr(self, name), str, "a string")
        checked("instance_predict_id", self.instance_predict_id, numbers.Integral, "an integer")
        object.__setattr__(self, "instance_predict_id", int(self.instance_predict_id))
        require_64_bits("instance_predict_id", self.instance_predict_id)
        set_moments(self)


def instance_frame(predictions: pl.DataFrame | pl.LazyFrame | Iterable[InstancePrediction]) -> pl.DataFrame:
    """The predictions as a frame.

    Rows: one per prediction, in the order given.
    Columns: `magnet.instance_predict_id`, the name of the run and of the stat, then the stat's numbers. Of a frame
    that is given, these four are needed and kept: `magnet.instance_predict_id`, `run_spec.name`,
    `per_instance_stats.stats.name.name` and `per_instance_stats.stats.mean`.

    Raises:
        PredictionError: something is no `InstancePrediction`; a frame has a column of a wrong type, a null or a mean
            that is NaN or infinite; or two predictions are of one stat of one request state.
        ColumnNotFoundError: a frame lacks a column.

    >>> instance_frame([InstancePrediction("mmlu:subject=anatomy", 0, "exact_match", 1)]).width
    11
    """
    if isinstance(predictions, pl.DataFrame | pl.LazyFrame):
        frame = _given(predictions.lazy())
    else:
        frame = _made_of(list(predictions))
    _require_one_each(frame)
    return frame


def _made_of(predictions: list[InstancePrediction]) -> pl.DataFrame:
    for prediction in predictions:
        if not isinstance(prediction, InstancePrediction):
            raise PredictionError("", expected="a list of InstancePrediction", found=f"{shown(prediction)} in it")
    columns = {PREDICT_ID: "instance_predict_id", RUN_NAME: "run_spec_name", STAT_NAME: "stat_name"}
    columns |= {_STATS.named(f"stats.{moment}"): moment for moment in MOMENTS}
    types = registered_types(_STATS) | _TYPES
    return pl.DataFrame(
        {
            column: pl.Series([getattr(each, name) for each in predictions], dtype=types[column], strict=False)
            for column, name in columns.items()
        }
    )


def _given(predictions: pl.LazyFrame) -> pl.DataFrame:
    """The needed columns of a frame of predictions, with their types."""
    known = predictions.collect_schema()
    for name, dtype in _TYPES.items():
        if name not in known:
            raise ColumnNotFoundError.among(name, known, table="predictions")
        fits = known[name].is_integer() if dtype == pl.Int64 else known[name].is_numeric() or dtype == pl.String
        if not fits or (dtype == pl.String and known[name] not in (pl.String, pl.Categorical, pl.Enum)):
            raise PredictionError(f"Column {name!r} of the predictions:", expected=str(dtype), found=str(known[name]))
    order = [PREDICT_ID, *(name for name in _TYPES if name != PREDICT_ID)]
    frame = predictions.select(pl.col(name).cast(_TYPES[name]) for name in order).collect()
    nulls = frame.select(pl.any_horizontal(pl.all().is_null())).to_series()
    _require_none(frame, nulls, "a null")
    _require_none(frame, ~frame[STAT_VALUE].is_finite(), "a mean that is NaN or infinite")
    return frame


def _require_none(predictions: pl.DataFrame, bad: pl.Series, what: str) -> None:
    rows = bad.arg_true()
    if rows.is_empty():
        return
    first = predictions.row(rows[0])
    raise PredictionError(
        f"{len(rows):,} of {counted(predictions.height, 'prediction')} {'has' if len(rows) == 1 else 'have'} {what}.",
        expected="a run, a request state, a stat and a number in each row",
        found=f"{', '.join(for_terminal(str(value)) for value in first)} in row {rows[0]}",
    )


def _require_one_each(predictions: pl.DataFrame) -> None:
    """Raise where two predictions are of one stat of one request state."""
    twice = predictions.filter(pl.struct(KEY).is_duplicated())
    if twice.is_empty():
        return
    groups = twice.group_by(KEY, maintain_order=True).len()
    (run, number, stat, n_of_first), n_keys = groups.row(0), groups.height
    raise PredictionError(
        f"{counted(n_keys, 'stat')} of a request state {'has' if n_keys == 1 else 'have'} several predictions.",
        expected="one prediction per run, request state and stat",
        found=f"{n_of_first} of {for_terminal(stat)} of request state {number} of {for_terminal(run)}",
    )
