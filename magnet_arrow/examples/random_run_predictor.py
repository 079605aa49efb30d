"""A run predictor that guesses: the shortest one there is, and the one that any other should beat.

Run it on the demo by `magnet-arrow predict magnet_arrow.examples.random_run_predictor:RandomRunPredictor PATH`.
"""

import random

from magnet_arrow.data_splits import SequesteredTestSplit, TrainSplit
from magnet_arrow.predictor import RunPrediction, RunPredictor

SPLIT = "scenario_state.request_states.instance.split"


class RandomRunPredictor(RunPredictor):
    """Foretells each evaluated run's mean `exact_match` as a random number from 0 to 1."""

    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
        """One prediction a run, for the split that its instances are of; the same for the same seed."""
        rng = random.Random(self.random_seed)
        # A frame has the columns that occur in its runs: not all of them say of which split an instance is.
        split = next(iter(sequestered_test_split.scenario_state.get_column(SPLIT, default=())), None)
        names = sequestered_test_split.run_specs["run_spec.name"]
        return [RunPrediction(name, split, "exact_match", mean=rng.random()) for name in names]
