import dataclasses
import gzip
import json
import math
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import pyarrow as pa
import pytest
from makedump import Run, instance_stats, make_run, stat, write_run

from magnet_arrow import verify
from magnet_arrow.checks import run_comparison
from magnet_arrow.checks import verify as verify_module
from magnet_arrow.errors import NoRunsError, WorkersLostError
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.ingestion.parallel import process_pool
from magnet_arrow.ingestion.rules import Progress


def odd_run(name: str) -> Run:
    """A run that has something for each kind of damage."""
    run = make_run(name, args={"subject": "tides", "k": 1, "deep": {"x": [1, 2]}})
    run["stats"] += [stat("bleu", 0.25) | {"sum": math.nan}, stat("f1", 0.75) | {"ci": [0.5, 1]}]
    run["per_instance_stats"].insert(1, instance_stats("id9", 0) | {"stats": []})
    run["scenario_state"]["made_at"] = "noon"
    return run


def write_odd_runs(outputs: Path) -> Path:
    for name in ("tide:n=1", "tide:n=2"):
        folder = write_run(outputs, odd_run(name))
        (folder / "costs.json").write_text('{"tokens": 3}', encoding="ascii")
    return outputs


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return write_odd_runs(tmp_path / "outputs")


@pytest.fixture
def cache(outputs: Path, tmp_path: Path) -> Path:
    """A cache of both runs; rows of the first come first."""
    assert ingest(outputs, tmp_path / "cache").runs == 2
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same outputs and a cache of them, which `verify` finds equal; neither is to be changed."""
    folder = tmp_path_factory.mktemp("sound")
    outputs = write_odd_runs(folder / "outputs")
    assert ingest(outputs, folder / "cache").runs == 2
    assert verify(outputs, folder / "cache").is_equal
    return outputs, folder / "cache"


ARGS = "run_spec.scenario_spec.args"
FIRST = 1
"""Of the run list's entries the first run: before it stands what is beside the runs of the suite."""


def swapped(rows: pa.Table) -> pa.Table:
    return rows.take([1, 0, *range(2, rows.num_rows)])


def swapped_in_silence(rows: pa.Table) -> pa.Table:
    """Two rows swapped, though each bears the number of its place."""
    return damage.with_column(swapped(rows), "magnet.row", rows.column("magnet.row"))


def set_value(table: str, column: str, row: int, value: Any) -> Callable[[Path], None]:
    return lambda cache: damage.change_table(
        cache, table, lambda rows: damage.with_value(rows, f"{table}.{column}", row, value)
    )


def change_first(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    return lambda cache: damage.change_runs(cache, lambda runs: change(runs[FIRST]))


def without_stamp(entry: dict[str, Any], name: str) -> None:
    entry["fingerprint"] = [stamp for stamp in entry["fingerprint"] if stamp[0] != name]


# What is done to the cache, and where it is found: file, JSON path, what the source and the cache have there.
DAMAGE: dict[str, tuple[Callable[[Path], None], str | None, str | None, str, str]] = {
    "a changed value": (set_value("stats", "mean", 0, 0.75), "stats.json", "$[0].mean", "0.5", "0.75"),
    "a number less": (set_value("stats", "mean", 0, None), "stats.json", "$[0].mean", "0.5", "nothing"),
    "null for NaN": (set_value("stats", "sum", 2, None), "stats.json", "$[2].sum", "NaN", "nothing"),
    "zero for NaN": (set_value("stats", "sum", 2, 0.0), "stats.json", "$[2].sum", "NaN", "0.0"),
    "minus zero": (set_value("stats", "variance", 0, -0.0), "stats.json", "$[0].variance", "0.0", "-0.0"),
    "a lost residual": (
        lambda cache: damage.change_table(
            cache, "stats", lambda rows: damage.with_value(rows, "magnet.extra", 3, None)
        ),
        "stats.json",
        "$[3].ci",
        "a list of 2",
        "nothing",
    ),
    "a changed residual": (
        lambda cache: damage.change_table(
            cache, "stats", lambda rows: damage.with_value(rows, "magnet.extra", 3, '{"/ci":[0.5,1.0]}')
        ),
        "stats.json",
        "$[3].ci[1]",
        "1",
        "1.0",
    ),
    "a residual that is no JSON": (
        lambda cache: damage.change_table(
            cache, "stats", lambda rows: damage.with_value(rows, "magnet.extra", 3, '{"/ci":')
        ),
        "stats.json",
        None,
        "a file",
        "cannot be rebuilt",
    ),
    "a changed free-form value": (
        set_value("run_spec", "scenario_spec.args.subject", 0, "moons"),
        "run_spec.json",
        "$.scenario_spec.args.subject",
        '"tides"',
        '"moons"',
    ),
    "a float for an integer in a free-form object": (
        lambda cache: damage.change_table(
            cache, "run_spec", lambda rows: damage.with_column(rows, f"{ARGS}.k", pa.array([1.0, 1.0]))
        ),
        "run_spec.json",
        "$.scenario_spec.args.k",
        "1",
        "1.0",
    ),
    "a lost column": (
        lambda cache: damage.change_table(cache, "run_spec", lambda rows: rows.drop_columns([f"{ARGS}.subject"])),
        "run_spec.json",
        "$.scenario_spec.args.subject",
        '"tides"',
        "nothing",
    ),
    "swapped rows": (
        lambda cache: damage.change_table(cache, "stats", swapped),
        "stats.json",
        None,
        "a file",
        "in another order",
    ),
    "rows swapped under their numbers": (
        lambda cache: damage.change_table(cache, "stats", swapped_in_silence),
        "stats.json",
        "$[0].name.name",
        '"exact_match"',
        '"num_instances"',
    ),
    "a lost row": (
        lambda cache: damage.change_table(cache, "per_instance_stats", lambda rows: rows.slice(0, 7)),  # of 8
        "per_instance_stats.json",
        None,
        "a file",
        "3 rows of 4",
    ),
    "a lost entry without a row": (
        change_first(lambda entry: entry["residual"].pop("per_instance_stats.json")),
        "per_instance_stats.json",
        None,
        "a file",
        "entry 2 where entry 1 should be",
    ),
    "a lost key beside the request states": (
        change_first(lambda entry: entry["residual"].pop("scenario_state.json")),
        "scenario_state.json",
        "$.made_at",
        '"noon"',
        "nothing",
    ),
    "rows that do not agree about the adapter": (
        set_value("scenario_state", "adapter_spec.model", 1, "made/owl-1b"),
        "scenario_state.json",
        None,
        "a file",
        "do not agree",
    ),
    "rows that do not agree about their entry": (
        set_value("per_instance_stats", "instance_id", 1, "id7"),
        "per_instance_stats.json",
        None,
        "a file",
        "do not agree",
    ),
    "a changed text of a kept file": (
        set_value("files", "text", 0, '{"tokens": 4}'),
        "costs.json",
        "$.tokens",
        "3",
        "4",
    ),
    "a lost run": (lambda cache: damage.change_runs(cache, lambda runs: runs.pop(FIRST)), None, None, "a run", "none"),
    "a lost file": (
        change_first(lambda entry: without_stamp(entry, "costs.json")),
        "costs.json",
        None,
        "a file",
        "none of this name",
    ),
    "a changed run name": (
        change_first(lambda entry: entry.update(name="tide:n=3")),
        "run_spec.json",
        None,
        "a file",
        "rows of another run",
    ),
    "a run name changed in its rows too": (
        lambda cache: (
            change_first(lambda entry: entry.update(name="tide:n=3"))(cache),
            damage.change_table(
                cache, "run_spec", lambda rows: damage.with_value(rows, "run_spec.name", 0, "tide:n=3")
            ),
        ),
        "run_spec.json",
        "$.name",
        '"tide:n=1"',
        '"tide:n=3"',
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(kind: str, sound: tuple[Path, Path], tmp_path: Path) -> None:
    do, file, json_path, source, cached = DAMAGE[kind]
    outputs, cache = sound[0], shutil.copytree(sound[1], tmp_path / "cache")
    do(cache)
    report = verify(outputs, cache)
    assert not report.is_equal
    assert report.n_differences == len(report.differences) >= 1
    places = [(found.where.file, found.where.json_path) for found in report.differences]
    first = report.differences[places.index((file, json_path))]
    assert first.where.run == ("made/tide:n=2" if kind == "a lost row" else "made/tide:n=1")
    assert first.source == source
    assert cached in first.cache


def test_a_cut_file_of_the_cache_is_found(outputs: Path, cache: Path) -> None:
    [path] = (cache / "stats").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    report = verify(outputs, cache)
    assert [(found.where.run, found.where.file) for found in report.differences] == [
        ("made/tide:n=1", "stats.json"),
        ("made/tide:n=2", "stats.json"),
    ]
    assert all("bytes" in found.cache for found in report.differences)


def test_what_is_equal_is_counted(outputs: Path, cache: Path) -> None:
    report = verify(outputs, cache)
    assert (report.runs, report.files, report.n_differences) == (2, 10, 0)
    assert (report.rejected, report.not_covered, report.notes) == ((), (), ())
    # The costs and the scenario state of each; not the run spec, for the order of its args, and not the stats, which
    # have integers in fields of floats.
    assert report.exact == 4
    assert report.exact_share == 0.4


def test_a_run_that_ingestion_never_saw_is_a_difference(outputs: Path, cache: Path) -> None:
    write_run(outputs, make_run("tide:n=3"))
    [found] = verify(outputs, cache).differences
    assert str(found) == "made/tide:n=3:\n  the source has a run, the cache none at this place."


def test_a_run_too_deep_for_a_walk_of_ours_is_a_difference(outputs: Path, cache: Path) -> None:
    shutil.copytree(outputs / "runs" / "made", outputs / "a" / "b" / "c" / "d" / "e" / "made")
    assert {found.where.run for found in verify(outputs, cache).differences} == {"made/tide:n=1", "made/tide:n=2"}


def test_a_new_file_and_a_vanished_one_are_differences(outputs: Path, cache: Path) -> None:
    folder = outputs / "runs" / "made" / "tide:n=1"
    (folder / "costs.json").rename(folder / "prices.json")
    found = verify(outputs, cache).differences
    assert {(one.where.file, one.source, one.cache) for one in found} == {
        ("costs.json", "no such file", "one"),
        ("prices.json", "a file", "none of this name"),
    }


def test_a_source_that_has_changed_is_said_to(outputs: Path, cache: Path) -> None:
    path = outputs / "runs" / "made" / "tide:n=2" / "stats.json"
    path.write_text(path.read_text("ascii").replace('"count": 1', '"count": 2', 1), encoding="ascii")
    report = verify(outputs, cache)
    assert [str(found) for found in report.differences] == [
        "made/tide:n=2/stats.json, at $[0].count:\n  the source has 2, the cache 1."
    ]
    assert report.notes == ("made/tide:n=2 has changed since it was ingested.",)


@pytest.mark.parametrize("text", ["[{]", "\x00", '"\udcff"'], ids=["no JSON", "a zero byte", "no UTF-8"])
def test_a_source_that_can_not_be_read_any_more_is_a_difference(text: str, outputs: Path, cache: Path) -> None:
    path = outputs / "runs" / "made" / "tide:n=2" / "stats.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    [found] = verify(outputs, cache).differences
    assert "cannot be read" in found.source


def test_a_pipe_does_not_hang_it(outputs: Path, cache: Path) -> None:
    path = outputs / "runs" / "made" / "tide:n=2" / "stats.json"
    path.unlink()
    os.mkfifo(path)
    [found] = verify(outputs, cache).differences
    assert "no regular file" in found.source


def test_a_rejected_run_is_named_and_no_difference(outputs: Path, tmp_path: Path) -> None:
    (outputs / "runs" / "made" / "tide:n=1" / "stats.json").write_text("[", encoding="ascii")
    assert len(ingest(outputs, tmp_path / "cache").rejected) == 1
    report = verify(outputs, tmp_path / "cache")
    assert [(rejected.run, rejected.file) for rejected in report.rejected] == [("made/tide:n=1", "stats.json")]
    assert (report.runs, report.n_differences, report.is_equal) == (1, 0, False)


def test_of_a_partial_run_what_is_whole_is_compared(outputs: Path, tmp_path: Path) -> None:
    path = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    path.write_bytes(path.read_bytes()[:-80])
    assert ingest(outputs, tmp_path / "cache", partial=True).partial == 1
    report = verify(outputs, tmp_path / "cache")
    assert report.differences == ()
    [loss] = [file for file in report.not_covered if file.is_loss]
    assert loss.path.startswith("made/tide:n=1/stats.json from byte ")
    assert not report.is_equal
    damage.change_table(tmp_path / "cache", "stats", lambda rows: damage.with_value(rows, "stats.mean", 2, 0.75))
    assert [found.where.json_path for found in verify(outputs, tmp_path / "cache").differences] == ["$[2].mean"]


def test_compressed_files_are_compared_by_what_is_in_them(outputs: Path, tmp_path: Path) -> None:
    for path in (outputs / "runs" / "made" / "tide:n=1").glob("[!r]*.json"):  # a run spec marks a run
        path.with_suffix(".json.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    ingest(outputs, tmp_path / "cache")
    report = verify(outputs, tmp_path / "cache")
    assert (report.runs, report.files, report.differences, report.exact) == (2, 10, (), 4)


def test_files_that_are_compressed_under_plain_names_are_compared_too(outputs: Path, tmp_path: Path) -> None:
    """This is how HELM's public bucket serves them."""
    for path in (outputs / "runs" / "made" / "tide:n=1").glob("*.json"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    ingest(outputs, tmp_path / "cache")
    report = verify(outputs, tmp_path / "cache")
    assert (report.runs, report.files, report.differences, report.not_covered) == (2, 10, (), ())


def test_a_compressed_file_asks_for_no_more_memory_than_it_unpacks_to(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file may unpack to more than any machine has memory for, and seldom does."""
    stats = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    stats.write_bytes(gzip.compress(stats.read_bytes()))
    ingest(outputs, tmp_path / "cache")
    monkeypatch.setattr(run_comparison, "max_unpacked_bytes", lambda _: 1 << 60)
    assert verify(outputs, tmp_path / "cache").differences == ()


def test_a_compressed_file_that_unpacks_to_too_much_is_not_read(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stats = outputs / "runs" / "made" / "tide:n=1" / "stats.json"
    plain = stats.read_bytes()
    stats.write_bytes(gzip.compress(plain))
    ingest(outputs, tmp_path / "cache")
    monkeypatch.setattr(run_comparison, "max_unpacked_bytes", lambda _: len(plain) - 1)
    [difference] = verify(outputs, tmp_path / "cache").differences
    assert difference.where.file == "stats.json"
    assert "unpacks to more than" in str(difference)
    monkeypatch.setattr(run_comparison, "max_unpacked_bytes", lambda _: len(plain))
    assert verify(outputs, tmp_path / "cache").differences == ()


def test_what_no_table_is_meant_for_is_named(outputs: Path, tmp_path: Path) -> None:
    suite = outputs / "runs" / "made"
    (suite / "tide:n=1" / "picture.png").write_bytes(b"\x89PNG")
    (suite / "groups" / "latex").mkdir(parents=True)
    (suite / "groups" / "latex" / "core.tex").write_text("%", encoding="ascii")
    (suite / "groups" / "core.json").write_text("[]", encoding="ascii")
    (suite / "runs.json").write_text("[]", encoding="ascii")
    (outputs / "readme.txt").write_text("made", encoding="ascii")
    (outputs / "runs" / "latest").symlink_to(suite)
    ingest(outputs, tmp_path / "cache")
    report = verify(outputs, tmp_path / "cache")
    assert report.is_equal
    assert report.files == 11  # groups/core.json too
    assert {(Path(file.path).name, file.reason) for file in report.not_covered} == {
        ("picture.png", "no JSON file of a run or a suite"),
        ("core.tex", "no JSON file of a run or a suite"),
        ("readme.txt", "no JSON file of a run or a suite"),
        ("runs.json", "all that is in it is in the runs' own files"),
        ("latest", "another name of a suite"),
    }


def test_pictures_that_were_not_asked_for_are_named(outputs: Path, tmp_path: Path) -> None:
    shown = [{"instance_id": "id0", "base64_images": ["iVBO"], "stats": {"exact_match": 1}}]
    (outputs / "runs" / "made" / "tide:n=1" / "display_predictions.json").write_text(
        json.dumps(shown), encoding="ascii"
    )
    ingest(outputs, tmp_path / "without")
    report = verify(outputs, tmp_path / "without")
    assert (report.is_equal, report.files) == (True, 10)
    [left_out] = report.not_covered
    assert left_out.path == "made/tide:n=1/display_predictions.json"
    assert "pictures" in left_out.reason
    ingest(outputs, tmp_path / "with", pictures=True)
    report = verify(outputs, tmp_path / "with")
    assert (report.is_equal, report.files, report.not_covered) == (True, 11, ())


def test_links_that_lead_back_end(outputs: Path, cache: Path) -> None:
    (outputs / "runs" / "made" / "back").symlink_to(outputs, target_is_directory=True)
    report = verify(outputs, cache)
    assert (report.runs, report.differences) == (2, ())


def test_a_single_run_can_be_verified(outputs: Path, cache: Path) -> None:
    report = verify(outputs / "runs" / "made" / "tide:n=2", cache)
    assert (report.runs, report.files, report.is_equal) == (1, 5, True)


def test_an_empty_source_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "outputs" / "runs").mkdir(parents=True)
    with pytest.raises(NoRunsError, match="No run"):
        verify(tmp_path / "outputs", tmp_path / "cache")


def test_progress_is_told_file_by_file(outputs: Path, cache: Path) -> None:
    told: list[Progress] = []
    verify(outputs, cache, progress=told.append)
    total = sum(path.stat().st_size for path in outputs.rglob("*.json"))
    assert len(told) == 10
    assert [state.bytes_done for state in told] == sorted(state.bytes_done for state in told)
    assert (told[-1].bytes_done, told[-1].bytes_total, told[-1].runs_done) == (total, total, 2)


@pytest.mark.slow
def test_several_processes_find_what_one_finds(outputs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (outputs / "runs" / "made").iterdir():
        stats = json.loads((folder / "stats.json").read_text())
        stats[1]["mean"] = 0.125
        (folder / "stats.json").write_text(json.dumps(stats), encoding="ascii")
    told: list[Progress] = []
    alone = verify(outputs, cache)
    monkeypatch.setattr(verify_module, "_MIN_TASK_BYTES", 1)
    monkeypatch.setattr(verify_module, "_MAX_TASK_BYTES", 1)
    monkeypatch.setattr(process_pool, "cores", lambda: 2)
    together = verify(outputs, cache, progress=told.append)
    assert [one.where.run for one in together.differences] == ["made/tide:n=1", "made/tide:n=2"]
    assert dataclasses.replace(together, seconds=alone.seconds) == alone
    assert (len(told), told[-1].runs_done) == (10, 2)


@pytest.mark.slow
def test_a_process_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "cores", lambda: 2)
    with pytest.raises(WorkersLostError, match="A worker process died"):
        list(process_pool.results(os._exit, [3, 3]))
    assert not multiprocessing.active_children()


def test_only_the_first_thousand_differences_are_kept(tmp_path: Path) -> None:
    run = make_run("many")
    run["stats"] = [stat("exact_match", 0.5) for _ in range(1200)]
    folder = write_run(tmp_path / "outputs", run)
    ingest(tmp_path / "outputs", tmp_path / "cache")
    for entry in run["stats"]:
        entry["mean"] = 1.5
    (folder / "stats.json").write_text(json.dumps(run["stats"]), encoding="ascii")
    report = verify(tmp_path / "outputs", tmp_path / "cache")
    assert (report.n_differences, len(report.differences)) == (1200, 1000)
    assert report.differences[999].where.json_path == "$[999].mean"
