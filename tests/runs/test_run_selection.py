"""Which runs frames hold: the complete ones, whatever a cache has seen. The others are counted, and told why."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.errors import BadFileError, CacheDamagedError, CacheNotWritableError, MagnetWarning
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmOutputs, HelmRun, HelmRuns, HelmSuite, HelmSuites

TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A suite of five runs: a and e are good, b has no stats, c's stats end early, d's are no JSON."""
    outputs = tmp_path / "outputs"
    paths = {name: write_run(outputs, make_run(name)) for name in "abcde"}
    (paths["b"] / "stats.json").unlink()
    text = (paths["c"] / "stats.json").read_text()
    (paths["c"] / "stats.json").write_text(text[: text.index("num_instances")])
    (paths["d"] / "stats.json").write_text("[x]")
    return outputs


def names(frame: pl.DataFrame) -> list[str]:
    return frame["run_spec.name"].unique(maintain_order=True).to_list()


def seen_before(seen: str, outputs: Path, cache: Path) -> None:
    """What a cache may have seen before it is asked."""
    match seen:
        case "everything":
            ingest(outputs, cache)
        case "partial runs":
            ingest(outputs, cache, partial=True)
        case "good days":
            kept = outputs.parent / "kept"
            shutil.copytree(outputs, kept)
            for name in "bcd":
                shutil.copy(kept / "runs/made/a/stats.json", outputs / f"runs/made/{name}/stats.json")
            ingest(outputs, cache)
            shutil.rmtree(outputs)
            shutil.move(kept, outputs)
        case "strict":
            ingest(outputs, cache, strict=True)


@pytest.mark.parametrize("seen", ["nothing", "everything", "partial runs", "good days", "strict"])
def test_frames_hold_the_complete_runs_whatever_the_cache_has_seen(seen: str, bad: Path, cache: Path) -> None:
    seen_before(seen, bad, cache)
    runs = HelmOutputs(bad, cache=cache).suites("made").runs()
    for table in TABLES * 2:
        with pytest.warns(MagnetWarning, match="3 of 5 runs excluded") as warned:
            assert names(getattr(runs, table)()) == ["a", "e"]
        assert len(warned) == 1
    with pytest.warns(MagnetWarning, match="3 of 5 runs excluded"):
        assert runs.table("stats").n_rows == 4


@pytest.mark.parametrize("seen", ["nothing", "everything", "partial runs", "good days"])
def test_partial_runs_are_read_if_one_says_so(seen: str, bad: Path, cache: Path) -> None:
    """What is no JSON from its beginning on is a file that is missing."""
    seen_before(seen, bad, cache)
    runs = HelmRuns(bad, cache=cache, partial=True)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert names(runs.run_spec()) == list("abcde")
            stats = runs.stats()
        assert stats.group_by("run_spec.name", maintain_order=True).len().rows() == [("a", 2), ("c", 1), ("e", 2)]


@pytest.mark.parametrize("seen", ["nothing", "everything", "partial runs", "good days"])
@pytest.mark.parametrize("partial", [False, True])
def test_strict_raises_for_the_first_run_that_is_left_out(partial: bool, seen: str, bad: Path, cache: Path) -> None:
    (bad / "runs/made/d/run_spec.json").write_text("{")
    seen_before(seen, bad, cache)
    runs = HelmRuns(bad, cache=cache, partial=partial, strict=True)
    for ask in (*(getattr(runs, table) for table in TABLES), lambda: runs.scan("stats"), lambda: runs.table("stats")):
        with pytest.raises(BadFileError) as caught:
            ask()
        assert caught.value.where is not None
        assert caught.value.where.run == ("made/d" if partial else "made/b")
    assert names(runs[:1].stats()) == ["a"]


def test_a_frame_of_nothing_that_can_be_read_raises(bad: Path) -> None:
    """In words of Python."""
    for runs in (HelmRuns(bad)[1:4], HelmRuns(bad)[1], HelmRun(bad / "runs/made/b")):
        with pytest.raises(BadFileError, match=r"made/b/stats\.json:\n.*found none of this name\.\n.*partial=True"):
            runs.stats()
    assert HelmRuns(bad)[:0].stats().is_empty()


@pytest.mark.parametrize("known", [False, True])
def test_what_is_left_out_is_a_frame(known: bool, bad: Path, cache: Path) -> None:
    if known:
        ingest(bad, cache)
    runs = HelmRuns(bad, cache=cache)
    rejects = runs.rejects()
    assert rejects.schema == Cache(cache).rejects().schema
    found = rejects.select("source", "suite", "folder", "left_out", "file", "byte").rows()
    source = str(bad.resolve())
    cut = (bad / "runs/made/c/stats.json").stat().st_size
    assert found == [
        (source, "made", "b", "run", "stats.json", None),
        (source, "made", "c", "run", "stats.json", cut),
        (source, "made", "d", "run", "stats.json", 1),
    ]
    assert runs[:1].rejects().is_empty()


def test_of_partial_runs_that_are_read_the_files_are_told(bad: Path, cache: Path) -> None:
    rejects = HelmRuns(bad, cache=cache, partial=True).rejects()
    assert rejects.select("folder", "left_out", "file").rows() == [
        ("b", "file", "stats.json"),
        ("c", "rest of file", "stats.json"),
        ("d", "file", "stats.json"),
    ]


def test_a_run_that_vanished_is_left_out_until_it_is_back(bad: Path, tmp_path: Path) -> None:
    runs = HelmRuns(bad).take([0, 4])
    runs.stats()
    shutil.move(bad / "runs/made/a", tmp_path / "a")
    with pytest.warns(MagnetWarning, match="1 of 2 runs excluded"):
        assert names(runs.stats()) == ["e"]
    assert runs.rejects().select("folder", "file", "found").rows() == [("a", "run_spec.json", "none any more")]
    with pytest.raises(BadFileError, match="made/a/run_spec"):
        runs[0].stats()
    shutil.move(tmp_path / "a", bad / "runs/made/a")
    assert names(runs.stats()) == ["a", "e"]
    assert runs.rejects().is_empty()


def test_damage_of_the_cache_is_no_run_that_is_left_out(bad: Path, cache: Path) -> None:
    scanned = HelmRuns(bad, cache=cache)[:1].scan("stats")
    for file in (cache / "stats").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CacheDamagedError):
        scanned.collect()


def test_runs_in_an_older_state_are_named_and_strictly_an_error(
    bad: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = HelmRuns(bad, cache=cache).take([0, 4])
    runs.stats()
    file = bad / "runs/made/e/stats.json"
    file.write_text(json.dumps([stat | {"mean": 0.75} for stat in json.loads(file.read_text())]))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.warns(MagnetWarning, match=r"when last ingested: made/e\.") as warned:
        assert runs.stats()["stats.mean"].to_list() == [0.5, 2.0, 0.5, 2.0]
    assert len(warned) == 1
    assert runs.rejects().select("folder", "left_out").rows() == [("e", "newer state")]
    with pytest.raises(CacheNotWritableError, match="made/e"):
        HelmRuns.coerce(runs, strict=True).scan("stats")
    assert names(HelmRuns.coerce(runs, strict=True)[:1].stats()) == ["a"]


def test_options_are_handed_on(bad: Path, cache: Path) -> None:
    outputs = HelmOutputs(bad, cache=cache, strict=True)
    suite = bad / "runs" / "made"
    strict = HelmRuns(bad, cache=cache, strict=True)
    strict_ones = [
        outputs.suites().runs(),
        outputs.suites()[0].runs(),
        outputs.suites()[:1].existing().runs("*"),
        HelmOutputs.coerce(HelmOutputs(bad, cache=cache), strict=True).suites().runs(),
        HelmSuites.coerce(suite, cache=cache, strict=True).runs(),
        HelmSuite(suite, cache=cache, strict=True).runs(),
        HelmRuns(outputs),
        HelmRuns([HelmSuite(suite, cache=cache, strict=True)]),
        HelmRuns.coerce(HelmRuns(bad, cache=cache), strict=True),
        strict[:],
        strict.take(range(5)),
        strict.refresh(),
        strict.existing(),
        strict.complete().refresh(),
        strict[1].dataframe,
        HelmRuns.coerce(HelmRuns.coerce(strict, strict=False), strict=True),
    ]
    for runs in strict_ones:
        with pytest.raises(BadFileError, match="made/b"):
            runs.stats()
    lenient = HelmRuns.coerce(strict, strict=False, partial=True)
    assert lenient is not strict
    assert HelmRuns.coerce(lenient, partial=True) is lenient
    assert names(lenient.run_spec()) == list("abcde")
    assert lenient[1].run_spec().height == 1


def test_a_warning_points_at_the_line_that_asked(bad: Path) -> None:
    for ask in (lambda runs: runs.stats(), lambda runs: runs.scan("stats"), lambda runs: runs.table("stats")):
        with pytest.warns(MagnetWarning) as warned:
            ask(HelmRuns(bad))
        assert warned[0].filename == __file__
