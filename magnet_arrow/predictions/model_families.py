"""Which weights, family and organisation a model is of: `model_families.csv`, and a file of the user's before it."""

import os
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import polars as pl

from magnet_arrow.errors import BadFileError, FamilyNotFoundError, SettingError, Where
from magnet_arrow.predictions.asked import check_name
from magnet_arrow.sources.paths import readable_file

_COLUMNS = ("model", "weights", "family", "organisation", "source")
_FILE = "model_families.csv"
_NEEDED = ("model", "family")


def model_families(models: Iterable[str] | None = None, *, file: str | os.PathLike[str] | None = None) -> pl.DataFrame:
    """Weights, family and organisation of models, and who says so.

    `weights` is equal for models that are the same weights under several names. `source` says where the row comes from:
    for most models that is their name. A family is wide, such as all of Llama, so that folds by family do not leak.

    Rows: one per model as given, or all that are known.
    Columns: `model`, `weights`, `family`, `organisation`, `source`.

    Args:
        models: as HELM writes them in an adapter spec; `_` for `/`, as in names of runs, is the same. None for all.
        file: a CSV with columns `model` and `family`, and any of the others, whose rows win over ours.

    Raises:
        FamilyNotFoundError: a model is in neither table; says which.
        SourceNotFoundError: there is no such file.
        SettingError: the models are no list of strings.
        BadFileError: the file cannot be read, lacks a column or a value, or has a model twice.

    >>> model_families(["groq/llama3-70b-8192", "anthropic_claude-2.1"])["family"].to_list()
    ['Llama', 'Claude']
    """
    known = _known(None if file is None else readable_file(file))
    if models is None:
        return known
    if isinstance(models, str) or not isinstance(models, Iterable):
        raise SettingError(f"models={models!r} is no list.", expected="a list of names")
    models = list(models)
    for name in models:
        check_name("models: a name", name)
    found = _found(models, known)
    unknown = found.filter(pl.col("family").is_null())["asked"].unique(maintain_order=True).to_list()
    if unknown:
        raise _unknown(unknown)
    return found.select(pl.col("asked").alias("model"), *_COLUMNS[1:])


def known_families(models: Sequence[str], *, file: str | os.PathLike[str] | None = None) -> pl.DataFrame:
    """As `model_families` of these models, without `source`; null where a model is in neither table.

    >>> known_families(["groq/llama3-70b-8192", "owl"])["family"].to_list()
    ['Llama', None]
    """
    known = _known(None if file is None else readable_file(file))
    return _found(models, known).select(pl.col("asked").alias("model"), *_COLUMNS[1:-1])


def _found(models: Sequence[str], known: pl.DataFrame) -> pl.DataFrame:
    """A row for each model as `asked`; null where it is not known."""
    known = known.with_columns(_spelled("model").alias("key"))
    asked = pl.DataFrame({"asked": models}, schema={"asked": pl.String}).with_columns(_spelled("asked").alias("key"))
    return asked.join(known, on="key", how="left", maintain_order="left")


def _known(file: Path | None) -> pl.DataFrame:
    ours = _read(resources.files(__package__).joinpath(_FILE).read_bytes(), _FILE)
    if file is None:
        return ours
    theirs = _read(file.read_bytes(), file.name)
    return pl.concat([theirs, ours.join(theirs, on=_spelled("model"), how="anti", maintain_order="left")])


def _read(data: bytes, name: str) -> pl.DataFrame:
    where = Where(file=name)
    try:
        rows = pl.read_csv(data, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise BadFileError("", where=where, expected="a CSV", found=str(error)) from error
    lacking = [column for column in _NEEDED if column not in rows.columns]
    if lacking:
        raise BadFileError("", where=where, expected=f"a column {lacking[0]}", found=", ".join(rows.columns))
    incomplete = rows.filter(pl.any_horizontal(pl.col(_NEEDED).fill_null("") == ""))
    if incomplete.height:
        found = f"model {incomplete['model'][0]!r}, family {incomplete['family'][0]!r}"
        raise BadFileError("", where=where, expected="a model and its family in each row", found=found)
    twice = rows.filter(_spelled("model").is_duplicated())
    if twice.height:
        raise BadFileError(f"The model {twice['model'][0]!r} has more than one row.", where=where)
    defaults = {"weights": pl.col("model"), "organisation": pl.lit(None, pl.String), "source": pl.lit(name)}
    rest = {column: value for column, value in defaults.items() if column not in rows.columns}
    return rows.with_columns(**rest).select(_COLUMNS).with_columns(pl.col("weights").fill_null(pl.col("model")))


def _spelled(column: str) -> pl.Expr:
    """A model's name as in names of runs and folders."""
    return pl.col(column).str.replace_all("/", "_", literal=True)


def _unknown(models: list[str]) -> FamilyNotFoundError:
    few = ", ".join(models[:5]) + (", …" if len(models) > 5 else "")
    return FamilyNotFoundError(
        f"{len(models):,} model{'s' * (len(models) != 1)} without a family: {few}.",
        hint='Write a CSV with columns "model" and "family" for them, and pass its path as file=.',
    )
