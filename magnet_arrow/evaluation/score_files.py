"""Files that hold scores as a table: .csv, .parquet, or .npz as `Panel.to_npz` writes it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeGuard

import polars as pl

from magnet_arrow.errors import BadFileError, SourceNotFoundError, Where
from magnet_arrow.predictions.panel import load_panel

_SUFFIXES = (".csv", ".npz", ".parquet")


def is_score_file(data: Any) -> "TypeGuard[str | os.PathLike[str]]":
    """Whether it is the path of such a file, by its name; a folder may be named so, too."""
    return isinstance(data, str | os.PathLike) and Path(data).suffix in _SUFFIXES and not Path(data).is_dir()


def read_score_file(path: str | os.PathLike[str], names: Iterable[str]) -> pl.DataFrame:
    """The table in a file.

    Args:
        path: of the file.
        names: columns that hold names: of a CSV they are read as text, so that 01 is not 1.

    Raises:
        SourceNotFoundError: there is no such file.
        BadFileError: it holds no table.
    """
    file = Path(path)
    if not file.is_file():
        raise SourceNotFoundError(f"There is no file {file}.")
    if file.suffix == ".npz":
        return load_panel(file).frame
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        return pl.read_csv(file, infer_schema_length=None, schema_overrides=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError as error:
        raise BadFileError("It holds no scores.", where=Where(file=file.name), found=str(error)) from error
