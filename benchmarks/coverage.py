"""How often 95% intervals hold the truth: draws of models and items from HELM Lite's real outcomes.

    python benchmarks/coverage.py
    python benchmarks/coverage.py --draws 200 --seed 1 --json

For each scenario (83 models; legalbench 79) two predictors are fitted once to the whole matrix: the additive one (mean
of the model + mean of the item − mean of all, clipped to 0 and 1) and a one-parameter item response (scikit-learn's
logistic regression on two one-hot blocks, that of the models times 3). Their losses of each answer are the population,
the losses' mean over the matrix the truth. A draw takes models and items with replacement, 5 × 20, 10 × 50 or 20 × 100;
what is drawn twice counts as two. `held` is the share of draws whose interval holds the truth. A draw without an
interval (a difference that fewer than 5 models or items carry) is not in it; the share of such is in brackets.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from magnet_arrow.examples.helm_lite import SCENARIOS, Scenario, matrix
from magnet_arrow.statistics.comparisons import paired
from magnet_arrow.statistics.intervals import Clusters, Interval, clustered, clusters_of, proportion, wilson

Array: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
Method: TypeAlias = Callable[[Array, Clusters], Interval]

SIZES = ((5, 20), (10, 50), (20, 100))


@dataclass(frozen=True)
class Coverage:
    """How often one interval of one loss held the truth, in one scenario."""

    loss: str
    interval: str
    scenario: str
    n_models: int
    n_items: int
    held: float
    none: float


def additive(scores: Array) -> Array:
    """The least-squares fit of model + item, clipped."""
    fitted: Array = np.clip(scores.mean(1, keepdims=True) + scores.mean(0) - scores.mean(), 0, 1)
    return fitted


def item_response(scores: Array) -> Array:
    """The probabilities of a one-parameter item response."""
    n_models, n_items = scores.shape
    model, item = np.divmod(np.arange(scores.size), n_items)
    rows = np.repeat(np.arange(scores.size), 2)
    columns = np.stack([model, n_models + item], axis=1).ravel()
    features = sparse.csr_matrix((np.tile([3.0, 1.0], scores.size), (rows, columns)))
    fit = LogisticRegression(max_iter=1000).fit(features, scores.ravel())
    probabilities: Array = fit.predict_proba(features)[:, 1].reshape(scores.shape)
    return probabilities


def losses(scores: Array) -> dict[str, Array]:
    """What is averaged, of every answer."""
    linear, response = additive(scores), item_response(scores)
    calls = (linear, response, scores.mean(0))
    right, other_right, right_by_item = (((p >= 0.5) == scores).astype(np.float64) for p in calls)
    brier, other_brier = (linear - scores) ** 2, (response - scores) ** 2
    return {
        "accuracy, additive": right,
        "abs(y - p), additive": abs(scores - linear),
        "Brier, additive": brier,
        "Brier, item response": other_brier,
        "difference in Brier": brier - other_brier,
        "accuracy, additive - item response": right - other_right,
        "accuracy, additive - item mean": right - right_by_item,
    }


def over_rows(sums: Array, _: Clusters) -> Interval:
    """Wilson's interval as if all rows were independent."""
    p, n = sums[:, 0].mean(), len(sums)
    return Interval(p, None, *wilson(p, n))


def difference(sums: Array, clusters: Clusters) -> Interval:
    """The interval of a paired difference."""
    return paired(sums[:, 0], clusters).difference


METHODS: dict[str, dict[str, Method]] = {
    "accuracy, additive": {"t": clustered, "Wilson, effective n": proportion, "Wilson over rows": over_rows},
    "abs(y - p), additive": {"t": clustered},
    "Brier, additive": {"t": clustered},
    "Brier, item response": {"t": clustered},
    "difference in Brier": {"t": difference},
    "accuracy, additive - item response": {"t": difference},
    "accuracy, additive - item mean": {"t": difference},
}


def crossed(scenario: Scenario, draws: int, seed: int) -> Iterator[Coverage]:
    """Models and items are drawn, and both are factors."""
    population = losses(matrix(scenario)[0])
    for n_models, n_items in SIZES:
        rng = np.random.default_rng([seed, SCENARIOS.index(scenario), n_models])
        model, item = np.repeat(np.arange(n_models), n_items), np.tile(np.arange(n_items), n_models)
        clusters = clusters_of([model, item], n_models * n_items)
        found: dict[tuple[str, str], list[bool | None]] = {}
        for _ in range(draws):
            shape = next(iter(population.values())).shape
            cells = np.ix_(rng.integers(shape[0], size=n_models), rng.integers(shape[1], size=n_items))
            for loss, values in population.items():
                sums = np.stack([values[cells].ravel(), np.ones(n_models * n_items)], axis=1)
                for name, method in METHODS[loss].items():
                    found.setdefault((loss, name), []).append(holds(method(sums, clusters), values.mean()))
        for (loss, name), held in found.items():
            yield coverage(held, loss, name, scenario, n_models, n_items)


def of_one_model(scenario: Scenario, draws: int, seed: int) -> Iterator[Coverage]:
    """One model at random, items are drawn: the interval of its mean score."""
    scores = matrix(scenario)[0]
    methods: dict[str, Method] = {"t": clustered, "Wilson, effective n": proportion}
    for _, n_items in SIZES:
        rng = np.random.default_rng([seed, SCENARIOS.index(scenario), 1, n_items])
        found: dict[str, list[bool | None]] = {name: [] for name in methods}
        clusters = clusters_of([np.arange(n_items)], n_items)
        for _ in range(draws):
            of_model = scores[rng.integers(len(scores))]
            sums = np.stack([of_model[rng.integers(len(of_model), size=n_items)], np.ones(n_items)], axis=1)
            for name, method in methods.items():
                found[name].append(holds(method(sums, clusters), of_model.mean()))
        for name, held in found.items():
            yield coverage(held, "a model's mean score", name, scenario, 1, n_items)


def holds(interval: Interval, truth: float) -> bool | None:
    """Whether the truth is in the interval; None if there is none."""
    if interval.low is None or interval.high is None:
        return None
    return bool(interval.low <= truth <= interval.high)


def coverage(held: list[bool | None], loss: str, name: str, scenario: str, n_models: int, n_items: int) -> Coverage:
    """The shares, in percent."""
    some = [one for one in held if one is not None]
    share = 100 * sum(some) / len(some) if some else float("nan")
    return Coverage(loss, name, scenario, n_models, n_items, share, 100 * (1 - len(some) / len(held)))


def show(found: list[Coverage]) -> None:
    """A line for each loss, interval and size: the lowest and highest of the scenarios, and every scenario."""
    print(f"{'loss':34} {'interval':20} {'size':>8} {'lowest–highest':>14} " + " ".join(f"{s:>11}" for s in SCENARIOS))
    for loss, name, n_models, n_items in dict.fromkeys((c.loss, c.interval, c.n_models, c.n_items) for c in found):
        line = [c for c in found if (c.loss, c.interval, c.n_models, c.n_items) == (loss, name, n_models, n_items)]
        ends = f"{min(c.held for c in line):.1f}–{max(c.held for c in line):.1f}"
        cells = " ".join(f"{f'{c.held:.1f}' + (f' ({c.none:.0f})' if c.none >= 0.5 else ''):>11}" for c in line)
        print(f"{loss:34} {name:20} {f'{n_models} × {n_items}':>8} {ends:>14} {cells}")


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON: one object for each cell")
    args = parser.parse_args()
    found = []
    for scenario in SCENARIOS:
        print(scenario, file=sys.stderr)
        found += [*crossed(scenario, args.draws, args.seed), *of_one_model(scenario, args.draws, args.seed)]
    if args.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        show(found)


if __name__ == "__main__":
    main()
