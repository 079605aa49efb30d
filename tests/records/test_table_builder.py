"""Elements of files to row groups: what each table's rows hold, and what is left beside them."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.decoder import document
from magnet_arrow.decode.wire import TEXT_FORM
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.records import table_builder
from magnet_arrow.records.row_group import Batch, plain_columns
from magnet_arrow.records.stat_builders import InstanceStatsBuilder, StatsBuilder
from magnet_arrow.records.table_builder import ArrayBuilder, Owner, Rows, moved
from magnet_arrow.records.table_builders import StateBuilder
from magnet_arrow.schema import registry

AnyBuilder = ArrayBuilder[Any]
WHERE = Where("v1/run", "x.json")
STATE = "scenario_state.request_states"


def chunk_of(value: Any, buffer: bytearray | None = None) -> Chunk:
    """The array of a file; in a buffer that is used again if one is given."""
    data = (value if isinstance(value, str) else json.dumps(value)).encode()
    if buffer is None:
        buffer = bytearray(data)
    else:
        buffer[:] = data.ljust(len(buffer), b"#")
    return Chunk(buffer, 0, len(data), 0, 0, "$", WHERE)


def read(builder: AnyBuilder, value: Any, rest: str = "{}") -> Rows:
    """The rows of a file, or of the first chunk of one."""
    beside = document(rest.encode(), registry.STATE_REST, WHERE)[0] if isinstance(builder, StateBuilder) else None
    rows: Rows = builder.read(chunk_of(value), beside)
    return rows


def add(builder: AnyBuilder, key: str, value: Any, rest: str = "{}") -> None:
    """One run's file."""
    builder.append(read(builder, value, rest), [Owner(key, f"name of {key}")])


def batch_of(builder: AnyBuilder, *runs: Any) -> Batch:
    for number, value in enumerate(runs):
        add(builder, f"run{number}", value)
    return builder.flush()


def cells(batch: Batch, name: str) -> list[Any]:
    found: list[Any] = plain_columns(batch)[name].to_pylist()
    return found


def extras(batch: Batch) -> list[Any]:
    return [None if text is None else json.loads(text) for text in cells(batch, registry.EXTRA)]


def occurring(batch: Batch, run: int = 0) -> set[str]:
    """Registered columns whose key a run has, hidden ones left out."""
    bits = batch.runs[run].occurs
    return {name for bit, name in enumerate(batch.table.names) if bits >> bit & 1} - set(batch.table.hidden)


def test_rows_know_their_run_and_their_place_in_its_file() -> None:
    batch = batch_of(StatsBuilder(), [{"mean": 0.5}, {"mean": 1}], [{"mean": 2}], [], [{"mean": 3}])
    assert cells(batch, "magnet.run") == ["run0", "run0", "run1", "run3"]
    assert cells(batch, "run_spec.name") == ["name of run0"] * 2 + ["name of run1", "name of run3"]
    assert cells(batch, "magnet.row") == [0, 1, 0, 0]
    assert cells(batch, "stats.mean") == [0.5, 1.0, 2.0, 3.0]
    assert [(run.key, run.first, run.rows) for run in batch.runs] == [
        ("run0", 0, 2),
        ("run1", 2, 1),
        ("run3", 3, 1),
    ]


def test_a_batch_has_all_registered_columns_in_their_order_and_types() -> None:
    for builder, value in ((StatsBuilder(), [{}]), (InstanceStatsBuilder(), [{"stats": [{}]}]), (StateBuilder(), [{}])):
        batch = batch_of(builder, value)
        assert list(batch.registered) == batch.table.names
        plain = plain_columns(batch)
        assert [plain[column.name].type for column in batch.table.columns] == [
            column.type for column in batch.table.columns
        ]


@pytest.mark.parametrize(
    ("texts", "means", "residuals"),
    [
        pytest.param(["NaN", "Infinity"], [math.nan, math.inf], [None, None], id="NaN is a value"),
        pytest.param(["0", "0", "0.5"], [0.0, 0.0, 0.5], [None] * 3, id="a late 0.5"),
        pytest.param(["null", "1"], [None, 1.0], [{"/mean": None}, None], id="null is not absent"),
        pytest.param(
            ["9007199254740992", "9007199254740993"],
            [2.0**53, None],
            [None, {"/mean": 2**53 + 1}],
            id="an integer past 2^53",
        ),
        pytest.param(['"0.5"', "true"], [None, None], [{"/mean": "0.5"}, {"/mean": True}], id="other types"),
    ],
)
def test_numbers_in_a_float_field(texts: list[str], means: list[Any], residuals: list[Any]) -> None:
    for builder, column, wrap in (
        (StatsBuilder(), "stats.mean", "{}"),
        (InstanceStatsBuilder(), "per_instance_stats.stats.mean", '{{"stats": [{}]}}'),
    ):
        stats = ", ".join(wrap.format(f'{{"mean": {text}}}') for text in texts)
        batch = batch_of(builder, f"[{stats}]")
        inner = "/stats/0" if isinstance(builder, InstanceStatsBuilder) else ""
        expected = [rest and {inner + place: value for place, value in rest.items()} for rest in residuals]
        assert repr(cells(batch, column)) == repr(means)
        assert extras(batch) == expected


def test_request_states_of_odd_kinds() -> None:
    batch = batch_of(
        StateBuilder(),
        '[{"request": {"top_p": 1}, "instance": {"id": 7}}, {"request": {"top_p": 0.95}, "instance": {"id": "7"}},'
        '{"request": {}, "instance": {}}, {"request": null, "train_trial_index": 99999999999999999999},'
        '{"request": {"prompt": "a\\ud83d"}, "instance": {"input": "why"}, "annotations": {"b": NaN, "a": null}}]',
    )
    assert repr(cells(batch, f"{STATE}.request.top_p")) == "[1.0, 0.95, None, None, None]"
    assert cells(batch, f"{STATE}.instance.id") == ["7", "7", None, None, None]
    assert cells(batch, f"{STATE}.request.prompt")[4] == "a\ufffd"
    assert cells(batch, f"{STATE}.instance.input.text")[4] == "why"
    assert cells(batch, f"{STATE}.annotations")[4] == '{"b":NaN,"a":null}'
    assert extras(batch) == [
        {"/instance/id": 7},
        None,
        {"/request": {}, "/instance": {}},
        {"/request": None, "/train_trial_index": 99999999999999999999},
        {"/request/prompt": "a\ud83d", TEXT_FORM: ["/instance/input"]},
    ]


def test_the_rest_of_a_scenario_state_stands_beside_each_row() -> None:
    builder = StateBuilder()
    add(builder, "a", [{}, {}], rest='{"adapter_spec": {"method": "generation", "temperature": 0}, "more": 1}')
    add(builder, "b", [{}], rest='{"adapter_spec": {"method": "chat"}}')
    batch = builder.flush()
    assert cells(batch, "scenario_state.adapter_spec.method") == ["generation", "generation", "chat"]
    assert repr(cells(batch, "scenario_state.adapter_spec.temperature")) == "[0.0, 0.0, None]"


def test_an_entry_of_per_instance_stats_is_a_row_for_each_of_its_stats() -> None:
    first = {"instance_id": "a", "train_trial_index": 0, "new": 5, "stats": [{"mean": 1}, {"mean": 2, "other": 6}]}
    builder = InstanceStatsBuilder()
    rows = read(builder, [first, {"instance_id": "b", "stats": []}, {"instance_id": 3, "stats": [{"mean": 3}]}])
    assert rows.rowless == {1: {"instance_id": "b", "stats": []}}
    builder.append(rows, [Owner("run", "name")])
    batch = builder.flush()
    assert cells(batch, "per_instance_stats.instance_id") == ["a", "a", "3"]
    assert cells(batch, "per_instance_stats.stats.mean") == [1.0, 2.0, 3.0]
    assert cells(batch, "magnet.entry") == [0, 0, 2]
    assert cells(batch, "magnet.row") == [0, 1, 2]
    # What is wrong with an entry is said once, at its first row.
    assert extras(batch) == [{"/new": 5}, {"/stats/1/other": 6}, {"/instance_id": 3}]


def test_rows_that_are_not_appended_leave_nothing() -> None:
    good: dict[Callable[[], AnyBuilder], Any] = {
        StatsBuilder: [{"mean": 1}],
        InstanceStatsBuilder: [{"stats": [{"mean": 1}]}],
        StateBuilder: [{"instance": {"id": "a"}}],
    }
    for kind, value in good.items():
        builder = kind()
        add(builder, "first", value)
        read(builder, json.dumps(value).replace("1}", '1, "new": null}').replace('"a"', "5"))
        add(builder, "third", value)
        batch = builder.flush()
        assert cells(batch, "magnet.run") == ["first", "third"]
        assert extras(batch) == [None, None]


def test_a_run_is_unharmed_by_the_next_one_in_the_same_buffer() -> None:
    """Raw parts are views of the buffer: a builder that kept one would see the other run's bytes."""
    run = (
        '[{{"annotations":{{"k":"{0}"}},"instance":{{"id":"{0}","extra_data":{{"{0}":1}}}},'
        '"request":{{"prompt":"{0}"}}}}]'
    )
    buffer = bytearray(4096)
    builder = StateBuilder()
    for name in ("first", "other"):
        rest = document(b'{"adapter_spec": {"method": "%s"}}' % name.encode(), registry.STATE_REST, WHERE)[0]
        builder.append(builder.read(chunk_of(run.format(name), buffer), rest), [Owner(name, name)])
    buffer[:] = b"\xff" * len(buffer)
    batch = builder.flush()
    assert cells(batch, f"{STATE}.annotations") == ['{"k":"first"}', '{"k":"other"}']
    for column in ("instance.id", "request.prompt"):
        assert cells(batch, f"{STATE}.{column}") == ["first", "other"]
    assert cells(batch, f"{STATE}.instance.extra_data.first") == [1, None]
    assert cells(batch, "scenario_state.adapter_spec.method") == ["first", "other"]


def test_which_columns_occur_in_a_run_is_told_by_keys_and_not_by_values() -> None:
    batch = batch_of(
        StatsBuilder(), [{"mean": None}, {"name": {"name": "x"}}], [{"mean": 1}], [{"new": 1, "count": "?"}]
    )
    assert occurring(batch, 0) == {"run_spec.name", "stats.mean", "stats.name.name"}
    assert occurring(batch, 1) == {"run_spec.name", "stats.mean"}
    assert occurring(batch, 2) == {"run_spec.name", "stats.count"}


def test_a_row_group_is_full_at_a_number_of_rows_or_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_builder, "GROUP_ROWS", 3)
    monkeypatch.setattr(table_builder, "GROUP_BYTES", 100)
    builder = StatsBuilder()
    full = []
    for size_bytes in (40, 40, 40):
        builder.append(builder.read(chunk_of([{"mean": 1}])), [Owner("run", "name", size_bytes)])
        full.append(builder.is_full)
    assert full == [False, False, True]
    builder.flush()
    add(builder, "more", [{}, {}])
    assert not builder.is_full
    add(builder, "last", [{}])
    assert builder.is_full


def test_a_long_run_goes_on_in_the_next_row_group() -> None:
    builder = InstanceStatsBuilder()
    groups = []
    for numbers in ([1, 2], [3]):
        chunk = chunk_of([{"instance_id": str(number), "stats": [{"mean": number}]} for number in numbers])
        chunk.first = numbers[0] - 1
        builder.append(builder.read(chunk), [Owner("run", "name")])
        groups.append(builder.flush())
    assert [cells(batch, "magnet.row") for batch in groups] == [[0, 1], [2]]
    assert [cells(batch, "magnet.entry") for batch in groups] == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("builder", "text", "path", "found"),
    [
        pytest.param(StatsBuilder(), '[{}, {"mean": 1]', "$[1]", "']'", id="no JSON"),
        pytest.param(StateBuilder(), "[{}, nul]", "$[1]", "'nul' (no value)", id="no word of JSON"),
        pytest.param(
            InstanceStatsBuilder(), '[{"stats": [{}, {"a": .5}]}]', "$[0]", "'.5}]}' (no value)", id="in a stat"
        ),
    ],
)
def test_what_is_no_row(builder: AnyBuilder, text: str, path: str, found: str) -> None:
    with pytest.raises(BadFileError) as caught:
        read(builder, text)
    assert caught.value.where is not None
    assert caught.value.where.json_path == path
    assert caught.value.found == found


def test_places_seen_from_further_out() -> None:
    residual = {"/mean": None, TEXT_FORM: ["/input"]}
    assert moved(residual, "/stats/3") == {"/stats/3/mean": None, TEXT_FORM: ["/stats/3/input"]}
    assert moved(residual, "") == residual
