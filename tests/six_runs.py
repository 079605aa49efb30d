"""Six small runs to draw from."""

from pathlib import Path
from typing import Any

from makedump import make_run, write_runs

from magnet_arrow.predictor import Predictor

NAME = "run_spec.name"


def write_six_runs(folder: Path) -> Path:
    """The runs `tides 0` to `tides 5`, whose subject is even or odd; returns the outputs folder."""
    runs = [make_run(f"tides {n}", args={"subject": "even" if n % 2 == 0 else "odd"}) for n in range(6)]
    write_runs(folder, runs)
    return folder


def drawn(predictor: Predictor, source: Any) -> set[str]:
    """Names of all runs that were drawn."""
    train_split, sequestered = predictor.prepare_predict_inputs(source)
    return {*train_split.run_specs[NAME], *sequestered.run_specs[NAME]}
