"""R7: damage to the cache is noticed and named, never data, and cured from the source."""

import random
from pathlib import Path

import pytest
from flip_bits import KINDS, flipped, flips, frames, is_cured, is_found, is_silent, make_cache
from makedump import make_run, write_runs
from polars.testing import assert_frame_equal
from reading import all_tables, cached_places, forget_run_lists, read
from reference import TABLES, compare, tables

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheDamagedError, MagnetWarning
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.ensure_cached import ensure_cached
from magnet_arrow.storage.manifest import Segment, read_manifest


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "outputs", [make_run(f"tide:n={number}") for number in range(3)])
    return tmp_path / "outputs"


@pytest.fixture
def cache(outputs: Path, tmp_path: Path) -> Path:
    ingest(outputs, tmp_path / "cache")
    return tmp_path / "cache"


def assert_sound(outputs: Path, cache: Path, n_runs: int = 3) -> None:
    places = cached_places(outputs, cache)
    assert len(places) == n_runs == Cache(cache).runs().height
    for table in TABLES:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, cache)) == [], table


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("count", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_flipped_bits_are_all_found_and_cured(count: int, tmp_path: Path) -> None:
    """Some of the 1,000 that `flip_bits.py` tries."""
    cache = make_cache(tmp_path)
    rows, expected = all_tables(cache), frames(cache)
    report = Cache(cache).check()
    assert (report.runs, report.damages, report.strays) == (15, (), ())
    tried = list(flips(cache, count, seed=0))
    assert {flip.kind for flip in tried} == set(KINDS)
    for flip in tried:
        with flipped(cache, flip) as copy:
            assert not is_silent(copy, flip, expected), flip
            assert is_found(copy, flip), flip
            assert is_cured(copy, tmp_path / "outputs", flip, rows), flip


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_a_flipped_bit_in_a_table_is_never_another_row(seed: int, cache: Path, outputs: Path) -> None:
    """Anywhere in the file, headers of pages among it: either an error, or the very same rows."""
    places = cached_places(outputs, cache)
    rng = random.Random(seed)
    for table in TABLES:
        before = read(places, table, cache, hidden=True)
        (path,) = (cache / table).iterdir()
        for _ in range(25):
            at, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
            flip(path, at, bit)
            try:
                found = read(places, table, cache, hidden=True)
            except CacheDamagedError:
                pass
            else:
                assert_frame_equal(found, before)
            flip(path, at, bit)


def damage_of(kind: str, cache: Path, segment: Segment) -> None:
    stats = cache / segment.tables["stats"].file.path
    match kind:
        case "cut":
            stats.write_bytes(stats.read_bytes()[:-5])
        case "gone":
            stats.unlink()
        case "footer":
            flip(stats, -20)
        case "run list":
            flip(cache / segment.runs.path, 40)
        case "run list gone":
            (cache / segment.runs.path).unlink()


@pytest.mark.parametrize("kind", ["cut", "gone", "footer", "run list", "run list gone"])
@pytest.mark.parametrize("process", [pytest.param("the same", marks=pytest.mark.slow), "another"])
def test_an_ingest_reads_the_runs_of_a_damaged_segment_again(
    kind: str, process: str, cache: Path, outputs: Path
) -> None:
    (segment,) = read_manifest(cache).segments
    damage_of(kind, cache, segment)
    if process == "another":
        forget_run_lists()
    report = ingest(outputs, cache)
    assert (report.runs, report.skipped) == (3, 0)
    assert any("is damaged" in note and segment.id in note for note in report.notes)
    assert segment.id not in {one.id for one in read_manifest(cache).segments}
    assert_sound(outputs, cache)
    assert Cache(cache).check().damages == ()
    assert ingest(outputs, cache).runs == 0


@pytest.mark.parametrize("noticed_by", ["a frame", "check"])
def test_a_bad_page_is_cured_once_it_has_been_noticed(noticed_by: str, cache: Path, outputs: Path) -> None:
    (segment,) = read_manifest(cache).segments
    flip(cache / segment.tables["stats"].file.path, 200)
    if noticed_by == "check":
        (found,) = Cache(cache).check().damages
        assert found.file == segment.tables["stats"].file.path
        assert found.runs == ("made/tide:n=0", "made/tide:n=1", "made/tide:n=2")
    else:
        with pytest.raises(CacheDamagedError, match="Ingest the source again"):
            read(cached_places(outputs, cache), "stats", cache)
    assert ingest(outputs, cache).runs == 3
    assert_sound(outputs, cache)


def test_a_mark_on_a_sound_segment_does_no_harm(cache: Path, outputs: Path) -> None:
    (cache / "damaged").mkdir()
    mark = cache / "damaged" / read_manifest(cache).segments[0].id
    mark.touch()
    report = ingest(outputs, cache)
    assert (report.runs, report.notes) == (0, ())
    assert not mark.exists()


def test_frames_replace_what_they_are_made_of_and_drop_nothing(cache: Path, outputs: Path) -> None:
    """A read reads its own runs again. The segment, whose other runs nobody can name, stays until an ingest."""
    (before,) = read_manifest(cache).segments
    damage_of("run list", cache, before)
    forget_run_lists()
    places = find_runs(outputs).places
    with pytest.warns(MagnetWarning, match="is damaged"):
        snapshot = ensure_cached(places, Cache(cache)).snapshot
    assert [snapshot.lookup(place) is not None for place in places] == [True] * len(places)
    assert before in read_manifest(cache).segments
    with pytest.raises(CacheDamagedError, match="Ingest the source again"):
        Cache(cache).runs()
    assert ingest(outputs, cache).runs == 0
    assert_sound(outputs, cache)


def test_runs_of_other_sources_stay_in_a_damaged_segment(cache: Path, outputs: Path, tmp_path: Path) -> None:
    """Their source may be gone, and their rows sound. Only an ingest of it replaces them."""
    other = tmp_path / "other"
    write_runs(other, [make_run("moon:n=1"), make_run("moon:n=2")])
    ingest(other, cache)
    Cache(cache).compact()
    (segment,) = read_manifest(cache).segments
    (cache / segment.tables["per_instance_stats"].file.path).unlink()
    assert ingest(outputs, cache).runs == 3
    assert Cache(cache).runs().height == 5
    moons = cached_places(other, cache)
    assert compare([row for place in moons for row in tables(place.path)["stats"]], read(moons, "stats", cache)) == []
    with pytest.raises(CacheDamagedError):
        read(moons, "per_instance_stats", cache)
    (found,) = Cache(cache).check().damages
    assert found.runs == ("made/moon:n=1", "made/moon:n=2")
    assert ingest(other, cache).runs == 2
    assert Cache(cache).check().damages == ()


def test_a_run_whose_source_went_bad_stays_as_it_is(cache: Path, outputs: Path) -> None:
    damage_of("gone", cache, read_manifest(cache).segments[0])
    (outputs / "runs" / "made" / "tide:n=1" / "stats.json").write_text("[")
    report = ingest(outputs, cache)
    assert (report.runs, len(report.rejected)) == (2, 1)
    place = next(place for place in cached_places(outputs, cache) if place.folder == "tide:n=1")
    assert read([place], "scenario_state", cache).height == 2


def test_a_damaged_manifest_is_named_with_all_runs(cache: Path, outputs: Path) -> None:
    flip(cache / "manifest.json", 30)
    for use in (lambda: Cache(cache).runs(), lambda: ingest(outputs, cache)):
        with pytest.raises(CacheDamagedError, match=r"manifest\.json is damaged"):
            use()
    (found,) = Cache(cache).check().damages
    assert (found.file, found.runs) == ("manifest.json", tuple(f"made/tide:n={number}" for number in range(3)))


def test_a_manifest_that_is_gone_is_damage(cache: Path, outputs: Path) -> None:
    (cache / "manifest.json").unlink()
    for use in (Cache(cache).runs, lambda: ensure_cached(find_runs(outputs).places, Cache(cache))):
        with pytest.raises(CacheDamagedError, match=r"manifest\.json is missing") as caught:
            use()
        assert "ingest the sources again" in str(caught.value)
    (found,) = Cache(cache).check().damages
    assert found.what == f"{cache / 'manifest.json'} is missing."
    assert found.runs == tuple(f"made/tide:n={number}" for number in range(3))
    report = ingest(outputs, cache)
    assert report.runs == 3
    assert any("manifest.json is missing. The cache is begun again" in note for note in report.notes)
    assert Cache(cache).check().damages == ()


def test_foreign_files_are_named_and_otherwise_ignored(cache: Path, outputs: Path) -> None:
    """Bug case 61: what others leave in the folder is not read, and not removed."""
    names = ["stats/b.parquet.tmp", "stats/.nfs0001", "stats/x.parquet", "stats/y.parquet", "notes.txt"]
    for name in names:
        (cache / name).mkdir() if name.endswith("y.parquet") else (cache / name).touch()
    assert_sound(outputs, cache)
    Cache(cache).compact(grace_s=0)
    report = Cache(cache).check()
    assert (report.damages, list(report.strays)) == ((), sorted(names))


def test_a_cache_that_may_only_be_read_still_tells_what_is_bad(
    cache: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    flip(cache / read_manifest(cache).segments[0].tables["stats"].file.path, 200)
    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(CacheDamagedError):
        read(cached_places(outputs, cache), "stats", cache)


def test_of_a_lost_run_list_runs_are_counted_and_no_suites(outputs: Path, tmp_path: Path) -> None:
    """Three runs; and the suite, beside whose runs is a file, is an entry of the run list too."""
    (outputs / "runs" / "made" / "summary.json").write_text("{}")
    cache = tmp_path / "with suite"
    ingest(outputs, cache)
    [segment] = read_manifest(cache).segments
    assert segment.n_runs == 4
    damage_of("run list", cache, segment)
    forget_run_lists()
    [note] = [note for note in ingest(outputs, cache).notes if "of its segment" in note]
    assert "The 3 runs of its segment are no longer in the cache" in note
