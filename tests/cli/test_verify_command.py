import json
import re
from pathlib import Path

from command_line import Run
from makedump import make_run


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
