"""Ctrl-C and SIGTERM while a bucket is read: the process ends at once, though the store has stopped sending."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import fault_proxy
import pytest
from buckets import Server, filled
from fault_proxy import Answer, Proxy, Spoil
from processes import alive, start_ingest

from magnet_arrow import Cache, ingest

pytest.importorskip("obstore")
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

AT_COMMIT = """
import os, signal
really, calls = ingestion.transaction.commit_transaction, 0
def interrupted(*args, **options):
    global calls
    calls += 1
    if calls == 5:
        os.kill(os.getpid(), {number})
    return really(*args, **options)
ingestion.transaction.commit_transaction = interrupted
"""
SIGNALS = pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM", marks=pytest.mark.slow),
    ],
)


class Interruption:
    """What happens to an answer: the process that asked gets a signal, and no more of the answer."""

    def __init__(self, number: int, then: Spoil) -> None:
        self._number, self._then = number, then
        self._child: subprocess.Popen[str] | None = None
        self._started = threading.Event()

    def of(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self._started.set()

    def __call__(self, answer: Answer) -> None:
        self._started.wait()
        assert self._child is not None
        self._then(answer)
        os.kill(self._child.pid, self._number)


def assert_ended(child: "subprocess.Popen[str]", code: int) -> None:
    """It has ended long before a request would have failed, in order, with all that it had started."""
    _, complaint = child.communicate(timeout=50)
    assert (child.returncode, alive(child.pid)) == (code, [])
    assert "What was committed stays." in complaint
    assert "Traceback" not in complaint


@SIGNALS
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("where", "then"),
    [
        pytest.param("list-type", fault_proxy.stall, id="listing"),
        pytest.param(r"anatomy.*owl.*/stats\.json", fault_proxy.stall, id="fetching", marks=pytest.mark.slow),
        pytest.param(r"anatomy.*owl.*/stats\.json", fault_proxy.status(503), id="busy", marks=pytest.mark.slow),
    ],
)
def test_an_ingest_that_waits_for_a_store_is_interrupted(
    where: str,
    then: Spoil,
    workers: int,
    number: int,
    code: int,
    server: Server,
    proxy: Proxy,
    demo_outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAGNET_ARROW_TIMEOUT", "3600")
    url, cache = filled(server, demo_outputs), tmp_path / "cache"
    interruption = Interruption(number, then)
    proxy.spoil(where, interruption, 1)
    proxy.spoil(where, fault_proxy.stall)
    child = start_ingest([url], cache, workers=workers)
    interruption.of(child)
    assert_ended(child, code)
    proxy.faults.clear()
    report = ingest(url, cache)
    assert (report.runs + report.skipped, report.rejected) == (9, ())
    assert not (cache / "fetched").exists()


@SIGNALS
@pytest.mark.slow
def test_an_ingest_from_a_bucket_is_interrupted_at_a_commit(
    number: int, code: int, server: Server, demo_outputs: Path, tmp_path: Path
) -> None:
    url, cache = filled(server, demo_outputs), tmp_path / "cache"
    assert_ended(start_ingest([url], cache, prelude=AT_COMMIT.format(number=int(number))), code)
    there = Cache(cache).runs().height
    assert 0 < there < 9
    assert ingest(url, cache).runs == 9 - there
