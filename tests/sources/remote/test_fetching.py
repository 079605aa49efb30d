"""Objects that are fetched ahead: what becomes of them when nobody needs them any more."""

import asyncio
import socket
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest

from magnet_arrow import remote_settings
from magnet_arrow.sources import remote_copies
from magnet_arrow.sources.filesystem import as_path
from magnet_arrow.sources.remote import catalog, fetching
from magnet_arrow.sources.remote.fetching import Ahead
from magnet_arrow.sources.remote.mirror import Mirror
from magnet_arrow.sources.remote.spool import Copy, Spool
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.stamps import FileStamp

WANTED = [(f"s3://bucket/{name}.json", FileStamp(f"{name}.json", 4, 0, name)) for name in "abc"]


class Fetch:
    """Fetches nothing but `a.json`; of the others nothing comes, and the last words are written when one is stopped."""

    def __init__(self, _: Stores, url: str, __: FileStamp, copy: Copy) -> None:
        self.url, self.copy = url, copy

    async def run(self) -> None:
        try:
            if "a.json" not in self.url:
                await asyncio.Event().wait()
        finally:
            self.copy.write(b"data")


def test_what_was_not_fetched_before_the_end_is_waited_for_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_Fetch", Fetch)
    ahead = Ahead(Stores(), Spool(tmp_path / "copies"), WANTED, 1)
    assert ahead.wait(*WANTED[0])
    ahead.close()
    written = sorted(tmp_path.glob("copies/*"))
    assert len(written) == 2, "a.json, and b.json, which was being fetched"
    assert [ahead.wait(*one) for one in WANTED] == [True, False, False]
    assert sorted(tmp_path.glob("copies/*")) == written


def test_a_request_without_an_answer_is_given_up_at_the_end(tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            remote_settings(endpoint=endpoint, timeout_s=3600),
            remote_copies.fetching_ahead(tmp_path, [(as_path("s3://bucket"), [WANTED[0][1]])]),
        ):
            connection, _ = silent.accept()
            connection.settimeout(60)
            assert connection.recv(1 << 16).startswith(b"GET /bucket/a.json")
        with connection:
            assert connection.recv(1) == b"", "it is closed, not left to the timeout"


def test_what_another_thread_fetches_ahead_is_not_mixed_with_what_is_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_Fetch", Fetch)
    found, room, (a, b, c), other = catalog.Catalog(), bytearray(5), WANTED, copy_context()
    of_other = found.fetching_ahead(Mirror(tmp_path / "mirror"), [b], 1)
    other.run(of_other.__enter__)
    monkeypatch.setattr(catalog, "fetch", lambda _, __, ___, copy: copy.write(b"here"))
    found.know("s3://bucket", [c[1]])
    with found.fetching_ahead(Spool(tmp_path / "copies"), [a], 1):
        with open(found.open(c[0]), "rb") as file:
            assert file.read() == b"here"
        other.run(of_other.__exit__, None, None, None)
        assert found.read_fetched(*a, memoryview(room)) == 4
    assert found.read_fetched(*a, memoryview(room)) is None
    [in_mirror] = tmp_path.glob("mirror/.*")
    assert in_mirror.read_bytes() == b"data", "b.json, which was being fetched"


@pytest.mark.parametrize(("processes", "connections"), [(None, 32), (1, 32), (2, 16), (5, 6), (100, 1)])
def test_processes_share_the_connections(
    processes: int | None, connections: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    class Recorder:
        def __init__(self, *arguments: Any) -> None:
            given.append(arguments[-1])

        def close(self) -> None:
            pass

    monkeypatch.setattr(catalog, "Ahead", Recorder)
    monkeypatch.setattr(remote_copies, "_n_fetching", None)
    monkeypatch.setattr(remote_copies.multiprocessing, "parent_process", lambda: None)
    if processes is not None:
        remote_copies.share_connections(processes)
    with remote_copies.fetching_ahead(tmp_path, [("s3://bucket", [WANTED[0][1]])]):
        assert given == [connections]
