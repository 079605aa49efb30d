"""Packed objects in a mirror: unpacked under a plain name, as they are under `….json.gz`."""

import gzip
from pathlib import Path

import pytest
from buckets import OUTPUTS, Server, filled, put_packed
from fault_proxy import Proxy, unpack
from mirrors import assert_nothing_read, files_of
from reading import assert_same_tables

from magnet_arrow import ingest, verify
from magnet_arrow.sources.remote import mirror as mirror_module
from magnet_arrow.sources.remote.mirror import Mirror
from magnet_arrow.sources.stamps import FileStamp

pytest.importorskip("obstore")


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
