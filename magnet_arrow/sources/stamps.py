"""What is known of a file without reading it."""

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
