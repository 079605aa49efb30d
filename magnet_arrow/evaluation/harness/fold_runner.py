"""Runs predictors over folds: fits each once for a fold, and lets it predict at every draw and budget."""

import contextlib
import copy
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from magnet_arrow._forks import require_threads
from magnet_arrow._numpy import numpy
from magnet_arrow.errors import PredictionError
from magnet_arrow.evaluation.harness.budgets import ALL, Budget, permutation, ranks
from magnet_arrow.evaluation.harness.calls import NO_BUDGET, OF_OTHERS, Answer, Call, Labels, ask, frozen, said
from magnet_arrow.evaluation.harness.folds import Fold, Target
from magnet_arrow.evaluation.harness.interviews import Interviews
from magnet_arrow.evaluation.harness.time_limits import TimeIsUp, time_limit
from magnet_arrow.evaluation.panel_predictor import AdaptivePredictor, AskedAnswers, PanelPredictor, TrainScores
from magnet_arrow.evaluation.score_matrix import ScoreMatrix
from magnet_arrow.statistics.stats_packages import threadpoolctl

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Floats, Integers


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What is evaluated, and how; see `evaluate` for the settings, and `score_noise` for `noise`."""

    matrix: ScoreMatrix
    noise: "Floats"
    folds: Sequence[Fold]
    predictors: Sequence[PanelPredictor]
    target: Target
    budgets: tuple[Budget, ...]
    draws: int
    seed: int
    timeout: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What is fitted once: a fold, or a scenario of it.

    Attributes:
        train: what predictors learn from.
        calls: what they predict then.
    """

    train: TrainScores
    calls: list[Call]


def run_folds(job: Job, numbers: Sequence[int]) -> list[list[Answer]]:
    """The predictions of each of these folds. It can be run in any process, and gives the same there."""
    return list(each_fold(job, numbers))


def each_fold(job: Job, numbers: Sequence[int]) -> Iterator[list[Answer]]:
    """The predictions of each of these folds in turn, by one thread."""
    require_threads()
    with threadpoolctl().threadpool_limits(limits=1):
        for number in numbers:
            with _random_states():
                answers = list(_of_fold(job, job.folds[number]))
            yield answers


def _of_fold(job: Job, fold: Fold) -> Iterator[Answer]:
    np = numpy()
    left = [job.timeout] * len(job.predictors)
    numbers = np.random.SeedSequence([job.seed, fold.number]).generate_state(4)
    np.random.seed(numbers)
    begin = np.random.get_state()
    for part in _parts(job, fold):
        for index, predictor in enumerate(job.predictors):
            start = time.monotonic()
            np.random.set_state(begin)  # so that no predictor depends on those before it
            random.seed(int(numbers[0]))
            yield from _answers(job, fold, index, predictor, part, left[index])
            seconds = left[index]
            left[index] = None if seconds is None else max(0.0, seconds - (time.monotonic() - start))


@contextlib.contextmanager
def _random_states() -> Iterator[None]:
    """A context after which the global generators of random numbers go on as before."""
    np = numpy()
    states = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])


def _parts(job: Job, fold: Fold) -> Iterator[Part]:
    if not fold.alone:
        yield _part(job, fold, numpy().arange(len(job.matrix.items)), fold.wanted)
        return
    for columns in fold.wanted:
        yield _part(job, fold, columns, (columns,))


def _part(job: Job, fold: Fold, columns: "Integers", wanted: "Sequence[Integers]") -> Part:
    np = numpy()
    matrix = job.matrix
    seen = matrix.scores.copy()
    seen[np.ix_(fold.held_out, fold.hidden)] = np.nan
    seen = seen[np.ix_(fold.train, columns)]
    has_scores = ~np.isnan(seen).all(axis=1) if fold.alone else np.ones(len(seen), dtype=bool)
    train_rows = fold.train[has_scores]
    train = TrainScores(
        frozen(seen[has_scores]),
        tuple(matrix.models[row] for row in train_rows),
        tuple(matrix.items[column] for column in columns),
        tuple(matrix.scenarios[of] for of in matrix.scenario_of[columns]),
    )
    constants = _constants(job, train.scores, matrix.scenario_of[columns])
    calls = [call for of in wanted for call in _calls(job, fold, columns, of, train_rows, constants)]
    return Part(train, calls)


def _constants(job: Job, scores: "Floats", scenario_of: "Integers") -> tuple[float, float]:
    """The mean and the median of the train part, of the values that are predicted: item scores, or means."""
    np = numpy()
    values = scores if job.target == "item" else _means(scores, scenario_of)
    values = values[~np.isnan(values)]
    return (float(values.mean()), float(np.median(values))) if len(values) else (np.nan, np.nan)


def _means(scores: "Floats", scenario_of: "Integers") -> "Floats":
    """The mean score of each model in each scenario, NaN if it has none."""
    np = numpy()
    _, codes = np.unique(scenario_of, return_inverse=True)
    of = np.eye(codes.max() + 1)[codes]
    known = ~np.isnan(scores)
    counts = known @ of
    sums = np.where(known, scores, 0.0) @ of
    means: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def _calls(
    job: Job,
    fold: Fold,
    columns: "Integers",
    wanted: "Integers",
    train_rows: "Integers",
    constants: tuple[float, float],
) -> Iterator[Call]:
    """The calls for one scenario's wanted items, over all draws and budgets."""
    np = numpy()
    matrix = job.matrix
    is_wanted = np.isin(columns, wanted)
    truth = np.where(is_wanted, matrix.scores[np.ix_(fold.held_out, columns)], np.nan)
    known = ~np.isnan(truth)
    scenario = int(matrix.scenario_of[wanted[0]])
    for draw in range(job.draws):
        before = None
        for budget in job.budgets:
            if draw and budget in (0, ALL):
                continue  # there is no chance in it
            if budget not in (0, ALL) and before is None:
                before = _before(job, fold, columns, known, draw)
            asked = known if budget == ALL else np.zeros_like(known) if before is None else known & (before < budget)
            n_asked, n_known = asked.sum(axis=1), known.sum(axis=1)
            enough = n_known > 0 if budget == ALL else n_asked == budget
            if job.target == "item":
                enough &= n_known > n_asked
            rows = (enough & (n_known > 0)).nonzero()[0]
            if not len(rows):
                continue
            held_out = fold.held_out[rows]
            asked_answers = AskedAnswers(
                frozen(np.where(asked[rows], truth[rows], np.nan)),
                frozen(known[rows]),
                tuple(matrix.models[row] for row in held_out),
                frozen(_places(train_rows, held_out)),
            )
            labels = Labels(scenario, draw, NO_BUDGET if budget == ALL else budget, *constants)
            noise = job.noise[np.ix_(held_out, columns)]
            yield Call(asked_answers, truth[rows], noise, held_out, columns, labels, job.target == "item")


def _before(job: Job, fold: Fold, columns: "Integers", known: "Booleans", draw: int) -> "Integers":
    """How many items are asked before each one. One order of all items serves every scenario."""
    np = numpy()
    order = permutation(len(job.matrix.items), job.seed, fold.number, draw)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return ranks(known, np.argsort(place[columns]))


def _places(train_rows: "Integers", held_out: "Integers") -> "Integers":
    """Where each held-out model is among the train rows; -1 if it is not."""
    np = numpy()
    places = {int(row): place for place, row in enumerate(train_rows)}
    found: Integers = np.array([places.get(int(row), -1) for row in held_out], dtype=np.int64)
    return found


def _answers(
    job: Job, fold: Fold, index: int, predictor: PanelPredictor, part: Part, seconds: float | None
) -> Iterator[Answer]:
    """One answer for each call. After an error of `fit` or the time limit, the rest are answers without values."""
    calls = part.calls
    if isinstance(predictor, AdaptivePredictor):
        calls = [call for call in calls if call.labels.draw == 0]  # it asks what it asks, whatever the draw
    made: list[Answer] = []
    why = ""
    try:
        with time_limit(seconds) as check:
            for answer in _made(index, fold.number, copy.deepcopy(predictor), part.train, calls):
                made.append(answer)
                check()
    except TimeIsUp:
        why = f"time limit of {job.timeout:g} s"
    except OF_OTHERS as error:
        why = said(error)
    yield from made
    yield from (Answer.of_none(fold.number, index, call, why) for call in calls[len(made) :])


def _made(
    index: int, fold: int, predictor: PanelPredictor, train: TrainScores, calls: Sequence[Call]
) -> Iterator[Answer]:
    """The answers, as long as `fit` and the code around `predict` raise nothing."""
    if not len(train.models) or numpy().isnan(train.scores).all():
        raise PredictionError("No train model has a score.")
    fitted = predictor.fit(replace(train))
    if not isinstance(fitted, PanelPredictor):
        raise PredictionError("", expected="the predictor itself from fit()", found=type(fitted).__name__)
    for _, of_draw in itertools.groupby(calls, lambda call: (call.labels.scenario, call.labels.draw)):
        forgetful = _copied(fitted)
        interviews = Interviews(forgetful) if isinstance(forgetful, AdaptivePredictor) else None
        for call in of_draw:
            try:
                yield interviews.ask(call, fold, index) if interviews else ask(forgetful, call, fold, index)
            except OF_OTHERS as error:
                yield Answer.of_none(fold, index, call, said(error))


def _copied(fitted: PanelPredictor) -> PanelPredictor:
    """A copy for each draw, so that no answers are remembered from one to the next; itself if it cannot be copied."""
    try:
        return copy.deepcopy(fitted)
    except Exception:
        return fitted
