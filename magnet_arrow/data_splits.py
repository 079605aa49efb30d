"""Who is train and who is test, and what a predictor gets to see of either.

The draw is MAGNET's, number for number (`draw`), but over folders and not over names: two suites whose runs
bear equal names never mix, and no run of the held-out run's name is in train. A predictor is handed a
`TrainSplit` and a `SequesteredTestSplit`, both of copies in buffers of their own: a filtered Polars frame goes
on sharing text with the one that it came from, and its Arrow buffers show rows that were filtered out.
"""

import io
import logging
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import polars as pl

from magnet_arrow._text import counted, for_terminal
from magnet_arrow.checks.run_selection import Selected, look_at, reason_of
from magnet_arrow.errors import NotEnoughRunsError, NotEnoughSamplesError, Where, warn
from magnet_arrow.ingestion.ensure_cached import rejected_error
from magnet_arrow.ingestion.run_specs import read_run_specs
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.query.frames import CachedRuns
from magnet_arrow.query.run_columns import RUN_COLUMNS, telling_apart, telling_names_apart
from magnet_arrow.schema.registry import RUN_NAME, TABLES

SamplePolicy = Literal["error", "warn", "ignore"]

INSTANCE_ID = TABLES["scenario_state"].named("request_states.instance.id")
STAT_INSTANCE_ID = TABLES["per_instance_stats"].named("instance_id")
ANNOTATIONS = TABLES["scenario_state"].named("request_states.annotations")

_log = logging.getLogger("magnet_arrow")
_GO_ON = "With skip_unreadable=True only runs that can be read are drawn from."
_PARTIAL = "partial=True"  # what hints call an argument of `ingest` and `HelmRuns`; a predictor's has another name


@dataclass(frozen=True, slots=True, eq=False)
class TrainSplit:
    """All that HELM wrote about the runs to learn from.

    Attributes:
        run_specs: one row a run; in the order of the runs given, as all four.
        scenario_state: one row a request state.
        stats: one row a stat.
        per_instance_stats: one row a stat of an instance.
    """

    run_specs: pl.DataFrame
    scenario_state: pl.DataFrame
    stats: pl.DataFrame
    per_instance_stats: pl.DataFrame

    def __repr__(self) -> str:
        """Rows of each frame."""
        return _rows(self)


@dataclass(frozen=True, slots=True, eq=False)
class SequesteredTestSplit:
    """What a predictor sees of the evaluated run: no stats, and no way to them.

    Completions and references with their `correct` tags are here, as in MAGNET; what judges said of the
    completions (`annotations`) is not.

    Attributes:
        run_specs: one row.
        scenario_state: the request states of the sampled instances, in file order.
    """

    run_specs: pl.DataFrame
    scenario_state: pl.DataFrame

    def __repr__(self) -> str:
        """Rows of each frame."""
        return _rows(self)


@dataclass(frozen=True, slots=True, eq=False)
class TestSplit:
    """The evaluated run with its truth.

    Attributes:
        run_specs: one row.
        scenario_state: the request states of the sampled instances, in file order; all perturbed copies and
            trials of an instance are sampled together.
        stats: every stat of the run, over all of its instances.
        per_instance_stats: stats of the sampled instances.
    """

    __test__: ClassVar[bool] = False  # else pytest collects it, for its name, wherever a test imports it

    run_specs: pl.DataFrame
    scenario_state: pl.DataFrame
    stats: pl.DataFrame
    per_instance_stats: pl.DataFrame

    def __repr__(self) -> str:
        """Rows of each frame."""
        return _rows(self)

    def sequester(self) -> SequesteredTestSplit:
        """The part that a predictor may see, copied: nothing leads back from it to this split."""
        seen = _seen_by_predictors(self.scenario_state)
        return SequesteredTestSplit(_copied(self.run_specs), _copied(seen))


def draw(
    runs: HelmRuns,
    *,
    num_example_runs: int,
    num_eval_samples: int,
    random_seed: int,
    insufficient_eval_sample_policy: SamplePolicy,
    include_partial: bool = False,
    skip_unreadable: bool = False,
) -> tuple[TrainSplit, TestSplit]:
    """Runs to learn from and one to evaluate on, with a sample of its instances.

    Equal arguments give the same draw on every machine, whatever the cache has seen, and over runs in MAGNET's order
    the one that MAGNET gives. Only the runs that were drawn are looked at; those that are not cached are ingested.

    A run's name is that in its run spec. The held-out run is never replaced, but runs of its name among those to learn
    from are: by others that were not drawn, which a generator of its own chooses, made of the same seed.

    Args:
        runs: what is drawn from, in their order.
        num_example_runs: how many to learn from.
        num_eval_samples: how many instances of the evaluated run are sampled; all, if it has fewer.
        random_seed: decides the draw.
        insufficient_eval_sample_policy: what happens when the evaluated run has fewer request states than
            `num_eval_samples`: "error" raises, "warn" logs a warning, "ignore" goes on.
        include_partial: ingest all runs, also what is there of incomplete ones, and draw from these too.
        skip_unreadable: ingest all runs, and draw from those that could be ingested.

    Raises:
        NotEnoughRunsError: there are fewer runs than `num_example_runs` and one, or too few that have another name
            than the held-out run.
        NotEnoughSamplesError: too few request states, under the policy "error".
        BadFileError: a run that was drawn is not complete, or cannot be read.
        CacheNotWritableError: it is not cached as it is now, and can't be.
    """
    if include_partial or skip_unreadable:
        runs = _ingest_all(runs, include_partial=include_partial, skip_unreadable=skip_unreadable)
    rng = random.Random(random_seed)
    train, held_out = _draw_runs(len(runs), num_example_runs, rng)
    # One snapshot for both, so that all eight frames are of one commit.
    cached = _ingest_drawn(runs.take([*train, held_out]), include_partial=include_partial)
    *names, name = (run.name for run in cached.snapshot.chosen(cached.keys))
    if name in names:
        kept = [index for index, other in zip(train, names, strict=True) if other != name]
        train = sorted(kept + _other_runs(runs, {*train, held_out}, name, len(train) - len(kept), random_seed))
        cached = _ingest_drawn(runs.take([*train, held_out]), include_partial=include_partial)
    cached = replace(cached, telling=_telling(runs, cached))
    examples, one = cached.take(range(len(train))), cached.take([len(train)])
    ids = one.scan("scenario_state", columns=[INSTANCE_ID]).collect()[INSTANCE_ID]
    _check_enough(len(ids), num_eval_samples, insufficient_eval_sample_policy)
    return _train_split(examples), _test_split(one, _draw_ids(ids, num_eval_samples, rng))


def _ingest_all(runs: HelmRuns, *, include_partial: bool, skip_unreadable: bool) -> HelmRuns:
    """The runs that may be drawn, once all have been ingested."""
    selected = _ingest(runs, include_partial=include_partial)
    if not skip_unreadable:
        return runs
    keys = frozenset(selected.keys)
    left = runs.take(index for index, place in enumerate(runs.places) if selected.snapshot.key_of(place) in keys)
    if len(left) < len(runs):
        first = next(one.rejected for one in selected.left_out if one.what == "run")
        warn(
            f"{len(runs) - len(left)} of {counted(len(runs), 'run')} cannot be read, and will not be drawn. "
            f"The first: {Where(first.run, first.file)}."
        )
    return left


def _ingest_drawn(runs: HelmRuns, *, include_partial: bool) -> CachedRuns:
    """The runs that were drawn.

    Raises:
        BadFileError: one cannot be ingested. The same whether or not the cache has a part of it.
    """
    selected = _ingest(runs, include_partial=include_partial)
    bad = [reason_of(one) for one in selected.left_out if one.what == "run"]
    if bad:
        error = rejected_error(bad, go_on=_GO_ON)
        error.hint = error.hint and error.hint.replace(f" {_PARTIAL}", f" include_{_PARTIAL}")
        raise error
    return CachedRuns(selected.snapshot, selected.keys)


def _ingest(runs: HelmRuns, *, include_partial: bool) -> Selected:
    """The runs as they are now; what an earlier ingest made of them does not matter, nor an older state."""
    selected = look_at(runs.places, runs.cache, partial=include_partial, retry=True)
    if selected.error is not None:
        raise selected.error
    return selected


def _telling(runs: HelmRuns, drawn: CachedRuns) -> tuple[str, ...]:
    """The columns that tell runs apart where drawn ones bear a name twice, or folders of those drawn from do."""
    needed = set(telling_apart(drawn.snapshot.chosen(drawn.keys)))
    places = runs.places
    if len({place.folder for place in places}) < len(places):
        needed |= set(telling_names_apart((one.folder, one.suite, str(one.source), one.folder) for one in places))
    return tuple(name for name in RUN_COLUMNS if name in needed)


def _other_runs(runs: HelmRuns, drawn: Collection[int], name: str, n_runs: int, random_seed: int) -> list[int]:
    """Indices of so many runs that were not drawn and have another name, in place of runs of this name."""
    undrawn = [index for index in range(len(runs)) if index not in drawn]
    names = read_run_specs([runs.places[index] for index in undrawn], runs.cache)[RUN_NAME]
    others = [index for index, other in zip(undrawn, names, strict=True) if other != name]
    if len(others) < n_runs:
        raise NotEnoughRunsError(
            f"The held-out run's name, {name}, is that of {counted(n_runs, 'run')} to learn from too.",
            expected=f"at least {n_runs} not drawn that have another name",
            found=str(len(others)),
            hint="Name more runs, or only one of several that are the same, or lower num_example_runs.",
        )
    warn(
        f"{counted(n_runs, 'run')} drawn to learn from had the name of the held-out run, {for_terminal(name)}: "
        "others were drawn instead."
    )
    return random.Random(random_seed).sample(others, n_runs)


def _draw_runs(n_runs: int, n_examples: int, rng: random.Random) -> tuple[list[int], int]:
    """Indices of the runs to learn from, ascending, and of the evaluated one."""
    if n_runs < n_examples + 1:
        raise NotEnoughRunsError(
            "There are too few runs to draw from.",
            expected=f"at least {n_examples + 1} ({n_examples} to learn from, one to evaluate)",
            found=str(n_runs),
            hint="Name more runs, loosen the filters, or lower num_example_runs.",
        )
    *examples, evaluated = rng.sample(range(n_runs), n_examples + 1)
    return sorted(examples), evaluated


def _check_enough(n_states: int, n_samples: int, policy: SamplePolicy) -> None:
    if n_samples <= n_states or policy == "ignore":
        return
    expected = f"at least {n_samples} request states in the evaluated run (num_eval_samples)"
    if policy == "error":
        raise NotEnoughSamplesError("", expected=expected, found=str(n_states))
    _log.warning("Expected %s, found %d: all of its instances are taken.", expected, n_states)


def _draw_ids(ids: pl.Series, n_samples: int, rng: random.Random) -> pl.Series:
    """A sample of the distinct ids, null being one of them if it is there."""
    distinct = ids.unique(maintain_order=True)
    return distinct.gather(rng.sample(range(len(distinct)), min(len(distinct), n_samples)))


def _train_split(runs: CachedRuns) -> TrainSplit:
    """All rows of these runs. Copied, since the row groups they were read from may hold the evaluated run too.

    Polars 2.1 shares no text with a row group (tried), but nothing says that it will not.
    """
    tables = ("run_spec", "scenario_state", "stats", "per_instance_stats")
    return TrainSplit(*(_copied(runs.scan(table).collect()) for table in tables))


def _test_split(run: CachedRuns, ids: pl.Series) -> TestSplit:
    return TestSplit(
        run.scan("run_spec").collect(),
        _having(run.scan("scenario_state"), INSTANCE_ID, ids).collect(),
        run.scan("stats").collect(),
        _having(run.scan("per_instance_stats"), STAT_INSTANCE_ID, ids).collect(),
    )


def _having(rows: pl.LazyFrame, column: str, ids: pl.Series) -> pl.LazyFrame:
    """The rows whose instance is among `ids`; where the column does not occur, all of its ids are null."""
    if column not in rows.collect_schema():
        return rows if ids.has_nulls() else rows.clear()
    return rows.filter(pl.col(column).is_in(ids.implode(), nulls_equal=True))


def _seen_by_predictors(scenario_state: pl.DataFrame) -> pl.DataFrame:
    """The one place where it is decided which columns of a request state are kept from a predictor."""
    return scenario_state.drop(ANNOTATIONS, *TABLES["scenario_state"].hidden, strict=False)


def _copied(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame in buffers that hold its own rows and no others.

    `clone` shares all buffers, and `rechunk` those of texts (both tried). Arrow's oldest layout has no shared
    text buffers, so a way through it leaves nothing behind.
    """
    stream = io.BytesIO()
    frame.write_ipc(stream, compat_level=pl.CompatLevel.oldest())
    return pl.read_ipc(stream.getvalue())


def _rows(split: TrainSplit | TestSplit | SequesteredTestSplit) -> str:
    frames: Sequence[str] = split.__slots__
    counts = ", ".join(f"{name}: {getattr(split, name).height} rows" for name in frames)
    return f"<{type(split).__name__} {counts}>"
