"""Samples as a plain loop over a run's JSON: what ours are compared with."""

import re
from pathlib import Path
from typing import Any

from plain_join import Json, read, stats_of_states

REASONED = [r"answer is \(?([A-J])\)?", r"correct answer is [^A-Za-z]*([A-J])", r"correct answer is [^A-Z]*([A-J])"]


def samples(folder: Path, duplicates: str = "last", rows: str = "samples") -> list[dict[str, Any]]:
    """One dictionary per sample of a run; the stats are under `stats`."""
    spec, states = read(folder, "run_spec"), read(folder, "scenario_state")["request_states"]
    adapter = spec["adapter_spec"]
    stats = stats_of_states(states, read(folder, "per_instance_stats"), duplicates)
    found = [sample(state, adapter, values) for state, values in zip(states, stats, strict=True)]
    if rows == "requests" or not is_per_reference(adapter["method"]):
        return found
    kept: dict[str, list[int]] = {}
    for row, state in enumerate(states):
        if state.get("request_mode") != "calibration":
            instance = state["instance"]
            key = [state["train_trial_index"], instance["id"], instance.get("perturbation"), instance.get("split")]
            kept.setdefault(repr(key), []).append(row)
    chosen = []
    for members in kept.values():
        picks = [row for row in members if states[row].get("reference_index") == stats[row].get("predicted_index")]
        chosen.append((picks or members)[0])
    return [found[row] for row in sorted(chosen)]


def is_per_reference(method: str) -> bool:
    return method.startswith("multiple_choice_separate") or method == "ranking_binary"


def sample(state: Json, adapter: Json, stats: dict[str, Any]) -> dict[str, Any]:
    instance, request = state["instance"], state["request"]
    completions = state["result"]["completions"] if "result" in state else None
    first = completions[0] if completions else {}
    references = [reference["output"].get("text") for reference in instance["references"]]
    right = [i for i, reference in enumerate(instance["references"]) if "correct" in reference["tags"]]
    mapping = state.get("output_mapping")
    choice, answer = chosen(adapter, mapping, first.get("text"))
    gold = [references[i] for i in right]
    gold_choice = [letter for letter, text in (mapping or {}).items() if text in gold]
    if adapter["method"].startswith("multiple_choice_separate"):
        picked = stats.get("predicted_index")
        choice = None if picked is None else chr(65 + int(picked))
        answer = None if picked is None else references[int(picked)]
        gold_choice = [chr(65 + i) for i in right]
    return {
        "split": instance.get("split"),
        "sub_split": instance.get("sub_split"),
        "instance_id": instance.get("id"),
        "trial": state["train_trial_index"],
        "perturbation": instance["perturbation"]["name"] if "perturbation" in instance else None,
        "prompt": prompt(request),
        "messages": request.get("messages"),
        "completion": first.get("text"),
        "completions": None if completions is None else [one["text"] for one in completions],
        "choice": choice,
        "gold_choice": ", ".join(gold_choice) or None,
        "answer": answer,
        "gold": gold,
        "media": [one["location"] for one in media(instance["input"]) if "location" in one],
        "finish_reason": (first.get("finish_reason") or {}).get("reason"),
        "logprob": first.get("logprob"),
        "num_tokens": len(first["tokens"]) if first else None,
        "stats": stats,
    }


def prompt(request: Json) -> str | None:
    if "messages" in request:
        return None
    if "multimodal_prompt" in request:
        return "".join(one.get("text", "") for one in request["multimodal_prompt"]["media_objects"])
    return str(request["prompt"])


def media(given: Json) -> list[Json]:
    return list(given.get("multimedia_content", {}).get("media_objects", []))


def chosen(adapter: Json, mapping: Json, text: str | None) -> tuple[str | None, str | None]:
    """The letter that a completion is, and what it stands for."""
    if mapping is None or text is None:
        return None, None
    said: list[str | None] = [text.strip()]
    if adapter.get("output_mapping_pattern"):
        found = re.search(adapter["output_mapping_pattern"], text.strip())
        said = [found[1 if found.re.groups else 0] if found else None]
    if adapter["method"].endswith("chain_of_thought"):
        said += [found[1] if (found := re.search(pattern, text)) else None for pattern in REASONED]
    letter = next((one for one in said if one in mapping), None)
    return letter, None if letter is None else mapping[letter]
