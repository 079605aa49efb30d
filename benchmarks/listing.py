"""Requests and peak memory of a listing, as a bucket has more and more keys.

    python benchmarks/listing.py                       # 100,000 and 1,000,000 keys
    python benchmarks/listing.py --keys 10000

The store is one of our own, which makes each page of 1,000 keys when it is asked for: five files of a run each, with
names as long as HELM's. The listing is that of an ingest, and is kept as an ingest keeps it.
"""

import contextlib
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

from harness import Candidate, Line, arguments, compare, header, report

PAGE = 1000
FILES = ("run_spec", "scenario", "scenario_state", "stats", "per_instance_stats")
ENTRY = (
    "<Contents><Key>runs/v{version}/mmlu:subject=anatomy,method=multiple_choice_joint,model=made_{run:07}/{file}.json</Key>"
    '<LastModified>2026-11-29T00:00:00.000Z</LastModified><ETag>"{number:032x}"</ETag><Size>{number}</Size></Contents>'
)


def page_of(begin: int, count: int) -> str:
    """A page of the list, from a key on."""
    end = min(begin + PAGE, count)
    numbers = range(begin, end)
    entries = [
        ENTRY.format(version=1 + number // 100_000, run=number // 5, file=FILES[number % 5], number=number)
        for number in numbers
    ]
    more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < count else ""
    head = f"<IsTruncated>{str(bool(more)).lower()}</IsTruncated>{more}"
    return f"<ListBucketResult>{head}{''.join(entries)}</ListBucketResult>"


def serve(count: int) -> None:
    """Be a store with so many keys; prints its port."""
    requests = 0

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            nonlocal requests
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            if "count" in query:
                self._answer(str(requests))
                return
            requests += 1
            begin = count if "start-after" in query else int(query.get("continuation-token", ["0"])[0])
            self._answer(page_of(begin, count))

        def _answer(self, text: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


@contextlib.contextmanager
def serving(count: int) -> Iterator[str]:
    """The address of a store with so many keys, in a process of its own."""
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", str(count)], stdout=subprocess.PIPE, text=True
    ) as store:
        assert store.stdout is not None
        try:
            yield f"http://127.0.0.1:{store.stdout.readline().strip()}"
        finally:
            store.kill()


def listed(address: str) -> dict[str, int]:
    """List the bucket; how many objects there are."""
    from magnet_arrow.sources.remote.catalog import CATALOG

    os.environ["AWS_ENDPOINT_URL"] = address
    listing = CATALOG.look("s3://bucket")
    return {"objects": listing.n_objects}


def n_requests(address: str) -> int:
    """How many pages a store was asked for."""
    with urllib.request.urlopen(f"{address}/?count=1") as answer:
        return int(answer.read())


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, rounds=1)
    parser.add_argument("--keys", nargs="+", type=int, default=[100_000, 1_000_000])
    args = parser.parse_args()
    head = header()
    lines: list[Line] = []
    more: dict[str, object] = {}
    for count in args.keys:
        with serving(count) as address:
            lines += compare(f"{count:,} keys", [Candidate("ours", "listing:listed", (address,))], args.rounds)
            more[f"requests for {count:,} keys"] = n_requests(address) / args.rounds
    report(__file__, head, lines, write_json=args.json, more=more)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        main()
