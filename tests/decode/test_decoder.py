"""Raw elements to wire structs: the fast way and the careful one say the same, and faults are named by place."""

import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from magnet_arrow.decode import decoder, limits
from magnet_arrow.decode.chunk_reader import ChunkReader
from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.decode.decoder import BadPieceError, ElementDecoder, document, parsed_elements
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.decode.wire import DUPLICATES
from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.helm import json_faults, structs
from magnet_arrow.helm.declared_types import object_shape
from magnet_arrow.sources.file import SourceFile

STAT, STATE, INSTANCE = (ElementDecoder(kind) for kind in (structs.Stat, structs.RequestState, structs.Instance))
WHERE = Where("suite/run", "stats.json")
WAYS = pytest.mark.parametrize("way", ["fast", "careful"])


def chunk_of(text: str | bytes) -> Chunk:
    """A whole file's array, some way into a buffer."""
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    return Chunk(bytearray(b"before " + data), 7, 7 + len(data), -7, 0, "$", WHERE)


def structs_of(decoder: ElementDecoder, chunk: Chunk, way: str) -> list[Any]:
    return decoder.fast(chunk.view) if way == "fast" else decoder.careful(chunk).structs


@WAYS
def test_ordinary_elements(way: str) -> None:
    chunk = chunk_of('[{"name": {"name": "x"}, "count": 2, "mean": 0.5}, {"count": 3, "mean": 1}]')
    first, second = structs_of(STAT, chunk, way)
    assert (first.name.name, first.count, first.mean, first.max) == ("x", 2, 0.5, None)
    assert (second.name, second.count, repr(second.mean)) == (None, 3, "1.0")
    decoded = STAT.careful(chunk)
    assert (decoded.residuals, chunk.count) == ({}, 2)


ODD_STATS = [
    pytest.param('{"mean": NaN}', math.nan, {}, id="NaN"),
    pytest.param('{"mean": -Infinity}', -math.inf, {}, id="infinity"),
    pytest.param('{"mean": null}', None, {"/mean": None}, id="null"),
    pytest.param('{ "mean" : null }', None, {"/mean": None}, id="null among blanks"),
    pytest.param('{"count": 1}', None, {}, id="absent"),
    pytest.param('{"mean": 1, "new": [null]}', 1.0, {"/new": [None]}, id="unknown key"),
    pytest.param('{"mean": "0.5"}', None, {"/mean": "0.5"}, id="text for a number"),
    pytest.param('{"mean": true}', None, {"/mean": True}, id="true for a number"),
    pytest.param('{"mean": 0.5, "count": 18446744073709551616}', 0.5, {"/count": 2**64}, id="integer past 64 bits"),
    pytest.param('{"mean": 9007199254740993}', None, {"/mean": 2**53 + 1}, id="integer past 2^53 in a float field"),
    pytest.param('{"mean": 1, "name": {}}', 1.0, {"/name": {}}, id="empty object"),
]


@pytest.mark.parametrize(("text", "mean", "residual"), ODD_STATS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_odd_element_is_told_by_itself(text: str, mean: float | None, residual: Any, place: int) -> None:
    texts = ['{"mean": 0.25, "name": {"name": "a \\u00e9"}}'] * 3
    texts[place] = text
    decoded = STAT.careful(chunk_of(f"[{', '.join(texts)}]"))
    means = [0.25] * 3
    expected = [*means[:place], mean, *means[place + 1 :]]
    assert repr([stat.mean for stat in decoded.structs]) == repr(expected)
    assert decoded.residuals == ({place: residual} if residual else {})


def test_the_fast_way_rounds_an_integer_past_2_53_and_the_careful_way_does_not() -> None:
    """Column builders see a float of that size in what the fast way decoded, and ask the careful way."""
    chunk = chunk_of('[{"mean": 9007199254740993}]')
    assert STAT.fast(chunk.view)[0].mean == 2.0**53
    decoded = STAT.careful(chunk)
    assert (decoded.structs[0].mean, decoded.residuals) == (None, {0: {"/mean": 2**53 + 1}})


def test_half_a_surrogate_pair_is_replaced_and_kept() -> None:
    decoded = INSTANCE.careful(chunk_of('[{"split": "a\\ud83db"}, {"split": "\\ud83d\\ude00"}]'))
    assert [instance.split for instance in decoded.structs] == ["a\ufffdb", "😀"]
    assert decoded.residuals == {0: {"/split": "a\ud83db"}}


def test_an_integer_id_is_a_text_and_known_to_be_none() -> None:
    decoded = INSTANCE.careful(chunk_of('[{"id": 7}, {"id": "7"}]'))
    assert [instance.id for instance in decoded.structs] == ["7", "7"]
    assert decoded.residuals == {0: {"/id": 7}}


@pytest.mark.parametrize(
    "value",
    ['{"a":NaN}', '{"a":"\\ud83d"}', '{"a":null}', '{"a":9007199254740993}', '{"a":1e2}', "[]", "null", "{}"],
)
def test_free_form_values_come_through_as_they_are(value: str) -> None:
    decoded = STATE.careful(chunk_of(f'[{{"annotations":{value},"train_trial_index":1}}]'))
    assert repr(json.loads(bytes(decoded.structs[0].annotations))) == repr(json.loads(value))
    assert decoded.residuals == {}
    assert decoded.structs[0].train_trial_index == 1


def deep(levels: int) -> str:
    return '{"annotations": ' + "[" * levels + "]" * levels + "}"


FAULTS = [
    pytest.param('[{}, {"mean": tru}]', "JSON", "'tru}' (no value)", "$[1]", 14, id="no JSON"),
    pytest.param(
        '[{}, {"é": 1,}]',
        "JSON",
        "'}' (no key in quotation marks)",
        "$[1]",
        14,
        id="a comma too many behind a letter of two bytes",
    ),
    pytest.param('[{"mean": 1} {"mean": 2}]', "JSON", None, "$[0]", 13, id="no comma between"),
    pytest.param('[{}, {"mean": ' + "1" * 5000 + "}]", "a number that can be read", None, "$[1]", 5, id="5000 digits"),
    pytest.param("[{}, " + deep(500) + "]", "JSON of at most 500 levels", None, "$[1]", 5, id="one level too deep"),
    pytest.param("[" + deep(200_000) + "]", "JSON of at most 500 levels", None, "$[0]", 1, id="too deep"),
    pytest.param(b'[{}, {"split": "\xff"}]', "UTF-8 text", "byte 0xff", "$[1]", 16, id="no UTF-8"),
]


@pytest.mark.parametrize(("text", "expected", "found", "path", "byte"), FAULTS)
@pytest.mark.parametrize("way", ["structs", "raw"])
def test_a_fault_is_named_by_element_and_byte(
    text: str | bytes, expected: str, found: str | None, path: str, byte: int, way: str
) -> None:
    chunk = chunk_of(text)
    with pytest.raises(BadFileError) as caught:
        INSTANCE.careful(chunk) if way == "structs" else parsed_elements(chunk)
    assert caught.value.where == Where("suite/run", "stats.json", path, byte)
    assert caught.value.expected == expected
    assert found is None or caught.value.found == found


@WAYS
def test_500_levels_are_taken_and_brackets_in_texts_are_none(way: str) -> None:
    text = '{"annotations": {"text": "' + "[{" * 600 + '\\""}}'
    chunk = chunk_of(f"[{deep(499)}, {text}]")
    [deepest, flat] = structs_of(STATE, chunk, way)
    assert json.loads(bytes(deepest.annotations)) == json.loads(deep(499))["annotations"]
    assert json.loads(bytes(flat.annotations)) == json.loads(text)["annotations"]


def test_a_fault_far_into_a_long_file_is_named_by_its_place_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", 256)
    stats: list[Any] = [{"name": {"name": f"stat {number}"}, "count": number} for number in range(50)]
    stats[41]["mean"] = "@"
    text = json.dumps(stats, indent=2).replace('"@"', "0.5.5")
    (tmp_path / "stats.json").write_text(text)
    with SourceFile(tmp_path, "stats.json", "suite/run") as file, pytest.raises(BadFileError) as caught:
        list(map(STAT.careful, ChunkReader(file, Buffer())))
    assert caught.value.where == Where("suite/run", "stats.json", "$[41]", text.index("0.5.5") + 3)


def test_values_outlive_the_buffer_that_they_were_read_into(tmp_path: Path) -> None:
    """Texts and numbers do; raw parts are views of the buffer, which `records` copies before it is filled again."""
    buffer = Buffer()

    def states(text: str) -> list[Any]:
        (tmp_path / "x.json").write_text(text)
        with SourceFile(tmp_path, "x.json", "suite/run") as file:
            (chunk,) = ChunkReader(file, buffer)
            return STATE.fast(chunk.view)

    [first] = states('[{"request": {"prompt": "first"}, "annotations": {"a": 1}}]')
    states('[{"request": {"prompt": "other"}, "annotations": {"b": 2}}]')
    assert first.request.prompt == "first"
    assert bytes(first.annotations) == b'{"b": 2}'


def test_pieces_are_decoded_like_elements_and_what_is_no_object_stands_aside() -> None:
    decoded = STAT.careful_pieces([b'{"mean": 1}', b"3", b'{"mean": NaN}', b'{"mean": null}', b'{"mean": 2, "x": 0}'])
    assert repr([stat.mean for stat in decoded.structs]) == "[1.0, None, nan, None, 2.0]"
    assert decoded.residuals == {1: {"": 3}, 3: {"/mean": None}, 4: {"/x": 0}}
    assert repr([stat.mean for stat in STAT.careful_pieces([b'{"mean":1}', b'{"mean":2}']).structs]) == "[1.0, 2.0]"


@pytest.mark.parametrize("piece", [b'{"mean": tru}', b'{"name": {"name": "\xff"}}', b'{"new": "\xff"}'])
def test_a_piece_that_is_no_json(piece: bytes) -> None:
    with pytest.raises(BadPieceError):
        STAT.careful_pieces([b"{}", piece])


def test_a_file_that_is_one_object() -> None:
    shape = object_shape(structs.RunSpec)
    spec, residual = document(b' {"name": "x", "groups": null, "more": 1}', shape, WHERE)
    assert (spec.name, spec.groups, residual) == ("x", None, {"/groups": None, "/more": 1})
    for raw, found, byte in ((b" [1]", "an array", 100), (b' {"name": }', "'}' (no value)", 110)):
        with pytest.raises(BadFileError) as caught:
            document(raw, shape, WHERE, offset=100)
        assert caught.value.found == found
        assert caught.value.where == Where("suite/run", "stats.json", "$", byte)


def test_a_document_without_a_type() -> None:
    assert decoder.parse_document(b'{"a": NaN, "b": 1}', WHERE)["b"] == 1
    with pytest.raises(BadFileError) as caught:
        decoder.parse_document(b'{"a": }', WHERE)
    assert caught.value.where == Where("suite/run", "stats.json", "$", 6)


def test_a_key_that_stands_twice_is_told_by_its_place() -> None:
    text = '[{"mean": 0.25}, {"mean": 1, "name": {"name": "x", "name": "y", "new/": {"a": 1, "a": 2}}, "mean": 2}]'
    decoded = STAT.careful(chunk_of(text))
    assert [stat.mean for stat in decoded.structs] == [0.25, 2.0]
    residual = decoded.residuals[1]
    assert sorted(residual[DUPLICATES]) == ["/mean", "/name/name", "/name/new~1/a"]
    assert residual["/name/new~1"] == {"a": 2}


def test_what_values_are_called() -> None:
    values = ({}, [], "", True, None, 1, 0.5)
    words = ["an object", "an array", "a string", "true or false", "null", "a number", "a number"]
    assert [json_faults.kind(value) for value in values] == words


def test_real_elements_are_the_same_both_ways(demo_outputs: Path) -> None:
    for name, elements in (("stats.json", STAT), ("scenario_state.json", STATE)):
        for path in islice(files(demo_outputs, name), 3):
            fast, careful = (shown(path, elements, way) for way in ("fast", "careful"))
            assert fast == careful


def files(outputs: Path, name: str) -> Iterator[Path]:
    yield from sorted(outputs.glob(f"runs/*/*/{name}"))


def shown(path: Path, decoder: ElementDecoder, way: str) -> list[Any]:
    """Elements as plain values, raw parts parsed."""
    key = "request_states" if path.name == "scenario_state.json" else None
    with SourceFile(path.parent, path.name, "suite/run") as file:
        (chunk,) = ChunkReader(file, Buffer(), key)
        return [plain(struct) for struct in structs_of(decoder, chunk, way)]


def plain(value: Any) -> Any:
    """A struct as nested lists; raw JSON parsed."""
    if hasattr(value, "__struct_fields__"):
        return [plain(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, list):
        return [plain(item) for item in value]
    data = None if value is None or isinstance(value, (str, int, float)) else bytes(value)
    return value if data is None else json.loads(data or b'"nothing"')
