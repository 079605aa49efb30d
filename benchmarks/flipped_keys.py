"""Whether `audit_items` finds keys that were made wrong, on real outcomes of 83 models (HELM Lite).

    python benchmarks/flipped_keys.py --seeds 0:20

At each seed, of M items M // 100 get a wrong key: models that were right are wrong, and those that were wrong are right
with chance 1/3. Recall is their share among the M // 50 items that are most suspicious; item-rest correlation alone is
beside it. `expected` is what `audit_items` itself says that recall is, from copies that it makes. One core.
"""

import argparse
import json
import os
from time import process_time
from typing import Any, NamedTuple

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # before NumPy

import numpy as np
import polars as pl

from magnet_arrow import Panel, audit_items
from magnet_arrow.examples.helm_lite import matrix

SCENARIOS = ("math", "gsm", "commonsense", "med_qa", "mmlu")
LEAST = {"math": 0.95, "gsm": 0.95, "commonsense": 0.85, "med_qa": 0.3, "mmlu": 0.2}
GUESS = 1 / 3


class Found(NamedTuple):
    """Mean recalls of one scenario."""

    recall: float
    stderr: float
    item_rest: float
    expected: float
    seconds: float


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:20", help="first and end, as 0:20")
    parser.add_argument("--scenarios", nargs="*", default=SCENARIOS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(*map(int, options.seeds.split(":")))
    found = {scenario: measured(scenario, seeds) for scenario in options.scenarios}
    if options.json:
        print(json.dumps({scenario: one._asdict() for scenario, one in found.items()}, indent=2))
        return
    print(f"{'':12}{'recall':>8}{'±':>7}{'at least':>10}{'item-rest':>11}{'expected':>10}{'s a panel':>11}")
    for scenario, one in found.items():
        least = LEAST.get(scenario, float("nan"))
        recalls = f"{one.recall:8.3f}{one.stderr:7.3f}{least:10.2f}{one.item_rest:11.3f}{one.expected:10.3f}"
        print(f"{scenario:12}{recalls}{one.seconds:11.2f}")


def measured(scenario: str, seeds: range) -> Found:
    """The recalls of one scenario, means over seeds."""
    scores, models = matrix(scenario)  # type: ignore[arg-type]
    recalls, started = [], process_time()
    for seed in seeds:
        flipped, changed = with_flipped_keys(scores, seed)
        recalls.append(recall(audit_items(panel_of(changed, models)), set(flipped)))
    seconds = (process_time() - started) / len(seeds)
    mean = np.mean(recalls, axis=0)
    return Found(mean[0], np.std(recalls, axis=0)[0] / max(len(seeds) - 1, 1) ** 0.5, *mean[1:], seconds)


def with_flipped_keys(scores: Any, seed: int) -> tuple[list[str], Any]:
    """The items whose key is made wrong, and the scores with it."""
    generator = np.random.default_rng(seed)
    n_items = scores.shape[1]
    flipped = generator.choice(n_items, n_items // 100, replace=False)
    changed = scores.copy()
    lucky = generator.random((len(scores), len(flipped))) < GUESS
    changed[:, flipped] = np.where(scores[:, flipped] == 1, 0.0, lucky)
    return [str(item) for item in flipped], changed


def panel_of(scores: Any, models: list[str]) -> Panel:
    """The panel of a matrix; items are numbered."""
    n_models, n_items = scores.shape
    names = {"model": np.repeat(models, n_items), "item": np.tile(np.arange(n_items), n_models)}
    return Panel.from_frame(pl.DataFrame({**names, "score": scores.ravel()}), model="model", item="item", score="score")


def recall(audited: pl.DataFrame, flipped: set[str]) -> tuple[float, float, float]:
    """Of the flipped items, the share that is found: by suspicion, by item-rest correlation, and as is expected."""
    most = audited.height // 50
    by_correlation = audited.sort("item_rest", nulls_last=True)
    shares = [len(flipped & set(some["item"].head(most))) / len(flipped) for some in (audited, by_correlation)]
    return shares[0], shares[1], audited.item(most - 1, "recall")


if __name__ == "__main__":
    main()
