"""Folders of no known kind: where dumps, outputs folders and suites are found in them."""

from pathlib import Path

import pytest
from dump_folders import add_dump, add_four_runs, add_linked_run, add_run, names

from magnet_arrow.errors import SourceNotFoundError
from magnet_arrow.helm.layout import RunPlace, find_outputs, find_runs, find_suite_runs, find_suites


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return add_four_runs(tmp_path)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    return add_linked_run(tmp_path)


@pytest.mark.parametrize("above", [".", "../repo", "../rep*"])
@pytest.mark.parametrize(
    "stray",
    ["toy:n=9", "suite/toy:n=9", "runs/v0/toy:n=9", "runs/toy:n=9", "benchmark_output/toy:n=9", "runs/v1/old/toy:n=9"],
)
def test_a_run_beside_the_outputs_hides_nothing(
    tmp_path: Path, stray: str, above: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four runs where HELM puts them, and one elsewhere: five, whichever way the folder above is written."""
    repo = tmp_path / "repo"
    add_dump(repo / "benchmark_output", *(f"v1/toy:n={n}" for n in range(4)))
    (repo / "benchmark_output/scenarios/toy/data").mkdir(parents=True)
    add_run((repo / stray).parent, "toy:n=9")
    monkeypatch.chdir(repo)
    found = find_runs(above)
    assert sorted(place.folder for place in found.places) == ["toy:n=0", "toy:n=1", "toy:n=2", "toy:n=3", "toy:n=9"]
    suites, _ = find_suites(repo)
    assert sorted(suites) == sorted({place.path.parent for place in found.places})
    assert [place for suite in suites for place in find_suite_runs(suite).places] == list(found.places)


def test_a_suite_or_dump_that_is_marked_as_a_run_hides_nothing(tmp_path: Path) -> None:
    outputs = add_dump(tmp_path / "out", "v1/a:x", "v1/b:x")
    (outputs / "runs/v1/run_spec.json").write_text("{}")
    assert names(find_runs(outputs)) == ["runs/v1", "v1/a:x", "v1/b:x"]
    assert names(find_runs(outputs / "runs/v1")) == ["runs/v1", "v1/a:x", "v1/b:x"]
    (outputs / "run_spec.json").write_text("{}")
    assert len(find_runs(outputs).places) == 4


def test_a_folder_above_several_dumps_gives_all_of_them(tmp_path: Path) -> None:
    for name in ("b/out", "a/benchmark_output", "old/v0.3.0/out"):
        add_dump(tmp_path / name, "v1/a:x")
    (tmp_path / "a/benchmark_output/scenarios/mmlu/deep/deeper").mkdir(parents=True)
    found = find_runs(tmp_path)
    assert [place.source.relative_to(tmp_path).as_posix() for place in found.places] == [
        "a/benchmark_output",
        "b/out",
        "old/v0.3.0/out",
    ]


def test_dumps_are_looked_for_three_levels_down(tmp_path: Path) -> None:
    add_dump(tmp_path / "1/2/3", "v1/a:x")
    add_dump(tmp_path / "1/b/c/4", "v1/b:x")
    add_dump(tmp_path / ".hidden", "v1/c:x")
    assert names(find_runs(tmp_path)) == ["v1/a:x"]


def test_a_dump_may_lack_the_runs_level(tmp_path: Path) -> None:
    add_run(tmp_path / "copied" / "v1", "a:x")
    add_run(tmp_path / "copied" / "v2", "a:x")
    for source in (tmp_path, tmp_path / "copied"):
        assert names(find_runs(source)) == ["v1/a:x", "v2/a:x"]
    suite = tmp_path / "copied" / "v1"
    (place,) = find_runs(suite).places
    assert place == RunPlace(path=suite / "a:x", source=tmp_path / "copied", suite="v1", folder="a:x")
    assert find_runs(suite / "a:x").places == (place,)
    assert find_outputs(tmp_path) == tmp_path / "copied"
    assert find_suites(tmp_path / "copied")[0] == [suite, tmp_path / "copied" / "v2"]


def test_others_call_folders_runs_too(tmp_path: Path) -> None:
    (tmp_path / "project/runs/tensorboard").mkdir(parents=True)
    add_dump(tmp_path / "project/benchmark_output", "v1/a:x")
    add_dump(tmp_path / "project/runs/experiment/out", "v1/b:x")
    assert names(find_runs(tmp_path / "project")) == ["v1/a:x", "v1/b:x"]
    assert names(find_runs(tmp_path / "project/runs/experiment")) == ["v1/b:x"]
    assert find_outputs(tmp_path / "project") == tmp_path / "project/benchmark_output"


@pytest.mark.parametrize("below", ["", "runs", "runs/", ".."])
def test_find_outputs_takes_it_its_parent_or_its_runs(outputs: Path, below: str) -> None:
    assert find_outputs(f"{outputs}/{below}") == outputs


def test_find_outputs_takes_an_outputs_folder_without_runs(tmp_path: Path) -> None:
    (tmp_path / "benchmark_output" / "runs").mkdir(parents=True)
    for path in (tmp_path, tmp_path / "benchmark_output", tmp_path / "benchmark_output" / "runs"):
        assert find_outputs(path) == tmp_path / "benchmark_output"


def test_find_outputs_prefers_helms_own_name(tmp_path: Path) -> None:
    for name in ("a", "benchmark_output", "c"):
        add_dump(tmp_path / name, "v1/a:x")
    assert find_outputs(tmp_path) == tmp_path / "benchmark_output"


def test_find_outputs_asks_which_of_several(tmp_path: Path) -> None:
    add_dump(tmp_path / "a", "v1/a:x")
    add_dump(tmp_path / "b", "v1/a:x")
    with pytest.raises(SourceNotFoundError, match=r"holds several dumps(?s:.*)found 2 folders \(.*/a, .*/b\)"):
        find_outputs(tmp_path)


def test_find_outputs_names_the_outputs_folder_of_a_suite(outputs: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=f"Did you mean {outputs}\\?"):
        find_outputs(outputs / "runs" / "v1")
    with pytest.raises(SourceNotFoundError, match="is no outputs folder"):
        find_outputs(add_dump(outputs / "models", "x/y") / "runs" / "x" / "y")


def test_find_suites(linked: Path) -> None:
    (linked / "runs" / "v0").mkdir()
    (linked / "runs" / "alias").symlink_to("v1")
    (linked / "runs" / "notes.txt").write_text("")
    suites, notes = find_suites(linked)
    assert suites == [linked / "runs" / "v0", linked / "runs" / "v1"]
    assert notes == [
        f"{linked}/runs/gone is a link that leads nowhere: skipped.",
        f"{linked}/runs/latest is skipped: it stands for another suite. Name it to ingest it.",
    ]
    assert find_suites(linked, "*0")[0] == [linked / "runs" / "v0"]
