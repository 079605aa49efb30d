"""Folds: which models and items are held out together."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import FamilyNotFoundError, SettingError
from magnet_arrow.evaluation.score_matrix import ScoreMatrix
from magnet_arrow.predictions.asked import check_choice

if TYPE_CHECKING:
    from magnet_arrow._numpy import Integers

Folds: TypeAlias = Literal["organization", "family", "model", "run", "scenario", "item"]
"""What is held out together.

- "organization", "family": all models of one, and all other names of the same weights.
- "model": a model, and all other names of the same weights.
- "run": a model in a scenario; its other runs stay, and so do other names of the same weights.
- "scenario": a scenario of all models.
- "item": a tenth of the items of all models, drawn by the seed.
"""
FOLDS: tuple[Folds, ...] = get_args(Folds)
BY_MODEL: tuple[Folds, ...] = ("organization", "family", "model")
Target: TypeAlias = Literal["model", "item", "run", "extrapolation"]
"""What is predicted.

- "model": the mean score over all items of a scenario of a held-out model, from the k items that it was asked.
- "extrapolation": the same of the best 30% of the models from the weaker half, and of the worst 30% from the stronger
  half, by scenario.
- "item": the score of each item that was not asked.
- "run": the mean score of a model in a scenario.
"""
TARGETS: tuple[Target, ...] = get_args(Target)
N_ITEM_GROUPS = 10
_FINER = "Leave out one model at a time, by folds='model', or runs, by target='run' and folds='run'. Siblings stay."


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """A part of the scores that is held out.

    Attributes:
        number: from 0.
        name: of the group of models, run, scenario or items that is held out.
        train: rows that a predictor learns from.
        held_out: rows that are predicted. If they are among `train` too, their cells in `hidden` are not.
        hidden: columns that are not seen of the held-out rows.
        wanted: the columns to predict, of each scenario in turn; all of them are hidden.
        alone: whether each scenario is predicted from its own items only.
    """

    number: int
    name: str
    train: "Integers"
    held_out: "Integers"
    hidden: "Integers"
    wanted: "tuple[Integers, ...]"
    alone: bool = False


def make_folds(matrix: ScoreMatrix, target: Target, folds: Folds, seed: int) -> list[Fold]:
    """The folds of scores.

    Raises:
        SettingError: there is no such target or kind of fold, they do not go together, or nothing would be left to
            learn from.
        FamilyNotFoundError: nobody has said of which family or organisation a model is.
    """
    check_folds(target, folds)
    if target == "extrapolation":
        return list(_extrapolation(matrix))
    if folds in BY_MODEL:
        return list(_by_model(matrix, folds, alone=target != "run"))
    made = {"run": _by_run, "scenario": _by_scenario}
    return list(_by_item(matrix, seed) if folds == "item" else made[folds](matrix))


def check_folds(target: str, folds: str) -> None:
    """Raise if there is no such target or kind of fold, or they do not go together.

    Raises:
        SettingError: one of them is unknown, or they do not go together.
    """
    check_choice("target", target, TARGETS)
    check_choice("folds", folds, FOLDS)
    if target == "model" and folds not in BY_MODEL:
        hint = "Predict runs of models whose other runs were seen by target='run'."
        raise SettingError(f"folds={folds!r} leaves no model out.", expected=f"one of {', '.join(BY_MODEL)}", hint=hint)


def _by_model(matrix: ScoreMatrix, folds: Folds, *, alone: bool) -> Iterator[Fold]:
    np = numpy()
    groups = model_groups(matrix.families, folds)
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        raise SettingError(
            f"folds={folds!r}: all models are of one {folds}.",
            expected="at least two",
            found=names[0],
            hint=None if folds == "model" else _FINER,
        )
    every = np.arange(len(matrix.items))
    wanted = tuple(matrix.columns(scenario) for scenario in range(len(matrix.scenarios)))
    group_of = np.array([names.index(group) for group in groups])
    for number, name in enumerate(names):
        is_held_out = group_of == number
        yield Fold(number, name, (~is_held_out).nonzero()[0], is_held_out.nonzero()[0], every, wanted, alone)


def model_groups(families: pl.DataFrame, folds: Folds) -> list[str]:
    """The group of each model. Models of the same weights are in one group, whatever their families are called.

    Raises:
        FamilyNotFoundError: nobody has said of which family or organisation a model is.
    """
    weights = families.get_column("weights").fill_null(families.get_column("model")).to_list()
    if folds == "model":
        first: dict[str, str] = {}
        for model, of in zip(families.get_column("model"), weights, strict=True):
            first.setdefault(of, model)
        return [first[of] for of in weights]
    column = "organisation" if folds == "organization" else folds
    unknown = families.filter(pl.col(column).is_null()).get_column("model").to_list()
    if unknown:
        raise _without_group(unknown, folds, len(families))
    return _joined(families.get_column(column).to_list(), weights)


def _joined(groups: list[str], weights: list[str]) -> list[str]:
    """The groups, those that share weights joined under the name of the first."""
    joined = {group: group for group in groups}
    first: dict[str, str] = {}
    for group, of in zip(groups, weights, strict=True):
        ours, other = joined[group], joined[first.setdefault(of, group)]
        joined = {name: other if value == ours else value for name, value in joined.items()}
    return [joined[group] for group in groups]


def _without_group(unknown: list[str], folds: Folds, n_models: int) -> FamilyNotFoundError:
    few = ", ".join(unknown[:5]) + (", …" if len(unknown) > 5 else "")
    return FamilyNotFoundError(
        f"{len(unknown):,} of {n_models:,} models without {'an' if folds == 'organization' else 'a'} {folds}: {few}.",
        hint=(
            "Pass families='families.csv', a file with columns model, family and organisation, so that no model is "
            "predicted from its siblings.\n"
            "Or leave out one model at a time: folds='model'. If siblings are among them, errors are too small then."
        ),
    )


def _by_run(matrix: ScoreMatrix) -> Iterator[Fold]:
    np = numpy()
    every = np.arange(len(matrix.models))
    number = 0
    known = ~np.isnan(matrix.scores)
    for scenario, name in enumerate(matrix.scenarios):
        columns = matrix.columns(scenario)
        hidden = _copies(matrix, columns)
        for row in known[:, columns].any(axis=1).nonzero()[0]:
            yield Fold(number, f"{matrix.models[row]} in {name}", every, np.array([row]), hidden, (columns,))
            number += 1


def _by_scenario(matrix: ScoreMatrix) -> Iterator[Fold]:
    if len(matrix.scenarios) < 2:
        raise SettingError("folds='scenario': there is only one scenario.", expected="at least two")
    every = numpy().arange(len(matrix.models))
    for number, name in enumerate(matrix.scenarios):
        columns = matrix.columns(number)
        yield Fold(number, name, every, every, _copies(matrix, columns), (columns,))


def _by_item(matrix: ScoreMatrix, seed: int) -> Iterator[Fold]:
    """Folds of a tenth of the questions; with fewer than ten, one of each."""
    np = numpy()
    every = np.arange(len(matrix.models))
    questions = np.unique(matrix.question_of)
    if len(questions) < 2:
        raise SettingError("folds='item': there is only one item.", expected="at least two")
    shuffled = np.random.default_rng(np.random.SeedSequence([seed])).permutation(questions)
    groups = np.array_split(shuffled, min(N_ITEM_GROUPS, len(questions)))
    for number, group in enumerate(groups):
        hidden = np.isin(matrix.question_of, group).nonzero()[0]
        of = matrix.scenario_of[hidden]
        wanted = tuple(hidden[of == scenario] for scenario in np.unique(of))
        yield Fold(number, f"items {number + 1} of {len(groups)}", every, every, hidden, wanted)


def _copies(matrix: ScoreMatrix, columns: "Integers") -> "Integers":
    """The columns, and those of the same questions in other scenarios: an answer to one gives the other away."""
    np = numpy()
    found: Integers = np.isin(matrix.question_of, matrix.question_of[columns]).nonzero()[0]
    return found


def _extrapolation(matrix: ScoreMatrix) -> Iterator[Fold]:
    """For each scenario: the weaker half and the best 30%, the stronger half and the worst 30%."""
    np = numpy()
    number = 0
    for scenario, name in enumerate(matrix.scenarios):
        columns = matrix.columns(scenario)
        there = (~np.isnan(matrix.scores[:, columns])).any(axis=1).nonzero()[0]
        half, some = int(0.5 * len(there)), int(0.3 * len(there))
        if not some:
            raise SettingError(
                f"Scenario {name} has too few models for extrapolation.", expected="at least 4", found=str(len(there))
            )
        order = there[np.argsort(np.nanmean(matrix.scores[np.ix_(there, columns)], axis=1), kind="stable")]
        for direction, train, held_out in (
            ("the best 30% from the weaker half", order[:half], order[-some:]),
            ("the worst 30% from the stronger half", order[-half:], order[:some]),
        ):
            text = f"{name}: {direction}" if len(matrix.scenarios) > 1 else direction
            yield Fold(number, text, train, held_out, columns, (columns,), alone=True)
            number += 1
