"""Paths as people give them: `~`, relative ones, names that are no UTF-8, URLs."""

import os
from pathlib import Path

import pytest

from magnet_arrow import Cache, HelmOutputs, HelmRuns, HelmSuite, ingest, validate, verify
from magnet_arrow.errors import BadFileError, MagnetWarning, RestoreError, SettingError, SourceNotFoundError
from magnet_arrow.export.parquet import export_tables
from magnet_arrow.restore.run_files import restore
from magnet_arrow.sources.paths import CACHE_DIR_VARIABLE, absolute, readable_file

NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_tilde_is_the_home_folder_wherever_a_folder_is_named(
    home: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs.rename(home / "outputs")
    assert ingest("~/outputs", "~/c").runs == 3
    assert Cache("~/c").path == home / "c"
    monkeypatch.setenv(CACHE_DIR_VARIABLE, "~/c")
    assert Cache().path == home / "c"
    assert HelmOutputs("~/outputs").path == home / "outputs"
    export_tables(Cache(), "~/exported", tables=["stats"])
    snapshot = Cache().snapshot()
    for run in snapshot.runs.values():
        restore(snapshot, run, Path("~/restored"))
    assert sorted(path.name for path in home.iterdir()) == ["c", "exported", "outputs", "restored"]
    assert not (home.parent / "~").exists()
    with pytest.raises(SettingError, match=r"Write \./~nobody-of-this-name/x"):
        Cache("~nobody-of-this-name/x")


def test_a_relative_path_stays_where_it_was_when_the_process_goes_elsewhere(
    home: Path, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = HelmRuns("outputs", cache="c")
    suite, one = HelmSuite("outputs/runs/made"), runs[0]
    lazy, handle = runs.scan("stats"), runs.table("stats")
    rows = lazy.collect().height
    monkeypatch.chdir(home)
    assert lazy.collect().height == handle.n_rows == runs.stats().height == rows
    assert len(runs.refresh()) == len(suite.runs()) == 3
    assert one.exists()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("path", ["gs://bucket/cache", "s3://bucket/cache", Path("https://example.org/cache")])
def test_a_cache_or_an_export_is_no_url(home: Path, path: str | Path) -> None:
    with pytest.raises(SettingError, match="The cache is a folder on this machine, not"):
        Cache(path)
    with pytest.raises(SettingError, match="The cache is a folder on this machine, not"):
        ingest(home, path)


def test_a_cache_whose_name_is_no_utf8_is_refused_and_nothing_is_made(home: Path, outputs: Path) -> None:
    with pytest.raises(SettingError, match=r"The cache cannot be in .*caf\\udce9(?s:.*)PYTHONUTF8=1"):
        ingest(outputs, NOT_UTF8)
    ingest(outputs, "c")
    with pytest.raises(SettingError, match=r"An export cannot be in .*caf\\udce9"):
        export_tables(Cache("c"), NOT_UTF8)
    assert sorted(path.name for path in home.parent.iterdir()) == ["c", "home", "outputs"]


def test_a_run_is_restored_below_a_folder_whose_name_is_no_utf8(home: Path, outputs: Path) -> None:
    ingest(outputs, "c")
    snapshot = Cache("c").snapshot()
    run = next(iter(snapshot.runs.values()))
    target = restore(snapshot, run, Path(NOT_UTF8))
    assert os.fsencode(target).startswith(os.fsencode(home.parent) + b"/caf\xe9/runs/made/")
    source = outputs / "runs/made" / run.entry.folder
    assert {path.name: path.read_bytes() for path in target.iterdir()}.keys() == {p.name for p in source.iterdir()}


def test_a_name_that_the_locale_cannot_write_is_no_traceback(
    outputs: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(outputs, cache)
    snapshot = Cache(cache).snapshot()
    run = next(iter(snapshot.runs.values()))

    def refuse(path: str | os.PathLike[str]) -> bytes:
        return os.fspath(path).encode("ascii") + "é".encode("ascii")  # as under LC_ALL=C PYTHONUTF8=0

    monkeypatch.setattr("magnet_arrow.restore.run_files.os.fsencode", refuse)
    with pytest.raises(RestoreError, match=r"cannot be written under this locale\.(?s:.*)PYTHONUTF8=1"):
        restore(snapshot, run, tmp_path / "out")


def test_a_file_whose_name_is_no_utf8_rejects_its_run_and_no_other(outputs: Path, cache: Path) -> None:
    bad = outputs / "runs/made/b:x=2" / os.fsdecode(b"x\xff.json")
    bad.write_text("{}")
    for _ in range(2):
        report = ingest(outputs, cache)
        assert [(one.run, one.file, one.reason) for one in report.rejected] == [
            ("made/b:x=2", "x\udcff.json", "Its name is no UTF-8.")
        ]
        assert "x\\udcff.json" in str(report.rejected[0])
    assert Cache(cache).runs()["folder"].to_list() == ["a:x=1", "c:x=3"]
    assert [one.run for one in validate(outputs).rejected] == ["made/b:x=2"]
    assert not verify(outputs, cache).is_equal
    bad.rename(bad.with_name("x.json"))
    assert ingest(outputs, cache).runs == 1
    assert verify(outputs, cache).is_equal


@pytest.mark.parametrize("at", ["run", "suite", "outputs"])
def test_a_folder_whose_name_is_no_utf8_rejects_its_runs_and_no_others(outputs: Path, cache: Path, at: str) -> None:
    runs = outputs / "runs"
    if at == "run":
        (runs / "made/b:x=2").rename(runs / "made" / NOT_UTF8)
    else:
        other = outputs.parent / NOT_UTF8 if at == "outputs" else outputs
        (other / "runs" / NOT_UTF8).mkdir(parents=True)
        (runs / "made/b:x=2").rename(other / "runs" / NOT_UTF8 / "b:x=2")
    report = ingest(outputs.parent, cache)
    assert (report.runs, len(report.rejected)) == (2, 1)
    assert "no UTF-8" in report.rejected[0].reason
    assert [one.reason for one in validate(outputs.parent).rejected] == [report.rejected[0].reason]
    assert [one.reason for one in verify(outputs.parent, cache).rejected] == [report.rejected[0].reason]
    with pytest.warns(MagnetWarning, match=r"1 location in the source could not be read(?s:.*)no UTF-8"):
        assert len(HelmRuns(outputs.parent)) == 2


def test_absolute_keeps_links(home: Path) -> None:
    (home / "way").symlink_to(home)
    assert absolute("home/way/x") == home / "way/x"


def test_a_file_that_a_person_names_is_there_and_readable(home: Path) -> None:
    file = home / "a.csv"
    file.write_bytes(b"")
    assert readable_file("~/a.csv") == readable_file("home/a.csv") == file
    os.mkfifo(home / "pipe")
    for name, text in {
        "none": "There is no file",
        "a.csv/b": "There is no file",
        "nul\0": "There is no file",
        ".": "found a folder",
        "pipe": "found a pipe",
    }.items():
        with pytest.raises(SourceNotFoundError, match=text):
            readable_file(home / name)
    with pytest.raises(BadFileError, match="cannot be read: File name too long"):
        readable_file("x" * 300)
    file.chmod(0)
    if not os.access(file, os.R_OK):  # root may read everything
        with pytest.raises(BadFileError, match=r"a\.csv cannot be read: Permission denied"):
            readable_file(file)
