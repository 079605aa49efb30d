"""An ingest from a bucket that is killed again and again loses nothing, and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import fault_proxy
import pytest
from buckets import Server
from fault_proxy import Answer
from test_buckets import assert_same_tables, filled

from magnet_arrow import ingest, verify

pytest.importorskip("obstore")


@pytest.mark.slow
def test_twenty_kills_lose_nothing(
    server: Server, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = filled(server, demo_outputs)
    with fault_proxy.running(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        for number in range(20):
            command = [sys.executable, "-m", "magnet_arrow", "ingest", url, "--cache", str(tmp_path / "url")]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                left = [1 + number * 3]

                def kill(_: Answer, process: "subprocess.Popen[bytes]" = process, left: list[int] = left) -> None:
                    left[0] -= 1
                    if left[0] == 0:
                        process.kill()

                proxy.faults.clear()
                proxy.spoil(r"\.json", kill)
                process.wait()
        proxy.faults.clear()
        assert not ingest(url, tmp_path / "url").rejected
        assert_same_tables(demo_outputs, url, tmp_path)
        assert verify(url, tmp_path / "url").is_equal
        assert ingest(url, tmp_path / "url").skipped == 9
    assert not (tmp_path / "url" / "fetched").exists()
