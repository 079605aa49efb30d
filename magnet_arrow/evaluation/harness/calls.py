"""One call of a predictor: what it sees, the values that it is to predict, and what it made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from polars.exceptions import PanicException

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import PredictionError
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores

if TYPE_CHECKING:
    import numpy as np

    from magnet_arrow._numpy import Booleans, Floats, Integers

_DType = TypeVar("_DType", bound="np.dtype[Any]")

NO_BUDGET = -1
"""How the budget "all" is written in arrays."""
OF_OTHERS = (Exception, SystemExit, PanicException)
"""What code of others may raise. Ctrl-C is not among it."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is the same for all values of a call.

    Attributes:
        scenario: index of the scenario.
        draw: from 0.
        budget: number of items asked, or `NO_BUDGET`.
        train_mean: the best constant for the squared error, of the train scores.
        train_median: the best constant for the absolute error.
    """

    scenario: int
    draw: int
    budget: int
    train_mean: float
    train_median: float


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The values to predict of one call, in arrays of one length.

    Attributes:
        models: index of each value's model.
        items: index of its item; None if it is a mean over items.
        actual: the value itself.
        n_items: the items behind it.
        noise: the variance that nobody can predict: the sum over its items that were not asked, ÷ `n_items`²; NaN if it
            is not known.
    """

    models: "Integers"
    items: "Integers | None"
    actual: "Floats"
    n_items: "Integers"
    noise: "Floats"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of `predict`.

    Attributes:
        asked: what the predictor sees.
        truth: float64, held-out models × items.
        noise: float64, of the same shape: the variance of each score, NaN if it is not known.
        models: indices of the held-out models.
        columns: indices of the items.
        labels: what is the same for all values.
        by_item: whether the scores of single items are predicted, those that were not asked.
    """

    asked: AskedAnswers
    truth: "Floats"
    noise: "Floats"
    models: "Integers"
    columns: "Integers"
    labels: Labels
    by_item: bool

    @property
    def items(self) -> "Booleans":
        """Models × items: the items whose scores are predicted, where single ones are."""
        found: Booleans = self.asked.wanted & numpy().isnan(self.asked.answers)
        return found

    def rows(self) -> Rows:
        """The values to predict."""
        np = numpy()
        wanted, items = self.asked.wanted, self.items
        if not self.by_item:
            n_items = wanted.sum(axis=1)
            noise = np.where(items, self.noise, 0.0).sum(axis=1) / n_items**2
            return Rows(self.models, None, np.where(wanted, self.truth, 0.0).sum(axis=1) / n_items, n_items, noise)
        of_model, of_item = items.nonzero()
        ones = np.ones(len(of_model), dtype=np.int64)
        return Rows(self.models[of_model], self.columns[of_item], self.truth[items], ones, self.noise[items])

    def asking(self, answers: "Floats") -> "Call":
        """The call after other items were asked."""
        asked = AskedAnswers(frozen(answers), self.asked.wanted, self.asked.models, self.asked.train_rows)
        return replace(self, asked=asked)

    def of(self, rows: Sequence[int]) -> "Call":
        """The call for some of the models."""
        asked = self.asked
        index = numpy().array(rows, dtype=int)
        models = tuple(asked.models[row] for row in rows)
        arrays = (frozen(array[index]) for array in (asked.answers, asked.wanted, asked.train_rows))
        answers, wanted, train_rows = arrays
        chosen = AskedAnswers(answers, wanted, models, train_rows)
        return replace(self, asked=chosen, truth=self.truth[index], noise=self.noise[index], models=self.models[index])


def frozen(array: "np.ndarray[tuple[int, ...], _DType]") -> "np.ndarray[tuple[int, ...], _DType]":
    """A copy that cannot be made writable again: all predictors get the same one, and are scored by it."""
    return numpy().ndarray(array.shape, array.dtype, buffer=array.tobytes())  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a predictor made of one call.

    Attributes:
        fold: number of the fold.
        predictor: index of the predictor.
        labels: of the call.
        rows: the values that were to be predicted.
        predicted: float64, NaN where there is none.
        stddev: float64, NaN where there is none; None if there are none at all.
        errors: for each value that was not predicted, why; None for the others. Or one text for all.
    """

    fold: int
    predictor: int
    labels: Labels
    rows: Rows
    predicted: "Floats"
    stddev: "Floats | None" = None
    errors: "list[str | None] | str | None" = None

    @classmethod
    def of_none(cls, fold: int, predictor: int, call: Call, why: str) -> "Answer":
        """The answer if there is none."""
        rows = call.rows()
        return cls(fold, predictor, call.labels, rows, numpy().full(len(rows.actual), numpy().nan), None, why)


def said(error: BaseException) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def ask(predictor: PanelPredictor, call: Call, fold: int, index: int) -> Answer:
    """The answer to a call.

    Raises:
        PredictionError: it has another shape or type than it should have.
        Exception: whatever `predict` raised.
    """
    np = numpy()
    # A copy, as a frozen dataclass is not safe from `object.__setattr__`.
    found = predictor.predict(replace(call.asked))
    rows = call.rows()
    predicted, stddev = _values(found, call)
    is_number = np.isfinite(predicted)
    errors = None
    if not is_number.all():
        errors = [None if fine else f"predicted {value}" for fine, value in zip(is_number, predicted, strict=True)]
        predicted = np.where(is_number, predicted, np.nan)
    return Answer(fold, index, call.labels, rows, predicted, stddev, errors)


def _values(found: PredictedScores, call: Call) -> "tuple[Floats, Floats | None]":
    """The predicted values, and their standard deviations."""
    if not isinstance(found, PredictedScores):
        raise PredictionError("", expected="PredictedScores from predict()", found=type(found).__name__)
    if not call.by_item:
        shape = (len(call.models),)
        stddev = None if found.stddev is None else _array("stddev", found.stddev, shape)
        if stddev is not None and (stddev < 0).any():
            raise PredictionError("", expected="stddev of 0 or more from predict()", found=str(stddev.min()))
        return _array("scores", found.scores, shape), stddev
    if found.outcomes is None:
        raise PredictionError("", expected="outcomes of items from predict()", found="None")
    return _array("outcomes", found.outcomes, call.truth.shape)[call.items], None


def _array(name: str, value: object, shape: tuple[int, ...]) -> "Floats":
    """A copy, as the predictor may write to its own array later; NaN where a value is masked."""
    np = numpy()
    try:
        given = np.array(value) if not isinstance(value, np.ma.MaskedArray) else value.astype(float).filled(np.nan)
        if given.dtype.kind in "cSU":  # complex numbers and strings, which NumPy would convert
            raise TypeError
        array: Floats = given.astype(np.float64)
    except (TypeError, ValueError):
        raise PredictionError("", expected=f"numbers as {name} from predict()", found=repr(value)[:100]) from None
    if array.shape != shape:
        raise PredictionError("", expected=f"{name} of shape {shape} from predict()", found=f"shape {array.shape}")
    return array
