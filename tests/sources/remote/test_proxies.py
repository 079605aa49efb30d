"""Requests go by the proxy that the environment names."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fault_proxy
import pytest
from buckets import Server, filled

from magnet_arrow import HelmRuns, ingest, remote_settings
from magnet_arrow.errors import RemoteError

pytest.importorskip("obstore")
BOTH = ["rclone", pytest.param("fake-gcs", marks=pytest.mark.slow)]


@pytest.mark.parametrize("server", BOTH, indirect=True)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy"])
def test_all_requests_go_by_a_proxy(
    variable: str, server: Server, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = filled(server, outputs)
    with fault_proxy.running(server.endpoint) as proxy, remote_settings(endpoint="http://made-up.test", retries=0):
        with pytest.raises(RemoteError, match="no answer"):
            HelmRuns(url)
        monkeypatch.setenv(variable, proxy.endpoint)
        assert ingest(url, tmp_path / "cache").runs == 3
        assert len(proxy.fetched()) >= len(list(outputs.rglob("*.json")))
        assert {one.startswith("http://made-up.test/") for one in proxy.requests} == {True}
        monkeypatch.setenv("NO_PROXY", "made-up.test")
        with pytest.raises(RemoteError, match="no answer"):
            HelmRuns(url)


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy that opens no tunnel, and the hosts for which it was asked to."""
    hosts = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            hosts.append(self.path)
            self.send_error(502)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", hosts
        httpd.shutdown()


@pytest.mark.parametrize(
    ("url", "host"), [("s3://bucket", "s3.us-east-1.amazonaws.com:443"), ("gs://bucket", "storage.googleapis.com:443")]
)
def test_a_tunnel_is_asked_for_where_the_server_is_https(
    url: str, host: str, asked: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, hosts = asked
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with remote_settings(retries=0), pytest.raises(RemoteError, match="Does HTTPS_PROXY name a proxy"):
        HelmRuns(f"{url}/runs")
    assert hosts == [host]
