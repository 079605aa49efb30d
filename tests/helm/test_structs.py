"""The structs against the list of HELM's fields (data/helm_fields_small.json), and on the demo's files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from large_dumps import dump_params

from magnet_arrow.helm import structs, summary_structs
from magnet_arrow.helm.structs import (
    FILE_TYPES,
    HelmStruct,
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
from magnet_arrow.helm.summary_structs import (
    RUN_FILE_TYPES,
    SUITE_FILE_TYPES,
    Cell,
    DisplayPrediction,
    GroupMetadata,
    HeaderCell,
    SchemaFile,
    Summary,
    Table,
    TaxonomyInfo,
)

LISTED = json.loads((Path(__file__).parents[1] / "data" / "helm_fields_small.json").read_text())
STRUCTS = [
    value
    for value in (vars(structs) | vars(summary_structs)).values()
    if isinstance(value, type) and issubclass(value, HelmStruct) and value.__struct_fields__
]
ALL_TYPES = FILE_TYPES | RUN_FILE_TYPES | SUITE_FILE_TYPES
WITHOUT_FIELDS = {"runs_to_run_suites.json", "costs.json"}  # plain maps: their types say it all
LISTED_TYPES = {file: kind for file, kind in ALL_TYPES.items() if file not in WITHOUT_FIELDS}
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
    elif isinstance(kind, msgspec.inspect.DictType):
        yield from fields_of(kind.value_type, f"{path}{{}}", known)
    elif isinstance(kind, msgspec.inspect.StructType):
        docs = field_docs(kind.cls)
        for field in kind.fields:
            doc = docs[field.name]
            field_range = max(known[0], version(doc.since)), min(known[1], version(doc.until))
            field_path = f"{path}.{field.name}" if path else field.name
            yield field_path, field, field_range
            yield from fields_of(field.type, field_path, field_range)


def declared(file: str) -> dict[str, tuple[msgspec.inspect.Field, Range]]:
    root = msgspec.inspect.type_info(LISTED_TYPES[file])
    since = next((version(row["since"]) for row in LISTED[file] if row["path"] == "$"), (0, 1, 0))
    # The list doesn't repeat what an instance is for the `instances` of scenario.json 0.1.0.
    return {
        path: (field, field_range)
        for path, field, field_range in fields_of(root, "", (since, NEWEST))
        if not path.startswith("instances[]")
    }


def listed(file: str) -> dict[str, dict[str, Any]]:
    """The list's rows for fields; rows for a file's root and for the items of a list are none."""
    return {row["path"]: row for row in LISTED[file] if row["path"] != "$" and not row["path"].endswith("[]")}


@pytest.mark.parametrize("file", LISTED_TYPES)
def test_structs_have_exactly_the_fields_that_helm_ever_wrote(file: str) -> None:
    assert declared(file).keys() == listed(file).keys(), "a new field goes into tests/data/helm_fields_small.json too"


@pytest.mark.parametrize("file", LISTED_TYPES)
def test_fields_name_the_releases_that_wrote_them(file: str) -> None:
    ours = {path: field_range for path, (_, field_range) in declared(file).items()}
    theirs = {path: (version(row["since"]), version(row["until"])) for path, row in listed(file).items()}
    assert ours == theirs


@pytest.mark.parametrize("file", LISTED_TYPES)
def test_defaults_are_those_of_the_newest_release(file: str) -> None:
    rows = listed(file)
    for path, (field, (_, until)) in declared(file).items():
        row = rows[path]
        if file == "scenario.json" and path.startswith("scenario_spec."):
            continue  # a class of today in a place of old: it is held against run_spec.json
        if path.endswith("[].value"):
            assert field.default is None  # HELM requires a cell's value, and omits it where it is None
            continue
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


def test_the_list_of_fields_has_all_files() -> None:
    at_least = {
        "run_spec.json": 67,
        "scenario.json": 10,
        "scenario_state.json": 191,
        "stats.json": 38,
        "per_instance_stats.json": 66,
        "instances.json": 76,
        "display_predictions.json": 36,
        "display_requests.json": 58,
        "summary.json": 5,
        "schema.json": 73,
        "run_specs.json": 68,
        "runs.json": 108,
        "groups.json": 32,
        "groups_metadata.json": 8,
        "groups/*.json": 32,
        "groups/json/*.json": 31,
    }
    assert [file for file, count in at_least.items() if len(LISTED[file]) < count] == []
    assert LISTED.keys() == LISTED_TYPES.keys()


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_is_described_in_one_line(struct: type[msgspec.Struct]) -> None:
    docs = field_docs(struct)
    assert tuple(docs) == struct.__struct_fields__
    for name, doc in docs.items():
        assert doc.description.strip(), name
        assert "\n" not in doc.description, name
        assert doc.description.replace(" ", "_").lower() != name


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_structs_are_not_tracked_by_garbage_collection(struct: type[msgspec.Struct]) -> None:
    assert struct.__struct_config__.gc is False
    assert struct.__struct_config__.frozen is True


def test_an_old_scenario_holds_the_same_instances_as_a_scenario_state() -> None:
    text = b'{"name": "n", "description": "d", "tags": [], "definition_path": "p", "output_path": "scenarios/n",'
    text += b'"scenario_spec": {"class_name": "C", "args": {}}, "instances": [{"input": "q", "references": []}]}'
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
        elif isinstance(member, msgspec.inspect.DictType) and isinstance(value, dict):
            for item in value.values():
                yield from keys_of(item, member.value_type)
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


def test_old_spellings_are_read() -> None:
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


@pytest.mark.shared
@pytest.mark.parametrize("name", dump_params(["bbq", "classic_022", "helm_made", "mmlu"]))
def test_every_file_of_a_summary_fits_its_struct(shared_dumps: Callable[[str], Path], name: str) -> None:
    files = list(summary_files(shared_dumps(name)))
    assert files
    for path, kind in files:
        value = json.loads(path.read_text())
        msgspec.convert(value, kind)
        for cls, keys in keys_of(value, msgspec.inspect.type_info(kind)):
            assert keys == [name for name in cls.__struct_fields__ if name in keys], path


def summary_files(dump: Path) -> Iterator[tuple[Path, Any]]:
    """Each file that helm-summarize put into a dump, and what it should hold."""
    for pattern, kind in RUN_FILE_TYPES.items():
        yield from ((path, kind) for path in dump.rglob(f"runs/*/*/{pattern}"))
    for pattern, kind in SUITE_FILE_TYPES.items():
        for folder in ("runs", "releases"):
            yield from ((path, kind) for path in dump.rglob(f"{folder}/*/{pattern}"))


def test_a_display_prediction_keeps_what_is_free_form_as_it_is() -> None:
    text = b"""[{"instance_id": "id7", "perturbation": {"name": "typos", "robustness": true, "fairness": false,
        "computed_on": "perturbed", "prob": 0.1}, "train_trial_index": 0, "predicted_text": " B",
        "base64_images": [], "mapped_output": "Thyroid", "stats": {"exact_match": 1.0, "num_prompt_tokens": 204},
        "annotations": {"judge": {"score": null}}}]"""
    (prediction,) = msgspec.json.decode(text, type=list[DisplayPrediction])
    assert prediction.perturbation == PerturbationDescription(name="typos", robustness=True, prob=0.1)
    assert prediction.stats == {"exact_match": 1.0, "num_prompt_tokens": 204}
    assert prediction.annotations == {"judge": {"score": None}}
    assert (prediction.truncated_predicted_text, prediction.reference_index) == (None, None)


def test_a_summary_is_of_a_suite_or_of_a_release() -> None:
    decoded = [
        msgspec.json.decode(text, type=Summary)
        for text in (
            b'{"suite": "v1", "date": "2022-11-17"}',
            b'{"suites": ["v1"], "suite": "v1", "date": "2024-06-09"}',
            b'{"release": "v1.0.0", "suites": ["a", "b"], "date": "2026-11-25"}',
        )
    ]
    assert [(summary.release, summary.suites, summary.suite) for summary in decoded] == [
        (None, None, "v1"),
        (None, ["v1"], "v1"),
        ("v1.0.0", ["a", "b"], None),
    ]


def test_a_table_tells_a_cell_without_a_value_from_a_zero() -> None:
    text = b"""{"title": "Accuracy", "header": [{"value": "Model/adapter", "markdown": false, "metadata": {}},
        {"value": "MMLU - EM", "markdown": false, "lower_is_better": false, "metadata": {"metric": "EM"}}],
        "rows": [[{"value": "Finch", "markdown": false}, {"value": 0, "style": {"font-weight": "bold"}}],
                 [{"value": "Owl"}, {"description": "No matching runs", "markdown": false}]],
        "links": [{"text": "JSON", "href": "groups/json/mmlu_accuracy.json"}], "name": "accuracy"}"""
    table = msgspec.json.decode(text, type=Table)
    assert table.header[1] == HeaderCell(value="MMLU - EM", lower_is_better=False, metadata={"metric": "EM"})
    assert [row[1].value for row in table.rows] == [0, None]
    assert table.rows[1][1] == Cell(description="No matching runs")


def test_a_schema_knows_the_primary_metric_of_a_group() -> None:
    text = b"""{"metrics": [], "perturbations": [], "metric_groups": [
        {"name": "accuracy", "metrics": [{"name": "${main_name}", "split": "${main_split}"}]}],
        "run_groups": [{"name": "mmlu", "environment": {"main_name": "exact_match", "main_split": "test"},
                        "taxonomy": {"task": "question answering"}}],
        "models": [{"name": "made/finch-1b", "todo": false, "num_parameters": 1000000000}]}"""
    schema = msgspec.json.decode(text, type=SchemaFile)
    (group,) = schema.run_groups
    assert group.environment == {"main_name": "exact_match", "main_split": "test"}
    assert group.taxonomy == TaxonomyInfo(task="question answering")
    assert group.adapter_keys_shown == ["model_deployment", "model"]
    assert (schema.adapter, schema.models[0].num_parameters) == (None, 1_000_000_000)


def test_groups_metadata_may_hold_nulls() -> None:
    text = b'{"qa": {"display_name": "Question answering", "description": null, "taxonomy": null}}'
    decoded = msgspec.json.decode(text, type=SUITE_FILE_TYPES["groups_metadata.json"])
    assert decoded == {"qa": GroupMetadata(display_name="Question answering")}
