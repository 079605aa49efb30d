"""No field of the real dumps is unknown to the registry, and no JSON file either but those that are not HELM's records.

A walk of its own over what Python's `json` reads, and an ingest with unknown fields forbidden.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from large_dumps import dump_params

from magnet_arrow.helm import structs
from magnet_arrow.helm.declared_types import ListOf, Object, Shape, object_shape
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.schema.registry import TABLES, Form

DUMPS = {
    **dict.fromkeys(("bbq", "classic", "eee", "helm_old", "large", "mmlu", "mmlu_made", "modelbench"), 0),
    "classic_022": 1,
    "helm_made": 2,
}
"""Runs of each that lack a file and can't go in whole."""

NOT_DECLARED = {
    "costs.json": "totals that helm-summarize adds up; kept as text",
    "groups_metadata.json": "names of the leaderboard's groups, an object keyed by them; kept as text",
    "runs.json": "all runs' specs once more, next to derived figures; not kept",
    "input_instances.json": "what `helm-run --dry-run` lists beside a run; kept as text",
    "SAE_to_AAVE_mapping.json": "a word list that a perturbation downloads; outside of runs and suites, no output",
    "irt_truth.json": "how the answers of this made dump were drawn; not HELM's",
}
"""JSON files that no table declares, and why."""

each_dump = pytest.mark.parametrize("name", dump_params(DUMPS))


def undeclared(value: Any, shape: Shape, path: str) -> Iterator[str]:
    """Paths of the keys that a value has and its shape has not."""
    if isinstance(shape, ListOf) and isinstance(value, list):
        for item in value:
            yield from undeclared(item, shape.item, f"{path}[]")
    if not (isinstance(shape, Object) and isinstance(value, dict)):
        return
    declared = {field.name: field.shape for field in shape.fields}
    for key, inner in value.items():
        if key in declared:
            yield from undeclared(inner, declared[key], f"{path}.{key}")
        else:
            yield f"{path}.{key}"


def shape_of(file: Path) -> Shape | None:
    """What the registry declares a whole file to be; None for a map of texts, whose keys are free."""
    if file.name == "scenario_state.json":
        return object_shape(structs.ScenarioState)
    in_groups = "groups" in file.parts[-3:-1]
    table = TABLES["groups"] if in_groups else next(table for table in TABLES.values() if table.file == file.name)
    if table.struct is None:
        return None
    shape = object_shape(table.struct)
    return ListOf(shape) if table.form in (Form.ARRAY, Form.ENTRIES) and not in_groups else shape


def is_declared(file: Path) -> bool:
    return "groups" in file.parts[-3:-1] or any(table.file == file.name for table in TABLES.values())


@pytest.mark.shared
@each_dump
def test_every_field_of_a_dump_is_declared(name: str, shared_dumps: Callable[[str], Path]) -> None:
    assert_all_declared(shared_dumps(name))


def test_every_field_of_the_demo_is_declared(demo_outputs: Path) -> None:
    assert_all_declared(demo_outputs)


def assert_all_declared(folder: Path) -> None:
    files = [file for file in folder.rglob("*.json") if not file.is_symlink()]
    assert sum(file.name in RUN_FILES for file in files) >= 2
    found: Counter[str] = Counter()
    for file in files:
        shape = shape_of(file) if is_declared(file) else None
        if shape is not None:
            found.update(undeclared(json.loads(file.read_bytes()), shape, f"{file.name} $"))
    assert found == {}
    assert {file.name for file in files if not is_declared(file)} <= NOT_DECLARED.keys()


@pytest.mark.shared
@pytest.mark.slow
def test_each_file_that_is_not_declared_is_there(shared_dumps: Callable[[str], Path]) -> None:
    found = {file.name for name in DUMPS for file in shared_dumps(name).rglob("*.json") if not is_declared(file)}
    assert found == NOT_DECLARED.keys()


@pytest.mark.shared
@each_dump
def test_a_dump_goes_in_with_unknown_fields_forbidden(
    name: str, shared_dumps: Callable[[str], Path], tmp_path: Path
) -> None:
    """What is refused lacks a file, or has sums of 2^53 + 1, which a column of doubles can't hold."""
    report = ingest(shared_dumps(name), tmp_path / "cache", strict=True)
    assert report.unexpected == {}
    lacking = [each for each in report.rejected if each.found == "none of this name"]
    others = [each for each in report.rejected if each not in lacking]
    assert len(lacking) == DUMPS[name]
    assert len(others) == (4 if name == "helm_made" else 0)
    assert {each.json_path for each in others} <= {"$[].stats[].sum"}
    assert {str(each.found).partition(" × ")[2] for each in others} <= {"integer past 2^53, null in its column"}
