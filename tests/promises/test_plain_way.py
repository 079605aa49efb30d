"""What is taken at once, with others, must be what Python's `json` reads: cases that look ordinary and are not."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest
from makedump import make_run, write_run
from reading import ingest_in_batches_of_one

from magnet_arrow.checks.verify import verify
from magnet_arrow.helm.layout import find_runs
from magnet_arrow.ingestion import batch_reader
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.records import table_builders

STATS, ENTRIES, STATE, SPEC = "stats.json", "per_instance_stats.json", "scenario_state.json", "run_spec.json"
BREAK = "\n      },\n      {\n"
"""What per-instance stats are cut at."""
DEEP = '{"a":' * 600 + "1" + "}" * 600


def instead(old: str, new: str) -> Callable[[str], str]:
    """Replaces the first of what must be there."""

    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def rewritten(change: Callable[[dict[str, object]], dict[str, object]]) -> Callable[[str], str]:
    """Changes each entry, in HELM's layout."""
    return lambda text: json.dumps([change(entry) for entry in json.loads(text)], indent=2)


CASES = {
    "no comma after a head": (ENTRIES, instead(',\n    "stats": [', '\n    "stats": [')),
    "a doubled key in a stat": (ENTRIES, instead('"count": 1', '"count": 2,\n        "count": 1')),
    "a null in a stat": (ENTRIES, instead('"count": 1', '"count": null')),
    "an unknown key in a head": (ENTRIES, instead('\n    "stats": [', '\n    "new": {"a": null},\n    "stats": [')),
    "a null in a head": (ENTRIES, instead('\n    "stats": [', '\n    "perturbation": null,\n    "stats": [')),
    "stats twice": (ENTRIES, instead('\n    "stats": [', '\n    "stats": [],\n    "stats": [')),
    "a key after the stats": (ENTRIES, instead("\n    ]\n  },", '\n    ],\n    "late": 1\n  },')),
    "a stat without its brace": (ENTRIES, instead(BREAK, "\n      },\n      \n")),
    "an empty stat": (ENTRIES, instead(BREAK, f"{BREAK}      }},\n      {{\n")),
    "a number between stats": (ENTRIES, instead(BREAK, "\n      },\n      3,\n      {\n")),
    "a break within a stat": (ENTRIES, instead('"count": 1', f'"count": {{"a": [{{{BREAK} }}]}}')),
    "breaks that balance over pieces": (ENTRIES, instead(BREAK, f'{BREAK}"x": [{{{BREAK}}}],{BREAK}')),
    "one stat an entry": (ENTRIES, rewritten(lambda entry: {**entry, "stats": entry["stats"][:1]})),  # type: ignore[index]
    "no head": (ENTRIES, rewritten(lambda entry: {"stats": entry["stats"]})),
    "an entry without stats": (ENTRIES, instead('"stats": [', '"stats": [],\n    "x": [')),
    "no entries": (ENTRIES, lambda _: "[]"),
    "Windows' line ends": (ENTRIES, lambda text: text.replace("\n", "\r\n")),
    "NaN": (ENTRIES, instead('"count": 1', '"count": NaN')),
    "an integer past 64 bits": (ENTRIES, instead('"count": 1', '"count": 123456789012345678901')),
    "an integer that a double rounds": (ENTRIES, instead('"sum": 1', '"sum": 9007199254740993')),
    "an escaped quotation mark": (ENTRIES, instead('"split": "test"', '"split": "te\\u0022st"')),
    "marks that hide a null": (ENTRIES, instead('"split": "test"', '"split": "\\u0022\\u0022", "perturbation": null')),
    "a blank that hides a null": (ENTRIES, instead('"count": 1', '"count" : 1, "min": null')),
    "half a surrogate pair": (ENTRIES, instead('"split": "test"', '"split": "\\ud800"')),
    "an empty name": (ENTRIES, instead('"name": {', '"name": {}, "x": {')),
    "an instance that is empty": (STATE, instead('"instance": {', '"instance": {}, "x": {')),
    "a result that is empty": (STATE, instead('"result": {', '"result": {}, "x": {')),
    "a long integer beside the states": (STATE, instead('"temperature": 0', '"temperature": 90071992547409931')),
    "request states twice": (STATE, instead('"request_states": [', '"request_states": [],\n  "request_states": [')),
    "a null beside the states": (STATE, instead('"request_states": [', '"annotator_specs": null, "request_states": [')),
    "no states": (STATE, lambda text: json.dumps({**json.loads(text), "request_states": []}, indent=2)),
    "too many levels": (
        STATE,
        instead('"request_states"', f'"annotator_specs": [{{"args": {DEEP}}}], "request_states"'),
    ),
    "a long integer in a spec": (SPEC, instead('"temperature": 0', '"temperature": 90071992547409931')),
    "a spec with a doubled key": (SPEC, instead('"method"', '"method": "x", "method"')),
    "a spec with a null": (SPEC, instead('"method"', '"groups": null, "method"')),
    "an empty object in a spec": (SPEC, instead('"scenario_spec": {', '"scenario_spec": {}, "x": {')),
    "a doubled key in a name": (STATS, instead('"split": "test"', '"split": "b", "split": "test"')),
}
TOO_DEEP = "too many levels"


LATE = {
    "as ever": lambda text: text,
    "a state that is empty": lambda text: "\n    {}," + text,
    "an instance that is empty": instead('"instance": {', '"instance": {}, "x": {'),
    "an empty instance alone": lambda text: re.sub(
        r'"instance": \{.*?\n      \}', '"instance": {}', text, count=1, flags=re.S
    ),
    "no instance": lambda text: re.sub(r'"instance": \{.*?\n      \},', "", text, count=1, flags=re.S),
    "an instance that is null": lambda text: re.sub(
        r'"instance": \{.*?\n      \}', '"instance": null', text, count=1, flags=re.S
    ),
    "an instance that is a list": instead('"instance": {', '"instance": [], "x": {'),
    "an instance twice": instead('"instance": {', '"instance": {"id": "a"}, "instance": {'),
    "a null in an instance": instead('"split": "test"', '"split": null'),
    "a key twice in an instance": instead('"split": "test"', '"split": "a", "split": "test"'),
    "an unknown key in an instance": instead('"split": "test"', '"split": "test", "new": 1'),
    "a number for an id": instead('"id": "id', '"id": 7, "x": "id'),
    "an escaped quotation mark": instead('"split": "test"', '"split": "te\\u0022st"'),
    "a quotation mark": instead('"split": "test"', '"split": "te\\"st"'),
    "a text for an input": lambda text: re.sub(r'"input": \{.*?\}', '"input": "a"', text, count=1, flags=re.S),
    "an integer that a double rounds": instead(
        '"split": "test"', '"split": "test", "extra_data": {"a": 9007199254740993}'
    ),
    "free-form data": instead('"split": "test"', '"split": "test", "extra_data": {"a": [null, 1.0, "\\""]}'),
    "free-form data too deep": instead('"split": "test"', f'"split": "test", "extra_data": {DEEP}'),
    "a perturbation": instead('"split": "test"', '"split": "test", "perturbation": {"name": "typos", "prob": 0.5}'),
    "an empty perturbation": instead('"split": "test"', '"split": "test", "perturbation": {}'),
}


FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "a line's end": lambda data: data + b"\n",
    "blanks behind": lambda data: data + b" \n\t",
    "blanks before": lambda data: b"\n " + data,
    "two documents": lambda data: data + data,
    "the end cut off": lambda data: data[:-1],
    "half": lambda data: data[: len(data) // 2],
    "nothing": lambda _: b"",
    "no UTF-8": lambda data: data.replace(b"test", b"t\xffst").replace(b"tide", b"t\xffde"),
}


@dataclass(frozen=True)
class Ingested:
    """A dump in which each run has one unusual file, after it was ingested and verified."""

    outputs: Path
    rejected: frozenset[str]
    different: frozenset[str]

    def check(self, folder: str, file: str, *, may_be_good: bool = True) -> None:
        """The run comes back as Python reads it, or is rejected; then `verify` says so, and it is no difference."""
        is_good = may_be_good and is_json(self.outputs / "runs" / "made" / folder / file)
        assert (f"made/{folder}" in self.rejected) != is_good
        assert f"made/{folder}" not in self.different


def ingested(outputs: Path) -> Ingested:
    """The dump, each of whose runs was read as if it were alone, beside an ordinary one."""
    write_run(outputs, make_run("ordinary", n_instances=4))
    cache = outputs.with_name("cache")
    report = ingest_in_batches_of_one(outputs, cache)
    places = find_runs(outputs).places
    assert report.runs == len(places) - len(report.rejected)
    different = {str(one.where.run) for one in verify(outputs, cache).differences}
    return Ingested(outputs, frozenset(one.run for one in report.rejected), frozenset(different))


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """A run for each of `CASES`, and for each of `FRAMES` around each file."""
    outputs = tmp_path_factory.mktemp("unusual") / "outputs"
    for number, (name, change) in enumerate(CASES.values()):
        folder = write_run(outputs, make_run("r:x=1", n_instances=4), folder=f"case {number}")
        (folder / name).write_text(change((folder / name).read_text()))
    for number, frame in enumerate(FRAMES.values()):
        for name in (STATS, ENTRIES, STATE, SPEC):
            folder = write_run(outputs, make_run("tide:x=1", n_instances=4), folder=f"frame {number} {name}")
            (folder / name).write_bytes(frame((folder / name).read_bytes()))
    return ingested(outputs)


@pytest.mark.parametrize("case", CASES)
def test_a_case_comes_back_as_python_reads_it_or_is_rejected(case: str, unusual: Ingested) -> None:
    unusual.check(f"case {list(CASES).index(case)}", CASES[case][0], may_be_good=case != TOO_DEEP)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("name", [STATS, ENTRIES, STATE, SPEC])
def test_what_stands_around_a_file(name: str, frame: str, unusual: Ingested) -> None:
    unusual.check(f"frame {list(FRAMES).index(frame)} {name}", name)


@pytest.fixture(scope="module")
def unusual_instances(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """A run for each of `LATE`. Each request state is decoded by itself; the unusual one is the third."""
    outputs = tmp_path_factory.mktemp("instances") / "outputs"
    for number, change in enumerate(LATE.values()):
        folder = write_run(outputs, make_run("r:x=1", n_instances=6), folder=f"late {number}")
        text = (folder / STATE).read_text()
        *_, third = islice(re.finditer(r"\n    \{\n", text), 3)
        (folder / STATE).write_text(text[: third.start()] + change(text[third.start() :]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_reader, "BATCH_BYTES", 0)
        patch.setattr(table_builders, "_HOT_BYTES", 1)
        return ingested(outputs)


@pytest.mark.parametrize("case", LATE)
def test_a_case_in_an_instance_after_others(case: str, unusual_instances: Ingested) -> None:
    unusual_instances.check(f"late {list(LATE).index(case)}", STATE, may_be_good=case != "free-form data too deep")


def test_a_name_that_is_no_text_for_a_file_system_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "outputs", make_run("r:x=1"))
    text = (folder / SPEC).read_text()
    (folder / SPEC).write_text(instead('"name": "r:x=1"', '"name": "\\ud800"')(text))
    (rejected,) = ingest(tmp_path / "outputs", tmp_path / "cache").rejected
    assert rejected.reason == "expected a string, found a string with half a surrogate pair."


def is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
