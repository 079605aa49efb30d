"""Cached runs as the JSON files that they came from."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from magnet_arrow import freeform, rebuild, schema
from magnet_arrow.cache.snapshot import CachedRun, Snapshot
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.helm.wire import Residual
from magnet_arrow.rebuild import Rebuilder
from magnet_arrow.scan import stored_rows, stored_types
from magnet_arrow.schema import ENTRY, TABLES

_TABLE_OF = {table.file: name for name, table in TABLES.items()}


def files_of(run: CachedRun) -> list[str]:
    """Names of the files that a run had when it was taken."""
    return [name for name in RUN_FILES if name not in run.entry.missing]


def rebuild_file(snapshot: Snapshot, run: CachedRun, file: str) -> Any:
    """What one of a run's files said, as Python's `json` would give it.

    Raises:
        CacheDamagedError: what is stored of it can't be read.
    """
    residual = _run_residual(run, file)
    match file:
        case "run_spec.json":
            return next(_elements(snapshot, run, "run_spec"))
        case "scenario_state.json":
            state = _state_rest(snapshot, run)
            state["request_states"] = list(_elements(snapshot, run, "scenario_state"))
            state = {key: state[key] for key in sorted(state, key=_state_order)}
            return rebuild.put(state, residual)
        case "stats.json":
            return list(_elements(snapshot, run, "stats"))
    return _entries(snapshot, run, residual)


def _run_residual(run: CachedRun, file: str) -> Residual:
    text = run.entry.residual.get(file)
    residual: Residual = {} if text is None else freeform.parse_many([text])[0]
    return residual


def _elements(snapshot: Snapshot, run: CachedRun, table: str) -> Iterator[Any]:
    rebuilder = Rebuilder(rebuild.ROOTS[table], schema.table(table), stored_types(run, table))
    for rows in stored_rows(snapshot, run, table):
        for element, residual in rebuilder.elements(rows):
            yield rebuild.put(element, residual)


def _state_rest(snapshot: Snapshot, run: CachedRun) -> dict[str, Any]:
    """What stands beside the request states: every row has it."""
    rebuilder = Rebuilder(rebuild.STATE_REST, schema.table("scenario_state"), {})
    for rows in stored_rows(snapshot, run, "scenario_state"):
        for element, _ in rebuilder.elements(rows.slice(0, 1)):
            return element
    return {}


def _state_order(key: str) -> int:
    order = ("adapter_spec", "request_states", "annotator_specs")
    return order.index(key) if key in order else len(order)


def _entries(snapshot: Snapshot, run: CachedRun, residual: Residual) -> list[Any]:
    """The entries of per-instance stats, those without a row among them."""
    table = "per_instance_stats"
    rebuilder = Rebuilder(rebuild.ROOTS[table], schema.table(table), stored_types(run, table))

    def numbered() -> Iterator[tuple[int, dict[str, Any], Residual]]:
        for rows in stored_rows(snapshot, run, table):
            numbers = rows.column(ENTRY).to_pylist()
            for number, (element, extra) in zip(numbers, rebuilder.elements(rows), strict=True):
                yield number, element, extra

    found: dict[int, Any] = dict(rebuild.entries(numbered()))
    found.update({int(pointer[1:]): entry for pointer, entry in residual.items()})
    return [found[number] for number in sorted(found)]


def helm_text(value: Any) -> str:
    """JSON as HELM writes it."""
    return json.dumps(value, indent=2)


def restore(snapshot: Snapshot, run: CachedRun, out: Path) -> Path:
    """Write a run's files below a folder, as `runs/<suite>/<run>`; the run's folder.

    Raises:
        CacheDamagedError: what is stored of it can't be read.
        FileExistsError: the run's folder is there already.
    """
    folder = run.entry.folder.replace(":", "-") if os.name == "nt" else run.entry.folder
    target = out / "runs" / run.entry.suite / folder
    target.mkdir(parents=True)
    for file in files_of(run):
        (target / file).write_text(helm_text(rebuild_file(snapshot, run, file)), encoding="ascii")
    return target
