"""Files that hold scores as a table: .csv, .parquet, or .npz as `Panel.to_npz` writes it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeGuard

import polars as pl

from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.predictions.panel import load_panel
from magnet_arrow.predictions.panel_files import check_fields
from magnet_arrow.sources.paths import readable_file

_SUFFIXES = (".csv", ".npz", ".parquet")


def is_score_file(data: Any) -> "TypeGuard[str | os.PathLike[str]]":
    """Whether it is the path of such a file, by its name; a folder may be named so, too.

    Raises:
        BadFileError: it is the path of another file, which is no table of scores and holds no runs.
    """
    if not isinstance(data, str | os.PathLike):
        return False
    path = Path(data)
    if path.suffix.lower() in _SUFFIXES:
        return not path.is_dir()
    if path.is_file():
        raise BadFileError(
            f"{path} is no table of scores.",
            expected=f"a file named {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}, or a folder with runs",
            found=f"a file named {path.suffix or path.name}",
        )
    return False


def read_score_file(path: str | os.PathLike[str], names: Iterable[str]) -> pl.DataFrame:
    """The table in a file.

    Args:
        path: of the file.
        names: columns that hold names: of a CSV they are read as text, so that 01 is not 1.

    Raises:
        SourceNotFoundError: there is no such file.
        BadFileError: it holds no table.
    """
    file = readable_file(path)
    if file.suffix == ".npz":
        return load_panel(file).frame
    try:
        if file.suffix.lower() == ".parquet":
            return pl.read_parquet(file)
        return _read_csv(file, set(names))
    except pl.exceptions.PolarsError as error:
        found = str(error).partition("\n")[0].removeprefix("found ")  # later lines name arguments of Polars
        raise BadFileError("It holds no scores.", where=Where(file=file.name), found=found) from error


def _read_csv(file: Path, names: set[str]) -> pl.DataFrame:
    """The table in a CSV. Columns without any value are null, not text."""
    found = pl.read_csv(file, infer_schema_length=None, schema_overrides=dict.fromkeys(names, pl.String))
    check_fields(file, found)
    empty = [column.name for column in found if column.null_count() == found.height and column.name not in names]
    return found.with_columns(pl.col(empty).cast(pl.Null))
