"""The JSON files of one run, read straight from the dump: as plain Python values, or as structs.

Unlike the frames these need no cache, see the files as they are now, and read each one whole.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from magnet_arrow.decode.tokenizer import END_OF_FILE
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm import structs
from magnet_arrow.helm.json_faults import Fault, first_fault
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.sources.file import SourceFile

T = TypeVar("T")
_BLOCK_BYTES = 1 << 20
"""A file is read in blocks of at most this size, so that a long one is in memory once while it is read."""


@dataclass(frozen=True, slots=True)
class JsonView:
    """A run's files as `json.loads` gives them: nothing is filled in, and NaN is a float.

    Every method reads its file again.

    Raises:
        BadFileError: the file is missing or is no JSON; says where.
    """

    place: RunPlace

    def run_spec(self) -> dict[str, Any]:
        """What was run: `run_spec.json`."""
        return cast(dict[str, Any], self.file("run_spec.json"))

    def scenario(self) -> dict[str, Any]:
        """What the scenario says about itself: `scenario.json`."""
        return cast(dict[str, Any], self.file("scenario.json"))

    def scenario_state(self) -> dict[str, Any]:
        """Every request and its result: `scenario_state.json`."""
        return cast(dict[str, Any], self.file("scenario_state.json"))

    def stats(self) -> list[dict[str, Any]]:
        """The run's stats: `stats.json`."""
        return cast(list[dict[str, Any]], self.file("stats.json"))

    def per_instance_stats(self) -> list[dict[str, Any]]:
        """The stats of each instance: `per_instance_stats.json`."""
        return cast(list[dict[str, Any]], self.file("per_instance_stats.json"))

    def file(self, name: str) -> Any:
        """The value of any JSON file in the run's folder."""
        return read_json(self.place.path, name, f"{self.place.suite}/{self.place.folder}")


@dataclass(frozen=True, slots=True)
class StructsView:
    """A run's files as structs of `magnet_arrow.helm.structs`, with HELM's defaults where a key is missing.

    A key that no release of HELM writes is skipped; `.json` has it.

    Raises:
        BadFileError: the file is missing, is no JSON, or has a value of another kind than HELM's.
    """

    place: RunPlace

    def run_spec(self) -> structs.RunSpec:
        """What was run: `run_spec.json`."""
        return self._file("run_spec.json", structs.RunSpec)

    def scenario(self) -> structs.Scenario:
        """What the scenario says about itself: `scenario.json`."""
        return self._file("scenario.json", structs.Scenario)

    def scenario_state(self) -> structs.ScenarioState:
        """Every request and its result: `scenario_state.json`."""
        return self._file("scenario_state.json", structs.ScenarioState)

    def stats(self) -> list[structs.Stat]:
        """The run's stats: `stats.json`."""
        return self._file("stats.json", list[structs.Stat])

    def per_instance_stats(self) -> list[structs.PerInstanceStats]:
        """The stats of each instance: `per_instance_stats.json`."""
        return self._file("per_instance_stats.json", list[structs.PerInstanceStats])

    def _file(self, name: str, kind: type[T]) -> T:
        # From Python's JSON, since msgspec's own decoder refuses NaN and lone surrogates, which HELM writes.
        value = JsonView(self.place).file(name)
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            reason, _, json_path = str(error).partition(" - at ")
            where = Where(f"{self.place.suite}/{self.place.folder}", name, json_path.strip("`") or None)
            raise BadFileError(reason + ".", where=where, hint="`.json` gives it as it is.") from error


def read_json(folder: Path, name: str, owner: str) -> Any:
    """The value of a JSON file, as `json.loads` gives it.

    Args:
        folder: that holds it.
        name: of the file.
        owner: run or suite that it belongs to, for errors.

    Raises:
        BadFileError: the file is missing or is no JSON; says where.
    """
    with SourceFile(folder, name, owner) as file:
        data = bytearray()
        block = memoryview(bytearray(min(max(file.size_bytes, 1 << 16), _BLOCK_BYTES)))
        while n_bytes := file.read_into(block):
            data += block[:n_bytes]
    return _loads(data, file.where)


def _loads(data: bytearray, where: Where) -> Any:
    try:
        return json.loads(data)
    except json.JSONDecodeError as error:
        text = error.doc.encode(errors="surrogatepass")
        fault = first_fault(text) or Fault(0, error.msg)
        found = END_OF_FILE if fault.byte >= len(text.rstrip()) else fault.what
        where = Where(where.run, where.file, byte=fault.byte)
        raise BadFileError("", where=where, expected="JSON", found=found) from error
    except RecursionError as error:
        raise BadFileError("", where=where, expected="JSON", found="too many levels of it") from error
    except ValueError as error:  # bytes that are no text, an integer of more digits than Python takes
        raise BadFileError("", where=where, expected="JSON", found=str(error)) from error
