"""`ScoreMatrix`: the scores of models on the items of one or more scenarios, of runs, a panel or a table."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow._text import counted
from magnet_arrow.errors import PanelError
from magnet_arrow.evaluation.panel_predictor import SCENARIO
from magnet_arrow.evaluation.score_files import is_score_file, read_score_file
from magnet_arrow.helm.layout import Source
from magnet_arrow.predictions import panel_of_samples
from magnet_arrow.predictions.model_families import known_families
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.predictions.panel_files import ITEM, MODEL, SCORE, is_table, lazy_frame, long_rows
from magnet_arrow.runs.helm_runs import HelmRuns
from magnet_arrow.runs.summaries import OF_SAMPLES, Summaries

if TYPE_CHECKING:
    from magnet_arrow._numpy import Floats, Integers

Scores: TypeAlias = "Panel | Summaries | Source | Any"
"""What can be evaluated: runs or paths of them; a panel; a frame with `model`, `item`, `score` and perhaps `scenario`;
or the path of a file that holds a panel or such a frame: .csv, .parquet or .npz."""

Families: TypeAlias = "str | os.PathLike[str] | None"

ALL_ITEMS = "all"
"""The scenario of items that have none."""
_MAX_SCORE = 1e100
NUMBER = "number"


@dataclass(frozen=True, slots=True, eq=False)
class RunScores:
    """The runs that scores are of.

    Attributes:
        source: all runs.
        numbers: of each pair of model and scenario, which of them: indices.
        n_scores: of each pair, on how many items there are scores.
        names: of each run, suite and folder.
        metrics: `number`, `metric`, `split` of each run's score.
        instances: `number`, `item` (its key), `instance_id`.
    """

    source: HelmRuns
    numbers: dict[tuple[str, str], list[int]]
    n_scores: dict[tuple[str, str], int]
    names: list[str]
    metrics: pl.DataFrame
    instances: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class ScoreMatrix:
    """Scores of models on items.

    Attributes:
        scores: float64, models × items; NaN where a score is missing.
        models: the names of the rows.
        items: the names of the columns.
        scenarios: in order.
        scenario_of: int64, for each item the index of its scenario.
        question_of: int64, for each item a number; equal for one question that is in several scenarios.
        families: `model`, `weights`, `family`, `organisation`, a row per model; null where nobody has said.
        of_runs: where the scores are of runs, which runs these are.
    """

    scores: "Floats"
    models: list[str]
    items: list[str]
    scenarios: list[str]
    scenario_of: "Integers"
    question_of: "Integers"
    families: pl.DataFrame
    of_runs: "RunScores | None" = None

    @classmethod
    def of(cls, data: Scores, *, families: Families = None) -> "ScoreMatrix":
        """The scores of anything that has some; see `Scores`.

        Args:
            data: the scores.
            families: a CSV that says of which family models are, see `model_families`.
        """
        if isinstance(data, Panel):
            return _of_panel(data, families)
        if is_table(data):
            return _of_frame(lazy_frame(data).collect(), families)
        if is_score_file(data):
            return _of_frame(read_score_file(data, (MODEL, SCENARIO, ITEM)), families)
        return _of_runs(HelmRuns.coerce(cast(Source, data)), families)

    def columns(self, scenario: int) -> "Integers":
        """The columns of a scenario's items."""
        found: Integers = (self.scenario_of == scenario).nonzero()[0]
        return found

    def digest(self) -> str:
        """A hash of all scores and names."""
        hashed = blake2b(numpy().ascontiguousarray(self.scores).tobytes(), digest_size=16)
        names = [self.models, self.items, self.scenarios, self.scenario_of.tolist()]
        hashed.update(json.dumps(names).encode())
        return hashed.hexdigest()


def require_scores(panel: Panel) -> None:
    """Raise if there is no mean or no variance of the scores.

    Raises:
        PanelError: there is no score, or one whose square would be infinite.
    """
    scores = panel.frame.filter(pl.col(SCORE).is_not_null())
    if scores.is_empty():
        raise PanelError("No model has a score.")
    wrong = scores.filter(~pl.col(SCORE).is_between(-_MAX_SCORE, _MAX_SCORE))
    if wrong.height:
        model, item, score = wrong.select(MODEL, ITEM, SCORE).row(0)
        raise PanelError(
            f"{counted(wrong.height, 'score')} too large to average.",
            expected=f"numbers from {-_MAX_SCORE:g} to {_MAX_SCORE:g}",
            found=f"{score} for model {model!r}, item {item!r}",
            hint="Filter these rows out first.",
        )


def _of_panel(panel: Panel, families: Families) -> ScoreMatrix:
    np = numpy()
    require_scores(panel)
    n_items = len(panel.items)
    return ScoreMatrix(
        scores=panel.matrix(),
        models=panel.models,
        items=panel.items,
        scenarios=[ALL_ITEMS],
        scenario_of=np.zeros(n_items, dtype=np.int64),
        question_of=np.arange(n_items),
        families=known_families(panel.models, file=families),
    )


def _of_frame(frame: pl.DataFrame, families: Families) -> ScoreMatrix:
    """The matrix of a long table; items of equal names in two scenarios are not the same question."""
    if SCENARIO not in frame.columns:
        return _of_panel(Panel.from_frame(frame, model=MODEL, item=ITEM, score=SCORE, missing="keep"), families)
    unnamed = frame.get_column(SCENARIO).null_count()
    if unnamed:
        raise PanelError(f"{unnamed:,} of {frame.height:,} rows have no scenario.", hint="Filter them out first.")
    long_rows(frame, {MODEL: MODEL, ITEM: ITEM, SCORE: SCORE})  # raises if these are not there
    return _of_scenarios(frame.with_columns(pl.col(ITEM, SCENARIO).cast(pl.String)), families)


def _of_scenarios(rows: pl.DataFrame, families: Families, **of_runs: Any) -> ScoreMatrix:
    """The matrix of rows with `model`, `scenario`, `item` and `score`."""
    np = numpy()
    items = rows.select(SCENARIO, ITEM).unique(maintain_order=True)
    is_shared = pl.col(ITEM).is_in(items.filter(pl.col(ITEM).is_duplicated()).get_column(ITEM).implode())
    name = pl.when(is_shared).then(pl.concat_str(SCENARIO, ITEM, separator="/")).otherwise(ITEM)
    panel = Panel.from_frame(rows.with_columns(name.alias(ITEM)), model=MODEL, item=ITEM, score=SCORE, missing="keep")
    require_scores(panel)
    # Items are in order of first appearance, there as here.
    scenarios = items.get_column(SCENARIO).unique(maintain_order=True)
    codes = items.get_column(SCENARIO).replace_strict(scenarios, range(len(scenarios)), return_dtype=pl.Int64)
    questions = items.get_column(ITEM).rank("dense").cast(pl.Int64)
    return ScoreMatrix(
        scores=panel.matrix(),
        models=panel.models,
        items=panel.items,
        scenarios=scenarios.to_list(),
        scenario_of=codes.to_numpy(),
        question_of=questions.to_numpy() if of_runs else np.arange(items.height),
        families=known_families(panel.models, file=families),
        **of_runs,
    )


def _of_runs(runs: HelmRuns, families: Families) -> ScoreMatrix:
    """The matrix of the main metrics of runs; a question of several scenarios is a column in each."""
    summarized = runs._summarized(OF_SAMPLES)
    described = summarized.described()
    samples, _ = panel_of_samples.rows_of_cells(
        summarized.scan_samples(described, "main"), described, panel_of_samples.Wanted()
    )
    labels = samples.get_column(panel_of_samples.SCENARIO)
    known = labels.unique(maintain_order=True)
    named = labels.replace_strict(known, [_label(text) for text in known], return_dtype=pl.String)
    rows = samples.with_columns(named.alias(SCENARIO))
    cells = rows.group_by(MODEL, SCENARIO, ITEM, maintain_order=True).agg(pl.col(SCORE).mean())
    return _of_scenarios(cells, families, of_runs=_run_scores(runs, rows))


def _run_scores(runs: HelmRuns, rows: pl.DataFrame) -> RunScores:
    """Which runs samples are of."""
    places = [(str(place.source), place.suite, place.folder) for place in runs.places]
    names = ("source", "suite", "run")
    numbers = pl.DataFrame(places, schema=dict.fromkeys(names, pl.String), orient="row").with_row_index(NUMBER)
    numbered = rows.join(numbers.unique(names, keep="first"), on=names, how="left", maintain_order="left")
    of_pairs = numbered.group_by(MODEL, SCENARIO, maintain_order=True).agg(
        pl.col(NUMBER).unique().sort(), pl.col(ITEM).filter(pl.col(SCORE).is_not_null()).n_unique().alias("n_scores")
    )
    return RunScores(
        runs,
        {(model, scenario): found for model, scenario, found, _ in of_pairs.iter_rows()},
        {(model, scenario): n_scores for model, scenario, _, n_scores in of_pairs.iter_rows()},
        [f"{suite}/{folder}" for _, suite, folder in places],
        numbered.select(NUMBER, "metric", "split").unique(maintain_order=True),
        numbered.select(NUMBER, ITEM, "instance_id").unique(maintain_order=True),
    )


def _label(text: str) -> str:
    """A scenario's name and arguments, as HELM writes them in the name of a run.

    >>> _label('{"scenario":"MMLUScenario","args.subject":"anatomy"}')
    'MMLUScenario:subject=anatomy'
    """
    parts = json.loads(text)
    name = parts.pop("scenario") or "no scenario"
    arguments = dict(_arguments(parts.items()))
    return name + ":" * bool(arguments) + ",".join(f"{key}={value}" for key, value in arguments.items())


def _arguments(parts: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Any]]:
    for name, value in parts:
        if name == "scenario_args":
            yield from json.loads(value or "{}").items()
        else:
            yield name.removeprefix("args."), value
