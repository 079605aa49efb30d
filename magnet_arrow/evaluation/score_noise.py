"""The variance of scores that nobody can predict, by an item response model: errors have their noise floor from it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.panel_predictor import TrainScores
from magnet_arrow.evaluation.predictors.one_parameter import OneParameterResponse
from magnet_arrow.evaluation.score_matrix import ScoreMatrix
from magnet_arrow.statistics.stats_packages import scipy

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats, Integers


def score_noise(matrix: ScoreMatrix, *, alone: bool) -> "Floats":
    """The variance p(1 − p) of each score, models × items, by the one-parameter response model of all scores.

    The model has seen these scores, and where it fits badly p is too near to ½ and the variance too large. NaN if the
    scores are not 0 and 1.

    Args:
        matrix: the scores.
        alone: whether each scenario has a model of its own.
    """
    np = numpy()
    known = matrix.scores[~np.isnan(matrix.scores)]
    noise: Floats = np.full(matrix.scores.shape, np.nan)
    if not np.isin(known, (0.0, 1.0)).all() or len(np.unique(known)) < 2:
        return noise
    for rows, columns in _problems(matrix, alone=alone):
        noise[np.ix_(rows, columns)] = _variances(matrix, rows, columns)
    return noise


def _problems(matrix: ScoreMatrix, *, alone: bool) -> "Iterator[tuple[Integers, Integers]]":
    """The models and items of each response model: those that have scores, of both kinds."""
    np = numpy()
    every = [matrix.columns(scenario) for scenario in range(len(matrix.scenarios))]
    for columns in every if alone else [np.arange(len(matrix.items))]:
        scores = matrix.scores[:, columns]
        known = ~np.isnan(scores)
        if len(np.unique(scores[known])) == 2:
            yield known.any(axis=1).nonzero()[0], columns


def _variances(matrix: ScoreMatrix, rows: "Integers", columns: "Integers") -> "Floats":
    np = numpy()
    names = [matrix.models[row] for row in rows], [matrix.items[column] for column in columns]
    scenarios = [matrix.scenarios[of] for of in matrix.scenario_of[columns]]
    fitted = OneParameterResponse().fit(TrainScores(matrix.scores[np.ix_(rows, columns)], *names, scenarios))
    p = scipy("special").expit(fitted.abilities[:, None] + fitted.easiness)
    variances: Floats = p * (1 - p)
    return variances
