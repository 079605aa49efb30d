"""Packed objects: those that a store may unpack on the way, and those that are small only while they are packed."""

import gzip
from pathlib import Path

import pytest
from buckets import Server, filled, put, put_packed
from fault_proxy import Answer, Proxy, unpack
from reading import assert_same_tables

from magnet_arrow import ingest, validate, verify
from magnet_arrow.sources import stamps

pytest.importorskip("obstore")
GOOGLE = pytest.mark.parametrize("server", ["fake-gcs"], indirect=True)


@GOOGLE
@pytest.mark.slow
@pytest.mark.parametrize("unpacks", [False, True])
def test_an_object_that_is_stored_packed_gives_the_same_tables(
    unpacks: bool, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    files = put_packed(server, url, outputs)
    if unpacks:
        proxy.spoil(r"/(scenario_state|stats)\.json", unpack)
    report = ingest(url, tmp_path / "url")
    assert (report.runs, report.rejected) == (len(files) // 2, ())
    assert_same_tables(outputs, url, tmp_path / "url")
    assert verify(url, tmp_path / "url").is_equal
    assert ingest(url, tmp_path / "url").skipped == 3


@GOOGLE
@pytest.mark.slow
@pytest.mark.parametrize("unpacks", [False, True])
def test_a_packed_object_that_ends_early_is_fetched_from_its_beginning(
    unpacks: bool, server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    put_packed(server, url, outputs)
    proxy.gives_ranges = True

    def cut(answer: Answer) -> None:
        if unpacks:
            unpack(answer)
        answer.length, answer.body = len(answer.body), answer.body[:-9]

    proxy.spoil("a:x=1/scenario_state", cut, 1)
    if unpacks:
        proxy.spoil("scenario_state", unpack)
    assert ingest(url, tmp_path / "url").runs == 3
    asked = [one for one in proxy.fetched() if "a:x=1/scenario_state" in one]
    assert len(asked) == 2
    assert not any("bytes=" in one for one in asked)
    assert verify(url, tmp_path / "url").is_equal


@GOOGLE
@pytest.mark.slow
def test_packed_bytes_are_compared_with_what_was_listed(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url = filled(server, outputs)
    put_packed(server, url, outputs)

    def shorter(answer: Answer) -> None:
        answer.body = answer.body[:-9]

    proxy.spoil("a:x=1/scenario_state", shorter)
    [rejected] = ingest(url, tmp_path / "url").rejected
    assert "bytes in place of the" in (rejected.found or "")
    proxy.faults.clear()
    assert ingest(url, tmp_path / "url").runs == 1


@GOOGLE
@pytest.mark.slow
def test_a_bomb_that_the_store_unpacks_is_not_written_to_its_end(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, low_limit: None
) -> None:
    url = filled(server, outputs)
    put(server, url, "runs/made/a:x=1/stats.json", bomb(8 << 20), encoding="gzip")
    proxy.spoil(r"a:x=1/stats\.json", unpack)
    report = ingest(url, tmp_path / "url")
    [rejected] = report.rejected
    assert (report.runs, rejected.file) == (2, "stats.json")
    assert "that unpack to more than" in (rejected.found or "")
    assert not (tmp_path / "url" / "fetched").exists()


def bomb(size_bytes: int) -> bytes:
    """A list of so many bytes, packed: `[0,0,…`."""
    return gzip.compress(b"[" + b"0," * (size_bytes >> 1) + b"0]", 9)


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may unpack to four hundred times its size, without the 67 MB that any file may have."""
    monkeypatch.setattr(stamps, "_ALWAYS_ALLOWED_BYTES", 1)


@pytest.mark.parametrize(
    "name", ["stats.json", *(pytest.param(one, marks=pytest.mark.slow) for one in ("run_spec.json", "scenario.json"))]
)
@pytest.mark.parametrize("parts", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_gzip_bomb_is_rejected_by_name_and_the_others_are_ingested(
    parts: int, name: str, server: Server, outputs: Path, tmp_path: Path, low_limit: None
) -> None:
    run = outputs / "runs/made/a:x=1"
    (run / name).unlink(missing_ok=True)
    (run / f"{name}.gz").write_bytes(bomb(4 << 20) + gzip.compress(b" ") * (parts - 1))  # the last part says its size
    url = filled(server, outputs)
    report = ingest(url, tmp_path / "url")
    if name == "scenario.json":  # no run needs it, so it is left out by name
        assert (report.runs, report.rejected) == (3, ())
        assert [note.split(" ")[0] for note in report.notes] == [f"made/a:x=1/{name}"]
        return
    [rejected] = report.rejected
    assert (report.runs, rejected.run, rejected.file) == (2, "made/a:x=1", f"{name}.gz")
    assert "that unpack to more" in (rejected.found or "")
    [found] = validate(url).rejected
    assert found.found == rejected.found
