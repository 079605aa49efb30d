"""The bill of an ingest: what it is going to read, made of the plan and the listing, before a byte is fetched."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from magnet_arrow.helm.layout import Found
from magnet_arrow.ingestion.measured_rate import kind_of
from magnet_arrow.ingestion.parallel.task import PendingRun
from magnet_arrow.ingestion.plan import Plan
from magnet_arrow.ingestion.reading import PEEK_BYTES, PICTURED, WHY_NOT_CHOSEN, read_as_a_whole, why_not_kept
from magnet_arrow.ingestion.rules import chosen_files, is_chosen
from magnet_arrow.sources import filesystem, remote_copies
from magnet_arrow.sources.file import Fingerprint, plain_name
from magnet_arrow.sources.stamps import FileStamp
from magnet_arrow.storage.manifest import FETCHED
from magnet_arrow.storage.rates import Kind, read_rates
from magnet_arrow.storage.snapshot import CachedRun, Snapshot


@dataclass(frozen=True, slots=True)
class Files:
    """Files of one kind.

    Attributes:
        source: the outputs folder that they are in.
        suite: the suite or version.
        file: their name; `groups/*.json` for those of a folder.
        why: why they are left out; empty if they are not.
        files: how many.
        bytes: of all together, as they are stored.
    """

    source: str
    suite: str
    file: str
    why: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What an ingest is going to read.

    Attributes:
        runs: runs to read, by outputs folder and suite.
        to_read: files that are read.
        left_out: files of these runs that are not read.
        cached_runs: runs that the cache has as they are now.
        cached_bytes: of their files.
        rejected: runs and folders that cannot be read, as is known without reading them.
        looked_at_bytes: of files in buckets that are left out if they embed pictures: their beginning is fetched.
        requests: of objects of buckets; there are none for local files.
        fetched_bytes: of the files to read, what an ingest that was stopped has fetched of buckets.
        packed: files of buckets that are stored compressed: if the fetch of one breaks off, it starts over.
        packed_bytes: of these, as they are stored.
        rates: bytes per second of the last ingest, by kind of source, as far as they were measured.
        free_bytes: of the disk that the cache is on.
        cache: its folder.
        keep_json: the folder that keeps what is fetched; None if there is none.
        keep_json_free_bytes: of the disk that it is on.
        notes: sentences about what the source holds.
    """

    runs: dict[tuple[str, str], int]
    to_read: tuple[Files, ...]
    left_out: tuple[Files, ...]
    cached_runs: int
    cached_bytes: int
    rejected: int
    looked_at_bytes: int
    requests: int
    fetched_bytes: int
    packed: int
    packed_bytes: int
    rates: dict[Kind, float]
    free_bytes: int
    cache: Path
    keep_json: Path | None = None
    keep_json_free_bytes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_runs(self) -> int:
        """How many runs are read."""
        return sum(self.runs.values())

    @property
    def n_files(self) -> int:
        """How many files are read."""
        return sum(one.files for one in self.to_read)

    @property
    def n_bytes(self) -> int:
        """Of the files that are read."""
        return sum(one.bytes for one in self.to_read)

    @property
    def bytes_by_kind(self) -> dict[Kind, int]:
        """Of the files that are read, by kind of source."""
        found: Counter[Kind] = Counter()
        for one in self.to_read:
            found[kind_of(one.source)] += one.bytes
        return dict(found)

    @property
    def seconds(self) -> float | None:
        """How long it takes at the rates of the last ingests; None if one of them was not measured."""
        of_kinds = self.bytes_by_kind
        if not of_kinds or of_kinds.keys() - self.rates.keys():
            return None
        return sum(size_bytes / self.rates[kind] for kind, size_bytes in of_kinds.items())


def make_bill(plan: Plan, found: Found, snapshot: Snapshot, cache: Path, *, keep_json: Path | None = None) -> Bill:
    """The bill of a plan for what a source holds; nothing is fetched or listed for it."""
    read, left, requests, n_pictured = _Sums(), _Sums(), 0, 0
    wanted: list[tuple[Path, list[FileStamp]]] = []
    for run in plan.pending:
        whole = read_as_a_whole(run)
        read.add(run, whole)
        left.add_left_out(run, whole)
        if filesystem.is_remote(run.place.path):
            requests += len(whole)
            n_pictured += sum(_is_pictured(stamp) and stamp not in whole for stamp in chosen_files(run))
            wanted.append((run.place.path, whole))
    packed = [stamp.size_bytes for _, stamps in wanted for stamp in stamps if remote_copies.is_packed(stamp)]
    pending = {run.key for run in plan.pending}
    bad = {one.key for one in plan.rejected}
    held = snapshot.among([key for key in plan.keys if key not in pending and key not in bad]).values()
    return Bill(
        runs=dict(Counter((str(run.place.source), run.place.suite) for run in plan.pending if run.place.folder)),
        to_read=read.files(),
        left_out=left.files(),
        cached_runs=plan.skipped,
        cached_bytes=sum(map(_cached_bytes, held)),
        rejected=len(plan.rejected) + len(found.rejected),
        looked_at_bytes=n_pictured * PEEK_BYTES,
        requests=requests + n_pictured,
        fetched_bytes=remote_copies.copied_bytes(cache / FETCHED, wanted, mirror=keep_json),
        packed=len(packed),
        packed_bytes=sum(packed),
        rates=read_rates(cache),
        free_bytes=_free_bytes(cache),
        cache=cache,
        keep_json=keep_json,
        keep_json_free_bytes=None if keep_json is None else _free_bytes(keep_json),
        notes=found.notes,
    )


def _cached_bytes(held: CachedRun) -> int:
    left_out = held.entry.not_chosen
    return sum(stamp.size_bytes for stamp in held.fingerprint if plain_name(stamp.name) not in left_out)


class _Sums:
    """Counts files by what they have in common."""

    def __init__(self) -> None:
        self._files: Counter[tuple[str, str, str, str]] = Counter()
        self._bytes: Counter[tuple[str, str, str, str]] = Counter()

    def add(self, run: PendingRun, stamps: Iterable[FileStamp], why: str = "") -> None:
        source = str(run.place.source)
        for stamp in stamps:
            key = (source, run.place.suite, _kind(stamp.name), why)
            self._files[key] += 1
            self._bytes[key] += stamp.size_bytes

    def add_left_out(self, run: PendingRun, whole: Sequence[FileStamp]) -> None:
        for stamp in run.stamps:
            if stamp not in whole:
                self.add(run, [stamp], _why_left_out(run, stamp))
        for kind, stamps in _others(run.place.path, run.stamps):
            self.add(run, [FileStamp(f"*{kind}", stamp.size_bytes, 0) for stamp in stamps], "no JSON")

    def files(self) -> tuple[Files, ...]:
        return tuple(Files(*key, self._files[key], self._bytes[key]) for key in sorted(self._files))


def _others(folder: Path, stamps: Fingerprint) -> Iterator[tuple[str, list[FileStamp]]]:
    """The files in a folder of a bucket that an ingest does not look at, by the ending of their name."""
    if not filesystem.is_remote(folder):
        return
    known = {stamp.name for stamp in stamps}
    others: dict[str, list[FileStamp]] = {}
    for file in filesystem.remote_files(folder):
        if file.name not in known:
            others.setdefault(os.path.splitext(file.name)[1], []).append(file)
    yield from others.items()


def _is_pictured(stamp: FileStamp) -> bool:
    return plain_name(stamp.name) == PICTURED.file


def _why_left_out(run: PendingRun, stamp: FileStamp) -> str:
    name = plain_name(stamp.name)
    if not is_chosen(run, name):
        return WHY_NOT_CHOSEN
    return "read only if no pictures are embedded in it" if _is_pictured(stamp) else why_not_kept(name)


def _kind(name: str) -> str:
    folder, _, base = plain_name(name).rpartition("/")
    return f"{folder}/*{os.path.splitext(base)[1]}" if folder else base


def _free_bytes(folder: Path) -> int:
    while not filesystem.exists(folder) and folder.parent != folder:
        folder = folder.parent
    return shutil.disk_usage(folder).free
