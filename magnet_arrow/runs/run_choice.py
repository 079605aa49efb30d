"""Runs that a person names: by an expression, or by index, name, pattern or object."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

import polars as pl

from magnet_arrow._near_names import did_you_mean_pattern
from magnet_arrow.errors import SettingError
from magnet_arrow.runs.helm_runs import HelmRun, HelmRuns

RunChoice: TypeAlias = pl.Expr | HelmRun | HelmRuns | Iterable["int | str | HelmRun"]
"""Which of some runs: an expression over table `run_spec`, or runs, indices, or names or patterns of run folders."""


def chosen_indices(runs: HelmRuns, choice: RunChoice, name: str) -> list[int]:
    """Indices of the chosen runs, ascending.

    Args:
        runs: the runs to choose from.
        choice: which of them.
        name: of the argument that gives the choice, for errors.

    Raises:
        SettingError: the choice is none, or a part of it names no run.
    """
    index_of = {place.path: index for index, place in enumerate(runs.places)}
    if isinstance(choice, pl.Expr):
        return sorted(index_of[place.path] for place in runs.filter(choice).places)
    if isinstance(choice, str) or not isinstance(choice, HelmRun | Iterable):
        raise SettingError(
            f"{name}:", expected="an expression, or a list of runs, indices or names", found=repr(choice)
        )
    chosen: set[int] = set()
    for one in [choice] if isinstance(choice, HelmRun) else choice:
        found = _indices(runs, index_of, one)
        if not found:
            hint = did_you_mean_pattern(one, {place.folder for place in runs.places}) if isinstance(one, str) else ""
            raise SettingError(f"{name}:", expected="runs among those given", found=repr(one), hint=hint or None)
        chosen.update(found)
    return sorted(chosen)


def _indices(runs: HelmRuns, index_of: Mapping[Path, int], one: object) -> list[int]:
    match one:
        case HelmRun():
            return [index_of[one.place.path]] if one.place.path in index_of else []
        case str():
            named = [index for index, place in enumerate(runs.places) if place.folder == one]
            return named or [index for index, place in enumerate(runs.places) if fnmatchcase(place.folder, one)]
        case bool():
            return []
        case int():
            return [range(len(runs))[one]] if -len(runs) <= one < len(runs) else []
        case _:
            return []
