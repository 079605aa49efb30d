"""What is no HELM file is rejected by name; it stops neither the process nor the other runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from makedump import make_run, write_run, write_runs
from reading import cached_places, ingest_in_batches_of_one, read
from reference import TABLES, compare, tables

from magnet_arrow.cache import Cache
from magnet_arrow.errors import Rejected
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import IngestReport, ingest

NAMES = ["tide:n=1", "tide:n=2", "tide:n=3"]
VICTIM = NAMES[1]
PAGE = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    write_runs(tmp_path / "outputs", [make_run(name) for name in NAMES])
    return tmp_path / "outputs"


def becomes(content: bytes) -> Callable[[Path], None]:
    """Other content altogether."""
    return lambda file: write(file, content)


def edited(edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """What a function makes of the right content."""
    return lambda file: write(file, edit(file.read_bytes()))


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def a_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_link_to_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("nowhere.json"))


def a_link_to_itself(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def unreadable(file: Path) -> None:
    """To anyone but root: a run that root can read is not broken."""
    if os.geteuid() == 0:
        file.unlink()
    else:
        file.chmod(0)


def of_other_types(content: bytes) -> bytes:
    """The top level's other container around the same value."""
    return b"[" + content + b"]" if content.startswith(b"{") else b'{"stats": ' + content + b"}"


BROKEN: dict[str, Callable[[Path], None]] = {
    "missing": lambda file: file.unlink(),
    "a fifo": a_fifo,
    "a folder": a_folder,
    "a link to nowhere": a_link_to_nowhere,
    "a link to itself": a_link_to_itself,
    "unreadable": unreadable,
    "empty": becomes(b""),
    "blank": becomes(b" \n\t\n"),
    "zero bytes": becomes(bytes(512)),
    "a web page": becomes(PAGE),
    "null": becomes(b"null"),
    "a number": becomes(b"17"),
    "a text": becomes(b'"stats"'),
    "another top level": edited(of_other_types),
    "words in a list": becomes(b"[one, two]"),
    "trailing garbage": edited(lambda content: content + b"\n}"),
    "a trailing word": edited(lambda content: content + b" done"),
    "two documents": edited(lambda content: content + b"\n" + content),
    "a comma at the end": edited(lambda content: content[:-1].rstrip() + b"," + content[-1:]),
    "single quotes": edited(lambda content: content.replace(b'"', b"'")),
    "a comment": edited(lambda content: b"// made by hand\n" + content),
    "100,000 lists": becomes(b"[" * 100_000 + b"]" * 100_000),
    "100,000 objects": becomes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "100,000 open lists": becomes(b"[" * 100_000),
    "no UTF-8": edited(lambda content: content.replace(b'": "', b'": "\xff\xfe', 1)),
    "half a letter": edited(lambda content: content.replace(b'": "', b'": "\xc3', 1)),
    "an overlong sequence": edited(lambda content: content.replace(b'"', b'"\xc0\xaf', 1)),
    "UTF-16": edited(lambda content: content.decode().encode("utf-16")),
    "UTF-32": edited(lambda content: content.decode().encode("utf-32")),
    "gzip": becomes(b"\x1f\x8b\x08\x00" + bytes(64)),
    "a raw newline in a text": edited(lambda content: content.replace(b'": "', b'": "\n')),
    "an unknown escape": edited(lambda content: content.replace(b'": "', b'": "\\q')),
    "a number with a leading zero": edited(lambda content: content.replace(b": 1", b": 01")),
}
"""Ways to break a file. Each must leave the file's own run out, whichever of the four it is."""


def assert_only_the_victim_is_out(outputs: Path, cache: Path, report: IngestReport, name: str) -> None:
    [rejected] = report.rejected
    assert rejected.run.endswith(VICTIM)
    assert rejected.file == name
    assert f"{VICTIM}/{name}" in str(rejected)
    assert_sound_runs_are_in(outputs, cache, report)


def assert_sound_runs_are_in(outputs: Path, cache: Path, report: IngestReport) -> None:
    """The first and the last are in the cache, as their files have them, and no other."""
    assert report.runs == 2
    assert Cache(cache).runs()["folder"].to_list() == [NAMES[0], NAMES[2]]
    places = cached_places(outputs, cache)
    for table in TABLES:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, cache)) == []
        seen = Cache(cache).scan(table).collect()["run_spec.name"].unique().sort()
        assert seen.to_list() == [NAMES[0], NAMES[2]]


@pytest.fixture(scope="module")
def why_rejected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rejected]:
    """Why each run is rejected of a dump in which each file is broken in each way; two sound runs go in."""
    folder = tmp_path_factory.mktemp("broken")
    write_runs(folder / "outputs", [make_run(NAMES[0]), make_run(NAMES[2])])
    for number, how in enumerate(BROKEN.values()):
        for name in RUN_FILES:
            run = write_run(folder / "outputs", make_run(VICTIM), folder=f"{VICTIM} {number} {name}")
            how(run / name)
    report = ingest_in_batches_of_one(folder / "outputs", folder / "cache")
    assert_sound_runs_are_in(folder / "outputs", folder / "cache", report)
    return {each.run.removeprefix("made/"): each for each in report.rejected}


@pytest.mark.parametrize("name", RUN_FILES)
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_rejected_by_name(how: str, name: str, why_rejected: dict[str, Rejected]) -> None:
    if how == "unreadable" and os.geteuid() == 0:
        pytest.skip("this user may read everything")
    if how == "missing" and name == "run_spec.json":
        pytest.skip("a folder without run_spec.json is no run")
    run = f"{VICTIM} {list(BROKEN).index(how)} {name}"
    assert why_rejected[run].file == name
    assert f"{run}/{name}" in str(why_rejected[run])


NO_ROWS: dict[str, tuple[list[str | int], object]] = {
    "request states that are null": (["scenario_state", "request_states"], None),
    "request states that are an object": (["scenario_state", "request_states"], {}),
    "a name that is null": (["run_spec", "name"], None),
    "a name that is a number": (["run_spec", "name"], 3),
}
"""Values without which there is no telling what the rows are."""

NO_CELLS: dict[str, tuple[list[str | int], object]] = {
    "a text for a number": (["stats", 1, "mean"], "high"),
    "true for a number": (["stats", 1, "mean"], True),
    "a text for a count": (["stats", 0, "count"], "3"),
    "true for a count": (["stats", 0, "count"], True),
    "half a count": (["stats", 0, "count"], 1.5),
    "a count beyond 64 bits": (["stats", 0, "count"], 2**64),
    "an integer that a double would round": (["stats", 0, "sum"], 2**53 + 1),
    "a number for a text": (["stats", 1, "name", "split"], 5),
    "a number for a truth value": (["scenario_state", "request_states", 1, "request", "embedding"], 0),
    "an object for a list": (["run_spec", "groups"], {"a": 1}),
    "a text for a list": (["run_spec", "groups"], "tides"),
    "null in a list of texts": (["run_spec", "groups"], ["a", None]),
    "a number in a list of texts": (["run_spec", "groups"], ["a", 1]),
    "a list for an object": (["scenario_state", "request_states", 1, "request"], [7]),
    "a list for free-form": (["run_spec", "scenario_spec", "args"], [1]),
    "a number for a list of stats": (["per_instance_stats", 0, "stats"], 7),
    "an unknown key": (["stats", 1, "name", "facet"], "easy"),
    "an unknown key of a run spec": (["run_spec", "adapter_spec", "knob"], [1, None, {"a": 1.0}]),
}
"""Values that HELM never wrote at their place. They may be refused, but neither dropped nor changed."""


def change(path: list[str | int], outputs: Path, value: object) -> None:
    """Writes the victim's file with one value set."""
    file = outputs / "runs" / "made" / VICTIM / f"{path[0]}.json"
    content = json.loads(file.read_bytes())
    inner = content
    for step in path[1:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    file.write_text(json.dumps(content, indent=2))


def spelled(path: list[str | int]) -> str:
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path[1:])


@pytest.mark.parametrize("what", NO_ROWS)
def test_a_value_that_makes_no_row_is_rejected_with_its_path(what: str, outputs: Path, tmp_path: Path) -> None:
    path, value = NO_ROWS[what]
    change(path, outputs, value)
    report = ingest(outputs, tmp_path / "cache")
    assert_only_the_victim_is_out(outputs, tmp_path / "cache", report, f"{path[0]}.json")
    assert report.rejected[0].json_path == spelled(path)


@pytest.mark.parametrize("what", NO_CELLS)
def test_a_value_that_makes_no_cell_is_rejected_or_kept_beside(what: str, outputs: Path, tmp_path: Path) -> None:
    path, value = NO_CELLS[what]
    change(path, outputs, value)
    report = ingest(outputs, tmp_path / "cache")
    if report.rejected:
        assert_only_the_victim_is_out(outputs, tmp_path / "cache", report, f"{path[0]}.json")
        assert report.rejected[0].json_path == spelled(path)
        return
    places = cached_places(outputs, tmp_path / "cache")
    kept = [text for row in read(places, str(path[0]), tmp_path / "cache", hidden=True).rows() for text in row]
    kept += Cache(tmp_path / "cache").snapshot().lookup(places[1]).entry.residual.values()
    assert any(json.dumps(value, separators=(",", ":")) in text for text in kept if isinstance(text, str))


def test_no_run_that_can_be_taken_is_all_rejected(outputs: Path, tmp_path: Path) -> None:
    for name in NAMES:
        (outputs / "runs" / "made" / name / "stats.json").write_bytes(PAGE)
    report = ingest(outputs, tmp_path / "cache")
    assert [rejected.file for rejected in report.rejected] == ["stats.json"] * 3
    assert Cache(tmp_path / "cache").runs().height == 0
    rejects = Cache(tmp_path / "cache").rejects()
    assert rejects.height == 3


def test_a_mended_run_goes_in(outputs: Path, tmp_path: Path) -> None:
    file = outputs / "runs" / "made" / VICTIM / "stats.json"
    whole = file.read_bytes()
    file.write_bytes(PAGE)
    assert ingest(outputs, tmp_path / "cache").runs == 2
    file.write_bytes(whole)
    report = ingest(outputs, tmp_path / "cache")
    assert (report.runs, report.rejected) == (1, ())
    assert Cache(tmp_path / "cache").rejects().height == 0
