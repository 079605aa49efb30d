import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from command_line import Run, rows


def test_runs_are_removed_though_their_source_is_gone(run: Run, outputs: Path) -> None:
    run("ingest", outputs)
    shutil.rmtree(outputs)
    assert run("cache", "remove", "nowhere").code == 2
    assert run("cache", "remove").code == 2
    assert run("cache", "remove", "made/tide:n=0").out == "1 run removed from the cache.\n"
    assert run("cache", "remove", "--stale").out == "0 runs removed from the cache.\n"
    assert run("cache", "remove", outputs).out == "2 runs removed from the cache.\n"
    assert run("cache", "info", "--json").out == ""


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
    number, unit, rest = ended.err.split(" ", 2)
    assert (unit, rest) == ("kB", f"on disk, in {folder}\n")
    assert float(number) == pytest.approx(size / 1000, rel=0.005)
    assert len(rows(ended)) == 1


def test_a_folder_that_is_no_cache_is_not_cleared(run: Run, outputs: Path) -> None:
    ended = run("cache", "clear", "--yes", "--cache", outputs)
    assert ended.code == 2
    assert "no cache" in ended.err
    assert len(list(outputs.rglob("*.json"))) == 12


def test_rejects_are_listed(run: Run, broken: Path) -> None:
    run("ingest", broken)
    (row,) = rows(run("rejects", "--json"))
    assert (row["suite"], row["folder"], row["file"]) == ("made", "tide:n=1", "stats.json")
    out = run("rejects").out
    assert out.startswith(f"source {broken}\n  made/tide:n=1/stats.json, byte 100, ")
    assert re.search(r"^    bytes 60 to 100: .*", out, re.MULTILINE)


def test_check_tells_that_nothing_is_damaged(run: Run, outputs: Path, cache_dir: Path) -> None:
    run("ingest", outputs)
    done = run("check")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("3 runs, ")
    assert done.out.endswith(" kB: no damage.\n")
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
