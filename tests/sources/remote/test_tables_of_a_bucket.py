"""`ingest(…, tables=[…])`, of a local folder and of a bucket: only what the chosen tables need is fetched and read."""

import json
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import fault_proxy
import pytest
from buckets import Server, filled
from fault_proxy import Proxy

from magnet_arrow import Cache, ingest, verify
from magnet_arrow.decode import limits
from magnet_arrow.ingestion import batch_reader, run_reader
from magnet_arrow.ingestion.parallel import shared_run
from magnet_arrow.storage.snapshot import Snapshot

FILES = {  # which files each table needs, by hand
    "run_spec": ["run_spec.json"],
    "scenario_state": ["scenario_state.json"],
    "stats": ["stats.json"],
    "per_instance_stats": ["per_instance_stats.json"],
    "instances": ["instances.json"],
    "files": ["notes.json", "other.json"],
}
OF_SUITE = {
    "groups": ["groups/a.json"],
    "summary": ["summary.json"],
    "suite_files": ["groups/a.json", "summary.json", "extra.json"],
}
CHOICES = [
    ["stats"],
    ["run_spec"],
    [],
    ["scenario_state", "instances"],
    ["files"],
    ["groups"],
    ["suite_files", "per_instance_stats"],
    ["display_predictions"],
    [*FILES, *OF_SUITE, "scenario", "display_predictions", "display_requests"],
]
INSTANCES = [{"input": {"text": "Which way?"}, "references": [], "split": "test", "id": f"id{n}"} for n in range(3)]
GROUP = {"title": "A", "header": [{"value": "Model"}], "rows": [[{"value": "heron"}]], "links": [], "name": "a"}


@pytest.fixture
def dump(outputs: Path) -> Path:
    """Three runs that have files beside those of every run, and a suite with files of its own."""
    suite = outputs / "runs/made"
    for folder in list(suite.iterdir()):
        (folder / "instances.json").write_text(json.dumps(INSTANCES))
        (folder / "notes.json").write_text('{"a": 1}')
        (folder / "other.json").write_text("[2]")
    (suite / "groups").mkdir()
    (suite / "groups/a.json").write_text(json.dumps([GROUP]))
    (suite / "summary.json").write_text(json.dumps({"release": None, "suites": ["made"], "date": "2026-01-01"}))
    (suite / "extra.json").write_text("{}")
    (suite / "runs.json").write_text("[]")
    return outputs


@dataclass
class Bucket:
    url: str
    proxy: Proxy

    def asked(self) -> list[str]:
        """Which objects were asked for, relative to the suites; each time that one was."""
        asked = [urllib.parse.unquote(one).split("?")[0].split(" ")[0] for one in self.proxy.fetched()]
        return sorted(one.partition("/runs/")[2] for one in asked)


@pytest.fixture
def bucket(server: Server, dump: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    pytest.importorskip("obstore")
    with fault_proxy.running(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield Bucket(filled(server, dump), proxy)


@pytest.fixture(params=["local", pytest.param("bucket", marks=pytest.mark.slow)])
def source(request: pytest.FixtureRequest) -> Path | str:
    """The dump, here or in a bucket."""
    found: Path = request.getfixturevalue("dump")
    return found if request.param == "local" else request.getfixturevalue("bucket").url


def needed(dump: Path, tables: list[str]) -> list[str]:
    """The files that these tables need, below the suites."""
    names = {name for table in ["run_spec", *tables] for name in FILES.get(table, [])}
    found = [f"made/{folder.name}/{name}" for folder in runs_of(dump) for name in names]
    return sorted(found + sorted({f"made/{name}" for table in tables for name in OF_SUITE.get(table, [])}))


def runs_of(dump: Path) -> list[Path]:
    return [folder for folder in (dump / "runs/made").iterdir() if (folder / "run_spec.json").exists()]


def rows_of(dump: Path, tables: list[str]) -> dict[str, int]:
    """The rows of these tables, counted in the JSON."""
    found = dict.fromkeys(["run_spec", *tables], 0)
    for folder in runs_of(dump):
        read = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}
        counts = {
            "run_spec": 1,
            "scenario_state": len(read["scenario_state.json"]["request_states"]),
            "stats": len(read["stats.json"]),
            "per_instance_stats": sum(len(entry["stats"]) for entry in read["per_instance_stats.json"]),
            "instances": len(read["instances.json"]),
            "files": 2,
        }
        for table in found:
            found[table] += counts.get(table, 0)
    of_suite = {"summary": 1, "groups": 1, "suite_files": 3}
    # The texts of the files that were read are kept; of all of them, if that was asked for.
    texts = {name for table in tables for name in OF_SUITE.get(table, [])}
    filled_too = {"groups", "summary"} if "suite_files" in tables else set()
    found |= {table: count for table, count in of_suite.items() if table in tables or table in filled_too}
    return {table: rows for table, rows in {**found, "suite_files": len(texts)}.items() if rows}


def cached_rows(cache: Path) -> dict[str, int]:
    tables = [*FILES, *OF_SUITE, "scenario", "display_predictions", "schema"]
    counts = {table: Cache(cache).scan(table).collect().height for table in tables}
    return {table: rows for table, rows in counts.items() if rows}


def entries(cache: Path) -> Snapshot:
    return Cache(cache).snapshot()


@pytest.mark.parametrize("tables", CHOICES, ids=lambda tables: "+".join(tables)[:40] or "none")
@pytest.mark.filterwarnings("ignore:.*ingested without")
def test_just_the_chosen_tables_are_read(tables: list[str], source: Path | str, dump: Path, cache: Path) -> None:
    report = ingest(source, cache, tables=tables)
    assert (report.runs, report.rejected, report.partial) == (3, (), 0)
    files = needed(dump, tables)
    derived = ["made/runs.json"] if "suite_files" in tables else []  # its size counts, though it is not read
    assert report.bytes_in == sum((dump / "runs" / name).stat().st_size for name in [*files, *derived])
    assert cached_rows(cache) == rows_of(dump, tables)
    again = ingest(source, cache, tables=tables)
    assert (again.runs, again.skipped) == (0, 3)
    checked = verify(source, cache)
    assert (checked.is_equal, checked.files) == (True, len(files))
    left_out = {file.path for file in checked.not_covered if "no chosen table needs it" in file.reason}
    every = [path for path in (dump / "runs").rglob("*.json") if path.name != "runs.json"]
    unread = {path.relative_to(dump / "runs").as_posix() for path in every}.difference(files)
    assert left_out - {"made/runs.json"} == unread


@pytest.mark.parametrize(
    "tables",
    [["stats", "groups"], *(pytest.param(tables, marks=pytest.mark.slow) for tables in CHOICES[:-1])],
    ids=lambda tables: "+".join(tables)[:40] or "none",
)
def test_nothing_else_is_asked_for(tables: list[str], bucket: Bucket, dump: Path, cache: Path) -> None:
    ingest(bucket.url, cache, tables=tables)
    assert (bucket.asked(), bucket.proxy.n_heads) == (needed(dump, tables), 0)


def test_a_table_that_is_asked_for_later_is_added(bucket: Bucket, dump: Path, cache: Path) -> None:
    ingest(bucket.url, cache, tables=["stats"])
    bucket.proxy.requests.clear()
    report = ingest(bucket.url, cache, tables=["instances", "groups"])
    assert (report.runs, report.skipped) == (3, 0)
    assert bucket.asked() == needed(dump, ["stats", "instances", "groups"])
    assert {run.entry.chosen for run in entries(cache).runs.values()} == {("instances", "run_spec", "stats")}
    assert {run.entry.chosen for run in entries(cache).suites.values()} == {("groups",)}
    bucket.proxy.requests.clear()
    for tables in (["stats"], ["instances"], ["groups", "run_spec"], []):
        report = ingest(bucket.url, cache, tables=tables)
        assert (report.runs, report.skipped) == (0, 3)
    assert bucket.asked() == []
    assert (ingest(bucket.url, cache).runs, verify(bucket.url, cache).files) == (3, 3 * 7 + 3)
    assert {run.entry.chosen for run in entries(cache).entries.values()} == {None}
    assert ingest(bucket.url, cache, tables=["stats"]).skipped == 3


def test_a_changed_run_keeps_its_tables(dump: Path, cache: Path) -> None:
    ingest(dump, cache, tables=["stats", "groups"])
    changed = runs_of(dump)[0]
    (changed / "stats.json").write_text("[]")
    (dump / "runs/made/groups/a.json").write_text("[]")
    assert ingest(dump, cache, tables=["instances"]).runs == 3
    assert ingest(dump, cache, tables=["stats", "instances"]).skipped == 3
    (changed / "instances.json").write_text("[]")
    report = ingest(dump, cache, tables=["run_spec"])
    assert (report.runs, report.skipped) == (1, 2)
    assert verify(dump, cache).is_equal
    counts = {"stats": 2 * 2, "instances": 2 * 3, "groups": 0}
    assert {table: Cache(cache).scan(table).collect().height for table in counts} == counts


def test_a_required_file_that_is_not_chosen_may_be_missing_or_broken(dump: Path, cache: Path) -> None:
    first, second, _ = sorted(runs_of(dump))
    (first / "scenario_state.json").unlink()
    (second / "scenario_state.json").write_text("[")
    report = ingest(dump, cache, tables=["stats"])
    assert (report.runs, report.partial, report.rejected) == (3, 0, ())
    assert not Cache(cache).runs()["partial"].any()
    report = ingest(dump, cache)
    assert (report.runs, len(report.rejected)) == (1, 2)
    assert Cache(cache).scan("stats").collect().height == 3 * 2  # what there was of the rejected runs stays
    # Rejected for a file that is not asked for now: they are unchanged.
    report = ingest(dump, cache, tables=["stats"])
    assert (report.runs, report.skipped, report.rejected, report.stale) == (0, 3, (), ())
    report = ingest(dump, cache, partial=True)
    assert (report.runs, report.partial, report.skipped) == (2, 2, 1)


def test_a_run_that_was_rejected_for_one_table_may_be_read_for_another(dump: Path, cache: Path) -> None:
    bad = sorted(runs_of(dump))[0]
    (bad / "stats.json").write_text("[")
    assert len(ingest(dump, cache, tables=["stats"]).rejected) == 1
    report = ingest(dump, cache, tables=["stats"])
    assert (report.runs, report.skipped, len(report.rejected)) == (0, 2, 1)
    report = ingest(dump, cache, tables=["instances"])
    assert (report.runs, report.rejected) == (3, ())
    assert len(ingest(dump, cache, tables=["stats"]).rejected) == 1


def test_an_incomplete_run_stays_what_it_is(dump: Path, cache: Path) -> None:
    folder = sorted(runs_of(dump))[0]
    whole = (folder / "stats.json").read_text()
    (folder / "stats.json").write_text(whole[:-5])
    assert ingest(dump, cache, tables=["stats"], partial=True).partial == 1
    report = ingest(dump, cache, tables=["instances"])
    assert (report.runs, report.partial, report.rejected) == (3, 1, ())
    assert sorted(Cache(cache).runs()["partial"]) == [False, False, True]
    (folder / "stats.json").write_text(whole)
    report = ingest(dump, cache, tables=["instances"])
    assert (report.runs, report.skipped, report.partial) == (1, 2, 0)
    assert Cache(cache).scan("stats").collect().height == 3 * 2


def test_pictures_that_the_cache_has_stay(dump: Path, cache: Path) -> None:
    folder = sorted(runs_of(dump))[0]
    shown = [{"instance_id": "id0", "predicted_text": "", "stats": {}, "base64_images": ["iVBOR"]}]
    (folder / "display_predictions.json").write_text(json.dumps(shown))
    report = ingest(dump, cache, tables=["display_predictions"], pictures=True)
    assert report.rows["display_predictions"] == 1
    assert ingest(dump, cache, tables=["stats"]).rows["display_predictions"] == 1
    assert [run.entry.not_kept for run in entries(cache).runs.values()] == [()] * 3


def test_runs_that_are_gone_are_pruned_whatever_is_chosen(dump: Path, cache: Path) -> None:
    ingest(dump, cache, tables=["stats"])
    gone = sorted(runs_of(dump))[0]
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    assert len(ingest(dump, cache, tables=["stats"]).stale) == 1
    report = ingest(dump, cache, tables=["instances"], prune=True)
    assert (report.runs, report.pruned) == (2, 1)
    assert Cache(cache).runs().height == 2


def test_bytes_are_compared_of_chosen_files_alone(bucket: Bucket, dump: Path, cache: Path) -> None:
    ingest(bucket.url, cache, tables=["stats"], content_hash=True)
    assert set(bucket.asked()) == set(needed(dump, ["stats"]))
    assert ingest(bucket.url, cache, tables=["stats"], content_hash=True).skipped == 3
    assert ingest(bucket.url, cache, tables=["instances"], content_hash=True).runs == 3
    assert ingest(bucket.url, cache, tables=["stats"], content_hash=True).skipped == 3
    assert set(bucket.asked()) == set(needed(dump, ["stats", "instances"]))


def test_what_a_mirror_has_is_not_fetched_again(bucket: Bucket, dump: Path, cache: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    ingest(bucket.url, cache, tables=["stats"], keep_json=mirror)
    bucket.proxy.requests.clear()
    assert ingest(bucket.url, cache, tables=["instances"], keep_json=mirror).runs == 3
    assert bucket.asked() == sorted(set(needed(dump, ["instances"])) - set(needed(dump, ["run_spec"])))
    kept = mirror / "lite/benchmark_output"
    assert ingest(kept, cache, tables=["stats", "instances"]).skipped == 3
    rejected = ingest(kept, cache).rejected
    assert {(one.file, one.found) for one in rejected} == {("scenario_state.json", "none of this name")}
    assert ingest(kept, cache, tables=["stats"]).skipped == 3


@pytest.mark.slow
def test_two_workers_fetch_just_the_chosen_files(
    bucket: Bucket, dump: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_run, "MIN_PART_BYTES", 1)
    for module in (limits, run_reader, batch_reader):
        monkeypatch.setattr(module, "BLOCK_BYTES", 512)
    with ThreadPoolExecutor(2) as threads:
        report = ingest(bucket.url, cache, tables=["scenario_state", "stats"], executor=threads, workers=2)
    assert (report.runs, report.rejected) == (3, ())
    # Both workers read the run spec.
    assert set(bucket.asked()) == set(needed(dump, ["scenario_state", "stats"]))
    assert verify(bucket.url, cache).is_equal
