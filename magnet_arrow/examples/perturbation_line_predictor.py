"""A run predictor that fits a line: `exact_match` of misspelled questions by the strength of the misspelling.

Run it on the suite `perturbed` of the demo, by
`magnet-arrow predict magnet_arrow.examples.perturbation_line_predictor:PerturbationLinePredictor PATH --examples 2`.
"""

import polars as pl

from magnet_arrow.data_splits import SequesteredTestSplit, TrainSplit
from magnet_arrow.predictor import RunPrediction, RunPredictor

PERTURBATION = "misspellings"
SPECS = "run_spec.data_augmenter_spec.perturbation_specs"
STAT = "stats.name."
INSTANCE = "scenario_state.request_states.instance."


class PerturbationLinePredictor(RunPredictor):
    """Predicts the mean `exact_match` of misspelled instances by least squares over the strengths in the train runs."""

    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
        """Runs with misspelled instances; with probability 0 nothing is misspelled."""
        is_misspelling = pl.element().struct.field("class_name").str.ends_with("MisspellingPerturbation")
        is_real = pl.element().struct.field("args") != '{"prob":0}'
        return pl.col(SPECS).list.eval(is_misspelling & is_real).list.any()

    def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
        """One prediction per strength and split of the held-out run; none if no train run has a misspelling."""
        known = train_split.stats.filter(
            pl.col(f"{STAT}name") == "exact_match",
            pl.col(f"{STAT}perturbation.name") == PERTURBATION,
            pl.col(f"{STAT}perturbation.computed_on") == "perturbed",
        ).select(x=f"{STAT}perturbation.prob", y="stats.mean")
        asked = sequestered_test_split.scenario_state.filter(pl.col(f"{INSTANCE}perturbation.name") == PERTURBATION)
        keys = asked.select("run_spec.name", f"{INSTANCE}split", f"{INSTANCE}perturbation.prob").unique(
            maintain_order=True
        )
        if known.is_empty():
            return []
        slope, intercept = line(known)
        return [
            RunPrediction(
                run,
                split,
                "exact_match",
                mean=intercept + slope * strength,
                computed_on="perturbed",
                perturbation_parameters={
                    "name": PERTURBATION,
                    "prob": strength,
                    "robustness": True,
                    "fairness": False,
                },
            )
            for run, split, strength in keys.rows()
        ]


def line(points: pl.DataFrame) -> tuple[float, float]:
    """Slope and intercept of the least-squares line through points x, y; level if there is only one x."""
    x, y = pl.col("x"), pl.col("y")
    mean_x, mean_y, both, squares = points.select(
        x.mean(), y.mean(), both=((x - x.mean()) * (y - y.mean())).sum(), squares=((x - x.mean()) ** 2).sum()
    ).row(0)
    slope = both / squares if squares else 0.0
    return slope, mean_y - slope * mean_x
