"""R4: writers that meet both finish, nothing is lost or there twice, and who waits says for whom."""

import errno
import os
import signal
from pathlib import Path

import pytest
from kill_ingest import torn
from makedump import make_run, write_runs
from processes import PACKAGE, start, start_ingest

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheLockedError, CacheNotWritableError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.storage import commit

HOLDER = """
import sys, time
from pathlib import Path
sys.path[:0] = [{package!r}]
from magnet_arrow.storage import commit
with commit.locked(Path({cache!r})):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "outputs", [make_run(f"tide:n={number}", args={f"k{number}": 1}) for number in range(8)])
    return tmp_path / "outputs"


def parts(outputs: Path, wanted: str) -> tuple[list[Path], list[Path]]:
    runs = sorted((outputs / "runs" / "made").iterdir())
    return (runs, runs) if wanted == "the same" else (runs[:6], runs[2:])


@pytest.mark.parametrize("wanted", ["the same", pytest.param("overlapping", marks=pytest.mark.slow)])
@pytest.mark.parametrize("time", [0, *(pytest.param(time, marks=pytest.mark.slow) for time in range(1, 5))])
def test_two_ingests_at_once(wanted: str, time: int, outputs: Path, tmp_path: Path) -> None:
    """Bug case 32; ten times in all."""
    cache = tmp_path / "cache"
    children = [start_ingest(sources, cache, segment_bytes=1 + time * 10_000) for sources in parts(outputs, wanted)]
    said = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    assert all("0 rejected" in out for out, _ in said)
    assert Cache(cache).runs().height == 8
    assert len(Cache(cache).snapshot().runs) == 8
    assert Cache(cache).scan("stats").collect().height == 16
    assert torn(outputs, cache) == []
    assert ingest(outputs, cache).runs == 0


def test_a_lock_that_another_process_holds(outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    ingest(outputs, cache)
    holder = start(HOLDER.format(package=PACKAGE, cache=str(cache)))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    write_runs(outputs, [make_run("moon:n=1")])
    monkeypatch.setattr(commit, "LOCK_TIMEOUT_S", 0.05)
    with pytest.raises(CacheLockedError, match=f"held for 0.05 s by process {holder.pid} on ") as caught:
        ingest(outputs, cache)
    assert str(cache / "lock") in str(caught.value)
    assert "remove the file" in str(caught.value)
    assert Cache(cache).runs().height == 8  # reading needs no lock
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    monkeypatch.setattr(commit, "LOCK_TIMEOUT_S", 10)
    assert ingest(outputs, cache).runs == 1


def test_the_lock_file_of_a_process_that_is_long_gone_is_no_lock(outputs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "lock").touch()
    (cache / "lock.owner").write_text("process 4711 on another-node")
    assert ingest(outputs, cache).runs == 8


@pytest.mark.skipif(os.name == "nt", reason="Windows locks in another way")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP], ids=["ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks(
    number: int, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug case 54: said at once, with the path and what to do; reading goes on."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    cache = tmp_path / "cache"
    ingest(outputs, cache)
    write_runs(outputs, [make_run("moon:n=1")])
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(CacheNotWritableError, match="offers no locks") as caught:
        ingest(outputs, cache)
    assert str(cache / "lock") in str(caught.value)
    assert Cache(cache).runs().height == 8
