"""Files of a source compared with those rebuilt from a cache: bytes first, and values if the bytes differ.

In: runs that both have. Out: the findings, as values that can cross process borders.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from magnet_arrow._text import as_size
from magnet_arrow.checks.json_diff import Comparison, n_values, n_values_of_text
from magnet_arrow.decode.limits import BLOCK_BYTES
from magnet_arrow.errors import CacheDamagedError, CacheError, Where
from magnet_arrow.helm.declared_types import ListOf, Object, Shape, file_shape
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.ingestion.plan import has_fingerprint
from magnet_arrow.ingestion.reading import where_of
from magnet_arrow.ingestion.run_reader import stamps_of
from magnet_arrow.query.stored_tables import StoredTables
from magnet_arrow.restore.run_files import RebuiltFile, RunFiles
from magnet_arrow.sources import filesystem, remote_copies
from magnet_arrow.sources.file import FileStamp, Fingerprint, codec_of, max_unpacked_bytes, plain_name
from magnet_arrow.storage.manifest import Manifest
from magnet_arrow.storage.snapshot import CachedRun, Snapshot


@dataclass(frozen=True, slots=True)
class NotCovered:
    """A file or folder that is not compared.

    Attributes:
        path: `suite/run/file`; the absolute path if it belongs to no run or suite.
        reason: a few words, the same for all of a kind.
        is_loss: the cache should have it, and does not.
    """

    path: str
    reason: str
    is_loss: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A run, or the files beside the runs of a suite, in the source and in the cache.

    Attributes:
        place: in the source.
        run: in the cache.
        names: of the files that both have: the name in the cache, and the name in the source.
        listed: all files in the source, if it is a bucket.
    """

    place: RunPlace
    run: CachedRun
    names: dict[str, str]
    listed: Fingerprint = ()

    @property
    def wanted(self) -> list[FileStamp]:
        """Those of the listed files that are compared."""
        names = set(self.names.values())
        return [stamp for stamp in self.listed if stamp.name in names]

    @property
    def size_bytes(self) -> int:
        """Bytes of these files in the source; a file whose size the system does not tell counts as empty."""
        return sum(map(self.size_of, self.names))

    def size_of(self, name: str) -> int:
        """Bytes of one of them."""
        try:
            return filesystem.status(self.place.path / self.names[name]).st_size
        except OSError:
            return 0


@dataclass(slots=True)
class Found:
    """What a comparison of some runs found.

    Attributes:
        comparison: the differences, and how many values were compared.
        not_covered: files that were not compared, and why.
        notes: sentences for the report.
        n_runs: runs that were compared.
        n_files: files that were compared.
        n_exact: files that are rebuilt byte for byte.
    """

    comparison: Comparison = field(default_factory=Comparison)
    not_covered: list[NotCovered] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    n_runs: int = 0
    n_files: int = 0
    n_exact: int = 0

    def add(self, other: "Found") -> None:
        """Add what was found in runs that come after these."""
        self.comparison.add(other.comparison)
        self.not_covered += other.not_covered
        self.notes += other.notes
        self.n_runs += other.n_runs
        self.n_files += other.n_files
        self.n_exact += other.n_exact


def compare_runs(
    cache: Path, manifest: Manifest, pairs: Sequence[Pair], on_file: Callable[[Pair, str], None] | None = None
) -> Found:
    """Rebuild the files of some runs, and compare them with the source.

    Args:
        cache: its folder.
        manifest: the commit that is read.
        pairs: the runs; those that share row groups are best next to each other.
        on_file: called after each file.
    """
    stored = StoredTables(Snapshot(cache, manifest))
    work = _Work(on_file)
    for pair in pairs:
        filesystem.know(pair.place.path, pair.listed)
    wanted = [(pair.place.path, pair.wanted) for pair in pairs]
    with remote_copies.fetching_ahead(None, wanted):
        for pair in pairs:
            work.compare(pair, RunFiles(stored, pair.run))
    return work.found


@dataclass(slots=True)
class _Work:
    on_file: Callable[[Pair, str], None] | None
    found: Found = field(default_factory=Found)

    def compare(self, pair: Pair, files: RunFiles) -> None:
        """Compare the files of one run."""
        before = self.found.comparison.n_differences
        for name in pair.names:
            self._compare(pair, files, name)
            if self.on_file is not None:
                self.on_file(pair, name)
        self.found.n_runs += bool(pair.place.folder)
        is_other = self.found.comparison.n_differences > before
        if is_other and not has_fingerprint(pair.run.entry, stamps_of(pair.place)):
            self.found.notes.append(f"{where_of(pair.place)} has changed since it was ingested.")

    def _compare(self, pair: Pair, files: RunFiles, name: str) -> None:
        """Compare one file."""
        where = Where(where_of(pair.place), pair.names[name])
        cut_at = pair.run.entry.cut.get(name)
        self.found.n_files += 1
        try:
            data = _read(pair.place.path / pair.names[name])
            if cut_at is not None:
                reason = "ends early: compared up to there"
                self.found.not_covered.append(
                    NotCovered(f"{where.run}/{where.file} from byte {cut_at}", reason, is_loss=True)
                )
                data = _closed(data[:cut_at])
            rebuilt = files.rebuild(name)
            if _is_exact(data, rebuilt):
                self.found.n_exact += 1
                self.found.comparison.values += (
                    n_values_of_text(data) if rebuilt.text is None else n_values(_parsed(data))
                )
            else:  # its list can be rebuilt only once
                self._compare_values(where, data, files.rebuild(name))
        except CacheDamagedError as error:
            self.found.comparison.note(where, "a file", f"a damaged one ({error.reason})")
        except CacheError:  # nobody knows what the cache holds
            raise
        except (OSError, ValueError, RecursionError) as error:
            self.found.comparison.note(where, f"a file that cannot be read ({error})", "one that could be")

    def _compare_values(self, where: Where, data: bytes, rebuilt: RebuiltFile) -> None:
        """Compare a file with what was rebuilt of it, value by value."""
        shape = file_shape(plain_name(where.file or ""))
        if rebuilt.text is not None:
            self.found.comparison.compare(where, _parsed(data), _parsed(rebuilt.text.encode()), shape)
            return
        source = json.loads(data.decode("utf-8-sig"))
        if rebuilt.elements is None:
            self.found.comparison.compare(where, source, rebuilt.document, shape)
            return
        listed = source
        if rebuilt.key is not None:
            listed = source.pop(rebuilt.key, None) if isinstance(source, dict) else None
            rest = {name: value for name, value in rebuilt.document.items() if name != rebuilt.key}
            if rest or source:
                self.found.comparison.compare(where, source, rest, shape)
        self.found.comparison.elements(where, listed, rebuilt.elements, _member_shape(shape, rebuilt.key), rebuilt.key)


def _read(path: Path) -> bytes:
    """A file's content."""
    if not filesystem.is_file(path):
        raise ValueError("no regular file")
    data = filesystem.read_bytes(path)
    codec = codec_of(data)
    if codec is None:
        return data
    most = max_unpacked_bytes(len(data))
    plain = io.BytesIO()
    with pa.CompressedInputStream(pa.BufferReader(data), codec) as file:
        # In blocks: Arrow asks for memory for all that it is told to read, 40 GB for a packed file of 100 MB.
        while plain.tell() <= most and (block := file.read(BLOCK_BYTES)):
            plain.write(block)
    if plain.tell() > most:
        raise ValueError(f"it unpacks to more than {as_size(most)}")
    return plain.getvalue()


def _closed(data: bytes) -> bytes:
    """A file that ends early after an element, with the brackets that close it."""
    data = data.rstrip(b", \t\r\n")
    return data + (b"]}" if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else b"]")


def _parsed(data: bytes) -> Any:
    """The JSON value of a file that was kept as text; the text itself if it is no JSON."""
    text = data.decode("utf-8")
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return text


def _is_exact(data: bytes, rebuilt: RebuiltFile) -> bool:
    """Whether a file is rebuilt byte for byte. The rebuilding stops at the first byte that differs."""
    size_bytes = 0
    for text in rebuilt.texts():
        if not data.startswith(part := text.encode(), size_bytes):
            return False
        size_bytes += len(part)
    return size_bytes == len(data)


def _member_shape(shape: Shape, key: str | None) -> Shape:
    if key is None:
        return shape
    fields = shape.fields if isinstance(shape, Object) else ()
    return next((field.shape for field in fields if field.name == key), ListOf(file_shape("")))
