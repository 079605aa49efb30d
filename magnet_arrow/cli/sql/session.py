"""Runs one statement over a cache, and gives its rows in batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from msgspec import Struct

from magnet_arrow.cli.sql.connection import Opening, Plan, plan_of
from magnet_arrow.cli.sql.failures import explained
from magnet_arrow.cli.sql.statement import parsed
from magnet_arrow.cli.sql.tables import Tables
from magnet_arrow.cli.sql.text_types import with_texts
from magnet_arrow.schema.registry import numbered
from magnet_arrow.storage.snapshot import read_snapshot

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection, Statement

_BATCH_ROWS = 65_536


class Rows(Struct, frozen=True):
    """What a statement gives.

    Attributes:
        schema: names, each once, and types.
        batches: the rows; they are read as they are asked for.
        is_plan: it is the answer to EXPLAIN.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    is_plan: bool


def rows_of(text: str, cache: Path, opening: Opening, *, dates_as_text: bool = False) -> Rows:
    """The rows of a statement, which can be read until the connection is closed.

    Args:
        text: the statement.
        cache: its folder.
        opening: the connection that runs it.
        dates_as_text: dates and times are as DuckDB writes them.

    Raises:
        SqlError: it is no SQL, or is not allowed; there is no such table or column; a value cannot be converted.
        SqlMemoryError: DuckDB needs more memory.
        CacheError: the cache cannot be read.
    """
    connection = opening.connection
    statement = parsed(text, connection)
    tables = Tables(read_snapshot(cache), connection, text)
    is_plan = statement.type.name == "EXPLAIN"
    plan = Plan(None) if is_plan else plan_of(statement, connection)
    tables.need(plan.columns)
    with _failing_as_ours(tables, plan.error):
        reader = _run(statement, connection, dates_as_text=dates_as_text)
    schema = _with_distinct_names(reader.schema)
    return Rows(schema, _batches(reader, schema, tables), is_plan)


def _run(statement: "Statement", connection: "DuckDBPyConnection", *, dates_as_text: bool) -> pa.RecordBatchReader:
    connection.execute("BEGIN TRANSACTION READ ONLY")  # a WITH may hold an INSERT
    # Not `execute`, whose rows are all in memory before the first one is given.
    rows = with_texts(connection.sql(statement), dates=dates_as_text)
    reader: pa.RecordBatchReader = rows.to_arrow_reader(_BATCH_ROWS)
    return reader


def _batches(reader: pa.RecordBatchReader, schema: pa.Schema, tables: Tables) -> Iterator[pa.RecordBatch]:
    while True:
        with _failing_as_ours(tables):
            batch = next(reader, None)
        if batch is None:
            return
        yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _with_distinct_names(schema: pa.Schema) -> pa.Schema:
    names = numbered(schema.names)
    return pa.schema([field.with_name(name) for name, field in zip(names, schema, strict=True)])


@contextmanager
def _failing_as_ours(tables: Tables, of_plan: "duckdb.Error | None" = None) -> Iterator[None]:
    """What DuckDB or Arrow raises becomes an error of ours; what a table has raised is raised again.

    Args:
        tables: that are read.
        of_plan: the error of the plan, which says more.
    """
    import duckdb

    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, MemoryError) as error:
        if tables.error is not None:
            raise tables.error from None
        raise explained(of_plan or error, tables.columns, lines_before=1 if of_plan else 0) from None
