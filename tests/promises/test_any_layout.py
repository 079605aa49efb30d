"""Valid JSON is taken whatever its layout, also where a file is longer than a block."""

import json
from collections.abc import Callable
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


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (limits, run_reader):
        monkeypatch.setattr(module, "BLOCK_BYTES", 16_000)
    monkeypatch.setattr(limits, "CHUNK_BYTES", 4_000)
    monkeypatch.setattr(limits, "TAIL_BYTES", 1_000)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("behind", [False, True], ids=["nothing behind", "much behind"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_taken(layout: str, behind: bool, tmp_path: Path) -> None:
    run = make_run("a:x=1", n_instances=40)
    if behind:
        run[STATE]["annotator_specs"] = BEHIND
    folder = write_run(tmp_path / "outputs", run)
    text = LAYOUTS[layout](json.dumps(run[STATE], indent=2))
    assert json.loads(text) == run[STATE]
    assert len(text) > 20_000
    (folder / f"{STATE}.json").write_text(text)

    report = ingest(tmp_path / "outputs", tmp_path / "cache", workers=1)
    assert (report.runs, report.rejected, report.unexpected) == (1, (), {})
    frame = HelmRuns(tmp_path / "outputs", cache=tmp_path / "cache").scenario_state()
    assert frame[f"{STATE}.request_states.instance.id"].to_list() == [f"id{number}" for number in range(40)]
    assert verify(tmp_path / "outputs", tmp_path / "cache").is_equal
    assert validate(tmp_path / "outputs").rejected == ()


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
