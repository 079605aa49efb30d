"""The objects of a dump: outputs, suites and runs, which give frames.

    HelmOutputs -suites()-> HelmSuites -[0]-> HelmSuite -runs()-> HelmRuns -[0]-> HelmRun

Each can be made from a path, a pattern, another object, or a list of these (`coerce`). Making one lists
folders and reads no file. A frame first ingests those of its runs that the cache lacks, then reads the cache.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Self, cast, overload

import polars as pl

from magnet_arrow._near_names import did_you_mean_pattern
from magnet_arrow._text import counted, for_terminal
from magnet_arrow.cache import Cache
from magnet_arrow.errors import NoRunsError, SettingError
from magnet_arrow.helm import layout, public_bucket
from magnet_arrow.helm.layout import Found, RunPlace, Source, find_outputs, find_runs, find_suites
from magnet_arrow.helm.name_patterns import matching
from magnet_arrow.helm.public_bucket import PublicRuns, public_runs
from magnet_arrow.pages import card, few
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.query.frames import Frames
from magnet_arrow.query.projection import Columns
from magnet_arrow.runs.helm_runs import HelmRun, HelmRuns, check_index, is_incomplete
from magnet_arrow.runs.read_options import CacheLike, HasReadOptions, ReadOptions
from magnet_arrow.runs.summaries import Summaries, SummarizedRuns
from magnet_arrow.sources import demo, filesystem

__all__ = ["CacheLike", "HelmOutputs", "HelmRun", "HelmRuns", "HelmSuite", "HelmSuites"]


class _OfRuns(HasReadOptions, Frames, Summaries):
    """Anything that holds runs: it has their frames, samples and scores."""

    __slots__ = ()

    def runs(self, pattern: str = "*") -> HelmRuns:
        """The runs whose folder matches `pattern`.

        Raises:
            NoRunsError: none does.
        """
        return HelmRuns(cast(Source, self), pattern=pattern, **self._options.arguments)

    def scan(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> pl.LazyFrame:
        """The rows of one table of the runs, lazily; see `Frames.scan`."""
        return self.runs().scan(table, columns=columns, key=key)

    def table(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> TableHandle:
        """The rows of one table of the runs as an Arrow stream; see `Frames.table`."""
        return self.runs().table(table, columns=columns, key=key)

    def _summarized(self, tables: Collection[str]) -> SummarizedRuns:
        return self.runs()._summarized(tables)


class HelmSuite(_OfRuns):
    """A folder of runs that HELM made together; all arguments but `path` are for its runs, see `HelmRuns`."""

    __slots__ = ("path",)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        self.path = layout.named_folder(path)
        self._options = ReadOptions.of(None, cache, partial, strict, progress)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """The locations of its runs."""
        return self.find_places().places

    def find_places(self) -> Found:
        """The runs that are there now."""
        return layout.find_suite_runs(self.path)

    def __eq__(self, other: object) -> bool:
        return self.path == other.path if isinstance(other, HelmSuite) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"<HelmSuite {for_terminal(str(self.path))}>"

    def _repr_html_(self) -> str:
        return card("HelmSuite", {"folder": str(self.path)})


class HelmSuites(_OfRuns, Sequence[HelmSuite]):
    """A list of suites in a fixed order.

    Args:
        source: suites, or any source of runs: then the suites that hold them.
        cache: where frames are kept; by default that of `source`, else the user's.
        partial: as `HelmRuns`; by default as `source` does.
        strict: as `HelmRuns`; by default as `source` does.
        progress: as `HelmRuns`; by default as `source` does.
    """

    __slots__ = ("_suites",)

    def __init__(
        self,
        source: Source,
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        self._options = ReadOptions.of(source, cache, partial, strict, progress)
        paths = dict.fromkeys(_suite_paths(source))
        self._suites = tuple(HelmSuite(path, **self._options.arguments) for path in paths)

    @classmethod
    def coerce(
        cls,
        source: Source,
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
        progress: bool | None = None,
    ) -> "HelmSuites":
        """`source` itself if it is a `HelmSuites` with these options, else a new one."""
        if (
            isinstance(source, HelmSuites)
            and source._options.replaced(cache, partial, strict, progress) == source._options
        ):
            return source
        return cls(source, cache=cache, partial=partial, strict=strict, progress=progress)

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """The locations of all runs."""
        return self.find_places().places

    def find_places(self) -> Found:
        """The runs that are there now."""
        found = layout.together([_found_in(suite) for suite in self])
        # If there is no run at all, a second search raises the error that says what is there instead.
        return found if found.places else find_runs([suite.path for suite in self])

    def existing(self) -> "HelmSuites":
        """The suites whose folder still exists."""
        return HelmSuites([suite for suite in self if filesystem.is_folder(suite.path)], **self._options.arguments)

    @overload
    def __getitem__(self, index: int) -> HelmSuite: ...
    @overload
    def __getitem__(self, index: slice) -> "HelmSuites": ...
    def __getitem__(self, index: int | slice) -> "HelmSuite | HelmSuites":
        if not isinstance(index, slice):
            check_index(index, [suite.name for suite in self._suites], _SUITE_BY_NAME)
        chosen = self._suites[index]
        return chosen if isinstance(chosen, HelmSuite) else HelmSuites(chosen, **self._options.arguments)

    def __len__(self) -> int:
        return len(self._suites)

    def __repr__(self) -> str:
        return f"<HelmSuites {counted(len(self), 'suite')}>"

    def _repr_html_(self) -> str:
        return card("HelmSuites", {"suites": f"{len(self):,}"}, few([suite.name for suite in self]))


class HelmOutputs(_OfRuns):
    """A dump: the folder that HELM calls `benchmark_output`.

    Args:
        root_dir: the outputs folder, its parent, or its `runs` folder; or `helm://BENCHMARK` for a benchmark in HELM's
            public bucket.
        version: of `helm://`: a version, a pattern of versions, `latest` (if nothing is said), or `all`: every
            version, and of each run name the newest run.
        cache: where frames are kept; by default the user's.
        partial: for its runs, as `HelmRuns`.
        strict: for its runs, as `HelmRuns`.
        progress: for its runs, as `HelmRuns`.

    Raises:
        SourceNotFoundError: there is no such folder, benchmark or version, or it is no outputs folder.
        SettingError: a version of something else than `helm://` is asked for.

    >>> HelmOutputs.demo().list_suites()
    ['my-suite', 'perturbed']
    """

    __slots__ = ("_root", "path")

    def __init__(
        self,
        root_dir: str | os.PathLike[str] | PublicRuns,
        *,
        version: str | None = None,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        self.path, self._root = _located(root_dir, version)
        self._options = ReadOptions.of(None, cache, partial, strict, progress)

    @classmethod
    def demo(cls, cache: CacheLike = None) -> Self:
        """A small dump that HELM made for this package. It is unpacked into the cache's folder once."""
        opened = Cache.coerce(cache)
        return cls(demo.unpack(opened.path), cache=opened)

    @classmethod
    def coerce(
        cls,
        source: "HelmOutputs | str | os.PathLike[str]",
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
        progress: bool | None = None,
    ) -> "HelmOutputs":
        """`source` itself if it is a `HelmOutputs` with these options, else a new one."""
        options = ReadOptions.of(source, cache, partial, strict, progress)
        if not isinstance(source, HelmOutputs):
            return cls(source, **options.arguments)
        return source if options == source._options else cls(source._root, **options.arguments)

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """The locations of the runs of all suites."""
        return self.find_places().places

    def find_places(self) -> Found:
        """The runs that are there now."""
        return find_runs(self._root)

    def suites(self, pattern: str = "*") -> HelmSuites:
        """The suites whose folder matches `pattern`, sorted; `latest` is skipped unless it is named.

        If this object was made from a folder above the outputs, other folders with runs in it are suites, too: the
        suites have all runs that `HelmRuns` and `ingest` find there.

        Raises:
            NoRunsError: no suite matches.
        """
        paths, notes = self._suites(pattern)
        if not paths:
            names = [path.name for path in self._suites()[0]]
            raise NoRunsError(
                f"No suite in {self.path} matches {pattern!r}.",
                found=", ".join(names) or "no suite at all",
                hint=" ".join(filter(None, [did_you_mean_pattern(pattern, names), *notes])) or None,
            )
        return HelmSuites([HelmSuite(path) for path in paths], **self._options.arguments)

    def _suites(self, pattern: str = "*") -> tuple[list[Path], list[str]]:
        if not isinstance(self._root, PublicRuns):
            return find_suites(self._root, pattern)
        paths = [filesystem.as_path(folder) for folder in public_bucket.choose(self._root).folders]
        chosen = matching({path.name for path in paths}, pattern)
        return sorted(path for path in paths if path.name in chosen), []

    def list_suites(self) -> list[str]:
        """Names of the suites, sorted."""
        return [suite.name for suite in self.suites()]

    def list_run_specs(self, suite: str = "*") -> list[str]:
        """Names of the run folders in the matching suites, sorted, each once."""
        return sorted({place.folder for place in self.suites(suite).places})

    def summarize(self) -> pl.DataFrame:
        """One row per suite: its name, and numbers of its runs, of cached runs, and of partial ones among these."""
        snapshot = self.cache.snapshot()
        rows = [
            (
                suite.name,
                len(places),
                sum(snapshot.lookup(place) is not None for place in places),
                sum(is_incomplete(snapshot, place) for place in places),
            )
            for suite in self.suites()
            for places in [_found_in(suite).places]
        ]
        columns = {"suite": pl.String(), **dict.fromkeys(("runs", "cached", "partial"), pl.Int64())}
        return pl.DataFrame(rows, schema=columns, orient="row")

    def __repr__(self) -> str:
        return f"<HelmOutputs {for_terminal(str(self.path))}>"

    def _repr_html_(self) -> str:
        return card("HelmOutputs", {"folder": str(self.path)})


def _located(root_dir: str | os.PathLike[str] | PublicRuns, version: str | None) -> tuple[Path, Path | PublicRuns]:
    """The outputs folder that is meant, and what its runs are found by."""
    public = root_dir if isinstance(root_dir, PublicRuns) else public_runs(os.fspath(root_dir), version=version)
    if public is not None:
        benchmark, public = public_bucket.only(public)
        public_bucket.choose(public)  # raises if there is no such version
        return filesystem.as_path(public_bucket.outputs_of(benchmark)), public
    assert not isinstance(root_dir, PublicRuns)
    if version is not None:
        raise SettingError("Only helm:// has versions.", found=f"version={version!r} of {os.fspath(root_dir)}")
    return find_outputs(root_dir), layout.named_folder(root_dir)


_SUITE_BY_NAME = 'By name choose outputs.suites("NAME").'


def _suite_paths(source: Source) -> Iterator[Path]:
    if isinstance(source, HelmSuite):
        yield source.path
    elif isinstance(source, HelmOutputs):
        yield from (suite.path for suite in source.suites())
    elif isinstance(source, HelmSuites | list | tuple):
        for item in source:
            yield from _suite_paths(item)
    else:
        yield from (place.path.parent for place in find_runs(source).places)


def _found_in(suite: HelmSuite) -> Found:
    """The runs of a suite, perhaps none."""
    try:
        return suite.find_places()
    except NoRunsError:
        return Found(())
