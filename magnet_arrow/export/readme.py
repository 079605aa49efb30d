"""The README of an export: what each table and column is."""

from collections.abc import Sequence

import pyarrow as pa

from magnet_arrow._text import for_terminal
from magnet_arrow.export.folder_names import folder_key
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import settled
from magnet_arrow.schema.registry import Table

_HEAD = """\
---
configs:
{configs}---

"""
_CONFIG = """\
- config_name: {name}
  data_files: "{name}/**/*.parquet"
"""

_README = """\
# What HELM wrote, as Parquet

{n_runs:,} runs and the files of their suites in plain Parquet (zstd), one folder per table. Any tool reads them:

```sql
SELECT * FROM '{example}/**/*.parquet'       -- DuckDB
```

```python
polars.scan_parquet("{example}/**/*.parquet", hive_partitioning=False)
pandas.read_parquet("{example}", partitioning=None)
pyarrow.dataset.dataset("{example}")
datasets.load_dataset(folder, "{example}")   # Hugging Face; one configuration per table
```

- The table `runs` says where each run comes from. A `partial` run lacks files, or a file ends early. A `stale` run was
  rejected or lost by its source after it was read, so its rows are of an older state.
  Partial: {n_partial:,}, stale: {n_stale:,}.
- `magnet.run` is the location of a run: source, suite and folder. It tells runs apart and joins the tables. In a table
  of suites it is the location of the suite.
- `run_spec.name` is the run's own name. Another suite may have a run of the same name.
- `magnet.run` and `magnet.row` (the position in the run's file, from 0) are the key of a row. The rows of a run are in
  file order; the order of runs means nothing.
- `magnet.extra` holds what fits no column, as JSON text with values by JSON pointer; null if there is nothing.
- Dots separate table, object and field, so SQL needs quotes: `"stats.mean"`. A JSON list is a list column, of structs
  if its items are objects. A column whose values share no type is JSON text.
- The names of dynamic columns may differ in case alone. DuckDB does not tell these apart, and calls the second one
  `…_1`.
"""

_PARTITIONED = """\
- Tables that have `{column}` are divided by it into folders `{key}=<value>`. Read the column from the files, since
  tools guess a type for a folder's name, and very long values are cut in it.
"""


def readme(handles: Sequence[TableHandle], runs: pa.Table, partition_by: str | None) -> str:
    """The text of README.md, with the registry's descriptions of tables and columns."""
    names = [*(handle.table.name for handle in handles), "runs"]
    default = "stats" if "stats" in names else names[0]
    configs = [_CONFIG.format(name=name) + "  default: true\n" * (name == default) for name in names]
    n_partial, n_stale = (sum(runs.column(name).to_pylist()) for name in ("partial", "stale"))
    text = _HEAD.format(configs="".join(configs)) + _README.format(
        n_runs=runs.num_rows, example=names[0], n_partial=n_partial, n_stale=n_stale
    )
    divided = [handle for handle in handles if partition_by in handle.schema.names]
    if partition_by is not None and divided:
        text += _PARTITIONED.format(column=for_terminal(partition_by), key=folder_key(divided[0], partition_by))
    return text + "".join(map(_section, handles))


def _section(handle: TableHandle) -> str:
    table = handle.table
    file = f"`{table.file}`" if table.file else "files without a table of their own"
    # A fence of tildes, since the name of a dynamic column may hold anything but a line of them.
    listed = "\n".join(_column_line(table, field) for field in settled_schema(handle.schema))
    what = f"One row is {table.row}. {handle.n_rows:,} rows, from {file}."
    return f"\n## {table.name}\n\n{what}\n\n~~~text\n{listed}\n~~~\n"


def _column_line(table: Table, field: pa.Field) -> str:
    registered = {column.name: column.doc for column in table.columns}
    owner = table.dynamic_object_of(field.name)
    doc = registered.get(field.name) or (f"dynamic column: {owner.doc}" if owner else "")
    return f"{for_terminal(field.name)} ({registry.type_text(field.type)}): {doc}"


def settled_schema(found: pa.Schema) -> pa.Schema:
    """A schema with column types that other tools know."""
    return pa.schema([field.with_type(settled(field.type)) for field in found])
