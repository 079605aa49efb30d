"""The manifest and the run lists: what a cache holds, as plain values, each read and written as a whole.

    <cache>/
      manifest.json            names all that counts, and its own digest in a line below; replaced atomically, the
                               only commit
      lock                     held while a commit is made
      runs/<segment>.zst       the run list of a segment, JSON compressed by zstd (the first caches have .json)
      deleted/<segment>.<n>.json   runs of it that no longer count
      <table>/<segment>.parquet    their rows, all runs of the segment, sorted by place
      fetched/                 copies of objects of buckets whose runs are not committed yet
      rates.json               how fast the last ingests were; may be lost (`rates`)
      damaged/<segment>        left by a reader that met a page unlike its checksum: the next ingest looks closer

All paths inside are relative, so a cache can be copied and moved. What the manifest does not name is invisible, and
is removed some time later (`vacuum`).
"""

import hashlib
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
from msgspec import Struct

from magnet_arrow.errors import CacheDamagedError, CacheNotReadableError, CacheVersionError, Rejected
from magnet_arrow.schema import registry
from magnet_arrow.schema.dynamic_types import Kind
from magnet_arrow.schema.registry import TABLES
from magnet_arrow.schema.table_choice import Choice, left_out, needs
from magnet_arrow.sources.file import Fingerprint, codec_of, plain_name

FORMAT = 4
"""What a reader must know of: 2 leaves columns without a value out of files, and compresses run lists; in 3 a run list
says which columns its profiles are about; in 4 a run may have been read for some tables only. Older ones are read too,
and become this one with the next commit."""
MANIFEST = "manifest.json"
LOCK = "lock"
MARKS = "damaged"
RUNS = "runs"
FETCHED = "fetched"
T = TypeVar("T")


class FileEntry(Struct, frozen=True):
    """An immutable file of the cache.

    Attributes:
        path: relative to the cache, `/` between its parts.
        size_bytes: as written.
        digest: BLAKE2b of the whole file; of a Parquet file of its footer, whose pages have checksums of their own.
        content_digest: of a Parquet file, BLAKE2b of the whole of it, which covers page headers too. `check` looks at
            it, and so does a failed read; a read compares its rows with the footer (`pages`).
    """

    path: str
    size_bytes: int
    digest: str
    content_digest: str | None = None


class Source(Struct, frozen=True):
    """An outputs folder that runs were ingested from.

    Attributes:
        id: random, given when the folder was first seen; kept when it moves.
        path: resolved, of this machine, or a URL; only used to find the source again.
        mirrors: folders of this machine into which an ingest put what it fetched of a bucket, by the same rules as
            `path`. Their runs are those of the source.
    """

    id: str
    path: str
    mirrors: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Where its runs may be found."""
        return (self.path, *self.mirrors)


class TableEntry(Struct, frozen=True):
    """One table of a segment.

    Attributes:
        file: its Parquet file.
        rows: in all, those of deleted runs included.
        dynamic: kinds of value in the stored columns that were found in the data, over all runs. The stored type
            follows from them (`dynamic_types.stored_type`).
    """

    file: FileEntry
    rows: int
    dynamic: dict[str, int]


class Segment(Struct, frozen=True):
    """Runs that were committed together.

    Attributes:
        schema_version: that of the columns, so that no run mixes two.
    """

    id: str
    tables: dict[str, TableEntry]
    runs: FileEntry
    n_runs: int
    deleted: FileEntry | None = None
    schema_version: int = 1

    @property
    def size_bytes(self) -> int:
        """Bytes of its tables."""
        return sum(table.file.size_bytes for table in self.tables.values())

    def files(self) -> Iterator[FileEntry]:
        """All its files."""
        yield from (table.file for table in self.tables.values())
        yield self.runs
        if self.deleted is not None:
            yield self.deleted


class RejectedRun(Struct, frozen=True):
    """A run that could not be ingested in the state it was in.

    Attributes:
        content: digest of its files' bytes; empty where an ingest was not asked to make one.
        strict: only an ingest that is strict rejects it.
    """

    source: str
    suite: str
    folder: str
    fingerprint: Fingerprint
    rejected: Rejected
    content: str = ""
    strict: bool = False

    @property
    def is_strict(self) -> bool:
        """Whether only an ingest that is strict rejects it; older caches say so in words alone."""
        return self.strict or "Without --strict" in (self.rejected.hint or "")

    @property
    def key(self) -> str:
        """What `magnet.run` would hold."""
        return run_key(self.source, self.suite, self.folder)


class Dropped(Struct, frozen=True, array_like=True):
    """A segment, or a deletion file, that an earlier manifest named.

    Attributes:
        stem: that of its files' names.
        time_s: seconds since 1970 when it was dropped, by the clock of the machine that committed.
    """

    stem: str
    time_s: int


class Manifest(Struct, frozen=True):
    """What the cache holds, and what it held not long ago.

    Attributes:
        gone: keys of runs in it whose folder an ingest saw to be gone. The first caches of this format do not say so.
    """

    format: int = FORMAT
    sources: tuple[Source, ...] = ()
    segments: tuple[Segment, ...] = ()
    rejected: tuple[RejectedRun, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    gone: tuple[str, ...] = ()

    def files_by_path(self) -> dict[str, FileEntry]:
        """All files that it names."""
        return {file.path: file for segment in self.segments for file in segment.files()}


class StoredRows(Struct, frozen=True, array_like=True, gc=False):
    """Where one run's rows of one table are, and what they have.

    Attributes:
        rows: how many.
        group: first row group that has some.
        groups: how many row groups.
        skip: rows of other runs before them in the first row group.
        profile: which entry of `RunList.profiles` tells what occurs in them.
    """

    rows: int
    group: int
    groups: int
    skip: int
    profile: int


class Profile(Struct, frozen=True):
    """What occurs in the rows of some runs.

    Attributes:
        occurs: bit set over `RunList.columns` of the table, in hexadecimal: those whose key is there, null or not.
        dynamic: kinds of value met in each column found in the data.
    """

    occurs: str
    dynamic: dict[str, int]

    def kinds(self) -> dict[str, Kind]:
        """The kinds as flags."""
        return {name: Kind(flags) for name, flags in self.dynamic.items()}


class RunEntry(Struct, frozen=True):
    """One run; or, without a folder, the files beside the runs of a suite.

    Attributes:
        source: id of its source.
        suite: suite folder.
        folder: run folder.
        name: `run_spec.name`.
        fingerprint: of its files, as they were read.
        tables: its rows by table.
        missing: files that it lacked, where it was ingested all the same.
        cut: files that ended early, and the byte up to which they were read.
        residual: what no row can hold, as JSON text by file: values by JSON pointer.
        not_kept: JSON files of its folder that are not in the cache: derived ones, and what is no text.
        elements: what the files with a table hold, by file, counted as they were decoded: each element is a row, and
            of per-instance stats each stat of an entry. `segments.writer` compares the rows written with it.
        rejected: what was excluded of files that ended early, and why files are missing; of a suite, which files are
            in no table, and why.
        content: digest of its files' bytes, made before they were read; empty where an ingest was not asked to make
            one. If they changed while they were read, it is not that of the rows: the next ingest reads the run again.
        chosen: tables that the run was read for; None for all. Files that none of them needs were left out.
    """

    source: str
    suite: str
    folder: str
    name: str
    fingerprint: Fingerprint
    tables: dict[str, StoredRows]
    missing: tuple[str, ...] = ()
    cut: dict[str, int] = {}
    residual: dict[str, str] = {}
    not_kept: tuple[str, ...] = ()
    elements: dict[str, int] = {}
    rejected: tuple[Rejected, ...] = ()
    content: str = ""
    chosen: tuple[str, ...] | None = None

    @property
    def choice(self) -> Choice:
        """The tables that it was read for."""
        return None if self.chosen is None else frozenset(self.chosen)

    @property
    def not_chosen(self) -> tuple[str, ...]:
        """Its files that were left out since no chosen table needs them, without the ending of compressed ones."""
        return () if self.chosen is None else _not_chosen(self.chosen, self._names, bool(self.folder))

    @property
    def not_fetched(self) -> tuple[str, ...]:
        """Its files that a mirror of a bucket need not have, without the ending of compressed ones."""
        return (*self.not_kept, *self.not_chosen)

    @property
    def tables_left_out(self) -> frozenset[str]:
        """Tables that lack its rows since they were not chosen."""
        return frozenset() if self.chosen is None else _tables_left_out(self.chosen, self._names, bool(self.folder))

    def has_all_of(self, choice: Choice) -> bool:
        """Whether none of some tables was left out."""
        return self.tables_left_out.isdisjoint(TABLES if choice is None else choice)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple([stamp.name for stamp in self.fingerprint])

    @property
    def lacking(self) -> tuple[Rejected, ...]:
        """What an incomplete run lacks: which file, from which byte, and why."""
        told = {plain_name(one.file): one for one in self.rejected}
        run = f"{self.suite}/{self.folder}"
        cut = [_cut(run, file, byte) for file, byte in self.cut.items() if plain_name(file) not in told]
        # Caches did not say why, once.
        missing = [_missing(run, file) for file in self.missing if file not in told]
        return tuple(sorted([*self.rejected, *cut, *missing], key=lambda one: one.file))

    def left_out(self, lacking: Rejected) -> str:
        """Which part of a file is lacking, in the words of `Cache.rejects`."""
        if not self.folder:
            return "file" if lacking.file in self.not_kept else "table"
        return "file" if plain_name(lacking.file) in self.missing else "rest of file"

    @property
    def is_partial(self) -> bool:
        """Whether the run is incomplete."""
        return bool(self.missing or self.cut)

    @property
    def key(self) -> str:
        """The run's place: what `magnet.run` holds."""
        return run_key(self.source, self.suite, self.folder)


# Both are asked for each run again and again, and thousands of runs have files of the same names.
@lru_cache(maxsize=256)
def _not_chosen(chosen: tuple[str, ...], names: tuple[str, ...], of_run: bool) -> tuple[str, ...]:
    choice, files = frozenset(chosen), sorted(set(map(plain_name, names)))
    return tuple(file for file in files if not needs(choice, file, of_run=of_run))


@lru_cache(maxsize=256)
def _tables_left_out(chosen: tuple[str, ...], names: tuple[str, ...], of_run: bool) -> frozenset[str]:
    return left_out(frozenset(chosen), map(plain_name, names), of_run=of_run)


def _cut(run: str, file: str, byte: int) -> Rejected:
    """The rejection of a file that ends after a complete element."""
    expected, found = "the end of the list", "the end of the file"
    reason, hint = f"expected {expected}, found {found}.", "What is complete before it was ingested."
    return Rejected(
        run=run, file=file, reason=reason, byte=byte, begin_byte=byte, expected=expected, found=found, hint=hint
    )


def _missing(run: str, file: str) -> Rejected:
    expected, found = "a file that can be a table", "none"
    return Rejected(run=run, file=file, reason=f"expected {expected}, found {found}.", expected=expected, found=found)


class RunList(Struct, frozen=True):
    """The runs of a segment, sorted by place, and the profiles they refer to.

    Attributes:
        columns: by table, the registered columns that the profiles' bits stand for, the lowest first. Without it they
            are all those of schema version 1.
    """

    profiles: tuple[Profile, ...]
    runs: tuple[RunEntry, ...]
    columns: dict[str, tuple[str, ...]] = {}


class Deleted(Struct, frozen=True):
    """Runs of a segment that no longer count, by key."""

    keys: tuple[str, ...]


def run_key(source: str, suite: str, folder: str) -> str:
    """A run's place as one text."""
    return f"{source}/{suite}/{folder}"


def read_manifest(cache: Path) -> Manifest:
    """The manifest as it is now; an empty one for a cache that is not there yet.

    Raises:
        CacheVersionError: written in a later format.
        CacheDamagedError: it is not what was written.
        CacheNotReadableError: the system refuses to read it.
    """
    data = read_bytes(cache)
    return Manifest() if data is None else parse_manifest(data, cache / MANIFEST)


def read_bytes(cache: Path) -> bytes | None:
    """The manifest's file as it is now; None for a cache that is not there yet.

    Raises:
        CacheDamagedError: it is no file.
        CacheNotReadableError: it is there, and the system refuses to read it.
    """
    path = cache / MANIFEST
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError as error:
        raise _damaged(path, "it is a folder") from error
    except (OSError, MemoryError, RuntimeError) as error:
        raise not_readable(path, error) from error


_RUN_LIST = re.compile(r"[0-9a-f]{16}\.(json|zst)")  # an outputs folder has a folder of this name too


def lost(cache: Path) -> CacheDamagedError | None:
    """The error for a cache without a manifest that has run lists: it had one before its first run."""
    try:
        if os.path.lexists(cache / MANIFEST) or not any(map(_RUN_LIST.fullmatch, os.listdir(cache / RUNS))):
            return None
    except OSError:
        return None
    return CacheDamagedError(
        f"{cache / MANIFEST} is missing.",
        hint="Put it back if there is a copy; else ingest the sources again. `magnet-arrow check` names the runs.",
    )


def not_readable(path: Path, error: BaseException) -> CacheNotReadableError:
    """The error for a file of the cache that the system refuses to read, though nothing says that it is damaged."""
    what = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    hint = (
        "Nothing was changed, and the file may be sound: see to the cause (rights, the disk, limits), then try again."
    )
    return CacheNotReadableError(f"{path} cannot be read: {what.rstrip('.')}.", hint=hint)


def parse_manifest(data: bytes, path: Path) -> Manifest:
    """A manifest's bytes as a value."""
    text, line_end, rest = data.partition(b"\n")
    head = decode(text, _Versioned, path)
    found = head.format
    if line_end and rest != _seal(text):
        raise _damaged(path, "its digest is another")
    if found > FORMAT:
        raise CacheVersionError(
            f"The cache {path.parent} has format {found}; this version reads formats up to {FORMAT}.",
            hint=_NEWER,
        )
    # Manifests of format 1 may have no such line. All of them say of segments, be it that there are none.
    if not line_end and (found > 1 or head.segments is msgspec.UNSET):
        raise _damaged(path, "it ends early")
    manifest = msgspec.structs.replace(decode(text, Manifest, path), format=FORMAT)
    newest = max((segment.schema_version for segment in manifest.segments), default=1)
    if newest > registry.SCHEMA_VERSION:
        raise CacheVersionError(
            f"The cache {path.parent} has schema version {newest}; this version reads {registry.SCHEMA_VERSION}.",
            hint=_NEWER,
        )
    return manifest


_NEWER = "Use a newer magnet_arrow, or another cache folder."


def manifest_bytes(manifest: Manifest) -> bytes:
    """A manifest as it is in its file: one line of JSON, and its digest in another, so that any change shows."""
    text = encode(manifest)
    return text + b"\n" + _seal(text)


def _seal(text: bytes) -> bytes:
    return b"blake2b " + hashlib.blake2b(text, digest_size=16).hexdigest().encode() + b"\n"


class _Versioned(Struct):
    format: int
    segments: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def decode(data: bytes, kind: type[T], path: Path) -> T:
    """One of the values of this module, from the bytes of a file of the cache.

    Raises:
        CacheDamagedError: it is not what was written.
    """
    try:
        return msgspec.json.decode(_unpacked(data), type=kind)
    except MemoryError as error:  # Arrow's is one of its own errors too
        raise not_readable(path, error) from error
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _unpacked(data: bytes) -> bytes:
    if codec_of(data) != "zstd":
        return data
    text: bytes = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return text


def run_list_path(cache: Path, segment: str) -> Path:
    """Where the run list of a new segment is written."""
    return cache / RUNS / f"{segment}.zst"


def run_list_bytes(runs: RunList) -> bytes:
    """A run list as it is in its file. Runs are much alike: that of `mmlu` has 18 kB instead of 213."""
    packed: bytes = pa.Codec("zstd", compression_level=1).compress(encode(runs), asbytes=True)
    return packed


def encode(value: Any) -> bytes:
    """A value of this module as it is in its file."""
    return msgspec.json.encode(value)


def _damaged(path: Path, error: Exception | str) -> CacheDamagedError:
    return CacheDamagedError(f"{path} is damaged: {error}.", hint="Move the cache away and ingest the sources again.")
