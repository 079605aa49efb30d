"""R6: every source file can be rebuilt from the cache, equal value for value.

`verify` says so, and a comparison of this test's own, which knows HELM's fields from `data/helm_fields_small.json`.
How often each kind is drawn: `pytest tests/promises/test_r06_lossless.py --hypothesis-show-statistics`.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, assume, event, find, given, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import NoSuchExample
from large_dumps import dump_params
from strategies_helm import FILES, KINDS, LAYOUTS, Made, full_run, helm_runs

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import VerifyReport, verify
from magnet_arrow.decode import limits
from magnet_arrow.helm.layout import RunPlace, find_runs
from magnet_arrow.ingestion import run_reader
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.query.stored_tables import StoredTables
from magnet_arrow.records import table_builder
from magnet_arrow.restore.run_files import RunFiles
from magnet_arrow.storage.segments import writer as segment_writer
from magnet_arrow.storage.snapshot import Snapshot

DATA = Path(__file__).parents[1] / "data"
DECLARED = {
    file: {field["path"] for field in fields}
    for file, fields in json.loads((DATA / "helm_fields_small.json").read_bytes()).items()
}
# HELM 0.1.0 wrote the instances into the scenario; later releases know more fields of them.
DECLARED["scenario.json"] |= {f"instances{path}" for path in DECLARED["instances.json"]}
# What HELM declares as free; below these, the kind of a number counts.
FREE = {
    "args",
    "output_mapping",
    "annotations",
    "extra_data",
    "json_schema",
    "messages",
    "finish_reason",
    "top_logprobs",
}


def n_leaves(value: Any) -> int:
    """Scalars, and objects and lists that are empty."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(n_leaves, inner)) if inner else 1


def unequal(ours: Any, theirs: Any, file: str, path: str = "", free: bool = False) -> Iterator[str]:
    """Paths at which two documents differ; where HELM has a field, `1` may be `1.0`."""
    kinds = {type(ours), type(theirs)}
    if kinds == {dict}:
        if ours.keys() != theirs.keys():
            yield f"{path} has other keys"
        for key in ours.keys() & theirs.keys():
            inner = f"{path}.{key}".lstrip(".")
            yield from unequal(
                ours[key], theirs[key], file, inner, free or key in FREE or inner not in DECLARED.get(file, ())
            )
    elif kinds == {list}:
        if len(ours) != len(theirs):
            yield f"{path} has another length"
        for one, other in zip(ours, theirs, strict=False):
            yield from unequal(one, other, file, f"{path}[]", free)
    elif kinds == {int, float} and not free:
        if ours != theirs:
            yield path
    elif len(kinds) > 1 or repr(ours) != repr(theirs):
        yield path


def assert_lossless(outputs: Path, cache: Path, *, rejected: int = 0) -> VerifyReport:
    """All runs went in but so many, `verify` has nothing to say, and neither has a look of our own."""
    assert len(ingest(outputs, cache, pictures=True).rejected) == rejected
    report = verify(outputs, cache)
    assert report.differences == ()
    assert len(report.rejected) == rejected
    snapshot = Cache(cache).snapshot()
    places = find_runs(outputs).places
    counts = [assert_run_comes_back(place, snapshot) for place in places if snapshot.lookup(place)]
    assert report.runs == len(places) - rejected
    beside = [json.loads(file.read_bytes()) for file in files_beside(outputs)]
    assert report.files == sum(map(len, counts)) + len(beside)
    assert report.values == sum(map(sum, counts)) + sum(map(n_leaves, beside))
    return report


def assert_run_comes_back(place: RunPlace, snapshot: Snapshot) -> list[int]:
    """Each file is equal to what is rebuilt of it; how many leaves each has."""
    run = snapshot.lookup(place)
    assert run is not None
    counts = []
    for path in sorted(place.path.glob("*.json")):
        theirs = json.loads(path.read_text("utf-8-sig"))
        ours = RunFiles(StoredTables(snapshot), run).rebuild(path.name).value()
        items = list(zip(theirs, ours, strict=True)) if isinstance(theirs, list) else [(theirs, ours)]
        begin = "[]" if isinstance(theirs, list) else ""
        assert [found for pair in items for found in unequal(*pair, path.name, begin)] == []
        counts.append(n_leaves(theirs))
    return counts


def files_beside(outputs: Path) -> Iterator[Path]:
    """What stands beside the runs of the suites and releases, but for `runs.json`, which only repeats them."""
    folders = chain(outputs.rglob("runs/*"), outputs.rglob("releases/*"))
    for folder in sorted(folder for folder in folders if folder.is_dir() and not folder.is_symlink()):
        for pattern in ("*.json", "groups/*.json", "groups/json/*.json"):
            yield from (path for path in folder.glob(pattern) if path.name != "runs.json")


def test_the_demo_comes_back(demo_outputs: Path, tmp_path: Path) -> None:
    report = assert_lossless(demo_outputs, tmp_path)
    assert report.runs == 9


# Runs that lack a file are rejected, and named.
REJECTED = {"classic_022": 1, "helm_made": 2}


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    dump_params(
        ["bbq", "classic", "classic_022", "eee", "helm_made", "helm_old", "large", "mmlu", "mmlu_made", "modelbench"]
    ),
)
def test_a_dump_comes_back(name: str, shared_dumps: Callable[[str], Path], tmp_path: Path) -> None:
    assert_lossless(shared_dumps(name), tmp_path, rejected=REJECTED.get(name, 0))


def write(outputs: Path, made: Made, layout: str, *, states_first: bool) -> None:
    """Write a run; `states_first` for blocks that are too small for what stands before the request states."""
    folder = outputs / "runs" / "drawn" / made.run["run_spec"]["name"]
    folder.mkdir(parents=True)
    for file in FILES:
        value = made.run[file]
        if states_first and file == "scenario_state":
            value = {"request_states": value["request_states"], **value}
        (folder / f"{file}.json").write_text(json.dumps(value, **LAYOUTS[layout]), encoding="ascii")


@pytest.fixture(
    params=[
        pytest.param(1, id="1 elements a batch", marks=pytest.mark.slow),
        pytest.param(10_000, id="10,000 elements a batch"),
    ]
)
def batch_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Elements that are decoded together, and rows that are written together."""
    if request.param == 1:
        for module in (limits, run_reader):
            monkeypatch.setattr(module, "BLOCK_BYTES", 64)
        monkeypatch.setattr(table_builder, "GROUP_ROWS", 1)
        monkeypatch.setattr(segment_writer, "_HELD_BYTES", 0)
    size: int = request.param
    return size


@given(data=st.data())
def test_whatever_is_drawn_comes_back(
    data: st.DataObject, batch_size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    for name in ("one:é=[1]", "two")[: data.draw(st.integers(1, 2), label="runs")]:
        made = data.draw(helm_runs(name), label=name)
        for kind in made.kinds:
            event(kind)
        # A file longer than a block that has no request states is rejected: HELM writes none.
        assume(batch_size > 1 or "no request states" not in made.kinds)
        layout = data.draw(st.sampled_from(sorted(LAYOUTS)), label="layout")
        write(folder / "outputs", made, layout, states_first=batch_size == 1)
    assert_lossless(folder / "outputs", folder / "cache")


@pytest.fixture(scope="module")
def drawn_kinds() -> set[str]:
    """The kinds of unexpected fields that some of the first 5,000 drawn runs have."""
    seen: set[str] = set()

    def has_all(made: Made) -> bool:
        seen.update(made.kinds)
        return seen.issuperset(KINDS)

    drawing = settings(max_examples=5_000, phases=[Phase.generate], database=InMemoryExampleDatabase())
    with contextlib.suppress(NoSuchExample):
        find(helm_runs("one"), has_all, settings=drawing)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_unexpected_field_is_drawn(kind: str, drawn_kinds: set[str]) -> None:
    assert kind in drawn_kinds


def test_a_run_with_every_field_comes_back(batch_size: int, tmp_path: Path) -> None:
    made = Made(full_run("full"), frozenset())
    write(tmp_path / "outputs", made, "as HELM", states_first=batch_size == 1)
    assert_lossless(tmp_path / "outputs", tmp_path / "cache")
