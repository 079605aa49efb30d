"""`InstancePredictor`, the base class of predictors that predict stats of single request states.

Names and behaviour are MAGNET's, see `InstancePredictor` for the differences.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias, TypeVar

import polars as pl

from magnet_arrow.data_splits import SequesteredTestSplit, TestSplit, TrainSplit
from magnet_arrow.helm.layout import Source
from magnet_arrow.predictions.instance_ids import PREDICT_ID, with_predict_ids
from magnet_arrow.predictions.instance_records import InstancePrediction, instance_frame
from magnet_arrow.predictions.scoring import compare_instances, require_one_value
from magnet_arrow.predictor import Predictor, listed, only_one, warn_without_truth

__all__ = [
    "PREDICT_ID",
    "InstancePrediction",
    "InstancePredictor",
    "SequesteredTestSplit",
    "TestSplit",
    "TrainSplit",
]

Split = TypeVar("Split", TrainSplit, TestSplit)

InstancePredictions: TypeAlias = "Iterable[InstancePrediction] | pl.DataFrame | pl.LazyFrame"
"""What `predict` may return."""


class InstancePredictor(Predictor, ABC):
    """Predicts stats of the request states of a run. Calling it draws runs, predicts, and compares.

    In both splits `scenario_state` and `per_instance_stats` have `magnet.instance_predict_id` as their first column:
    the row number of the request state in the split, from 0. A prediction names a request state by it.

    The draw and the columns are MAGNET's, and so are the rows as long as each instance is there once. MAGNET joins
    stats to request states by run, instance id, split and perturbation, and multiplies rows where that is no key:

    - Two trials: each of an instance's two request states has the stats of both trials there. Here it has those of its
      own trial.
    - Language modeling, where an instance has three request states and three entries of stats: each state has nine
      values there, three here, which are its own in the order of the file.
    - A stat that HELM wrote twice: a prediction has two rows there, and one here. If the two values differ, comparing
      raises an error that names them.
    - A prediction without an actual value vanishes there. Here it has a row with null; a logged warning counts them.

    >>> class AlwaysRight(InstancePredictor):
    ...     def predict(self, train_split, sequestered_test_split):
    ...         rows = sequestered_test_split.scenario_state.select("run_spec.name", PREDICT_ID).rows()
    ...         return [InstancePrediction(run, number, "exact_match", 1) for run, number in rows]
    >>> from magnet_arrow import HelmOutputs
    >>> comparison = AlwaysRight(num_eval_samples=5)(HelmOutputs.demo().suites("my-suite"))
    >>> comparison.select("instance_id", "prediction_id", "actual_mean").rows()
    [('id11', 0, 1.0), ('id9', 1, 1.0), ('id15', 2, 1.0), ('id7', 3, 0.0), ('id13', 4, 1.0)]
    """

    @abstractmethod
    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> InstancePredictions:
        """Predict stats of the request states in `sequestered_test_split`.

        The predictions may also be a frame with the columns `run_spec.name`, `magnet.instance_predict_id`,
        `per_instance_stats.stats.name.name` and `per_instance_stats.stats.mean`.
        """

    def prepare_all_dataframes(self, helm_runs: Source) -> tuple[TrainSplit, TestSplit]:
        """The splits of a draw, with `magnet.instance_predict_id`; see `Predictor.prepare_all_dataframes`."""
        train_split, test_split = super().prepare_all_dataframes(helm_runs)
        return with_ids(train_split), with_ids(test_split)

    def prepare_predict_inputs(self, helm_runs: Source) -> tuple[TrainSplit, SequesteredTestSplit]:
        """What a predictor is given: the train split, and what its level shows of the test split."""
        train_split, test_split = self.prepare_all_dataframes(helm_runs)
        return with_ids(train_split), self._sequestered(with_ids(test_split))

    def __call__(self, helm_runs: "Source | None" = None, *, helm_suites: "Source | None" = None) -> pl.DataFrame:
        """Predicted vs. actual stats, in the columns of `scoring.compare_instances`.

        Args:
            helm_runs: the runs to draw from: a path, a pattern, an object of ours, or a list of such.
            helm_suites: suites to draw from. Exactly one of the two is given.

        Raises:
            PredictionError: `predict` returned something else than instance predictions, or two of the same stat of
                one request state.
            JoinError: a predicted stat has several actual values.
        """
        train_split, test_split = self.prepare_all_dataframes(only_one(helm_runs, helm_suites))
        train_split, test_split = with_ids(train_split), with_ids(test_split)
        predicted = self.predict(train_split, self._sequestered(test_split))
        if not isinstance(predicted, pl.DataFrame | pl.LazyFrame):
            predicted = listed(predicted, "InstancePrediction")
        predictions = instance_frame(predicted)
        require_one_value(predictions, test_split.per_instance_stats)
        comparison = compare_instances(
            predictions.lazy(), test_split.per_instance_stats.lazy(), test_split.scenario_state.lazy()
        ).collect()
        warn_without_truth(comparison, ("prediction_id", "stat_name"))
        return comparison


def with_ids(split: Split) -> Split:
    """The split with `magnet.instance_predict_id` in its two frames of instances, see `with_predict_ids`.

    A split that has them stays as it is.
    """
    if PREDICT_ID in split.scenario_state.columns:
        return split
    states, stats = with_predict_ids(split.scenario_state, split.per_instance_stats)
    return replace(split, scenario_state=states, per_instance_stats=stats)
