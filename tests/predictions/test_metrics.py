"""What metrics are, and which one is the main metric of a run."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from makedump import make_run, stat, write_run, write_runs

from magnet_arrow import HelmRuns
from magnet_arrow.errors import MagnetWarning
from magnet_arrow.predictions.metrics import SuiteSchema, metric, of_kind

Unpack = Callable[[str], Path]


def names(text: str) -> list[str]:
    return text.split()


# As HELM's schemas have them (static/schema_*.yaml of HELM 0.5.16).
BOOKKEEPING = names("""
num_references num_train_trials num_prompt_tokens num_completion_tokens num_output_tokens prompt_truncated
num_train_instances num_instances num_requests num_completions num_prompt_characters max_num_output_tokens batch_size
max_num_completion_tokens finish_reason_length finish_reason_unknown logprob logprob_per_byte num_perplexity_tokens
num_bytes predicted_index num_generated_images prompt_length f1_macro_ci_low accuracy_ci_high ref0_rank
safety_gpt_annotator_success""")
COSTS = names("""
inference_runtime inference_denoised_runtime inference_idealized_runtime denoised_runtime training_co2_cost
training_energy_cost estimated_num_tokens_cost""")
LOWER = names("""
perplexity bits_per_byte wer_score cer_score mer_score error_rate toxic_frac expected_max_toxicity
max_toxicity_probability bbq_metric_ambiguous_bias ece_10_bin platt_ece_1_bin nsfw_frac nudity_frac fid
bias_metric:mode=associations,demographic_category=race,target_category=profession kernel_inception_distance
expected_lpips_score fractal_dimension_loss gender_imbalance demographic_parity_difference equalized_odds_difference
longest_common_prefix_length absolute_value_difference distance decodingtrust_privacy_leakage_rate""")
HIGHER = names("""
exact_match exact_match@5 quasi_exact_match quasi_prefix_exact_match@2 final_number_exact_match f1_score
rouge_2 bleu_4 classification_macro_f1 NDCG@10 RR@10 math_equiv bbq_accuracy chain_of_thought_correctness
ifeval_strict_accuracy safety_score f1_set_match""")


@pytest.mark.parametrize("name", BOOKKEEPING)
def test_bookkeeping(name: str) -> None:
    assert (metric(name).kind, metric(name).lower_is_better) == ("bookkeeping", None)


@pytest.mark.parametrize("name", COSTS)
def test_costs(name: str) -> None:
    assert (metric(name).kind, metric(name).lower_is_better) == ("cost", True)
    assert metric(name).unit is not None


@pytest.mark.parametrize("name", [*LOWER, *HIGHER])
def test_quality_and_its_direction(name: str) -> None:
    assert (metric(name).kind, metric(name).lower_is_better) == ("quality", name in LOWER)


def test_what_no_table_has_is_quality_without_a_direction() -> None:
    found = metric("métrique 🦉")
    assert (found.kind, found.lower_is_better, found.unit) == ("quality", None, None)
    assert of_kind(["exact_match", "num_bytes", "other"], "quality") == ["exact_match", "other"]


def test_a_suites_schema_says_the_direction() -> None:
    schema = SuiteSchema("v1/schema.json", {"edit_similarity": True, "logprob": None})
    found = metric("edit_similarity", schema)
    assert (found.lower_is_better, found.source) == (True, "v1/schema.json")
    assert metric("edit_similarity").lower_is_better is None
    assert metric("logprob", schema).source == "HELM 0.5.16"


@pytest.mark.shared
def test_directions_are_those_of_a_schema_that_helm_wrote(shared_dumps: Unpack) -> None:
    text = (shared_dumps("bbq") / "benchmark_output/runs/v1/schema.json").read_text(encoding="utf-8")
    for one in json.loads(text)["metrics"]:
        found = metric(one["name"])
        if found.kind == "quality" and found.lower_is_better is not None:
            assert found.lower_is_better == one.get("lower_is_better"), one["name"]


def schema(groups: Any) -> str:
    return json.dumps({"metrics": [], "run_groups": groups, "models": []})


def group(name: str, metric: str, split: str) -> Any:
    return {"name": name, "environment": {"main_name": metric, "main_split": split}}


def main_of(outputs: Path) -> list[tuple[Any, ...]]:
    found = HelmRuns(outputs).main_metrics()
    return found.select("metric", "split", "metric_source").rows()


def one_run(outputs: Path, *, groups: Any = ("tides",), method: str = "generation", scenario: str = "Tide") -> Any:
    run = make_run("a:x=1")
    run["run_spec"] |= {"groups": list(groups)}
    run["run_spec"]["adapter_spec"]["method"] = method
    run["run_spec"]["scenario_spec"]["class_name"] = f"helm.benchmark.scenarios.{scenario}"
    return run


def test_by_the_first_group_that_the_suites_schema_has_a_metric_for(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path, groups=["all", "none", "tides", "late"]))
    groups = [{"name": "all", "subgroups": ["tides"]}, group("none", "none", "none")]
    groups += [group("late", "f1_score", "test"), group("tides", "exact_match", "valid")]
    (tmp_path / "runs/made/schema.json").write_text(schema(groups))
    assert main_of(tmp_path) == [("exact_match", "valid", "made/schema.json")]


def test_exact_match_stands_in_for_a_quasi_exact_match_that_is_not_there(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path))
    other = one_run(tmp_path)
    other["run_spec"]["name"] = "b"
    other["stats"].append(stat("quasi_exact_match", 1.0))
    write_run(tmp_path, other)
    (tmp_path / "runs/made/schema.json").write_text(schema([group("tides", "quasi_exact_match", "test")]))
    assert [name for name, *_ in main_of(tmp_path)] == ["exact_match", "quasi_exact_match"]


def test_the_schema_of_a_release_that_the_suite_is_in(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path))
    for release, suites, metric_name in (("v1", ["made"], "old"), ("v2", ["made"], "new"), ("v3", ["other"], "no")):
        folder = tmp_path / "releases" / release
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"release": release, "suites": suites, "date": "2026-01-01"}))
        (folder / "schema.json").write_text(schema([group("tides", metric_name, "test")]))
    assert main_of(tmp_path / "runs") == [("new", "test", "v2/schema.json")]


def test_half_a_surrogate_pair_in_a_schema_is_as_in_columns(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path))
    (tmp_path / "runs/made/schema.json").write_text(schema([group("tides", "\ud800 match", "\udfff")]))
    assert main_of(tmp_path) == [("\ufffd match", "\ufffd", "made/schema.json")]


def test_a_compressed_schema_is_read_to_its_end(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path))
    groups = [group(f"group {number}", "f1_score", "test") for number in range(5_000)]
    data = gzip.compress(schema([*groups, group("tides", "exact_match", "valid")]).encode())
    assert len(data) < 1 << 16  # one block of the reader, which unpacked has several
    (tmp_path / "runs/made/schema.json.gz").write_bytes(data)
    assert [row[:2] for row in main_of(tmp_path)] == [("exact_match", "valid")]


def test_by_the_scenarios_class(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path, scenario="commonsense_scenario.HellaSwagScenario"))
    source = "HELM 0.5.16, scenarios/commonsense_scenario.py"
    assert main_of(tmp_path) == [("exact_match", "valid", source)]


def test_by_the_method(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path, method="multiple_choice_separate_original"))
    assert main_of(tmp_path) == [("exact_match", "test", "method multiple_choice_separate_original")]


def test_a_stat_without_a_split_is_of_none(tmp_path: Path) -> None:
    run = one_run(tmp_path, method="multiple_choice_joint")
    run["stats"] = [stat("exact_match", 0.75)]
    del run["stats"][0]["name"]["split"]
    write_run(tmp_path, run)
    assert main_of(tmp_path) == [("exact_match", None, "method multiple_choice_joint")]
    assert HelmRuns(tmp_path).scores().select("split", "score").rows() == [(None, 0.75)]


def test_none_with_the_reason(tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path, scenario="gsm_scenario.GSM8KScenario", groups=[]))
    runs = HelmRuns(tmp_path)
    (row,) = runs.main_metrics().to_dicts()
    assert (row["metric"], row["split"], row["metric_source"]) == (None, None, None)
    assert row["reason"] == (
        "no schema.json has a main metric for its groups (none); final_number_exact_match, which HELM has for "
        "GSM8KScenario, is not among its stats; no metric suits every run of method generation"
    )
    with pytest.warns(MagnetWarning, match=r"No main metric for 1 of 1 run,.*made/a:x=1"):
        assert runs.scores().select("metric", "score", "n").rows() == [(None, None, None)]


def test_perturbed_stats_are_no_main_metric(tmp_path: Path) -> None:
    run = one_run(tmp_path, method="multiple_choice_joint")
    worst = {"name": "robustness", "robustness": True, "fairness": False, "computed_on": "worst"}
    run["stats"] = [stat("exact_match", 0.5, worst)]
    write_runs(tmp_path, [run])
    assert main_of(tmp_path) == [(None, None, None)]


@pytest.mark.parametrize("text", ["{", "[]", '{"run_groups": 3}', '{"run_groups": [null, {"environment": []}]}'])
def test_a_schema_that_says_nothing(text: str, tmp_path: Path) -> None:
    write_run(tmp_path, one_run(tmp_path, method="multiple_choice_joint"))
    (tmp_path / "runs/made/schema.json").write_text(text)
    if text == "{":
        with pytest.warns(MagnetWarning, match=r"(?s)Metrics are looked up without it: made/schema\.json, byte 1"):
            found = main_of(tmp_path)
    else:
        found = main_of(tmp_path)
    assert found == [("exact_match", "test", "method multiple_choice_joint")]


@pytest.mark.shared
def test_main_metrics_of_dumps(shared_dumps: Unpack) -> None:
    found = HelmRuns(shared_dumps("bbq")).main_metrics()
    assert found.select("metric", "split", "metric_source").unique().rows() == [
        ("quasi_exact_match", "test", "v1/schema.json")
    ]


SCENARIOS = """
def known():
    return "bleu"

class Otter:
    def get_metadata(self):
        return ScenarioMetadata(name="otter", main_metric="f1_score", main_split="valid")

class Crane:
    def get_metadata(self):
        return ScenarioMetadata(main_metric="exact_match", main_split="test")

class Several:
    def get_metadata(self):
        if self.subset:
            return ScenarioMetadata(main_metric="rouge_2", main_split="test")
        return ScenarioMetadata(main_metric="bleu_4", main_split="test")

class NoLiteral:
    def get_metadata(self):
        return ScenarioMetadata(main_metric=known(), main_split="test")

class Unknown:
    def get_metadata(self):
        return ScenarioMetadata(main_metric="unknown", main_split="test")

class OtherMethod:
    def other(self):
        return ScenarioMetadata(main_metric="f1_score", main_split="test")
"""


def test_the_table_of_scenario_classes_is_made_of_their_source(tmp_path: Path) -> None:
    source = tmp_path / "helm/benchmark/scenarios/birds.py"
    source.parent.mkdir(parents=True)
    source.write_text(SCENARIOS)
    maker = Path(__file__).parents[1] / "data/make_main_metrics.py"
    subprocess.run([sys.executable, maker, tmp_path, tmp_path / "made.csv"], check=True)
    assert (tmp_path / "made.csv").read_text().splitlines() == [
        "scenario_class,metric,split,source",
        "Crane,exact_match,test,scenarios/birds.py",
        "Otter,f1_score,valid,scenarios/birds.py",
    ]
