"""One run from its files to rows: whole or not at all, short or long, in whatever layout."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from makedump import Run, make_run, write_run

from magnet_arrow.cache import Cache
from magnet_arrow.checks.verify import verify
from magnet_arrow.decode import limits
from magnet_arrow.decode.documents import Buffer
from magnet_arrow.helm.layout import RunPlace, find_runs
from magnet_arrow.ingestion import reading, run_reader
from magnet_arrow.ingestion.api import IngestReport, ingest
from magnet_arrow.ingestion.ingester import Ingester
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.ingestion.rejection import ChangedError
from magnet_arrow.ingestion.rules import StampedRun
from magnet_arrow.ingestion.run_reader import is_streamed, stamps_of
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.storage.manifest import RunEntry
from magnet_arrow.storage.segments.writer import SegmentWriter

Edit = Callable[[dict[str, Any]], object]
TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")


def place_of(path: Path) -> RunPlace:
    (place,) = find_runs(path).places
    return place


def frames(cache: Path) -> list[pl.DataFrame]:
    """All that is cached of all runs, hidden columns too; without the source's id, which is random."""
    snapshot = Cache(cache).snapshot()
    keys = sorted(snapshot.runs, key=lambda key: key.split("/")[1:])
    found = [select_runs(snapshot, table, keys, own="hidden").lazy().collect() for table in TABLES]
    return [frame.with_columns(pl.col("magnet.run").str.replace("^[^/]*/", "")) for frame in found]


def entries(cache: Path) -> list[RunEntry]:
    return [run.entry for run in Cache(cache).snapshot().runs.values()]


def odd_run(name: str, n_instances: int = 30) -> Run:
    """A run in which all that makes rows odd occurs."""
    run = make_run(name, n_instances=n_instances, args={"a.b": 1, "n": None}, extra_data=[{"k": 1}, {"k": "x"}])
    states = run["scenario_state"]["request_states"]
    states[3]["instance"]["id"] = 3
    states[4]["annotations"] = {"x": float("nan")}
    states[5]["request"] = {}
    states[6]["new"] = [None]
    run["stats"][0]["sum"] = 2**53 + 1
    run["per_instance_stats"][7]["stats"] = []
    run["per_instance_stats"][8]["stats"][1]["mean"] = None
    return run


def test_bad_runs_between_good_ones_leave_no_trace(tmp_path: Path) -> None:
    """All in one segment: what a bad run had staged must not come out with the next one."""
    for name in ("a", "b", "c"):
        write_run(tmp_path / "outputs", odd_run(name))
    ingest(tmp_path / "outputs", tmp_path / "expected")
    for name in ("a-bad", "b-bad"):
        path = write_run(tmp_path / "outputs", odd_run(name)) / "per_instance_stats.json"
        path.write_text(path.read_text()[:-9])
    assert len(ingest(tmp_path / "outputs", tmp_path / "cache").rejected) == 2
    assert len(Cache(tmp_path / "cache").snapshot().manifest.segments) == 1
    for found, expected in zip(frames(tmp_path / "cache"), frames(tmp_path / "expected"), strict=True):
        assert found.equals(expected)


@pytest.mark.parametrize(
    "indent",
    [
        pytest.param(2, id="helm"),
        pytest.param(None, id="one line", marks=pytest.mark.slow),
        pytest.param(1, id="one blank"),
    ],
)
@pytest.mark.parametrize(
    "block", [pytest.param(4096, id="4 kB", marks=pytest.mark.slow), pytest.param(1500, id="1.5 kB")]
)
def test_a_long_run_is_the_same_as_a_short_one(
    block: int, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        path = write_run(tmp_path / "outputs", odd_run(name))
        for file in path.iterdir():
            file.write_text(json.dumps(json.loads(file.read_text()), indent=indent))
    ingest(tmp_path / "outputs", tmp_path / "short")
    monkeypatch.setattr(limits, "BLOCK_BYTES", block)
    monkeypatch.setattr(run_reader, "BLOCK_BYTES", block)
    monkeypatch.setattr("magnet_arrow.records.table_builder.GROUP_BYTES", 3000)
    assert is_streamed(stamps_of(place_of(tmp_path / "outputs" / "runs" / "made" / "a")))
    report = ingest(tmp_path / "outputs", tmp_path / "long")
    assert (report.runs, report.rejected) == (2, ())
    assert len(Cache(tmp_path / "long").snapshot().manifest.segments) >= 2, "each in a segment of its own"
    for found, expected in zip(frames(tmp_path / "long"), frames(tmp_path / "short"), strict=True):
        assert found.equals(expected)
    (long, _), (short, _) = entries(tmp_path / "long"), entries(tmp_path / "short")
    assert long.residual == short.residual
    assert long.tables["per_instance_stats"].groups > 1


def test_a_long_run_that_is_bad_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        write_run(tmp_path / "outputs", odd_run(name))
    bad = tmp_path / "outputs" / "runs" / "made" / "b" / "per_instance_stats.json"
    bad.write_text(bad.read_text()[:-30])
    monkeypatch.setattr(limits, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(run_reader, "BLOCK_BYTES", 4096)
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert [one.run for one in report.rejected] == ["made/b"]
    assert [entry.folder for entry in entries(tmp_path / "cache")] == ["a", "c"]
    assert not list((tmp_path / "cache").rglob("*.part*"))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("gzip", ".gz"),
        ("zstd", ""),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("zstd", ".zst"), ("gzip", ""))),
    ],
)
def test_a_compressed_run_is_the_same_as_a_plain_one(
    codec: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_run(tmp_path / "outputs", odd_run("a"))
    ingest(tmp_path / "outputs", tmp_path / "plain")
    for file in list(path.iterdir()):
        content = file.read_bytes()
        file.unlink()
        with pa.output_stream(f"{file}{suffix}", compression=codec) as stream:
            stream.write(content)
    ingest(tmp_path / "outputs", tmp_path / "compressed")
    # One that is found to be long only when it is read: its size says little.
    monkeypatch.setattr(limits, "BLOCK_BYTES", 4096)
    monkeypatch.setattr(run_reader, "BLOCK_BYTES", 4096)
    ingest(tmp_path / "outputs", tmp_path / "long")
    for plain, *others in zip(*(frames(tmp_path / name) for name in ("plain", "compressed", "long")), strict=True):
        assert all(plain.equals(other) for other in others)


def partly(outputs: Path) -> Path:
    """A run of which a file is missing, one ends within its second element, and one is no JSON."""
    path = write_run(outputs, make_run("a", n_instances=3))
    (path / "stats.json").unlink()
    state = (path / "scenario_state.json").read_text()
    (path / "scenario_state.json").write_text(state[: state.rindex('"prompt"')])
    (path / "scenario.json").write_text("{")
    return path


def test_of_a_partial_run_what_is_there_is_taken_if_one_says_so(tmp_path: Path) -> None:
    path = partly(tmp_path / "outputs")
    assert [fault[1] for fault in rejected(ingest(tmp_path / "outputs", tmp_path / "cache"))] == ["scenario_state.json"]
    report = ingest(tmp_path / "outputs", tmp_path / "cache", partial=True)
    assert (report.runs, report.partial, report.rejected) == (1, 1, ())
    (entry,) = entries(tmp_path / "cache")
    state = (path / "scenario_state.json").read_text()
    assert entry.missing == ("stats.json",)
    assert entry.cut == {"scenario_state.json": state.rindex("    },\n    {") + len("    },")}
    assert [frame.height for frame in frames(tmp_path / "cache")] == [1, 2, 0, 6]
    cached = Cache(tmp_path / "cache").runs()
    assert cached.select("partial", "missing").row(0) == (True, ["scenario_state.json", "stats.json"])


def test_files_without_a_table_are_kept_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_TEXT_BYTES", 100)
    path = write_run(tmp_path / "outputs", make_run("a"))
    (path / "own.json").write_text(' {"é": [1.50]}\n', "utf-8")
    (path / "scenario.json").write_text("[")  # has a table, but is none
    (path / "large.json").write_text("x" * 101)
    (path / "binary.json").write_bytes(b"\xff")
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert (report.runs, report.rejected) == (1, ())
    assert len([note for note in report.notes if "is not kept" in note]) == 2
    (entry,) = entries(tmp_path / "cache")
    assert entry.not_kept == ("binary.json", "large.json")
    files = Cache(tmp_path / "cache").scan("files").sort("files.path").collect()
    assert files.select(pl.nth(1, 2)).rows() == [("own.json", ' {"é": [1.50]}\n'), ("scenario.json", "[")]


def test_a_file_of_a_run_that_is_named_like_one_of_a_suite_is_kept_as_text(tmp_path: Path) -> None:
    path = write_run(tmp_path / "outputs", make_run("a"))
    for name in SUITE_FILES:
        (path / name).write_text("{}")
    ingest(tmp_path / "outputs", tmp_path / "cache")
    assert Cache(tmp_path / "cache").scan("files").collect()["files.path"].sort().to_list() == sorted(SUITE_FILES)
    assert verify(tmp_path / "outputs", tmp_path / "cache").differences == ()


SUITE_FILES = ["groups.json", "run_specs.json", "runs_to_run_suites.json", "schema.json", "summary.json"]


@pytest.mark.parametrize(
    ("change", "what", "path"),
    [
        pytest.param(lambda run: run["stats"][1].update(new=[0]), "unknown field", "stats.json $[].new", id="unknown"),
        pytest.param(
            lambda run: run["scenario_state"].update(more=1),
            "unknown field",
            "scenario_state.json $.more",
            id="unknown beside the request states",
        ),
        pytest.param(
            lambda run: run["per_instance_stats"][0]["stats"][1].update(count="3"),
            "value of another type",
            "per_instance_stats.json $[].stats[].count",
            id="another type",
        ),
    ],
)
def test_what_helm_does_not_declare_is_counted_or_refused(change: Edit, what: str, path: str, tmp_path: Path) -> None:
    run = make_run("a")
    change(run)
    write_run(tmp_path / "outputs", run)
    (fault,) = rejected(ingest(tmp_path / "outputs", tmp_path / "strict", strict=True))
    assert fault == ("made/a", *path.split(" "))
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert (report.runs, report.unexpected) == (1, {(what, path): 1})


def test_what_stands_beside_the_runs_of_a_suite_is_kept(tmp_path: Path) -> None:
    suite = write_run(tmp_path / "outputs", make_run("a")).parent
    (suite / "groups").mkdir()
    (suite / "groups" / "g.json").write_text('[{"title": "t", "header": [], "rows": []}]')
    (suite / "runs_to_run_suites.json").write_text('{"a": "made"}')
    (suite / "runs.json").write_text("[]")
    assert ingest(tmp_path / "outputs", tmp_path / "cache").runs == 1
    cache = Cache(tmp_path / "cache")
    assert [entry.folder for entry in entries(tmp_path / "cache")] == ["a"]
    assert cache.scan("groups").select("groups.title").collect().rows() == [("t",)]
    texts = cache.scan("suite_files").sort("suite_files.path").collect()
    assert texts["suite_files.path"].to_list() == ["groups/g.json", "runs_to_run_suites.json"]
    assert cache.runs().height == 1
    assert ingest(tmp_path / "outputs", tmp_path / "cache").skipped == 1


def test_what_no_row_can_hold_is_with_the_run(tmp_path: Path) -> None:
    run = make_run("a")
    run["per_instance_stats"][1] = {"instance_id": "none", "stats": []}
    run["scenario_state"] = {"request_states": [], "adapter_spec": {"method": "x"}}
    write_run(tmp_path / "outputs", run)
    ingest(tmp_path / "outputs", tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    assert {name: json.loads(text) for name, text in entry.residual.items()} == {
        "per_instance_stats.json": {"/1": {"instance_id": "none", "stats": []}},
        "scenario_state.json": {"/adapter_spec": {"method": "x"}},
    }


def test_a_run_is_known_by_its_folder_and_its_name_is_what_it_says(tmp_path: Path) -> None:
    write_run(tmp_path / "outputs", make_run("mmlu:subject=x"), folder="renamed")
    ingest(tmp_path / "outputs", tmp_path / "cache")
    (entry,) = entries(tmp_path / "cache")
    assert (entry.suite, entry.folder, entry.name) == ("made", "renamed", "mmlu:subject=x")
    assert where_of(place_of(tmp_path / "outputs")) == "made/renamed"


def test_a_run_that_is_not_as_it_was_is_not_ingested(tmp_path: Path) -> None:
    place = place_of(write_run(tmp_path / "outputs", make_run("a")))
    before = stamps_of(place)
    (place.path / "stats.json").write_text("[]")
    with pytest.raises(ChangedError, match="stays as it is while it is read") as caught:
        Ingester(SegmentWriter(tmp_path / "cache"), Buffer(), lambda _: None).ingest(StampedRun(place, "s0", before))
    assert caught.value.where is not None
    assert (caught.value.where.run, caught.value.where.file) == ("made/a", "stats.json")


@pytest.mark.parametrize(
    ("change", "file", "path"),
    [
        pytest.param(lambda run: run["run_spec"].pop("name"), "run_spec.json", "$.name", id="no name"),
        pytest.param(
            lambda run: run["scenario_state"].pop("request_states"),
            "scenario_state.json",
            "$.request_states",
            id="no request states",
        ),
    ],
)
def test_a_run_that_lacks_what_makes_rows_is_rejected(change: Edit, file: str, path: str, tmp_path: Path) -> None:
    run = make_run("a")
    change(run)
    write_run(tmp_path / "outputs", run, folder="a")
    (fault,) = rejected(ingest(tmp_path / "outputs", tmp_path / "cache"))
    assert fault == ("made/a", file, path)


def rejected(report: IngestReport) -> list[tuple[str, str, str | None]]:
    return [(one.run, one.file, one.json_path) for one in report.rejected]


PREDICTIONS = [
    {
        "instance_id": "id1",
        "train_trial_index": 0,
        "predicted_text": "",
        "base64_images": ["iVBORw0KGgo="],
        "stats": {},
    }
]


@pytest.mark.parametrize("indent", [2, None], ids=["helm", "one line"])
def test_pictures_are_left_out_unless_asked_for(indent: int | None, tmp_path: Path) -> None:
    run = write_run(tmp_path / "outputs", odd_run("a"))
    (run / "display_predictions.json").write_text(json.dumps(PREDICTIONS, indent=indent))
    report = ingest(tmp_path / "outputs", tmp_path / "without")
    assert (report.runs, report.rows["display_predictions"], report.rows["files"]) == (1, 0, 0)
    assert any("display_predictions.json is not kept: it embeds pictures" in note for note in report.notes)
    assert ingest(tmp_path / "outputs", tmp_path / "with", pictures=True).rows["display_predictions"] == 1
    [images] = Cache(tmp_path / "with").scan("display_predictions").collect()["display_predictions.base64_images"]
    assert images.to_list() == ["iVBORw0KGgo="]


def test_predictions_without_pictures_go_in(tmp_path: Path) -> None:
    run = write_run(tmp_path / "outputs", odd_run("a"))
    plain = [entry | {"base64_images": []} for entry in PREDICTIONS]
    (run / "display_predictions.json").write_text(json.dumps(plain, indent=2))
    assert ingest(tmp_path / "outputs", tmp_path / "cache").rows["display_predictions"] == 1


def test_what_is_broken_behind_a_whole_array_is_not_left_out_in_silence(tmp_path: Path) -> None:
    """Found by the fuzzer: with `partial`, a bad member behind the request states was taken for a cut, and dropped."""
    run = write_run(tmp_path / "outputs", make_run("a"))
    state = json.loads((run / "scenario_state.json").read_text()) | {"annotator_specs": [{"class_name": "x"}]}
    text = json.dumps(state).replace('"annotator_specs": [{"class_name": ', '"annotator_specs": [{"class_name"0 ')
    (run / "scenario_state.json").write_text(text)
    report = ingest(tmp_path / "outputs", tmp_path / "cache", partial=True)
    [entry] = entries(tmp_path / "cache")
    assert (report.partial, entry.missing) == (1, ("scenario_state.json",))
    assert len(ingest(tmp_path / "outputs", tmp_path / "whole").rejected) == 1


def table_of_group(title: str, value: Any) -> dict[str, Any]:
    return {"title": title, "header": [{"value": "Model"}], "rows": [[{"value": value}, {"value": 'a "b"'}]]}


GROUP_FILES = {
    "groups.json": json.dumps([table_of_group("two", 1), table_of_group("three", 2.5)], indent=1),
    "groups/a.json": json.dumps([table_of_group("ordinary", "é")]),
    "groups/b.json": '[{"title": "half a table',
    "groups/json/a_c.json": json.dumps(table_of_group("NaN", float("nan"))),
    "groups/json/a_d.json": json.dumps(table_of_group("one", True)),
    "groups/json/a_e.json": json.dumps({**table_of_group("null", 0), "description": None}),
    "groups/json/a_f.json": '{"title": "first", "title": "last", "header": [], "rows": []}',
    "groups/json/a_g.json": "[]",
    "groups/json/a_h.json": "[1]",
    "groups/json/a_i.json": json.dumps({**table_of_group("more", 0), "new": 1}),
}


@pytest.mark.parametrize(
    "left_out", [(), *(pytest.param((name,), marks=pytest.mark.slow) for name in GROUP_FILES)], ids=str
)
def test_the_tables_of_a_suite_are_shown_whatever_stands_beside_them(left_out: tuple[str, ...], tmp_path: Path) -> None:
    suite = write_run(tmp_path / "outputs", make_run("a")).parent
    (suite / "groups" / "json").mkdir(parents=True)
    expected = []
    for name, text in GROUP_FILES.items():
        if name in left_out:
            continue
        (suite / name).write_text(text)
        with contextlib.suppress(ValueError):
            value = json.loads(text)
            tables = value if isinstance(value, list) else [value]
            expected += [(name, one) for one in tables if isinstance(one, dict)]
    ingest(tmp_path / "outputs", tmp_path / "cache")
    cache = Cache(tmp_path / "cache")
    shown = cache.scan("groups").select("groups.file", "groups.title", "groups.rows").collect().rows()
    assert [row[:2] for row in shown] == [(name, one["title"]) for name, one in expected]
    values = [[[cell["value"] for cell in row] for row in rows] for _, _, rows in shown]
    assert values == [[[json.dumps(cell["value"]) for cell in row] for row in one["rows"]] for _, one in expected]
    texts = dict(cache.scan("suite_files").collect().select("suite_files.path", "suite_files.text").rows())
    assert texts == {name: text for name, text in GROUP_FILES.items() if name not in left_out}
