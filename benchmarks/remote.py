"""What a bucket costs: an ingest from `s3://`, compared with an ingest from this machine and with obstore alone.

    python benchmarks/remote.py benchmark_output [--runs 250] [--rounds 3] [--delay-ms 20] [--cold]

The first runs of a dump, with their four required files, are served by `rclone serve s3` (extra `servers`) on this
machine. Each round measures, in turn: obstore's list of the folder and our listing with the search for runs; a fetch of
all objects by obstore alone, 32 at once; an ingest of the folder; an ingest of the bucket. Then fetch and ingest once
more through a proxy that passes each chunk of bytes on after a delay. All in one process, which has done each of them
once before. With `--cold` each is a fresh process instead, as a user starts it, with as many workers as it takes by
itself. Printed are medians in seconds, with the processor time of this process or of those, and the ratios.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import obstore_alone
from obstore_alone import BUCKET, fetch_alone, list_alone

from magnet_arrow import ingest
from magnet_arrow.helm.layout import RUN_FILES, find_all, find_runs

Figures = dict[str, list[tuple[float, float]]]


def copy_runs(source: str, count: int, target: Path) -> None:
    """Copy the required files of the first runs of a dump."""
    for place in find_runs(source).places[:count]:
        folder = target / BUCKET / "runs" / place.suite / place.folder
        folder.mkdir(parents=True)
        for name in RUN_FILES:
            shutil.copyfile(place.path / name, folder / name)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server whose buckets are the folders in a folder."""
    command = [str(Path(sys.executable).with_name("rclone")), "serve", "s3", "--addr", "127.0.0.1:0", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "Starting s3 server on [" in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield line.split("[")[1].split("]")[0].rstrip("/")
        finally:
            process.kill()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            await asyncio.sleep(delay_s)
            writer.write(data)
            await writer.drain()
        writer.close()


def run_proxy(host: str, port: str, delay_ms: str) -> None:
    """Be a proxy that passes each chunk on after a delay; prints its port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        delay_s = int(delay_ms) / 1000
        await asyncio.gather(_pass_on(reader, far_writer, 0), _pass_on(far_reader, writer, delay_s))

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(serve())


@contextlib.contextmanager
def delayed(address: str, delay_ms: int) -> Iterator[str]:
    """The address of a proxy in front of a server."""
    host, _, port = address.rpartition("/")[2].partition(":")
    command = [sys.executable, __file__, "--proxy", host, port, str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def ingest_anew(source: str | Path, cache: Path) -> None:
    """Ingest into an empty cache, in this process alone."""
    shutil.rmtree(cache, ignore_errors=True)
    report = ingest(source, cache, workers=1)
    assert not report.rejected, report.rejected[0]


def fetch_cold(address: str) -> None:
    """`fetch_alone` in a fresh process."""
    subprocess.run([sys.executable, obstore_alone.__file__, address], check=True)


def ingest_cold(source: str | Path, cache: Path) -> None:
    """Ingest into an empty cache by the command, with as many workers as it takes by itself."""
    shutil.rmtree(cache, ignore_errors=True)
    command = [sys.executable, "-m", "magnet_arrow", "ingest", str(source), "--cache", str(cache)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def cpu_s() -> float:
    """The processor time of this process, and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(figures: Figures, name: str, action: Callable[[], object]) -> None:
    """Add the seconds and the processor seconds of an action."""
    before, cpu_before = time.perf_counter(), cpu_s()
    action()
    figures.setdefault(name, []).append((time.perf_counter() - before, cpu_s() - cpu_before))


def measure_all(address: str, late: str, folder: Path, rounds: int, *, cold: bool) -> Figures:
    """The figures of all rounds, but for a first one, in which all is imported."""
    url, cache = f"s3://{BUCKET}", folder / "cache"
    fetch, ingest_into = (fetch_cold, ingest_cold) if cold else (fetch_alone, ingest_anew)
    figures: Figures = {}
    for number in range(rounds + 1):
        if number == 1:
            figures = {}
        os.environ["AWS_ENDPOINT_URL"] = address
        measure(figures, "list", lambda: list_alone(address))
        measure(figures, "plan", lambda: find_all(url))
        measure(figures, "fetch", lambda: fetch(address))
        measure(figures, "ingest of the folder", lambda: ingest_into(folder / BUCKET, cache))
        measure(figures, "ingest of the bucket", lambda: ingest_into(url, cache))
        os.environ["AWS_ENDPOINT_URL"] = late
        measure(figures, "fetch, delayed", lambda: fetch(late))
        measure(figures, "ingest, delayed", lambda: ingest_into(url, cache))
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--runs", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delay-ms", type=int, default=20)
    parser.add_argument("--cold", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_runs(chosen.source, chosen.runs, folder)
        with serving(folder) as address, delayed(address, chosen.delay_ms) as late:
            figures = measure_all(address, late, folder, chosen.rounds, cold=chosen.cold)
    wall = {name: median(seconds for seconds, _ in found) for name, found in figures.items()}
    for name, found in figures.items():
        print(f"{name:22} {wall[name]:6.2f} s, processor {median(cpu for _, cpu in found):5.2f} s")
    together = wall["ingest of the folder"] + wall["fetch"]
    print(f"plan / list: {wall['plan'] / wall['list']:.2f}")
    print(f"ingest of the bucket / (ingest of the folder + fetch): {wall['ingest of the bucket'] / together:.2f}")
    print(f"ingest, delayed / fetch, delayed: {wall['ingest, delayed'] / wall['fetch, delayed']:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--proxy"]:
        run_proxy(*sys.argv[2:])
    else:
        main()
