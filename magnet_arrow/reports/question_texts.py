"""Single questions to be read: what was asked, what would have been right, and what the models answered."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from magnet_arrow.pages import Block, Details, Paragraph, Preformatted, Table
from magnet_arrow.query.run_columns import FOLDER, SOURCE, SUITE
from magnet_arrow.reports.dump import Dump, OneCommit
from magnet_arrow.reports.labels import LABEL
from magnet_arrow.schema.registry import TABLES

MAX_ANSWERS = 12
SHOWN_CHARACTERS, MAX_CHARACTERS = 600, 6_000
"""Of a question, and of the prompt that it was put in."""
_SUMMARY_CHARACTERS, _ANSWER_CHARACTERS = 110, 300
_MAX_NAMES = 12


@dataclass(frozen=True, slots=True, eq=False)
class QuestionTexts:
    """Questions with the answers of the models, to be read.

    Attributes:
        rows: by key, one row per answer: the label of the scenario, `model`, `question` (the text of the instance),
            `prompt`, `answer`, `gold`, `score`.
    """

    rows: dict[str, pl.DataFrame]

    @classmethod
    def of(cls, dump: Dump, runs: OneCommit, items: pl.Series) -> "QuestionTexts":
        """The questions of these keys, as these runs have them."""
        samples = runs.scan_samples()
        chosen = samples.filter(pl.col("item_key").is_in(items.implode()), pl.col("perturbation").is_null())
        chat = pl.col("messages").list.join("\n").alias("prompt")
        rows = chosen.select(
            "item_key",
            *_OF_INSTANCE,
            "model",
            pl.when(pl.col("prompt") != "").then("prompt").otherwise(chat),
            pl.coalesce("answer", "completion").alias("answer"),
            "gold",
            "score",
        ).collect()
        labelled = rows.join(dump.scores.select(*_OF_RUN, LABEL), on=_OF_RUN, how="left", maintain_order="left")
        asked = labelled.join(_asked(runs, rows), on=_OF_INSTANCE, how="left", maintain_order="left")
        return cls({str(key): part for (key,), part in asked.partition_by("item_key", as_dict=True).items()})

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
            summary = f"The prompt of {rows['model'][0]} ({len(prompt):,} characters)"
            blocks.append(Details(summary, [Preformatted(whole)]))
        gold = [_cut(text) for texts in rows["gold"].drop_nulls().head(1).to_list() for text in texts]
        right = " | ".join(gold[:_MAX_NAMES]) or "not in the dump"
        return Details(before + self.title(item), [*blocks, Paragraph(f"Right: {right}"), *_answers(rows)])

    def _first(self, item: str, column: str) -> str:
        return next(iter(self.rows[item][column].drop_nulls().head(1).to_list()), "")


_STATE = TABLES["scenario_state"]
_OF_RUN = ["source", "suite", "run"]
_OF_INSTANCE = [*_OF_RUN, "split", "instance_id"]


def _asked(runs: OneCommit, rows: pl.DataFrame) -> pl.DataFrame:
    """The question of each instance, which in a prompt is among examples and instructions."""
    names = ("request_states.instance.split", "request_states.instance.id", "request_states.instance.input.text")
    split, own, text = map(_STATE.named, names)
    states = runs.cached.scan(_STATE.name, columns=[SOURCE, SUITE, FOLDER, split, own, text])
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
