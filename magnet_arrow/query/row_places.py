"""Which row groups a frame reads for its runs, so that each is read as few times as possible."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
from msgspec import Struct

from magnet_arrow._interning import int64
from magnet_arrow.storage.manifest import Segment
from magnet_arrow.storage.snapshot import CachedRun

_MAX_SLICES = 16
"""Rows of a row group that are in more places than that are copied: a chunk costs more than a few rows do."""


class Visit(Struct, frozen=True):
    """Rows of one row group that are neighbours in a frame.

    Attributes:
        segment: which segment.
        group: which row group of its file.
        places: first row and the one behind the last, in the frame's order; one place for neighbours.
        n_rows: of all places.
    """

    segment: Segment
    group: int
    places: Sequence[tuple[int, int]]
    n_rows: int

    @property
    def key(self) -> tuple[str, int]:
        """Which row group it is."""
        return self.segment.id, self.group


def visits(runs: Iterable[CachedRun], table: str, group_rows: Callable[[Segment, int], int]) -> Iterator[Visit]:
    """The row groups that hold the rows of some runs, in order of the runs.

    Runs that are neighbours in a row group have one place: cutting the group at each run and joining the slices takes
    ten times as long as reading it.

    Args:
        runs: in order.
        table: which table.
        group_rows: tells how many rows a row group has; asked of runs alone that have several.
    """
    current: tuple[Segment, int] | None = None
    places: list[tuple[int, int]] = []
    begin = end = 0
    for run in runs:
        stored = run.rows(table)
        first, left = stored.skip, stored.rows
        for number in range(stored.group, stored.group + stored.groups):
            is_last = number == stored.group + stored.groups - 1
            rows = left if is_last else min(left, group_rows(run.segment, number) - first)
            if current is None or current[1] != number or current[0] is not run.segment:
                if current is not None:
                    yield _visit(current, [*places, (begin, end)])
                current, places, begin = (run.segment, number), [], first
            elif first != end:
                places.append((begin, end))
                begin = first
            end = first + rows
            first, left = 0, left - rows
    if current is not None:
        yield _visit(current, [*places, (begin, end)])


def _visit(current: tuple[Segment, int], places: Sequence[tuple[int, int]]) -> Visit:
    return Visit(*current, places, sum(end - begin for begin, end in places))


def windows(visits: Iterable[Visit], max_rows: int, max_bytes: float, table: str) -> Iterator[list[Visit]]:
    """Visits that may be put in order together.

    Args:
        visits: in order.
        max_rows: of a window; it goes on to the end of a visit.
        max_bytes: of it, as they are in the file.
        table: which table.
    """
    window: list[Visit] = []
    rows, size = 0, 0.0
    for visit in visits:
        window.append(visit)
        entry = visit.segment.tables[table]
        rows += visit.n_rows
        size += visit.n_rows * entry.file.size_bytes / max(1, entry.rows)
        if rows >= max_rows or size >= max_bytes:
            yield window
            window, rows, size = [], 0, 0.0
    if window:
        yield window


def merged(visits: Sequence[Visit]) -> tuple[list[Visit], list[int] | None]:
    """One visit for each row group, by segment and group, and the new place of each row.

    The visits as they are, and None, if no row group is visited twice.
    """
    if len({visit.key for visit in visits}) == len(visits):
        return list(visits), None
    by_group: dict[tuple[str, int], list[Visit]] = {}
    for visit in visits:
        by_group.setdefault(visit.key, []).append(visit)
    found, begins, n_rows = [], {}, 0
    for key in sorted(by_group):
        of_group = by_group[key]
        for visit in of_group:
            begins[id(visit)] = n_rows
            n_rows += visit.n_rows
        places = [place for visit in of_group for place in visit.places]
        found.append(Visit(of_group[0].segment, of_group[0].group, places, sum(visit.n_rows for visit in of_group)))
    order = [row for visit in visits for row in range(begins[id(visit)], begins[id(visit)] + visit.n_rows)]
    return found, order


def take(group: pa.Table, visit: Visit) -> pa.Table:
    """The rows of a visit out of its row group.

    Few of many rows are copied: a slice would keep all of them in memory.
    """
    if len(visit.places) > _MAX_SLICES or visit.n_rows * 2 < group.num_rows:
        return group.take(_row_numbers(visit))
    return pa.concat_tables([group.slice(begin, end - begin) for begin, end in visit.places])


def _row_numbers(visit: Visit) -> pa.Array:
    numbers = array("q")
    for begin, end in visit.places:
        numbers.extend(range(begin, end))
    return int64(numbers)
