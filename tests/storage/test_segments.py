"""Segments: immutable files of many runs, whatever columns turn up late, and damage to them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from makesegment import Runs, commit_runs, key_of, make_segment, run_entry, stats_batch
from msgspec import Raw

from magnet_arrow.cache import Cache
from magnet_arrow.decode.chunks import Chunk
from magnet_arrow.errors import CacheDamagedError, CacheNotWritableError, SnapshotExpiredError, Where
from magnet_arrow.query.scan_runs import select_runs
from magnet_arrow.records.column_builders import JsonBuilder
from magnet_arrow.records.stat_builders import StatsBuilder
from magnet_arrow.records.table_builder import Owner
from magnet_arrow.schema import registry
from magnet_arrow.storage.checksums import check_digest, check_file, file_entry
from magnet_arrow.storage.manifest import TableEntry
from magnet_arrow.storage.segments import writer as segment_writer
from magnet_arrow.storage.segments.reader import open_table
from magnet_arrow.storage.segments.writer import SegmentWriter, TableWriter
from magnet_arrow.storage.snapshot import listed

OWN = "stats.name.perturbation"


def write_table(cache: Path, *groups: Runs) -> TableEntry:
    """The stats of these row groups as one file."""
    writer = TableWriter(registry.table("stats"), cache / "stats" / "x.parquet")
    writer.path.parent.mkdir(parents=True, exist_ok=True)
    for runs in groups:
        writer.add(stats_batch(runs))
    return writer.finish()


def cells(cache: Path, entry: TableEntry, *names: str) -> list[tuple[Any, ...]]:
    table = pq.read_table(cache / entry.file.path, columns=list(names)).select(list(names))
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def test_each_batch_is_a_row_group(tmp_path: Path) -> None:
    entry = write_table(tmp_path, {"a": [1, 2], "b": [3]}, {"c": [4]}, {"d": []})
    metadata = pq.read_metadata(tmp_path / entry.file.path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [3, 1, 0]
    assert entry.rows == 4
    names = [key_of(folder) for folder in "aabc"]
    assert cells(tmp_path, entry, "magnet.run", "stats.mean") == list(zip(names, [1.0, 2.0, 3.0, 4.0], strict=True))


@pytest.mark.parametrize("held_bytes", [1, 1 << 30], ids=["file begun at once", "held back"])
def test_readers_see_plain_columns_of_the_registered_types(
    held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "_HELD_BYTES", held_bytes)
    entry = write_table(tmp_path, {"a": [{"n": "x"}]}, {"b": [1]})
    found = pq.read_schema(tmp_path / entry.file.path)
    columns = registry.table("stats").columns
    for column in columns:
        if column.name in found.names:
            assert found.field(column.name).type == column.type, column.name
    assert found.field(f"{OWN}.n").type == pa.string()
    with open_table(tmp_path, entry) as file:
        rows = file.read(0, file.names)
        assert rows.select([column.name for column in columns]).schema.types == [column.type for column in columns]


def test_what_no_row_has_is_in_frames_and_not_in_the_file(tmp_path: Path) -> None:
    """Unless rows had to be written before all of them were known."""
    snapshot = commit_runs(tmp_path, {"a": [1]})
    (path,) = (tmp_path / "stats").iterdir()
    assert "stats.mean" in pq.read_schema(path).names
    assert "stats.sum" not in pq.read_schema(path).names
    with open_table(tmp_path, snapshot.manifest.segments[0].tables["stats"]) as file:
        assert file.read(0, ["stats.sum"]).to_pydict() == {"stats.sum": [None]}
    for frame in (Cache(tmp_path).scan("stats"), select_runs(snapshot, "stats", [key_of("a")], "registered").lazy()):
        assert frame.select("stats.sum", "stats.mean").collect().rows() == [(None, 1.0)]


def test_runs_of_one_name_keep_it(tmp_path: Path) -> None:
    builder = StatsBuilder()
    for key, name in zip("abcd", ["one", "two", "one", "one"], strict=True):
        rows = builder.read(Chunk(bytearray(b"[{}]"), 0, 4, 0, 0, "$", Where(key, "stats.json")))
        builder.append(rows, [Owner(key, name)])
    writer = TableWriter(registry.table("stats"), tmp_path / "stats" / "x.parquet")
    writer.add(builder.flush())
    assert cells(tmp_path, writer.finish(), "run_spec.name") == [("one",), ("two",), ("one",), ("one",)]


def test_texts_that_differ_by_blanks_are_one(tmp_path: Path) -> None:
    """A dictionary that holds a value twice is not what Parquet's writers expect."""
    texts = JsonBuilder()
    texts.append(texts.convert([Raw(b'{"a": 1}'), Raw(b'{"a":1}'), Raw(b"[]")], exact=True))
    found = texts.array()
    assert found.dictionary.to_pylist() == ['{"a":1}', "[]"]
    assert found.to_pylist() == ['{"a":1}', '{"a":1}', "[]"]


def test_without_any_row_there_is_a_file_all_the_same(tmp_path: Path) -> None:
    entry = write_table(tmp_path)
    assert pq.read_table(tmp_path / entry.file.path).num_rows == entry.rows == 0


@pytest.mark.parametrize("held_bytes", [1, 1 << 30], ids=["file begun at once", "held back"])
def test_a_long_run_has_the_columns_that_occur_in_it(
    held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even `prob`, which does not occur before its second row group."""
    monkeypatch.setattr(segment_writer, "_HELD_BYTES", held_bytes)
    writer = TableWriter(registry.table("stats"), tmp_path / "stats" / "x.parquet", streamed=True)
    for rows in ([1], [{"prob": 0.5, "n": 1}], [2]):
        writer.add(stats_batch({"a": rows}))
    entry = writer.finish()
    assert [file.name for file in (tmp_path / "stats").iterdir()] == ["x.parquet"]
    expected = [(1.0, None, None), (None, 0.5, 1), (2.0, None, None)]
    assert cells(tmp_path, entry, "stats.mean", f"{OWN}.prob", f"{OWN}.n") == expected
    assert "stats.sum" not in pq.read_schema(tmp_path / entry.file.path).names


@pytest.mark.parametrize("held_bytes", [1, 1 << 30], ids=["file begun at once", "held back"])
def test_columns_that_turn_up_late_are_columns_of_the_whole_file(
    held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`n` is an integer, `t` a text, until the third row group; `late` does not occur before it."""
    monkeypatch.setattr(segment_writer, "_HELD_BYTES", held_bytes)
    groups: list[Runs] = [
        {"a": [{"n": 1, "t": "1"}]},
        {"b": [{"n": 2}, {"n": None}]},
        {"c": [{"n": "x", "t": 1, "late": 0.5}]},
        {"d": [{"other": [1]}]},
    ]
    entry = write_table(tmp_path, *groups)
    assert [file.name for file in (tmp_path / "stats").iterdir()] == ["x.parquet"]
    assert cells(tmp_path, entry, *(f"{OWN}.{name}" for name in ("n", "t", "late", "other"))) == [
        ("1", '"1"', None, None),
        ("2", None, None, None),
        (None, None, None, None),
        ('"x"', "1", 0.5, None),
        (None, None, None, [1]),
    ]
    metadata = pq.read_metadata(tmp_path / entry.file.path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [1, 2, 1, 1]
    assert list(entry.dynamic) == [f"{OWN}.{name}" for name in ("late", "n", "other", "t")]


@pytest.mark.parametrize("held_bytes", [1, 1 << 30], ids=["file begun at once", "held back"])
def test_columns_that_come_later_are_columns_of_all_rows(
    held_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_writer, "_HELD_BYTES", held_bytes)
    entry = write_table(
        tmp_path,
        {"1": [{"n": 1, "m": "x"}, 0.5, {"n": 5, "prob": "?"}]},
        {"2": [{"n": 2, "a": float("nan"), "z/": None}]},
    )
    assert list(entry.dynamic) == [f"{OWN}.a", f"{OWN}.m", f"{OWN}.n"]
    found = cells(tmp_path, entry, f"{OWN}.a", f"{OWN}.m", f"{OWN}.n", "magnet.extra")
    assert repr([row[0] for row in found]) == "[None, None, None, nan]"
    assert [row[1:3] for row in found] == [("x", 1), (None, None), (None, 5), (None, 2)]
    place = "/name/perturbation"
    assert [row[3] and json.loads(row[3]) for row in found] == [
        None,
        None,
        {f"{place}/prob": "?"},
        {f"{place}/z~1": None},
    ]


def test_a_segment_is_wide_once_a_table_has_as_many_columns_as_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MAX_DYNAMIC_COLUMNS", 3)
    writer = SegmentWriter(tmp_path)
    writer.add(stats_batch({"a": [{"m": 1, "n": 2}]}))
    assert not writer.is_wide
    writer.add(stats_batch({"b": [{"m": 1, "o": 2}]}))
    assert writer.is_wide
    writer.discard()


def test_the_run_list_tells_where_each_run_is(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path)
    writer.add(stats_batch({"c": [1, 2], "a": [3]}))
    builder = StatsBuilder()
    for values in ([4, 5], [6]):
        writer.add(stats_batch({"b": values}, builder=builder))
    for folder in "cabd":
        writer.add_run(run_entry(folder))
    assert writer.n_runs == 4
    segment = writer.finish()
    run_list = listed(tmp_path, segment.runs)
    assert [run.key for run in run_list.entries] == [key_of(folder) for folder in "abcd"]
    places = [run.tables["stats"] for run in run_list.entries[:3]]
    assert [(place.rows, place.group, place.groups, place.skip) for place in places] == [
        (1, 0, 1, 2),  # behind the two rows of `c`
        (3, 1, 2, 0),  # over two row groups
        (2, 0, 1, 0),
    ]
    assert len({place.profile for place in places}) == 1
    assert segment.n_runs == 4


def test_nothing_is_left_of_a_segment_that_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_writer, "_HELD_BYTES", 1)
    writer = SegmentWriter(tmp_path)
    writer.add(stats_batch({"a": [{"n": 1}]}))
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    writer.discard()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    writer = SegmentWriter(tmp_path)
    writer.add(stats_batch({"a": [1]}))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(CacheNotWritableError, match="No space left on device"):
        writer.finish()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_cache_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(CacheNotWritableError, match=r"cache cannot be written: Not a directory|File exists"):
        SegmentWriter(tmp_path / "cache")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def last_byte_of(path: Path, name: str) -> int:
    """Where the last page of a column ends, in the first row group."""
    group = pq.read_metadata(path).row_group(0)
    (column,) = (one for place in range(group.num_columns) if (one := group.column(place)).path_in_schema == name)
    begin = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    return int(begin + column.total_compressed_size - 1)


def test_a_flipped_bit_in_a_page_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    segment = make_segment(tmp_path, {"a": [1, 2, 3]})
    entry = segment.tables["stats"]
    path = check_digest(tmp_path, entry.file)
    flip(path, last_byte_of(path, "stats.mean"))
    with open_table(tmp_path, entry) as file:
        assert file.read(0, ["magnet.row"]).num_rows == 3
        with pytest.raises(CacheDamagedError, match="is damaged"):
            file.read(0, ["stats.mean"])


@pytest.mark.parametrize("at", [-1, -4, -8, -40], ids=["magic", "magic begins", "length", "footer"])
def test_a_flipped_bit_in_a_footer_is_noticed_when_the_file_is_opened(at: int, tmp_path: Path) -> None:
    entry = make_segment(tmp_path, {"a": [1]}).tables["stats"]
    flip(tmp_path / entry.file.path, at)
    with pytest.raises(CacheDamagedError, match="its content has changed"), open_table(tmp_path, entry):
        pass


def test_a_file_that_is_missing_or_of_another_size(tmp_path: Path) -> None:
    entry = commit_runs(tmp_path, {"a": [1]}).manifest.segments[0].runs
    path = tmp_path / entry.path
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(CacheDamagedError, match=f"it has {len(data) - 1} bytes, {len(data)} were written"):
        check_file(tmp_path, entry)
    path.unlink()
    with pytest.raises(CacheDamagedError, match="No such file"):
        check_file(tmp_path, entry)


def test_a_file_that_is_missing_because_the_cache_has_moved_on(tmp_path: Path) -> None:
    entry = commit_runs(tmp_path, {"a": [1]}).manifest.segments[0].runs
    commit_runs(tmp_path, {"a": [2]}, state=2)
    check_file(tmp_path, entry)
    (tmp_path / entry.path).unlink()
    with pytest.raises(SnapshotExpiredError, match="the cache has moved on"):
        check_file(tmp_path, entry)


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "stats").mkdir()
    path = tmp_path / "stats" / "x.parquet"
    path.write_bytes(b"PAR1 not really PAR1")
    entry = TableEntry(file_entry(path, tmp_path), 1, {})
    path.write_bytes(b"PAR1 not a bit, PAR1")
    with pytest.raises(CacheDamagedError, match=r"x\.parquet is damaged"), open_table(tmp_path, entry):
        pass


def test_a_column_does_not_bring_those_whose_names_it_begins(tmp_path: Path) -> None:
    """Parquet takes `a` for a group that holds `a.b`."""
    entry = write_table(tmp_path, {"a": [{"k": 1, "k.l": 2}]})
    with open_table(tmp_path, entry) as file:
        found = file.read(0, [f"{OWN}.k", "no.such"])
    assert found.column_names == [f"{OWN}.k"]
    assert found.schema.types == [pa.int64()]


def test_numbers_and_the_names_of_runs_have_statistics(tmp_path: Path) -> None:
    writer = TableWriter(registry.table("stats"), tmp_path / "stats" / "a.parquet")
    writer.add(stats_batch({"r:x=1": [0.25, 4.0]}))
    writer.finish()
    group = pq.ParquetFile(tmp_path / "stats" / "a.parquet").metadata.row_group(0)
    columns = {group.column(place).path_in_schema: group.column(place) for place in range(group.num_columns)}
    means = columns["stats.mean"].statistics
    assert (means.min, means.max) == (0.25, 4.0)
    assert columns["run_spec.name"].statistics.min == "name of r:x=1"
