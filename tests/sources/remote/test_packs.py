"""Packs of copies: what is read is what was written, whatever a process that was killed left in them."""

import os
from pathlib import Path

import pytest

from magnet_arrow.sources.remote import packs
from magnet_arrow.sources.remote.packs import Packs, as_file, discard
from magnet_arrow.sources.remote.spool import Spool
from magnet_arrow.sources.stamps import FileStamp

COPIES = {f"{number:016x}": bytes([number]) * number for number in range(1, 6)}
A, B, C, D, E = COPIES


def read(found: Packs, name: str) -> bytes | None:
    """A copy; there is room for a byte more."""
    room = bytearray(b"?" * 10)
    count = found.read_into(name, memoryview(room))
    assert count is None or room[count:] == b"?" * (10 - count)
    return None if count is None else bytes(room[:count])


def written(folder: Path, *names: str) -> Packs:
    """Packs into which another process has written these copies."""
    new = Packs(folder)
    for name in names:
        new.write(name, COPIES[name])
    return new


def test_copies_are_read_by_who_wrote_them_and_by_the_next_process(tmp_path: Path) -> None:
    folder = tmp_path / "made when it is needed"
    own = written(folder, *COPIES)
    assert {name: read(own, name) for name in COPIES} == COPIES
    assert len(list(folder.iterdir())) == 1
    assert {name: read(Packs(folder), name) for name in COPIES} == COPIES
    assert Packs(folder).sizes() == {name: len(data) for name, data in COPIES.items()}
    assert read(Packs(folder), "f" * 16) is None


@pytest.mark.parametrize("recent_bytes", [0, 3, 1000])
def test_what_was_written_is_read_from_memory_once_and_then_from_the_disk(
    recent_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "_RECENT_BYTES", recent_bytes)
    own = written(tmp_path, *COPIES)
    for path in tmp_path.iterdir():
        path.rename(tmp_path / "hidden")
    fit = {0: [], 3: [A, B], 1000: [*COPIES]}[recent_bytes]
    assert [name for name in COPIES if read(own, name) == COPIES[name]] == fit
    (tmp_path / "hidden").rename(path)
    assert {name: read(own, name) for name in COPIES} == COPIES


@pytest.mark.parametrize("lost_bytes", range(1, 22))
def test_a_copy_that_was_not_written_to_its_end_is_none(lost_bytes: int, tmp_path: Path) -> None:
    written(tmp_path, A, B, E)
    [path] = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - lost_bytes)
    found = Packs(tmp_path)
    assert [name in found for name in (A, B, E)] == [True, True, False]
    assert [read(found, name) for name in (A, B, E)] == [COPIES[A], COPIES[B], None]
    found.write(E, COPIES[E])
    assert read(Packs(tmp_path), E) == COPIES[E], "not behind the rest of the other one"


def test_after_an_error_nothing_is_written_behind_half_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = written(tmp_path, A)

    def full_disk(descriptor: int, data: memoryview) -> None:
        os.write(descriptor, data[:20])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(packs, "write_all", full_disk)
        with pytest.raises(OSError, match="No space"):
            own.write(E, COPIES[E])
    assert E not in own
    own.write(B, COPIES[B])
    assert Packs(tmp_path).sizes() == {A: 1, B: 2}


def test_a_pack_goes_with_the_last_of_its_copies(tmp_path: Path) -> None:
    written(tmp_path, A, B)
    written(tmp_path, C)
    discard(tmp_path, {A, C})
    assert len(list(tmp_path.iterdir())) == 1
    assert Packs(tmp_path).sizes() == {B: 2}, "though each pack is read again by another process"
    discard(tmp_path, {B})
    assert not list(tmp_path.iterdir())


def test_a_pack_that_goes_while_it_is_read_or_written_takes_its_copies_with_it(tmp_path: Path) -> None:
    own = written(tmp_path, A, B)
    other = Packs(tmp_path)
    discard(tmp_path, {A, B})
    assert read(other, A) is None
    own.write(C, COPIES[C])
    assert read(own, C) == COPIES[C] == read(Packs(tmp_path), C)


def test_a_copy_whose_pack_is_gone_is_not_taken_for_one_that_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "_RECENT_BYTES", 0)
    own = written(tmp_path, A, B)
    discard(tmp_path, {A, B})  # by another process, which has ingested the same run
    own.write(C, COPIES[C])
    assert [read(own, name) for name in (A, B, C)] == [None, None, COPIES[C]]


def test_a_full_pack_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_PACK_BYTES", 30)
    written(tmp_path, *COPIES)
    headers = 17
    first, second = 2 * headers + 1 + 2, 2 * headers + 3 + 4
    assert sorted(path.stat().st_size for path in tmp_path.iterdir()) == [headers + 5, first, second]
    assert {name: read(Packs(tmp_path), name) for name in COPIES} == COPIES


@pytest.mark.parametrize("is_linux", [True, False])
def test_a_copy_is_read_as_a_file(is_linux: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_linux:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with open(as_file(b"data"), "rb") as file:
        assert file.read() == b"data"


def test_small_copies_are_packed_and_large_and_compressed_ones_are_files(tmp_path: Path) -> None:
    spool = Spool(tmp_path, Packs(tmp_path))
    small, large = FileStamp("small", 3, 0, "a"), FileStamp("large", 1 << 20, 0, "b")
    compressed = FileStamp("compressed", 3, 0, "c packed")
    for stamp, size in ((small, 3), (large, 1 << 20), (compressed, 7)):
        copy = spool.copy_of(f"s3://bucket/{stamp.name}", stamp)
        assert (copy.is_there, copy.open()) == (False, None)
        copy.write(bytes(size))
        assert copy.is_there
        with open(copy.open() or -1, "rb") as file:
            assert file.read() == bytes(size)
        assert copy.read_into(memoryview(bytearray(size + 1))) == size
    assert sorted(path.stat().st_size for path in tmp_path.iterdir()) == [7, 17 + 3, 1 << 20]
    wanted = [(f"s3://bucket/{stamp.name}", stamp) for stamp in (small, large, compressed)]
    assert Spool(tmp_path).bytes_of(wanted) == 3 + (1 << 20) + 3
    Spool(tmp_path).remove_all(wanted)
    assert not tmp_path.exists()
