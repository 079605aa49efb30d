"""A proxy in front of a server of buckets, which spoils some of its answers."""

import contextlib
import gzip
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Spoil = Callable[["Answer"], None]


@dataclass
class Answer:
    """An answer of the server, which may be changed before it is passed on.

    Attributes:
        length: what its header says; that of the body, unless it is set. Then the connection ends after the body.
        is_endless: nothing comes after the body, and the connection does not end either.
        piece_bytes: so many bytes are sent at once.
        before_piece: called before each piece.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    length: int | None = None
    is_endless: bool = False
    piece_bytes: int = 1 << 16
    before_piece: Callable[[], object] = int


@dataclass
class Proxy:
    """A proxy that is running.

    Attributes:
        endpoint: its address.
        requests: path of each GET request, with the range if one was asked for.
        conditions: the If-Match of each GET request for an object.
        n_heads: number of HEAD requests, to which faults happen too.
        n_bytes: bytes of objects that were passed on.
        on_bytes: called with that number after each piece.
        bytes_per_s: how fast a connection is, as on a network; 0 if nothing slows it down.
        ended: set when it ends.
        gives_ranges: whether it answers ranges itself.
        faults: for requests whose path matches a pattern, what is done to so many answers.
    """

    endpoint: str
    requests: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    n_heads: int = 0
    n_bytes: int = 0
    on_bytes: Callable[[int], object] = int
    bytes_per_s: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    gives_ranges: bool = False
    faults: list[list[object]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spoil(self, pattern: str, fault: Spoil, times: int = 1_000_000) -> None:
        """Spoil answers to requests whose path matches."""
        self.faults.append([re.compile(pattern), fault, times])

    def fault_of(self, path: str) -> Spoil | None:
        """What to do to the answer to a request."""
        with self.lock:
            for fault in self.faults:
                pattern, spoil, times = fault
                if pattern.search(path) and times > 0:  # type: ignore[attr-defined, operator]
                    fault[2] = times - 1  # type: ignore[operator]
                    return spoil  # type: ignore[return-value]
        return None

    def fetched(self) -> list[str]:
        """The requests for objects."""
        return [one for one in self.requests if not _is_list(one)]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that were killed."""


_SENT_AHEAD = 1 << 14
"""The system takes about so many bytes of an answer that it has not sent yet."""
_SO_MAX_PACING_RATE = 47
"""Of Linux: so many bytes a second are sent. Python has no name for it."""


def _is_list(path: str) -> bool:
    return "list-type" in path or "/storage/v1/b/" in path


@contextlib.contextmanager
def running(server: str) -> Iterator[Proxy]:
    """A proxy in front of a server, until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            with proxy.lock:
                proxy.n_heads += 1
            self._answer(is_head=True)

        def do_GET(self) -> None:
            proxy.requests.append(f"{unquote(self.path)} {self.headers.get('Range', '')}".strip())
            if not _is_list(self.path):
                proxy.conditions.append(self.headers.get("If-Match", ""))
            self._answer()

        def _answer(self, *, is_head: bool = False) -> None:
            ranged = self.headers.get("Range", "")
            fault = proxy.fault_of(unquote(self.path))
            answer = _ask(server, self.path, dict(self.headers))
            if ranged and answer.status == 200 and proxy.gives_ranges:
                _give_range(answer, *ranged.removeprefix("bytes=").split("-"))
            if fault is not None:
                fault(answer)
            self.send_response(answer.status)
            length = len(answer.body) if answer.length is None else answer.length
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if is_head:
                return
            with contextlib.suppress(OSError):
                self._send(answer)
            if answer.is_endless:
                proxy.ended.wait()
            if length != len(answer.body):
                self.close_connection = True

        def _send(self, answer: Answer) -> None:
            if proxy.bytes_per_s:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT_AHEAD)
                self.connection.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, proxy.bytes_per_s)
            for begin in range(0, len(answer.body), answer.piece_bytes):
                answer.before_piece()
                piece = answer.body[begin : begin + answer.piece_bytes]
                self.wfile.write(piece)
                if _is_list(self.path):
                    continue
                with proxy.lock:
                    proxy.n_bytes += len(piece)
                    proxy.on_bytes(proxy.n_bytes)

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as httpd:
        proxy = Proxy(f"http://127.0.0.1:{httpd.server_port}")
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            httpd.shutdown()


def _give_range(answer: Answer, first: str, last: str) -> None:
    """What a store answers that gives ranges; the one behind may not."""
    size = len(answer.body)
    begin, end = int(first), min(size, int(last) + 1) if last else size
    answer.status, answer.body = 206, answer.body[begin:end]
    answer.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"


_NOT_PASSED_ON = {"content-length", "connection", "transfer-encoding", "date", "server", "keep-alive"}


_HOST = re.compile("^http://[^/]+")
"""What a client puts before the path if it takes this for its proxy."""


def _ask(server: str, path: str, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
    headers = {name: value for name, value in headers.items() if name.lower() not in {"connection", "host", "range"}}
    connection.request("GET", _HOST.sub("", path), headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    passed = {name: value for name, value in response.getheaders() if name.lower() not in _NOT_PASSED_ON}
    return Answer(response.status, passed, body)


def status(code: int, **headers: str) -> Spoil:
    """Another status, with an error page."""

    def spoil(answer: Answer) -> None:
        answer.status, answer.body = code, b"<Error><Code>Spoiled</Code></Error>"
        answer.headers = {"Content-Type": "application/xml", **headers}

    return spoil


def cut(answer: Answer) -> None:
    """The connection ends in the middle."""
    answer.length, answer.body = len(answer.body), answer.body[: len(answer.body) // 2]


def shorter(answer: Answer) -> None:
    """Half of the bytes, and a header that says so."""
    answer.body = answer.body[: len(answer.body) // 2]


def longer(answer: Answer) -> None:
    """More bytes than there are."""
    answer.body += b" " * 10


def corrupt(answer: Answer) -> None:
    """As many bytes, but one of them is another."""
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1])


def login_page(answer: Answer) -> None:
    """A page that asks for a password, as proxies of hotels send it."""
    answer.status, answer.body = 200, b"<html><body>Please log in</body></html>"
    answer.headers = {"Content-Type": "text/html"}


def stall(answer: Answer) -> None:
    """Half of the bytes come, then nothing more, and the connection stays."""
    cut(answer)
    answer.is_endless = True


def trickle(answer: Answer) -> None:
    """Each hundred bytes come a little later."""
    answer.piece_bytes = 100
    answer.before_piece = lambda: threading.Event().wait(0.001)


def stranger(answer: Answer) -> None:
    """As many bytes, but without the headers of a store: somebody else has answered."""
    answer.body, answer.headers = b" " * len(answer.body), {"Content-Type": "text/html"}


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


def unpack(answer: Answer) -> None:
    """What a store does to a packed object for a client that takes no packed bytes."""
    answer.body = gzip.decompress(answer.body)
    answer.headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-encoding"}
