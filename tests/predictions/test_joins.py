"""Request states and the stats of their instances: ours against a plain loop over JSON, on HELM's own dumps."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import instance_stats, make_run, request_state, stat, write_run, write_runs
from plain_join import read, stats_of_states

from magnet_arrow import HelmRun, HelmRuns
from magnet_arrow.errors import ColumnNotFoundError, JoinError, MagnetWarning, SettingError
from magnet_arrow.predictions.joins import InstanceJoin, join_instances

Unpack = Callable[[str], Path]


def joined(runs: HelmRuns | HelmRun, **options: Any) -> InstanceJoin:
    return join_instances(runs.scan("scenario_state", key=True), runs.scan("per_instance_stats", key=True), **options)


def stat_columns(join: InstanceJoin) -> pl.DataFrame:
    """The columns of stats, which alone have neither of the prefixes."""
    rows = join.rows.collect()
    return rows.select(name for name in rows.columns if not name.startswith(("run_spec", "scenario_state", "magnet.")))


def same(value: Any, expected: Any) -> bool:
    if isinstance(value, float) and isinstance(expected, float) and math.isnan(value):
        return math.isnan(expected)
    return bool(value == expected)


def check_against_json(folder: Path, duplicates: Any = "error") -> int:
    """Compares the join of one run; gives the number of values."""
    join = joined(HelmRun(folder), unmatched="ignore", duplicates=duplicates)
    assert join.rows.select(pl.len()).collect().item() == len(read(folder, "scenario_state")["request_states"])
    found = stat_columns(join).to_dicts() or [{}] * join.n_unmatched_states
    states = read(folder, "scenario_state")["request_states"]
    expected = stats_of_states(states, read(folder, "per_instance_stats"), duplicates)
    assert len(found) == len(states)
    for row, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        for name, value in ours.items():
            assert same(value, theirs.get(name)), (row, name, value, theirs.get(name))
        assert theirs.keys() <= ours.keys()
    return sum(map(len, expected))


FAN_OUTS = {
    "4 requests, 1 entry": ("methods/made_choice:method=multiple_choice_separate_original,*owl*", 24, 432),
    "8 requests, 1 entry": ("methods/made_choice:method=multiple_choice_separate_calibrated,*owl*", 48, 864),
    "two seeds of a perturbation": ("perturbations/*perturb=seeds*", 35, 805),
    "no split in a dry run": ("dry/made_choice*", 3, 12),
    "3 windows, 3 entries": ("methods/made_language_modeling:words=400*", 12, 216),
    "4 requests, 2 entries": ("methods/made_ranking*", 32, 896),
    "no stats": ("methods/made_image_out*", 3, 0),
    "two trials": ("methods/made_choice:method=multiple_choice_joint,kind=choice,perturb=few*", 36, 972),
}


@pytest.mark.shared
@pytest.mark.parametrize(("pattern", "n_states", "n_values"), FAN_OUTS.values(), ids=FAN_OUTS)
def test_fan_outs_of_helm(pattern: str, n_states: int, n_values: int, shared_dumps: Unpack) -> None:
    (folder,) = (shared_dumps("helm_made") / "benchmark_output/runs").glob(pattern)
    assert len(read(folder, "scenario_state")["request_states"]) == n_states
    assert check_against_json(folder) == n_values


@pytest.mark.shared
def test_windows_of_language_modeling_keep_their_own_values(shared_dumps: Unpack) -> None:
    (folder,) = (shared_dumps("helm_made") / "benchmark_output/runs/methods").glob("made_lang*words=400*")
    logprobs = stat_columns(joined(HelmRun(folder)))["logprob"].to_list()
    # Read off the file by eye: the three entries of the first instance.
    assert logprobs[:2] == [-6713.381792545319, -6714.209513664246]


@pytest.mark.shared
def test_a_stat_of_two_metrics_with_different_values_is_an_error(shared_dumps: Unpack) -> None:
    (folder,) = (shared_dumps("helm_made") / "benchmark_output/runs/odd").glob("*metrics=annotated*")
    with pytest.raises(JoinError, match=r"6 stats .*: annotation_made_judge_score") as error:
        joined(HelmRun(folder))
    assert "duplicates='last'" in str(error.value)
    check_against_json(folder, "last")
    check_against_json(folder, "first")


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", ["helm_made", "helm_old", "modelbench"])
def test_whole_dumps(name: str, shared_dumps: Unpack) -> None:
    runs = HelmRuns(shared_dumps(name), partial=True).complete()
    for place in runs.places:
        if (place.path / "per_instance_stats.json").exists():
            check_against_json(place.path, "last")


def test_several_runs_join_by_where_they_are_and_not_by_name(tmp_path: Path) -> None:
    for suite, value in (("one", 0.25), ("two", 0.75)):
        run = make_run("a:x=1")
        run["per_instance_stats"] = [instance_stats("id0", value), instance_stats("id1", value)]
        write_run(tmp_path, run, suite=suite)
    assert stat_columns(joined(HelmRuns(tmp_path)))["exact_match"].to_list() == [0.25, 0.25, 0.75, 0.75]


def test_all_parameters_of_a_perturbation_are_in_the_key(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=1)
    typos = {"name": "typos", "robustness": True, "fairness": False, "computed_on": "perturbed", "prob": 0.1}
    copies = [None, typos, typos | {"seed": 2}, typos | {"prob": 0.2}]
    states, entries = [], []
    for number, perturbation in enumerate(copies):
        state = request_state("id0")
        state["instance"] |= {"perturbation": perturbation} if perturbation else {}
        states.append(state)
        entries.append(instance_stats("id0", number / 4, perturbation))
    run["scenario_state"]["request_states"] = states
    run["per_instance_stats"] = entries[::-1]
    (folder,) = write_runs(tmp_path, [run])
    assert stat_columns(joined(HelmRun(folder)))["exact_match"].to_list() == [0.0, 0.25, 0.5, 0.75]
    check_against_json(folder)


def test_one_id_in_two_splits_is_two_instances(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=2)
    for state, entry, split in zip(
        run["scenario_state"]["request_states"], run["per_instance_stats"], ["test", "valid"], strict=True
    ):
        state["instance"] |= {"id": "id0", "split": split}
        entry["instance_id"] = "id0"
        for one in entry["stats"]:
            one["name"]["split"] = split
    (folder,) = write_runs(tmp_path, [run])
    assert stat_columns(joined(HelmRun(folder)))["exact_match"].to_list() == [0.0, 1.0]


def test_what_has_no_partner_is_counted_and_can_be_had(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=3)
    run["per_instance_stats"] = [instance_stats("id2", 1.0), instance_stats("elsewhere", 0.5)]
    (folder,) = write_runs(tmp_path, [run])
    with pytest.warns(MagnetWarning, match=r"2 of 3 request states have no stats, and 2 of 4 stats have no request"):
        join = joined(HelmRun(folder))
    assert (join.n_unmatched_states, join.n_unmatched_stats) == (2, 2)
    states, stats = join.unmatched_states.collect(), join.unmatched_stats.collect()
    assert states["scenario_state.request_states.instance.id"].to_list() == ["id0", "id1"]
    assert stats["per_instance_stats.instance_id"].to_list() == ["elsewhere", "elsewhere"]
    assert stat_columns(join)["exact_match"].to_list() == [None, None, 1.0]
    with pytest.raises(JoinError, match="2 of 3 request states"):
        joined(HelmRun(folder), unmatched="error")


def test_the_rows_are_read_when_they_are_collected(tmp_path: Path) -> None:
    (folder,) = write_runs(tmp_path, [make_run("a:x=1", n_instances=4)])
    rows = joined(HelmRun(folder)).rows
    one = rows.filter(pl.col("scenario_state.request_states.instance.id") == "id3").collect()
    assert one["exact_match"].to_list() == [1.0]
    assert rows.select("num_output_tokens").head(2).collect().rows() == [(1.0,), (1.0,)]


def test_stats_of_an_instance_without_a_value_are_null(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=1)
    empty = {"name": {"name": "cost", "split": "test"}, "count": 0, "sum": 0, "sum_squared": 0}
    run["per_instance_stats"][0]["stats"] = [empty]
    run["per_instance_stats"].append(instance_stats("id0", 1.0))
    (folder,) = write_runs(tmp_path, [run])
    assert stat_columns(joined(HelmRun(folder))).to_dicts() == [
        {"cost": None, "exact_match": 1.0, "num_output_tokens": 1.0}
    ]


@pytest.mark.parametrize(("duplicates", "value"), [("first", 1.0), ("last", 0.5), ("mean", 0.75)])
def test_duplicates(duplicates: str, value: float, tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=1)
    run["per_instance_stats"] = [instance_stats("id0", 1.0), instance_stats("id0", 0.5)]
    (folder,) = write_runs(tmp_path, [run])
    assert stat_columns(joined(HelmRun(folder), duplicates=duplicates))["exact_match"].to_list() == [value]
    with pytest.raises(JoinError, match=r"1\.0 and 0\.5"):
        joined(HelmRun(folder))


def test_equal_values_of_one_stat_are_merged(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=1)
    run["per_instance_stats"] = [{**instance_stats("id0", 1.0), "stats": [stat("nan", math.nan)] * 2}] * 2
    (folder,) = write_runs(tmp_path, [run])
    assert math.isnan(stat_columns(joined(HelmRun(folder)))["nan"].item())


def test_one_to_one(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=1)
    (folder,) = write_runs(tmp_path, [run])
    assert joined(HelmRun(folder), validate="1:1").rows.collect().height == 1
    run = make_run("b:x=1", n_instances=1)
    run["scenario_state"]["request_states"] *= 2
    (folder,) = write_runs(tmp_path, [run])
    assert stat_columns(joined(HelmRun(folder)))["exact_match"].to_list() == [0.0, 0.0]
    with pytest.raises(JoinError, match=r"2 request states .*\n.*several of instance id0"):
        joined(HelmRun(folder), validate="1:1")


def test_misuse_is_named(outputs: Path) -> None:
    runs = HelmRuns(outputs)
    states, stats = runs.scan("scenario_state", key=True), runs.scan("per_instance_stats", key=True)
    with pytest.raises(ColumnNotFoundError, match=r"scenario_state has no column 'magnet\.run'.*\n.*key=True"):
        join_instances(runs.scan("scenario_state"), stats)
    with pytest.raises(ColumnNotFoundError, match=r"has no column 'per_instance_stats\.stats\.mean'"):
        join_instances(states, stats.drop("per_instance_stats.stats.mean"))
    for option in ("validate", "unmatched", "duplicates"):
        with pytest.raises(SettingError, match=rf"{option}:\n.*found 'often'"):
            join_instances(states, stats, **{option: "often"})


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("magnet.run", r"String and List\(String\)"),
        ("per_instance_stats.instance_id", r"String and List\(String\)"),
        ("per_instance_stats.train_trial_index", r"Int64 and List\(Int64\)"),
        ("per_instance_stats.stats.name.split", r"String and List\(String\)"),
        ("per_instance_stats.stats.name.name", r"List\(String\)"),
        ("per_instance_stats.stats.mean", r"List\(Float64\)"),
    ],
)
def test_a_column_of_lists_is_named(column: str, found: str, outputs: Path) -> None:
    runs = HelmRuns(outputs)
    states, stats = runs.scan("scenario_state", key=True), runs.scan("per_instance_stats", key=True)
    with pytest.raises(JoinError, match=rf"'{column}'.*\n.*found {found}"):
        join_instances(states, stats.with_columns(pl.concat_list(column).alias(column)))


def test_no_stats_at_all(tmp_path: Path) -> None:
    run = make_run("a:x=1")
    run["per_instance_stats"] = []
    (folder,) = write_runs(tmp_path, [run])
    join = joined(HelmRun(folder), unmatched="ignore")
    assert (join.rows.collect().height, join.n_unmatched_states) == (2, 2)
    run["scenario_state"]["request_states"], run["run_spec"]["name"] = [], "b"
    (folder,) = write_runs(tmp_path, [run])
    assert joined(HelmRun(folder)).rows.collect().is_empty()
