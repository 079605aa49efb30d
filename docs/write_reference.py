"""Writes the pages in `docs/reference/` that are made from the tables' schemas and from the command line.

    python docs/write_reference.py

They are committed, so that a forge shows them too. `tests/test_website.py` fails while one is out of date.
"""

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer.main

from magnet_arrow.cli.app import application
from magnet_arrow.cli.examples import EXAMPLES
from magnet_arrow.schema.registry import SCHEMA_VERSION, TABLES, Column, Table

FOLDER = Path(__file__).parent / "reference"
WRITTEN_BY = "<!-- Written by docs/write_reference.py; do not edit. -->\n\n"
ALL_RELEASES = "0.1.0"  # the first release of HELM whose output is declared


def pages() -> dict[str, str]:
    """The text of each page, by its path in `docs/reference/`."""
    texts = {"commands.md": _commands_page(), "tables/README.md": _tables_page()}
    texts |= {f"tables/{name}.md": _table_page(table) for name, table in TABLES.items()}
    return {path: WRITTEN_BY + text.strip() + "\n" for path, text in texts.items()}


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(texts)


def escaped(text: str) -> str:
    """A text for Markdown, which would take some signs for a tag or for emphasis."""
    return text.replace("<", "&lt;").replace("*", "\\*")


# The tables


def _tables_page() -> str:
    rows = [f"| [`{table.name}`]({table.name}.md) | {table.row} | {len(table.columns)} |" for table in TABLES.values()]
    return f"""
# Columns of each table

[Tables and columns](../../tables-and-columns.md) says which file each table is read from, how columns are named, and
which of them a frame has.

| table | one row is | columns |
| --- | --- | ---: |
{_lines(rows)}
"""


def _table_page(table: Table) -> str:
    shown = [column for column in table.columns if column.name not in table.hidden]
    hidden = [column for column in table.columns if column.name in table.hidden]
    file = f"It is read from `{table.file}`. " if table.file else ""
    return f"""
# `{table.name}`

One row is {table.row}. {file}These are the columns of schema version {SCHEMA_VERSION}.
[`schemas/{table.name}.json`](../../../schemas/{table.name}.json) says the same for programs.

{_columns_list(shown)}

## Hidden columns

A frame has these [if you ask for them](../../tables-and-columns.md#hidden-columns).

{_columns_list(hidden)}
{_dynamic_columns(table)}{_structs(table)}"""


def _columns_list(columns: list[Column]) -> str:
    # Not a table: names of 60 signs would leave no room on a phone for the rest.
    return _lines(
        f"- `{column.name}` ({_type_note(column)}): {escaped(column.doc)}{_releases(column)}" for column in columns
    )


def _type_note(column: Column) -> str:
    return f"`{_short_type(column.type)}`" + ("" if column.nullable else ", never null")


def _short_type(arrow: pa.DataType) -> str:
    """An Arrow type, without the fields of a struct."""
    if pa.types.is_list(arrow):
        return f"list<{_short_type(arrow.value_type)}>"
    return "struct" if pa.types.is_struct(arrow) else str(arrow)


def _releases(column: Column) -> str:
    """Which releases of HELM write the column, if not all of them do."""
    if not column.since or (column.since == ALL_RELEASES and not column.until):
        return ""
    if column.since == column.until:
        return f"; only HELM {column.since}"
    return f"; HELM {column.since} to {column.until or 'today'}"


def _dynamic_columns(table: Table) -> str:
    if not table.dynamic_objects:
        return ""
    listed = [f"- `{owner.name}.…`: {escaped(owner.doc)}" for owner in table.dynamic_objects]
    return "\n## Columns that depend on the data\n\n" + _lines(listed) + "\n"


def _structs(table: Table) -> str:
    nested = {column.name: list(_fields(column.type)) for column in table.columns}
    shown = [f"`{name}`:\n\n```text\n{_lines(found)}\n```\n" for name, found in nested.items() if found]
    return "\n## Fields of the structs\n\n" + _lines(shown) if shown else ""


def _fields(arrow: pa.DataType, indent: str = "") -> Iterator[str]:
    """One line for each field of a struct, or of the structs in a list."""
    while pa.types.is_list(arrow):
        arrow = arrow.value_type
    if pa.types.is_struct(arrow):
        for field in arrow:
            yield f"{indent}{field.name}: {_short_type(field.type)}"
            yield from _fields(field.type, indent + "    ")


# The command line


def _commands_page() -> str:
    found = list(_commands(typer.main.get_command(application()), "magnet-arrow"))
    rows = [f"| [`{path}`](#{path.replace(' ', '-')}) | {_summary(command)} |" for path, command in found]
    return f"""
# Commands

What `magnet-arrow COMMAND --help` says, of every command. [The command line](../command-line.md) says what they have in
common: paths, the cache, output for scripts.

| command | what it does |
| --- | --- |
{_lines(rows)}

{_lines(_command_section(path, command) for path, command in found)}
"""


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Each command with all words that call it."""
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, path)
        else:
            yield path, command


def _summary(command: Any) -> str:
    """The first paragraph of the help text."""
    return " ".join(inspect.cleandoc(command.help).partition("\n\n")[0].split())


def _command_section(path: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not parameter.hidden and parameter.name != "help"]
    usage = " ".join([path, *(_usage_of(parameter) for parameter in shown if _is_argument(parameter)), "[OPTIONS]"])
    return f"""## {path}

```text
{usage}
```

{inspect.cleandoc(command.help)}

{_lines(_parameter_line(parameter) for parameter in shown)}

```text
{_lines(f"magnet-arrow {line}" for line in EXAMPLES[path.partition(" ")[2]])}
```
"""


def _is_argument(parameter: Any) -> bool:
    return parameter.param_type_name == "argument"


def _usage_of(argument: Any) -> str:
    name = _value_name(argument) + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _value_name(parameter: Any) -> str:
    return parameter.metavar or parameter.name.upper()


def _parameter_line(parameter: Any) -> str:
    """One item of a list: an argument, or an option with the name of its value, what it means, and its default."""
    if _is_argument(parameter):
        return f"- `{_value_name(parameter)}`: {parameter.help}{_notes(parameter)}"
    spellings = [name.strip() for name in parameter.opts + parameter.secondary_opts if name.strip()]
    value = "" if parameter.is_flag else f" {_value_name(parameter)}"
    return f"- {', '.join(f'`{name}{value}`' for name in spellings)}: {parameter.help}{_notes(parameter)}"


def _notes(parameter: Any) -> str:
    default = parameter.default
    if isinstance(parameter.show_default, str):
        default = parameter.show_default
    elif not parameter.show_default or getattr(parameter, "is_flag", False) or callable(default):
        default = None
    texts = [f"default: `{default}`"] if default not in (None, "", []) else []
    texts += [f"environment variable: `{parameter.envvar}`"] if parameter.envvar else []
    return f" ({'; '.join(texts)})" if texts else ""


def main() -> None:
    """Write the pages, and remove those that are no longer made."""
    texts = pages()
    for path in FOLDER.rglob("*.md"):
        if path.read_text(encoding="utf-8").startswith(WRITTEN_BY) and path.relative_to(FOLDER).as_posix() not in texts:
            path.unlink()
    for path, text in texts.items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
