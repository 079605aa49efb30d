"""What a broken value comes to, exactly: file, JSON path, byte, expectation and finding of each rejection.

`test_bad_input.py` breaks each of a run's files in many ways; here each way has its outcome. `test_broken_files.py` is
about files that are broken as a whole. Many values are those of public test suites for JSON parsers. What a parser may
accept or refuse is accepted where Python's `json`, HELM's own reader, accepts it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from makedump import helm_layout, make_run, write_run
from reading import cached_places, ingest_in_batches_of_one, read
from rejections import SOUND, VICTIM, assert_reason, write_victim_and_sound
from sameness import differences

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import verify
from magnet_arrow.decode import limits
from magnet_arrow.errors import Rejected
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.query.stored_tables import StoredTables
from magnet_arrow.restore.run_files import restore

END = "the end of the file"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return write_victim_and_sound(tmp_path / "outputs")


@pytest.fixture
def victim(outputs: Path) -> Path:
    return outputs / "runs" / "made" / VICTIM


@dataclass(frozen=True)
class Place:
    """Where in a run a value is put in.

    Attributes:
        file: in which file.
        keys: from its top to the value.
        path: JSON path that an error there has: that of the element.
    """

    file: str
    keys: tuple[str | int, ...]
    path: str

    def write_run(self, outputs: Path, name: str, token: bytes, *, folder: str) -> tuple[bytes, int]:
        """Writes a run with the token there; its file's bytes, and where in them the token is."""
        run = make_run(name)
        content = inner = run[self.file.removesuffix(".json")]
        for key in self.keys[:-1]:
            inner = inner[key]
        inner[self.keys[-1]] = "@"
        before, _, after = helm_layout(content).encode().partition(b'"@"')
        data = before + token + after
        (write_run(outputs, run, folder=folder) / self.file).write_bytes(data)
        return data, len(before)


PLACES = {
    "a number": Place("stats.json", (1, "mean"), "$[1]"),
    "a number of an entry": Place("per_instance_stats.json", (1, "stats", 1, "sum"), "$[1]"),
    "free form": Place("scenario_state.json", ("request_states", 1, "instance", "extra_data"), "$.request_states[1]"),
    "an unknown field": Place("stats.json", (1, "mystery"), "$[1]"),
    "a run spec": Place("run_spec.json", ("scenario_spec", "args", "subject"), "$"),
}

VALUES: dict[str, tuple[bytes, int, str, str]] = {
    "minus and leading zero": (b"-01", 2, "JSON", "'1"),
    "plus": (b"+1", 0, "JSON", "'+1"),
    "no digit before the point": (b"-.5", 0, "JSON", "'-.5"),
    "no digit behind the point": (b"1.", 1, "JSON", "'."),
    "no digit between point and exponent": (b"2.e+3", 1, "JSON", "'.e+3"),
    "no exponent": (b"1e", 1, "JSON", "'e"),
    "a sign for an exponent": (b"1E-", 1, "JSON", "'E-"),
    "hexadecimal": (b"0x1F", 1, "JSON", "'x1F"),
    "underscores": (b"1_000", 1, "JSON", "'_000"),
    "two minuses": (b"--1", 0, "JSON", "'--1"),
    "two points": (b"1.5.2", 3, "JSON", "'.2"),
    "a digit behind Infinity": (b"Infinity2", 8, "JSON", "'2"),
    "small nan": (b"nan", 0, "JSON", "'nan"),
    "minus NaN": (b"-NaN", 0, "JSON", "'-NaN"),
    "plus Infinity": (b"+Infinity", 0, "JSON", "'+Infinity"),
    "Python's True": (b"True", 0, "JSON", "'True"),
    "undefined": (b"undefined", 0, "JSON", "'undefined"),
    "a full-width digit": ("１".encode(), 0, "JSON", "'１"),
    "a no-break space": (b"\xc2\xa01", 0, "JSON", r"'\xa01"),
    "a form feed": (b"\x0c1", 0, "JSON", r"'\x0c1"),
    "a byte-order mark inside": (b"\xef\xbb\xbf1", 0, "JSON", r"'\ufeff1"),
    "a comment": (b"/**/1", 0, "JSON", "'/**/1"),
    "a hexadecimal escape": (rb'"\x41"', 1, "JSON", r"'\\x41"),
    "half an escape": (rb'"\u12"', 1, "JSON", r"'\\u12"),
    "an escape of no digits": (rb'"\u00GG"', 1, "JSON", r"'\\u00GG"),
    "a raw tab": (b'"a\tb"', 2, "JSON", r"'\tb"),
    "a raw NUL": (b'"a\x00b"', 2, "JSON", r"'\x00b"),
    "a raw unit separator": (b'"a\x1fb"', 2, "JSON", r"'\x1fb"),
    "a number for a key": (b"{1: 2}", 1, "JSON", "'1: 2}"),
    "no colon": (b'{"a" 1}', 5, "JSON", "'1}"),
    "two colons": (b'{"a":1:2}', 6, "JSON", "':2}"),
    "a comma for a colon": (b'{"a", 1}', 4, "JSON", "', 1}"),
    "no value": (b'{"a": }', 6, "JSON", "'}"),
    "no comma": (b"[1 2]", 3, "JSON", "'2]"),
    "a comma first": (b"[, 1]", 1, "JSON", "', 1]"),
    "a comma last": (b'{"a": 1,}', 8, "JSON", "'}"),
    "an encoded surrogate": (b'"\xed\xa0\xbd"', 1, "UTF-8 text", "byte 0xed"),
    "past the last code point": (b'"\xf4\x90\x80\x80"', 1, "UTF-8 text", "byte 0xf4"),
    "a broken sequence": (b'"\xe2\x28\xa1"', 1, "UTF-8 text", "byte 0xe2"),
}
"""Token, where from its beginning the fault is, expectation, beginning of what was found."""


EXTREMES = {
    "5,000 digits": (b"1" * 5000, "a number that can be read", "Exceeds the limit (4300 digits)"),
    "600 lists": (b"[" * 600 + b"]" * 600, "JSON of at most 500 levels", "more of them"),
    "600 objects and lists": (b'{"a":[' * 300 + b"]}" * 300, "JSON of at most 500 levels", "more of them"),
    "100,000 lists": (b"[" * 100_000 + b"]" * 100_000, "JSON of at most 500 levels", "more of them"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Rejected, bytes, int]]:
    """Of a run for each value in each place: why it is rejected, the file's bytes, the token's byte.

    All are in one dump, with a sound run, which goes in.
    """
    folder = tmp_path_factory.mktemp("refused")
    tokens = {what: values[0] for what, values in (*VALUES.items(), *EXTREMES.items())}
    written = {
        f"{what}, {name}": place.write_run(folder / "outputs", f"{what}, {name}", token, folder=f"{number} {name}")
        for number, (what, token) in enumerate(tokens.items())
        for name, place in PLACES.items()
    }
    folders = {f"made/{number} {name}": f"{what}, {name}" for number, what in enumerate(tokens) for name in PLACES}
    write_run(folder / "outputs", make_run(SOUND))
    report = ingest_in_batches_of_one(folder / "outputs", folder / "cache")
    assert report.runs == 1
    return {folders[each.run]: (each, *written[folders[each.run]]) for each in report.rejected}


@pytest.mark.parametrize("what", VALUES)
def test_a_value_that_is_no_json(what: str, refused: dict[str, tuple[Rejected, bytes, int]]) -> None:
    _, behind, expected, found = VALUES[what]
    for name, place in PLACES.items():
        reason, _, byte = refused[f"{what}, {name}"]
        assert (reason.file, reason.json_path, reason.byte) == (place.file, place.path, byte + behind), name
        assert reason.expected == expected
        assert str(reason.found).startswith(found)


@pytest.mark.parametrize("what", EXTREMES)
def test_a_value_past_a_limit(what: str, refused: dict[str, tuple[Rejected, bytes, int]]) -> None:
    """The byte is that of the element."""
    _, expected, found = EXTREMES[what]
    for name, place in PLACES.items():
        reason, data, _ = refused[f"{what}, {name}"]
        assert (reason.file, reason.json_path) == (place.file, place.path), name
        assert reason.byte == second_element(data)
        assert reason.expected == expected
        assert str(reason.found).startswith(found)


def second_element(data: bytes) -> int:
    """Where the second element begins, as HELM lays a file out; that of a run spec is the whole file."""
    for begin, end in ((b"[\n  {", b"\n  },\n  "), (b'{\n  "adapter_spec": {\n    "method"', b"\n    },\n    ")):
        if data.startswith(begin):
            return data.index(end) + len(end)
    return 0


TAKEN = {
    "past a double": b"1e400",
    "past a double, below": b"-1e400",
    "too small for a double": b"1e-400",
    "an exponent of many digits": b"1e99999999999",
    "minus zero": b"-0.0",
    "minus zero, whole": b"-0",
    "zero with an exponent": b"0E+1",
    "5,000 decimals": b"0." + b"1" * 5000,
    "4,300 digits": b"1" * 4300,
    "2^63": b"9223372036854775808",
    "2^53 + 1": b"9007199254740993",
    "2^53 + 1 as a fraction": b"9007199254740993.0",
    "NaN": b"NaN",
    "minus Infinity": b"-Infinity",
    "NUL": rb'"a\u0000b"',
    "the other half first": rb'"\ude00\ud83d"',
    "half a pair for a key": rb'{"\ud83d": 1}',
    "an escaped pair": rb'"\ud83d\ude00"',
    "a pair as it is": '"\U0001f600"'.encode(),
    "no character": '"\uffff\ufdd0"'.encode(),
    "DEL": b'"a\x7fb"',
    "escapes": rb'"\/\b\f\n\r\t\u2028"',
    "an empty key": b'{"": {"": 0}}',
    "keys that look the same": rb'{"e\u0301": 1, "\u00e9": 2}',
    "an escaped key": rb'{"\u0061": 1, "b": 2}',
    "a key twice": b'{"a": 1, "a": 2}',
    "a key twice in another spelling": rb'{"a": 1, "\u0061": [2]}',
    "null in lists": b"[null, [null], {}, []]",
    "490 levels": b"[" * 490 + b"]" * 490,
    "blanks of all kinds": b" \t\r\n[\r1\t,\n2 ]\r\n",
}


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What differs, by run, once a dump with each value in each place was ingested: restored, and as `verify` says."""
    folder = tmp_path_factory.mktemp("accepted")
    for number, (what, token) in enumerate(TAKEN.items()):
        for name, place in PLACES.items():
            place.write_run(folder / "outputs", f"{what}, {name}", token, folder=f"{number} {name}")
    report = ingest_in_batches_of_one(folder / "outputs", folder / "cache")
    found: dict[str, list[str]] = {f"made/{number} {name}": [] for number in range(len(TAKEN)) for name in PLACES}
    for rejected in report.rejected:
        found[rejected.run].append(str(rejected))
    for run, different in lost(folder / "outputs", folder).items():
        found[run] += different
    for difference in verify(folder / "outputs", folder / "cache").differences:
        found[str(difference.where.run)].append(str(difference))
    assert report.runs == len(found)
    return found


@pytest.mark.parametrize("what", TAKEN)
def test_a_value_that_python_accepts_comes_back(what: str, accepted: dict[str, list[str]]) -> None:
    number = list(TAKEN).index(what)
    assert [accepted[f"made/{number} {name}"] for name in PLACES] == [[]] * len(PLACES)


def lost(outputs: Path, folder: Path) -> dict[str, list[str]]:
    """What differs between the files of the cached runs and those restored from the cache, by run."""
    snapshot = Cache(folder / "cache").snapshot()
    stored = StoredTables(snapshot)
    found: dict[str, list[str]] = {}
    for place in cached_places(outputs, folder / "cache"):
        run = snapshot.lookup(place)
        assert run is not None
        restored = restore(snapshot, run, folder / "restored", stored=stored)
        different = found.setdefault(f"{place.suite}/{place.folder}", [])
        for name in RUN_FILES:
            said = json.loads((place.path / name).read_text("utf-8-sig"))
            different += differences(said, json.loads((restored / name).read_bytes()))
    return found


def test_infinities_and_minus_zero_are_values_of_their_own_in_the_frame(outputs: Path, tmp_path: Path) -> None:
    file = outputs / "runs" / "made" / VICTIM / "stats.json"
    tokens = ("1e400", "-1e400", "-0.0", "NaN", "null", "1e-400")
    stats = [f'{{"name": {{"name": "s"}}, "mean": {token}}}' for token in tokens]
    file.write_text(f"[{', '.join(stats)}]")
    ingest(outputs, tmp_path / "cache")
    means = read(cached_places(outputs, tmp_path / "cache"), "stats", tmp_path / "cache")["stats.mean"][: len(tokens)]
    assert [str(mean) for mean in means] == ["inf", "-inf", "-0.0", "nan", "None", "0.0"]


FILES: dict[str, tuple[str, bytes, str, int | None, str, str]] = {
    "two byte-order marks": ("stats.json", b"\xef\xbb\xbf\xef\xbb\xbf[]", "$", 3, "an array", r"'\ufeff[]"),
    "only a byte-order mark": ("stats.json", b"\xef\xbb\xbf", "$", 3, "a JSON document", "an empty file"),
    "UTF-16 without a mark": ("stats.json", "[]".encode("utf-16-be"), "$", 0, "an array", r"'\x00[\x00]"),
    "an opening bracket": ("stats.json", b"[", "$[0]", 1, "']'", END),
    "a closing bracket": ("stats.json", b"]", "$", 0, "an array", "']'"),
    "an opening brace": ("scenario_state.json", b"{", "$", 1, "'}'", END),
    "an open key": ("scenario_state.json", b'{"a', "$", 3, "the end of a string", END),
    "half a pair of brackets": ("stats.json", b"[{}}", "$[0]", 3, "matching brackets", "'}'"),
    "a comma for an array": ("stats.json", b"[,]", "$[0]", 1, "a value", "','"),
    "a comma before the end": ("stats.json", b"[{},]", "$[1]", 4, "a value", "']'"),
    "two commas": ("stats.json", b"[{},,{}]", "$[1]", 4, "a value", "','"),
    "no comma": ("stats.json", b"[{} {}]", "$[0]", 4, "JSON", "'{}'"),
    "a colon": ("stats.json", b"[{}:{}]", "$[0]", 3, "JSON", "':{}'"),
    "a comma behind the end": ("stats.json", b"[],", "$", 2, f"{END} after the document", "','"),
    "an end-of-file character": ("stats.json", b"[]\x1a", "$", 2, f"{END} after the document", r"'\x1a'"),
    "a NUL behind the end": ("stats.json", b"[]\x00", "$", 2, f"{END} after the document", r"'\x00'"),
    "two run specs": ("run_spec.json", b'{"name": "a"}{}', "$", 13, "JSON", "'{}' (more after its end)"),
    "a state with a comma too many": ("scenario_state.json", b'{"a": {},}', "$", 9, "a value", "'}'"),
    "a state with a number for a key": ("scenario_state.json", b"{1: []}", "$", 1, "a key and its value", "'1: []'"),
    "a state with a key that is no text": ("scenario_state.json", b'{"\xff": 1}', "$", 2, "UTF-8 text", "byte 0xff"),
    "a state without its array": ("scenario_state.json", b"{}", "$.request_states", None, "an array", "no such key"),
    "a state with a text": (
        *("scenario_state.json", b'{"request_states": "none"}'),
        *("$.request_states", None, "an array", "a string"),
    ),
    "a bad member of a state": (
        *("scenario_state.json", b'{"request_states": [], "adapter_spec": {"model": nul}}'),
        *("$.adapter_spec", None, "JSON", "'nul}'"),
    ),
    "a run spec without a name": ("run_spec.json", b"{}", "$.name", None, "a string", "no such key"),
}
"""File, content, JSON path, byte, expectation, beginning of what was found."""


@pytest.fixture(scope="module")
def none_of_helms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rejected]:
    """Why each of the runs with such a file is rejected; all are in one dump, with a sound run, which goes in."""
    folder = tmp_path_factory.mktemp("none-of-helms")
    for what, (file, content, *_) in FILES.items():
        (write_run(folder / "outputs", make_run(what)) / file).write_bytes(content)
    write_run(folder / "outputs", make_run(SOUND))
    report = ingest_in_batches_of_one(folder / "outputs", folder / "cache")
    assert report.runs == 1
    return {each.run.removeprefix("made/"): each for each in report.rejected}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_none_of_helms(what: str, none_of_helms: dict[str, Rejected]) -> None:
    file, _, path, byte, expected, found = FILES[what]
    assert_reason(none_of_helms[what], file, path, byte, expected, found)


@pytest.mark.parametrize("block", [2048, limits.BLOCK_BYTES], ids=["in blocks", "whole"])
def test_a_member_twice_beside_the_request_states_is_said(
    block: int, outputs: Path, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    file = victim / "scenario_state.json"
    file.write_bytes(file.read_bytes().replace(b"{", b'{\n  "adapter_spec": {},', 1))
    report = ingest(outputs, tmp_path / "cache")
    assert (report.rejected, report.unexpected) == ((), {("duplicate key", "scenario_state.json $.adapter_spec"): 1})
    assert not any(lost(outputs, tmp_path).values())


def test_a_key_twice_is_said_in_every_file(outputs: Path, victim: Path, tmp_path: Path) -> None:
    twice = {
        "run_spec.json": b'"groups": [',
        "scenario_state.json": b'"train_trial_index": ',
        "stats.json": b'"count": ',
        "per_instance_stats.json": b'"instance_id": ',
    }
    for name, key in twice.items():
        file = victim / name
        value = b"0" if key.endswith(b" ") else b"],"
        added = key + value + (b"," if key.endswith(b" ") else b"")
        file.write_bytes(file.read_bytes().replace(key, added + key, 1))
        json.loads(file.read_bytes())
    report = ingest(outputs, tmp_path / "cache")
    assert report.rejected == ()
    assert report.unexpected == {
        ("duplicate key", "run_spec.json $.groups"): 1,
        ("duplicate key", "scenario_state.json $.request_states[].train_trial_index"): 1,
        ("duplicate key", "stats.json $[].count"): 1,
        ("duplicate key", "per_instance_stats.json $[].instance_id"): 1,
    }
    assert not any(lost(outputs, tmp_path).values())
