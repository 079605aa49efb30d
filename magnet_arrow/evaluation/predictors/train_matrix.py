"""The train scores without gaps, and all that is known of held-out models, for predictors that compute with matrices.

Every predictor of this package treats missing scores alike: a missing score of a train model counts as the item's train
mean, see `item_means`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from magnet_arrow._numpy import numpy
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, TrainScores

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Floats, Integers


def item_means(train: TrainScores) -> "Floats":
    """The mean train score of each item. An item without one has the mean of its scenario, or else of all scores."""
    np = numpy()
    scenarios = scenario_codes(train.scenarios)
    known = ~np.isnan(train.scores)
    count, total = known.sum(0), np.where(known, train.scores, 0.0).sum(0)
    scenario_count, scenario_total = (np.bincount(scenarios, weights) for weights in (count, total))
    of_scenario = means(scenario_total, scenario_count, means(total.sum(), count.sum(), np.nan))
    return means(total, count, of_scenario[scenarios])


def filled(train: TrainScores) -> "Floats":
    """The train scores with the item's mean where a score is missing."""
    np = numpy()
    missing = np.isnan(train.scores)
    return np.where(missing, item_means(train), train.scores) if missing.any() else train.scores


def with_own_scores(asked: AskedAnswers, train: TrainScores) -> AskedAnswers:
    """What is known of the held-out models: if one is in the train scores, its scores there count as answers too."""
    np = numpy()
    if (asked.train_rows < 0).all():
        return asked
    own = np.where(asked.train_rows[:, None] >= 0, train.scores[asked.train_rows], np.nan)
    return replace(asked, answers=np.where(np.isnan(asked.answers), own, asked.answers))


def alike(asked: AskedAnswers) -> list["Integers"]:
    """The rows of held-out models that can be predicted by one fit: the same items are asked and wanted of them."""
    np = numpy()
    groups: dict[tuple[bytes, bytes, int], list[int]] = {}
    for row, (answers, wanted, train_row) in enumerate(zip(asked.answers, asked.wanted, asked.train_rows, strict=True)):
        groups.setdefault((np.isnan(answers).tobytes(), wanted.tobytes(), int(train_row)), []).append(row)
    return [np.array(rows) for rows in groups.values()]


def others(matrix: "Floats", train_row: int) -> "Floats":
    """The rows of the models other than the held-out one; all rows if it is not in train or there is no other."""
    np = numpy()
    return matrix if train_row < 0 or len(matrix) == 1 else np.delete(matrix, train_row, axis=0)


def means(total: "Floats", count: "Floats | Integers", otherwise: "Floats | float") -> "Floats":
    """`total` ÷ `count`, and `otherwise` where nothing was counted."""
    np = numpy()
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), otherwise)
    return mean


def mean_over(wanted: "Booleans", outcomes: "Floats") -> "Floats":
    """The mean of each row of `outcomes` over its wanted items."""
    np = numpy()
    mean: Floats = np.where(wanted, outcomes, 0.0).sum(1) / wanted.sum(1)
    return mean


def scenario_codes(scenarios: Sequence[str]) -> "Integers":
    """A number for each item that says of which scenario it is."""
    codes: Integers = numpy().unique(numpy().asarray(scenarios), return_inverse=True)[1]
    return codes
