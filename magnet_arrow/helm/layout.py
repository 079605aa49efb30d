"""Where things lie in a dump: outputs folder, `runs`, suite, run.

    <outputs>/runs/<suite>/<run>/run_spec.json

A run is a folder that holds `run_spec.json`, whatever it is called. What a source means is decided here and
nowhere else. A dump may lack the `runs` level, and a path may name any level, a pattern, or a folder above
several dumps.

A place follows from the real path of a run's folder, so a run that is reached by two ways, through a link or
by name, is one run at one place. A walk asks each folder of a suite for its run spec and resolves links only.
"""

import difflib
import glob
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from magnet_arrow.errors import NoRunsError, SettingError, SourceNotFoundError
from magnet_arrow.helm.source import ENDINGS

RUN_FILES = ("run_spec.json", "scenario_state.json", "stats.json", "per_instance_stats.json")
"""The files of a run that must exist. HELM writes the run spec first, so it marks the folder as a run."""

_MARK = RUN_FILES[0]
_RUNS = "runs"
_DEFAULT_OUTPUTS = "benchmark_output"
_RELEASES = "releases"
LATEST = "latest"
NOT_RUNS = frozenset({"eval_cache", "groups"})
_LEVELS = 3  # how far below a folder of no known kind dumps are looked for: /data/<collection>/<version>/<outputs>


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where a run lies. Two places are equal exactly if they are one folder on disk.

    Attributes:
        path: the run's folder, absolute, links resolved.
        source: the outputs folder, absolute, links resolved; without a `runs` level the parent of the suite.
        suite: name of the suite's folder.
        folder: name of the run's folder. It may differ from the run spec's name (copies without `:`).
    """

    path: Path
    source: Path
    suite: str
    folder: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a source holds.

    Attributes:
        places: each run once, see `find_runs` for their order.
        notes: what was passed over and is worth a word, as sentences. They hold names from the disk as they
            are: show them through `magnet_arrow.text`.
    """

    places: tuple[RunPlace, ...]
    notes: tuple[str, ...]


@runtime_checkable
class HasPlaces(Protocol):
    """An object that knows its runs, such as a `HelmRuns`."""

    @property
    def places(self) -> Sequence[RunPlace]:
        """The runs, in order."""


Source: TypeAlias = "str | os.PathLike[str] | RunPlace | HasPlaces | Iterable[Source]"
"""What stands for runs: a path to any level of a dump, a pattern, an object of ours, or a list of such."""


def find_runs(source: Source, *, pattern: str = "*") -> Found:
    """The runs that `source` stands for.

    A path is taken literally if it exists, and as a glob pattern if not: run names hold `[`. A folder of no
    known kind gives the runs of all dumps up to three levels below. `latest`, which HELM makes a link to a
    suite (and a download a copy of one), is passed over unless it is named.

    The order decides what a seed draws. The runs of a folder, and all that a pattern matches, are sorted by suite,
    folder and outputs folder (code points), whichever way that folder is written. A list keeps the order in which
    it is given; a set, which has none, is sorted. A run that is reached by two ways (links, a release and its
    suite, the same folder twice) is one run, at the first of its places.

    Args:
        source: a path to an outputs folder, a folder above one or several, its `runs`, a suite, a run; a glob
            pattern of such; an object with `.places`; or an iterable of these.
        pattern: run folders to keep: one's name if there is such, else by `fnmatch.fnmatchcase`.

    Raises:
        SourceNotFoundError: a path does not exist and matches nothing.
        NoRunsError: a path that was named holds no run, or no run is left.
    """
    found = _find(source)
    chosen = _matching({place.folder for place in found.places}, pattern)
    kept = tuple(place for place in found.places if place.folder in chosen)
    if not kept:
        raise _no_runs_left(pattern, list(found.places))
    return Found(kept, found.notes)


def _find(source: Source) -> Found:
    """All runs of a source, perhaps none."""
    if isinstance(source, RunPlace):
        return Found((source,), ())
    if isinstance(source, HasPlaces):
        return _together(Found((place,), ()) for place in source.places)
    if isinstance(source, str | os.PathLike):
        return _find_at(os.fspath(source))
    found = _together(map(_find, _listed(source)))
    return _in_order(found) if isinstance(source, Set) else found


def _together(parts: Iterable[Found]) -> Found:
    """What several sources hold, in their order, each run once."""
    places: dict[Path, RunPlace] = {}
    notes: dict[str, None] = {}
    for found in parts:
        for place in found.places:
            places.setdefault(place.path, place)
        notes.update(dict.fromkeys(found.notes))
    return Found(tuple(places.values()), tuple(notes))


def _in_order(found: Found) -> Found:
    """The same, sorted: where a dump lies on disk comes last, so that moving it changes no draw."""
    places = sorted(found.places, key=lambda place: (place.suite, place.folder, str(place.source)))
    return Found(tuple(places), found.notes)


def find_folders(source: Source) -> list[Path]:
    """The folders that `source` names, as they are: where one begins who looks for himself.

    Raises:
        SourceNotFoundError: a path does not exist and matches nothing.
    """
    folders: dict[str, None] = {}
    for item in _items(source):
        if isinstance(item, RunPlace):
            folders[str(item.path)] = None
        elif not os.path.exists(item) and glob.has_magic(item):
            folders.update(dict.fromkeys(map(os.path.realpath, _expand(item)[0])))
        else:
            folders[_existing_folder(item)] = None
    return list(map(Path, folders))


def find_outputs(path: str | os.PathLike[str]) -> Path:
    """The outputs folder that `path` names: itself, a folder above it, or its `runs`. Absolute, no links.

    Raises:
        SourceNotFoundError: there is no such folder, it holds no dump, or it holds several of which none is
            its `benchmark_output`.
    """
    folder = Path(_existing_folder(os.fspath(path)))
    if folder.name == _RUNS:
        folder = folder.parent
    likely = [outputs for outputs in (folder, folder / _DEFAULT_OUTPUTS) if (outputs / _RUNS).is_dir()]
    for outputs in likely:
        if _has_suites(outputs / _RUNS):
            return outputs.resolve()
    sources = _sources_at(folder)
    below = [source for source in sources if source.is_relative_to(folder)] or likely[:1]
    if len(below) != 1:
        raise _not_one_dump(os.fspath(path), folder, below, sources)
    return below[0].resolve()


def find_suites(outputs: Path, pattern: str = "*") -> tuple[list[Path], list[str]]:
    """The suites' folders of an outputs folder, by name, and notes on what was passed over.

    A link to a suite that is listed anyway is left out, and so is `latest`. A suite may be empty.
    """
    runs = outputs / _RUNS
    walk = _Walk()
    folders = list(walk.subfolders(os.path.realpath(runs if runs.is_dir() else outputs)))
    chosen = _matching({folder.name for folder in folders}, pattern)
    own = {folder.real for folder in folders if not folder.is_link}
    suites = [
        folder
        for folder in folders
        if folder.name in chosen
        and not (folder.is_link and folder.real in own)
        and not is_run(folder.real)
        and (runs.is_dir() or _has_runs(folder.real))
    ]
    return [Path(folder.path) for folder in suites], list(walk.notes)


def _items(source: Source) -> Iterator[str | RunPlace]:
    if isinstance(source, (str, RunPlace)):
        yield source
    elif isinstance(source, HasPlaces):
        yield from source.places
    elif isinstance(source, os.PathLike):
        yield os.fspath(source)
    else:
        for item in _listed(source):
            yield from _items(item)


def _listed(source: Source) -> Iterable[Source]:
    if not isinstance(source, Iterable) or isinstance(source, bytes):
        raise SettingError(f"{source!r} names no runs.", expected="a path, an object with runs, or a list of such")
    return source


def _find_at(path: str) -> Found:
    """The runs of one path or pattern."""
    if not os.path.exists(path) and glob.has_magic(path):
        return _find_by_glob(path)
    folder = _existing_folder(path)
    if os.path.basename(os.path.dirname(folder)) == _RELEASES:
        return _find_release(Path(folder))
    walk = _Walk()
    walk.visit(folder)
    if not walk.places:
        raise _no_runs_in(path, folder, list(walk.notes))
    return _in_order(walk.found())


def _find_release(release: Path) -> Found:
    """The runs of a release: HELM keeps them in suites, and says which in `runs_to_run_suites.json`."""
    path = release / "runs_to_run_suites.json"
    try:
        suites = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        raise NoRunsError(
            f"The release {release} does not say which runs are its own.",
            expected=f"{path.name}, an object from run names to suites",
            found="none of this name" if isinstance(error, FileNotFoundError) else str(error),
            hint="Name the suites instead.",
        ) from error
    runs = release.parent.parent / _RUNS
    names = sorted((suite, run.replace("/", "_")) for run, suite in suites.items())
    walk = _Walk()
    missing = []
    for suite, name in names:
        folder = runs / suite / name
        if is_run(folder):
            walk.add(os.path.realpath(folder))
        else:
            missing.append(f"{suite}/{name}")
    if not walk.places:
        raise NoRunsError(f"None of the {len(names)} runs of {release} is below {runs}.")
    if missing:
        walk.note(f"The release {release.name} names runs that are not there: {_listing(missing, 'run')}.")
    return _in_order(walk.found())


def suites_around(source: Source, places: Sequence[RunPlace]) -> list[RunPlace]:
    """What `helm-summarize` wrote beside these runs: their suites, and the releases of their outputs.

    A source that names single runs only has none. Each is a place without a folder; a release's suite is
    `releases/<version>`.
    """
    named = [Path(item) for item in _items(source) if isinstance(item, str)]
    if not any(path.is_dir() and not is_run(path) for path in named):
        return []
    suites = {os.path.dirname(place.path): place for place in places}
    found = [RunPlace(Path(path), place.source, place.suite, "") for path, place in suites.items()]
    for outputs in dict.fromkeys(place.source for place in places):
        releases = outputs / _RELEASES
        if releases.is_dir():
            folders = sorted(folder for folder in releases.iterdir() if folder.is_dir() and not folder.is_symlink())
            found += [RunPlace(folder, outputs, f"{_RELEASES}/{folder.name}", "") for folder in folders]
    return found


def _find_by_glob(pattern: str) -> Found:
    walks = []
    folders, notes = _expand(pattern)
    for folder in folders:
        walk = _Walk()
        walk.visit(os.path.realpath(folder))
        if not walk.places and os.path.basename(folder) not in NOT_RUNS:
            walk.pass_over(folder)
        walks.append(walk.found())
    if not any(found.places for found in walks):
        raise NoRunsError(
            f"No run matches {pattern!r}.",
            expected=f"folders that hold {_MARK}",
            found=_listing(folders, "folder") + " that matched" if folders else "no such folder",
            hint=" ".join(notes) or None,
        )
    return _in_order(_together([Found((), tuple(notes)), *walks]))


def _expand(pattern: str) -> tuple[list[str], list[str]]:
    """Folders that match, in code point order of their parts, and notes on `latest`.

    The head of the pattern that exists is taken literally, so that a folder called `[old]` can be above.
    """
    parts = Path(pattern).parts
    depth = next(i for i in range(len(parts), -1, -1) if i == 0 or os.path.exists(Path(*parts[:i])))
    head, tail = Path(*parts[:depth]), parts[depth:]
    folders, notes = [], []
    for match in sorted(Path(match).parts for match in glob.glob(os.path.join(*tail), root_dir=head)):
        folder = os.fspath(head.joinpath(*match))
        if any(name == LATEST and name != wanted for name, wanted in zip(match, tail, strict=True)):
            notes.append(_latest_note(folder))
        elif os.path.isdir(folder):
            folders.append(folder)
    return folders, notes


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder that a walk meets: its path there, and where it really is."""

    name: str
    path: str
    real: str
    is_link: bool


@dataclass(slots=True)
class _Walk:
    """One way down from a folder to its runs. All paths that it is given are real ones."""

    places: dict[str, RunPlace] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    visited: set[str] = field(default_factory=set)

    def found(self) -> Found:
        """What was found, as it was met."""
        return Found(tuple(self.places.values()), tuple(self.notes))

    def visit(self, folder: str, level: int = 0) -> None:
        """Take the runs of a folder of any kind."""
        if folder in self.visited:
            return
        self.visited.add(folder)
        if is_run(folder):
            self.add(folder)
        elif not self.visit_outputs(folder):
            self.visit_other(list(self.subfolders(folder)), level)

    def visit_outputs(self, folder: str) -> bool:
        """Take the runs of all suites below `runs`, and say if there are any: others call folders so too."""
        runs = folder if os.path.basename(folder) == _RUNS else os.path.join(folder, _RUNS)
        n_before = len(self.places)
        if os.path.isdir(runs):
            for child in self.subfolders(os.path.realpath(runs)):
                if is_run(child.real):
                    self.add(child.real)
                else:
                    self.visit_suite(list(self.subfolders(child.real)))
        return len(self.places) > n_before

    def visit_other(self, children: list[_Folder], level: int) -> None:
        """Take a suite's runs if one of the children is a run, else look further down."""
        if any(is_run(child.real) for child in children if child.name not in NOT_RUNS):
            self.visit_suite(children)
        elif level < _LEVELS:
            for child in children:
                if not child.name.startswith("."):
                    self.visit(child.real, level + 1)

    def visit_suite(self, children: list[_Folder]) -> None:
        """Take those of a suite's folders that are runs."""
        for child in children:
            if child.name in NOT_RUNS:
                continue
            if is_run(child.real):
                self.add(child.real)
            else:
                self.pass_over(child.path)

    def add(self, run: str) -> None:
        """Take a run."""
        suite = os.path.dirname(run)
        self.places[run] = RunPlace(
            path=Path(run),
            source=_source_of(suite),
            suite=os.path.basename(suite),
            folder=os.path.basename(run),
        )

    def subfolders(self, folder: str) -> Iterator[_Folder]:
        """The folders in a folder, by name, `latest` left out; what can't be followed is noted."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.note(_unreadable_note(folder, error))
            return
        for entry in listed:
            if not _is_folder(entry):
                if entry.is_symlink() and not os.path.exists(entry.path):
                    self.note(f"{entry.path} is a link that leads nowhere: passed over.")
            elif entry.name == LATEST:
                self.note(_latest_note(entry.path))
            else:
                is_link = entry.is_symlink()
                real = os.path.realpath(entry.path) if is_link else entry.path
                yield _Folder(entry.name, entry.path, real, is_link)

    def pass_over(self, folder: str) -> None:
        """Say why a folder is no run. Hidden ones are not worth it."""
        if os.path.basename(folder).startswith("."):
            return
        try:
            names = os.listdir(folder)
        except OSError as error:
            self.note(_unreadable_note(folder, error))
            return
        if not names:
            self.note(f"{folder} is empty: passed over. HELM makes a run's folder before it starts the run.")
        elif _MARK in names:
            self.note(f"{folder} may be listed, but its files may not be read: passed over.")
        else:
            self.note(f"{folder} holds no {_MARK}: passed over.")

    def note(self, text: str) -> None:
        """Keep a sentence for the report, once."""
        self.notes[text] = None


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is marked as a run: by its run spec, compressed or not."""
    return any(os.path.lexists(os.path.join(folder, _MARK + ending)) for ending in ENDINGS)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _has_runs(suite: str) -> bool:
    return any(is_run(child.real) for child in _Walk().subfolders(suite))


def _has_suites(runs: Path) -> bool:
    return any(_has_runs(child.real) for child in _Walk().subfolders(os.path.realpath(runs)))


def _sources_at(folder: Path) -> list[Path]:
    """The sources of the runs that a walk from `folder` finds."""
    walk = _Walk()
    walk.visit(str(folder))
    return sorted({place.source for place in walk.places.values()})


@cache  # thousands of runs have one source, and a path that is the same object is hashed and shown once
def _source_of(suite: str) -> Path:
    parent = Path(suite).parent
    return parent.parent if parent.name == _RUNS else parent


def _matching(names: set[str], pattern: str) -> set[str]:
    return {pattern} & names or {name for name in names if fnmatchcase(name, pattern)}


def _existing_folder(path: str) -> str:
    """The real path of a folder that has to be there."""
    if os.path.isdir(path):
        return os.path.realpath(path)
    if os.path.exists(path):
        raise SourceNotFoundError(
            f"{path} is a file.",
            expected="a folder: an outputs folder, its runs, a suite or a run",
            hint=f"Did you mean {os.path.dirname(path) or os.curdir}?",
        )
    if os.path.islink(path):
        raise SourceNotFoundError(f"{path} is a link that leads nowhere (to {os.readlink(path)}).")
    raise _not_there(path)


def _not_one_dump(path: str, folder: Path, below: list[Path], sources: list[Path]) -> SourceNotFoundError:
    if below:
        return SourceNotFoundError(
            f"{path} holds several dumps.",
            expected="one outputs folder",
            found=_listing([str(source) for source in below], "folder"),
            hint="Name one of them.",
        )
    return SourceNotFoundError(
        f"{path} is no outputs folder.",
        expected=f"a folder that holds {_RUNS}/<suite>/<run>/{_MARK}",
        found="a part of one" if sources else _contents(str(folder)),
        hint=f"Did you mean {sources[0]}?" if sources else None,
    )


def _not_there(path: str) -> SourceNotFoundError:
    """The error for a path that does not exist, with what its nearest parent holds."""
    missing = Path(path)
    while not os.path.isdir(missing.parent) and missing.parent != missing:
        missing = missing.parent
    try:
        names = sorted(os.listdir(missing.parent))
    except (OSError, ValueError):
        names = []
    near = difflib.get_close_matches(missing.name, names, n=1)
    return SourceNotFoundError(
        f"There is no {path!r}.",
        expected="a path to an outputs folder, its runs, a suite or a run, or a glob pattern",
        found=f"in {missing.parent}: {_listing(names, 'entry', 'entries')}",
        hint=f"Did you mean {missing.parent / near[0]}?" if near else None,
    )


def _no_runs_in(path: str, folder: str, notes: list[str]) -> NoRunsError:
    return NoRunsError(
        f"No run in {path}.",
        expected=f"folders that hold {_MARK}",
        found=_contents(folder),
        hint=" ".join(notes[:5]) or None,
    )


def _no_runs_left(pattern: str, places: list[RunPlace]) -> NoRunsError:
    if not places:
        return NoRunsError("No run was given.", expected="a path, a pattern, or runs", found="none")
    return NoRunsError(
        f"No run matches {pattern!r}.",
        expected="a pattern of run folders' names",
        found=_listing([place.folder for place in places], "run"),
    )


def _contents(folder: str) -> str:
    try:
        return _listing(sorted(os.listdir(folder)), "entry", "entries")
    except OSError as error:
        return f"a folder that cannot be read ({error.strerror})"


def _listing(names: list[str], one: str, many: str | None = None, most: int = 5) -> str:
    """A count and the first few names: `7 runs (a, b, c, d, e, …)`."""
    if not names:
        return f"no {one}"
    count = f"{len(names)} {one if len(names) == 1 else many or one + 's'}"
    return f"{count} ({', '.join(names[:most])}{', …' if len(names) > most else ''})"


def _latest_note(path: str) -> str:
    return f"{path} is passed over: it stands for another suite. Name it to take it."


def _unreadable_note(folder: str, error: OSError) -> str:
    return f"{folder} cannot be read ({error.strerror}): passed over."
