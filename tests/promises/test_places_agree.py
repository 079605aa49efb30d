"""What is there, by whichever way it is asked (R19), and that nothing in a dump leads outside it (R15)."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from makedump import make_run, write_run, write_runs

from magnet_arrow import Cache, HelmOutputs, HelmRuns, ingest, validate, verify
from magnet_arrow.cli.commands.ingest import ingest_code
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.errors import MagnetWarning

FOUR = [f"tide:n={n}" for n in range(4)]


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Four runs where HELM puts them, below a folder that may hold more."""
    write_runs(tmp_path / "repo/benchmark_output", [make_run(name) for name in FOUR])
    return tmp_path / "repo"


def put(folder: Path) -> Path:
    """A run in a folder of any name."""
    made = write_run(folder.parent / ".made", make_run("tide:n=9"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, folder)
    shutil.rmtree(folder.parent / ".made")
    return folder


STRAYS = ("tide:n=9", "old/tide:n=9", "runs/old/tide:n=9", "benchmark_output/tide:n=9")
ABOVE = (".", "../repo/", "../re*")


@pytest.mark.parametrize(
    ("stray", "above"),
    [
        pytest.param(stray, above, marks=[pytest.mark.slow] * (stray != STRAYS[1] and above != "."))
        for stray in STRAYS
        for above in ABOVE
    ],
)
def test_a_run_beside_the_outputs_is_seen_by_all(
    repo: Path, stray: str, above: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(repo / stray)
    monkeypatch.chdir(repo)
    report = ingest(above, cache)
    assert (report.runs, report.rejected, report.notes) == (5, (), ())
    assert len(HelmRuns(above, cache=cache)) == len(validate(above).runs) == 5
    verified = verify(above, cache)
    assert (verified.runs, verified.is_equal) == (5, True)
    if "*" not in above:
        outputs = HelmOutputs(above, cache=cache)
        assert sum(len(suite.runs()) for suite in outputs.suites()) == len(outputs.places) == 5
        assert outputs.summarize()["cached"].sum() == 5


def test_a_release_never_reaches_out_of_its_outputs(repo: Path, cache: Path) -> None:
    put(repo / "private/suite/secret")
    release = repo / "benchmark_output/releases/v9"
    release.mkdir(parents=True)
    entries = {FOUR[0]: "made", "secret": "../../private/suite", "none": None, "five": 5, FOUR[1]: "made"}
    (release / "runs_to_run_suites.json").write_text(json.dumps(entries))
    rejected = ["v9/five", "v9/none", "v9/secret"]
    for n_runs, n_skipped in ((2, 0), (0, 2)):
        report = ingest(release, cache)
        assert (report.runs, report.skipped) == (n_runs, n_skipped)
        assert [one.run for one in report.rejected] == rejected
        assert ingest_code(report) == ExitCode.REPORTED
    assert sorted(one.run for one in validate(release).rejected) == rejected
    assert sorted(one.run for one in verify(release, cache).rejected) == rejected
    assert Cache(cache).runs().select("suite", "folder").rows() == [("made", FOUR[0]), ("made", FOUR[1])]


def test_links_are_not_followed_where_that_is_asked(repo: Path, cache: Path) -> None:
    secret = put(repo / "private/suite/secret")
    made = repo / "benchmark_output/runs/made"
    (made / "linked").symlink_to(secret)
    for file in (made / FOUR[3] / "stats.json", made / "groups.json"):
        file.unlink(missing_ok=True)
        file.symlink_to(secret / "stats.json")
    source = repo / "benchmark_output"
    assert len(HelmRuns(source)) == 5
    report = ingest(source, cache, follow_links=False)
    assert report.runs == 3
    assert report.notes == (f"{made}/linked is a link: skipped, as links are not followed.",)
    assert [(one.run, one.reason) for one in report.rejected] == [
        (f"made/{FOUR[3]}", f"{made}/{FOUR[3]}/stats.json is a link, and links are not followed."),
        ("runs/made", f"{made}/groups.json is a link, and links are not followed."),
    ]
    assert Cache(cache).runs()["folder"].to_list() == FOUR[:3]
    assert len(validate(source, follow_links=False).runs) == verify(source, cache, follow_links=False).runs == 3


def test_the_demo_in_a_cache_beside_the_outputs_is_no_run_of_theirs(repo: Path) -> None:
    HelmOutputs.demo(cache=repo / "benchmark_output/cache")
    assert len(HelmRuns(repo)) == len(HelmRuns(repo / "benchmark_output")) == 4
    assert len(HelmOutputs.demo(cache=repo / "benchmark_output/cache").places) == 9


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder refuse everybody, the way it does for anyone but root."""
    denied: list[str] = []

    def guarded(original: Callable[..., object], path: str | Path, **options: object) -> object:
        text = os.fspath(path) if isinstance(path, str | Path) else ""
        if any(text == folder or text.startswith(folder + os.sep) for folder in denied):
            raise PermissionError(13, "Permission denied", path)
        return original(path, **options)

    for name in ("scandir", "listdir", "lstat"):
        monkeypatch.setattr(os, name, partial(guarded, getattr(os, name)))
    return lambda folder: denied.append(str(folder))


@pytest.mark.parametrize("at", ["made", "made/tide:n=2", "made/groups"])
def test_a_folder_that_cannot_be_looked_into_is_rejected_and_its_runs_stay(
    repo: Path, cache: Path, deny: Callable[[Path], None], at: str
) -> None:
    (repo / "benchmark_output/runs/made/groups").mkdir()
    write_runs(repo / "benchmark_output", [make_run("other")], suite="other")
    ingest(repo, cache)
    before = Cache(cache).runs()
    deny(repo / "benchmark_output/runs" / at)
    for _ in range(2):
        report = ingest(repo, cache, prune=True)
        assert [one.run for one in report.rejected] == ["/".join(["runs", *at.split("/")][-2:])]
        assert "cannot be listed (Permission denied)" in report.rejected[0].reason
        assert (report.runs, report.pruned) == (0, 0)
        assert ingest_code(report) == ExitCode.REPORTED
    assert Cache(cache).runs().equals(before)
    assert [one.run for one in validate(repo).rejected] == [report.rejected[0].run]
    if at != "made/groups":
        for source in (repo, HelmOutputs(repo), HelmOutputs(repo).suites(), [repo]):
            with pytest.warns(MagnetWarning, match="1 location in the source could not be read"):
                HelmRuns(source, cache=cache)
