"""Win rates: the share of the other models that a model outperforms, in each column of a table, as HELM shows them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import polars as pl

from magnet_arrow.errors import PanelError, SettingError
from magnet_arrow.predictions.asked import check_choice
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.predictions.panel_files import ITEM, MODEL, SCORE

Ties: TypeAlias = Literal["half", "row"]
_LOWER_IS_BETTER = "lower is better"


def win_rates(
    data: Any,
    *,
    model: str = "model",
    item: str = "item",
    score: str = "score",
    lower_is_better: bool | Mapping[str, bool | None] = False,
    ties: Ties = "half",
) -> Panel:
    """The panel of win rates: of the other models that have a score on the item, the share that a model outperforms.

    An item is what one column of a leaderboard shows, such as a scenario. The mean of a model's win rates is HELM's
    "Mean win rate"; `rank` of this panel gives it with its interval. Items whose direction is not known, and items
    on which fewer than two models have a score, are skipped. Where a score is missing, so is the win rate.

    Args:
        data: a panel, or a table as for `Panel.from_frame`, one row for each model and item.
        model: the table's column that names the model.
        item: the table's column that names the item.
        score: the table's column with the scores.
        lower_is_better: of all items, or of each by name; None, or no entry, is an unknown direction.
        ties: "half" counts half a win for a tie, as HELM from 0.5.4 on. "row" is how HELM before it broke ties: the
            later row wins, and the earlier one where lower is better; so it depends on the order of the rows.

    Raises:
        PanelError: no item is left, or the table makes no panel.

    Source: HELM 0.5.3 and 0.5.16, `presentation/summarize.py`, `compute_aggregate_row_win_rates`.

    >>> table = pl.DataFrame({"model": ["a", "b", "c"], "item": "gsm", "score": [0.5, 0.7, 0.5]})
    >>> win_rates(table).frame.rows()
    [('a', 'gsm', 0.25), ('b', 'gsm', 1.0), ('c', 'gsm', 0.25)]
    """
    check_choice("ties", ties, ("half", "row"))
    panel = (
        data if isinstance(data, Panel) else Panel.from_frame(data, model=model, item=item, score=score, missing="keep")
    )
    directions = _directions(panel, lower_is_better)
    n_scores = pl.col(SCORE).count().over(ITEM)
    rows = panel.frame.select(MODEL, ITEM, SCORE).join(directions, on=ITEM, maintain_order="left")
    rated = rows.filter(n_scores >= 2).with_columns(_win_rate(ties).alias(SCORE)).drop(_LOWER_IS_BETTER)
    if rated.is_empty():
        by_item = not isinstance(lower_is_better, bool)
        raise PanelError(
            "No item can be compared.",
            expected=f"an item with scores of two models{' and a known direction' if by_item else ''}",
            hint="lower_is_better={'gsm': False, …} says the direction of each item." if by_item else None,
        )
    items = rated.get_column(ITEM).unique(maintain_order=True).to_list()
    return replace(Panel(rated, panel.models, items), metrics=panel.metrics)


def _directions(panel: Panel, lower_is_better: bool | Mapping[str, bool | None]) -> pl.DataFrame:
    """The items whose direction is known, with it."""
    if isinstance(lower_is_better, bool):
        known = dict.fromkeys(panel.items, lower_is_better)
    elif isinstance(lower_is_better, Mapping):
        known = {item: lower for item in panel.items if (lower := lower_is_better.get(item)) is not None}
    else:
        raise SettingError("lower_is_better:", expected="a bool, or one by item", found=repr(lower_is_better))
    schema = {ITEM: pl.String, _LOWER_IS_BETTER: pl.Boolean}
    return pl.DataFrame({ITEM: list(known), _LOWER_IS_BETTER: list(known.values())}, schema=schema)


def _win_rate(ties: Ties) -> pl.Expr:
    """Wins among the models that have a score; a null stays null."""
    n_scores = pl.col(SCORE).count()
    # HELM sorted pairs of value and row, in reverse where lower is better: of equal ones the first row then comes last.
    rank = pl.col(SCORE).rank("average" if ties == "half" else "ordinal")
    wins = pl.when(pl.col(_LOWER_IS_BETTER)).then(n_scores - rank).otherwise(rank - 1)
    return (wins / (n_scores - 1)).over(ITEM)
