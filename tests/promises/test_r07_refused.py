"""R7: only damage is called so. A disk, a permission or a limit that says no for a moment changes nothing."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from makedump import make_run, write_runs
from reading import cached_places, forget_run_lists, read

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import verify
from magnet_arrow.errors import CacheDamagedError, CacheNotReadableError, MagnetWarning
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.ensure_cached import ensure_cached
from magnet_arrow.storage import checksums
from magnet_arrow.storage.manifest import read_manifest

REFUSALS: dict[str, Exception] = {
    name: OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
    for name in ("EIO", "EACCES", "EMFILE", "ENFILE", "ESTALE", "ENOMEM", "ETIMEDOUT")
} | {"no memory": MemoryError(), "no thread": RuntimeError("can't start new thread")}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two sources in one cache, one run of the first replaced; all that the first has in the cache is there alone."""
    first, second = tmp_path / "first", tmp_path / "second"
    write_runs(first, [make_run(f"tide:n={number}") for number in range(6)])
    ingest(first, tmp_path / "cache")
    stats = first / "runs" / "made" / "tide:n=1" / "stats.json"
    stats.write_text(stats.read_text().replace("0.5", "0.75"))
    ingest(first, tmp_path / "cache")
    write_runs(second, [make_run("moon")])
    forget_run_lists()
    return tmp_path / "cache"


@pytest.fixture(params=["manifest", "run list", "deletion file", "segment"])
def file(request: pytest.FixtureRequest, cache: Path) -> Path:
    """A file of the cache, of each kind."""
    held = read_manifest(cache).segments
    replaced = next(segment for segment in held if segment.deleted)
    assert replaced.deleted is not None
    inside = {
        "manifest": "manifest.json",
        "run list": replaced.runs.path,
        "deletion file": replaced.deleted.path,
        "segment": replaced.tables["stats"].file.path,
    }
    return cache / inside[request.param]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, Exception], None]]:
    """Let each open of a file fail in this way."""

    def begin(file: Path, error: Exception) -> None:
        really = io.open

        def opened(path: Any, *args: Any, **options: Any) -> Any:
            if isinstance(path, str | os.PathLike) and os.fspath(path) == os.fspath(file):
                raise error
            return really(path, *args, **options)

        class Refusing(pq.ParquetFile):
            def __init__(self, path: Path, *args: Any, **options: Any) -> None:
                if path == file:
                    raise error
                super().__init__(path, *args, **options)

        monkeypatch.setattr(io, "open", opened)
        monkeypatch.setattr(pq, "ParquetFile", Refusing)

    yield begin
    monkeypatch.undo()


def files_of(cache: Path) -> dict[str, bytes]:
    ours = (path for path in cache.rglob("*") if path.is_file() and not path.name.startswith("lock"))
    return {str(path.relative_to(cache)): path.read_bytes() for path in ours}


@pytest.mark.parametrize("error", REFUSALS.values(), ids=REFUSALS)
def test_what_the_system_refuses_is_an_error_and_changes_nothing(
    error: Exception,
    file: Path,
    cache: Path,
    refuse: Callable[[Path, Exception], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the ingest of another source, nor a frame, takes anything for damaged."""
    before = files_of(cache)
    places = find_runs(tmp_path / "first").places
    refuse(file, error)
    uses: list[Callable[[], object]] = [
        lambda: read(places, "stats", cache),
        lambda: verify(tmp_path / "first", cache),
        lambda: Cache(cache).check(),
    ]
    if file.parent.name != "stats":
        uses += [lambda: Cache(cache).runs(), lambda: ensure_cached(places, cache)]
        uses += [lambda: ingest(tmp_path / "second", cache)]
    for use in uses:
        with pytest.raises(CacheNotReadableError) as caught:
            use()
        assert str(file) in str(caught.value)
        assert (getattr(error, "strerror", None) or str(error)) in str(caught.value)
        assert "Nothing was changed" in str(caught.value)
    monkeypatch.undo()
    assert files_of(cache) == before
    assert ingest(tmp_path / "second", cache).runs == 1
    assert Cache(cache).runs().height == 7
    assert Cache(cache).check().damages == ()


def test_a_page_that_can_not_be_read_is_damage_only_if_the_file_is_another(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What Arrow says does not decide: size and digest do."""

    def fail(*_: object, **__: object) -> None:
        raise pa.ArrowInvalid("it says so")

    (path,) = {cache / one.tables["stats"].file.path for one in read_manifest(cache).segments if one.deleted}
    places = cached_places(tmp_path / "first", cache)[:1]
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", fail)
    with pytest.raises(CacheNotReadableError, match="it says so"):
        read(places, "stats", cache)
    assert not (cache / "damaged").exists()
    data = path.read_bytes()
    path.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    with pytest.raises(CacheDamagedError, match="it says so"):
        read(places, "stats", cache)
    assert [mark.name for mark in (cache / "damaged").iterdir()] == [path.stem]


def test_a_file_of_the_first_caches_has_no_digest_of_its_pages(cache: Path) -> None:
    """There an error of the system is told by its number, and others are damage."""
    entry = next(one.tables["stats"].file for one in read_manifest(cache).segments)
    entry = type(entry)(entry.path, entry.size_bytes, entry.digest)
    assert isinstance(checksums.explained(cache, entry, OSError(errno.EIO, "no")), CacheNotReadableError)
    assert isinstance(checksums.explained(cache, entry, pa.ArrowMemoryError("no")), CacheNotReadableError)
    assert isinstance(checksums.explained(cache, entry, OSError("zstd failed")), CacheDamagedError)


def test_a_mere_read_drops_no_run(cache: Path, tmp_path: Path) -> None:
    """With a run list gone, the runs that are read come from their source; all others stay where they are."""
    ingest(tmp_path / "second", cache)
    held = read_manifest(cache).segments
    (cache / held[0].runs.path).write_bytes(b"")
    forget_run_lists()
    moon = find_runs(tmp_path / "second").places
    with pytest.warns(MagnetWarning, match="cannot be found in it"):
        ensure_cached(moon, cache)
    assert read_manifest(cache).segments == held  # moon is in another segment: there was nothing to do
    tides = find_runs(tmp_path / "first").places
    with pytest.warns(MagnetWarning, match="those of this source are read again"):
        found = ensure_cached(tides, cache).snapshot
    assert sorted(run.entry.folder for run in found.runs.values()) == [
        "moon",
        *(f"tide:n={number}" for number in range(6)),
    ]
    now = read_manifest(cache).segments
    assert len(now) == len(held) + 1
    assert all(segment in now for segment in held[:1])
    with pytest.warns(MagnetWarning, match="cannot be found in it"):
        ensure_cached(tides, cache)
    assert read_manifest(cache).segments == now  # not once more
    with pytest.raises(CacheDamagedError, match="Ingest the source again"):
        Cache(cache).runs()
    report = ingest(tmp_path / "first", cache)  # which does drop it
    assert any("no longer in the cache" in note for note in report.notes)
    assert Cache(cache).runs().height == 7
    assert Cache(cache).check().damages == ()
