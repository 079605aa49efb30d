"""Which row groups are read for runs in any order, and where their rows are then."""

from itertools import pairwise

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from magnet_arrow.query import row_places
from magnet_arrow.storage.manifest import FileEntry, RunEntry, Segment, StoredRows, TableEntry
from magnet_arrow.storage.snapshot import CachedRun

GROUPS = {"s0": [4, 3, 5], "s1": [6]}
SEGMENTS = {
    name: Segment(name, {"stats": TableEntry(FileEntry("", 1000, ""), sum(rows), {})}, FileEntry("", 0, ""), 0)
    for name, rows in GROUPS.items()
}
# Of the first segment, `long` has rows in all groups.
PLACES = {
    "a": ("s0", StoredRows(1, 0, 1, 0, 0)),
    "b": ("s0", StoredRows(2, 0, 1, 1, 0)),
    "long": ("s0", StoredRows(6, 0, 3, 3, 0)),
    "c": ("s0", StoredRows(3, 2, 1, 2, 0)),
    "d": ("s1", StoredRows(4, 0, 1, 0, 0)),
    "e": ("s1", StoredRows(2, 0, 1, 4, 0)),
}
RUNS = {
    name: CachedRun(RunEntry("x", "v1", name, name, (), {"stats": stored}), SEGMENTS[segment], (), {})
    for name, (segment, stored) in PLACES.items()
}
RUNS["none"] = CachedRun(RunEntry("x", "v1", "none", "none", (), {}), SEGMENTS["s1"], (), {})
Row = tuple[str, int, int]
ROWS: dict[str, list[Row]] = {
    "a": [("s0", 0, 0)],
    "b": [("s0", 0, 1), ("s0", 0, 2)],
    "long": [("s0", 0, 3), ("s0", 1, 0), ("s0", 1, 1), ("s0", 1, 2), ("s0", 2, 0), ("s0", 2, 1)],
    "c": [("s0", 2, 2), ("s0", 2, 3), ("s0", 2, 4)],
    "d": [("s1", 0, row) for row in range(4)],
    "e": [("s1", 0, 4), ("s1", 0, 5)],
    "none": [],
}


def visits(names: list[str]) -> list[row_places.Visit]:
    runs = [RUNS[name] for name in names]
    return list(row_places.visits(runs, "stats", lambda segment, group: GROUPS[segment.id][group]))


def rows_of(visit: row_places.Visit) -> list[Row]:
    found = [(*visit.key, row) for begin, end in visit.places for row in range(begin, end)]
    assert len(found) == visit.n_rows
    return found


@given(st.lists(st.sampled_from(sorted(RUNS))), st.integers(1, 30), st.integers(1, 3000))
def test_rows_are_those_of_the_runs_in_their_order(names: list[str], max_rows: int, max_bytes: int) -> None:
    expected = [row for name in names for row in ROWS[name]]
    found = visits(names)
    assert [row for visit in found for row in rows_of(visit)] == expected
    for one, other in pairwise(found):
        assert one.key != other.key, "a row group is visited once for neighbours"
    ordered: list[Row] = []
    for window in row_places.windows(found, max_rows, max_bytes, "stats"):
        merged, order = row_places.merged(window)
        assert len({visit.key for visit in merged}) == len(merged)
        rows = [row for visit in merged for row in rows_of(visit)]
        ordered += rows if order is None else [rows[number] for number in order]
    assert ordered == expected


def test_neighbours_have_one_place() -> None:
    assert [visit.places for visit in visits(["a", "b", "long", "c", "d", "e"])] == [
        [(0, 4)],
        [(0, 3)],
        [(0, 5)],
        [(0, 6)],
    ]
    assert [visit.places for visit in visits(["b", "a", "e"])] == [[(1, 3), (0, 1)], [(4, 6)]]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=40))
def test_rows_are_taken_in_their_order(given: list[tuple[int, int]]) -> None:
    places = [(begin, min(10, begin + rows)) for begin, rows in given]
    visit = row_places.Visit(SEGMENTS["s0"], 0, places, sum(end - begin for begin, end in places))
    found = row_places.take(pa.table({"n": range(10)}), visit)
    assert found["n"].to_pylist() == [row for begin, end in places for row in range(begin, end)]
