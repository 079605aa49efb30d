"""What is known of a file without reading it."""

import re

import msgspec


class FileStamp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Name, size and date of a file: if they differ, its content may.

    Attributes:
        name: of the file; in a list of all files below a folder, its path from there.
        size_bytes: as it is stored.
        mtime_ns: when it was written.
        tag: what the store of a bucket says of the content: S3's ETag; Google's generation with MD5 or CRC32C. Empty
            for a file of this machine.
    """

    name: str
    size_bytes: int
    mtime_ns: int
    tag: str = ""


Fingerprint = tuple[FileStamp, ...]
"""Stamps of a run's files, sorted by name. Inodes are left out: a copied dump keeps its cache."""

PACKED = " packed"
"""How the tag of an object ends that Google stores packed, and may send unpacked: its size says nothing then."""


_MD5 = re.compile(rf"(?:^|\d+ )([0-9a-f]{{32}})(?:{PACKED})?")


def md5_of(stamp: FileStamp) -> str | None:
    """The MD5 of an object as it is stored, where the store tells one. That of an encrypted one may be none."""
    found = _MD5.fullmatch(stamp.tag)
    return None if found is None else found[1]


def is_mirrored(listed: FileStamp, size_bytes: int, mtime_ns: int) -> bool:
    """Whether a file of this machine with this size and date is the mirror of an object as it was listed.

    A mirror has the date of the object, and its size too, unless it was unpacked.
    """
    return listed.mtime_ns == mtime_ns and (size_bytes >= listed.size_bytes or listed.tag.endswith(PACKED))


_MAX_RATIO = 400
"""Files of real dumps are at most 80 (gzip) and 130 (zstd -19) times as large unpacked; repeated text, 1,000 times."""
_ALWAYS_ALLOWED_BYTES = 64 << 20


def max_unpacked_bytes(packed_bytes: int) -> int:
    """How many bytes a file of this size may unpack to; what unpacks to more is there to fill memory or disk."""
    return max(_ALWAYS_ALLOWED_BYTES, _MAX_RATIO * packed_bytes)
