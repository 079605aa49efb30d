"""`keep_json`: what is fetched is kept as it was served, and neither the bucket nor the mirror is read again."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from buckets import NAMES, OUTPUTS, Server, filled, put_again
from command_line import in_this_process, rows
from fault_proxy import Proxy
from mirrors import assert_nothing_read, files_of, n_rows
from pictures import peek_at_files_of, write_pictured
from reading import assert_same_tables

from magnet_arrow import Cache, HelmRuns, ingest, validate, verify

pytest.importorskip("obstore")


def test_what_is_fetched_is_kept_and_never_read_again(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert not (cache / "fetched").exists()
    n_fetched = len(proxy.fetched())
    for source in (url, kept / OUTPUTS, kept / OUTPUTS / "runs", kept):
        assert_nothing_read(ingest(source, cache), 3)
    assert_nothing_read(ingest(url, cache, keep_json=kept), 3)
    assert len(proxy.fetched()) == n_fetched
    assert Cache(cache).runs()["source"].unique().to_list() == [url]
    assert_same_tables(outputs, kept / OUTPUTS, cache)
    assert verify(kept, cache).is_equal
    assert validate(kept).rejected == ()
    assert Cache(cache).remove(str(kept / OUTPUTS / "runs" / "made")) == 3


def test_a_cache_that_was_lost_is_filled_from_the_mirror(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, kept = filled(server, outputs), tmp_path / "kept"
    ingest(url, tmp_path / "lost", keep_json=kept)
    n_fetched = len(proxy.fetched())
    assert ingest(url, tmp_path / "cache", keep_json=kept).runs == 3
    assert_nothing_read(ingest(kept / OUTPUTS, tmp_path / "cache"), 3)
    assert ingest(kept / OUTPUTS, tmp_path / "turned").runs == 3  # the mirror first, and the bucket then
    assert_nothing_read(ingest(url, tmp_path / "turned", keep_json=kept), 3)
    assert_nothing_read(ingest(kept / OUTPUTS, tmp_path / "turned"), 3)
    assert Cache(tmp_path / "turned").runs()["source"].unique().to_list() == [url]
    assert len(proxy.fetched()) == n_fetched


@pytest.mark.parametrize("tables", [None, ["stats"]], ids=["all tables", "one table"])
def test_a_mirror_that_was_renamed_is_the_same(
    tables: list[str] | None, server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept, tables=tables)
    kept.rename(tmp_path / "renamed")
    for source in (tmp_path / "renamed", url, tmp_path / "renamed"):
        assert_nothing_read(ingest(source, cache, tables=tables), 3)
    assert_nothing_read(ingest(url, cache, keep_json=tmp_path / "renamed", tables=tables), 3)
    shutil.copytree(tmp_path / "renamed", tmp_path / "copy")
    assert ingest(tmp_path / "copy", cache, tables=tables).runs == 3  # a copy is a source of its own, as of any folder


@pytest.mark.slow
def test_workers_of_somebody_else_mirror_too(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    with ThreadPoolExecutor(2) as executor:
        assert ingest(url, cache, keep_json=kept, executor=executor).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)


def test_the_command_line_mirrors_and_plans(
    server: Server,
    outputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = in_this_process(monkeypatch, capsys)
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    options = ("--cache", cache, "--keep-json", kept)
    assert f"free for {kept.resolve()}" in run("ingest", url, *options, "--plan").out
    assert not kept.exists()
    assert run("ingest", url, *options).code == 0
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    refused = run("ingest", outputs, *options)
    assert refused.code == 2
    assert "is a folder of this machine" in refused.err
    shutil.rmtree(cache)
    [plan] = rows(run("ingest", url, *options, "--plan", "--json"))
    assert plan["fetched_bytes"] == plan["bytes"] == sum(map(len, files_of(outputs).values()))


def test_a_rejected_run_is_mirrored_and_not_read_again(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    bad = min(outputs.glob("runs/*/*/stats.json"))
    bad.write_text("[{")
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    first = ingest(url, cache, keep_json=kept)
    assert (first.runs, len(first.rejected)) == (2, 1)
    n_fetched = len(proxy.fetched())
    for source in (kept, url):
        again = ingest(source, cache)
        assert (again.runs, again.skipped, again.rejected) == (0, 2, first.rejected)
    assert (kept / OUTPUTS / bad.relative_to(outputs)).read_text() == "[{"
    assert len(proxy.fetched()) == n_fetched


@pytest.mark.slow
def test_pictures_that_are_left_out_are_not_mirrored(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peek_at_files_of(1, monkeypatch)
    pictured = write_pictured(min(outputs.glob("runs/*/*")))
    proxy.gives_ranges = True
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    assert ingest(url, cache, keep_json=kept).runs == 3
    target = kept / OUTPUTS / pictured.relative_to(outputs)
    assert not target.exists()
    assert_nothing_read(ingest(kept, cache), 3)
    assert verify(kept, cache).is_equal
    assert ingest(url, tmp_path / "pictures", keep_json=kept, pictures=True).runs == 3
    assert target.read_bytes() == pictured.read_bytes()


def test_only_the_files_that_chosen_tables_need_are_mirrored(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept, tables=["stats"])
    assert {file.name for file in kept.rglob("*.json")} == {"run_spec.json", "stats.json"}
    for source in (kept, url):
        assert_nothing_read(ingest(source, cache, tables=["stats"]), 3)
    assert verify(kept, cache).n_differences == 0
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


def test_files_of_suites_and_releases_are_mirrored(server: Server, proxy: Proxy, outputs: Path, tmp_path: Path) -> None:
    [suite] = (outputs / "runs").iterdir()
    run = min(suite.iterdir()).name
    for path, text in {
        suite / "groups.json": "[]",
        suite / "groups/toy.json": "[]",
        suite / "runs.json": "[]",
        outputs / "releases/v1/runs_to_run_suites.json": json.dumps({run: suite.name}),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    expected = files_of(outputs)
    del expected[f"runs/{suite.name}/runs.json"]  # it is made of the others, and never fetched
    assert files_of(kept / OUTPUTS) == expected
    assert_nothing_read(ingest(kept / OUTPUTS, cache), 3)
    assert_nothing_read(ingest(kept / OUTPUTS / "releases/v1", cache), 1)
    assert len(Cache(cache).runs()) == 3


def test_a_bucket_and_its_mirror_in_one_list_are_the_same_runs(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    before = n_rows(cache)
    assert_nothing_read(ingest([url, kept], cache), 3)
    assert HelmRuns([url, kept], cache=cache).stats().height == before
    kept = kept.rename(tmp_path / "moved")
    assert_nothing_read(ingest([kept, url], cache), 3)
    for changed in (outputs, kept / OUTPUTS):
        stats = min(changed.glob("runs/*/*/stats.json"))
        stats.write_bytes(stats.read_bytes() + b" \n")
    put_again(server, url, kept / OUTPUTS, stats)
    assert ingest([url, kept], cache).runs == 1
    assert (len(Cache(cache).runs()), n_rows(cache)) == (3, before)
    assert HelmRuns([kept, url], cache=cache).stats().height == before


def test_runs_that_the_cache_had_are_not_fetched_and_said_to_be_missing(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, runs="*x=1*")
    report = ingest(url, cache, keep_json=kept)
    assert (report.runs, report.skipped) == (2, 1)
    assert f"1 run in the cache already: not fetched, and not in {kept.resolve()}." in report.notes[-1]
    again = ingest(kept, cache, prune=True)  # what is not in the mirror is not gone from the bucket
    assert_nothing_read(again, 2)
    assert len(Cache(cache).runs()) == 3


@pytest.mark.parametrize("server", [pytest.param(name, marks=pytest.mark.slow) for name in NAMES], indirect=True)
def test_every_server_and_worker_processes(
    server: Server, demo_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, cache, kept = filled(server, demo_outputs), tmp_path / "cache", tmp_path / "kept"
    assert ingest(url, cache, keep_json=kept, workers=2).runs == 9
    assert files_of(kept / OUTPUTS) == files_of(demo_outputs)
    for source in (kept, url):
        assert_nothing_read(ingest(source, cache), 9)
    assert verify(kept, cache).is_equal
