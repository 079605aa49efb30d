"""Which statements `sql` runs: one SELECT, or EXPLAIN of one. DuckDB's own parser says what a text is."""

from typing import TYPE_CHECKING

from magnet_arrow.cli.sql.failures import explained
from magnet_arrow.errors import SqlError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

_HINT = "sql reads, and writes nothing: give it one SELECT, or EXPLAIN with a SELECT behind it."


def parsed(text: str, connection: "DuckDBPyConnection") -> "Statement":
    """The only statement of a text.

    What comes back is run as it is. It is not parsed again, so nothing else can be run than what was looked at.

    Raises:
        SqlError: it is no SQL, no statement or several ones, or one that does more than to read.
    """
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise SqlError("The statement holds characters that are no text.", hint="Is it in UTF-8?")
    statements = _statements(text, connection)
    if not statements:
        raise SqlError("There is no statement.", hint=_HINT)
    if len(statements) > 1:
        raise SqlError(f"There are {len(statements)} statements.", expected="one", hint=_HINT)
    (statement,) = statements
    kind = statement.type.name
    if kind == "MULTI":
        hint = "Say which values become columns: PIVOT … ON column IN ('a', 'b') …"
        raise SqlError("Of this statement DuckDB makes several ones.", hint=hint)
    if kind == "EXPLAIN":
        _check_explained(text, connection)
    elif kind != "SELECT":
        raise SqlError(f"{kind} is not allowed.", hint=_HINT)
    return statement


def _check_explained(text: str, connection: "DuckDBPyConnection") -> None:
    """Raise unless a plain SELECT follows EXPLAIN: with ANALYZE, DuckDB would run what follows, such as a COPY."""
    import duckdb

    places = [place for place, kind in duckdb.tokenize(text) if kind != duckdb.token_type.comment]
    begin, word = text.encode()[places[0] :].decode(), "explain"
    try:
        explained = connection.extract_statements(begin[len(word) :]) if begin.lower().startswith(word) else []
    except duckdb.Error:  # EXPLAIN (ANALYZE) SELECT …
        explained = []
    if [one.type.name for one in explained] != ["SELECT"]:
        raise SqlError("This EXPLAIN is not allowed.", expected="EXPLAIN SELECT …", hint=_HINT)


def _statements(text: str, connection: "DuckDBPyConnection") -> "list[Statement]":
    import duckdb

    try:
        return connection.extract_statements(text)
    except duckdb.Error as error:
        raise explained(error) from None
