"""How well predictors find a model's score from a few of its answers, on real outcomes of 83 models (HELM Lite).

    python benchmarks/budget.py SCORES.npz --split random --budget 50 --seeds 0:100

SCORES.npz is `magnet_arrow/examples/helm_lite_scores.npz` or a file of the same form. The splits `random`, `weaker`
and `stronger` are those of G. Zhang, F. E. Dorner and M. Hardt (NeurIPS 2025, arXiv 2506.07673), to the letter, so that
two people get equal numbers. For each seed s and scenario:

- `random`: after `np.random.seed(s)` the first quarter of `np.random.permutation(n)` is held out, the rest is train.
  `weaker`: the weaker half is train, the top 30% are held out. `stronger`: the stronger half and the bottom 30%.
- After `np.random.seed(s)` again, the asked items are the first of `np.random.permutation(M)`, the same for all models.
- The error is the mean over held-out models of |predicted − full mean| × 100; then the mean over seeds.

`organization`: each organisation's models are held out in turn, with the asked items of each seed as above; the error
is the mean over all models. Scenarios whose models have no names are left out.

Without --json the table has the mean over scenarios, its ratio to AIPW, and the ratio's standard error over seeds. What
is predicted doesn't depend on --workers, which are processes with one thread each.
"""

import argparse
import json
import os
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from magnet_arrow import model_families
from magnet_arrow.evaluation import BASELINES, AskedAnswers, PanelPredictor, TrainScores

if TYPE_CHECKING:
    Array: TypeAlias = np.ndarray[Any, Any]
    Errors: TypeAlias = dict[int, dict[str, dict[str, Array]]]
    Fold: TypeAlias = tuple[Array, Array]

SPLITS = ("random", "weaker", "stronger", "organization")
SEEDS_OF_A_TASK = 25


class Task(NamedTuple):
    """Some seeds of one scenario, on which one process works."""

    file: str
    scenario: str
    split: str
    budgets: tuple[int, ...]
    seeds: range


def main() -> None:
    """Print the errors as JSON or as a table."""
    options = _options()
    started = perf_counter()
    errors = measured(options.scores, options.split, tuple(options.budget), options.seeds, options.workers)
    if options.json:
        print(json.dumps(as_json(errors)))
        return
    print(f"{options.split}, seeds {options.seeds.start}:{options.seeds.stop}, mean absolute error in points\n")
    print("\n\n".join(table(budget, methods) for budget, methods in errors.items()))
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(usage.ru_utime + usage.ru_stime for usage in spent)
    print(f"\n{perf_counter() - started:.0f} s with {options.workers} workers, {processor:.0f} s of processor time")


def measured(file: str, split: str, budgets: tuple[int, ...], seeds: range, workers: int) -> "Errors":
    """By budget, method and scenario: the error at each seed, in points."""
    parts = [seeds[first : first + SEEDS_OF_A_TASK] for first in range(0, len(seeds), SEEDS_OF_A_TASK)]
    tasks = [Task(file, scenario, split, budgets, part) for scenario in scenarios(file, split) for part in parts]
    if workers == 1:
        results = list(map(errors_of_task, tasks))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(errors_of_task, tasks))
    errors: Errors = {}
    for task, result in zip(tasks, results, strict=True):
        for (budget, method), values in result.items():
            by_scenario = errors.setdefault(budget, {}).setdefault(method, {})
            by_scenario[task.scenario] = np.append(by_scenario.get(task.scenario, []), values)
    return errors


def errors_of_task(task: Task) -> "dict[tuple[int, str], Array]":
    """By budget and method: the error at each seed of the task; in one thread, as the last digits depend on these."""
    with threadpool_limits(1):
        return _errors_of_task(task)


def _errors_of_task(task: Task) -> "dict[tuple[int, str], Array]":
    scores, models = load(task.file, task.scenario)
    fits: dict[bytes, list[PanelPredictor]] = {}  # but for `random`, all seeds have the same folds
    sums: dict[tuple[int, str], Array] = {}
    for position, seed in enumerate(task.seeds):
        folds = folds_of(scores, models, task.split, seed)
        n_held_out = sum(len(held_out) for _, held_out in folds)
        for train, held_out in folds:
            if train.tobytes() not in fits:
                fits[train.tobytes()] = fitted(scores[train])
            for budget in task.budgets:
                for method, error in summed_errors(fits[train.tobytes()], scores[held_out], budget, seed):
                    of_seeds = sums.setdefault((budget, method), np.zeros(len(task.seeds)))
                    of_seeds[position] += 100 * error / n_held_out
    return sums


def summed_errors(
    predictors: list[PanelPredictor], scores: "Array", budget: int, seed: int
) -> Iterator[tuple[str, float]]:
    """The name of each predictor and the sum of its absolute errors over held-out models with these scores."""
    asked, actual = asked_answers(scores, budget, seed), scores.mean(1)
    for predictor in predictors:
        yield predictor.name, np.abs(predictor.predict(asked).scores - actual).sum()


def folds_of(scores: "Array", models: Sequence[str], split: str, seed: int) -> "list[Fold]":
    """Rows of train and of held-out models."""
    n, by_score = len(scores), np.argsort(scores.mean(1))
    match split:
        case "random":
            np.random.seed(seed)
            held_out = np.random.permutation(n)[: int(0.25 * n)]
            return [(np.setdiff1d(np.arange(n), held_out), held_out)]
        case "weaker":
            return [(by_score[: int(0.5 * n)], by_score[-int(0.3 * n) :])]
        case "stronger":
            return [(by_score[-int(0.5 * n) :], by_score[: int(0.3 * n)])]
        case _:
            organisations = organisations_of(tuple(models))
            return [
                ((organisations != one).nonzero()[0], (organisations == one).nonzero()[0])
                for one in sorted(set(organisations))
            ]


@cache
def organisations_of(models: tuple[str, ...]) -> "Array":
    """Who made each model."""
    return model_families(models)["organisation"].to_numpy()


def fitted(train: "Array") -> list[PanelPredictor]:
    """Every baseline, fitted to these scores."""
    models, items = (
        [f"{kind} {number}" for number in range(count)]
        for kind, count in zip(("model", "item"), train.shape, strict=True)
    )
    known = TrainScores(train, models, items, ["all"] * len(items))
    return [baseline().fit(known) for baseline in BASELINES]


def asked_answers(scores: "Array", budget: int, seed: int) -> AskedAnswers:
    """What the held-out models answer to the items that the seed asks."""
    np.random.seed(seed)
    items = np.random.permutation(scores.shape[1])[:budget]
    answers = np.full(scores.shape, np.nan)
    answers[:, items] = scores[:, items]
    names, not_in_train = [f"held out {row}" for row in range(len(scores))], np.full(len(scores), -1)
    return AskedAnswers(answers, np.ones(scores.shape, np.bool_), names, not_in_train)


def scenarios(file: str, split: str) -> list[str]:
    """Names of the scenarios; by organisation only those whose models have names."""
    arrays = np.load(file, allow_pickle=False)
    names = [name for name in arrays.files if f"{name}_items" in arrays.files]
    return [name for name in names if split != "organization" or len(arrays[name]) == len(arrays["models"])]


def load(file: str, scenario: str) -> "tuple[Array, list[str]]":
    """Scores, models × items, and the models' names."""
    arrays = np.load(file, allow_pickle=False)
    bits = np.unpackbits(arrays[scenario], axis=1, count=int(arrays[f"{scenario}_items"]))
    return bits.astype(np.float64), [str(name) for name in arrays["models"]]


def as_json(errors: "Errors") -> dict[str, Any]:
    """`methods` with the mean over seeds; of several budgets, by budget."""
    by_budget = {
        budget: {
            "methods": {
                method: {scenario: float(values.mean()) for scenario, values in by_scenario.items()}
                for method, by_scenario in methods.items()
            }
        }
        for budget, methods in errors.items()
    }
    return next(iter(by_budget.values())) if len(by_budget) == 1 else {"budgets": by_budget}


def table(budget: int, methods: "dict[str, dict[str, Array]]") -> str:
    """A row per method: mean over scenarios, its ratio to AIPW with the standard error over seeds, each scenario."""
    aipw = next(method for method in methods if "aipw" in method)
    reference = np.mean(list(methods[aipw].values()), axis=0)
    names = list(methods[aipw])
    width = max(len(method) for method in methods)
    lines = [
        "  ".join([f"{budget} items".ljust(width), " mean", "÷ AIPW".ljust(13), *(name.rjust(6) for name in names)])
    ]
    for method, by_scenario in methods.items():
        of_seeds = np.mean(list(by_scenario.values()), axis=0)
        ratio = of_seeds.mean() / reference.mean()
        differences = of_seeds - ratio * reference
        error = np.std(differences, ddof=1) / len(differences) ** 0.5 / reference.mean() if len(differences) > 1 else 0
        cells = [f"{by_scenario[name].mean():{max(6, len(name))}.2f}" for name in names]
        lines.append("  ".join([method.ljust(width), f"{of_seeds.mean():5.2f}", f"{ratio:5.3f} ± {error:.3f}", *cells]))
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", metavar="SCORES.npz")
    parser.add_argument("--split", choices=SPLITS, default="random")
    parser.add_argument("--budget", type=int, nargs="+", default=[50], help="numbers of asked items")
    parser.add_argument("--seeds", type=_seeds, default=range(100), metavar="A:B", help="A to B-1")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes; all cores")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _seeds(text: str) -> range:
    first, _, stop = text.partition(":")
    return range(int(first), int(stop))


if __name__ == "__main__":
    main()
