"""What the plan of an ingest costs, and whether it says what is then fetched."""

import io
import json
import shutil
import urllib.parse
from bisect import bisect_left
from pathlib import Path
from urllib.request import Request

import fault_proxy
import pytest
from buckets import Server, filled
from fault_proxy import Proxy, Spoil
from pictures import peek_at_files_of, write_pictured

from magnet_arrow import ingest
from magnet_arrow.ingestion import bill, run_reader
from magnet_arrow.ingestion.api import prepare
from magnet_arrow.ingestion.parallel.settings import WorkerSettings
from magnet_arrow.ingestion.rules import Rules
from magnet_arrow.sources.remote import catalog, objects, spool, stores
from magnet_arrow.sources.remote.meter import METER
from magnet_arrow.sources.remote.stores import Stores
from magnet_arrow.sources.remote.urls import Address

NAMES = ["run_spec", "scenario", "scenario_state", "stats", "per_instance_stats", "instances"]
OTHERS = ["display_predictions", "display_requests", "data", "metadata", "extra", "more"]


class Google:
    """A bucket with many runs, listed by pages of a thousand as Google does; it counts the requests."""

    def __init__(self, runs: int) -> None:
        folders = [f"lite/benchmark_output/runs/v1.{n // 400}.0/mmlu:subject={n},model=made" for n in range(runs)]
        self.keys = sorted(f"{folder}/{name}.json" for folder in folders for name in NAMES + OTHERS)
        self.n_requests = 0

    def __call__(self, request: Request) -> io.BytesIO:
        self.n_requests += 1
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.full_url).query, keep_blank_values=True))
        begin = bisect_left(self.keys, asked.get("pageToken") or asked["prefix"])
        end = min(begin + 1_000, bisect_left(self.keys, asked["prefix"] + "\x7f"))
        if "delimiter" in asked:  # folders only
            length = len(asked["prefix"])
            below = {key[length:].partition("/")[0] for key in self.keys if key.startswith(asked["prefix"])}
            return answer(prefixes=sorted(f"{asked['prefix']}{name}/" for name in below))
        page = self.keys[begin:end]
        items = [{"name": key, "size": "100", "updated": "2026-11-29T09:11:34Z", "generation": "7"} for key in page]
        more = end < len(self.keys) and self.keys[end].startswith(asked["prefix"])
        return answer(items=items, **({"nextPageToken": self.keys[end]} if more else {}))

    def head(self, _: Stores, address: Address) -> None:
        """Asked by obstore's client, not by ours: no object has the key of a folder."""
        assert address.key not in self.keys
        self.n_requests += 1


def answer(**page: object) -> io.BytesIO:
    return io.BytesIO(json.dumps({"kind": "storage#objects", **page}).encode())


@pytest.mark.parametrize(
    "source", ["helm://lite/v1.0.0", "gs://crfm-helm-public/lite/benchmark_output", "helm://lite/v1.*"]
)
def test_a_plan_takes_few_more_requests_than_there_are_pages(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    google = Google(1_000)
    monkeypatch.setattr(stores, "open_url", google)
    monkeypatch.setattr(objects, "head", google.head)
    monkeypatch.setattr(catalog, "CATALOG", catalog.Catalog())
    planned = prepare(source, tmp_path / "cache", rules=Rules(), writes=False).bill()
    n_runs = 400 if source.endswith("v1.0.0") else 1_000
    assert (planned.n_runs, planned.n_files, planned.n_bytes) == (n_runs, n_runs * 12, n_runs * 1_200)
    print(f"{source}: {google.n_requests} requests for {n_runs * 12} keys")
    assert google.n_requests <= 1.5 * n_runs * 12 / 1_000 + 5


@pytest.mark.parametrize(
    ("fault", "gives_ranges"), [(fault_proxy.corrupt, True), (fault_proxy.cut, True), (fault_proxy.cut, False)]
)
def test_what_is_fetched_again_is_not_told_twice(
    fault: Spoil,
    gives_ranges: bool,
    server: Server,
    proxy: Proxy,
    outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("obstore")
    monkeypatch.setattr(spool, "SMALL_BYTES", 50)
    proxy.gives_ranges = gives_ranges
    proxy.spoil(r"/stats\.json", fault, 2)
    before = METER.fetched_bytes
    assert ingest(filled(server, outputs), tmp_path / "cache", workers=1).runs == 3
    assert METER.fetched_bytes - before == sum(file.stat().st_size for file in outputs.rglob("*.json"))
    assert (METER.n_fetching, METER.n_pausing) == (0, 0)


def test_the_bytes_that_are_fetched_are_those_of_the_plan(
    server: Server, proxy: Proxy, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    outputs = shutil.copytree(demo_outputs, tmp_path / "outputs")
    runs = sorted(outputs.glob("runs/my-suite/*"))
    for run in runs[:2]:
        write_pictured(run)
        (run / "picture.png").write_bytes(b"x" * 50_000)
    peek_at_files_of(15_000, monkeypatch)
    for module in (bill, run_reader):
        monkeypatch.setattr(module, "PEEK_BYTES", 4_000)
    proxy.gives_ranges = True
    prepared = prepare(filled(server, outputs), tmp_path / "cache", rules=Rules())
    planned = prepared.bill()
    assert (proxy.n_bytes, planned.looked_at_bytes) == (0, 2 * 4_000)
    assert prepared.execute(WorkerSettings(workers=1)).runs == 9
    n_bytes = planned.n_bytes + planned.looked_at_bytes
    print(f"{proxy.n_bytes} bytes fetched, {n_bytes} planned")
    assert proxy.n_bytes == n_bytes
    del proxy.requests[:]
    again = prepare(str(prepared.found.roots[0]), tmp_path / "cache", rules=Rules())
    assert (again.bill().n_files, again.execute(WorkerSettings(workers=1)).skipped) == (0, 9)
    assert proxy.fetched() == []
