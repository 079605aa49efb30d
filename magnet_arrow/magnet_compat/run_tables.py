"""The four frames of one run, made from its JSON files by MAGNET's rules, and several runs' frames as one.

Nested objects become columns with dotted names; lists stay Python lists, with dictionaries in them. A key that is
absent is NaN, a null is None where the column's type allows it: pandas decides that as it does for MAGNET.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm.json_faults import kind
from magnet_arrow.magnet_compat.frames import DotDictDataFrame
from magnet_arrow.query.raw_json import JsonView
from magnet_arrow.schema.registry import RUN_NAME

Row = dict[str, Any]


class RunTables:
    """The four frames of a run. Every method reads its file again, as in MAGNET; the run's name is read once.

    Raises:
        BadFileError: a file is missing, is no JSON, or has a value of another kind than HELM's.
    """

    def __init__(self, files: JsonView) -> None:
        self._files = files

    def run_spec(self) -> DotDictDataFrame:
        """One row; columns in the order of the file."""
        return DotDictDataFrame([_flat(self._object("run_spec.json"), "run_spec")])

    def scenario_state(self) -> DotDictDataFrame:
        """One row per request state, which ends with the rest of the file."""
        whole = self._object("scenario_state.json")
        states = self._objects(whole.pop("request_states", None), "scenario_state.json", "$.request_states")
        rest = _flat(whole, "scenario_state")
        return self._frame(_flat(state, "scenario_state.request_states") | rest for state in states)

    def stats(self) -> DotDictDataFrame:
        """One row per stat."""
        stats = self._objects(self._files.file("stats.json"), "stats.json", "$")
        return self._frame(_flat(stat, "stats") for stat in stats)

    def per_instance_stats(self) -> DotDictDataFrame:
        """One row per stat of an instance; the entry's own perturbation is a dictionary."""
        entries = self._objects(self._files.file("per_instance_stats.json"), "per_instance_stats.json", "$")
        return self._frame(self._instance_rows(entries))

    def _instance_rows(self, entries: list[Row]) -> Iterator[Row]:
        for number, entry in enumerate(entries):
            stats = self._objects(entry.pop("stats", None), "per_instance_stats.json", f"$[{number}].stats")
            own = {f"per_instance_stats.{key}": value for key, value in entry.items()}
            for stat in stats:
                yield _flat(stat, "per_instance_stats.stats") | own

    def _frame(self, rows: Iterable[Row]) -> DotDictDataFrame:
        """The rows with the run's name first and the other columns in alphabetical order."""
        frame = DotDictDataFrame([{RUN_NAME: self._name, **row} for row in rows])
        if frame.empty:
            return DotDictDataFrame(columns=[RUN_NAME])
        return DotDictDataFrame(frame[[RUN_NAME, *sorted(set(frame.columns) - {RUN_NAME})]])

    @cached_property
    def _name(self) -> Any:
        return self._object("run_spec.json").get("name")

    def _object(self, file: str) -> Row:
        value = self._files.file(file)
        if isinstance(value, dict):
            return value
        raise self._wrong(file, "$", "an object", value)

    def _objects(self, value: Any, file: str, path: str) -> list[Row]:
        if not isinstance(value, list):
            raise self._wrong(file, path, "an array", value)
        for number, item in enumerate(value):
            if not isinstance(item, dict):
                raise self._wrong(file, f"{path}[{number}]", "an object", item)
        return value

    def _wrong(self, file: str, path: str, expected: str, value: Any) -> BadFileError:
        place = self._files.place
        where = Where(f"{place.suite}/{place.folder}", file, path)
        return BadFileError("", where=where, expected=expected, found=kind(value))


def concatenated(frames: Sequence[DotDictDataFrame]) -> DotDictDataFrame:
    """The rows of all frames, which keep their index; columns that a later frame adds are last."""
    with warnings.catch_warnings():
        # pandas 2 announces the types that pandas 3 gives to columns without values. Both are as in MAGNET.
        warnings.simplefilter("ignore", FutureWarning)
        return pd.concat(frames, axis=0)  # type: ignore[no-any-return]


def _flat(node: Row, prefix: str) -> Row:
    """Nested objects as one, by dotted keys; an empty object leaves nothing."""
    flat: Row = {}
    _flatten(node, prefix, flat)
    return flat


def _flatten(node: Row, prefix: str, flat: Row) -> None:
    for key, value in node.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}.{key}", flat)
        else:
            flat[f"{prefix}.{key}"] = value
