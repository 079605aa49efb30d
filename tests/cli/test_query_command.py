import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command_line import Run, rows
from makedump import make_run, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.schema.registry import TABLES


def test_what_is_sound_is_shown_and_exported_beside_damage(run: Run, outputs: Path, tmp_path: Path) -> None:
    run("ingest", outputs, "--runs", "tide:n=0")
    run("ingest", outputs)
    first, _ = sorted((Cache().path / "stats").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    first.write_bytes(first.read_bytes()[:-1])
    commands = [["head", "stats", "-n", "100", "--json"], ["export", "--to", tmp_path / "out"]]
    for command in commands:
        ended = run(*command)
        assert (ended.code, "--skip-damaged leaves out the damaged runs" in ended.err) == (3, True)
    for command in commands:
        ended = run(*command, "--skip-damaged")
        assert "1 run excluded, as the cache is damaged: made/tide:n=0." in ended.err
    assert ended.code == 1
    assert pl.read_parquet(tmp_path / "out" / "stats" / "*.parquet").height == 4


def test_ls_of_a_source_ingests_nothing(run: Run, outputs: Path, cache_dir: Path) -> None:
    listed = rows(run("ls", outputs, "--json"))
    assert [(row["suite"], row["run"], row["model"], row["scenario"], row["stats"]) for row in listed] == [
        ("made", f"tide:n={number}", "made/heron-2b", "TideScenario", None) for number in range(3)
    ]
    assert not list(cache_dir.rglob("*.parquet"))
    run("ingest", outputs, "--runs", "tide:n=1")
    assert [row["stats"] for row in rows(run("ls", outputs, "--json"))] == [None, 2, None]


def test_ls_of_the_cache_knows_the_sources(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    row = rows(run("ls", "--json"))[2]
    assert row == {
        "source": str(outputs.resolve()),
        "suite": "made",
        "run": "tide:n=2",
        "model": "made/heron-2b",
        "scenario": "TideScenario",
        "partial": False,
        "scenario_state": 2,
        "stats": 2,
        "per_instance_stats": 4,
    }
    assert "made/heron-2b" in run("ls").out


@pytest.mark.parametrize("form", ["terminal", "full", "pipe"])
def test_head_shows_a_column_a_line(form: str, run: Run, outputs: Path, terminal: Callable[[int], None]) -> None:
    run("ingest", outputs)
    if form != "pipe":
        terminal(80)
    ended = run("head", "stats", "-n", "1", *(["--full"] if form == "full" else []))
    assert ended.code == 0
    row = "" if form == "terminal" else " +0  "
    assert re.search(rf"^{row}run_spec.name +String +tide:n=0$", ended.out, re.MULTILINE)
    assert re.search(rf"^{row}stats.mean +Float64 +0.5$", ended.out, re.MULTILINE)
    assert "magnet.run" not in ended.out


def test_head_takes_columns_runs_and_a_number(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    found = rows(run("head", "stats", "--columns", "run_spec.name,stats.mean", "-n", "3", "--json"))
    assert found == [
        {"run_spec.name": "tide:n=0", "stats.mean": 0.5},
        {"run_spec.name": "tide:n=0", "stats.mean": 2.0},
        {"run_spec.name": "tide:n=1", "stats.mean": 0.5},
    ]
    found = rows(run("head", "stats", "--run", "*n=2", "--json"))
    assert [row["run_spec.name"] for row in found] == ["tide:n=2", "tide:n=2"]


def test_head_shows_what_stands_beside_the_runs(run: Run, outputs: Path) -> None:
    for suite in ("made", "other"):
        (outputs / "runs" / suite).mkdir(exist_ok=True)
        (outputs / "runs" / suite / "summary.json").write_text(json.dumps({"suite": suite, "date": "2026-01-01"}))
    write_run(outputs, make_run("ebb"), suite="other")
    run("ingest", outputs)
    assert [row["summary.suite"] for row in rows(run("head", "summary", "--json"))] == ["made", "other"]
    assert [row["summary.suite"] for row in rows(run("head", "summary", "--run", "o*", "--json"))] == ["other"]
    assert run("head", "summary", "--run", "tide*").code == 2
    (info,) = rows(run("cache", "info", "--json"))
    assert (info["summary"], info["suite_files"], info.get("groups")) == (2, 2, None)


def test_head_offers_the_near_name(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    ended = run("head", "stats", "--columns", "stats.maen")
    assert (ended.code, ended.out) == (2, "")
    assert "'stats.mean'" in ended.err
    ended = run("head", "stats", "--run", "no*")
    assert ended.code == 2
    assert "'no*'" in ended.err


def test_schemas_are_shown_printed_and_written(run: Run, tmp_path: Path) -> None:
    assert re.search(r"^stats +stats.name.name +string", run("schemas").out, re.MULTILINE)
    assert {line.split()[0] for line in run("schemas", "stats").out.splitlines()} == {"table", "stats"}
    assert list(json.loads(run("schemas", "stats", "--json").out)) == ["stats"]
    printed = json.loads(run("schemas", "--json").out)
    assert list(printed) == list(TABLES)
    ended = run("schemas", "--write", tmp_path / "new")
    assert ended.code == 0
    written = {file.stem: file.read_text("utf-8") for file in (tmp_path / "new").iterdir()}
    assert {name: json.loads(text) for name, text in written.items()} == printed
    published = {file.stem: file.read_text("utf-8") for file in Path(__file__).parents[2].glob("schemas/*.json")}
    assert written == published, "schemas/ differs from the code: run `magnet-arrow schemas --write schemas`"


def test_what_is_cached_is_exported(run: Run, outputs: Path, tmp_path: Path) -> None:
    run("ingest", outputs)
    done = run("export", "--to", tmp_path / "out", "--json")
    assert (done.code, done.err) == (0, f"The tables are in {tmp_path / 'out'}\n")
    rows = {row["table"]: row["rows"] for row in map(json.loads, done.out.splitlines())}
    assert rows == {"run_spec": 3, "scenario_state": 6, "stats": 6, "per_instance_stats": 12, "runs": 3}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["README.md", *rows])
    again = run("export", "--to", tmp_path / "out")
    assert (again.code, again.out) == (2, "")
    assert "not empty" in again.err


def test_chosen_tables_are_exported_in_parts(
    run: Run, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run("ingest", outputs)
    done = run("export", "--table", "stats", "--table", "run_spec", "--partition-by", "stats.name.name")
    assert (done.code, done.err) == (0, "The tables are in magnet-export\n")
    assert [line.split()[:3] for line in done.out.splitlines()[1:]] == [
        ["stats", "6", "2"],
        ["run_spec", "3", "1"],
        ["runs", "3", "1"],
    ]
    wrong = run("export", "--to", "other", "--partition-by", "stats.name.nam")
    assert (wrong.code, wrong.out) == (2, "")
    assert "Did you mean 'stats.name.name'?" in wrong.err
    assert not Path("other").exists()


@pytest.mark.parametrize("args", [("head", "stat"), ("export", "--table", "stat")])
def test_a_table_is_guessed_by_a_near_name(run: Run, args: tuple[str, ...]) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert "there is no table 'stat'. Did you mean 'stats'?" in ended.err


def test_ls_chooses_runs(run: Run, outputs: Path) -> None:
    run("ingest", outputs, "--runs", "tide:n=[01]")
    assert [row["run"] for row in rows(run("ls", "--run", "*1", "--model", "made/*", "--json"))] == ["tide:n=1"]
    assert [row["run"] for row in rows(run("ls", outputs, "--incomplete", "--json"))] == ["tide:n=2"]
    ended = run("ls", "--incomplete", "--json")
    assert ended == (0, "", "No run is incomplete.\n")
    ended = run("ls", "--model", "heron")
    assert (ended.code, ended.out) == (2, "")
    assert "found 1 model: made/heron-2b." in ended.err
    assert "Did you mean '*heron*'?" in ended.err


def test_frames_are_csv_too(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    listed = pl.read_csv(io.StringIO(run("ls", "--csv").out))
    assert listed.select("run", "stats").rows() == [(f"tide:n={number}", 2) for number in range(3)]
    head = pl.read_csv(io.StringIO(run("head", "scenario_state", "-n", "1", "--csv").out))
    references = json.loads(head["scenario_state.request_states.instance.references"].item())
    assert [one["output"]["text"] for one in references] == ["ebb", "sun"]
    assert run("ls", "--csv", "--json").code == 2
    assert "--csv and --full exclude each other" in run("cache", "info", "--csv", "--full").err


def test_csv_on_a_terminal_is_escaped(run: Run, tmp_path: Path, terminal: Callable[[int], None]) -> None:
    write_run(tmp_path / "evil", make_run("a"), folder="a\x1b[2J")
    run("ingest", tmp_path / "evil")
    assert "a\x1b[2J" in run("ls", "--csv").out
    terminal(80)
    assert r"a\x1b[2J" in run("ls", "--csv").out
