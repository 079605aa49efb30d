"""An ingest from a bucket that is killed again and again loses nothing, leaves nothing, and fetches little twice."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from buckets import Server
from fault_proxy import Proxy
from makedump import make_run, write_runs
from processes import start_ingest
from test_buckets import assert_same_tables, filled

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


def killed_at_bytes(proxy: Proxy, n_bytes: int, start: Callable[[], "subprocess.Popen[str]"]) -> bool:
    """Kill an ingest when so many bytes of objects were sent to it; whether it was not done before."""
    limit, child = proxy.n_bytes + n_bytes, start()

    def kill(sent: int) -> None:
        if sent >= limit:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)

    proxy.on_bytes = kill
    child.communicate()
    proxy.on_bytes = int
    return child.returncode == -signal.SIGKILL


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
            assert not (cache / "fetched").exists()
            cache = tmp_path / f"cache{next(number)}"
    assert len(moments) > 3, "the kills were not spread over the ingest"
    assert_same_tables(demo_outputs, url, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can slow a connection down")
def test_after_twenty_kills_little_was_fetched_twice(server: Server, proxy: Proxy, tmp_path: Path) -> None:
    long = [make_run(f"long:n={number}", n_instances=14_000) for number in range(5)]
    write_runs(tmp_path / "outputs", [*long, *(make_run(f"short:n={number}", n_instances=30) for number in range(40))])
    sizes = [file.stat().st_size for file in (tmp_path / "outputs").rglob("*.json")]
    assert sum(size > 20_000_000 for size in sizes) == 5
    url = filled(server, tmp_path / "outputs")
    proxy.gives_ranges, proxy.bytes_per_s = True, 5_000_000  # else what is sent and not read yet counts most
    rng, kills, cache, rounds = random.Random(7), 0, tmp_path / "url", 1
    while kills < 20:
        n_bytes = rng.randrange(sum(sizes) // 11)
        if killed_at_bytes(proxy, n_bytes, partial(start_ingest, [url], cache, segment_bytes=2 << 30)):
            kills += 1
        else:
            cache, rounds = tmp_path / f"url{rounds}", rounds + 1
    report = ingest(url, cache)
    assert (report.runs + report.skipped, report.rejected) == (45, ())
    assert not (cache / "fetched").exists()
    twice = proxy.n_bytes / (rounds * sum(sizes)) - 1
    print(f"{kills} kills: {twice:.3f} of the bytes were fetched twice")
    assert twice <= 0.15
