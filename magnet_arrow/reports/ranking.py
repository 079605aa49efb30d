"""The sections that compare models: rankings, and scores by scenario."""

from collections.abc import Iterable, Iterator

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.errors import MagnetError
from magnet_arrow.evaluation.ranking import rank
from magnet_arrow.evaluation.win_rates import win_rates
from magnet_arrow.pages import Block, Figure, Paragraph, Section, Table, charts
from magnet_arrow.predictions.metrics import METRIC, SPLIT, metric
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.reports.dump import Dump, MetricPanel, said
from magnet_arrow.reports.labels import LABEL

MAX_METRICS = 8
MAX_DRAWN = 60
MAX_LABELS = 300
"""Scenarios with more variants than that are shown as one."""

_FORMATS = dict.fromkeys(("score", "low", "high"), ".3f")
_SHORT = {"rank_low": "best rank", "rank_high": "worst rank", "n": "questions", "why": "no interval"}


def rankings(dump: Dump) -> Section:
    """Models by each main metric, and by mean win rate where there are several."""
    blocks: list[Block] = []
    if len(dump.panels) > 1 and len(dump.models) > 1:
        blocks += _by_win_rate(dump)
    for one in dump.panels[:MAX_METRICS]:
        blocks += _by_metric(one)
    if len(dump.panels) > MAX_METRICS:
        rest = ", ".join(one.metric for one in dump.panels[MAX_METRICS:])
        blocks.append(Paragraph(f"Rankings by these metrics of fewer runs are not shown: {rest}."))
    if dump.without_metric:
        of = f"{dump.without_metric:,} of {counted(dump.scores.height, 'run')}"
        blocks.append(Paragraph(f"{of} have no main metric, so they are in no ranking."))
    return Section("Models, ranked", blocks, _INTRO if dump.panels else "")


_INTRO = (
    "Models in one tie group do not differ significantly from the group's first model. The best and worst rank that a "
    "model may have hold for all models together (95%). Intervals are of one model alone, with its questions seen as a "
    "draw from more; whether two of them overlap does not say whether the models differ."
)


def _by_metric(one: MetricPanel) -> Iterator[Block]:
    """The ranking by one metric, or why there is none."""
    if one.panel is None or one.ranked is None:
        yield Paragraph(f"No ranking by {one.metric}: {one.why_not}")
        return
    direction = "; lower is better" if one.lower_is_better else ""
    questions = counted(len(one.panel.items), "question")
    yield from _ranking(one.ranked, f"Mean {one.metric} over {questions}{direction}", one.metric)
    yield from map(Paragraph, _remarks(one, one.panel))


def _remarks(one: MetricPanel, scores: Panel) -> Iterator[str]:
    """What a reader of a ranking must know."""
    if len(scores.models) == 1:
        yield "There is one model, so there is nothing to compare it with."
    n_missing = scores.missing.height
    if n_missing:
        yield (
            "Not every model has a score on every question: "
            f"{n_missing:,} of {len(scores.models) * len(scores.items):,} are missing. "
            "Means are over the questions that a model has, and two models are compared on those that both have."
        )
    if one.note:
        yield one.note
    for name, reason, rows in scores.excluded.iter_rows():
        yield f"{name}: {counted(rows, 'answer')} not counted, as {reason}."


def _by_win_rate(dump: Dump) -> Iterator[Block]:
    """The ranking by mean win rate over scenarios, as HELM's leaderboards have it."""
    cells = _cells(dump).with_columns(item=pl.concat_str(LABEL, pl.lit(" by "), METRIC))
    names = dict(cells.select("item", METRIC).iter_rows())
    try:
        rates = win_rates(cells, lower_is_better={item: metric(name).lower_is_better for item, name in names.items()})
        found = rank(rates, lower_is_better=False)
    except MagnetError as error:
        yield Paragraph(f"No ranking by mean win rate: {said(error)}")
        return
    if len(rates.items) == 1:
        yield Paragraph("No ranking by mean win rate: there is one scenario on which models can be compared.")
        return
    caption = "Mean win rate: the share of the other models that a model outperforms, averaged over scenarios"
    yield from _ranking(found.rename({"n": "scenarios"}), caption, "mean win rate")


def _ranking(found: pl.DataFrame, caption: str, what: str) -> Iterator[Block]:
    scored = found.drop_nulls("rank")
    if scored.height > 1:
        drawn = scored.head(MAX_DRAWN)
        rest = f"; the best {MAX_DRAWN}" if scored.height > MAX_DRAWN else ""
        alt = f"{caption}: {_extremes(scored)}. The table below has all values."
        yield Figure(_forest(drawn, what), alt, f"{caption}, with 95% intervals{rest}")
    shown = found if found["why"].count() else found.drop("why")
    columns = ["model", "rank", "score", "low", "high", "rank_low", "rank_high", "group"]
    table = shown.select(*columns, *(name for name in shown.columns if name not in columns))
    yield Table(table.rename({**_SHORT, "group": "tie group"}, strict=False), caption, _FORMATS)


def _extremes(scored: pl.DataFrame) -> str:
    first, last = scored.row(0, named=True), scored.row(-1, named=True)
    return f"{first['model']} is first with {first['score']:.3f}, {last['model']} last with {last['score']:.3f}"


def _forest(ranked: pl.DataFrame, what: str) -> str:
    """Points with their intervals, the best model on top."""
    alt = charts.altair()
    base = alt.Chart(ranked.select("model", "score", "low", "high")).encode(
        y=alt.Y("model:N", sort=ranked["model"].to_list(), title=None)
    )
    x = alt.X("score:Q", title=what, scale=alt.Scale(zero=False))
    intervals = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=what), x2="high:Q")
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=x)
    return charts.svg((intervals + points).properties(width=480, height={"step": 22}))


def by_scenario(dump: Dump) -> Section:
    """Mean scores of models on scenarios, one heat map per metric and split."""
    cells = _cells(dump)
    order = _order(dump)
    blocks: list[Block] = []
    kinds = (
        cells.group_by(METRIC, SPLIT)
        .agg(pl.col("runs").sum())
        .sort("runs", METRIC, SPLIT, descending=[True, False, False])
    )
    for name, split, _ in kinds.head(MAX_METRICS).iter_rows():
        of_kind = cells.filter(pl.col(METRIC) == name, pl.col(SPLIT).eq_missing(pl.lit(split)))
        blocks.append(_heat_map(of_kind, name, split, order))
    if not blocks:
        blocks.append(Paragraph("No run has a main metric, so there are no scores to show."))
    return Section("Scores by scenario", blocks, _HEAT_INTRO if cells.height else "")


_HEAT_INTRO = (
    "Each cell is the mean score of the runs of one model on one scenario, without perturbations, as HELM wrote it in "
    "their stats. Shades go from the lowest to the highest score of a table."
)


def _cells(dump: Dump) -> pl.DataFrame:
    """The mean score of each model on each scenario; scenarios with very many variants are one."""
    label = LABEL if len(dump.labels) <= MAX_LABELS else "scenario"
    scored = dump.scores.filter(pl.col("score").is_not_null())
    keys = ["model", label, METRIC, SPLIT]
    groups = scored.group_by(keys).agg(pl.col("score").mean(), pl.len().alias("runs")).sort(keys)
    return groups.rename({label: LABEL})


def _order(dump: Dump) -> list[str]:
    """Models as the first ranking has them, then the others by name."""
    ranked = next((one.ranked["model"].to_list() for one in dump.panels if one.ranked is not None), [])
    return list(dict.fromkeys([*ranked, *dump.models]))


def _heat_map(cells: pl.DataFrame, name: str, split: str | None, order: Iterable[str]) -> Table:
    """Models are columns where there are fewer of them than scenarios."""
    present = set(cells["model"])
    models = [model for model in order if model in present]
    labels = sorted(cells[LABEL].unique())
    rows, columns = (LABEL, "model") if len(labels) >= len(models) else ("model", LABEL)
    names = {"model": models, LABEL: labels}
    wide = cells.pivot(columns, index=rows, values="score")
    ordered = pl.DataFrame({rows: names[rows]}).join(wide, on=rows, how="left", maintain_order="left")
    frame = ordered.select(rows, *names[columns]).rename({LABEL: "scenario"}, strict=False)
    where = f" on split {split}" if split else ""
    lower = "; lower is better" if metric(name).lower_is_better else ""
    caption = f"Mean {name}{where}: {counted(len(models), 'model')} × {counted(len(labels), 'scenario')}{lower}"
    return Table(frame, caption, dict.fromkeys(names[columns], ".3f"), shaded=names[columns])
