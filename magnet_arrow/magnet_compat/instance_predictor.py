"""MAGNET's base class of predictors of single request states, over pandas frames."""

from typing import Any

import pandas as pd

from magnet_arrow.errors import SettingError
from magnet_arrow.magnet_compat.data_splits import DataSplit, SequesteredTestSplit, TestSplit, TrainSplit
from magnet_arrow.magnet_compat.predictions import (
    INSTANCE_STAT_MEAN,
    INSTANCE_STAT_NAME,
    InstancePrediction,
    compared,
    listed,
)
from magnet_arrow.magnet_compat.predictor import INSTANCE_ID, STAT_INSTANCE_ID, Predictor
from magnet_arrow.predictions.instance_ids import PREDICT_ID
from magnet_arrow.schema.registry import RUN_NAME, TABLES

__all__ = ["InstancePrediction", "InstancePredictor", "Predictor"]

_INSTANCE, _STAT = INSTANCE_ID.removesuffix("id"), INSTANCE_STAT_NAME.removesuffix("name")
_TRIAL = "train_trial_index"
_KEYS = {
    RUN_NAME: RUN_NAME,
    INSTANCE_ID: STAT_INSTANCE_ID,
    TABLES["scenario_state"].named(f"request_states.{_TRIAL}"): TABLES["per_instance_stats"].named(_TRIAL),
    f"{_INSTANCE}split": f"{_STAT}split",
    **{
        f"{_INSTANCE}perturbation.{key}": f"{_STAT}perturbation.{key}"
        for key in ("computed_on", "fairness", "name", "prob", "robustness")
    },
}
"""The columns by which a request state is that of a stat: the state's, and the stat's."""


class InstancePredictor(Predictor):
    """Predicts stats of request states. Calling it draws runs, predicts, and returns predicted vs. actual stats."""

    def prepare_all_dataframes(self, helm_runs: Any) -> tuple[TrainSplit, TestSplit]:
        """The splits of `Predictor`, with the column `magnet.instance_predict_id`."""
        splits = super().prepare_all_dataframes(helm_runs)
        for split in splits:
            _reindex_split(split)
        return splits

    def __call__(self, *args: Any, helm_runs: Any = None, helm_suites: Any = None) -> pd.DataFrame:
        """Predicted vs. actual stats, printed, too.

        Raises:
            PredictionError: `predict` returned something else than instance predictions.
        """
        runs = self._source(args, helm_runs, helm_suites)
        train_split, test_split = self.prepare_all_dataframes(helm_runs=runs)
        predictions = listed(self.predict(train_split, test_split.sequester()), InstancePrediction)
        return self.compare_predicted_to_actual(InstancePrediction.to_df(predictions), test_split.per_instance_stats)

    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> Any:
        """A list of `InstancePrediction`; a subclass has to override it."""
        raise NotImplementedError

    def compare_predicted_to_actual(
        self, predicted_instance_stats_df: pd.DataFrame, eval_instance_stats_df: pd.DataFrame
    ) -> pd.DataFrame:
        """Each prediction with the stats of its run, id and name; printed, too.

        Predictions without such a stat are not in it, as in MAGNET; a logged warning counts them.
        """
        columns = {
            RUN_NAME: "run_spec",
            STAT_INSTANCE_ID: "instance_id",
            PREDICT_ID: "prediction_id",
            INSTANCE_STAT_NAME: "stat_name",
            f"{INSTANCE_STAT_MEAN}_x": "predicted_mean",
            f"{INSTANCE_STAT_MEAN}_y": "actual_mean",
        }
        keys = [RUN_NAME, PREDICT_ID, INSTANCE_STAT_NAME]
        return compared(predicted_instance_stats_df, eval_instance_stats_df, keys, columns)


def _reindex_split(split: DataSplit) -> None:
    """Number the request states of a split, and give their stats the same numbers.

    Both frames get the first column `magnet.instance_predict_id`; stats without a request state are dropped. The train
    trial is part of the key, which it is not in MAGNET: a stat there has the number of every trial.

    Raises:
        SettingError: one of the two frames is None.
    """
    if split.scenario_state is None or split.per_instance_stats is None:
        raise SettingError("A split without scenario_state and per_instance_stats has no instances to number.")
    states, stats = split.scenario_state.reset_index(drop=True), split.per_instance_stats
    states.insert(0, PREDICT_ID, range(len(states)))
    pairs = [(state, stat) for state, stat in _KEYS.items() if state in states.columns or stat in stats.columns]
    left = stats.assign(**{stat: None for _, stat in pairs if stat not in stats.columns})
    right = states.assign(**{state: None for state, _ in pairs if state not in states.columns})
    right = right[[PREDICT_ID, *(state for state, _ in pairs)]]
    merged = pd.merge(left, right, left_on=[stat for _, stat in pairs], right_on=[state for state, _ in pairs])
    split.scenario_state = states
    split.per_instance_stats = merged[[PREDICT_ID, *stats.columns]]
