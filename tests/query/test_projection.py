"""Which columns a frame has, of which types: a matter of the chosen runs alone."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from makesegment import commit_runs, key_of

from magnet_arrow.errors import ColumnNotFoundError, SettingError
from magnet_arrow.query.polars_types import frame_schema, polars_type
from magnet_arrow.query.projection import projected_columns
from magnet_arrow.schema import registry
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

STATS = registry.table("stats")
OWN = "stats.name.perturbation"


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Two segments; `n` is an integer in `a`, a float in `b`, a text in `c`, null in `d`."""
    commit_runs(tmp_path, {"a": [{"n": 1, "prob": 0.5}], "b": [{"n": 0.5}]})
    return commit_runs(tmp_path, {"c": [{"n": "x"}], "d": [{"n": None}], "e": [1, 2], "f": []})


def chosen(snapshot: Snapshot, folders: str) -> list[CachedRun]:
    return snapshot.chosen([key_of(folder) for folder in folders])


@pytest.mark.parametrize(
    ("folders", "dtype"),
    [("a", pl.Int64), ("b", pl.Float64), ("ab", pl.Float64), ("c", pl.String), ("abc", pl.String), ("ad", pl.Int64)],
)
def test_the_type_of_a_column_found_in_the_data(snapshot: Snapshot, folders: str, dtype: pl.DataType) -> None:
    projection = projected_columns(STATS, chosen(snapshot, folders), "occurring")
    assert frame_schema(projection)[f"{OWN}.n"] == dtype


def test_columns_that_occur_are_the_run_and_then_by_code_point(snapshot: Snapshot) -> None:
    def names(folders: str) -> list[str]:
        return [column.name for column in projected_columns(STATS, chosen(snapshot, folders), "occurring")]

    assert names("ae") == ["run_spec.name", "stats.mean", "stats.name.name", f"{OWN}.n", f"{OWN}.prob"]
    assert names("e") == ["run_spec.name", "stats.mean"]
    assert names("f") == names("") == ["run_spec.name"]


def test_registered_columns_are_the_same_whatever_the_runs(snapshot: Snapshot) -> None:
    names = [column.name for column in projected_columns(STATS, chosen(snapshot, "a"), "registered")]
    assert names == [name for name in STATS.names if name not in STATS.hidden]
    assert projected_columns(STATS, (), "registered") == projected_columns(STATS, chosen(snapshot, "c"), "registered")


def test_named_columns_are_those_as_they_are_named(snapshot: Snapshot) -> None:
    names = ["stats.mean", "magnet.row", f"{OWN}.n"]
    assert [column.name for column in projected_columns(STATS, chosen(snapshot, "a"), names)] == names
    with pytest.raises(ColumnNotFoundError, match=r"no column 'stats\.name\.perturbation\.m'"):
        projected_columns(STATS, chosen(snapshot, "a"), [f"{OWN}.m"])
    with pytest.raises(ColumnNotFoundError, match="Did you mean"):
        projected_columns(STATS, chosen(snapshot, "e"), ["stats.men"])  # `n` is not of this run
    with pytest.raises(SettingError, match="'regstered' says no columns"):
        projected_columns(STATS, chosen(snapshot, "a"), "regstered")  # type: ignore[arg-type]


def test_lists_and_structs_have_polars_types() -> None:
    arrow = pa.list_(pa.struct([pa.field("a", pa.list_(pa.string()))]))
    assert polars_type(arrow) == pl.List(pl.Struct({"a": pl.List(pl.String)}))
    assert polars_type(pa.null()) == pl.Null
