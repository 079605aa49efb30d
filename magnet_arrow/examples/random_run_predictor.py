"""A run predictor that guesses. It is the shortest possible one, and every other predictor should beat it.

Run it on the demo by `magnet-arrow predict magnet_arrow.examples.random_run_predictor:RandomRunPredictor PATH`.
"""

import random

from magnet_arrow.data_splits import SequesteredTestSplit, TrainSplit
from magnet_arrow.predictor import RunPrediction, RunPredictor

SPLIT = "scenario_state.request_states.instance.split"


class RandomRunPredictor(RunPredictor):
    """Predicts the mean `exact_match` of each held-out run as a random number from 0 to 1."""

    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
        """One prediction per run, for the split of its instances; equal seeds give equal predictions."""
        rng = random.Random(self.random_seed)
        # Frames hold the columns that occur, and not every run says which split its instances are in.
        split = next(iter(sequestered_test_split.scenario_state.get_column(SPLIT, default=())), None)
        names = sequestered_test_split.run_specs["run_spec.name"]
        return [RunPrediction(name, split, "exact_match", mean=rng.random()) for name in names]
