"""`audit_items`: which items of a panel behave as if their key, the answer that counts as right, were wrong.

Models that know the answer fail an item with a wrong key, so others pass it than pass an item with a right one. A
classifier is trained to tell the items of the panel from copies of the same items whose key was made wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import SettingError
from magnet_arrow.evaluation.ranking import Rankable, panel_of
from magnet_arrow.evaluation.score_files import is_score_file
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.predictions.panel_files import ITEM, is_table
from magnet_arrow.runs.helm_runs import HelmRuns
from magnet_arrow.runs.summaries import Summaries
from magnet_arrow.statistics.stats_packages import sklearn

if TYPE_CHECKING:
    import numpy as np

    from magnet_arrow._numpy import Booleans, Floats, Integers

AUDITED = pl.Schema(
    {
        ITEM: pl.String,
        "n": pl.Int64,
        "difficulty": pl.Float64,
        "item_rest": pl.Float64,
        "stronger_fail": pl.Float64,
        "all_right": pl.Boolean,
        "all_wrong": pl.Boolean,
        "suspicion": pl.Float64,
        "recall": pl.Float64,
        "precision": pl.Float64,
    }
)
WRONG_KEYS = 0.01
"""The share of wrong keys for which `precision` is given."""

_MIN_ITEMS, _MIN_MODELS = 20, 3
_FOLDS, _COPIES = 10, 6
_MAX_TRAIN_ITEMS = 1500
"""The time to train grows with the square of the number of items."""
_SUMMARY_WEIGHT = 0.3
"""How far apart two items are by a feature that sums up all models, in relation to all scores of single models."""
_SPREAD = 1.2
"""Logits of mean scores differ less than abilities do, since items differ in difficulty."""


def audit_items(
    data: Rankable,
    *,
    model: str = "model",
    item: str = "item",
    score: str = "score",
    threshold: float | None = None,
    guess: float = 1 / 3,
    seed: int = 0,
) -> pl.DataFrame:
    """The items of a panel, those with the most suspicious keys first.

    Rows: one per item. Columns: `item`; `n` models with a score; `difficulty`, the share of these that fail it;
    `item_rest`, the correlation of the item's scores with the models' mean scores on the other items; `stronger_fail`,
    of all pairs of a model that passes the item and one that fails it, the share in which the failing one is stronger
    on the other items; `all_right` and `all_wrong`; `suspicion`, above 0 if the item is more like one with a wrong
    key; `recall` and `precision` of suspecting all items that are at least so suspicious. Of runs also `prompt` and
    `gold` as in `samples()`, of the first model that was asked, and `most_chosen`, the most frequent answer.

    `recall` and `precision` are measured on copies of the items whose keys were made wrong, by a classifier that has
    seen neither the item nor its copies: `recall` is the share of copies that are at least so suspicious, `precision`
    the share of wrong keys among the suspected items if 1% of all keys are wrong. How many really are wrong can't be
    told from scores, so this is no false discovery rate. Items are suspicious for other reasons too: two right answers,
    an answer that strong models are too cautious to give.

    With fewer than 20 items or 3 models there is no suspicion.

    Method: scikit-learn's support vector classifier with a radial kernel (C = 1, gamma = 1) on an item's scores by
    model, standardised, and with a weight of 0.3 each its mean, its item-rest correlation, and the likelihood ratio of
    a wrong and a right key by a one-parameter model. Cross-fitted in 10 folds of items, with 6 copies of each item, in
    which models that were right are wrong, and those that were wrong are right with the chance `guess`.

    Recall of 1% of keys made wrong among the 2% most suspicious items (`benchmarks/flipped_keys.py`, seeds 0 to 19):
    math 1.00, gsm .985, commonsense 1.00, med_qa .51, mmlu .38; by item-rest correlation 1.00, .985, .84, .42 and .22.

    Args:
        data: as for `rank`.
        model: the table's column that names the model.
        item: the table's column that names the item.
        score: the table's column with the scores.
        threshold: from which score on an answer counts as right, where scores are not 0 or 1.
        guess: how likely a wrong answer is the one that a wrong key counts as right: 1/3 with four options, 0 where
            answers are free.
        seed: decides folds and copies.

    Raises:
        PanelError: a score is neither 0 nor 1 and there is no threshold, or the table makes no panel.
        SettingError: `guess` is no probability.
    """
    if not 0 <= guess <= 1:
        raise SettingError(f"guess={guess!r} is no probability.", expected="a number from 0 to 1")
    if not (isinstance(data, Panel | Summaries) or is_score_file(data) or is_table(data)):
        data = HelmRuns.coerce(data)
    found = _audited(panel_of(data, model, item, score).binary(threshold), guess, seed)
    if not isinstance(data, Summaries):
        return found
    return found.join(_texts(data), on=ITEM, how="left", maintain_order="left")


def _texts(runs: Summaries) -> pl.DataFrame:
    """Prompt, right answers and most frequent answer of each item."""
    samples = runs.scan_samples().filter(pl.col("item_key").is_not_null())
    chat = pl.col("messages").list.join("\n").alias("prompt")
    texts = samples.group_by(pl.col("item_key").alias(ITEM), maintain_order=True).agg(
        pl.when(pl.col("prompt") != "").then("prompt").otherwise(chat).first(),
        pl.col("gold").first(),
        pl.col("answer").drop_nulls().mode(maintain_order=True).first().alias("most_chosen"),
    )
    return texts.collect()


def _audited(scores: Panel, guess: float, seed: int) -> pl.DataFrame:
    """The table without texts. Models and items are sorted, so that their order in the panel changes nothing."""
    np = numpy()
    items = sorted(range(len(scores.items)), key=scores.items.__getitem__)
    models = sorted(range(len(scores.models)), key=scores.models.__getitem__)
    answers = _Answers.of(scores.matrix()[np.ix_(models, items)])
    n, right = answers.known.sum(axis=0), answers.right.sum(axis=0)
    with np.errstate(invalid="ignore"):
        difficulty = 1 - right / n
    suspicions = _Suspicions.of(answers, guess, seed)
    columns = {
        ITEM: [scores.items[place] for place in items],
        "n": n,
        "difficulty": difficulty,
        "item_rest": answers.item_rest(),
        "stronger_fail": [_share_reversed(*pair) for pair in answers.by_item()],
        "all_right": (right == n) & (n > 0),
        "all_wrong": (right == 0) & (n > 0),
        "suspicion": suspicions.of_items,
        "recall": suspicions.recall(),
        "precision": suspicions.precision(),
    }
    found = pl.DataFrame(columns, schema=AUDITED).with_columns(pl.selectors.float().fill_nan(None))
    return found.sort("suspicion", descending=True, nulls_last=True, maintain_order=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """Which models pass which items; all arrays are models × items.

    Attributes:
        right: float64, 1 where a model passes an item, 0 elsewhere.
        known: bool, whether there is a score.
        rest: float64, the model's mean score on the other items; 0.5 if it has none.
    """

    right: "Floats"
    known: "Booleans"
    rest: "Floats"

    @classmethod
    def of(cls, scores: "Floats") -> "_Answers":
        np = numpy()
        known = ~np.isnan(scores)
        right = np.where(known, scores, 0.0)
        n_others = known.sum(axis=1, keepdims=True) - known
        rest = (right.sum(axis=1, keepdims=True) - right) / np.maximum(n_others, 1)
        return cls(right, known, np.where(n_others > 0, rest, 0.5))

    def with_wrong_keys(self, guess: float, generator: "np.random.Generator") -> "_Answers":
        """The same models on copies of the items, each with a wrong key."""
        lucky = generator.random(self.right.shape) < guess
        return _Answers((lucky & self.known & (self.right == 0)).astype("float64"), self.known, self.rest)

    def means(self) -> "Floats":
        """The mean score on each item; 0.5 if no model has one."""
        np = numpy()
        n = self.known.sum(axis=0)
        found: Floats = np.where(n > 0, self.right.sum(axis=0) / np.maximum(n, 1), 0.5)
        return found

    def item_rest(self) -> "Floats":
        """The correlation of each item's scores with `rest`; NaN if either is constant."""
        np = numpy()
        n = np.maximum(self.known.sum(axis=0), 1)
        scores = np.where(self.known, self.right - self.means(), 0.0)
        rest = np.where(self.known, self.rest, 0.0)
        rest = np.where(self.known, rest - rest.sum(axis=0) / n, 0.0)
        spread = np.sqrt((scores * scores).sum(axis=0) * (rest * rest).sum(axis=0))
        is_constant = spread < _ROUNDING * n
        found: Floats = np.where(is_constant, np.nan, (scores * rest).sum(axis=0) / np.where(is_constant, 1, spread))
        return found

    def by_item(self) -> "Iterator[tuple[Floats, Floats]]":
        """For each item `rest` of the models that pass it, and of those that fail it."""
        passed = self.right == 1
        for place in range(self.right.shape[1]):
            known = self.known[:, place]
            yield self.rest[passed[:, place], place], self.rest[known & ~passed[:, place], place]


_ROUNDING = 1e-12


def _share_reversed(passing: "Floats", failing: "Floats") -> float:
    """Of all pairs of a passing and a failing model, the share where the failing one is stronger; ties count half."""
    np = numpy()
    if not len(passing) or not len(failing):
        return float("nan")
    order: Floats = np.sort(passing)
    weaker = np.searchsorted(order, failing, "left") + np.searchsorted(order, failing, "right")
    return float(weaker.sum() / (2 * len(passing) * len(failing)))


@dataclass(frozen=True, slots=True, eq=False)
class _Suspicions:
    """How suspicious items are, and copies of them with wrong keys.

    Attributes:
        of_items: float64, one for each item; NaN if it has none.
        of_copies: float64, of all copies, sorted.
    """

    of_items: "Floats"
    of_copies: "Floats"

    @classmethod
    def of(cls, answers: _Answers, guess: float, seed: int) -> "_Suspicions":
        np = numpy()
        has_scores = np.asarray(answers.known.any(axis=0))
        if has_scores.sum() < _MIN_ITEMS or answers.known.any(axis=1).sum() < _MIN_MODELS:
            return cls(np.full(len(has_scores), np.nan), np.empty(0))
        generator = np.random.default_rng(seed)
        copies = [answers.with_wrong_keys(guess, generator) for _ in range(_COPIES)]
        points = np.stack([_points(some, answers, guess) for some in (answers, *copies)])
        found = np.empty(points.shape[:2])
        for held_out in np.array_split(generator.permutation(len(has_scores)), _FOLDS):
            found[:, held_out] = _decided(points, held_out, generator)
        return cls(np.where(has_scores, found[0], np.nan), np.sort(found[1:, has_scores].ravel()))

    def recall(self) -> "Floats":
        """Of the copies, the share that is at least as suspicious as each item."""
        return _share_from(self.of_copies, self.of_items)

    def precision(self) -> "Floats":
        """Of what is at least as suspicious as each item, the share of copies, if they are `WRONG_KEYS` of all."""
        np = numpy()
        copies = WRONG_KEYS * self.recall()
        items = np.sort(self.of_items[~np.isnan(self.of_items)])
        precision: Floats = copies / (copies + (1 - WRONG_KEYS) * _share_from(items, self.of_items))
        return precision


def _share_from(values: "Floats", ends: "Floats") -> "Floats":
    """The share of sorted values that are at least each of `ends`; NaN for NaN."""
    np = numpy()
    share = 1 - np.searchsorted(values, ends, "left") / max(len(values), 1)
    found: Floats = np.where(np.isnan(ends), np.nan, share)
    return found


def _points(answers: _Answers, panel: _Answers, guess: float) -> "Floats":
    """What the classifier sees of each item: the score of each model, and three numbers that sum them up."""
    np = numpy()
    means = answers.means()
    scores = np.where(answers.known, answers.right, means)
    ratio = _likelihood_ratio(answers, panel, max(guess, 0.01))
    sums = np.stack([np.sign(ratio) * np.sqrt(np.abs(ratio)), np.nan_to_num(answers.item_rest()), means])
    points: Floats = np.concatenate([scores, sums]).T
    return points


def _likelihood_ratio(answers: _Answers, panel: _Answers, guess: float) -> "Floats":
    """The logarithm of how much likelier each item's scores are with a wrong key than with a right one.

    By a one-parameter model: p = 1 ÷ (1 + exp(−ability − easiness)), and (1 − p) · guess with a wrong key. Abilities
    are logits of the models' mean scores; easiness is integrated over a normal distribution like that of the items.
    """
    np = numpy()
    n_items, n_models = panel.known.sum(axis=1), panel.known.sum(axis=0)
    ability = _logit((panel.right.sum(axis=1) + 0.5) / (n_items + 1))
    easiness = _logit((panel.right.sum(axis=0) + 0.5) / (n_models + 1))[n_models > 0]
    grid = np.linspace(-6, 6, 41)
    prior = -(((grid - easiness.mean()) / max(easiness.std(), 0.1)) ** 2) / 2
    p = 1 / (1 + np.exp(-_SPREAD * (ability - ability.mean()) - grid[:, None]))
    failed = answers.known - answers.right

    def likelihood(p: "Floats") -> "Floats":
        logs = np.log(p) @ answers.right + np.log1p(-p) @ failed + prior[:, None]
        found: Floats = np.logaddexp.reduce(logs, axis=0)
        return found

    ratio: Floats = likelihood((1 - p) * guess) - likelihood(p)
    return ratio


def _logit(p: "Floats") -> "Floats":
    np = numpy()
    logit: Floats = np.log(p / (1 - p))
    return logit


def _decided(points: "Floats", held_out: "Integers", generator: "np.random.Generator") -> "Floats":
    """How suspicious the held-out items and their copies are, by a classifier of the others.

    Args:
        points: of the items, and of each set of copies: sets × items × features.
        held_out: indexes of items.
        generator: chooses items where there are many.
    """
    np = numpy()
    others = np.setdiff1d(np.arange(points.shape[1]), held_out)
    train = generator.permutation(others)[:_MAX_TRAIN_ITEMS]
    center, scale = _scaling(points[:, train].reshape(-1, points.shape[2]))
    is_copy = np.repeat([0] + [1] * _COPIES, len(train))
    classifier = sklearn("svm").SVC(C=1.0, gamma=1.0)
    rows = ((points[:, train] - center) / scale).reshape(len(is_copy), -1)
    kept, counts = _merged(rows, is_copy)
    classifier.fit(rows[kept], is_copy[kept], sample_weight=counts * np.where(is_copy[kept], 1, _COPIES))
    asked = (points[:, held_out] - center) / scale
    decided: Floats = classifier.decision_function(asked.reshape(-1, asked.shape[2])).reshape(asked.shape[:2])
    return decided


def _merged(rows: "Floats", is_copy: "Integers") -> "tuple[Integers, Integers]":
    """The places of rows that differ, the first of each kind, and how many there are of each.

    Items that the same models pass are the same to the classifier, which takes one row of weight 2 as it takes two.
    """
    np = numpy()
    kinds = np.column_stack([np.round(rows, _DECIMALS), is_copy])
    _, first, counts = np.unique(kinds, axis=0, return_index=True, return_counts=True)
    return first, counts


_DECIMALS = 9
"""Sums over models that are equal but for rounding are equal."""


def _scaling(rows: "Floats") -> "tuple[Floats, Floats]":
    """Center and scale of each feature: all scores of models together have variance 1, each sum its weight squared."""
    np = numpy()
    deviations = rows.std(axis=0)
    n_models = rows.shape[1] - 3
    scores = np.sqrt((deviations[:n_models] ** 2).sum())
    sums = deviations[n_models:] / _SUMMARY_WEIGHT
    scale = np.concatenate([np.full(n_models, scores), sums])
    return rows.mean(axis=0), np.where(scale > 0, scale, 1.0)
