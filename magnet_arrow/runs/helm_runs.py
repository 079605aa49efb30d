"""`HelmRun` and `HelmRuns`: one run, and a list of runs, with their frames."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NoReturn, overload

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.errors import CacheError, FilterError, SourceNotFoundError, UnsupportedError, warn
from magnet_arrow.helm import layout
from magnet_arrow.helm.layout import RUN_FILES, RunPlace, Source, find_runs, is_run
from magnet_arrow.helm.run_place import place_of
from magnet_arrow.ingestion.plan import has_fingerprint
from magnet_arrow.ingestion.run_reader import stamps_of
from magnet_arrow.ingestion.run_specs import RunSpecs, readable_run_specs
from magnet_arrow.pages import card, few
from magnet_arrow.query.arrow_stream import TableHandle
from magnet_arrow.query.frames import CachedRuns, Frames, registered_types, table_of_runs
from magnet_arrow.query.projection import Columns
from magnet_arrow.query.raw_json import JsonView, StructsView
from magnet_arrow.runs.read_options import CacheLike, HasReadOptions, ReadOptions
from magnet_arrow.runs.run_filter import matching_rows, require_expression
from magnet_arrow.runs.run_selection import look_at, select_runs
from magnet_arrow.runs.summaries import Summaries, SummarizedRuns
from magnet_arrow.schema.registry import TABLES
from magnet_arrow.schema.table_choice import choice_of
from magnet_arrow.sources import filesystem
from magnet_arrow.storage.snapshot import Snapshot


class HelmRun(HasReadOptions, Frames, Summaries):
    """One run: a folder with `run_spec.json` and the other files that HELM wrote for it.

    Args:
        path: the folder.
        cache: where frames are kept; by default the user's.
        partial: as in `HelmRuns`. Without it, the frames of a partial run raise.
        strict: for `dataframe`; the run's own frames raise in any case.
        progress: as of `HelmRuns`.
    """

    __slots__ = ("_place", "path")

    def __init__(
        self,
        path: str | os.PathLike[str] | RunPlace,
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        self._place = path if isinstance(path, RunPlace) else None
        self.path = path.path if isinstance(path, RunPlace) else layout.named_folder(path)
        self._options = ReadOptions.of(None, cache, partial, strict, progress)

    @property
    def name(self) -> str:
        """Name of the folder, usually equal to the run spec's name."""
        return self.path.name

    @property
    def place(self) -> RunPlace:
        """The location of the run.

        Raises:
            SourceNotFoundError: the folder is missing, or is no run.
        """
        if self._place is None:
            if not self.exists():
                raise SourceNotFoundError(
                    f"{self.path} is no run.",
                    expected=f"a folder that holds {RUN_FILES[0]}",
                    found=f"one with {len(find_runs(self.path).places)} of them below it",
                    hint="For several runs use HelmRuns.",
                )
            self._place = place_of(filesystem.real_path(self.path))
        return self._place

    @property
    def places(self) -> tuple[RunPlace, ...]:
        """The location, as a list of one."""
        return (self.place,)

    def exists(self) -> bool:
        """Whether the folder exists and is a run."""
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
        """The run as a list of one, with the four frames; the run itself has them too."""
        return HelmRuns(self, **self._options.arguments)

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

    def _summarized(self, tables: Collection[str]) -> SummarizedRuns:
        return self.dataframe._summarized(tables)

    def __eq__(self, other: object) -> bool:
        return self.path == other.path if isinstance(other, HelmRun) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"<HelmRun {for_terminal(str(self.path))}>"

    def _repr_html_(self) -> str:
        return card("HelmRun", {"folder": str(self.path)})


class HelmRuns(HasReadOptions, Sequence[HelmRun], Frames, Summaries):
    """A list of runs in a fixed order, as they were found when it was made.

    The list is immutable: runs that appear later are only in what `refresh` returns. A frame reads the present state
    of its runs, and of no others.

    The order decides what a seed draws. A list keeps its order; the runs of a folder or of a pattern are sorted by
    suite and folder, however it is written. A run that is found twice, through a link or a release, is in the list
    once, at its first position.

    Frames hold the complete runs. Runs that cannot be read, are partial or have vanished are excluded, whatever the
    cache has of them; a `MagnetWarning` counts them, and `rejects` says why. If no run remains, frames raise.

    Args:
        source: a path to outputs, a suite or a run, a glob pattern, an object of this package, or a list of these.
        pattern: a pattern of run folders to keep, as in `fnmatch.fnmatchcase`.
        cache: where frames are kept; by default that of `source`, else the user's.
        partial: include what is complete of partial runs, which lack a file or have one that ends early. By default
            as in `source`.
        strict: raise if a run would be excluded, or read in an older state because the cache cannot be written. By
            default as in `source`.
        progress: show how far an ingest for a frame is, on a terminal or in a notebook, if it takes more than two
            seconds. By default as in `source`, else it is shown.

    Raises:
        SourceNotFoundError: a path does not exist.
        NoRunsError: there is no run.

    >>> from magnet_arrow import HelmOutputs
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
        progress: bool | None = None,
    ) -> None:
        source = list(source) if isinstance(source, Iterator) else source  # kept for `refresh`
        found = find_runs(source, pattern=pattern)
        self._source = layout.written_out(source), pattern
        self.places = found.places
        self.notes = found.notes
        if found.rejected:
            reasons = " ".join(f"{one.run}: {one.reason}" for one in found.rejected[:5])
            n_unread = counted(len(found.rejected), "location")
            warn(f"{n_unread} in the source could not be read, so runs may be missing. {reasons}")
        self._options = ReadOptions.of(source, cache, partial, strict, progress)

    @classmethod
    def coerce(
        cls,
        source: Source,
        *,
        cache: CacheLike = None,
        partial: bool | None = None,
        strict: bool | None = None,
        progress: bool | None = None,
    ) -> "HelmRuns":
        """`source` itself if it is a `HelmRuns` with these options, else a new one."""
        if not isinstance(source, HelmRuns):
            return cls(source, cache=cache, partial=partial, strict=strict, progress=progress)
        options = source._options.replaced(cache, partial, strict, progress)
        if options == source._options:
            return source
        runs = source._select(source.places)
        runs._options, runs._source, runs.notes = options, source._source, source.notes
        return runs

    def refresh(self) -> "HelmRuns":
        """The present runs of the same source."""
        source, pattern = self._source
        return HelmRuns(source, pattern=pattern, **self._options.arguments)

    def existing(self) -> "HelmRuns":
        """The runs that still exist."""
        return self._select(place for place in self.places if is_run(place.path))

    def incomplete(self) -> "HelmRuns":
        """The runs of which the cache has only a part, since files were missing or ended early.

        Nothing is ingested. A run that has changed since counts as complete until it is ingested again.
        """
        snapshot = self.cache.snapshot()
        return self._select(place for place in self.places if is_incomplete(snapshot, place))

    def complete(self) -> "HelmRuns":
        """The runs that are not partial, and were not rejected in their present state.

        Nothing is ingested: a run that was never ingested counts as complete.
        """
        snapshot = self.cache.snapshot()
        return self._select(
            place for place in self.places if not (is_incomplete(snapshot, place) or _is_rejected(snapshot, place))
        )

    def take(self, indices: Iterable[int]) -> "HelmRuns":
        """The runs of these indices, in this order."""
        return self._select(self.places[index] for index in indices)

    def filter(self, predicate: pl.Expr) -> "HelmRuns":
        """The runs for which an expression over the columns of table `run_spec` holds.

        Run specs of runs that are not cached are read from their JSON; nothing is ingested. Runs whose run spec cannot
        be read are excluded, and a `MagnetWarning` counts them. Another one names columns in `predicate` whose values
        have several types, and which are JSON text for that reason.

        Raises:
            BadFileError: no run spec can be read; if this is strict, one cannot.
            FilterError: `predicate` is no expression, or does not give true, false or null for each run.
            ColumnNotFoundError: it names a column that none of the runs has and that is not registered.
        """
        require_expression(predicate)
        specs, found = self._run_specs()
        rows = matching_rows(specs, predicate, found, self.places)
        return self.take(found.readable[row] for row in rows)

    def scan_run_specs(self) -> pl.LazyFrame:
        """Table `run_spec`, without an ingest: a row per readable run spec, and every registered column.

        Raises:
            BadFileError: none can be read; if this is strict, one cannot.
        """
        return self._run_specs()[0]

    def _run_specs(self) -> tuple[pl.LazyFrame, RunSpecs]:
        """The readable run specs, with every registered column; a warning counts the others."""
        specs, found = self.readable_run_specs()
        if found.bad and (self._options.strict or not found.readable):
            raise found.bad[min(found.bad)]
        if found.bad:
            first = found.bad[min(found.bad)].where
            n_bad = f"{len(found.bad):,} of {counted(len(self), 'run')}"
            warn(f"{n_bad} excluded, as their run spec cannot be read. First: {first}.")
        return specs, found

    def readable_run_specs(self) -> tuple[pl.LazyFrame, RunSpecs]:
        """The readable run specs, with every registered column, and which runs they are of; warns of nothing."""
        table = TABLES["run_spec"]
        found = readable_run_specs(self.places, self.cache)
        specs = found.rows.drop(table.hidden, strict=False)
        there = specs.collect_schema()
        missing = {name: kind for name, kind in registered_types(table).items() if name not in there}
        return specs.with_columns(pl.lit(None, kind).alias(name) for name, kind in missing.items()), found

    def cached(self, tables: Iterable[str] | None = None) -> CachedRuns:
        """The runs that frames hold, in one snapshot of the cache. New and changed runs are ingested first.

        Args:
            tables: names of those that are going to be read; None for all. A run that the cache has without one of
                them is ingested again.

        Raises:
            BadFileError: no run can be read; if this is strict, one cannot.
            CacheNotWritableError: a run is not in the cache, which can't be written.
            CacheLockedError: the same, as another process does not let go of the lock.
        """
        options = self._options
        selected = select_runs(
            self.places,
            options.cache,
            partial=options.partial,
            strict=options.strict,
            progress=options.progress,
            tables=choice_of(tables),
        )
        return CachedRuns(selected.snapshot, selected.keys)

    def rejects(self) -> pl.DataFrame:
        """What frames of these runs exclude, and why. New and changed runs are ingested first.

        Rows: one per excluded run; with `partial`, one per file that a partial run lacks or that ends early; one per
        run that is read in an older state because the cache cannot be written.

        Columns: those of `Cache.rejects`. `left_out` is "run"; "file" or "rest of file" for a partial run that is read;
        "newer state" for a run in an older state.
        """
        options = self._options
        found = look_at(
            self.places, options.cache, partial=options.partial, progress=options.progress, tables=frozenset()
        )
        return found.rejects()

    def scan(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> pl.LazyFrame:
        """The rows of one table, lazily; see `Frames.scan`."""
        table_of_runs(table)  # before anything is ingested for it
        return self.cached([table]).scan(table, columns=columns, key=key)

    def table(self, table: str, *, columns: Columns = "occurring", key: bool = False) -> TableHandle:
        """The rows of one table as an Arrow stream; see `Frames.table`."""
        table_of_runs(table)
        return self.cached([table]).table(table, columns=columns, key=key)

    def _summarized(self, tables: Collection[str]) -> SummarizedRuns:
        return SummarizedRuns(self.cached(tables), self.places)

    def _select(self, places: Iterable[RunPlace]) -> "HelmRuns":
        """A list of other runs, perhaps empty, with the same options. It is its own source."""
        runs = object.__new__(HelmRuns)
        runs.places, runs.notes, runs._options = tuple(places), (), self._options
        runs._source = runs.places, "*"
        return runs

    @overload
    def __getitem__(self, index: int) -> HelmRun: ...
    @overload
    def __getitem__(self, index: slice) -> "HelmRuns": ...
    def __getitem__(self, index: int | slice) -> "HelmRun | HelmRuns":
        if isinstance(index, slice):
            return self._select(self.places[index])
        check_index(index, [place.folder for place in self.places] if isinstance(index, str) else [], _RUN_BY_NAME)
        return HelmRun(self.places[index], **self._options.arguments)

    def __len__(self) -> int:
        return len(self.places)

    def __repr__(self) -> str:
        return f"<HelmRuns {self._counts()}>"

    def _repr_html_(self) -> str:
        return card("HelmRuns", {"runs": self._counts()}, few([place.folder for place in self.places]))

    def _counts(self) -> str:
        """Number of runs, and of partial ones if the cache can be read."""
        try:
            n_partial = len(self.incomplete())
        except CacheError:
            n_partial = 0
        return counted(len(self), "run") + (f", {n_partial} partial" if n_partial else "")


def is_incomplete(snapshot: Snapshot, place: RunPlace) -> bool:
    """Whether the cache has only a part of the run, in the state that the run is in now."""
    run = snapshot.lookup(place)
    return run is not None and run.entry.is_partial and has_fingerprint(run.entry, stamps_of(place))


def _is_rejected(snapshot: Snapshot, place: RunPlace) -> bool:
    """Whether the run was rejected in the state that it is in now."""
    rejected = snapshot.rejected.get(snapshot.key_of(place) or "")
    return rejected is not None and has_fingerprint(rejected, stamps_of(place))


def check_index(index: object, names: Sequence[str], hint: str) -> None:
    """Check that an index is a number.

    Raises:
        FilterError: it is a name or something else; says how to choose by name.
    """
    if hasattr(index, "__index__"):
        return
    number = f"Number {names.index(index)} has that name. " if index in names else ""
    raise FilterError("", expected="an index or a slice", found=repr(index), hint=number + hint)


_RUN_BY_NAME = 'By folder choose outputs.suites().runs("NAME"), by name runs.filter(pl.col("run_spec.name") == "NAME").'
