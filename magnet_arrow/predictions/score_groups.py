"""The rows of predictions by group, and their sums by cell of the factors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from magnet_arrow.predictions.calibration import Calibration, calibrate
from magnet_arrow.predictions.fold_correlations import FoldCorrelation, fold_correlation
from magnet_arrow.predictions.intervals import Clusters, Interval, clusters_of
from magnet_arrow.predictions.panel import numpy
from magnet_arrow.predictions.prediction_rows import (
    ACTUAL,
    ANSWERED,
    CLIPPED,
    HAS_CRPS,
    HAS_ENDS,
    HAS_WIS,
    PREDICTED,
    SCORED,
    TRUE,
    UNTRUE,
    Columns,
)

if TYPE_CHECKING:
    import numpy as np

    Floats: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
    Codes: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.integer]]"
    Booleans: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"

NO_FACTOR = "the predictions have no column model, item or scenario; name the factors as over=…"
_COUNTED = {"clipped": CLIPPED, "n_crps": HAS_CRPS, "n_wis": HAS_WIS, "n_interval": HAS_ENDS}


@dataclass(eq=False)
class _Cells:
    """All rows, group by group, and the cell of each: rows of a cell agree in group and factors.

    Attributes:
        rows: sorted by group.
        codes: for each factor the level of each row.
        folds: the fold of each row; None if there are no folds.
        cells: the cell of each row; None if each row is a cell of its own.
        first: a row of each cell.
        why: why there are no intervals.
    """

    rows: pl.DataFrame
    codes: "Sequence[Codes]"
    folds: "Codes | None"
    cells: "Codes | None"
    first: "Codes"
    why: str | None
    _sums: "dict[str, Floats]" = field(default_factory=dict)

    def values(self, name: str) -> "Floats":
        """A column of ours."""
        values: Floats = self.rows.get_column(name).to_numpy()
        return values

    def sums(self, name: str) -> "Floats":
        """The sum of a column for each cell. NumPy adds in the order of rows; Polars in one that changes."""
        if name not in self._sums:
            values = self.values(name)
            self._sums[name] = values if self.cells is None else numpy().bincount(self.cells, weights=values)
        return self._sums[name]


@dataclass(eq=False)
class Group:
    """The predictions of one group."""

    _all: _Cells
    _rows: slice
    _cells: slice
    _clusters: dict[str, Clusters] = field(default_factory=dict)
    _correlations: dict[bool, FoldCorrelation] = field(default_factory=dict)
    _calibration: Calibration | None = None

    @property
    def why(self) -> str | None:
        """Why there are no intervals; None if there may be some."""
        return self._all.why

    def counts(self) -> tuple[int, ...]:
        """Rows with a truth, those of them with an answer, and rows without a truth."""
        return tuple(round(self.total(name)) for name in (TRUE, ANSWERED, UNTRUE))

    def total(self, name: str) -> float:
        """The sum of a column; 0 if there is none of this name."""
        return float(self._all.sums(name)[self._cells].sum()) if name in self._all.rows.columns else 0.0

    def sums(self, names: Sequence[str], has: str) -> "Floats":
        """Sums of columns, for each cell in which `has` is not 0."""
        there = self._all.sums(has)[self._cells] > 0
        found: Floats = numpy().stack([self._all.sums(name)[self._cells][there] for name in names], axis=1)
        return found

    def clusters(self, has: str) -> Clusters:
        """The factors of these cells."""
        if has not in self._clusters:
            there = self._all.sums(has)[self._cells] > 0
            first = self._all.first[self._cells][there]
            self._clusters[has] = clusters_of([code[first] for code in self._all.codes], len(first))
        return self._clusters[has]

    def scored(self) -> "tuple[Floats, Floats]":
        """Truths and predictions of the scored rows."""
        there = self._scored_rows()
        return self._all.values(ACTUAL)[there], self._all.values(PREDICTED)[there]

    def calibration(self) -> Calibration:
        """Of truths that are 0 or 1."""
        if self._calibration is None:
            self._calibration = calibrate(*self.scored())
        return self._calibration

    def correlation(self, level: float | None, *, ranks: bool) -> FoldCorrelation | None:
        """The correlation within folds; None if there are no folds."""
        if self._all.folds is None:
            return None
        if ranks not in self._correlations:
            self._correlations[ranks] = self._correlation(self._all.folds, level if self.why is None else None, ranks)
        return self._correlations[ranks]

    def _correlation(self, all_folds: "Codes", level: float | None, ranks: bool) -> FoldCorrelation:
        there = self._scored_rows()
        actual, predicted = self.scored()
        folds = numpy().unique(all_folds[there], return_inverse=True)[1]
        if ranks:
            frame = pl.DataFrame({"predicted": predicted, "actual": actual, "fold": folds})
            frame = frame.select(pl.col("predicted", "actual").rank("average").over("fold"))
            predicted, actual = frame["predicted"].to_numpy(), frame["actual"].to_numpy()
        clusters = clusters_of([code[there] for code in self._all.codes], len(there))
        return fold_correlation(predicted, actual, folds, clusters, level)

    def count_of(self, name: str, level: float | None) -> int | None:
        """A count that belongs to a score; null if the score cannot be computed for want of folds."""
        if name in _COUNTED:
            return round(self.total(_COUNTED[name]))
        if self._all.folds is None:
            return None
        if name == "folds":
            return len(numpy().unique(self._all.folds[self._rows]))
        found = self.correlation(level, ranks=name.startswith("rank_"))
        assert found is not None
        return found.n_perfect if name.endswith("_perfect") else found.n_folds

    def _scored_rows(self) -> "Codes":
        np = numpy()
        there: Codes = np.flatnonzero(self._all.values(SCORED)[self._rows]) + self._rows.start
        return there


def nothing(why: str) -> Interval:
    """A score that cannot be computed."""
    return Interval(float("nan"), why=why)


def groups_of(
    rows: pl.DataFrame, columns: Columns, factors: tuple[str, ...] | None
) -> tuple[pl.DataFrame, list[Group]]:
    """The values of `by` of each group, in order, and the groups.

    Args:
        rows: of `loss_rows`.
        columns: which of them are the user's.
        factors: None for those that there are.
    """
    np = numpy()
    keys, groups = _numbered(rows, columns.by)
    if len(keys) > 1:
        order = np.argsort(groups, kind="stable")
        rows, groups = rows[order], groups[order]
    chosen = _factors(rows, columns) if factors is None else factors
    codes = [_numbered(rows, (name,))[1] for name in chosen]
    cells, first = _cells(groups, codes)
    if cells is None and factors is None:  # no interval can be had: a cell per group will do
        cells, first = groups, np.searchsorted(groups, np.arange(len(keys)))
    folds = _numbered(rows, columns.fold)[1] if "fold" in columns.fold else None
    why = NO_FACTOR if factors is None and not codes else None
    table = _Cells(rows, codes, folds, cells, first, why)
    ends = np.searchsorted(groups, np.arange(len(keys) + 1))
    cell_ends = np.searchsorted(groups[first], np.arange(len(keys) + 1))
    return keys, [
        Group(table, slice(*ends[place : place + 2].tolist()), slice(*cell_ends[place : place + 2].tolist()))
        for place in range(len(keys))
    ]


def _cells(groups: "Codes", codes: "Sequence[Codes]") -> "tuple[Codes | None, Codes]":
    """The cell of each row, and the first row of each; None for the first if no rows share a cell."""
    np = numpy()
    if not codes:
        return None, np.arange(len(groups))
    combined = groups.astype(np.int64)
    for code in codes:
        combined = combined * (int(code.max()) + 1) + code
    _, first, cells = np.unique(combined, return_index=True, return_inverse=True)
    return cells, first


def _factors(rows: pl.DataFrame, columns: Columns) -> tuple[str, ...]:
    """Models and items, else scenarios, of which there is more than one."""
    levels = {name: rows.get_column(name).n_unique() for name in columns.over}
    second = next((name for name in ("item", "scenario") if levels.get(name, 0) > 1), None)
    return tuple(name for name in ("model", second) if name is not None and levels.get(name, 0) > 1)


def _numbered(rows: pl.DataFrame, columns: Sequence[str]) -> "tuple[pl.DataFrame, Codes]":
    """The different values of columns, in order with null last, and the number of each row's."""
    if not columns:
        return pl.DataFrame(height=1), numpy().zeros(rows.height, dtype="int64")
    keys = rows.select(columns).unique().sort(columns, nulls_last=True)
    numbered = keys.with_row_index(" number")
    found = rows.select(columns).join(numbered, on=list(columns), how="left", nulls_equal=True, maintain_order="left")
    return keys, found.get_column(" number").to_numpy().astype("int64")
