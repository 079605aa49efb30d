"""What a source stands for. Folders are made at run time: a tracked path may hold no ':' and no link."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dump_folders import TOY, add_dump, add_four_runs, folders_that_refuse, names

from magnet_arrow.errors import NoRunsError
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import RunPlace, find_all, find_outputs, find_runs, find_suites, is_gone


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return add_four_runs(tmp_path)


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    return folders_that_refuse(monkeypatch)


@pytest.mark.parametrize("below", ["", "runs", "runs/", "..", "../"])
def test_every_level_above_the_suites_gives_all_runs(outputs: Path, below: str) -> None:
    found = find_runs(f"{outputs}/{below}")
    assert names(found) == ["v1/B:x", "v1/a:x", "v1/c:x", "v2/b:x"]  # by code point: capitals first
    assert {place.source for place in found.places} == {outputs}
    assert found.notes == ()


@pytest.mark.parametrize("end", ["", "/"])
def test_a_suite_gives_its_runs_and_a_run_itself(outputs: Path, end: str) -> None:
    assert names(find_runs(f"{outputs}/runs/v1{end}")) == ["v1/B:x", "v1/a:x", "v1/c:x"]
    assert find_runs(f"{outputs}/runs/v1/a:x{end}").places == (
        RunPlace(path=outputs / "runs/v1/a:x", source=outputs, suite="v1", folder="a:x"),
    )


def test_relative_paths_and_path_objects(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(outputs / "runs" / "v2")
    assert find_runs(Path()).places == find_runs(outputs / "runs" / "v2").places
    assert names(find_runs("../v2/b:x")) == ["v2/b:x"]
    assert names(find_runs("../v1/[ab]*")) == ["v1/a:x"]


def test_a_list_keeps_the_order_given_and_each_run_once(outputs: Path) -> None:
    v1, v2 = outputs / "runs/v1", outputs / "runs/v2"
    found = find_runs([v2, v1 / "c:x", [str(v1), outputs]])
    assert names(found) == ["v2/b:x", "v1/c:x", "v1/B:x", "v1/a:x"]


@pytest.mark.parametrize(
    "spelt",
    [
        "{o}/",
        "{o}/runs",
        "{o}/runs/",
        "{o}/..",
        "{o}/runs/../../benchmark_output",
        "link",
        "link/runs/",
        ".",
        "benchmark_output",
        "{o}/runs/*",
        "{o}/runs/*/",
        "{o}/runs/*/*",
        "{o}/r*/v[12]/?:x",
        "benchmark_*",
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_the_order_does_not_depend_on_how_a_folder_is_written(
    outputs: Path, spelt: str, kind: Callable[[str], str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order decides a draw (R19)."""
    (outputs.parent / "link").symlink_to(outputs)
    monkeypatch.chdir(outputs.parent)
    assert names(find_runs(kind(spelt.format(o=outputs)))) == ["v1/B:x", "v1/a:x", "v1/c:x", "v2/b:x"]


def test_several_dumps_are_sorted_by_suite_and_folder_first(tmp_path: Path) -> None:
    """So that moving or linking one of them changes no draw."""
    add_dump(tmp_path / "1/out", "v2/a:x", "v1/c:x")
    add_dump(tmp_path / "2/out", "v1/b:x", "v1/c:x")
    expected = ["2 v1/b:x", "1 v1/c:x", "2 v1/c:x", "1 v2/a:x"]
    for source in (tmp_path, f"{tmp_path}/*", f"{tmp_path}/*/out/runs/*/*"):
        places = find_runs(source).places
        assert [f"{place.source.parent.name} {place.suite}/{place.folder}" for place in places] == expected


def test_a_set_has_no_order_and_is_sorted(outputs: Path) -> None:
    v1, v2 = outputs / "runs/v1", outputs / "runs/v2"
    for source in ({v2, v1}, frozenset({str(v1 / "c:x"), str(v2), str(v1)})):
        assert names(find_runs(source)) == ["v1/B:x", "v1/a:x", "v1/c:x", "v2/b:x"]


def test_places_and_objects_with_places_stand_for_themselves(outputs: Path) -> None:
    everything = find_runs(outputs)
    chosen = everything.places[2:0:-1]

    class Runs:
        places = chosen

    assert find_runs(Runs()).places == chosen
    assert find_runs(everything).places == everything.places
    assert find_runs(chosen[0]).places == chosen[:1]
    assert find_runs([chosen[1], Runs()]).places == (chosen[1], chosen[0])


def test_a_place_is_taken_although_its_folder_is_gone(outputs: Path) -> None:
    places = find_runs(outputs).places
    shutil.rmtree(outputs)
    assert find_runs(places).places == places


def test_odd_characters_in_names_are_literal_first(tmp_path: Path) -> None:
    """Bug case 21."""
    odd = [
        "toy:subject=1,m=x",
        "toy:subject=[1],m=x",
        "toy:s=café 中,m=x",
        "toy:s=..,m=x",
        "toy:s=100%25 sure*,m=x",
    ]
    outputs = add_dump(tmp_path / "[old] dumps" / "benchmark_output", *(f"v1/{folder}" for folder in odd))
    assert len(find_runs(outputs).places) == 5
    for folder in odd:
        assert names(find_runs(outputs / "runs" / "v1" / folder)) == [f"v1/{folder}"]
        assert names(find_runs(outputs, pattern=folder)) == [f"v1/{folder}"]


def test_a_pattern_matches_below_a_folder_whose_name_looks_like_one(tmp_path: Path) -> None:
    outputs = add_dump(tmp_path / "[old]" / "out", "v1/toy:1", "v1/toy:2", "v2/toy:1", "v2/other:1")
    assert names(find_runs(f"{outputs}/runs/*/toy*")) == ["v1/toy:1", "v1/toy:2", "v2/toy:1"]
    assert names(find_runs(f"{outputs}/runs/v?")) == ["v1/toy:1", "v1/toy:2", "v2/other:1", "v2/toy:1"]
    assert names(find_runs(f"{tmp_path}/*/o*")) == ["v1/toy:1", "v1/toy:2", "v2/other:1", "v2/toy:1"]


def test_a_pattern_gives_suites_in_code_point_order_of_their_names(tmp_path: Path) -> None:
    outputs = add_dump(tmp_path / "out", "v1/a", "v1-x/a")
    assert names(find_runs(f"{outputs}/runs/*")) == ["v1/a", "v1-x/a"]
    assert names(find_runs(f"{outputs}/runs")) == ["v1/a", "v1-x/a"]


def test_a_run_needs_no_colon_and_need_not_be_called_as_its_run_spec_says(tmp_path: Path) -> None:
    """Bug case 18."""
    folders = ["toy", "toy_subject=colours,method=multiple_choice_joint,model=acme_tiny"]
    outputs = add_dump(tmp_path / "benchmark_output", *(f"v1/{folder}" for folder in folders))
    assert [place.folder for place in find_runs(outputs).places] == folders


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("*", 4), ("?:x", 4), ("[a-c]:x", 3), ("b:x", 1), ("B:X", 0)],
    ids=["all", "one letter", "range", "name", "case counts"],
)
def test_pattern_filters_run_folders(outputs: Path, pattern: str, expected: int) -> None:
    if expected:
        assert len(find_runs(outputs, pattern=pattern).places) == expected
    else:
        with pytest.raises(NoRunsError, match=r"No run matches 'B:X'(?s:.*)found 4 runs \(B:x, b:x, a:x"):
            find_runs(outputs, pattern=pattern)


def test_other_folders_and_files_of_a_suite_are_no_runs(tmp_path: Path) -> None:
    """Bug case 19."""
    outputs = add_dump(tmp_path / "benchmark_output", f"v1/{TOY}")
    suite = outputs / "runs" / "v1"
    for folder in ("eval_cache", "groups/latex", ".nfs", "scratch", "failed:x"):
        (suite / folder).mkdir(parents=True)
    for file in (
        "eval_cache/run_spec.json",
        "groups/toy.json",
        "summary.json",
        ".DS_Store",
        "scratch/notes.txt",
    ):
        (suite / file).write_text("{}")
    for file in (".stats.json.swp", "stats.json.lock"):
        (suite / TOY / file).write_text("")
    found = find_runs(outputs)
    assert names(found) == [f"v1/{TOY}"]
    assert found.notes == (
        f"{suite}/failed:x is empty: skipped. HELM makes a run's folder before it starts the run.",
        f"{suite}/scratch holds no run_spec.json: skipped.",
    )


def test_an_incomplete_run_is_a_run(outputs: Path) -> None:
    (outputs / "runs/v2/b:x/stats.json").unlink()
    assert names(find_runs(outputs / "runs" / "v2")) == ["v2/b:x"]


def test_what_stands_beside_the_runs(outputs: Path) -> None:
    (outputs / "releases" / "v1.0.0").mkdir(parents=True)
    places = find_runs(outputs).places
    for source in (outputs, iter([outputs]), f"{outputs}/runs/*", f"{outputs}/runs/*/"):
        everything = find_all(source).places
        around = {(place.suite, place.folder) for place in everything[4:]}
        assert everything[:4] == places
        assert around == {("v1", ""), ("v2", ""), ("releases/v1.0.0", "")}
    assert find_all(places[0].path).places == places[:1], "a single run is asked for, and nothing else"
    (outputs / "runs/v1/groups").mkdir()
    assert find_all([places[0].path, f"{outputs}/runs/v1/[cg]*"]).places == (places[0], places[2])


def test_a_cached_run_is_gone_only_where_that_was_seen(outputs: Path, deny: Callable[[Path], None]) -> None:
    """What a prune asks: EACCES says nothing about what is in a folder."""
    runs = outputs / "runs"
    assert not is_gone(runs / "v1/a:x")
    assert is_gone(runs / "v1/never:x")
    assert is_gone(runs / "v9/never:x")
    (runs / "v1/c:x").rename(outputs / "c:x")
    (runs / "v2/b:x/run_spec.json").unlink()
    assert is_gone(runs / "v1/c:x")
    assert is_gone(runs / "v2/b:x"), "it is there, and no run any more"
    assert not is_gone(runs / "v2", run=False)
    assert is_gone(runs / "v7", run=False)
    deny(runs / "v1")
    assert not is_gone(runs / "v1/never:x")
    assert not is_gone(runs / "v1/c:x")


def test_a_source_covers_what_it_names_though_it_is_gone(outputs: Path, tmp_path: Path) -> None:
    runs = outputs / "runs"
    store = add_dump(tmp_path / "store", "v9/z:x")
    (runs / "linked").symlink_to(store / "runs/v9")
    assert find_runs(outputs).covers(runs / "v1/gone:x")
    assert find_runs(outputs).covers(store / "runs/v9/gone:x"), "a link leads there"
    one_suite = find_runs([runs / "v1"])
    assert one_suite.covers(runs / "v1/gone:x")
    assert not one_suite.covers(runs / "v2/b:x")
    assert not one_suite.covers(runs / "v10/a:x")
    pattern = find_runs(f"{runs}/v[12]/a*")
    assert pattern.covers(runs / "v2/a:gone")
    assert not pattern.covers(runs / "v2/b:x")
    assert find_runs(f"{runs}/v*").covers(runs / "v3/a:gone")
    assert not find_runs(runs / "v1/a:x").covers(runs / "v1/c:x")
    some = find_runs(outputs, pattern="a*")
    assert some.covers(runs / "v1/a:gone")
    assert not some.covers(runs / "v1/c:x")
    assert some.covers(runs / "v3", run=False)


def test_a_tilde_is_the_home_folder(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(outputs.parent))
    for source in ("~", "~/benchmark_output", Path("~/benchmark_output/runs"), "~/bench*"):
        assert find_runs(source).places == find_runs(outputs).places
    assert find_outputs("~") == outputs
    assert find_suites("~/benchmark_output")[0] == [outputs / "runs/v1", outputs / "runs/v2"]


def test_a_walk_opens_no_run_folder_and_resolves_no_run(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes 10,000 runs quick: counted, not timed."""
    calls: list[tuple[str, str]] = []
    for name in ("scandir", "listdir"):
        original = getattr(os, name)
        monkeypatch.setattr(layout.os, name, lambda path, f=original, n=name: calls.append((n, path)) or f(path))
    real = os.path.realpath
    monkeypatch.setattr(layout.os.path, "realpath", lambda path: calls.append(("realpath", path)) or real(path))
    find_runs(outputs)
    runs = str(outputs / "runs")
    assert calls == [
        ("realpath", str(outputs)),
        ("scandir", str(outputs)),
        ("scandir", runs),
        ("scandir", f"{runs}/v1"),
        ("scandir", f"{runs}/v2"),
    ]
