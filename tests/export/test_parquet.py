"""Tables as Arrow streams, and the folder of Parquet files: what is in it, and that it is whole or not there."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from makedump import make_run, write_runs
from makesegment import commit_runs, key_of

from magnet_arrow.cache import Cache
from magnet_arrow.errors import (
    CacheDamagedError,
    ColumnNotFoundError,
    FolderNotEmptyError,
    FolderNotWritableError,
    MagnetWarning,
    NoRunsError,
)
from magnet_arrow.export import parquet
from magnet_arrow.export.parquet import ExportProgress, export_tables, table_handle
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.query import chosen_rows
from magnet_arrow.storage import snapshot
from magnet_arrow.storage.maintenance.sound import Reading
from magnet_arrow.storage.manifest import read_manifest
from magnet_arrow.storage.transaction import Transaction, commit_transaction

OWN = "stats.name.perturbation"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Two segments; in the first, `a` is dead."""
    commit_runs(tmp_path / "cache", {"a": [1, 2], "b": [3]}, {"c": [4, 5]})
    commit_runs(tmp_path / "cache", {"d": [6]})
    commit_transaction(tmp_path / "cache", Transaction(pruned=[key_of("a")]))
    return Cache(tmp_path / "cache")


def means(rows: pa.Table | pl.DataFrame) -> list[float]:
    frame = pl.DataFrame(rows)
    return frame.sort("magnet.run", "magnet.row")["stats.mean"].to_list()


def damage(cache: Cache) -> Path:
    """Flip a bit in the last page of a table's file."""
    path = max((cache.path / "stats").iterdir(), key=lambda path: path.stat().st_size)
    column = pq.read_metadata(path).row_group(0).column(0)
    begin = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    data = bytearray(path.read_bytes())
    data[begin + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    return path


def test_a_stream_can_be_taken_again_and_shows_one_commit(cache: Cache) -> None:
    stats = table_handle(cache.snapshot(), "stats")
    commit_transaction(cache.path, Transaction(pruned=[key_of("b")]))
    assert stats.n_rows == 4
    for _ in range(2):
        assert means(pa.table(stats)) == means(pl.DataFrame(stats)) == [3, 4, 5, 6]
    assert pa.schema(stats) == stats.schema == pa.table(stats).schema
    assert repr(stats) == "<TableHandle stats: 4 rows, 5 columns>"


def test_duckdb_reads_a_stream_as_often_as_it_is_asked(cache: Cache) -> None:
    with duckdb.connect() as connection:
        connection.register("s", table_handle(cache.snapshot(), "stats"))
        for _ in range(2):
            assert connection.sql('SELECT sum("stats.mean") FROM s').fetchall() == [(18,)]
        assert connection.sql('SELECT count(*) FROM s a JOIN s b USING ("magnet.run")').fetchall() == [(6,)]


def test_a_stream_is_read_in_batches(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def sizes() -> list[int]:
        return [batch.num_rows for batch in table_handle(cache.snapshot(), "stats").reader()]

    assert sizes() == [4], "small runs share one"
    monkeypatch.setattr(chosen_rows, "_BATCH_ROWS", 1)
    assert sizes() == [1, 2, 1]
    monkeypatch.setattr(chosen_rows, "_BATCH_ROWS", 65_536)
    monkeypatch.setattr(chosen_rows, "_BATCH_BYTES", 1)
    assert sizes() == [1, 1, 1, 1]


def test_nothing_is_read_further_than_a_consumer_asks(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_rows, "_BATCH_ROWS", 1)
    damaged = damage(cache)
    reader = table_handle(cache.snapshot(), "stats").reader()
    damaged.unlink()
    with pytest.raises(CacheDamagedError, match="No such file"):
        reader.read_next_batch()


def test_a_consumer_may_ask_for_other_types(cache: Cache) -> None:
    stats = table_handle(cache.snapshot(), "stats")
    wanted = pa.schema(
        [field.with_type(pa.large_string()) if field.type == pa.string() else field for field in stats.schema]
    )
    assert pa.RecordBatchReader.from_stream(stats, schema=wanted).read_all().schema == wanted


def test_a_flipped_bit_is_never_data(cache: Cache, tmp_path: Path) -> None:
    path = damage(cache)
    stats = table_handle(cache.snapshot(), "stats")
    with pytest.raises(CacheDamagedError, match=path.name):
        stats.reader().read_all()
    with pytest.raises(Exception, match=path.name):
        pl.DataFrame(stats)
    with pytest.raises(duckdb.Error, match=path.name):
        duckdb.connect().register("s", stats).sql("FROM s").fetchall()
    with pytest.raises(CacheDamagedError, match=path.name):
        export_tables(cache, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_runs_hand_out_the_tables_that_they_scan(tmp_path: Path) -> None:
    write_runs(tmp_path / "outputs", [make_run("a"), make_run("b", args={"n": 1})])
    helm_runs = HelmRuns(tmp_path / "outputs")
    for runs in (helm_runs, helm_runs[1:], helm_runs[0], helm_runs.cached()):
        for columns in ("occurring", "registered", ["run_spec.name", "run_spec.groups"]):
            frame = runs.scan("run_spec", columns=columns).collect()
            assert pl.DataFrame(runs.table("run_spec", columns=columns)).equals(frame)


def test_a_folder_a_table_and_a_readme(cache: Cache, tmp_path: Path) -> None:
    steps: list[ExportProgress] = []
    done = export_tables(cache, tmp_path / "new" / "out", progress=steps.append)
    assert [path.relative_to(tmp_path / "new").as_posix() for path in sorted(tmp_path.rglob("new/**/*.*"))] == [
        "out/README.md",
        "out/runs/part-00000.parquet",
        "out/stats/part-00000.parquet",
    ]
    sizes = {name: (tmp_path / "new/out" / name / "part-00000.parquet").stat().st_size for name in ("runs", "stats")}
    assert [(one.table, one.rows, one.files, one.size_bytes) for one in done] == [
        ("stats", 4, 1, sizes["stats"]),
        ("runs", 3, 1, sizes["runs"]),
    ]
    assert [(step.table, step.rows_done, step.rows_total) for step in steps] == [("stats", 4, 4)]
    assert means(pq.read_table(tmp_path / "new" / "out" / "stats")) == [3, 4, 5, 6]


def test_chosen_tables_are_written_even_without_rows(cache: Cache, tmp_path: Path) -> None:
    done = export_tables(cache, tmp_path / "out", tables=["groups", "stats", "groups"])
    assert [(one.table, one.rows) for one in done] == [("groups", 0), ("stats", 4), ("runs", 3)]
    assert "groups.title" in pq.read_schema(tmp_path / "out" / "groups" / "part-00000.parquet").names


def test_the_readme_says_what_each_table_and_column_is(tmp_path: Path) -> None:
    write_runs(tmp_path / "outputs", [make_run("a", args={"n": 1, "\x1b[31m\n~~~": 2})])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    export_tables(Cache(tmp_path / "cache"), tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "\n---\n\n# What HELM wrote, as Parquet\n\n1 runs and" in text
    for table in ("run_spec", "scenario_state", "stats", "per_instance_stats"):
        assert f"\n## {table}\n\nOne row is one " in text
        for name in pq.read_schema(tmp_path / "out" / table / "part-00000.parquet").names:
            assert name in text or "\x1b" in name
    assert "\nstats.mean (double): " in text
    assert "\nrun_spec.scenario_spec.args.n (int64): dynamic column: " in text
    assert r"run_spec.scenario_spec.args.\x1b[31m\n~~~ (int64)" in text
    assert "divided by" not in text


def test_row_groups_are_batches(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_rows, "_BATCH_ROWS", 3)
    export_tables(cache, tmp_path / "out")
    assert pq.read_metadata(tmp_path / "out" / "stats" / "part-00000.parquet").num_row_groups == 2


@pytest.mark.parametrize("held_bytes", [1, 64 << 20], ids=["little held", "all held"])
def test_a_partitioned_table_has_a_folder_a_value(
    held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_HELD_BYTES", held_bytes)
    monkeypatch.setattr(chosen_rows, "_BATCH_ROWS", 1)
    odd = ["a/b", "..", "", "ä", "x" * 500, "y" * 500, "x" * 500, "a/b"]
    commit_runs(tmp_path / "cache", {"a": [{"v": value} for value in odd]}, {"b": [1, {"v": "a/b"}]})
    export_tables(Cache(tmp_path / "cache"), tmp_path / "out", partition_by=f"{OWN}.v")
    folders = sorted(path.name.partition("=") for path in (tmp_path / "out" / "stats").iterdir())
    assert {key for key, _, _ in folders} == {"stats_name_perturbation_v"}
    names = [name for _, _, name in folders]
    assert len(names) == 7
    assert {"", "..", "%C3%A4", "a%2Fb", "__HIVE_DEFAULT_PARTITION__"} < set(names)
    assert max(len(f"stats_name_perturbation_v={name}") for name in names) < 256
    files = sorted((tmp_path / "out" / "stats").rglob("*.parquet"))
    assert len({file.name for file in files}) == len(files) == (8 if held_bytes == 1 else 7)
    rows = pl.concat(pl.read_parquet(file, hive_partitioning=False) for file in files)
    assert rows.sort("magnet.run", "magnet.row")[f"{OWN}.v"].to_list() == [*odd, None, "a/b"]
    for file in files:
        part = pl.read_parquet(file, hive_partitioning=False)
        assert part[f"{OWN}.v"].n_unique() == 1
        assert part.select("magnet.run", "magnet.row").rows() == sorted(part.select("magnet.run", "magnet.row").rows())


def test_hive_names_can_be_used_to_skip_folders(tmp_path: Path) -> None:
    commit_runs(tmp_path / "cache", {"a": [1, 2], "b": [3]})
    export_tables(Cache(tmp_path / "cache"), tmp_path / "out", partition_by="run_spec.name")
    found = pl.scan_parquet(tmp_path / "out" / "stats").filter(pl.col("run_spec_name") == "name of a").collect()
    assert found["stats.mean"].to_list() == [1, 2]
    sql = f"SELECT \"stats.mean\" FROM '{tmp_path}/out/stats/**/*.parquet' WHERE run_spec_name = 'name of b'"
    assert duckdb.sql(sql).fetchall() == [(3,)]


def test_only_tables_that_have_the_column_are_partitioned(tmp_path: Path) -> None:
    write_runs(tmp_path / "outputs", [make_run("a")])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    export_tables(Cache(tmp_path / "cache"), tmp_path / "out", partition_by="stats.count")
    folders = sorted(
        path.parent.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("out/**/*.parquet")
    )
    assert folders == ["per_instance_stats", "run_spec", "runs", "scenario_state", "stats/stats_count=1"]
    assert "folders `stats_count=<value>`" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_what_cannot_be_is_an_error_that_helps(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(ColumnNotFoundError, match=r"Did you mean 'stats\.mean'"):
        export_tables(cache, tmp_path / "out", partition_by="stats.maen")
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'stats'"):
        export_tables(cache, tmp_path / "out", tables=["stat"])
    with pytest.raises(NoRunsError, match="is empty"):
        export_tables(Cache(tmp_path / "nothing"), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def test_lists_name_no_folders(tmp_path: Path) -> None:
    write_runs(tmp_path / "outputs", [make_run("a")])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    with pytest.raises(ColumnNotFoundError, match=r"no column 'run_spec\.groups'"):
        export_tables(Cache(tmp_path / "cache"), tmp_path / "out", partition_by="run_spec.groups")


@pytest.mark.parametrize("is_file", [False, True])
def test_what_is_there_is_never_overwritten(is_file: bool, cache: Cache, tmp_path: Path) -> None:
    target = tmp_path / "out"
    kept = target if is_file else target / "mine"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(FolderNotEmptyError, match="not empty"):
        export_tables(cache, target)
    assert kept.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out"]


def test_an_empty_folder_is_filled(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_tables(cache, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["README.md", "runs", "stats"]


def test_an_export_that_is_interrupted_leaves_nothing(cache: Cache, tmp_path: Path) -> None:
    def interrupt(progress: ExportProgress) -> None:
        assert [path.suffix for path in tmp_path.iterdir() if path.name.startswith(".")] == [".partial"]
        assert not (tmp_path / "out").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_tables(cache, tmp_path / "out", progress=interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache"]


def read_runs_table(folder: Path) -> list[tuple[Any, ...]]:
    return pl.read_parquet(folder / "runs" / "*.parquet").drop("magnet.run").sort("folder").rows()


def test_stale_and_partial_runs_are_marked(cache: Cache, tmp_path: Path) -> None:
    commit_transaction(cache.path, Transaction(gone=[key_of("c")]))
    with pytest.warns(MagnetWarning, match="1 run stale"):
        export_tables(cache, tmp_path / "out")
    assert read_runs_table(tmp_path / "out") == [
        ("/dumps/s0", "v1", "b", "name of b", False, False),
        ("/dumps/s0", "v1", "c", "name of c", False, True),
        ("/dumps/s0", "v1", "d", "name of d", False, False),
    ]
    stale = duckdb.sql(
        f"SELECT \"stats.mean\" FROM '{tmp_path}/out/stats/*.parquet' JOIN '{tmp_path}/out/runs/*.parquet' "
        'USING ("magnet.run") WHERE stale ORDER BY ALL'
    )
    assert stale.fetchall() == [(4,), (5,)]
    assert "Partial: 0, stale: 1." in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_a_configuration_a_table(tmp_path: Path) -> None:
    """As Hugging Face's `datasets` reads it: YAML between two lines of dashes."""
    write_runs(tmp_path / "outputs", [make_run("a")])
    ingest(tmp_path / "outputs", tmp_path / "cache")
    export_tables(Cache(tmp_path / "cache"), tmp_path / "out", partition_by="stats.count")
    begin, head, _ = (tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert (begin, head.splitlines()[0]) == ("", "configs:")
    entries = re.findall(r'- config_name: (.*)\n  data_files: "(.*)"\n(  default: true\n)?', head)
    tables = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert sorted(name for name, _, _ in entries) == tables
    assert [name for name, _, default in entries if default] == ["stats"]
    for name, pattern, _ in entries:
        assert sorted((tmp_path / "out").glob(pattern)) == sorted((tmp_path / "out" / name).rglob("*.parquet")) != []


def test_damage_does_not_keep_the_others_from_being_exported(cache: Cache, tmp_path: Path) -> None:
    """The flipped bit is in the row group of a, which is no longer in the cache, and b."""
    damage(cache)
    with pytest.raises(CacheDamagedError, match="skip_damaged=True"):
        export_tables(cache, tmp_path / "out")
    with pytest.warns(MagnetWarning, match="1 run excluded, as the cache is damaged: v1/b"):
        export_tables(cache, tmp_path / "out", reading=Reading(skip_damaged=True))
    assert means(pq.read_table(tmp_path / "out" / "stats")) == [4, 5, 6]
    assert [row[2] for row in read_runs_table(tmp_path / "out")] == ["c", "d"]


def test_a_run_list_that_is_damaged_does_not_either(cache: Cache, tmp_path: Path) -> None:
    segment = next(one for one in read_manifest(cache.path).segments if one.n_runs == 1)
    (cache.path / segment.runs.path).write_bytes(b"nothing")
    snapshot.listed.cache_clear()  # what a new process has not read yet
    with pytest.raises(CacheDamagedError, match="skip_damaged=True"):
        export_tables(cache, tmp_path / "out")
    with pytest.warns(MagnetWarning, match="1 run excluded, as the cache is damaged: v1/d"):
        export_tables(cache, tmp_path / "out", reading=Reading(skip_damaged=True))
    assert means(pq.read_table(tmp_path / "out" / "stats")) == [3, 4, 5]


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, "You may not write there"),
        (errno.EROFS, "mounted for reading only"),
        (errno.ENOSPC, "Free some space"),
        (errno.EIO, "Name another folder with to= or --to"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_with_the_reason(
    number: int, hint: str, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FolderNotWritableError, match=os.strerror(number)) as caught:
        export_tables(cache, tmp_path / "out")
    assert hint in (caught.value.hint or "")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks on folders")
def test_what_a_killed_export_has_left_is_named_and_removed(cache: Cache, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom magnet_arrow.cache import Cache\n"
        "from magnet_arrow.export.parquet import export_tables\n"
        "kill = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "export_tables(Cache(sys.argv[1]), sys.argv[2], progress=kill)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(cache.path), str(tmp_path / "out")], check=False)
    [left] = [path for path in tmp_path.iterdir() if path.name.startswith(".out")]
    others = [tmp_path / name for name in (".out.0123abcd.other", ".other.0123abcd.partial")]
    for other in others:
        other.mkdir()
    with pytest.warns(MagnetWarning, match=f"{re.escape(str(left))} was removed"):
        export_tables(cache, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == sorted([cache.path, tmp_path / "out", *others])


def test_an_export_that_is_under_way_is_left_alone(cache: Cache, tmp_path: Path) -> None:
    seen: list[list[Path]] = []

    def look(_: ExportProgress) -> None:
        before = sorted(tmp_path.glob(".out.*"))
        assert parquet.remove_leftovers(tmp_path / "out") == []
        assert sorted(tmp_path.glob(".out.*")) == before
        seen.append(before)

    export_tables(cache, tmp_path / "out", progress=look)
    assert seen
    assert all(len(paths) == 1 for paths in seen)
