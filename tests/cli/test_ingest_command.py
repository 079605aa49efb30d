import json
import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from command_line import Run, rows

from magnet_arrow.ingestion import api
from magnet_arrow.ingestion.parallel.settings import WorkerSettings
from magnet_arrow.ingestion.rules import Selection


def test_an_ingest_says_what_it_took(run: Run, outputs: Path) -> None:
    ended = run("ingest", outputs)
    assert ended.code == 0
    assert ended.err == ""
    assert "runs      3 ingested, 0 unchanged, 0 rejected" in ended.out
    assert "rows      run_spec 3, scenario_state 6, stats 6, per_instance_stats 12" in ended.out
    size = sum(file.stat().st_size for file in outputs.rglob("*.json"))
    assert re.search(rf"^size +{size / 1000:.1f} kB in, ", ended.out, re.MULTILINE)
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


def test_nothing_but_rejects_is_3(run: Run, broken: Path) -> None:
    ended = run("ingest", broken, "--runs", "tide:n=1")
    assert ended.code == 3
    assert "0 ingested, 0 unchanged, 1 rejected" in ended.out


def test_runs_are_chosen_by_a_pattern(run: Run, outputs: Path) -> None:
    assert "2 ingested" in run("ingest", outputs, "--runs", "tide:n=[02]").out
    assert [row["run"] for row in rows(run("ls", "--json"))] == ["tide:n=0", "tide:n=2"]


def test_a_rejected_run_is_read_again_if_told(run: Run, broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    prepare = api.prepare

    def spied(source: Any, cache: Any, selection: Selection, **options: Any) -> object:
        asked.append(selection.retry)
        return prepare(source, cache, selection, **options)

    monkeypatch.setattr(api, "prepare", spied)
    for options in ([], ["--retry"]):
        assert run("ingest", broken, *options).code == 1
    assert asked == [False, True]


def test_workers_memory_bytes_and_pruning_are_passed_on(
    run: Run, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    execute = api.PreparedIngest.execute

    def spied(planned: api.PreparedIngest, settings: WorkerSettings, *, prune: bool) -> api.IngestReport:
        asked.append((settings.workers, settings.memory_bytes, planned.rules.content_hash, prune))
        return execute(planned, settings, prune=prune)

    monkeypatch.setattr(api.PreparedIngest, "execute", spied)
    for options in ([], ["--workers", "2", "--memory", "1.5 GiB"], ["--content-hash"], ["--prune"]):
        assert run("ingest", outputs, *options).code == 0
    assert asked == [
        (None, None, False, False),
        (2, 1_610_612_736, False, False),
        (None, None, True, False),
        (None, None, False, True),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--memory", "2 gigs"], "expected an amount such as 2GB or 500MB, found '2 gigs'."),
        (["--memory", "-1GB"], "expected an amount such as 2GB or 500MB, found '-1GB'."),
        (["--memory", "100MB"], "expected at least 315 MB of memory, as one process may need them, found 100 MB."),
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
