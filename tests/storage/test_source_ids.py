"""Which source a run belongs to: folders seen before, moved, copied, new."""

from pathlib import Path

import pytest
from makesegment import SUITE, make_segment, run_entry

from magnet_arrow.errors import SettingError
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import Fingerprint
from magnet_arrow.storage.manifest import Source
from magnet_arrow.storage.snapshot import Snapshot
from magnet_arrow.storage.source_ids import SourceIds
from magnet_arrow.storage.transaction import Transaction, commit_transaction


def stamped(source: Path, *folders: str, state: int = 1) -> list[tuple[RunPlace, Fingerprint]]:
    return [
        (RunPlace(source / "runs" / SUITE / one, source, SUITE, one), run_entry(one, state=state).fingerprint)
        for one in folders
    ]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    (tmp_path / "dump").mkdir()
    return tmp_path / "dump"


@pytest.fixture
def snapshot(dump: Path, tmp_path: Path) -> Snapshot:
    """The dump is known as `s0`, with the runs `a` and `b`."""
    segment = make_segment(tmp_path / "cache", {"a": [1], "b": [2]})
    return commit_transaction(tmp_path / "cache", Transaction(segment=segment, sources=[Source("s0", str(dump))]))


def test_a_folder_that_was_seen_before_keeps_its_id(snapshot: Snapshot, dump: Path) -> None:
    runs = stamped(dump, "a", "new", state=9)
    ids = SourceIds(snapshot, runs)
    assert [ids.id_of(place) for place, _ in runs] == ["s0", "s0"]
    assert ids.new == []


def test_a_folder_that_was_moved_keeps_its_id(snapshot: Snapshot, dump: Path, tmp_path: Path) -> None:
    dump.rename(tmp_path / "moved")
    runs = stamped(tmp_path / "moved", "a", "added later")
    ids = SourceIds(snapshot, runs)
    assert ids.new == [Source("s0", str(tmp_path / "moved"))]
    assert ids.id_of(runs[0][0]) == "s0"


def test_a_copy_beside_the_original_is_a_source_of_its_own(snapshot: Snapshot, tmp_path: Path) -> None:
    (source,) = SourceIds(snapshot, stamped(tmp_path / "copy", "a", "b")).new
    assert source.path == str(tmp_path / "copy")
    assert source.id != "s0"


@pytest.mark.parametrize("state", [1, 2], ids=["same", "changed"])
@pytest.mark.parametrize("folder", ["a", "other"])
def test_another_dump_does_not_take_over_the_id_of_one_that_is_gone(
    state: int, folder: str, snapshot: Snapshot, dump: Path, tmp_path: Path
) -> None:
    dump.rmdir()
    (source,) = SourceIds(snapshot, stamped(tmp_path / "another", folder, state=state)).new
    assert (source.id == "s0") == (folder == "a" and state == 1)


def test_one_changed_run_among_equal_ones_makes_it_another_dump(snapshot: Snapshot, dump: Path, tmp_path: Path) -> None:
    dump.rmdir()
    runs = stamped(tmp_path / "another", "a") + stamped(tmp_path / "another", "b", state=2)
    assert SourceIds(snapshot, runs).new[0].id != "s0"


def test_of_two_copies_of_a_dump_that_is_gone_one_takes_over_its_id(
    snapshot: Snapshot, dump: Path, tmp_path: Path
) -> None:
    dump.rmdir()
    new = SourceIds(snapshot, stamped(tmp_path / "x", "a", "b") + stamped(tmp_path / "y", "a", "b")).new
    assert [source.id == "s0" for source in new] == [True, False]


def test_new_ids_are_random(snapshot: Snapshot, tmp_path: Path) -> None:
    runs = stamped(tmp_path / "x", "c") + stamped(tmp_path / "y", "c")
    ids = {source.id for _ in range(2) for source in SourceIds(snapshot, runs).new}
    assert len(ids) == 4


BUCKET = filesystem.as_path("s3://bucket/lite")


@pytest.fixture
def mirrored(dump: Path, tmp_path: Path) -> Snapshot:
    """A bucket is known as `s0`, and the dump as its mirror."""
    segment = make_segment(tmp_path / "cache", {"a": [1], "b": [2]})
    source = Source("s0", str(BUCKET), (str(dump),))
    return commit_transaction(tmp_path / "cache", Transaction(segment=segment, sources=[source]))


def test_a_mirror_has_the_id_of_its_bucket(mirrored: Snapshot, dump: Path) -> None:
    runs = stamped(dump, "a") + stamped(BUCKET, "b")
    ids = SourceIds(mirrored, runs, {str(BUCKET): str(dump)})
    assert [ids.id_of(place) for place, _ in runs] == ["s0", "s0"]
    assert ids.new == []


def test_a_mirror_that_was_moved_keeps_the_id(mirrored: Snapshot, dump: Path, tmp_path: Path) -> None:
    dump.rename(tmp_path / "moved")
    assert SourceIds(mirrored, stamped(tmp_path / "moved", "a")).new == [
        Source("s0", str(BUCKET), (str(tmp_path / "moved"),))
    ]
    other = filesystem.as_path("s3://other/lite")
    assert SourceIds(mirrored, stamped(other, "a")).new[0].id != "s0", "a bucket is not moved"


def test_a_second_mirror_is_added(mirrored: Snapshot, dump: Path, tmp_path: Path) -> None:
    mirrors = {str(BUCKET): str(tmp_path / "second")}
    assert SourceIds(mirrored, stamped(BUCKET, "a"), mirrors).new == [
        Source("s0", str(BUCKET), (str(dump), str(tmp_path / "second")))
    ]


def test_a_folder_that_was_known_becomes_the_mirror_of_a_bucket(snapshot: Snapshot, dump: Path) -> None:
    (source,) = SourceIds(snapshot, stamped(BUCKET, "a"), {str(BUCKET): str(dump)}).new
    assert source == Source("s0", str(BUCKET), (str(dump),))


def test_a_mirror_is_not_made_where_runs_of_another_source_are(mirrored: Snapshot, dump: Path) -> None:
    other = filesystem.as_path("s3://other/lite")
    with pytest.raises(SettingError, match="has what was fetched from s3://bucket/lite"):
        SourceIds(mirrored, stamped(other, "a"), {str(other): str(dump)})
    dump.rmdir()
    sources = {source.id: source for source in SourceIds(mirrored, stamped(other, "a"), {str(other): str(dump)}).new}
    assert sources.pop("s0").mirrors == ()
    assert [source.mirrors for source in sources.values()] == [(str(dump),)]
