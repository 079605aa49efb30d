"""Frames of many cached runs, by this package or by an earlier one in another folder (`tree`; empty for this one)."""

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def _package(tree: str) -> ModuleType:
    if tree and tree not in sys.path:
        sys.path.insert(0, tree)
    import magnet_arrow

    return magnet_arrow


def kept(tree: str, outputs: str, cache: str) -> dict[str, int]:
    """Ingest into a cache that is kept."""
    report = _package(tree).ingest(outputs, cache)
    assert not report.rejected, report.rejected[0]
    return {"runs": report.runs}


def frame(tree: str, outputs: str, cache: str, table: str) -> Iterator[Any]:
    """A default frame of all runs: each is looked at, page checksums are verified."""
    runs = _package(tree).HelmRuns(outputs, cache=cache)
    yield None
    yield {"rows": getattr(runs, table)().height}


def scan(tree: str, outputs: str, cache: str, table: str) -> Iterator[Any]:
    """The same rows by Polars alone, which verifies nothing."""
    opened = _package(tree).Cache(cache)
    yield None
    yield {"rows": opened.scan(table).collect().height}


def filtered(tree: str, outputs: str, cache: str) -> Iterator[Any]:
    """Runs of one model."""
    import polars as pl

    runs = _package(tree).HelmRuns(outputs, cache=cache)
    yield None
    yield {"runs": len(runs.filter(pl.col("run_spec.adapter_spec.model") == "none of this name"))}


def listed(tree: str, outputs: str, cache: str) -> Iterator[Any]:
    """What `magnet-arrow ls` does, once started."""
    _package(tree)
    from magnet_arrow.cli.main import main

    sys.argv = ["magnet-arrow", "ls", "--cache", cache]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield None
        with contextlib.suppress(SystemExit):
            main()
        yield None


def stat_files(tree: str, outputs: str, cache: str) -> Iterator[Any]:
    """A look at each file of the runs: what a frame cannot do without."""
    runs = _package(tree).HelmRuns(outputs, cache=cache)
    folders = [str(run.path) for run in runs]
    yield None
    yield {"files": sum(entry.stat().st_size > 0 for folder in folders for entry in os.scandir(folder))}


def size(tree: str, outputs: str, cache: str, table: str) -> dict[str, int]:
    """Bytes of a frame."""
    runs = _package(tree).HelmRuns(outputs, cache=cache)
    return {"bytes": getattr(runs, table)().estimated_size()}


def opened(tree: str, outputs: str, cache: str) -> Iterator[Any]:
    """Nothing but the runs, to tell what a frame's memory is beside them."""
    runs = _package(tree).HelmRuns(outputs, cache=cache)
    yield None
    yield {"runs": len(runs)}
