"""MAGNET's objects of a dump: lists of paths, whose frames are pandas frames.

Which folders are runs is decided as everywhere in this package: a run is a folder that holds `run_spec.json`.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self, TypeAlias, cast

import magnet_arrow.outputs as ours
from magnet_arrow.errors import NoRunsError
from magnet_arrow.helm.layout import Source, find_runs, find_suite_runs
from magnet_arrow.helm.public_bucket import public_runs
from magnet_arrow.magnet_compat.frames import DotDictDataFrame
from magnet_arrow.magnet_compat.run_tables import RunTables, concatenated
from magnet_arrow.query.raw_json import JsonView, StructsView
from magnet_arrow.sources import filesystem

__all__ = ["HelmOutputs", "HelmRun", "HelmRuns", "HelmSuite", "HelmSuiteRuns", "HelmSuites"]

PathLike: TypeAlias = str | os.PathLike[str]

_FILES_OF_A_RUN = ("run_spec.json", "scenario_state.json", "stats.json")
_ALL_FILES = (*_FILES_OF_A_RUN, "scenario.json", "per_instance_stats.json")


class HelmRun:
    """A run: a folder with the files that HELM wrote for it."""

    def __init__(self, path: PathLike) -> None:
        self.path = _path(path)

    @classmethod
    def coerce(cls, input: "HelmRun | PathLike") -> "HelmRun":
        """`input` itself if it is a run, else the run at this path."""
        return input if isinstance(input, HelmRun) else cls(input)

    @classmethod
    def demo(cls) -> "HelmRun":
        """The last run of the demo's first suite."""
        return cls(HelmRuns.demo().paths[-1])

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    def exists(self) -> bool:
        """Whether the folder holds the files without which MAGNET counts it as missing."""
        return all(filesystem.exists(self.path / file) for file in _FILES_OF_A_RUN)

    @property
    def json(self) -> JsonView:
        """The files as plain Python values."""
        return ours.HelmRun(self.path).json

    @property
    def msgspec(self) -> StructsView:
        """The files as structs with HELM's names and defaults."""
        return ours.HelmRun(self.path).msgspec

    @property
    def dataframe(self) -> RunTables:
        """The four frames, which the run itself has, too."""
        return RunTables(self.json)

    @property
    def dataclass(self) -> Any:
        """Not offered.

        Raises:
            UnsupportedError: always.
        """
        return ours.HelmRun(self.path).dataclass

    def run_spec(self) -> DotDictDataFrame:
        """One row."""
        return self.dataframe.run_spec()

    def scenario_state(self) -> DotDictDataFrame:
        """One row per request state."""
        return self.dataframe.scenario_state()

    def stats(self) -> DotDictDataFrame:
        """One row per stat."""
        return self.dataframe.stats()

    def per_instance_stats(self) -> DotDictDataFrame:
        """One row per stat of an instance."""
        return self.dataframe.per_instance_stats()

    def __repr__(self) -> str:
        return f"<HelmRun({self.path.name})>"


class HelmRuns:
    """A list of runs in a fixed order."""

    def __init__(self, paths: Iterable[PathLike]) -> None:
        self.paths = [_path(path) for path in paths]

    @classmethod
    def coerce(cls, input: Any) -> "HelmRuns":
        """The runs that a path, a pattern, an object of this module, or a list of these names.

        Raises:
            SourceNotFoundError: a path does not exist.
            NoRunsError: there is no run.
        """
        if isinstance(input, HelmRuns):
            return input
        if isinstance(input, HelmSuite | HelmSuites):
            return input.runs()
        return cls(place.path for place in find_runs(_source(input)).places)

    @classmethod
    def demo(cls) -> "HelmRuns":
        """The runs of the demo's first suite."""
        return HelmSuite.demo().runs()

    def existing(self) -> "HelmRuns":
        """The runs whose five files all exist."""
        return HelmRuns(path for path in self.paths if all(filesystem.exists(path / file) for file in _ALL_FILES))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Any:
        """One run, or the runs of a slice."""
        return HelmRuns(self.paths[index]) if isinstance(index, slice) else HelmRun(self.paths[index])

    def __iter__(self) -> Iterator[HelmRun]:
        return map(HelmRun, self.paths)

    def run_spec(self) -> DotDictDataFrame:
        """One row per run."""
        return concatenated([run.run_spec() for run in self])

    def scenario_state(self) -> DotDictDataFrame:
        """One row per request state."""
        return concatenated([run.scenario_state() for run in self])

    def stats(self) -> DotDictDataFrame:
        """One row per stat."""
        return concatenated([run.stats() for run in self])

    def per_instance_stats(self) -> DotDictDataFrame:
        """One row per stat of an instance."""
        return concatenated([run.per_instance_stats() for run in self])

    def __repr__(self) -> str:
        return f"<HelmRuns({len(self)})>"


HelmSuiteRuns = HelmRuns  # MAGNET's older name


class HelmSuite:
    """A folder of runs."""

    def __init__(self, path: PathLike) -> None:
        self.path = _path(path)
        self.name = self.path.name

    @classmethod
    def coerce(cls, input: "HelmSuite | PathLike") -> "HelmSuite":
        """`input` itself if it is a suite, else the suite at this path."""
        return input if isinstance(input, HelmSuite) else cls(input)

    @classmethod
    def demo(cls) -> "HelmSuite":
        """The demo's first suite."""
        return HelmOutputs.demo().suites()[0]

    def runs(self, pattern: str = "*") -> HelmRuns:
        """The runs whose folder matches `pattern`, sorted; perhaps none."""
        try:
            found = find_runs([*find_suite_runs(self.path).places], pattern=pattern)
        except NoRunsError:
            return HelmRuns([])
        return HelmRuns(place.path for place in found.places)

    def __repr__(self) -> str:
        return f"<HelmSuite({self.name})>"


class HelmSuites:
    """A list of suites in a fixed order."""

    def __init__(self, paths: Iterable[PathLike]) -> None:
        self.paths = [_path(path) for path in paths]

    @classmethod
    def coerce(cls, input: Any) -> "HelmSuites":
        """The suites that a path, a pattern, an object of this module, or a list of these names."""
        if isinstance(input, HelmSuites):
            return input
        if isinstance(input, HelmOutputs):
            return cls(suite.path for suite in input.suites())
        return cls(sorted(suite.path for suite in ours.HelmSuites(_source(input))))

    @classmethod
    def demo(cls) -> "HelmSuites":
        """The demo's suites."""
        return cls.coerce(HelmOutputs.demo())

    def existing(self) -> "HelmSuites":
        """The suites whose folder exists."""
        return HelmSuites(path for path in self.paths if filesystem.is_folder(path))

    def runs(self, pattern: str = "*") -> HelmRuns:
        """The runs of all suites whose folder matches `pattern`."""
        return HelmRuns(path for suite in self for path in suite.runs(pattern).paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int | slice) -> Any:
        """One suite, or the suites of a slice."""
        return HelmSuites(self.paths[index]) if isinstance(index, slice) else HelmSuite(self.paths[index])

    def __iter__(self) -> Iterator[HelmSuite]:
        return map(HelmSuite, self.paths)

    def __repr__(self) -> str:
        return f"<HelmSuites({len(self)})>"


class HelmOutputs:
    """A dump: the folder that HELM calls `benchmark_output`."""

    def __init__(self, root_dir: PathLike) -> None:
        self.root_dir = _path(root_dir)
        self._chosen: ours.HelmOutputs | None = None

    @classmethod
    def coerce(cls, input: "HelmOutputs | PathLike") -> "HelmOutputs":
        """`input` itself if it is a dump, else the dump at this path: its folder, the one above, or its `runs`.

        Of `helm://BENCHMARK` it has the latest version, as everywhere in this package.
        """
        if isinstance(input, HelmOutputs):
            return input
        chosen = ours.HelmOutputs(input)
        outputs = cls(chosen.path)
        if public_runs(os.fspath(input)) is not None:  # the folder has all versions
            outputs._chosen = chosen
        return outputs

    @classmethod
    def demo(cls, method: str = "compute", **kwargs: Any) -> Self:
        """The small dump that this package ships, whatever the arguments are."""
        return cls(ours.HelmOutputs.demo().path)

    def suites(self, pattern: str = "*") -> list[HelmSuite]:
        """The suites whose folder matches `pattern`, sorted; perhaps none."""
        try:
            outputs = ours.HelmOutputs(self.root_dir) if self._chosen is None else self._chosen
            return [HelmSuite(suite.path) for suite in outputs.suites(pattern)]
        except NoRunsError:
            return []

    def list_suites(self) -> list[str]:
        """Names of the suites, sorted."""
        return [suite.name for suite in self.suites()]

    def list_run_specs(self, suite: str = "*") -> list[str]:
        """Names of the run folders in the matching suites, sorted, each once."""
        return sorted({path.name for one in self.suites(suite) for path in one.runs().paths})

    def __repr__(self) -> str:
        return f"<HelmOutputs({self.root_dir})>"


def _path(path: PathLike) -> Path:
    """A path, which may be a URL of a bucket."""
    return filesystem.as_path(os.fspath(path))


def _source(input: Any) -> Source:
    """The paths that stand for objects of this module; anything else stays as it is."""
    if isinstance(input, HelmRun | HelmSuite):
        return input.path
    if isinstance(input, HelmRuns | HelmSuites):
        return list(input.paths)
    if isinstance(input, HelmOutputs):
        return input.root_dir if input._chosen is None else input._chosen
    if isinstance(input, list | tuple):
        return [_source(item) for item in input]
    return cast(Source, input)
