"""`RunPrediction` and `InstancePrediction` of MAGNET, and predicted vs. actual values as a pandas frame."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from magnet_arrow._text import for_terminal
from magnet_arrow.errors import PredictionError
from magnet_arrow.predictions.instance_ids import PREDICT_ID
from magnet_arrow.predictions.records import PERTURBATION, STAT_SPLIT
from magnet_arrow.schema.registry import RUN_NAME, TABLES

INSTANCE_STAT_NAME = TABLES["per_instance_stats"].named("stats.name.name")
INSTANCE_STAT_MEAN = TABLES["per_instance_stats"].named("stats.mean")

P = TypeVar("P")

_log = logging.getLogger("magnet_arrow")


@dataclass(eq=False)
class RunPrediction:
    """One predicted stat of one run. Nothing is checked, and attributes can be set, as in MAGNET."""

    run_spec_name: str
    split: str | None
    stat_name: str
    mean: float
    computed_on: str | None = None
    perturbation_parameters: Mapping[str, Any] | None = None
    count: int = 1
    sum: float | None = None
    sum_squared: float | None = None
    min: float | None = None
    max: float | None = None
    variance: float | None = 0.0
    stddev: float | None = 0.0

    def __post_init__(self) -> None:
        """Fills in what follows from other values."""
        self.perturbation_parameters = dict.fromkeys(("name", "fairness", "robustness")) | dict(
            self.perturbation_parameters or {}
        )
        _fill_in_square(self)

    @classmethod
    def to_df(cls, instance_predictions: "Iterable[RunPrediction]") -> pd.DataFrame:
        """The predictions in MAGNET's columns, one row each."""
        return _frame([_run_row(each) for each in instance_predictions], _run_row(cls("", None, "", 0.0)))


@dataclass(eq=False)
class InstancePrediction:
    """One predicted stat of one request state. Nothing is checked, and attributes can be set, as in MAGNET."""

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
        """Fills in what follows from other values."""
        _fill_in_square(self)

    @classmethod
    def to_df(cls, instance_predictions: "Iterable[InstancePrediction]") -> pd.DataFrame:
        """The predictions in MAGNET's columns, one row each."""
        return _frame([_instance_row(each) for each in instance_predictions], _instance_row(cls("", 0, "", 0.0)))


def listed(predictions: Any, kind: type[P]) -> list[P]:
    """The predictions that `predict` returned, as a list.

    Raises:
        PredictionError: it returned something else.
    """
    expected = f"a list of {kind.__name__} from predict()"
    if not isinstance(predictions, Iterable) or isinstance(predictions, str | pd.DataFrame):
        raise PredictionError("", expected=expected, found=type(predictions).__name__)
    given: list[P] = list(predictions)
    for prediction in given:
        if not isinstance(prediction, kind):
            raise PredictionError("", expected=expected, found=f"a {type(prediction).__name__} in it")
    return given


def compared(
    predicted: pd.DataFrame, actual: pd.DataFrame, keys: Sequence[str], columns: Mapping[str, str]
) -> pd.DataFrame:
    """The pairs of rows with equal keys, printed with three decimals, and returned as they are.

    Args:
        predicted: a frame of predictions.
        actual: the stats that they are about; a key column that occurs in none may be missing.
        keys: columns to join on; missing values are equal.
        columns: columns to return, with their new names.

    Raises:
        PredictionError: a key has values of a type that no stat's has.
    """
    absent = [key for key in keys if key not in actual.columns]
    actual = actual.assign(**dict.fromkeys(absent)) if absent else actual
    try:
        merged = pd.merge(predicted, actual, on=list(keys))
    except ValueError as error:  # pandas compares no strings with numbers
        raise PredictionError(f"The predictions cannot be compared with the actual values: {error}") from error
    known = pd.MultiIndex.from_frame(merged[list(keys)])
    n_lost = int((~pd.MultiIndex.from_frame(predicted[list(keys)]).isin(known)).sum())
    if n_lost:
        _log.warning("%d of %d predictions have no actual value and are left out.", n_lost, len(predicted))
    table = merged[list(columns)].rename(columns=dict(columns))
    print("\n".join(map(for_terminal, table.round(3).to_string().splitlines())))
    return table


def _run_row(each: RunPrediction) -> dict[str, Any]:
    return {
        RUN_NAME: each.run_spec_name,
        STAT_SPLIT: each.split,
        **_numbers(each, "stats", each.stat_name),
        f"{PERTURBATION}computed_on": each.computed_on,
        **{PERTURBATION + key: value for key, value in (each.perturbation_parameters or {}).items()},
    }


def _instance_row(each: InstancePrediction) -> dict[str, Any]:
    return {
        PREDICT_ID: each.instance_predict_id,
        RUN_NAME: each.run_spec_name,
        **_numbers(each, "per_instance_stats.stats", each.stat_name),
    }


def _numbers(each: RunPrediction | InstancePrediction, prefix: str, stat_name: str) -> dict[str, Any]:
    """A prediction's numbers and the stat's name, in MAGNET's order."""
    return {
        f"{prefix}.count": each.count,
        f"{prefix}.max": each.max,
        f"{prefix}.mean": each.mean,
        f"{prefix}.min": each.min,
        f"{prefix}.name.name": stat_name,
        f"{prefix}.stddev": each.stddev,
        f"{prefix}.sum": each.sum,
        f"{prefix}.sum_squared": each.sum_squared,
        f"{prefix}.variance": each.variance,
    }


def _frame(rows: list[dict[str, Any]], example: Mapping[str, Any]) -> pd.DataFrame:
    """The rows as a frame, with the columns of `example` if there is none."""
    return pd.DataFrame(rows) if rows else pd.DataFrame([example]).iloc[:0]


def _fill_in_square(prediction: RunPrediction | InstancePrediction) -> None:
    if prediction.sum_squared is None and prediction.sum is not None:
        prediction.sum_squared = prediction.sum**2
