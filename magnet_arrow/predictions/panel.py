"""A panel: the score of every model on every item, as a table and as a matrix."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow._text import counted
from magnet_arrow.errors import PanelError, SettingError
from magnet_arrow.pages import card, few
from magnet_arrow.predictions import panel_files
from magnet_arrow.predictions.asked import check_choice, check_name
from magnet_arrow.predictions.panel_files import ITEM, MODEL, RESPONSE, SCORE
from magnet_arrow.sources.paths import absolute, readable_file

if TYPE_CHECKING:
    import numpy as np

Missing: TypeAlias = Literal["refuse", "keep"]
EXCLUDED = pl.Schema({MODEL: pl.String, "reason": pl.String, "rows": pl.UInt32})
REPEATS = pl.Schema({MODEL: pl.String, ITEM: pl.String, "rows": pl.UInt32})
METRICS = pl.Schema({"metric": pl.String, "split": pl.String, "runs": pl.UInt32})
_CELL = (MODEL, ITEM)


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Scores of models on items: one score for each pair, or none.

    Make one with `panel(runs)`, with `Panel.from_frame` or with `load_panel`.

    Attributes:
        frame: a row for every pair of model and item, model by model: `model`, `item`, `score` (null where it is
            missing), and `response` if the panel has responses.
        models: in order.
        items: in order.
        threshold: scores from it on became 1, those below 0; None if the scores are as they were given.
        excluded: samples that are in no cell, counted by `model` and `reason`.
        repeats: cells whose score is the mean over an item that is in the data more than once, with their `rows`.
        metrics: which scores these are: `metric`, `split` and number of `runs`; no rows if the panel is not of runs.

    >>> scores = pl.DataFrame({"llm": ["a", "a", "b", "b"], "q": [1, 2, 1, 2], "right": [True, False, True, None]})
    >>> panel = Panel.from_frame(scores, model="llm", item="q", score="right")
    >>> panel
    <Panel 2 models × 2 items, 1 score missing>
    >>> panel.missing.rows()
    [('b', '2')]
    """

    frame: pl.DataFrame
    models: list[str]
    items: list[str]
    threshold: float | None = None
    excluded: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=EXCLUDED))
    repeats: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REPEATS))
    metrics: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=METRICS))

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        model: str,
        item: str,
        score: str,
        response: str | None = None,
        missing: Missing = "refuse",
        threshold: float | None = None,
    ) -> Self:
        """A panel of a long table: one row for each model and item. Models and items are in order of first appearance.

        Args:
            frame: a Polars frame, lazy or not, or a table with Arrow's PyCapsule interface, such as those of PyArrow,
                pandas 2.2 or later, narwhals and DuckDB.
            model: the column that names the model; strings or integers.
            item: the column that names the item; strings or integers.
            score: the column with the scores; numbers or booleans. Null is a missing score; so is pandas' NaN.
            response: the column with the model's answers, if they are wanted.
            missing: what if a model has no row for an item that another model has: "refuse" raises, with "keep" the
                score is missing.
            threshold: makes scores 0 or 1, see `binary`.

        Raises:
            ColumnNotFoundError: there is no such column.
            PanelError: a pair of model and item that is there twice, unequal items, NaN, a model or item without a
                name, another type than said above, or no rows at all.
        """
        columns = {MODEL: model, ITEM: item, SCORE: score} | ({RESPONSE: response} if response is not None else {})
        panel = cls._of_rows(panel_files.long_rows(frame, columns), missing)
        return panel if threshold is None else panel.binary(threshold)

    @classmethod
    def _of_rows(cls, rows: pl.DataFrame, missing: Missing) -> Self:
        """A panel of rows with our own column names and types."""
        check_choice("missing", missing, ("refuse", "keep"))
        _check_rows(rows)
        models, items = (rows.get_column(name).unique(maintain_order=True) for name in _CELL)
        if rows.height < len(models) * len(items) and missing == "refuse":
            raise _unequal_items(rows, models, items)
        cells = models.to_frame().join(items.to_frame(), how="cross")
        in_order = rows.height == cells.height and rows.select(_CELL).equals(cells)  # as our files are
        filled = rows if in_order else cells.join(rows, on=_CELL, how="left", maintain_order="left")
        return cls(filled, models.to_list(), items.to_list())

    def matrix(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        """The scores as float64, a row per model and a column per item; NaN where a score is missing. Needs NumPy.

        Raises:
            MissingPackageError: NumPy is not installed.
        """
        numpy()  # so that one who has none is told how to get it
        scores = self.frame.get_column(SCORE).fill_null(float("nan")).to_numpy()
        return scores.reshape(len(self.models), len(self.items)).copy()

    @property
    def missing(self) -> pl.DataFrame:
        """The pairs of `model` and `item` that have no score."""
        return self.frame.filter(pl.col(SCORE).is_null()).select(_CELL)

    def select(self, *, models: Sequence[str] | None = None, items: Sequence[str] | None = None) -> Self:
        """The panel of just these models and items, in this order.

        Raises:
            PanelError: one of them is not in the panel, is named twice, or none is named.
        """
        chosen_models = self.models if models is None else _chosen("model", models, self.models)
        chosen_items = self.items if items is None else _chosen("item", items, self.items)
        cells = pl.DataFrame({MODEL: chosen_models}).join(pl.DataFrame({ITEM: chosen_items}), how="cross")
        return replace(
            self,
            frame=cells.join(self.frame, on=_CELL, how="left", maintain_order="left"),
            models=chosen_models,
            items=chosen_items,
            repeats=self.repeats.join(cells, on=_CELL, how="semi", maintain_order="left"),
        )

    def complete(self) -> Self:
        """The panel of the items that have a score of every model.

        Raises:
            PanelError: there is no such item.
        """
        lacking = set(self.missing.get_column(ITEM))
        items = [item for item in self.items if item not in lacking]
        if not items:
            raise PanelError("No item has a score of every model.", hint="Select fewer models first.")
        return self.select(items=items)

    def binary(self, threshold: float | None = None) -> Self:
        """The panel with scores 0 and 1.

        Args:
            threshold: scores from it on become 1, those below 0. None accepts just scores that are 0 or 1 already.

        Raises:
            PanelError: a score is neither 0 nor 1, and there is no threshold.
        """
        if threshold is None:
            other = self.frame.filter(~pl.col(SCORE).is_in([0.0, 1.0]))
            if other.height:
                raise PanelError(
                    f"{other.height:,} of {self.frame.height - self.missing.height:,} scores are neither 0 nor 1.",
                    found=f"{other.item(0, SCORE)} for {_cell_text(other)}",
                    hint="Say from which score on an answer counts as right: threshold=0.5.",
                )
            return self
        if not isinstance(threshold, int | float) or threshold != threshold:
            raise SettingError(f"threshold={threshold!r} is no threshold.", expected="a number")
        scores = (pl.col(SCORE) >= threshold).cast(pl.Float64)
        return replace(self, frame=self.frame.with_columns(scores), threshold=float(threshold))

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Writes `frame` as Parquet; `load_panel` reads it. A file that is there is replaced, by a complete one.

        Raises:
            FolderNotWritableError: it cannot be written.
        """
        panel_files.write_parquet(self.frame, self.threshold, absolute(path))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes `frame` as CSV (UTF-8, all names in quotes); `load_panel` reads it. The threshold is not in it.

        Raises:
            FolderNotWritableError: it cannot be written.
        """
        panel_files.write_csv(self.frame, absolute(path))

    def to_npz(self, path: str | os.PathLike[str]) -> None:
        """Writes arrays `scores` (as `matrix`), `models`, `items` and `threshold` (NaN for none), without responses.

        `load_panel` and `numpy.load(path, allow_pickle=False)` read it.

        Raises:
            MissingPackageError: NumPy is not installed.
            PanelError: a name ends in a NUL, which NumPy would drop.
            FolderNotWritableError: it cannot be written.
        """
        panel_files.write_npz(numpy(), self.matrix(), self.models, self.items, self.threshold, absolute(path))

    def __repr__(self) -> str:
        """How many models and items there are, and how many scores are missing."""
        missing = self.missing.height
        lacking = f", {missing:,} score{'s' * (missing != 1)} missing" if missing else ""
        models, items = len(self.models), len(self.items)
        return f"<Panel {models:,} model{'s' * (models != 1)} × {items:,} item{'s' * (items != 1)}{lacking}>"

    def _repr_html_(self) -> str:
        facts = {
            "models": f"{len(self.models):,}",
            "items": f"{len(self.items):,}",
            "missing": counted(self.missing.height, "score"),
            "metrics": ", ".join(self.metrics.get_column("metric").unique(maintain_order=True)) or "not said",
            "threshold": "none" if self.threshold is None else f"{self.threshold:g}",
            "excluded": counted(int(self.excluded.get_column("rows").sum()), "sample"),
        }
        return card("Panel", facts, few(self.models))


def load_panel(path: str | os.PathLike[str]) -> Panel:
    """The panel that `to_parquet`, `to_csv` or `to_npz` wrote; the end of the file's name says which.

    Raises:
        SourceNotFoundError: there is no such file.
        BadFileError: it cannot be read, or holds no panel.
        PanelError: two scores for one cell, NaN, or a name that is missing.
    """
    file = absolute(path)
    if file.suffix not in (".npz", ".parquet", ".csv"):
        raise SettingError(f"{file.name} is no panel by its name.", expected="a name in .parquet, .csv or .npz")
    file = readable_file(file)
    match file.suffix:
        case ".npz":
            rows, threshold = panel_files.read_npz(numpy(), file)
        case ".parquet":
            rows, threshold = panel_files.read_parquet(file)
        case _:
            rows, threshold = panel_files.read_csv(file), None
    return replace(Panel._of_rows(rows, "refuse"), threshold=threshold)


def _check_rows(rows: pl.DataFrame) -> None:
    if not rows.height:
        raise PanelError("There are no rows to make a panel of.")
    for name in _CELL:
        unnamed = rows.get_column(name).null_count()
        if unnamed:
            raise PanelError(f"{unnamed:,} of {rows.height:,} rows have no {name}.", hint="Filter them out first.")
    nan = rows.filter(pl.col(SCORE).is_nan())
    if nan.height:
        raise PanelError(
            f"{nan.height:,} of {rows.height:,} scores are NaN.",
            found=f"NaN for {_cell_text(nan)}",
            hint="If it means that there is no score, write null, or nothing in a CSV.",
        )
    twice = rows.filter(pl.struct(_CELL).is_duplicated())
    if twice.height:
        first = twice.filter(*(pl.col(name) == twice.item(0, name) for name in _CELL))
        raise PanelError(
            f"{counted(twice.n_unique(_CELL), 'pair')} of model and item in more than one row.",
            found=f"{first.height} rows for {_cell_text(first)}",
            hint="Average or choose first: a cell of a panel has one score.",
        )


def _unequal_items(rows: pl.DataFrame, models: pl.Series, items: pl.Series) -> PanelError:
    counts = rows.group_by(MODEL, maintain_order=True).len()
    lacking = counts.filter(pl.col("len") < len(items))
    model, count = lacking.row(0)
    here = set(rows.filter(pl.col(MODEL) == model).get_column(ITEM))
    first = next(item for item in items if item not in here)
    return PanelError(
        f"Items are not the same for all models: {lacking.height:,} of {len(models):,} lack some.",
        found=f"{model} without {len(items) - count:,} of {len(items):,} items, the first of them {first!r}",
        hint="Panel.from_frame(…, missing='keep') keeps these cells as missing; complete() selects the items of all.",
    )


def _cell_text(rows: pl.DataFrame) -> str:
    return f"model {rows.item(0, MODEL)!r}, item {rows.item(0, ITEM)!r}"


def _chosen(what: str, names: Sequence[str], known: list[str]) -> list[str]:
    if isinstance(names, str):
        raise SettingError(f"{what}s={names!r} is one name.", expected="a list of names")
    if not isinstance(names, Iterable):
        raise SettingError(f"{what}s={names!r} are no names.", expected="a list of names")
    chosen = list(names)
    for name in chosen:
        check_name(f"{what}s: a name", name)
    places = set(known)
    unknown = next((name for name in chosen if name not in places), None)
    if unknown is not None:
        raise PanelError.among(unknown, known, what)
    if len(set(chosen)) < len(chosen):
        twice = Counter(chosen).most_common(1)[0][0]
        raise PanelError(f"The {what} {twice!r} is named more than once.")
    if not chosen:
        raise PanelError(f"No {what} is named.", expected="at least one")
    return chosen
