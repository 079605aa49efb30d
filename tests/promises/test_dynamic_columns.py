"""The type of a column that data decide: a matter of the chosen runs' values, not of how they are stored."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from makedump import Run, make_run, write_run
from reading import read
from reference import ARGS, STATE, TABLES, compare, tables
from strategies import integers, runs, scalars, texts

from magnet_arrow.cache import Cache
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion.api import ingest

EXTRA = f"{STATE}.instance.extra_data"
ABSENT = object()

INTEGERS = st.integers(-5, 5) | st.sampled_from((2**53 - 1, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**63 - 1))
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "integers": INTEGERS,
    "small integers": st.integers(-5, 5),
    "huge integers": integers(),
    "floats": st.floats(allow_nan=False, allow_infinity=False),
    "truth values": st.booleans(),
    "texts": texts() | st.sampled_from(("1", "true", "null")),
    "nulls": st.none(),
    "nothing": st.just(ABSENT),
    "lists of integers": st.lists(INTEGERS, max_size=2),
    "lists of floats": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    "lists of texts": st.lists(texts(), max_size=2),
    "lists of anything": st.lists(scalars(), max_size=3),
    "lists of lists": st.lists(st.lists(st.integers(), max_size=2), max_size=2),
    "objects": st.dictionaries(st.sampled_from("xy"), st.integers(-5, 5), max_size=2),
}


@st.composite
def values_by_run(draw: st.DrawFn) -> list[list[Any]]:
    """For one to five runs two values each, all of one kind or, rarely, of two."""
    by_run = []
    for _ in range(draw(st.integers(1, 5))):
        kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2))
        by_run.append([draw(KINDS[kinds[0]]), draw(KINDS[kinds[-1]])])
    return by_run


DYNAMIC = ("run_spec", "scenario_state")
"""Tables that have the values of `run_of`."""


def run_of(name: str, values: Sequence[Any], key: str = "v") -> Run:
    """A run that has the first value as a scenario argument, each as an instance's extra data."""
    extra = [{} if value is ABSENT else {key: value} for value in values]
    return make_run(name, args={"subject": "tides"} | extra[0], extra_data=extra, n_instances=len(values))


def ingest_in_parts(folders: Sequence[Path], parts: Sequence[int], cache: Path) -> None:
    """One ingest for each part number, of the runs that bear it: as many segments as there are parts."""
    for part in sorted(set(parts)):
        chosen = [folder for folder, own in zip(folders, parts, strict=True) if own == part]
        report = ingest(chosen, cache)
        assert report.rejected == ()


def assert_frames_equal_source(folders: Sequence[Path], cache: Path, of: Sequence[str] = TABLES) -> None:
    places = [place for folder in folders for place in find_runs(folder).places]
    for table in of:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, cache)) == [], table


def assert_scan_equals_frames(folders: Sequence[Path], cache: Path) -> None:
    """`Cache.scan` has the same rows; the folders are all that is cached."""
    places = [place for folder in folders for place in find_runs(folder).places]
    for table in DYNAMIC:
        frame = read(places, table, cache, hidden=True)
        scanned = Cache(cache).scan(table).select(frame.columns).collect()
        place = ["magnet.run", "magnet.row"]
        assert scanned.sort(place).equals(frame.sort(place)), table


@pytest.mark.slow
@given(data=st.data(), by_run=values_by_run())
def test_frames_of_any_runs_have_the_type_that_their_values_call_for(
    data: st.DataObject, by_run: list[list[Any]], tmp_path: Path
) -> None:
    work = Path(mkdtemp(dir=tmp_path))
    folders = [write_run(work, run_of(f"r:{number}", values)) for number, values in enumerate(by_run)]
    parts = data.draw(st.lists(st.integers(0, 2), min_size=len(folders), max_size=len(folders)), label="parts")
    event(f"{len(set(parts))} segments")
    ingest_in_parts(folders, parts, work / "cache")
    assert_frames_equal_source(folders, work / "cache", DYNAMIC)
    assert_scan_equals_frames(folders, work / "cache")
    chosen = data.draw(st.lists(st.sampled_from(folders), unique=True, min_size=1), label="chosen")
    assert_frames_equal_source(chosen, work / "cache", DYNAMIC)


@given(data=st.data())
def test_generated_runs_equal_their_source(data: st.DataObject, tmp_path: Path) -> None:
    work = Path(mkdtemp(dir=tmp_path))
    n_runs = data.draw(st.integers(1, 3), label="runs")
    folders = [write_run(work, data.draw(runs(f"r:{number}"))) for number in range(n_runs)]
    parts = data.draw(st.lists(st.integers(0, 1), min_size=n_runs, max_size=n_runs), label="parts")
    ingest_in_parts(folders, parts, work / "cache")
    assert_frames_equal_source(folders, work / "cache")


def test_every_row_of_an_entry_has_its_perturbation(tmp_path: Path) -> None:
    """Parameters that no perturbation of HELM's has stand beside each stat of the entry, as the known ones do."""
    run = make_run("r")
    for entry, strength in zip(run["per_instance_stats"], ("low", "high"), strict=True):
        entry["perturbation"] = {"name": "made", "prob": 0.5, "strength": strength}
    folder = write_run(tmp_path, run)
    ingest(folder, tmp_path / "cache")
    found = read(find_runs(folder).places, "per_instance_stats", tmp_path / "cache")
    assert found["per_instance_stats.perturbation.strength"].to_list() == ["low", "low", "high", "high"]


TYPES: dict[str, tuple[list[list[Any]], pl.DataType | type[pl.DataType], list[Any]]] = {
    "integers": ([[1], [2]], pl.Int64, [1, 2]),
    "integers and floats": ([[1], [0.5]], pl.Float64, [1.0, 0.5]),
    "2^53 and a float": ([[2**53], [0.5]], pl.Float64, [2.0**53, 0.5]),
    "2^53+1 and a float": ([[2**53 + 1], [0.5]], pl.String, [str(2**53 + 1), "0.5"]),
    "-2^53-1 and a float": ([[-(2**53) - 1], [1.0]], pl.String, [str(-(2**53) - 1), "1.0"]),
    "2^53+1 among integers": ([[2**53 + 1], [1]], pl.Int64, [2**53 + 1, 1]),
    "2^63": ([[2**63], [1]], pl.String, [str(2**63), "1"]),
    "true, 1 and a text": ([[True], [1], ["1"]], pl.String, ["true", "1", '"1"']),
    "texts": ([["a"], ["1"]], pl.String, ["a", "1"]),
    "truth values": ([[True], [False]], pl.Boolean, [True, False]),
    "a null between integers": ([[1], [None], [2]], pl.Int64, [1, None, 2]),
    "nothing between integers": ([[1], [ABSENT], [2]], pl.Int64, [1, None, 2]),
    "lists of integers": ([[[1]], [[2, 3]]], pl.List(pl.Int64), [[1], [2, 3]]),
    "lists of integers and floats": ([[[1]], [[0.5]]], pl.String, ["[1]", "[0.5]"]),
    "integers and floats in one list": ([[[1, 0.5]]], pl.String, ["[1,0.5]"]),
    "empty lists": ([[[]], [[]]], pl.List(pl.Null), [[], []]),
    "an empty list beside texts": ([[["a"]], [[]]], pl.List(pl.String), [["a"], []]),
    "lists of two kinds": ([[[True]], [[1]]], pl.String, ["[true]", "[1]"]),
    "a list and a number": ([[[1]], [1]], pl.String, ["[1]", "1"]),
}
"""The values of the runs, one each, and the type and the cells of the column that all of them together have."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(True, id="one segment", marks=pytest.mark.slow), pytest.param(False, id="a segment each")],
)
def typed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dump with the runs of all cases, and a cache of it. The values of each case have a name of their own."""
    folder = tmp_path_factory.mktemp("typed")
    folders, parts = [], []
    for case, (by_run, *_) in enumerate(TYPES.values()):
        for number, values in enumerate(by_run):
            folders.append(write_run(folder / "outputs", run_of(f"r:{case}-{number}", values, key=f"v{case}")))
            parts.append(0 if request.param else number)
    ingest_in_parts(folders, parts, folder / "cache")
    assert_scan_equals_frames(folders, folder / "cache")
    return folder / "outputs", folder / "cache"


@pytest.mark.parametrize("case", TYPES)
def test_the_type_of_an_argument(case: str, typed: tuple[Path, Path]) -> None:
    outputs, cache = typed
    by_run, dtype, cells = TYPES[case]
    key = list(TYPES).index(case)
    places = find_runs([outputs / "runs" / "made" / f"r:{key}-{number}" for number in range(len(by_run))]).places
    for table, column in (("run_spec", f"{ARGS}.v{key}"), ("scenario_state", f"{EXTRA}.v{key}")):
        found = read(places, table, cache)[column]
        assert found.dtype == dtype
        assert repr(found.to_list()) == repr(cells)


def test_a_run_alone_keeps_its_own_type_beside_runs_of_another(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, run_of(name, [value])) for name, value in (("a", 1), ("b", "1"), ("c", 0.5))]
    ingest(folders, tmp_path / "cache")
    frames = [read(find_runs(folder).places, "run_spec", tmp_path / "cache") for folder in folders]
    assert [frame.schema[f"{ARGS}.v"] for frame in frames] == [pl.Int64, pl.String, pl.Float64]
