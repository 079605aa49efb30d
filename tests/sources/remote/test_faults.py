"""What becomes of an ingest when a store refuses, cuts, corrupts or replaces what was listed."""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import fault_proxy
import pytest
from buckets import Server, filled, put_again
from fault_proxy import Answer, Proxy, Spoil, status
from pictures import peek_at_files_of, write_pictured

from magnet_arrow import HelmRuns, ingest, validate, verify
from magnet_arrow.errors import RemoteError
from magnet_arrow.ingestion import run_reader
from magnet_arrow.sources import remote_copies
from magnet_arrow.sources.remote import fetching, packs, spool, stores
from magnet_arrow.sources.remote.catalog import CATALOG
from magnet_arrow.sources.remote.spool import Spool
from magnet_arrow.sources.stamps import FileStamp

pytest.importorskip("obstore")
SOME = r"/stats\.json"


QUICK = {"503": status(503), "cut": fault_proxy.cut, "corrupt": fault_proxy.corrupt}
OTHERS = {str(code): status(code) for code in (408, 429, 500)}
OTHERS |= {one.__name__: one for one in (fault_proxy.shorter, fault_proxy.longer, fault_proxy.login_page)}


@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(fault, id=name) for name, fault in QUICK.items()),
        *(pytest.param(fault, id=name, marks=pytest.mark.slow) for name, fault in OTHERS.items()),
    ],
)
def test_what_passes_is_asked_for_again(
    fault: Spoil, times: int, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    proxy.spoil(SOME, fault, times)
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, report.rejected) == (3, ())
    assert len(proxy.fetched()) + proxy.n_heads >= 12 + times
    assert verify(url, tmp_path / "cache").is_equal


def test_a_store_that_stops_sending_is_asked_again(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, impatient: None
) -> None:
    url = filled(server, outputs)
    proxy.spoil(f"a:x=1{SOME}", fault_proxy.stall, 1)
    assert ingest(url, tmp_path / "cache").runs == 3
    proxy.spoil("list-type", fault_proxy.stall, 1)
    assert ingest(url, tmp_path / "cache").skipped == 3


@pytest.mark.slow
def test_a_store_that_stops_sending_every_time_is_not_waited_for_without_end(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, impatient: None
) -> None:
    url = filled(server, outputs)
    proxy.spoil(f"a:x=1{SOME}", fault_proxy.stall)
    report = ingest(url, tmp_path / "cache")
    [rejected] = report.rejected
    assert (report.runs, rejected.run) == (2, "made/a:x=1")
    assert "no answer" in (rejected.found or "")
    assert "after 5 attempts" in (rejected.found or "")
    proxy.faults.clear()
    assert ingest(url, tmp_path / "cache").runs == 1
    proxy.spoil("list-type", fault_proxy.stall)
    with pytest.raises(RemoteError, match="cannot be read: no list of objects came to its end after 5 attempts"):
        ingest(url, tmp_path / "cache")


@pytest.mark.slow
def test_a_slow_store_is_waited_for(server: Server, proxy: Proxy, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    proxy.spoil("", fault_proxy.trickle)
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, len(proxy.fetched())) == (3, 12)


@pytest.mark.parametrize(
    ("fault", "found", "attempts"),
    [
        pytest.param(status(403), "403 Forbidden", 1, id="403"),
        pytest.param(status(400), "400 Bad Request", 1, id="400", marks=pytest.mark.slow),
        pytest.param(status(429), "429 Too Many Requests after 5 attempts", 5, id="429", marks=pytest.mark.slow),
        pytest.param(status(500), "500 Internal Server Error after 5 attempts", 5, id="500", marks=pytest.mark.slow),
        pytest.param(status(503), "503 Service Unavailable after 5 attempts", 5, id="503"),
        pytest.param(fault_proxy.corrupt, "other bytes than those listed", 5, id="corrupt"),
        pytest.param(fault_proxy.shorter, "bytes in place of the", 5, id="shorter", marks=pytest.mark.slow),
        pytest.param(fault_proxy.cut, "no answer", 5, id="cut", marks=pytest.mark.slow),
        pytest.param(fault_proxy.longer, "bytes in place of the", 5, id="longer", marks=pytest.mark.slow),
        pytest.param(fault_proxy.login_page, "39 bytes in place of the", 5, id="login"),
        pytest.param(fault_proxy.stranger, "does not tell the object's state", 5, id="stranger"),
    ],
)
def test_what_stays_rejects_the_run_and_no_other(
    fault: Spoil, found: str, attempts: int, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    [suite] = (outputs / "runs").iterdir()
    bad = min(suite.iterdir()).name
    proxy.spoil(re.escape(bad) + SOME, fault)
    report = ingest(url, tmp_path / "cache")
    assert report.runs == 2
    [rejected] = report.rejected
    assert (rejected.run, rejected.file) == (f"{suite.name}/{bad}", "stats.json")
    assert found in (rejected.found or "")
    assert f"{url}/runs/{suite.name}/{bad}/stats.json" in (rejected.found or "")
    assert len([one for one in proxy.fetched() if f"{bad}/stats.json" in one]) == attempts
    proxy.faults.clear()  # a store's fault is not remembered: the next ingest tries again
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, report.skipped, report.rejected) == (1, 2, ())
    assert not (tmp_path / "cache" / "fetched").exists()


@pytest.mark.parametrize(("fault", "gives_ranges"), [(fault_proxy.corrupt, True), (fault_proxy.cut, False)])
def test_a_large_object_is_not_asked_for_without_end(
    fault: Spoil,
    gives_ranges: bool,
    server: Server,
    proxy: Proxy,
    outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, name in ((spool, "SMALL_BYTES"), (fetching, "_CHUNK_BYTES"), (fetching, "_PROGRESS_BYTES")):
        monkeypatch.setattr(module, name, 50)
    url = filled(server, outputs)
    [bad, *_] = sorted(outputs.glob("runs/*/*"))
    proxy.gives_ranges = gives_ranges
    proxy.spoil(re.escape(bad.name) + SOME, fault)
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, [one.run for one in report.rejected]) == (2, [f"{bad.parent.name}/{bad.name}"])


def test_attempts_are_counted_anew_after_each_that_came_further(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((spool, "SMALL_BYTES"), (fetching, "_WRITTEN_BYTES"), (fetching, "_PROGRESS_BYTES")):
        monkeypatch.setattr(module, name, 50)

    def some(answer: Answer) -> None:
        answer.length, answer.body = len(answer.body), answer.body[:300]

    url, file = filled(server, outputs), outputs / "runs/made/a:x=1/scenario_state.json"
    proxy.gives_ranges = True
    proxy.spoil("a:x=1/scenario_state", some)
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, report.rejected) == (3, ())
    assert len([one for one in proxy.fetched() if "a:x=1/scenario_state" in one]) >= file.stat().st_size / 300 > 5
    assert verify(url, tmp_path / "cache").is_equal


@pytest.mark.parametrize("code", [503, pytest.param(429, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("asked", "min_s"), [({"Retry-After": "7"}, 7.0), ({}, 0.0)])
def test_a_busy_store_says_how_long_to_wait(
    code: int,
    asked: dict[str, str],
    min_s: float,
    server: Server,
    proxy: Proxy,
    outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paused: list[float] = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(fetching, "_pause", pause)
    url = filled(server, outputs)
    proxy.spoil(f"a:x=1{SOME}", status(code, **asked), 2)  # to the request, and to the question how long to wait
    assert ingest(url, tmp_path / "cache", workers=1).runs == 3
    assert paused
    assert max(paused) == min_s


def test_pauses_grow_and_differ_and_are_never_too_long() -> None:
    for attempt, (min_s, max_s) in enumerate([(0.05, 0.15), (0.1, 0.3), (0.2, 0.6), (0.4, 1.2)], 1):
        pauses = {stores.pause_s(attempt) for _ in range(20)}
        assert len(pauses) > 1
        assert min_s <= min(pauses) <= max(pauses) <= max_s
    assert 5 <= stores.pause_s(100) <= 15
    assert stores.pause_s(1, 30.0) == 30
    assert stores.pause_s(1, 1e9) == 120


def test_a_run_that_is_replaced_meanwhile_is_read_in_its_new_state(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    [suite] = (outputs / "runs").iterdir()
    file = min(suite.iterdir()) / "stats.json"

    def swap(answer: Answer) -> None:
        file.write_bytes(file.read_bytes() + b"\n")
        put_again(server, url, outputs, file)
        status(412)(answer)

    proxy.spoil(f"{file.parent.name}{SOME}", swap, 1)
    report = ingest(url, tmp_path / "cache")
    assert [str(one) for one in report.rejected] == []
    assert report.runs == 3
    assert verify(url, tmp_path / "cache").is_equal


def test_an_object_that_is_replaced_is_noticed_though_the_store_ignores_conditions(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_condition", lambda *_: {})
    url, file = filled(server, outputs), outputs / "runs/made/a:x=1/stats.json"

    def replace(_: Answer) -> None:
        file.write_bytes(file.read_bytes().replace(b'"count": 1', b'"count": 7'))
        put_again(server, url, outputs, file)

    proxy.spoil("list-type", replace, 1)  # after the list was made
    assert ingest(url, tmp_path / "cache").runs == 3
    assert 7 in HelmRuns(url, cache=tmp_path / "cache").stats()["stats.count"]


def test_an_object_that_only_seemed_to_be_replaced_is_read(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    proxy.spoil(SOME, status(412), 1)
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, report.rejected) == (3, ())


def test_a_run_that_is_replaced_again_and_again_is_rejected(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    proxy.spoil(SOME, status(412))
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, len(report.rejected)) == (0, 3)
    proxy.faults.clear()
    assert ingest(url, tmp_path / "cache").runs == 3


def test_a_second_ingest_lists_and_fetches_nothing(server: Server, proxy: Proxy, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    ingest(url, tmp_path / "cache")
    assert len(proxy.fetched()) == len(list(outputs.rglob("*.json")))
    del proxy.requests[:]
    assert ingest(url, tmp_path / "cache").skipped == 3
    assert proxy.fetched() == []


def test_runs_are_listed_together_again_after_another_source_was_ingested(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, other = filled(server, outputs), filled(server, outputs)
    runs = HelmRuns(url, cache=tmp_path / "cache")
    ingest(other, tmp_path / "cache")
    del proxy.requests[:]
    assert runs.run_spec().height == 3
    lists = [one for one in proxy.requests if "list-type" in one]
    assert len(lists) == 1
    assert runs.stats().height > 0
    assert [one for one in proxy.requests if "list-type" in one] == lists


def test_each_command_fetches_an_object_once(server: Server, proxy: Proxy, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    ingest(url, tmp_path / "cache")
    there = sorted(f"{file.parent.name}/{file.name}" for file in outputs.rglob("*.json"))
    for command in (lambda: validate(url), lambda: verify(url, tmp_path / "cache")):
        del proxy.requests[:]
        command()
        assert sorted("/".join(one.split("/")[-2:]) for one in proxy.fetched()) == there
        assert len(proxy.requests) - len(proxy.fetched()) <= 2  # lists: of the folder, and whether there are releases


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_listing_says_what_signs(code: int, server: Server, proxy: Proxy, tmp_path: Path) -> None:
    proxy.spoil("list-type", status(code))
    with pytest.raises(RemoteError, match=rf"s3://bucket/runs cannot be read: {code} ") as caught:
        ingest("s3://bucket/runs", tmp_path / "cache")
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)


def test_a_refused_request_is_signed_if_there_are_credentials_and_shows_none(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = filled(server, outputs)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-made-up")
    proxy.spoil("list-type", status(403), 1)
    assert ingest(url, tmp_path / "cache").runs == 3
    proxy.spoil("list-type", status(403))
    with pytest.raises(RemoteError) as caught:
        ingest(url, tmp_path / "cache")
    written = b"".join(path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file())
    for secret in ("AKIAMADEUP", "a-secret-made-up"):
        assert secret not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
        assert secret.encode() not in written


def test_of_an_object_that_may_be_encrypted_the_etag_is_no_md5(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encrypt(answer: Answer) -> None:
        answer.body = answer.body.replace(b'"count": 1', b'"count": 7')

    url = filled(server, outputs)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-made-up")
    proxy.spoil("list-type", status(403), 1)
    proxy.spoil(SOME, encrypt)
    assert ingest(url, tmp_path / "cache").rejected == ()
    assert 7 in HelmRuns(url, cache=tmp_path / "cache").stats()["stats.count"]


def begin_copy(cache: Path, url: str, share: float) -> int:
    """Leave the beginning of a copy of an object, as a process does that is killed; its size."""
    CATALOG.look(url.rpartition("/")[0])
    stamp = CATALOG.kind_of(url)
    assert isinstance(stamp, FileStamp)
    with tempfile.TemporaryDirectory() as folder:
        fetching.fetch(CATALOG._stores, url, stamp, Spool(Path(folder)).copy_of(url, stamp))
        [copy] = Path(folder).iterdir()
        (cache / "fetched").mkdir(parents=True)
        (cache / "fetched" / f"{copy.name}.part0").write_bytes(copy.read_bytes()[: int(stamp.size_bytes * share)])
    return int(stamp.size_bytes * share)


def test_copies_of_a_run_that_was_committed_just_before_a_kill_go_with_the_next_ingest(
    server: Server, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = filled(server, outputs)
    with monkeypatch.context() as patch:
        patch.setattr(remote_copies, "discard_copies", lambda *_: None)
        assert ingest(url, tmp_path / "cache").runs == 3
    assert list((tmp_path / "cache/fetched").iterdir())
    assert ingest(url, tmp_path / "cache").skipped == 3
    assert not (tmp_path / "cache/fetched").exists()


@pytest.mark.parametrize("gives_ranges", [True, False])
def test_an_object_goes_on_at_the_byte_where_it_stopped(
    gives_ranges: bool,
    server: Server,
    proxy: Proxy,
    outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "SMALL_BYTES", 50)
    url = filled(server, outputs)
    file = max(outputs.rglob("*.json"), key=lambda path: path.stat().st_size)
    begun = begin_copy(tmp_path / "cache", f"{url}/{file.relative_to(outputs).as_posix()}", 0.7)
    proxy.gives_ranges = gives_ranges
    del proxy.requests[:]
    assert ingest(url, tmp_path / "cache").runs == 3
    asked = [one for one in proxy.fetched() if f"{file.parent.name}/{file.name}" in one]
    assert asked[0].endswith(f" bytes={begun}-")
    assert len(asked) == (1 if gives_ranges else 2)  # a store without ranges begins again
    md5s = {hashlib.md5(path.read_bytes()).hexdigest() for path in outputs.rglob("*.json")}
    assert set(proxy.conditions) == {f'"{md5}"' for md5 in md5s}, "only of the object that was listed"
    assert verify(url, tmp_path / "cache").is_equal


@pytest.mark.parametrize("gives_ranges", [True, False])
def test_pictures_stay_in_the_bucket_unless_they_are_asked_for(
    gives_ranges: bool,
    server: Server,
    proxy: Proxy,
    demo_outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "outputs/runs/v1/with:pictures=1"
    shutil.copytree(next(demo_outputs.glob("runs/my-suite/*anatomy*owl*")), run)
    file = write_pictured(run)
    peek_at_files_of(5_000, monkeypatch)
    monkeypatch.setattr(run_reader, "PEEK_BYTES", 4_000)
    url = filled(server, tmp_path / "outputs")
    proxy.gives_ranges = gives_ranges
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, report.rows["display_predictions"]) == (1, 0)
    assert any("display_predictions.json is not kept: it embeds pictures" in note for note in report.notes)
    asked = [one.rpartition("/")[2] for one in proxy.fetched() if "display_predictions" in one]
    ranged = "display_predictions.json bytes=0-3999"
    assert asked == ([ranged] if gives_ranges else [ranged, "display_predictions.json"])
    found = verify(url, tmp_path / "cache")
    assert (found.n_differences, [one.path for one in found.not_covered]) == (0, [f"v1/{run.name}/{file.name}"])
    assert ingest(url, tmp_path / "with", pictures=True).rows["display_predictions"] == 10


def test_a_copy_that_was_begun_wrong_starts_over(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SMALL_BYTES", 50)
    url = filled(server, outputs)
    file = max(outputs.rglob("*.json"), key=lambda path: path.stat().st_size)
    begin_copy(tmp_path / "cache", f"{url}/{file.relative_to(outputs).as_posix()}", 0.7)
    [copy] = (tmp_path / "cache" / "fetched").iterdir()
    copy.write_bytes(b"?" * copy.stat().st_size)
    proxy.gives_ranges = True
    assert ingest(url, tmp_path / "cache").runs == 3
    assert verify(url, tmp_path / "cache").is_equal


def test_a_full_disk_rejects_what_did_not_fit_and_the_next_ingest_reads_it(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = filled(server, outputs)

    def full(descriptor: int, data: memoryview) -> None:
        os.write(descriptor, data[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(packs, "write_all", full)
        report = ingest(url, tmp_path / "cache")
    found = f"No space left on device (its copy goes to {tmp_path / 'cache/fetched'})"
    assert (report.runs, {one.found for one in report.rejected}) == (0, {found})
    assert ingest(url, tmp_path / "cache").runs == 3


def test_a_full_disk_of_temporary_files_is_named_and_nothing_stays_there(
    server: Server, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, temporary = filled(server, outputs), tmp_path / "temporary"
    temporary.mkdir()
    ingest(url, tmp_path / "cache")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def full(descriptor: int, data: memoryview) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for module in (packs, spool, fetching):
        monkeypatch.setattr(module, "write_all", full)
    rejected = validate(url).rejected
    assert len(rejected) == 3
    assert all(f"No space left on device (its copy goes to {temporary}/" in (one.found or "") for one in rejected)
    found = verify(url, tmp_path / "cache")
    assert found.n_differences == 12
    assert all("No space left on device" in str(one) for one in found.differences)
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("server", ["fake-gcs", "seaweedfs"], indirect=True)
@pytest.mark.parametrize(
    ("fault", "found"),
    [
        pytest.param(status(403), "403 Forbidden", id="403"),
        pytest.param(status(429), "429 Too Many Requests after 5 attempts", id="429"),
        pytest.param(status(503), "503 Service Unavailable after 5 attempts", id="503"),
        pytest.param(fault_proxy.cut, "no answer", id="cut"),
        pytest.param(fault_proxy.corrupt, "other bytes than those listed", id="corrupt"),
        pytest.param(fault_proxy.shorter, "bytes in place of the", id="shorter"),
        pytest.param(fault_proxy.longer, "bytes in place of the", id="longer"),
        pytest.param(fault_proxy.login_page, "", id="login"),
        pytest.param(fault_proxy.stranger, "does not tell the object's state", id="stranger"),
    ],
)
def test_other_stores_faults_reject_the_run_too(
    fault: Spoil, found: str, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    proxy.spoil(rf"a:x=1{SOME}", fault)
    report = ingest(url, tmp_path / "cache")
    [rejected] = report.rejected
    assert (report.runs, rejected.run, rejected.file) == (2, "made/a:x=1", "stats.json")
    assert found in (rejected.found or "")
    proxy.faults.clear()
    report = ingest(url, tmp_path / "cache")
    assert (report.runs, report.skipped, report.rejected) == (1, 2, ())
    assert verify(url, tmp_path / "cache").is_equal
