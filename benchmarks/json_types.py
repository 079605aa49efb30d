"""What types a dump's JSON has, in the words of Polars and DuckDB: the schema that both are given.

They are found by looking at all values (of a large file at its head), which is not timed.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dumps import files_of
from figures import elements

JsonType = Any
"""None (only null was seen), "boolean", "integer", "number", "string", "any", [item] or {field: type}."""
_SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string"}


def type_of(value: Any) -> JsonType:
    """The type of one value."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {name: type_of(one) for name, one in value.items()}
    if isinstance(value, list):
        return [merged(map(type_of, value))]
    return _SCALARS[type(value)]


def merged(types: Iterable[JsonType]) -> JsonType:
    """The type that holds values of all of these."""
    whole: JsonType = None
    for one in types:
        if whole == "any" or one == whole or one is None:
            continue
        if whole is None:
            whole = one
        elif isinstance(one, dict) and isinstance(whole, dict):
            whole = {name: merged((whole.get(name), one.get(name))) for name in {**whole, **one}}
        elif isinstance(one, list) and isinstance(whole, list):
            whole = [merged((whole[0], one[0]))]
        elif {str(one), str(whole)} == {"integer", "number"}:
            whole = "number"
        else:
            whole = "any"
    return whole


def types_of(outputs: Path) -> dict[str, JsonType]:
    """The types of a run spec, a scenario state, a stat and an entry of per-instance stats."""
    files = files_of(outputs)
    states = [
        (path, merged(type_of(one) for one, _ in elements(Path(path), '"request_states"')))
        for path in files["scenario_state"]
    ]
    return {
        "run_spec": merged(type_of(json.loads(Path(path).read_bytes())) for path in files["run_spec"]),
        "scenario_state": merged(_head(Path(path)) | {"request_states": [one]} for path, one in states),
        "stats": merged(type_of(one) for path in files["stats"] for one, _ in elements(Path(path), "[")),
        "per_instance_stats": merged(
            type_of(one) for path in files["per_instance_stats"] for one, _ in elements(Path(path), "[")
        ),
    }


def _head(scenario_state: Path) -> JsonType:
    """The types of what stands before the request states."""
    with scenario_state.open(encoding="ascii") as file:
        head = file.read(1 << 16)
    before = head[: head.index('"request_states"')].rstrip().removesuffix(",")
    return type_of(json.loads(before + "}"))


def write_types(outputs: Path, path: Path) -> Path:
    """Write the types down, for the processes that are timed."""
    path.write_text(json.dumps(types_of(outputs)), encoding="utf-8")
    return path


def in_polars(kind: JsonType) -> Any:
    """As a Polars type; what was always null or empty is a string, what was not always of one type is left out."""
    import polars as pl

    if isinstance(kind, dict):
        fields = {name: in_polars(one) for name, one in kind.items() if one not in ({}, "any")}
        return pl.Struct(fields)
    if isinstance(kind, list):
        return pl.List(in_polars(kind[0]))
    return {"boolean": pl.Boolean(), "integer": pl.Int64(), "number": pl.Float64()}.get(kind, pl.String())


def in_duckdb(kind: JsonType) -> str:
    """As a DuckDB type; what was always null or empty is a string, what was not always of one type stays JSON."""
    if isinstance(kind, dict):
        return f"STRUCT({', '.join(f'{_name(name)} {in_duckdb(one)}' for name, one in kind.items() if one != {})})"
    if isinstance(kind, list):
        return f"{in_duckdb(kind[0])}[]"
    return {"boolean": "BOOLEAN", "integer": "BIGINT", "number": "DOUBLE", "any": "JSON"}.get(kind, "VARCHAR")


def leaves(kind: JsonType, path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    """Paths of what becomes a column: all that is no object."""
    if not isinstance(kind, dict):
        yield path
        return
    for name, one in kind.items():
        yield from leaves(one, (*path, name))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    print(json.dumps(types_of(Path(sys.argv[1])), indent=1))
