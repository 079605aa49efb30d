from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_runs

from magnet_arrow.cache import Cache
from magnet_arrow.cli.listing import (
    cached_runs,
    columns,
    first_rows,
    matching,
    records,
    source_runs,
    sources,
    values,
)
from magnet_arrow.errors import NoRunsError
from magnet_arrow.ingestion.api import ingest

NAMES = [f"tide:n={number}" for number in range(5)]


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Five runs of 1 to 5 instances."""
    write_runs(tmp_path / "outputs", [make_run(name, n_instances=n) for n, name in enumerate(NAMES, 1)])
    return tmp_path / "outputs"


def test_a_run_spec_that_cannot_be_read_leaves_the_others_listed(outputs: Path) -> None:
    for name in NAMES[1:4:2]:
        (outputs / "runs" / "made" / name / "run_spec.json").write_text("{")
    listed = source_runs(outputs, Cache())
    assert listed["run"].to_list() == NAMES
    assert listed["model"].to_list() == ["made/heron-2b", None, "made/heron-2b", None, "made/heron-2b"]


def test_rows_are_shown_of_what_is_cached(outputs: Path) -> None:
    ingest(outputs, runs="*[02]")
    assert source_runs(outputs, Cache())["scenario_state"].to_list() == [1, None, 3, None, None]
    assert cached_runs(Cache()).select("run", "scenario_state").rows() == [("tide:n=0", 1), ("tide:n=2", 3)]


def test_sources_are_counted_apart(outputs: Path, tmp_path: Path) -> None:
    write_runs(tmp_path / "others", [make_run("tide:n=0")])
    ingest([outputs, tmp_path / "others"])
    sizes = [
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        for path in (tmp_path / "others", outputs)
    ]
    found = sources(Cache()).select("source", "runs", "size_bytes", "stats").rows()
    assert found == [
        (str((tmp_path / "others").resolve()), 1, sizes[0], 2),
        (str(outputs.resolve()), 5, sizes[1], 10),
    ]


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        ("*", ["tide:n=0", "tide:n=1", "tide:n=1", "tide:n=2"]),
        ("tide:n=[34]", ["tide:n=3"] * 4),
        ("tide:n=1", ["tide:n=1"] * 2),
    ],
)
def test_the_first_rows_come_from_as_few_runs_as_needed(outputs: Path, runs: str, names: list[str]) -> None:
    ingest(outputs)
    frame = first_rows(Cache(), "scenario_state", runs=runs, columns=["run_spec.name"], rows=4)
    assert frame["run_spec.name"].to_list() == names


def test_an_empty_cache_and_a_pattern_without_match_are_told_apart(outputs: Path) -> None:
    with pytest.raises(NoRunsError, match="is empty"):
        first_rows(Cache(), "stats", runs="*", columns="occurring", rows=1)
    ingest(outputs)
    with pytest.raises(NoRunsError, match="No run in the cache matches 'x'") as caught:
        first_rows(Cache(), "stats", runs="x", columns="occurring", rows=1)
    assert caught.value.found == "5 others, such as tide:n=0"


def test_a_tables_columns_are_rows() -> None:
    frame = columns(["run_spec", "stats"])
    assert frame.columns == ["table", "name", "type", "nullable", "description"]
    assert frame["name"][0] == "run_spec.name"
    assert frame.filter(table="stats", name="stats.mean")["type"].item() == "double"


LISTED = pl.DataFrame(
    [
        ("tide:n=0", "made/owl-7b", "TideScenario", False),
        ("tide:n=1", "made/finch-1b", "TideScenario", None),
        ("moon", "other/owl-7b", "MoonScenario", True),
        ("unreadable", None, None, None),
    ],
    schema=["run", "model", "scenario", "partial"],
    orient="row",
)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ({}, ["tide:n=0", "tide:n=1", "moon", "unreadable"]),
        ({"model": "*owl*"}, ["tide:n=0", "moon"]),
        ({"model": "*owl*", "scenario": "Tide*"}, ["tide:n=0"]),
        ({"run": "tide:n=[12]"}, ["tide:n=1"]),
        ({"incomplete": True}, ["tide:n=1", "moon", "unreadable"]),
        ({"model": "made/*", "incomplete": True}, ["tide:n=1"]),
        ({"model": "made/owl-7b", "incomplete": True}, []),
    ],
    ids=str,
)
def test_a_list_is_filtered_by_patterns(patterns: dict[str, Any], found: list[str]) -> None:
    assert matching(LISTED, **patterns)["run"].to_list() == found


def test_a_pattern_that_matches_nothing_says_what_there_is() -> None:
    with pytest.raises(NoRunsError, match=r"No model matches 'made/owl-8b'") as caught:
        matching(LISTED, model="made/owl-8b")
    assert caught.value.found == "3 models: made/owl-7b, made/finch-1b, other/owl-7b"
    with pytest.raises(NoRunsError) as caught:
        matching(LISTED, model="other/*", scenario="Tide*")
    assert caught.value.found == "1 scenario: MoonScenario"


def test_a_wide_frame_is_turned() -> None:
    frame = pl.DataFrame({"a.b": ["x", None], "l": [[1, 2], []]})
    assert records(frame).rows() == [("a.b", "String", "x", "–"), ("l", "List(Int64)", "[1, 2]", "[]")]
    assert values(frame).rows() == [
        (0, "a.b", "String", "x"),
        (0, "l", "List(Int64)", "[1, 2]"),
        (1, "a.b", "String", "–"),
        (1, "l", "List(Int64)", "[]"),
    ]
