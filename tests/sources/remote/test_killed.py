"""An ingest from a bucket that is killed again and again loses nothing, and leaves nothing."""

import os
import random
import signal
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from buckets import Server, filled
from fault_proxy import Proxy, killed_at_bytes
from processes import start_ingest
from reading import assert_same_tables

from magnet_arrow import Cache, ingest, verify

pytest.importorskip("obstore")

# The process kills itself when it touches a file of the cache for the so-manyth time: between and in commits too.
AT_FILE = """
import os, signal, sys
left = {files}
def killed(event, args):
    global left
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and {cache!r} in str(args[0]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(killed)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_fifty_kills_lose_nothing(server: Server, proxy: Proxy, demo_outputs: Path, tmp_path: Path) -> None:
    rng, number, kills, moments = random.Random(5), count(), 0, set()
    url = filled(server, demo_outputs)
    proxy.gives_ranges = True
    total = sum(file.stat().st_size for file in demo_outputs.rglob("*.json"))
    cache = tmp_path / f"cache{next(number)}"
    while kills < 50:
        workers = rng.choice([1, 2])
        if rng.random() < 0.5:
            n_bytes = rng.randrange(total // 2)
            killed = killed_at_bytes(proxy, n_bytes, partial(start_ingest, [url], cache, workers=workers))
        else:
            prelude = AT_FILE.format(files=rng.randrange(1, 150), cache=str(cache))
            child = start_ingest([url], cache, prelude=prelude, workers=workers)
            child.communicate()
            killed = child.returncode == -signal.SIGKILL
        assert Cache(cache).check().damages == ()
        kills += killed
        moments.add(Cache(cache).runs().height)
        if not killed or kills == 50:
            report = ingest(url, cache)
            assert (report.runs + report.skipped, report.rejected) == (9, ())
            assert verify(url, cache).is_equal
            assert_same_tables(demo_outputs, url, cache)
            assert not (cache / "fetched").exists()
            cache = tmp_path / f"cache{next(number)}"
    assert len(moments) > 3, "the kills were not spread over the ingest"
