"""`evaluate` of five baselines over all leave-one-run-out folds of a dump, from the cache: the whole call.

    python benchmarks/evaluate.py DUMP [--repeats 3] [--json]

Compare with the 3.4 s that aiq-magnet needs to prepare a single fold of `mmlu` (`candidates/with_aiq_magnet.py`).
Processor time is printed beside the time on the clock, for a machine that does other things too.
"""

import argparse
import json
import tempfile
import time

import magnet_arrow
from magnet_arrow.evaluation import AdditiveMean, NearestModels, SameModel, SameScenario, TrainMean

BASELINES = (TrainMean, SameScenario, SameModel, AdditiveMean, NearestModels)


def measure(dump: str, cache: str) -> dict[str, float]:
    """Seconds of one evaluation, its folds and its predictions."""
    clock, processor = time.perf_counter(), time.process_time()
    found = magnet_arrow.evaluate(BASELINES, magnet_arrow.HelmRuns(dump, cache=cache), target="run", folds="run")
    seconds = {"seconds": time.perf_counter() - clock, "processor_seconds": time.process_time() - processor}
    return seconds | {"folds": len(found.provenance["folds"]), "predictions": found.predictions.height}


def main() -> None:
    """Measure as the arguments say, and print the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        magnet_arrow.ingest(arguments.dump, cache=cache)
        best = min((measure(arguments.dump, cache) for _ in range(arguments.repeats)), key=lambda one: one["seconds"])
    print(json.dumps(best) if arguments.json else "\n".join(f"{name}: {value:.6g}" for name, value in best.items()))


if __name__ == "__main__":
    main()
