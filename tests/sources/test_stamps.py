"""Stamps of files: caches of before and after there was a tag read each other's."""

import msgspec

from magnet_arrow.sources.stamps import FileStamp


class StampWithoutTag(msgspec.Struct, frozen=True, array_like=True):
    name: str
    size_bytes: int
    mtime_ns: int


def test_a_stamp_of_an_older_cache_has_no_tag() -> None:
    assert msgspec.json.decode(b'["stats.json",3,7]', type=FileStamp) == FileStamp("stats.json", 3, 7, "")


def test_an_older_version_reads_a_stamp_with_a_tag() -> None:
    data = msgspec.json.encode(FileStamp("stats.json", 3, 7, "etag"))
    assert msgspec.json.decode(data, type=StampWithoutTag) == StampWithoutTag("stats.json", 3, 7)


def test_another_tag_is_another_state() -> None:
    assert FileStamp("stats.json", 3, 7, "a") != FileStamp("stats.json", 3, 7, "b")
