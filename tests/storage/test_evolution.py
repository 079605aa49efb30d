"""Columns of another schema read under this one."""

import json

import pyarrow as pa
import pytest

from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import EXTRA, TABLES
from magnet_arrow.storage.segments import evolution


@pytest.mark.skipif(registry.SCHEMA_VERSION > 1, reason="they are those of version 1")
@pytest.mark.parametrize("table", TABLES)
def test_the_columns_of_version_1_are_written_down(table: str) -> None:
    """A new column, or another order, is a new version: caches of version 1 are read by these."""
    assert evolution.columns_of_version_1(table) == tuple(TABLES[table].names)


def test_bits_follow_the_names_that_they_stand_for() -> None:
    names = TABLES["stats"].names
    columns = ("stats.mean", "a column that is gone", "stats.count")
    assert evolution.registered_bits("stats", columns, "7") == sum(
        1 << names.index(name) for name in ("stats.mean", "stats.count")
    )
    assert evolution.registered_bits("stats", columns, "2") == 0


def test_only_columns_that_occur_are_named() -> None:
    bits = {name: 1 << TABLES["stats"].names.index(name) for name in ("stats.count", "stats.sum", "stats.mean")}
    first, second = bits["stats.count"] | bits["stats.mean"], bits["stats.sum"]
    columns, packed = evolution.named_bits("stats", [first, second, first])
    assert columns == ("stats.count", "stats.sum", "stats.mean")
    assert packed == {first: 0b101, second: 0b010}


def columns(**stored: pa.Array) -> pa.Schema:
    return pa.schema([(name.replace("__", "."), column.type) for name, column in stored.items()])


def test_a_changed_type_keeps_what_does_not_fit() -> None:
    """As an ingest would: numbers that are none are in the residual, and so are members that nobody declares."""
    count = pa.array(["two", None, "4"])
    found = evolution.others(TABLES["stats"], columns(stats__count=count), {}, {})
    adapted = evolution.adapted({"stats.count": count, EXTRA: pa.array([None, '{"/x":1}', '{"/y":2}'])}, found)
    assert adapted["stats.count"].to_pylist() == [None, None, None]
    assert adapted["stats.count"].type == pa.int64()
    assert [text and json.loads(text) for text in adapted[EXTRA].to_pylist()] == [
        {"/count": "two"},
        {"/x": 1},
        {"/count": "4", "/y": 2},
    ]


def test_a_column_found_in_the_data_that_is_registered_by_now() -> None:
    """Its texts were JSON where values of several kinds were met; 16 | 1 is text and integers."""
    path = "run_spec.adapter_spec.instructions"
    found = evolution.others(TABLES["run_spec"], pa.schema([(path, pa.string())]), {path: 16 | 1}, {})
    stored = {path: pa.array(['"a"', "1", None]), EXTRA: pa.nulls(3, pa.string())}
    adapted = evolution.adapted(stored, found)
    assert adapted[path].to_pylist() == ["a", None, None]
    assert adapted[EXTRA].to_pylist() == [None, '{"/adapter_spec/instructions":1}', None]
    assert evolution.bits_found("run_spec", [path, "other"]) == 1 << TABLES["run_spec"].names.index(path)


def test_a_column_beside_the_element_stands_beside_it_in_the_residual() -> None:
    gone = "per_instance_stats.stats.gone"
    found = evolution.others(TABLES["per_instance_stats"], pa.schema([(gone, pa.int64())]), {}, {})
    adapted = evolution.adapted({gone: pa.array([1, None]), EXTRA: pa.array(['{"/a":0}', None])}, found)
    assert adapted.keys() == {EXTRA}
    assert adapted[EXTRA].to_pylist() == ['{"/a":0,"~beside":{"/gone":1}}', None]


def test_members_of_objects_in_lists_come_and_go() -> None:
    """`args` is JSON text, in the file's footer as in the registry."""
    name = "run_spec.metric_specs"
    item = pa.struct([("args", pa.string()), ("gone", pa.string())])
    stored = pa.array([[{"args": '{"k":1}', "gone": "x"}], None], pa.list_(item))
    told = {evolution.JSON_TEXT_KEY: json.dumps([f"{name}.list.element.args"]).encode()}
    found = evolution.others(TABLES["run_spec"], pa.schema([(name, stored.type)]), {}, told)
    adapted = evolution.adapted({name: stored, EXTRA: pa.nulls(2, pa.string())}, found)
    assert adapted[name].to_pylist() == [[{"class_name": None, "args": '{"k":1}'}], None]
    assert adapted[EXTRA].to_pylist() == ['{"/metric_specs/0/gone":"x"}', None]
