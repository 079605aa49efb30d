"""The folders of a dump: outputs folder, `runs`, suite, run.

    <outputs>/runs/<suite>/<run>/run_spec.json

A run is a folder that holds `run_spec.json`, of any name. This module alone decides which runs a source means. A dump
may lack the `runs` level, and a path may name any level, a pattern, or a folder above several dumps.

The location of a run follows from the real path of its folder, so a run that two paths lead to (one by a link) is one
run. Links are followed, out of a dump too, unless `follow_links` is false.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from magnet_arrow.errors import NoRunsError, Rejected, SettingError, SourceNotFoundError
from magnet_arrow.helm import public_bucket, version_order
from magnet_arrow.helm.name_patterns import matching
from magnet_arrow.helm.no_source import (
    existing_folder,
    in_words,
    no_match_in,
    no_runs_in,
    no_runs_left,
    not_one_dump,
    url_of,
)
from magnet_arrow.helm.public_bucket import PublicRuns, public_runs
from magnet_arrow.helm.release_folder import RELEASES, find_release
from magnet_arrow.helm.run_place import MARK, RUN_FILES, RUNS, RunPlace, is_gone, is_run
from magnet_arrow.helm.walk import LATEST, NOT_RUNS, Walk
from magnet_arrow.sources import filesystem

__all__ = ["LATEST", "NOT_RUNS", "RUN_FILES", "RunPlace", "is_gone", "is_run"]

_DEFAULT_OUTPUTS = "benchmark_output"
_SUITE_FOLDERS = ("", "groups", "groups/json")
"""The folders into which `helm-summarize` writes, relative to a suite."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a source holds.

    Attributes:
        places: each run once, see `find_runs` for their order.
        notes: sentences about what was skipped. They hold names from the disk as they are: show them through
            `magnet_arrow._text`.
        rejected: what could not be read or followed, or has a name that cannot be kept, so that runs may be lacking.
            No cache remembers it: each call finds it again.
        roots: folders that the source names, and those that links in them lead to; absolute, links resolved.
        patterns: patterns that the source names, as the parts of their paths.
        pattern: of the run folders that were kept.
        older: runs in these folders that are left out, as there is a newer one of their name.
    """

    places: tuple[RunPlace, ...]
    notes: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    roots: tuple[Path, ...] = ()
    patterns: tuple[tuple[str, ...], ...] = ()
    pattern: str = "*"
    older: tuple[Path, ...] = ()

    def covers(self, folder: Path, *, run: bool = True) -> bool:
        """Whether the source names a folder, or one above it. The folder may be gone.

        Args:
            folder: of a run.
            run: False if it is the folder of a suite or release.
        """
        if run and not matching({folder.name}, self.pattern):
            return False
        if any(folder.is_relative_to(root) for root in self.roots):
            return True
        parts = folder.parts
        return any(
            len(parts) >= len(pattern) and all(map(fnmatchcase, parts[: len(pattern)], pattern))
            for pattern in self.patterns
        )


@runtime_checkable
class HasPlaces(Protocol):
    """An object that knows its runs, such as a `HelmRuns`."""

    @property
    def places(self) -> Sequence[RunPlace]:
        """The runs, in order."""


@runtime_checkable
class Findable(Protocol):
    """An object that stands for folders, such as a `HelmOutputs`, which are searched when it is asked."""

    def find_places(self) -> Found:
        """What is there now."""


Source: TypeAlias = "str | os.PathLike[str] | PublicRuns | RunPlace | HasPlaces | Findable | Iterable[Source]"
"""Names runs: a path to any level of a dump, a pattern, an object of ours, or a list of such."""


def find_runs(source: Source, *, pattern: str = "*", follow_links: bool = True) -> Found:
    """The runs that a source names.

    A path is taken literally if it exists, and as a glob pattern if not: run names hold `[`. `~` is the home folder.
    A folder of no known kind gives the runs of all dumps up to three levels below. `latest`, which HELM makes a
    link to a suite (and a download a copy of one), is skipped unless it is named.

    The order decides what a seed draws. The runs of a folder, and all that a pattern matches, are sorted by suite,
    folder and outputs folder (code points), however that folder is written. A list keeps its order; a set, which has
    none, is sorted. A run that the source names twice (by links, by a release and its suite) is one run, at its first
    position.

    Args:
        source: a path to an outputs folder, a folder above one or several, its `runs`, a suite, a run; a glob
            pattern of such; an object with `.places`; or an iterable of these.
        pattern: run folders to keep, see `name_patterns`.
        follow_links: whether links below the named folders are followed, out of the dump too. If not, linked folders
            are noted, and runs with linked files are rejected.

    Raises:
        SourceNotFoundError: a path does not exist and matches nothing.
        NoRunsError: a path that was named holds no run, or no run is left.
    """
    found = _find(source, follow_links)
    chosen = matching({place.folder for place in found.places}, pattern)
    kept = [place for place in found.places if place.folder in chosen]
    if not kept:
        raise no_runs_left(pattern, [place.folder for place in found.places], [one.reason for one in found.rejected])
    found = replace(found, places=tuple(kept), pattern=pattern)
    return found if follow_links else _without_linked_files(found)


def find_all(source: Source, *, pattern: str = "*", follow_links: bool = True) -> Found:
    """What an ingest reads: the runs of a source, then the suites and releases in which `helm-summarize` wrote files.

    See `find_runs`. A suite or release is a `RunPlace` without a folder; the suite of a release is
    `releases/<version>`. A source that names single runs only has none.
    """
    filesystem.forget()
    source = list(source) if isinstance(source, Iterator) else source
    found = find_runs(source, pattern=pattern, follow_links=follow_links)
    walk = Walk(follow_links)
    around = _suites_around(found, walk)
    beside = Found(tuple(around), (), tuple(walk.rejected))
    if not follow_links:
        beside = _without_linked_files(beside)
    return replace(found, places=found.places + beside.places, rejected=found.rejected + beside.rejected)


def find_suite_runs(suite: str | os.PathLike[str]) -> Found:
    """The runs right below a folder; all that are below it, as `find_runs` finds them, if there is none.

    Raises:
        SourceNotFoundError: a path does not exist and matches nothing.
        NoRunsError: it holds no run.
    """
    found = _find(os.fspath(suite), True)
    own = tuple(place for place in found.places if place.path.parent in found.roots[:1])
    return replace(found, places=own) if own else found


def find_outputs(path: str | os.PathLike[str]) -> Path:
    """The outputs folder that `path` names: itself, a folder above it, or its `runs`. Absolute, no links.

    Raises:
        SourceNotFoundError: there is no such folder, it holds no dump, or it holds several of which none is
            its `benchmark_output`.
    """
    folder = filesystem.as_path(existing_folder(_looked_at(path)))
    if folder.name == RUNS:
        folder = folder.parent
    likely = [outputs for outputs in (folder, folder / _DEFAULT_OUTPUTS) if filesystem.is_folder(outputs / RUNS)]
    for outputs in likely:
        if _has_suites(outputs / RUNS):
            return filesystem.as_path(filesystem.real_path(outputs))
    walk = Walk()
    walk.visit(str(folder))
    sources = sorted({place.source for place in walk.places.values()})
    below = [source for source in sources if source.is_relative_to(folder)] or likely[:1]
    if len(below) != 1:
        raise not_one_dump(os.fspath(path), folder, below, sources)
    return filesystem.as_path(filesystem.real_path(below[0]))


def find_suites(path: str | os.PathLike[str], pattern: str = "*") -> tuple[list[Path], list[str]]:
    """The folders that hold the runs of a folder that `find_outputs` knows, and notes on what was skipped.

    Sorted as the runs of `find_runs` are. Those of its outputs folder have the names that they have there, which may be
    a link's, and one may be empty. `latest` is skipped, and so is a link to a suite that is listed itself.
    """
    outputs = find_outputs(path)
    walk = Walk()
    walk.visit(existing_folder(_written_out(path)))
    holding = {str(place.path.parent): str(place.source) for place in walk.places.values()}
    runs = outputs / RUNS
    listing = Walk()
    own = list(listing.subfolders(filesystem.real_path(runs))) if filesystem.is_folder(runs) else []
    listed = {folder.real: folder.path for folder in reversed(own) if folder.is_link}
    listed |= {folder.real: folder.path for folder in own if not folder.is_link}
    empty = {real for real in listed if real not in holding and not any(_is_below(path, real) for path in holding)}
    suites = holding | {real: str(outputs) for real in empty if not is_run(real)}
    chosen = matching({os.path.basename(listed.get(real, real)) for real in suites}, pattern)
    ordered = sorted(suites, key=lambda real: (os.path.basename(real), suites[real], real))
    kept = [listed.get(real, real) for real in ordered]
    return [filesystem.as_path(path) for path in kept if os.path.basename(path) in chosen], list(listing.notes)


def named_folder(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder of a dump, which need not be there. Links stay as they are.

    Raises:
        SourceNotFoundError: it is on another machine.
    """
    return filesystem.as_path(_written_out(path)).absolute()


def written_out(source: Source) -> Source:
    """The same source, its paths absolute: it means the same wherever the process is later."""
    if isinstance(source, PublicRuns | RunPlace | Findable | HasPlaces):
        return source
    if isinstance(source, str | os.PathLike):
        if (public := public_runs(os.fspath(source))) is not None:
            return public
        path = _written_out(source)
        return path if os.path.isabs(path) or filesystem.is_remote(path) else os.path.join(os.getcwd(), path)
    if isinstance(source, Set):
        return frozenset(map(written_out, source))
    return [written_out(item) for item in _listed(source)]


def _find(source: Source, follow_links: bool) -> Found:
    """All runs of a source, perhaps none."""
    if isinstance(source, RunPlace):
        return Found((source,), roots=(source.path,))
    if isinstance(source, Findable):
        return source.find_places()
    if isinstance(source, HasPlaces):
        return together([_find(place, follow_links) for place in source.places])
    if isinstance(source, str | os.PathLike):
        public = public_runs(os.fspath(source))
        return _find_at(_looked_at(source), follow_links) if public is None else _find_public(public, follow_links)
    if isinstance(source, PublicRuns):
        return _find_public(source, follow_links)
    found = together([_find(item, follow_links) for item in _listed(source)])
    return _in_order(found) if isinstance(source, Set) else found


def _listed(source: Source) -> Iterable[Source]:
    if not isinstance(source, Iterable) or isinstance(source, bytes):
        raise SettingError(f"{source!r} names no runs.", expected="a path, an object with runs, or a list of such")
    return source


def _written_out(path: str | os.PathLike[str]) -> str:
    """A path or pattern with the home folder for `~`, or a URL in its one spelling: for `helm://` that of a version."""
    text = os.fspath(path)
    if (public := public_runs(text)) is not None:
        return _only_folder(public)
    return url_of(text) or os.path.expanduser(text)


def _only_folder(public: PublicRuns) -> str:
    folders = list(public_bucket.choose(public).folders)
    if len(folders) > 1:
        several = in_words(folders, "folder")
        raise SourceNotFoundError(f"{public} means several folders.", expected="one", found=several)
    return folders[0]


def _looked_at(path: str | os.PathLike[str]) -> str:
    """A path as `_written_out` gives it. A URL from outside is listed again; ours are answered as they were listed."""
    text = _written_out(path)
    if not (isinstance(path, os.PathLike) and filesystem.is_remote(path)):
        filesystem.look(text)
    return text


def together(parts: Sequence[Found]) -> Found:
    """The runs of several sources, in their order, each run once."""
    places: dict[Path, RunPlace] = {}
    for found in parts:
        for place in found.places:
            places.setdefault(place.path, place)
    return Found(
        tuple(places.values()),
        tuple(dict.fromkeys(note for found in parts for note in found.notes)),
        tuple(dict.fromkeys(one for found in parts for one in found.rejected)),
        tuple(dict.fromkeys(root for found in parts for root in found.roots)),
        tuple(pattern for found in parts for pattern in found.patterns),
        older=tuple(path for found in parts for path in found.older),
    )


def _in_order(found: Found) -> Found:
    """The runs, sorted; the path of the dump comes last, so that moving a dump changes no draw."""
    places = sorted(found.places, key=lambda place: (place.suite, place.folder, str(place.source)))
    return replace(found, places=tuple(places))


def _find_at(path: str, follow_links: bool) -> Found:
    """The runs of one path or pattern."""
    if not filesystem.exists(path) and glob.has_magic(path):
        return _find_by_glob(path, follow_links)
    folder = existing_folder(path)
    walk = Walk(follow_links)
    walk.reject_keys(folder)
    if os.path.basename(os.path.dirname(folder)) == RELEASES:
        roots = find_release(filesystem.as_path(folder), walk)
        return _found(walk, roots)
    walk.visit(folder)
    if not walk.places and not walk.rejected:
        raise no_runs_in(path, folder, list(walk.notes))
    return _found(walk, [folder])


def _found(walk: Walk, roots: Iterable[str]) -> Found:
    named = tuple(dict.fromkeys(map(filesystem.as_path, (*roots, *walk.linked))))
    return _in_order(Found(tuple(walk.places.values()), tuple(walk.notes), tuple(walk.rejected), named))


def _find_public(public: PublicRuns, follow_links: bool) -> Found:
    """The runs of HELM's public bucket that are meant."""
    chosen = public_bucket.choose(public)
    parts, notes = [], list(chosen.notes)
    for folder in chosen.folders:
        filesystem.look(folder)
        try:
            parts.append(_find_at(folder, follow_links))
        except NoRunsError as error:
            if len(chosen.folders) == 1:
                raise
            notes.append(error.message)
    found = _in_order(together([Found((), tuple(notes)), *parts]))
    return _newest(found) if chosen.keeps_newest else found


def _newest(found: Found) -> Found:
    """Of each run name in a benchmark the run of the newest version; the others are noted."""
    newest: dict[tuple[Path, str], RunPlace] = {}
    for place in sorted(found.places, key=lambda place: version_order.order(place.suite)):
        newest[place.source, place.folder] = place
    places = [place for place in found.places if newest[place.source, place.folder] is place]
    older = [place for place in found.places if newest[place.source, place.folder] is not place]
    notes = [
        f"{place.suite}/{place.folder} is left out: {newest[place.source, place.folder].suite} has a newer run "
        "of this name."
        for place in older
    ]
    paths = tuple(place.path for place in older)
    return replace(found, places=tuple(places), notes=(*found.notes, *notes), older=paths)


def _find_by_glob(pattern: str, follow_links: bool) -> Found:
    head, tail = _split(pattern)
    folders, notes = _expand(head, tail, follow_links)
    parts = []
    for folder in folders:
        walk = Walk(follow_links)
        if not walk.visit(filesystem.real_path(folder)) and os.path.basename(folder) not in NOT_RUNS:
            walk.note_skipped(folder)
        parts.append(_found(walk, [filesystem.real_path(folder)] if walk.places or walk.rejected else []))
    named = filesystem.as_path(filesystem.real_path(head)).parts + tail
    found = together([Found((), tuple(notes), patterns=(named,)), *parts])
    if not found.places and not found.rejected:
        raise NoRunsError(
            f"No run matches {pattern!r}.",
            expected=f"folders that hold {MARK}",
            found=in_words(folders, "folder") + " that matched" if folders else no_match_in(head, tail[0]),
            hint=" ".join(notes) or None,
        )
    return _in_order(found)


def _split(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The head of a pattern that exists, which is literal (a folder called `[old]` can be above), and the rest."""
    whole = filesystem.as_path(pattern)
    parts, kind = whole.parts, type(whole)
    depth = next(i for i in range(len(parts), -1, -1) if i == 0 or filesystem.exists(kind(*parts[:i])))
    return kind(*parts[:depth]), parts[depth:]


def _expand(head: Path, tail: tuple[str, ...], follow_links: bool) -> tuple[list[str], list[str]]:
    """Folders that match, in code point order of their parts, and notes on those that are skipped."""
    folders, notes = [], []
    for match in sorted(Path(match).parts for match in filesystem.matches(os.path.join(*tail), head)):
        folder = os.fspath(head.joinpath(*match))
        if any(name == LATEST and name != wanted for name, wanted in zip(match, tail, strict=True)):
            notes.append(f"{folder} is skipped: it stands for another suite. Name it to ingest it.")
        elif not filesystem.is_folder(folder):
            continue
        elif not follow_links and filesystem.real_path(folder) != os.path.join(filesystem.real_path(head), *match):
            notes.append(f"{folder} is reached by a link: skipped, as links are not followed.")
        else:
            folders.append(folder)
    return folders, notes


def _suites_around(found: Found, walk: Walk) -> list[RunPlace]:
    """The suites of the runs that were found, and the releases of their outputs folders."""
    if all(is_run(root) and not _holds_others(root, found) for root in found.roots):
        return []
    suites = {os.path.dirname(place.path): place for place in found.places}
    around = [RunPlace(filesystem.as_path(path), place.source, place.suite, "") for path, place in suites.items()]
    for outputs in dict.fromkeys(place.source for place in found.places):
        releases = outputs / RELEASES
        if filesystem.is_folder(releases):
            folders = [folder for folder in walk.subfolders(str(releases)) if not folder.is_link]
            around += [RunPlace(filesystem.as_path(one.path), outputs, f"{RELEASES}/{one.name}", "") for one in folders]
    # Without a full listing, the cache keeps what it has of a suite.
    return [place for place in around if all(walk.can_list(place.path / below) for below in _SUITE_FOLDERS)]


def _holds_others(root: Path, found: Found) -> bool:
    """Whether runs are below a folder that is marked as a run."""
    return any(root in place.path.parents for place in found.places)


def _without_linked_files(found: Found) -> Found:
    """The runs and suites without those that have a link for a file."""
    walk = Walk()
    kept = []
    for place in found.places:
        linked = _linked_file(place)
        if linked is None:
            kept.append(place)
        else:
            walk.reject(str(place.path), f"{linked} is a link, and links are not followed.", "Put the file there.")
    return replace(found, places=tuple(kept), rejected=(*found.rejected, *walk.rejected))


def _linked_file(place: RunPlace) -> str | None:
    for below in [""] if place.folder else _SUITE_FOLDERS:
        folder = place.path / below
        if below and filesystem.is_link(folder):
            return str(folder)
        if not filesystem.is_folder(folder):
            continue
        try:
            entries = filesystem.entries(folder)
        except OSError:  # reading the run says so
            continue
        linked = [entry.path for entry in entries if entry.is_symlink() and ".json" in entry.name]
        if linked:
            return min(linked)
    return None


def _has_suites(runs: Path) -> bool:
    walk = Walk()
    suites = walk.subfolders(filesystem.real_path(runs))
    return any(is_run(run.real) for suite in suites for run in walk.subfolders(suite.real))


def _is_below(path: str, folder: str) -> bool:
    return filesystem.as_path(path).is_relative_to(filesystem.as_path(folder))
