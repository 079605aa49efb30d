"""R7: only damage is called so. A disk, a permission or a limit that says no for a moment changes nothing."""

import errno
import io
import os
import shutil
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

SYSTEM_ERRORS: dict[str, Exception] = {
    name: OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
    for name in ("EIO", "EACCES", "EMFILE", "ENFILE", "ESTALE", "ENOMEM", "ETIMEDOUT")
} | {"no memory": MemoryError(), "no thread": RuntimeError("can't start new thread")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources, and a cache of the first, of which one run was replaced; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    write_runs(folder / "first", [make_run(f"tide:n={number}") for number in range(6)])
    ingest(folder / "first", folder / "cache")
    stats = folder / "first" / "runs" / "made" / "tide:n=1" / "stats.json"
    stats.write_text(stats.read_text().replace("0.5", "0.75"))
    ingest(folder / "first", folder / "cache")
    write_runs(folder / "second", [make_run("moon")])
    return folder


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A cache of one's own that no process has read."""
    shutil.copytree(made / "cache", tmp_path / "cache")
    forget_run_lists()
    return tmp_path / "cache"


FILES = ("manifest", "run list", "deletion file", "segment")


@pytest.fixture(params=FILES)
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


def is_slow(error: str, file: str) -> bool:
    """Each error is tried with one kind of file, and each kind of file with two of the errors."""
    return file != "manifest" and error not in ("EIO", "no memory")


@pytest.mark.parametrize(
    ("error", "file"),
    [
        pytest.param(error, file, id=f"{name}-{file}", marks=[pytest.mark.slow] * is_slow(name, file))
        for name, error in SYSTEM_ERRORS.items()
        for file in FILES
    ],
    indirect=["file"],
)
def test_what_the_system_refuses_is_an_error_and_changes_nothing(
    error: Exception,
    file: Path,
    cache: Path,
    refuse: Callable[[Path, Exception], None],
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the ingest of another source, nor a frame, takes anything for damaged."""
    before = files_of(cache)
    places = find_runs(made / "first").places
    refuse(file, error)
    uses: list[Callable[[], object]] = [
        lambda: read(places, "stats", cache),
        lambda: verify(made / "first", cache),
        lambda: Cache(cache).check(),
    ]
    if file.parent.name != "stats":
        uses += [lambda: Cache(cache).runs(), lambda: ensure_cached(places, cache)]
        uses += [lambda: ingest(made / "second", cache)]
    for use in uses:
        with pytest.raises(CacheNotReadableError) as caught:
            use()
        assert str(file) in str(caught.value)
        assert (getattr(error, "strerror", None) or str(error)) in str(caught.value)
        assert "Nothing was changed" in str(caught.value)
    monkeypatch.undo()
    assert files_of(cache) == before
    assert ingest(made / "second", cache).runs == 1
    assert Cache(cache).runs().height == 7
    assert Cache(cache).check().damages == ()


def test_a_page_that_can_not_be_read_is_damage_only_if_the_file_is_another(
    cache: Path, monkeypatch: pytest.MonkeyPatch, made: Path
) -> None:
    """What Arrow says does not decide: size and digest do."""

    def fail(*_: object, **__: object) -> None:
        raise pa.ArrowInvalid("it says so")

    (path,) = {cache / one.tables["stats"].file.path for one in read_manifest(cache).segments if one.deleted}
    places = cached_places(made / "first", cache)[:1]
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


def test_a_mere_read_drops_no_run(cache: Path, made: Path) -> None:
    """With a run list gone, the runs that are read come from their source; all others stay where they are."""
    ingest(made / "second", cache)
    held = read_manifest(cache).segments
    (cache / held[0].runs.path).write_bytes(b"")
    forget_run_lists()
    moon = find_runs(made / "second").places
    with pytest.warns(MagnetWarning, match="cannot be found in it"):
        ensure_cached(moon, cache)
    assert read_manifest(cache).segments == held  # moon is in another segment: there was nothing to do
    tides = find_runs(made / "first").places
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
    report = ingest(made / "first", cache)  # which does drop it
    assert any("no longer in the cache" in note for note in report.notes)
    assert Cache(cache).runs().height == 7
    assert Cache(cache).check().damages == ()
