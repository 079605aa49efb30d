"""The report of an evaluation: one page of HTML."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.evaluation.report import findings, repeating
from magnet_arrow.evaluation.report.findings import Findings
from magnet_arrow.evaluation.report.level_sections import level_sections, ranking_text
from magnet_arrow.pages import Block, Details, Page, Paragraph, Preformatted, Report, Section, Table

if TYPE_CHECKING:
    from magnet_arrow.evaluation.record import Evaluation

_MAX_FAILURES = 30
TARGETS = {
    "model": "the mean score of a held-out model over all items of a scenario, from the items that it was asked",
    "item": "the score of each item that was not asked",
    "run": "the mean score of a model in a scenario",
    "extrapolation": "the mean scores of the best 30% of the models from the weaker half, and of the worst 30% from "
    "the stronger half",
}
FOLDS = {
    "organization": "All models of an organisation are held out together.",
    "family": "All models of a family are held out together.",
    "model": "One model is held out at a time; its siblings stay, so that errors may be too small.",
    "run": "A model in a scenario is held out at a time; the model's other runs stay.",
    "scenario": "A scenario is held out of all models at a time.",
    "item": "A tenth of the items is held out of all models at a time.",
    None: "In each fold the models that are predicted are beyond those that predictors learn from.",
}
LEVELS = {
    "plan": "the plan of the held-out run: its run spec",
    "items": "the items of the held-out run, without tags and completions",
    "outputs": "completions and tags, from which scores can be computed",
    "outcomes": "scores of the asked items, nothing else",
}


def report_of(found: "Evaluation", level: str | None, over: Sequence[str] | None, source: str | None) -> Report:
    """See `Evaluation.report`."""
    every = findings.findings_of(found, level, over)
    sections = [Section("Summary", _summary(found, every))]
    for one in every:
        sections += level_sections(one, f" (level {one.level})" if len(every) > 1 else "")
    sections.append(Section("Values without an answer", _failures(found, every)))
    sections.append(Section("What was evaluated", _evaluated(found)))
    sections.append(Section("How to repeat this", _repeating(found, source)))
    versions = found.provenance["versions"]
    made_by = f"magnet-arrow {versions['magnet-arrow']}" if "magnet-arrow" in versions else "magnet-arrow"
    page = Page("Report of an evaluation", _subtitle(found), sections, f"Evaluated by {made_by}.")
    return Report(page.html())


def _subtitle(found: "Evaluation") -> str:
    data, arguments = found.provenance["data"], found.provenance["arguments"]
    return ", ".join(
        [
            f"Target {arguments['target']}: {counted(len(found.provenance['predictors']), 'predictor')}",
            counted(data["models"], "model"),
            counted(data["items"], "item"),
            counted(len(data["scenarios"]), "scenario"),
        ]
    )


def _summary(found: "Evaluation", every: Sequence[Findings]) -> list[Block]:
    arguments = found.provenance["arguments"]
    texts = [f"Predictors predict {TARGETS[arguments['target']]}. {FOLDS[arguments['folds']]}"]
    texts += [f"Predictors of level {one.level} see {LEVELS[one.level]}. {ranking_text(one)}" for one in every]
    if len(every) > 1:
        texts.append("Predictors of different levels see different things, so each level has its ranking.")
    return list(map(Paragraph, texts))


def _failures(found: "Evaluation", every: Sequence[Findings]) -> list[Block]:
    rows = pl.concat([findings.failures(found, one) for one in every])
    if rows.is_empty():
        return [Paragraph("Every predictor answered every value.")]
    n = counted(int(rows.get_column("values").sum()), "value")
    caption = f"{n} had no answer. In rankings they count with the mean of the train part."
    if rows.height > _MAX_FAILURES:
        caption += f" Of {rows.height:,} reasons the {_MAX_FAILURES} most frequent ones are shown."
    return [Table(rows.head(_MAX_FAILURES), caption)]


def _evaluated(found: "Evaluation") -> list[Block]:
    facts = dict(_facts(found))
    table = pl.DataFrame({"what": list(facts), "value": list(facts.values())})
    predictors = pl.DataFrame(found.provenance["predictors"])
    folds = pl.DataFrame(
        [(fold["name"], len(fold["models"]), _some(fold["models"], _MAX_NAMES)) for fold in found.provenance["folds"]],
        schema={"fold": pl.String, "models": pl.Int64, "held out": pl.String},
        orient="row",
    )
    return [
        Table(table, "What was evaluated, and how."),
        Table(predictors, "Predictors, their classes, and the level at which they see a held-out model."),
        Details("Folds", [Table(folds.head(_MAX_FOLDS), _folds_caption(folds.height))]),
    ]


_MAX_FOLDS, _MAX_NAMES = 300, 20


def _folds_caption(n: int) -> str:
    more = f" The first {_MAX_FOLDS} of {n:,} are shown." if n > _MAX_FOLDS else ""
    return f"What was held out together.{more}"


def _facts(found: "Evaluation") -> Iterator[tuple[str, str]]:
    arguments, data = found.provenance["arguments"], found.provenance["data"]
    yield "target", arguments["target"]
    yield "folds", f"{len(found.provenance['folds']):,}" + (f" by {arguments['folds']}" if arguments["folds"] else "")
    yield "budgets", ", ".join(map(str, arguments["budgets"]))
    yield "draws", f"{arguments['draws']:,}"
    yield "seed", str(arguments["seed"])
    yield "time limit", "none" if arguments["timeout"] is None else f"{arguments['timeout']:g} s for each fold"
    yield "predictions", f"{found.predictions.height:,}"
    yield "models", f"{data['models']:,}"
    yield "items", f"{data['items']:,}"
    yield "scenarios", _some(data["scenarios"], 60)
    yield "digest of the scores", data["digest"]
    yield "versions", ", ".join(f"{name} {version}" for name, version in found.provenance["versions"].items())


def _some(names: Sequence[Any], most: int) -> str:
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + rest


def _repeating(found: "Evaluation", source: str | None) -> list[Block]:
    blocks: list[Block] = [Preformatted(repeating.python_lines(found, source))]
    line = repeating.shell_line(found, source)
    if line is None:
        blocks.append(Paragraph("There is no line for the shell: a predictor was not defined in a module of its own."))
    else:
        blocks.append(Preformatted(line))
    if source is None:
        blocks.append(Paragraph("`data` and SOURCE stand for the scores: the report was not told where they are."))
    if repeating.uses_families(found):
        text = f"{repeating.FAMILIES} stands for the table that said of which family and organisation models are."
        blocks.append(Paragraph(text))
    blocks.append(Paragraph("What predictors were made with, other than their class, is not recorded."))
    return blocks
