"""`RunPrediction`, a predicted stat, and frames of predictions with the columns of table `stats`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.errors import PredictionError
from magnet_arrow.predictions.prediction_values import (
    MOMENTS,
    checked,
    number,
    require_64_bits,
    set_moments,
    shown,
)
from magnet_arrow.query.frames import registered_types
from magnet_arrow.schema.registry import RUN_NAME, TABLES, key_part

Scalar = str | int | float | bool

_STATS = TABLES["stats"]
_TYPES = registered_types(_STATS)

STAT_NAME = _STATS.named("name.name")
STAT_SPLIT = _STATS.named("name.split")
STAT_SUB_SPLIT = _STATS.named("name.sub_split")
STAT_MEAN = _STATS.named("mean")
PERTURBATION = _STATS.named("name.perturbation.name").removesuffix("name")
"""Prefix of the columns of a perturbation's parameters."""

_NUMBERS = frozenset(map(_STATS.named, MOMENTS))
_NAMED_ALWAYS = ("name", "fairness", "robustness")
_ACCEPTED: dict[pl.DataType, set[type]] = {
    pl.String(): {str},
    pl.Boolean(): {bool},
    pl.Int64(): {int},
    pl.Float64(): {int, float},
}


@dataclass(frozen=True, slots=True)
class RunPrediction:
    """One predicted stat of one run.

    Any number type is accepted (NumPy's too). Numbers are kept as floats, `count` as an integer.

    Attributes:
        run_spec_name: name of the predicted run.
        split: HELM's split of the stat (`valid`, `test`); None for a stat of the run as a whole.
        stat_name: metric, such as `exact_match`.
        mean: the number that is compared.
        computed_on: which copies a perturbed stat is computed on (`perturbed`, `original`, `worst`); None if it is
            not perturbed.
        perturbation_parameters: the perturbation's `name`, `fairness` and `robustness`, None unless given,
            and any other parameter that the comparison is to use, such as `prob`.
        count: number of values.
        sum: their sum.
        sum_squared: sum of their squares; the sum's square where only a sum is given.
        min: the smallest.
        max: the largest.
        variance: population variance.
        stddev: its root.
        sub_split: part of the split; None matches any, and each match is a row of the comparison.

    Raises:
        PredictionError: a value has a wrong type, or the mean is NaN or infinite.

    >>> RunPrediction("mmlu:subject=anatomy", "test", "exact_match", 0.5, sum=3).sum_squared
    9
    """

    run_spec_name: str
    split: str | None
    stat_name: str
    mean: float
    computed_on: str | None = None
    perturbation_parameters: Mapping[str, Scalar | None] | None = None
    count: int = 1
    sum: float | None = None
    sum_squared: float | None = None
    min: float | None = None
    max: float | None = None
    variance: float | None = 0.0
    stddev: float | None = 0.0
    sub_split: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Checks the values, and fills in what follows from others."""
        for name in ("run_spec_name", "stat_name"):
            checked(name, getattr(self, name), str, "a string")
        for name in ("split", "computed_on", "sub_split"):
            checked(name, getattr(self, name), str | None, "a string or None")
        set_moments(self)
        object.__setattr__(self, "perturbation_parameters", _parameters(self.perturbation_parameters))


def _parameters(given: Mapping[str, Scalar | None] | None) -> dict[str, Scalar | None]:
    given = checked("perturbation_parameters", given or {}, Mapping, "a dictionary or None")
    if "computed_on" in given:
        raise PredictionError(
            "'computed_on' is among the perturbation's parameters.",
            hint="Give it as the argument computed_on=….",
        )
    parameters: dict[str, Scalar | None] = dict.fromkeys(_NAMED_ALWAYS)
    for key, value in given.items():
        checked("a key of perturbation_parameters", key, str, "a string")
        if isinstance(value, bool | str):
            parameters[key] = checked(key, value, bool | str, "a boolean or a string")
        else:
            parameters[key] = number(key, value)
            require_64_bits(key, parameters[key])
    return parameters


def frame(predictions: Iterable[RunPrediction]) -> pl.LazyFrame:
    """The predictions in the columns of table `stats`.

    Rows: one per prediction, in the order given.
    Columns: the name of the run, then of the stat with its perturbation, then its numbers. A perturbation's
    parameter has a column if at least one prediction names it, and is null in the others.

    Raises:
        PredictionError: something is no `RunPrediction`, or a parameter has values of two types.

    >>> frame([RunPrediction("mmlu:subject=anatomy", "test", "exact_match", 0.5)]).collect().width
    16
    """
    predictions = list(predictions)
    for prediction in predictions:
        if not isinstance(prediction, RunPrediction):
            raise PredictionError("", expected="a list of RunPrediction", found=f"{shown(prediction)} in it")
    columns = [*_names(predictions), *_parameter_columns(predictions), *_numbers(predictions)]
    return pl.DataFrame(columns).lazy()


def require_one_each(predictions: pl.DataFrame) -> None:
    """Raise where two predictions of a frame are of one stat of one run.

    Raises:
        PredictionError: they are.
    """
    key = [name for name in predictions.columns if name not in _NUMBERS]
    groups = predictions.group_by(key, maintain_order=True).len().filter(pl.col("len") > 1)
    if groups.is_empty():
        return
    first = groups.row(0, named=True)
    split = "" if first[STAT_SPLIT] is None else f" ({for_terminal(first[STAT_SPLIT])})"
    raise PredictionError(
        f"{counted(groups.height, 'stat')} of a run {'has' if groups.height == 1 else 'have'} several predictions.",
        expected="one prediction per run, split, stat and perturbation",
        found=f"{first['len']} of {for_terminal(first[STAT_NAME])}{split} of {for_terminal(first[RUN_NAME])}",
    )


def _names(predictions: Sequence[RunPrediction]) -> Iterator[pl.Series]:
    columns = {
        RUN_NAME: "run_spec_name",
        STAT_SPLIT: "split",
        STAT_SUB_SPLIT: "sub_split",
        STAT_NAME: "stat_name",
        PERTURBATION + "computed_on": "computed_on",
    }
    for column, attribute in columns.items():
        yield pl.Series(column, [getattr(each, attribute) for each in predictions], _TYPES[column])


def _numbers(predictions: Sequence[RunPrediction]) -> Iterator[pl.Series]:
    for moment in MOMENTS:
        column = _STATS.named(moment)
        values = [getattr(each, moment) for each in predictions]
        if moment != "count":
            values = [None if value is None else float(value) for value in values]
        yield pl.Series(column, values, _TYPES[column])


def _parameter_columns(predictions: Sequence[RunPrediction]) -> Iterator[pl.Series]:
    named = dict.fromkeys(_NAMED_ALWAYS)
    for prediction in predictions:
        named |= dict.fromkeys(prediction.perturbation_parameters or ())
    for key in named:
        values = [(each.perturbation_parameters or {}).get(key) for each in predictions]
        column = _parameter_column(key)
        yield pl.Series(column, values, _parameter_type(key, values, _TYPES.get(column)))


def _parameter_column(key: str) -> str:
    part = key_part(key)
    if part is None:
        raise PredictionError(f"No column can be named after the perturbation parameter {key!r}.")
    return PERTURBATION + part


def _parameter_type(key: str, values: Sequence[Scalar | None], registered: pl.DataType | None) -> pl.DataType:
    """The registered type if HELM declares the parameter, else the type that all values share."""
    kinds = {type(value) for value in values if value is not None}
    possible = [dtype for dtype, accepted in _ACCEPTED.items() if kinds <= accepted and registered in (dtype, None)]
    if not possible:
        found = " and ".join(sorted(kind.__name__ for kind in kinds))
        expected = f"values of type {registered}" if registered else "values of one type"
        raise PredictionError(f"Perturbation parameter {key!r}:", expected=expected, found=found)
    return possible[0]
