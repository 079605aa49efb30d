"""Budgets: which items a held-out model is asked, and how many."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

from magnet_arrow._numpy import numpy
from magnet_arrow.errors import SettingError

if TYPE_CHECKING:
    from magnet_arrow._numpy import Booleans, Integers

ALL: Literal["all"] = "all"
Budget: TypeAlias = int | Literal["all"]
"""How many items are asked; "all" for all of them."""

BUDGETS: tuple[Budget, ...] = (1, 2, 4, 8, 16, 32, 64, ALL)


def check_budgets(budgets: Iterable[Budget]) -> tuple[Budget, ...]:
    """The budgets in order, each once, "all" the last.

    Raises:
        SettingError: one of them is no number of items, or there is none.
    """
    if isinstance(budgets, str | int):
        raise SettingError("budgets:", expected="a list", found=repr(budgets))
    found = set(budgets)
    for budget in found:
        if budget != ALL and (not isinstance(budget, int) or isinstance(budget, bool) or budget < 0):
            raise SettingError("budgets:", expected="numbers of items or 'all'", found=repr(budget))
    numbers = sorted(budget for budget in found if isinstance(budget, int))
    if not found:
        raise SettingError("budgets:", expected="at least one", found="none")
    return (*numbers, *([ALL] if ALL in found else []))


def permutation(n_items: int, seed: int, fold: int, draw: int) -> "Integers":
    """The order in which items are asked: a budget's items are the first ones of it that a model has scores for."""
    np = numpy()
    found: Integers = np.random.default_rng(np.random.SeedSequence([seed, fold, draw])).permutation(n_items)
    return found


def ranks(known: "Booleans", order: "Integers") -> "Integers":
    """For each model and item, how many items are asked before; only of use where the score is known.

    Args:
        known: models × items: the scores that there are.
        order: the items, in the order in which they are asked.
    """
    np = numpy()
    before: Integers = np.empty(known.shape, dtype=np.int64)
    in_order = known[:, order]
    before[:, order] = np.cumsum(in_order, axis=1) - in_order
    return before
