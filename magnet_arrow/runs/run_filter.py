"""A filter on runs: an expression over the columns of their run specs."""

from collections.abc import Sequence

import polars as pl

from magnet_arrow.errors import ColumnNotFoundError, FilterError, warn
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.run_specs import RunSpecs

_ROW = "magnet.row"
_JSON_TYPES = {'"': "strings", "[": "lists", "{": "objects", "t": "booleans", "f": "booleans"}
"""The type of a JSON value by its first character; every other character begins a number."""
_MIXED_HINT = "Compare it with JSON text, such as '5' or '\"five\"', or filter runs in which it has one type."


def require_expression(predicate: object) -> None:
    """Check the type of a filter, which costs nothing, before run specs are read for it.

    Raises:
        FilterError: it is no expression.
    """
    if not isinstance(predicate, pl.Expr):
        raise FilterError(
            "A filter on runs is an expression.",
            expected="a pl.Expr over run_spec's columns",
            found=f"{type(predicate).__name__}",
            hint='Write pl.col("run_spec.adapter_spec.model") == "openai/gpt2", for example.',
        )


def matching_rows(specs: pl.LazyFrame, predicate: pl.Expr, found: RunSpecs, places: Sequence[RunPlace]) -> list[int]:
    """The rows of `specs` for which `predicate` holds. A `MagnetWarning` names columns of mixed types that it uses.

    Args:
        specs: the run specs, with every registered column.
        predicate: an expression over their columns.
        found: where each run spec came from.
        places: the runs that were looked at.

    Raises:
        FilterError: `predicate` does not give true, false or null for each run.
        ColumnNotFoundError: it names a column that `specs` lacks.
    """
    mixed = _mixed_types(predicate, found, places)
    try:
        rows = specs.with_row_index(_ROW).filter(predicate).select(_ROW).collect()[_ROW].to_list()
    except pl.exceptions.ColumnNotFoundError as error:
        raise _unknown_column(predicate, specs.collect_schema().names()) from error
    except pl.exceptions.PolarsError as error:
        raise _filter_error(predicate, specs.collect_schema(), error, hint=mixed) from error
    if mixed:
        warn(mixed)
    return rows


def _filter_error(predicate: pl.Expr, types: pl.Schema, error: pl.exceptions.PolarsError, *, hint: str) -> FilterError:
    used = [f"{name} is {types[name]}" for name in predicate.meta.root_names() if name in types]
    return FilterError(
        "The filter does not work on run_spec's columns.",
        expected="an expression that gives true, false or null for each run",
        found=str(error).splitlines()[0],
        hint=hint or (f"Here {', '.join(used)}." if used else None),
    )


def _unknown_column(predicate: pl.Expr, known: list[str]) -> ColumnNotFoundError:
    unknown = [name for name in predicate.meta.root_names() if name not in known]
    return ColumnNotFoundError.among((unknown or [str(predicate)])[0], known, table="run_spec")


def _mixed_types(predicate: pl.Expr, found: RunSpecs, places: Sequence[RunPlace]) -> str:
    """A sentence for each column of mixed types that a filter uses, and what to do; empty if there is none."""
    sentences = []
    for name in predicate.meta.root_names():
        types: dict[str, list[str]] = {}
        values = found.rows.select(name).collect()[name] if name in found.json_columns else ()
        for index, value in zip(found.readable, values, strict=False):
            if value not in (None, "null"):
                types.setdefault(_JSON_TYPES.get(value[0], "numbers"), []).append(places[index].folder)
        if len(types) > 1:
            parts = [f"{kind} in {_first_few(folders)}" for kind, folders in types.items()]
            sentences.append(f"{name} is JSON text, as it holds {' and '.join(parts)}.")
    return " ".join([*sentences, _MIXED_HINT]) if sentences else ""


def _first_few(folders: Sequence[str], count: int = 3) -> str:
    more = f" and {len(folders) - count:,} others" if len(folders) > count else ""
    return ", ".join(folders[:count]) + more
