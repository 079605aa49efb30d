"""The rows of chosen runs as an Arrow stream, for PyArrow, DuckDB, Polars, pandas and other readers of Arrow."""

from collections.abc import Iterator

import pyarrow as pa

from magnet_arrow.query.scan_runs import Selection
from magnet_arrow.schema.registry import Table


class TableHandle:
    """Rows of one table, for any reader of Arrow: `pa.table(x)`, `pl.DataFrame(x)`, `con.register("x", x)`.

    Nothing is read before a consumer asks, and then in batches of bounded size, page checksums verified. It can be
    read any number of times; all of them see the same commit of the cache.

    >>> import pyarrow as pa
    >>> from magnet_arrow import HelmOutputs
    >>> stats = HelmOutputs.demo().suites("my-suite").runs().table("stats")
    >>> stats.n_rows, pa.RecordBatchReader.from_stream(stats).read_all().num_rows
    (356, 356)
    """

    __slots__ = ("_chosen",)

    def __init__(self, chosen: Selection) -> None:
        self._chosen = chosen

    @property
    def table(self) -> Table:
        """The registry's entry of the table."""
        return self._chosen.table

    @property
    def n_rows(self) -> int:
        """How many rows there are; known without reading them."""
        return self._chosen.n_rows

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, as in a frame."""
        return self._chosen.schema()

    def reader(self) -> pa.RecordBatchReader:
        """The rows, once, batch by batch.

        Raises while it is read:
            CacheDamagedError: a file of the cache is missing, cut, or has a flipped bit.
        """
        return pa.RecordBatchReader.from_batches(self.schema, _batches(self._chosen))

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<TableHandle {self.table.name}: {self.n_rows:,} rows, {len(self.schema):,} columns>"


def _batches(chosen: Selection) -> Iterator[pa.RecordBatch]:
    for part in chosen.parts():
        # A part has one chunk per run; batches of single small runs would cost more than this copy.
        yield from part.combine_chunks().to_batches()
