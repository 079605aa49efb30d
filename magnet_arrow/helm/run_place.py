"""The location of a run, and what makes a folder a run."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from magnet_arrow.sources import filesystem
from magnet_arrow.sources.file import ENDINGS

RUN_FILES = ("run_spec.json", "scenario_state.json", "stats.json", "per_instance_stats.json")
"""The files of a run that must exist. HELM writes the run spec first, so it marks the folder as a run."""

MARK = RUN_FILES[0]
RUNS = "runs"


@dataclass(frozen=True, slots=True)
class RunPlace:
    """The location of a run. Two are equal exactly if they are one folder on disk.

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


def place_of(run: str) -> RunPlace:
    """The location of a run, from the real path of its folder."""
    suite, folder = os.path.split(run)
    return RunPlace(filesystem.as_path(run), _source_of(suite), os.path.basename(suite), folder)


@cache  # thousands of runs have one source, and a path that is the same object is hashed and shown once
def _source_of(suite: str) -> Path:
    parent = filesystem.as_path(suite).parent
    return parent.parent if parent.name == RUNS else parent


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is marked as a run: by its run spec, compressed or not."""
    return any(filesystem.is_there(os.path.join(folder, MARK + ending)) for ending in ENDINGS)


def is_gone(folder: str | os.PathLike[str], *, run: bool = True) -> bool:
    """Whether the system says that a run's folder is gone, or is no run any more.

    Any answer but "no such file" counts as no: a folder that may not be read, or a disk that fails, does not tell.

    Args:
        folder: of a run.
        run: False if it is the folder of a suite or release, which needs no run spec.
    """
    for path in [os.path.join(folder, MARK + ending) for ending in ENDINGS] if run else [folder]:
        try:
            filesystem.own_status(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return False
        return False
    return True


def is_utf8(name: str) -> bool:
    """Whether a name from the disk is UTF-8. Python shows other bytes as lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
