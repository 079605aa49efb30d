"""Expected keys come from `hashlib` and `json` over HELM's files, by rules that are written out here once more."""

import copy
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, write_runs
from reading import cached_places

from magnet_arrow.cache import Cache
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.predictions.identity import hash_of, item_keys, prompt_keys, recipe_keys
from magnet_arrow.query.scan_runs import select_runs

STATES = "scenario_state.request_states."
PERTURBATION = f"{STATES}instance.perturbation.name"
TYPOS = {"name": "typos", "robustness": True, "fairness": False, "computed_on": "perturbed", "prob": 0.1}


def expected_hash(value: Any) -> str:
    def rule(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {key: rule(inner) for key, inner in entry.items() if inner is not None}
        if isinstance(entry, list):
            return [rule(inner) for inner in entry]
        return int(entry) if isinstance(entry, float) and entry == int(entry) else entry

    text = json.dumps(rule(value), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def said(text: Any, messages: Any, multimedia: Any) -> dict[str, Any]:
    parts = (multimedia or {}).get("media_objects", [])
    media = [{key: value for key, value in part.items() if key in ("text", "location")} for part in parts]
    return {key: value for key, value in {"text": text, "messages": messages, "media": media}.items() if value}


def said_by(content: dict[str, Any]) -> dict[str, Any]:
    return said(content.get("text"), content.get("messages"), content.get("multimedia_content"))


def expected_item(state: dict[str, Any]) -> str | None:
    instance = state["instance"]
    asked = said_by(instance["input"])
    perturbation = dict(instance.get("perturbation") or {})
    for name in ("mapping_file_path", "name_file_path"):
        if perturbation.get(name):
            perturbation[name] = Path(perturbation[name]).name
    references = [said_by(reference["output"]) for reference in instance["references"]]
    item = {"input": asked, "references": references, "perturbation": perturbation or None}
    return expected_hash(item) if asked.get("text", "").strip() or len(asked) > ("text" in asked) else None


def expected_prompt(state: dict[str, Any]) -> str | None:
    request = state["request"]
    sent = said(request["prompt"], request.get("messages"), request.get("multimodal_prompt"))
    return expected_hash(sent) if sent.get("text", "").strip() or len(sent) > ("text" in sent) else None


def scanned(source: Path, cache: Path, table: str) -> tuple[pl.LazyFrame, frozenset[str], list[Path]]:
    """All columns of all runs of a source, which of them are JSON, and the runs' folders in order."""
    ingest(source, cache=cache)
    places = cached_places(source, cache)
    snapshot = Cache(cache).snapshot()
    keys = [key for key in snapshot.keys_of(places) if key]
    chosen = select_runs(snapshot, table, keys, own="hidden")
    return (
        select_runs(snapshot, table, keys, own="hidden").lazy(),
        chosen.json_columns,
        [place.path for place in places],
    )


def keyed_states(source: Path, cache: Path) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The request states of a source with their keys, and the same ones as `json` reads them."""
    states, json_columns, folders = scanned(source, cache, "scenario_state")
    files = [json.loads((folder / "scenario_state.json").read_bytes()) for folder in folders]
    read = [state for file in files for state in file["request_states"]]
    return prompt_keys(item_keys(states, json_columns), json_columns).collect(), read


def keyed_recipes(source: Path, cache: Path) -> pl.DataFrame:
    run_specs, json_columns, _ = scanned(source, cache, "run_spec")
    return recipe_keys(run_specs, json_columns).collect()


def keys_of_states(states: list[dict[str, Any]], folder: Path) -> pl.DataFrame:
    run = make_run("a:x=1", n_instances=0)
    run["scenario_state"]["request_states"] = states
    write_runs(folder, [run])
    return keyed_states(folder, folder / "cache")[0]


def recipes(folder: Path, **changed: Callable[[dict[str, Any]], object]) -> dict[str, str]:
    """Recipe keys by name of runs that are alike but for one change each."""
    runs = [make_run("as it is", args={"subject": "tides"})]
    for name, change in changed.items():
        run = make_run(name, args={"subject": "tides"})
        change(run["run_spec"])
        runs.append(run)
    write_runs(folder, runs)
    return dict(keyed_recipes(folder, folder / "cache").select("run_spec.name", "recipe_key").iter_rows())


def test_a_key_is_the_hash_of_canonical_json() -> None:
    text = '{"a":[1,null,"\\u00e9\\ud83d"],"b":{"c":0.5}}'
    expected = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    assert hash_of({"b": {"c": 0.5, "none": None}, "a": [1.0, None, "é\ud83d"]}) == expected


def test_keys_of_the_demo_are_those_of_a_loop_over_its_json(demo_outputs: Path, cache: Path) -> None:
    keyed, states = keyed_states(demo_outputs, cache)
    assert keyed["item_key"].to_list() == [expected_item(state) for state in states]
    assert keyed["prompt_key"].to_list() == [expected_prompt(state) for state in states]
    assert keyed["item_key"].null_count() == 0
    # Seven questions a subject; the perturbed copies are items of their own.
    assert keyed.filter(pl.col(PERTURBATION).is_null())["item_key"].n_unique() == 14


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "helm_made",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("classic", "eee", "bbq", "modelbench", "helm_old")),
    ],
)
def test_keys_of_a_dump_are_those_of_a_loop_over_its_json(
    name: str, shared_dumps: Callable[[str], Path], tmp_path: Path
) -> None:
    sources = [path.parent for path in sorted(shared_dumps(name).glob("**/benchmark_output/runs"))]
    assert sources
    for number, source in enumerate(sources):
        keyed, states = keyed_states(source, tmp_path / str(number))
        assert keyed["item_key"].to_list() == [expected_item(state) for state in states]
        assert keyed["prompt_key"].to_list() == [expected_prompt(state) for state in states]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["instance"].update(id="other", split="valid", sub_split="part"),
        lambda state: state["instance"]["references"][0].update(tags=[]),
        lambda state: state["instance"]["references"][1].update(tags=["correct"]),
        lambda state: state["request"].update(prompt="Example.\nAnother prompt"),
        lambda state: state["instance"].update(extra_data={"source": "elsewhere"}),
        lambda state: state.update(num_train_instances=5, reference_index=1, request_mode="original"),
        lambda state: state["instance"].pop("split"),
    ],
    ids=["ids", "one tag less", "one tag more", "prompt", "extra data", "request", "no split"],
)
def test_an_item_is_known_without_labels_ids_and_prompt(change: Callable[[Any], object], tmp_path: Path) -> None:
    state = make_run("a:x=1")["scenario_state"]["request_states"][0]
    other = copy.deepcopy(state)
    change(other)
    assert keys_of_states([state, other], tmp_path / "runs")["item_key"].n_unique() == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda instance: instance["input"].update(text="What comes after tide id0? "),
        lambda instance: instance["references"].reverse(),
        lambda instance: instance["references"].pop(),
        lambda instance: instance["references"][0]["output"].update(text="flood"),
        lambda instance: instance.update(perturbation=TYPOS),
        lambda instance: instance["input"].update(messages=[{"role": "user", "content": "tide?"}]),
        lambda instance: instance["input"].update(multimedia_content=media(location="a.png")),
    ],
    ids=["text", "order of references", "number of references", "reference", "perturbation", "messages", "media"],
)
def test_another_question_is_another_item(change: Callable[[Any], object], tmp_path: Path) -> None:
    state = make_run("a:x=1")["scenario_state"]["request_states"][0]
    other = copy.deepcopy(state)
    change(other["instance"])
    keys = keys_of_states([state, other], tmp_path / "runs")["item_key"].to_list()
    assert keys == [expected_item(state), expected_item(other)]
    assert keys[0] != keys[1]


def media(**part: str) -> dict[str, Any]:
    return {"media_objects": [{"content_type": "any/thing", **part}]}


def test_perturbations_are_told_apart_by_every_parameter_but_not_by_the_machine(tmp_path: Path) -> None:
    state = make_run("a:x=1")["scenario_state"]["request_states"][0]
    perturbations: list[dict[str, Any]] = [
        TYPOS,
        {**TYPOS, "prob": 0.2},
        {**TYPOS, "seed": 1},
        {**TYPOS, "invented": "parameter"},
        {**TYPOS, "invented": 1},
        {**TYPOS, "mapping_file_path": "/home/a/words.json"},
        {**TYPOS, "mapping_file_path": "C:\\b\\words.json"},
    ]
    states = [{**state, "instance": {**state["instance"], "perturbation": each}} for each in perturbations]
    keys = keys_of_states(states, tmp_path / "runs")["item_key"].to_list()
    assert keys[:6] == [expected_item(each) for each in states[:6]]
    assert len(set(keys)) == 6
    assert keys[5] == keys[6]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("[redacted]", "redacted"), ("[encrypted_text_17]", "encrypted"), ("", "empty"), (" \n", "empty")],
)
def test_an_item_whose_text_is_not_there_has_no_key(text: str, reason: str, tmp_path: Path) -> None:
    state = make_run("a:x=1")["scenario_state"]["request_states"][0]
    state["instance"]["input"]["text"] = text
    state["request"]["prompt"] = text
    keyed = keys_of_states([state, state], tmp_path / "runs")
    assert keyed["item_key"].to_list() == keyed["prompt_key"].to_list() == [None, None]
    assert keyed["item_key_reason"].to_list() == keyed["prompt_key_reason"].to_list() == [reason, reason]


def test_one_encrypted_reference_is_enough_for_no_key(tmp_path: Path) -> None:
    state = make_run("a:x=1")["scenario_state"]["request_states"][0]
    state["instance"]["references"][1]["output"]["text"] = "[encrypted_text_3]"
    keyed = keys_of_states([state], tmp_path / "runs")
    assert keyed.select("item_key", "item_key_reason", "prompt_key_reason").row(0) == (None, "encrypted", None)


def test_a_question_in_media_or_messages_is_no_empty_one(tmp_path: Path) -> None:
    state = make_run("a:x=1")["scenario_state"]["request_states"][0]
    states = [copy.deepcopy(state) for _ in range(4)]
    contents: list[dict[str, Any]] = [
        {"multimedia_content": media(location="a.png")},
        {"multimedia_content": media(text="What is this?")},
        {"messages": [{"role": "user", "content": "tide?"}]},
        {"messages": [{"content": [{"type": "text", "text": None}], "role": "user"}]},
    ]
    for each, content in zip(states, contents, strict=True):
        each["instance"]["input"] = {"text": "", **content}
        each["request"]["prompt"] = ""
        request = {"multimodal_prompt": content.get("multimedia_content"), "messages": content.get("messages")}
        each["request"] |= {key: value for key, value in request.items() if value}
    keyed = keys_of_states(states, tmp_path / "runs")
    assert keyed["item_key"].to_list() == [expected_item(each) for each in states]
    assert keyed["prompt_key"].to_list() == [expected_prompt(each) for each in states]
    assert keyed["item_key"].n_unique() == keyed["prompt_key"].n_unique() == 4


def test_text_that_is_no_utf_8_counts(tmp_path: Path) -> None:
    state = make_run("a:x=1")["scenario_state"]["request_states"][0]
    states = [copy.deepcopy(state) for _ in range(4)]
    states[0]["instance"]["input"]["text"] = "high \ud83d alone"
    states[1]["instance"]["input"]["text"] = "low \udc00 alone"
    states[2]["instance"]["references"][1]["output"]["text"] = "\ud83d"
    states[3]["instance"]["input"]["messages"] = [{"role": "user", "content": "\ud83d"}]
    keys = keys_of_states(states, tmp_path / "runs")["item_key"].to_list()
    assert keys == [expected_item(each) for each in states]
    assert len(set(keys)) == 4


def test_a_recipe_is_known_without_model_modules_and_defaults(tmp_path: Path) -> None:
    found = recipes(
        tmp_path / "runs",
        model=lambda spec: spec["adapter_spec"].update(model="made/owl-7b", model_deployment="there/owl-7b"),
        module=lambda spec: spec["scenario_spec"].update(class_name="made.moved.TideScenario"),
        default=lambda spec: spec["adapter_spec"].update(eval_splits=None, num_trials=1, global_suffix=""),
        null=lambda spec: spec["scenario_spec"]["args"].update(none=None),
        whole=lambda spec: spec["adapter_spec"].update(temperature=0),
        augmenter=lambda spec: spec.pop("data_augmenter_spec"),
        metrics=lambda spec: spec.update(metric_specs=[], groups=[]),
    )
    assert len(set(found.values())) == 1


def test_a_recipe_is_another_by_any_argument(tmp_path: Path) -> None:
    typos = [{"class_name": "helm.Typos", "args": {"prob": 0.1}}]
    found = recipes(
        tmp_path / "runs",
        subject=lambda spec: spec["scenario_spec"]["args"].update(subject="wind"),
        more=lambda spec: spec["scenario_spec"]["args"].update(limit=1),
        text=lambda spec: spec["scenario_spec"]["args"].update(limit="1"),
        true=lambda spec: spec["scenario_spec"]["args"].update(limit=True),
        nested=lambda spec: spec["scenario_spec"]["args"].update(limit={"test": 1}),
        dotted=lambda spec: spec["scenario_spec"]["args"].update({"limit.test": 1}),
        none=lambda spec: spec["scenario_spec"].update(args={}),
        tokens=lambda spec: spec["adapter_spec"].update(max_tokens=6),
        unknown=lambda spec: spec["adapter_spec"].update(invented=1),
        perturbed=lambda spec: spec["data_augmenter_spec"].update(perturbation_specs=typos),
        strength=lambda spec: spec["data_augmenter_spec"].update(
            perturbation_specs=[{"class_name": "moved.Typos", "args": {"prob": 0.2}}]
        ),
    )
    assert len(set(found.values())) == 12


def test_a_recipe_by_hand_and_whatever_else_is_in_the_frame(tmp_path: Path) -> None:
    found = recipes(
        tmp_path / "runs",
        number=lambda spec: spec["scenario_spec"]["args"].update(limit=1),
        text=lambda spec: spec["scenario_spec"]["args"].update(limit="1"),
    )
    adapter = {
        "method": "generation",
        "global_prefix": "",
        "global_suffix": "",
        "instructions": "Answer in one word.",
        "input_prefix": "Input: ",
        "input_suffix": "\n",
        "reference_prefix": "A. ",
        "reference_suffix": "\n",
        "chain_of_thought_prefix": "",
        "chain_of_thought_suffix": "\n",
        "output_prefix": "Output: ",
        "output_suffix": "\n",
        "instance_prefix": "\n",
        "substitutions": [],
        "max_train_instances": 0,
        "num_outputs": 1,
        "num_train_trials": 1,
        "num_trials": 1,
        "sample_train": True,
        "temperature": 0,
        "max_tokens": 5,
        "stop_sequences": ["\n"],
        "multi_label": False,
    }
    augmenter = {
        "perturbation_specs": [],
        "should_augment_train_instances": False,
        "should_include_original_train": False,
        "should_skip_unchanged_train": False,
        "should_augment_eval_instances": False,
        "should_include_original_eval": False,
        "should_skip_unchanged_eval": False,
        "seeds_per_instance": 1,
    }
    for name, args in {"as it is": {}, "number": {"limit": 1}, "text": {"limit": "1"}}.items():
        scenario = {"class_name": "TideScenario", "args": {"subject": "tides", **args}}
        recipe = {"scenario_spec": scenario, "adapter_spec": adapter, "data_augmenter_spec": augmenter}
        assert found[name] == expected_hash(recipe)
    alone = recipes(tmp_path / "alone", text=lambda spec: spec["scenario_spec"]["args"].update(limit="1"))
    assert alone["text"] == found["text"]


def test_keys_are_lazy_and_read_just_their_columns() -> None:
    def fail(_: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("collected")

    text = pl.LazyFrame({f"{STATES}instance.input.text": ["x"]})
    schema = prompt_keys(item_keys(text.map_batches(fail, schema=text.collect_schema()))).collect_schema()
    assert schema.names()[1:] == ["item_key", "item_key_reason", "prompt_key", "prompt_key_reason"]
    keyed = prompt_keys(item_keys(text)).collect()
    assert keyed["item_key"].to_list() == [expected_hash({"input": {"text": "x"}, "references": []})]
    assert keyed["prompt_key_reason"].to_list() == ["empty"]


@pytest.mark.slow
@pytest.mark.shared
def test_instance_ids_and_recipes_of_mmlu_are_no_identity(shared_dumps: Callable[[str], Path], tmp_path: Path) -> None:
    """176 of the 306 ids name more than one question, and runs of equal recipes were sent prompts of other lengths."""
    source = shared_dumps("mmlu") / "benchmark_output"
    keyed, states = keyed_states(source, tmp_path / "cache")
    assert keyed["item_key"].to_list() == [expected_item(state) for state in states]
    assert keyed["prompt_key"].to_list() == [expected_prompt(state) for state in states]
    by_id = keyed.group_by(f"{STATES}instance.id").agg(pl.col("item_key").n_unique())
    assert (by_id["item_key"] > 1).sum() == 176
    assert by_id.height == 306
    run_specs, _, _ = scanned(source, tmp_path / "cache", "run_spec")
    recipes = recipe_keys(run_specs).collect()
    by_subject = recipes.group_by("run_spec.scenario_spec.args.subject").agg(pl.col("recipe_key").n_unique())
    assert set(by_subject["recipe_key"]) == {2}
    # The chat deployments have `max_tokens` 20 for 1; but for that, all of a subject's recipes are equal.
    same_tokens = recipe_keys(run_specs.with_columns(pl.lit(1).alias("run_spec.adapter_spec.max_tokens"))).collect()
    assert same_tokens["recipe_key"].n_unique() == 57
    assert 216 in prompt_length_differences(keyed, same_tokens)
    assert prompt_length_differences(keyed, recipes) == {0, 2299, 4751, 6828}


def prompt_length_differences(keyed: pl.DataFrame, recipes: pl.DataFrame) -> set[int]:
    """Between the longest and the shortest prompt of a recipe for a question."""
    sent: dict[tuple[str, str], set[int]] = defaultdict(set)
    rows = keyed.join(recipes.select("magnet.run", "recipe_key"), on="magnet.run")
    for key, question, prompt in rows.select("recipe_key", "item_key", f"{STATES}request.prompt").iter_rows():
        sent[key, question].add(len(prompt))
    return {max(found) - min(found) for found in sent.values()}
