"""What is cached is not read again: shown by an audit hook that sees each file that is opened, not by a clock."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from makedump import make_run, write_runs
from reading import cached_places, forget_run_lists, read
from reference import TABLES, compare, tables

from magnet_arrow.cache import Cache
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import ingest

# As `sitecustomize` it runs in each Python that is started, workers too.
HOOK = """
import os, sys
log = os.open(os.environ["OPENED_FILES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def note(event, args):
    if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
        os.write(log, os.fsencode(args[0]) + b"\\n")
sys.addaudithook(note)
"""
INGEST = """
import sys
from magnet_arrow.ingestion.api import ingest
report = ingest(sys.argv[1], sys.argv[2])
print(report.runs, len(report.rejected))
"""
NOTHING = Counter[str]()
Watched = tuple[int, int, Counter[str]]
"""Runs ingested, runs rejected, how often each of HELM's files was opened."""


class OpenedFiles:
    """The files that this process opens while it is asked to note them."""

    def __init__(self) -> None:
        self._paths: list[str] | None = None
        sys.addaudithook(self._note)  # for good: Python removes no hook

    def _note(self, event: str, args: tuple[object, ...]) -> None:
        if self._paths is not None and event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            self._paths.append(os.fsdecode(args[0]))

    @contextlib.contextmanager
    def noted(self) -> Iterator[list[str]]:
        self._paths = paths = []
        try:
            yield paths
        finally:
            self._paths = None


OPENED = OpenedFiles()


def ingest_watched(source: Path, cache: Path) -> Watched:
    """Ingest in this process, as if it knew nothing of the cache."""
    forget_run_lists()
    with OPENED.noted() as paths:
        report = ingest(source, cache, workers=1)
    return report.runs, len(report.rejected), counted(paths)


def counted(paths: Iterable[str]) -> Counter[str]:
    opened = Counter(Path(path).name for path in paths)
    assert opened.total() > 0, "the hook was not there"
    return Counter({name: opened[name] for name in RUN_FILES if opened[name]})


def ingest_elsewhere(source: Path, cache: Path, scratch: Path) -> Watched:
    """Ingest in a fresh process, with the hook in each process that it starts."""
    (scratch / "site").mkdir(exist_ok=True)
    (scratch / "site" / "sitecustomize.py").write_text(HOOK)
    log = scratch / "opened.txt"
    log.unlink(missing_ok=True)
    package = Path(__file__).parents[2]
    paths = os.pathsep.join([str(scratch / "site"), str(package)])
    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(source), str(cache)],
        env=os.environ | {"OPENED_FILES": str(log), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    ingested, rejected = map(int, done.stdout.split())
    return ingested, rejected, counted(log.read_text().splitlines())


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "first", [make_run("tide:n=1"), make_run("tide:n=2"), make_run("moon:n=3")])
    return tmp_path / "first"


@pytest.mark.slow
def test_a_second_ingest_opens_no_file_of_a_run(outputs: Path, tmp_path: Path) -> None:
    runs, rejected, opened = ingest_elsewhere(outputs, tmp_path / "cache", tmp_path)
    assert (runs, rejected) == (3, 0)
    assert all(opened[name] >= 3 for name in RUN_FILES), "or the hook does not see how files are opened"
    assert ingest_elsewhere(outputs, tmp_path / "cache", tmp_path) == (0, 0, NOTHING)


def test_a_second_ingest_of_the_demo_writes_nothing(demo_outputs: Path, tmp_path: Path) -> None:
    ingest_watched(demo_outputs, tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    assert ingest_watched(demo_outputs, tmp_path / "cache") == (0, 0, NOTHING)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == before


def test_only_a_changed_run_is_read_again(outputs: Path, tmp_path: Path) -> None:
    ingest_watched(outputs, tmp_path / "cache")
    stats = outputs / "runs" / "made" / "tide:n=2" / "stats.json"
    stats.write_text(stats.read_text().replace("0.5", "0.75"))
    runs, rejected, opened = ingest_watched(outputs, tmp_path / "cache")
    assert (runs, rejected) == (1, 0)
    assert opened["per_instance_stats.json"] == 1
    assert_equal_to_source(outputs, tmp_path / "cache", 3)


def test_a_rejected_run_is_reported_again_without_reading(outputs: Path, tmp_path: Path) -> None:
    (outputs / "runs" / "made" / "tide:n=1" / "stats.json").write_text("[")
    assert ingest_watched(outputs, tmp_path / "cache")[:2] == (2, 1)
    assert ingest_watched(outputs, tmp_path / "cache") == (0, 1, NOTHING)


def test_two_roots_that_differ_in_one_value_are_both_there(outputs: Path, tmp_path: Path) -> None:
    other = tmp_path / "second"
    shutil.copytree(outputs, other)
    stats = other / "runs" / "made" / "tide:n=2" / "stats.json"
    stats.write_text(stats.read_text().replace("0.5", "0.7"))
    for source in (outputs, other, outputs):
        ingest_watched(source, tmp_path / "cache")
    assert Cache(tmp_path / "cache").runs().height == 6
    for source in (outputs, other):
        assert_equal_to_source(source, tmp_path / "cache", 3)
    places = cached_places([outputs, other], tmp_path / "cache")
    means = read(places, "stats", tmp_path / "cache")["stats.mean"].to_list()
    moon, tide_1, tide_2 = [0.5, 2.0], [0.5, 2.0], [0.5, 2.0]
    assert means == [*moon, *tide_1, *tide_2, *moon, *tide_1, 0.7, 2.0]


def test_a_copy_that_stays_beside_the_original_is_another_source(outputs: Path, tmp_path: Path) -> None:
    ingest_watched(outputs, tmp_path / "cache")
    shutil.copytree(outputs, tmp_path / "copy")
    runs, rejected, opened = ingest_watched(tmp_path / "copy", tmp_path / "cache")
    assert (runs, rejected) == (3, 0)
    assert opened["stats.json"] == 3
    assert Cache(tmp_path / "cache").runs().height == 6


def test_a_moved_dump_keeps_its_cache(outputs: Path, tmp_path: Path) -> None:
    ingest_watched(outputs, tmp_path / "cache")
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    outputs.rename(moved)
    assert ingest_watched(moved, tmp_path / "cache") == (0, 0, NOTHING)
    assert Cache(tmp_path / "cache").runs().height == 3
    assert_equal_to_source(moved, tmp_path / "cache", 3)


def test_a_moved_cache_still_knows_its_runs(outputs: Path, tmp_path: Path) -> None:
    ingest_watched(outputs, tmp_path / "cache")
    (tmp_path / "cache").rename(tmp_path / "moved-cache")
    assert ingest_watched(outputs, tmp_path / "moved-cache") == (0, 0, NOTHING)
    assert_equal_to_source(outputs, tmp_path / "moved-cache", 3)


def assert_equal_to_source(source: Path, cache: Path, n_runs: int) -> None:
    places = cached_places(source, cache)
    assert len(places) == n_runs
    for table in TABLES:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, cache)) == []
