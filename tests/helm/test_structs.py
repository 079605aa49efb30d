"""The structs against the list of HELM's fields (data/helm_fields_small.json), and on the demo's files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from magnet_arrow.helm import structs
from magnet_arrow.helm.structs import (
    FILE_TYPES,
    Input,
    Instance,
    Output,
    PerInstanceStats,
    PerturbationDescription,
    Reference,
    RequestState,
    RunSpec,
    Scenario,
    ScenarioState,
    Stat,
    field_docs,
)

LISTED = json.loads((Path(__file__).parents[1] / "data" / "helm_fields_small.json").read_text())
STRUCTS = [
    value
    for value in vars(structs).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__struct_fields__
]
NEWEST = (0, 5, 16)

Range = tuple[tuple[int, ...], tuple[int, ...]]


def version(text: str | None) -> tuple[int, ...]:
    return NEWEST if text is None else tuple(map(int, text.split(".")))


def fields_of(kind: Any, path: str, known: Range) -> Iterator[tuple[str, msgspec.inspect.Field, Range]]:
    """Every field below a type: its path, the field, the releases in which all of its path was written."""
    if isinstance(kind, msgspec.inspect.UnionType):
        for member in kind.types:
            yield from fields_of(member, path, known)
    elif isinstance(kind, msgspec.inspect.ListType):
        yield from fields_of(kind.item_type, f"{path}[]", known)
    elif isinstance(kind, msgspec.inspect.StructType):
        docs = field_docs(kind.cls)
        for field in kind.fields:
            doc = docs[field.name]
            field_range = max(known[0], version(doc.since)), min(known[1], version(doc.until))
            field_path = f"{path}.{field.name}" if path else field.name
            yield field_path, field, field_range
            yield from fields_of(field.type, field_path, field_range)


def declared(file: str) -> dict[str, tuple[msgspec.inspect.Field, Range]]:
    root = msgspec.inspect.type_info(FILE_TYPES[file])
    # The list doesn't repeat what an instance is for the `instances` of scenario.json 0.1.0.
    return {
        path: (field, field_range)
        for path, field, field_range in fields_of(root, "", ((0, 1, 0), NEWEST))
        if not path.startswith("instances[]")
    }


def listed(file: str) -> dict[str, dict[str, Any]]:
    """The list's rows for fields; rows for a file's root and for the items of a list are none."""
    return {row["path"]: row for row in LISTED[file] if row["path"] != "$" and not row["path"].endswith("[]")}


@pytest.mark.parametrize("file", FILE_TYPES)
def test_structs_have_exactly_the_fields_that_helm_ever_wrote(file: str) -> None:
    assert declared(file).keys() == listed(file).keys()


@pytest.mark.parametrize("file", FILE_TYPES)
def test_fields_name_the_releases_that_wrote_them(file: str) -> None:
    ours = {path: field_range for path, (_, field_range) in declared(file).items()}
    theirs = {path: (version(row["since"]), version(row["until"])) for path, row in listed(file).items()}
    assert ours == theirs


@pytest.mark.parametrize("file", FILE_TYPES)
def test_defaults_are_those_of_the_newest_release(file: str) -> None:
    rows = listed(file)
    for path, (field, (_, until)) in declared(file).items():
        row = rows[path]
        if file == "scenario.json" and path.startswith("scenario_spec."):
            continue  # a class of today in a place of old: it is held against run_spec.json
        if until < NEWEST or "some" in row:
            assert field.default is None, path  # a release, or a kind of the class, that has no such field
        elif "default" not in row:
            assert field.required, path
        elif field.default is not msgspec.NODEFAULT:
            assert field.default == row["default"], path
        else:
            assert msgspec.to_builtins(field.default_factory()) == json_default(row["default"]), path


def json_default(listed_default: Any) -> Any:
    if listed_default != "object with all defaults":
        return listed_default
    switches = [row["path"] for row in LISTED["run_spec.json"] if ".should_" in row["path"]]
    return (
        {"perturbation_specs": []}
        | {path.removeprefix("data_augmenter_spec."): False for path in switches}
        | {"seeds_per_instance": 1}
    )


def test_the_list_of_fields_has_all_of_a_runs_files() -> None:
    assert {file: len(rows) for file, rows in LISTED.items()} == {
        "run_spec.json": 67,
        "scenario.json": 10,
        "scenario_state.json": 191,
        "stats.json": 38,
        "per_instance_stats.json": 66,
    }


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_is_described_in_one_line(struct: type[msgspec.Struct]) -> None:
    docs = field_docs(struct)
    assert tuple(docs) == struct.__struct_fields__
    for name, doc in docs.items():
        assert doc.description.strip(), name
        assert "\n" not in doc.description, name
        assert doc.description.replace(" ", "_").lower() != name


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_structs_are_not_tracked_by_the_garbage_collector(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.gc is False
    assert struct.__struct_config__.frozen is True


def test_an_old_scenario_holds_the_same_instances_as_a_scenario_state() -> None:
    text = (
        b'{"name": "n", "description": "d", "tags": [], "definition_path": "p", "output_path": "scenarios/n",'
    )
    text += (
        b'"scenario_spec": {"class_name": "C", "args": {}}, "instances": [{"input": "q", "references": []}]}'
    )
    scenario = msgspec.json.decode(text, type=Scenario)
    assert scenario.instances == [Instance(input="q", references=[])]
    assert scenario.output_path == "scenarios/n"


def test_fields_follow_the_order_of_helms_files(demo_outputs: Path) -> None:
    n_objects = 0
    for file, kind in FILE_TYPES.items():
        for path in demo_outputs.glob(f"runs/*/*/{file}"):
            for cls, keys in keys_of(json.loads(path.read_text()), msgspec.inspect.type_info(kind)):
                assert keys == [name for name in cls.__struct_fields__ if name in keys]
                n_objects += 1
    assert n_objects > 10_000


def keys_of(value: Any, kind: Any) -> Iterator[tuple[type[msgspec.Struct], list[str]]]:
    """The keys of every object that a struct stands for."""
    for member in kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,):
        if isinstance(member, msgspec.inspect.StructType) and isinstance(value, dict):
            yield member.cls, list(value)
            for field in member.fields:
                yield from keys_of(value.get(field.name), field.type)
        elif isinstance(member, msgspec.inspect.ListType) and isinstance(value, list):
            for item in value:
                yield from keys_of(item, member.item_type)


def decode(outputs: Path, run: str, file: str) -> Any:
    (path,) = outputs.glob(f"runs/{run}/{file}")
    return msgspec.json.decode(path.read_bytes(), type=FILE_TYPES[file])


FINCH_ANATOMY = "my-suite/mmlu*anatomy*finch-1b"


def test_a_real_run_spec(demo_outputs: Path) -> None:
    spec: RunSpec = decode(demo_outputs, FINCH_ANATOMY, "run_spec.json")
    assert spec.name == "mmlu:subject=anatomy,method=multiple_choice_joint,model=made_finch-1b"
    assert spec.scenario_spec.args == {"subject": "anatomy"}
    assert (spec.adapter_spec.method, spec.adapter_spec.max_tokens) == ("multiple_choice_joint", 1)
    assert (spec.adapter_spec.max_eval_instances, spec.adapter_spec.stop_sequences) == (7, ["\n"])
    assert [metric.class_name.rpartition(".")[2] for metric in spec.metric_specs] == [
        "BasicGenerationMetric",
        "BasicReferenceMetric",
        "InstancesPerSplitMetric",
    ]
    assert spec.metric_specs[1].args == {}
    assert (spec.groups, spec.annotators) == (["mmlu"], None)


def test_a_real_scenario(demo_outputs: Path) -> None:
    scenario: Scenario = decode(demo_outputs, FINCH_ANATOMY, "scenario.json")
    assert (scenario.name, scenario.tags) == ("mmlu", ["knowledge", "multiple_choice"])
    assert (scenario.output_path, scenario.instances) == (None, None)


def test_a_real_request_state(demo_outputs: Path) -> None:
    state: ScenarioState = decode(demo_outputs, FINCH_ANATOMY, "scenario_state.json")
    assert len(state.request_states) == 7
    first = state.request_states[0]
    assert first.instance.input == Input(text="Which gland sits on top of each kidney?")
    assert first.instance.references[0] == Reference(output=Output(text="Adrenal"), tags=["correct"])
    assert (first.instance.id, first.instance.split, first.instance.perturbation) == ("id11", "test", None)
    assert first.output_mapping == {"A": "Adrenal", "B": "Thyroid", "C": "Pineal", "D": "Parotid"}
    assert type(first.request.top_p) is float  # an integer token in the file
    assert first.result is not None
    assert first.result.completions[0].text == " D"
    assert first.result.completions[0].tokens[0].logprob == -1.4723062726132707
    assert first.result.request_datetime == 1767228550
    assert first.annotations is None


def test_real_stats(demo_outputs: Path) -> None:
    stats: list[Stat] = decode(demo_outputs, FINCH_ANATOMY, "stats.json")
    assert len(stats) == 89
    assert (stats[2].name.name, stats[2].name.split) == ("num_prompt_tokens", "test")
    assert stats[2].mean == 209.14285714285714
    assert (stats[40].name.name, stats[40].name.sub_split) == ("num_train_trials", None)
    assert stats[40].name.perturbation == PerturbationDescription(
        name="robustness", robustness=True, fairness=False, computed_on="worst"
    )


def test_real_per_instance_stats(demo_outputs: Path) -> None:
    entries: list[PerInstanceStats] = decode(demo_outputs, FINCH_ANATOMY, "per_instance_stats.json")
    assert (len(entries), sum(len(entry.stats) for entry in entries)) == (7, 189)
    assert (entries[0].instance_id, entries[0].train_trial_index) == ("id11", 0)
    third = entries[0].stats[2]
    assert (third.name.name, third.sum, third.sum_squared) == ("num_prompt_tokens", 204, 41616)
    assert type(third.sum) is float


def test_a_perturbation_has_its_own_parameters_and_no_others(demo_outputs: Path) -> None:
    stats: list[Stat] = decode(demo_outputs, "perturbed/*canonical", "stats.json")
    assert stats[54].name.perturbation == PerturbationDescription(
        name="dialect",
        fairness=True,
        prob=1.0,
        source_class="SAE",
        target_class="AAVE",
        mapping_file_path="benchmark_output/perturbations/dialect/SAE_to_AAVE_mapping.json",
    )
    assert stats[54].name.perturbation.insert_prob is None


def test_old_and_odd_spellings_are_taken() -> None:
    text = b"""{"instance": {"input": "q", "references": [{"output": "a", "tags": ["correct"]}], "id": 7,
        "contrast_inputs": ["p", {"text": "r"}], "contrast_references": [[{"output": "a", "tags": []}]]},
        "train_trial_index": 0, "request": {"model": "together/gpt2"}, "num_train_instances": 0,
        "result": {"success": true, "embedding": [], "cached": false, "completions": [{"text": "a",
            "logprob": 0, "tokens": [{"text": "a", "logprob": 0, "top_logprobs": {"a": -0.5}}]}]},
        "prompt_truncated": false, "annotations": [{"score": null}]}"""
    state = msgspec.json.decode(text, type=RequestState)
    assert (state.instance.input, state.instance.references[0].output, state.instance.id) == ("q", "a", 7)
    assert state.instance.contrast_inputs == ["p", Input(text="r")]
    assert state.instance.contrast_references == [[Reference(output="a", tags=[])]]
    assert state.request.model_deployment == ""
    assert state.result is not None
    assert state.result.completions[0].tokens[0].top_logprobs == {"a": -0.5}
    assert state.annotations == [{"score": None}]
