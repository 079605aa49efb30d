"""A file that is changed in the bucket or in its mirror: a mirrored run is never half old and half new."""

import shutil
from pathlib import Path

import pytest
from buckets import OUTPUTS, Server, delete_run, filled, put_again
from fault_proxy import Answer, Proxy, status
from mirrors import assert_nothing_read, files_of, n_rows

from magnet_arrow import ingest

pytest.importorskip("obstore")


def test_a_file_that_was_changed_in_the_mirror_is_read_again(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    before = n_rows(cache)
    stats = min((kept / OUTPUTS).glob("runs/*/*/stats.json"))
    stats.write_text("[]")
    report = ingest(kept, cache)
    assert (report.runs, report.skipped) == (1, 2)
    assert n_rows(cache) < before
    assert ingest(url, cache, keep_json=kept).runs == 1  # the bucket has other bytes than the cache has by now
    assert n_rows(cache) == before
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


def test_a_run_that_was_replaced_in_the_bucket_replaces_its_files(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    stats = min(outputs.glob("runs/*/*/stats.json"))
    stats.write_bytes(stats.read_bytes() + b" \n")
    put_again(server, url, outputs, stats)
    proxy.requests.clear()
    assert ingest(url, cache, keep_json=kept).runs == 1
    assert len(proxy.fetched()) == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


def test_a_run_is_never_half_old_and_half_new(server: Server, proxy: Proxy, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    before = files_of(kept)
    run = min(outputs.glob("runs/*/*"))
    for file in run.iterdir():
        file.write_bytes(file.read_bytes() + b" \n")
        put_again(server, url, outputs, file)
    proxy.spoil(r"/stats\.json", status(403))
    assert len(ingest(url, cache, keep_json=kept).rejected) == 1
    assert {name: data for name, data in files_of(kept).items() if "/." not in name} == before
    proxy.faults.clear()
    proxy.requests.clear()
    assert ingest(url, cache, keep_json=kept).runs == 1
    assert len(proxy.fetched()) == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs)


def test_a_run_that_is_replaced_meanwhile_is_mirrored_as_it_was_read(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    file = min(outputs.glob("runs/*/*/stats.json"))

    def swap(answer: Answer) -> None:
        file.write_bytes(file.read_bytes() + b" \n")
        put_again(server, url, outputs, file)
        status(412)(answer)

    proxy.spoil(f"{file.parent.name}/stats\\.json", swap, 1)
    assert ingest(url, cache, keep_json=kept).runs == 3
    assert files_of(kept / OUTPUTS) == files_of(outputs)
    assert_nothing_read(ingest(kept, cache), 3)


@pytest.mark.slow
def test_an_older_file_that_is_not_fetched_does_not_stay_beside_new_ones(
    server: Server, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    run = min(outputs.glob("runs/*/*"))
    for file in run.iterdir():
        file.write_bytes(file.read_bytes() + b" \n")
        put_again(server, url, outputs, file)
    assert ingest(url, tmp_path / "other", keep_json=kept, tables=["stats"]).runs == 3
    mirrored = kept / OUTPUTS / run.relative_to(outputs)
    assert {file.name for file in mirrored.iterdir()} == {"run_spec.json", "stats.json"}


def test_what_another_tool_has_fetched_is_taken_over(
    server: Server, proxy: Proxy, outputs: Path, tmp_path: Path
) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    shutil.copytree(outputs, kept / OUTPUTS, copy_function=shutil.copyfile)  # with the dates of today
    other = min((kept / OUTPUTS).glob("runs/*/*/stats.json"))
    other.write_bytes(other.read_bytes().replace(b"1", b"2"))
    assert ingest(url, cache, keep_json=kept, tables=["run_spec", "stats"]).runs == 3
    assert len(proxy.fetched()) == 1
    assert files_of(kept / OUTPUTS) == files_of(outputs), "what the tables do not need is still there"
    assert_nothing_read(ingest(kept, cache, tables=["stats"]), 3)


@pytest.mark.slow
def test_a_run_that_is_gone_from_the_bucket_is_stale_there(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, cache, kept = filled(server, outputs), tmp_path / "cache", tmp_path / "kept"
    ingest(url, cache, keep_json=kept)
    gone = min(outputs.glob("runs/*/*"))
    delete_run(server, url, outputs, gone)
    assert [one.run for one in ingest(url, cache, keep_json=kept).stale] == [f"{gone.parent.name}/{gone.name}"]
    assert_nothing_read(ingest(kept, cache), 3)
    assert ingest(url, cache, prune=True).pruned == 1
    assert ingest(kept, cache).runs == 1
