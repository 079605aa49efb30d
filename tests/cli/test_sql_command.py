"""`sql`: what it gives is what plain loops over the JSON give; what is not a SELECT over the cache is refused."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from command_line import Ended, Run, rows
from makedump import make_run, write_runs
from makesegment import commit_runs, key_of

from magnet_arrow.cache import Cache
from magnet_arrow.cli.sql import output
from magnet_arrow.cli.sql.connection import Opening
from magnet_arrow.cli.sql.session import rows_of
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.storage.transaction import Transaction, commit_transaction

MEMORY = 1 << 30
OWN = "stats_name_perturbation"


@pytest.fixture(scope="module")
def demo(demo_outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the demo; not to be changed."""
    cache = tmp_path_factory.mktemp("sql") / "cache"
    ingest(demo_outputs, cache)
    return cache


@pytest.fixture
def sql(run: Run, demo: Path) -> Run:
    """Runs `sql` over the demo."""
    return lambda *args: run("sql", *args, "--cache", demo)


def answer(cache: Path, text: str) -> list[tuple[object, ...]]:
    with Opening(MEMORY) as opening:
        found = rows_of(text, cache, opening)
        return [tuple(row) for batch in found.batches for row in zip(*batch.to_pydict().values(), strict=True)]


def csv_rows(ended: Ended) -> list[list[str]]:
    assert ended.code == 0, ended.err
    return list(csv.reader(io.StringIO(ended.out)))


def json_of(outputs: Path, file: str) -> Iterator[tuple[str, object]]:
    for path in sorted(outputs.glob(f"runs/*/*/{file}")):
        yield path.parent.name, json.loads(path.read_text())


def test_sums_are_those_of_the_json(sql: Run, demo_outputs: Path) -> None:
    expected: Counter[str] = Counter()
    for _, stats in json_of(demo_outputs, "stats.json"):
        for stat in stats:  # type: ignore[attr-defined]
            expected[stat["name"]["name"]] += stat["count"]
    found = csv_rows(sql("SELECT stats_name_name AS name, sum(stats_count) AS n FROM stats GROUP BY 1 ORDER BY 1"))
    assert found == [["name", "n"], *([name, str(n)] for name, n in sorted(expected.items()))]


def test_a_text_of_each_row_and_a_list_are_those_of_the_json(sql: Run, demo_outputs: Path) -> None:
    """The prompts and, as a list of structs, the tokens."""
    states = [state for _, file in json_of(demo_outputs, "scenario_state.json") for state in file["request_states"]]  # type: ignore[index]
    text = """
        SELECT scenario_state_request_states_request_prompt AS prompt,
            [token.text FOR token IN scenario_state_request_states_result_completions[1].tokens] AS tokens
        FROM scenario_state
    """
    found = rows(sql(text, "--json"))
    assert sorted((one["prompt"], one["tokens"]) for one in found) == sorted(
        (state["request"]["prompt"], [token["text"] for token in state["result"]["completions"][0]["tokens"]])
        for state in states
    )


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a.stats_mean FROM stats a JOIN stats b USING (magnet_run, magnet_row) WHERE b.stats_count > 0",
        "WITH s AS MATERIALIZED (FROM stats) SELECT run_spec_name, max(stats_mean) FROM s GROUP BY 1",
        "SELECT run_spec_name FROM run_spec r WHERE EXISTS (FROM stats s WHERE s.magnet_run = r.magnet_run)",
        "SELECT run_spec_name, (SELECT avg(stats_mean) FROM stats s WHERE s.magnet_run = r.magnet_run) FROM run_spec r",
        "FROM stats ORDER BY stats_mean DESC NULLS LAST, magnet_run, magnet_row LIMIT 5",
        "SELECT COLUMNS('stats_m.*') FROM stats",
        "SELECT stats FROM stats",
        "SELECT count(*) FROM per_instance_stats",
        "SELECT suite, stats_name_name FROM stats NATURAL JOIN runs",
        "SELECT * FROM (SELECT stats_name_name n, stats_mean m FROM stats) PIVOT (avg(m) FOR n IN ('exact_match'))",
        "SELECT row_number() OVER (PARTITION BY run_spec_name ORDER BY magnet_row), stats_sum FROM stats",
        "SELECT magnet_run FROM stats UNION ALL SELECT magnet_run FROM run_spec",
        "SELECT stats_name_name FROM query_table('stats')",
    ],
)
def test_the_columns_that_are_read_are_those_that_are_needed(text: str, demo: Path) -> None:
    """The answer is that of DuckDB over all columns of the views."""
    with duckdb.connect() as connection:
        Cache(demo).to_duckdb(connection)
        expected = connection.execute(text).fetchall()
    found = answer(demo, text)
    assert len(found) == len(expected) > 0
    assert sorted(map(repr, found)) == sorted(repr(tuple(row)) for row in expected)


def test_every_table_has_the_columns_of_the_views(demo: Path) -> None:
    with duckdb.connect() as connection:
        views = Cache(demo).to_duckdb(connection)
    for (table,), columns in views.group_by("table"):
        found = [(name, str(kind).replace('"', "")) for name, kind, *_ in answer(demo, f"DESCRIBE {table}")]
        assert found == columns.select("sql_name", pl.col("type").str.replace_all('"', "")).rows()


def test_only_live_runs_are_seen_and_columns_are_joined_by_name(tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [{"n": "dead"}], "b": [{"n": 1}]})
    commit_runs(tmp_path, {"c": [{"n": 0.5, "t": "x"}]})
    commit_runs(tmp_path, {"d": [3], "e": [{"m": []}]})
    commit_transaction(tmp_path, Transaction(pruned=[key_of("a")]))
    found = answer(tmp_path, f"SELECT {OWN}_n, {OWN}_t, {OWN}_m, stats_mean FROM stats ORDER BY magnet_run")
    assert found[:3] == [(1.0, None, None, None), (0.5, "x", None, None), (None, None, None, 3.0)]


def test_runs_that_are_partial_or_stale_are_told_by_the_table_of_runs(tmp_path: Path) -> None:
    write_runs(tmp_path / "x", [make_run("a"), make_run("b"), make_run("c")], suite="one")
    (tmp_path / "x/runs/one/a/stats.json").unlink()
    ingest(tmp_path / "x", tmp_path / "cache", partial=True)
    (tmp_path / "x/runs/one/b/stats.json").write_text("{")
    ingest(tmp_path / "x", tmp_path / "cache")
    assert answer(tmp_path / "cache", "SELECT folder, partial, stale FROM runs ORDER BY folder") == [
        ("a", True, False),
        ("b", False, True),
        ("c", False, False),
    ]
    text = "SELECT folder, count(*) FROM stats JOIN runs USING (magnet_run) GROUP BY 1 ORDER BY 1"
    assert answer(tmp_path / "cache", text) == [("b", 2), ("c", 2)]
    assert answer(tmp_path / "cache", "SELECT folder, left_out, file FROM rejects ORDER BY 1") == [
        ("a", "file", "stats.json"),
        ("b", "run", "stats.json"),
    ]


def test_scores_and_samples_join_with_the_runs(sql: Run, demo_outputs: Path) -> None:
    """Of exact_match on the test split; each of these runs has 7 instances."""
    means = {
        run: next(
            stat["mean"]
            for stat in stats  # type: ignore[attr-defined]
            if stat["name"] == {"name": "exact_match", "split": "test"}
        )
        for run, stats in json_of(demo_outputs, "stats.json")
        if "augmentation" not in run
    }
    text = """
        SELECT folder, scores.score, avg(samples.score) AS mean, count(*) AS n, min(scores.args_subject) AS subject
        FROM samples JOIN scores USING (magnet_run) JOIN runs USING (magnet_run)
        WHERE runs.suite = 'my-suite' GROUP BY 1, 2 ORDER BY 1
    """
    found = rows(sql(text, "--json"))
    assert [(one["folder"], one["score"], one["n"]) for one in found] == [(run, means[run], 7) for run in sorted(means)]
    assert all(one["mean"] == pytest.approx(one["score"]) for one in found)
    assert {one["subject"] for one in found} == {one["folder"].split("subject=")[1].split(",")[0] for one in found}  # type: ignore[attr-defined]


def test_samples_do_not_depend_on_how_many_are_made_at_once(
    demo: Path, demo_outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from magnet_arrow.cli.sql import derived_tables

    at_once = answer(demo, "FROM samples")
    monkeypatch.setattr(derived_tables, "_ROWS_AT_ONCE", 8)
    assert answer(demo, "FROM samples") == at_once
    states = [len(file["request_states"]) for _, file in json_of(demo_outputs, "scenario_state.json")]  # type: ignore[index]
    assert len(at_once) == sum(states)


ELSEWHERE = [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM glob('{folder}/*')",
    "FROM '{file}'",
    "FROM '{file}.parquet'",
    "SELECT * FROM 'https://example.invalid/x.csv'",
    "SELECT * FROM read_text('http://example.invalid/x')",
    "SELECT (SELECT content FROM read_text('{file}'))",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query('COPY stats TO ''{folder}/x.csv''')",
    "SELECT getenv('HOME')",
    "SELECT * FROM sqlite_scan('{file}', 'x')",
    "SELECT * FROM st_read('{file}')",
    "SELECT * FROM python_variable",
    "WITH x AS (INSERT INTO stats VALUES (1) RETURNING *) FROM x",
    "EXPLAIN SELECT * FROM read_text('{file}')",
    "DESCRIBE SELECT * FROM read_csv('{file}')",
    "SUMMARIZE FROM read_csv('{file}')",
]
NOT_A_SELECT = [
    "COPY stats FROM '{file}'",
    "COPY stats TO '{folder}/x.csv'",
    "COPY (SELECT 1) TO '{folder}/x.parquet'",
    "EXPORT DATABASE '{folder}/x'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/x.db'",
    "DETACH memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "SET enable_external_access = true",
    "RESET memory_limit",
    "USE memory",
    "CALL pragma_version()",
    "CREATE TABLE x (a INT)",
    "CREATE VIEW x AS SELECT * FROM read_csv('{file}')",
    "CREATE MACRO x() AS 1",
    "INSERT INTO stats VALUES (1)",
    "UPDATE stats SET stats_mean = 1",
    "DELETE FROM stats",
    "DROP VIEW stats",
    "ALTER TABLE stats ADD COLUMN x INT",
    "BEGIN",
    "VACUUM",
    "CHECKPOINT",
    "PREPARE x AS SELECT 1",
    "EXECUTE x",
    "PIVOT stats ON stats_name_name USING sum(stats_mean)",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN (ANALYZE) SELECT 1",
    "EXPLAIN COPY stats TO '{folder}/x.csv'",
    "EXPLAIN ANALYZE COPY stats TO '{folder}/x.csv'",
    "/* é */ EXPLAIN -- SELECT\n ANALYZE COPY stats TO '{folder}/x.csv'",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY stats TO '{folder}/x.csv'",
    "SELECT 1 -- \n; COPY stats TO '{folder}/x.csv'",
    "-- SELECT 1\nCOPY stats TO '{folder}/x.csv'",
    "/* SELECT 1 */ COPY stats TO '{folder}/x.csv'",
    "EXPLAIN SELECT 1; COPY stats TO '{folder}/x.csv'",
    "",
    "-- SELECT 1",
    ";",
    "SELEC 1",
    "SELECT 1\0; SELECT 2",
    "SELECT '\udcff'",
]


@pytest.mark.parametrize("text", [*ELSEWHERE, *NOT_A_SELECT])
def test_what_is_no_select_over_the_cache_is_refused(text: str, sql: Run, tmp_path: Path) -> None:
    """It says nothing of the file, and writes nowhere."""
    python_variable = pl.DataFrame({"secret": ["secret"]})
    file = tmp_path / "file.csv"
    file.write_text("secret,b\nsecret,2\n")
    before = sorted(os.listdir(tmp_path))
    done = sql(text.replace("{file}", str(file)).replace("{folder}", str(tmp_path)), "--json")
    assert (done.code, done.out) == (2, "")
    assert "secret" not in done.err
    assert "Traceback" not in done.err
    assert sorted(os.listdir(tmp_path)) == before
    assert python_variable.height == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM statz", "Table with name statz does not exist.\n  Did you mean 'stats'?\n"),
        (
            "SELECT stats_maen FROM stats",
            "Did you mean 'stats_mean'?\n  LINE 1: SELECT stats_maen FROM stats\n                 ^^^^^^^^^^\n",
        ),
        ("SELECT stats.mean FROM stats", "Did you mean 'stats_mean'?"),
        ('SELECT "stats.mean" FROM stats', "Did you mean 'stats_mean'?"),
        ("SELECT 1 +", "Syntax error at or near"),
        ("SELECT CAST(run_spec_name AS INT) FROM stats", "Could not convert string 'mmlu:"),
        ("SELECT sum(run_spec_name) FROM stats", "No function matches"),
        ("COPY stats TO 'x'", "COPY is not allowed.\n  sql reads, and writes nothing"),
        ("SELECT 1; SELECT 2", "There are 2 statements.\n  expected one."),
        ("PIVOT stats ON stats_name_name USING sum(stats_mean)", "Say which values become columns"),
    ],
)
def test_errors_say_what_was_meant(text: str, said: str, sql: Run) -> None:
    done = sql(text)
    assert done.code == 2
    assert said in done.err
    assert "Error:" not in done.err


def test_what_needs_more_memory_is_stopped(sql: Run) -> None:
    done = sql("SELECT list(range) FROM range(50_000_000)", "--memory", "100MB")
    assert (done.code, done.out) == (3, "")
    assert "more memory than it may use.\n  Aggregate more" in done.err
    assert sql("SELECT 1", "--memory", "much").code == 2


def test_damage_is_an_error_and_not_data(run: Run, tmp_path: Path) -> None:
    commit_runs(tmp_path, {"a": [1], "b": [2]})
    (path,) = (tmp_path / "stats").iterdir()
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    done = run("sql", "SELECT stats_mean FROM stats", "--cache", tmp_path)
    assert (done.code, done.out) == (3, "")
    assert f"{path} is damaged" in done.err
    assert run("sql", "SELECT folder FROM runs", "--cache", tmp_path).code == 0


def test_csv_tells_null_from_an_empty_text(sql: Run) -> None:
    text = "SELECT NULL a, '' b, 'x,\"y' c, 1.5 d, 'nan'::DOUBLE e, true f, [1, NULL] g, {'k': 2} h"
    done = sql(text)
    assert done.out == 'a,b,c,d,e,f,g,h\n,"","x,""y",1.5,NaN,true,"[1, null]","{""k"": 2}"\n'
    assert sql(text, "--csv").out == done.out


def test_json_has_numbers_for_sums_of_integers_and_each_name_once(sql: Run) -> None:
    text = "SELECT sum(i) AS a, 2 AS a, DATE '2026-01-02' AS d, avg(i) FROM range(5) t(i)"
    assert rows(sql(text, "--json")) == [{"a": 10, "a_2": 2, "d": "2026-01-02", "avg(i)": 2.0}]


def test_parquet_is_complete_or_not_there(sql: Run, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    done = sql("SELECT range AS n, [range] AS l FROM range(200_000)", "--parquet", file)
    assert (done.code, done.out) == (0, "")
    assert "200,000 rows" in done.err
    assert pq.read_table(file).num_rows == 200_000
    broken = "SELECT CASE WHEN range < 150_000 THEN 1 ELSE error('x') END FROM range(200_000)"
    assert sql(broken, "--parquet", tmp_path / "broken.parquet").code == 2
    assert sql("SELECT 1", "--parquet", tmp_path / "no" / "x.parquet").code == 2
    assert [name for name in os.listdir(tmp_path) if "parquet" in name] == ["rows.parquet"]


def test_parquet_replaces_parquet_only_and_nothing_in_the_cache(sql: Run, demo: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    assert [sql(f"SELECT {number} AS n", "--parquet", file).code for number in (1, 2)] == [0, 0]
    assert pq.read_table(file).to_pylist() == [{"n": 2}]
    file.write_text("mine")
    refused = sql("SELECT 1", "--parquet", file)
    assert (refused.code, file.read_text()) == (2, "mine")
    assert "is no Parquet file" in refused.err
    manifest = (demo / "manifest.json").read_bytes()
    (tmp_path / "link").symlink_to(demo)
    for place in (demo / "manifest.json", demo / "new.parquet", tmp_path / "link" / "new.parquet"):
        assert "is in the cache" in sql("SELECT 1", "--parquet", place).err
    assert (demo / "manifest.json").read_bytes() == manifest
    assert not (demo / "new.parquet").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(sql: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    ended = sql("SELECT 1", "--parquet", tmp_path / "pipe")
    assert (ended.code, "it is a device or a pipe, and no file" in ended.err) == (3, True)
    assert (tmp_path / "pipe").is_fifo()


def test_values_that_arrow_or_python_lacks_are_duckdbs_text(sql: Run, tmp_path: Path) -> None:
    text = """
        SELECT 3 * INTERVAL 1 DAY AS i, {'a b': INTERVAL 1 DAY, 'n': 1} AS s, ['-infinity'::DATE] AS l,
            '290000-01-01'::TIMESTAMP AS t, 340282366920938463463374607431768211455::UHUGEINT AS u, 1 AS n, 2 AS n
    """
    expected = {
        "i": "3 days",
        "s": {"a b": "1 day", "n": 1},
        "l": ["-infinity"],
        "t": "290000-01-01 00:00:00",
        "u": "340282366920938463463374607431768211455",
        "n": 1,
        "n_2": 2,
    }
    assert rows(sql(text, "--json")) == [expected]
    assert csv_rows(sql(text, "--csv"))[1][0] == "3 days"
    assert sql(text, "--full").out.split()[7:9] == ["3", "days"]
    assert sql(text, "--parquet", tmp_path / "x.parquet").code == 0
    assert pq.read_table(tmp_path / "x.parquet", columns=["i", "n"]).to_pylist() == [{"i": "3 days", "n": 1}]


def test_the_place_of_a_fault_is_in_the_statement_or_not_given(sql: Run) -> None:
    assert "LINE 2: FROM nothing" in sql("SELECT 1\nFROM nothing").err
    assert "LINE" not in sql("SELECT * FROM query_table('nothing')").err


@pytest.mark.parametrize(
    ("sent", "code", "out"), [("SELECT 'é' AS a".encode(), 0, "a\né\n"), (b"SELECT '\xff' AS a", 2, "")]
)
def test_standard_input_is_utf_8_in_any_locale(
    sent: bytes, code: int, out: str, sql: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sent), encoding="ascii"))
    done = sql("-")
    assert (done.code, done.out) == (code, out)
    monkeypatch.setattr(sys, "stdin", None)
    assert "There is no statement." in sql("-").err


def test_statements_come_from_standard_input_too(sql: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffSELECT 1 AS a; -- done\n"))
    assert sql("-").out == "a\n1\n"


def test_show_tables_lists_them_and_explain_shows_a_plan(sql: Run) -> None:
    listed = [row[0] for row in csv_rows(sql("SHOW TABLES"))[1:]]
    assert {"stats", "run_spec", "runs", "rejects", "scores", "samples"} < set(listed)
    plan = sql("EXPLAIN SELECT stats_mean FROM stats").out
    assert "Projections: stats_mean" in plan
    assert sql("SELECT 1", "--csv", "--json").code == 2


def test_a_terminal_shows_the_first_rows_of_a_table(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Opening(MEMORY) as opening:
        found = rows_of("SELECT range AS n FROM range(100_000)", demo, opening)
        output.print_table(found.schema, found.batches, full=False)
    shown = capsys.readouterr()
    assert shown.out.split() == ["n", *map(str, range(1000))]
    assert shown.err.startswith("These are the first 1,000 rows.")


def test_tables_that_are_not_named_are_not_read(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from magnet_arrow.query import sql_stream

    named: list[str] = []
    monkeypatch.setattr(sql_stream, "in_stored_order", lambda snapshot, table: named.append(table) or [])
    answer(demo, "SELECT count(*) FROM stats")
    assert named == ["stats"]


def test_a_statement_needs_neither_polars_nor_numpy(demo: Path) -> None:
    code = f"""
import os, sys
os._exit = sys.exit
sys.argv = ["magnet-arrow", "sql", "SELECT avg(stats_mean) FROM stats WHERE stats_name_name = 'exact_match'"]
sys.argv += ["--cache", {str(demo)!r}]
from magnet_arrow.cli.start import main
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
    unneeded = {{"polars", "numpy", "pandas", "cloudpickle", "pyarrow._s3fs", "magnet_arrow.cli.commands.query"}}
    print(*(unneeded & sys.modules.keys()))
"""
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[2:] == [""]


def test_the_process_ends_with_all_rows_written_and_the_code_of_the_command(demo: Path) -> None:
    def ended(text: str) -> tuple[int, list[str]]:
        command = [sys.executable, "-m", "magnet_arrow", "sql", text, "--cache", str(demo)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return done.returncode, done.stdout.splitlines()

    assert ended("SELECT range AS n FROM range(100_000)") == (0, ["n", *map(str, range(100_000))])
    assert ended("DROP TABLE stats") == (2, [])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_ctrl_c_ends_a_long_statement(demo: Path) -> None:
    """It comes as soon as the first rows are there."""
    command = [sys.executable, "-m", "magnet_arrow", "sql", "--cache", str(demo)]
    text = "SELECT repeat('x', 1000) FROM range(1_000_000_000)"
    with subprocess.Popen([*command, text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "Interrupted. What was committed stays.\n"
