"""R1 and R2: whatever dies and whenever, a run is in every table or in none, and what was reported stays."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from kill_ingest import N_RUNS, kill_often, make_outputs, torn
from makedump import make_run, write_runs
from processes import start_ingest

from magnet_arrow.cache import Cache
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.storage.manifest import read_manifest


def files(cache: Path) -> dict[str, bytes]:
    """All that lies in a cache, but for the lock."""
    paths = [path for path in cache.rglob("*") if path.is_file() and not path.name.startswith("lock")]
    return {path.relative_to(cache).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "between_commits"), [(1, 0), (12, 3)])
def test_an_ingest_that_is_killed_leaves_complete_runs_and_goes_on(
    kills: int, between_commits: int, tmp_path: Path
) -> None:
    """`kill_ingest.py` kills as often as it is told to, and prints when the kills came."""
    result = kill_often(make_outputs(tmp_path), tmp_path, kills=kills, seed=1)
    assert result.wrong == []
    assert len(result.cached) == kills
    assert sum(0 < runs < N_RUNS for runs in result.cached) >= between_commits


def test_what_was_reported_is_there_though_the_process_is_killed_at_once(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path)
    dies = """
import os, signal
from magnet_arrow.ingestion import api
api.IngestReport = lambda **_: os.kill(os.getpid(), signal.SIGKILL)
"""
    child = start_ingest([outputs], tmp_path / "cache", prelude=dies)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert Cache(tmp_path / "cache").runs().height == N_RUNS
    assert torn(outputs, tmp_path / "cache") == []


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "outputs", [make_run(f"tide:n={number}") for number in range(4)])
    return tmp_path / "outputs"


def add_runs(outputs: Path) -> None:
    write_runs(outputs, [make_run(f"moon:n={number}", n_instances=40) for number in range(4)])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
@pytest.mark.parametrize(
    "held_bytes",
    [pytest.param(1, id="files begun at once", marks=pytest.mark.slow), pytest.param(1 << 24, id="held back")],
)
@pytest.mark.parametrize(
    "limit_bytes", [3_000, *(pytest.param(limit, marks=pytest.mark.slow) for limit in (300, 5_000, 12_000))]
)
def test_a_disk_that_is_full_leaves_the_old_cache_and_nothing_else(
    limit_bytes: int, held_bytes: int, outputs: Path, tmp_path: Path
) -> None:
    """Bug case 31: no file may grow past a limit, so that Parquet files, run lists or the manifest fail."""
    cache = tmp_path / "cache"
    ingest(outputs, cache)
    before = files(cache)
    add_runs(outputs)
    starved = f"""
import resource, signal, sys
sys.dont_write_bytecode = True  # Python would keep it cut short, for all who import it later
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
from magnet_arrow.records import table_builder as columns
from magnet_arrow.storage.segments import writer as segments
segments._HELD_BYTES, columns.GROUP_ROWS = {held_bytes}, 1
"""
    child = start_ingest([outputs], cache, prelude=starved, segment_bytes=1 << 30)
    _, complaint = child.communicate()
    assert child.returncode == 3, complaint
    assert "cannot be written" in complaint
    assert str(cache) in complaint
    assert "Traceback" not in complaint
    assert files(cache) == before
    assert ingest(outputs, cache).runs == 4
    assert torn(outputs, cache) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> "object":
    """A file system of 200 KiB, where this process may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_small_disk_that_fills_up(small_disk: Path, outputs: Path) -> None:
    cache = small_disk / "cache"
    ingest(outputs, cache)
    named = read_manifest(cache).files_by_path()
    write_runs(outputs, [make_run(f"sun:n={number}", args={f"k{number}": 1}) for number in range(30)])
    child = start_ingest([outputs], cache)
    _, complaint = child.communicate()
    assert child.returncode == 3, complaint
    assert "No space left" in complaint
    assert named.keys() <= {*read_manifest(cache).files_by_path(), *(path for path in files(cache))}
    assert torn(outputs, cache) == []
