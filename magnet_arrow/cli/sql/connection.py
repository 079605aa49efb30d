"""A DuckDB that reads what is registered in it, and nothing else: no file, no network, no extension."""

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from magnet_arrow._optional import optional_module

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection, Statement

_EXPLAIN = "EXPLAIN (FORMAT json)"
_SCAN = "ARROW_SCAN"
"""Part of the name that a plan has for the reading of a stream."""


@contextmanager
def opened(memory_bytes: int) -> "Iterator[DuckDBPyConnection]":
    """A connection to an empty database in memory.

    With access to files, SQL could read any of them. Folders that are allowed could be written too. So DuckDB has
    neither, and nowhere to put what does not fit into its memory.

    Raises:
        MissingPackageError: DuckDB is not installed.
    """
    duckdb = optional_module("duckdb", "SQL needs DuckDB.", extra="duckdb")
    settings: dict[str, Any] = {
        "enable_external_access": False,
        "allow_community_extensions": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "memory_limit": f"{memory_bytes}B",
        "temp_directory": "",
    }
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET lock_configuration = true")
        yield connection


class Plan(Struct, frozen=True):
    """What DuckDB's plan for a statement says.

    Attributes:
        columns: names of those that it reads of Arrow streams; None for all.
        error: why there is no plan. Unlike the error of the statement itself it says where in the text it is wrong.
    """

    columns: Set[str] | None
    error: "duckdb.Error | None" = None


def plan_of(statement: "Statement", connection: "DuckDBPyConnection") -> Plan:
    """The plan for a statement.

    DuckDB takes all columns of a stream. Of a PyArrow dataset it names those it needs, but to import that takes as long
    as a quarter of a short statement.
    """
    import duckdb

    try:
        found = connection.execute(f"{_EXPLAIN}\n{statement.query}").fetchall()
    except duckdb.Error as error:
        return Plan(None, error)
    try:
        return Plan(_columns(json.loads(found[0][1])))
    except (ValueError, LookupError):  # another form of plan: then all columns are read
        return Plan(None)


def _columns(plan: Any) -> Set[str] | None:
    names: set[str] = set()
    n_scans = 0
    nodes = list(plan)
    while nodes:
        node = nodes.pop()
        nodes += node["children"]
        if _SCAN in node["name"]:
            n_scans += 1
            read = node["extra_info"]["Projections"]
            names.update([read] if isinstance(read, str) else read)
    return names if n_scans else None
