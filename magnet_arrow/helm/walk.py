"""A walk from a folder down to the runs below it.

Every folder with a run spec is a run, also inside another run. A walk lists each folder down to a certain depth. It
does not list folders where HELM keeps other things, nor runs at their usual place, `runs/<suite>/<run>`.
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
"""Folders that HELM keeps beside `runs` in an outputs folder: data sets and caches of any size, and no runs."""
_LEVELS = 3  # how deep dumps are searched for below a folder of no known kind: /data/<collection>/<version>/<outputs>


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that a walk meets: its path as met, and its real path."""

    name: str
    path: str
    real: str
    is_link: bool


@dataclass(slots=True)
class Walk:
    """What a walk has found. All paths given to it are real paths.

    Attributes:
        follow_links: whether links are followed; if not, they are noted.
        places: runs, by their folders.
        notes: sentences about what was skipped.
        rejected: what could not be read, or has a name that cannot be kept.
        linked: real folders that links led to.
        visited: folders that were listed, and whether one is a run or has a run below it.
    """

    follow_links: bool = True
    places: dict[str, RunPlace] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    rejected: dict[Rejected, None] = field(default_factory=dict)
    linked: dict[str, None] = field(default_factory=dict)
    visited: dict[str, bool] = field(default_factory=dict)

    def visit(self, folder: str, level: int = 0) -> bool:
        """Add a folder if it is a run, and the runs below it; whether there are any."""
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
        # Below `runs` the depth counts from there, so it does not depend on which folder was named.
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
                self.note_skipped(child.path)
        return found

    def add(self, run: str) -> None:
        """Add a run, or a rejection if its name cannot be kept."""
        if is_utf8(run):
            self.places[run] = place_of(run)
        else:
            self.reject(run, *_why_no_name(run))

    def subfolders(self, folder: str) -> Iterator[Folder]:
        """The folders in a folder, by name, without `latest`; links that can't be followed are noted."""
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
                self.note(f"{entry.path} is skipped: it stands for another suite. Name it to ingest it.")
            elif is_link and not self.follow_links:
                self.note(f"{entry.path} is a link: skipped, as links are not followed.")
            else:
                real = filesystem.real_path(entry.path) if is_link else entry.path
                if is_link:
                    self.linked[real] = None
                yield Folder(entry.name, entry.path, real, is_link)

    def _is_folder(self, entry: filesystem.Entry) -> bool:
        """Whether an entry leads to a folder, which may be one that cannot be listed."""
        try:
            is_folder = entry.is_dir()
        except OSError as error:
            if error.errno != errno.ELOOP:  # a link to itself
                self._unreadable(entry.path, error)
                return False
            is_folder = False
        if not is_folder and entry.is_symlink() and not filesystem.exists(entry.path):
            self.note(f"{entry.path} is a link that leads nowhere: skipped.")
        return is_folder

    def reject_keys(self, folder: str) -> None:
        """Reject what is in a bucket below a folder under keys that cannot be paths of files."""
        for path, why in sorted(filesystem.refused(folder).items()):
            self.reject(f"{folder}/{path}", f"{folder}/{path} is refused: {why}.", "Give the object another key.")

    def can_list(self, folder: Path) -> bool:
        """Whether a folder can be listed, or is not there; if neither, a rejection is added."""
        try:
            filesystem.require_listing(folder)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            self._unreadable(str(folder), error)
            return False
        return True

    def note_skipped(self, folder: str) -> None:
        """Note why a folder is no run, unless it is hidden."""
        if os.path.basename(folder).startswith("."):
            return
        try:
            names = filesystem.names(folder)
        except OSError as error:
            self._unreadable(folder, error)
            return
        if not names:
            self.note(f"{folder} is empty: skipped. HELM makes a run's folder before it starts the run.")
        elif MARK in names:
            self.reject(
                filesystem.real_path(folder), f"{folder} may be listed, but its files may not be read.", _MAY_READ
            )
        else:
            self.note(f"{folder} holds no {MARK}: skipped.")

    def _unreadable(self, folder: str, error: OSError) -> None:
        """Reject a folder that cannot be listed, unless it is gone since its parent was listed."""
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            reason = f"{folder} cannot be listed ({error.strerror or error})."
            self.reject(filesystem.real_path(folder), reason, _MAY_READ)

    def reject(self, folder: str, reason: str, hint: str) -> None:
        """Add a rejection, once; it is named by the last two parts of the path."""
        error = BadFileError(reason, hint=hint)
        self.rejected[Rejected.from_error("/".join(folder.split(os.sep)[-2:]), error)] = None

    def note(self, text: str) -> None:
        """Add a sentence for the report, once."""
        self.notes[text] = None


_MAY_READ = "Make it readable, or ingest as a user who may read it. What the cache has of it stays."


def _is_in_runs(folder: str) -> bool:
    """Whether a folder is at the place of a suite: `runs/<suite>`."""
    return os.path.basename(os.path.dirname(folder)) == RUNS


def _is_in_suite(folder: str) -> bool:
    """Whether a folder is at the place of a run: `runs/<suite>/<run>`."""
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
        f"{run} is UTF-8, but this Python expects file names in {sys.getfilesystemencoding()}.",
        "Set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8.",
    )
