"""Predictors of panels for tests. They are importable in worker processes."""

import os
import time
from typing import Any, Self

import numpy as np
import threadpoolctl

from magnet_arrow import AdaptivePredictor, PanelPredictor
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PredictedScores, TrainScores


class Mean(PanelPredictor):
    """The train mean of each item; asked items as answered."""

    def fit(self, train: TrainScores) -> Self:
        known = ~np.isnan(train.scores)
        counts = known.sum(axis=0)
        sums = np.where(known, train.scores, 0.0).sum(axis=0)
        self.means = np.where(counts > 0, sums / np.maximum(counts, 1), train.scores[known].mean())
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        return PredictedScores.of_outcomes(np.broadcast_to(self.means, asked.answers.shape), asked)


class Sample(PanelPredictor):
    """The mean of the asked items; the train mean if none was asked."""

    def fit(self, train: TrainScores) -> Self:
        self.mean = float(np.nanmean(train.scores))
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        known = ~np.isnan(asked.answers)
        sums = np.where(known, asked.answers, 0.0).sum(axis=1)
        return PredictedScores(np.where(known.any(axis=1), sums / np.maximum(known.sum(axis=1), 1), self.mean))


class Noise(PanelPredictor):
    """Random numbers of NumPy's global generator."""

    def fit(self, train: TrainScores) -> Self:
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        return PredictedScores(np.random.rand(len(asked.models)))


class ReachesBases(Mean):
    """How many bytes can be reached through the arrays that it gets, less those of the arrays themselves."""

    def fit(self, train: TrainScores) -> Self:
        self.more = _bytes_beyond(train.scores)
        return super().fit(train)

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        more = self.more + sum(map(_bytes_beyond, (asked.answers, asked.wanted, asked.train_rows)))
        return PredictedScores(np.full(len(asked.models), float(more)))


def _bytes_beyond(array: Any) -> int:
    base = array
    while getattr(base, "base", None) is not None:
        base = base.base
    return memoryview(base).nbytes - int(array.nbytes)


class CountsThreads(Mean):
    """The largest number of threads that a library for linear algebra may use while it predicts."""

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        n_threads = max(library["num_threads"] for library in threadpoolctl.threadpool_info())
        return PredictedScores(np.full(len(asked.models), float(n_threads)))


class CopiesTwin(PanelPredictor):
    """The scores of the train model that is called as the held-out one but for its last letter; else 0."""

    def fit(self, train: TrainScores) -> Self:
        self.train = train
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        outcomes = np.zeros(asked.answers.shape)
        for row, model in enumerate(asked.models):
            for train_row, other in enumerate(self.train.models):
                if other != model and other[:-1] == model[:-1]:
                    outcomes[row] = np.nan_to_num(self.train.scores[train_row])
        return PredictedScores.of_outcomes(outcomes, asked)


class Fails(Mean):
    """Fails in the way that it is told."""

    def __init__(self, how: str) -> None:
        self.how = how

    def fit(self, train: TrainScores) -> Self:
        if self.how == "fit":
            raise ValueError("no fit\n  today")
        if self.how == "exit":
            raise SystemExit(3)
        if self.how == "nothing":
            return None  # type: ignore[return-value]
        if self.how == "slow":
            time.sleep(30)
        if self.how == "write":
            train.scores[:] = 0
        if self.how == "unlock":
            train.scores.setflags(write=True)
        if self.how == "rename":
            train.models.append("m9")  # type: ignore[attr-defined]
        if self.how == "stop":
            raise KeyboardInterrupt
        if self.how == "die":
            os._exit(1)
        return super().fit(train)

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        good = super().predict(asked)
        n = len(asked.models)
        if self.how == "want less":
            asked.wanted[:, 1:] = False
        if self.how == "answer":
            asked.answers.setflags(write=True)
        if self.how == "move":
            asked.train_rows[:] = 0
        made: dict[str, Any] = {
            "predict": lambda: 1 / 0,
            "nan": lambda: PredictedScores(np.where(np.arange(n) == 0, np.nan, good.scores)),
            "infinite": lambda: PredictedScores(np.full(n, np.inf)),
            "shape": lambda: PredictedScores(np.zeros(n + 1)),
            "number": lambda: 0.5,
            "spread": lambda: PredictedScores(good.scores, stddev=np.full(n, -1.0)),
            "words": lambda: PredictedScores(["half"] * n),
            "text": lambda: PredictedScores(["0.5"] * n),
            "complex": lambda: PredictedScores(np.full(n, 0.5 + 1j)),
            "masked": lambda: PredictedScores(np.ma.masked_array(np.full(n, 0.5), mask=True)),
            "negative": lambda: PredictedScores(good.scores, stddev=np.full(n, -1)),
            "no outcomes": lambda: PredictedScores(good.scores),
        }
        return made.get(self.how, lambda: good)()


class Remembers(Mean):
    """Keeps all answers that it gets."""

    def fit(self, train: TrainScores) -> Self:
        self.kept: dict[str, np.ndarray] = {}
        return super().fit(train)

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        for row, model in enumerate(asked.models):
            before = self.kept.get(model, asked.answers[row])
            self.kept[model] = np.where(np.isnan(asked.answers[row]), before, asked.answers[row])
        known = np.stack([self.kept[model] for model in asked.models])
        return PredictedScores.of_outcomes(np.where(np.isnan(known), self.means, known), asked)


class Breaks(Mean):
    """Cannot be made."""

    def __init__(self) -> None:
        raise OSError("no weights here")


class Rewrites(Mean):
    """Writes to the records that it gets, and to what it returned before."""

    def fit(self, train: TrainScores) -> Self:
        self.returned = np.zeros(1)
        super().fit(train)
        object.__setattr__(train, "scores", np.zeros_like(train.scores))
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        self.returned[:] = super().predict(asked).scores
        object.__setattr__(asked, "answers", np.ones_like(asked.answers))
        object.__setattr__(asked, "wanted", ~asked.wanted)
        return PredictedScores(self.returned)


class InOrder(AdaptivePredictor, Mean):
    """Asks items from the last to the first, or as it is told; predicts as `Mean`."""

    def __init__(self, how: str = "backwards") -> None:
        self.how = how

    def choose(self, asked: AskedAnswers) -> int:
        assert asked.answers.shape == (1, len(self.means))
        open_items = (asked.wanted[0] & np.isnan(asked.answers[0])).nonzero()[0]
        if self.how == "twice" and len(open_items) < asked.wanted.sum():
            return int((~np.isnan(asked.answers[0])).nonzero()[0][0])
        return {"backwards": int(open_items[-1]), "outside": len(self.means), "text": "first"}.get(  # type: ignore[return-value]
            self.how, int(open_items[-1])
        )
