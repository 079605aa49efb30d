"""Runs with every field of every struct, and unexpected fields at places that Hypothesis picks.

A run begins as `full_run`, in which each declared field stands with a plain value. Then it is changed at some places:
a value of the declared type but at its edges, a null, a value of another type, a key more or less, nothing at all.
What a run may not lack without being rejected (its name, its three lists, objects in them) is left alone.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from makedump import Run
from strategies import floats, free_objects, integers, json_values, keys, texts

from magnet_arrow.helm.declared_types import FreeForm, ListOf, Object, Scalar, Shape, file_shape

KINDS = (
    "an empty stats list",
    "an integer id",
    "NaN",
    "an infinity",
    "a lone surrogate",
    "an integer past 2^53",
    "an integer past 2^64",
    "a key with a dot",
    "an explicit null",
    "an empty object",
    "a value of another type",
    "an unknown key",
    "a missing key",
    "a text where today an object is",
    "no request states",
)
FILES = (
    "run_spec",
    "scenario",
    "scenario_state",
    "stats",
    "per_instance_stats",
    "instances",
    "display_predictions",
    "display_requests",
)

LAYOUTS = {
    "as HELM": {"indent": 2},
    "on one line": {},
    "without blanks": {"separators": (",", ":")},
    "indented by 1": {"indent": 1},
}


class Made:
    """A drawn run, and which of `KINDS` are in it. What Hypothesis shows of it is what it changed."""

    def __init__(self, run: Run, kinds: frozenset[str]) -> None:
        self.run, self.kinds = run, kinds

    def __repr__(self) -> str:
        full = full_run(self.run["run_spec"]["name"], n=1)
        return f"Made({list(_changed(full, self.run, ''))})"


def _changed(before: Any, after: Any, path: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() | after.keys():
            yield from _changed(before.get(key, "nothing"), after.get(key, "nothing"), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and before and after:
        for index, value in enumerate(after):
            yield from _changed(before[0], value, f"{path}[{index}]")
    elif not (isinstance(before, str) and isinstance(after, str) and after.startswith("a ")) and before != after:
        yield f"{path} = {json.dumps(after)[:200]}"


@dataclass(frozen=True)
class Spot:
    """A member of a run: where it stands, and what HELM declares there."""

    holder: Any
    key: str | int
    shape: Shape
    is_fixed: bool

    @property
    def value(self) -> Any:
        return self.holder[self.key]


def full_run(name: str, *, n: int = 2) -> Run:
    """A run that has every field of every struct; its lists have `n` items."""
    run = {file: plain(file_shape(f"{file}.json"), file, n) for file in FILES}
    run["run_spec"]["name"] = name
    return run


def plain(shape: Shape, name: str, n: int) -> Any:
    match shape:
        case Scalar(python=python):
            return {str: f"a {name}", int: 3, float: 0.5, bool: True}[python]
        case FreeForm(keyed=keyed):
            return {"a key": "low", "n": 1, "x": 1.0} if keyed else {"judge": [{"score": 1.0, "why": None}]}
        case ListOf(item=item):
            return [plain(item, f"{name} {number}", n) for number in range(n)]
        case Object(fields=fields):
            return {field.name: plain(field.shape, field.name, n) for field in fields}


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """What HELM may write where it declares this, old spellings and edges among it."""
    match shape:
        case Scalar(python=python, or_int=or_int):
            kinds = {str: odd_texts(), int: integers(), float: odd_floats(), bool: st.booleans()}
            return kinds[python] | integers() if or_int else kinds[python]
        case FreeForm(keyed=keyed):
            return free_objects(strict=False) if keyed else json_values(strict=False)
        case ListOf(item=item):
            return st.lists(values(item), max_size=2)
        case Object(or_text=or_text):
            made = objects(shape)
            return made | odd_texts() if or_text else made


def odd_texts() -> st.SearchStrategy[str]:
    return texts(strict=False) | st.sampled_from(("\ud83d", "half \udc00 a pair", "\ud83d\ude00"))


def odd_floats() -> st.SearchStrategy[float]:
    special = st.sampled_from((math.nan, math.inf, -math.inf, -0.0, 2**53 + 1, 2**64 + 1, -(10**30), 0, 1))
    return special | integers() | floats(strict=False)


@st.composite
def objects(draw: st.DrawFn, shape: Object) -> dict[str, Any]:
    """A few of the fields."""
    fields = draw(st.lists(st.sampled_from(shape.fields), max_size=4, unique_by=lambda field: field.name))
    return {field.name: draw(values(field.shape)) for field in fields}


def spots(run: Run) -> Iterator[Spot]:
    """All declared members of a run, from the outside in."""
    for file in FILES:
        pending: list[tuple[Any, Shape, int]] = [(run[file], file_shape(f"{file}.json"), 0)]
        while pending:
            value, shape, depth = pending.pop(0)
            found: list[Spot] = []
            if isinstance(shape, Object) and isinstance(value, dict):
                fields = {field.name: field.shape for field in shape.fields}
                found = [
                    Spot(value, key, fields[key], depth == 0 and key in ("name", "request_states"))
                    for key in value
                    if key in fields
                ]
            elif isinstance(shape, ListOf) and isinstance(value, list):
                # What becomes a row must be an object.
                is_row = isinstance(shape.item, Object) and shape.item.struct.__name__ in ROWS
                found = [Spot(value, index, shape.item, is_row) for index in range(len(value))]
            yield from found
            pending += [(spot.value, spot.shape, depth + 1) for spot in found]


ROWS = ("RequestState", "Stat", "PerInstanceStats")


@st.composite
def helm_runs(draw: st.DrawFn, name: str) -> Made:
    """A run with up to some twenty unexpected fields."""
    run = full_run(name, n=draw(st.integers(1, 2)))
    kinds: set[str] = set()
    for _ in range(draw(st.integers(0, 20))):
        # By the name of its field first, so that the few stats weigh as much as the many texts of a request.
        fields: dict[str | int, list[Spot]] = {}
        for spot in spots(run):
            fields.setdefault(spot.key, []).append(spot)
        kinds |= _change(draw, _one_of(draw, fields[_one_of(draw, list(fields))]))
    for rare in draw(st.lists(st.sampled_from(RARE), max_size=5, unique=True)):
        kinds |= _make_rare(draw, run, rare)
    return Made(run, frozenset(kinds | set(_kinds_in(run))))


def _one_of(draw: st.DrawFn, choices: list[Any]) -> Any:
    """By its number: Hypothesis would write out all choices in its notes."""
    return choices[draw(st.integers(0, len(choices) - 1))]


RARE = (
    "no request states",
    "an empty stats list",
    "an integer id",
    "NaN",
    "an infinity",
    "a key with a dot",
    "a text where today an object is",
)
"""Kinds that changes at random places produce too seldom."""


def _make_rare(draw: st.DrawFn, run: Run, rare: str) -> set[str]:
    """Change the run so; which kinds cannot be seen in the result."""
    entry = _one_of(draw, run["per_instance_stats"])
    states = run["scenario_state"]["request_states"]
    match rare:
        case "no request states":
            states.clear()
        case "an empty stats list":
            entry["stats"] = []
        case "an integer id":
            entry["instance_id"] = draw(integers())
            for state in states:
                if isinstance(state.get("instance"), dict):
                    state["instance"]["id"] = draw(integers())
        case "NaN":
            _one_of(draw, run["stats"])["mean"] = math.nan
        case "an infinity":
            _one_of(draw, run["stats"])["sum_squared"] = draw(st.sampled_from((math.inf, -math.inf)))
        case "a key with a dot":
            run["run_spec"]["scenario_spec"] = {"args": {"a.b": 1, "a": {"b": 2}, draw(keys()): draw(json_values())}}
        case "a text where today an object is":
            instances = [state.get("instance") for state in states]
            for instance in (one for one in instances if isinstance(one, dict)):
                instance["input"] = draw(odd_texts())
                return {rare}
    return set()


_CHANGES = ("value", "value", "value", "free", "null", "other", "missing", "unknown", "empty")


def _change(draw: st.DrawFn, spot: Spot) -> set[str]:
    match draw(st.sampled_from(("unknown", "empty") if spot.is_fixed else _CHANGES)):
        case "value":
            spot.holder[spot.key] = draw(values(spot.shape))
            is_text = isinstance(spot.shape, Object) and isinstance(spot.value, str)
            return {"a text where today an object is"} if is_text else set()
        case "null":
            spot.holder[spot.key] = None
        case "other":
            # In a list of stats each must be an object, or the run is rejected.
            others = json_values(strict=False).filter(lambda value: spot.key != "stats" or not isinstance(value, list))
            spot.holder[spot.key] = draw(others)
            return {"a value of another type"} if _is_other(spot.value, spot.shape) else set()
        case "missing" if isinstance(spot.holder, dict):
            del spot.holder[spot.key]
            return {"a missing key"}
        case "unknown" if isinstance(spot.value, dict):
            key = draw(keys(strict=False).filter(lambda key: key not in spot.value))
            spot.value[key] = draw(json_values(strict=False))
            return {"an unknown key"}
        case "empty" if isinstance(spot.value, dict | list):
            spot.holder[spot.key] = type(spot.value)()
        case "free" if isinstance(spot.value, dict):
            spot.value.update({key: draw(values(shape)) for key, shape in _a_few(draw, spot.shape)})
    return set()


def _a_few(draw: st.DrawFn, shape: Shape) -> list[tuple[str, Shape]]:
    fields = [(field.name, field.shape) for field in shape.fields] if isinstance(shape, Object) else []
    return draw(st.lists(st.sampled_from(fields), max_size=3, unique_by=lambda field: field[0])) if fields else []


def _is_other(value: Any, shape: Shape) -> bool:
    match shape:
        case Scalar(python=python):
            return type(value) is not python and not (python is float and type(value) is int)
        case FreeForm(keyed=keyed):
            return keyed and not isinstance(value, dict)
        case ListOf():
            return not isinstance(value, list)
        case Object():
            return not isinstance(value, dict)


def _kinds_in(run: Run) -> Iterator[str]:
    """What there is to be seen in a run, wherever it came from."""
    if not run["scenario_state"]["request_states"]:
        yield "no request states"
    if any(entry.get("stats") == [] for entry in run["per_instance_stats"]):
        yield "an empty stats list"
    ids = [state.get("instance", {}) for state in run["scenario_state"]["request_states"]]
    if any(isinstance(instance, dict) and type(instance.get("id")) is int for instance in ids) or any(
        type(entry.get("instance_id")) is int for entry in run["per_instance_stats"]
    ):
        yield "an integer id"
    pending: list[Any] = [run]
    while pending:
        value = pending.pop()
        match value:
            case None:
                yield "an explicit null"
            case str() if not value.isascii() and json.dumps(value).count("\\ud") % 2:
                yield "a lone surrogate"
            case float() if math.isnan(value):
                yield "NaN"
            case float() if math.isinf(value):
                yield "an infinity"
            case bool():
                pass
            case int() if abs(value) > 2**64:
                yield "an integer past 2^64"
            case int() if abs(value) > 2**53:
                yield "an integer past 2^53"
            case list():
                pending += value
            case dict():
                pending += value.values()
                if not value:
                    yield "an empty object"
                if any("." in key for key in value):
                    yield "a key with a dot"
                pending += value.keys()
