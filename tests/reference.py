"""What a run's four files say, told by plain `json` and a recursive flatten: the oracle of these tests.

Nothing of magnet_arrow is imported, so that a mistake there cannot hide here. `tables` gives rows as dicts
with a key for each column that the run's JSON has, so a missing key is a missing column; `compare` holds a
frame against them.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from makedump import TABLES

Row = dict[str, Any]

LEVELS = 4
MAX_KEYS = 64
MAX_KEY_BYTES = 256
STATE = "scenario_state.request_states"
ARGS = "run_spec.scenario_spec.args"
FREE = (
    ARGS,
    f"{STATE}.output_mapping",
    f"{STATE}.instance.extra_data",
    f"{STATE}.request.response_format.json_schema",
)
# Fields that HELM declares as float, though it often writes an integer token there.
FLOATS = {
    *("sum", "sum_squared", "min", "max", "mean", "variance", "stddev"),
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "guidance_scale", "model_ability"),
    *("logprob", "embedding", "request_time", "batch_request_time"),
    *("prob", "insert_prob", "rare_char_prob"),
}
# A lone surrogate, which an escape in JSON can give; U+FFFD stands for it in a column of texts.
HALF_A_LETTER = re.compile("[\ud800-\udfff]")
# Objects that may be missing. HELM omits nulls, so a null here is no more than that.
OBJECTS = {
    *("perturbation", "result", "error_flags", "image_generation_parameters", "reeval_parameters"),
    *("multimedia_content", "multimodal_prompt", "response_format"),
}
# Free-form objects that stay JSON text: `annotations` anywhere, the others because they lie inside a list.
TEXTS = {"annotations", "args", "finish_reason", "top_logprobs"}


@dataclass(frozen=True)
class Json:
    """A cell that must hold JSON text of this value, kinds of numbers kept."""

    value: Any


def tables(run: Path) -> dict[str, list[Row]]:
    """The rows of a run folder's four tables, in file order."""
    spec, state, stats, instances = (json.loads((run / f"{table}.json").read_bytes()) for table in TABLES)
    name = {"run_spec.name": spec["name"]}
    rest = flat({key: value for key, value in state.items() if key != "request_states"}, "scenario_state")
    whole = too_wide(state["request_states"])
    own = [{key: value for key, value in entry.items() if key != "stats"} for entry in instances]
    return {
        "run_spec": [flat(spec, "run_spec")],
        "scenario_state": [name | rest | flat(each, STATE, whole) for each in state["request_states"]],
        "stats": [name | flat(each, "stats") for each in stats],
        "per_instance_stats": [
            name | mine | flat(each, "per_instance_stats.stats")
            for entry, fields in zip(instances, own, strict=True)
            for mine in [flat(fields, "per_instance_stats")]
            for each in entry["stats"]
        ],
    }


def flat(value: Row, path: str, whole: frozenset[str] = frozenset()) -> Row:
    """Columns and cells of one HELM object."""
    return dict(leaves(value, path, whole))


def leaves(value: Row, path: str, whole: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """The leaves of a HELM object; a nested object that is null has none."""
    for key, item in value.items():
        name = f"{path}.{key}"
        if name in FREE:
            yield from free_leaves(item, name, whole)
        elif key in OBJECTS and item is None:
            continue
        elif key == "perturbation":
            for inner, found in free_leaves(item, name, whole):
                yield inner, as_field(inner.rpartition(".")[2], found)
        elif key == "input" and isinstance(item, str):
            yield f"{name}.text", item
        elif isinstance(item, dict) and key not in TEXTS:
            yield from leaves(item, name, whole)
        else:
            yield name, as_field(key, item)


def free_leaves(value: Any, path: str, whole: frozenset[str] = frozenset()) -> Iterator[tuple[str, Any]]:
    """The leaves of a free-form object, or all of it as JSON text: if it is null, empty, in `whole`, or odd."""
    if isinstance(value, dict) and value and path not in whole and is_nameable(value):
        yield from spread(value, path)
    else:
        yield path, Json(value)


def spread(value: Row, path: str, level: int = 1) -> Iterator[tuple[str, Any]]:
    """Leaves to `LEVELS` levels; an object that is empty or deeper is one as JSON text."""
    for key, item in value.items():
        name = f"{path}.{quoted(key)}"
        if isinstance(item, dict) and item and level < LEVELS:
            yield from spread(item, name, level + 1)
        else:
            yield name, Json(item) if isinstance(item, dict) else item


def is_nameable(value: Any, level: int = 1) -> bool:
    """Whether columns can be named after all keys: they are short, and valid text for Arrow."""
    if not isinstance(value, dict) or level > LEVELS:
        return True
    fit = all("\0" not in key and is_strict_text(key) and len(key.encode()) <= MAX_KEY_BYTES for key in value)
    return fit and all(is_nameable(item, level + 1) for item in value.values())


def quoted(key: str) -> str:
    """A key as part of a column's name: a JSON string where it could be mistaken for something else."""
    return json.dumps(key, ensure_ascii=False) if not key or set(key) & set('."\\') else key


def as_field(key: str, value: Any) -> Any:
    """A HELM field's value in the kind that HELM declares, lists with what they hold; None if it has none."""
    if key in TEXTS:
        return Json(value)
    if isinstance(value, list):
        return [Json(item) if key == "messages" else as_field(key, item) for item in value]
    if isinstance(value, dict):
        return {inner: as_field(inner, item) for inner, item in value.items()}
    if key in ("output", "contrast_inputs") and isinstance(value, str):
        return {"text": value}
    if key in FLOATS and type(value) is int:
        return float(value) if float(value) == value else None
    if isinstance(value, str):
        return HALF_A_LETTER.sub("\ufffd", value)
    return str(value) if key == "id" and type(value) is int else value


def too_wide(states: Iterable[Row]) -> frozenset[str]:
    """Free-form objects that, over all request states of a run, have more than `MAX_KEYS` different leaves."""
    names: dict[str, set[str]] = defaultdict(set)
    for state in states:
        schema = (state["request"].get("response_format") or {}).get("json_schema")
        found = (state.get("output_mapping"), state["instance"].get("extra_data"), schema)
        for path, value in zip(FREE[1:], found, strict=True):
            names[path].update(name for name, _ in free_leaves(value, path) if name != path)
    return frozenset(path for path, found in names.items() if len(found) > MAX_KEYS)


def compare(rows: list[Row], frame: pl.DataFrame) -> list[str]:
    """What differs between the rows and the frame, a sentence each; empty if nothing does.

    Kinds count (`1`, `1.0`, `true` and `"1"` are four things), so do nulls, NaN, the sign of zero, the order.
    """
    expected = dict.fromkeys(("run_spec.name", *(column for row in rows for column in row)))
    differences = [f"{column}: no such column" for column in expected if column not in frame.columns]
    differences += [f"{column}: not in the source" for column in frame.columns if column not in expected]
    if len(rows) != frame.height:
        return [*differences, f"{frame.height} rows, {len(rows)} in the source"]
    for column in expected:
        if column in frame.columns:
            wanted = [row.get(column) for row in rows]
            wanted = typed(wanted) if is_dynamic(column) else wanted
            differences += differing_cells(column, wanted, frame[column].to_list())
    return differences


def differing_cells(column: str, wanted: list[Any], found: list[Any]) -> list[str]:
    """The first cell that differs, and how many do. Equal `repr`s of whole columns are the fast way out."""
    if repr(wanted) == repr(found):
        return []
    at = [row for row, pair in enumerate(zip(wanted, found, strict=True)) if not same(*pair)]
    if not at:
        return []
    first = at[0]
    return [f"{column}, row {first}: {found[first]!r}, in the source {wanted[first]!r} ({len(at)} such rows)"]


def same(wanted: Any, found: Any) -> bool:
    """Whether a cell holds what it should. A struct's missing key and its null are one."""
    if isinstance(wanted, Json):
        return isinstance(found, str) and as_text(json.loads(found)) == as_text(wanted.value)
    if type(wanted) is not type(found):
        return False
    if isinstance(wanted, dict):
        return all(same(wanted.get(key), found.get(key)) for key in wanted.keys() | found.keys())
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(same, wanted, found))
    if isinstance(wanted, float):
        return repr(wanted) == repr(found)
    return bool(wanted == found)


def as_text(value: Any) -> str:
    """JSON text in which kinds show and the order of keys does not."""
    return json.dumps(value, sort_keys=True)


def is_dynamic(column: str) -> bool:
    """Whether the data decide this column's type."""
    return ".perturbation." in column or any(column == root or column.startswith(f"{root}.") for root in FREE)


def typed(cells: list[Any]) -> list[Any]:
    """A dynamic column's cells, in the one type that holds them all, else each as JSON text."""
    present = [cell for cell in cells if cell is not None]
    kinds = {kind_of(cell) for cell in present}
    if kinds == {"int", "float"} and all(abs(cell) <= 2**53 for cell in present if type(cell) is int):
        return [cell if cell is None else float(cell) for cell in cells]
    if len(kinds - {"empty list"}) <= 1 and kinds <= {"empty list", *LISTS}:
        return cells
    if len(kinds) == 1 and kinds <= SCALARS:
        return cells
    return [cell if cell is None or isinstance(cell, Json) else Json(cell) for cell in cells]


SCALARS = {"bool", "int", "float", "str"}
LISTS = {f"{kind} list" for kind in SCALARS}


def kind_of(value: Any) -> str:
    """One of `SCALARS`, one of `LISTS`, "empty list", or "other" for what only JSON text can hold."""
    if type(value) is int:
        return "int" if -(2**63) <= value < 2**63 else "other"
    if isinstance(value, list):
        kinds = {kind_of(item) for item in value} or {"empty"}
        return f"{kinds.pop()} list" if len(kinds) == 1 and kinds <= {"empty", *SCALARS} else "other"
    return type(value).__name__ if type(value).__name__ in SCALARS and is_strict_text(value) else "other"


def is_strict_text(value: Any) -> bool:
    """Whether it is no text, or one that a column can hold."""
    return not isinstance(value, str) or not HALF_A_LETTER.search(value)


def is_strict_json(value: Any) -> bool:
    """Whether a value holds no NaN, infinity or lone surrogate, which Python's `json` alone takes."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(is_strict_json(key) and is_strict_json(item) for key, item in value.items())
    return all(map(is_strict_json, value)) if isinstance(value, list) else is_strict_text(value)
