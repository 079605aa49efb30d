"""The four frames of aiq-magnet 0.1.0, which writes nothing. Runs in an environment of its own: it needs HELM."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dumps import files_of
from magnet.backends.helm.helm_outputs import HelmRuns


def four_frames(outputs: str) -> Iterator[Any]:
    """All frames of all runs."""
    runs = HelmRuns([Path(path).parent for path in files_of(outputs)["run_spec"]])
    yield None
    rows = {}
    for table in ("run_spec", "scenario_state", "stats", "per_instance_stats"):
        rows[table] = len(getattr(runs, table)())
    yield rows
