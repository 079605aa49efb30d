"""Valid JSON is taken whatever its layout, also where a file is longer than a block."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from makedump import make_run, write_run

from magnet_arrow import HelmRuns, ingest, validate, verify
from magnet_arrow.decode import limits
from magnet_arrow.ingestion import run_reader

STATE = "scenario_state"
BEHIND = [{"class_name": "made.A", "args": {"text": "t" * 300}}] * 60
"""More than the part of a file's end that is looked at first; laid out as request states are."""

LAYOUTS: dict[str, Callable[[str], str]] = {
    "HELM's": lambda text: text,
    "one line": lambda text: json.dumps(json.loads(text)),
    "no blanks": lambda text: json.dumps(json.loads(text), separators=(",", ":")),
    "no indentation": lambda text: json.dumps(json.loads(text), indent=0),
    "tabs": lambda text: json.dumps(json.loads(text), indent="\t"),
    "a nested object indented as an element is": lambda text: text.replace("\n        },\n", "\n    },\n"),
    "a nested object indented as a member is": lambda text: text.replace("\n        }", "\n  }"),
    "a key with an escape": lambda text: text.replace('"request_states"', '"request\\u005fstates"'),
    "blanks before": lambda text: "\n" * 20_000 + text,
    "blanks behind": lambda text: text + " " * 20_000,
    "the array first": lambda text: json.dumps(dict(reversed(json.loads(text).items())), indent=2),
}


@contextmanager
def blocks_are_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (limits, run_reader):
            patch.setattr(module, "BLOCK_BYTES", 16_000)
        patch.setattr(limits, "CHUNK_BYTES", 4_000)
        patch.setattr(limits, "TAIL_BYTES", 1_000)
        yield


@pytest.fixture
def small_blocks() -> Iterator[None]:
    with blocks_are_small():
        yield


@pytest.fixture(scope="module")
def instance_ids(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The instances' ids that the frame of each run has, in a dump with a run for each layout, once all was ingested.

    Each run is longer than a block, and so read by itself.
    """
    folder = tmp_path_factory.mktemp("layouts")
    outputs, cache = folder / "outputs", folder / "cache"
    for number, layout in enumerate(LAYOUTS.values()):
        for behind in (False, True):
            run = make_run(f"a:x={number},behind={behind}", n_instances=40)
            if behind:
                run[STATE]["annotator_specs"] = BEHIND
            text = layout(json.dumps(run[STATE], indent=2))
            assert json.loads(text) == run[STATE]
            assert len(text) > 20_000
            (write_run(outputs, run) / f"{STATE}.json").write_text(text)
    with blocks_are_small():
        report = ingest(outputs, cache, workers=1)
        assert (report.runs, report.rejected, report.unexpected) == (2 * len(LAYOUTS), (), {})
        assert verify(outputs, cache).is_equal
        assert validate(outputs).rejected == ()
    frame = HelmRuns(outputs, cache=cache).scenario_state()
    ids = frame.group_by("run_spec.name", maintain_order=True).agg(f"{STATE}.request_states.instance.id")
    return dict(ids.iter_rows())


@pytest.mark.parametrize("behind", [False, True], ids=["nothing behind", "much behind"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_taken(layout: str, behind: bool, instance_ids: dict[str, list[str]]) -> None:
    run = f"a:x={list(LAYOUTS).index(layout)},behind={behind}"
    assert instance_ids[run] == [f"id{number}" for number in range(40)]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("partial", [False, True], ids=["whole", "partial"])
def test_what_is_no_json_is_rejected_or_cut_as_ever(partial: bool, tmp_path: Path) -> None:
    """In the 31st of 40 states, by layout and then scanned."""
    folder = write_run(tmp_path / "outputs", make_run("a:x=1", n_instances=40))
    file = folder / f"{STATE}.json"
    text = file.read_text()
    at = text.index('"id": "id30"')
    file.write_text(text[:at])
    report = ingest(tmp_path / "outputs", tmp_path / "cache", workers=1, partial=partial)
    assert (report.runs, len(report.rejected)) == ((1, 0) if partial else (0, 1))
    if partial:
        frame = HelmRuns(tmp_path / "outputs", cache=tmp_path / "cache", partial=True).scenario_state()
        assert frame[f"{STATE}.request_states.instance.id"].to_list() == [f"id{number}" for number in range(30)]
    else:
        assert report.rejected[0].byte == at
