"""Sources that name no run, or folders that cannot be read: what the errors say."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from dump_folders import add_four_runs, folders_that_refuse, names

from magnet_arrow import HelmRun, HelmSuite
from magnet_arrow.errors import NoRunsError, SettingError, SourceNotFoundError
from magnet_arrow.helm.layout import find_outputs, find_runs


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return add_four_runs(tmp_path)


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    return folders_that_refuse(monkeypatch)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111], ids=["nothing", "list only", "enter only"])
def test_a_folder_without_permission_is_rejected(outputs: Path, mode: int) -> None:
    run, suite = outputs / "runs/v1/a:x", outputs / "runs/v2"
    for folder in (run, suite):
        folder.chmod(mode)
    try:
        found = find_runs(outputs)
    finally:
        for folder in (run, suite):
            folder.chmod(0o755)
    assert "v1/B:x" in names(found)
    for folder in (run, suite):
        reached = folder in {place.path for place in found.places}
        assert reached or any(str(folder) in one.reason for one in found.rejected)


def test_a_folder_that_refuses_is_rejected_and_ends_nothing(outputs: Path, deny: Callable[[Path], None]) -> None:
    deny(outputs / "runs/v1/a:x")
    deny(outputs / "runs/v2")
    found = find_runs(outputs)
    assert names(found) == ["v1/B:x", "v1/c:x"]
    assert [(one.run, one.reason) for one in found.rejected] == [
        ("v1/a:x", f"{outputs}/runs/v1/a:x cannot be listed (Permission denied)."),
        ("runs/v2", f"{outputs}/runs/v2 cannot be listed (Permission denied)."),
    ]
    with pytest.raises(NoRunsError, match="cannot be listed \\(Permission denied\\)"):
        find_runs(outputs / "runs" / "v2")
    several = find_runs([outputs / "runs/v2", outputs / "runs/v1/B:x"])
    assert (names(several), len(several.rejected)) == (["v1/B:x"], 1), "one that refuses does not end the others"
    assert len(find_runs([f"{outputs}/runs/v2*", outputs / "runs/v1"]).rejected) == 2


def test_a_run_whose_name_is_no_utf8_is_rejected_by_name(outputs: Path) -> None:
    bad = os.fsdecode(os.fsencode(outputs) + b"/runs/v1/toy:caf\xe9")
    os.mkdir(bad)
    Path(bad, "run_spec.json").write_text("{}")
    found = find_runs(outputs)
    assert len(found.places) == 4
    assert [one.run for one in found.rejected] == ["v1/toy:caf\udce9"]
    assert "no UTF-8: toy:caf\\udce9" in str(found.rejected[0]), "escaped, so that it can be printed"
    assert "Rename that folder, for example to toy:caf\xe9." in str(found.rejected[0])
    with pytest.raises(NoRunsError, match="no UTF-8"):
        find_runs(bad)


def test_a_path_that_is_not_there(outputs: Path) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        find_runs(outputs / "runs" / "v11" / "a:x")
    assert caught.value.message == f"There is no '{outputs}/runs/v11/a:x'."
    assert caught.value.found == f"in {outputs}/runs: 2 entries (v1, v2)"
    assert caught.value.hint == f"Did you mean {outputs}/runs/v1/a:x?"
    for wrong, right in (("rusn/v1", "runs/v1"), ("runs/v1x/a:x", "runs/v1/a:x"), ("rusn/xyz", "runs")):
        with pytest.raises(SourceNotFoundError) as caught:
            find_runs(outputs / wrong)
        assert caught.value.hint == f"Did you mean {outputs / right}?"
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000], ids=["empty", "NUL", "too long"])
def test_a_path_that_cannot_be(path: str) -> None:
    with pytest.raises(SourceNotFoundError, match="There is no"):
        find_runs(path)


@pytest.mark.parametrize(
    ("name", "begin", "line"),
    [
        ("dump.zip", b"PK\x03\x04", "unzip {} -d FOLDER"),
        ("dump", b"PK\x03\x04", "unzip {} -d FOLDER"),
        ("dump.tar", b"", "tar -xf {} -C FOLDER"),
        ("dump.tar.xz", b"", "tar -xf {} -C FOLDER"),
        ("dump.TGZ", b"", "tar -xf {} -C FOLDER"),
        ("dump", b"\0" * 257 + b"ustar", "tar -xf {} -C FOLDER"),
    ],
)
def test_an_archive_is_to_be_unpacked(tmp_path: Path, name: str, begin: bytes, line: str) -> None:
    (tmp_path / name).write_bytes(begin)
    with pytest.raises(SourceNotFoundError) as caught:
        find_runs(tmp_path / name)
    assert caught.value.message == f"{tmp_path / name} is an archive."
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("Unpack it first")
    assert line.format(tmp_path / name) in caught.value.hint


def test_the_line_that_unpacks_an_archive_suits_a_shell_whatever_its_name_holds(tmp_path: Path) -> None:
    archive = tmp_path / "it's a $dump.zip"
    archive.write_bytes(b"PK\x03\x04")
    with pytest.raises(SourceNotFoundError) as caught:
        find_runs(archive)
    assert caught.value.hint is not None
    line = caught.value.hint.splitlines()[-1]
    assert shlex.split(line) == ["unzip", str(archive), "-d", "FOLDER"]


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("https://example.org/runs/", "wget --recursive --no-parent https://example.org/runs/"),
        ("file:///data/out", "cp -r /data/out FOLDER"),
        ("https://example.org/a&b", "wget --recursive --no-parent 'https://example.org/a&b'"),
        ("https://example.org/a?key=secret", "wget --recursive --no-parent https://example.org/a"),  # may be signed
        ("az://container/x", "rclone copy az:container/x FOLDER"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_url_of_another_kind_is_refused_with_the_line_that_copies_it(
    url: str, line: str, kind: Callable[[str], str | Path]
) -> None:
    for find in (find_runs, find_outputs, HelmRun, HelmSuite):
        with pytest.raises(
            SourceNotFoundError, match=r"cannot be read\.(?s:.*)gs://BUCKET/FOLDER or helm://BENCHMARK"
        ) as caught:
            find(kind(url))
        assert line.rstrip("/") in str(caught.value)


def test_a_file_is_no_source(outputs: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"is a file\.(?s:.*)Did you mean .*/a:x\?"):
        find_runs(outputs / "runs/v1/a:x/stats.json")


def test_a_folder_without_runs_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out/runs/v1/failed:x").mkdir(parents=True)
    with pytest.raises(NoRunsError) as caught:
        find_runs(tmp_path / "out")
    assert caught.value.message == f"No run in {tmp_path}/out."
    assert (caught.value.expected, caught.value.found) == (
        "folders that hold run_spec.json",
        "1 entry (runs)",
    )
    assert caught.value.hint is not None
    assert "failed:x is empty" in caught.value.hint


def test_a_pattern_that_matches_nothing_or_no_run(outputs: Path) -> None:
    with pytest.raises(NoRunsError, match=r"found in .*/runs: 2 entries \(v1, v2\)"):
        find_runs(f"{outputs}/runs/v7*")
    (outputs / "models").mkdir()
    with pytest.raises(NoRunsError, match=r"found 1 folder \(.*/models\) that matched"):
        find_runs(f"{outputs}/mod*")


@pytest.mark.parametrize("source", [[], [[]], ()], ids=["list", "nested", "tuple"])
def test_no_source_at_all(source: list[str]) -> None:
    with pytest.raises(NoRunsError, match="No run was given"):
        find_runs(source)


def test_one_empty_suite_among_many_is_an_error(outputs: Path) -> None:
    (outputs / "runs" / "v3").mkdir()
    with pytest.raises(NoRunsError, match=r"No run in .*/v3\."):
        find_runs([outputs / "runs/v1", outputs / "runs/v3"])


def test_what_can_not_name_runs_is_refused() -> None:
    with pytest.raises(SettingError, match="5 names no runs"):
        find_runs(5)  # type: ignore[arg-type]
