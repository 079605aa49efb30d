"""What magnet_arrow does, as the scripts measure it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars.selectors as cs
from dumps import FILES

from magnet_arrow import Cache, HelmRuns, ingest
from magnet_arrow.helm.layout import RunPlace, find_runs
from magnet_arrow.ingestion.api import IngestReport
from magnet_arrow.predictor import Predictor

TABLES = tuple(name.removesuffix(".json") for name in FILES)


def rows_of(report: IngestReport) -> dict[str, int]:
    """Rows of the four tables."""
    assert not report.rejected, report.rejected[0]
    return {table: report.rows[table] for table in TABLES}


def cold(outputs: str, work: str, workers: str = "1") -> Iterator[Any]:
    """Ingest into a new cache, by so many workers; `default`: by as many as a user gets who says nothing."""
    options: dict[str, Any] = {"workers": int(workers)} if workers != "default" else {}
    cache = Path(tempfile.mkdtemp(prefix="cache-", dir=work))
    yield None
    report = ingest(outputs, cache, **options)
    yield rows_of(report)
    shutil.rmtree(cache)


def kept(outputs: str, cache: str, left_out: str = "0") -> dict[str, int]:
    """Ingest all runs but the last few into a cache that is kept, for other candidates to use."""
    places = find_runs(outputs).places
    return rows_of(ingest(places[: len(places) - int(left_out)], cache))


def last_run(outputs: str, cache: str, work: str) -> Iterator[Any]:
    """Ingest the last run of a dump into a copy of a cache, or into an empty one if there is no such."""
    copy = Path(tempfile.mkdtemp(prefix="cache-", dir=work)) / "cache"
    if cache:
        shutil.copytree(cache, copy)
    place = find_runs(outputs).places[-1]
    yield None
    report = ingest(place.path, copy)
    yield rows_of(report)
    shutil.rmtree(copy.parent)


def one_more(outputs: str, cache: str) -> Iterator[Any]:
    """Ingest the next run of a dump into a cache: another one at each call."""
    if not _PLACES:
        _PLACES.extend(reversed(find_runs(outputs).places))
    place = _PLACES.pop()
    yield None
    report = ingest(place.path, cache)
    assert report.runs == 1, report
    yield {"runs": report.runs}


def to_parquet(cache: str, folder: str) -> dict[str, int]:
    """One plain Parquet file a table of all that is cached, in order of run and row."""
    rows = {}
    for table in TABLES:
        frame = Cache(cache).scan(table).sort("run_spec.name", "magnet.row").drop(cs.starts_with("magnet.")).collect()
        frame.write_parquet(Path(folder) / f"{table}.parquet", compression="zstd")
        rows[table] = frame.height
    return rows


def unchanged(outputs: str, cache: str) -> dict[str, int]:
    """Ingest once more; nothing is to be done."""
    report = ingest(outputs, cache)
    assert report.runs == 0, report.runs
    return {"runs": report.skipped}


def predict_inputs(outputs: str, cache: str) -> Iterator[Any]:
    """Draw and read the frames of four runs; another draw at each call."""
    _SEEDS.append(len(_SEEDS))
    if not _RUNS:
        _RUNS.append(HelmRuns(outputs, cache=Cache(cache)))
    yield None
    train, test = Predictor(random_seed=_SEEDS[-1]).prepare_predict_inputs(_RUNS[0])
    frames = [train.run_specs, train.scenario_state, train.stats, train.per_instance_stats]
    yield {"train": [frame.height for frame in frames], "test": [test.run_specs.height, test.scenario_state.height]}


def draws(outputs: str, work: str, n_draws: str) -> Iterator[Any]:
    """Draw again and again with an empty cache at first; another seed at each call."""
    cache = tempfile.mkdtemp(dir=work)
    yield None
    for seed in range(int(n_draws)):
        Predictor(random_seed=seed, cache=cache).prepare_all_dataframes(outputs)
    yield None
    shutil.rmtree(cache)


_PLACES: list[RunPlace] = []
_SEEDS: list[int] = []
_RUNS: list[HelmRuns] = []
