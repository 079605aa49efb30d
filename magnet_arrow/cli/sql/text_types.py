"""Types of SQL whose values are given as DuckDB's own text, since Arrow or Python has no such values."""

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

_NOT_IN_ARROW = frozenset(("interval", "uhugeint", "bit", "bignum", "variant", "time with time zone"))
"""Polars or Parquet have none of them, or Arrow is given other values than they are."""


def with_texts(rows: "DuckDBPyRelation", *, dates: bool) -> "DuckDBPyRelation":
    """The same rows; columns of types that cannot be shown are text.

    Args:
        rows: of a statement.
        dates: dates and times are text too. DuckDB has infinite ones, and years that Python has not.
    """
    types = {place: (str(kind), _shown(kind, dates=dates)) for place, kind in enumerate(rows.types, 1)}
    if all(shown == own for own, shown in types.values()):
        return rows
    columns = zip(types.items(), rows.columns, strict=True)
    return rows.project(
        ", ".join(
            f"{f'#{place}' if shown == own else f'CAST(#{place} AS {shown})'} AS {_quoted(name)}"
            for (place, (own, shown)), name in columns
        )
    )


def _shown(kind: "DuckDBPyType", *, dates: bool) -> str:
    """The SQL of a type with VARCHAR in place of those that cannot be shown."""
    if kind.id in _NOT_IN_ARROW or (dates and kind.id.startswith(("date", "time"))):
        return "VARCHAR"
    if kind.id not in ("list", "map", "struct"):
        return str(kind)
    children = cast("list[tuple[str, DuckDBPyType]]", kind.children)
    parts = [(name, _shown(part, dates=dates)) for name, part in children]
    if kind.id == "list":
        return f"{parts[0][1]}[]"
    if kind.id == "map":
        return f"MAP({parts[0][1]}, {parts[1][1]})"
    if [shown for _, shown in parts] == [str(part) for _, part in children]:
        return str(kind)
    return f"STRUCT({', '.join(f'{_quoted(name)} {shown}' for name, shown in parts)})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
