"""Tables of any origin to the rows of a panel, and panels to files and back."""

import contextlib
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import polars as pl
import polars.selectors as cs
import pyarrow as pa

from magnet_arrow import _durable
from magnet_arrow.errors import (
    BadFileError,
    ColumnNotFoundError,
    FolderNotWritableError,
    PanelError,
    Where,
)
from magnet_arrow.predictions.asked import check_name

MODEL, ITEM, SCORE, RESPONSE = "model", "item", "score", "response"
_TYPES = {MODEL: pl.String, ITEM: pl.String, SCORE: pl.Float64, RESPONSE: pl.String}
_METADATA = "magnet_arrow.panel"
_HINT = "A panel's file is written by to_parquet, to_csv or to_npz; of other tables Panel.from_frame makes a panel."


@runtime_checkable
class _ArrowTable(Protocol):
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


def long_rows(frame: Any, columns: dict[str, str]) -> pl.DataFrame:
    """The rows of a table with a panel's column names and types; the order stays.

    Args:
        frame: a Polars frame, lazy or not, or any object with Arrow's PyCapsule interface.
        columns: the table's column for each of ours.

    Raises:
        ColumnNotFoundError: there is no such column.
        PanelError: the object is no table, or a column has a type that is not accepted.
    """
    table = lazy_frame(frame)
    known = table.collect_schema()
    for ours, name in columns.items():
        check_name(ours, name)
        if name not in known:
            raise ColumnNotFoundError.among(str(name), list(known), table="The frame")
    if known[columns[SCORE]] == pl.String:
        raise _no_number(table, columns[SCORE])
    return table.select(_typed(ours, name, known[name]) for ours, name in columns.items()).collect()


def is_table(value: object) -> bool:
    """Whether it is a frame of Polars or narwhals, or a table with Arrow's PyCapsule interface."""
    is_one = isinstance(value, pl.DataFrame | pl.LazyFrame | _ArrowTable) or hasattr(value, "to_native")
    return is_one and not isinstance(value, pl.Series)


def lazy_frame(frame: Any) -> pl.LazyFrame:
    """A table of any origin as a lazy frame.

    Raises:
        PanelError: it is no table.
    """
    if hasattr(frame, "to_native"):  # narwhals, whose lazy frames have no Arrow stream
        frame = frame.to_native()
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame.lazy()
    if not is_table(frame):
        raise PanelError(
            "", expected="a Polars frame, or a table of PyArrow, pandas or the like", found=type(frame).__name__
        )
    try:
        found = pl.from_arrow(pa.table(frame))
    except (pa.ArrowException, TypeError, ValueError) as error:
        message = f"The {type(frame).__name__} has a column that is no column of Arrow: {error}"
        raise PanelError(message, hint="Give each column one type first, such as by astype(str).") from error
    assert isinstance(found, pl.DataFrame)
    return found.lazy()


def _no_number(table: pl.LazyFrame, name: str) -> PanelError:
    """The error for scores that are text, with the first one that is no number."""
    text = pl.col(name).drop_nulls()
    is_number = text.cast(pl.Float64, strict=False).is_not_null()
    wrong = table.select(text.filter(~is_number).head(1)).collect()
    return PanelError(
        f"Column {name!r} cannot be the score.",
        expected="numbers or booleans",
        found=repr(wrong.item()) if wrong.height else "numbers as strings",
        hint="If it means that there is no score, write null, or nothing in a CSV." if wrong.height else None,
    )


def _typed(ours: str, name: str, dtype: pl.DataType) -> pl.Expr:
    """A column as one of a panel."""
    is_text = dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum)
    fits = {
        MODEL: is_text or dtype.is_integer(),
        ITEM: is_text or dtype.is_integer(),
        SCORE: dtype.is_numeric() or dtype in (pl.Boolean, pl.Null),
        RESPONSE: is_text or dtype == pl.Null,
    }[ours]
    if not fits:
        expected = {SCORE: "numbers or booleans", RESPONSE: "strings"}.get(ours, "strings or integers")
        raise PanelError(f"Column {name!r} cannot be the {ours}.", expected=expected, found=str(dtype))
    return pl.col(name).cast(_TYPES[ours]).alias(ours)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once all of it is written, and goes away otherwise."""
    try:
        with _durable.replacing_file(path) as file:
            yield file
    except OSError as error:
        raise FolderNotWritableError.of(path, error, "for it") from error


def write_parquet(frame: pl.DataFrame, threshold: float | None, path: Path) -> None:
    """Writes a panel's rows; the threshold is in the metadata."""
    # Written to memory first: on a full disk Polars raises other errors, one of which blames the Parquet file.
    data = io.BytesIO()
    frame.write_parquet(data, metadata={_METADATA: json.dumps({"threshold": threshold})})
    with replacing(path) as file:
        file.write(data.getbuffer())


def read_parquet(path: Path) -> tuple[pl.DataFrame, float | None]:
    """The rows and the threshold.

    Raises:
        BadFileError: as `load_panel`.
    """
    try:
        metadata = pl.read_parquet_metadata(path)
        rows = pl.read_parquet(path)
        threshold = json.loads(metadata.get(_METADATA, "{}")).get("threshold")
    except (pl.exceptions.PolarsError, OSError, ValueError, AttributeError) as error:
        raise _no_panel(path, str(error)) from error
    if not isinstance(threshold, int | float | None):
        raise _no_panel(path, f"expected a number as threshold, found {threshold!r}")
    return _checked(rows, path), threshold


def write_csv(frame: pl.DataFrame, path: Path) -> None:
    """Writes a panel's rows; a string that is empty is "", one that is null is nothing."""
    text = frame.write_csv(quote_style="non_numeric")
    with replacing(path) as file:
        file.write(text.encode())


def read_csv(path: Path) -> pl.DataFrame:
    """The rows.

    Raises:
        BadFileError: as `load_panel`.
    """
    try:
        rows = pl.read_csv(path, infer_schema=False)
        check_fields(path, rows)
        return _checked(rows.with_columns(cs.by_name(SCORE, require_all=False).cast(pl.Float64)), path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _no_panel(path, str(error)) from error


def check_fields(path: Path, rows: pl.DataFrame) -> None:
    """Raise for two columns of one name, which Polars renames, and for a row with fewer fields than the first line.

    Polars fills a short row with nulls, so only a table whose last column has some is read a second time.

    Args:
        path: of a CSV.
        rows: what Polars has read of it.

    Raises:
        BadFileError: there is one; names the line.
    """
    # suppressed: a field of more than 128 KiB, which Python's reader refuses
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file, contextlib.suppress(csv.Error):
        lines = csv.reader(file)
        header = next(lines)
        twice = [name for name, count in Counter(header).items() if name and count > 1]
        if twice:
            raise BadFileError(
                f"Two columns have the name {twice[0]!r}.", where=Where(file=path.name), hint="Rename one of them."
            )
        short = (line for line in lines if 0 < len(line) < len(header)) if rows[:, -1].has_nulls() else iter(())
        for line in short:
            raise BadFileError(
                f"Line {lines.line_num} is too short.",
                where=Where(file=path.name),
                expected=f"{len(header)} fields, as in the first line",
                found=str(len(line)),
                hint="A value that is missing needs its comma, too.",
            )


def write_npz(
    numpy: Any, matrix: Any, models: list[str], items: list[str], threshold: float | None, path: Path
) -> None:
    """Writes a panel's matrix and names.

    Raises:
        PanelError: a name ends in a NUL.
    """
    for name in (*models, *items):
        if name.endswith("\0"):
            raise PanelError(f"NumPy would drop the NUL at the end of the name {name!r}.", hint="to_parquet keeps it.")
    with replacing(path) as file:
        numpy.savez_compressed(
            file,
            scores=matrix,
            models=numpy.array(models, dtype=str),
            items=numpy.array(items, dtype=str),
            threshold=numpy.float64("nan" if threshold is None else threshold),
        )


def read_npz(numpy: Any, path: Path) -> tuple[pl.DataFrame, float | None]:
    """The rows and the threshold.

    Raises:
        BadFileError: as `load_panel`.
    """
    import zipfile

    try:
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as arrays:
            scores, models, items, threshold = (arrays[name] for name in ("scores", "models", "items", "threshold"))
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        AttributeError,
        TypeError,
        MemoryError,
        zipfile.BadZipFile,
    ) as error:
        raise _no_panel(path, str(error)) from error
    if threshold.shape != () or threshold.dtype.kind not in "fiu":
        raise _no_panel(path, f"expected a number as threshold, found {threshold.dtype} {threshold.shape}")
    names = all(array.ndim == 1 and array.dtype.kind == "U" for array in (models, items))
    if not names or scores.dtype != numpy.float64 or scores.shape != (len(models), len(items)):
        found = f"scores {scores.dtype} {scores.shape}, models {models.dtype}, items {items.dtype}"
        raise _no_panel(path, f"expected scores of float64, models × items, found {found}")
    cells = pl.DataFrame({MODEL: models.tolist()}, {MODEL: pl.String}).join(
        pl.DataFrame({ITEM: items.tolist()}, {ITEM: pl.String}), how="cross"
    )
    rows = cells.with_columns(pl.Series(SCORE, scores.ravel()).fill_nan(None))
    return rows, None if numpy.isnan(threshold) else float(threshold)


def _checked(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Rows of a file, if their columns are a panel's."""
    expected = {name: dtype for name, dtype in _TYPES.items() if name != RESPONSE or RESPONSE in rows.columns}
    if dict(rows.schema) != expected:
        raise _no_panel(path, f"expected columns {', '.join(expected)}, found {', '.join(rows.columns)}")
    return rows


def _no_panel(path: Path, why: str) -> BadFileError:
    return BadFileError(f"It holds no panel: {why}.", where=Where(file=path.name), hint=_HINT)
