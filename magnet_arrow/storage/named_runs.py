"""Finds cached runs by what a user calls them: a run, a suite or a source, which may be gone."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from magnet_arrow._near_names import did_you_mean
from magnet_arrow.errors import RunNotCachedError
from magnet_arrow.sources import filesystem
from magnet_arrow.sources.remote.urls import url_of
from magnet_arrow.storage.snapshot import CachedRun, Snapshot


def find_cached(snapshot: Snapshot, name: str, *, others: Iterable[str] = ()) -> CachedRun:
    """The cached run that a user means.

    Args:
        snapshot: of the cache.
        name: a run's folder (it may be gone), its key, `suite/folder`, or its folder's name if no other run has it.
        others: what else the user could have named, to be offered if it is near.

    Raises:
        RunNotCachedError: none, or several.
    """
    if name in snapshot.runs:
        return snapshot.runs[name]
    sources = _folders(snapshot)
    path = _named_path(name)
    chosen: list[CachedRun] = []
    for is_meant in (
        lambda run: _lies_at(run, sources, path),
        lambda run: f"{run.entry.suite}/{run.entry.folder}" == name,
        lambda run: run.entry.folder == name,
    ):
        chosen = chosen or [run for run in snapshot.runs.values() if is_meant(run)]
    if len(chosen) != 1:
        raise _not_one(snapshot, name, chosen, others)
    return chosen[0]


def _folders(snapshot: Snapshot) -> dict[str, list[Path]]:
    """The folders of each source, by its id: the outputs folder, and its mirrors."""
    return {source.id: list(map(filesystem.as_path, source.paths)) for source in snapshot.manifest.sources}


def _named_path(name: str) -> Path:
    """The folder that a name may mean, absolute, links resolved."""
    return filesystem.as_path(url_of(name) or os.path.realpath(os.path.expanduser(name)))


def _lies_at(run: CachedRun, sources: Mapping[str, Sequence[Path]], path: Path) -> bool:
    """Whether a run was read from this folder."""
    below = Path(run.entry.suite, run.entry.folder)
    return any(path in (source / "runs" / below, source / below) for source in sources.get(run.entry.source, ()))


def _not_one(snapshot: Snapshot, name: str, chosen: Sequence[CachedRun], others: Iterable[str]) -> RunNotCachedError:
    if chosen:
        keys = ", ".join(run.key for run in chosen)
        return RunNotCachedError(f"{len(chosen)} cached runs are called {name!r}.", hint=f"Name one of them: {keys}.")
    known = [*distinct_names(snapshot), *others]
    hint = did_you_mean(name, known) or did_you_mean(os.path.basename(os.path.normpath(name)), known)
    hint = hint or "`magnet-arrow ls` shows which there are."
    return RunNotCachedError(f"The cache {snapshot.path} has no run {name!r}.", hint=hint)


def distinct_names(snapshot: Snapshot) -> list[str]:
    """A name for each cached run that stands for it alone: its folder, its suite and folder, or its key."""
    runs = snapshot.runs.values()
    folders = Counter(run.entry.folder for run in runs)
    with_suites = Counter(f"{run.entry.suite}/{run.entry.folder}" for run in runs)
    names = []
    for run in runs:
        folder, with_suite = run.entry.folder, f"{run.entry.suite}/{run.entry.folder}"
        names.append(folder if folders[folder] == 1 else with_suite if with_suites[with_suite] == 1 else run.key)
    return names


def find_all(snapshot: Snapshot, name: str) -> list[str]:
    """The keys of all runs that a user means: those of a source or a suite that the cache has or has rejected.

    Args:
        snapshot: of the cache.
        name: the folder of a source or a suite (it may be gone), or what `find_cached` knows.

    Raises:
        RunNotCachedError: nothing is called so, or several runs are.
    """
    held = {key: (run.entry.source, run.entry.suite, run.entry.folder) for key, run in snapshot.entries.items()}
    held |= {key: (run.source, run.suite, run.folder) for key, run in snapshot.rejected.items()}
    if name in held:
        return [name]
    sources = [source.path for source in snapshot.manifest.sources]
    folders = _folders(snapshot)
    path = _named_path(name)
    below = [
        key
        for key, (source, suite, folder) in held.items()
        if name
        and any(
            (root / suite / folder).is_relative_to(path)
            for outputs in folders.get(source, ())
            for root in (outputs / "runs", outputs)
        )
    ]
    called = [key for key, (_, suite, folder) in held.items() if f"{suite}/{folder}" == name]
    called = called or [key for key, (_, _, folder) in held.items() if folder == name]
    return below or (called if len(called) == 1 else [find_cached(snapshot, name, others=sources).key])
