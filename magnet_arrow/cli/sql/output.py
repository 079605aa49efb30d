"""Writes the rows of a statement: a table on a terminal, else CSV, JSON or Parquet, batch by batch."""

import datetime
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from magnet_arrow import _durable
from magnet_arrow._text import for_terminal
from magnet_arrow.cli.printing import complain, print_rows
from magnet_arrow.errors import FileNotReplacedError, FolderNotWritableError, MagnetError

_SHOWN_ROWS = 1_000
"""A terminal shows so many rows; all of a large table would have to be in memory to make them fit."""
_TO_BE_QUOTED = re.compile(r'[",\r\n]')


def print_plan(batches: Iterable[pa.RecordBatch]) -> None:
    """Print what EXPLAIN answers: text of several lines."""
    for batch in batches:
        for text in batch.column(1).to_pylist():
            print(*map(for_terminal, text.splitlines()), sep="\n")


def print_table(schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, full: bool) -> None:
    """Print the first rows as a table, which is fitted to the terminal unless `full` says that it is not."""
    import polars as pl

    first: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in batches:
        first.append(batch)
        n_rows += batch.num_rows
        if n_rows > _SHOWN_ROWS:
            break
    frame = pl.from_arrow(pa.Table.from_batches(first, schema).slice(0, _SHOWN_ROWS))
    assert isinstance(frame, pl.DataFrame)
    print_rows(frame, json=False, full=full)
    if n_rows > _SHOWN_ROWS:
        complain(f"These are the first {_SHOWN_ROWS:,} rows. A pipe, --csv, --json and --parquet give all.")
    elif not n_rows:
        complain("No rows.")


def write_csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write CSV to stdout: null is empty, an empty text is quoted, lists and structs are JSON."""
    escaped = for_terminal if sys.stdout.isatty() else _as_it_is
    sys.stdout.write(escaped(",".join(map(_csv_text, schema.names))) + "\n")
    for batch in batches:
        columns = [map(_csv_cell, column.to_pylist()) for column in batch.columns]
        sys.stdout.writelines(escaped(",".join(row)) + "\n" for row in zip(*columns, strict=True))


def write_json(batches: Iterable[pa.RecordBatch]) -> None:
    """Write one JSON object per row to stdout."""
    for batch in batches:
        sys.stdout.writelines(_json(row) + "\n" for row in batch.to_pylist())


def check_file(path: Path, cache: Path) -> None:
    """Check that rows may be written to this file.

    Raises:
        FileNotReplacedError: it is in the cache, or is there and is no Parquet.
        FolderNotWritableError: it cannot be looked at.
    """
    if path.resolve().is_relative_to(cache.resolve()):
        raise FileNotReplacedError(f"{path} is in the cache.", hint="Name another folder with --parquet.")
    try:
        begin = _durable.begin_of(path, len(_PARQUET))
    except OSError as error:
        raise FolderNotWritableError.of(path, error, "with --parquet") from error
    if begin not in (b"", _PARQUET):
        text = f"{path} is there already, and is no Parquet file."
        raise FileNotReplacedError(text, hint="Name another file, or remove this one first.")


_PARQUET = b"PAR1"
"""How a Parquet file begins."""


def write_parquet(schema: pa.Schema, batches: Iterator[pa.RecordBatch], path: Path) -> int:
    """Write a Parquet file, which is complete or not there; returns the number of rows.

    Raises:
        FolderNotWritableError: the disk refused.
    """
    import pyarrow.parquet as pq

    n_rows = 0
    try:
        with _durable.replacing_file(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                n_rows += batch.num_rows
    except OSError as error:
        if isinstance(error, MagnetError):
            raise
        raise FolderNotWritableError.of(path, error, "with --parquet") from error
    return n_rows


def _as_it_is(text: str) -> str:
    return text


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    return _csv_text(value if isinstance(value, str) else _CELLS.get(type(value), str)(value))


def _csv_text(text: str) -> str:
    if text and _TO_BE_QUOTED.search(text) is None:
        return text
    return '"' + text.replace('"', '""') + '"'


def _json(value: Any) -> str:
    return json.dumps(value, default=_json_value)


def _json_value(value: Any) -> Any:
    """What JSON has no kind of value for."""
    if isinstance(value, Decimal):  # sums of integers are such
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


_CELLS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    float: lambda value: "NaN" if math.isnan(value) else repr(value),
    list: _json,
    dict: _json,
    bytes: bytes.hex,
    datetime.datetime: datetime.datetime.isoformat,
}
"""How values of these types are written in CSV; others by `str`."""
