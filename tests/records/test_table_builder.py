"""Elements of files to row groups: what each table's rows hold, and what is left beside them."""

import json
import math
from typing import Any

import pytest

from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.decoder import document
from magnet_arrow.decode.wire import TEXT_FORM
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.records import table_builder
from magnet_arrow.records.stat_builders import InstanceStatRows, StatRows
from magnet_arrow.records.table_builder import Batch, Rows, moved, plain_columns
from magnet_arrow.records.table_builders import StateRows
from magnet_arrow.schema import registry

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


def take(rows: Rows, key: str, *values: Any, rest: str = "{}") -> None:
    """One run's files, or chunks of its file."""
    for value in values:
        if isinstance(rows, StateRows):
            rows.stage_rest(document(rest.encode(), registry.STATE_REST, WHERE)[0])
        rows.stage(chunk_of(value))
        rows.keep(key, f"name of {key}")
    rows.end_run()


def batch_of(rows: Rows, *runs: Any) -> Batch:
    for number, value in enumerate(runs):
        take(rows, f"run{number}", value)
    return rows.flush()


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
    batch = batch_of(StatRows(), [{"mean": 0.5}, {"mean": 1}], [{"mean": 2}], [], [{"mean": 3}])
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
    for rows, value in ((StatRows(), [{}]), (InstanceStatRows(), [{"stats": [{}]}]), (StateRows(), [{}])):
        batch = batch_of(rows, value)
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
    for rows, column, wrap in (
        (StatRows(), "stats.mean", "{}"),
        (InstanceStatRows(), "per_instance_stats.stats.mean", '{{"stats": [{}]}}'),
    ):
        stats = ", ".join(wrap.format(f'{{"mean": {text}}}') for text in texts)
        batch = batch_of(rows, f"[{stats}]")
        inner = "/stats/0" if isinstance(rows, InstanceStatRows) else ""
        expected = [rest and {inner + place: value for place, value in rest.items()} for rest in residuals]
        assert repr(cells(batch, column)) == repr(means)
        assert extras(batch) == expected


def test_request_states_of_odd_kinds() -> None:
    batch = batch_of(
        StateRows(),
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
    rows = StateRows()
    take(rows, "a", [{}, {}], rest='{"adapter_spec": {"method": "generation", "temperature": 0}, "more": 1}')
    take(rows, "b", [{}], rest='{"adapter_spec": {"method": "chat"}}')
    batch = rows.flush()
    assert cells(batch, "scenario_state.adapter_spec.method") == ["generation", "generation", "chat"]
    assert repr(cells(batch, "scenario_state.adapter_spec.temperature")) == "[0.0, 0.0, None]"


def test_an_entry_of_per_instance_stats_is_a_row_for_each_of_its_stats() -> None:
    first = {"instance_id": "a", "train_trial_index": 0, "new": 5, "stats": [{"mean": 1}, {"mean": 2, "other": 6}]}
    rows = InstanceStatRows()
    rows.stage(chunk_of([first, {"instance_id": "b", "stats": []}, {"instance_id": 3, "stats": [{"mean": 3}]}]))
    assert rows.rowless_entries() == {1: {"instance_id": "b", "stats": []}}
    rows.keep("run", "name")
    assert rows.rowless_entries() == {1: {"instance_id": "b", "stats": []}}
    rows.end_run()
    assert rows.rowless_entries() == {}
    batch = rows.flush()
    assert cells(batch, "per_instance_stats.instance_id") == ["a", "a", "3"]
    assert cells(batch, "per_instance_stats.stats.mean") == [1.0, 2.0, 3.0]
    assert cells(batch, "magnet.entry") == [0, 0, 2]
    assert cells(batch, "magnet.row") == [0, 1, 2]
    # What is wrong with an entry is said once, at its first row.
    assert extras(batch) == [{"/new": 5}, {"/stats/1/other": 6}, {"/instance_id": 3}]


def test_a_run_that_is_dropped_leaves_nothing() -> None:
    good = {
        StatRows: [{"mean": 1}],
        InstanceStatRows: [{"stats": [{"mean": 1}]}],
        StateRows: [{"instance": {"id": "a"}}],
    }
    for kind, value in good.items():
        rows: Rows = kind()
        take(rows, "first", value)
        if isinstance(rows, StateRows):
            rows.stage_rest(document(b"{}", registry.STATE_REST, WHERE)[0])
        rows.stage(chunk_of(json.dumps(value).replace("1}", '1, "new": null}').replace('"a"', "5")))
        rows.drop()
        rows.end_run()
        take(rows, "third", value)
        batch = rows.flush()
        assert cells(batch, "magnet.run") == ["first", "third"]
        assert extras(batch) == [None, None]


def test_a_run_is_unharmed_by_the_next_one_in_the_same_buffer() -> None:
    """Raw parts are views of the buffer: a builder that kept one would see the other run's bytes."""
    run = (
        '[{{"annotations":{{"k":"{0}"}},"instance":{{"id":"{0}","extra_data":{{"{0}":1}}}},'
        '"request":{{"prompt":"{0}"}}}}]'
    )
    buffer = bytearray(4096)
    rows = StateRows()
    for name in ("first", "other"):
        rows.stage_rest(document(b'{"adapter_spec": {"method": "%s"}}' % name.encode(), registry.STATE_REST, WHERE)[0])
        rows.stage(chunk_of(run.format(name), buffer))
        rows.keep(name, name)
        rows.end_run()
    buffer[:] = b"\xff" * len(buffer)
    batch = rows.flush()
    assert cells(batch, f"{STATE}.annotations") == ['{"k":"first"}', '{"k":"other"}']
    for column in ("instance.id", "request.prompt"):
        assert cells(batch, f"{STATE}.{column}") == ["first", "other"]
    assert cells(batch, f"{STATE}.instance.extra_data.first") == [1, None]
    assert cells(batch, "scenario_state.adapter_spec.method") == ["first", "other"]


def test_which_columns_occur_in_a_run_is_told_by_keys_and_not_by_values() -> None:
    batch = batch_of(StatRows(), [{"mean": None}, {"name": {"name": "x"}}], [{"mean": 1}], [{"new": 1, "count": "?"}])
    assert occurring(batch, 0) == {"run_spec.name", "stats.mean", "stats.name.name"}
    assert occurring(batch, 1) == {"run_spec.name", "stats.mean"}
    assert occurring(batch, 2) == {"run_spec.name", "stats.count"}


def test_a_row_group_is_full_at_a_number_of_rows_or_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_builder, "GROUP_ROWS", 3)
    monkeypatch.setattr(table_builder, "GROUP_BYTES", 100)
    rows = StatRows()
    full = []
    for size_bytes in (40, 40, 40):
        rows.stage(chunk_of([{"mean": 1}]))
        rows.keep("run", "name", size_bytes)
        full.append(rows.is_full)
    assert full == [False, False, True]
    rows.flush()
    take(rows, "more", [{}, {}])
    assert not rows.is_full
    take(rows, "last", [{}])
    assert rows.is_full


def test_a_long_run_goes_on_in_the_next_row_group() -> None:
    rows = InstanceStatRows()
    groups = []
    for numbers in ([1, 2], [3]):
        rows.stage(chunk_of([{"instance_id": str(number), "stats": [{"mean": number}]} for number in numbers]))
        rows.keep("run", "name")
        groups.append(rows.flush())
    assert [cells(batch, "magnet.row") for batch in groups] == [[0, 1], [2]]
    assert [cells(batch, "magnet.entry") for batch in groups] == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("rows", "text", "path", "found"),
    [
        pytest.param(StatRows(), '[{}, {"mean": 1]', "$[1]", "']'", id="no JSON"),
        pytest.param(StateRows(), "[{}, nul]", "$[1]", "'nul' (no value)", id="no word of JSON"),
        pytest.param(InstanceStatRows(), '[{"stats": [{}, {"a": .5}]}]', "$[0]", "'.5}]}' (no value)", id="in a stat"),
    ],
)
def test_what_is_no_row(rows: Rows, text: str, path: str, found: str) -> None:
    if isinstance(rows, StateRows):
        rows.stage_rest(document(b"{}", registry.STATE_REST, WHERE)[0])
    with pytest.raises(BadFileError) as caught:
        rows.stage(chunk_of(text))
    assert caught.value.where is not None
    assert caught.value.where.json_path == path
    assert caught.value.found == found


def test_places_seen_from_further_out() -> None:
    residual = {"/mean": None, TEXT_FORM: ["/input"]}
    assert moved(residual, "/stats/3") == {"/stats/3/mean": None, TEXT_FORM: ["/stats/3/input"]}
    assert moved(residual, "") == residual
