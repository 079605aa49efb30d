"""`keep_json`: what is fetched is kept as it was served, and neither the bucket nor the mirror is read again."""

import errno
import gzip
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fault_proxy
import pytest
from buckets import NAMES, OUTPUTS, Server, delete_run, filled, put_again, put_packed
from command_line import in_this_process, rows
from fault_proxy import Answer, Proxy, status, unpack

from magnet_arrow import Cache, HelmRuns, IngestReport, ingest, validate, verify
from magnet_arrow.errors import FolderNotWritableError, SettingError
from magnet_arrow.ingestion import batch_reader, reading, run_reader
from magnet_arrow.schema.registry import RUN_TABLES
from magnet_arrow.sources.remote import mirror as mirror_module
from magnet_arrow.sources.remote import spool
from magnet_arrow.sources.remote.catalog import CATALOG
from magnet_arrow.sources.remote.mirror import Mirror
from magnet_arrow.sources.stamps import FileStamp

pytest.importorskip("obstore")


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of all files below a folder, hidden ones too."""
    files = (Path(path, name) for path, _, names in os.walk(folder) for name in names)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def assert_nothing_read(report: IngestReport, n_runs: int) -> None:
    assert (report.runs, report.skipped, report.rejected, report.stale, report.bytes_in) == (0, n_runs, (), (), 0)


def assert_same_tables(local: Path, kept: Path, cache: Path) -> None:
    ours, theirs = HelmRuns(kept, cache=cache), HelmRuns(local, cache=cache.with_name("local"))
    for table in RUN_TABLES:
        assert ours.scan(table.name).collect().equals(theirs.scan(table.name).collect()), table.name


def n_rows(cache: Path) -> int:
    return int(Cache(cache).runs()["rows.stats"].sum())


def test_what_is_fetched_is_kept_and_never_read_again(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert not (cache / "fetched").exists()
    n_fetched = len(proxy.fetched())
    for source in (url, kept / OUTPUTS, kept / OUTPUTS / "runs", kept):
        assert_nothing_read(ingest(source, cache), 3)
    assert_nothing_read(ingest(url, cache, keep_json=kept), 3)
    assert len(proxy.fetched()) == n_fetched
    assert Cache(cache).runs()["source"].unique().to_list() == [url]
    assert_same_tables(outputs, kept / OUTPUTS, cache)
    assert verify(kept, cache).is_equal
    assert validate(kept).rejected == ()
    assert Cache(cache).remove(str(kept / OUTPUTS / "runs" / "made")) == 3


def test_a_cache_that_was_lost_is_filled_from_the_mirror(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, kept = filled(server, outputs), tmp_path / "kept"
    ingest(url, tmp_path / "lost", keep_json=kept)
    n_fetched = len(proxy.fetched())
    assert ingest(url, tmp_path / "cache", keep_json=kept).runs == 3
    assert_nothing_read(ingest(kept / OUTPUTS, tmp_path / "cache"), 3)
    assert ingest(kept / OUTPUTS, tmp_path / "turned").runs == 3  # the mirror first, and the bucket then
    assert_nothing_read(ingest(url, tmp_path / "turned", keep_json=kept), 3)
    assert_nothing_read(ingest(kept / OUTPUTS, tmp_path / "turned"), 3)
    assert Cache(tmp_path / "turned").runs()["source"].unique().to_list() == [url]
    assert len(proxy.fetched()) == n_fetched


@pytest.mark.parametrize("tables", [None, ["stats"]], ids=["all tables", "one table"])
def test_a_mirror_that_was_renamed_is_the_same(
    tables: list[str] | None, server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept, tables=tables)
    kept.rename(tmp_path / "renamed")
    for source in (tmp_path / "renamed", url, tmp_path / "renamed"):
        assert_nothing_read(ingest(source, cache, tables=tables), 3)
    assert_nothing_read(ingest(url, cache, keep_json=tmp_path / "renamed", tables=tables), 3)
    shutil.copytree(tmp_path / "renamed", tmp_path / "copy")
    assert ingest(tmp_path / "copy", cache, tables=tables).runs == 3  # a copy is a source of its own, as of any folder


def test_a_file_that_was_changed_in_the_mirror_is_read_again(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    before = n_rows(cache)
    stats = min((kept / OUTPUTS).glob("runs/*/*/stats.json"))
    stats.write_text("[]")
    report = ingest(kept, cache)
    assert (report.runs, report.skipped) == (1, 2)
    assert n_rows(cache) < before
    assert ingest(url, cache, keep_json=kept).runs == 1  # the bucket has other bytes than the cache has by now
    assert n_rows(cache) == before
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


def test_a_run_that_was_replaced_in_the_bucket_replaces_its_files(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    stats = min(outputs.glob("runs/*/*/stats.json"))
    stats.write_bytes(stats.read_bytes() + b" \n")
    put_again(server, url, outputs, stats)
    proxy.requests.clear()
    assert ingest(url, cache, keep_json=kept).runs == 1
    assert len(proxy.fetched()) == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


def test_a_run_is_never_half_old_and_half_new(server: Server, proxy: Proxy, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    before = files_of(kept)
    run = min(outputs.glob("runs/*/*"))
    for file in run.iterdir():
        file.write_bytes(file.read_bytes() + b" \n")
        put_again(server, url, outputs, file)
    proxy.spoil(r"/stats\.json", status(403))
    assert len(ingest(url, cache, keep_json=kept).rejected) == 1
    assert {name: data for name, data in files_of(kept).items() if "/." not in name} == before
    proxy.faults.clear()
    proxy.requests.clear()
    assert ingest(url, cache, keep_json=kept).runs == 1
    assert len(proxy.fetched()) == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs)


def test_a_run_that_is_replaced_meanwhile_is_mirrored_as_it_was_read(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    file = min(outputs.glob("runs/*/*/stats.json"))

    def swap(answer: Answer) -> None:
        file.write_bytes(file.read_bytes() + b" \n")
        put_again(server, url, outputs, file)
        status(412)(answer)

    proxy.spoil(f"{file.parent.name}/stats\\.json", swap, 1)
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


@pytest.mark.slow
def test_a_large_object_goes_on_where_it_stopped(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SMALL_BYTES", 50)
    proxy.gives_ranges = True
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    file = min(outputs.glob("runs/*/*/stats.json"))
    path = file.relative_to(outputs).as_posix()
    folder = f"{url}/{path}".rpartition("/")[0]
    [stamp] = [one for one in CATALOG.files(folder) if one.name == file.name]
    copy = Mirror(kept).copy_of(f"{url}/{path}", stamp)
    descriptor = copy.begin()
    os.write(descriptor, file.read_bytes()[:60])
    os.close(descriptor)
    proxy.requests.clear()
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert [one.rpartition(" ")[2] for one in proxy.fetched() if path in one] == ["bytes=60-"]
    assert files_of(kept / OUTPUTS) == files_of(outputs)


@pytest.mark.slow
def test_workers_of_somebody_else_mirror_too(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    with ThreadPoolExecutor(2) as executor:
        assert ingest(url, cache, keep_json=kept, executor=executor).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)


def test_the_command_line_mirrors_and_plans(
    server: Server,
    outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = in_this_process(monkeypatch, capsys)
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    options = ("--cache", cache, "--keep-json", kept)
    assert f"free for {kept.resolve()}" in run("ingest", url, *options, "--plan").out
    assert not kept.exists()
    assert run("ingest", url, *options).code == 0
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    refused = run("ingest", outputs, *options)
    assert refused.code == 2
    assert "is a folder of this machine" in refused.err
    shutil.rmtree(cache)
    [plan] = rows(run("ingest", url, *options, "--plan", "--json"))
    assert plan["fetched_bytes"] == plan["bytes"] == sum(map(len, files_of(outputs).values()))


@pytest.mark.slow
def test_many_kills_leave_no_half_files(
    server: Server, proxy: Proxy, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cache, kept = filled(server, demo_outputs), tmp_path / "cache", tmp_path / "kept"
    expected = files_of(demo_outputs)
    command = [sys.executable, "-m", "magnet_arrow", "ingest", url, "--cache", str(cache), "--keep-json", str(kept)]
    for number in range(15):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            left = [1 + number * 3]

            def kill(_: Answer, process: "subprocess.Popen[bytes]" = process, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] == 0:
                    process.kill()

            proxy.faults.clear()
            proxy.spoil(r"\.json", kill)
            process.wait()
        found = {name: data for name, data in files_of(kept / OUTPUTS).items() if "/." not in name}
        assert found.items() <= expected.items()
    proxy.faults.clear()
    assert not ingest(url, cache, keep_json=kept).rejected
    assert files_of(kept / OUTPUTS) == expected
    assert_nothing_read(ingest(kept, cache), 9)
    assert_same_tables(demo_outputs, kept / OUTPUTS, cache)
    assert verify(kept, cache).is_equal


def test_a_rejected_run_is_mirrored_and_not_read_again(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    bad = min(outputs.glob("runs/*/*/stats.json"))
    bad.write_text("[{")
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    first = ingest(url, cache, keep_json=kept)
    assert (first.runs, len(first.rejected)) == (2, 1)
    n_fetched = len(proxy.fetched())
    for source in (kept, url):
        again = ingest(source, cache)
        assert (again.runs, again.skipped, again.rejected) == (0, 2, first.rejected)
    assert (kept / OUTPUTS / bad.relative_to(outputs)).read_text() == "[{"
    assert len(proxy.fetched()) == n_fetched


@pytest.mark.slow
def test_pictures_that_are_left_out_are_not_mirrored(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((reading, "PEEKED_BYTES"), (run_reader, "PEEKED_BYTES"), (batch_reader, "_SHORT_BYTES")):
        monkeypatch.setattr(module, name, 1)
    pictured = min(outputs.glob("runs/*/*")) / "display_predictions.json"
    pictured.write_text('[{"instance_id": "id1", "base64_images": ["abc"], "stats": {}}]')
    proxy.gives_ranges = True
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    assert ingest(url, cache, keep_json=kept).runs == 3
    target = kept / OUTPUTS / pictured.relative_to(outputs)
    assert not target.exists()
    assert_nothing_read(ingest(kept, cache), 3)
    assert verify(kept, cache).is_equal
    assert ingest(url, tmp_path / "pictures", keep_json=kept, pictures=True).runs == 3
    assert target.read_bytes() == pictured.read_bytes()


def test_only_the_files_that_chosen_tables_need_are_mirrored(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept, tables=["stats"])
    assert {file.name for file in kept.rglob("*.json")} == {"run_spec.json", "stats.json"}
    for source in (kept, url):
        assert_nothing_read(ingest(source, cache, tables=["stats"]), 3)
    assert verify(kept, cache).n_differences == 0
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


def test_what_another_tool_has_fetched_is_taken_over(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    shutil.copytree(outputs, kept / OUTPUTS, copy_function=shutil.copyfile)  # with the dates of today
    other = min((kept / OUTPUTS).glob("runs/*/*/stats.json"))
    other.write_bytes(other.read_bytes().replace(b"1", b"2"))
    assert ingest(url, cache, keep_json=kept, tables=["run_spec", "stats"]).runs == 3
    assert len(proxy.fetched()) == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs), "what the tables do not need is still there"
    assert_nothing_read(ingest(kept, cache, tables=["stats"]), 3)


@pytest.mark.slow
def test_an_older_file_that_is_not_fetched_does_not_stay_beside_new_ones(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    run = min(outputs.glob("runs/*/*"))
    for file in run.iterdir():
        file.write_bytes(file.read_bytes() + b" \n")
        put_again(server, url, outputs, file)
    assert ingest(url, tmp_path / "other", keep_json=kept, tables=["stats"]).runs == 3
    mirrored = kept / OUTPUTS / run.relative_to(outputs)
    assert {file.name for file in mirrored.iterdir()} == {"run_spec.json", "stats.json"}


def test_files_of_suites_and_releases_are_mirrored(server: Server, proxy: Proxy, outputs: Path, tmp_path: Path) -> None:
    [suite] = (outputs / "runs").iterdir()
    run = min(suite.iterdir()).name
    for path, text in {
        suite / "groups.json": "[]",
        suite / "groups/toy.json": "[]",
        suite / "runs.json": "[]",
        outputs / "releases/v1/runs_to_run_suites.json": json.dumps({run: suite.name}),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    expected = files_of(outputs)
    del expected[f"runs/{suite.name}/runs.json"]  # it is made of the others, and never fetched
    assert files_of(kept / OUTPUTS) == expected
    assert_nothing_read(ingest(kept / OUTPUTS, cache), 3)
    assert_nothing_read(ingest(kept / OUTPUTS / "releases/v1", cache), 1)
    assert len(Cache(cache).runs()) == 3


@pytest.mark.parametrize("server", ["rclone", pytest.param("fake-gcs", marks=pytest.mark.slow)], indirect=True)
def test_packed_objects_are_unpacked_under_plain_names(server: Server, outputs: Path, tmp_path: Path) -> None:
    expected = files_of(outputs)
    for file in outputs.glob("runs/*/*/stats.json"):
        file.write_bytes(gzip.compress(file.read_bytes() + b" " * 5_000))
        expected[file.relative_to(outputs).as_posix()] += b" " * 5_000
    [other] = [file for file in outputs.glob("runs/*/*/per_instance_stats.json") if "a:x=1" in str(file)]
    packed = other.with_name("per_instance_stats.json.gz")
    packed.write_bytes(gzip.compress(other.read_bytes()))
    other.unlink()
    del expected[other.relative_to(outputs).as_posix()]
    expected[packed.relative_to(outputs).as_posix()] = packed.read_bytes()
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == expected
    for source in (kept, url):
        assert_nothing_read(ingest(source, cache), 3)
    assert verify(kept, cache).is_equal


@pytest.mark.slow
@pytest.mark.parametrize("server", ["fake-gcs"], indirect=True)
@pytest.mark.parametrize("unpacks", [False, True])
def test_objects_that_are_stored_packed_are_mirrored_unpacked(
    unpacks: bool, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    put_packed(server, url, outputs)
    if unpacks:
        proxy.spoil(r"/(scenario_state|stats)\.json", unpack)
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    n_fetched = len(proxy.fetched())
    for source in (kept, url):
        assert_nothing_read(ingest(source, cache), 3)
    assert ingest(url, tmp_path / "other", keep_json=kept).runs == 3
    assert len(proxy.fetched()) == n_fetched
    assert_same_tables(outputs, kept / OUTPUTS, cache)


def test_a_packed_object_that_ends_early_is_kept_as_it_is(tmp_path: Path) -> None:
    broken = gzip.compress(b"[1]" * 100)[:-9]
    mirror, stamp = Mirror(tmp_path), FileStamp("stats.json", len(broken), 5_000, "tag")
    mirror.copy_of("s3://b/run/stats.json", stamp).write(broken)
    mirror.publish("s3://b/run", [stamp], is_read=True)
    assert files_of(tmp_path) == {"run/stats.json": broken}


def test_a_packed_object_that_would_fill_the_disk_is_kept_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "max_unpacked_bytes", lambda packed: packed)
    bomb = gzip.compress(b"[1]" * 100)
    mirror, stamp = Mirror(tmp_path), FileStamp("stats.json", len(bomb), 5_000, "tag")
    mirror.copy_of("s3://b/run/stats.json", stamp).write(bomb)
    mirror.publish("s3://b/run", [stamp], is_read=True)
    assert files_of(tmp_path) == {"run/stats.json": bomb}


def test_of_two_ingests_at_once_the_later_one_finds_what_the_other_has_published(tmp_path: Path) -> None:
    url, stamp = "s3://b/run/stats.json", FileStamp("stats.json", 4, 5_000, "tag")
    first, second = Mirror(tmp_path).copy_of(url, stamp), Mirror(tmp_path).copy_of(url, stamp)
    os.close(second.begin())
    first.write(b"[1] ")
    Mirror(tmp_path).publish("s3://b/run", [stamp], is_read=True)
    second.finish()
    assert second.is_there
    second.write(b"[1] ")
    Mirror(tmp_path).publish("s3://b/run", [stamp], is_read=True)
    assert files_of(tmp_path) == {"run/stats.json": b"[1] "}


def test_a_disk_that_is_full_keeps_nothing_of_a_small_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str, __: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    copy = Mirror(tmp_path).copy_of("s3://b/run/stats.json", FileStamp("stats.json", 4, 5_000, "tag"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left on device"):
            copy.write(b"[1] ")
    assert files_of(tmp_path) == {}


def test_a_bucket_and_its_mirror_in_one_list_are_the_same_runs(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    before = n_rows(cache)
    assert_nothing_read(ingest([url, kept], cache), 3)
    assert HelmRuns([url, kept], cache=cache).stats().height == before
    kept = kept.rename(tmp_path / "moved")
    assert_nothing_read(ingest([kept, url], cache), 3)
    for changed in (outputs, kept / OUTPUTS):
        stats = min(changed.glob("runs/*/*/stats.json"))
        stats.write_bytes(stats.read_bytes() + b" \n")
    put_again(server, url, kept / OUTPUTS, stats)
    assert ingest([url, kept], cache).runs == 1
    assert (len(Cache(cache).runs()), n_rows(cache)) == (3, before)
    assert HelmRuns([kept, url], cache=cache).stats().height == before


def test_runs_of_another_bucket_do_not_mix_with_these(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, other, cache, kept = filled(server, outputs), filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    with pytest.raises(SettingError, match=f"cannot take what is fetched from {url} and from {other}"):
        ingest([url, other], cache, keep_json=kept)
    ingest(url, cache, keep_json=kept)
    with pytest.raises(SettingError, match=f"has what was fetched from {url}") as caught:
        ingest(other, cache, keep_json=kept)
    assert caught.value.hint == "Name another folder, or another cache."
    assert ingest(other, cache, keep_json=tmp_path / "others").runs == 3
    assert files_of(kept) == files_of(tmp_path / "others")


def test_a_folder_that_was_a_source_of_its_own_is_not_mixed_with_a_bucket(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache)
    shutil.copytree(outputs, kept / OUTPUTS)
    ingest(kept, cache)
    with pytest.raises(SettingError, match="has runs in the cache by itself"):
        ingest(url, cache, keep_json=kept)
    Cache(cache).remove(str(kept / OUTPUTS))
    report = ingest(url, cache, keep_json=kept)
    assert_nothing_read(report, 3)


def test_a_source_of_this_machine_is_refused(server: Server, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    for source in (outputs, [url, outputs]):
        with pytest.raises(SettingError, match="is a folder of this machine"):
            ingest(source, tmp_path / "cache", keep_json=tmp_path / "kept")
    for folder in (tmp_path / "cache", tmp_path / "cache" / "json"):
        with pytest.raises(SettingError, match="is in the cache"):
            ingest(url, tmp_path / "cache", keep_json=folder)
    with pytest.raises(SettingError, match="is a folder on this machine, not s3:/"):
        ingest(url, tmp_path / "cache", keep_json="s3://bucket/folder")
    assert not (tmp_path / "kept").exists()


@pytest.mark.slow
def test_runs_that_are_right_in_a_bucket_would_have_another_suite(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    server.make_bucket("a-suite")
    run = min(outputs.glob("runs/*/*"))
    server.put_folder("a-suite", run, run.name)
    with pytest.raises(SettingError, match="it would be a run of another suite there, kept"):
        ingest("s3://a-suite", tmp_path / "cache", keep_json=tmp_path / "kept")


def test_a_folder_that_cannot_be_written_is_an_error(server: Server, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotWritableError, match=r"file/kept cannot be written: Not a directory\."):
        ingest(url, tmp_path / "cache", keep_json=tmp_path / "file" / "kept")


def test_a_full_disk_stops_or_rejects_and_keeps_what_was_committed(
    server: Server, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    blocked = kept / OUTPUTS / min(outputs.glob("runs/*/*")).relative_to(outputs)
    blocked.parent.mkdir(parents=True)
    blocked.touch()  # a file where the folder of a run has to be
    report = ingest(url, cache, keep_json=kept)
    assert (report.runs, len(report.rejected)) == (2, 1)
    blocked.unlink()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mirror_module.MirroredCopy, "publish", full)
        with pytest.raises(FolderNotWritableError, match="No space left on device"):
            ingest(url, cache, keep_json=kept)
    assert len(Cache(cache).runs()) == 2
    assert ingest(url, cache, keep_json=kept).runs == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs)


def test_runs_that_the_cache_had_are_not_fetched_and_said_to_be_missing(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, runs="*x=1*")
    report = ingest(url, cache, keep_json=kept)
    assert (report.runs, report.skipped) == (2, 1)
    assert f"1 run in the cache already: not fetched, and not in {kept.resolve()}." in report.notes[-1]
    again = ingest(kept, cache, prune=True)  # what is not in the mirror is not gone from the bucket
    assert_nothing_read(again, 2)
    assert len(Cache(cache).runs()) == 3


@pytest.mark.slow
def test_a_run_that_is_gone_from_the_bucket_is_stale_there(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    gone = min(outputs.glob("runs/*/*"))
    delete_run(server, url, outputs, gone)
    assert [one.run for one in ingest(url, cache, keep_json=kept).stale] == [f"{gone.parent.name}/{gone.name}"]
    assert_nothing_read(ingest(kept, cache), 3)
    assert ingest(url, cache, prune=True).pruned == 1
    assert ingest(kept, cache).runs == 1


@pytest.mark.slow
def test_what_a_killed_ingest_fetched_is_not_fetched_again(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    command = [sys.executable, "-m", "magnet_arrow", "ingest", url, "--cache", str(cache), "--keep-json", str(kept)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def kill(_: Answer) -> None:
            process.kill()

        proxy.spoil(r"c.*/stats\.json", kill)
        process.wait()
    assert all("/." in name for name in files_of(kept)), "nothing has its own name"
    n_complete = sum(bool(data) for name, data in files_of(kept).items() if name.endswith(".fetched"))
    with fault_proxy.running(server.endpoint) as again:
        monkeypatch.setenv("AWS_ENDPOINT_URL", again.endpoint)
        assert ingest(url, cache, keep_json=kept).runs == 3
        assert len(again.fetched()) == 12 - n_complete
    assert files_of(kept / OUTPUTS) == files_of(outputs)


@pytest.mark.parametrize("server", [pytest.param(name, marks=pytest.mark.slow) for name in NAMES], indirect=True)
def test_every_server_and_worker_processes(
    server: Server, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cache, kept = filled(server, demo_outputs), tmp_path / "cache", tmp_path / "kept"
    assert ingest(url, cache, keep_json=kept, workers=2).runs == 9
    assert files_of(kept / OUTPUTS) == files_of(demo_outputs)
    for source in (kept, url):
        assert_nothing_read(ingest(source, cache), 9)
    assert verify(kept, cache).is_equal


def test_names_that_windows_does_not_take() -> None:
    mirror_module.require_names_for_windows(["lite", "stats.json", "console"])
    for name in ("a:b", "..\\x", "x.", "NUL", "com1.json", "a*"):
        with pytest.raises(OSError, match="Windows takes no file"):
            mirror_module.require_names_for_windows(["lite", name])
