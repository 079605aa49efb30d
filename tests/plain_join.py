"""The join of request states and stats of instances as a plain loop over JSON: what ours is compared with."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

Json = Any


def read(folder: Path, name: str) -> Json:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def stats_of_states(states: list[Json], entries: list[Json], which: str = "error") -> list[dict[str, Any]]:
    """For each request state the mean of each stat of its instance, by name."""
    members: dict[str, list[int]] = defaultdict(list)
    for row, state in enumerate(states):
        instance = state["instance"]
        base = [state["train_trial_index"], instance.get("id"), instance.get("perturbation")]
        members[text([*base, instance.get("split"), instance.get("sub_split")])].append(row)
        members[text([*base, "any split"])].append(row)
    values: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for entry in entries:
        base = [entry["train_trial_index"], entry["instance_id"], entry.get("perturbation")]
        for stat in entry["stats"]:
            name = stat["name"]
            end = [name["split"], name.get("sub_split")] if "split" in name else ["any split"]
            values[text([*base, *end]), name["name"]].append(stat.get("mean"))
    found: list[dict[str, Any]] = [{} for _ in states]
    for (key, name), means in values.items():
        rows = members[key]
        for place, row in enumerate(rows):
            found[row][name] = means[place] if len(means) == len(rows) else one_of(means, which)
    return found


def one_of(means: list[Any], which: str) -> Any:
    known = [mean for mean in means if mean is not None]
    if which == "error":
        assert len({repr(mean) for mean in known}) < 2
    return (known[-1] if which == "last" else known[0]) if known else None


def text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
