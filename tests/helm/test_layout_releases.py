"""Releases: each has a list of runs, and no entry of the list leads out of the dump."""

import json
from pathlib import Path

import pytest
from dump_folders import add_four_runs, add_run, names

from magnet_arrow.errors import NoRunsError
from magnet_arrow.helm.layout import find_runs


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return add_four_runs(tmp_path)


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
