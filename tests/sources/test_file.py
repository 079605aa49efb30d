"""One file of a dump: fingerprinted without reading, opened without waiting, read from the front."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from magnet_arrow.errors import BadFileError, Where
from magnet_arrow.sources import file as source_file
from magnet_arrow.sources.file import FileStamp, Fingerprint, SourceFile, fingerprint, is_same_fingerprint, is_unchanged

TEXT = b"0123456789"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stats.json").write_bytes(TEXT)
    return tmp_path


def test_a_fingerprint_has_name_size_and_date_of_every_json_file(folder: Path) -> None:
    (folder / "a.json").write_bytes(b"")
    for name in ("notes.txt", ".hidden.json"):
        (folder / name).write_bytes(b"x")
    os.utime(folder / "stats.json", ns=(1, 1_750_000_000_000_000_001))
    os.utime(folder / "a.json", ns=(1, 7_000_000_000))
    assert fingerprint(folder) == (
        FileStamp("a.json", 0, 7_000_000_000),
        FileStamp("stats.json", 10, 1_750_000_000_000_000_001),
    )


def test_a_fingerprint_opens_nothing_and_names_what_is_no_regular_file_too(folder: Path) -> None:
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    (folder / "loop.json").symlink_to(folder / "loop.json")
    assert [stamp.name for stamp in fingerprint(folder)] == ["folder.json", "pipe.json", "stats.json"]


def test_a_fingerprint_looks_into_folders_that_are_named(folder: Path) -> None:
    for name in ("groups/b.json", "groups/json/c.json", "others/d.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    names = [stamp.name for stamp in fingerprint(folder, ["groups", "groups/json", "missing"])]
    assert names == ["groups/b.json", "groups/json/c.json", "stats.json"]
    assert fingerprint(folder / "missing") == ()


@pytest.mark.parametrize("has_readv", [True, False], ids=["readv", "read, as on Windows"])
def test_reading_goes_on_where_the_last_read_ended(
    has_readv: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_file, "_HAS_READV", has_readv)
    data = bytearray(16)
    with SourceFile(folder, "stats.json", "suite/run") as file:
        assert file.size_bytes == 10
        assert file.read_into(memoryview(data)[:4]) == 4
        assert file.read_into(memoryview(data)[4:8]) == 4
        assert file.read_into(memoryview(data)[8:]) == 2
        assert file.read_into(memoryview(data)) == 0
    assert data == TEXT + bytes(6)


def test_looking_at_the_end_does_not_move_where_reading_goes_on(folder: Path) -> None:
    data = bytearray(3)
    with SourceFile(folder, "stats.json", "suite/run") as file:
        file.read_into(memoryview(data))
        assert file.tail(4) == b"6789"
        assert file.tail(99) == TEXT
        file.read_into(memoryview(data))
        assert data == b"345"
        with file.again() as second:
            second.read_into(memoryview(data))
            assert data == b"012"


def compressed(folder: Path, codec: str, suffix: str, data: bytes = TEXT) -> None:
    (folder / "stats.json").unlink()
    with pa.output_stream(str(folder / f"stats.json{suffix}"), compression=codec) as stream:
        stream.write(data)


@pytest.mark.parametrize(("codec", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_a_compressed_file_is_read_as_what_it_holds(codec: str, suffix: str, folder: Path) -> None:
    compressed(folder, codec, suffix)
    data = bytearray(16)
    with SourceFile(folder, "stats.json", "suite/run") as file:
        assert file.is_compressed
        assert file.where.file == f"stats.json{suffix}"
        assert file.read_into(memoryview(data)[:4]) == 4
        assert file.tail(4) == b""  # its end is not known before it is reached
        assert file.read_into(memoryview(data)[4:]) == 6
        with file.again() as second:
            assert second.read_into(memoryview(data)) == 10
    assert data.startswith(TEXT)
    assert [stamp.name for stamp in fingerprint(folder)] == [f"stats.json{suffix}"]


@pytest.mark.parametrize(("codec", "suffix"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_a_compressed_file_that_is_damaged_is_a_bad_file(codec: str, suffix: str, folder: Path) -> None:
    compressed(folder, codec, suffix, TEXT * 1000)
    path = folder / f"stats.json{suffix}"
    path.write_bytes(b"no such format" + path.read_bytes())
    with (
        SourceFile(folder, "stats.json", "suite/run") as file,
        pytest.raises(BadFileError, match="expected a readable file") as caught,
    ):
        file.read_into(memoryview(bytearray(20_000)))
    assert caught.value.where == Where("suite/run", f"stats.json{suffix}")


def test_a_plain_file_comes_before_a_compressed_one(folder: Path) -> None:
    with pa.output_stream(str(folder / "stats.json.gz"), compression="gzip") as stream:
        stream.write(b"other")
    with SourceFile(folder, "stats.json", "suite/run") as file:
        assert not file.is_compressed


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


@pytest.mark.parametrize(
    ("make", "expected", "found"),
    [
        pytest.param(Path.unlink, "a file", "none of this name", id="missing"),
        pytest.param(a_pipe, "a regular file", "a named pipe", id="pipe"),
        pytest.param(a_folder, "a regular file", "a folder", id="folder"),
        pytest.param(a_loop, "a readable file", "Too many levels of symbolic links", id="loop of links"),
    ],
)
def test_only_regular_files_are_opened(make: Callable[[Path], None], expected: str, found: str, folder: Path) -> None:
    make(folder / "stats.json")
    with pytest.raises(BadFileError) as caught:
        SourceFile(folder, "stats.json", "suite/run")
    assert caught.value.where == Where("suite/run", "stats.json")
    assert (caught.value.expected, caught.value.found) == (expected, found)


def test_a_refused_file_is_not_left_open(folder: Path) -> None:
    a_folder(folder / "stats.json")
    before = os.listdir("/proc/self/fd") if Path("/proc/self/fd").is_dir() else []
    with pytest.raises(BadFileError):
        SourceFile(folder, "stats.json", "suite/run")
    assert before == (os.listdir("/proc/self/fd") if before else [])


def test_a_disk_that_fails_is_a_bad_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "readv", fail)
    with (
        SourceFile(folder, "stats.json", "suite/run") as file,
        pytest.raises(BadFileError, match="found Input/output error") as caught,
    ):
        file.read_into(memoryview(bytearray(4)))
    assert caught.value.where == Where("suite/run", "stats.json")


OBJECTS = (FileStamp("a.json", 10, 1_000, "etag"), FileStamp("b.json.gz", 20, 2_000, "etag packed"))
FILES = (FileStamp("a.json", 10, 1_000), FileStamp("b.json.gz", 15, 2_000))


@pytest.mark.parametrize(
    ("files", "may_lack", "is_same"),
    [
        pytest.param(FILES, (), True, id="size and date"),
        pytest.param((FileStamp("a.json", 11, 1_000), FILES[1]), (), True, id="unpacked"),
        pytest.param((FileStamp("a.json", 9, 1_000), FILES[1]), (), False, id="cut"),
        pytest.param((FileStamp("a.json", 10, 1_001), FILES[1]), (), False, id="another date"),
        pytest.param(FILES[:1], (), False, id="one is missing"),
        pytest.param(FILES[:1], ("b.json",), True, id="one was not fetched"),
        pytest.param((*FILES, FileStamp("c.json", 1, 1)), (), False, id="one more"),
    ],
)
def test_a_mirror_is_compared_with_its_bucket_without_tags(
    files: Fingerprint, may_lack: tuple[str, ...], is_same: bool, tmp_path: Path
) -> None:
    assert is_same_fingerprint(OBJECTS, files, may_lack) == is_same
    for file in files:
        (tmp_path / file.name).write_bytes(b" " * file.size_bytes)
        os.utime(tmp_path / file.name, ns=(file.mtime_ns, file.mtime_ns))
    assert is_unchanged(tmp_path, OBJECTS, may_lack) == is_same
    # What was read of the mirror, and the bucket then: it may have more than the mirror had.
    assert is_same_fingerprint(files, OBJECTS, may_lack) == (is_same and len(files) == 2)


def test_two_states_of_a_bucket_or_of_a_folder_are_compared_as_they_are() -> None:
    assert not is_same_fingerprint(OBJECTS, (FileStamp("a.json", 10, 1_000, "other"), OBJECTS[1]))
    assert not is_same_fingerprint(FILES, FILES[:1], ("b.json",))
