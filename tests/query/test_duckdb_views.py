"""DuckDB's views over segments: names, types, and only the rows that count."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from makedump import make_run, write_runs
from makesegment import commit_runs, key_of

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheDamagedError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.schema.registry import TABLES
from magnet_arrow.storage.transaction import Transaction, commit_transaction

OWN = "stats_name_perturbation"


def query(cache: Path, sql: str) -> list[Any]:
    with duckdb.connect() as connection:
        Cache(cache).to_duckdb(connection)
        return connection.execute(sql).fetchall()


def test_an_empty_cache_has_every_view_without_rows(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        columns = Cache(tmp_path).to_duckdb(connection)
        for table in TABLES.values():
            found = connection.execute(f"SELECT * FROM {table.name}")
            assert [column[0] for column in found.description] == list(table.sql_names().values())
            assert found.fetchall() == []
    assert columns.columns == ["table", "column", "sql_name", "type"]
    assert columns.filter(pl.col("sql_name") == "run_spec_groups")["type"].to_list() == ["VARCHAR[]"]


def test_the_runs_are_a_view_that_joins(tmp_path: Path) -> None:
    """Of two sources that have suites and runs of the same names; one is partial, one has been rejected since."""
    for source in ("x", "y'z"):
        for suite in ("one", "two"):
            write_runs(tmp_path / source, [make_run("a:é"), make_run('b"')], suite=suite)
    (tmp_path / "x/runs/one/a:é/stats.json").unlink()
    ingest([tmp_path / "x", tmp_path / "y'z"], tmp_path / "cache", partial=True)
    (tmp_path / "x/runs/two/a:é/stats.json").write_text("{")
    ingest(tmp_path / "x", tmp_path / "cache")
    with duckdb.connect() as connection:
        columns = Cache(tmp_path / "cache").to_duckdb(connection)
        runs = connection.execute("SELECT * EXCLUDE magnet_run FROM runs ORDER BY source, suite, folder")
        names = [column[0] for column in runs.description]
        found = runs.fetchall()
        sql = "SELECT source, suite, count(*) FROM stats JOIN runs USING (magnet_run) GROUP BY ALL ORDER BY ALL"
        counts = connection.execute(sql).fetchall()
    assert names == ["source", "suite", "folder", "run_spec_name", "partial", "stale"]
    x, y = str(tmp_path / "x"), str(tmp_path / "y'z")
    assert found == [
        (
            source,
            suite,
            name,
            name,
            (source, suite, name) == (x, "one", "a:é"),
            (source, suite, name) == (x, "two", "a:é"),
        )
        for source in (x, y)
        for suite in ("one", "two")
        for name in ("a:é", 'b"')
    ]
    assert counts == [(x, "one", 2), (x, "two", 4), (y, "one", 4), (y, "two", 4)]
    own = columns.filter(pl.col("table") == "runs").select("column", "sql_name", "type").rows()
    assert own[0] == ("magnet.run", "magnet_run", "VARCHAR")
    assert own[4:6] == [("run_spec.name", "run_spec_name", "VARCHAR"), ("partial", "partial", "BOOLEAN")]


def test_the_view_of_runs_of_an_empty_cache_is_empty(tmp_path: Path) -> None:
    assert query(tmp_path, "SELECT source, partial FROM runs") == []


def test_names_need_no_quotes_and_case_does_not_matter(tmp_path: Path) -> None:
    write_runs(tmp_path / "outputs", [make_run("a", args={"Subject Area": "x", "k.1": 1, "ÄÖ": 2})])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    args = "run_spec_scenario_spec_args"
    sql = f"SELECT {args}_subject_area, {args}_k_1_, {args}_äö, Run_Spec_Name FROM RUN_SPEC"
    assert query(tmp_path / "cache", sql) == [("x", 1, 2, "a")]


def test_names_that_differ_in_case_alone_are_numbered(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [{"x": "small", "X": "large", "x_2": "other", "Name": "own"}]})
    commit_runs(tmp_path, {"b": [{"x": "small b", "X": "large b", "x_2": "other b", "Name": "own b"}]})
    sql = f"SELECT {OWN}_x, {OWN}_x_2, {OWN}_x_2_2, {OWN}_name, {OWN}_name_2 FROM stats ORDER BY magnet_run"
    expected = [(f"large{run}", f"small{run}", f"other{run}", None, f"own{run}") for run in ("", " b")]
    assert query(tmp_path, sql) == expected
    with duckdb.connect() as connection:
        columns = Cache(tmp_path).to_duckdb(connection).filter(pl.col("table") == "stats")
    numbered = dict(columns.select("column", "sql_name").iter_rows())
    assert numbered["stats.name.perturbation.x"] == f"{OWN}_x_2"


def test_segments_that_differ_in_columns_and_types_are_one_view(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [{"n": 1}]})
    commit_runs(tmp_path, {"b": [{"n": 0.5, "t": "x"}]})
    commit_runs(tmp_path, {"c": [3]}, {"d": []})
    sql = f"SELECT {OWN}_n, {OWN}_t, stats_mean FROM stats ORDER BY magnet_run"
    assert query(tmp_path, sql) == [(1.0, None, None), (0.5, "x", None), (None, None, 3.0)]


def test_one_segment_with_text_makes_all_cells_json(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", "1"), ("c", True), ("d", [1]), ("e", float("nan")), ("f", 'é"')):
        commit_runs(tmp_path, {folder: [{"n": value}]})
    cells = [cell for (cell,) in query(tmp_path, f"SELECT {OWN}_n FROM stats ORDER BY magnet_run")]
    assert cells == ["1", '"1"', "true", "[1]", "NaN", '"é\\""']


LIVE = [1, 0.5, True, "x", ["x"], [1], []]
DEAD = [1, "no", [True], [0.5, 1], {"a": 1}]


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Views of a cache with three runs for each pair of values, of columns of their own; each pair's first is dead."""
    folder = tmp_path_factory.mktemp("pruned")
    first, second = {}, {}
    for pair, (dead, live) in enumerate(product(DEAD, LIVE)):
        first |= {f"a{pair}": [{f"n{pair}": dead, f"m{pair}": 1}], f"b{pair}": [{f"n{pair}": live, f"m{pair}": 2}]}
        second[f"c{pair}"] = [{f"n{pair}": live, f"m{pair}": 3}]
    commit_runs(folder, first)
    commit_runs(folder, second)
    commit_transaction(folder, Transaction(pruned=[key_of(name) for name in first if name.startswith("a")]))
    with duckdb.connect() as connection:
        Cache(folder).to_duckdb(connection)
        yield connection


@pytest.mark.parametrize("live", range(len(LIVE)), ids=lambda place: repr(LIVE[place]))
@pytest.mark.parametrize("dead", range(len(DEAD)), ids=lambda place: repr(DEAD[place]))
def test_what_is_dead_has_no_say_in_types(dead: int, live: int, pruned: duckdb.DuckDBPyConnection) -> None:
    """Its values fit no other type; a filter that looks at them first must not fail either."""
    pair = dead * len(LIVE) + live
    own_n, own_m = f"{OWN}_n{pair}", f"{OWN}_m{pair}"
    sql = f"SELECT {own_n}, magnet_run FROM stats WHERE {own_n} IS NOT NULL OR {own_m} > 0 ORDER BY magnet_run"
    found = pruned.execute(sql).fetchall()
    assert found == [(LIVE[live], key_of(f"b{pair}")), (LIVE[live], key_of(f"c{pair}"))]


def test_what_an_older_cache_had_no_room_for_is_in_its_columns() -> None:
    """`data/cache_overflow` has it in the residual of its first segment."""
    cache = Path(__file__).parents[1] / "data" / "cache_overflow"
    sql = f"SELECT {OWN}_m, {OWN}_n, {OWN}_o_p_ FROM stats ORDER BY magnet_run, magnet_row"
    assert query(cache, sql) == [(1, 2, "x"), (3, 4, None), (None, None, None), (6, 7, "y")]


def test_views_show_the_cache_as_it_was_until_they_are_made_again(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    sql = "SELECT stats_mean FROM stats ORDER BY 1"
    with duckdb.connect() as connection:
        Cache(tmp_path).to_duckdb(connection)
        commit_runs(tmp_path, {"c": [3]})
        commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
        assert connection.execute(sql).fetchall() == [(1,), (2,)]
        Cache(tmp_path).to_duckdb(connection)
        assert connection.execute(sql).fetchall() == [(2,), (3,)]


def test_two_caches_in_two_schemas(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        for name, mean in (("one", 1), ("two", 2)):
            commit_runs(tmp_path / name, {"a": [mean]})
            connection.execute(f"CREATE SCHEMA {name}; USE {name}")
            Cache(tmp_path / name).to_duckdb(connection)
        sql = "SELECT o.stats_mean, t.stats_mean FROM one.stats o JOIN two.stats t USING (magnet_run)"
        assert connection.execute(sql).fetchall() == [(1, 2)]


def test_views_outlive_the_process_in_a_database_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commit_runs(Path("cache"), {"a": [1]})
    with duckdb.connect(tmp_path / "x.duckdb") as connection:
        Cache("cache").to_duckdb(connection)
    monkeypatch.chdir("/")
    with duckdb.connect(tmp_path / "x.duckdb") as connection:
        assert connection.execute("SELECT stats_mean FROM stats").fetchall() == [(1,)]


def test_a_damaged_footer_is_named(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1]})
    (path,) = (tmp_path / "stats").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CacheDamagedError, match=path.name):
        query(tmp_path, "SELECT 1")
