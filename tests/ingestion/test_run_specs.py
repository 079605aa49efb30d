"""Run specs as they are now: out of the cache where it is up to date, else from the files, many at once."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from dump_files import file_of, files_opened, places
from makedump import THREE as NAMES
from makedump import Run, make_run, run_spec, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.errors import BadFileError
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion import run_specs
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.run_specs import read_run_specs, readable_run_specs


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return files_opened(monkeypatch)


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


def test_run_specs_are_read_without_taking_the_runs(outputs: Path, cache: Path, opened: list[str]) -> None:
    """One from the cache, one changed since, one never taken: in the order asked for, in one frame."""
    ingest(outputs, cache, runs="[ab]*")
    path = file_of(outputs, NAMES[1], "run_spec.json")
    spec = json.loads(path.read_text())
    spec["scenario_spec"]["args"] = {"subject": "tides", "depth": 0.5}
    path.write_text(json.dumps(spec))
    opened.clear()
    chosen = [places(outputs)[number] for number in (2, 0, 1)]
    frame = read_run_specs(chosen, cache)
    assert opened == [f"{NAMES[2]}/run_spec.json", f"{NAMES[1]}/run_spec.json"]
    assert frame["run_spec.name"].to_list() == [NAMES[2], NAMES[0], NAMES[1]]
    assert frame["run_spec.scenario_spec.args.depth"].to_list() == [None, None, 0.5]
    assert frame.columns[-1] == "magnet.run"
    assert Cache(cache).runs().height == 2


def test_run_specs_of_a_dump_that_was_never_seen(outputs: Path, tmp_path: Path) -> None:
    frame = read_run_specs(places(outputs), tmp_path / "nothing")
    assert frame["run_spec.name"].to_list() == NAMES
    assert read_run_specs([], tmp_path / "nothing").height == 0
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda run: run["run_spec"].pop("name"), "no such key", id="missing"),
        pytest.param(lambda run: run["run_spec"].update(name=7), "a number", id="a number"),
        pytest.param(lambda run: run["run_spec"].update(name=None), "null", id="null"),
    ],
)
def test_a_run_spec_without_a_name_is_bad(change: Callable[[Run], object], found: str, tmp_path: Path) -> None:
    run = make_run("x")
    change(run)
    write_run(tmp_path / "outputs", run, folder="x")
    with pytest.raises(BadFileError) as caught:
        read_run_specs(places(tmp_path / "outputs"), tmp_path / "cache")
    assert caught.value.found == found
