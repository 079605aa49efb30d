"""Writes helm_fields_small.json: what the tests need of the project's list of HELM's fields, a line each.

    python tests/data/make_helm_fields_small.py ../shared/helm_fields.json

The list was read from HELM's own dataclasses at 25 release tags. Taken over are a run's five files and those that
helm-summarize writes; of each field its path, the releases that write it (`until` null: still written by 0.5.16),
its default in the newest of them, and whether only some kinds of its class have it.
"""

import json
import sys
from pathlib import Path
from typing import Any

FILES = {
    "run_spec.json": "run_spec.json",
    "scenario.json": "scenario.json",
    "scenario_state.json": "scenario_state.json",
    "stats.json": "stats.json",
    "per_instance_stats.json": "per_instance_stats.json",
    "instances.json": "instances.json",
    "display_predictions.json": "display_predictions.json",
    "display_requests.json": "display_requests.json",
    "summary.json": "suite:summary.json",
    "schema.json": "suite:schema.json",
    "run_specs.json": "suite:run_specs.json",
    "runs.json": "suite:runs.json",
    "groups.json": "suite:groups.json",
    "groups_metadata.json": "suite:groups_metadata.json",
    "groups/*.json": "suite:groups/<group>.json",
    "groups/json/*.json": "suite:groups/json/<group>_<table>.json",
}
"""Our name of a file, and the list's."""

NEWEST = "0.5.16"


def row(field: dict[str, Any]) -> dict[str, Any]:
    until = field["last_version"]
    small = {
        "path": field["path"],
        "since": field["first_version"],
        "until": None if until == NEWEST else until,
    }
    if "only_when" in field:
        small["some"] = True
    if not field.get("required"):
        small["default"] = field.get("default")
    return small


def main() -> None:
    fields = json.loads(Path(sys.argv[1]).read_text())["files"]
    files = (
        f'"{file}": [\n' + ",\n".join(json.dumps(row(field)) for field in fields[listed]["fields"]) + "\n]"
        for file, listed in FILES.items()
    )
    target = Path(__file__).with_name("helm_fields_small.json")
    target.write_text("{\n" + ",\n".join(files) + "\n}\n")


if __name__ == "__main__":
    main()
