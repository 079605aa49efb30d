"""MAGNET's objects of a dump: which paths they hold, and what is refused."""

import json
from pathlib import Path

import public_bucket
import pytest
from makedump import THREE, make_run, write_run

from magnet_arrow.errors import BadFileError, NoRunsError, SourceNotFoundError, UnsupportedError
from magnet_arrow.magnet_compat.outputs import HelmOutputs, HelmRun, HelmRuns, HelmSuite, HelmSuiteRuns, HelmSuites


@pytest.fixture
def suite(outputs: Path) -> HelmSuite:
    return HelmSuite(outputs / "runs" / "made")


def names(runs: HelmRuns) -> list[str]:
    return [path.name for path in runs.paths]


def test_runs_come_from_paths_patterns_objects_and_lists(suite: HelmSuite):
    first, second, third = suite.runs().paths
    assert HelmSuiteRuns is HelmRuns
    for source in (suite, suite.path, str(suite.path), str(suite.path / "*"), HelmSuites([suite.path]), suite.runs()):
        assert names(HelmRuns.coerce(source)) == THREE
    assert HelmRuns.coerce([str(third), first]).paths == [third, first]
    assert HelmRuns.coerce([HelmRun(second), suite]).paths == [second, first, third]
    assert names(HelmRuns.coerce(str(suite.path / "[ab]:*"))) == THREE[:2]
    runs = HelmRuns.coerce(suite)
    assert HelmRuns.coerce(runs) is runs


def test_lists_of_runs_are_sequences(suite: HelmSuite):
    runs = suite.runs()
    assert len(runs) == 3
    assert runs[-1].path == runs.paths[-1]
    assert names(runs[:2]) == THREE[:2]
    assert [run.name for run in runs] == THREE
    assert names(suite.runs("b*")) == ["b:x=2"]
    assert names(suite.runs("none*")) == []
    assert (repr(runs), repr(suite), repr(runs[0])) == ("<HelmRuns(3)>", "<HelmSuite(made)>", "<HelmRun(a:x=1)>")


def test_runs_that_do_not_exist(suite: HelmSuite):
    first = suite.runs().paths[0]
    gone = suite.path / "gone:x=1"
    runs = HelmRuns([first, gone])
    assert [run.exists() for run in runs] == [True, False]
    assert names(runs.existing()) == []  # MAGNET asks for scenario.json, too
    (first / "scenario.json").write_text("{}")
    assert names(runs.existing()) == ["a:x=1"]
    with pytest.raises(SourceNotFoundError):
        HelmRuns.coerce([first, gone])
    with pytest.raises(SourceNotFoundError):
        runs[1].stats()


def test_suites_and_outputs(outputs: Path, suite: HelmSuite):
    write_run(outputs, make_run("d:x=4"), suite="another")
    dump = HelmOutputs.coerce(outputs / "runs")
    assert dump.root_dir == outputs
    assert dump.list_suites() == ["another", "made"]
    assert [one.name for one in dump.suites("m*")] == ["made"]
    assert dump.suites("none*") == []
    assert dump.list_run_specs() == [*THREE, "d:x=4"]
    assert [one.name for one in HelmSuites.coerce([str(suite.path), dump.suites()[0].path])] == ["another", "made"]
    for source in (dump, str(outputs / "runs" / "*")):
        assert names(HelmSuites.coerce(source).runs()) == ["d:x=4", *THREE]
    assert names(HelmSuites.coerce(dump).runs("[bd]*")) == ["d:x=4", "b:x=2"]
    assert [one.name for one in HelmSuites([suite.path, outputs / "gone"]).existing()] == ["made"]


def test_views_of_a_run(suite: HelmSuite):
    run = HelmRun.coerce(suite.runs().paths[0])
    assert run.json.run_spec() == json.loads((run.path / "run_spec.json").read_bytes())
    assert run.msgspec.run_spec().name == "a:x=1"
    assert run.dataframe.stats().equals(run.stats())
    with pytest.raises(UnsupportedError):
        _ = run.dataclass


def test_a_suite_without_runs_has_none(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert names(HelmSuite(tmp_path / "empty").runs()) == []
    with pytest.raises(NoRunsError):
        HelmRuns.coerce(tmp_path / "empty")


@pytest.mark.parametrize(
    ("file", "content", "table", "message"),
    [
        ("stats.json", "{}", "stats", r"stats.json, at \$:\n  expected an array, found an object"),
        ("stats.json", "[1]", "stats", r"stats.json, at \$\[0\]:\n  expected an object, found a number"),
        ("run_spec.json", "[]", "run_spec", r"run_spec.json, at \$:\n  expected an object, found an array"),
        ("scenario_state.json", "{}", "scenario_state", r"at \$.request_states:\n  expected an array, found null"),
        ("per_instance_stats.json", '[{"stats": 1}]', "per_instance_stats", r"at \$\[0\].stats:\n  expected an array"),
        ("stats.json", "[", "stats", "expected JSON, found the end of the file"),
    ],
)
def test_a_file_of_another_shape_is_named(suite: HelmSuite, file: str, content: str, table: str, message: str):
    run = suite.runs()[0]
    (run.path / file).write_text(content)
    with pytest.raises(BadFileError, match=message):
        getattr(run, table)()


def test_empty_objects_and_entries_without_stats_leave_nothing(outputs: Path):
    made = make_run("e:x=5")
    made["per_instance_stats"] = [{"instance_id": "id0", "train_trial_index": 0, "stats": []}]
    made["stats"] = []
    run = HelmRun(write_run(outputs, made))
    assert list(run.stats().columns) == list(run.per_instance_stats().columns) == ["run_spec.name"]
    assert len(run.stats()) == len(run.per_instance_stats()) == 0
    made = make_run("f:x=6", args={})
    assert "run_spec.scenario_spec.args" not in HelmRun(write_run(outputs, made)).run_spec().columns


def test_helm_urls_mean_the_latest_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public_bucket.listed(tmp_path / "bucket", monkeypatch)
    outputs = HelmOutputs.coerce("helm://lite")
    assert str(outputs.root_dir) == "gs://crfm-helm-public/lite/benchmark_output"
    assert (outputs.list_suites(), HelmOutputs("helm://lite").list_suites()) == (["v1.10.0"], ["v1.10.0"])
    names = ["mmlu:subject=a,model=a", "mmlu:subject=c,model=b"]
    assert outputs.list_run_specs() == names
    for source in (outputs, "helm://lite", outputs.suites()[0], HelmSuites.coerce("helm://lite")):
        runs = HelmRuns.coerce(source)
        assert [(run.name, run.exists()) for run in runs] == [(name, True) for name in names]
    assert [path.name for path in HelmSuites.coerce(outputs).existing().paths] == ["v1.10.0"]
    assert HelmOutputs.coerce("gs://crfm-helm-public/lite/benchmark_output").list_suites() == [
        *("v1.0.0", "v1.10.0", "v1.11.0-rc1", "v1.9.0")
    ]
