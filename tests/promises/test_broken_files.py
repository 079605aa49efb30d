"""What a file that is broken as a whole comes to: badly compressed, gigantic, empty, not readable, or being written."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rejections import VICTIM, assert_rejected, write_victim_and_sound

from magnet_arrow.cache import Cache
from magnet_arrow.decode import limits
from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import ingest
from magnet_arrow.restore.run_files import restore


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return write_victim_and_sound(tmp_path / "outputs")


@pytest.fixture
def victim(outputs: Path) -> Path:
    return outputs / "runs" / "made" / VICTIM


def compressed(data: bytes, codec: str) -> bytes:
    made: bytes = pa.Codec(codec).compress(data, asbytes=True) if codec == "zstd" else gzip.compress(data, mtime=0)
    return made


def flipped(data: bytes) -> bytes:
    """One bit in the middle is another; gzip has a checksum."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("name", RUN_FILES[1:])
@pytest.mark.parametrize(("ending", "codec"), [(".gz", "gzip"), (".zst", "zstd")])
def test_a_compressed_file_that_was_cut(
    name: str, ending: str, codec: str, outputs: Path, victim: Path, tmp_path: Path
) -> None:
    data = compressed((victim / name).read_bytes(), codec)
    (victim / name).unlink()
    (victim / f"{name}{ending}").write_bytes(data[:-9])
    report = ingest(outputs, tmp_path / "cache")
    assert_rejected(report, f"{name}{ending}", None, None, "a readable file", "Truncated compressed stream")


COMPRESSED: dict[str, tuple[str, Callable[[bytes], bytes], str | None, int | None, str, str]] = {
    "JSON called gzip": (".gz", lambda data: data, None, None, "a readable file", "zlib inflate failed"),
    "JSON called zstd": (".zst", lambda data: data, None, None, "a readable file", "ZSTD decompress failed"),
    "nothing called gzip": (".gz", lambda data: b"", "$", 0, "a JSON document", "an empty file"),
    "nothing in gzip": (".gz", lambda data: gzip.compress(b""), "$", 0, "a JSON document", "an empty file"),
    "a flipped bit": (".gz", lambda data: flipped(gzip.compress(data)), None, None, "a readable file", "zlib"),
    "garbage behind gzip": (".gz", lambda data: gzip.compress(data) + b"junk", None, None, "a readable file", "zlib"),
    "gzip in gzip": (".gz", lambda data: gzip.compress(gzip.compress(data, mtime=0)), "$", 0, "an array", r"'\x1f"),
    "a page in gzip": (".gz", lambda data: gzip.compress(b"<!DOCTYPE html>"), "$", 0, "an array", "'<!DOC"),
}


@pytest.mark.parametrize("what", COMPRESSED)
def test_a_compressed_file_that_is_none(what: str, outputs: Path, victim: Path, tmp_path: Path) -> None:
    ending, make, path, byte, expected, found = COMPRESSED[what]
    data = (victim / "stats.json").read_bytes()
    (victim / "stats.json").unlink()
    (victim / f"stats.json{ending}").write_bytes(make(data))
    assert_rejected(ingest(outputs, tmp_path / "cache"), f"stats.json{ending}", path, byte, expected, found)


def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits a thousandth of what they are."""
    monkeypatch.setattr(limits, "MAX_ELEMENT_BYTES", 256 << 10)
    monkeypatch.setattr(limits, "BLOCK_BYTES", 16 << 10)


BOMBS = {
    "run_spec.json": ("{", "$", "a JSON document", "one of more than 262 kB"),
    "stats.json": ("[{", "$[0]", "an element", "one of more than 262 kB"),
    "per_instance_stats.json": ("[{", "$[0]", "an element", "one of more than 262 kB"),
    "scenario_state.json": ('{"request_states": [{', "$.request_states[0]", "an element", "one of more than 262 kB"),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", BOMBS)
def test_one_gigantic_string_meets_a_limit(
    name: str, ending: str, outputs: Path, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With gzip it is a bomb: 4 MB of one letter are 4 kB."""
    limited(monkeypatch)
    opening, path, expected, found = BOMBS[name]
    data = f'{opening}"name": "'.encode() + b"a" * (4 << 20)
    if ending and name == "run_spec.json":
        pytest.skip("a folder without a run_spec.json is no run")
    (victim / name).unlink()
    (victim / f"{name}{ending}").write_bytes(gzip.compress(data) if ending else data)
    [rejected] = ingest(outputs, tmp_path / "cache").rejected
    assert (rejected.file, rejected.expected, rejected.found) == (f"{name}{ending}", expected, found)
    assert rejected.json_path == (None if name == "run_spec.json" else path)


@pytest.mark.parametrize("name", RUN_FILES[1:])
def test_of_a_file_that_ends_in_its_first_element_an_empty_array_is_left(
    name: str, outputs: Path, victim: Path, tmp_path: Path
) -> None:
    data = (victim / name).read_bytes()
    start = data.index(b'"request_states": [') if name == "scenario_state.json" else 0
    (victim / name).write_bytes(data[: data.index(b"{", start + 1) + 9])
    report = ingest(outputs, tmp_path / "cache", partial=True)
    assert (report.runs, report.partial) == (2, 1)
    snapshot = Cache(tmp_path / "cache").snapshot()
    run = next(run for run in snapshot.runs.values() if run.entry.folder == VICTIM)
    assert list(run.entry.cut) == [name]
    restored = json.loads((restore(snapshot, run, tmp_path / "restored") / name).read_bytes())
    assert (restored["request_states"] if name == "scenario_state.json" else restored) == []


def test_a_run_of_zero_bytes(outputs: Path, victim: Path, tmp_path: Path) -> None:
    for file in victim.iterdir():
        file.write_bytes(b"")
    report = ingest(outputs, tmp_path / "cache")
    assert_rejected(report, "run_spec.json", "$", 0, "a JSON document", "an empty file")
    assert ingest(outputs, tmp_path / "other", partial=True).rejected == report.rejected


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_file_without_permission(
    name: str, outputs: Path, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused by hand: the super-user may read everything."""
    refuse(monkeypatch, "open", victim / name)
    report = ingest(outputs, tmp_path / "cache")
    assert_rejected(report, name, None, None, "a readable file", "Permission denied")


def test_a_folder_without_permission(
    outputs: Path, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can't be told to be a run, so it is worth a word and no rejection; the others go in."""
    refuse(monkeypatch, "scandir", victim)
    refuse(monkeypatch, "open", victim)
    report = ingest(outputs, tmp_path / "cache")
    assert report.runs == 1
    told = [*report.notes, *map(str, report.rejected)]
    assert any(VICTIM in each and "ermission" in each for each in told)


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, path: Path) -> None:
    """A call of `os` finds no permission for a path and what is below it."""
    usual = getattr(os, call)

    def refusing(asked: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(asked, str | Path) and Path(asked).is_relative_to(path):
            raise PermissionError(13, "Permission denied", str(asked))
        return usual(asked, *rest, **options)

    monkeypatch.setattr(os, call, refusing)


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_run_that_is_written_all_the_while(
    name: str, outputs: Path, victim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole each time it is read, but never the same."""
    file = victim / name
    inode, size = file.stat().st_ino, file.stat().st_size
    readv = os.readv

    def growing(descriptor: int, buffers: Any) -> int:
        if os.fstat(descriptor).st_ino == inode and os.lseek(descriptor, 0, os.SEEK_CUR) == 0:
            with file.open("ab") as end:
                end.write(b"\n")
        return readv(descriptor, buffers)

    monkeypatch.setattr(os, "readv", growing)
    report = ingest(outputs, tmp_path / "cache")
    assert_rejected(
        report,
        name,
        None,
        None,
        "a run that stays as it is while it is read",
        "that the file was changed meanwhile",
    )
    assert file.stat().st_size > size + 1  # it was tried again
    monkeypatch.undo()
    assert ingest(outputs, tmp_path / "cache").rejected == ()
