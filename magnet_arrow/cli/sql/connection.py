"""A DuckDB that reads what is registered in it, and nothing else: no file, no network, no extension."""

import json
import threading
from collections.abc import Set
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from magnet_arrow._optional import optional_module

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection, Statement

_EXPLAIN = "EXPLAIN (FORMAT json)"
_SCAN = "ARROW_SCAN"
"""Part of the name that a plan has for the reading of a stream."""


class Opening(threading.Thread):
    """Opens a connection to an empty database in memory, while this thread imports what reads the cache.

    With access to files, SQL could read any of them. Folders that are allowed could be written too. So DuckDB has
    neither, and nowhere to put what does not fit into its memory.

    Args:
        memory_bytes: what DuckDB may use.

    Raises:
        MissingPackageError: DuckDB is not installed.
    """

    def __init__(self, memory_bytes: int) -> None:
        super().__init__(daemon=True)
        self._duckdb = optional_module("duckdb", "SQL needs DuckDB.", extra="duckdb")
        self._settings: dict[str, Any] = {
            "enable_external_access": False,
            "allow_community_extensions": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "memory_limit": f"{memory_bytes}B",
            "temp_directory": "",
        }
        self._connection: DuckDBPyConnection | None = None
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Open it."""
        try:
            self._connection = self._duckdb.connect(config=self._settings)
            self._connection.execute("SET lock_configuration = true")
        except Exception as error:
            self._error = error

    def __enter__(self) -> "Opening":
        return self

    def __exit__(self, *_: object) -> None:
        self.join()
        if self._connection is not None:
            self._connection.close()

    @property
    def connection(self) -> "DuckDBPyConnection":
        """The connection, once it is open; it is closed when the context ends."""
        self.join()
        if self._error is not None:
            raise self._error
        assert self._connection is not None
        return self._connection


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
