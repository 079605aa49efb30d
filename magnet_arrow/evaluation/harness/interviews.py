"""Adaptive predictors: the items that they choose are asked one by one."""

from typing import TYPE_CHECKING

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import PredictionError
from magnet_arrow.evaluation.harness.calls import NO_BUDGET, OF_OTHERS, Answer, Call, ask, said
from magnet_arrow.evaluation.panel_predictor import AdaptivePredictor, AskedAnswers

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Floats


class Interview:
    """Asks one held-out model, item by item, and refuses to ask more than the budget.

    Args:
        scores: float64, items: what the model's answers scored.
        wanted: bool, items: those that may be asked.

    Attributes:
        answers: float64, items; NaN where an item was not asked.
        n_asked: number of items asked.
    """

    def __init__(self, scores: "Floats", wanted: "Booleans") -> None:
        self._scores, self._wanted = scores, wanted
        self.answers: Floats = numpy().full(scores.shape, numpy().nan)
        self.n_asked = 0

    def ask(self, item: object, budget: int) -> None:
        """Ask an item; its score is in `answers` then.

        Raises:
            PredictionError: it is none of the wanted items, was asked before, or the budget is spent.
        """
        index = self._checked(item)
        if self.n_asked >= budget:
            raise PredictionError(f"choose() asks question {self.n_asked + 1}.", expected=f"at most {budget}")
        self.n_asked += 1
        self.answers[index] = self._scores[index]

    def _checked(self, item: object) -> int:
        np = numpy()
        if isinstance(item, bool) or not isinstance(item, int | np.integer):
            raise PredictionError("", expected="the index of an item from choose()", found=repr(item)[:100])
        index = int(item)
        if not 0 <= index < len(self._wanted) or not self._wanted[index]:
            raise PredictionError("", expected="the index of a wanted item from choose()", found=str(index))
        if not np.isnan(self.answers[index]):
            raise PredictionError("", expected="an item from choose() that was not asked before", found=str(index))
        return index


class Interviews:
    """Interviews of the held-out models of a fold by one predictor, with a larger budget from call to call."""

    def __init__(self, predictor: AdaptivePredictor) -> None:
        self._predictor = predictor
        self._begun: dict[tuple[int, int], Interview] = {}
        self._failed: dict[tuple[int, int], str] = {}

    def ask(self, call: Call, fold: int, index: int) -> Answer:
        """The answer to a call: the items are asked that the predictor chooses, then it predicts.

        A model whose interview fails has no answer at this and each larger budget.
        """
        np = numpy()
        if call.labels.budget == NO_BUDGET:
            return ask(self._predictor, call, fold, index)
        keys = [(call.labels.scenario, int(model)) for model in call.models]
        answers = np.stack([self._answers(call, row, key) for row, key in enumerate(keys)])
        asked = call.asking(answers)
        if not any(key in self._failed for key in keys):
            return ask(self._predictor, asked, fold, index)
        return self._of_the_others(asked, keys, fold, index)

    def _answers(self, call: Call, row: int, key: tuple[int, int]) -> "Floats":
        """The answers of one model to as many items as the call's budget says."""
        interview = self._begun.setdefault(key, Interview(call.truth[row], call.asked.wanted[row]))
        of = slice(row, row + 1)
        known = call.asked
        try:
            while key not in self._failed and interview.n_asked < call.labels.budget:
                seen = AskedAnswers(
                    interview.answers[None].copy(), known.wanted[of], known.models[of], known.train_rows[of]
                )
                interview.ask(self._predictor.choose(seen), call.labels.budget)
        except OF_OTHERS as error:
            self._failed[key] = said(error)
        return interview.answers.copy()

    def _of_the_others(self, call: Call, keys: list[tuple[int, int]], fold: int, index: int) -> Answer:
        """The answer for the models whose interviews did not fail."""
        np = numpy()
        fine = [row for row, key in enumerate(keys) if key not in self._failed]
        whole = call.rows()
        predicted, stddev = np.full((2, len(whole.actual)), np.nan)
        errors = [self._failed.get((call.labels.scenario, int(model))) for model in whole.models]
        if fine:
            of_them = ask(self._predictor, call.of(fine), fold, index)
            answered = np.array([error is None for error in errors])
            predicted[answered] = of_them.predicted
            stddev[answered] = np.nan if of_them.stddev is None else of_them.stddev
            if isinstance(of_them.errors, list):
                rest = iter(of_them.errors)
                errors = [next(rest) if error is None else error for error in errors]
        return Answer(fold, index, call.labels, whole, predicted, stddev, errors)
