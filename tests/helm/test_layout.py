"""What a source stands for. Folders are made at run time: a tracked path may hold no ':' and no link."""

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from magnet_arrow import HelmRun, HelmSuite
from magnet_arrow.errors import NoRunsError, SettingError, SourceNotFoundError
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import (
    Found,
    RunPlace,
    find_all,
    find_outputs,
    find_runs,
    find_suite_runs,
    find_suites,
    is_gone,
)

TOY = "toy:subject=colours,method=multiple_choice_joint,model=acme_tiny"


def add_run(suite: Path, folder: str = TOY) -> Path:
    """A folder that is a run to this module: what its files hold is others' concern."""
    run = suite / folder
    run.mkdir(parents=True)
    for name in layout.RUN_FILES:
        (run / name).write_text("{}")
    return run


def add_dump(outputs: Path, *runs: str) -> Path:
    """An outputs folder with runs given as `suite/folder`."""
    for run in runs:
        suite, _, folder = run.partition("/")
        add_run(outputs / "runs" / suite, folder)
    return outputs


def names(found: Found) -> list[str]:
    return [f"{place.suite}/{place.folder}" for place in found.places]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return add_dump(tmp_path / "dump" / "benchmark_output", "v2/b:x", "v1/c:x", "v1/a:x", "v1/B:x")


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


def test_a_run_that_is_reached_by_two_ways_is_one_run_at_its_first_place(tmp_path: Path) -> None:
    store = add_dump(tmp_path / "store", "v1/a:x", "v1/b:x")
    outputs = tmp_path / "outputs"
    (outputs / "runs").mkdir(parents=True)
    (outputs / "runs/v1").symlink_to(store / "runs/v1")
    (outputs / "runs/v9").symlink_to("v1")
    release = outputs / "releases/v1.0.0"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text(json.dumps({"b:x": "v1", "a:x": "v9"}))
    a, b = find_runs(store).places
    for source in (release, outputs, [release, outputs], [outputs, f"{outputs}/runs/v?", release, store, store]):
        assert find_runs(source).places == (a, b)
    assert find_runs([outputs / "runs/v1/b:x", release]).places == (b, a)


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


# --- names


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
        with pytest.raises(NoRunsError, match=r"No run matches 'B:X'(?s:.*)found 4 runs \(B:x, a:x"):
            find_runs(outputs, pattern=pattern)


# --- links, loops, latest


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Bug case 17: `latest` leads to v1, `loop` to its own parent, `gone` nowhere."""
    outputs = add_dump(tmp_path / "benchmark_output", f"v1/{TOY}")
    (outputs / "runs/latest").symlink_to(outputs / "runs/v1")
    (outputs / "runs/v1/loop").symlink_to("../v1")
    (outputs / "runs/gone").symlink_to("nowhere")
    return outputs


def test_links_give_no_run_twice_and_loops_end(linked: Path) -> None:
    found = find_runs(linked)
    assert names(found) == [f"v1/{TOY}"]
    runs = linked / "runs"
    assert found.notes == (
        f"{runs}/gone is a link that leads nowhere: skipped.",
        f"{runs}/latest is skipped: it stands for another suite. Name it to ingest it.",
        f"{runs}/v1/loop holds no run_spec.json: skipped.",
    )


def test_latest_is_taken_when_named_and_is_the_suite_it_leads_to(linked: Path) -> None:
    everything = find_runs(linked).places
    assert find_runs(linked / "runs/latest").places == everything
    assert find_runs(f"{linked}/runs/latest/toy*").places == everything
    assert find_runs([linked / "runs/v1", linked / "runs/latest"]).places == everything


def test_latest_is_passed_over_where_a_pattern_meets_it(linked: Path) -> None:
    found = find_runs(f"{linked}/runs/*/toy*")
    assert names(found) == [f"v1/{TOY}"]
    assert found.notes == (
        f"{linked}/runs/latest/{TOY} is skipped: it stands for another suite. Name it to ingest it.",
    )


def test_a_real_copy_called_latest_is_a_suite_only_when_named(tmp_path: Path) -> None:
    outputs = add_dump(tmp_path / "benchmark_output", "v1/a:x", "latest/a:x")
    assert names(find_runs(outputs)) == ["v1/a:x"]
    assert names(find_runs(outputs / "runs" / "latest")) == ["latest/a:x"]
    shutil.rmtree(outputs / "runs" / "v1")
    with pytest.raises(NoRunsError, match="latest is skipped"):
        find_runs(outputs)


def test_a_link_to_itself_is_a_link_that_leads_nowhere(outputs: Path) -> None:
    (outputs / "runs/v1/self").symlink_to("self")
    found = find_runs(outputs)
    assert len(found.places) == 4
    assert found.notes == (f"{outputs}/runs/v1/self is a link that leads nowhere: skipped.",)


def test_a_suite_or_run_that_is_linked_lies_where_it_really_is(outputs: Path, tmp_path: Path) -> None:
    elsewhere = add_dump(tmp_path / "other-disk" / "out", "v9/z:x")
    (outputs / "runs" / "linked").symlink_to(elsewhere / "runs" / "v9")
    (outputs / "runs" / "v2" / "again").symlink_to("../v1/a:x")
    found = find_runs(outputs)
    assert names(found) == ["v1/B:x", "v1/a:x", "v1/c:x", "v2/b:x", "v9/z:x"]  # by source: dump, other-disk
    assert found.places[-1] == find_runs(elsewhere).places[0]


def test_a_linked_dump_is_the_dump(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(outputs, target_is_directory=True)
    assert find_runs(tmp_path / "link").places == find_runs(outputs).places
    assert find_outputs(tmp_path / "link") == outputs


def test_a_walk_through_linked_folders_ends(tmp_path: Path) -> None:
    add_dump(tmp_path / "a" / "out", "v1/a:x")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "b").symlink_to("a")
    assert names(find_runs(tmp_path)) == ["v1/a:x"]


# --- what is no run


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


def test_a_release_is_the_runs_that_it_names(outputs: Path) -> None:
    release = outputs / "releases" / "v1.0.0"
    release.mkdir(parents=True)
    runs = {"B:x": "v1", "a:x": "v1", "gone:x": "v2"}
    (release / "runs_to_run_suites.json").write_text(json.dumps(runs))
    found = find_runs(release)
    assert [(place.source, place.suite, place.folder) for place in found.places] == [
        (outputs, "v1", "B:x"),
        (outputs, "v1", "a:x"),
    ]
    assert len(found.notes) == 1
    assert "v2/gone:x" in found.notes[0]
    assert len(find_runs(outputs).places) == 4, "a walk finds each run once, in its suite"


def test_a_release_that_names_no_runs(outputs: Path) -> None:
    release = outputs / "releases" / "v1.0.0"
    release.mkdir(parents=True)
    (release / "summary.json").write_text("{}")
    with pytest.raises(NoRunsError, match=r"runs_to_run_suites\.json.*found none of this name"):
        find_runs(release)


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


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder refuse everybody, the way it does for anyone but root."""
    denied: list[str] = []

    def refuse(name: str) -> None:
        original = getattr(os, name)

        def guarded(path: str) -> object:
            if any(path == folder or path.startswith(folder + os.sep) for folder in denied):
                raise PermissionError(13, "Permission denied", path)
            return original(path)

        monkeypatch.setattr(layout.os, name, guarded)

    for name in ("scandir", "listdir", "lstat"):
        refuse(name)
    return lambda folder: denied.append(str(folder))


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


# --- nothing found hides what else there is


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


# --- what leads out of a dump


@pytest.mark.parametrize(
    ("run", "suite"),
    [
        ("toy:s", "../../../private/suite"),
        ("toy:s", "v1/../../../private/suite"),
        ("toy:s", "."),
        ("toy:s", ""),
        ("..", "v1"),
        ("toy:s", "v1\0"),
        ("toy:s\ud800", "v1"),
        ("toy:s", None),
        ("toy:s", 5),
        ("toy:s", ["v1"]),
        ("toy:s", {"v1": "v1"}),
    ],
)
def test_an_entry_of_a_release_that_leads_out_is_rejected_and_the_others_are_taken(
    outputs: Path, run: str, suite: object
) -> None:
    add_run(outputs.parent.parent / "private/suite", "toy:s")
    release = outputs / "releases/v9"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text(json.dumps({"a:x": "v1", run: suite, "b:x": "v2"}))
    found = find_runs(release)
    assert names(found) == ["v1/a:x", "v2/b:x"]
    assert [one.run for one in found.rejected] == [f"v9/{run}"]
    assert "runs_to_run_suites.json of the release v9" in found.rejected[0].reason


def test_an_absolute_suite_of_a_release_is_rejected(outputs: Path) -> None:
    private = add_run(outputs.parent.parent / "private/suite", "toy:s").parent
    release = outputs / "releases/v9"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text(json.dumps({"toy:s": str(private), "a:x": "v1"}))
    found = find_runs(release)
    assert (names(found), len(found.rejected)) == (["v1/a:x"], 1)
    (release / "runs_to_run_suites.json").write_text(json.dumps({"toy:s": str(private)}))
    with pytest.raises(NoRunsError, match="expected names of folders"):
        find_runs(release)


@pytest.mark.parametrize("text", ["[]", "5", "null", '["v1"]', '[["a:x", "v1"]]', "{", "[" * 100_000])
def test_a_release_whose_list_is_none(outputs: Path, text: str) -> None:
    release = outputs / "releases/v9"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text(text)
    with pytest.raises(NoRunsError, match=r"None of the 0 runs|does not say which runs"):
        find_runs(release)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"[]", "an array"),
        (b"5", "a number"),
        (b"null", "null"),
        (b'"v1"', "a string"),
        (b"", "no JSON (no value, byte 0)"),
        (b'{"a": "v1",}', "no JSON (no key in quotation marks, byte 11)"),
        (b'{"a\xff": "v1"}', "no UTF-8 text (byte 3)"),
    ],
)
def test_what_the_list_of_a_release_is_instead_is_said_in_words_of_json(outputs: Path, text: bytes, found: str) -> None:
    release = outputs / "releases/v9"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_bytes(text)
    with pytest.raises(NoRunsError) as caught:
        find_runs(release)
    assert caught.value.found == found


@pytest.mark.parametrize(
    ("suite", "found"),
    [(5, "a number"), (1.5, "a number"), (True, "true or false"), (None, "null"), ([], "an array"), ({}, "an object")],
)
def test_what_an_entry_of_a_release_names_instead_is_said_in_words_of_json(
    outputs: Path, suite: object, found: str
) -> None:
    release = outputs / "releases/v9"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text(json.dumps({"a:x": "v1", "b:x": suite}))
    rejected = find_runs(release).rejected
    assert [one.reason.partition("expected ")[2] for one in rejected] == [f"a suite's name, found {found}."]


def test_links_are_followed_unless_they_are_not_to_be(outputs: Path, tmp_path: Path) -> None:
    elsewhere = add_dump(tmp_path / "private", "v8/s:x", "v8/t:x")
    runs = outputs / "runs"
    (runs / "v8").symlink_to(elsewhere / "runs/v8")
    (runs / "v2/t:x").symlink_to(elsewhere / "runs/v8/t:x")
    (runs / "v1/a:x/stats.json").unlink()
    (runs / "v1/a:x/stats.json").symlink_to(elsewhere / "runs/v8/s:x/stats.json")
    release = outputs / "releases/v9"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text(json.dumps({"s:x": "v8", "b:x": "v2"}))
    assert names(find_runs(outputs)) == ["v1/B:x", "v1/a:x", "v1/c:x", "v2/b:x", "v8/s:x", "v8/t:x"]
    assert names(find_runs(release)) == ["v2/b:x", "v8/s:x"]
    found = find_runs(outputs, follow_links=False)
    assert names(found) == ["v1/B:x", "v1/c:x", "v2/b:x"]
    assert found.notes == (
        f"{runs}/v8 is a link: skipped, as links are not followed.",
        f"{runs}/v2/t:x is a link: skipped, as links are not followed.",
    )
    assert [(one.run, one.reason) for one in found.rejected] == [
        ("v1/a:x", f"{runs}/v1/a:x/stats.json is a link, and links are not followed.")
    ]
    assert names(find_runs(f"{runs}/*/*", follow_links=False)) == ["v1/B:x", "v1/c:x", "v2/b:x"]
    assert names(find_runs(release, follow_links=False)) == ["v2/b:x"]
    (runs).rename(tmp_path / "moved")
    runs.symlink_to(tmp_path / "moved")
    assert len(find_runs(release).places) == 2
    with pytest.raises(NoRunsError, match="links are not followed"):
        find_runs(release, follow_links=False)
    runs.unlink()
    (tmp_path / "moved").rename(runs)
    (tmp_path / "way").symlink_to(outputs)
    assert len(find_runs(tmp_path / "way", follow_links=False).places) == 3, "what is named may be a link"


# --- names that are no UTF-8


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


# --- folders of no known kind


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


# --- nothing found


def test_a_path_that_is_not_there(outputs: Path) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        find_runs(outputs / "runs" / "v11" / "a:x")
    assert caught.value.message == f"There is no '{outputs}/runs/v11/a:x'."
    assert caught.value.found == f"in {outputs}/runs: 2 entries (v1, v2)"
    assert caught.value.hint == f"Did you mean {outputs}/runs/v1?"
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
        ("gs://crfm-helm-public/lite/benchmark_output", "gcloud storage cp --recursive gs://crfm-helm-public/lite/b"),
        ("s3://bucket/runs/v1", "aws s3 cp --recursive s3://bucket/runs/v1 FOLDER"),
        ("https://example.org/runs/", "wget --recursive --no-parent https://example.org/runs/"),
        ("https://storage.googleapis.com/b/runs", "gcloud storage cp --recursive gs://b/runs FOLDER"),
        ("file:///data/out", "cp -r /data/out FOLDER"),
        ("https://example.org/a?b=1&c=2", "wget --recursive --no-parent 'https://example.org/a?b=1&c=2'"),
        ("az://container/x", "rclone copy az:container/x FOLDER"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_source_on_another_machine_is_not_supported_yet(
    url: str, line: str, kind: Callable[[str], str | Path]
) -> None:
    for find in (find_runs, find_outputs, HelmRun, HelmSuite):
        with pytest.raises(SourceNotFoundError, match="not supported yet") as caught:
            find(kind(url))
        assert line.rstrip("/") in str(caught.value)


def test_a_tilde_is_the_home_folder(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(outputs.parent))
    for source in ("~", "~/benchmark_output", Path("~/benchmark_output/runs"), "~/bench*"):
        assert find_runs(source).places == find_runs(outputs).places
    assert find_outputs("~") == outputs
    assert find_suites("~/benchmark_output")[0] == [outputs / "runs/v1", outputs / "runs/v2"]


def test_a_file_is_no_source(outputs: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"is a file\.(?s:.*)Did you mean .*/a:x\?"):
        find_runs(outputs / "runs/v1/a:x/stats.json")


def test_a_dead_link_says_where_it_leads(linked: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"leads nowhere \(to nowhere\)"):
        find_runs(linked / "runs" / "gone")


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
    with pytest.raises(NoRunsError, match="found no such folder"):
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


# --- outputs folders and suites


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


def test_what_can_not_name_runs_is_refused() -> None:
    with pytest.raises(SettingError, match="5 names no runs"):
        find_runs(5)  # type: ignore[arg-type]
