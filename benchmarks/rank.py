"""How long a ranking takes: 90 models on 10 scenarios, and 83 models on the questions of HELM Lite.

    python benchmarks/rank.py

All pairs of models are compared. The scores of 90 models are drawn (seed 0). Processor time of one core, after the
imports: of the first call, and the median of nine.
"""

import argparse
import json
import os
from statistics import median
from time import process_time
from typing import Any

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "POLARS_MAX_THREADS"), "1"))

import numpy as np
import polars as pl

from magnet_arrow import pairwise_comparisons, rank
from magnet_arrow.examples.helm_lite import helm_lite
from magnet_arrow.statistics.stats_packages import scipy

ROUNDS = 9


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    scipy("special")
    data: dict[str, Any] = {"90 models × 10 scenarios": scenario_scores(90, 10)}
    data |= {f"83 models on {name}": helm_lite(name) for name in ("mmlu", "gsm")}
    functions = {"rank": rank, "pairwise_comparisons": pairwise_comparisons}
    found = {
        what: {name: seconds(function, scores) for name, function in functions.items()} for what, scores in data.items()
    }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'':28}{'':22}{'first':>9}{'median':>9}")
    for what, by_function in found.items():
        for name, (first, again) in by_function.items():
            print(f"{what:28}{name:22}{first:7.3f} s{again:7.3f} s")


def scenario_scores(n_models: int, n_scenarios: int) -> pl.DataFrame:
    """A table with one score per model and scenario."""
    generator = np.random.default_rng(0)
    scores = generator.beta(5, 5, size=(n_models, 1)) / 2 + generator.beta(5, 5, size=(n_models, n_scenarios)) / 2
    names = [f"model {number}" for number in range(n_models)]
    return pl.DataFrame(
        {
            "model": np.repeat(names, n_scenarios),
            "item": np.tile([f"scenario {number}" for number in range(n_scenarios)], n_models),
            "score": scores.ravel(),
        }
    )


def seconds(function: Any, scores: Any) -> tuple[float, float]:
    """Processor time of the first call, and the median of several."""
    times = []
    for _ in range(ROUNDS):
        started = process_time()
        function(scores)
        times.append(process_time() - started)
    return times[0], median(times)


if __name__ == "__main__":
    main()
