"""Invented runs in HELM's shape, written the way HELM writes them.

Plain values in, files out: a run is a dict of its four files' contents, which a test may change before
`write_run`. Names with ':' exist only in folders made here at run time.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

Run = dict[str, Any]

TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")
"""The files that each run has, without `.json`."""


def make_run(
    name: str,
    *,
    args: Any = None,
    extra_data: Sequence[Any] = (),
    annotations: Sequence[Any] = (),
    n_instances: int = 2,
) -> Run:
    """One run; the sequences give one value an instance, from the first on."""
    states = [request_state(f"id{number}") for number in range(n_instances)]
    for state, value in zip(states, extra_data, strict=False):
        state["instance"]["extra_data"] = value
    for state, value in zip(states, annotations, strict=False):
        state["annotations"] = value
    return {
        "run_spec": run_spec(name, {"subject": "tides"} if args is None else args),
        "scenario_state": {"adapter_spec": adapter_spec(), "request_states": states},
        "stats": [stat("exact_match", 0.5), stat("num_instances", n_instances)],
        "per_instance_stats": [instance_stats(f"id{number}", number % 2) for number in range(n_instances)],
    }


def adapter_spec() -> dict[str, Any]:
    return {
        "method": "generation",
        "instructions": "Answer in one word.",
        "substitutions": [],
        "max_train_instances": 0,
        "num_outputs": 1,
        "num_train_trials": 1,
        "sample_train": True,
        "model_deployment": "made/heron-2b",
        "model": "made/heron-2b",
        "temperature": 0.0,
        "max_tokens": 5,
        "stop_sequences": ["\n"],
        "multi_label": False,
    }


def run_spec(name: str, args: Any) -> dict[str, Any]:
    return {
        "name": name,
        "scenario_spec": {"class_name": "made.TideScenario", "args": args},
        "adapter_spec": adapter_spec(),
        "metric_specs": [{"class_name": "made.Metric", "args": {"names": ["exact_match"], "k": 1}}],
        "data_augmenter_spec": {"perturbation_specs": [], "seeds_per_instance": 1},
        "groups": ["tides"],
    }


def request_state(instance_id: str | int) -> dict[str, Any]:
    question = f"What comes after tide {instance_id}?"
    return {
        "instance": {
            "input": {"text": question},
            "references": [
                {"output": {"text": "ebb"}, "tags": ["correct"]},
                {"output": {"text": "sun"}, "tags": []},
            ],
            "split": "test",
            "id": instance_id,
        },
        "train_trial_index": 0,
        "request": {
            "model_deployment": "made/heron-2b",
            "model": "made/heron-2b",
            "embedding": False,
            "prompt": f"Answer in one word.\n{question}",
            "temperature": 0.0,
            "num_completions": 1,
            "max_tokens": 5,
            "stop_sequences": ["\n"],
            "top_p": 1,
        },
        "result": {
            "success": True,
            "embedding": [],
            "completions": [
                {
                    "text": " ebb",
                    "logprob": -0.25,
                    "tokens": [{"text": " ebb", "logprob": -0.25}],
                    "finish_reason": {"reason": "stop"},
                }
            ],
            "cached": False,
            "request_time": 0.125,
            "request_datetime": 1750000000,
        },
        "num_train_instances": 0,
        "prompt_truncated": False,
        "num_conditioning_tokens": 0,
    }


def stat(name: str, value: float, perturbation: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": {"name": name, "split": "test"} | ({"perturbation": perturbation} if perturbation else {}),
        "count": 1,
        "sum": value,
        "sum_squared": value * value,
        "min": value,
        "max": value,
        "mean": float(value),
        "variance": 0.0,
        "stddev": 0.0,
    }


def instance_stats(instance_id: str, value: float, perturbation: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "instance_id": instance_id,
        **({"perturbation": perturbation} if perturbation else {}),
        "train_trial_index": 0,
        "stats": [stat("exact_match", value, perturbation), stat("num_output_tokens", 1, perturbation)],
    }


THREE = ["a:x=1", "b:x=2", "c:x=3"]
"""Names of the runs of the fixture `outputs` in `conftest`."""


def helm_layout(value: Any) -> str:
    """The text that HELM writes, `json.dumps(value, indent=2)`: but quicker, as `json` indents in Python."""
    text = json.dumps(value)
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:  # NaN, the infinities, half a surrogate pair
        return json.dumps(value, indent=2)


def write_run(outputs: Path, run: Run, *, suite: str = "made", folder: str | None = None) -> Path:
    """Writes the run's files below an outputs folder; gives the run's folder."""
    path = outputs / "runs" / suite / (folder or run["run_spec"]["name"])
    path.mkdir(parents=True)
    for table in TABLES:
        (path / f"{table}.json").write_text(helm_layout(run[table]), encoding="ascii")
    return path


def write_runs(outputs: Path, runs: Sequence[Run], *, suite: str = "made") -> list[Path]:
    return [write_run(outputs, run, suite=suite) for run in runs]
