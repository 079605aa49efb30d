"""The sections about single questions: suspicious keys, questions that models disagree on, and those that all miss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.errors import MagnetError
from magnet_arrow.evaluation.audit import WRONG_KEYS, audit_items
from magnet_arrow.pages import Block, Details, Figure, Paragraph, Preformatted, Section, Table, charts
from magnet_arrow.predictions.panel_files import ITEM, SCORE
from magnet_arrow.query.run_columns import FOLDER, SOURCE, SUITE
from magnet_arrow.reports.dump import Dump, MetricPanel
from magnet_arrow.reports.labels import LABEL, with_labels
from magnet_arrow.schema.registry import TABLES

MAX_QUESTIONS = 20
MAX_ANSWERS = 12
MIN_PRECISION = 0.05
"""Suspects of which fewer have a wrong key are not worth a reader's time."""
SHOWN_CHARACTERS, MAX_CHARACTERS = 600, 6_000
_SUMMARY_CHARACTERS, _ANSWER_CHARACTERS = 110, 300
_MAX_NAMES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """The questions of one metric, and what the audit says of them.

    Attributes:
        of: runs and panel.
        audited: as `audit_items` gives it; None if scores are not 0 or 1.
        why_not: why there is no audit.
    """

    of: MetricPanel
    audited: pl.DataFrame | None = None
    why_not: str = ""

    @classmethod
    def all_of(cls, dump: Dump) -> "list[Questions]":
        """Those of each metric that has scores by question, and a direction in which higher is better."""
        return [cls._of(one) for one in dump.panels if one.panel is not None and not one.lower_is_better]

    @classmethod
    def _of(cls, one: MetricPanel) -> "Questions":
        try:
            return cls(one, audit_items(one.panel))
        except MagnetError as error:
            return cls(one, why_not=error.message)

    def spread(self) -> pl.DataFrame:
        """One row per question with a score: number of scores, mean, variance, and `stronger_fail` if it is known."""
        assert self.of.panel is not None
        scored = self.of.panel.frame.drop_nulls(SCORE)
        rows = scored.group_by(ITEM).agg(
            pl.len().alias("n"),
            pl.col(SCORE).mean().alias("mean"),
            pl.col(SCORE).var(ddof=0).fill_null(0).round(12).alias("variance"),
        )
        if self.audited is None:
            return rows.with_columns(pl.lit(None, pl.Float64).alias("stronger_fail"))
        return rows.join(self.audited.select(ITEM, "stronger_fail"), on=ITEM, how="left")


def audit(found: Sequence[Questions]) -> Section:
    """How hard the questions are, and which keys look wrong."""
    blocks: list[Block] = []
    for one in found:
        blocks += _audit(one)
    return Section("Item audit", blocks or [Paragraph(_NO_SCORES)], _AUDIT_INTRO if found else "")


_NO_SCORES = "No question has a score in which higher is better, so there is nothing to look at here."
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
    name = one.of.metric
    if one.audited is None:
        yield Paragraph(f"No audit by {name}: {one.why_not}")
        return
    known = one.audited.filter(pl.col("n") > 0)
    n_right, n_wrong = int(known["all_right"].sum()), int(known["all_wrong"].sum())
    caption = f"Questions by the share of models that fail them, by {name}"
    alt = f"{caption}: {n_right:,} of {known.height:,} failed by none, {n_wrong:,} by all"
    yield Figure(_difficulty(known), alt, caption)
    yield Paragraph(
        f"All models are right on {n_right:,} of {counted(known.height, 'question')}, and none on {n_wrong:,}."
    )
    suspected = known.filter(pl.col("suspicion") > 0, pl.col("precision") >= MIN_PRECISION).head(MAX_QUESTIONS)
    if not known["suspicion"].count():
        yield Paragraph("Fewer than 20 questions or 3 models: too few to suspect a key.")
    elif suspected.is_empty():
        yield Paragraph(_NO_SUSPECT)
    else:
        yield from _suspected(one, suspected)


def _suspected(one: Questions, suspected: pl.DataFrame) -> Iterator[Block]:
    shown = Shown.of(one.of, suspected[ITEM])
    columns = ["n", "difficulty", "item_rest", "stronger_fail", "suspicion", "recall", "precision"]
    names = [f"{number}. {shown.title(item)}" for number, item in enumerate(suspected[ITEM], 1)]
    frame = suspected.select(pl.Series("question", names), *columns).rename(
        {
            "n": "models",
            "difficulty": "share that fails",
            "item_rest": "item-rest correlation",
            "stronger_fail": "stronger fail",
        }
    )
    yield Table(frame, f"The most suspicious keys by {one.of.metric}", dict.fromkeys(frame.columns[2:], ".2f"))
    for number, item in enumerate(suspected[ITEM], 1):
        yield shown.details(item, f"{number}. ")


_SHORT = {
    "n": "models",
    "difficulty": "share that fails",
    "item_rest": "item-rest correlation",
    "stronger_fail": "stronger fail",
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
        rows = one.spread().filter(pl.col("variance") > 0)
        order = rows.sort("variance", "n", "stronger_fail", ITEM, descending=[True, True, True, False], nulls_last=True)
        chosen = order.head(MAX_QUESTIONS)
        if chosen.is_empty():
            blocks.append(Paragraph(f"By {one.of.metric} no two models have different scores on a question."))
            continue
        blocks.append(Paragraph(_how_many(chosen.height, rows.height, f"models disagree on by {one.of.metric}")))
        shown = Shown.of(one.of, chosen[ITEM])
        blocks += [shown.details(item) for item in chosen[ITEM]]
    return Section("Most disputed questions", blocks or [Paragraph(_NO_SCORES)], _DISPUTED_INTRO if found else "")


_DISPUTED_INTRO = (
    "The more evenly models are split, the further up; of equal ones first those that stronger models fail."
)


def all_wrong(found: Sequence[Questions]) -> Section:
    """The questions on which no model has a score above 0."""
    blocks: list[Block] = []
    for one in found:
        missed = one.spread().filter(pl.col("mean") == 0).sort("n", ITEM, descending=[True, False])
        chosen = missed.head(MAX_QUESTIONS)
        if chosen.is_empty():
            blocks.append(Paragraph(f"By {one.of.metric} each question has a model with a score above 0."))
            continue
        blocks.append(
            Paragraph(_how_many(chosen.height, missed.height, f"no model has a score above 0 on by {one.of.metric}"))
        )
        shown = Shown.of(one.of, chosen[ITEM])
        blocks += [shown.details(item) for item in chosen[ITEM]]
    return Section("Questions that all models miss", blocks or [Paragraph(_NO_SCORES)])


def _how_many(shown: int, total: int, what: str) -> str:
    questions = counted(total, "question")
    return f"{questions} that {what}." if shown == total else f"{shown} of {questions} that {what}."


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Questions with the answers of the models, to be read.

    Attributes:
        rows: by key, one row per answer: the label of the scenario, `model`, `question` (the text of the instance),
            `prompt`, `answer`, `gold`, `score`.
    """

    rows: dict[str, pl.DataFrame]

    @classmethod
    def of(cls, runs: MetricPanel, items: pl.Series) -> "Shown":
        """The questions of these keys."""
        samples = runs.runs.scan_samples()
        arguments = [name for name in samples.collect_schema() if name == "scenario_args" or name.startswith("args.")]
        chosen = samples.filter(pl.col("item_key").is_in(items.implode()), pl.col("perturbation").is_null())
        chat = pl.col("messages").list.join("\n").alias("prompt")
        rows = chosen.select(
            "item_key",
            *_OF_INSTANCE,
            "scenario",
            *arguments,
            "model",
            pl.when(pl.col("prompt") != "").then("prompt").otherwise(chat),
            pl.coalesce("answer", "completion").alias("answer"),
            "gold",
            "score",
        ).collect()
        rows = with_labels(rows.join(_texts(runs, rows), on=_OF_INSTANCE, how="left", maintain_order="left"))
        return cls({str(key): part for (key,), part in rows.partition_by("item_key", as_dict=True).items()})

    def title(self, item: str) -> str:
        """The scenario, and the begin of the question on one line."""
        text = " ".join(self._first(item, "question").split()) or "no text"
        return f"{self.rows[item][LABEL][0]} · {_begin(text, _SUMMARY_CHARACTERS)}"

    def details(self, item: str, before: str = "") -> Details:
        """The question, opened by a click."""
        rows, text, prompt = self.rows[item], self._first(item, "question"), self._first(item, "prompt")
        blocks: list[Block] = [Preformatted(_begin(text, SHOWN_CHARACTERS) or "The dump has no text of this question.")]
        if prompt:
            whole = _begin(prompt, MAX_CHARACTERS, "… (more is in the dump)")
            blocks.append(
                Details(f"The prompt of {rows['model'][0]} ({len(prompt):,} characters)", [Preformatted(whole)])
            )
        gold = [_cut(text) for texts in rows["gold"].drop_nulls().head(1).to_list() for text in texts]
        right = " | ".join(gold[:_MAX_NAMES]) or "not in the dump"
        return Details(before + self.title(item), [*blocks, Paragraph(f"Right: {right}"), *_answers(rows)])

    def _first(self, item: str, column: str) -> str:
        return next(iter(self.rows[item][column].drop_nulls().head(1).to_list()), "")


_STATE = TABLES["scenario_state"]
_OF_INSTANCE = ["source", "suite", "run", "split", "instance_id"]


def _texts(runs: MetricPanel, rows: pl.DataFrame) -> pl.DataFrame:
    """The question of each instance, which in a prompt is among examples and instructions."""
    names = ("request_states.instance.split", "request_states.instance.id", "request_states.instance.input.text")
    split, own, text = map(_STATE.named, names)
    states = runs.runs.cached.scan(_STATE.name, columns=[SOURCE, SUITE, FOLDER, split, own, text])
    of_these = states.filter(pl.col(own).is_in(rows["instance_id"].unique().implode())).collect()
    return of_these.rename(
        {SOURCE: "source", SUITE: "suite", FOLDER: "run", split: "split", own: "instance_id", text: "question"}
    ).unique(_OF_INSTANCE, keep="first", maintain_order=True)


def _answers(rows: pl.DataFrame) -> Iterator[Block]:
    """Each answer with its score and the models that gave it, the most frequent ones first."""
    short = pl.col("answer").map_elements(_cut, pl.String, skip_nulls=True)
    groups = (
        rows.group_by(short, "score")
        .agg(pl.len().alias("times"), pl.col("model").unique().sort())
        .sort("score", "times", "answer", descending=[True, True, False], nulls_last=True)
    )
    names = [_names(models) for models in groups["model"]]
    frame = groups.select("answer", "score", "times").with_columns(pl.Series("models", names, pl.String))
    rest = f"; the first {MAX_ANSWERS} of {groups.height}" if groups.height > MAX_ANSWERS else ""
    yield Table(frame.head(MAX_ANSWERS), f"Answers{rest}", {"score": ".3g"})


def _names(models: pl.Series) -> str:
    more = f" and {len(models) - _MAX_NAMES} more" if len(models) > _MAX_NAMES else ""
    return ", ".join(map(str, models[:_MAX_NAMES])) + more


def _cut(text: str) -> str:
    return _begin(text, _ANSWER_CHARACTERS)


def _begin(text: str, length: int, more: str = "…") -> str:
    text = text.strip()
    return text if len(text) <= length else text[:length] + more
