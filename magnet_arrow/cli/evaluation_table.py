"""The ranking of an evaluation as lines for a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.evaluation.report.findings import rankings

if TYPE_CHECKING:
    from magnet_arrow.evaluation.record import Evaluation

_MIN_NAME = 22
"""That much of a name is shown in a narrow terminal too; at the default budgets it fits in 80 columns."""


def table_lines(
    found: "Evaluation", own: list[str], level: str | None, over: Sequence[str] | None, *, width: int = 80
) -> Iterator[str]:
    """A table for each level: predictors by their error at each budget.

    Args:
        found: the evaluation.
        own: the predictors that are marked, as they are no baselines.
        level: only predictors of this level.
        over: see `Evaluation.ranking`.
        width: of the terminal, in columns.
    """
    yield from textwrap.wrap(_heading(found), width)
    by_level: dict[str, list[tuple[int | None, pl.DataFrame]]] = {}
    for of, budget, ranking in rankings(found, level, over):
        by_level.setdefault(of, []).append((budget, ranking))
    if level is not None and not by_level:
        yield f"No predictor has level {level}."
    for of, ranked in by_level.items():
        yield ""
        yield from _table(of, ranked, own, width)


def _heading(found: "Evaluation") -> str:
    data, arguments = found.provenance["data"], found.provenance["arguments"]
    sizes = [
        counted(data["models"], "model"),
        counted(data["items"], "item"),
        counted(len(data["scenarios"]), "scenario"),
        counted(len(found.provenance["folds"]), "fold"),
    ]
    by = f" by {arguments['folds']}" if arguments["folds"] else ""
    return f"target {arguments['target']}: {', '.join(sizes)}{by}, {counted(arguments['draws'], 'draw')}"


def _table(level: str, ranked: list[tuple[int | None, pl.DataFrame]], own: list[str], width: int) -> Iterator[str]:
    yield from textwrap.wrap(f"Mean absolute error by items asked (level {level}); * ties with the best", width)
    numbers = [budget for budget, _ in ranked if budget is not None]
    last_budget, last = next(pair for pair in ranked if pair[0] == (max(numbers) if numbers else None))
    names = last["predictor"].to_list()
    columns = {}
    for budget, ranking in ranked:
        rows = {row["predictor"]: row for row in ranking.iter_rows(named=True)}
        tied = ranking.filter(pl.lit(not _untested(ranking)), tie_group=1)["predictor"].to_list()
        cells = [_error(rows[name]["mae"], tied=name in tied) if name in rows else "" for name in names]
        columns["all" if budget is None else str(budget)] = [*cells, _error(ranking["noise_floor"].mean(), tied=False)]
    columns["skill"] = [_number(value) for value in last["skill"]] + [""]
    room = width - sum(1 + max(map(len, (title, *cells))) for title, cells in columns.items())
    first = [_marked(name, own, room) for name in names]
    yield from _aligned({"  predictor": [*first, "  noise floor"], **columns})
    if why := _untested(last):
        yield from textwrap.wrap(f"Whether any is better cannot be said: {why}.", width)
        return
    n_tied = last.filter(tie_group=1).height - 1
    asked = "all items" if last_budget is None else counted(last_budget, "item")
    ties = f"tied with {counted(n_tied, 'other')}" if n_tied else "without a tie"
    yield from textwrap.wrap(f"Order and skill: with {asked} asked. The best there, {ties}:", width)
    yield _marked(last["predictor"][0], own, width)


def _untested(ranking: pl.DataFrame) -> str | None:
    """Why no predictor was tested against the best; None if one was, or if there is only one."""
    reasons = ranking["why"].drop_nulls()
    return reasons[0] if 0 < len(reasons) == ranking.height - 1 else None


def _marked(name: str, own: list[str], room: int) -> str:
    """A predictor's name in so many columns, with a mark if it is no baseline."""
    shown = for_terminal(name)
    length = max(_MIN_NAME, room - len("> "))
    shown = shown if len(shown) <= length else f"{shown[: length - 1]}…"
    return f"> {shown}" if name in own else f"  {shown}"


def _error(value: object, *, tied: bool) -> str:
    return _number(value) + ("*" if tied else " ")


def _number(value: object) -> str:
    """Three decimals, without the 0 before the point; more digits before it leave fewer behind it."""
    if not isinstance(value, int | float):
        return "–"
    if abs(value) >= 10:
        return f"{value:.4g}"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def _aligned(columns: dict[str, list[str]]) -> Iterator[str]:
    """Lines of columns of text with their names above, all but the first one at the right."""
    first, *rest = [[name, *cells] for name, cells in columns.items()]
    padded = [[cell.ljust(max(map(len, first))) for cell in first]]
    padded += [[cell.rjust(max(map(len, cells))) for cell in cells] for cells in rest]
    return (" ".join(cells).rstrip() for cells in zip(*padded, strict=True))
