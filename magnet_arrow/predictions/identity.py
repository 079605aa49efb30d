"""Keys of what was asked: an item, a prompt or a recipe has the same key in every run, dump and HELM release.

A key is the BLAKE2b hash (128 bits, hexadecimal) of canonical JSON: keys sorted, no blanks, ASCII only, members that
are null dropped, and whole numbers without a fraction (`1.0` is `1`). So anyone can work it out again:

>>> import hashlib, json
>>> item = {"input": {"text": "2 + 2?"}, "references": [{"text": "4"}, {"text": "5"}]}
>>> text = json.dumps(item, sort_keys=True, separators=(",", ":"))
>>> hashlib.blake2b(text.encode(), digest_size=16).hexdigest() == hash_of(item)
True
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, TypeAlias

import msgspec
import polars as pl

from magnet_arrow.decode.wire import unescape
from magnet_arrow.helm import structs
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import EXTRA, Table

ITEM_KEY, PROMPT_KEY, RECIPE_KEY = "item_key", "prompt_key", "recipe_key"
REASON = "_reason"
"""Follows a key's name: why the key is null."""

Reason: TypeAlias = Literal["redacted", "encrypted", "empty"]
_Keyed: TypeAlias = tuple[dict[str, Any] | None, Reason | None]
"""What is hashed, or why there is nothing to hash."""

# What HELM's scripts redact_scenario_states.py and encrypt_scenario_states.py write in place of a text.
_REDACTED = "[redacted]"
_ENCRYPTED = re.compile(r"\[encrypted_text_\d+\]")
_FILE_PATHS = ("mapping_file_path", "name_file_path")
_WHOLE = 2**53
_ROW = "row"
_to_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def item_keys(states: pl.LazyFrame, json_columns: Collection[str] = ()) -> pl.LazyFrame:
    """Request states with `item_key`, which names the question, and `item_key_reason`.

    Hashed are the input's text or messages, its media, the references' texts and media in order, and the perturbation
    with its parameters (of a word list's path just the file's name, as the path is one of the machine that ran HELM).
    Correct tags, ids, the split, the prompt and the in-context examples are not.

    The key is null where the text of the input or of a reference is redacted or encrypted, or the input is empty: such
    items match nothing. The reason is then "redacted", "encrypted" or "empty".

    Args:
        states: rows of `scenario_state`. Texts that are no valid UTF-8 are in `magnet.extra`: without that column
            their items count as empty.
        json_columns: columns of it whose texts are JSON because their values are of several kinds.
    """
    places = ("/instance/input", "/instance/references", "/instance/perturbation")
    return _with_key(states, _Key(ITEM_KEY, "scenario_state", places, _item), json_columns)


def prompt_keys(states: pl.LazyFrame, json_columns: Collection[str] = ()) -> pl.LazyFrame:
    """Request states with `prompt_key`, which names what was sent, and `prompt_key_reason`.

    Hashed are the request's prompt, messages and multimodal prompt; its model and its settings are not. The key is
    null for the same reasons as in `item_keys`, which has the same arguments.
    """
    places = ("/request/prompt", "/request/messages", "/request/multimodal_prompt")
    return _with_key(states, _Key(PROMPT_KEY, "scenario_state", places, _prompt, "/request/prompt"), json_columns)


def recipe_keys(run_specs: pl.LazyFrame, json_columns: Collection[str] = ()) -> pl.LazyFrame:
    """Run specs with `recipe_key`, which is equal for runs that differ in nothing but the model, and its reason.

    Hashed are the scenario spec, the adapter spec without model and model deployment, and the data augmenter spec;
    HELM's defaults are filled in, and of class names only the last component counts. Equal recipes are no proof of
    equal prompts: HELM adds to the prompts of some models. Compare `prompt_keys`.

    Args:
        run_specs: rows of `run_spec` with all their columns; `magnet.extra` counts where it is one.
        json_columns: columns of it whose texts are JSON because their values are of several kinds.
    """
    places = ("/scenario_spec", "/adapter_spec", "/data_augmenter_spec")
    return _with_key(run_specs, _Key(RECIPE_KEY, "run_spec", places, _recipe), json_columns)


def hash_of(value: Any) -> str:
    """The key of a JSON value."""
    match value:
        case {"text": str(text), **rest} if not rest and text.isascii() and "\x7f" not in text:
            data = msgspec.json.encode(value)  # the same bytes, in half the time
        case _:
            data = _to_json(_canonical(value)).encode("ascii")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _canonical(value: Any) -> Any:
    match value:
        case str():  # most values: asked first
            return value
        case dict():
            return {key: _canonical(entry) for key, entry in value.items() if entry is not None}
        case list():
            return [_canonical(entry) for entry in value]
        case float() if value.is_integer() and abs(value) <= _WHOLE:
            return int(value)
    return value


@dataclass(frozen=True, slots=True)
class _Key:
    """How one kind of key is made.

    Attributes:
        name: of its column.
        table: which table its rows are of.
        places: JSON pointers of what it depends on.
        value_of: what is hashed, of a row's JSON element.
        text: JSON pointer of the text that is all there is in most rows.
    """

    name: str
    table: str
    places: tuple[str, ...]
    value_of: Callable[[dict[str, Any]], _Keyed]
    text: str | None = None


def _with_key(frame: pl.LazyFrame, key: _Key, json_columns: Collection[str]) -> pl.LazyFrame:
    names = frame.collect_schema().names()
    pointers = dict(_pointers(registry.table(key.table), names, key.places))
    as_json = frozenset(pointer for name, pointer in pointers.items() if name in json_columns)
    fields = [pl.col(name).alias(pointer) for name, pointer in pointers.items()]
    if EXTRA in names:
        concerned = pl.col(EXTRA).str.contains_any([f'"{place}' for place in key.places])
        fields.append(pl.when(concerned).then(pl.col(EXTRA)))
    rows = pl.struct(fields) if fields else pl.struct(pl.lit(None).alias(EXTRA))
    dtype = pl.Struct({key.name: pl.String, key.name + REASON: pl.String})
    # Not said to be elementwise: Polars would split the rows, and look at those that recur once per part.
    keyed = rows.map_batches(lambda structs: _keys(structs, key, as_json), return_dtype=dtype)
    return frame.with_columns(keyed.alias(_ROW)).unnest(_ROW)


def _pointers(table: Table, names: Collection[str], places: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The columns that are at or below the places, with their JSON pointers."""
    registered = {column.name: column.pointer for column in table.columns}
    for name in names:
        pointer = registered.get(name)
        if pointer is None and (owner := table.dynamic_object_of(name)):
            pointer = registry.pointer_of(owner, name)
        if pointer and any(f"{pointer}/".startswith(f"{place}/") for place in places):
            yield name, pointer


def _keys(structs: pl.Series, key: _Key, as_json: frozenset[str]) -> pl.Series:
    """The keys of rows. Python sees each distinct one once: 1,017 of the 5,660 of MMLU."""
    rows = structs.struct.unnest()
    text = pl.col(key.text) if key.text in rows.columns else pl.lit(None, pl.String)
    is_text = pl.all_horizontal(text.is_not_null(), pl.all().exclude(key.text or "").is_null())
    # Rows that are nothing but one text need no way through JSON, which takes twice as long as the hash itself.
    as_texts = rows.select(pl.when(is_text).then(text).alias(_ROW)).to_series()
    texts = _distinct_keys(as_texts, key, lambda said: _nested(key.text or "", said))
    if not as_texts.has_nulls():
        return texts
    encoded = rows.select(pl.when(~is_text).then(pl.struct(pl.all()).struct.json_encode()).alias(_ROW)).to_series()
    others = _distinct_keys(encoded, key, lambda row: _element(msgspec.json.decode(row), as_json))
    return pl.select(pl.when(as_texts.is_not_null()).then(texts).otherwise(others)).to_series()


def _distinct_keys(rows: pl.Series, key: _Key, element_of: Callable[[str], dict[str, Any]]) -> pl.Series:
    """Key and reason of each row that is not null."""
    distinct = rows.drop_nulls().unique()
    found = []
    for row in distinct.to_list():
        value, reason = key.value_of(element_of(row))
        found.append((None if value is None else hash_of(value), reason))
    keys = pl.DataFrame(found, {key.name: pl.String, key.name + REASON: pl.String}, orient="row")
    known = keys.with_columns(distinct.alias(_ROW))
    keyed = pl.DataFrame({_ROW: rows}).join(known, on=_ROW, how="left", maintain_order="left")
    return keyed.drop(_ROW).to_struct(rows.name)


def _nested(pointer: str, value: Any) -> dict[str, Any]:
    """The row's JSON element that has nothing but this value."""
    element: dict[str, Any] = {}
    _put(element, pointer, value)
    return element


def _element(row: dict[str, Any], as_json: frozenset[str]) -> dict[str, Any]:
    """A row's JSON element again, of its columns by pointer and of what `magnet.extra` says of it."""
    residual = row.pop(EXTRA, None)
    element: dict[str, Any] = {}
    for pointer, value in row.items():
        if value is not None:
            _put(element, pointer, _parsed(pointer, value, as_json))
    for pointer, value in json.loads(residual).items() if residual else ():
        if pointer.startswith("/") and value is not None:
            _put(element, pointer, value)
    return element


def _parsed(pointer: str, value: Any, as_json: frozenset[str]) -> Any:
    """A column's value with its JSON texts parsed."""
    if pointer in as_json or (pointer == "/scenario_spec/args" and isinstance(value, str)):
        return json.loads(value)
    if pointer.endswith("/messages"):
        return [None if turn is None else json.loads(turn) for turn in value]
    if pointer == "/data_augmenter_spec/perturbation_specs":
        return [{**spec, "args": json.loads(spec["args"] or "{}")} for spec in value if spec]
    return value


def _put(element: dict[str, Any], pointer: str, value: Any) -> None:
    """Sets what is at a JSON pointer; objects on the way are made where they are missing."""
    *way, last = _steps(pointer)
    place: Any = element
    for step in way:
        inner = place[int(step)] if isinstance(place, list) else place.get(step)
        if not isinstance(inner, dict | list):
            inner = {}
            _set(place, step, inner)
        place = inner
    _set(place, last, value)


@lru_cache(512)
def _steps(pointer: str) -> list[str]:
    return [unescape(step) for step in pointer.removeprefix("/").split("/")]


def _set(place: Any, step: str, value: Any) -> None:
    if isinstance(place, list):
        place[int(step)] = value
    else:
        place[step] = value


def _item(element: dict[str, Any]) -> _Keyed:
    instance = element.get("instance", {})
    asked = _content(instance.get("input"))
    references = [_content(_object(reference).get("output")) for reference in instance.get("references") or []]
    reason: Reason | None = next(filter(None, map(_hidden, [asked, *references])), None)
    if reason is None and not _says_something(asked):
        reason = "empty"
    if reason is not None:
        return None, reason
    return {"input": asked, "references": references, "perturbation": _perturbation(instance)}, None


def _prompt(element: dict[str, Any]) -> _Keyed:
    request = element.get("request", {})
    sent = _content({**request, "text": request.get("prompt"), "multimedia_content": request.get("multimodal_prompt")})
    reason = _hidden(sent)
    if reason is None and not _says_something(sent):
        reason = "empty"
    return (sent, None) if reason is None else (None, reason)


def _recipe(element: dict[str, Any]) -> _Keyed:
    scenario = _class_by_name(element.get("scenario_spec", {}))
    if not scenario.get("class_name"):
        return None, "empty"
    adapter = {**_defaults(structs.AdapterSpec), **element.get("adapter_spec", {})}
    augmenter = {**_defaults(structs.DataAugmenterSpec), **element.get("data_augmenter_spec", {})}
    augmenter["perturbation_specs"] = [_class_by_name(spec) for spec in augmenter["perturbation_specs"]]
    without_model = {key: value for key, value in adapter.items() if key not in ("model", "model_deployment")}
    return {"scenario_spec": scenario, "adapter_spec": without_model, "data_augmenter_spec": augmenter}, None


@cache
def _defaults(struct: type[msgspec.Struct]) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(struct())
    return values


def _class_by_name(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec with its class by the last component: modules moved between releases."""
    return {"class_name": str(spec.get("class_name") or "").rpartition(".")[2], "args": spec.get("args") or {}}


def _content(source: Any) -> dict[str, Any]:
    """Text, messages and media of an input, an output or a request; what is empty is not in it."""
    source = _object(source)
    found = {"text": source.get("text"), "messages": source.get("messages")}
    if multimedia := source.get("multimedia_content"):
        found["media"] = [
            {key: part[key] for key in ("text", "location") if part.get(key) is not None}
            for part in map(_object, _object(multimedia).get("media_objects") or [])
        ]
    return {key: value for key, value in found.items() if value}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _hidden(content: dict[str, Any]) -> Reason | None:
    text = content.get("text")
    if text == _REDACTED:
        return "redacted"
    if isinstance(text, str) and text.startswith("[") and _ENCRYPTED.fullmatch(text):
        return "encrypted"
    return None


def _says_something(content: dict[str, Any]) -> bool:
    text = content.get("text")
    said = text.strip() if isinstance(text, str) else text
    return bool(said or content.get("messages") or any(content.get("media", ())))


def _perturbation(instance: dict[str, Any]) -> dict[str, Any] | None:
    perturbation = dict(_object(instance.get("perturbation")))
    for name in _FILE_PATHS:
        if isinstance(perturbation.get(name), str):
            perturbation[name] = re.split(r"[/\\]", perturbation[name])[-1]
    return perturbation or None
