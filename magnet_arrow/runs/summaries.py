"""Samples, scores and main metrics of anything that holds runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from magnet_arrow.helm.run_place import RunPlace
from magnet_arrow.predictions import described_runs, samples
from magnet_arrow.predictions.described_runs import GROUPS, SPEC_COLUMNS
from magnet_arrow.predictions.identity import RECIPE_KEY, item_keys, prompt_keys, recipe_keys
from magnet_arrow.predictions.joins import Duplicates
from magnet_arrow.predictions.metrics import MAIN_METRICS_TYPES, METRIC, SuiteSchema, read_suite_schema
from magnet_arrow.predictions.samples import Metrics, Rows, RunTables
from magnet_arrow.predictions.scores import scores
from magnet_arrow.query.frames import CachedRuns
from magnet_arrow.schema.registry import EXTRA


@dataclass(frozen=True, slots=True)
class SummarizedRuns:
    """Runs in one snapshot of a cache, and where they are.

    Attributes:
        cached: the runs, as frames hold them.
        places: of these runs, perhaps of others too.
    """

    cached: CachedRuns
    places: Sequence[RunPlace]

    def described(self) -> pl.DataFrame:
        """One row per run, with its main metric."""
        table = "run_spec"
        arguments = described_runs.argument_columns(self.cached.scan(table).collect_schema().names())
        specs = self.cached.scan(table, columns=[*SPEC_COLUMNS, *arguments], key=True)
        runs = described_runs.describe(specs, self.cached.json_columns(table))
        return described_runs.with_main_metrics(runs, self._schemas(), self.stats())

    def recipes(self) -> pl.DataFrame:
        """One row per run, with the key of its recipe."""
        table = "run_spec"
        names = self.cached.scan(table).collect_schema().names()
        specs = self.cached.scan(table, columns=list(dict.fromkeys([*SPEC_COLUMNS, *names, EXTRA])), key=True)
        keyed = recipe_keys(specs, self.cached.json_columns(table)).collect()
        described = described_runs.describe(keyed.lazy().drop(RECIPE_KEY)).select(
            *_WHICH_RUN, "model", "model_deployment"
        )
        return described.with_columns(keyed.get_column(RECIPE_KEY))

    def stats(self) -> pl.LazyFrame:
        """Table `stats`, with `magnet.run`."""
        return self.cached.scan("stats", key=True)

    def scan_samples(
        self, runs: pl.DataFrame, metrics: Metrics, *, rows: Rows = "samples", duplicates: Duplicates = "error"
    ) -> pl.LazyFrame:
        """The samples of the runs, which are as `described` gives them; see `Summaries.scan_samples`."""
        found = self.samples_of(runs, metrics, rows=rows, duplicates=duplicates)
        if metrics == "main":
            described_runs.report_missing(runs)
        return found

    def samples_of(
        self, runs: pl.DataFrame, metrics: Metrics, *, rows: Rows = "samples", duplicates: Duplicates = "error"
    ) -> pl.LazyFrame:
        """The same, without a warning of runs that have no main metric."""
        return samples.scan_samples(self._tables(runs), metrics, rows=rows, duplicates=duplicates)

    def _tables(self, runs: pl.DataFrame) -> RunTables:
        """The frames that samples are made of."""
        table = "scenario_state"
        names = self.cached.scan(table).collect_schema().names()
        states = self.cached.scan(table, columns=[*names, EXTRA], key=True)
        json_columns = self.cached.json_columns(table)

        def with_keys(rows: pl.LazyFrame) -> pl.LazyFrame:
            return prompt_keys(item_keys(rows, json_columns), json_columns)

        findings = [GROUPS, *(name for name in MAIN_METRICS_TYPES if name != METRIC)]
        return RunTables(runs.drop(findings), states, self.cached.scan("per_instance_stats", key=True), with_keys)

    def _schemas(self) -> dict[str, SuiteSchema | None]:
        """The schema of each run's suite, each read once."""
        by_suite: dict[object, SuiteSchema | None] = {}
        found = {}
        for key, place in zip(self.cached.snapshot.keys_of(self.places), self.places, strict=True):
            suite = place.path.parent
            if suite not in by_suite:
                by_suite[suite] = read_suite_schema(place)
            found[key or ""] = by_suite[suite]
        return found


_WHICH_RUN = ("source", "suite", "run")
OF_MAIN_METRICS = frozenset({"run_spec", "stats"})
OF_SCORES = OF_MAIN_METRICS | {"per_instance_stats"}
OF_SAMPLES = OF_SCORES | {"scenario_state"}
"""The tables that main metrics, scores and samples are made of."""


class Summaries:
    """Samples and scores of anything that holds runs."""

    __slots__ = ()

    def _summarized(self, tables: Collection[str]) -> SummarizedRuns:
        """The runs, with these tables."""
        raise NotImplementedError

    def samples(
        self, metrics: Metrics = "main", *, rows: Rows = "samples", duplicates: Duplicates = "error"
    ) -> pl.DataFrame:
        """The answered questions, each with its prompt, its answer, what would have been right, and its scores.

        Rows: one per request state, runs as given, then file order. Of an instance whose references each have a request
        (multiple choice by separate requests, ranking) there is one row: of the reference that the adapter chose, or
        of the first in ranking and where nothing was chosen; never of a request for calibration.

        Columns: `source`, `suite`, `run` (the folder), `run_spec_name`, `model`, `model_deployment`, `scenario` (its
        class), `args.<name>` for each argument of the scenario that all these runs have, and where some have others
        `scenario_args` (all of them, as JSON); `split`, `sub_split`, `instance_id`, `trial`, `perturbation` (its name;
        null: none); `prompt` (null where messages were sent), `messages` (each as JSON), `completion` (the first, null
        without a result), `completions`; `choice` and `gold_choice` (letters; "A, C" where several are right),
        `answer` (the text of the choice), `gold` (the texts of the references tagged correct), `media` (where the media
        of the question are); `finish_reason`, `logprob` and `num_tokens` of the first completion; `item_key`,
        `item_key_reason` (why there is none: "redacted", "encrypted" or "empty"), `prompt_key`. Then the scores:
        `metric` and `score`, or one column per metric.

        Half a surrogate pair, which no column can hold, is U+FFFD here as in the tables.

        Args:
            metrics: "main" for the main metric of each run, see `main_metrics`; "all" for every metric of kind quality;
                or names of stats.
            rows: "samples" as above, or "requests" for every request state.
            duplicates: what happens where an instance has a stat several times with different values: "error", or which
                one counts: "first", "last" (as in HELM) or "mean".

        Raises:
            ColumnNotFoundError: no run has a stat of this name.
            JoinError: a stat that is asked for has different values.

        >>> from magnet_arrow import HelmOutputs
        >>> runs = HelmOutputs.demo().suites("my-suite").runs()
        >>> runs.samples().select("instance_id", "choice", "gold_choice", "metric", "score").row(0)
        ('id11', 'D', 'A', 'exact_match', 0.0)
        """
        return self.scan_samples(metrics, rows=rows, duplicates=duplicates).collect()

    def scan_samples(
        self, metrics: Metrics = "main", *, rows: Rows = "samples", duplicates: Duplicates = "error"
    ) -> pl.LazyFrame:
        """The same, lazily: scores are read at once, texts when the frame is collected; see `samples`."""
        summarized = self._summarized(OF_SAMPLES)
        return summarized.scan_samples(summarized.described(), metrics, rows=rows, duplicates=duplicates)

    def scores(self, metric: str = "main", *, split: str = "main", perturbation: str | None = None) -> pl.DataFrame:
        """How well each run did, as its `stats.json` says.

        Rows: one per run, in their order; the score is null where the run does not have it.

        Columns: `source`, `suite`, `run` (the folder), `model`, `scenario` and its arguments as in `samples`; `metric`,
        `split`, `score` (the mean; several stats of one name, such as one per sub-split, are merged as by HELM), `n`
        (instances, `num_instances`), `stderr` (of the mean over instances, trials averaged first; null where the metric
        is not one per instance, for fewer than two instances, and of a perturbation).

        Args:
            metric: "main" for the main metric of each run, see `main_metrics`; or the name of one.
            split: "main" for the split that the main metric is of (test, else valid, where a run has no main metric);
                or the name of one.
            perturbation: None for unperturbed stats, or the name of a perturbation: the worst copy of each instance
                counts then, as on HELM's leaderboards.

        Raises:
            ColumnNotFoundError: no run has this metric, this split or this perturbation.

        >>> from magnet_arrow import HelmOutputs
        >>> runs = HelmOutputs.demo().suites("my-suite").runs()
        >>> runs.scores().select("model", "metric", "split", pl.col("score").round(3), "n").rows()[:2]
        [('made/finch-1b', 'exact_match', 'test', 0.429, 7), ('made/owl-7b', 'exact_match', 'test', 0.857, 7)]
        """
        summarized = self._summarized(OF_SCORES)
        runs = summarized.described()
        if metric == "main":
            described_runs.report_missing(runs)
        per_instance = summarized.cached.scan("per_instance_stats", key=True)
        return scores(runs, summarized.stats(), per_instance, metric=metric, split=split, perturbation=perturbation)

    def main_metrics(self) -> pl.DataFrame:
        """The main metric of each run.

        It is `main_name` on `main_split` of the run's first group that has them in the suite's `schema.json` (or in
        that of a release); else what HELM's scenario class says; else by method, `exact_match` of multiple choice and
        `bits_per_byte` of language modeling.

        Rows: one per run, in their order.
        Columns: `source`, `suite`, `run`, `metric`, `split`, `metric_source` (who says so), `reason` (why there is
        none).
        """
        return self._summarized(OF_MAIN_METRICS).described().select(*_WHICH_RUN, *MAIN_METRICS_TYPES)

    def recipes(self) -> pl.DataFrame:
        """What was done in each run, but for the model: runs of one `recipe_key` differ in nothing else.

        That is the scenario spec, the adapter spec without model and model deployment, and the data augmenter spec. Of
        class names only the last component counts, and a default of HELM is the same whether or not it is written. It
        is no proof of equal prompts, as HELM adds to the prompts of some models: `prompt_key` of `samples` tells.

        Rows: one per run, in their order.
        Columns: `source`, `suite`, `run`, `model`, `model_deployment`, `recipe_key`.

        >>> from magnet_arrow import HelmOutputs
        >>> HelmOutputs.demo().suites("my-suite").recipes()["recipe_key"].n_unique()  # two subjects, two models
        2
        """
        return self._summarized({"run_spec"}).recipes()
