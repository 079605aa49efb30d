"""Samples and scores: ours against plain loops over JSON."""

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_samples
import polars as pl
import pytest
from makedump import instance_stats, make_run, request_state, stat, write_run, write_runs
from plain_join import read

from magnet_arrow import HelmOutputs, HelmRun, HelmRuns
from magnet_arrow.errors import ColumnNotFoundError, JoinError, MagnetWarning, SettingError

Unpack = Callable[[str], Path]
COLUMNS = ["split", "sub_split", "instance_id", "trial", "perturbation", "prompt", "messages", "completion"]
COLUMNS += ["completions", "choice", "gold_choice", "answer", "gold", "media", "finish_reason", "logprob", "num_tokens"]


def same(ours: Any, theirs: Any) -> bool:
    """Equal; NaN is NaN, and half a surrogate pair is U+FFFD in a column."""
    if isinstance(ours, float) and isinstance(theirs, float) and math.isnan(ours):
        return math.isnan(theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, str):
        theirs = "".join("�" if "\ud800" <= sign <= "\udfff" else sign for sign in theirs)
    return bool(ours == theirs)


def check_samples(runs: HelmRuns, rows: Any = "samples") -> int:
    """Compares every column and every stat of kind quality with the loop; gives the number of samples."""
    found = runs.samples("all", duplicates="last", rows=rows)
    stats = found.columns[found.columns.index("prompt_key") + 1 :]
    by_run = found.group_by("source", "suite", "run", maintain_order=True)
    for (source, suite, run), samples in by_run:
        expected = plain_samples.samples(Path(str(source)) / "runs" / str(suite) / str(run), "last", rows)
        assert samples.height == len(expected), run
        for ours, theirs in zip(samples.to_dicts(), expected, strict=True):
            if ours["messages"] is not None:
                ours["messages"] = [json.loads(message) for message in ours["messages"]]
            for name in COLUMNS:
                assert same(ours[name], theirs[name]), (run, name)
            for name in stats:
                assert same(ours[name], theirs["stats"].get(name)), (run, name)
    return found.height


def check_scores(runs: HelmRuns, *, perturbation: str | None = None) -> None:
    found = runs.scores(perturbation=perturbation)
    assert found.height == len(runs.cached().keys)
    for row in found.to_dicts():
        folder = Path(row["source"]) / "runs" / row["suite"] / row["run"]
        of_name = [one for one in read(folder, "stats") if one["name"].get("split") == row["split"]]
        plain = [one for one in of_name if "perturbation" not in one["name"]]
        named = plain if perturbation is None else [one for one in of_name if is_worst(one, perturbation)]
        of_metric = [one for one in named if one["name"]["name"] == row["metric"]]
        assert row["score"] == (merged(of_metric) if of_metric else None), row
        counts = [one["mean"] for one in plain if one["name"]["name"] == "num_instances"]
        assert row["n"] == (sum(counts) if counts and row["metric"] else None)
        expected = None if perturbation else stderr(folder, row["metric"], row["split"])
        assert row["stderr"] == (None if expected is None else pytest.approx(expected)), row


def merged(stats: list[Any]) -> Any:
    """The mean; of several stats, one per sub-split, as HELM merges them."""
    if len(stats) == 1:
        return stats[0]["mean"]
    return pytest.approx(sum(one["sum"] for one in stats) / sum(one["count"] for one in stats))


def is_worst(one: Any, perturbation: str) -> bool:
    described = one["name"].get("perturbation", {})
    return described.get("name") == perturbation and described["computed_on"] == "worst"


def stderr(folder: Path, metric: str | None, split: str | None) -> float | None:
    by_instance: dict[Any, list[float]] = {}
    for entry in read(folder, "per_instance_stats"):
        for one in entry["stats"]:
            name = one["name"]
            if (name["name"], name.get("split")) == (metric, split) and "perturbation" not in entry:
                by_instance.setdefault((entry["instance_id"], name.get("sub_split")), []).append(one["mean"])
    means = list(map(statistics.fmean, by_instance.values()))
    return statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else None


def test_the_demo(demo_outputs: Path) -> None:
    runs = HelmRuns(demo_outputs)
    assert check_samples(runs) == 86
    check_scores(runs)
    check_scores(runs, perturbation="robustness")


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:No main metric for 2 of 14 runs")
@pytest.mark.parametrize(("name", "n_samples"), [("classic", 2198), ("bbq", 501), ("mmlu", 5660)])
def test_dumps(name: str, n_samples: int, shared_dumps: Unpack) -> None:
    runs = HelmRuns(shared_dumps(name))
    assert check_samples(runs) == n_samples
    check_scores(runs)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore:2 of 57 runs excluded", "ignore:No main metric for 41 of 55 runs")
def test_every_adaptation_method_of_helm(shared_dumps: Unpack) -> None:
    runs = HelmRuns(shared_dumps("helm_made"))
    # 659 request states; 18 fewer for the separate method, 42 for the calibrated one (twice each), 24 for ranking.
    assert check_samples(runs) == 659 - 2 * 18 - 2 * 42 - 24
    assert check_samples(runs, "requests") == 659
    check_scores(runs)


def choice_run(method: str, **changes: Any) -> Any:
    """One question with two options, of which the second is right, and requests as the method has them."""
    run = make_run("a:x=1", n_instances=1)
    run["run_spec"]["adapter_spec"] |= {"method": method, **changes}
    run["scenario_state"]["adapter_spec"] |= {"method": method, **changes}
    (state,) = run["scenario_state"]["request_states"]
    state["instance"]["references"] = [
        {"output": {"text": "ebb"}, "tags": []},
        {"output": {"text": "flow"}, "tags": ["correct"]},
    ]
    return run


def said(state: Any, text: str) -> Any:
    state["result"]["completions"][0]["text"] = text
    return state


@pytest.mark.parametrize(
    ("text", "choice", "answer"),
    [(" B\n", "B", "flow"), ("A", "A", "ebb"), ("M", None, None), ("flow", None, None), ("", None, None)],
)
def test_a_choice_is_a_letter_of_the_output_mapping(text: str, choice: Any, answer: Any, tmp_path: Path) -> None:
    run = choice_run("multiple_choice_joint")
    state = said(run["scenario_state"]["request_states"][0], text)
    state["output_mapping"] = {"A": "ebb", "B": "flow"}
    write_runs(tmp_path, [run])
    found = HelmRuns(tmp_path).samples().row(0, named=True)
    assert (found["choice"], found["answer"], found["gold_choice"], found["gold"]) == (choice, answer, "B", ["flow"])
    assert (found["completion"], found["metric"], found["score"]) == (text, "exact_match", 0.0)


@pytest.mark.parametrize(
    ("pattern", "text", "choice"),
    [(r"(?<=is )\w", "it is B", "B"), (r"\((\w)\)", "(A) or so", "A"), (r"\d", "B", None)],
)
def test_a_pattern_finds_the_letter(pattern: str, text: str, choice: Any, tmp_path: Path) -> None:
    run = choice_run("multiple_choice_joint", output_mapping_pattern=pattern)
    said(run["scenario_state"]["request_states"][0], text)["output_mapping"] = {"A": "ebb", "B": "flow"}
    write_runs(tmp_path, [run])
    assert HelmRuns(tmp_path).samples()["choice"].to_list() == [choice]
    check_samples(HelmRuns(tmp_path))


def test_a_letter_behind_a_chain_of_thought(tmp_path: Path) -> None:
    run = choice_run("multiple_choice_joint_chain_of_thought")
    text = "The tide turns, so the correct answer is (B)."
    said(run["scenario_state"]["request_states"][0], text)["output_mapping"] = {"A": "ebb", "B": "flow"}
    write_runs(tmp_path, [run])
    assert HelmRuns(tmp_path).samples().select("choice", "answer").rows() == [("B", "flow")]


@pytest.mark.parametrize("method", ["multiple_choice_separate_calibrated", "multiple_choice_separate_original"])
def test_separate_requests_are_one_sample_of_the_chosen_reference(method: str, tmp_path: Path) -> None:
    run = choice_run(method)
    (state,) = run["scenario_state"]["request_states"]
    states = []
    for index, mode in [(0, "original"), (0, "calibration"), (1, "original"), (1, "calibration")]:
        one = json.loads(json.dumps(state)) | {"reference_index": index, "request_mode": mode}
        one["request"]["prompt"] = f"{mode} {index}"
        states.append(one)
    run["scenario_state"]["request_states"] = states
    run["per_instance_stats"][0]["stats"].append(stat("predicted_index", 1))
    write_runs(tmp_path, [run])
    runs = HelmRuns(tmp_path)
    assert runs.samples().select("prompt", "choice", "gold_choice", "answer").rows() == [
        ("original 1", "B", "B", "flow")
    ]
    assert runs.samples(rows="requests")["prompt"].to_list() == [
        "original 0", "calibration 0", "original 1", "calibration 1",
    ]  # fmt: skip
    check_samples(runs)
    check_samples(runs, "requests")


def test_ranking_is_one_sample_without_a_choice(tmp_path: Path) -> None:
    run = choice_run("ranking_binary")
    (state,) = run["scenario_state"]["request_states"]
    states = [json.loads(json.dumps(state)) | {"reference_index": index} for index in (0, 1)]
    run["scenario_state"]["request_states"] = states
    run["per_instance_stats"] = [instance_stats("id0", 1.0) | {"stats": [stat("RR@10", 0.5)]}]
    write_runs(tmp_path, [run])
    found = HelmRuns(tmp_path).samples(["RR@10"])
    assert found.select("choice", "gold_choice", "gold", "RR@10").rows() == [(None, None, ["flow"], 0.5)]


def test_chat_has_messages_and_no_prompt(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=2)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "ebb?"}]
    run["scenario_state"]["request_states"][0]["request"] |= {"prompt": "", "messages": messages}
    write_runs(tmp_path, [run])
    found = HelmRuns(tmp_path).samples(["exact_match"])
    assert [json.loads(message) for message in found["messages"][0]] == messages
    assert found["messages"][1] is None
    assert found["prompt"].to_list() == [None, "Answer in one word.\nWhat comes after tide id1?"]


def test_media_of_the_question(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=2)
    objects = [
        {"content_type": "text/plain", "text": "What is "},
        {"content_type": "image/png", "location": "a.png"},
        {"content_type": "text/plain", "text": "this?"},
    ]
    state = run["scenario_state"]["request_states"][0]
    state["instance"]["input"] = {"text": "", "multimedia_content": {"media_objects": objects}}
    state["request"] |= {"prompt": "", "multimodal_prompt": {"media_objects": objects}}
    write_runs(tmp_path, [run])
    found = HelmRuns(tmp_path).samples(["exact_match"])
    assert found["media"].to_list() == [["a.png"], []]
    assert found["prompt"][0] == "What is this?"


def test_a_request_without_a_result_has_no_completion(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=2)
    del run["scenario_state"]["request_states"][0]["result"]
    run["scenario_state"]["request_states"][1]["result"]["completions"] = []
    write_runs(tmp_path, [run])
    found = HelmRuns(tmp_path).samples(["exact_match"])
    assert found.select("completion", "completions", "logprob", "num_tokens").rows() == [
        (None, None, None, None),
        (None, [], None, None),
    ]


def test_trials_are_rows_of_their_own(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=1)
    run["scenario_state"]["request_states"] = [request_state("id0"), request_state("id0") | {"train_trial_index": 1}]
    run["per_instance_stats"] = [instance_stats("id0", 1.0), instance_stats("id0", 0.0) | {"train_trial_index": 1}]
    run["stats"] = [stat("exact_match", 0.5) | {"count": 2}, stat("num_instances", 1)]
    write_runs(tmp_path, [run])
    runs = HelmRuns(tmp_path)
    assert runs.samples(["exact_match"]).select("trial", "exact_match").rows() == [(0, 1.0), (1, 0.0)]
    # One instance: there is no telling how its score would vary over others.
    assert runs.scores("exact_match").select("score", "n", "stderr").rows() == [(0.5, 1, None)]


def test_arguments_of_the_scenario(tmp_path: Path) -> None:
    write_runs(
        tmp_path, [make_run("a", args={"subject": "ebb", "k": 2}), make_run("b", args={"subject": "flow", "k": 3})]
    )
    write_run(tmp_path, make_run("c", args={"subject": "neap", "deep": {"x.y": [1]}}), suite="other")
    runs = HelmRuns(tmp_path)
    same_keys = HelmOutputs(tmp_path).suites("made").samples(["exact_match"])
    assert [name for name in same_keys.columns if "args" in name] == ["args.k", "args.subject"]
    assert same_keys["args.k"].to_list() == [2, 2, 3, 3]
    found = runs.scores("exact_match")
    assert [name for name in found.columns if "args" in name] == ["args.subject", "scenario_args"]
    assert list(map(json.loads, found["scenario_args"])) == [
        {"subject": "ebb", "k": 2},
        {"subject": "flow", "k": 3},
        {"subject": "neap", "deep": {"x.y": [1]}},
    ]


def test_the_columns_of_samples_and_scores(outputs: Path) -> None:
    begin = ["source", "suite", "run", "run_spec_name", "model", "model_deployment", "scenario", "args.subject"]
    end = ["item_key", "item_key_reason", "prompt_key"]
    runs = HelmRuns(outputs)
    assert runs.samples(["exact_match", "num_output_tokens"]).columns == [
        *begin, *COLUMNS, *end, "exact_match", "num_output_tokens",
    ]  # fmt: skip
    assert runs.samples("all").columns == [*begin, *COLUMNS, *end, "exact_match"]
    with pytest.warns(MagnetWarning, match="No main metric for 3 of 3 runs"):
        assert runs.samples().columns == [*begin, *COLUMNS, *end, "metric", "score"]
    assert runs.scores("exact_match").columns == [
        "source", "suite", "run", "model", "scenario", "args.subject", "metric", "split", "score", "n", "stderr",
    ]  # fmt: skip


def test_keys_are_those_of_items_and_prompts(outputs: Path) -> None:
    found = HelmRuns(outputs).samples(["exact_match"])
    assert found["item_key"].n_unique() == found["prompt_key"].n_unique() == 2
    assert found["item_key"].str.len_chars().unique().to_list() == [32]


def test_samples_are_read_when_they_are_collected(outputs: Path) -> None:
    samples = HelmRuns(outputs).scan_samples(["exact_match"])
    assert isinstance(samples, pl.LazyFrame)
    right = samples.filter(pl.col("exact_match") == 1).select("run", "instance_id").collect()
    assert right.rows() == [("a:x=1", "id1"), ("b:x=2", "id1"), ("c:x=3", "id1")]


def test_shortcuts(outputs: Path) -> None:
    dump = HelmOutputs(outputs)
    suites, suite, run = dump.suites(), dump.suites()[0], HelmRun(outputs / "runs/made/a:x=1")
    assert len(dump.runs()) == len(dump.runs("[ab]*")) + 1 == 3
    for source, n_runs in ((dump, 3), (suites, 3), (suite, 3), (run, 1)):
        assert source.run_spec().height == n_runs
        assert source.stats().height == 2 * n_runs
        assert source.samples(["exact_match"]).height == 2 * n_runs
        assert source.scores("exact_match")["score"].to_list() == [0.5] * n_runs
        assert source.main_metrics().height == n_runs


def test_scores_by_another_metric_split_and_perturbation(tmp_path: Path) -> None:
    robustness = {"name": "robustness", "robustness": True, "fairness": False, "computed_on": "worst"}
    valid = stat("exact_match", 0.25)
    valid["name"]["split"] = "valid"
    run = make_run("a:x=1")
    run["stats"] += [valid, stat("exact_match", 0.125, robustness), stat("speed", 3.0)]
    write_runs(tmp_path, [run, make_run("b:x=2")])
    runs = HelmRuns(tmp_path)
    assert runs.scores("exact_match")["score"].to_list() == [0.5, 0.5]
    assert runs.scores("exact_match", split="valid").select("split", "score").rows() == [
        ("valid", 0.25),
        ("valid", None),
    ]
    worst = runs.scores("exact_match", perturbation="robustness")
    assert worst.select("score", "n", "stderr").rows() == [(0.125, 2, None), (None, 2, None)]
    assert runs.scores("speed").select("split", "score").rows() == [("test", 3.0), (None, None)]
    with pytest.raises(ColumnNotFoundError, match=r"no stat 'exact_mach'\.\n.*'exact_match'"):
        runs.scores("exact_mach")
    with pytest.raises(ColumnNotFoundError, match=r"no perturbation 'robust'"):
        runs.scores("exact_match", perturbation="robust")
    with pytest.raises(ColumnNotFoundError, match=r"no split 'vaild'\.\n.*'valid'"):
        runs.scores("exact_match", split="vaild")


def test_stats_of_sub_splits_are_merged_as_by_helm(tmp_path: Path) -> None:
    run = make_run("a:x=1")
    parts = []
    for part, value, count in (("easy", 1.0, 1), ("hard", 0.25, 3)):
        one = stat("exact_match", value) | {"count": count, "sum": value * count}
        one["name"]["sub_split"] = part
        number = stat("num_instances", 4)
        number["name"]["sub_split"] = part
        parts += [one, number]
    run["stats"] = parts
    write_runs(tmp_path, [run])
    # (1 + 3 · 0.25) / 4
    assert HelmRuns(tmp_path).scores("exact_match").select("score", "n").rows() == [(0.4375, 8)]


def test_misuse_is_named(outputs: Path) -> None:
    runs = HelmRuns(outputs)
    with pytest.raises(SettingError, match=r"metrics:\n.*found 'most'"):
        runs.samples("most")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"rows:\n.*found 'all'"):
        runs.samples(rows="all")  # type: ignore[arg-type]
    with pytest.raises(ColumnNotFoundError, match=r"no stat 'exact_mach'\.\n.*'exact_match'"):
        runs.samples(["exact_mach"])


def test_a_score_that_is_there_twice_with_different_values_is_an_error(tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=1)
    run["per_instance_stats"] = [instance_stats("id0", 1.0), instance_stats("id0", 0.5)]
    write_runs(tmp_path, [run])
    runs = HelmRuns(tmp_path)
    with pytest.raises(JoinError, match="exact_match"):
        runs.samples("all")
    assert runs.samples("all", duplicates="last")["exact_match"].to_list() == [0.5]
    assert runs.samples(["num_output_tokens"]).height == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 10**40])
def test_numbers_that_no_count_or_reference_can_be(value: float, tmp_path: Path) -> None:
    run = make_run("a:x=1")
    for entry in run["per_instance_stats"]:
        entry["stats"].append(stat("predicted_index", value))
    run["stats"].append(stat("num_instances", value))
    write_run(tmp_path, run)
    runs = HelmRuns(tmp_path)
    assert runs.samples(["exact_match"]).height == len(run["scenario_state"]["request_states"])
    assert runs.scores(metric="exact_match").get_column("n").to_list() == [None]


def test_stats_of_instances_without_means(tmp_path: Path) -> None:
    run = make_run("a:x=1")
    for entry in run["per_instance_stats"]:
        for one in entry["stats"]:
            one.pop("mean", None)
    write_run(tmp_path, run)
    assert HelmRuns(tmp_path).scores(metric="exact_match").get_column("stderr").to_list() == [None]


@pytest.mark.parametrize("asked", [None, 3, [None], [3], {"a": 1}, [["exact_match"]]])
def test_samples_refuse_what_is_no_name_of_a_metric(asked: Any, tmp_path: Path) -> None:
    write_run(tmp_path, make_run("a:x=1"))
    with pytest.raises(SettingError, match="metrics"):
        HelmRuns(tmp_path).samples(asked)


@pytest.mark.filterwarnings("ignore::magnet_arrow.errors.MagnetWarning")  # the run has no main metric
@pytest.mark.parametrize("option", ["metric", "split", "perturbation"])
def test_scores_refuse_what_is_no_name(option: str, tmp_path: Path) -> None:
    write_run(tmp_path, make_run("a:x=1"))
    with pytest.raises(SettingError, match=option):
        HelmRuns(tmp_path).scores(**{option: 3})
