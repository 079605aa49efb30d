"""The sections about single questions: suspicious keys, questions that models disagree on, and those that all miss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.errors import MagnetError, MissingPackageError
from magnet_arrow.evaluation.audit import WRONG_KEYS, audit_items
from magnet_arrow.pages import Block, Figure, Paragraph, Section, Table, charts
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.predictions.panel_files import ITEM, SCORE
from magnet_arrow.reports.dump import Dump, MetricPanel, said
from magnet_arrow.reports.question_texts import QuestionTexts

MAX_QUESTIONS, MIN_QUESTIONS = 20, 3
"""How many questions of each kind are shown, and how many of each metric where there are several metrics."""
MAX_METRICS = 8
MIN_PRECISION = 0.05
"""Suspects of which fewer have a wrong key are not worth a reader's time."""


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """The questions by one metric that deserve a look.

    Attributes:
        metric: its name.
        audited: questions that were asked, as `audit_items` gives them; None if scores are not 0 or 1.
        why_not: why there is no audit.
        suspected: those of `audited` whose key looks wrong, the most suspicious first.
        disputed: those that models have different scores on, the most evenly split ones first.
        missed: those on which no model has a score above 0.
        limit: how many of each kind are shown.
        texts: what was asked and answered, of the first ones of each kind.
    """

    metric: str
    audited: pl.DataFrame | None
    why_not: str
    suspected: pl.DataFrame
    disputed: pl.DataFrame
    missed: pl.DataFrame
    limit: int
    texts: QuestionTexts

    @classmethod
    def all_of(cls, dump: Dump) -> "list[Questions]":
        """Those of each metric that has scores by question, and a direction in which higher is better."""
        found = [one for one in dump.panels if one.panel is not None and not one.lower_is_better][:MAX_METRICS]
        limit = max(MAX_QUESTIONS // len(found), MIN_QUESTIONS) if found else 0
        return [cls._of(dump, one, one.panel, limit) for one in found if one.panel is not None]

    @classmethod
    def _of(cls, dump: Dump, one: MetricPanel, scores: Panel, limit: int) -> "Questions":
        audited, why_not = _audited(scores)
        spread = _spread(scores, audited)
        order = ["variance", "n", "stronger_fail", ITEM]
        disputed = spread.filter(pl.col("variance") > 0).sort(order, descending=[True] * 3 + [False], nulls_last=True)
        missed = spread.filter(pl.col("mean") == 0).sort("n", ITEM, descending=[True, False])
        suspected = spread.clear() if audited is None else audited.filter(_IS_SUSPECT)
        items = pl.concat([kind[ITEM].head(limit) for kind in (suspected, disputed, missed)]).unique()
        texts = QuestionTexts.of(dump, one.runs, items)
        return cls(one.metric, audited, why_not, suspected, disputed, missed, limit, texts)


_IS_SUSPECT = (pl.col("suspicion") > 0) & (pl.col("precision") >= MIN_PRECISION)


def _audited(scores: Panel) -> tuple[pl.DataFrame | None, str]:
    """The audit of the questions that were asked, or why there is none."""
    try:
        return audit_items(scores).filter(pl.col("n") > 0), ""
    except MissingPackageError:
        raise
    except MagnetError as error:
        return None, said(error)


def _spread(scores: Panel, audited: pl.DataFrame | None) -> pl.DataFrame:
    """One row per question with a score: number of scores, mean, variance, and `stronger_fail` if it is known."""
    score = pl.col(SCORE)
    # Rounded, so that questions which are split equally are equal.
    variance = score.var(ddof=0).fill_null(0).round(12).alias("variance")
    rows = scores.frame.drop_nulls(SCORE).group_by(ITEM).agg(pl.len().alias("n"), score.mean().alias("mean"), variance)
    if audited is None:
        return rows.with_columns(pl.lit(None, pl.Float64).alias("stronger_fail"))
    return rows.join(audited.select(ITEM, "stronger_fail"), on=ITEM, how="left")


def audit(found: Sequence[Questions]) -> Section:
    """How hard the questions are, and which keys look wrong."""
    blocks: list[Block] = []
    for one in found:
        blocks += _audit(one)
    return Section("Item audit", blocks or [Paragraph(_NO_SCORES)], _AUDIT_INTRO if found else "")


_NO_SCORES = (
    "There is nothing to look at here: there are no scores by question in which higher is better, or they cannot be "
    "used, as the section on rankings says."
)
_AUDIT_INTRO = (
    "A question with a wrong key behaves unlike the others: strong models fail it. Suspicion above 0 means that a "
    "question is more like copies of the questions whose key was made wrong than like the questions themselves. There "
    "are other reasons to be suspicious: two right answers, or an answer that strong models are too cautious to give."
)


_NO_SUSPECT = (
    "No key is suspicious enough to be listed: even of the most suspicious questions fewer than "
    f"{MIN_PRECISION:.0%} would have a wrong key, if {WRONG_KEYS:.0%} of all have one. "
    "The more models there are, the more can be told."
)


def _audit(one: Questions) -> Iterator[Block]:
    if one.audited is None:
        yield Paragraph(f"No audit by {one.metric}: {one.why_not}")
        return
    n, n_right, n_wrong = one.audited.height, int(one.audited["all_right"].sum()), int(one.audited["all_wrong"].sum())
    caption = f"Questions by the share of models that fail them, by {one.metric}"
    alt = f"{caption}: {n_right:,} of {n:,} failed by none, {n_wrong:,} by all"
    yield Figure(_difficulty(one.audited), alt, caption)
    yield Paragraph(f"All models are right on {n_right:,} of {counted(n, 'question')}, and none on {n_wrong:,}.")
    if not one.audited["suspicion"].count():
        yield Paragraph("Fewer than 20 questions or 3 models: too few to suspect a key.")
    elif one.suspected.is_empty():
        yield Paragraph(_NO_SUSPECT)
    else:
        yield from _suspected(one)


def _suspected(one: Questions) -> Iterator[Block]:
    """A table of the most suspicious questions, and what was asked and answered."""
    suspected = one.suspected.head(one.limit)
    titles = [f"{number}. {one.texts.title(item)}" for number, item in enumerate(suspected[ITEM], 1)]
    frame = suspected.select(pl.Series("question", titles), *_SHOWN).rename(_SHOWN)
    yield Table(frame, f"The most suspicious keys by {one.metric}", dict.fromkeys(frame.columns[2:], ".2f"))
    for number, item in enumerate(suspected[ITEM], 1):
        yield one.texts.details(item, f"{number}. ")


_SHOWN = {
    "n": "models",
    "difficulty": "share that fails",
    "item_rest": "item-rest correlation",
    "stronger_fail": "stronger fail",
    "suspicion": "suspicion",
    "recall": "recall",
    "precision": "precision",
}


def _difficulty(known: pl.DataFrame) -> str:
    """A bar for each tenth of the models that fail."""
    alt = charts.altair()
    share = (pl.col("difficulty") * 10).round().cast(pl.Int64) * 10
    counts = known.select(share.alias("percent")).group_by("percent").agg(pl.len().alias("questions"))
    tenths = pl.DataFrame({"percent": range(0, 101, 10)}, schema={"percent": pl.Int64})
    frame = tenths.join(counts, on="percent", how="left", maintain_order="left").fill_null(0)
    bars = alt.Chart(frame).encode(
        x=alt.X("percent:O", title="models that fail, in % (rounded to tens)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("questions:Q", title="questions"),
    )
    numbers = bars.mark_text(dy=-6).encode(text="questions:Q")
    return charts.svg((bars.mark_bar() + numbers).properties(width=480, height=180))


def disputed(found: Sequence[Questions]) -> Section:
    """The questions that split the models most evenly."""
    blocks: list[Block] = []
    for one in found:
        none = f"By {one.metric} no two models have different scores on a question."
        blocks += _listed(one, one.disputed, f"on which models disagree, by {one.metric}", none)
    return Section("Most disputed questions", blocks or [Paragraph(_NO_SCORES)], _DISPUTED_INTRO if found else "")


_DISPUTED_INTRO = (
    "The questions that split the models most evenly come first; among equal ones, those that stronger models fail."
)


def all_wrong(found: Sequence[Questions]) -> Section:
    """The questions on which no model has a score above 0."""
    blocks: list[Block] = []
    for one in found:
        none = f"By {one.metric} each question has a model with a score above 0."
        blocks += _listed(one, one.missed, f"on which no model has a score above 0, by {one.metric}", none)
    return Section("Questions that all models miss", blocks or [Paragraph(_NO_SCORES)])


def _listed(one: Questions, kind: pl.DataFrame, what: str, none: str) -> Iterator[Block]:
    """How many questions there are of a kind, and the first of them."""
    if kind.is_empty():
        yield Paragraph(none)
        return
    questions = counted(kind.height, "question")
    yield Paragraph(f"{questions} {what}" + (f"; the first {one.limit}." if kind.height > one.limit else "."))
    for item in kind[ITEM].head(one.limit):
        yield one.texts.details(item)
