"""A parser's `loads` alone: each file read, parsed and freed, one by one. The floor that an ingest is held against."""

import gc
import importlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from dumps import FILES, all_files, files_of

Loads = Callable[[bytes], Any]
_TABLES = {file: file.removesuffix(".json") for file in FILES}


def loads(outputs: str, parser: str, which: str = "four") -> Iterator[Any]:
    """Parse the four files of each run, or `all`, without garbage collection, which would only slow it down."""
    parse = importlib.import_module(parser).loads
    paths = _paths(outputs, which)
    gc.disable()
    yield None
    yield _parse_all(parse, paths)


def loads_by_two(outputs: str, parser: str, which: str = "four") -> Iterator[Any]:
    """The same by two processes that are there already, each with half of the bytes."""
    halves: list[list[str]] = [[], []]
    sizes = [0, 0]
    for path in sorted(_paths(outputs, which), key=os.path.getsize, reverse=True):
        smaller = sizes.index(min(sizes))
        halves[smaller].append(path)
        sizes[smaller] += os.path.getsize(path)
    with ProcessPoolExecutor(2, get_context("spawn"), _begin, (parser,)) as pool:
        list(pool.map(_parse_all_there, [parser, parser], [[], []]))
        yield None
        rows = sum(map(Counter, pool.map(_parse_all_there, [parser, parser], halves)), Counter[str]())
        yield {table: rows[table] for table in _TABLES.values()}


def _begin(parser: str) -> None:
    importlib.import_module(parser)
    gc.disable()


def _parse_all_there(parser: str, paths: Sequence[str]) -> dict[str, int]:
    return _parse_all(importlib.import_module(parser).loads, paths)


def _paths(outputs: str, which: str) -> list[str]:
    if which == "all":
        return all_files(outputs)
    return [path for of_one_name in files_of(outputs).values() for path in of_one_name]


def _parse_all(parse: Loads, paths: Sequence[str]) -> dict[str, int]:
    rows = dict.fromkeys(_TABLES.values(), 0)
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        try:
            value = parse(data)
        except ValueError:  # NaN
            value = json.loads(data)
        table = _TABLES.get(Path(path).name)
        if table is not None:
            rows[table] += _rows(table, value)
        del value
    return rows


def _rows(table: str, value: Any) -> int:
    if table == "run_spec":
        return 1
    if table == "scenario_state":
        return len(value["request_states"])
    return len(value) if table == "stats" else sum(len(entry["stats"]) for entry in value)
