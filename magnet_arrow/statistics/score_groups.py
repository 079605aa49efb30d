"""The rows of predictions by group, and their sums by cell of the factors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from magnet_arrow._numpy import numpy
from magnet_arrow.statistics.calibration import Calibration, calibrate
from magnet_arrow.statistics.fold_correlations import FoldCorrelation, fold_correlation
from magnet_arrow.statistics.intervals import MIN_LEVELS, Clusters, Interval, clusters_of, renumbered
from magnet_arrow.statistics.prediction_rows import (
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
    from magnet_arrow._numpy import Codes, Floats

NO_FACTOR = (
    "the predictions do not say of which models, items or scenarios they are, or are all of one; over=… names factors"
)
_COUNTED = {"clipped": CLIPPED, "n_crps": HAS_CRPS, "n_wis": HAS_WIS, "n_interval": HAS_ENDS}


@dataclass(eq=False)
class _Rows:
    """The rows of all groups.

    Attributes:
        frame: of `loss_rows`.
        groups: the number of the group of each row.
        codes: for each factor the level of each row.
        folds: the fold of each row; None if there are no folds.
        cells: the cell of each row, numbered group by group. Rows of a cell agree in group and factors.
        examples: a row of each cell.
        why: why there are no intervals.
    """

    frame: pl.DataFrame
    groups: "Codes"
    codes: "Sequence[Codes]"
    folds: "Codes | None"
    cells: "Codes"
    examples: "Codes"
    why: str | None
    _sums: "dict[str, Floats]" = field(default_factory=dict)
    _ranks: "tuple[Floats, Floats] | None" = None

    def column(self, name: str) -> "Floats":
        """A column of ours."""
        values: Floats = self.frame.get_column(name).to_numpy()
        return values

    def sums(self, name: str) -> "Floats":
        """The sum of a column for each cell. NumPy adds in the order of rows; Polars in one that changes."""
        if name not in self._sums:
            self._sums[name] = numpy().bincount(self.cells, weights=self.column(name))
        return self._sums[name]

    def ranks(self) -> "tuple[Floats, Floats]":
        """Ranks of truths and predictions among the scored rows of each group and fold; NaN for other rows."""
        if self._ranks is None:
            keys = pl.DataFrame({"group": self.groups, "fold": self.folds})
            values = self.frame.select(pl.when(pl.col(SCORED) == 1).then(pl.col(name)) for name in (ACTUAL, PREDICTED))
            values.columns = ["actual", "predicted"]
            ranked = keys.hstack(values).select(pl.col("actual", "predicted").rank("average").over("group", "fold"))
            first, second = (column.fill_null(float("nan")).to_numpy() for column in ranked)
            self._ranks = first, second
        return self._ranks


@dataclass(eq=False)
class Group:
    """The predictions of one group.

    Attributes:
        rows: which rows of all they are.
    """

    rows: "Codes"
    _all: _Rows
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
        return float(self._all.sums(name)[self._cells].sum()) if name in self._all.frame.columns else 0.0

    def sums(self, names: Sequence[str], has: str) -> "Floats":
        """Sums of columns, for each cell in which `has` is not 0."""
        there = self._all.sums(has)[self._cells] > 0
        found: Floats = numpy().stack([self._all.sums(name)[self._cells][there] for name in names], axis=1)
        return found

    def clusters(self, has: str) -> Clusters:
        """The factors of these cells."""
        if has not in self._clusters:
            there = self._all.sums(has)[self._cells] > 0
            examples = self._all.examples[self._cells][there]
            self._clusters[has] = clusters_of([code[examples] for code in self._all.codes], len(examples))
        return self._clusters[has]

    def scored(self) -> "tuple[Floats, Floats]":
        """Truths and predictions of the scored rows."""
        there = self._scored_rows()
        return self._all.column(ACTUAL)[there], self._all.column(PREDICTED)[there]

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
        folds = renumbered(all_folds[there])
        actual, predicted = (column[there] for column in self._all.ranks()) if ranks else self.scored()
        clusters = clusters_of([code[there] for code in self._all.codes], len(there))
        return fold_correlation(predicted, actual, folds, clusters, level)

    def count_of(self, name: str, level: float | None) -> int | None:
        """A count that belongs to a score; null if the score cannot be computed for want of folds."""
        if name in _COUNTED:
            return round(self.total(_COUNTED[name]))
        if self._all.folds is None:
            return None
        if name == "folds":
            return int(renumbered(self._all.folds[self.rows]).max()) + 1
        found = self.correlation(level, ranks=name.startswith("rank_"))
        assert found is not None
        return found.n_perfect if name.endswith("_perfect") else found.n_folds

    def _scored_rows(self) -> "Codes":
        there: Codes = self.rows[self._all.column(SCORED)[self.rows] > 0]
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
    chosen = _factors(rows, columns) if factors is None else factors
    why = NO_FACTOR if factors is None and not chosen else None
    codes = [_numbered(rows, (name,))[1] for name in chosen]
    folds = _numbered(rows, columns.fold)[1] if "fold" in columns.fold else None
    order = np.argsort(groups, kind="stable")
    if factors == ():  # each row is a cell of its own
        cells = np.empty_like(order)
        cells[order] = np.arange(len(order))
    else:
        cells = _cells(groups, codes)
    examples = np.empty(int(cells.max()) + 1, dtype=np.int64)
    examples[cells] = np.arange(len(cells))
    everything = _Rows(rows, groups, codes, folds, cells, examples, why)
    numbers = np.arange(len(keys) + 1)
    ends, cell_ends = np.searchsorted(groups[order], numbers), np.searchsorted(groups[examples], numbers)
    return keys, [
        Group(order[ends[number] : ends[number + 1]], everything, slice(cell_ends[number], cell_ends[number + 1]))
        for number in range(len(keys))
    ]


def _cells(groups: "Codes", codes: "Sequence[Codes]") -> "Codes":
    combined = groups
    for code in codes:
        combined = combined * (int(code.max()) + 1) + code
    return renumbered(combined)


def _factors(rows: pl.DataFrame, columns: Columns) -> tuple[str, ...]:
    """Models and items, of which there is more than one; for want of items scenarios, if there are enough."""
    levels = {name: rows.get_column(name).n_unique() for name in columns.over}
    least = {"item": 2, "scenario": MIN_LEVELS}
    second = next((name for name in least if levels.get(name, 0) >= least[name]), None)
    return tuple(name for name in ("model", second) if name is not None and levels.get(name, 0) > 1)


def _numbered(rows: pl.DataFrame, columns: Sequence[str]) -> "tuple[pl.DataFrame, Codes]":
    """The different values of columns, in order with null last, and the number of each row's."""
    if not columns:
        return pl.DataFrame(height=1), numpy().zeros(rows.height, dtype="int64")
    keys = rows.select(columns).unique().sort(columns, nulls_last=True)
    numbered = keys.with_row_index(" number")
    found = rows.select(columns).join(numbered, on=list(columns), how="left", nulls_equal=True, maintain_order="left")
    return keys, found.get_column(" number").to_numpy().astype("int64")
