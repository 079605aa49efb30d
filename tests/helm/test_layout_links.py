"""Links in a dump: they give no run twice, loops end, and `follow_links=False` follows none."""

import json
import shutil
from pathlib import Path

import pytest
from dump_folders import TOY, add_dump, add_four_runs, add_linked_run, names

from magnet_arrow.errors import NoRunsError, SourceNotFoundError
from magnet_arrow.helm.layout import find_outputs, find_runs


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return add_four_runs(tmp_path)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    return add_linked_run(tmp_path)


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


def test_a_dead_link_says_where_it_leads(linked: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"leads nowhere \(to nowhere\)"):
        find_runs(linked / "runs" / "gone")
