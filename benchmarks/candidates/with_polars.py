"""Polars with the schema given: the same four tables, flattened, each as one Parquet file."""

import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from dumps import files_of
from json_types import in_polars

EXPLODED = {"scenario_state": ("request_states",), "per_instance_stats": ("stats",)}


def to_parquet(outputs: str, types: str, work: str) -> Iterator[Any]:
    """Read, flatten and write."""
    files = files_of(outputs)
    schemas = {table: pl.Schema(in_polars(kind)) for table, kind in json.loads(Path(types).read_text()).items()}
    folder = Path(tempfile.mkdtemp(prefix="polars-", dir=work))
    rows = {}
    yield None
    for table, paths in files.items():
        frames = [_flat(pl.read_json(path, schema=schemas[table]), table, path) for path in paths]
        frame = pl.concat(frames)
        frame.write_parquet(folder / f"{table}.parquet", compression="zstd", compression_level=1)
        rows[table] = frame.height
        del frame, frames
    yield rows
    shutil.rmtree(folder)


def _flat(frame: pl.DataFrame, table: str, path: str) -> pl.DataFrame:
    for column in EXPLODED.get(table, ()):
        frame = frame.explode(column)
    if table == "per_instance_stats":
        frame = frame.filter(pl.col("stats").is_not_null())
    while structs := [name for name, kind in frame.schema.items() if isinstance(kind, pl.Struct)]:
        frame = frame.unnest(structs, separator=".")
    return frame.with_columns(pl.lit(Path(path).parent.name).alias("run"))


def predict_inputs(parquet: str) -> Iterator[Any]:
    """Draw four runs and read their frames, as one would write it by hand over one Parquet file a table."""
    _SEEDS.append(len(_SEEDS))
    names = pl.read_parquet(f"{parquet}/run_spec.parquet", columns=[NAME])[NAME]
    yield None
    rng = random.Random(_SEEDS[-1])
    *train, test = rng.sample(range(len(names)), 4)
    chosen = names.gather(sorted(train))
    frames = [
        pl.scan_parquet(f"{parquet}/{table}.parquet").filter(pl.col(NAME).is_in(chosen.implode())).collect()
        for table in ("run_spec", "scenario_state", "stats", "per_instance_stats")
    ]
    spec, states, _, instance_stats = (
        pl.scan_parquet(f"{parquet}/{table}.parquet").filter(pl.col(NAME) == names[test]).collect()
        for table in ("run_spec", "scenario_state", "stats", "per_instance_stats")
    )
    ids = states[INSTANCE].unique(maintain_order=True)
    sample = ids.gather(rng.sample(range(len(ids)), min(len(ids), 20)))
    states = states.filter(pl.col(INSTANCE).is_in(sample.implode()))
    instance_stats = instance_stats.filter(pl.col("per_instance_stats.instance_id").is_in(sample.implode()))
    yield {"train": [frame.height for frame in frames], "test": [spec.height, states.height]}


NAME = "run_spec.name"
INSTANCE = "scenario_state.request_states.instance.id"
_SEEDS: list[int] = []
