"""MAGNET's base classes of predictors, over pandas frames.

The draw is MAGNET's: for the same runs and seed the same runs and instances. Two things are not: the held-out run is
one run, even if another has its name, and no train run has its name.
"""

import logging
import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.errors import NotEnoughRunsError, NotEnoughSamplesError, SettingError, warn
from magnet_arrow.magnet_compat.data_splits import SequesteredTestSplit, TestSplit, TrainSplit
from magnet_arrow.magnet_compat.frames import DotDictDataFrame
from magnet_arrow.magnet_compat.outputs import HelmRuns, HelmSuites
from magnet_arrow.magnet_compat.predictions import RunPrediction, compared, listed
from magnet_arrow.magnet_compat.run_tables import concatenated
from magnet_arrow.predictions.records import PERTURBATION, STAT_MEAN, STAT_NAME, STAT_SPLIT
from magnet_arrow.schema.registry import RUN_NAME, TABLES

__all__ = [
    "HelmRuns",
    "HelmSuites",
    "Policy",
    "Predictor",
    "RunPrediction",
    "RunPredictor",
    "SequesteredTestSplit",
    "TestSplit",
    "TrainSplit",
]

INSTANCE_ID = TABLES["scenario_state"].named("request_states.instance.id")
STAT_INSTANCE_ID = TABLES["per_instance_stats"].named("instance_id")

_log = logging.getLogger("magnet_arrow")


class Policy(StrEnum):
    """What happens if the held-out run has fewer request states than were asked for."""

    ERROR = "error"
    WARN = "warn"
    IGNORE = "ignore"


class Predictor:
    """Draws train runs and one held-out run, and prepares their frames; see `magnet_arrow.predictor.Predictor`."""

    def __init__(
        self,
        num_example_runs: int = 3,
        num_eval_samples: int = 20,
        random_seed: int = 1,
        insufficient_eval_sample_policy: str = Policy.WARN,
    ) -> None:
        self.num_example_runs = num_example_runs
        self.num_eval_samples = num_eval_samples
        self.random_seed = random_seed
        self.insufficient_eval_sample_policy = insufficient_eval_sample_policy

    def run_spec_filter(self, run_spec: dict[str, Any]) -> bool:
        """Whether a run may be drawn, by the content of its `run_spec.json`; True unless overridden."""
        return True

    def run_spec_dataframe_filter(self, row: Any) -> bool:
        """Whether a run may be drawn, by its row of the run specs; True unless overridden."""
        return True

    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> Any:
        """Predictions for the held-out run; a subclass has to override it."""
        raise NotImplementedError

    def prepare_predict_inputs(self, helm_runs: Any) -> tuple[TrainSplit, SequesteredTestSplit]:
        """What a predictor is given: the train split, and the test split without stats."""
        train_split, test_split = self.prepare_all_dataframes(helm_runs)
        return train_split, test_split.sequester()

    def prepare_all_dataframes(self, helm_runs: Any) -> tuple[TrainSplit, TestSplit]:
        """The train split, and the test split with the actual stats of the held-out run.

        Raises:
            NotEnoughRunsError: the filters leave too few runs to draw from.
            NotEnoughSamplesError: the held-out run has too few request states, under the policy "error".
            BadFileError: a file of a run cannot be read.
        """
        rng = random.Random(self.random_seed)
        chosen = [run for run in HelmRuns.coerce(helm_runs) if self.run_spec_filter(run.json.run_spec())]
        runs = [run.dataframe for run in chosen]
        specs = [run.run_spec() for run in runs]
        drawable = self._drawable(specs)
        names = [str(spec[RUN_NAME].iloc[0]) for spec in specs]
        train, held_out = _draw_runs(drawable, names, self.num_example_runs, rng, self.random_seed)

        def rows(tables: Sequence[DotDictDataFrame]) -> tuple[DotDictDataFrame, DotDictDataFrame]:
            every = concatenated(tables)
            owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
            return every[np.isin(owner, train)].copy(), every[owner == held_out].copy()

        train_specs, test_specs = rows(specs)
        train_stats, test_stats = rows([run.stats() for run in runs])
        train_states, test_states = rows([run.scenario_state() for run in runs])
        train_instance_stats, test_instance_stats = rows([run.per_instance_stats() for run in runs])
        self._check_enough(len(test_states))
        ids = test_states[INSTANCE_ID].unique()
        ids = ids[rng.sample(range(len(ids)), min(len(ids), self.num_eval_samples))]
        return (
            TrainSplit(train_specs, train_states, train_stats, train_instance_stats),
            TestSplit(
                test_specs,
                test_states[test_states[INSTANCE_ID].isin(ids)].copy(),
                test_stats,
                test_instance_stats[test_instance_stats[STAT_INSTANCE_ID].isin(ids)].copy(),
            ),
        )

    def _drawable(self, specs: Sequence[DotDictDataFrame]) -> list[int]:
        """Indices of the runs for which `run_spec_dataframe_filter` holds; it gets rows with the columns of all."""
        if not specs:
            return []
        kept = concatenated(specs).apply(self.run_spec_dataframe_filter, axis=1)
        return [index for index, holds in enumerate(kept) if holds]

    def _check_enough(self, n_states: int) -> None:
        policy = self.insufficient_eval_sample_policy
        if self.num_eval_samples <= n_states or policy == Policy.IGNORE:
            return
        expected = f"at least {self.num_eval_samples} request states in the held-out run (num_eval_samples)"
        if policy == Policy.ERROR:
            raise NotEnoughSamplesError("", expected=expected, found=str(n_states))
        if policy != Policy.WARN:
            raise SettingError.among("insufficient_eval_sample_policy", policy, Policy)
        _log.warning("Expected %s, found %d: all of its instances are used.", expected, n_states)

    def _source(self, args: tuple[Any, ...], helm_runs: Any, helm_suites: Any) -> HelmRuns:
        """The runs that a call names, in exactly one way."""
        given = [source for source in (*args, helm_runs, helm_suites) if source is not None]
        if len(given) != 1:
            raise SettingError("A predictor is called with exactly one source: helm_runs= or helm_suites=.")
        return HelmRuns.coerce(given[0]) if helm_suites is None else HelmSuites.coerce(helm_suites).runs()


class RunPredictor(Predictor):
    """Predicts stats of a run. Calling it draws runs, predicts, and prints and returns predicted vs. actual stats."""

    def __call__(self, *args: Any, helm_runs: Any = None, helm_suites: Any = None) -> pd.DataFrame:
        """Predicted vs. actual stats; MAGNET only prints them.

        Raises:
            PredictionError: `predict` returned something else than run predictions.
        """
        runs = self._source(args, helm_runs, helm_suites)
        train_split, test_split = self.prepare_all_dataframes(helm_runs=runs)
        predictions = listed(self.predict(train_split, test_split.sequester()), RunPrediction)
        return self.compare_predicted_to_actual(RunPrediction.to_df(predictions), test_split.stats)

    def compare_predicted_to_actual(
        self, predicted_stats_df: pd.DataFrame, eval_stats_df: pd.DataFrame
    ) -> pd.DataFrame:
        """Each prediction with the stats of its run, split, name and perturbation; printed, too.

        Predictions without such a stat are not in it, as in MAGNET; a logged warning counts them.
        """
        perturbation = [name for name in predicted_stats_df.columns if name.startswith(PERTURBATION.removesuffix("."))]
        columns = {
            RUN_NAME: "run_spec",
            STAT_SPLIT: "split",
            STAT_NAME: "stat_name",
            f"{STAT_MEAN}_x": "predicted_mean",
            f"{STAT_MEAN}_y": "actual_mean",
            **{name: name.replace(PERTURBATION, "perturbation_") for name in perturbation},
        }
        keys = [RUN_NAME, STAT_SPLIT, STAT_NAME, *perturbation]
        return compared(predicted_stats_df, eval_stats_df, keys, columns)


def _draw_runs(
    drawable: Sequence[int], names: Sequence[str], n_examples: int, rng: random.Random, seed: int
) -> tuple[list[int], int]:
    """Indices of the train runs and of the held-out run.

    Train runs with the held-out run's name are replaced by others, as in `magnet_arrow.data_splits`.
    """
    if len(drawable) < n_examples + 1:
        raise NotEnoughRunsError(
            "There are too few runs to draw from.",
            expected=f"at least {n_examples + 1} ({n_examples} train, one held out)",
            found=str(len(drawable)),
            hint="Give more runs, loosen the filters, or lower num_example_runs.",
        )
    *train, held_out = rng.sample(drawable, n_examples + 1)
    name = names[held_out]
    kept = [index for index in train if names[index] != name]
    n_lacking = len(train) - len(kept)
    if not n_lacking:
        return train, held_out
    others = [index for index in drawable if names[index] != name and index not in kept]
    if len(others) < n_lacking:
        raise NotEnoughRunsError(
            f"The held-out run's name, {name}, is also that of {counted(n_lacking, 'train run')}.",
            expected=f"at least {counted(n_lacking, 'undrawn run')} with another name",
            found=str(len(others)),
            hint="Give more runs, give each run once, or lower num_example_runs.",
        )
    warn(f"{counted(n_lacking, 'train run')} with the held-out run's name, {for_terminal(name)}, replaced by others.")
    return [*kept, *random.Random(seed).sample(others, n_lacking)], held_out
