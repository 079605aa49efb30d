"""What is small in a file and large in memory: many elements, many values in one, a long one, many unknown keys."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, write_run
from reading import ingest_in_batches_of_one

from magnet_arrow import HelmRuns, ingest, verify
from magnet_arrow.decode import anomalies, limits
from magnet_arrow.ingestion import run_reader
from magnet_arrow.records import stat_builders

N = 500
FILES = ("scenario_state", "stats", "per_instance_stats", "instances", "display_requests", "display_predictions")


def _lower(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits, "MAX_ELEMENTS", 64)
    patch.setattr(limits, "MAX_VALUES", 2_000)
    patch.setattr(limits, "PART_VALUES", 256)


@pytest.fixture(autouse=True)
def _low(monkeypatch: pytest.MonkeyPatch) -> None:
    _lower(monkeypatch)


def _written(tmp_path: Path, name: str, value: Any, indent: int | None = None) -> Path:
    """A run with one file replaced; a scenario state has its request states replaced."""
    run = make_run(f"a:x={name}", n_instances=3)
    folder = write_run(tmp_path / "outputs", run)
    whole = run["scenario_state"] | {"request_states": value} if name == "scenario_state" else value
    (folder / f"{name}.json").write_text(json.dumps(whole, indent=indent))
    return tmp_path / "outputs"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int | None, bool, int], dict[str, int]]:
    """How many rows each table has of a dump in which a run for each of `FILES` has that file full of elements."""

    @cache
    def ingested(indent: int | None, partial: bool, block: int) -> dict[str, int]:
        folder = tmp_path_factory.mktemp("crowded")
        for name in FILES:
            outputs = _written(folder, name, [{}, None] * (N // 2), indent)
        with pytest.MonkeyPatch.context() as patch:
            _lower(patch)
            for module in (limits, run_reader):
                patch.setattr(module, "BLOCK_BYTES", block)
            report = ingest_in_batches_of_one(outputs, folder / "cache", workers=1, partial=partial)
            assert (report.runs, report.rejected) == (len(FILES), ())
            assert verify(outputs, folder / "cache").is_equal
        return dict(report.rows)

    return ingested


@pytest.mark.parametrize(
    "partial", [pytest.param(False, id="whole"), pytest.param(True, id="partial", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("indent", "block"),
    [
        pytest.param(None, 1_000, id="one line, long"),
        pytest.param(2, limits.BLOCK_BYTES, id="HELM's layout, short"),
        pytest.param(None, limits.BLOCK_BYTES, id="one line, short", marks=pytest.mark.slow),
        pytest.param(2, 1_000, id="HELM's layout, long", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_many_elements_are_rows(
    name: str,
    indent: int | None,
    partial: bool,
    block: int,
    rows: Callable[[int | None, bool, int], dict[str, int]],
) -> None:
    # An entry without stats has no row; one that is no object has one.
    crowded = N // 2 if name == "per_instance_stats" else N
    # The five other runs have the file as it was, if HELM writes it: 2 stats, 3 states, and 2 stats of 3 instances.
    others = {"stats": 2, "scenario_state": 3, "per_instance_stats": 6}.get(name, 0)
    assert rows(indent, partial, block)[name] == crowded + (len(FILES) - 1) * others


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stats", [{"count": 1}, {f"k{number}": number for number in range(2_100)}]),
        ("per_instance_stats", [{"instance_id": "a"}, {"instance_id": "b", "stats": [{}] * 2_100}]),
        ("scenario_state", [{}, {"result": {"completions": [{"tokens": [{}] * 2_100}]}}]),
    ],
)
def test_an_element_of_too_many_values_is_rejected_by_name(name: str, value: list[Any], tmp_path: Path) -> None:
    outputs = _written(tmp_path, name, value)
    [rejected] = ingest(outputs, tmp_path / "cache", workers=1).rejected
    path = "$.request_states[1]" if name == "scenario_state" else "$[1]"
    assert (rejected.file, rejected.json_path) == (f"{name}.json", path)
    assert rejected.byte == next(outputs.rglob(f"{name}.json")).read_text().index(json.dumps(value[1]))
    assert (rejected.expected, rejected.found) == ("an element of at most 2,000 values", "more")
    assert "leave the run out" in (rejected.hint or "")


def test_commas_in_texts_are_no_values(tmp_path: Path) -> None:
    outputs = _written(tmp_path, "stats", [{"name": {"name": "m" + "," * 5_000}, "mean": None}] * 3)
    report = ingest(outputs, tmp_path / "cache", workers=1)
    assert (report.runs, report.rejected) == (1, ())
    assert HelmRuns(outputs, cache=tmp_path / "cache").stats().height == 3


def test_an_entry_of_too_many_stats_is_rejected_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_builders, "MAX_ROWS_AT_ONCE", 300)
    outputs = _written(tmp_path, "per_instance_stats", [{"instance_id": "a", "stats": [{"count": 1}] * 301}])
    [rejected] = ingest(outputs, tmp_path / "cache", workers=1).rejected
    assert (rejected.json_path, rejected.byte) == ("$[0]", 1)
    assert (rejected.expected, rejected.found) == ("an entry of at most 300 stats", "one of 301")


def test_an_element_as_long_as_a_file_may_not_be_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (limits, run_reader):
        monkeypatch.setattr(module, "BLOCK_BYTES", 16_000)
    monkeypatch.setattr(limits, "CHUNK_BYTES", 4_000)
    monkeypatch.setattr(limits, "MAX_ELEMENT_BYTES", 20_000)
    long = {"instance_id": "b", "stats": [{"name": {"name": "n" * 20_000}}]}
    outputs = _written(tmp_path, "per_instance_stats", [{"instance_id": "a"}, long, {"instance_id": "c"}], 2)
    [rejected] = ingest(outputs, tmp_path / "cache", workers=1).rejected
    assert (rejected.file, rejected.json_path) == ("per_instance_stats.json", "$[1]")
    assert (rejected.expected, rejected.found) == ("an element", "one of more than 20 kB")


def test_unexpected_places_past_a_number_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anomalies, "MAX_PLACES", 10)
    outputs = _written(tmp_path, "stats", [{f"k{number}": number for number in range(25)}])
    odd = ingest(outputs, tmp_path / "cache", workers=1).unexpected
    assert odd == {("unknown field", f"stats.json $[].k{number}"): 1 for number in range(10)} | {
        ("unknown field", "stats.json $ (other paths)"): 15
    }
    assert verify(outputs, tmp_path / "cache").is_equal
