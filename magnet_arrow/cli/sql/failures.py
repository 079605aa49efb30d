"""DuckDB's errors as ours: what is wrong, what may have been meant, and where in the statement."""

import re
from collections.abc import Iterable, Mapping

from magnet_arrow._near_names import asked, did_you_mean
from magnet_arrow._text import for_terminal
from magnet_arrow.errors import MagnetError, SqlError, SqlMemoryError
from magnet_arrow.schema.registry import sql_name

_NO_TABLE = r"Table with name (.+?) does not exist"
_NO_COLUMN = r'Referenced column "(.+?)" not found'
_NO_COLUMN_OF = r'"(.+?)" does not have a column named "(.+?)"'
_NOT_ALLOWED = "sql reads the tables of the cache, and no other file. SHOW TABLES lists them."


def explained(
    error: Exception, tables: Mapping[str, Iterable[str]] | None = None, *, lines_before: int = 0
) -> MagnetError:
    """Our error for one of DuckDB.

    Args:
        error: as DuckDB raised it, or Arrow, which passes on DuckDB's text.
        tables: all tables that there are, with their columns as far as these are known.
        lines_before: lines of ours that were before the statement.
    """
    import duckdb

    text, _, place = str(error).partition("\n\nLINE ")
    kind, _, text = text.partition(": ")
    first, *others = (line.strip() for line in (text or kind).split("\n"))
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "Out of Memory" in str(error):
        return SqlMemoryError(
            "The statement needs more memory than it may use.",
            hint="Aggregate more, or sort and join less; or allow more with --memory.",
        )
    if isinstance(error, duckdb.PermissionException) or "INSTALL " in text:
        return SqlError(
            _sentence(first.removesuffix(" - file system operations are disabled by configuration")), hint=_NOT_ALLOWED
        )
    hints = [_meant(first, tables or {}) or _candidates(others)]
    if place:
        hints.append(_place(place, lines_before))
    hint = "\n".join("\n".join(map(for_terminal, hint.split("\n"))) for hint in hints if hint)
    return SqlError(_sentence(first), hint=hint or None)


def _place(text: str, lines_before: int) -> str:
    """The line of the statement, and below it a mark; DuckDB's text begins with the line's number.

    Nothing where DuckDB has no place in the statement, as in the name that `query_table` was given.
    """
    number, _, rest = text.partition(":")
    if int(number) <= lines_before:
        return ""
    in_statement = str(int(number) - lines_before)
    line, _, mark = rest.partition("\n")
    return f"LINE {in_statement}:{line}\n{mark[len(number) - len(in_statement) :]}"


def _sentence(text: str) -> str:
    text = for_terminal(text.rstrip("!."))
    return f"{text[:1].upper()}{text[1:]}."


def _meant(text: str, tables: Mapping[str, Iterable[str]]) -> str:
    """The names of ours that may have been meant."""
    columns = {column for names in tables.values() for column in names}
    if found := re.search(_NO_TABLE, text):
        return did_you_mean(found[1], tables) or f"There are {', '.join(sorted(tables))}."
    if found := re.search(_NO_COLUMN_OF, text):
        return asked({sql_name(f"{found[1]}.{found[2]}")} & columns)
    if found := re.search(_NO_COLUMN, text):
        return asked({sql_name(found[1])} & columns) or did_you_mean(found[1], columns)
    return ""


def _candidates(lines: Iterable[str]) -> str:
    """What DuckDB offers itself: other names, or the arguments that a function takes."""
    return "\n".join(line for line in lines if line and "type casts" not in line)
