"""Which tables a run was read for is known whatever becomes of its segment, and if others ingest it too."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from makedump import make_run, write_runs

from magnet_arrow import Cache, HelmRuns, ingest, verify
from magnet_arrow.errors import ColumnNotFoundError
from magnet_arrow.ingestion.api import prepare
from magnet_arrow.ingestion.parallel.settings import WorkerSettings
from magnet_arrow.ingestion.rules import Rules

OLD = Path(__file__).parents[1] / "data/cache_v1/cache"


def chosen(cache: Path) -> list[tuple[str, ...] | None]:
    held = Cache(cache).snapshot().runs
    return [held[key].entry.chosen for key in sorted(held)]


def test_there_must_be_a_table_of_that_name(outputs: Path, cache: Path) -> None:
    with pytest.raises(ColumnNotFoundError, match="no table 'stat'"):
        ingest(outputs, cache, tables=["stat"])
    assert ingest(outputs, cache, tables="stats").rows["stats"] == 6
    assert not cache.joinpath("scenario_state").exists()


def test_merged_segments(outputs: Path, cache: Path) -> None:
    first, second, third = sorted((outputs / "runs/made").iterdir())
    ingest(first, cache, tables=["stats"])
    ingest(second, cache, tables=["scenario_state"])
    ingest(third, cache)
    before = chosen(cache)
    assert before == [("run_spec", "stats"), ("run_spec", "scenario_state"), None]
    Cache(cache).compact(grace_s=0)
    assert len(Cache(cache).snapshot().manifest.segments) == 1
    assert chosen(cache) == before
    assert verify(outputs, cache).is_equal
    assert ingest([first, second], cache, tables=["run_spec"]).skipped == 2
    report = ingest(outputs, cache, tables=["stats"])
    assert (report.runs, report.skipped) == (1, 2)
    assert chosen(cache) == [("run_spec", "stats"), ("run_spec", "scenario_state", "stats"), None]


def test_a_damaged_run_is_read_for_the_tables_that_it_had(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache, tables=["stats", "scenario_state"])
    [file] = (cache / "stats").iterdir()
    file.write_bytes(file.read_bytes()[:-8])
    report = ingest(outputs, cache, tables=["per_instance_stats"])
    assert report.runs == 3
    assert set(chosen(cache)) == {("per_instance_stats", "run_spec", "scenario_state", "stats")}
    for file in (cache / "stats").iterdir():
        file.write_bytes(file.read_bytes()[:-8])
    assert ingest(outputs, cache, tables=["run_spec"]).runs == 3
    assert HelmRuns(outputs, cache=cache).stats().height == 6
    assert len(chosen(cache)[0] or ()) == 4


def test_what_another_ingest_committed_meanwhile(outputs: Path, tmp_path: Path) -> None:
    for name, tables, after in (
        ("fewer", {"stats"}, None),
        ("others", {"scenario_state"}, ("run_spec", "scenario_state")),
    ):
        cache = tmp_path / name
        late = prepare(outputs, cache, rules=Rules(tables=frozenset(tables)))
        ingest(outputs, cache, tables=None if name == "fewer" else ["stats"])
        late.execute(WorkerSettings(1), progress=False)
        assert set(chosen(cache)) == {after}, name
        assert verify(outputs, cache).is_equal
        assert Cache(cache).check().damages == ()


def test_a_strict_ingest_adds_no_table_with_unknown_fields(outputs: Path, cache: Path) -> None:
    for file in (outputs / "runs/made").glob("*/stats.json"):
        file.write_text(file.read_text().replace('"mean"', '"men"'))
    assert ingest(outputs, cache, tables=["scenario_state"], strict=True).rejected == ()
    report = ingest(outputs, cache, strict=True, tables=["stats"])
    assert (report.runs, len(report.rejected)) == (0, 3)
    assert set(chosen(cache)) == {("run_spec", "scenario_state")}
    assert ingest(outputs, cache, tables=["stats"]).runs == 3


def test_a_cache_of_before_has_all_tables() -> None:
    entries = Cache(OLD).snapshot().entries.values()
    assert {(run.entry.chosen, run.entry.tables_left_out) for run in entries} == {(None, frozenset())}


def test_what_is_written_says_it_in_a_new_format(outputs: Path, cache: Path) -> None:
    ingest(outputs, cache, tables=["stats"])
    assert Cache(cache).path.joinpath("manifest.json").read_bytes().startswith(b'{"format":4,')


TABLES = ("scenario_state", "stats", "per_instance_stats", "instances", "files")
STEPS = st.lists(
    st.tuples(st.just("ingest"), st.none() | st.lists(st.sampled_from(TABLES), max_size=2))
    | st.tuples(st.just("frame"), st.sampled_from(TABLES))
    | st.tuples(st.just("change"), st.sampled_from(("stats", "notes", "instances")))
    | st.tuples(st.just("compact"), st.none()),
    min_size=2,
    max_size=6,
)


@pytest.mark.slow
@given(steps=STEPS)
def test_a_run_never_loses_a_table(steps: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("steps")
    outputs, cache = folder / "outputs", folder / "cache"
    first, *_ = write_runs(outputs, [make_run(name) for name in ("a:x=1", "b:x=2")])
    held: set[str] = set()
    is_new = True
    for number, (what, value) in enumerate(steps):
        if what == "change":
            (first / f"{value}.json").write_text(json.dumps([{"id": f"id{number}"}] * number))
            continue
        if what == "compact":
            Cache(cache).compact(grace_s=0)
            continue
        if what == "ingest":
            assert ingest(outputs, cache, tables=value).rejected == ()
            assert ingest(outputs, cache, tables=value).runs == 0
            held.update(TABLES if value is None else value)
        else:
            HelmRuns(outputs, cache=cache).scan(value).collect()
            held.update(TABLES if is_new else [value])
        is_new = False
        assert all(run.entry.has_all_of(frozenset(held)) for run in Cache(cache).snapshot().runs.values())
        assert verify(outputs, cache).is_equal
