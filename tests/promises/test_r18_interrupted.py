"""R18: Ctrl-C and SIGTERM are ordinary ends. What was committed stays, and the next ingest goes on."""

import os
import signal
from pathlib import Path

import pytest
from kill_ingest import N_RUNS, make_outputs, torn
from processes import start_ingest

from magnet_arrow.cache.manifest import read_manifest
from magnet_arrow.cache.store import Cache
from magnet_arrow.ingestion import ingest

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
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("ingestion.changes.apply", 9),
        ("commit.swap", 9),
        ("ingestion.RunTaker.take_plain", 9),
        ("compaction.merging.merge", 1),
        ("compaction.changes.replace", 2),
    ],
    ids=["before a commit", "at the swap", "while a run is read", "before a merge", "before a merge is committed"],
)
def test_an_interrupted_ingest(number: int, code: int, where: str, call: int, tmp_path: Path) -> None:
    outputs, cache = make_outputs(tmp_path), tmp_path / "cache"
    child = start_ingest([outputs], cache, prelude=AT.format(where=where, call=call, signal=int(number)))
    _, complaint = child.communicate()
    assert child.returncode == code, complaint
    assert "What was committed stays." in complaint
    assert "Traceback" not in complaint
    with pytest.raises(ProcessLookupError):  # the whole session: no child of it is left
        os.killpg(child.pid, 0)
    there = Cache(cache).runs().height
    assert 0 < there < N_RUNS
    assert torn(outputs, cache) == []
    assert ingest(outputs, cache).runs == N_RUNS - there
    assert torn(outputs, cache) == []
    assert len(read_manifest(cache).files_by_path()) > 0
