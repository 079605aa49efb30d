"""Dumps in buckets of real servers: the same tables as from this machine, and clear errors."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from buckets import NAMES, Server, delete_run, filled, put_again
from reading import assert_same_tables

import magnet_arrow
from magnet_arrow import HelmOutputs, HelmRun, HelmRuns, HelmSuite, ingest, validate, verify
from magnet_arrow.errors import MagnetWarning, NoRunsError, RemoteError, SettingError, SourceNotFoundError
from magnet_arrow.ingestion.rules import Progress

pytest.importorskip("obstore")

ALL = pytest.mark.parametrize("server", [pytest.param(name, marks=pytest.mark.slow) for name in NAMES], indirect=True)


def test_a_bucket_gives_the_tables_of_the_same_folder(server: Server, demo_outputs: Path, tmp_path: Path) -> None:
    url = filled(server, demo_outputs)
    first = ingest(url, tmp_path / "url")
    assert (first.runs, first.rejected) == (9, ())
    assert_same_tables(demo_outputs, url, tmp_path / "url")
    again = ingest(url, tmp_path / "url")
    assert (again.runs, again.skipped, again.bytes_in) == (0, 9, 0)
    found = verify(url, tmp_path / "url")
    assert (found.runs, found.is_equal) == (9, True)
    assert validate(url).is_clean


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_was_fetched_is_told_while_it_is_read(
    workers: int, server: Server, demo_outputs: Path, tmp_path: Path
) -> None:
    told: list[Progress] = []
    ingest(filled(server, demo_outputs), tmp_path / "cache", workers=workers, progress=told.append)
    size = sum(file.stat().st_size for file in demo_outputs.glob("runs/**/*.json"))
    assert (told[-1].bytes_fetched, told[-1].bytes_total, told[-1].bytes_done) == (size, size, size)
    assert (told[-1].runs_done, told[-1].waits_for) == (9, "")
    fetched = [one.bytes_fetched for one in told]
    assert fetched == sorted(fetched)


def test_what_was_fetched_is_told_while_it_is_validated(server: Server, outputs: Path) -> None:
    told: list[Progress] = []
    validate(filled(server, outputs), progress=told.append)
    assert (told[-1].bytes_fetched, told[-1].runs_done) == (told[-1].bytes_total, 3)


def test_objects_of_ours_are_made_of_urls(server: Server, demo_outputs: Path, tmp_path: Path) -> None:
    url = filled(server, demo_outputs)
    outputs = HelmOutputs(url, cache=tmp_path / "cache")
    assert repr(outputs) == f"<HelmOutputs {url}>"
    assert outputs.list_suites() == ["my-suite", "perturbed"]
    suite = HelmSuite(f"{url}/runs/my-suite", cache=tmp_path / "cache")
    assert suite.path == outputs.suites()[0].path
    assert len(suite.runs()) == len(HelmRuns(f"{url}/runs/my-suite/*anatomy*")) * 2 == 4
    run = outputs.suites("my-suite").runs()[0]
    assert HelmRun(f"{url}/runs/my-suite/{run.name}") == run
    assert run.exists()
    assert run.json.run_spec()["name"] == run.name
    assert run.stats().height > 0
    assert outputs.suites("my-suite").runs().refresh().places == suite.runs().places
    sources = magnet_arrow.Cache(tmp_path / "cache").runs()["source"].unique().to_list()
    assert sources == [url]
    assert magnet_arrow.Cache(tmp_path / "cache").remove(f"{url}/runs/my-suite") == 1


def test_a_source_that_is_not_there_says_what_is(server: Server, demo_outputs: Path) -> None:
    url = filled(server, demo_outputs)
    with pytest.raises(SourceNotFoundError, match=rf"There is no bucket {server.scheme}://none-such\."):
        HelmRuns(f"{server.scheme}://none-such/runs")
    with pytest.raises(SourceNotFoundError, match="2 entries") as caught:
        HelmRuns(f"{url}/runs/my-suit")
    assert caught.value.hint == f"Did you mean {url}/runs/my-suite?"
    with pytest.raises(NoRunsError, match="No run matches"):
        HelmRuns(f"{url}/runs/my-suite/none*")
    with pytest.raises(NoRunsError, match=f"in {url}/runs: 2 entries .perturbed, my-suite."):
        HelmRuns(f"{url}/runs/pertrub*")
    with pytest.raises(NoRunsError, match=r"9 runs \(mmlu:subject=philosophy"):
        ingest(url, runs="*philosofy*")
    with pytest.raises(SourceNotFoundError, match="is a file"):
        HelmRuns(f"{HelmRuns(url)[0].path}/stats.json")


def test_a_run_that_was_replaced_is_read_again(server: Server, outputs: Path, tmp_path: Path) -> None:
    url, runs = filled(server, outputs), outputs / "runs"
    ingest(url, tmp_path / "url")
    [suite] = runs.iterdir()
    spec = min(suite.iterdir()) / "stats.json"
    spec.write_bytes(spec.read_bytes().replace(b'"count": 1', b'"count": 2').replace(b'"count":1', b'"count":2') + b" ")
    put_again(server, url, outputs, spec)
    report = ingest(url, tmp_path / "url")
    assert (report.runs, report.skipped) == (1, 2)
    assert_same_tables(outputs, url, tmp_path / "url")
    assert verify(url, tmp_path / "url").is_equal


def test_a_run_that_is_gone_is_stale_then_pruned(server: Server, outputs: Path, tmp_path: Path) -> None:
    url = filled(server, outputs)
    ingest(url, tmp_path / "url")
    [suite] = (outputs / "runs").iterdir()
    gone = min(suite.iterdir())
    delete_run(server, url, outputs, gone)
    assert [one.run for one in ingest(url, tmp_path / "url").stale] == [f"{suite.name}/{gone.name}"]
    assert ingest(url, tmp_path / "url", prune=True).pruned == 1


def test_a_release_is_followed_to_its_suites(server: Server, demo_outputs: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_outputs, tmp_path / "outputs")
    release = tmp_path / "outputs/releases/v1"
    release.mkdir(parents=True)
    run = min((tmp_path / "outputs/runs/my-suite").glob("mmlu*")).name
    (release / "runs_to_run_suites.json").write_text(f'{{"{run}": "my-suite", "gone:x": "my-suite"}}')
    runs = HelmRuns(f"{filled(server, tmp_path / 'outputs')}/releases/v1")
    assert [place.folder for place in runs.places] == [run]
    assert "gone:x" in runs.notes[0]


def test_no_server_is_an_error_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(RemoteError, match=r"s3://bucket/runs cannot be read: no answer \(Connection refused") as caught:
        HelmRuns("s3://bucket/runs")
    assert (caught.value.url, caught.value.status) == ("s3://bucket/runs", None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "user:secret@host")
    with pytest.raises(SettingError, match="AWS_ENDPOINT_URL:") as refused:
        HelmRuns("s3://bucket/runs")
    assert "secret" not in str(refused.value)


@ALL
@pytest.mark.shared
@pytest.mark.parametrize("dump", ["mmlu", "helm_made"])
def test_every_server_gives_the_tables_of_a_large_dump(
    server: Server, dump: str, shared_dumps: Callable[[str], Path], tmp_path: Path
) -> None:
    local = shared_dumps(dump) / "benchmark_output"
    if dump == "mmlu":  # its 283 runs are of one kind
        local = copy_of(local, "runs/*/mmlu:subject=[ab]*", tmp_path / "some")
    url = filled(server, local)
    ingest(url, tmp_path / "url", workers=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MagnetWarning)  # both have runs that cannot be read
        assert_same_tables(local, url, tmp_path / "url")
    found = verify(url, tmp_path / "url")
    assert (found.n_differences, [one for one in found.not_covered if one.is_loss]) == (0, [])


def copy_of(outputs: Path, pattern: str, folder: Path) -> Path:
    """An outputs folder with some of the runs of another one."""
    for run in outputs.glob(pattern):
        shutil.copytree(run, folder / run.relative_to(outputs))
    return folder
