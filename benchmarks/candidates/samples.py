"""Samples and scores of cached runs, and the four frames that they are made of."""

from collections.abc import Iterator
from typing import Any

TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")


def _runs(outputs: str, cache: str) -> Any:
    import magnet_arrow

    return magnet_arrow.HelmRuns(outputs, cache=cache)


def kept(outputs: str, cache: str) -> dict[str, int]:
    """Ingest into a cache that is kept."""
    import magnet_arrow

    return {"runs": magnet_arrow.ingest(outputs, cache).runs}


def four_frames(outputs: str, cache: str) -> Iterator[Any]:
    """The frames as users ask for them, one after the other."""
    runs = _runs(outputs, cache)
    yield None
    frames = {table: getattr(runs, table)() for table in TABLES}
    yield {"rows": frames["scenario_state"].height}


def samples(outputs: str, cache: str, metrics: str = "main") -> Iterator[Any]:
    """One row per request state: in these dumps each is a question."""
    runs = _runs(outputs, cache)
    yield None
    yield {"rows": runs.samples(metrics).height}


def scores(outputs: str, cache: str) -> Iterator[Any]:
    """One row per run."""
    runs = _runs(outputs, cache)
    yield None
    yield {"runs": runs.scores().height}
