"""Dask: its executor is as good as any, and an ingest by it ends the same though a worker is lost halfway."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, write_runs
from reading import all_tables

from magnet_arrow.cache import Cache
from magnet_arrow.ingestion.api import Progress, ingest
from magnet_arrow.ingestion.parallel import division

N_RUNS = 12


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of a cluster of two processes on this machine."""
    # Imported here: it takes half a second, and the tests of this file are slow ones.
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'magnet-arrow[dask]'")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=logging.CRITICAL
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs that are a task each, and differ in their columns."""
    monkeypatch.setattr(division, "MIN_TASK_BYTES", 1)
    monkeypatch.setattr(division, "MAX_TASK_BYTES", 1)
    write_runs(tmp_path / "outputs", [make_run(f"tide:n={n}", args={"n": n, f"own{n}": 1}) for n in range(N_RUNS)])
    ingest(tmp_path / "outputs", tmp_path / "alone", workers=1)
    return tmp_path / "outputs"


@pytest.mark.slow
def test_dask_takes_runs(client: Any, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers were started in another folder, so that a relative path means another one there."""
    monkeypatch.chdir(tmp_path)
    report = ingest("outputs", "cache", executor=client.get_executor())
    assert (report.runs, report.rejected) == (N_RUNS, ())
    assert_same(tmp_path)


def assert_same(folder: Path) -> None:
    """What Dask put into a cache is what one process put into another."""
    expected = all_tables(folder / "alone")
    for table, frame in all_tables(folder / "cache").items():
        assert frame.equals(expected[table]), table
    assert Cache(folder / "cache").check().damages == ()


@pytest.mark.slow
def test_a_worker_is_lost_halfway(client: Any, outputs: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    pids = list(client.run(os.getpid).values())

    def kill_one_at_the_third(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 3:
            os.kill(pids[0], signal.SIGKILL)

    report = ingest(outputs, tmp_path / "cache", executor=client.get_executor(), progress=kill_one_at_the_third)
    assert (report.runs, report.rejected) == (N_RUNS, ())
    assert len(told) > 3
    assert_same(tmp_path)
    client.wait_for_workers(2, timeout=60)
    assert pids[0] not in client.run(os.getpid).values()
