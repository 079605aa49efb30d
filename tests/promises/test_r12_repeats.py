"""What stands once in a file and belongs to each of its rows is kept once, not once a row."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from makedump import Run, make_run, request_state, stat, write_runs

from magnet_arrow import Cache, HelmRuns, ingest, verify
from magnet_arrow.records import table_builders
from magnet_arrow.storage.segments import writer as segment_writer

ROWS = 500
TEXT = "t" * 60_000
STATE, ENTRIES = "scenario_state", "per_instance_stats"

POOLS: list[pa.MemoryPool] = []
"""Never freed: what they gave may be held for longer than a test lasts."""

Change = Callable[[Run], None]


def in_adapter_spec(**values: Any) -> Change:
    return lambda run: run[STATE]["adapter_spec"].update(values)


def beside_states(**values: Any) -> Change:
    return lambda run: run[STATE].update(values)


def in_perturbation(**values: Any) -> Change:
    return lambda run: run[ENTRIES][0].update(perturbation={"name": "typos", **values})


def in_entry(**values: Any) -> Change:
    return lambda run: run[ENTRIES][0].update(values)


CASES: dict[str, tuple[str, Change, str, Any]] = {
    "instructions": (STATE, in_adapter_spec(instructions=TEXT), "adapter_spec.instructions", TEXT),
    "stop sequences": (STATE, in_adapter_spec(stop_sequences=[TEXT, "x"]), "adapter_spec.stop_sequences", [TEXT, "x"]),
    "substitutions": (
        STATE,
        in_adapter_spec(substitutions=[{"source": TEXT, "target": "y"}]),
        "adapter_spec.substitutions",
        [{"source": TEXT, "target": "y"}],
    ),
    "annotators": (
        STATE,
        beside_states(annotator_specs=[{"class_name": "made.A", "args": {"a": TEXT}}]),
        "annotator_specs",
        [{"class_name": "made.A", "args": f'{{"a":"{TEXT}"}}'}],
    ),
    "an unknown member": (STATE, beside_states(unknown=TEXT), "adapter_spec.method", "generation"),
    "an instance's id": (ENTRIES, in_entry(instance_id=TEXT), "instance_id", TEXT),
    "an unknown field of an entry": (ENTRIES, in_entry(unknown=TEXT), "instance_id", "id0"),
    "a perturbation's name": (ENTRIES, in_perturbation(name=TEXT), "perturbation.name", TEXT),
    "its own parameter": (ENTRIES, in_perturbation(own=TEXT), "perturbation.own", TEXT),
    "its own list": (ENTRIES, in_perturbation(own=[TEXT, "z"]), "perturbation.own", [TEXT, "z"]),
    "its own object": (ENTRIES, in_perturbation(own={"b": TEXT}), "perturbation.own", f'{{"b":"{TEXT}"}}'),
    "a parameter that can't be a column": (
        ENTRIES,
        in_perturbation(**{"own\0": TEXT}),
        "perturbation",
        f'{{"own\\u0000":"{TEXT}"}}',
    ),
    "many parameters": (
        ENTRIES,
        in_perturbation(**{f"own{number}": TEXT[:600] for number in range(100)}),
        "perturbation",
        json.dumps({f"own{number}": TEXT[:600] for number in range(100)}, separators=(",", ":")),
    ),
}


def made(change: Change) -> Run:
    run = make_run("tide:model=heron", n_instances=1)
    run[STATE]["request_states"] = [request_state("id0")] * ROWS
    run[ENTRIES][0]["stats"] = [stat("exact_match", 0.5)] * ROWS
    change(run)
    return run


@pytest.fixture
def arrow_peak(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Bytes that Arrow held at most since the test began."""
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    monkeypatch.setattr(pa, "default_memory_pool", lambda: before)
    yield lambda: pool.max_memory() or 0
    pa.set_memory_pool(before)


FEW = ("instructions", "its own object")


@pytest.mark.parametrize(
    "case", [case if case in FEW else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_it_is_kept_once(case: str, tmp_path: Path, arrow_peak: Callable[[], int]) -> None:
    table, change, column, expected = CASES[case]
    outputs, cache = tmp_path / "benchmark_output", tmp_path / "cache"
    write_runs(outputs, [made(change), make_run("tide:model=wren")])
    assert ingest(outputs, cache, workers=1).runs == 2
    write_runs(outputs, [make_run("tide:model=gull")], suite="more")
    ingest(outputs, cache, workers=1)
    assert Cache(cache).compact().segments_after == 1
    assert Cache(cache).check().damages == ()
    # Once a row, it would take 30 MB.
    assert 0 < arrow_peak() < 15_000_000
    for file in (cache / table).glob("*.parquet"):  # the one that was compacted, and those before
        assert pq.read_metadata(file).row_group(0).total_byte_size < 1_000_000

    frame = HelmRuns(outputs / "runs" / "made", cache=cache).scan(table).collect()
    found = frame.filter(pl.col("run_spec.name") == "tide:model=heron")[f"{table}.{column}"]
    assert found.to_list() == [expected] * ROWS
    assert verify(outputs, cache).is_equal


def test_repeated_lists_bound_a_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """50 rows of a list of 100 items, 16 bytes each by our count: a group of 16,000 bytes has 10 rows."""
    monkeypatch.setattr(segment_writer, "PART_BYTES", 16_000)
    names = [f"s{number}" for number in range(100)]
    run = make_run("tide:model=heron", n_instances=1)
    run[STATE]["adapter_spec"]["stop_sequences"] = names
    run[STATE]["request_states"] = [request_state(f"id{number}") for number in range(50)]
    outputs, cache = tmp_path / "benchmark_output", tmp_path / "cache"
    write_runs(outputs, [make_run("tide:model=gull"), run, make_run("tide:model=wren")])
    ingest(outputs, cache, workers=1)
    [file] = (cache / STATE).glob("*.parquet")
    metadata = pq.read_metadata(file)
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert sum(groups) == 54
    assert max(groups) <= 12  # those of the other runs have lists of one item

    frame = HelmRuns(outputs / "runs" / "made", cache=cache).scan(STATE).collect()
    assert frame[f"{STATE}.adapter_spec.stop_sequences"].to_list() == [["\n"]] * 2 + [names] * 50 + [["\n"]] * 2
    ids = frame[f"{STATE}.request_states.instance.id"].to_list()
    assert ids == ["id0", "id1", *(f"id{number}" for number in range(50)), "id0", "id1"]
    assert verify(outputs, cache).is_equal


def test_lists_that_would_fill_a_disk_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_builders, "MAX_ITEMS", 99)
    run = make_run("tide:model=heron", n_instances=10)
    run[STATE]["adapter_spec"]["stop_sequences"] = ["x"] * 10
    outputs = tmp_path / "benchmark_output"
    write_runs(outputs, [run, make_run("tide:model=wren")])
    report = ingest(outputs, tmp_path / "cache", workers=1)
    assert report.runs == 1
    [rejected] = report.rejected
    assert rejected.file == "scenario_state.json"
    assert "at most 99 items in all rows together, found 10 items for each of 10 rows" in rejected.reason
