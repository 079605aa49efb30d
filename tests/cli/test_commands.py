import errno
import io
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

import polars as pl
import pytest
from makedump import make_run, write_run, write_runs

from magnet_arrow.cache import Cache, default_path
from magnet_arrow.cli import main as command_line
from magnet_arrow.errors import CacheLockedError, MagnetWarning
from magnet_arrow.ingestion import api
from magnet_arrow.schema.registry import TABLES


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process."""

    def run(*args: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["magnet-arrow", *map(str, args)])
        with pytest.raises(SystemExit) as end:
            command_line.main()
        assert isinstance(end.value.code, int)
        return Ended(int(end.value.code), *capsys.readouterr())

    return run


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Three whole runs of two instances, so of 2 stats and 4 stats of instances each."""
    write_runs(tmp_path / "outputs", [make_run(f"tide:n={number}") for number in range(3)])
    return tmp_path / "outputs"


@pytest.fixture
def broken(outputs: Path) -> Path:
    """The same, one of them cut off."""
    file = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    file.write_bytes(file.read_bytes()[:100])
    return outputs


def rows(ended: Ended) -> list[dict[str, object]]:
    return [json.loads(line) for line in ended.out.splitlines()]


@pytest.mark.parametrize("args", [["--help"], ["ingest", "--help"], ["--version"]], ids=" ".join)
def test_help_is_answered_without_what_is_slow(args: list[str]) -> None:
    code = (
        f"import sys; from magnet_arrow.cli.start import main; sys.argv[1:] = {args}\n"
        "try: main()\n"
        "finally: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout
    loaded = set(ended.stderr.split())
    assert "typer" in loaded
    assert not {"polars", "pyarrow", "rich"} & loaded


@pytest.mark.slow
def test_the_script_is_the_same_command_line(outputs: Path, tmp_path: Path) -> None:
    script = [sys.executable, "-c", "from magnet_arrow.cli.start import main; main()"]
    ended = subprocess.run(
        [*script, "ingest", str(outputs), "--cache", str(tmp_path / "c")], capture_output=True, text=True, check=True
    )
    assert "3 ingested" in ended.stdout
    verify = [*script, "verify", str(outputs), "--cache", str(tmp_path / "c")]
    ended = subprocess.run(verify, capture_output=True, text=True, check=True)
    assert " 0 differences" in ended.stdout
    ended = subprocess.run([*script, "ingest", str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert ended.returncode == 2


def test_the_version_is_told(run: Run) -> None:
    assert run("--version") == (0, "magnet-arrow 0.1.0\n", "")


@pytest.mark.parametrize(
    "args", [[], ["nonsense"], ["ingest"], ["head", "[/bold]x"], ["head", "stats", "-n", "0"]], ids=" ".join
)
def test_wrong_use_is_2_and_shows_the_way(run: Run, args: list[str]) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert "magnet-arrow" in ended.out + ended.err


def test_the_demo_ends_with_its_tables(run: Run) -> None:
    ended = run("demo")
    assert ended.code == 0
    assert ended.err == ""
    assert "9 ingested, 0 unchanged, 0 rejected" in ended.out
    # 3 of my-suite's 4 runs to learn from: 7 request states and 89 stats each; 5 instances of the fourth.
    assert re.search(r"run_specs +3 .*\n *scenario_state +21 .*\n *stats +267 ", ended.out)
    assert re.search(r"run_specs +1 .*\n *scenario_state +5 ", ended.out)
    assert re.search(r"predicted_mean +actual_mean", ended.out)
    assert "0 ingested, 9 unchanged, 0 rejected" in run("demo").out


def test_an_ingest_says_what_it_took(run: Run, outputs: Path) -> None:
    ended = run("ingest", outputs)
    assert ended.code == 0
    assert ended.err == ""
    assert "runs      3 ingested, 0 unchanged, 0 rejected" in ended.out
    assert "rows      run_spec 3, scenario_state 6, stats 6, per_instance_stats 12" in ended.out
    size = sum(file.stat().st_size for file in outputs.rglob("*.json"))
    assert f"bytes     {size:,} in, " in ended.out
    assert "runs      0 ingested, 3 unchanged, 0 rejected" in run("ingest", outputs).out


def test_a_broken_run_is_named_and_the_others_go_in(run: Run, broken: Path) -> None:
    ended = run("ingest", broken)
    assert ended.code == 1
    assert "2 ingested, 0 unchanged, 1 rejected" in ended.out
    assert "made/tide:n=1/stats.json" in ended.err
    assert "Traceback" not in ended.err
    again = run("ingest", broken)
    assert again.code == 1
    assert again.err.startswith(ended.err)
    assert "0 ingested, 2 unchanged, 1 rejected" in again.out


def test_an_ingest_in_json_has_every_reason(run: Run, broken: Path) -> None:
    ended = run("ingest", broken, "--json")
    facts = json.loads(ended.out)
    assert ended.code == 1
    assert (facts["runs"], facts["skipped"], facts["rows"]["per_instance_stats"]) == (2, 0, 8)
    assert [(one["run"], one["file"]) for one in facts["rejected"]] == [("made/tide:n=1", "stats.json")]
    assert facts["rejected"][0]["reason"]


def test_a_broken_run_goes_in_partially_if_told_and_is_marked_everywhere(run: Run, broken: Path) -> None:
    """100 bytes of stats.json hold no whole stat."""
    (broken / "runs" / "made" / "tide:n=2" / "per_instance_stats.json").unlink()
    assert run("ingest", broken).code == 1
    ended = run("ingest", broken, "--partial")
    assert ended.code == 1
    assert "2 ingested (2 partial), 1 unchanged, 0 rejected" in ended.out
    lacking = "The cache lacks, of partial runs:\nmade/tide:n=1/stats.json, byte 1, at $[0]:\n  expected the rest of "
    assert lacking in ended.err
    again = run("ingest", broken)
    assert again.code == 1
    assert "0 ingested, 3 unchanged (2 partial), 0 rejected" in again.out
    assert lacking in again.err
    facts = json.loads(run("ingest", broken, "--json").out)
    assert [(one["run"], one["file"], one["byte"]) for one in facts["lacking"]] == [
        ("made/tide:n=1", "stats.json", 1),
        ("made/tide:n=2", "per_instance_stats.json", None),
    ]
    for args in (["ls"], ["ls", broken]):
        listed = rows(run(*args, "--json"))
        assert [row["partial"] for row in listed] == [False, True, True]
        assert [row["lacks"] for row in listed] == [
            None,
            "stats.json from byte 1: expected the rest of an element, found the end of the file.",
            "per_instance_stats.json: expected a file, found none of this name.",
        ]
    assert [row["stats"] for row in rows(run("ls", "--json"))] == [2, 0, 2]
    (info,) = rows(run("cache", "info", "--json"))
    assert (info["runs"], info["partial"], info["stale"]) == (3, 2, 0)
    row, missing = rows(run("rejects", "--json"))
    size = (broken / "runs" / "made" / "tide:n=1" / "stats.json").stat().st_size
    assert (row["folder"], row["left_out"], row["file"], row["json_path"]) == (
        "tide:n=1",
        "rest of file",
        "stats.json",
        "$[0]",
    )
    assert (row["begin_byte"], row["end_byte"]) == (1, size) == (1, 100)
    assert str(row["sample"]).startswith(r"\n  {\n    \"name\"".replace(r"\"", '"'))
    assert (missing["folder"], missing["left_out"], missing["file"], missing["found"]) == (
        "tide:n=2",
        "file",
        "per_instance_stats.json",
        "none of this name",
    )


def test_a_run_that_is_rejected_since_is_marked_wherever_the_cache_is_shown(
    run: Run, outputs: Path, tmp_path: Path
) -> None:
    run("ingest", outputs)
    (outputs / "runs" / "made" / "tide:n=1" / "scenario_state.json").unlink()
    for n_rejected in (1, 1):
        ended = run("ingest", outputs)
        assert (ended.code, f"{n_rejected} rejected, 1 stale" in ended.out) == (1, True)
        assert "1 cached run is stale: the cache holds an older state." in ended.err
        assert "made/tide:n=1: rejected since" in ended.err
        assert "magnet-arrow cache remove" in ended.err
    (one,) = json.loads(run("ingest", outputs, "--json").out)["stale"]
    assert one == {"run": "made/tide:n=1", "why": "rejected since"}
    for args in (["ls"], ["ls", outputs]):
        assert [row["stale"] for row in rows(run(*args, "--json"))] == [False, True, False]
    (info,) = rows(run("cache", "info", "--json"))
    assert (info["runs"], info["stale"]) == (3, 1)
    shown = run("head", "stats", "-n", "100", "--columns", "run_spec.name", "--json")
    assert (shown.code, len(rows(shown))) == (0, 6)
    assert shown.err == "1 run of these stale, such as made/tide:n=1; see `magnet-arrow ls`.\n"
    exported = run("export", "--to", tmp_path / "out")
    assert (exported.code, "1 run stale" in exported.err) == (1, True)
    assert pl.read_parquet(tmp_path / "out" / "runs" / "*.parquet").filter("stale")["folder"].to_list() == ["tide:n=1"]
    assert run("cache", "remove", "tide:n=1").out == "1 run removed from the cache.\n"
    assert [row["run"] for row in rows(run("ls", "--json"))] == ["tide:n=0", "tide:n=2"]
    again = run("ingest", outputs)
    assert (again.code, "1 rejected" in again.out, "stale" in again.out) == (1, True, False)


def test_what_is_sound_is_shown_and_exported_beside_damage(run: Run, outputs: Path, tmp_path: Path) -> None:
    run("ingest", outputs, "--runs", "tide:n=0")
    run("ingest", outputs)
    first, _ = sorted((default_path() / "stats").iterdir(), key=lambda path: path.stat().st_mtime_ns)
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


def test_runs_are_removed_though_their_source_is_gone(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    shutil.rmtree(outputs)
    assert run("cache", "remove", "nowhere").code == 2
    assert run("cache", "remove").code == 2
    assert run("cache", "remove", "made/tide:n=0").out == "1 run removed from the cache.\n"
    assert run("cache", "remove", "--stale").out == "0 runs removed from the cache.\n"
    assert run("cache", "remove", outputs).out == "2 runs removed from the cache.\n"
    assert run("cache", "info", "--json").out == ""


def test_what_helm_does_not_declare_is_told_and_with_strict_rejected(run: Run, outputs: Path) -> None:
    file = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    stats = json.loads(file.read_text())
    stats[0]["mean"], stats[1]["note\x1b"] = "much", 1
    file.write_text(json.dumps(stats))
    ended = run("ingest", outputs, "--strict")
    assert ended.code == 1
    assert "2 ingested, 0 unchanged, 1 rejected" in ended.out
    assert "--strict" in ended.err
    ended = run("ingest", outputs, "--retry")
    assert ended.code == 0
    assert set(ended.err.splitlines()) == {
        "Kept in magnet.extra: value of another type stats.json $[].mean (1 ×)",
        r"Kept in magnet.extra: unknown field stats.json $[].note\x1b (1 ×)",
    }


def test_a_source_is_validated_without_a_cache(run: Run, broken: Path, cache_dir: Path) -> None:
    for number in range(3):
        file = broken / "runs" / "made" / f"tide:n={number}" / "run_spec.json"
        spec = json.loads(file.read_text())
        spec["adapter_spec"]["global_suffix"] = ""  # which HELM 0.4.0 always wrote
        file.write_text(json.dumps(spec))
    ended = run("validate", broken / "runs" / "made" / "tide:n=0", broken / "runs" / "made" / "tide:n=2")
    assert ended.code == 0
    assert re.search(r"^runs +2\nrejected +0\nrows +run_spec 2, .*\n.*\nHELM +0.4.0 \(2\)$", ended.out, re.MULTILINE)
    ended = run("validate", broken)
    assert (ended.code, ended.err) == (1, "")
    assert re.search(r"^rejected +1 \(1 of them can be ingested partially\)$", ended.out, re.MULTILINE)
    assert "made/tide:n=1/stats.json, byte 100, " in ended.out
    ended = run("validate", broken, "--json")
    facts = json.loads(ended.out)
    assert (ended.code, facts["clean"], facts["rows"]["stats"]) == (1, False, 4)
    assert facts["eras"] == [{"helm": {"first": "0.4.0", "last": "0.4.0", "mixed": False}, "runs": 3}]
    assert [(found["folder"], found["partial"]) for found in facts["runs"] if found["rejected"]] == [
        ("tide:n=1", ["stats.json"])
    ]
    assert not cache_dir.exists()
    assert run("validate", broken / "nowhere").code == 2


def test_nothing_but_rejects_is_3(run: Run, broken: Path) -> None:
    ended = run("ingest", broken, "--runs", "tide:n=1")
    assert ended.code == 3
    assert "0 ingested, 0 unchanged, 1 rejected" in ended.out


def test_runs_are_chosen_by_a_pattern(run: Run, outputs: Path) -> None:
    assert "2 ingested" in run("ingest", outputs, "--runs", "tide:n=[02]").out
    assert [row["run"] for row in rows(run("ls", "--json"))] == ["tide:n=0", "tide:n=2"]


def test_a_rejected_run_is_read_again_if_told(run: Run, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ingest = api.ingest

    def spied(*args: object, **options: object) -> object:
        asked.append((options["retry"], options["prune"]))
        return ingest(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(api, "ingest", spied)
    for options in ([], ["--retry"], ["--prune"]):
        assert run("ingest", broken, *options).code == 1
    assert asked == [(False, False), (True, False), (False, True)]


def test_workers_memory_and_bytes_are_passed_on(run: Run, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ingest = api.ingest

    def spied(*args: object, **options: object) -> object:
        asked.append((options["workers"], options["memory_bytes"], options["content_hash"]))
        return ingest(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(api, "ingest", spied)
    for options in ([], ["--workers", "2", "--memory", "1.5 GiB"], ["--content-hash"]):
        assert run("ingest", outputs, *options).code == 0
    assert asked == [(None, None, False), (2, 1_610_612_736, False), (None, None, True)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--memory", "2 gigs"], "expected an amount such as 2GiB or 500MB, found '2 gigs'."),
        (["--memory", "-1GB"], "expected an amount such as 2GiB or 500MB, found '-1GB'."),
        (["--memory", "100MB"], "expected at least 300 MiB of memory, as one process may need them, found 95 MiB."),
        (["--workers", "0"], "Invalid value for '--workers'"),
    ],
)
def test_an_ingest_without_hands_is_2(options: list[str], words: str, run: Run, outputs: Path) -> None:
    ended = run("ingest", outputs, *options)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_a_vanished_run_stays_until_it_is_pruned(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    shutil.rmtree(outputs / "runs" / "made" / "tide:n=1")
    run("ingest", outputs)
    assert len(rows(run("ls", "--json"))) == 3
    run("ingest", outputs, "--prune")
    assert len(rows(run("ls", "--json"))) == 2


def test_what_is_not_there_is_2_and_said_in_words(run: Run, tmp_path: Path) -> None:
    for source in (tmp_path / "nowhere", tmp_path):
        ended = run("ingest", source)
        assert ended.code == 2
        assert ended.out == ""
        assert str(source) in ended.err
        assert "Traceback" not in ended.err


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


@pytest.mark.parametrize("args", [["ls"], ["head", "stats"]], ids=" ".join)
def test_an_empty_cache_is_2_and_says_how_to_fill_it(run: Run, args: list[str]) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert "magnet-arrow ingest" in ended.err


def test_head_shows_a_column_a_line(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    ended = run("head", "stats", "-n", "1")
    assert ended.code == 0
    assert re.search(r"^run_spec.name +String +tide:n=0 *$", ended.out, re.MULTILINE)
    assert re.search(r"^stats.mean +Float64 +0.5 *$", ended.out, re.MULTILINE)
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
    assert re.search(r"^stats.name.name +string", run("schemas").out, re.MULTILINE)
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


def test_the_cache_is_where_it_is_told(run: Run, outputs: Path, tmp_path: Path, cache_dir: Path) -> None:
    assert run("cache", "path").out == f"{cache_dir}\n"
    other = tmp_path / "other"
    assert run("cache", "path", "--cache", other).out == f"{other}\n"
    run("ingest", outputs, "--cache", other)
    assert not cache_dir.exists()
    (info,) = rows(run("cache", "info", "--cache", other, "--json"))
    assert (info["source"], info["runs"], info["stats"]) == (str(outputs.resolve()), 3, 6)


def test_a_cache_is_cleared_after_a_yes(run: Run, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("ingest", outputs)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert run("cache", "clear").code == 0
    assert len(rows(run("ls", "--json"))) == 3
    monkeypatch.setattr("typer.confirm", lambda *_, **__: pytest.fail("asked, though told --yes"))
    assert run("cache", "clear", "--yes").code == 0
    assert run("ls").code == 2
    assert "3 ingested" in run("ingest", outputs).out


def test_no_answer_is_a_no(run: Run, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("ingest", outputs)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    ended = run("cache", "clear")
    assert (ended.code, ended.out.strip()) == (2, "")
    assert "nobody answered" in ended.err
    assert "--yes" in ended.err
    assert len(rows(run("ls", "--json"))) == 3


def test_the_size_on_disk_is_told(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    ended = run("cache", "info", "--json")
    folder = Path(run("cache", "path").out.strip())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert ended.err == f"{size:,} bytes on disk, in {folder}\n"
    assert len(rows(ended)) == 1


@pytest.mark.parametrize(
    "args",
    [["cache", "path"], *(pytest.param(args, marks=pytest.mark.slow) for args in (["schemas"], ["schemas", "--json"]))],
    ids=" ".join,
)
def test_a_reader_that_has_enough_is_no_error(args: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "magnet_arrow", *args]
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        ended = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_an_output_that_is_closed_is_no_error() -> None:
    closed = subprocess.run(
        ["sh", "-c", '"$0" -m magnet_arrow schemas >&-', sys.executable], capture_output=True, text=True, check=False
    )
    assert (closed.returncode, closed.stderr) == (0, "")


def test_rejected_runs_are_read_again_on_request(run: Run, broken: Path) -> None:
    assert "--retry" not in run("ingest", broken).err
    ended = run("ingest", broken)
    assert ended.code == 1
    assert "--retry reads them" in ended.err
    assert "--retry" not in run("ingest", broken, "--retry").err


def test_how_to_take_an_incomplete_run_is_told(run: Run, outputs: Path) -> None:
    (outputs / "runs" / "made" / "tide:n=1" / "stats.json").unlink()
    assert "--partial" in run("ingest", outputs).err
    assert "1 ingested (1 partial), 2 unchanged" in run("ingest", outputs, "--partial").out


def test_a_predictor_without_its_method_is_wrong_use(
    run: Run, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = "from magnet_arrow.predictor import RunPredictor\nclass Empty(RunPredictor):\n    pass\n"
    (tmp_path / "without_method.py").write_text(text)
    ended = run("predict", "without_method:Empty", outputs)
    assert ended.code == 2
    assert "without_method:Empty has no method predict" in ended.err


def test_a_folder_that_is_no_cache_is_not_cleared(run: Run, outputs: Path) -> None:
    ended = run("cache", "clear", "--yes", "--cache", outputs)
    assert ended.code == 2
    assert "no cache" in ended.err
    assert len(list(outputs.rglob("*.json"))) == 12


def test_a_predictor_predicts_a_run(run: Run, demo_outputs: Path) -> None:
    name = "magnet_arrow.examples.random_run_predictor:RandomRunPredictor"
    args = ("predict", name, demo_outputs / "runs" / "my-suite", "--samples", "5", "--json")
    (row,) = rows(run(*args))
    assert row["stat_name"] == "exact_match"
    assert (row["predicted_mean"], row["actual_mean"]) != (None, None)
    assert rows(run(*args)) == [row]
    assert rows(run(*args, "--seed", "2")) != [row]
    assert run(*args, "--examples", "4").code == 2


def test_an_instance_predictor_predicts_request_states(run: Run, demo_outputs: Path) -> None:
    name = "magnet_arrow.examples.random_instance_predictor:RandomInstancePredictor"
    ended = run("predict", name, demo_outputs / "runs" / "my-suite", "--samples", "5", "--json")
    assert [row["instance_id"] for row in rows(ended)] == ["id11", "id9", "id15", "id7", "id13"]
    assert [row["actual_mean"] for row in rows(ended)] == [1.0, 1.0, 1.0, 0.0, 1.0]
    assert "prediction_id" in run("predict", name, demo_outputs / "runs" / "my-suite").out


PREDICTORS = """
from magnet_arrow.predictor import RunPrediction, RunPredictor

class Nonsense(RunPredictor):
    def predict(self, train_split, sequestered_test_split):
        name = sequestered_test_split.run_specs["run_spec.name"][0]
        return [RunPrediction(name, "test", stat, mean=0.5) for stat in ("exact_match", "beauty")]

class Faulty(RunPredictor):
    def predict(self, train_split, sequestered_test_split):
        raise LookupError("lost my model")
"""


@pytest.fixture
def own_predictors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("my_predictors.py").write_text(PREDICTORS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.usefixtures("own_predictors")
def test_predictions_without_truth_are_shown_and_are_1(
    run: Run, outputs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = run("predict", "my_predictors:Nonsense", outputs, "--examples", "2", "--json")
    assert ended.code == 1
    assert [(row["stat_name"], row["actual_mean"]) for row in rows(ended)] == [
        ("exact_match", 0.5),
        ("beauty", None),
    ]
    assert "beauty" in caplog.text


@pytest.mark.usefixtures("own_predictors")
@pytest.mark.parametrize("file", ["my_predictors.py", "./my_predictors", "./my_predictors.py"])
def test_a_file_is_no_module(file: str, run: Run, outputs: Path) -> None:
    ended = run("predict", f"{file}:Nonsense", outputs)
    assert ended.code == 2
    assert "write my_predictors:Nonsense" in ended.err


@pytest.mark.parametrize("command", ["check", "compact", "rejects"])
def test_a_cache_that_was_named_must_be_there(command: str, run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    ended = run(command, "--cache", missing)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"There is no cache in {missing}.\n"
    assert not missing.exists()
    assert run("cache", "info", "--cache", missing).code == 2


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
def test_a_drawn_run_that_is_broken_is_3_unless_such_runs_are_skipped(
    run: Run, broken: Path, tmp_path: Path, is_warm: bool
) -> None:
    predictor = "magnet_arrow.examples.random_run_predictor:RandomRunPredictor"
    codes = set()
    for seed in range(6):
        draw = random.Random(seed).sample(range(3), 2)
        args = [predictor, broken, "--examples", "1", "--samples", "2", "--seed", str(seed)]
        args += ["--cache", tmp_path / f"cache {seed}"]
        if is_warm:
            run("ingest", *args[1:2], *args[-2:])
        ended = run("predict", *args)
        assert ended.code == (3 if 1 in draw else 0), ended.err
        assert ended.err.startswith("made/tide:n=1/stats.json" if 1 in draw else "")
        assert " --partial" not in ended.err  # which is no option of this command
        if 1 in draw:
            assert run("predict", *args, "--include-partial").code in (0, 1)
        codes.add(ended.code)
        skipped = run("predict", *args, "--skip-unreadable", "--json")
        assert skipped.code == 1
        assert "1 of 3 runs cannot be read" in skipped.err
        *_, held_out = (("tide:n=0", "tide:n=2")[index] for index in random.Random(seed).sample(range(2), 2))
        assert rows(skipped)[0]["run_spec"] == held_out
    assert codes == {0, 3}


@pytest.mark.usefixtures("own_predictors")
def test_a_predictors_own_mistake_shows_its_way(run: Run, outputs: Path) -> None:
    ended = run("predict", "my_predictors:Faulty", outputs, "--examples", "2")
    assert ended.code == 3
    assert "lost my model" in ended.err
    assert "my_predictors.py" in ended.err


@pytest.mark.usefixtures("own_predictors")
@pytest.mark.parametrize("name", ["my_predictors:Other", "my_predictors", "no_module:X", "my_predictors:RunPrediction"])
def test_no_predictor_is_2(run: Run, outputs: Path, name: str) -> None:
    ended = run("predict", name, outputs)
    assert ended.code == 2
    assert "Traceback" not in ended.err
    assert name.partition(":")[0] in ended.err


@pytest.mark.parametrize("args", [("head", "stat"), ("export", "--table", "stat")])
def test_a_table_is_guessed_by_a_near_name(run: Run, args: tuple[str, ...]) -> None:
    ended = run(*args)
    assert ended.code == 2
    assert "there is no table 'stat'. Did you mean 'stats'?" in ended.err


def test_hints_speak_of_options_wherever_a_shell_shows_them(run: Run, broken: Path) -> None:
    """And of arguments where Python does."""
    facts = json.loads(run("ingest", broken, "--json").out)
    (row,) = rows(run("rejects", "--json"))
    shown = [facts["rejected"][0]["hint"], row["hint"], run("rejects").out, run("validate", broken).out]
    for text in (*shown, run("ingest", broken).err):
        assert "--partial" in text
        assert "partial=True" not in text
    assert "partial=True" in Cache().rejects()["hint"].item()


def test_rejects_are_listed(run: Run, broken: Path) -> None:
    run("ingest", broken)
    (row,) = rows(run("rejects", "--json"))
    assert (row["suite"], row["folder"], row["file"]) == ("made", "tide:n=1", "stats.json")
    out = run("rejects").out
    assert out.startswith("made/tide:n=1/stats.json, byte 100, ")
    assert re.search(r"^  bytes 60 to 100: .*", out, re.MULTILINE)


def test_names_from_a_dump_do_not_act_on_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "mmlu:[bold]\x1b[2J\u202ex"
    shown = r"mmlu:[bold]\x1b[2J\u202ex"
    made = make_run("mmlu:[/bold]\x07x", args={"[red]\x1b]0;x\x07": "\x1b[31m[/blue]"})
    made["run_spec"]["adapter_spec"]["model"] = "a\x1b[2Jb[/b]"
    write_run(tmp_path / "evil", made, folder=evil)
    bad = write_run(tmp_path / "evil", make_run("bad:[/bold]"), folder="bad:[bold]\x1b[2J")
    bad.joinpath("stats.json").write_text("[")
    outs = [
        run("ingest", tmp_path / "evil"),
        run("ls", tmp_path / "evil"),
        run("ls"),
        run("head", "run_spec"),
        run("head", "run_spec", "--json"),
        run("rejects"),
        run("rejects", "--json"),
        run("cache", "info"),
        run("validate", tmp_path / "evil"),
        run("validate", tmp_path / "evil", "--json"),
        run("ingest", tmp_path / "evil" / "[/bold]\x1b[2J"),
    ]
    assert [ended.code for ended in outs] == [1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2]
    assert r"bad:[bold]\x1b[2J/stats.json" in outs[0].err
    assert shown in outs[1].out
    assert r"a\x1b[2Jb[/b]" in outs[1].out
    assert shown in outs[2].out
    assert r"mmlu:[/bold]\x07x" in outs[3].out
    assert r"\x1b[31m[/blue]" in outs[3].out
    assert r"bad:[bold]\x1b[2J/stats.json" in outs[5].out
    for ended in outs:
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", ended.out + ended.err)


def stopped_by(monkeypatch: pytest.MonkeyPatch, stop: Callable[[], object]) -> None:
    monkeypatch.setattr(api, "ingest", lambda *_, **__: stop())


def raising(err: BaseException) -> Callable[[], NoReturn]:
    def stop() -> NoReturn:
        raise err

    return stop


@pytest.mark.parametrize(
    ("stop", "code", "words"),
    [
        pytest.param(raising(KeyboardInterrupt()), 130, "Interrupted", id="ctrl-c"),
        pytest.param(lambda: os.kill(os.getpid(), signal.SIGTERM), 143, "Terminated", id="sigterm"),
        pytest.param(raising(OSError(errno.ENOSPC, "No space left on device")), 3, "No space left", id="disk-full"),
        pytest.param(
            raising(CacheLockedError("Another writes.", hint="Wait.")),
            3,
            "Another writes.\n  Wait.",
            id="lock",
        ),
    ],
)
def test_what_stops_an_ingest_has_a_code_and_words(
    run: Run,
    outputs: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: Callable[[], object],
    code: int,
    words: str,
) -> None:
    stopped_by(monkeypatch, stop)
    ended = run("ingest", outputs)
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err
    assert "Traceback" not in ended.err


def test_ctrl_c_while_the_package_is_imported_is_an_ordinary_end_too() -> None:
    code = """
import sys
from magnet_arrow.cli.start import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "polars":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["ls"]
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "Interrupted. What was committed stays.\n"


def test_a_warning_is_a_note_and_1(run: Run, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ingest(*args: object, **options: object) -> object:
        warnings.warn(MagnetWarning("made/tide:n=0 is stale\x1b[2J."), stacklevel=2)
        return original(*args, **options)  # type: ignore[arg-type]

    original = api.ingest
    monkeypatch.setattr(api, "ingest", ingest)
    ended = run("ingest", outputs)
    assert (ended.code, ended.err) == (1, "Note: made/tide:n=0 is stale\\x1b[2J.\n")


def test_python_m_is_the_same_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "magnet_arrow", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "magnet-arrow 0.1.0\n"


def test_an_equal_cache_is_verified(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    ended = run("verify", outputs)
    assert (ended.code, ended.err) == (0, "")
    assert "runs      3 compared, 0 rejected" in ended.out
    assert re.search(r"values    [1-9]\d* compared, 0 differences", ended.out)


def test_a_difference_is_named(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    file = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    file.write_text(file.read_text("ascii").replace('"mean": 0.5', '"mean": 0.75'), encoding="ascii")
    ended = run("verify", outputs)
    assert ended.code == 1
    assert "1 difference\n" in ended.out
    assert "made/tide:n=1/stats.json, at $[0].mean:\n  the source has 0.75, the cache 0.5.\n" in ended.out
    assert "made/tide:n=1 has changed since it was ingested." in ended.out
    facts = json.loads(run("verify", outputs, "--json").out)
    assert facts["is_equal"] is False
    assert facts["differences"] == [
        {"run": "made/tide:n=1", "file": "stats.json", "json_path": "$[0].mean", "source": "0.75", "cache": "0.5"}
    ]


def test_a_rejected_run_and_one_never_ingested_are_told_by_verify(run: Run, broken: Path) -> None:
    run("ingest", broken)
    ended = run("verify", broken)
    assert ended.code == 1
    assert "runs      2 compared, 1 rejected" in ended.out
    assert "made/tide:n=1/stats.json" in ended.out
    assert run("verify", broken, "--cache", broken / "elsewhere").code == 1
    assert run("verify", broken / "nowhere").code == 2


def test_a_run_is_restored_once(run: Run, outputs: Path, tmp_path: Path) -> None:
    run("ingest", outputs)
    ended = run("restore", "tide:n=0", "made/tide:n=2", "--out", tmp_path / "out")
    folders = [tmp_path / "out" / "runs" / "made" / name for name in ("tide:n=0", "tide:n=2")]
    assert (ended.code, ended.out.splitlines(), ended.err) == (0, [str(folder) for folder in folders], "")
    assert json.loads((folders[0] / "stats.json").read_bytes()) == make_run("tide:n=0")["stats"]
    again = run("restore", "tide:n=0", "--out", tmp_path / "out")
    assert (again.code, again.out) == (2, "")
    assert "is there already" in again.err


def test_a_run_that_is_not_cached_is_not_restored(run: Run, outputs: Path, tmp_path: Path) -> None:
    run("ingest", outputs)
    ended = run("restore", "tide:n=0", "tide:n=7", "--out", tmp_path / "out")
    assert ended.code == 2
    assert "Did you mean" in ended.err
    assert not (tmp_path / "out").exists()


def test_check_tells_that_nothing_is_damaged(run: Run, outputs: Path, cache_dir: Path) -> None:
    run("ingest", outputs)
    done = run("check")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("3 runs, ")
    assert done.out.endswith("bytes: no damage.\n")
    assert json.loads(run("check", "--json").out)["damages"] == []


def test_check_names_files_and_runs(run: Run, outputs: Path, cache_dir: Path) -> None:
    run("ingest", outputs)
    (cache_dir / "notes.txt").touch()
    (stats,) = (cache_dir / "stats").iterdir()
    stats.write_bytes(stats.read_bytes()[:-5])
    done = run("check", "--cache", cache_dir)
    assert done.code == 1
    assert done.out.endswith("1 damaged file.\n")
    assert f"{stats} is damaged: it has {stats.stat().st_size} bytes" in done.err
    assert "\n  made/tide:n=0\n  made/tide:n=1\n" in done.err
    assert "notes.txt is no part of the cache." in done.err
    (told,) = json.loads(run("check", "--json").out)["damages"]
    assert (told["file"], told["runs"][0]) == (f"stats/{stats.name}", "made/tide:n=0")


def test_compact_merges_and_frees_what_is_out_of_use(run: Run, outputs: Path, cache_dir: Path) -> None:
    for path in sorted((outputs / "runs" / "made").iterdir()):
        run("ingest", path)
    assert len(list((cache_dir / "stats").iterdir())) == 3
    done = run("compact")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("3 segments became 1, ")
    done = run("compact", "--grace", "0", "--json")
    assert json.loads(done.out)["swept_files"] > 3
    assert len(list((cache_dir / "stats").iterdir())) == 1
    assert run("verify", outputs).code == 0


def test_compact_leaves_what_is_damaged_and_says_so(run: Run, outputs: Path, cache_dir: Path) -> None:
    for path in sorted((outputs / "runs" / "made").iterdir()):
        run("ingest", path)
    first = sorted((cache_dir / "stats").iterdir())[0]
    first.unlink()
    done = run("compact")
    assert done.code == 1
    assert done.out.startswith("3 segments became 2, ")
    assert f"{first} is damaged" in done.err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="names there are no bytes")
@pytest.mark.parametrize(
    "locale", [pytest.param({}, id="as it is"), pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0"}, id="C")]
)
def test_names_and_texts_that_cannot_be_shown_end_nothing(
    outputs: Path, tmp_path: Path, locale: dict[str, str]
) -> None:
    """A folder in Latin-1, as an old zip leaves it, and one with letters that the locale C has not."""
    made = outputs / "runs/made"
    shutil.copytree(made / "tide:n=0", made / os.fsdecode(b"caf\xe9:n=3"))
    shutil.copytree(made / "tide:n=0", made / os.fsdecode("gr\u00fcn:n=4".encode()))
    environment = {**os.environ, **locale}

    def shell(*args: str | bytes | Path) -> Ended:
        code = "from magnet_arrow.cli.start import main; main()"
        ended = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, env=environment, cwd=tmp_path)
        assert b"Traceback" not in ended.stderr
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    n_taken = 3 if locale else 4
    ended = shell("ingest", outputs, "--cache", "c")
    assert ended.code == 1
    assert f"{n_taken} ingested, 0 unchanged, {5 - n_taken} rejected" in ended.out
    assert "made/caf\\udce9:n=3" in ended.err
    assert ("Set PYTHONUTF8=1" in ended.err) == bool(locale)
    assert shell("ls", "--cache", "c").out.count("tide:n=") == 3
    ended = shell("validate", outputs)
    assert ended.code == 1
    assert "made/caf\\udce9:n=3" in ended.out
    assert shell("cache", "path", "--cache", b"caf\xe9").code == 2


def test_a_thread_that_can_not_be_started_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Polars panics then, which is no `Exception`."""

    class PanicException(BaseException):
        pass

    def panic(*_: object) -> None:
        raise PanicException("OS can't spawn worker thread: Resource temporarily unavailable (os error 11)")

    monkeypatch.setattr(command_line, "app", panic)
    monkeypatch.setattr(sys, "argv", ["magnet-arrow", "ls"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 3
    complaint = capsys.readouterr().err
    assert "No thread could be started: OS can't spawn worker thread" in complaint
    assert "Traceback" not in complaint


def test_scores(outputs: Path, run: Run) -> None:
    ended = run("scores", outputs, "--metric", "exact_match")
    assert ended == (0, "model          TideScenario\nmade/heron-2b           0.5\n", ended.err)
    assert "Mean of exact_match over the runs of each cell, on test." in ended.err
    ended = run("scores", outputs, "--metric", "exact_match", "--by", "run", "--csv")
    assert ended.out.splitlines()[:2] == ["run,metric,split,score,runs", "tide:n=0,exact_match,test,0.5,1"]
    ended = run("scores", outputs, "--metric", "exact_match", "--json")
    assert json.loads(ended.out)["runs"] == 3
    assert run("scores", outputs, "--csv", "--json").code == 2
    ended = run("scores", outputs)
    assert ended.code == command_line.ExitCode.REPORTED
    assert "No run has a main metric: name one with --metric." in ended.err
