"""`ingest --tables`, and what the commands that read the cache say of the tables that were left out."""

import json
from pathlib import Path

import pytest
from command_line import Run, rows

WITHOUT = "4 of 4 runs were ingested without table scenario_state, which has no rows of them."
NAMES = {"run_spec.json", "scenario_state.json", "stats.json", "per_instance_stats.json", "scenario.json"}


@pytest.fixture(scope="module")
def suite(demo_outputs: Path) -> Path:
    """Four runs, each with the four files of every run and `scenario.json`."""
    return demo_outputs / "runs/my-suite"


def test_the_plan_names_what_is_left_out(suite: Path, run: Run) -> None:
    facts = json.loads(run("ingest", suite, "--tables", "stats, instances", "--plan", "--json").out)
    folders = [path for path in suite.iterdir() if path.is_dir()]
    sizes = {name: sum((folder / name).stat().st_size for folder in folders) for name in NAMES}
    assert (facts["runs"], facts["files"]) == (4, 8)
    assert {one["file"]: one["bytes"] for one in facts["to_read"]} == {
        name: sizes[name] for name in ("run_spec.json", "stats.json")
    }
    assert {one["why"] for one in facts["left_out"]} == {"no chosen table needs it"}
    assert {one["file"]: one["bytes"] for one in facts["left_out"]} == {
        name: size for name, size in sizes.items() if name not in ("run_spec.json", "stats.json")
    }
    text = run("ingest", suite, "--tables", "stats", "--plan").out
    assert "left out  per_instance_stats.json, 4 files, " in text
    run("ingest", suite, "--tables", "stats")
    facts = json.loads(run("ingest", suite, "--tables", "scenario", "--plan", "--json").out)
    assert {one["file"] for one in facts["to_read"]} == {"run_spec.json", "stats.json", "scenario.json"}
    facts = json.loads(run("ingest", suite, "--tables", "run_spec", "--plan", "--json").out)
    assert (facts["cached_runs"], facts["cached_bytes"]) == (4, sizes["run_spec.json"] + sizes["stats.json"])


def test_there_must_be_a_table_of_that_name(suite: Path, run: Run) -> None:
    for tables, message in (("stats,senario", "Did you mean 'scenario'?"), ("", "there is no table ''.")):
        ended = run("ingest", suite, "--tables", tables)
        assert (ended.code, message in " ".join(ended.err.split())) == (2, True), ended.err


def test_what_reads_the_cache_alone_says_what_is_missing(suite: Path, run: Run, tmp_path: Path) -> None:
    assert run("ingest", suite, "--tables", "stats").code == 0
    listed = rows(run("ls", "--json"))
    assert [(one["stats"], one["scenario_state"], one["partial"]) for one in listed] == [(89, None, False)] * 4
    assert [one["scenario_state"] for one in rows(run("ls", suite, "--json"))] == [None] * 4
    ended = run("head", "scenario_state", "--json")
    assert (ended.code, ended.out, ended.err.startswith(WITHOUT)) == (0, "", True)
    assert run("head", "stats", "--json").err == ""
    pytest.importorskip("duckdb")
    ended = run("sql", "SELECT count(*) AS n FROM scenario_state", "--json")
    assert (ended.code, rows(ended), ended.err.startswith(WITHOUT)) == (0, [{"n": 0}], True)
    for table, lacking in (("scores", "per_instance_stats"), ("samples", "tables scenario_state, per_instance_stats")):
        ended = run("sql", f"SELECT count(*) AS n FROM {table}", "--json")
        assert (rows(ended), ended.err.count("ingested without"), lacking in ended.err) == ([{"n": 0}], 1, True)
    assert run("sql", "SELECT count(*) AS n FROM stats, runs", "--json").err == ""


def test_an_export_says_what_is_missing(suite: Path, run: Run, tmp_path: Path) -> None:
    run("ingest", suite, "--tables", "stats,scenario")
    ended = run("export", "--to", tmp_path / "all", "--json")
    assert (ended.code, "without tables scenario_state, per_instance_stats, which" in ended.err) == (1, True)
    ended = run("export", "--to", tmp_path / "some", "--table", "stats", "--json")
    assert (ended.code, "without" in ended.err) == (0, False)


def test_the_way_back_says_what_is_missing(suite: Path, run: Run, tmp_path: Path) -> None:
    run("ingest", suite, "--tables", "stats")
    ended = run("verify", suite, "--json")
    facts = json.loads(ended.out)
    assert (ended.code, facts["files"], len(facts["not_covered"])) == (0, 8, 12)
    assert "left out of the ingest" in run("verify", suite).out
    name = min(path.name for path in suite.iterdir())
    ended = run("restore", name, "--out", tmp_path / "out")
    assert {path.name for path in Path(ended.out.strip()).iterdir()} == {"run_spec.json", "stats.json"}
    left = "per_instance_stats.json, scenario.json, scenario_state.json"
    assert ended.err == f"Not restored, as they were left out of the ingest: {left}.\n"


def test_commands_that_need_a_table_read_it(suite: Path, run: Run) -> None:
    run("ingest", suite, "--tables", "stats")
    scores = run("scores", suite, "--json")
    assert (scores.code, scores.err) == (0, "")
    assert [one["scenario_state"] for one in rows(run("ls", "--json"))] == [None] * 4
    assert all(one["per_instance_stats"] for one in rows(run("ls", "--json")))
