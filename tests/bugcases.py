"""Inputs drawn from public bug reports, of our own making: `python tests/bugcases.py DIR` writes them all.

Numbers are those of the maintainers' bug log; what each case must come to is in `promises/test_bug_cases.py`. A case
writes runs below an outputs folder. What is no input but an action (`ACTIONS`) is built where it is tested.
"""

import copy
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from makedump import helm_layout, instance_stats, make_run, request_state, stat

Files = dict[str, Any]
"""Content of a run's files by name: JSON values, or bytes as they are."""

SUITE = "v1"
NAME = "tide:subject=ebb,model=made_heron-2b"
OTHER = "tide:subject=flood,model=made_heron-2b"
THIRD = "tide:subject=slack,model=made_heron-2b"
TYPOS = {"name": "typos", "robustness": True, "fairness": False, "computed_on": "perturbed", "prob": 0.1}
DEEP_LEVELS = 400


def run_files(name: str = NAME, ids: Sequence[str | int] = ("id1", "id2", "id3")) -> Files:
    """A sound run: each instance but the first was answered rightly."""
    run = make_run(name, n_instances=0)
    run["stats"] = [stat("exact_match", 2 / 3)]
    run["scenario_state"]["request_states"] = [request_state(each) for each in ids]
    run["per_instance_stats"] = [scored(each, int(place > 0)) for place, each in enumerate(ids)]
    scenario = {"name": "tide", "description": "Tides.", "tags": [], "definition_path": "https://example.org/tide.py"}
    return {f"{table}.json": content for table, content in run.items()} | {"scenario.json": scenario}


def scored(instance_id: str | int, value: float, perturbation: Any = None, *, name: str = "exact_match") -> Any:
    """An entry of per-instance stats with one stat."""
    entry = instance_stats(instance_id, value, perturbation)
    entry["stats"] = [stat(name, value, perturbation)]
    return entry


def perturbed(instance_id: str, perturbation: Any) -> Any:
    state = request_state(instance_id)
    state["instance"]["perturbation"] = perturbation
    return state


def states(files: Files) -> list[Any]:
    found: list[Any] = files["scenario_state.json"]["request_states"]
    return found


def completion(state: Any) -> Any:
    return state["result"]["completions"][0]


def write(outputs: Path, files: Files, folder: str | None = None) -> Path:
    """Writes a run as HELM does."""
    path = outputs / "runs" / SUITE / (folder or files["run_spec.json"]["name"])
    path.mkdir(parents=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else helm_layout(content).encode("ascii")
        (path / name).write_bytes(data)
    return path


def whole_and_fractional_numbers(outputs: Path) -> None:
    files = run_files()
    entries = files["per_instance_stats.json"]
    for entry, value in zip(entries, (1, 1.0, 0.5), strict=True):
        entry["stats"][0]["sum"] = value
    write(outputs, files)


def nan_and_infinity(outputs: Path) -> None:
    files = run_files()
    completion(states(files)[0])["logprob"] = float("nan")
    completion(states(files)[1])["logprob"] = float("-inf")
    files["stats.json"].append(stat("entropy", float("nan")))
    del files["stats.json"][0]["mean"]
    write(outputs, files)
    write(outputs, run_files(OTHER))


def join_on_an_absent_perturbation(outputs: Path) -> None:
    files = run_files(ids=("id1", "id2"))
    states(files).extend([perturbed("id1", TYPOS), perturbed("id2", TYPOS)])
    files["per_instance_stats.json"] += [scored("id1", 0, TYPOS), scored("id2", 0, TYPOS)]
    write(outputs, files)


def absent_null_and_empty(outputs: Path) -> None:
    files = run_files(ids=("id1", "id2", "id3", "id4"))
    for state, value in zip(states(files)[1:], (None, {}, {"hint": None, "levels": []}), strict=True):
        state["instance"]["extra_data"] = value
    states(files)[3]["annotations"] = {}
    files["stats.json"].append(stat("f1", 0) | {"mean": None})
    write(outputs, files)


def files_missing(outputs: Path) -> None:
    write(outputs, run_files())
    files = run_files(OTHER)
    write(outputs, {name: files[name] for name in ("run_spec.json", "stats.json")})
    (outputs / "runs" / SUITE / THIRD).mkdir()


def cut_short_and_zero_bytes(outputs: Path) -> None:
    write(outputs, run_files())
    files = run_files(OTHER)
    text = json.dumps(files["per_instance_stats.json"], indent=2).encode()
    write(outputs, files | {"per_instance_stats.json": text[: len(text) * 2 // 3]})
    write(outputs, run_files(THIRD) | {"stats.json": b""})


def a_field_after_row_100(outputs: Path) -> None:
    files = run_files(ids=[f"id{number}" for number in range(150)])
    for entry in files["per_instance_stats.json"]:
        entry["stats"][0]["mean"] = 1
    files["per_instance_stats.json"][-1]["stats"][0] |= {"mean": 0.5, "ci": [0.25, 0.75]}
    write(outputs, files)


def empty_args(outputs: Path) -> None:
    files = run_files()
    files["run_spec.json"]["scenario_spec"]["args"] = {}
    files["run_spec.json"]["metric_specs"] = [{"class_name": "made.Metric", "args": {}}] * 2
    write(outputs, files)


def two_runs_two_schemas(outputs: Path) -> None:
    write(outputs, run_files())
    files = run_files(OTHER)
    ids = ("id1", "id2", "id3")
    files["scenario_state.json"]["request_states"] = [perturbed(each, TYPOS) for each in ids]
    for state in states(files):
        state["annotations"] = {"judge": {"score": 4, "why": "fine"}}
    files["per_instance_stats.json"] = [scored(each, 1, TYPOS) for each in ids]
    write(outputs, files)


def fields_of_a_newer_helm(outputs: Path) -> None:
    files = run_files()
    files["run_spec.json"]["adapter_spec"]["brand_new_knob"] = [1, "two", None]
    states(files)[0]["request"]["response_format"] = {"json_schema": {"type": "object"}}
    states(files)[1]["request"]["brand_new"] = {"a": {}}
    files["per_instance_stats.json"][0]["stats"][0]["name"]["facet"] = "easy"
    write(outputs, files)


def shapes_of_an_older_helm(outputs: Path) -> None:
    files = run_files(ids=("id1", "id2"))
    for state in states(files):
        instance = state["instance"]
        instance["input"] = instance["input"]["text"]
        for reference in instance["references"]:
            reference["output"] = reference["output"]["text"]
        del state["request"]["model_deployment"]
        completion(state)["tokens"][0]["top_logprobs"] = {" ebb": -0.25, " sun": -1.5}
    del files["run_spec.json"]["adapter_spec"]["model_deployment"]
    del files["scenario_state.json"]["adapter_spec"]["model_deployment"]
    name = {"name": "exact_match", "split": "test"}
    files["stats.json"] = [{"name": name, "count": 2, "sum": 1, "sum_squared": 1}]
    for entry in files["per_instance_stats.json"]:
        for key in ("mean", "variance", "stddev"):
            del entry["stats"][0][key]
    write(outputs, files)


def integer_ids(outputs: Path) -> None:
    files = run_files(ids=(7, 8, "07"))
    for entry, instance_id in zip(files["per_instance_stats.json"], ("7", "8", "07"), strict=True):
        entry["instance_id"] = instance_id
    write(outputs, files)


def half_an_emoji(outputs: Path) -> None:
    files = run_files()
    first, second, _ = map(completion, states(files))
    halves = [{"text": "\ud83d", "logprob": -0.1}, {"text": "\ude00", "logprob": -0.2}]
    first |= {"text": "\ud83d", "tokens": halves}
    second["text"] = "\U0001f600 ok"
    write(outputs, files)
    files = run_files(OTHER)
    states(files)[0]["mystery"] = {"\udcb2": "x"}
    write(outputs, files)


def free_keys(outputs: Path) -> None:
    files = run_files(ids=[f"id{number}" for number in range(40)])
    for number, state in enumerate(states(files)):
        top = {f"tok{number}_{place}": -0.01 * place for place in range(50)}
        completion(state)["tokens"][0]["top_logprobs"] = top
        state["annotations"] = {f"judge_{number}": {"score": number, "tags": ["x"]}}
    states(files)[0]["output_mapping"] = {"": "empty", " ": "blank", "a.b": "dot", "A": "upper", "a": "lower"}
    write(outputs, files)


def an_instance_listed_twice(outputs: Path) -> None:
    files = run_files(ids=("id1", "id2"))
    files["per_instance_stats.json"] = [
        *(scored("id1", 1), scored("id2", 0)),
        *(scored(each, 5, name="num_prompt_tokens") for each in ("id1", "id2")),
        scored("id1", 1),
        *(scored("id2", value, name="f1") for value in (0, 1)),
    ]
    write(outputs, files)


def links_and_loops(outputs: Path) -> None:
    write(outputs, run_files())
    runs = outputs / "runs"
    (runs / "latest").symlink_to(SUITE)
    (runs / SUITE / "loop").symlink_to("..")
    (runs / "gone").symlink_to("nowhere")


def folders_without_a_colon(outputs: Path) -> None:
    write(outputs, run_files(), NAME.replace(":", "_"))
    write(outputs, run_files("tide"))


def what_else_lies_in_a_suite(outputs: Path) -> None:
    run = write(outputs, run_files())
    suite = run.parent
    specs = [run_files()["run_spec.json"], run_files("tide:ghost")["run_spec.json"]]
    summaries = {"run_specs.json": specs, "runs_to_run_suites.json": {NAME: SUITE}, "summary.json": {"suite": SUITE}}
    for name, content in summaries.items():
        (suite / name).write_text(json.dumps(content, indent=2))
    for name in ("eval_cache/cache.json", "groups/latex/tide.tex"):
        (suite / name).parent.mkdir(parents=True)
        (suite / name).write_text("{}")
    for path in (suite / ".DS_Store", suite / ".nfs0001", run / "stats.json.lock", run / ".stats.json.swp"):
        path.write_bytes(b"\0junk")


ODD_NAMES = ("[12]", "1", "100%25 sure*", "café 中", "..")


def odd_names(outputs: Path) -> None:
    for subject in ODD_NAMES:
        write(outputs, run_files(f"tide:subject={subject}"))


def trials_and_references(outputs: Path) -> None:
    files = run_files(ids=("id1",))
    [state] = states(files)
    files["scenario_state.json"]["request_states"] = [
        copy.deepcopy(state) | {"train_trial_index": trial, "reference_index": reference, "request_mode": mode}
        for trial in (0, 1)
        for reference in (0, 1)
        for mode in ("original", "calibration")
    ]
    files["per_instance_stats.json"] = [scored("id1", value) | {"train_trial_index": 1 - value} for value in (1, 0)]
    write(outputs, files)


def a_stat_that_was_never_filled(outputs: Path) -> None:
    files = run_files()
    bleu = {"name": {"name": "bleu", "split": "test"}, "count": 0, "sum": 0, "sum_squared": 0}
    files["stats.json"].append(bleu)
    files["per_instance_stats.json"][0]["stats"].append(bleu)
    write(outputs, files)


def zeros(outputs: Path) -> None:
    files = run_files()
    files["run_spec.json"]["adapter_spec"] |= {"temperature": 0.7, "max_tokens": 5}
    for state in states(files):
        state["request"] |= {"temperature": 0, "top_p": 0, "max_tokens": 0}
    write(outputs, files)
    write(outputs, run_files(OTHER))  # its temperature is 0.0


def kinds_in_one_field(outputs: Path) -> None:
    values = (4, "4", 4.5, {"score": 4}, [4], True, None)
    files = run_files(ids=[f"id{number}" for number in range(len(values))])
    for state, value in zip(states(files), values, strict=True):
        state["annotations"] = {"judge": value}
    files["stats.json"].append(stat("f1", 0.5) | {"stddev": "N/A"})
    write(outputs, files)


EDGES = {
    "past 53 bits": 2**53 + 1,
    "64 bits": 2**64 - 1,
    "65 bits": 19933688932870350000,
    "201 bits": 2**200,
    "below": -(2**63) - 1,
}


def numbers_at_the_edges(outputs: Path) -> None:
    files = run_files(ids=("id1",))
    states(files)[0]["instance"]["extra_data"] = EDGES
    write(outputs, files)


def key_order(outputs: Path) -> None:
    files = run_files()
    for state in states(files)[:2]:
        state["instance"]["perturbation"] = dict(TYPOS)
    second = states(files)[1]
    second["instance"] = dict(reversed(second["instance"].items()))
    second["instance"]["perturbation"] = dict(reversed(TYPOS.items()))
    name = files["per_instance_stats.json"][1]["stats"][0]
    name["name"] = dict(reversed(name["name"].items()))
    write(outputs, files)


def a_key_twice(outputs: Path) -> None:
    files = run_files()
    files["stats.json"] = [stat("exact_match", 2)]
    text = json.dumps(files["stats.json"], indent=2)
    write(outputs, files | {"stats.json": text.replace('"sum": 2,', '"sum": 2,\n    "sum": 3,', 1).encode()})


def other_encodings(outputs: Path) -> None:
    for name, encode in (
        (NAME, lambda text: b"\xef\xbb\xbf" + text.encode()),
        (OTHER, lambda text: text.encode("utf-16")),
        (THIRD, lambda text: text.replace("exact_match", "präzise").encode("latin-1")),
    ):
        files = run_files(name)
        write(outputs, files | {"stats.json": encode(json.dumps(files["stats.json"], indent=2))})


def deep_nesting(outputs: Path) -> None:
    files = run_files()
    annotations: Any = 1
    for _ in range(DEEP_LEVELS):
        annotations = {"k": annotations}
    states(files)[0]["annotations"] = annotations
    write(outputs, files)
    write(outputs, run_files(OTHER) | {"stats.json": b"[" * 100_000})


def nan_beside_numbers(outputs: Path) -> None:
    files = run_files()
    files["stats.json"] = [stat("ppl", value) for value in (1.0, 2.0, float("nan"))]
    write(outputs, files)


def not_equal_and_null(outputs: Path) -> None:
    files = run_files()
    states(files).extend(perturbed(each, TYPOS) for each in ("id1", "id2", "id3"))
    states(files)[0]["instance"]["sub_split"] = "A"
    write(outputs, files)


def other_instances_in_another_order(outputs: Path) -> None:
    write(outputs, run_files())
    write(outputs, run_files(OTHER, ids=("id3", "id1", "id4")))


def folder_and_run_name_disagree(outputs: Path) -> None:
    name = "tide:model=made/heron"
    write(outputs, run_files(name), "tide:model=made_heron")
    files = run_files(name)
    files["run_spec.json"]["adapter_spec"]["temperature"] = 0.7
    write(outputs, files, "tide:model=made_heron,temperature=0.7")


def stat_names_in_another_order(outputs: Path) -> None:
    files = run_files()
    files["stats.json"] = [stat("a", 1), stat("b", 2)]
    files["per_instance_stats.json"][0]["stats"] = []
    write(outputs, files)
    write(outputs, run_files(OTHER) | {"stats.json": [stat("b", 3), stat("c", 4), stat("a", 5)]})


def nothing_answered(outputs: Path) -> None:
    files = run_files(ids=("id1", "id2", "id3", "id4"))
    first, second, third, fourth = states(files)
    del first["result"]
    second["result"]["completions"] = []
    third["result"] |= {"success": False, "error": "x", "completions": []}
    for reference in third["instance"]["references"]:
        reference["tags"] = []
    completion(fourth)["thinking"] = {}
    write(outputs, files)


def nul_in_texts(outputs: Path) -> None:
    files = run_files()
    state = states(files)[0]
    completion(state)["text"] = "a\0b"
    completion(state)["tokens"][0]["text"] = "\0"
    state["output_mapping"] = {"\0": "none"}
    write(outputs, files)


WRONG_KIND = {
    "an object for stats": ("stats.json", {}),
    "null for stats": ("stats.json", None),
    "an object for entries": ("per_instance_stats.json", {"0": {}}),
    "an array for states": ("scenario_state.json", []),
    "a text for the spec": ("run_spec.json", "x"),
}


def json_of_the_wrong_kind(outputs: Path) -> None:
    write(outputs, run_files() | {"stats.json": []})
    for what, (file, content) in WRONG_KIND.items():
        name = f"tide:{what}"
        write(outputs, run_files(name) | {file: content}, name)


CASES: dict[int, Callable[[Path], None]] = {
    1: whole_and_fractional_numbers,
    2: nan_and_infinity,
    3: join_on_an_absent_perturbation,
    4: absent_null_and_empty,
    5: files_missing,
    6: cut_short_and_zero_bytes,
    7: a_field_after_row_100,
    8: empty_args,
    9: two_runs_two_schemas,
    10: fields_of_a_newer_helm,
    11: shapes_of_an_older_helm,
    12: integer_ids,
    13: half_an_emoji,
    14: free_keys,
    15: an_instance_listed_twice,
    17: links_and_loops,
    18: folders_without_a_colon,
    19: what_else_lies_in_a_suite,
    21: odd_names,
    23: trials_and_references,
    24: a_stat_that_was_never_filled,
    25: zeros,
    35: kinds_in_one_field,
    36: numbers_at_the_edges,
    40: key_order,
    41: a_key_twice,
    42: other_encodings,
    43: deep_nesting,
    46: nan_beside_numbers,
    47: not_equal_and_null,
    49: other_instances_in_another_order,
    50: folder_and_run_name_disagree,
    51: stat_names_in_another_order,
    56: nothing_answered,
    57: nul_in_texts,
    60: json_of_the_wrong_kind,
}

ACTIONS = {
    28: "a file of several GB under a memory limit",
    29: "killed in the middle of a write",
    30: "a fork after Polars was used",
    31: "the disk is full",
    32: "two ingests at once",
    34: "time against json.loads",
    48: "the same split in two processes, in any order of folders",
    52: "more than 2 GB of text in a column, one huge text",
    54: "locks on shared file systems",
    61: "stray files in the cache",
    62: "an ingest after a crash, and of a changed or vanished source",
}
"""Entries of the log that need an action: durability, concurrency, speed and splits have tests of their own."""


def write_case(number: int, folder: Path) -> Path:
    """Writes one case; its outputs folder."""
    outputs = folder / f"{number:02d}-{CASES[number].__name__.replace('_', '-')}" / "benchmark_output"
    CASES[number](outputs)
    return outputs


def main(folder: str) -> None:
    for number in CASES:
        print(write_case(number, Path(folder)))
    print("no inputs but actions:", *(f"{number} ({what})" for number, what in ACTIONS.items()), sep=os.linesep)


if __name__ == "__main__":
    main(*sys.argv[1:])
