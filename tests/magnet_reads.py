"""aiq-magnet itself reads a suite, and draws from it what its golden file says. Run it with a Python that has it:

    magnet-arrow demo && magnet-arrow restore RUN… --out restored
    AIQ/bin/python tests/magnet_reads.py restored/SUITE tests/data/golden/magnet_golden.json

Of our package it needs nothing. `benchmarks/ingest.py --aiq-magnet AIQ` makes such an environment.
"""

import json
import sys
from pathlib import Path


def main(suite: Path, golden: Path) -> None:
    """Draw by each seed, and say how many draws are those of the golden file."""
    from magnet.backends.helm.helm_outputs import HelmSuite
    from magnet.predictor import Predictor

    seeds = json.loads(golden.read_bytes())[f"demo {suite.name}"]["seeds"]
    runs = HelmSuite(suite).runs()
    equal = 0
    for seed in seeds:
        train, test = Predictor(num_eval_samples=5, random_seed=seed["seed"]).prepare_all_dataframes(runs)
        ids = test.scenario_state["scenario_state.request_states.instance.id"]
        rows = {
            name: {table: len(getattr(split, table)) for table in seed["rows"][name]}
            for name, split in (("train", train), ("test", test))
        }
        equal += (
            sorted(train.run_specs["run_spec.name"]) == sorted(seed["train"])
            and list(test.run_specs["run_spec.name"]) == [seed["evaluated"]]
            and set(ids) == set(seed["instance_ids"])
            and rows == seed["rows"]
        )
    print(f"{suite.name}: {equal} of {len(seeds)} draws are those of the golden file")
    raise SystemExit(equal < len(seeds))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
