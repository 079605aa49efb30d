"""What becomes of an ingest when the list of a bucket's objects does not come, or is none."""

import re
from pathlib import Path

import fault_proxy
import pytest
from buckets import Server, filled
from fault_proxy import Answer, Proxy, Spoil, status

from magnet_arrow import ingest
from magnet_arrow.cli import main
from magnet_arrow.cli.exit_codes import ExitCode
from magnet_arrow.errors import RemoteError, SourceNotFoundError

pytest.importorskip("obstore")
LIST = r"list-type|/storage/v1/b/"
SERVERS = ["rclone", pytest.param("fake-gcs", marks=pytest.mark.slow)]


def login_page(answer: Answer) -> None:
    """One that is no XML."""
    fault_proxy.login_page(answer)
    answer.body = b"<!DOCTYPE html><p>Please log in<br>"


def other_json(answer: Answer) -> None:
    answer.body = b'{"items": []}'


FAULTS = [
    pytest.param(status(503), id="503", marks=pytest.mark.slow),
    pytest.param(fault_proxy.cut, id="cut", marks=pytest.mark.slow),
    pytest.param(fault_proxy.shorter, id="shorter", marks=pytest.mark.slow),
    pytest.param(login_page, id="login"),
]


@pytest.mark.parametrize("server", SERVERS, indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_list_that_does_not_come_ends_the_ingest_and_changes_nothing(
    fault: Spoil, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    assert ingest(url, tmp_path / "cache").runs == 3
    proxy.spoil(LIST, fault)
    with pytest.raises(RemoteError, match=f"{url} cannot be read"):
        ingest(url, tmp_path / "cache", prune=True)
    proxy.faults.clear()
    report = ingest(url, tmp_path / "cache", prune=True)
    assert (report.runs, report.skipped, report.pruned, report.stale) == (0, 3, 0, ())


@pytest.mark.parametrize("server", ["fake-gcs"], indirect=True)
@pytest.mark.slow
@pytest.mark.parametrize("fault", [fault_proxy.login_page, other_json])
def test_a_page_that_is_no_list_is_named(
    fault: Spoil, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    proxy.spoil(LIST, fault)
    with pytest.raises(RemoteError, match=f"{url} cannot be read: an answer that is no list of objects after 5"):
        ingest(url, tmp_path / "cache")


def test_a_web_page_in_place_of_a_list_is_no_empty_bucket(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    assert ingest(url, tmp_path / "cache").runs == 3
    proxy.spoil("", fault_proxy.login_page)  # it is XML, so that obstore takes it for an empty list
    with pytest.raises((RemoteError, SourceNotFoundError)):
        ingest(url, tmp_path / "cache", prune=True)
    proxy.faults.clear()
    assert ingest(url, tmp_path / "cache").skipped == 3


@pytest.mark.slow
def test_a_web_page_in_place_of_the_next_page_loses_no_run(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    [suite] = (outputs / "runs").iterdir()
    for number in range(1, 997):
        (suite / "a:x=1" / f"note{number}.txt").write_text("")
    url = filled(server, outputs)
    assert ingest(url, tmp_path / "cache").runs == 3
    proxy.spoil("continuation-token", fault_proxy.login_page, 1)
    report = ingest(url, tmp_path / "cache", prune=True)
    assert (report.skipped, report.pruned, report.stale) == (3, 0, ())
    assert len([one for one in proxy.requests if "start-after" in one]) == 1


def without_stats(answer: Answer) -> None:
    """The list, as if an object were not there."""
    answer.body = re.sub(rb"(?s)<Contents>(?:(?!</Contents>).)*/stats\.json.*?</Contents>", b"", answer.body)


def test_a_run_of_which_a_store_forgets_a_file_for_a_moment_is_read_by_the_next_ingest(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    proxy.spoil(r"a:x=1/stats\.json", status(404), 1)
    proxy.spoil(r"list-type.*a:x=1", without_stats)
    report = ingest(url, tmp_path / "cache")
    [rejected] = report.rejected
    assert (report.runs, rejected.run, rejected.file) == (2, "made/a:x=1", "stats.json")
    proxy.faults.clear()
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, report.skipped, report.rejected) == (1, 2, ())


def test_a_release_that_a_store_does_not_give_is_no_bad_release(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    release = outputs / "releases/v1"
    release.mkdir(parents=True)
    (release / "runs_to_run_suites.json").write_text('{"a:x=1": "made"}')
    url = f"{filled(server, outputs)}/releases/v1"
    proxy.spoil("runs_to_run_suites", status(400))
    with pytest.raises(RemoteError, match=r"runs_to_run_suites\.json cannot be read: 400 Bad Request") as caught:
        ingest(url, tmp_path / "cache")
    assert main._failed(caught.value) == ExitCode.STOPPED
    proxy.faults.clear()
    assert ingest(url, tmp_path / "cache").runs == 1


@pytest.mark.slow
@pytest.mark.parametrize("server", ["fake-gcs"], indirect=True)
def test_keys_that_are_no_paths_and_names_that_are_one_file_are_rejected_by_name(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    bucket, runs = url.split("/")[2], "lite/benchmark_output/runs/made"
    spec = (outputs / "runs/made/a:x=1/run_spec.json").read_bytes()
    for key in (f"{runs}//run_spec.json", f"{runs}/A:X=1/run_spec.json"):
        server.put(bucket, key, spec)
    report = ingest(url, tmp_path / "cache")
    assert report.runs == 2
    found = {one.run: f"{one.reason}" for one in report.rejected}
    assert len(found) == 3
    assert any("made//run_spec.json" in f"{run} {why}" for run, why in found.items())
    assert [
        sum(f"differs by case only from {name}" in why for why in found.values()) for name in ("a:x=1", "A:X=1")
    ] == [
        1,
        1,
    ]


def test_a_proxy_variable_that_leads_nowhere_is_named_without_its_password(
    server: Server, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, other = filled(server, outputs), filled(server, outputs)
    monkeypatch.setenv("http_proxy", "http://somebody:a-password@127.0.0.1:1")
    with pytest.raises(RemoteError, match="no answer") as caught:
        ingest(url, tmp_path / "cache")
    assert "a-password" not in f"{caught.value}{caught.value!r}{caught.value.__cause__}"
    assert "http_proxy" in str(caught.value)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert ingest(other, tmp_path / "cache").runs == 3
