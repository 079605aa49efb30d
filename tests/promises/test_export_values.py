"""What other tools read is what HELM wrote: every export read back by each of them, against plain `json`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st
from large_dumps import dump_params
from makedump import make_run, write_run
from reading import cached_places, read
from reference import ARGS, STATE, TABLES, Row, compare, tables
from strategies import runs

from magnet_arrow.cache import Cache
from magnet_arrow.export.parquet import export_tables, table_handle
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion.api import ingest

EXTRA = f"{STATE}.instance.extra_data"
KEY = ["magnet.run", "magnet.row"]
HIDDEN = [*KEY, "magnet.entry", "magnet.extra"]


def by_duckdb(folder: Path) -> pl.DataFrame:
    """Columns by their place: DuckDB renames those whose names differ in case alone."""
    found = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = false)")
    rows = pl.DataFrame(found.to_arrow_table())
    return rows.rename(dict(zip(rows.columns, ds.dataset(folder, format="parquet").schema.names, strict=True)))


def by_pandas(folder: Path) -> pl.DataFrame:
    frame = pd.read_parquet(folder, dtype_backend="pyarrow", partitioning=None)
    return pl.DataFrame(pa.Table.from_pandas(frame, preserve_index=False))


def by_polars(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "**" / "*.parquet", hive_partitioning=False)


def by_pyarrow(folder: Path) -> pl.DataFrame:
    return pl.DataFrame(ds.dataset(folder, format="parquet").to_table())


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "DuckDB": by_duckdb,
    "pandas": by_pandas,
    "Polars": by_polars,
    "PyArrow": by_pyarrow,
}


def source_rows(source: Path | Sequence[Path], cache: Path) -> dict[str, list[Row]]:
    """By table, what the cached runs' JSON says, in order of `magnet.run`."""
    snapshot = Cache(cache).snapshot()
    places = sorted(cached_places(source, cache), key=lambda place: snapshot.key_of(place) or "")
    of_runs = [tables(place.path) for place in places]
    return {table: [row for run in of_runs for row in run[table]] for table in TABLES}


@pytest.fixture(scope="module")
def demo_cache(demo_outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    assert ingest(demo_outputs, cache).rejected == ()
    return cache


def made_runs() -> list[Any]:
    """Columns that no two runs have of one type, names that differ in case alone, lists, and odd texts."""
    return [
        make_run(
            "a",
            args={"v": 1, "none": None, "empty": [], "A": "upper", "a": "lower", "é.ü": [True], "text": '"\x00\n🦉'},
            extra_data=[{"x": [1, 2], "many": {str(key): key for key in range(20)}}, {}],
        ),
        make_run("b", args={"v": 0.5, "w": "1", "list": ["x", "é"], "nan": float("nan")}, extra_data=[{"x": [0.5]}]),
        make_run("c", args={"v": 2**53, "w": 1, "a": None, "list": [], "nan": float("-inf")}, extra_data=["text"]),
        make_run("d", args={"V": True, "a": {"b": {"c": {"d": {"e": [1]}}}}, "w": 2**70}, n_instances=0),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Outputs and cache: two segments, in the first a run that has changed since and so is dead there."""
    folder = tmp_path_factory.mktemp("made")
    outputs, cache = folder / "outputs", folder / "a=[b]*'"
    first, second, *others = made_runs()
    dead = write_run(outputs, make_run("b", args={"v": "not a number", "list": 1, "gone": 1}))
    write_run(outputs, first)
    ingest(outputs, cache)
    for file in dead.iterdir():
        file.unlink()
    dead.rmdir()
    for run in (second, *others):
        write_run(outputs, run)
    assert ingest(outputs, cache).rejected == ()
    assert len(Cache(cache).snapshot().manifest.segments) == 2
    return outputs, cache


@pytest.fixture(scope="module")
def demo_rows(demo_outputs: Path, demo_cache: Path) -> dict[str, list[Row]]:
    return source_rows(demo_outputs, demo_cache)


@pytest.fixture(
    scope="module",
    params=[None, *(pytest.param(name, marks=pytest.mark.slow) for name in ("run_spec.name", "stats.name.name"))],
    ids=str,
)
def exported_demo(request: pytest.FixtureRequest, demo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export, with each way of partitioning."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    export_tables(Cache(demo_cache), folder, partition_by=request.param)
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_an_export_of_the_demo_equals_its_source(
    reader: str, exported_demo: Path, demo_rows: dict[str, list[Row]]
) -> None:
    for table, rows in demo_rows.items():
        found = READERS[reader](exported_demo / table).sort(KEY)
        assert found.select(KEY).is_unique().all()
        assert compare(rows, found.drop(HIDDEN, strict=False)) == [], table


@pytest.mark.parametrize("reader", READERS)
def test_an_export_of_odd_runs_equals_their_source(reader: str, made: tuple[Path, Path], tmp_path: Path) -> None:
    outputs, cache = made
    export_tables(Cache(cache), tmp_path / "out")
    for table, rows in source_rows(outputs, cache).items():
        found = READERS[reader](tmp_path / "out" / table).sort(KEY)
        assert compare(rows, found.drop(HIDDEN, strict=False)) == [], table


@pytest.mark.parametrize("table", TABLES)
def test_an_export_holds_what_the_frames_hold(table: str, made: tuple[Path, Path], tmp_path: Path) -> None:
    """The hidden columns too; a column without a type is text in the export."""
    outputs, cache = made
    export_tables(Cache(cache), tmp_path / "out", tables=[table])
    frame = read(find_runs(outputs).places, table, cache, hidden=True).sort(KEY)
    found = by_polars(tmp_path / "out" / table).sort(KEY)
    changed = {name for name in frame.columns if frame.schema[name] != found.schema[name]}
    assert changed <= {f"{ARGS}.none", f"{ARGS}.empty", f"{ARGS}.a"}
    assert found.cast({name: frame.schema[name] for name in changed}).equals(frame)


STREAMS: dict[str, Callable[[Any], pl.DataFrame]] = {
    "DuckDB": lambda table: pl.DataFrame(duckdb.connect().register("t", table).sql("FROM t").to_arrow_table()),
    "Polars": pl.DataFrame,
    "PyArrow": lambda table: pl.DataFrame(pa.RecordBatchReader.from_stream(table).read_all()),
}


@pytest.mark.parametrize("consumer", STREAMS)
@pytest.mark.parametrize("table", TABLES)
def test_a_stream_equals_its_source(consumer: str, table: str, made: tuple[Path, Path]) -> None:
    outputs, cache = made
    handle = table_handle(Cache(cache).snapshot(), table)
    found = STREAMS[consumer](handle)
    found = found.rename(dict(zip(found.columns, handle.schema.names, strict=True))).sort(KEY)
    assert compare(source_rows(outputs, cache)[table], found.drop(HIDDEN, strict=False)) == []


def view_rows(cache: Path, tables: Sequence[str] = TABLES) -> dict[str, pl.DataFrame]:
    """By table, the rows of its view in order, under the names of the frame's columns."""
    with duckdb.connect() as connection:
        columns = Cache(cache).to_duckdb(connection)
        found = {}
        for table in tables:
            rows = pl.DataFrame(
                connection.sql(f"SELECT * FROM {table} ORDER BY magnet_run, magnet_row").to_arrow_table()
            )
            names = columns.filter(pl.col("table") == table)
            assert rows.columns == names["sql_name"].to_list()
            assert [name.lower() for name in rows.columns] == rows.columns
            found[table] = rows.rename(dict(zip(rows.columns, names["column"], strict=True)))
        return found


def without_absent(view: pl.DataFrame, rows: list[Row]) -> pl.DataFrame:
    """Without the registered columns that no row has; in a view they are all there, and null."""
    present = {"run_spec.name", *(name for row in rows for name in row)}
    absent = [name for name in view.columns if name not in present]
    assert view.select(absent).drop(HIDDEN, strict=False).null_count().sum_horizontal().sum() == len(view) * len(
        [name for name in absent if name not in HIDDEN]
    )
    return view.drop(absent)


def assert_views_equal_source(source: Path | Sequence[Path], cache: Path) -> None:
    expected = source_rows(source, cache)
    for table, view in view_rows(cache).items():
        assert compare(expected[table], without_absent(view, expected[table])) == [], table


def test_views_of_the_demo_equal_its_source(demo_outputs: Path, demo_cache: Path) -> None:
    assert_views_equal_source(demo_outputs, demo_cache)


def test_views_of_odd_runs_equal_their_source(made: tuple[Path, Path]) -> None:
    assert_views_equal_source(*made)


@pytest.mark.slow
@given(data=st.data())
def test_views_of_any_runs_equal_their_source(data: st.DataObject, tmp_path: Path) -> None:
    folder = Path(mkdtemp(dir=tmp_path))
    for number in range(data.draw(st.integers(1, 3))):
        write_run(folder / "outputs", data.draw(runs(f"r{number}")))
        assert ingest(folder / "outputs", folder / "cache").rejected == ()
    assert_views_equal_source(folder / "outputs", folder / "cache")


@pytest.mark.shared
@pytest.mark.parametrize("name", dump_params(["mmlu", "classic", "bbq"]))
def test_views_and_an_export_of_a_dump_equal_its_source(
    name: str, shared_dumps: Callable[[str], Path], tmp_path: Path
) -> None:
    ingest(shared_dumps(name), tmp_path / "cache")
    export_tables(Cache(tmp_path / "cache"), tmp_path / "out")
    expected = source_rows(shared_dumps(name), tmp_path / "cache")
    views = view_rows(tmp_path / "cache")
    for table, rows in expected.items():
        assert compare(rows, without_absent(views[table], rows)) == []
        assert compare(rows, by_duckdb(tmp_path / "out" / table).sort(KEY).drop(HIDDEN, strict=False)) == []
