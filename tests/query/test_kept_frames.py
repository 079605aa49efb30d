"""Frames of small runs are read once in a process, and never in an older state."""

import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from makedump import make_run, stat, write_run, write_runs
from msgspec import structs

from magnet_arrow.ingestion.ensure_cached import ensure_cached
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.predictor import Predictor
from magnet_arrow.query import kept_frames
from magnet_arrow.query.frames import CachedRuns
from magnet_arrow.query.kept_frames import KeptFrames, scan_kept
from magnet_arrow.storage.maintenance import compact
from magnet_arrow.storage.snapshot import Snapshot


def cached(source: Any) -> CachedRuns:
    runs = HelmRuns(source)
    snapshot = ensure_cached(runs.places, runs.cache).snapshot
    return CachedRuns(snapshot, tuple(snapshot.keys_of(runs.places)))  # type: ignore[arg-type]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tables that were read, one per run."""
    monkeypatch.setattr(kept_frames, "_KEPT", KeptFrames(1 << 20))
    found = []
    put = KeptFrames.put

    def counted(self: KeptFrames, key: Any, frame: pl.DataFrame) -> None:
        found.append(key[4])
        put(self, key, frame)

    monkeypatch.setattr(KeptFrames, "put", counted)
    return found


def test_rows_are_those_of_a_scan_and_are_kept_from_the_first_time_on(tmp_path: Path, reads: list[str]):
    runs = [make_run(f"tides {n}", args={"subject": "x", f"own {n}": n}, n_instances=n + 1) for n in range(3)]
    write_runs(tmp_path, runs)
    chosen = cached(tmp_path)
    for table in ("run_spec", "scenario_state", "stats", "per_instance_stats"):
        for some in (chosen, chosen, chosen.take([2, 0]), chosen.take([1]), chosen.take([])):
            assert scan_kept(some, table).collect().equals(some.scan(table).collect())
    fixed = "scenario_state", "per_instance_stats"  # their columns are the same for each choice of these runs
    assert [reads.count(table) for table in fixed] == [3, 3]


def test_rows_are_in_one_chunk_as_those_of_a_copy_that_is_not_kept(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
):
    """The last digit of a predictor's own mean would depend on the number of chunks."""
    write_runs(tmp_path, [make_run(f"tides {n}") for n in range(3)])
    chosen = cached(tmp_path)
    kept = kept_frames.read_copy(chosen, "stats")
    monkeypatch.setattr(kept_frames, "MAX_RUN_BYTES", 0)
    assert kept.equals(kept_frames.read_copy(chosen, "stats"))
    assert [kept.n_chunks(), kept_frames.read_copy(chosen, "stats").n_chunks()] == [1, 1]
    assert reads == ["stats"] * 3


def test_runs_that_are_not_kept_are_read_beside_those_that_are(tmp_path: Path, reads: list[str]):
    write_runs(tmp_path, [make_run(f"tides {n}", n_instances=n + 1) for n in range(4)])
    chosen = cached(tmp_path)
    scan_kept(chosen.take([2]), "scenario_state")
    scan_kept(chosen.take([3, 2, 0]), "scenario_state")
    assert len(reads) == 3
    rows = scan_kept(chosen.take([3, 2, 0, 1]), "scenario_state").collect()
    assert len(reads) == 4
    ids = "scenario_state.request_states.instance.id"
    assert rows.select("run_spec.name", ids).rows() == [
        (f"tides {run}", f"id{number}") for run in (3, 2, 0, 1) for number in range(run + 1)
    ]


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name")
def test_columns_that_tell_runs_apart_are_each_runs_own(tmp_path: Path, reads: list[str]):
    for suite in ("one", "two"):
        write_runs(tmp_path, [make_run("tides")], suite=suite)
    frame = scan_kept(cached(tmp_path), "stats").collect()
    assert frame["magnet.suite"].to_list() == ["one", "one", "two", "two"]


def test_a_run_that_has_changed_is_seen(tmp_path: Path, reads: list[str]):
    (folder,) = write_runs(tmp_path, [make_run("tides")])
    predictor = Predictor(0, 2)
    for value in (0.25, 0.5, 0.75):
        file = folder / "stats.json"
        file.write_text(json.dumps([stat("exact_match", value)]))
        os.utime(file, ns=(0, int(value * 1e9)))
        _, test = predictor.prepare_all_dataframes(tmp_path)
        assert test.stats["stats.mean"].to_list() == [value]


def test_a_run_that_is_new_is_drawn_and_one_that_is_gone_is_not(tmp_path: Path, reads: list[str]):
    write_runs(tmp_path, [make_run("tides a")])
    predictor = Predictor(0, 2)
    predictor.prepare_all_dataframes(tmp_path)
    write_run(tmp_path, make_run("tides b"))
    names = set()
    for seed in range(8):
        predictor.random_seed = seed
        names |= {*predictor.prepare_all_dataframes(tmp_path)[1].run_specs["run_spec.name"]}
    assert names == {"tides a", "tides b"}


def test_frames_are_kept_where_a_merge_moves_their_runs(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compact, "MAX_SMALL", 1)
    write_runs(tmp_path, [make_run("tides a", n_instances=1)])
    first = cached(tmp_path)
    scan_kept(first, "stats").collect()
    write_run(tmp_path, make_run("tides b", n_instances=2))
    both = cached(tmp_path)
    segments = [{one.id for one in cached.snapshot.manifest.segments} for cached in (first, both)]
    assert [len(found) for found in segments] == [1, 1]
    assert segments[0] != segments[1]
    scan_kept(both, "stats").collect()
    assert reads == ["stats"] * 2
    assert kept_frames._KEPT.bytes > 0


def test_a_run_that_changes_when_segments_are_merged_is_read_again(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compact, "MAX_SMALL", 1)
    changing, _ = write_runs(tmp_path, [make_run("tides a"), make_run("tides b")])
    for value in (0.25, 0.5, 0.75):
        (changing / "stats.json").write_text(json.dumps([stat("exact_match", value)]))
        os.utime(changing / "stats.json", ns=(0, int(value * 1e9)))
        runs = cached(tmp_path)
        means = scan_kept(runs, "stats").filter(pl.col("run_spec.name") == "tides a").collect()["stats.mean"]
        assert means.to_list() == [value]
        assert scan_kept(runs, "stats").collect().equals(runs.scan("stats").collect())
    assert reads == ["stats"] * 4  # that of the other run once


def test_only_what_a_merge_leaves_as_it_was_is_followed(tmp_path: Path, reads: list[str]):
    """Another process may commit another state of a run before the merged state is read."""
    write_runs(tmp_path, [make_run("tides")])
    before = cached(tmp_path)
    scan_kept(before, "stats").collect()
    (run,) = before.snapshot.runs.values()
    segment = structs.replace(run.segment, id="another")
    for elements, kept in (({**run.entry.elements, "stats.json": 7}, False), (run.entry.elements, True)):
        entry = structs.replace(run.entry, elements=elements)
        after = Snapshot(before.snapshot.path, structs.replace(before.snapshot.manifest, segments=(segment,)))
        vars(after)["entries"] = {run.key: structs.replace(run, entry=entry, segment=segment)}
        kept_frames.follow(before.snapshot, after)
        (key,) = kept_frames._KEPT._frames
        assert (key.segment == "another") == kept


def test_what_a_user_does_to_a_frame_is_not_kept(tmp_path: Path, reads: list[str]):
    write_runs(tmp_path, [make_run("tides")])
    _, test = Predictor(0, 2).prepare_all_dataframes(tmp_path)
    expected = test.stats.clone()
    test.stats.insert_column(0, pl.Series("own", [1, 2]))
    test.stats[0, "stats.mean"] = 9.0
    _, again = Predictor(0, 2).prepare_all_dataframes(tmp_path)
    assert again.stats.equals(expected)


def test_frames_are_kept_up_to_a_size(reads: list[str]):
    kept = KeptFrames(3000)
    frames = {number: pl.DataFrame({"x": [number] * 125}) for number in range(5)}  # 1,000 bytes each
    for number, frame in frames.items():
        kept.put(_key(number), frame)
        kept.get(_key(0))
        assert kept.bytes <= 3000
    assert [kept.get(_key(number)) is not None for number in range(5)] == [True, False, False, True, True]
    kept.put(_key(4), frames[4])
    assert kept.bytes == 3000
    kept.put(_key(9), pl.DataFrame({"x": [0] * 1000}))
    assert kept.bytes == 0


def _key(number: int) -> tuple[object, ...]:
    return (number, 0, 0, 0, "stats")


def test_large_runs_are_not_kept(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_frames, "MAX_RUN_BYTES", 10)
    write_runs(tmp_path, [make_run("tides")])
    runs = cached(tmp_path)
    assert scan_kept(runs, "stats").collect().equals(runs.scan("stats").collect())
    assert reads == []


def test_a_text_that_many_rows_share_is_not_copied_for_each(tmp_path: Path, reads: list[str]):
    (folder,) = write_runs(tmp_path, [make_run("tides")])
    file = folder / "per_instance_stats.json"
    (first, *others) = json.loads(file.read_text())
    first["perturbation"] = {"name": "x" * 100_000}
    first["stats"] = first["stats"][:1] * 200  # 20 MB, if each row had its own text
    file.write_text(json.dumps([first, *others]))
    runs = cached(tmp_path)
    assert scan_kept(runs, "per_instance_stats").collect().equals(runs.scan("per_instance_stats").collect())
    assert reads == []
    scan_kept(runs, "stats").collect()
    assert reads == ["stats"]
