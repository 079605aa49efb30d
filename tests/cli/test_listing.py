from pathlib import Path

import pytest
from makedump import make_run, write_runs

from magnet_arrow.cache import Cache
from magnet_arrow.cli.listing import cached_runs, columns, first_rows, source_runs, sources
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
    frame = columns("stats")
    assert frame.columns == ["name", "type", "nullable", "description"]
    assert frame["name"][0] == "run_spec.name"
    assert frame.filter(frame["name"] == "stats.mean")["type"].item() == "double"
