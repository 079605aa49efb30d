"""How often a difference of the minimum detectable effect is found, and how often one that is not there.

    python benchmarks/power.py
    python benchmarks/power.py --pairs 200 --seed 1 --json

Of each scenario, pairs of models are drawn that differ in at least 5 items. The standard error of their mean difference
over 100 items is the standard deviation of their differences on all items ÷ 10; the minimum detectable effect follows
from it. Their differences are shifted so that the mean is that effect, and 100 of them are drawn with replacement,
2,000 times. Power is the share of draws with p < 0.05, which should be 80%.

False alarms: items are drawn with replacement, 400 times, and the answers to each are shuffled among all models, so
that no model is better than another. Holm over all pairs (3,403 for 83 models) should find one in at most 5% of draws.
"""

import argparse
import json
from math import sqrt
from statistics import fmean, stdev
from typing import Any

import numpy as np

from magnet_arrow.examples.helm_lite import SCENARIOS, Scenario, matrix
from magnet_arrow.statistics.comparisons import differences, holm, minimum_detectable, pairwise
from magnet_arrow.statistics.intervals import MIN_LEVELS

N_ITEMS = 100
FALSE_ALARMS_OF = (20, 50, 100, 400)


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


def false_alarms(scenario: Scenario, n_items: int, draws: int, seed: int) -> float:
    """The share of draws in which a pair of equal models is separated, in percent."""
    rng = np.random.default_rng([seed, SCENARIOS.index(scenario), n_items])
    scores = matrix(scenario)[0]
    alarms = 0
    for _ in range(draws):
        drawn = scores[:, rng.integers(scores.shape[1], size=n_items)]
        alarms += bool((holm(pairwise(rng.permuted(drawn, axis=0)).p_value) < 0.05).any())
    return 100 * alarms / draws


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100, help="of each scenario")
    parser.add_argument("--draws", type=int, default=2000, help="of items, for each pair")
    parser.add_argument("--shuffles", type=int, default=400, help="draws of items for false alarms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows: dict[str, Any] = {}
    for scenario in SCENARIOS:
        found = powers(scenario, args.pairs, args.draws, args.seed)
        rows[scenario] = {"mean": fmean(found), "sd": stdev(found), "lowest": min(found), "highest": max(found)}
        for n_items in FALSE_ALARMS_OF:
            alarms = false_alarms(scenario, n_items, args.shuffles, args.seed)
            rows[scenario][f"false alarms, {n_items} items"] = alarms
    rows["all"] = {"mean": fmean(row["mean"] for row in rows.values())}
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"power in percent, {args.pairs} pairs of each scenario; false alarms in percent of {args.shuffles} draws")
    for scenario, row in rows.items():
        print(f"{scenario:12}", "  ".join(f"{name} {value:.1f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
