import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import pytest
from hypothesis import given
from makedump import make_run, write_run
from strategies import json_values

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import verify
from magnet_arrow.errors import CacheDamagedError, FolderNotWritableError, RestoreError, RunNotCachedError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.restore.helm_text import helm_text
from magnet_arrow.restore.run_files import RebuiltFile, find_cached, remove_leftovers, restore


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    for suite, name in (("v1", "tide:n=1"), ("v1", "tide:n=2"), ("v2", "tide:n=2")):
        folder = write_run(tmp_path / "outputs", make_run(name), suite=suite)
        (folder / "costs.json").write_bytes(b'{"a":\t1}\n')
    return tmp_path / "outputs"


@pytest.fixture
def cache(outputs: Path, tmp_path: Path) -> Path:
    ingest(outputs, tmp_path / "cache")
    return tmp_path / "cache"


@given(json_values(strict=False))
def test_the_text_is_that_of_helm(value: Any) -> None:
    assert helm_text(value) == json.dumps(value, indent=2)


def test_a_text_of_any_depth_can_be_written() -> None:
    value: Any = float("nan")
    for _ in range(400):
        value = {"a": [value]}
    assert json.loads(helm_text(value)) != value  # NaN
    assert helm_text(value) == json.dumps(value, indent=2)


FILES: dict[str, tuple[Callable[[], RebuiltFile], Any]] = {
    "an object": (lambda: RebuiltFile({"a": [1, {}]}), {"a": [1, {}]}),
    "a list": (lambda: RebuiltFile(elements=iter([1, {"a": []}])), [1, {"a": []}]),
    "an empty list": (lambda: RebuiltFile(elements=iter(())), []),
    "a list in an object": (
        lambda: RebuiltFile({"a": {"x": 1}, "k": [], "b": None}, iter([{"y": 1}, 2]), "k"),
        {"a": {"x": 1}, "k": [{"y": 1}, 2], "b": None},
    ),
    "an empty list in an object": (lambda: RebuiltFile({"k": []}, iter(()), "k"), {"k": []}),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_in_pieces_is_the_file(kind: str) -> None:
    make, expected = FILES[kind]
    assert "".join(make().texts()) == json.dumps(expected, indent=2)
    assert make().value() == expected
    assert list(make().value()) == list(expected)


def test_a_kept_text_is_the_file() -> None:
    file = RebuiltFile(text='\ufeff{"a":\t1}\n')
    assert list(file.texts()) == ['\ufeff{"a":\t1}\n']
    assert file.value() == {"a": 1}


def test_a_run_is_written_with_all_its_files(outputs: Path, cache: Path, tmp_path: Path) -> None:
    snapshot = Cache(cache).snapshot()
    target = restore(snapshot, find_cached(snapshot, "v1/tide:n=2"), tmp_path / "out")
    folder = "tide-n=2" if os.name == "nt" else "tide:n=2"
    assert target == tmp_path / "out" / "runs" / "v1" / folder
    source = outputs / "runs" / "v1" / "tide:n=2"
    assert sorted(path.name for path in target.iterdir()) == sorted(path.name for path in source.iterdir())
    for path in target.iterdir():
        assert json.loads(path.read_bytes()) == json.loads((source / path.name).read_bytes())
    assert (target / "costs.json").read_bytes() == b'{"a":\t1}\n'
    assert [path.name for path in target.parent.iterdir()] == [folder]


@pytest.mark.slow  # promises/test_r06_lossless.py restores the demo too
def test_a_restored_dump_is_the_same_dump(demo_outputs: Path, tmp_path: Path) -> None:
    ingest(demo_outputs, tmp_path / "cache")
    snapshot = Cache(tmp_path / "cache").snapshot()
    for run in snapshot.runs.values():
        restore(snapshot, run, tmp_path / "out")
    ingest(tmp_path / "out", tmp_path / "second")
    before = HelmRuns(demo_outputs, cache=tmp_path / "cache")
    after = HelmRuns(tmp_path / "out", cache=tmp_path / "second")
    for table in ("run_spec", "scenario_state", "stats", "per_instance_stats"):
        assert getattr(before, table)().equals(getattr(after, table)())
    assert verify(tmp_path / "out", tmp_path / "second").is_equal


def test_the_sources_folder_may_be_gone(outputs: Path, cache: Path) -> None:
    snapshot = Cache(cache).snapshot()
    outputs.rename(outputs.with_name("moved"))
    run = find_cached(snapshot, str(outputs / "runs" / "v2" / "tide:n=2"))
    assert (run.entry.suite, run.entry.folder) == ("v2", "tide:n=2")


@pytest.mark.parametrize("name", ["v1/tide:n=1", "tide:n=1", "the key", "the folder", "a path in the folder above"])
def test_a_run_has_many_names(name: str, outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = Cache(cache).snapshot()
    [expected] = [run for run in snapshot.runs.values() if run.entry.folder == "tide:n=1"]
    monkeypatch.chdir(outputs / "runs")
    folder = outputs / "runs" / "v1" / "tide:n=1"
    names = {"the key": expected.key, "the folder": str(folder), "a path in the folder above": "./v1/tide:n=1"}
    assert find_cached(snapshot, names.get(name, name)).key == expected.key


def test_a_name_of_two_runs_is_refused_with_the_choice(cache: Path) -> None:
    snapshot = Cache(cache).snapshot()
    with pytest.raises(RunNotCachedError, match=r"2 cached runs are called 'tide:n=2'") as error:
        find_cached(snapshot, "tide:n=2")
    assert all(run.key in str(error.value) for run in snapshot.runs.values() if run.entry.folder == "tide:n=2")


def test_a_wrong_name_is_answered_by_a_near_one(cache: Path) -> None:
    with pytest.raises(RunNotCachedError, match="Did you mean 'tide:n=1'"):
        find_cached(Cache(cache).snapshot(), "tde:n=1")


def test_a_near_name_of_two_runs_is_offered_with_their_suites(cache: Path) -> None:
    with pytest.raises(RunNotCachedError) as error:
        find_cached(Cache(cache).snapshot(), "TIDE:n=2")
    assert "Did you mean 'v1/tide:n=2' or 'v2/tide:n=2'?" in str(error.value)


def test_nothing_is_overwritten(cache: Path, tmp_path: Path) -> None:
    snapshot = Cache(cache).snapshot()
    run = find_cached(snapshot, "tide:n=1")
    target = restore(snapshot, run, tmp_path / "out")
    (target / "stats.json").write_text("mine", encoding="ascii")
    with pytest.raises(RestoreError, match="is there already"):
        restore(snapshot, run, tmp_path / "out")
    assert (target / "stats.json").read_text("ascii") == "mine"


@pytest.mark.parametrize("what", ["suite", "folder"])
@pytest.mark.parametrize("name", ["..", ".", "", "/tmp/evil", "../evil", "a/../../evil", "a\0b"], ids=repr)
def test_nothing_is_written_elsewhere(what: str, name: str, cache: Path, tmp_path: Path) -> None:
    if (what, name) == ("folder", ""):
        pytest.skip("what has no folder is no run")
    damage.change_runs(cache, lambda runs: runs[1].update({what: name}))
    snapshot = Cache(cache).snapshot()
    [run] = [run for run in snapshot.runs.values() if getattr(run.entry, what) == name]
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RestoreError, match="leads out of"):
        restore(snapshot, run, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_in_the_way_is_not_followed(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "runs").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    snapshot = Cache(cache).snapshot()
    with pytest.raises(RestoreError, match="leads out of"):
        restore(snapshot, find_cached(snapshot, "tide:n=1"), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_run_that_is_damaged_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    damage.change_table(cache, "stats", lambda rows: rows.slice(0, rows.num_rows - 1))
    snapshot = Cache(cache).snapshot()
    run = find_cached(snapshot, "v2/tide:n=2")
    with pytest.raises(CacheDamagedError, match="1 rows of 2") as error:
        restore(snapshot, run, tmp_path / "out")
    assert (error.value.where.run, error.value.where.file) == ("v2/tide:n=2", "stats.json")
    assert list((tmp_path / "out" / "runs" / "v2").iterdir()) == []


def test_the_cut_part_of_a_partial_run_is_not_made_up(outputs: Path, tmp_path: Path) -> None:
    path = outputs / "runs" / "v1" / "tide:n=1" / "stats.json"
    whole = json.loads(path.read_bytes())
    path.write_bytes(path.read_bytes()[:-20])
    ingest(outputs, tmp_path / "cache", partial=True)
    snapshot = Cache(tmp_path / "cache").snapshot()
    target = restore(snapshot, find_cached(snapshot, "tide:n=1"), tmp_path / "out")
    assert json.loads((target / "stats.json").read_bytes()) == whole[:-1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks on folders")
def test_what_a_killed_restoration_has_left_is_removed(cache: Path, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom magnet_arrow.restore import run_files as restoring\n"
        "from magnet_arrow.cache import Cache\n"
        "restoring.RunFiles.rebuild = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "snapshot = Cache(sys.argv[1]).snapshot()\n"
        "restoring.restore(snapshot, restoring.find_cached(snapshot, 'v2/tide:n=2'), Path(sys.argv[2]))\n"
    )
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", code, str(cache), str(out)], check=False)
    [left] = (out / "runs" / "v2").iterdir()
    assert remove_leftovers(out) == [left]
    assert list((out / "runs" / "v2").iterdir()) == []
    snapshot = Cache(cache).snapshot()
    assert restore(snapshot, find_cached(snapshot, "v2/tide:n=2"), out).name == "tide:n=2"
    assert remove_leftovers(out) == remove_leftovers(tmp_path / "nowhere") == []


def test_a_place_that_cannot_be_written_is_told(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    snapshot = Cache(cache).snapshot()
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FolderNotWritableError, match="You may not write there: ask for the right to, or name another"):
        restore(snapshot, find_cached(snapshot, "v2/tide:n=2"), tmp_path / "out")
