"""A dump as a person sees it: outputs, suites, runs, and the four frames of runs.

    HelmOutputs -suites()-> HelmSuites -[0]-> HelmSuite -runs()-> HelmRuns -[0]-> HelmRun

Each of these can be made from a path, a pattern, another one, or a list of such (`coerce`). Making one lists
folders and reads nothing. A frame first ingests those of its runs that the cache lacks, then reads the cache.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self, TypeAlias, overload

import polars as pl

from magnet_arrow._text import counted, for_html, for_terminal
from magnet_arrow.cache import Cache
from magnet_arrow.checks.run_selection import look_at, select_runs
from magnet_arrow.errors import (
    CacheError,
    ColumnNotFoundError,
    FilterError,
    NoRunsError,
    SourceNotFoundError,
    UnsupportedError,
    warn,
)
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import RUN_FILES, Found, RunPlace, Source, find_outputs, find_runs, find_suites, is_run
from magnet_arrow.helm.run_place import place_of
from magnet_arrow.ingestion.api import RunSpecs, readable_run_specs
from magnet_arrow.ingestion.run_reader import stamps_of
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.query.frames import CachedRuns, Frames, registered_types, table_of_runs
from magnet_arrow.query.projection import Columns
from magnet_arrow.query.raw_json import JsonView, StructsView
from magnet_arrow.schema.registry import TABLES
from magnet_arrow.sources import demo
from magnet_arrow.storage.snapshot import Snapshot

CacheLike: TypeAlias = Cache | str | os.PathLike[str] | None
"""A cache, its folder, or None for the default one."""

_PLACE = "magnet.place"


@dataclass(frozen=True, slots=True)
class _Reading:
    """How frames are read: an object hands it on to those that it is asked for.

    Attributes:
        cache: where they are kept.
        partial: whether they hold partial runs.
        strict: whether a run that they would not hold raises.
    """

    cache: Cache
    partial: bool = False
    strict: bool = False

    def changed(self, cache: CacheLike, partial: bool | None, strict: bool | None) -> "_Reading":
        """With what is given in place of what it has."""
        return _Reading(
            self.cache if cache is None else Cache.coerce(cache),
            self.partial if partial is None else partial,
            self.strict if strict is None else strict,
        )


class _Reader:
    """An object whose runs are read in some way."""

    __slots__ = ("_reading",)

    _reading: _Reading

    @property
    def cache(self) -> Cache:
        """Where frames are kept."""
        return self._reading.cache

    @property
    def _options(self) -> dict[str, Any]:
        """The arguments that make another object read in the same way."""
        return {"cache": self._reading.cache, "partial": self._reading.partial, "strict": self._reading.strict}


class HelmRun(_Reader, Frames):
    """One run: the folder that holds `run_spec.json` and what HELM wrote beside it.

    Args:
        path: the folder.
        cache: where frames are kept; by default the user's.
        partial: as `HelmRuns`. A run that is partial has no frames otherwise: they raise.
        strict: for `dataframe`; the run's own frames raise in any case.
    """

    __slots__ = ("_place", "path")

    def __init__(
        self,
        path: str | os.PathLike[str] | RunPlace,
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
    ) -> None:
        self._place = path if isinstance(path, RunPlace) else None
        self.path = path.path if isinstance(path, RunPlace) else layout.named_folder(path)
        self._reading = _reading_of(None, cache, partial, strict)

    @property
    def name(self) -> str:
        """Name of the folder, which usually is the run spec's."""
        return self.path.name

    @property
    def place(self) -> RunPlace:
        """Where the run lies.

        Raises:
            SourceNotFoundError: the folder is missing, or is no run.
        """
        if self._place is None:
            if not self.exists():
                raise SourceNotFoundError(
                    f"{self.path} is no run.",
                    expected=f"a folder that holds {RUN_FILES[0]}",
                    found=f"one with {len(find_runs(self.path).places)} of them below it",
                    hint="HelmRuns takes several.",
                )
            self._place = place_of(os.path.realpath(self.path))
        return self._place

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """The one place."""
        return (self.place,)

    def exists(self) -> bool:
        """Whether the folder is (still) there and is a run."""
        return is_run(self.path)

    @property
    def json(self) -> JsonView:
        """The files as plain Python values."""
        return JsonView(self.place)

    @property
    def msgspec(self) -> StructsView:
        """The files as structs."""
        return StructsView(self.place)

    @property
    def dataframe(self) -> "HelmRuns":
        """The four frames; the run has them as its own methods too."""
        return HelmRuns(self, **self._options)

    @property
    def dataclass(self) -> NoReturn:
        """Not offered.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "HELM's own dataclasses would need HELM itself to be installed and imported.",
            hint="`.msgspec` gives structs with the same field names and defaults, `.json` plain values.",
        )

    def scan(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> pl.LazyFrame:
        """The rows of one table, lazily; see `Frames.scan`."""
        return self.dataframe.scan(table, columns=columns, key=key)

    def table(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> TableHandle:
        """The rows of one table as an Arrow stream; see `Frames.table`."""
        return self.dataframe.table(table, columns=columns, key=key)

    def __eq__(self, other: object) -> bool:
        return self.path == other.path if isinstance(other, HelmRun) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"<HelmRun {for_terminal(str(self.path))}>"

    def _repr_html_(self) -> str:
        return _html("HelmRun", str(self.path), [])


class HelmRuns(_Reader, Sequence[HelmRun], Frames):
    """Runs in an order of their own, as they were found when this was made.

    An immutable list: runs that appear later are not in it until `refresh`. A frame looks only at the runs that it
    reads, and sees them as they are then.

    The order decides what a seed draws: that of a list is kept; the runs of a folder, and what a pattern matches,
    are sorted by suite and folder, whichever way it is written. Each run is there once, at its first place, though
    links or a release lead to it too.

    Frames hold the complete runs. Those that cannot be read, are partial or have vanished are left out, whatever the
    cache has of them; a `MagnetWarning` counts them, `rejects` tells why. Where no run is left, that raises.

    Args:
        source: a path to outputs, a suite or a run, a glob pattern, an object of ours, or a list of such.
        pattern: run folders to keep, as `fnmatch.fnmatchcase` takes it.
        cache: where frames are kept; by default that of `source`, else the user's.
        partial: let frames hold partial runs too, those of which a file is missing or ends early: what is complete of
            them. By default as `source` does.
        strict: raise where a run would be left out, or read in an older state since the cache cannot be written. By
            default as `source` does.

    Raises:
        SourceNotFoundError: a path is not there.
        NoRunsError: there is no run.

    >>> runs = HelmOutputs.demo().suites("my-suite").runs()
    >>> len(runs), runs[0].name
    (4, 'mmlu:subject=anatomy,method=multiple_choice_joint,model=made_finch-1b')
    >>> anatomy = runs.filter(pl.col("run_spec.scenario_spec.args.subject") == "anatomy")
    >>> anatomy.stats().height
    178
    """

    __slots__ = ("_source", "notes", "places")

    def __init__(
        self,
        source: Source,
        *,
        pattern: str = "*",
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
    ) -> None:
        source = list(source) if isinstance(source, Iterator) else source  # kept for `refresh`
        found = find_runs(source, pattern=pattern)
        self._source = layout.written_out(source), pattern
        self.places = found.places
        self.notes = found.notes
        if found.rejected:
            reasons = " ".join(f"{one.run}: {one.reason}" for one in found.rejected[:5])
            warn(
                f"{counted(len(found.rejected), 'place')} in the source could not be read, so runs may lack. {reasons}"
            )
        self._reading = _reading_of(source, cache, partial, strict)

    @classmethod
    def coerce(
        cls, source: Source, *, cache: CacheLike = None, partial: bool | None = None, strict: bool | None = None
    ) -> "HelmRuns":
        """`source` itself if it is a `HelmRuns` that is read in this way, else one made of it."""
        if not isinstance(source, HelmRuns):
            return cls(source, cache=cache, partial=partial, strict=strict)
        reading = source._reading.changed(cache, partial, strict)
        if reading == source._reading:
            return source
        runs = source._like(source.places)
        runs._reading, runs._source, runs.notes = reading, source._source, source.notes
        return runs

    def refresh(self) -> "HelmRuns":
        """The runs that the same source has now."""
        source, pattern = self._source
        return HelmRuns(source, pattern=pattern, **self._options)

    def existing(self) -> "HelmRuns":
        """Those that are still there."""
        return self._like(place for place in self.places if is_run(place.path))

    def incomplete(self) -> "HelmRuns":
        """Those of which the cache has less than all: files were missing, or ended early.

        Nothing is ingested. A run that has changed since counts as whole until it is taken again.
        """
        snapshot = self.cache.snapshot()
        return self._like(place for place in self.places if _is_partial(snapshot, place))

    def complete(self) -> "HelmRuns":
        """Those that are not partial, and were not rejected in the state that they are in now.

        Nothing is ingested: a run that nobody has tried to take counts as whole.
        """
        snapshot = self.cache.snapshot()
        return self._like(
            place for place in self.places if not (_is_partial(snapshot, place) or _is_rejected(snapshot, place))
        )

    def take(self, indices: Iterable[int]) -> "HelmRuns":
        """Those runs, in that order."""
        return self._like(self.places[index] for index in indices)

    def filter(self, predicate: pl.Expr) -> "HelmRuns":
        """Those runs for which an expression over the columns of table `run_spec` holds.

        Run specs of runs that are not cached are read from their JSON; nothing is ingested. Runs whose run spec cannot
        be read are left out, and counted by a `MagnetWarning`. So is told where a column that is asked for holds values
        of several types: it is JSON text then.

        Raises:
            BadFileError: no run spec can be read; if this is strict, one cannot.
            FilterError: `predicate` is no expression, or does not give true, false or null for each run.
            ColumnNotFoundError: it names a column that none of the runs has and that is not registered.
        """
        if not isinstance(predicate, pl.Expr):
            raise FilterError(
                "A filter on runs is an expression.",
                expected="a pl.Expr over run_spec's columns",
                found=f"{type(predicate).__name__}",
                hint='Write pl.col("run_spec.adapter_spec.model") == "openai/gpt2", for example.',
            )
        specs, found = self._run_specs()
        mixed = _mixed_text(predicate, found, self.places)
        try:
            kept = specs.with_row_index(_PLACE).filter(predicate).select(_PLACE).collect()
        except pl.exceptions.ColumnNotFoundError as error:
            raise _unknown_column(predicate, specs.collect_schema().names()) from error
        except pl.exceptions.PolarsError as error:
            types = specs.collect_schema()
            used = [f"{name} is {types[name]}" for name in predicate.meta.root_names() if name in types]
            raise FilterError(
                "The filter does not work on run_spec's columns.",
                expected="an expression that gives true, false or null for each run",
                found=str(error).splitlines()[0],
                hint=mixed or f"Here {', '.join(used)}." if used else None,
            ) from error
        if mixed:
            warn(mixed)
        return self.take(found.readable[row] for row in kept[_PLACE])

    def scan_run_specs(self) -> pl.LazyFrame:
        """Table `run_spec` without an ingest, a row a run whose run spec can be read; every registered column is there.

        Raises:
            BadFileError: none can be read; if this is strict, one cannot.
        """
        return self._run_specs()[0]

    def _run_specs(self) -> tuple[pl.LazyFrame, RunSpecs]:
        """The run specs that can be read, with every registered column; others are counted by a warning."""
        specs, found = self.readable_run_specs()
        if found.bad and (self._reading.strict or not found.readable):
            raise found.bad[min(found.bad)]
        if found.bad:
            first = found.bad[min(found.bad)].where
            warn(
                f"{len(found.bad):,} of {counted(len(self), 'run')} left out (no run spec can be read). First: {first}."
            )
        return specs, found

    def readable_run_specs(self) -> tuple[pl.LazyFrame, RunSpecs]:
        """The same without a word: every registered column of the run specs that can be read, and what cannot be."""
        table = TABLES["run_spec"]
        found = readable_run_specs(self.places, self.cache)
        specs = found.rows.drop(table.hidden, strict=False)
        there = specs.collect_schema()
        missing = {name: kind for name, kind in registered_types(table).items() if name not in there}
        return specs.with_columns(pl.lit(None, kind).alias(name) for name, kind in missing.items()), found

    def cached(self) -> CachedRuns:
        """Those that frames hold, as the cache has them; what it lacks, or what has changed, is ingested first.

        Raises:
            BadFileError: no run can be read; if this is strict, one cannot.
            CacheNotWritableError: a run is not in the cache, which can't be written.
            CacheLockedError: the same, as another process does not let go of the lock.
        """
        reading = self._reading
        selected = select_runs(self.places, reading.cache, partial=reading.partial, strict=reading.strict)
        return CachedRuns(selected.snapshot, selected.keys)

    def rejects(self) -> pl.DataFrame:
        """What frames of these runs do not hold, and why; what the cache lacks is ingested first.

        Rows: one a run that is left out; of partial runs that are read, one a file that is missing or ends early; one a
        run that is read in an older state, as the cache cannot be written.

        Columns: those of `Cache.rejects`. `left_out` is "run"; of a partial run that is read "file" or "rest
        of file"; of one in an older state "newer state".
        """
        return look_at(self.places, self.cache, partial=self._reading.partial).rejects()

    def scan(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> pl.LazyFrame:
        """The rows of one table, lazily; see `Frames.scan`."""
        table_of_runs(table)  # before anything is ingested for it
        return self.cached().scan(table, columns=columns, key=key)

    def table(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> TableHandle:
        """The rows of one table as an Arrow stream; see `Frames.table`."""
        table_of_runs(table)
        return self.cached().table(table, columns=columns, key=key)

    def _like(self, places: Iterable[RunPlace]) -> "HelmRuns":
        """Others of these runs, perhaps none, which no source stands for."""
        runs = object.__new__(HelmRuns)
        runs.places, runs.notes, runs._reading = tuple(places), (), self._reading
        runs._source = runs.places, "*"
        return runs

    @overload
    def __getitem__(self, index: int) -> HelmRun: ...
    @overload
    def __getitem__(self, index: slice) -> "HelmRuns": ...
    def __getitem__(self, index: int | slice) -> "HelmRun | HelmRuns":
        if isinstance(index, slice):
            return self._like(self.places[index])
        _check_index(index, [place.folder for place in self.places] if isinstance(index, str) else [], _RUN_BY_NAME)
        return HelmRun(self.places[index], **self._options)

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        return f"<HelmRuns {self._counts()}>"

    def _repr_html_(self) -> str:
        return _html("HelmRuns", self._counts(), [place.folder for place in self.places])

    def _counts(self) -> str:
        """How many, and how many of them are partial; a cache that can't be read has nothing to say to that."""
        try:
            n_partial = len(self.incomplete())
        except CacheError:
            n_partial = 0
        return counted(len(self), "run") + (f", {n_partial} partial" if n_partial else "")


class HelmSuite(_Reader):
    """A folder of runs that were made together; `cache`, `partial` and `strict` are for its runs, see `HelmRuns`."""

    __slots__ = ("path",)

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
    ) -> None:
        self.path = layout.named_folder(path)
        self._reading = _reading_of(None, cache, partial, strict)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """Where its runs lie."""
        return self.find_places().places

    def find_places(self) -> Found:
        """What is there now."""
        return layout.find_suite_runs(self.path)

    def runs(self, pattern: str = "*") -> HelmRuns:
        """Its runs, sorted by folder.

        Raises:
            NoRunsError: it has none that matches.
        """
        return HelmRuns(self, pattern=pattern, **self._options)

    def __eq__(self, other: object) -> bool:
        return self.path == other.path if isinstance(other, HelmSuite) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"<HelmSuite {for_terminal(str(self.path))}>"

    def _repr_html_(self) -> str:
        return _html("HelmSuite", str(self.path), [])


class HelmSuites(_Reader, Sequence[HelmSuite]):
    """Suites in an order of their own.

    Args:
        source: suites, or whatever stands for runs: then the suites that hold them.
        cache: where frames are kept; by default that of `source`, else the user's.
        partial: as `HelmRuns`; by default as `source` does.
        strict: as `HelmRuns`; by default as `source` does.
    """

    __slots__ = ("_suites",)

    def __init__(
        self, source: Source, *, cache: CacheLike = None, partial: bool | None = None, strict: bool | None = None
    ) -> None:
        self._reading = _reading_of(source, cache, partial, strict)
        paths = dict.fromkeys(_suite_paths(source))
        self._suites = tuple(HelmSuite(path, **self._options) for path in paths)

    @classmethod
    def coerce(
        cls, source: Source, *, cache: CacheLike = None, partial: bool | None = None, strict: bool | None = None
    ) -> "HelmSuites":
        """`source` itself if it is a `HelmSuites` that is read in this way, else one made of it."""
        if isinstance(source, HelmSuites) and source._reading.changed(cache, partial, strict) == source._reading:
            return source
        return cls(source, cache=cache, partial=partial, strict=strict)

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """Where the runs of all of them lie."""
        return self.find_places().places

    def find_places(self) -> Found:
        """What is there now."""
        found = layout.together([_found_in(suite) for suite in self])
        # Where there is none at all, looking once more raises the error that says what is there instead.
        return found if found.places else find_runs([suite.path for suite in self])

    def existing(self) -> "HelmSuites":
        """Those whose folder is (still) there."""
        return HelmSuites([suite for suite in self if suite.path.is_dir()], **self._options)

    def runs(self, pattern: str = "*") -> HelmRuns:
        """The runs of all suites, suite by suite."""
        return HelmRuns(self, pattern=pattern, **self._options)

    @overload
    def __getitem__(self, index: int) -> HelmSuite: ...
    @overload
    def __getitem__(self, index: slice) -> "HelmSuites": ...
    def __getitem__(self, index: int | slice) -> "HelmSuite | HelmSuites":
        if not isinstance(index, slice):
            _check_index(index, [suite.name for suite in self._suites], _SUITE_BY_NAME)
        chosen = self._suites[index]
        return chosen if isinstance(chosen, HelmSuite) else HelmSuites(chosen, **self._options)

    def __len__(self) -> int:
        return len(self._suites)

    def __repr__(self) -> str:
        return f"<HelmSuites {counted(len(self), 'suite')}>"

    def _repr_html_(self) -> str:
        return _html("HelmSuites", counted(len(self), "suite"), [suite.name for suite in self])


class HelmOutputs(_Reader):
    """A dump: the folder that HELM calls `benchmark_output`.

    Args:
        root_dir: the outputs folder, its parent, or its `runs`.
        cache: where frames are kept; by default the user's.
        partial: for its runs, as `HelmRuns`.
        strict: for its runs, as `HelmRuns`.

    Raises:
        SourceNotFoundError: there is no such folder, or it is none of these.

    >>> HelmOutputs.demo().list_suites()
    ['my-suite', 'perturbed']
    """

    __slots__ = ("_root", "path")

    def __init__(
        self,
        root_dir: str | os.PathLike[str],
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
    ) -> None:
        self.path = find_outputs(root_dir)
        self._root = layout.named_folder(root_dir)
        self._reading = _reading_of(None, cache, partial, strict)

    @classmethod
    def demo(cls, cache: CacheLike = None) -> Self:
        """A small dump that HELM itself made for this package, unpacked into the cache's folder once."""
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
    ) -> "HelmOutputs":
        """`source` itself if it is a `HelmOutputs` that is read in this way, else one made of it."""
        reading = _reading_of(source, cache, partial, strict)
        if not isinstance(source, HelmOutputs):
            return cls(source, cache=reading.cache, partial=reading.partial, strict=reading.strict)
        if reading == source._reading:
            return source
        return cls(source._root, cache=reading.cache, partial=reading.partial, strict=reading.strict)

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """Where the runs of all suites lie."""
        return self.find_places().places

    def find_places(self) -> Found:
        """What is there now."""
        return find_runs(self._root)

    def suites(self, pattern: str = "*") -> HelmSuites:
        """The suites whose folder matches `pattern`, sorted; `latest` is passed over unless it is named.

        Where a folder above the outputs was named, a folder beside them that holds runs is a suite too: together
        they have the runs that `HelmRuns` and `ingest` find there.

        Raises:
            NoRunsError: no suite matches.
        """
        paths, notes = find_suites(self._root, pattern)
        if not paths:
            raise NoRunsError(
                f"No suite in {self.path} matches {pattern!r}.",
                found=", ".join(path.name for path in find_suites(self._root)[0]) or "no suite at all",
                hint=" ".join(notes) or None,
            )
        return HelmSuites([HelmSuite(path) for path in paths], **self._options)

    def list_suites(self) -> list[str]:
        """Names of the suites, sorted."""
        return [suite.name for suite in self.suites()]

    def list_run_specs(self, suite: str = "*") -> list[str]:
        """Names of the run folders in the suites that match, sorted, each once."""
        return sorted({place.folder for place in self.suites(suite).places})

    def summarize(self) -> pl.DataFrame:
        """One row a suite: name, how many runs it has, how many of them are cached, and how many of these partial."""
        snapshot = self.cache.snapshot()
        rows = [
            (
                suite.name,
                len(places),
                sum(snapshot.lookup(place) is not None for place in places),
                sum(_is_partial(snapshot, place) for place in places),
            )
            for suite in self.suites()
            for places in [_found_in(suite).places]
        ]
        columns = {"suite": pl.String(), **dict.fromkeys(("runs", "cached", "partial"), pl.Int64())}
        return pl.DataFrame(rows, schema=columns, orient="row")

    def __repr__(self) -> str:
        return f"<HelmOutputs {for_terminal(str(self.path))}>"

    def _repr_html_(self) -> str:
        return _html("HelmOutputs", str(self.path), [])


def _reading_of(source: object, cache: CacheLike, partial: bool | None, strict: bool | None) -> _Reading:
    """What was asked for, else how the first object of ours in `source` is read."""
    items = source if isinstance(source, list | tuple) else [source]
    given = next((item._reading for item in items if isinstance(item, _Reader)), None)
    return (given or _Reading(Cache.coerce(cache))).changed(cache, partial, strict)


def _is_partial(snapshot: Snapshot, place: RunPlace) -> bool:
    """Whether the cache has only a part of the run in the state that it is in now."""
    run = snapshot.lookup(place)
    return run is not None and run.entry.is_partial and run.fingerprint == stamps_of(place)


def _is_rejected(snapshot: Snapshot, place: RunPlace) -> bool:
    """Whether the run could not be taken in the state that it is in now."""
    bad = snapshot.rejected.get(snapshot.key_of(place) or "")
    return bad is not None and bad.fingerprint == stamps_of(place)


def _check_index(index: object, names: Sequence[str], hint: str) -> None:
    """Raise where something is asked for by its name, or by what else is no place in the order.

    Raises:
        FilterError: says how.
    """
    if hasattr(index, "__index__"):
        return
    at = f"Of that name is number {names.index(index)}. " if index in names else ""
    raise FilterError("", expected="an index or a slice", found=repr(index), hint=at + hint)


_RUN_BY_NAME = 'By folder choose outputs.suites().runs("NAME"), by name runs.filter(pl.col("run_spec.name") == "NAME").'
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
    """The runs of a suite, of which there may be none."""
    try:
        return suite.find_places()
    except NoRunsError:
        return Found(())


def _mixed_text(predicate: pl.Expr, found: RunSpecs, places: Sequence[RunPlace]) -> str:
    """What a filter meets in columns whose values are of several types; empty if there are none."""
    texts = []
    for name in predicate.meta.root_names():
        kinds: dict[str, list[str]] = {}
        values = found.rows.select(name).collect()[name] if name in found.json_columns else ()
        for index, value in zip(found.readable, values, strict=False):
            if value not in (None, "null"):
                kinds.setdefault(_JSON_KINDS.get(value[0], "numbers"), []).append(places[index].folder)
        if len(kinds) > 1:
            parts = [f"{kind} in {_few(folders)}" for kind, folders in kinds.items()]
            texts.append(f"{name} is JSON text, as it holds {' and '.join(parts)}.")
    return " ".join([*texts, _MIXED_WAY]) if texts else ""


_JSON_KINDS = {'"': "strings", "[": "lists", "{": "objects", "t": "booleans", "f": "booleans"}
_MIXED_WAY = "Compare it with JSON text, such as '5' or '\"five\"', or filter runs in which it has one type."


def _few(folders: Sequence[str], most: int = 3) -> str:
    more = f" and {len(folders) - most:,} others" if len(folders) > most else ""
    return ", ".join(folders[:most]) + more


def _unknown_column(predicate: pl.Expr, known: list[str]) -> ColumnNotFoundError:
    unknown = [name for name in predicate.meta.root_names() if name not in known]
    return ColumnNotFoundError.among((unknown or [str(predicate)])[0], known, table="run_spec")


def _html(kind: str, text: str, names: Sequence[str], most: int = 5) -> str:
    """A line, and the first few names below it."""
    items = "".join(f"<li>{for_html(name)}</li>" for name in names[:most])
    more = f"<li>… {len(names) - most} more</li>" if len(names) > most else ""
    return f"<b>{kind}</b> {for_html(text)}" + (f"<ul>{items}{more}</ul>" if items else "")
