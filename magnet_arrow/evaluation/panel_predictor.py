"""`PanelPredictor`: predicts how a model does on all items from its answers to a few of them.

Arrays need NumPy: `pip install 'magnet-arrow[stats]'`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.predictions.levels import Level
from magnet_arrow.predictions.panel_files import ITEM, MODEL, SCORE

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Floats, Integers

SCENARIO = "scenario"


@dataclass(frozen=True, slots=True, eq=False)
class TrainScores:
    """The scores that a predictor learns from. The arrays are read-only: copy what you change.

    Attributes:
        scores: float64, models × items; NaN where a score is missing or held out.
        models: the names of the rows.
        items: the names of the columns.
        scenarios: the scenario of each item.
    """

    scores: "Floats"
    models: Sequence[str]
    items: Sequence[str]
    scenarios: Sequence[str]

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """A copy with the same arrays, which nobody writes to."""
        return replace(self)

    def lazy(self) -> pl.LazyFrame:
        """The known scores: `model`, `item`, `scenario`, `score`, one row for each, model by model."""
        known = ~numpy().isnan(self.scores)
        rows, columns = known.nonzero()
        models = pl.Series(MODEL, self.models, pl.String)[rows]
        items = pl.Series(ITEM, self.items, pl.String)[columns]
        scenarios = pl.Series(SCENARIO, self.scenarios, pl.String)[columns]
        return pl.LazyFrame([models, items, scenarios, pl.Series(SCORE, self.scores[known])])


@dataclass(frozen=True, slots=True, eq=False)
class AskedAnswers:
    """What a predictor sees of the held-out models. The arrays are read-only: copy what you change.

    Attributes:
        answers: float64, held-out models × items of the train scores; NaN where an item was not asked.
        wanted: bool, of the same shape: the items whose mean score is to be predicted, asked or not.
        models: the names of the rows.
        train_rows: int64, the row of each model in the train scores; -1 if the model is not there. A model is there if
            only one of its runs is held out.
    """

    answers: "Floats"
    wanted: "Booleans"
    models: Sequence[str]
    train_rows: "Integers"


@dataclass(frozen=True, slots=True, eq=False)
class PredictedScores:
    """What a predictor predicts of the held-out models.

    Attributes:
        scores: float64, the mean score over the wanted items, one for each held-out model.
        outcomes: float64, held-out models × items: the expected score of each item; None if it predicts no items.
        stddev: float64, the predicted standard deviation of each of `scores`; None if it predicts none.
    """

    scores: "Floats"
    outcomes: "Floats | None" = None
    stddev: "Floats | None" = None

    @classmethod
    def of_outcomes(cls, outcomes: "Floats", asked: AskedAnswers) -> Self:
        """The mean over the wanted items, where an asked item counts as it was answered."""
        np = numpy()
        known = np.where(np.isnan(asked.answers), outcomes, asked.answers)
        return cls((known * asked.wanted).sum(1) / asked.wanted.sum(1), outcomes)


class PanelPredictor(ABC):
    """Predicts the scores of held-out models. `evaluate` calls `fit` once for each fold, and then `predict` often.

    Each call of `predict` is a problem of its own: do not use what an earlier call showed, since other draws show other
    answers of the same models. Each draw and scenario has a copy of the fitted predictor, so that it forgets them; one
    that `copy.deepcopy` cannot copy is shared.

    A predictor that chooses which items to ask has a method `choose`, see `AdaptivePredictor`.

    >>> class TrainMean(PanelPredictor):
    ...     def fit(self, train):
    ...         self.item_means = numpy().nanmean(train.scores, axis=0)
    ...         return self
    ...     def predict(self, asked):
    ...         return PredictedScores.of_outcomes(numpy().broadcast_to(self.item_means, asked.answers.shape), asked)
    """

    level: Level = "outcomes"
    """What it sees of the asked items; one ranking holds predictors of one level."""

    @property
    def name(self) -> str:
        """What tables call it; the name of its class unless a subclass overrides it."""
        return type(self).__name__

    @abstractmethod
    def fit(self, train: TrainScores) -> Self:
        """Learn from the train scores. A predictor is fitted again for each fold."""

    @abstractmethod
    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """Predict the scores of the held-out models, which may be one or several."""


class AdaptivePredictor(PanelPredictor):
    """A predictor that chooses the next item to ask."""

    @abstractmethod
    def choose(self, asked: AskedAnswers) -> int:
        """The index of the item that the one held-out model is asked next; one of the wanted ones not asked yet."""
