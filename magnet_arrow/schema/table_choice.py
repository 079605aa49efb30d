"""Which tables are chosen, and which files of a run or a suite they need.

A table needs its own file. `files` needs all files of a run that have no table. `suite_files` has every file of a suite
as text, so it needs all of them. `run_spec` is always among the chosen tables: it says which run it is.
"""

from collections.abc import Iterable
from typing import TypeAlias

from magnet_arrow.helm.run_place import RUN_FILES
from magnet_arrow.schema.registry import RUN_TABLES, SUITE_TABLES, table

Choice: TypeAlias = "frozenset[str] | None"
"""Names of tables; None for all."""

_SPEC, _FILES, _SUITE_FILES, _GROUPS = "run_spec", "files", "suite_files", "groups"
_OF_RUNS = frozenset(one.name for one in RUN_TABLES)
_OF_SUITES = frozenset(one.name for one in SUITE_TABLES)
_BY_FILE = {
    True: {one.file: one.name for one in RUN_TABLES if one.file},
    False: {one.file: one.name for one in SUITE_TABLES if one.file},
}


def choice_of(names: Iterable[str] | None) -> Choice:
    """The choice of some tables, checked.

    Raises:
        ColumnNotFoundError: there is no such table.
    """
    if names is None:
        return None
    return frozenset(table(name).name for name in ([names] if isinstance(names, str) else names))


def narrowed(choice: Choice, *, of_run: bool) -> Choice:
    """The tables of a run, or of a suite, that are among the chosen ones; None if all of its files are needed."""
    if choice is None:
        return None
    if of_run:
        kept = choice & _OF_RUNS | {_SPEC}
        return None if kept == _OF_RUNS else kept
    return None if _SUITE_FILES in choice else choice & _OF_SUITES


def joined(first: Choice, second: Choice) -> Choice:
    """The tables of both."""
    return None if first is None or second is None else first | second


def table_of(file: str, *, of_run: bool) -> str:
    """The table of a file of a run or a suite, by its name without the ending of a compressed one."""
    if not of_run and file.startswith(f"{_GROUPS}/"):
        return _GROUPS
    return _BY_FILE[of_run].get(file, _FILES if of_run else _SUITE_FILES)


def needs(choice: Choice, file: str, *, of_run: bool) -> bool:
    """Whether the chosen tables need a file."""
    return choice is None or table_of(file, of_run=of_run) in choice


def left_out(choice: Choice, files: Iterable[str], *, of_run: bool) -> frozenset[str]:
    """The tables that lack rows since they were not chosen; one that would have none anyway is not among them.

    Args:
        choice: the tables that a run or suite was read for.
        files: all of its files, without the ending of compressed ones.
        of_run: whether it is a run. It should have the files that each run has, be they there or not.
    """
    if choice is None:
        return frozenset()
    wanted = {*files, *RUN_FILES} if of_run else set(files)
    found = {table_of(file, of_run=of_run) for file in wanted} - choice
    return frozenset(found | {_SUITE_FILES} if found and not of_run else found)
