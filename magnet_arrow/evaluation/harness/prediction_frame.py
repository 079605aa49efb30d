"""The frame of predictions, made from the answers of predictors."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.harness.calls import NO_BUDGET, Answer

if TYPE_CHECKING:
    from magnet_arrow.evaluation.harness.fold_runner import Job

PREDICTIONS = pl.Schema(
    {
        "predictor": pl.String,
        "level": pl.String,
        "target": pl.String,
        "fold": pl.Int64,
        "draw": pl.Int64,
        "budget": pl.Int64,
        "model": pl.String,
        "scenario": pl.String,
        "item": pl.String,
        "run": pl.String,
        "organisation": pl.String,
        "family": pl.String,
        "predicted": pl.Float64,
        "actual": pl.Float64,
        "train_mean": pl.Float64,
        "train_median": pl.Float64,
        "n_items": pl.Int64,
        "noise_variance": pl.Float64,
        "stddev": pl.Float64,
        "error": pl.String,
    }
)
"""The columns of `Evaluation.predictions`."""


def prediction_frame(job: "Job", answers: Sequence[Answer]) -> pl.DataFrame:
    """One row for each value that a predictor was to predict: by fold, then predictor, then as it was called."""
    np = numpy()
    matrix = job.matrix
    sizes = np.array([len(answer.predicted) for answer in answers])

    def each(value: Callable[[Answer], Any]) -> Any:
        return np.repeat(np.array([value(answer) for answer in answers]), sizes)

    models = np.concatenate([answer.rows.models for answer in answers])
    scenarios = each(lambda answer: answer.labels.scenario)
    predictors = each(lambda answer: answer.predictor)
    budgets = pl.Series(each(lambda answer: answer.labels.budget))
    columns = {
        "predictor": _taken([predictor.name for predictor in job.predictors], predictors),
        "level": _taken([predictor.level for predictor in job.predictors], predictors),
        "target": pl.repeat(job.target, len(models), eager=True),
        "fold": each(lambda answer: answer.fold),
        "draw": each(lambda answer: answer.labels.draw),
        "budget": budgets.set(budgets == NO_BUDGET, None),
        "model": _taken(matrix.models, models),
        "scenario": _taken(matrix.scenarios, scenarios),
        "item": _items(matrix.items, answers, len(models)),
        "run": _runs(job, models, scenarios),
        "organisation": matrix.families.get_column("organisation")[models],
        "family": matrix.families.get_column("family")[models],
        "predicted": _number([answer.predicted for answer in answers]),
        "actual": np.concatenate([answer.rows.actual for answer in answers]),
        "train_mean": pl.Series(each(lambda answer: answer.labels.train_mean)).fill_nan(None),
        "train_median": pl.Series(each(lambda answer: answer.labels.train_median)).fill_nan(None),
        "n_items": np.concatenate([answer.rows.n_items for answer in answers]),
        "noise_variance": _number([answer.rows.noise for answer in answers]),
        "stddev": _stddev(answers, sizes),
        "error": pl.Series([text for answer in answers for text in _errors(answer)], dtype=pl.String),
    }
    return pl.DataFrame(columns, schema=PREDICTIONS)


def _taken(names: Sequence[str | None], codes: Any) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(codes)


def _number(arrays: Sequence[Any]) -> pl.Series:
    return pl.Series(numpy().concatenate(arrays)).fill_nan(None)


def _items(items: list[str], answers: Sequence[Answer], n_rows: int) -> pl.Series:
    arrays = [answer.rows.items for answer in answers if answer.rows.items is not None]
    return (
        _taken(items, numpy().concatenate(arrays)) if arrays else pl.repeat(None, n_rows, dtype=pl.String, eager=True)
    )


def _runs(job: "Job", models: Any, scenarios: Any) -> pl.Series:
    """The run of each model and scenario; null where the scores are of no runs, or of several."""
    matrix = job.matrix
    if matrix.of_runs is None:
        return pl.repeat(None, len(models), dtype=pl.String, eager=True)
    runs = matrix.of_runs
    pairs = [runs.numbers.get((model, scenario), []) for model in matrix.models for scenario in matrix.scenarios]
    table = [runs.names[numbers[0]] if len(numbers) == 1 else None for numbers in pairs]
    return _taken(table, models * len(matrix.scenarios) + scenarios)


def _stddev(answers: Sequence[Answer], sizes: Any) -> pl.Series:
    np = numpy()
    none = [
        np.full(size, np.nan) if answer.stddev is None else answer.stddev
        for answer, size in zip(answers, sizes, strict=True)
    ]
    return _number(none)


def _errors(answer: Answer) -> Sequence[str | None]:
    return answer.errors if isinstance(answer.errors, list) else [answer.errors] * len(answer.predicted)
