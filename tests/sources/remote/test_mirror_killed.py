"""A mirror after kills, and of two ingests at once: no half files, and little is fetched again."""

import os
import subprocess
import sys
from pathlib import Path

import fault_proxy
import pytest
from buckets import OUTPUTS, Server, filled
from fault_proxy import Answer, Proxy
from mirrors import assert_nothing_read, files_of
from reading import assert_same_tables

from magnet_arrow import ingest, verify
from magnet_arrow.sources.remote import spool
from magnet_arrow.sources.remote.catalog import CATALOG
from magnet_arrow.sources.remote.mirror import Mirror, MirroredCopy
from magnet_arrow.sources.stamps import FileStamp

pytest.importorskip("obstore")


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


NEW = [FileStamp(f"{name}.json", 4, 9_000, "new") for name in ("per_instance_stats", "run_spec", "stats")]


@pytest.mark.parametrize("n_published", [0, 1, 2])
def test_a_kill_while_files_get_their_names_leaves_no_run(
    n_published: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, left = Mirror(tmp_path), iter(range(n_published))
    for stamp in NEW:
        mirror.copy_of(f"s3://b/run/{stamp.name}", stamp).write(b"[2] ")
    really = MirroredCopy.publish

    def publish(copy: MirroredCopy) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        really(copy)

    with monkeypatch.context() as patch:
        patch.setattr(MirroredCopy, "publish", publish)
        with pytest.raises(KeyboardInterrupt):
            mirror.publish("s3://b/run", NEW, is_read=True)
    named = {path.name for path in (tmp_path / "run").iterdir() if not path.name.startswith(".")}
    assert (len(named), "run_spec.json" in named) == (n_published, False)
    mirror.publish("s3://b/run", NEW, is_read=True)
    assert files_of(tmp_path) == {f"run/{stamp.name}": b"[2] " for stamp in NEW}


def test_of_a_run_that_was_not_read_to_its_end_nothing_gets_beside_an_older_state(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/stats.json").write_bytes(b"[1]")
    mirror = Mirror(tmp_path)
    for stamp in NEW[:2]:
        mirror.copy_of(f"s3://b/run/{stamp.name}", stamp).write(b"[2] ")
    mirror.publish("s3://b/run", NEW, is_read=False)
    found = files_of(tmp_path)
    assert {name: data for name, data in found.items() if "/." not in name} == {"run/stats.json": b"[1]"}
    assert sorted(found.values()) == [b"[1]", b"[2] ", b"[2] "], "the next ingest goes on with them"


@pytest.mark.parametrize("is_read", [True, False])
def test_what_was_fetched_of_an_older_state_goes(is_read: bool, tmp_path: Path) -> None:
    mirror, [stamp] = Mirror(tmp_path), NEW[2:]
    mirror.copy_of("s3://b/run/stats.json", FileStamp("stats.json", 3, 5_000, "old")).write(b"[1]")
    mirror.copy_of("s3://b/run/stats.json", stamp).write(b"[2] ")
    mirror.publish("s3://b/run", [stamp], is_read=is_read)
    assert files_of(tmp_path) == {"run/stats.json": b"[2] "}
