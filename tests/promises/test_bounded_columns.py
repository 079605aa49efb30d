"""However many keys a dump invents, the number of columns stays bounded, and no value is lost."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_runs
from reading import cached_places, read
from reference import ARGS, STATE, TABLES, compare, tables

from magnet_arrow.cache import Cache
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.storage.manifest import read_manifest

EXTRA = f"{STATE}.instance.extra_data"
MAX_COLUMNS = 1024


def assert_equal_to_source(outputs: Path, cache: Path) -> None:
    places = cached_places(outputs, cache)
    for table in TABLES:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, cache)) == [], table


def test_130_scenarios_and_2000_annotation_keys(tmp_path: Path) -> None:
    made = [
        make_run(
            f"scenario{number}:subject=s{number}",
            args={"subject": f"s{number}", f"own_{number}": number},
            annotations=[{f"key_{number}_{key}": {"score": key} for key in range(50)}] if number < 40 else [],
        )
        for number in range(130)
    ]
    write_runs(tmp_path / "outputs", made)
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert (report.runs, report.rejected) == (130, ())
    assert_equal_to_source(tmp_path / "outputs", tmp_path / "cache")
    places = cached_places(tmp_path / "outputs", tmp_path / "cache")
    specs = read(places, "run_spec", tmp_path / "cache")
    assert sorted(specs[f"{ARGS}.subject"].to_list()) == sorted(f"s{number}" for number in range(130))
    assert len([column for column in specs.columns if column.startswith(f"{ARGS}.")]) == 131
    states = read(places, "scenario_state", tmp_path / "cache")
    plain = read(places[-1:], "scenario_state", tmp_path / "cache")
    assert set(states.columns) - set(plain.columns) <= {f"{STATE}.annotations"}
    assert states.schema[f"{STATE}.annotations"] == pl.String


def test_an_object_of_65_keys_is_json_text_in_its_run_only(tmp_path: Path) -> None:
    wide = {f"k{number}": number for number in range(65)}
    fits = {f"k{number}": number for number in range(64)}
    write_runs(tmp_path / "outputs", [make_run("a", extra_data=[wide, {"k0": 0}]), make_run("b", extra_data=[fits])])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    assert_equal_to_source(tmp_path / "outputs", tmp_path / "cache")
    a, b = cached_places(tmp_path / "outputs", tmp_path / "cache")
    cells = read([a], "scenario_state", tmp_path / "cache")[EXTRA].to_list()
    assert [json.loads(cell) for cell in cells] == [wide, {"k0": 0}]
    columns = read([b], "scenario_state", tmp_path / "cache").columns
    assert len([column for column in columns if column.startswith(f"{EXTRA}.k")]) == 64
    assert EXTRA not in columns


def test_keys_that_change_from_row_to_row_are_counted_over_the_run(tmp_path: Path) -> None:
    extra = [{f"row{number}_{key}": key for key in range(10)} for number in range(7)]
    write_runs(tmp_path / "outputs", [make_run("a", extra_data=extra, n_instances=7)])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    assert_equal_to_source(tmp_path / "outputs", tmp_path / "cache")


# Where a free-form object stands in a row's element, as the residual names it.
POINTERS = {ARGS: "/scenario_spec/args/", EXTRA: "/instance/extra_data/"}


def values_of(row: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The cells that a row has below a prefix, and those in its residual, by key."""
    columns = {name.removeprefix(f"{prefix}."): cell for name, cell in row.items() if name.startswith(f"{prefix}.")}
    extra = json.loads(row["magnet.extra"] or "{}")
    beside = {at.removeprefix(POINTERS[prefix]): cell for at, cell in extra.items() if at.startswith(POINTERS[prefix])}
    return {key: cell for key, cell in columns.items() if cell is not None} | beside


def n_dynamic(frame: pl.DataFrame) -> int:
    return len([column for column in frame.columns if column.startswith((f"{ARGS}.", f"{EXTRA}."))])


def test_of_1500_arguments_1024_are_columns_and_the_rest_is_kept(tmp_path: Path) -> None:
    args = {f"k{number:04}": number for number in range(1500)}
    write_runs(tmp_path / "outputs", [make_run("a", args=args), make_run("b", args={"k0000": 1, "k1499": 2})])
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert (report.runs, report.rejected) == (2, ())
    places = cached_places(tmp_path / "outputs", tmp_path / "cache")
    specs = read(places, "run_spec", tmp_path / "cache", hidden=True)
    # `k1499` is a column of the second run, and stands in the residual of the first: each decides alone.
    assert n_dynamic(specs) == MAX_COLUMNS + 1
    assert n_dynamic(read(places[:1], "run_spec", tmp_path / "cache", hidden=True)) == MAX_COLUMNS
    first, second = specs.to_dicts()
    assert values_of(first, ARGS) == args
    assert values_of(second, ARGS) == {"k0000": 1, "k1499": 2}


@pytest.mark.slow
def test_the_bound_holds_over_many_runs_and_several_ingests(tmp_path: Path) -> None:
    """Each run is far below the bound; together they invent 1,800 arguments, and as much extra data.

    No segment has more columns than the bound, compacted or not, and frames are the same.
    """
    for part in range(3):
        made = []
        for number in range(10):
            own = {f"p{part}_{number}_{key}": key for key in range(60)}
            made.append(make_run(f"r{part}:{number}", args=own, extra_data=[own], n_instances=1))
        write_runs(tmp_path / "outputs", made)
        ingest(tmp_path / "outputs", tmp_path / "cache")
    places = cached_places(tmp_path / "outputs", tmp_path / "cache")
    assert len(places) == 30
    Cache(tmp_path / "cache").compact()
    for segment in read_manifest(tmp_path / "cache").segments:
        assert all(len(table.dynamic) <= MAX_COLUMNS for table in segment.tables.values())
    for table, prefix in (("run_spec", ARGS), ("scenario_state", EXTRA)):
        frame = read(places, table, tmp_path / "cache", hidden=True)
        assert n_dynamic(frame) == n_dynamic(Cache(tmp_path / "cache").scan(table).collect()) == 1800
        for row in frame.to_dicts():
            part, number = row["run_spec.name"].removeprefix("r").split(":")
            assert values_of(row, prefix) == {f"p{part}_{number}_{key}": key for key in range(60)}
