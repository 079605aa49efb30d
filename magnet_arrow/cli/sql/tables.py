"""The tables that SQL sees: those of the cache, and `runs`, `rejects`, `scores` and `samples`."""

import re
from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from magnet_arrow.cli.printing import complain
from magnet_arrow.query.not_ingested import not_ingested_text
from magnet_arrow.query.runs_table import runs_table
from magnet_arrow.query.sql_stream import SqlStream
from magnet_arrow.schema.registry import TABLES, sql_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from magnet_arrow.storage.snapshot import Snapshot

RUNS, REJECTS, SCORES, SAMPLES = "runs", "rejects", "scores", "samples"
NAMES = (*TABLES, RUNS, REJECTS, SCORES, SAMPLES)
_LISTING = re.compile("show|information_schema|duckdb_|pg_|pragma_|sqlite_")
"""How words begin that ask which tables there are."""


class Tables:
    """The tables that a statement may read, put into a connection. One that it does not name costs nothing.

    Args:
        snapshot: of the cache.
        connection: where they go.
        statement: its text. One that lists tables (`SHOW TABLES`) finds all of them.
    """

    def __init__(self, snapshot: "Snapshot", connection: "DuckDBPyConnection", statement: str) -> None:
        self._snapshot = snapshot
        words = set(re.findall(r"\w+", statement.lower()))
        named = [name for name in NAMES if name in words]
        if text := not_ingested_text([name for name in named if name in TABLES], snapshot.entries.values()):
            complain(text)
        listed = NAMES if not named and any(map(_LISTING.match, words)) else ()
        self._found: dict[str, Any] = {name: self._table(name, is_named=bool(named)) for name in named or listed}
        for name, table in self._found.items():
            connection.register(name, table)

    def _table(self, name: str, *, is_named: bool) -> Any:
        if name in TABLES:
            return SqlStream(self._snapshot, name)
        if name == RUNS:
            runs = runs_table(self._snapshot)
            return runs.rename_columns([sql_name(column) for column in runs.column_names])
        from magnet_arrow.cli.sql import derived_tables

        if name == REJECTS:
            return derived_tables.rejects(self._snapshot)
        return (derived_tables.scores if name == SCORES else derived_tables.samples)(self._snapshot, empty=not is_named)

    @property
    def columns(self) -> Mapping[str, Iterable[str]]:
        """All tables, and the columns of those that are in the connection."""
        return {name: self._found[name].schema.names if name in self._found else () for name in NAMES}

    def need(self, columns: Set[str] | None) -> None:
        """Say which columns are read; None for all."""
        for table in self._found.values():
            if not isinstance(table, pa.Table):
                table.needed = columns

    @property
    def error(self) -> Exception | None:
        """What went wrong while a table was read."""
        return next(filter(None, (getattr(table, "error", None) for table in self._found.values())), None)
