"""Run specs of runs that are not ingested, many at once."""

import gzip
import json
from pathlib import Path

import pytest
from makedump import run_spec

from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion import run_specs
from magnet_arrow.ingestion.run_specs import readable_run_specs

PLAIN = {name: json.dumps(run_spec(name, {"subject": name}), indent=2).encode() for name in "abcdef"}
FILES = {
    "a": PLAIN["a"],
    "b": b"\xef\xbb\xbf" + PLAIN["b"],
    "c": PLAIN["c"].replace(b'"subject": "c"', b'"subject": "c", "share": NaN'),
    "d": PLAIN["d"][:-9],
    "e": b"[" + PLAIN["e"] + b"]",
    "f": PLAIN["f"],
    "g": b'{"metric_specs": []}',
}


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_ordinary_and_other_run_specs_are_read_whatever_they_are_read_with(
    batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_specs, "_BATCH_RUNS", batch)
    for name, data in FILES.items():
        folder = tmp_path / "dump" / "runs" / "suite" / name
        folder.mkdir(parents=True)
        (folder / "run_spec.json").write_bytes(data)
    compressed = tmp_path / "dump" / "runs" / "suite" / "f" / "run_spec.json"
    compressed.rename(compressed.with_name("plain"))
    compressed.with_name("run_spec.json.gz").write_bytes(gzip.compress(FILES["f"]))
    found = readable_run_specs(find_runs(tmp_path / "dump").places, tmp_path / "cache")
    assert found.readable == [0, 1, 2, 5]
    rows = found.rows.collect()
    assert rows["run_spec.name"].to_list() == ["a", "b", "c", "f"]
    assert rows["run_spec.scenario_spec.args.subject"].to_list() == ["a", "b", "c", "f"]
    shares = rows["run_spec.scenario_spec.args.share"].to_list()
    assert [share is not None and share != share for share in shares] == [False, False, True, False]
    errors = {index: (error.where.file, error.expected, error.found) for index, error in found.bad.items()}
    assert sorted(errors) == [3, 4, 6]
    assert errors[4] == ("run_spec.json", "an object", "an array")
    assert errors[6] == ("run_spec.json", "a string", "no such key")


def test_long_run_specs_are_not_held_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_specs, "BATCH_BYTES", 10)
    for name in "ab":
        folder = tmp_path / "dump" / "runs" / "suite" / name
        folder.mkdir(parents=True)
        (folder / "run_spec.json").write_bytes(PLAIN[name])
    found = readable_run_specs(find_runs(tmp_path / "dump").places, tmp_path / "cache")
    assert found.rows.collect()["run_spec.name"].to_list() == ["a", "b"]
