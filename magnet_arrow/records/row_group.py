"""A row group of one table: the columns of some runs' rows, and which run each row is of."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import pyarrow as pa

from magnet_arrow import _arrow_compute as pc
from magnet_arrow import _interning
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import Table


@dataclass(slots=True)
class RunRows:
    """Where one run's rows are in a batch, and what they have.

    Attributes:
        key: the run.
        first: its first row in the batch.
        rows: how many.
        occurs: bit set over the table's registered columns: those whose key occurs in a row, null or not.
        dynamic: kinds of value met in each dynamic column.
    """

    key: str
    first: int
    rows: int
    occurs: int = 0
    dynamic: dict[str, Kind] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """One row group.

    Attributes:
        table: whose rows it has.
        rows: how many.
        registered: columns by name, in the table's order.
        dynamic: columns by name that are found in the data.
        kinds: kinds of value met in each dynamic column.
        runs: whose rows they are, in order.
    """

    table: Table
    rows: int
    registered: dict[str, pa.Array]
    dynamic: dict[str, pa.Array]
    kinds: dict[str, Kind]
    runs: list[RunRows]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(column.nbytes for _, column in self.columns())

    def columns(self) -> Iterator[tuple[str, pa.Array]]:
        """All columns, by name."""
        return chain(self.registered.items(), self.dynamic.items())

    def parts(self, size_bytes: int) -> "Iterator[Batch]":
        """The rows in batches of at least one row, whose repeated lists have items of at most so many bytes."""
        sizes = [
            _interning.item_bytes(column) for _, column in self.columns() if _interning.is_interned_list(column.type)
        ]
        if sum(pc.sum(size).as_py() or 0 for size in sizes) <= size_bytes:
            yield self
            return
        begin, filled = 0, 0
        for row, size in enumerate(map(sum, zip(*(size.to_pylist() for size in sizes), strict=True))):
            if row > begin and filled + size > size_bytes:
                yield self._slice(begin, row)
                begin, filled = row, 0
            filled += size
        yield self._slice(begin, self.rows)

    def _slice(self, begin: int, end: int) -> "Batch":
        runs = []
        for run in self.runs:
            first, last = max(run.first, begin), min(run.first + run.rows, end)
            if first < last:
                runs.append(replace(run, first=first - begin, rows=last - first, dynamic=dict(run.dynamic)))
        registered = {name: column.slice(begin, end - begin) for name, column in self.registered.items()}
        dynamic = {name: column.slice(begin, end - begin) for name, column in self.dynamic.items()}
        return Batch(self.table, end - begin, registered, dynamic, self.kinds, runs)


def plain_columns(batch: Batch) -> dict[str, pa.Array]:
    """All columns of a batch in their registered or stored types, without dictionaries of ours."""
    return {name: _interning.dense(column) for name, column in batch.columns()}
