"""What a report is about: the readable runs of a dump at one commit of the cache, their scores, and panels of them."""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import polars as pl

from magnet_arrow.errors import CacheError, MagnetError, MissingPackageError, PanelError
from magnet_arrow.evaluation.ranking import rank
from magnet_arrow.panels import panel
from magnet_arrow.predictions.metrics import METRIC, SPLIT, metric
from magnet_arrow.predictions.panel import Panel
from magnet_arrow.predictions.scores import scores
from magnet_arrow.query.frames import CachedRuns
from magnet_arrow.reports.labels import LABEL, with_labels
from magnet_arrow.runs.helm_runs import HelmRuns
from magnet_arrow.runs.run_selection import LeftOut, Selected, look_at, select_runs
from magnet_arrow.runs.summaries import OF_SAMPLES, Summaries, SummarizedRuns
from magnet_arrow.storage.snapshot import CachedRun


class OneCommit(Summaries):
    """Runs whose samples and scores are all of one commit, whatever is ingested meanwhile."""

    __slots__ = ("_runs",)

    def __init__(self, runs: SummarizedRuns) -> None:
        self._runs = runs

    @property
    def cached(self) -> CachedRuns:
        """The runs, as frames hold them."""
        return self._runs.cached

    def _summarized(self, tables: Collection[str]) -> SummarizedRuns:
        return self._runs


@dataclass(frozen=True, slots=True, eq=False)
class MetricPanel:
    """The scores of the runs that have one main metric, or why they make no panel.

    Attributes:
        metric: its name.
        runs: these runs.
        panel: models × questions; None if there is none.
        ranked: the models, as `rank` gives them; None if they cannot be ranked.
        why_not: why there is no panel, or no ranking.
        note: how the panel was made, if not in the usual way.
    """

    metric: str
    runs: OneCommit
    panel: Panel | None = None
    ranked: pl.DataFrame | None = None
    why_not: str = ""
    note: str = ""

    @classmethod
    def of(cls, name: str, runs: OneCommit) -> Self:
        """The panel by a metric. Several runs of one scenario by one model are averaged."""
        found, note = None, ""
        try:
            try:
                found = panel(runs)
            except PanelError as refused:
                found = panel(runs, repeats="mean")
                note = f"{refused.message} Their scores are averaged."
            return cls(name, runs, found, rank(found), note=note)
        except (MissingPackageError, CacheError):
            raise
        except MagnetError as error:
            return cls(name, runs, found, why_not=said(error), note=note)

    @property
    def lower_is_better(self) -> bool:
        """Whether the best model has the lowest score."""
        return bool(metric(self.metric).lower_is_better)


@dataclass(frozen=True, slots=True, eq=False)
class Dump:
    """A dump.

    Attributes:
        runs: all that were named.
        cached: those that can be read, at one commit.
        left_out: what cannot be read, and why.
        scores: one row per readable run: where it is, `model`, `scenario`, its label, `metric`, `split`, `score`, `n`.
        panels: of each main metric, that of the most runs first.
    """

    runs: HelmRuns
    cached: CachedRuns
    left_out: tuple[LeftOut, ...]
    scores: pl.DataFrame
    panels: tuple[MetricPanel, ...]

    @classmethod
    def of(cls, runs: HelmRuns, selected: Selected, tell: Callable[[str], None]) -> "Dump":
        """Everything that the sections need.

        Args:
            runs: all that were named.
            selected: those that can be read, as `readable` gives them.
            tell: told what is being done.
        """
        tell("reading scores")
        cached = CachedRuns(selected.snapshot, selected.keys)
        if not cached.keys:
            return cls(runs, cached, selected.left_out, pl.DataFrame(), ())
        summarized = SummarizedRuns(cached, runs.places)
        described = summarized.described()
        found = scores(described, summarized.stats(), cached.scan("per_instance_stats", key=True))
        tell("comparing models")
        panels = (MetricPanel.of(name, _those(summarized, places)) for name, places in _by_metric(described))
        return cls(runs, cached, selected.left_out, with_labels(found), tuple(panels))

    @property
    def cached_runs(self) -> Sequence[CachedRun]:
        """What the cache's list says of each readable run."""
        held = self.cached.snapshot.among(self.cached.keys)
        return [held[key] for key in self.cached.keys]

    @property
    def models(self) -> list[str]:
        """Names of models, sorted."""
        return sorted(self.scores["model"].drop_nulls().unique()) if self.scores.width else []

    @property
    def labels(self) -> list[str]:
        """Scenarios with the arguments that vary, sorted."""
        return sorted(self.scores[LABEL].unique()) if self.scores.width else []

    @property
    def without_metric(self) -> int:
        """How many readable runs have no main metric."""
        return self.scores[METRIC].null_count() if self.scores.width else 0


def said(error: MagnetError) -> str:
    """What an error says, in sentences, without what a user of Python could do."""
    found = error.found and f"Found: {error.found}."
    return " ".join(filter(None, (error.message, found))) if error.message else error.reason.capitalize()


def readable(runs: HelmRuns) -> Selected:
    """The readable runs; new and changed ones are ingested. What is excluded is in the page.

    Raises:
        BadFileError: the runs are strict, and one cannot be read.
    """
    if runs.strict:
        return select_runs(
            runs.places, runs.cache, partial=runs.partial, strict=True, progress=runs.progress, tables=OF_SAMPLES
        )
    return look_at(runs.places, runs.cache, partial=runs.partial, progress=runs.progress, tables=OF_SAMPLES)


def _those(summarized: SummarizedRuns, places: Iterable[int]) -> OneCommit:
    return OneCommit(dataclasses.replace(summarized, cached=summarized.cached.take(places)))


def _by_metric(described: pl.DataFrame) -> list[tuple[str, list[int]]]:
    """The places of the runs of each main metric."""
    rows = described.select(METRIC, SPLIT).with_row_index("place").drop_nulls(METRIC)
    groups = rows.group_by(METRIC).agg("place").sort(pl.col("place").list.len(), METRIC, descending=[True, False])
    return [(name, places) for name, places in groups.iter_rows()]
