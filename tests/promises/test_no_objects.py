"""An element that is no object is a row of nulls, with the value in `magnet.extra`: counted, and it comes back."""

import json
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, request_state, stat, write_run
from reading import all_tables, cached_places, read

from magnet_arrow import Cache, ingest, verify
from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.restore.run_files import restore
from magnet_arrow.schema.registry import ENTRY, EXTRA, ROW, RUN, RUN_NAME, RUN_TABLES

VALUES: list[Any] = [None, 7, 'say "a": null', True, [], [[], [{}]]]
FILES = {
    "stats": [stat("exact_match", 0.5), stat("f1", 0.25)],
    "per_instance_stats": [{"instance_id": "a", "stats": [stat("f1", 1.0)]}, {"instance_id": "b", "stats": []}],
    "instances": [{"input": {"text": "x"}, "references": [], "id": "a"}],
    "display_predictions": [{"instance_id": "a", "predicted_text": "x", "stats": {"f1": 1}}],
    "display_requests": [{"instance_id": "a", "request": {"prompt": "x"}}],
}
TABLES = [*FILES, "scenario_state"]
EVERYWHERE = {RUN_NAME, RUN, ROW, ENTRY, EXTRA}
LAYOUTS = {"HELM's layout": 2, "on one line": None}


def extra(value: Any, place: str = "") -> str:
    return json.dumps({place: value}, separators=(",", ":"))


@pytest.mark.parametrize("layout", [pytest.param("HELM's layout"), pytest.param("on one line", marks=pytest.mark.slow)])
@pytest.mark.parametrize("table", TABLES)
def test_a_row_of_nulls(table: str, layout: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "outputs", make_run("a:x=1"))
    write_run(tmp_path / "outputs", make_run("b:x=2"))
    elements = FILES.get(table) or [request_state("a"), request_state("b")]
    elements = [elements[0], *VALUES, *elements[1:]]
    path = "$[]"
    content: Any = elements
    if table == "scenario_state":
        content, path = {**make_run("x")[table], "request_states": elements}, "$.request_states[]"
    (folder / f"{table}.json").write_text(json.dumps(content, indent=LAYOUTS[layout]))

    cache = tmp_path / "cache"
    report = ingest(tmp_path / "outputs", cache)
    assert (report.runs, report.rejected) == (2, ())
    assert report.unexpected == {("value of another type", f"{table}.json {path}"): len(VALUES)}

    rows = read(cached_places(tmp_path / "outputs", cache)[:1], table, cache, hidden=True)
    odd = rows.slice(1, len(VALUES))
    assert odd[EXTRA].to_list() == list(map(extra, VALUES))
    filled = {column.name for column in odd if column.null_count() < len(VALUES)} - EVERYWHERE
    if table == "scenario_state":  # what stands beside the request states belongs to these too
        filled = {name for name in filled if ".request_states." in name}
    assert filled == set()
    if table == "per_instance_stats":
        assert rows[ENTRY].to_list() == list(range(1 + len(VALUES)))  # the one without stats has no row

    assert verify(tmp_path / "outputs", cache).is_equal
    snapshot = Cache(cache).snapshot()
    [run] = [run for run in snapshot.runs.values() if run.entry.folder == "a:x=1"]
    restored = restore(snapshot, run, tmp_path / "out") / f"{table}.json"
    assert json.loads(restored.read_text()) == content

    strict = ingest(tmp_path / "outputs", tmp_path / "strict", strict=True)
    [rejected] = strict.rejected
    assert (strict.runs, rejected.file, rejected.json_path) == (1, f"{table}.json", path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_stat_of_an_entry(layout: str, tmp_path: Path) -> None:
    """In its entry's row, whose own fields are there."""
    entries = [
        {"instance_id": "a", "stats": [None]},
        {"instance_id": "b", "stats": [stat("f1", 1.0), *VALUES, stat("f1", 1.0), 7]},
    ]
    folder = write_run(tmp_path / "outputs", make_run("a:x=1"))
    (folder / "per_instance_stats.json").write_text(json.dumps(entries, indent=LAYOUTS[layout]))
    cache = tmp_path / "cache"
    report = ingest(tmp_path / "outputs", cache)
    assert report.unexpected == {("value of another type", "per_instance_stats.json $[].stats[]"): 2 + len(VALUES)}

    rows = read(cached_places(tmp_path / "outputs", cache), "per_instance_stats", cache, hidden=True)
    assert rows["per_instance_stats.instance_id"].to_list() == ["a"] + ["b"] * (3 + len(VALUES))
    assert rows["per_instance_stats.stats.mean"].to_list() == [None, 1.0, *(None for _ in VALUES), 1.0, None]
    beside = [extra(value, f"/stats/{place}") for place, value in enumerate(VALUES, 1)]
    places = [extra(None, "/stats/0"), None, *beside, None, extra(7, f"/stats/{2 + len(VALUES)}")]
    assert rows[EXTRA].to_list() == places
    assert verify(tmp_path / "outputs", cache).is_equal


def test_both_ways_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the layout first, and scanned token by token."""
    folder = write_run(tmp_path / "outputs", make_run("a:x=1"))
    for table in RUN_TABLES:
        if table.name in FILES:
            elements = [*VALUES, *FILES[table.name], *VALUES]
            (folder / table.file).write_text(json.dumps(elements, indent=2))
    ingest(tmp_path / "outputs", tmp_path / "cache")
    monkeypatch.setattr(Chunk, "has", lambda *_: True)
    monkeypatch.setattr("magnet_arrow.decode.decoder.raw_items", _refused)
    ingest(tmp_path / "outputs", tmp_path / "again")
    first, second = all_tables(tmp_path / "cache"), all_tables(tmp_path / "again")
    assert first["stats"].height == 14
    assert all(first[name].equals(second[name]) for name in first)


def _refused(raw: bytes) -> None:
    raise UnicodeDecodeError("utf-8", b"", 0, 1, "refused")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [7, "text", {"name": "f1"}, True])
def test_stats_of_an_instance_that_are_no_array(value: Any, layout: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "outputs", make_run("a:x=1"))
    entries = [{"instance_id": "a", "stats": value}, {"instance_id": "b", "stats": [stat("f1", 1.0)]}]
    (folder / "per_instance_stats.json").write_text(json.dumps(entries, indent=LAYOUTS[layout]))
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert (report.runs, report.rejected) == (1, ())
    assert report.unexpected == {("value of another type", "per_instance_stats.json $[].stats"): 1}
    assert verify(tmp_path / "outputs", tmp_path / "cache").is_equal
    strictly = ingest(tmp_path / "outputs", tmp_path / "strict", strict=True)
    assert [(one.file, one.json_path) for one in strictly.rejected] == [("per_instance_stats.json", "$[].stats")]
