"""The rankings of an evaluation as tables for people."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.cli.tables import Layout
from magnet_arrow.evaluation.report.findings import rankings

if TYPE_CHECKING:
    from magnet_arrow.evaluation.record import Evaluation

_MARKS, _NAMES, _SKILL = " ", "predictor", "skill"
_MIN_NAME = 22
"""That much of a name is shown in a narrow terminal too; at the default budgets it fits in 80 columns."""


def all_rankings(found: "Evaluation", level: str | None, over: Sequence[str] | None) -> pl.DataFrame:
    """The rankings as one table, with columns for level and budget; the budget is text, as it may be `all`."""
    parts = [
        ranking.select(pl.lit(of).alias("level"), pl.lit(_title(budget)).alias("budget"), pl.all())
        for of, budget, ranking in rankings(found, level, over)
    ]
    return pl.concat(parts, how="vertical_relaxed") if parts else pl.DataFrame()


def tables(
    found: "Evaluation", own: list[str], level: str | None, over: Sequence[str] | None
) -> Iterator[str | tuple[pl.DataFrame, Layout]]:
    """Paragraphs of text, and a table for each level: predictors by their error at each budget.

    Args:
        found: the evaluation.
        own: the predictors that are marked, as they are no baselines.
        level: only predictors of this level.
        over: see `Evaluation.ranking`.
    """
    yield _heading(found)
    by_level: dict[str, list[tuple[int | None, pl.DataFrame]]] = {}
    for of, budget, ranking in rankings(found, level, over):
        by_level.setdefault(of, []).append((budget, ranking))
    if level is not None and not by_level:
        yield f"No predictor has level {level}."
    for of, ranked in by_level.items():
        yield ""
        yield f"Mean absolute error by items asked (level {of}); * ties with the best"
        yield _table(ranked, own), _layout(ranked)
        yield from _text_below(ranked, own)


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


def _last(ranked: list[tuple[int | None, pl.DataFrame]]) -> tuple[int | None, pl.DataFrame]:
    """The ranking at the largest number of items, which decides the order."""
    numbers = [budget for budget, _ in ranked if budget is not None]
    return next(pair for pair in ranked if pair[0] == (max(numbers) if numbers else None))


def _table(ranked: list[tuple[int | None, pl.DataFrame]], own: list[str]) -> pl.DataFrame:
    _, last = _last(ranked)
    names = last["predictor"].to_list()
    columns = {_MARKS: [*(_mark(name, own) for name in names), " "], _NAMES: [*names, "noise floor"]}
    for budget, ranking in ranked:
        rows = {row["predictor"]: row for row in ranking.iter_rows(named=True)}
        tied = ranking.filter(pl.lit(not _untested(ranking)), tie_group=1)["predictor"].to_list()
        cells = [_error(rows[name]["mae"], tied=name in tied) if name in rows else "" for name in names]
        columns[_title(budget)] = [*cells, _error(ranking["noise_floor"].mean(), tied=False)]
    columns[_SKILL] = [_number(value) for value in last["skill"]] + [""]
    return pl.DataFrame(columns)


def _layout(ranked: list[tuple[int | None, pl.DataFrame]]) -> Layout:
    """Of the budgets the one that decides the order is left out last."""
    decides = _title(_last(ranked)[0])
    numbers = [_title(budget) for budget, _ in ranked]
    others = [number for number in numbers if number != decides]
    texts = [*numbers, _SKILL]
    return Layout(
        drop=[*others, _SKILL, _MARKS], least={_NAMES: _MIN_NAME}, whole=[_MARKS, *texts], right=texts, gap=" "
    )


def _title(budget: int | None) -> str:
    return "all" if budget is None else str(budget)


def _text_below(ranked: list[tuple[int | None, pl.DataFrame]], own: list[str]) -> Iterator[str]:
    last_budget, last = _last(ranked)
    if why := _untested(last):
        yield f"Whether any is better cannot be said: {why}."
        return
    n_tied = last.filter(tie_group=1).height - 1
    asked = "all items" if last_budget is None else counted(last_budget, "item")
    ties = f"tied with {counted(n_tied, 'other')}" if n_tied else "without a tie"
    yield f"Order and skill: with {asked} asked. The best there, {ties}:"
    best = last["predictor"][0]
    yield f"{_mark(best, own)} {best}"


def _untested(ranking: pl.DataFrame) -> str | None:
    """Why no predictor was tested against the best; None if one was, or if there is only one."""
    reasons = ranking["why"].drop_nulls()
    return reasons[0] if 0 < len(reasons) == ranking.height - 1 else None


def _mark(name: str, own: list[str]) -> str:
    """A sign for a predictor that is no baseline."""
    return ">" if name in own else " "


def _error(value: object, *, tied: bool) -> str:
    return _number(value) + ("*" if tied else " ")


def _number(value: object) -> str:
    """Three decimals, without the 0 before the point; more digits before it leave fewer behind it."""
    if not isinstance(value, int | float):
        return "–"
    if abs(value) >= 10:
        return f"{value:.4g}"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"
