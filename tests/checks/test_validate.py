"""A source looked through without a cache: the same answers as those of an ingest, and the era of each run."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from makedump import Run, make_run, write_run, write_runs

from magnet_arrow.checks.validate import _Evidence, validate
from magnet_arrow.decode import limits
from magnet_arrow.errors import SourceNotFoundError
from magnet_arrow.helm.releases import Era
from magnet_arrow.ingestion import run_reader
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.rules import Progress

Shared = Callable[[str], Path]


def made(name: str, *, n_instances: int = 2) -> Run:
    """A run as HELM 0.4.0 wrote it, which always had a global suffix."""
    run = make_run(name, n_instances=n_instances)
    run["run_spec"]["adapter_spec"]["global_suffix"] = ""
    return run


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Whole, cut, with what HELM does not declare, without a file, and no JSON at all."""
    write_runs(tmp_path / "outputs", [made(f"tide:n={n}", n_instances=40) for n in range(5)])
    folders = sorted((tmp_path / "outputs" / "runs" / "made").iterdir())
    os.truncate(folders[1] / "per_instance_stats.json", 5000)
    stats = json.loads((folders[2] / "stats.json").read_text())
    stats[0]["mean"], stats[1]["note"] = "much", 1
    (folders[2] / "stats.json").write_text(json.dumps(stats))
    (folders[3] / "scenario_state.json").unlink()
    (folders[4] / "run_spec.json").write_text("<html>")
    (folders[0].parent / "empty").mkdir()
    return tmp_path / "outputs"


@pytest.mark.parametrize("block", [limits.BLOCK_BYTES, 4096], ids=["whole", "in blocks"])
def test_the_answers_are_those_of_an_ingest(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, cache_dir: Path
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    monkeypatch.setattr(run_reader, "BLOCK_BYTES", block)
    report = validate(outputs)
    assert not cache_dir.exists()
    done = ingest(outputs, tmp_path / "cache")
    assert report.rejected == done.rejected
    assert (
        report.unexpected
        == done.unexpected
        == {
            ("unknown field", "stats.json $[].note"): 1,
            ("value of another type", "stats.json $[].mean"): 1,
        }
    )
    assert report.rows == done.rows
    assert report.notes == done.notes
    assert not report.is_clean
    assert [found.is_clean for found in report.runs] == [True, False, False, False, False]
    assert [bool(found.rejected) for found in report.runs] == [False, True, False, True, True]
    assert [found.partial for found in report.runs] == [
        *(None, ("per_instance_stats.json",), None, ("scenario_state.json",), None)
    ]
    assert [found.name for found in report.runs] == ["tide:n=0", None, "tide:n=2", None, None]
    assert [found.rows.get("per_instance_stats") for found in report.runs] == [80, None, 80, None, None]
    assert report.runs[0].size_bytes == sum(file.stat().st_size for file in report.runs[0].path.iterdir())


def test_a_whole_dump_is_clean(tmp_path: Path) -> None:
    write_run(tmp_path, made("tide"))
    report = validate(tmp_path)
    assert report.is_clean
    assert (report.rejected, report.unexpected, report.notes, report.suites) == ((), {}, (), ())
    assert report.releases == {Era("0.4.0", "0.4.0"): 1}


def test_what_stands_beside_the_runs_is_looked_at_too(tmp_path: Path) -> None:
    run = write_run(tmp_path, made("tide"))
    (run.parent / "summary.json").write_text('{"suite": "made", "date": "2026-01-01"}')
    (run.parent / "runs.json").write_text("[]")
    (suite,) = validate(tmp_path).suites
    assert (suite.suite, suite.folder, suite.era) == ("made", "", None)
    assert suite.rows == {"summary": 1, "suite_files": 1}
    assert suite.not_kept == ("runs.json",)


def test_fields_that_no_release_wrote_together_are_reported(tmp_path: Path) -> None:
    """0.1.0 alone wrote an input as a text; `multi_label` came with 0.2.4."""
    run = made("tide")
    run["scenario_state"]["request_states"][1]["instance"]["input"] = "What comes after?"
    write_run(tmp_path, run)
    report = validate(tmp_path)
    assert report.releases == {Era("0.4.0", "0.1.0"): 1}
    assert (report.is_clean, report.unexpected) == (False, {})


def test_a_field_in_a_list_of_objects_tells_too(tmp_path: Path) -> None:
    """`top_logprobs` of a token was last written by 0.4.0; without a deployment only releases before that do."""
    run = made("tide")
    for spec in (run["run_spec"]["adapter_spec"], run["scenario_state"]["adapter_spec"]):
        del spec["model_deployment"]
    del run["run_spec"]["adapter_spec"]["global_suffix"]
    for state in run["scenario_state"]["request_states"]:
        del state["request"]["model_deployment"]
    write_run(tmp_path, run)
    assert set(validate(tmp_path).releases) == {Era("0.2.4", "0.3.0")}
    run["run_spec"]["adapter_spec"] |= {"model_deployment": "x", "global_suffix": "", "num_trials": 1}
    run["scenario_state"]["request_states"][0]["result"]["completions"][0]["tokens"][0]["top_logprobs"] = {"a": -1.0}
    write_run(tmp_path / "newer", run)
    assert set(validate(tmp_path / "newer").releases) == {Era("0.5.0", "0.4.0")}


def test_nothing_found_raises(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="nowhere"):
        validate(tmp_path / "nowhere")


def test_progress_is_told(outputs: Path) -> None:
    told: list[Progress] = []
    validate(outputs, progress=told.append)
    assert (told[-1].runs_done, told[-1].runs_total, told[-1].rejected) == (5, 5, 3)
    assert all(state.bytes_done <= state.bytes_total for state in told)


def test_no_row_group_is_kept(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the number of runs: what is known of them is a few numbers each."""
    kept = []
    original = _Evidence.add
    monkeypatch.setattr(_Evidence, "add", lambda self, batch: kept.append((self, original(self, batch))))
    validate(outputs)
    assert kept
    for evidence, _ in kept:
        for seen in evidence.seen.values():
            assert len(seen.spans) + len(seen.fields) + len(seen.rows) < 400


@pytest.mark.shared
@pytest.mark.parametrize(
    ("dump", "eras"),
    [
        ("eee", {"0.5.5 to 0.5.16": 3}),
        ("bbq", {"0.5.0 to 0.5.4": 11}),
        ("modelbench", {"0.2.4 to 0.3.0": 4, "0.4.0": 1}),
        ("helm_old", {"0.2.4": 5, "0.2.4 to 0.3.0": 5, "0.4.0": 6}),
        ("classic_022", {"0.2.0 to 0.2.1": 1}),
        ("helm_made", {"0.5.5 to 0.5.16": 53, "0.5.6 to 0.5.16": 3, "0.5.9 to 0.5.16": 1}),
    ],
)
def test_real_dumps_are_of_the_era_that_they_are_known_to_be_of(
    shared_dumps: Shared, dump: str, eras: dict[str, int]
) -> None:
    """helm_old was made by 0.2.4, 0.3.0 and 0.4.0, helm_made by 0.5.16; classic_022 lacks `sample_train` of 0.2.2."""
    assert {str(era): count for era, count in validate(shared_dumps(dump)).releases.items()} == eras
