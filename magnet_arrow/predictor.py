"""What people subclass: `Predictor` prepares the frames, `RunPredictor` is evaluated on them.

Names and behaviour are MAGNET's. A subclass may override two filters that choose the runs to draw from:
`run_spec_filter` looks at one run spec's JSON, `run_spec_dataframe_filter` at all of them by an expression.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.data_splits import SamplePolicy, SequesteredTestSplit, TestSplit, TrainSplit, draw
from magnet_arrow.decode.chunks import Buffer
from magnet_arrow.errors import BadFileError, FilterError, PredictionError, SettingError, Where, warn
from magnet_arrow.helm.json_faults import kind
from magnet_arrow.helm.layout import RunPlace, Source
from magnet_arrow.ingestion.run_reader import RUN_SPEC, read_run_spec, where_of
from magnet_arrow.outputs import CacheLike, HelmRun, HelmRuns
from magnet_arrow.predictions.records import RunPrediction, frame
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
    "It is called once for all runs, and hands back an expression:\n"
    "    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:\n"
    '        return pl.col("run_spec.adapter_spec.model") == "openai/gpt2"'
)
_log = logging.getLogger("magnet_arrow")


class Predictor:
    """Draws runs to learn from and one to evaluate on, and prepares their frames.

    Args:
        num_example_runs: how many runs are handed over to learn from.
        num_eval_samples: how many instances of the evaluated run are sampled; all, if it has fewer.
        random_seed: decides which runs and instances are drawn; for equal runs and seeds what MAGNET draws.
        insufficient_eval_sample_policy: what happens when the evaluated run has fewer request states than
            `num_eval_samples`: "error" raises, "warn" logs a warning, "ignore" goes on.
        cache: where frames are kept; by default that of the runs, else the user's.
        include_partial: ingest all runs that may be drawn, what is there of incomplete ones too (as
            `ingest(partial=True)` does), and draw from these as well.
        skip_unreadable: ingest all runs that may be drawn, and draw from those that are complete (with
            `include_partial`, from those that could be ingested).

    What is drawn depends on the runs, the seed and these arguments alone, not on what the cache has seen. The draw is
    over the runs in the order in which they are given, as MAGNET's: a list of paths decides it. Folders and patterns
    stand for their runs sorted by suite and folder, however they are spelt. Of what was drawn, all must be there and
    readable: otherwise it is an error, which names the run. No run of the held-out run's name (`run_spec.name`) is
    among those to learn from: another is drawn in its place, and a `MagnetWarning` says so.

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
    ) -> None:
        if insufficient_eval_sample_policy not in _POLICIES:
            raise SettingError(
                f"insufficient_eval_sample_policy is one of {', '.join(_POLICIES)}, "
                f"not {insufficient_eval_sample_policy!r}."
            )
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

    def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
        """Whether a run may be drawn. To be overridden; every run may, unless it is.

        Reads the `run_spec.json` of every run, one by one.

        Args:
            run_spec: what the run's `run_spec.json` holds.
        """
        return True

    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
        """Which runs may be drawn, as an expression. To be overridden; every run may, unless it is.

        Args:
            run_specs: table `run_spec` of the runs that `run_spec_filter` left, with every registered column.
        """
        return pl.lit(True)

    def prepare_all_dataframes(self, helm_runs: Source) -> tuple[TrainSplit, TestSplit]:
        """The runs to learn from, and the evaluated one with its truth.

        Only the runs that were drawn are ingested, unless `include_partial` or `skip_unreadable` is set.

        Args:
            helm_runs: a path to outputs, a suite or a run, a pattern, an object of ours, or a list of such.

        Raises:
            NotEnoughRunsError: the filters leave fewer runs than `num_example_runs` and one, or too few of other
                names than the held-out run's.
            NotEnoughSamplesError: too few request states, under the policy "error".
            FilterError: a filter gave something else than it should.
            BadFileError: a run that was drawn is not complete; or a filter asks for a run spec that cannot be read.
            CacheNotWritableError: a run that was drawn is not cached as it is now, and can't be.
        """
        return draw(
            self._filtered(HelmRuns.coerce(helm_runs, cache=self.cache)),
            num_example_runs=self.num_example_runs,
            num_eval_samples=self.num_eval_samples,
            random_seed=self.random_seed,
            insufficient_eval_sample_policy=self.insufficient_eval_sample_policy,
            include_partial=self.include_partial,
            skip_unreadable=self.skip_unreadable,
        )

    def prepare_predict_inputs(self, helm_runs: Source) -> tuple[TrainSplit, SequesteredTestSplit]:
        """The same with the truth taken away: what a predictor is given."""
        train_split, test_split = self.prepare_all_dataframes(helm_runs)
        return train_split, test_split.sequester()

    def _filtered(self, runs: HelmRuns) -> HelmRuns:
        """The runs that both filters leave. One not overridden costs nothing, and reads nothing."""
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
            raise _old_form(f"one that raised a {type(error).__name__}") from error
        if not isinstance(predicate, pl.Expr):
            raise _old_form(f"one that gave {type(predicate).__name__}")
        return predicate


class RunPredictor(Predictor, ABC):
    """Foretells stats of a whole run, and compares them with the truth when it is called.

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
        """Predictions on the run in `sequestered_test_split`."""

    def __call__(self, *, helm_runs: "Source | None" = None, helm_suites: "Source | None" = None) -> pl.DataFrame:
        """The predictions beside the truth, as `scoring.compare_runs` says.

        A prediction without truth has null as its `actual_mean`; how many there are is logged as a warning.

        Args:
            helm_runs: the runs to draw from: a path, a pattern, an object of ours, or a list of such.
            helm_suites: the same as suites. Exactly one of the two is given.

        Raises:
            PredictionError: `predict` gave something else than run predictions.
        """
        source = _only_one(helm_runs, helm_suites)
        train_split, test_split = self.prepare_all_dataframes(source)
        predictions = self.predict(train_split, test_split.sequester())
        comparison = compare_runs(
            frame(_listed(predictions)), test_split.stats.lazy(), test_split.run_specs.lazy()
        ).collect()
        _warn_without_truth(comparison)
        return comparison


def _with_run_spec(runs: HelmRuns) -> HelmRuns:
    """Those whose run spec can be read."""
    buffer = Buffer()
    left = runs.take(index for index, place in enumerate(runs.places) if _has_run_spec(place, buffer))
    if len(left) < len(runs):
        n_bad = len(runs) - len(left)
        warn(f"{n_bad} of {counted(len(runs), 'run')} have no run spec that can be read, and will not be drawn.")
    return left


def _has_run_spec(place: RunPlace, buffer: Buffer) -> bool:
    try:
        with SourceFile(place.path, RUN_SPEC, where_of(place)) as file:
            read_run_spec(buffer, file)
    except BadFileError:
        return False
    return True


def _run_spec(run: HelmRun) -> dict[str, Any]:
    """What `run_spec.json` holds now."""
    run_spec: Any = run.json.run_spec()
    if isinstance(run_spec, dict):
        return run_spec
    raise BadFileError("", where=Where(where_of(run.place), RUN_SPEC), expected="an object", found=kind(run_spec))


def _only_one(helm_runs: "Source | None", helm_suites: "Source | None") -> Source:
    source = helm_suites if helm_runs is None else helm_runs
    if source is None or (helm_runs is not None and helm_suites is not None):
        raise TypeError("A predictor is called with exactly one of helm_runs= and helm_suites=.")
    return source


def _listed(predictions: Any) -> list[Any]:
    if isinstance(predictions, Iterable) and not isinstance(predictions, str | pl.DataFrame):
        return list(predictions)
    raise PredictionError("", expected="a list of RunPrediction from predict()", found=type(predictions).__name__)


def _warn_without_truth(comparison: pl.DataFrame) -> None:
    missing = without_truth(comparison.lazy()).collect()
    if missing.is_empty():
        return
    first = missing.select("split", "stat_name").head(5)
    names = ", ".join(f"{name} ({split})" for split, name in first.iter_rows())
    _log.warning(
        "%d of %d predictions have no truth to compare with; their actual_mean is null: %s%s",
        missing.height,
        comparison.height,
        for_terminal(names),
        ", …" if missing.height > 5 else "",
    )


def _old_form(found: str) -> FilterError:
    return FilterError(
        "run_spec_dataframe_filter is written in MAGNET's form, row by row.",
        expected="a method that gives a pl.Expr",
        found=found,
        hint=_NEW_FORM,
    )
