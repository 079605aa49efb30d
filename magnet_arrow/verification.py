"""Proof that a cache can stand in for its source: every file is rebuilt and compared with the one that is there.

Neither our list of runs nor our decoder has a say: a source is walked folder by folder, and its files are parsed by
Python's `json`, as by HELM's own reader. So a run or a file that ingestion overlooked is a difference.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from magnet_arrow.cache.snapshot import CachedRun, Snapshot
from magnet_arrow.cache.store import Cache
from magnet_arrow.comparison import Comparison, Difference, n_values, n_values_of_text
from magnet_arrow.errors import CacheDamagedError, Rejected, Where
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.helm.run_place import is_utf8, place_of
from magnet_arrow.helm.shapes import ListOf, Object, Shape, file_shape
from magnet_arrow.helm.source import plain_name
from magnet_arrow.restoring import RebuiltFile, RunFiles
from magnet_arrow.runs import stamps_of, where_of, why_not_kept
from magnet_arrow.stored import StoredTables
from magnet_arrow.taking import Progress

_NOT_OURS = "no JSON file of a run or a suite"
_SUITE_FOLDERS = frozenset({"", "groups", "groups/json"})
"""Folders whose JSON files a suite is expected to have in the cache; of a run, only its own."""


@dataclass(frozen=True, slots=True)
class NotCovered:
    """A file, or a folder, that is not compared.

    Attributes:
        path: `suite/run/file`; the whole path where it is nobody's.
        reason: a few words, the same for all of a kind.
        is_loss: the cache should have it, and does not.
    """

    path: str
    reason: str
    is_loss: bool = False


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found.

    Attributes:
        runs: runs that were compared.
        files: files that were compared.
        values: values in these files, the empty objects and lists among them.
        n_differences: places where source and cache are not the same.
        differences: the first 1,000 of them.
        rejected: runs that are not in the cache because they cannot be taken, and why.
        not_covered: files that were not compared, and why.
        exact: files that come back byte for byte; of a compressed one its content.
        notes: what is worth a word.
        seconds: how long it took.
    """

    runs: int
    files: int
    values: int
    n_differences: int
    differences: tuple[Difference, ...]
    rejected: tuple[Rejected, ...]
    not_covered: tuple[NotCovered, ...]
    exact: int
    notes: tuple[str, ...]
    seconds: float

    @property
    def is_equal(self) -> bool:
        """Whether the cache can stand in for all runs of the source."""
        return not (self.n_differences or self.rejected or any(file.is_loss for file in self.not_covered))

    @property
    def exact_share(self) -> float:
        """Share of the files that come back byte for byte, 0 to 1."""
        return self.exact / self.files if self.files else 0.0


def verify(
    source: layout.Source,
    cache: Cache | str | os.PathLike[str] | None = None,
    *,
    follow_links: bool = True,
    progress: Callable[[Progress], None] | None = None,
) -> VerifyReport:
    """Rebuild every file of a source from the cache, and compare it with what is there.

    Nothing is ingested: a run that the cache does not have is a difference. What may differ is listed at
    `comparison.Comparison`.

    Args:
        source: as for `ingest`.
        cache: the cache or its folder; None for the default one.
        follow_links: as for `ingest`.
        progress: called now and then.

    Raises:
        SourceNotFoundError: nothing there, or no run in it.
        CacheDamagedError: the manifest or a run list cannot be read. What is wrong with a table is a difference.

    >>> import magnet_arrow, tempfile
    >>> outputs = magnet_arrow.HelmOutputs.demo().path
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     _ = magnet_arrow.ingest(outputs, cache)
    ...     report = magnet_arrow.verify(outputs, cache)
    >>> report.runs, report.n_differences
    (9, 0)
    """
    begin = time.monotonic()
    snapshot = Cache.coerce(cache).snapshot()
    work = _Work(snapshot, StoredTables(snapshot), progress)
    work.list(source, follow_links=follow_links)
    work.carry_out()
    comparison = work.comparison
    return VerifyReport(
        runs=work.n_runs,
        files=work.n_files,
        values=comparison.values,
        n_differences=comparison.n_differences,
        differences=tuple(comparison.differences),
        rejected=tuple(work.rejected),
        not_covered=tuple(work.not_covered),
        exact=work.n_exact,
        notes=tuple(work.notes),
        seconds=time.monotonic() - begin,
    )


@dataclass(slots=True)
class _Pair:
    """A run, or what stands beside the runs of a suite, in the source and in the cache.

    Attributes:
        place: in the source.
        run: in the cache.
        files: what the cache has.
        names: of the files that both have, as the cache calls them: what the source does.
    """

    place: RunPlace
    run: CachedRun
    files: RunFiles
    names: dict[str, str]

    @property
    def size_bytes(self) -> int:
        return sum(map(self.size_of, self.names))

    def size_of(self, name: str) -> int:
        """Bytes of a file of the source."""
        try:
            return os.stat(self.place.path / self.names[name]).st_size
        except OSError:
            return 0


@dataclass(slots=True)
class _Work:
    snapshot: Snapshot
    stored: StoredTables
    progress: Callable[[Progress], None] | None
    comparison: Comparison = field(default_factory=Comparison)
    rejected: list[Rejected] = field(default_factory=list)
    not_covered: list[NotCovered] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pairs: list[_Pair] = field(default_factory=list)
    n_runs: int = 0
    n_files: int = 0
    n_exact: int = 0

    def list(self, source: layout.Source, *, follow_links: bool) -> None:
        """Walk the source: what is to be compared, and what can't be."""
        found = layout.find_all(source, follow_links=follow_links)
        self.notes += found.notes
        self.rejected += found.rejected
        walk = _Walk({place.path: place for place in found.places}, follow_links)
        for root in found.roots:
            walk.visit(root)
        for folder in list(walk.known):
            walk.visit(folder, runs=False)
        self.not_covered += walk.not_covered
        for place, names in walk.files.items():
            self._sort_out(place, sorted(names))

    def _sort_out(self, place: RunPlace, names: Sequence[str]) -> None:
        """Decide what becomes of the files of a run or a suite."""
        key = self.snapshot.key_of(place) or ""
        run = self.snapshot.entries.get(key)
        if key in self.snapshot.rejected:
            self.rejected.append(self.snapshot.rejected[key].rejected)
        elif run is not None:
            self._pair_up(place, run, names)
        elif place.folder:
            self.comparison.note(Where(where_of(place)), "a run", "none at this place")
        else:
            self._leave_out(place, names)

    def _pair_up(self, place: RunPlace, run: CachedRun, names: Sequence[str]) -> None:
        files = RunFiles(self.stored, run)
        # Of a file and a compressed copy of it the first is read: it is shorter by the ending.
        there = {plain_name(name): name for name in sorted(names, key=len, reverse=True)}
        pair = _Pair(place, run, files, {name: there[name] for name in files.names if name in there})
        self.pairs.append(pair)
        for name in files.names:
            if name not in there:
                self.comparison.note(Where(where_of(place), name), "no such file", "one")
        dropped = [there[name] for name in run.entry.not_kept if name in there]
        self.not_covered += [
            NotCovered(f"{where_of(place)}/{name}", why_not_kept(plain_name(name))) for name in dropped
        ]
        self._leave_out(place, sorted(set(names) - set(dropped) - set(pair.names.values())))

    def _leave_out(self, place: RunPlace, names: Sequence[str]) -> None:
        """Files that the cache does not have."""
        for name in names:
            if plain_name(name) != name and plain_name(name) in names:
                self.not_covered.append(NotCovered(f"{where_of(place)}/{name}", "a compressed copy"))
            elif _is_expected(place, plain_name(name)):
                self.comparison.note(Where(where_of(place), name), "a file", "none of this name")
            else:
                self.not_covered.append(NotCovered(f"{where_of(place)}/{name}", _NOT_OURS))

    def carry_out(self) -> None:
        """Compare all that is to be compared."""
        total = sum(pair.size_bytes for pair in self.pairs)
        n_runs = sum(bool(pair.place.folder) for pair in self.pairs)
        done = 0
        for pair in self.pairs:
            before = self.comparison.n_differences
            for name in pair.names:
                self._compare(pair, name)
                done += pair.size_of(name)
                self._tell(Progress(min(done, total), total, self.n_runs, n_runs, where_of(pair.place), 0))
            self.n_runs += bool(pair.place.folder)
            changed = stamps_of(pair.place) != pair.run.fingerprint
            if changed and self.comparison.n_differences > before:
                self.notes.append(f"{where_of(pair.place)} has changed since it was ingested.")
        self._tell(Progress(total, total, n_runs, n_runs, "", len(self.rejected)))

    def _tell(self, progress: Progress) -> None:
        if self.progress is not None:
            self.progress(progress)

    def _compare(self, pair: _Pair, name: str) -> None:
        """Compare one file."""
        where = Where(where_of(pair.place), pair.names[name])
        cut_at = pair.run.entry.cut.get(name)
        self.n_files += 1
        try:
            data = _read(pair.place.path / pair.names[name])
            if cut_at is not None:
                reason = "ends early: compared up to there"
                self.not_covered.append(
                    NotCovered(f"{where.run}/{where.file} from byte {cut_at}", reason, is_loss=True)
                )
                data = _closed(data[:cut_at])
            rebuilt = pair.files.rebuild(name)
            if _is_exact(data, rebuilt):
                self.n_exact += 1
                self.comparison.values += n_values_of_text(data) if rebuilt.text is None else n_values(_parsed(data))
            else:  # its list can be rebuilt only once
                self._compare_values(where, data, pair.files.rebuild(name))
        except CacheDamagedError as error:
            self.comparison.note(where, "a file", f"a damaged one ({error.reason})")
        except (OSError, ValueError, RecursionError) as error:
            self.comparison.note(where, f"a file that cannot be read ({error})", "one that could be")

    def _compare_values(self, where: Where, data: bytes, rebuilt: RebuiltFile) -> None:
        """Compare a file with what was rebuilt of it, value by value."""
        shape = file_shape(plain_name(where.file or ""))
        if rebuilt.text is not None:
            self.comparison.compare(where, _parsed(data), _parsed(rebuilt.text.encode()), shape)
            return
        source = json.loads(data.decode("utf-8-sig"))
        if rebuilt.elements is None:
            self.comparison.compare(where, source, rebuilt.document, shape)
            return
        listed = source
        if rebuilt.key is not None:
            listed = source.pop(rebuilt.key, None) if isinstance(source, dict) else None
            rest = {name: value for name, value in rebuilt.document.items() if name != rebuilt.key}
            if rest or source:
                self.comparison.compare(where, source, rest, shape)
        self.comparison.elements(where, listed, rebuilt.elements, _member_shape(shape, rebuilt.key), rebuilt.key)


@dataclass(slots=True)
class _Walk:
    """Every folder of a source, each once, and whose the files in it are.

    Attributes:
        known: runs and suites, by their folders; runs that are met are added.
        follow_links: whether links to folders are followed.
        files: of each of them, relative to its folder, `/` between the parts.
        not_covered: files that are nobody's, and folders that are left out.
    """

    known: dict[Path, RunPlace]
    follow_links: bool
    files: dict[RunPlace, list[str]] = field(default_factory=dict)
    not_covered: list[NotCovered] = field(default_factory=list)
    visited: set[Path] = field(default_factory=set)

    def visit(self, root: Path, *, runs: bool = True) -> None:
        """Walk a folder. `runs`: those below it too, if it is no run itself."""
        for path, below, names in os.walk(root, onerror=self._unreadable, followlinks=self.follow_links):
            folder = Path(os.path.realpath(path))
            if folder in self.visited:
                below.clear()
                continue
            self.visited.add(folder)
            if layout.LATEST in below:
                below.remove(layout.LATEST)
                self.not_covered.append(NotCovered(str(folder / layout.LATEST), "another name of a suite"))
            below[:] = sorted(name for name in below if runs or not layout.is_run(folder / name))
            if (
                folder not in self.known
                and layout.is_run(folder)
                and folder.name not in layout.NOT_RUNS
                and is_utf8(path)
            ):
                self.known[folder] = place_of(str(folder))
            self._take(folder, sorted(names))

    def _take(self, folder: Path, names: Sequence[str]) -> None:
        owner = next((path for path in (folder, *folder.parents) if path in self.known), None)
        if owner is None:
            self.not_covered += [NotCovered(str(folder / name), _NOT_OURS) for name in names]
            return
        files = self.files.setdefault(self.known[owner], [])
        files += [(folder / name).relative_to(owner).as_posix() for name in names]

    def _unreadable(self, error: OSError) -> None:
        self.not_covered.append(NotCovered(str(error.filename), f"cannot be listed: {error.strerror}"))


def _is_expected(place: RunPlace, name: str) -> bool:
    """Whether the cache is meant to stand in for a file."""
    folder, _, base = name.rpartition("/")
    is_ours = folder == "" if place.folder else folder in _SUITE_FOLDERS
    return is_ours and base.endswith(".json") and not base.startswith(".")


def _read(path: Path) -> bytes:
    """A file's content."""
    if not path.is_file():
        raise ValueError("no regular file")
    data = path.read_bytes()
    codec = next((codec for magic, codec in _MAGIC.items() if data.startswith(magic)), None)
    if codec is None:
        return data
    with pa.CompressedInputStream(pa.BufferReader(data), codec) as file:
        plain: bytes = file.read()
        return plain


_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # RFC 1952, RFC 8878


def _closed(data: bytes) -> bytes:
    """What there is of a file that ends early after an element, made whole."""
    data = data.rstrip(b", \t\r\n")
    return data + (b"]}" if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else b"]")


def _parsed(data: bytes) -> Any:
    """What Python's `json` makes of a file that was kept as text; the text itself, if it is no JSON."""
    text = data.decode("utf-8")
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return text


def _is_exact(data: bytes, rebuilt: RebuiltFile) -> bool:
    """Whether a file comes back byte for byte. Its list, if there is one, is rebuilt up to the first other byte."""
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
