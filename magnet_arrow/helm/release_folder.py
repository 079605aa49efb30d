"""A release: its runs are in suites, and `runs_to_run_suites.json` says which."""

import json
import os
from pathlib import Path
from typing import Any

from magnet_arrow.errors import NoRunsError, RemoteError
from magnet_arrow.helm.json_faults import first_fault, kind
from magnet_arrow.helm.no_source import in_words
from magnet_arrow.helm.run_place import RUNS, is_run
from magnet_arrow.helm.walk import Walk
from magnet_arrow.sources import filesystem

RELEASES = "releases"
_FILE = "runs_to_run_suites.json"


def find_release(release: Path, walk: Walk) -> list[str]:
    """Add the runs of a release to a walk; the folders of the release and of its runs.

    An entry that names no folder below `runs` of the same outputs folder is rejected. If the walk follows links, such a
    folder may be a link that leads out of it.

    Raises:
        NoRunsError: the file cannot be read, or none of the runs is there.
    """
    if not walk.follow_links and filesystem.is_link(release / _FILE):
        raise NoRunsError(f"{release / _FILE} is a link, and links are not followed.")
    entries = _entries(release / _FILE)
    runs = release.parent.parent / RUNS
    roots, missing = [str(release)], []
    for suite in sorted({suite for run, suite in entries if _why_not(run, suite) is None}):
        filesystem.look(runs / suite)
    for run, suite in sorted(entries, key=str):
        if (wrong := _why_not(run, suite)) is not None:
            reason = f"{_FILE} of the release {release.name} names no run below {runs}: expected {wrong}."
            walk.reject(
                f"{release.name}/{run}", reason, "Correct the entry; a release never leads out of its outputs folder."
            )
            continue
        folder = runs / suite / run.replace("/", "_")
        real = filesystem.real_path(folder)
        if not walk.follow_links and real != str(folder):
            walk.reject(
                str(folder), f"{folder} is reached by a link, and links are not followed.", "Name it by itself."
            )
        elif is_run(real):
            walk.add(real)
        else:
            missing.append(f"{suite}/{folder.name}")
        roots.append(real)
    if not walk.places and not walk.rejected:
        raise NoRunsError(f"None of the {len(entries)} runs of {release} is below {runs}.")
    if missing:
        walk.note(f"The release {release.name} names runs that are not there: {in_words(missing, 'run')}.")
    return roots


def named_runs(release: Path) -> list[tuple[str, str]]:
    """The suite and folder of each run that a release names, sorted, without a look at them.

    Raises:
        NoRunsError: the file cannot be read.
    """
    entries = _entries(release / _FILE)
    return sorted((suite, run.replace("/", "_")) for run, suite in entries if _why_not(run, suite) is None)


class _Object(list[tuple[str, Any]]):
    """The members of a JSON object in their order; a name may occur twice."""


def _entries(path: Path) -> _Object:
    """The names of runs and their suites, as they are in the file."""
    try:
        entries = json.loads(filesystem.read_bytes(path).decode("utf-8"), object_pairs_hook=_Object)
    except RemoteError:  # which says nothing of the release
        raise
    except FileNotFoundError as error:
        raise _no_entries(path, "none of this name") from error
    except UnicodeDecodeError as error:
        raise _no_entries(path, f"no UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        fault = first_fault(error.doc.encode("utf-8"))
        raise _no_entries(path, f"no JSON ({fault.what}, byte {fault.byte})" if fault else "no JSON") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _no_entries(path, str(error)) from error
    if not isinstance(entries, _Object):
        raise _no_entries(path, kind(entries))
    return entries


def _no_entries(path: Path, found: str) -> NoRunsError:
    return NoRunsError(
        f"The release {path.parent} does not say which runs are its own.",
        expected=f"{path.name}, an object from run names to suites",
        found=found,
        hint="Name the suites instead.",
    )


def _why_not(run: str, suite: object) -> str | None:
    """What is wrong with an entry; None if nothing is."""
    if not isinstance(suite, str):
        return f"a suite's name, found {kind({} if isinstance(suite, _Object) else suite)}"
    for name in (*suite.split("/"), run.replace("/", "_")):
        if name in ("", ".", "..") or "\0" in name or os.sep in name or (os.altsep or "/") in name:
            return f"names of folders, found {suite!r}, {run!r}"
        try:
            os.fsencode(name)
        except UnicodeEncodeError:
            return f"names of folders, found {suite!r}, {run!r}"
    return None
