"""Proof that a cache can replace its source: every file is rebuilt from the cache and compared with the original.

The proof uses neither our list of runs nor our decoder. The source is walked folder by folder, so a run or a file that
an ingest overlooked is a difference. A file that is rebuilt byte for byte is equal; any other is parsed by Python's
`json`, as HELM does, and compared value by value.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal

from magnet_arrow._progress import watched
from magnet_arrow._text import counted
from magnet_arrow.cache import Cache
from magnet_arrow.checks.json_diff import Difference
from magnet_arrow.checks.run_comparison import Found, NotCovered, Pair, compare_runs
from magnet_arrow.errors import Rejected, Where
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import RunPlace
from magnet_arrow.helm.run_place import is_utf8, place_of
from magnet_arrow.ingestion.parallel import process_pool
from magnet_arrow.ingestion.reading import WHY_NOT_CHOSEN, where_of, why_not_kept
from magnet_arrow.ingestion.rules import Progress, step_of
from magnet_arrow.ingestion.run_reader import stamps_of
from magnet_arrow.pages import card, few
from magnet_arrow.restore.run_files import kept_names
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import plain_name
from magnet_arrow.storage.snapshot import CachedRun, Snapshot

_MIN_TASK_BYTES, _MAX_TASK_BYTES = 16 << 20, 64 << 20
"""JSON that a process compares at a time. Less is not worth a process, which needs 0.6 s to start. A row group holds
about this much, and each task reads its row groups in full."""
_NOT_OURS = "no JSON file of a run or a suite"
_NOT_CHOSEN = f"it was left out of the ingest: {WHY_NOT_CHOSEN}"
_SUITE_FOLDERS = frozenset({"", "groups", "groups/json"})
"""Folders of a suite whose JSON files are expected in the cache; of a run, only its own folder."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found.

    Attributes:
        runs: runs that were compared.
        files: files that were compared.
        values: values in these files, the empty objects and lists among them.
        n_differences: positions at which source and cache differ.
        differences: the first 1,000 of them.
        rejected: runs that are not in the cache because they cannot be read, and why.
        not_covered: files that were not compared, and why.
        exact: files that are rebuilt byte for byte; of a compressed file, its content.
        notes: sentences about what was skipped.
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
        """Whether the cache can replace all runs of the source."""
        return not (self.n_differences or self.rejected or any(file.is_loss for file in self.not_covered))

    @property
    def exact_share(self) -> float:
        """Share of the files that are rebuilt byte for byte, 0 to 1."""
        return self.exact / self.files if self.files else 0.0

    def __repr__(self) -> str:
        """Whether the cache can replace the source, and what was compared."""
        what = "equal" if self.is_equal else "not equal"
        return f"<VerifyReport {what}: {self._compared()}, {counted(self.n_differences, 'difference')}>"

    def _repr_html_(self) -> str:
        lost = [file for file in self.not_covered if file.is_loss]
        facts = {
            "the cache can replace the source": "yes" if self.is_equal else "no",
            "compared": f"{self._compared()}, {counted(self.values, 'value')}",
            "byte for byte": f"{counted(self.exact, 'file')} ({self.exact_share:.0%})",
            "differences": f"{self.n_differences:,}",
            "rejected": counted(len(self.rejected), "run"),
            "not compared": f"{counted(len(self.not_covered), 'file')}, {len(lost):,} of them lost",
        }
        reasons = [*map(str, self.differences), *(f"Rejected: {one.summary}" for one in self.rejected)]
        return card("Verification", facts, few([*reasons, *(f"{file.path}: {file.reason}" for file in lost)]))

    def _compared(self) -> str:
        return f"{counted(self.runs, 'run')}, {counted(self.files, 'file')}"


def verify(
    source: layout.Source,
    cache: Cache | str | os.PathLike[str] | None = None,
    *,
    follow_links: bool = True,
    progress: Callable[[Progress], None] | Literal[False] | None = None,
) -> VerifyReport:
    """Rebuild every file of a source from the cache, and compare it with the original.

    Nothing is ingested: a run that the cache does not have is a difference. What does not count
    as a difference is listed at `json_diff.Comparison`.

    Args:
        source: as for `ingest`.
        cache: the cache or its folder; None for the default one.
        follow_links: as for `ingest`.
        progress: called now and then; None and False as for `ingest`.

    Raises:
        SourceNotFoundError: nothing there, or no run in it.
        CacheDamagedError: the manifest or a run list cannot be read. What is wrong with a table is a difference.
        WorkersLostError: a worker process died. There are some if there is more than 17 MB of JSON.

    >>> import magnet_arrow, tempfile
    >>> outputs = magnet_arrow.HelmOutputs.demo().path
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     _ = magnet_arrow.ingest(outputs, cache)
    ...     report = magnet_arrow.verify(outputs, cache)
    >>> report.runs, report.n_differences
    (9, 0)
    """
    begin = time.monotonic()
    plan = _Plan(Cache.coerce(cache).snapshot())
    plan.list(source, follow_links=follow_links)
    with watched(progress, step_of) as reported:
        found = _compared(plan, reported)
    return VerifyReport(
        runs=found.n_runs,
        files=found.n_files,
        values=found.comparison.values,
        n_differences=found.comparison.n_differences,
        differences=tuple(found.comparison.differences),
        rejected=tuple(plan.rejected),
        not_covered=tuple(found.not_covered),
        exact=found.n_exact,
        notes=tuple(found.notes),
        seconds=time.monotonic() - begin,
    )


def _compared(plan: "_Plan", progress: Callable[[Progress], None] | None) -> Found:
    """The findings for all runs, by several processes if that is faster."""
    sizes = [pair.size_bytes for pair in plan.pairs]
    counter = _ProgressCounter(
        progress, sum(sizes), sum(bool(pair.place.folder) for pair in plan.pairs), len(plan.rejected)
    )
    compare = partial(compare_runs, plan.snapshot.path, plan.snapshot.manifest)
    tasks = _tasks(plan.pairs, sizes)
    if len(tasks) > 1 and process_pool.can_start_processes():
        for task, found in zip(tasks, process_pool.results(compare, tasks), strict=True):
            plan.found.add(found)
            for pair in task:
                for name in pair.names:
                    counter.end_file(pair, name)
    else:
        plan.found.add(compare(plan.pairs, counter.end_file))
    return plan.found


@dataclass(slots=True)
class _ProgressCounter:
    """Counts files and runs, and reports the progress to the caller."""

    progress: Callable[[Progress], None] | None
    all_bytes: int
    all_runs: int
    rejected: int
    bytes: int = 0
    runs: int = 0

    def end_file(self, pair: Pair, name: str) -> None:
        self.bytes += pair.size_of(name)
        is_last = name == next(reversed(pair.names))
        self.runs += is_last and bool(pair.place.folder)
        if self.progress is not None:
            done = min(self.bytes, self.all_bytes)
            self.progress(Progress(done, self.all_bytes, self.runs, self.all_runs, where_of(pair.place), self.rejected))


def _tasks(pairs: Sequence[Pair], sizes: Sequence[int]) -> list[Sequence[Pair]]:
    """The runs of each task: neighbours together, since they share row groups."""
    task_bytes = min(_MAX_TASK_BYTES, max(_MIN_TASK_BYTES, 1 + sum(sizes) // process_pool.cores()))
    numbers = [before // task_bytes for before in accumulate(sizes, initial=0)]
    return [[pair for _, pair in part] for _, part in groupby(zip(numbers, pairs, strict=False), key=itemgetter(0))]


@dataclass(slots=True)
class _Plan:
    """What is to be compared, and what the listing found."""

    snapshot: Snapshot
    found: Found = field(default_factory=Found)
    rejected: list[Rejected] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)

    def list(self, source: layout.Source, *, follow_links: bool) -> None:
        """Walk the source, and sort its files into those to compare and those that can't be compared."""
        found = layout.find_all(source, follow_links=follow_links)
        self.found.notes += found.notes
        self.rejected += found.rejected
        known = {place.path: place for place in found.places}
        walk = _Walk(known, follow_links, visited=set(found.older).difference(known))
        for root in found.roots:
            walk.visit(root)
        for folder in list(walk.known):
            walk.visit(folder, runs=False)
        self.found.not_covered += walk.not_covered
        for place, names in walk.files.items():
            self._sort_out(place, sorted(names))

    def _sort_out(self, place: RunPlace, names: Sequence[str]) -> None:
        """Sort the files of a run or a suite."""
        key = self.snapshot.key_of(place) or ""
        run = self.snapshot.entries.get(key)
        if key in self.snapshot.rejected:
            self.rejected.append(self.snapshot.rejected[key].rejected)
        elif run is not None:
            self._pair_up(place, run, names)
        elif place.folder:
            self.found.comparison.note(Where(where_of(place)), "a run", "none at this place")
        else:
            self._note_missing(place, names)

    def _pair_up(self, place: RunPlace, run: CachedRun, names: Sequence[str]) -> None:
        kept = kept_names(run)
        # Of a file and a compressed copy of it the first is read: it is shorter by the ending.
        there = {plain_name(name): name for name in sorted(names, key=len, reverse=True)}
        listed = stamps_of(place) if filesystem.is_remote(place.path) else ()
        pair = Pair(place, run, {name: there[name] for name in kept if name in there}, listed)
        self.pairs.append(pair)
        for name in kept:
            if name not in there:
                self.found.comparison.note(Where(where_of(place), name), "no such file", "one")
        dropped = [there[name] for name in run.entry.not_kept if name in there]
        self.found.not_covered += [
            NotCovered(f"{where_of(place)}/{name}", why_not_kept(plain_name(name))) for name in dropped
        ]
        unchosen = [there[name] for name in run.entry.not_chosen if name in there]
        self.found.not_covered += [NotCovered(f"{where_of(place)}/{name}", _NOT_CHOSEN) for name in unchosen]
        self._note_missing(place, sorted(set(names) - set(dropped) - set(unchosen) - set(pair.names.values())))

    def _note_missing(self, place: RunPlace, names: Sequence[str]) -> None:
        """Note files that the cache does not have."""
        for name in names:
            if plain_name(name) != name and plain_name(name) in names:
                self.found.not_covered.append(NotCovered(f"{where_of(place)}/{name}", "a compressed copy"))
            elif _is_expected(place, plain_name(name)):
                self.found.comparison.note(Where(where_of(place), name), "a file", "none of this name")
            else:
                self.found.not_covered.append(NotCovered(f"{where_of(place)}/{name}", _NOT_OURS))


@dataclass(slots=True)
class _Walk:
    """Every folder of a source, once, and the run or suite that its files belong to.

    Attributes:
        known: runs and suites by their folders; runs that the walk meets are added.
        follow_links: whether links to folders are followed.
        files: of each of them, relative to its folder, `/` between the parts.
        not_covered: files that belong to no run or suite, and folders that are skipped.
    """

    known: dict[Path, RunPlace]
    follow_links: bool
    files: dict[RunPlace, list[str]] = field(default_factory=dict)
    not_covered: list[NotCovered] = field(default_factory=list)
    visited: set[Path] = field(default_factory=set)

    def visit(self, root: Path, *, runs: bool = True) -> None:
        """Walk a folder; `runs` says whether to walk the runs below it too."""
        for path, below, names in filesystem.walk(root, on_error=self._unreadable, follow_links=self.follow_links):
            folder = filesystem.as_path(filesystem.real_path(path))
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
            self._assign(folder, sorted(names))

    def _assign(self, folder: Path, names: Sequence[str]) -> None:
        owner = next((path for path in (folder, *folder.parents) if path in self.known), None)
        if owner is None:
            self.not_covered += [NotCovered(str(folder / name), _NOT_OURS) for name in names]
            return
        files = self.files.setdefault(self.known[owner], [])
        files += [(folder / name).relative_to(owner).as_posix() for name in names]

    def _unreadable(self, error: OSError) -> None:
        self.not_covered.append(NotCovered(str(error.filename), f"cannot be listed: {error.strerror}"))


def _is_expected(place: RunPlace, name: str) -> bool:
    """Whether a file should be in the cache."""
    folder, _, base = name.rpartition("/")
    is_ours = folder == "" if place.folder else folder in _SUITE_FOLDERS
    return is_ours and base.endswith(".json") and not base.startswith(".")
