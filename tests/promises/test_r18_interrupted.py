"""R18: Ctrl-C and SIGTERM are ordinary ends. What was committed stays, and the next ingest goes on."""

import os
import signal
from pathlib import Path

import pytest
from kill_ingest import N_RUNS, make_outputs, torn
from processes import alive, start_ingest

from magnet_arrow.cache import Cache
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.storage.manifest import read_manifest

# The signal comes at a certain call, so that no clock decides where the ingest is.
AT = """
import os, signal
really, calls = {where}, 0
def interrupted(*args, **options):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), {signal})
    return really(*args, **options)
{where} = interrupted
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, id="SIGTERM", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    ("where", "call", "workers"),
    [
        pytest.param("commit.swap", 9, 1, id="at the swap"),
        *(
            pytest.param(where, call, workers, id=when, marks=pytest.mark.slow)
            for where, call, workers, when in (
                ("ingestion.transaction.commit_transaction", 9, 1, "before a commit"),
                ("work.Ingester.ingest_batch", 9, 1, "while a run is read"),
                ("compaction.merge.merge", 1, 1, "before a merge"),
                ("compaction.transaction.replace", 2, 1, "before a merge is committed"),
                ("ingestion.transaction.commit_transaction", 9, 2, "while workers read"),
            )
        ),
    ],
)
def test_an_interrupted_ingest(number: int, code: int, where: str, call: int, workers: int, tmp_path: Path) -> None:
    outputs, cache = make_outputs(tmp_path), tmp_path / "cache"
    prelude = AT.format(where=where, call=call, signal=int(number))
    child = start_ingest([outputs], cache, prelude=prelude, workers=workers)
    _, complaint = child.communicate()
    assert child.returncode == code, complaint
    assert "What was committed stays." in complaint
    assert "Traceback" not in complaint
    assert alive(child.pid) == []  # the whole session: no child of it is left
    there = Cache(cache).runs().height
    assert 0 < there < N_RUNS
    assert torn(outputs, cache) == []
    assert ingest(outputs, cache).runs == N_RUNS - there
    assert torn(outputs, cache) == []
    assert len(read_manifest(cache).files_by_path()) > 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_second_ctrl_c_does_not_disturb_what_the_first_ends_in_order(tmp_path: Path) -> None:
    """`timeout` sends a signal to the process and to its group: it comes twice."""
    outputs, cache = make_outputs(tmp_path), tmp_path / "cache"
    prelude = AT.format(where="ingestion.transaction.commit_transaction", call=9, signal=int(signal.SIGINT))
    prelude += """
from magnet_arrow.ingestion.parallel import executors
stop = executors.InProcess.stop
def stop_again(self):
    os.kill(os.getpid(), signal.SIGINT)
    stop(self)
    print("stopped")
executors.InProcess.stop = stop_again
"""
    child = start_ingest([outputs], cache, prelude=prelude)
    said, complaint = child.communicate()
    assert (child.returncode, said, complaint) == (130, "stopped\n", "Interrupted. What was committed stays.\n")
    there = Cache(cache).runs().height
    assert 0 < there < N_RUNS
    assert ingest(outputs, cache).runs == N_RUNS - there


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_ctrl_c_goes_to_the_workers_of_a_terminal_too(tmp_path: Path) -> None:
    """It comes when they are at work; and again while they begin, when they could not yet say that they ignore it."""
    outputs, cache = make_outputs(tmp_path), tmp_path / "cache"
    prelude = """
import os, signal
from magnet_arrow.ingestion.parallel import process_pool as pool
really, calls = pool._Process.begin, 0
def begin(self, task):
    global calls
    really(self, task)
    calls += 1
    if calls in (1, 9):
        for process in self._context.processes:
            os.kill(process.pid, signal.SIGINT)
    if calls == 12:
        os.killpg(os.getpid(), signal.SIGINT)
pool._Process.begin = begin
"""
    child = start_ingest([outputs], cache, prelude=prelude, workers=2)
    _, complaint = child.communicate()
    assert (child.returncode, complaint) == (130, "Interrupted. What was committed stays.\n")
    assert alive(child.pid) == []
    assert 9 <= Cache(cache).runs().height < N_RUNS  # no worker died of it before
    assert Cache(cache).rejects().is_empty()
    assert torn(outputs, cache) == []
    there = Cache(cache).runs().height
    assert ingest(outputs, cache).runs == N_RUNS - there
