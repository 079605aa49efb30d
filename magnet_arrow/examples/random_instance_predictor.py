"""An instance predictor that guesses. It is the shortest possible one, and every other predictor should beat it.

Run it on the demo by
`magnet-arrow predict magnet_arrow.examples.random_instance_predictor:RandomInstancePredictor PATH`.
"""

import random

from magnet_arrow.data_splits import SequesteredTestSplit, TrainSplit
from magnet_arrow.instance_predictor import InstancePrediction, InstancePredictor


class RandomInstancePredictor(InstancePredictor):
    """Predicts for each request state at random whether the answer is right: `exact_match` is 0 or 1."""

    def predict(
        self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit
    ) -> list[InstancePrediction]:
        """One prediction per request state; equal seeds give equal predictions."""
        rng = random.Random(self.random_seed)
        states = sequestered_test_split.scenario_state.select("run_spec.name", "magnet.instance_predict_id").rows()
        return [InstancePrediction(run, number, "exact_match", mean=rng.randint(0, 1)) for run, number in states]
