"""Elements of a file's array, found in blocks: whatever the layout and the block size, they are what `json` finds."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnet_arrow.decode import limits
from magnet_arrow.decode.chunk_reader import ChunkReader
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.sources.file import SourceFile

KEY = "request_states"
INDENTS = pytest.mark.parametrize("indent", [2, None, 0, 1, 4], ids=["helm", "one line", "flat", "one", "four"])
# What could be taken for the end of an element, a string or the file; what msgspec refuses; no objects at all.
ODD: list[Any] = [
    {"text": '\n  },\n  {"', "other": '\n    },\n    {"', "end": '"]}'},
    {"backslashes": ["\\", '\\"', '"', "\\\\", "{[", "]}"]},
    {"numbers": [float("nan"), float("inf"), -float("inf"), 10**30, -0.0]},
    {"half a letter": "\ud83d", "letters": "é日🦉\u2028"},
    {"request_states": [{"request_states": []}], "null": None},
    {},
    {"deep": [[[[{"a": [{"b": {}}]}]]]]},
    7,
    "text, with a comma",
    [],
    None,
]
ELEMENTS: list[Any] = [{"id": f"id{number}", "odd": ODD[number % len(ODD)]} for number in range(60)] + ODD
REST: dict[str, Any] = {
    "adapter_spec": {"stop_sequences": ["\n"], "request_states": [1, 2]},
    "annotator_specs": [{"class_name": "made.Judge", "args": {}}],
    "text": '],\n  "request_states": [',
}
MEMBERS: dict[str, dict[str, Any]] = {
    "members before": {**REST, KEY: ELEMENTS},
    "members after": {KEY: ELEMENTS, **REST},
    "members around": {"adapter_spec": REST["adapter_spec"], KEY: ELEMENTS, "annotator_specs": REST["annotator_specs"]},
    "no other members": {KEY: ELEMENTS},
    "an array last": {"adapter_spec": REST["adapter_spec"], KEY: ELEMENTS, "empty": []},
}


def write(folder: Path, text: str) -> bytes:
    (folder / "x.json").write_text(text, encoding="utf-8")
    return text.encode()


def read(
    folder: Path, key: str | None = None, *, by_layout: bool = True
) -> tuple[dict[str, Any], list[Any], list[int]]:
    """Members and elements as `json` takes them, and how many elements each chunk had; offsets are checked."""
    raw = (folder / "x.json").read_bytes()
    found: list[Any] = []
    counts: list[int] = []
    with SourceFile(folder, "x.json", "suite/run") as file:
        reader = ChunkReader(file, Buffer(), key, by_layout=by_layout)
        assert reader.has_array
        for chunk in reader:
            assert chunk.first == len(found)
            assert chunk.view[0] == ord("[")
            places = list(chunk.elements())
            for begin, end in places:
                text = bytes(chunk.buffer[begin:end])
                assert text == raw[begin + chunk.offset : end + chunk.offset]
                found.append(json.loads(text))
            chunk.count = len(places)
            counts.append(len(places))
        return {name: json.loads(value) for name, value in reader.members.items()}, found, counts


def sizes(whole: int) -> list[int]:
    """Block sizes from a fraction of an element to the whole file; one is just as long as the file, one a byte more."""
    return [200, 1000, 4096, 5001, whole, whole + 1]


@INDENTS
@pytest.mark.parametrize("by_layout", [True, False], ids=["by layout", "by scan"])
def test_an_array_in_blocks_is_the_whole_array(
    indent: int | None, by_layout: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(write(tmp_path, json.dumps(ELEMENTS, indent=indent)))
    for block in sizes(whole):
        monkeypatch.setattr(limits, "BLOCK_BYTES", block)
        members, found, counts = read(tmp_path, by_layout=by_layout)
        assert repr(found) == repr(ELEMENTS), block
        assert members == {}
        assert len(counts) == 1 if block > whole else len(counts) >= min(2, whole // block)


@INDENTS
@pytest.mark.parametrize("by_layout", [True, False], ids=["by layout", "by scan"])
@pytest.mark.parametrize("state", MEMBERS.values(), ids=MEMBERS)
def test_a_state_in_blocks_is_the_whole_state(
    state: dict[str, Any], by_layout: bool, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(write(tmp_path, json.dumps(state, indent=indent)))
    rest = {name: value for name, value in state.items() if name != KEY}
    for block in sizes(whole)[1:]:
        monkeypatch.setattr(limits, "BLOCK_BYTES", block)
        members, found, _ = read(tmp_path, KEY, by_layout=by_layout)
        assert members == rest
        assert repr(found) == repr(ELEMENTS), block


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("text", ["[]", " [ ] ", "[\n]", "[ 1 ]", "[1,2]\n", "[\n  {}\n]"])
def test_small_arrays(text: str, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, mark + text)
    for block in (limits.BLOCK_BYTES, 8):
        monkeypatch.setattr(limits, "BLOCK_BYTES", block)
        assert read(tmp_path)[1] == json.loads(text)


@INDENTS
def test_an_element_longer_than_many_blocks(
    indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [{"a": 1}, {"long": "x" * 9000, "list": [{}] * 50}, {"b": 2}]
    write(tmp_path, json.dumps(made, indent=indent))
    monkeypatch.setattr(limits, "BLOCK_BYTES", 512)
    assert read(tmp_path)[1] == made


def test_an_element_past_the_limit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = write(tmp_path, json.dumps([{"a": 1}, {"long": "x" * 9000}], indent=2))
    monkeypatch.setattr(limits, "BLOCK_BYTES", 512)
    monkeypatch.setattr(limits, "MAX_ELEMENT_BYTES", 4 << 10)
    with pytest.raises(BadFileError, match="found one of more than") as caught:
        read(tmp_path)
    # The comma behind the first element is where the second begins.
    assert caught.value.where == Where("suite/run", "x.json", "$[1]", raw.index(b"},") + 1)


SMALL = {"adapter_spec": {"a": ["x"]}, KEY: [{"text": 'a "b" \\'}, {"n": [1.5, {}]}, {"t": True}], "last": [None]}


@pytest.mark.parametrize("indent", [2, None], ids=["helm", "one line"])
@pytest.mark.parametrize("block", [limits.BLOCK_BYTES, 96], ids=["whole", "in blocks"])
@pytest.mark.parametrize(("value", "key"), [(SMALL, KEY), (SMALL[KEY], None)], ids=["state", "array"])
def test_a_file_cut_anywhere_is_noticed(
    value: Any, key: str | None, block: int, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    raw = write(tmp_path, json.dumps(value, indent=indent))
    assert read(tmp_path, key)[1] == SMALL[KEY]
    for size in range(len(raw)):
        (tmp_path / "x.json").write_bytes(raw[:size])
        with pytest.raises(BadFileError) as caught:
            read(tmp_path, key)
        where = caught.value.where
        assert where is not None
        assert (where.run, where.file) == ("suite/run", "x.json")
        assert where.byte is not None
        assert where.byte <= size


@pytest.mark.parametrize("indent", [2, None], ids=["helm", "one line"])
@pytest.mark.parametrize("block", [limits.BLOCK_BYTES, 96], ids=["whole", "in blocks"])
@pytest.mark.parametrize(("value", "key"), [(SMALL, KEY), (SMALL[KEY], None)], ids=["state", "array"])
def test_of_a_file_cut_within_its_array_the_whole_elements_are_saved(
    value: Any, key: str | None, block: int, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    raw = write(tmp_path, json.dumps(value, indent=indent))
    begin = raw.index(b"[", raw.index(KEY.encode())) if key else 0
    ends = [raw.index(b"}", raw.index(mark)) for mark in (b'"text"', b"1.5", b'"t"')]
    ends[1] = raw.index(b"}", raw.index(b"}", ends[1] - 1) + 1)  # the second holds an object
    for size in range(begin + 1, ends[-1] + 2):
        (tmp_path / "x.json").write_bytes(raw[:size])
        found: list[Any] = []
        with SourceFile(tmp_path, "x.json", "suite/run") as file:
            reader = ChunkReader(file, Buffer(), key, by_layout=False, salvage=True)
            for chunk in reader:
                places = list(chunk.elements())
                chunk.count = len(places)
                found += [json.loads(bytes(chunk.buffer[start:end])) for start, end in places]
        assert found == SMALL[KEY][: sum(end < size for end in ends)], raw[:size]
        assert reader.cut_at is not None
        assert reader.cut_at <= size
        assert list(reader.members) == (["adapter_spec"] if key else [])


def test_of_a_whole_file_nothing_is_cut(tmp_path: Path) -> None:
    write(tmp_path, json.dumps(SMALL))
    with SourceFile(tmp_path, "x.json", "suite/run") as file:
        reader = ChunkReader(file, Buffer(), KEY, by_layout=False, salvage=True)
        found = [item for chunk in reader for item in json.loads(bytes(chunk.view))]
    assert found == SMALL[KEY]
    assert reader.cut_at is None


@pytest.mark.parametrize(
    ("text", "key", "expected", "found", "byte"),
    [
        pytest.param("", None, "a JSON document", "an empty file", 0, id="empty"),
        pytest.param(" \n ", None, "a JSON document", "an empty file", 0, id="blank"),
        pytest.param(' {"a": 1}', None, "an array", "'{\"a\": 1}'", 1, id="an object for an array"),
        pytest.param("[1]", KEY, "an object", "'[1]'", 0, id="an array for an object"),
        pytest.param("[1}", None, "matching brackets", "'}'", 2, id="brackets"),
        pytest.param("[1, ]", None, "a value", "']'", 4, id="a comma too many at the end"),
        pytest.param("[ , 1]", None, "a value", "','", 2, id="a comma too many at the beginning"),
        pytest.param("[1,, 2]", None, "a value", "','", 3, id="a comma too many between"),
        pytest.param("[1] [2]", None, "the end of the file after the document", "'[2]' after it", 4, id="two"),
        pytest.param('["a', None, "the end of a string", "the end of the file", 3, id="open string"),
        pytest.param('{"a" 1}', KEY, "a key and its value", "'\"a\" 1'", 1, id="no colon"),
        pytest.param("{1: 2}", KEY, "a key and its value", "'1: 2'", 1, id="key is no text"),
    ],
)
def test_what_is_wrong_is_said_with_its_byte(
    text: str, key: str | None, expected: str, found: str, byte: int, tmp_path: Path
) -> None:
    write(tmp_path, text)
    with pytest.raises(BadFileError) as caught:
        read(tmp_path, key)
    error = caught.value
    assert (error.expected, error.found) == (expected, found)
    assert error.where is not None
    assert error.where.byte == byte


@INDENTS
@pytest.mark.parametrize("by_layout", [True, False], ids=["by layout", "by scan"])
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("block", [64, limits.BLOCK_BYTES], ids=["in blocks", "whole"])
def test_a_comma_too_many_at_the_end_is_bad_though_a_block_ends_behind_it(
    block: int, key: str | None, by_layout: bool, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [{"id": number} for number in range(9)]
    text = json.dumps(made if key is None else {key: made}, indent=indent)
    end = text.rindex("}", 0, text.rindex("]")) + 1
    write(tmp_path, text[:end] + "," + text[end:])
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    with pytest.raises(BadFileError) as caught:
        read(tmp_path, key, by_layout=by_layout)
    assert (caught.value.expected, caught.value.found) == ("a value", "']'")
    assert caught.value.where is not None
    assert caught.value.where.byte == text.index("]", end) + 1


@pytest.mark.parametrize(
    ("raw", "expected", "found", "byte"),
    [
        (b'{"ok": 1, "a\xff": 2}', "UTF-8 text", "byte 0xff", 12),
        (b'{"ok": 1,"a\\x": 2}', "a key", "'\"a\\\\x\"'", 9),
    ],
    ids=["no UTF-8", "no such escape"],
)
def test_a_key_that_is_no_text(raw: bytes, expected: str, found: str, byte: int, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(raw)
    with pytest.raises(BadFileError) as caught:
        read(tmp_path, KEY)
    assert (caught.value.expected, caught.value.found) == (expected, found)
    assert caught.value.where is not None
    assert caught.value.where.byte == byte


def test_bytes_are_counted_in_the_file_though_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    write(tmp_path, "\ufeff[1, 2}")
    with pytest.raises(BadFileError, match="byte 8"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "members"),
    [
        pytest.param('{"a": [1]}', {"a": [1]}, id="missing"),
        pytest.param(f'{{"{KEY}": null, "a": 2}}', {KEY: None, "a": 2}, id="null"),
        pytest.param(f'{{"{KEY}": {{"x": 1}}}}', {KEY: {"x": 1}}, id="an object"),
        pytest.param(f'{{"{KEY}": [1], "{KEY}": 5}}', {KEY: 5}, id="given twice, the last no array"),
    ],
)
def test_a_state_without_its_array(text: str, members: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, text)
    with SourceFile(tmp_path, "x.json", "suite/run") as file:
        reader = ChunkReader(file, Buffer(), KEY)
        assert not reader.has_array
        assert {name: json.loads(value) for name, value in reader.members.items()} == members
        assert list(reader) == []


@INDENTS
def test_of_a_key_given_twice_the_last_counts(indent: int | None, tmp_path: Path) -> None:
    once = json.dumps({KEY: [{"n": 1}], "a": 1}, indent=indent).rstrip("}\n")
    again = json.dumps({KEY: [{"n": 2}, {"n": 3}], "a": 2}, indent=indent).lstrip("{")
    write(tmp_path, f"{once},{again}")
    # By layout the first bracket and the last are taken for those of one array, which is then found to be none.
    assert read(tmp_path, KEY, by_layout=False)[:2] == ({"a": 2}, [{"n": 2}, {"n": 3}])


@INDENTS
@pytest.mark.parametrize("by_layout", [True, False], ids=["by layout", "by scan"])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("block", [300, limits.BLOCK_BYTES], ids=["in blocks", "whole"])
def test_a_member_given_twice_is_known(
    block: int, place: str, by_layout: bool, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [{"n": number} for number in range(50)]
    members: dict[str, Any] = {"a": 1, "b": {"a": 2}, "c": 3}
    state = {**members, KEY: made} if place == "before" else {KEY: made, **members}
    write(tmp_path, json.dumps(state, indent=indent).replace('"c"', '"a"'))
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    with SourceFile(tmp_path, "x.json", "suite/run") as file:
        reader = ChunkReader(file, Buffer(), KEY, by_layout=by_layout)
        assert [item for chunk in reader for item in json.loads(bytes(chunk.view))] == made
    assert {name: json.loads(raw) for name, raw in reader.members.items()} == {"a": 3, "b": {"a": 2}}
    assert reader.duplicate_keys == ["a"]


def test_a_long_state_without_its_array_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 64)
    write(tmp_path, json.dumps({"a": ["x" * 90]}))
    with SourceFile(tmp_path, "x.json", "suite/run") as file:
        reader = ChunkReader(file, Buffer(), KEY)
        assert not reader.has_array
        assert {name: json.loads(raw) for name, raw in reader.members.items()} == {"a": ["x" * 90]}


def test_an_array_that_begins_past_the_limit_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 64)
    monkeypatch.setattr(limits, "MAX_ELEMENT_BYTES", 1 << 20)
    write(tmp_path, json.dumps({"a": "x" * (2 << 20), KEY: []}))
    with pytest.raises(BadFileError, match=r"expected an array that begins in the first 1\.05 MB, found none"):
        read(tmp_path, KEY)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace(f'"{KEY}"', '"request\\u005fstates"'), id="a key with an escape"),
        pytest.param(lambda text: " " * 5_000 + text, id="blanks before"),
        pytest.param(lambda text: text.replace("{", '{"before": [{"x": "' + "b" * 9_000 + '"}],', 1), id="much before"),
    ],
)
def test_an_array_that_is_not_where_helm_has_it(
    change: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 1000)
    text = change(json.dumps({"adapter_spec": {}, KEY: ELEMENTS}, indent=2))
    write(tmp_path, text)
    members, found, _ = read(tmp_path, KEY)
    assert repr(found) == repr(ELEMENTS)
    assert {**members, KEY: found} == json.loads(text)


def test_a_long_text_behind_a_long_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the array is not near the end of the file, where it is looked for: a first pass finds it."""
    monkeypatch.setattr(limits, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(limits, "TAIL_BYTES", 64)
    write(tmp_path, json.dumps({KEY: ELEMENTS, "late": "y" * 900}, indent=2))
    members, found, _ = read(tmp_path, KEY)
    assert members == {"late": "y" * 900}
    assert repr(found) == repr(ELEMENTS)


def test_a_long_list_behind_a_long_array_is_not_taken_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(limits, "TAIL_BYTES", 64)
    write(tmp_path, json.dumps({KEY: ELEMENTS, "late": ["y" * 300] * 3}, indent=2))
    with pytest.raises(BadFileError, match="expected the end of the file after the document"):
        read(tmp_path, KEY)


def test_a_file_that_has_grown_since_it_was_opened_is_read_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, "[1")
    with SourceFile(tmp_path, "x.json", "suite/run") as file:
        with (tmp_path / "x.json").open("a") as more:
            more.write(", 2, 3" * 50 + "]")
        buffer = Buffer(bytearray(8))
        document = buffer.load(file)
    assert bytes(buffer.data[document.begin : document.end]) == b"[1" + b", 2, 3" * 50 + b"]"


def test_a_document_past_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ELEMENT_BYTES", 1000)
    write(tmp_path, "[" + " " * 2000 + "]")
    with SourceFile(tmp_path, "x.json", "suite/run") as file, pytest.raises(BadFileError, match="one of more than"):
        Buffer().load(file)


def test_files_of_a_run_stand_behind_one_another_in_one_buffer(tmp_path: Path) -> None:
    buffer = Buffer(bytearray(8))
    documents = []
    for text in ("[1, 22, 333]", "{broken"):
        write(tmp_path, text)
        with SourceFile(tmp_path, "x.json", "suite/run") as file:
            documents.append(buffer.load(file))
    assert [bytes(buffer.data[one.begin : one.end]) for one in documents] == [b"[1, 22, 333]", b"{broken"]
    with pytest.raises(BadFileError, match="byte 7"):  # in its own file, not in the buffer
        documents[1].members_and_array(KEY)


def test_a_chunk_knows_what_stands_in_it(tmp_path: Path) -> None:
    write(tmp_path, '[{"a": null}]')
    with SourceFile(tmp_path, "x.json", "suite/run") as file:
        (chunk,) = ChunkReader(file, Buffer())
    assert chunk.has(b"null")
    assert not chunk.has(b"true")
    error = chunk.error(6, "a number", "null", index=0)
    assert error.where == Where("suite/run", "x.json", "$[0]", 6)


def test_the_demo_is_read_in_blocks(demo_outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real files: HELM's own layout, at block sizes that cut them in different places."""
    runs = sorted(demo_outputs.glob("runs/*/*/stats.json"))[::5]
    assert runs
    for path, block in itertools.product(runs, (4096, 16 << 20)):
        monkeypatch.setattr(limits, "BLOCK_BYTES", block)
        for name, key in (("stats.json", None), ("per_instance_stats.json", None), ("scenario_state.json", KEY)):
            with SourceFile(path.parent, name, "suite/run") as file:
                found = []
                for chunk in ChunkReader(file, Buffer(), key):
                    places = list(chunk.elements())
                    chunk.count = len(places)
                    found += [json.loads(bytes(chunk.buffer[begin:end])) for begin, end in places]
            whole = json.loads((path.parent / name).read_text())
            assert found == (whole if key is None else whole[key])
