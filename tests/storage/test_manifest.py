"""The manifest and the run lists as plain values, and what is said of those that can't be read."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from makesegment import commit_runs

from magnet_arrow.errors import CacheDamagedError, CacheVersionError, Rejected
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.sources.file import FileStamp
from magnet_arrow.storage import manifest
from magnet_arrow.storage.manifest import (
    Manifest,
    Profile,
    RejectedRun,
    RunEntry,
    RunList,
    Source,
    StoredRows,
    read_manifest,
)

STAMPS = (FileStamp("stats.json", 2**40, 2**62),)


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_manifest(tmp_path / "nothing") == Manifest()
    (tmp_path / "file").write_text("")
    assert read_manifest(tmp_path / "file") == Manifest()


@pytest.mark.parametrize(
    "value",
    [
        Manifest(),
        Manifest(
            sources=(Source("0a", "/dumps/é:x"),),
            rejected=(RejectedRun("0a", "v1", "a:b=[c]", STAMPS, Rejected(run="v1/a", file="x", reason="?")),),
        ),
        RunEntry(
            *("0a", "v1", "a:b", "a:b", STAMPS, {"stats": StoredRows(3, 1, 2, 4, 0)}),
            missing=("stats.json",),
            residual={"x": "{}"},
        ),
    ],
    ids=["empty", "manifest", "run"],
)
def test_values_are_read_as_they_were_written(value: object) -> None:
    assert manifest.decode(manifest.encode(value), type(value), Path("x")) == value


def test_a_profile_tells_kinds_as_flags() -> None:
    assert Profile("0", {"a": 1 | 4}).kinds() == {"a": Kind.INTEGER | Kind.FLOAT}


def test_a_run_is_known_by_its_place() -> None:
    assert RunEntry("0a", "v1", "folder", "other name", STAMPS, {}).key == "0a/v1/folder"


def test_nothing_that_is_written_says_where_the_cache_is(tmp_path: Path) -> None:
    commit_runs(tmp_path / "cache", {"a:x": [1]})
    texts = [path.read_bytes() for path in (tmp_path / "cache").rglob("*.json")]
    texts += [pa.input_stream(path, compression="zstd").read() for path in (tmp_path / "cache").rglob("*.zst")]
    assert len(texts) >= 2
    assert not any(str(tmp_path).encode() in text for text in texts)


def test_a_run_list_is_compressed_and_may_be_plain(tmp_path: Path) -> None:
    runs = RunList((Profile("0", {"a": 1}),), (RunEntry("0a", "v1", "folder", "name", STAMPS, {}),) * 9)
    packed, plain = manifest.run_list_bytes(runs), manifest.encode(runs)
    assert len(packed) < len(plain) / 4
    for data in (packed, plain):
        assert manifest.decode(data, RunList, tmp_path) == runs
    for data in (packed[:-9], packed[:9], packed[:30] + b"\xff" * 9 + packed[39:]):
        with pytest.raises(CacheDamagedError, match="is damaged"):
            manifest.decode(data, RunList, tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"[]", "is damaged"),
        (b'{"sources": []}', "is damaged"),
        (b'{"format": 1, "segments": 3}', "is damaged"),
        (b'{"format": 1, "sources": [{"id": "\xff", "path": ""}]}', "is damaged"),
    ],
    ids=["empty", "cut", "a list", "no format", "other types", "no UTF-8"],
)
def test_a_damaged_manifest_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(CacheDamagedError, match=words) as caught:
        read_manifest(tmp_path)
    assert str(tmp_path / "manifest.json") in str(caught.value)


def test_a_manifest_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(CacheDamagedError, match="is damaged: it is a folder"):
        read_manifest(tmp_path)


def test_a_cache_of_the_first_format_becomes_one_of_this(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format": 1, "segments": []}')
    assert manifest.manifest_bytes(read_manifest(tmp_path)).startswith(b'{"format":4,')


def test_a_cache_of_a_later_format_is_left_alone(tmp_path: Path) -> None:
    text = json.dumps({"format": manifest.FORMAT + 1, "segments": "another thing"})
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CacheVersionError, match=f"has format {manifest.FORMAT + 1}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "text", [b"", b'{"format":2}', b'{"format":2,"segments":[]}', b'{"format":1}', b'{"format":1,"sources":[]}']
)
def test_an_unsealed_manifest_is_no_empty_cache(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(CacheDamagedError, match="is damaged") as caught:
        manifest.read_manifest(tmp_path)
    assert "ingest the sources again" in str(caught.value)


def test_a_manifest_of_the_first_caches_has_no_seal(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'{"format":1,"sources":[],"segments":[]}')
    assert manifest.read_manifest(tmp_path) == Manifest()
