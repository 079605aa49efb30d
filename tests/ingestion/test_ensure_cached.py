"""What frames are read from: missing runs are ingested, and a cache may refuse to be written."""

import shutil
import warnings
from pathlib import Path

import pytest
from dump_files import file_of, files_opened, first_mean, places, set_mean
from makedump import THREE as NAMES
from makedump import make_run, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheNotWritableError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.ensure_cached import ensure_cached
from magnet_arrow.outputs import HelmRuns


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return files_opened(monkeypatch)


def unwritable(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the disk is made to refuse."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)


def test_a_cache_that_can_not_be_made_is_an_error(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for call in (ingest, lambda source, cache: ensure_cached(places(source), Cache(cache))):
        with pytest.raises(CacheNotWritableError, match="cannot be written"):
            call(outputs, tmp_path / "file" / "cache")


def test_runs_that_are_cached_are_read_though_the_cache_can_not_be_written(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache)
    unwritable(cache, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ensure_cached(places(outputs), Cache(cache)).snapshot.runs) == 3


def test_stale_runs_are_named_where_the_cache_can_not_be_written(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache)
    set_mean(file_of(outputs, NAMES[1]), 0.75)
    unwritable(cache, monkeypatch)
    ensured = ensure_cached(places(outputs), Cache(cache))
    assert len(ensured.snapshot.runs) == 3
    assert [key.partition("/")[2] for key in ensured.outdated] == [f"made/{NAMES[1]}"]
    assert isinstance(ensured.error, CacheNotWritableError)
    assert first_mean(cache, NAMES[1]) == 0.5


def test_a_run_that_is_not_cached_is_an_error_where_the_cache_can_not_be_written(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache, runs="a*")
    unwritable(cache, monkeypatch)
    with pytest.raises(CacheNotWritableError, match="Read-only file system"):
        ensure_cached(places(outputs), Cache(cache))


def test_a_table_that_is_not_cached_is_an_error_where_the_cache_can_not_be_written(
    outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache, tables=["stats"])
    unwritable(cache, monkeypatch)
    runs = HelmRuns(outputs, cache=cache)
    assert runs.stats().height == 6
    with pytest.raises(CacheNotWritableError, match="Read-only file system"):
        runs.scenario_state()


def test_what_is_missing_is_taken_and_nothing_else(outputs: Path, cache: Path, opened: list[str]) -> None:
    snapshot = ensure_cached(places(outputs)[1:2], Cache(cache)).snapshot
    assert [run.entry.folder for run in snapshot.runs.values()] == [NAMES[1]]
    opened.clear()
    assert ensure_cached(places(outputs)[1:2], Cache(cache)).rejected == {}
    assert opened == []


@pytest.mark.parametrize("before", [False, True], ids=["found now", "known"])
def test_runs_that_can_not_be_taken_are_told_by_key(before: bool, outputs: Path, cache: Path) -> None:
    file_of(outputs, NAMES[0]).write_text("[")
    file_of(outputs, NAMES[2]).write_text("{}")
    if before:
        ingest(outputs, cache)
    ensured = ensure_cached(places(outputs), Cache(cache))
    assert [key.partition("/")[2] for key in ensured.rejected] == [f"made/{NAMES[0]}", f"made/{NAMES[2]}"]
    assert [bad.rejected.file for bad in ensured.rejected.values()] == ["stats.json", "stats.json"]
    assert [run.entry.folder for run in ensured.snapshot.runs.values()] == [NAMES[1]]


@pytest.mark.parametrize("partial", [False, True])
def test_what_other_rules_rejected_is_looked_at_again(partial: bool, cache: Path, tmp_path: Path) -> None:
    """One has a field that HELM does not declare, of one a file is missing, and one has no name."""
    run_reader = [make_run(name) for name in "abc"]
    run_reader[0]["stats"][0]["more"] = 1
    run_reader[2]["run_spec"]["name"] = 7
    paths = [write_run(tmp_path / "outputs", run, folder=folder) for run, folder in zip(run_reader, "abc", strict=True)]
    (paths[1] / "stats.json").unlink()
    assert len(ingest(tmp_path / "outputs", cache, strict=True).rejected) == 3
    for _ in range(2):
        ensured = ensure_cached(places(tmp_path / "outputs"), cache, partial=partial)
        assert [run.entry.folder for run in ensured.snapshot.runs.values()] == (["a", "b"] if partial else ["a"])


def test_a_run_that_is_gone_is_rejected_and_nothing_is_kept_of_that(outputs: Path, cache: Path) -> None:
    found = places(outputs)
    ingest(outputs, cache)
    before = (cache / "manifest.json").read_bytes()
    shutil.rmtree(found[1].path)
    (bad,) = ensure_cached(found, cache).rejected.values()
    assert (bad.rejected.run, bad.rejected.found) == (f"made/{NAMES[1]}", "none any more")
    assert (cache / "manifest.json").read_bytes() == before


def test_once_a_run_is_known_as_rejected_the_whole_ones_are_those_without_it(outputs: Path, cache: Path) -> None:
    run_reader = HelmRuns(outputs, cache=cache)
    file_of(outputs, NAMES[0]).write_text("[")
    ingest(outputs, cache)
    assert [place.folder for place in run_reader.complete().places] == NAMES[1:]
    assert set(run_reader.complete().stats()["run_spec.name"]) == set(NAMES[1:])
    file_of(outputs, NAMES[0]).write_text("[]")  # in another state it may be a good one
    assert [place.folder for place in run_reader.complete().places] == list(NAMES)
