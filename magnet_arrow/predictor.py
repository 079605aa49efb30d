"""Base classes of predictors: `Predictor` draws runs and prepares frames, `RunPredictor` predicts stats of a run.

Names and behaviour are MAGNET's. A subclass may override two filters that choose the runs to draw from:
`run_spec_filter` gets the JSON of one run spec, `run_spec_dataframe_filter` gives an expression over all run specs.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.data_splits import (
    DrawSettings,
    SamplePolicy,
    SequesteredTestSplit,
    TestSplit,
    TrainSplit,
    check_levels,
    draw_at_random,
)
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import BadFileError, FilterError, PredictionError, SettingError, Where, warn
from magnet_arrow.helm.json_faults import kind
from magnet_arrow.helm.layout import RunPlace, Source
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.ingestion.run_reader import RUN_SPEC, read_run_spec
from magnet_arrow.outputs import CacheLike, HelmRun, HelmRuns
from magnet_arrow.predictions.asked import check_choice
from magnet_arrow.predictions.levels import Level
from magnet_arrow.predictions.records import RunPrediction, frame, require_one_each
from magnet_arrow.predictions.scoring import compare_runs, without_truth
from magnet_arrow.sources.file import SourceFile

__all__ = [
    "Predictor",
    "RunPrediction",
    "RunPredictor",
    "SequesteredTestSplit",
    "TestSplit",
    "TrainSplit",
]

_POLICIES = ("error", "warn", "ignore")
_NEW_FORM = (
    "It is called once for all runs, and returns an expression:\n"
    "    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:\n"
    '        return pl.col("run_spec.adapter_spec.model") == "openai/gpt2"'
)
_log = logging.getLogger("magnet_arrow")


class Predictor:
    """Draws train runs and one held-out run, and prepares their frames.

    Args:
        num_example_runs: number of train runs.
        num_eval_samples: number of instances that are sampled from the held-out run; all, if it has fewer.
        random_seed: decides which runs and instances are drawn; equal runs and seeds give MAGNET's draw.
        insufficient_eval_sample_policy: what happens if the held-out run has fewer request states than
            `num_eval_samples`: "error" raises, "warn" logs a warning, "ignore" does nothing.
        cache: where frames are kept; by default that of the runs, else the user's.
        include_partial: ingest all runs that may be drawn, and what is complete of partial ones (as
            `ingest(partial=True)` does), and draw from these too.
        skip_unreadable: ingest all runs that may be drawn, and draw from those that are complete (with
            `include_partial`, from those that could be ingested).
        level: what `predict` sees of the sampled instances: "plan" (the run spec only), "items" (inputs and references
            without tags), "outputs" (completions, log-probabilities and tags too, as in MAGNET) or "outcomes"
            (per-instance stats too).
        level_of_others: what it sees of the instances that were not sampled, in a frame `other_items`: "plan"
            (nothing), "items" or "outputs".

    The draw depends only on the runs, the seed and these arguments, not on what the cache has seen. As in MAGNET, the
    order of the runs matters: a list keeps its order; the runs of a folder or pattern are sorted by suite and folder,
    however it is written. Every drawn run must exist and be readable; otherwise an error names it. Train runs with the
    held-out run's name (`run_spec.name`) are replaced by others, and a `MagnetWarning` says so.

    >>> from magnet_arrow import HelmOutputs
    >>> suite = HelmOutputs.demo().suites("my-suite")[0]
    >>> train_split, sequestered_test_split = Predictor(num_eval_samples=5).prepare_predict_inputs(suite)
    >>> train_split.run_specs.height, sequestered_test_split.scenario_state.height
    (3, 5)
    """

    def __init__(
        self,
        num_example_runs: int = 3,
        num_eval_samples: int = 20,
        random_seed: int = 1,
        insufficient_eval_sample_policy: SamplePolicy = "warn",
        *,
        cache: CacheLike = None,
        include_partial: bool = False,
        skip_unreadable: bool = False,
        level: Level = "outputs",
        level_of_others: Level = "plan",
    ) -> None:
        check_levels(level, level_of_others)
        check_choice("insufficient_eval_sample_policy", insufficient_eval_sample_policy, _POLICIES)
        if num_example_runs < 0 or num_eval_samples < 0:
            raise SettingError(
                f"num_example_runs and num_eval_samples are 0 or more, not {num_example_runs} and {num_eval_samples}."
            )
        self.num_example_runs = num_example_runs
        self.num_eval_samples = num_eval_samples
        self.random_seed = random_seed
        self.insufficient_eval_sample_policy = insufficient_eval_sample_policy
        self.cache = cache
        self.include_partial = include_partial
        self.skip_unreadable = skip_unreadable
        self.level = level
        self.level_of_others = level_of_others

    def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
        """Whether a run may be drawn; True for every run unless a subclass overrides it.

        An override is called for every run in turn, and each `run_spec.json` is read for that.

        Args:
            run_spec: the content of the run's `run_spec.json`.
        """
        return True

    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
        """Which runs may be drawn, as an expression; all runs unless a subclass overrides it.

        Args:
            run_specs: table `run_spec` of the runs for which `run_spec_filter` holds, with every registered column.
        """
        return pl.lit(True)

    def prepare_all_dataframes(self, helm_runs: Source) -> tuple[TrainSplit, TestSplit]:
        """The train split, and the test split with the actual stats of the held-out run.

        Only the drawn runs are ingested, unless `include_partial` or `skip_unreadable` is set.

        Args:
            helm_runs: a path to outputs, a suite or a run, a pattern, an object of ours, or a list of such.

        Raises:
            NotEnoughRunsError: the filters do not leave `num_example_runs` runs and one more, or too few of them have
                another name than the held-out run.
            NotEnoughSamplesError: too few request states, under the policy "error".
            FilterError: a filter returned a wrong type.
            BadFileError: a drawn run is not complete; or a filter needs a run spec that cannot be read.
            CacheNotWritableError: a drawn run is not cached in its present state, and the cache cannot be written.
        """
        settings = DrawSettings(
            num_example_runs=self.num_example_runs,
            num_eval_samples=self.num_eval_samples,
            random_seed=self.random_seed,
            insufficient_eval_sample_policy=self.insufficient_eval_sample_policy,
            include_partial=self.include_partial,
            skip_unreadable=self.skip_unreadable,
            keep_others=self.level_of_others != "plan",
        )
        return draw_at_random(self._filtered(HelmRuns.coerce(helm_runs, cache=self.cache)), settings)

    def prepare_predict_inputs(self, helm_runs: Source) -> tuple[TrainSplit, SequesteredTestSplit]:
        """What a predictor is given: the train split, and what its level shows of the test split."""
        train_split, test_split = self.prepare_all_dataframes(helm_runs)
        return train_split, self._sequestered(test_split)

    def _sequestered(self, test_split: TestSplit) -> SequesteredTestSplit:
        return test_split.sequester(self.level, self.level_of_others)

    def _filtered(self, runs: HelmRuns) -> HelmRuns:
        """The runs for which both filters hold. A filter that is not overridden reads nothing."""
        by_json, by_frame = map(self._overrides, ("run_spec_filter", "run_spec_dataframe_filter"))
        if self.skip_unreadable and (by_json or by_frame):
            runs = _with_run_spec(runs)
        if by_json:
            runs = runs.take(index for index, run in enumerate(runs) if self.run_spec_filter(_run_spec(run)))
        if by_frame and len(runs):
            runs = HelmRuns.coerce(runs, strict=True)
            runs = runs.filter(self._expression(runs.scan_run_specs()))
        return runs

    def _overrides(self, name: str) -> bool:
        return getattr(getattr(self, name), "__func__", None) is not getattr(Predictor, name)

    def _expression(self, run_specs: pl.LazyFrame) -> pl.Expr:
        try:
            predicate = self.run_spec_dataframe_filter(run_specs)
        except (TypeError, AttributeError) as error:
            if "LazyFrame" not in str(error):
                raise
            raise _old_form(f"a method that raised a {type(error).__name__}") from error
        if not isinstance(predicate, pl.Expr):
            raise _old_form(f"a method that returned {type(predicate).__name__}")
        return predicate


class RunPredictor(Predictor, ABC):
    """Predicts stats of a run. Calling it draws runs, predicts, and compares predicted with actual stats.

    >>> class Half(RunPredictor):
    ...     def predict(self, train_split, sequestered_test_split):
    ...         name = sequestered_test_split.run_specs["run_spec.name"][0]
    ...         return [RunPrediction(name, "test", "exact_match", mean=0.5)]
    >>> from magnet_arrow import HelmOutputs
    >>> comparison = Half(num_eval_samples=5)(helm_suites=HelmOutputs.demo().suites("my-suite"))
    >>> comparison.select("stat_name", "predicted_mean", "actual_mean").row(0)
    ('exact_match', 0.5, 0.8571428571428571)
    """

    @abstractmethod
    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
        """Predict stats of the run in `sequestered_test_split`."""

    def __call__(self, helm_runs: "Source | None" = None, *, helm_suites: "Source | None" = None) -> pl.DataFrame:
        """Predicted vs. actual stats, in the columns of `scoring.compare_runs`.

        The `actual_mean` is null for a prediction of a stat that the run does not have; a warning is logged that counts
        these.

        Args:
            helm_runs: the runs to draw from: a path, a pattern, an object of ours, or a list of such.
            helm_suites: suites to draw from. Exactly one of the two is given.

        Raises:
            PredictionError: `predict` returned something else than run predictions, or two of one stat.
        """
        source = only_one(helm_runs, helm_suites)
        train_split, test_split = self.prepare_all_dataframes(source)
        predictions = self.predict(train_split, self._sequestered(test_split))
        predicted = frame(listed(predictions, "RunPrediction"))
        require_one_each(predicted.collect())
        comparison = compare_runs(predicted, test_split.stats.lazy(), test_split.run_specs.lazy()).collect()
        warn_without_truth(comparison, ("split", "stat_name"))
        return comparison


def _with_run_spec(runs: HelmRuns) -> HelmRuns:
    """The runs whose run spec can be read."""
    buffer = Buffer()
    readable = runs.take(index for index, place in enumerate(runs.places) if _has_run_spec(place, buffer))
    if len(readable) < len(runs):
        n_bad = len(runs) - len(readable)
        warn(f"{n_bad} of {counted(len(runs), 'run')} have no readable run spec and will not be drawn.")
    return readable


def _has_run_spec(place: RunPlace, buffer: Buffer) -> bool:
    try:
        with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
            read_run_spec(buffer, file)
    except BadFileError:
        return False
    return True


def _run_spec(run: HelmRun) -> dict[str, Any]:
    """The present content of `run_spec.json`."""
    run_spec: Any = run.json.run_spec()
    if isinstance(run_spec, dict):
        return run_spec
    raise BadFileError("", where=Where(where_of(run.place), RUN_SPEC), expected="an object", found=kind(run_spec))


def only_one(helm_runs: "Source | None", helm_suites: "Source | None") -> Source:
    """The one that is given of the two arguments that a predictor is called with."""
    source = helm_suites if helm_runs is None else helm_runs
    if source is None or (helm_runs is not None and helm_suites is not None):
        raise TypeError("A predictor is called with exactly one of helm_runs and helm_suites=.")
    return source


def listed(predictions: Any, kind: str) -> list[Any]:
    """The predictions that `predict` returned, as a list.

    Raises:
        PredictionError: it returned something else.
    """
    if isinstance(predictions, Iterable) and not isinstance(predictions, str | pl.DataFrame):
        return list(predictions)
    raise PredictionError("", expected=f"a list of {kind} from predict()", found=type(predictions).__name__)


def warn_without_truth(comparison: pl.DataFrame, names: Sequence[str]) -> None:
    """Log how many predictions have no actual value, and the first of them by these columns."""
    missing = without_truth(comparison.lazy()).collect()
    if missing.is_empty():
        return
    first = missing.select(names).head(5)
    _log.warning(
        "%d of %d predictions have no actual value to compare with; their actual_mean is null: %s%s",
        missing.height,
        comparison.height,
        for_terminal(", ".join(f"{name} ({of})" for of, name in first.iter_rows())),
        ", …" if missing.height > 5 else "",
    )


def _old_form(found: str) -> FilterError:
    return FilterError(
        "run_spec_dataframe_filter has MAGNET's form, which is called for each row.",
        expected="a method that returns a pl.Expr",
        found=found,
        hint=_NEW_FORM,
    )
