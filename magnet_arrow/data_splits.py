"""The train split and the test split of a draw, and what a predictor sees of them.

A random draw is the same as MAGNET's, number for number (`draw_at_random`), but over folders instead of names: runs of
equal names in two suites are never mixed, and no run with the held-out run's name is in the train split. `draw` makes
the same splits of runs that are named. A predictor is given a `TrainSplit` and a `SequesteredTestSplit` whose frames
are copies in buffers of their own: a filtered Polars frame shares text with the frame that it came from, and its Arrow
buffers still hold the rows that were filtered out.
"""

import logging
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NoReturn

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.errors import BadFileError, NotEnoughRunsError, NotEnoughSamplesError, SettingError, Where, warn
from magnet_arrow.helm.layout import Source
from magnet_arrow.ingestion.ensure_cached import rejected_error
from magnet_arrow.ingestion.run_specs import read_run_specs
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.pages import card, few
from magnet_arrow.predictions.levels import Level, check_level, sees, visible_states
from magnet_arrow.query.frames import CachedRuns
from magnet_arrow.query.kept_frames import copied, read_copy, scan_kept
from magnet_arrow.query.run_columns import RUN_COLUMNS, telling_apart, telling_names_apart
from magnet_arrow.runs.run_choice import RunChoice, chosen_indices
from magnet_arrow.runs.run_selection import Selected, look_at, reason_of
from magnet_arrow.runs.summaries import OF_SAMPLES
from magnet_arrow.schema.registry import RUN_NAME, TABLES

SamplePolicy = Literal["error", "warn", "ignore"]

INSTANCE_ID = TABLES["scenario_state"].named("request_states.instance.id")
STAT_INSTANCE_ID = TABLES["per_instance_stats"].named("instance_id")
_HIDDEN_STATS = TABLES["per_instance_stats"].hidden

_log = logging.getLogger("magnet_arrow")
_GO_ON = "With skip_unreadable=True only runs that can be read are drawn."
_COMPLETE_ONLY = "draw() uses complete runs only, unless it is given HelmRuns(…, partial=True)."
_PARTIAL = "partial=True"  # in hints about `ingest` and `HelmRuns`; a predictor calls it `include_partial`


@dataclass(frozen=True, slots=True, eq=False)
class TrainSplit:
    """The four tables of the train runs.

    Attributes:
        run_specs: one row per run, in the order of the given runs, as in all four.
        scenario_state: one row per request state.
        stats: one row per stat.
        per_instance_stats: one row per stat of an instance.
    """

    run_specs: pl.DataFrame
    scenario_state: pl.DataFrame
    stats: pl.DataFrame
    per_instance_stats: pl.DataFrame

    def __repr__(self) -> str:
        """Numbers of rows of the frames."""
        return _rows(self)

    def _repr_html_(self) -> str:
        return _card(self)


class SequesteredTestSplit:
    """What a predictor sees of the held-out run: by default no stats, and nothing that leads to them.

    By default completions, and references with their `correct` tags, are in it, as in MAGNET. What judges wrote about
    the completions (`annotations`) never is. Which frames there are, and with which columns, is decided by the level of
    the predictor; a frame that its level does not have is no attribute.

    Attributes:
        run_specs: one row per held-out run.
        scenario_state: from level "items" on, the request states of the sampled instances, in file order.
        per_instance_stats: at level "outcomes", the stats of the sampled instances.
        other_items: with `level_of_others`, the request states of the instances that were not sampled.
    """

    __slots__ = ("run_specs", "scenario_state", "per_instance_stats", "other_items")  # noqa: RUF023  # as in MAGNET

    run_specs: pl.DataFrame
    scenario_state: pl.DataFrame
    per_instance_stats: pl.DataFrame
    other_items: pl.DataFrame

    def __init__(
        self,
        run_specs: pl.DataFrame,
        scenario_state: pl.DataFrame | None = None,
        per_instance_stats: pl.DataFrame | None = None,
        other_items: pl.DataFrame | None = None,
    ) -> None:
        for name, frame in zip(
            self.__slots__, (run_specs, scenario_state, per_instance_stats, other_items), strict=True
        ):
            if frame is not None:
                object.__setattr__(self, name, frame)

    def __getattr__(self, name: str) -> NoReturn:
        has = ", ".join(frames_of(self))
        raise AttributeError(f"This {type(self).__name__} has no {name}. At the predictor's level it has {has}.")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"A {type(self).__name__} cannot be changed.")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(frames_of(self).get(name) for name in self.__slots__)

    def __repr__(self) -> str:
        """Numbers of rows of the frames."""
        return _rows(self)

    def _repr_html_(self) -> str:
        return _card(self)


@dataclass(frozen=True, slots=True, eq=False)
class TestSplit:
    """The held-out run with its actual stats.

    Attributes:
        run_specs: one row.
        scenario_state: the request states of the sampled instances, in file order; all perturbed copies and
            trials of an instance are sampled together.
        stats: every stat of the run, over all of its instances.
        per_instance_stats: stats of the sampled instances.
        other_items: the request states of the instances that were not sampled, if they were asked for.
    """

    __test__: ClassVar[bool] = False  # pytest would collect it because of its name

    run_specs: pl.DataFrame
    scenario_state: pl.DataFrame
    stats: pl.DataFrame
    per_instance_stats: pl.DataFrame
    other_items: pl.DataFrame | None = None

    def __repr__(self) -> str:
        """Numbers of rows of the frames."""
        return _rows(self)

    def _repr_html_(self) -> str:
        return _card(self)

    def sequester(self, level: Level = "outputs", level_of_others: Level = "plan") -> SequesteredTestSplit:
        """A copy of the part that a predictor may see. It holds no reference to this split.

        Args:
            level: what is visible of the sampled instances, see `Level`.
            level_of_others: what is visible of the instances that were not sampled: "plan" (nothing), "items" or
                "outputs".

        Raises:
            SettingError: there is no such level; or this split does not hold the other instances.
        """
        check_levels(level, level_of_others)
        others = None if level_of_others == "plan" else self.other_items
        if level_of_others != "plan" and others is None:
            raise SettingError(
                f"level_of_others={level_of_others!r} is set, but this split holds the sampled instances only.",
                hint="Let prepare_all_dataframes return a split with other_items, as draw(…, keep_others=True) does.",
            )
        return SequesteredTestSplit(
            copied(self.run_specs),
            copied(visible_states(self.scenario_state, level)) if sees(level, "items") else None,
            copied(self.per_instance_stats.drop(*_HIDDEN_STATS, strict=False)) if level == "outcomes" else None,
            copied(visible_states(others, level_of_others))
            if level_of_others != "plan" and others is not None
            else None,
        )


def check_levels(level: Level, level_of_others: Level) -> None:
    """Raise if a predictor cannot have these levels.

    Raises:
        SettingError: it cannot.
    """
    check_level("level", level)
    check_level("level_of_others", level_of_others)
    if level_of_others == "outcomes":
        raise SettingError(
            "level_of_others:",
            expected="plan, items or outputs",
            found="'outcomes'",
            hint="To show the outcomes of all instances, sample them all (num_eval_samples) at level='outcomes'.",
        )


def frames_of(split: "TrainSplit | TestSplit | SequesteredTestSplit") -> dict[str, pl.DataFrame]:
    """The frames of a split by name, those that it has."""
    frames = {name: getattr(split, name) for name in split.__slots__ if _is_set(split, name)}
    return {name: frame for name, frame in frames.items() if frame is not None}


def _is_set(split: object, name: str) -> bool:
    """Whether an attribute has a value; `hasattr` would ask `__getattr__`."""
    try:
        object.__getattribute__(split, name)
    except AttributeError:
        return False
    return True


def draw(
    runs: Source,
    *,
    train: RunChoice,
    test: RunChoice,
    items: Collection[Any] | None = None,
    keep_others: bool = False,
) -> tuple[TrainSplit, TestSplit]:
    """The splits of runs that are named instead of drawn at random.

    Override `prepare_all_dataframes` to have a predictor use them.

    Args:
        runs: a path, a pattern, an object of ours, or a list of such. Incomplete runs may be chosen from
            `HelmRuns(…, partial=True)`.
        train: the train runs; they keep the order of `runs`.
        test: the held-out runs.
        items: ids of the instances of the test split; all if None.
        keep_others: keep the request states of the other instances as `other_items`.

    Raises:
        SettingError: a choice names no run; a train run has the name of a held-out run, or two of these have the same;
            or no held-out run has one of the `items`.
        BadFileError: a chosen run is not complete, or cannot be read.

    >>> from magnet_arrow import HelmOutputs
    >>> runs = HelmOutputs.demo().suites("my-suite").runs()
    >>> subject = pl.col("run_spec.scenario_spec.args.subject")
    >>> draw(runs, train=subject == "anatomy", test=[3], items=["id9", "id11"])[1]
    <TestSplit run_specs: 1 rows, scenario_state: 2 rows, stats: 89 rows, per_instance_stats: 54 rows>
    """
    runs = HelmRuns.coerce(runs)
    train_runs, test_runs = chosen_indices(runs, train, "train"), chosen_indices(runs, test, "test")
    if not test_runs:
        raise SettingError("test:", expected="at least one held-out run", found="none")
    chosen = runs.take([*train_runs, *test_runs])
    cached = _cached(_ingest(chosen, include_partial=runs.partial), go_on=_COMPLETE_ONLY)
    _require_other_names([run.name for run in cached.snapshot.chosen(cached.keys)], len(train_runs))
    cached = replace(cached, telling=_telling(runs, cached))
    held_out = cached.take(range(len(train_runs), len(cached.keys)))
    states = scan_kept(held_out, "scenario_state")
    ids = _instance_ids(held_out, states).unique(maintain_order=True)
    if items is not None:
        missing = [one for one in items if one not in set(ids)]
        if missing:
            raise SettingError("items:", expected="ids of instances of the held-out runs", found=repr(missing[0]))
        ids = pl.Series(INSTANCE_ID, list(items), ids.dtype)
    examples = cached.take(range(len(train_runs)))
    return _train_split(examples), _test_split(held_out, states, ids, keep_others=keep_others)


def _require_other_names(names: Sequence[str], n_train: int) -> None:
    """Raise where a held-out run has the name of another chosen run: predictions could not be told apart."""
    for index in range(n_train, len(names)):
        if names[index] in names[:index]:
            raise SettingError(
                f"The name of a held-out run, {for_terminal(names[index])}, is also that of another chosen run.",
                expected="held-out runs whose run_spec.name no other chosen run has",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawSettings:
    """What `draw_at_random` draws, and from which runs.

    Attributes:
        num_example_runs: number of train runs.
        num_eval_samples: number of instances to sample from the held-out run; all, if it has fewer.
        random_seed: decides the draw.
        insufficient_eval_sample_policy: what happens if the held-out run has fewer request states than
            `num_eval_samples`: "error" raises, "warn" logs a warning, "ignore" does nothing.
        include_partial: ingest all runs, and what is complete of partial ones, and draw from these too.
        skip_unreadable: ingest all runs, and draw from those that could be ingested.
        keep_others: keep the request states of the instances that are not sampled as `other_items`.
    """

    num_example_runs: int
    num_eval_samples: int
    random_seed: int
    insufficient_eval_sample_policy: SamplePolicy
    include_partial: bool = False
    skip_unreadable: bool = False
    keep_others: bool = False


def draw_at_random(runs: HelmRuns, settings: DrawSettings) -> tuple[TrainSplit, TestSplit]:
    """Draw train runs and one held-out run, with a sample of its instances.

    Equal arguments give the same draw on every machine, whatever the cache has seen. For runs in MAGNET's order it is
    the same draw as MAGNET's. Only the drawn runs are read; those that are not cached are ingested.

    A run's name is the name in its run spec. Train runs with the held-out run's name are replaced by runs that were not
    drawn; a second generator with the same seed chooses them. The held-out run is never replaced.

    Args:
        runs: the runs to draw from, in their order.
        settings: how many runs and instances are drawn, and from which runs.

    Raises:
        NotEnoughRunsError: there are not `num_example_runs` runs and one more, or too few of them have another name
            than the held-out run.
        NotEnoughSamplesError: too few request states, under the policy "error".
        BadFileError: a drawn run is not complete, or cannot be read.
        CacheNotWritableError: a drawn run is not cached in its present state, and the cache cannot be written.
    """
    partial, seed = settings.include_partial, settings.random_seed
    if partial or settings.skip_unreadable:
        runs = _ingest_all(runs, include_partial=partial, skip_unreadable=settings.skip_unreadable)
    rng = random.Random(seed)
    train, held_out = draw_runs(len(runs), settings.num_example_runs, rng)
    # One snapshot, so that the frames of both splits are of one commit.
    cached = _ingest_drawn(runs.take([*train, held_out]), include_partial=partial)
    *names, name = (run.name for run in cached.snapshot.chosen(cached.keys))
    if name in names:
        kept = [index for index, other in zip(train, names, strict=True) if other != name]
        train = sorted(kept + _other_runs(runs, {*train, held_out}, name, len(train) - len(kept), seed))
        cached = _ingest_drawn(runs.take([*train, held_out]), include_partial=partial)
    cached = replace(cached, telling=_telling(runs, cached))
    examples, one = cached.take(range(len(train))), cached.take([len(train)])
    states = scan_kept(one, "scenario_state")
    ids = _instance_ids(one, states)
    _check_enough(len(ids), settings.num_eval_samples, settings.insufficient_eval_sample_policy)
    sampled = _draw_ids(ids, settings.num_eval_samples, rng)
    return _train_split(examples), _test_split(one, states, sampled, keep_others=settings.keep_others)


def _ingest_all(runs: HelmRuns, *, include_partial: bool, skip_unreadable: bool) -> HelmRuns:
    """Ingest all runs; returns those that may be drawn."""
    selected = _ingest(runs, include_partial=include_partial)
    if not skip_unreadable:
        return runs
    keys = frozenset(selected.keys)
    readable = runs.take(index for index, place in enumerate(runs.places) if selected.snapshot.key_of(place) in keys)
    if len(readable) < len(runs):
        first = next(one.rejected for one in selected.left_out if one.what == "run")
        warn(
            f"{len(runs) - len(readable)} of {counted(len(runs), 'run')} cannot be read and will not be drawn. "
            f"First: {Where(first.run, first.file)}."
        )
    return readable


def _ingest_drawn(runs: HelmRuns, *, include_partial: bool) -> CachedRuns:
    """Ingest the drawn runs where the cache lacks them; hints are about a predictor's arguments.

    Raises:
        BadFileError: as `_cached`.
    """
    try:
        return _cached(_ingest(runs, include_partial=include_partial), go_on=_GO_ON)
    except BadFileError as error:
        error.hint = error.hint and error.hint.replace(f" {_PARTIAL}", f" include_{_PARTIAL}")
        raise


def _cached(selected: Selected, *, go_on: str) -> CachedRuns:
    """The frames of the selected runs; `go_on` says how to do without the runs that are not selected.

    Raises:
        BadFileError: a run is left out; the same error whether or not the cache has a part of it.
    """
    bad = [reason_of(one) for one in selected.left_out if one.what == "run"]
    if bad:
        raise rejected_error(bad, go_on=go_on)
    return CachedRuns(selected.snapshot, selected.keys)


def _ingest(runs: HelmRuns, *, include_partial: bool) -> Selected:
    """Ingest the present state of runs; earlier rejections do not count, and an older state is an error."""
    selected = look_at(
        runs.places, runs.cache, partial=include_partial, retry=True, progress=runs.progress, tables=OF_SAMPLES
    )
    if selected.error is not None:
        raise selected.error
    return selected


def _telling(runs: HelmRuns, drawn: CachedRuns) -> tuple[str, ...]:
    """The columns that are needed to tell runs apart: names of drawn runs, or folders of all runs, are not unique."""
    needed = set(telling_apart(drawn.snapshot.chosen(drawn.keys)))
    places = runs.places
    if len({place.folder for place in places}) < len(places):
        needed |= set(telling_names_apart((one.folder, one.suite, str(one.source), one.folder) for one in places))
    return tuple(name for name in RUN_COLUMNS if name in needed)


def _other_runs(runs: HelmRuns, drawn: Collection[int], name: str, n_runs: int, random_seed: int) -> list[int]:
    """Indices of `n_runs` runs that were not drawn and have another name than `name`."""
    undrawn = [index for index in range(len(runs)) if index not in drawn]
    names = read_run_specs([runs.places[index] for index in undrawn], runs.cache)[RUN_NAME]
    others = [index for index, other in zip(undrawn, names, strict=True) if other != name]
    if len(others) < n_runs:
        raise NotEnoughRunsError(
            f"The held-out run's name, {name}, is also that of {counted(n_runs, 'train run')}.",
            expected=f"at least {counted(n_runs, 'undrawn run')} with another name",
            found=str(len(others)),
            hint="Give more runs, give each run once, or lower num_example_runs.",
        )
    warn(
        f"{counted(n_runs, 'train run')} with the held-out run's name, {for_terminal(name)}, "
        f"{'was' if n_runs == 1 else 'were'} replaced by other runs."
    )
    return random.Random(random_seed).sample(others, n_runs)


def draw_runs(n_runs: int, n_examples: int, rng: random.Random) -> tuple[list[int], int]:
    """Indices of the train runs, ascending, and of the held-out run."""
    if n_runs < n_examples + 1:
        raise NotEnoughRunsError(
            "There are too few runs to draw from.",
            expected=f"at least {n_examples + 1} ({n_examples} train, one held out)",
            found=str(n_runs),
            hint="Give more runs, loosen the filters, or lower num_example_runs.",
        )
    *train, held_out = rng.sample(range(n_runs), n_examples + 1)
    return sorted(train), held_out


def _instance_ids(runs: CachedRuns, states: pl.LazyFrame) -> pl.Series:
    """The instance ids of all request states of these runs."""
    if INSTANCE_ID not in states.collect_schema():
        states = runs.scan("scenario_state", columns=[INSTANCE_ID])
    return states.select(INSTANCE_ID).collect()[INSTANCE_ID]


def _check_enough(n_states: int, n_samples: int, policy: SamplePolicy) -> None:
    if n_samples <= n_states or policy == "ignore":
        return
    expected = f"at least {n_samples} request states in the held-out run (num_eval_samples)"
    if policy == "error":
        raise NotEnoughSamplesError("", expected=expected, found=str(n_states))
    _log.warning("Expected %s, found %d: all of its instances are used.", expected, n_states)


def _draw_ids(ids: pl.Series, n_samples: int, rng: random.Random) -> pl.Series:
    """A sample of the distinct ids; null counts as an id."""
    distinct = ids.unique(maintain_order=True)
    return distinct.gather(rng.sample(range(len(distinct)), min(len(distinct), n_samples)))


def _train_split(runs: CachedRuns) -> TrainSplit:
    """All rows of these runs. They are copied, since their row groups may hold the held-out run, too.

    Polars 2.1 shares no text with a row group (tried), but no documentation promises that.
    """
    tables = ("run_spec", "scenario_state", "stats", "per_instance_stats")
    return TrainSplit(*(read_copy(runs, table) for table in tables))


def _test_split(runs: CachedRuns, states: pl.LazyFrame, ids: pl.Series, *, keep_others: bool) -> TestSplit:
    return TestSplit(
        scan_kept(runs, "run_spec").collect(),
        states.filter(_has_id(states, INSTANCE_ID, ids)).collect(),
        scan_kept(runs, "stats").collect(),
        (stats := scan_kept(runs, "per_instance_stats")).filter(_has_id(stats, STAT_INSTANCE_ID, ids)).collect(),
        states.filter(~_has_id(states, INSTANCE_ID, ids)).collect() if keep_others else None,
    )


def _has_id(rows: pl.LazyFrame, column: str, ids: pl.Series) -> pl.Expr:
    """Whether a row's instance is in `ids`; if the column does not occur, every id is null."""
    if column not in rows.collect_schema():
        return pl.lit(ids.has_nulls())
    return pl.col(column).is_in(ids.implode(), nulls_equal=True)


def _rows(split: TrainSplit | TestSplit | SequesteredTestSplit) -> str:
    counts = ", ".join(f"{name}: {frame.height} rows" for name, frame in frames_of(split).items())
    return f"<{type(split).__name__} {counts}>"


def _card(split: TrainSplit | TestSplit | SequesteredTestSplit) -> str:
    """The runs of a split, and the sizes of the frames that it has."""
    frames = frames_of(split)
    facts = {
        name: f"{counted(frame.height, 'row')}, {counted(frame.width, 'column')}" for name, frame in frames.items()
    }
    runs = split.run_specs
    names = runs.get_column(RUN_NAME).to_list() if RUN_NAME in runs.columns else []
    return card(type(split).__name__, facts, few([str(name) for name in names]))
