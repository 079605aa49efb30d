"""A file that is cut rejects its run, by name, and no other run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makedump import make_run, write_run, write_runs
from reading import cached_places, read
from reference import TABLES, compare, tables

from magnet_arrow.cache import Cache
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import IngestReport, ingest

NAMES = ["tide:n=1", "tide:n=2", "tide:n=3"]
VICTIM = NAMES[1]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "outputs", [make_run(name) for name in NAMES])
    return tmp_path / "outputs"


def victim(outputs: Path) -> Path:
    return outputs / "runs" / "made" / VICTIM


def assert_only_victims_are_out(outputs: Path, cache: Path) -> None:
    """Whole runs in every table, nothing of the other in any."""
    assert Cache(cache).runs()["folder"].to_list() == [NAMES[0], NAMES[2]]
    places = cached_places(outputs, cache)
    for table in TABLES:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, cache)) == []
        named = Cache(cache).scan(table).collect()["run_spec.name"].unique().sort()
        assert named.to_list() == [NAMES[0], NAMES[2]]


def cut(file: Path, size: int) -> None:
    os.truncate(file, size)


def in_a_string(content: str) -> int:
    return content.index('": "') + 6 if '": "' in content else content.index('"') + 2


CUTS = {
    "to nothing": lambda content: 0,
    "to one byte": lambda content: 1,
    "inside a string": in_a_string,
    "after a colon": lambda content: content.rindex(": ") + 2,
    "inside a number": lambda content: content.index("0.") + 2 if "0." in content else len(content) // 3,
    "after a whole element": lambda content: content.index("}") + 1,
    "after a comma": lambda content: content.rindex(",") + 1,
    "in the middle": lambda content: len(content) // 2,
    "by its last byte": lambda content: len(content) - 1,
}


@pytest.fixture(scope="module")
def cut_in_all_ways(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, IngestReport]:
    """Outputs, cache and report of two sound runs among others, of which one file each is cut in one way."""
    folder = tmp_path_factory.mktemp("cut")
    for name, how in product(RUN_FILES, CUTS):
        file = write_run(folder / "outputs", make_run(f"{VICTIM} {name} {how}")) / name
        cut(file, CUTS[how](file.read_text()))
    write_runs(folder / "outputs", [make_run(NAMES[0]), make_run(NAMES[2])])
    return folder / "outputs", folder / "cache", ingest(folder / "outputs", folder / "cache")


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("name", RUN_FILES)
def test_a_cut_file_rejects_its_run(name: str, how: str, cut_in_all_ways: tuple[Path, Path, IngestReport]) -> None:
    *_, report = cut_in_all_ways
    [rejected] = [one for one in report.rejected if one.run.endswith(f"{VICTIM} {name} {how}")]
    assert rejected.file == name
    assert f"{VICTIM} {name} {how}/{name}" in str(rejected)


def test_cut_files_reject_no_other_run(cut_in_all_ways: tuple[Path, Path, IngestReport]) -> None:
    outputs, cache, report = cut_in_all_ways
    assert (report.runs, len(report.rejected)) == (2, len(RUN_FILES) * len(CUTS))
    assert_only_victims_are_out(outputs, cache)


@given(data=st.data())
def test_a_cut_at_any_byte_rejects_just_its_run(data: st.DataObject, tmp_path: Path) -> None:
    content = json.dumps(make_run(VICTIM)[table := data.draw(st.sampled_from(TABLES))], indent=2)
    size = data.draw(st.integers(0, len(content) - 1))
    work = tmp_path / f"{table}-{size}"
    shutil.rmtree(work, ignore_errors=True)
    write_runs(work / "outputs", [make_run(name) for name in NAMES])
    cut(victim(work / "outputs") / f"{table}.json", size)
    report = ingest(work / "outputs", work / "cache")
    assert [(rejected.run.endswith(VICTIM), rejected.file) for rejected in report.rejected] == [(True, f"{table}.json")]
    assert report.runs == 2
    assert_only_victims_are_out(work / "outputs", work / "cache")


@pytest.mark.slow  # as in cli/test_ingest_command.py, in a process of its own
@pytest.mark.parametrize("name", RUN_FILES)
def test_the_command_line_names_the_file_and_exits_with_1(name: str, outputs: Path, cache_dir: Path) -> None:
    file = victim(outputs) / name
    cut(file, file.stat().st_size // 2)
    done = subprocess.run(
        [sys.executable, "-m", "magnet_arrow", "ingest", str(outputs)],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert VICTIM in done.stdout + done.stderr
    assert name in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert len(Cache().runs()) == 2


def test_a_cut_file_that_was_cached_before_replaces_nothing(outputs: Path, tmp_path: Path) -> None:
    """Its run was whole when it was taken; that is not mixed with what is left of the file."""
    ingest(outputs, tmp_path / "cache")
    file = victim(outputs) / "stats.json"
    whole = file.read_bytes()
    cut(file, len(whole) // 2)
    [rejected] = ingest(outputs, tmp_path / "cache").rejected
    assert rejected.file == "stats.json"
    file.write_bytes(whole)
    report = ingest(outputs, tmp_path / "cache")
    assert report.rejected == ()
    places = cached_places(outputs, tmp_path / "cache")
    assert len(places) == 3
    for table in TABLES:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, tmp_path / "cache")) == []


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(0, id="to nothing"),
        pytest.param(2, id="to two bytes", marks=pytest.mark.slow),
        pytest.param(None, id="but for one byte"),
    ],
)
@pytest.mark.parametrize(
    "name", [*(pytest.param(name, marks=pytest.mark.slow) for name in RUN_FILES[:2]), *RUN_FILES[2:]]
)
def test_a_file_that_is_cut_while_it_is_read_rejects_its_run(
    name: str, left: int | None, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut behind the reader's back, between two reads: what was read may be whole, the run is not."""
    file = victim(outputs) / name
    inode, size = file.stat().st_ino, file.stat().st_size
    cuts = []

    def cutting(read: Callable[..., Any]) -> Callable[..., Any]:
        def read_and_cut(descriptor: int, *rest: Any) -> Any:
            got = read(descriptor, *rest)
            if os.fstat(descriptor).st_ino == inode and not cuts:
                cut(file, size - 1 if left is None else left)
                cuts.append(descriptor)
            return got

        return read_and_cut

    monkeypatch.setattr(os, "readv", cutting(os.readv))
    monkeypatch.setattr(os, "read", cutting(os.read))
    report = ingest(outputs, tmp_path / "cache")
    assert len(cuts) == 1
    [rejected] = report.rejected
    assert rejected.run.endswith(VICTIM)
    assert rejected.file == name
    monkeypatch.undo()
    assert_only_victims_are_out(outputs, tmp_path / "cache")
