"""Fixtures that most tests share: the demo, the larger dumps, a cache of one's own."""

import gc
import os
import sys
import tarfile
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from large_dumps import SHARED
from makedump import THREE, make_run, write_runs

from magnet_arrow.sources import demo

# One tmp_path for all examples of a test is meant: each example makes a folder of its own in it.
# Whether generating is slow depends on what else the machine does, and is no fault of a test.
PROFILE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
settings.register_profile("quick", PROFILE, max_examples=4)
settings.register_profile("thorough", PROFILE, max_examples=25, derandomize=True, print_blob=True)
settings.load_profile("quick")  # unless --hypothesis-profile names the other


QUICK_SETS = ("not slow", "not slow and not shared")
"""Selections of tests by `-m`: the default one, and that of `.ci/run` for other Pythons."""


def pytest_configure(config: pytest.Config) -> None:
    """Where each core has a process of xdist, threads of Arrow, BLAS and Polars would only wait for one another.

    The slow tests and the thorough ones have all threads of Polars, so that an order that several threads may change is
    seen there.
    """
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        if config.getoption("markexpr").strip() in QUICK_SETS:
            os.environ.setdefault("POLARS_MAX_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, None, None]:
    """The garbage collector leaves alone what is imported and collected: all of it stays until the end.

    It took a quarter of the time of collection, and walked through thousands of test items again in each full run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Tests have no doctests; to look for some takes a second in each process."""
    return [found for found in (yield) if type(found) is pytest.Module]


@pytest.fixture(scope="session", autouse=True)
def quick_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Saves time that shows nothing: this process flushes nothing to the disk, and others compile modules only once.

    No test cuts the power; those that look at flushes record them. Where the environment forbids bytecode files, each
    process that a test starts would compile all that it imports, so these files have a temporary folder.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        if sys.dont_write_bytecode:
            base = tmp_path_factory.getbasetemp()
            shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patch.setenv("PYTHONPYCACHEPREFIX", str(shared / "bytecode"))
        yield


@pytest.fixture(scope="session")
def default_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders that are not there yet, without a `tmp_path` for each test: that takes as long as many a test."""
    folder = tmp_path_factory.mktemp("default-caches")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def cache_dir(default_caches: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty default cache, so that no test reads or writes the user's."""
    path = next(default_caches)
    monkeypatch.setenv("MAGNET_ARROW_CACHE_DIR", str(path))
    return path


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """An outputs folder with three small runs, `makedump.THREE`."""
    write_runs(tmp_path / "outputs", [make_run(name) for name in THREE])
    return tmp_path / "outputs"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where a cache may be made."""
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def demo_outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs folder of the demo that the package ships; not to be changed."""
    return demo.unpack(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="session")
def shared_dumps(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of one of the larger dumps, unpacked once a session; not to be changed."""
    folder = tmp_path_factory.mktemp("shared")

    def unpacked(name: str) -> Path:
        archive = SHARED / "data" / f"{name}.tar.xz"
        if not archive.is_file():
            pytest.skip(f"{name}.tar.xz is not in {SHARED / 'data'} (set MAGNET_ARROW_SHARED)")
        if not (folder / name).exists():
            with tarfile.open(archive) as members:
                members.extractall(folder, filter="data")
        return folder / name

    return unpacked
