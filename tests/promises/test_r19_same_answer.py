"""R19: a draw depends on the source, the arguments and the seed, and not on what the cache has seen."""

import json
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_run

from magnet_arrow.data_splits import TestSplit, TrainSplit
from magnet_arrow.errors import MagnetError, MagnetWarning
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmOutputs, HelmRuns
from magnet_arrow.predictor import Predictor

SUITES, NAMES = ("v1", "v2"), ("ebb", "flood", "neap", "spring")
SUITE = "run_spec.scenario_spec.args.suite"
# In the order of a draw: by suite and folder.
GIVEN = [(suite, name) for suite in SUITES for name in NAMES]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Two suites of the same four names; the truth of each run is its own."""
    for number, (suite, name) in enumerate(GIVEN):
        run = make_run(name, args={"suite": suite}, n_instances=4)
        run["stats"][0]["mean"] = number / 8
        write_run(tmp_path / "outputs", run, suite=suite)
    return tmp_path / "outputs"


def spoil(outputs: Path) -> None:
    """Four of the runs are bad, each in a way of its own."""
    runs = outputs / "runs"
    (runs / "v1" / "flood" / "stats.json").write_text("[")
    (runs / "v1" / "neap" / "scenario_state.json").unlink()
    spec = json.loads((runs / "v2" / "ebb" / "run_spec.json").read_text())
    (runs / "v2" / "ebb" / "run_spec.json").write_text(json.dumps(spec | {"unheard": "of"}))
    (runs / "v2" / "spring" / "per_instance_stats.json").write_text('[{"instance_id": "id0", "sta')


def one_by_one(outputs: Path, cache: Path) -> None:
    for folder in sorted((outputs / "runs").glob("*/*"), reverse=True)[::2]:
        ingest(folder, cache)


def good_then_bad(outputs: Path, cache: Path) -> None:
    """The cache has a bad run from better days."""
    file = outputs / "runs" / "v1" / "flood" / "stats.json"
    bad = file.read_bytes()
    shutil.copy(outputs / "runs" / "v2" / "flood" / "stats.json", file)
    ingest(outputs, cache)
    file.write_bytes(bad)


PASTS: dict[str, Callable[[Path, Path], Any]] = {
    "nothing": lambda outputs, cache: None,
    "an ingest": ingest,
    "a partial ingest": lambda outputs, cache: ingest(outputs, cache, partial=True),
    "a strict ingest": lambda outputs, cache: ingest(outputs, cache, strict=True),
    "runs one by one": one_by_one,
    "better days": good_then_bad,
    "a frame": lambda outputs, cache: HelmRuns(outputs, cache=cache).stats(),
}


class OfSomeNames(Predictor):
    def run_spec_dataframe_filter(self, run_specs: pl.LazyFrame) -> pl.Expr:
        return pl.col("run_spec.name") != "spring"


PREDICTORS: dict[str, Callable[..., Predictor]] = {
    "plain": Predictor,
    "filtered": OfSomeNames,
    "skipping": lambda *args, **options: Predictor(*args, **options, skip_unreadable=True),
    "with partial ones": lambda *args, **options: Predictor(*args, **options, include_partial=True),
}


def answer(make: Callable[..., Predictor], seed: int, source: Any, cache: Path) -> Any:
    """All that a draw gives: every cell of every frame, or the error in words."""
    predictor = make(2, 2, seed, "ignore", cache=cache)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MagnetWarning)
        try:
            splits = predictor.prepare_all_dataframes(source)
        except MagnetError as error:
            return str(error)
    return [frame.to_dicts() for frame in frames(*splits)]


def frames(train: TrainSplit, test: TestSplit) -> Iterator[pl.DataFrame]:
    for split in (train, test):
        yield from (split.run_specs, split.scenario_state, split.stats, split.per_instance_stats)


@pytest.mark.parametrize(
    ("make", "seeds"),
    [
        pytest.param(Predictor, range(2, 5), id="plain, few seeds"),
        *(pytest.param(make, range(5), id=name, marks=pytest.mark.slow) for name, make in PREDICTORS.items()),
    ],
)
def test_a_draw_is_the_same_whatever_the_cache_has_seen(
    make: Callable[..., Predictor], seeds: range, outputs: Path, tmp_path: Path
) -> None:
    spoil(outputs)
    caches = {past: tmp_path / past for past in PASTS}
    for past, prepare in PASTS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MagnetWarning)
            prepare(outputs, caches[past])
    n_errors = 0
    for seed in seeds:
        answers = {past: answer(make, seed, outputs, caches[past]) for past in PASTS}
        expected = answers["nothing"]
        n_errors += isinstance(expected, str)
        assert [past for past in PASTS if answers[past] != expected] == [], seed
    assert n_errors < len(seeds)


def test_who_is_drawn_of_runs_that_include_bad_ones_is_pythons_random(outputs: Path, tmp_path: Path) -> None:
    spoil(outputs)
    bad = {("v1", "flood"), ("v1", "neap"), ("v2", "spring")}
    ingest(outputs, tmp_path / "cache")
    seen = set()
    for seed in range(12):
        drawn = [GIVEN[index] for index in random.Random(seed).sample(range(8), 3)]
        given = answer(Predictor, seed, outputs, tmp_path / "cache")
        first = next((one for one in [*sorted(drawn[:-1]), drawn[-1]] if one in bad), None)
        seen.add(first)
        if first:
            assert given.startswith("/".join(first))
        else:
            assert given[4][0][SUITE] == drawn[-1][0]
            assert given[4][0]["run_spec.name"] == drawn[-1][1]
    assert len(seen) > 2


def test_no_name_is_on_both_sides_and_each_run_keeps_its_own_truth(outputs: Path, tmp_path: Path) -> None:
    for seed in range(6):
        *train, held_out = (GIVEN[index] for index in random.Random(seed).sample(range(8), 3))
        given = answer(Predictor, seed, outputs, tmp_path / "cache")
        specs, _, stats, _, (spec,), states, truth, _ = given
        assert (spec[SUITE], spec["run_spec.name"]) == held_out
        assert {row["run_spec.name"] for row in specs}.isdisjoint([held_out[1]])
        assert {(row[SUITE], row["run_spec.name"]) for row in specs} >= {one for one in train if one[1] != held_out[1]}
        assert truth[0]["stats.mean"] == GIVEN.index(held_out) / 8
        assert [row["stats.mean"] for row in stats[::2]] == [
            GIVEN.index((row[SUITE], row["run_spec.name"])) / 8 for row in specs
        ]
        assert len(states) == 2


def test_a_source_may_be_written_in_any_way(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(outputs)
    ways = [
        outputs.parent / "link",
        outputs / "runs",
        str(outputs / "runs" / "*"),
        str(outputs / "runs" / "*" / "*"),
        HelmOutputs(outputs),
        HelmOutputs(outputs).suites(),
        [outputs / "runs" / "v1", outputs / "runs" / "v2"],
        [outputs, outputs / "runs" / "v2" / "ebb", tmp_path / "link" / "runs" / "v1"],
        sorted((outputs / "runs").glob("*/*")),
    ]
    for seed in range(3):
        expected = answer(Predictor, seed, outputs, tmp_path / "cache")
        assert [way for way in ways if answer(Predictor, seed, way, tmp_path / "cache") != expected] == []


def test_one_run_reached_by_two_ways_is_one_run(outputs: Path, tmp_path: Path) -> None:
    """A release and a suite that is a link name the runs of a store that lies elsewhere."""
    linked = tmp_path / "linked"
    (linked / "runs").mkdir(parents=True)
    (linked / "runs" / "v1").symlink_to(outputs / "runs" / "v1")
    (linked / "releases" / "r").mkdir(parents=True)
    listed = json.dumps(dict.fromkeys(NAMES, "v1"))
    (linked / "releases" / "r" / "runs_to_run_suites.json").write_text(listed)
    source = [linked / "releases" / "r", linked / "runs", outputs / "runs" / "v1"]
    for seed in range(4):
        expected = answer(Predictor, seed, outputs / "runs" / "v1", tmp_path / "cache")
        assert answer(Predictor, seed, source, tmp_path / "cache") == expected
        assert answer(Predictor, seed, source, tmp_path / f"cache {seed}") == expected
