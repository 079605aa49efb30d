"""The registry: names and types as they are published, and how free-form keys become names."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import keys

from magnet_arrow.errors import ColumnNotFoundError
from magnet_arrow.schema import registry
from magnet_arrow.schema.registry import TABLES, key_part, key_parts, pointer_of

FOUR = ("run_spec", "scenario_state", "stats", "per_instance_stats")
NOTEBOOK = json.loads((Path(__file__).parents[1] / "data" / "golden" / "notebook_columns.json").read_text("utf-8"))


@pytest.mark.parametrize("name", TABLES)
def test_the_published_contract_is_what_the_code_derives(name: str) -> None:
    """`magnet-arrow schemas --write schemas` writes it again; a changed name or type breaks those who read it."""
    published = json.loads((Path(__file__).parents[2] / "schemas" / f"{name}.json").read_text("utf-8"))
    assert published == TABLES[name].to_json(), "run `magnet-arrow schemas --write schemas` and review the diff"


def test_every_published_table_is_there() -> None:
    published = {path.stem for path in (Path(__file__).parents[2] / "schemas").iterdir()}
    assert published == set(TABLES), "run `magnet-arrow schemas --write schemas`"


def notebooks_columns() -> dict[str, set[str]]:
    """The columns that MAGNET's frames had, by table."""
    found: dict[str, set[str]] = {}
    for frames in NOTEBOOK.values():
        for frame, columns in frames.items():
            name = frame.rpartition(".")[2].replace("run_specs", "run_spec")
            found.setdefault(name, set()).update(columns)
    return found


@pytest.mark.parametrize(("name", "columns"), notebooks_columns().items(), ids=notebooks_columns())
def test_columns_are_called_as_in_the_notebook(name: str, columns: set[str]) -> None:
    assert len(columns) > 10
    table = registry.table(name)
    for column in columns - set(table.names):
        assert table.dynamic_object_of(column) is not None, column


@pytest.mark.parametrize("name", FOUR)
def test_every_table_begins_with_the_run_and_ends_with_what_is_hidden(name: str) -> None:
    table = registry.table(name)
    assert table.names[0] == "run_spec.name"
    entry = ["magnet.entry"] if name == "per_instance_stats" else []
    assert table.names[-3 - len(entry) :] == ["magnet.run", "magnet.row", *entry, "magnet.extra"]
    assert list(table.hidden) == table.names[-3 - len(entry) :]
    assert len(set(table.names)) == len(table.names)


@pytest.mark.parametrize(
    ("name", "column", "arrow", "nullable"),
    [
        ("run_spec", "run_spec.name", "string", False),
        ("run_spec", "run_spec.groups", "list<string>", True),
        ("run_spec", "run_spec.adapter_spec.method", "string", True),
        ("run_spec", "run_spec.adapter_spec.max_eval_instances", "int64", True),
        ("run_spec", "run_spec.metric_specs", "list<struct<class_name: string, args: string>>", True),
        ("scenario_state", "scenario_state.request_states.request.top_p", "double", True),
        ("scenario_state", "scenario_state.request_states.instance.id", "string", True),
        ("scenario_state", "scenario_state.request_states.annotations", "string", True),
        ("stats", "stats.mean", "double", True),
        ("stats", "stats.name.perturbation.fairness", "bool", True),
        ("stats", "magnet.row", "int64", False),
        ("per_instance_stats", "per_instance_stats.stats.name.name", "string", True),
        ("per_instance_stats", "magnet.entry", "int64", False),
    ],
)
def test_types_of_columns(name: str, column: str, arrow: str, nullable: bool) -> None:
    found = registry.table(name).column(column)
    published = {entry["name"]: entry for entry in registry.table(name).to_json()["columns"]}[column]
    assert (published["type"], published["nullable"], found.nullable) == (arrow, nullable, nullable)


def test_completions_are_a_list_of_structs_with_a_list_of_tokens() -> None:
    arrow = registry.table("scenario_state").column("scenario_state.request_states.result.completions").type
    tokens = arrow.value_type.field("tokens").type
    assert tokens.value_type.field("logprob").type == pa.float64()
    assert arrow.value_type.field("finish_reason").type == pa.string()  # free form: JSON text


@pytest.mark.parametrize("name", TABLES)
def test_every_registered_column_says_what_it_is(name: str) -> None:
    for column in registry.table(name).to_json()["columns"]:
        assert column["description"], column["name"]
        assert column.get("hidden") or column["helm_type"] or name not in FOUR, column["name"]


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("subject", "subject"),
        ("with blank", "with blank"),
        ("a.b", '"a.b"'),
        ("", '""'),
        ('say "x"', r'"say \"x\""'),
        ("back\\slash", r'"back\\slash"'),
        ("é日", "é日"),
        ("x" * 256, "x" * 256),
        ("x" * 257, None),
        ("é" * 128, "é" * 128),
        ("é" * 129, None),
        ("nul\0", None),
        ("\ud83d", None),
    ],
    ids=lambda value: ascii(value)[:16],
)
def test_a_key_as_a_part_of_a_name(key: str, part: str | None) -> None:
    assert key_part(key) == part


@given(st.lists(keys(strict=False), min_size=1, max_size=4))
def test_a_name_gives_its_keys_back(path: list[str]) -> None:
    parts = [key_part(key) for key in path]
    if None not in parts:
        assert key_parts(".".join(filter(None, parts))) == path


def test_a_column_found_in_the_data_belongs_to_the_nearest_object() -> None:
    table = registry.table("scenario_state")
    owner = table.dynamic_object_of("scenario_state.request_states.instance.perturbation.strength")
    assert owner is not None
    assert (owner.name, owner.open) == ("scenario_state.request_states.instance.perturbation", True)
    assert table.dynamic_object_of("scenario_state.request_states.output_mapping") is not None
    assert table.dynamic_object_of("scenario_state.request_states.output_mappings.A") is None


def test_the_pointer_of_a_column_found_in_the_data() -> None:
    owner = registry.table("run_spec").dynamic_object_of("run_spec.scenario_spec.args.x")
    assert owner is not None
    assert pointer_of(owner, 'run_spec.scenario_spec.args.a."b.c/d".e~') == "/scenario_spec/args/a/b.c~1d/e~0"
    assert pointer_of(owner, "run_spec.scenario_spec.args") == "/scenario_spec/args"


def test_scenario_arguments_alone_may_have_any_number_of_keys() -> None:
    unbounded = [owner.name for name in FOUR for owner in registry.table(name).dynamic_objects if owner.unbounded]
    assert unbounded == ["run_spec.scenario_spec.args"]


def test_a_field_is_as_old_as_what_it_stands_in() -> None:
    """`extra_data` is of 0.5.0, `media_objects` of 0.3.0 wherever they stand, in objects that are older."""
    columns = {column.name: column for column in registry.table("scenario_state").columns}
    media = columns["scenario_state.request_states.instance.input.multimedia_content.media_objects"]
    assert media.since == "0.3.0"
    assert columns["scenario_state.request_states.instance.id"].since == "0.1.0"


def test_a_wrong_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(ColumnNotFoundError, match=r"stats has no column 'stats\.maen'\.\n.*'stats\.mean'"):
        registry.table("stats").column("stats.maen")
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'scenario_state'"):
        registry.table("scenario_stat")
    assert registry.table("stats").named("mean") == "stats.mean"
    with pytest.raises(ColumnNotFoundError, match=r"the cache has no table 'statz'\.\n.*'stats'"):
        registry.table("statz")


def test_sql_names_are_told_apart_without_case_or_signs() -> None:
    args = "run_spec.scenario_spec.args"
    found = [f"{args}.b", f"{args}.B", f"{args}.a-b", f"{args}.a b", f"{args}.a_b_2", "run_spec.Groups"]
    names = registry.table("run_spec").sql_names(found)
    assert list(names)[: -len(found)] == registry.table("run_spec").names
    assert names["run_spec.groups"] == "run_spec_groups"
    assert names["run_spec.Groups"] == "run_spec_groups_2"
    assert [names[name].removeprefix("run_spec_scenario_spec_args_") for name in sorted(found[:5])] == [
        "b",  # B
        "a_b",  # a b
        "a_b_2",  # a-b
        "a_b_2_2",  # a_b_2
        "b_2",  # b
    ]


@pytest.mark.parametrize("table", TABLES)
def test_published_sql_names_differ_in_a_table_and_need_no_quotes(table: str) -> None:
    names = [column["sql_name"] for column in registry.table(table).to_json()["columns"]]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)


@given(st.sets(keys(), max_size=6))
def test_sql_names_are_unique_whatever_is_found(found: set[str]) -> None:
    parts = {part for key in found if (part := key_part(key)) is not None}
    names = registry.table("run_spec").sql_names(f"run_spec.scenario_spec.args.{part}" for part in parts)
    assert (
        len({name.lower() for name in names.values()})
        == len(names)
        == len(registry.table("run_spec").names) + len(parts)
    )
