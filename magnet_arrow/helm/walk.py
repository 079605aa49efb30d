"""One way down from a folder to the runs below it.

A run is wherever its mark is, and none hides another: a walk looks into each folder down to a certain depth, but not
into those where HELM keeps something else, and not into a run that is where HELM puts it.
"""

import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from magnet_arrow.errors import BadFileError, Rejected
from magnet_arrow.helm.run_place import MARK, RUNS, RunPlace, is_run, is_utf8, place_of
from magnet_arrow.sources import demo, filesystem

LATEST = "latest"
NOT_RUNS = frozenset({"eval_cache", "groups"})
_BESIDE_RUNS = frozenset({"eval_cache", "prod_env", "releases", "scenario_instances", "scenarios"})
"""What HELM keeps in an outputs folder beside `runs`: data sets and caches of any size, and no runs."""
_LEVELS = 3  # how far below a folder of no known kind dumps are looked for: /data/<collection>/<version>/<outputs>


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that a walk meets: its path there, and where it really is."""

    name: str
    path: str
    real: str
    is_link: bool


@dataclass(slots=True)
class Walk:
    """What was met on the way. All paths that it is given are real ones.

    Attributes:
        follow_links: whether links are gone after; else they are noted.
        places: runs, by their folders.
        notes: what was skipped and is worth a word.
        rejected: what could not be looked into or named.
        linked: real folders that links led to.
        visited: folders that were looked into, and whether there is a run in or below them.
    """

    follow_links: bool = True
    places: dict[str, RunPlace] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    rejected: dict[Rejected, None] = field(default_factory=dict)
    linked: dict[str, None] = field(default_factory=dict)
    visited: dict[str, bool] = field(default_factory=dict)

    def visit(self, folder: str, level: int = 0) -> bool:
        """Take a folder that is a run, and the runs below one; whether there are any."""
        if folder in self.visited:
            return self.visited[folder]
        self.visited[folder] = False  # links may lead back to it
        found = is_run(folder)
        if found:
            self.add(folder)
        if level <= _LEVELS and not (found and _is_in_suite(folder)):
            found = self._visit_below(folder, level) or found
        self.visited[folder] = found
        return found

    def _visit_below(self, folder: str, level: int) -> bool:
        children = list(self.subfolders(folder))
        runs = next((child for child in children if child.name == RUNS), None)
        found = runs is not None and self.visit(runs.real, level)
        if found:
            children = [child for child in children if child.name not in _BESIDE_RUNS]
        is_runs = os.path.basename(folder) == RUNS
        # Below `runs` the depth is counted from there, so that it does not depend on which folder was named.
        below = 1 if is_runs else 2 if _is_in_runs(folder) else level + 1
        is_suite = _is_in_runs(folder) or (not is_runs and any(is_run(child.real) for child in children))
        for child in children:
            if child is runs or (is_suite and child.name in NOT_RUNS):
                continue
            if demo.FOLDER.fullmatch(child.name):
                continue
            if child.name.startswith(".") and not is_runs and not is_run(child.real):
                continue
            if self.visit(child.real, below):
                found = True
            elif is_suite:
                self.pass_over(child.path)
        return found

    def add(self, run: str) -> None:
        """Take a run, unless its name cannot be kept."""
        if is_utf8(run):
            self.places[run] = place_of(run)
        else:
            self.reject(run, *_why_no_name(run))

    def subfolders(self, folder: str) -> Iterator[Folder]:
        """The folders in a folder, by name, `latest` left out; what can't be followed is noted."""
        try:
            listed = sorted(filesystem.entries(folder), key=lambda entry: entry.name)
        except OSError as error:
            self._unreadable(folder, error)
            return
        for entry in listed:
            is_link = entry.is_symlink()
            if not self._is_folder(entry):
                continue
            if entry.name == LATEST:
                self.note(f"{entry.path} is passed over: it stands for another suite. Name it to take it.")
            elif is_link and not self.follow_links:
                self.note(f"{entry.path} is a link: skipped, as links are not followed.")
            else:
                real = filesystem.real_path(entry.path) if is_link else entry.path
                if is_link:
                    self.linked[real] = None
                yield Folder(entry.name, entry.path, real, is_link)

    def _is_folder(self, entry: os.DirEntry[str]) -> bool:
        """Whether it leads to a folder, which may be one that cannot be looked into."""
        try:
            is_folder = entry.is_dir()
        except OSError as error:
            if error.errno != errno.ELOOP:  # a link to itself
                self._unreadable(entry.path, error)
                return False
            is_folder = False
        if not is_folder and entry.is_symlink() and not filesystem.exists(entry.path):
            self.note(f"{entry.path} is a link that leads nowhere: passed over.")
        return is_folder

    def may_look_into(self, folder: Path) -> bool:
        """Whether a folder can be listed, or is not there; else that is kept."""
        try:
            filesystem.require_listing(folder)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            self._unreadable(str(folder), error)
            return False
        return True

    def pass_over(self, folder: str) -> None:
        """Say why a folder is no run. Hidden ones are not worth it."""
        if os.path.basename(folder).startswith("."):
            return
        try:
            names = filesystem.names(folder)
        except OSError as error:
            self._unreadable(folder, error)
            return
        if not names:
            self.note(f"{folder} is empty: passed over. HELM makes a run's folder before it starts the run.")
        elif MARK in names:
            self.reject(
                filesystem.real_path(folder), f"{folder} may be listed, but its files may not be read.", _MAY_READ
            )
        else:
            self.note(f"{folder} holds no {MARK}: passed over.")

    def _unreadable(self, folder: str, error: OSError) -> None:
        """A folder that says nothing about what is in it; one that went away since it was listed is no matter."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            reason = f"{folder} cannot be looked into ({error.strerror or error})."
            self.reject(filesystem.real_path(folder), reason, _MAY_READ)

    def reject(self, folder: str, reason: str, hint: str) -> None:
        """Keep why something was not taken, once; it is named by the last two parts of its path."""
        error = BadFileError(reason, hint=hint)
        self.rejected[Rejected.from_error("/".join(folder.split(os.sep)[-2:]), error)] = None

    def note(self, text: str) -> None:
        """Keep a sentence for the report, once."""
        self.notes[text] = None


_MAY_READ = "Make it readable, or ingest as somebody who may read it. Nothing of it was taken or forgotten."


def _is_in_runs(folder: str) -> bool:
    """Whether a folder is where HELM puts suites: `runs/<suite>`."""
    return os.path.basename(os.path.dirname(folder)) == RUNS


def _is_in_suite(folder: str) -> bool:
    """Whether a folder is where HELM puts runs: `runs/<suite>/<run>`."""
    return _is_in_runs(os.path.dirname(folder))


def _why_no_name(run: str) -> tuple[str, str]:
    """Why a run's path cannot be kept, and what helps."""
    try:
        os.fsencode(run).decode("utf-8")
    except UnicodeError:
        part = next(name for name in run.split(os.sep) if not is_utf8(name))
        renamed = part.encode("utf-8", "surrogateescape").decode("latin-1")
        return f"{run} has a name that is no UTF-8: {part}.", f"Rename that folder, for example to {renamed}."
    return (
        f"{run} is UTF-8, but this Python takes the names of files for {sys.getfilesystemencoding()}.",
        "Set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8.",
    )
