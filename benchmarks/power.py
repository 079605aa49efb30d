"""How often a difference of the minimum detectable effect is found: pairs of models of HELM Lite, 100 items.

    python benchmarks/power.py
    python benchmarks/power.py --pairs 200 --seed 1 --json

Of each scenario, pairs of models are drawn that differ in at least 5 items. The standard error of their mean difference
over 100 items is the standard deviation of their differences on all items ÷ 10; the minimum detectable effect follows
from it. Their differences are shifted so that the mean is that effect, and 100 of them are drawn with replacement,
2,000 times. Power is the share of draws with p < 0.05, which should be 80%.
"""

import argparse
import json
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np

from magnet_arrow.examples.helm_lite import SCENARIOS, Scenario, matrix
from magnet_arrow.predictions.comparisons import differences, minimum_detectable
from magnet_arrow.predictions.intervals import MIN_LEVELS

N_ITEMS = 100


def powers(scenario: Scenario, pairs: int, draws: int, seed: int) -> list[float]:
    """The power of each pair, in percent."""
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    scores = matrix(scenario)[0]
    found: list[float] = []
    while len(found) < pairs:
        first, second = rng.choice(len(scores), 2, replace=False)
        between = scores[first] - scores[second]
        if np.count_nonzero(between) < MIN_LEVELS:
            continue
        effect = minimum_detectable(between.std() / sqrt(N_ITEMS), N_ITEMS - 1)
        shifted = between - between.mean() + effect
        drawn = shifted[rng.integers(len(shifted), size=(draws, N_ITEMS))]
        found.append(100 * float((differences(drawn).p_value < 0.05).mean()))
    return found


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100, help="of each scenario")
    parser.add_argument("--draws", type=int, default=2000, help="of items, for each pair")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows: dict[str, Any] = {}
    for scenario in SCENARIOS:
        found = powers(scenario, args.pairs, args.draws, args.seed)
        rows[scenario] = {"mean": fmean(found), "sd": stdev(found), "lowest": min(found), "highest": max(found)}
    rows["all"] = {"mean": fmean(row["mean"] for row in rows.values())}
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"power in percent, {args.pairs} pairs of each scenario")
    for scenario, row in rows.items():
        print(f"{scenario:12}", *(f"{name} {value:.1f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
