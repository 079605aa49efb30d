"""R13: names and types are a contract, and a cache of an older schema version stays readable.

`data/cache_v1` was written once, by the code of schema version 1 (`data/make_cache_v1.py`), with its source beside it.
"""

import json
import math
from pathlib import Path

import msgspec
import polars as pl
import pytest
from makedump import make_run, write_run
from reference import compare, tables

from magnet_arrow.cache import Cache
from magnet_arrow.errors import CacheVersionError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.schema import registry
from magnet_arrow.storage import manifest

NOW, NEXT = registry.SCHEMA_VERSION, registry.SCHEMA_VERSION + 1

V1 = Path(__file__).parents[1] / "data" / "cache_v1"
WHOLE = ["tide-place=cove", "tide-place=straits"]


@pytest.fixture
def cache() -> Cache:
    return Cache(V1 / "cache")


@pytest.mark.parametrize("table", ["run_spec", "scenario_state", "stats", "per_instance_stats"])
def test_the_frames_of_version_1_equal_their_source(cache: Cache, table: str) -> None:
    runs = cache.runs().filter(pl.col("folder").is_in(WHOLE))
    frame = select_runs(cache.snapshot(), table, runs["magnet.run"].to_list()).lazy().collect()
    rows = [row for folder in runs["folder"] for row in tables(V1 / "source" / "runs" / "v1" / folder)[table]]
    assert compare(without_misfits(rows), frame) == []


def without_misfits(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """What no column holds stands in `magnet.extra`; see the next test."""
    rows = [{name: value for name, value in row.items() if "note" not in name} for row in rows]
    for row in rows:
        for name in ("stats.min", "stats.sum_squared"):
            if row.get(name) in ("low", 2**63 + 1):
                row[name] = None
        if row.get("per_instance_stats.instance_id") == 7:
            row["per_instance_stats.instance_id"] = "7"
    return rows


def test_what_no_column_of_version_1_holds_is_there_too(cache: Cache) -> None:
    stats = cache.scan("stats").filter(pl.col("run_spec.name") == "tide:place=straits").sort("magnet.row").collect()
    assert [json.loads(text) for text in stats["magnet.extra"]] == [
        {"/note": {"kept": [1]}},
        {"/min": "low", "/sum_squared": 2**63 + 1},
    ]
    assert math.isnan(stats["stats.mean"][0])
    assert stats["stats.max"][0] == math.inf
    instances = cache.scan("per_instance_stats").filter(pl.col("magnet.extra").is_not_null()).collect()
    assert [json.loads(text) for text in instances["magnet.extra"].unique()] == [{"/instance_id": 7}]
    states = cache.scan("scenario_state").filter(pl.col("run_spec.name") == "tide:place=straits").sort("magnet.row")
    first = json.loads(states.collect()["magnet.extra"][0])
    assert first["/result/completions/0/text"] == " \ud83d\u00e9\x00"


def test_a_partial_run_and_other_files_of_version_1_are_there(cache: Cache) -> None:
    assert cache.runs().select("folder", "partial", "missing").rows() == [
        ("tide-place=bay", True, ["per_instance_stats.json"]),
        *((folder, False, []) for folder in WHOLE),
    ]
    files = cache.files()
    assert (files["elements"] == files["rows"]).all()
    assert files.filter(pl.col("without_rows") > 0).select("folder", "file", "without_rows").rows() == [
        ("tide-place=straits", "per_instance_stats.json", 1)
    ]
    assert cache.scan("files").collect()["files.text"].to_list() == ['{"model_ability": [0.5]}']
    assert cache.scan("summary").collect()["summary.suite"].to_list() == ["v1"]
    assert {segment.schema_version for segment in cache.snapshot().manifest.segments} == {1}


def test_the_fixture_is_small_and_names_no_machine() -> None:
    files = [file for file in V1.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 200_000
    assert [source.path for source in manifest.read_manifest(V1 / "cache").sources] == ["/dumps/cache_v1"]


def test_a_cache_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "outputs", make_run("tide"))
    ingest(tmp_path / "outputs", tmp_path / "cache")
    held = manifest.read_manifest(tmp_path / "cache")
    newer = [msgspec.structs.replace(segment, schema_version=NEXT) for segment in held.segments]
    (tmp_path / "cache" / manifest.MANIFEST).write_bytes(
        manifest.manifest_bytes(msgspec.structs.replace(held, segments=tuple(newer)))
    )
    with pytest.raises(CacheVersionError, match=f"schema version {NEXT}; this version reads {NOW}"):
        Cache(tmp_path / "cache").runs()


def test_runs_of_an_older_schema_are_ingested_again_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then they are read as they are; one whose source is gone stays."""
    outputs, cache = tmp_path / "outputs", tmp_path / "cache"
    for name in ("ebb", "flood"):
        write_run(outputs, make_run(name))
    ingest(outputs, cache)
    monkeypatch.setattr(registry, "SCHEMA_VERSION", NEXT)
    assert versions(cache) == {"ebb": NOW, "flood": NOW}
    assert Cache(cache).scan("stats").collect().height == 4
    report = ingest(outputs / "runs" / "made" / "ebb", cache)
    assert (report.runs, report.skipped) == (1, 0)
    assert versions(cache) == {"ebb": NEXT, "flood": NOW}
    assert Cache(cache).scan("stats").collect().height == 4
    assert ingest(outputs / "runs" / "made" / "ebb", cache).skipped == 1


def versions(cache: Path) -> dict[str, int]:
    return {run.entry.folder: run.schema_version for run in Cache(cache).snapshot().runs.values()}
