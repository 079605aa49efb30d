"""What is fetched twice by an ingest that is killed again and again."""

import random
import sys
from functools import partial
from pathlib import Path

import pytest
from buckets import Server, filled
from fault_proxy import Proxy, killed_at_bytes
from makedump import make_run, write_runs
from processes import start_ingest

from magnet_arrow import ingest

pytest.importorskip("obstore")


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
