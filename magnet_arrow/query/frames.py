"""The four frames of chosen runs, out of one snapshot of a cache."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from magnet_arrow.errors import ColumnNotFoundError, warn
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.query.not_ingested import not_ingested_text
from magnet_arrow.query.polars_types import frame_schema
from magnet_arrow.query.projection import Columns, projected_columns
from magnet_arrow.query.scan_runs import OwnColumns, Selection, select_runs
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import Table
from magnet_arrow.storage.snapshot import Snapshot


def registered_types(table: Table) -> pl.Schema:
    """The columns of a table's full schema, with the types that they have in a frame."""
    return frame_schema(projected_columns(table, (), "registered"))


def table_of_runs(name: str) -> Table:
    """The table of this name, if runs have it.

    Raises:
        ColumnNotFoundError: there is none, or it is one of suites.
    """
    table = registry.table(name)
    if table.of != "run":
        raise ColumnNotFoundError(
            f"{name} is a table of suites: runs have no rows in it.",
            hint=f'runs.cache.scan("{name}") has those of all suites in the cache, ingest(…) brings them there.',
        )
    return table


class Frames:
    """The four frames of anything that can scan a table."""

    __slots__ = ()

    def scan(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> pl.LazyFrame:
        """The rows of one table of runs, lazily, such as `run_spec`, `scenario_state`, `stats`, `per_instance_stats`.

        Rows: runs as given, then file order.
        Columns: `run_spec.name` first. "occurring" gives those that the runs have, "registered" every column
        of the table's schema, a list just its own: any registered name, null where it does not occur. Where runs have
        equal names, "occurring" has `magnet.suite` behind the name, and `magnet.source` and `magnet.folder` if these
        are needed to tell the runs apart; a list may name them. With `key`, `magnet.run` is the last: on it frames of
        the same cache join, whatever the runs are called.
        """
        raise NotImplementedError

    def table(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> TableHandle:
        """The rows and columns of `scan` for any reader of Arrow: PyArrow, DuckDB, Polars, pandas.

        They are read in batches of bounded size, as often as a consumer asks.
        """
        raise NotImplementedError

    def run_spec(self, *, columns: Columns = "occurring", key: bool = False) -> pl.DataFrame:
        """What was run, one row per run; columns in the order of HELM's JSON."""
        return self.scan("run_spec", columns=columns, key=key).collect()

    def scenario_state(self, *, columns: Columns = "occurring", key: bool = False) -> pl.DataFrame:
        """The requests and their results, one row per request state."""
        return self.scan("scenario_state", columns=columns, key=key).collect()

    def stats(self, *, columns: Columns = "occurring", key: bool = False) -> pl.DataFrame:
        """Aggregated statistics, one row per stat. No columns are a key, as names may repeat."""
        return self.scan("stats", columns=columns, key=key).collect()

    def per_instance_stats(self, *, columns: Columns = "occurring", key: bool = False) -> pl.DataFrame:
        """Statistics of single instances, one row per instance and stat."""
        return self.scan("per_instance_stats", columns=columns, key=key).collect()


@dataclass(frozen=True, slots=True)
class CachedRuns(Frames):
    """Runs in one snapshot of a cache: frames of it are of one commit, whatever is ingested meanwhile.

    Attributes:
        snapshot: the commit that is read.
        keys: `magnet.run` of each run, in order.
        telling: columns that default frames show to tell runs apart; None for those that are needed for these runs.
    """

    snapshot: Snapshot
    keys: tuple[str, ...]
    telling: tuple[str, ...] | None = None

    def scan(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> pl.LazyFrame:
        """The rows of one table, lazily; see `Frames.scan`."""
        return self._selected(table, columns, key=key).lazy()

    def table(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> TableHandle:
        """The rows of one table as an Arrow stream; see `Frames.table`."""
        return TableHandle(self._selected(table, columns, key=key))

    def _selected(self, table: str, columns: Columns = "occurring", *, key: bool = False) -> Selection:
        name = table_of_runs(table).name
        own: OwnColumns = "run" if key else "none"
        chosen = select_runs(self.snapshot, name, self.keys, columns, own=own, telling=self.telling)
        if text := not_ingested_text([name], chosen.runs):
            warn(text)
        return chosen

    def json_columns(self, table: str) -> frozenset[str]:
        """Columns of default frames whose texts are JSON, as their values are of several kinds."""
        return self._selected(table).json_columns

    def take(self, indices: Iterable[int]) -> "CachedRuns":
        """Those runs, in that order."""
        return CachedRuns(self.snapshot, tuple(self.keys[index] for index in indices), self.telling)
