"""The one-parameter item response model, also known as the Rasch model, by scikit-learn's logistic regression."""

from typing import TYPE_CHECKING, Any, Self

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import PanelError
from magnet_arrow.evaluation.panel_predictor import AskedAnswers, PanelPredictor, PredictedScores, TrainScores
from magnet_arrow.evaluation.predictors.train_matrix import item_means, scenario_codes, with_own_scores
from magnet_arrow.statistics.stats_packages import scipy, sklearn

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Floats, Integers

ABILITY_SD = 3.0
LEVEL_SD = 3.0
TOLERANCE = 1e-9
MAX_STEPS = 200


class OneParameterResponse(PanelPredictor):
    """The logit of a right answer is the model's ability plus the item's easiness (Rasch 1960).

    Fitted by scikit-learn's penalised logistic regression on one-hot columns of models, items and scenarios. The priors
    are N(0, 9) for abilities and for the level of a scenario, N(its scenario, 1) for the easiness of an item. A
    score between 0 and 1 counts as that share of a right answer. A held-out model has the most probable ability given
    its answers and the items' easiness; if none is known, it is expected to score as the train models do.

    Attributes:
        abilities: of the train models, after `fit`.
        easiness: of the items, after `fit`; an item without train scores is as easy as the level of its scenario.
    """

    name = "one-parameter response"
    abilities: "Floats"
    easiness: "Floats"

    def fit(self, train: TrainScores) -> Self:
        """Fit abilities and easiness together.

        Raises:
            PanelError: a score is not between 0 and 1.
        """
        _check_range(train.scores)
        self._train = train
        self._item_means = item_means(train)
        scenarios = scenario_codes(train.scenarios)
        groups = _equivalent_items(train.scores, scenarios)
        design, right, weights = _regression_rows(train.scores, groups, scenarios)
        logistic = sklearn("linear_model").LogisticRegression(
            C=1, fit_intercept=False, solver="newton-cg", tol=TOLERANCE, max_iter=MAX_STEPS
        )
        coefficients = logistic.fit(design, right, sample_weight=weights).coef_[0]
        n_models, n_groups = len(train.scores), groups.max() + 1
        of_models, of_groups, of_scenarios = numpy().split(coefficients, [n_models, n_models + n_groups])
        sizes = numpy().bincount(groups)
        self.abilities = ABILITY_SD * of_models
        self.easiness = (of_groups / sizes**0.5)[groups] + LEVEL_SD * of_scenarios[scenarios]
        return self

    def predict(self, asked: AskedAnswers) -> PredictedScores:
        """The probability of a right answer to each item; asked items count as they were answered."""
        known = with_own_scores(asked, self._train)
        abilities = most_probable_abilities(known.answers, self.easiness)
        some_known = ~numpy().isnan(known.answers).all(1, keepdims=True)
        probabilities = scipy("special").expit(abilities[:, None] + self.easiness)
        outcomes = numpy().where(some_known, probabilities, self._item_means)
        return PredictedScores.of_outcomes(outcomes, known)


def _check_range(scores: "Floats") -> None:
    outside = scores[(scores < 0) | (scores > 1)]
    if outside.size:
        hint = "Panel.binary(threshold) says from which score on an answer is right."
        raise PanelError("An item response model needs scores from 0 to 1.", found=f"{outside[0]:g}", hint=hint)


def most_probable_abilities(answers: "Floats", easiness: "Floats") -> "Floats":
    """For each row of answers (NaN where not asked) the mode of the ability's posterior, by Newton's method."""
    np, expit = numpy(), scipy("special").expit
    columns = ~np.isnan(answers).all(0)
    known, easiness = ~np.isnan(answers[:, columns]), easiness[columns]
    total = np.where(known, answers[:, columns], 0.0).sum(1)
    abilities: Floats = np.zeros(len(answers))
    for _ in range(MAX_STEPS):
        expected = expit(abilities[:, None] + easiness) * known
        slope = total - expected.sum(1) - abilities / ABILITY_SD**2
        curvature = (expected * (1 - expected)).sum(1) + 1 / ABILITY_SD**2
        step = np.clip(slope / curvature, -1, 1)  # a full step may overshoot where all answers are right
        abilities += step
        if (np.abs(step) < TOLERANCE).all():
            break
    return abilities


def _equivalent_items(scores: "Floats", scenarios: "Integers") -> "Integers":
    """The group of each item: those of a scenario that the same models answered, as many of them right, are equal.

    The model can't tell them apart (its sufficient statistic of an item is the total), so that one coefficient does for
    all: 1,000 items of 62 models are at most 63 groups.
    """
    np = numpy()
    known = ~np.isnan(scores)
    keys = np.vstack([np.packbits(known, axis=0), np.where(known, scores, 0.0).sum(0), scenarios])
    groups: Integers = np.unique(keys, axis=1, return_inverse=True)[1]
    return groups


def _regression_rows(scores: "Floats", groups: "Integers", scenarios: "Integers") -> tuple[Any, "Booleans", "Floats"]:
    """Features, whether right, and weight. Two rows for each model and group: its right and its wrong answers.

    A feature that is multiplied by s has a coefficient divided by s, so that a penalty of 1 is a prior N(0, s²). The
    coefficient of n equal items is penalised n times: theirs is divided by √n.
    """
    np, sparse = numpy(), scipy("sparse")
    known = ~np.isnan(scores)
    sizes = np.bincount(groups)
    of_group = sparse.csr_array((np.ones(len(groups)), groups, np.arange(len(groups) + 1)))
    count, right = known @ of_group, np.where(known, scores, 0.0) @ of_group
    models, answered = count.nonzero()
    n_rows, n_models = len(models), len(scores)
    scenario_of_group = np.zeros(len(sizes), np.int64)
    scenario_of_group[groups] = scenarios
    columns = np.stack([models, n_models + answered, n_models + len(sizes) + scenario_of_group[answered]], axis=1)
    values = np.stack([np.full(n_rows, ABILITY_SD), sizes[answered] ** -0.5, np.full(n_rows, LEVEL_SD)], axis=1)
    starts = 3 * np.arange(n_rows + 1)
    shape = (n_rows, n_models + len(sizes) + scenarios.max() + 1)
    features = sparse.csr_array((values.ravel(), columns.ravel(), starts), shape=shape)
    rights, counts = right[models, answered], count[models, answered]
    weights = np.concatenate([rights, counts - rights])
    return sparse.vstack([features, features], format="csr"), np.repeat([True, False], n_rows), weights
