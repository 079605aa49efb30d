"""Who is drawn, which rows that means, and that a split holds copies only."""

import logging
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from makedump import make_run, request_state, write_run, write_runs

from magnet_arrow import data_splits
from magnet_arrow.data_splits import DrawSettings, SequesteredTestSplit, TrainSplit, draw, draw_at_random, frames_of
from magnet_arrow.errors import BadFileError, MagnetWarning, NotEnoughRunsError, NotEnoughSamplesError, SettingError
from magnet_arrow.outputs import HelmRuns

ID = "scenario_state.request_states.instance.id"
STAT_ID = "per_instance_stats.instance_id"

Splits = tuple[TrainSplit, data_splits.TestSplit]


def drawn(source: Any, **changes: Any) -> Splits:
    choice = {"num_example_runs": 1, "num_eval_samples": 2, "random_seed": 1}
    settings = DrawSettings(**choice | {"insufficient_eval_sample_policy": "error"} | changes)
    return draw_at_random(HelmRuns(source), settings)


def names(frame: pl.DataFrame) -> list[str]:
    return frame["run_spec.name"].unique(maintain_order=True).to_list()


def test_runs_are_drawn_by_magnets_rule_and_kept_in_the_order_given(tmp_path: Path):
    folders = write_runs(tmp_path, [make_run(f"run {letter}") for letter in "fbdace"])
    for seed in range(5):
        *train, evaluated = random.Random(seed).sample([folder.name for folder in folders], 4)
        train_split, test_split = drawn(folders, num_example_runs=3, random_seed=seed)
        in_order = [folder.name for folder in folders if folder.name in train]
        assert names(test_split.run_specs) == [evaluated]
        for frame in (
            train_split.run_specs,
            train_split.scenario_state,
            train_split.stats,
            train_split.per_instance_stats,
        ):
            assert names(frame) == in_order


def test_instances_are_drawn_by_the_same_generator_after_the_runs(tmp_path: Path):
    write_runs(tmp_path, [make_run(f"run {letter}", n_instances=7) for letter in "ab"])
    for seed in range(5):
        rng = random.Random(seed)
        rng.sample("ab", 2)
        expected = {f"id{index}" for index in rng.sample(range(7), 3)}
        _, test_split = drawn(tmp_path, num_eval_samples=3, random_seed=seed)
        assert set(test_split.scenario_state[ID]) == expected
        assert set(test_split.per_instance_stats[STAT_ID]) == expected


def test_all_copies_and_trials_of_an_instance_are_sampled_together_in_file_order(tmp_path: Path):
    run = make_run("tides")
    ids = ["b", "a", "b", "c", "a"]
    run["scenario_state"]["request_states"] = [
        request_state(each) | {"train_trial_index": trial} for trial in (0, 1) for each in ids
    ]
    run["per_instance_stats"] = []
    write_run(tmp_path, run)
    distinct = ["b", "a", "c"]
    for seed in range(5):
        rng = random.Random(seed)
        rng.sample("x", 1)
        chosen = [distinct[index] for index in rng.sample(range(3), 2)]
        _, test_split = drawn(tmp_path, num_example_runs=0, random_seed=seed)
        assert test_split.scenario_state[ID].to_list() == [each for each in ids * 2 if each in chosen]
        assert test_split.per_instance_stats.height == 0


def test_stats_of_the_evaluated_run_are_whole(tmp_path: Path):
    write_run(tmp_path, make_run("tides", n_instances=5))
    train_split, test_split = drawn(tmp_path, num_example_runs=0)
    assert test_split.stats["stats.name.name"].to_list() == ["exact_match", "num_instances"]
    assert train_split.run_specs.height == 0


def test_a_run_whose_instances_have_no_id_has_one_instance(tmp_path: Path):
    run = make_run("tides", n_instances=3)
    for state in run["scenario_state"]["request_states"]:
        del state["instance"]["id"]
    write_run(tmp_path, run)
    _, test_split = drawn(tmp_path, num_example_runs=0, num_eval_samples=1)
    assert test_split.scenario_state.height == 3
    assert test_split.per_instance_stats.height == 0


def test_no_id_is_an_instance_like_another(tmp_path: Path):
    run = make_run("tides", n_instances=3)
    del run["scenario_state"]["request_states"][1]["instance"]["id"]
    write_run(tmp_path, run)
    distinct = ["id0", None, "id2"]
    for seed in range(6):
        rng = random.Random(seed)
        rng.sample("x", 1)
        (chosen,) = rng.sample(range(3), 1)
        _, test_split = drawn(tmp_path, num_example_runs=0, num_eval_samples=1, random_seed=seed)
        assert test_split.scenario_state[ID].to_list() == [distinct[chosen]]


def test_instances_whose_ids_are_numbers_are_sampled(tmp_path: Path):
    run = make_run("tides")
    run["scenario_state"]["request_states"] = [request_state(number) for number in (7, 8, 9)]
    run["per_instance_stats"] = [
        entry | {"instance_id": number}
        for number in (7, 8, 9)
        for entry in make_run("tides", n_instances=1)["per_instance_stats"]
    ]
    write_run(tmp_path, run)
    _, test_split = drawn(tmp_path, num_example_runs=0, num_eval_samples=2)
    assert test_split.scenario_state.height == 2
    assert set(test_split.per_instance_stats[STAT_ID]) == set(test_split.scenario_state[ID])


SUITE = "run_spec.scenario_spec.args.suite"


def write_twins(outputs: Path, names: Sequence[str], suites: Sequence[str]) -> list[tuple[str, str]]:
    """A run of each name in each suite; suites and names of all, in the order of a draw."""
    for suite in suites:
        for name in names:
            write_run(outputs, make_run(name, args={"suite": suite}), suite=suite)
    return [(suite, name) for suite in sorted(suites) for name in sorted(names)]


def with_names(split: Any) -> list[tuple[str, str]]:
    return split.run_specs.select(SUITE, "run_spec.name").rows()


def test_equal_names_in_two_suites_never_mix(tmp_path: Path):
    given = write_twins(tmp_path, ["winds", "tides"], ["one", "two"])
    for seed in range(8):
        train, held_out = random.Random(seed).sample(range(4), 2)
        if given[train][1] == given[held_out][1]:
            continue
        train_split, test_split = drawn(tmp_path, random_seed=seed)
        assert (with_names(train_split), with_names(test_split)) == ([given[train]], [given[held_out]])
        assert train_split.stats.height == test_split.stats.height == 2


def test_a_run_of_the_held_out_runs_name_is_replaced_by_one_of_another_name(tmp_path: Path):
    given = write_twins(tmp_path, ["ebb", "flood", "neap", "spring"], ["one", "two"])
    n_twins = 0
    for seed in range(12):
        *train, held_out = random.Random(seed).sample(range(8), 4)
        kept = [index for index in train if given[index][1] != given[held_out][1]]
        n_twins += len(kept) < 3
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            train_split, test_split = drawn(tmp_path, num_example_runs=3, random_seed=seed)
        assert with_names(test_split) == [given[held_out]]
        shown = with_names(train_split)
        assert len(set(shown)) == 3
        assert set(shown) >= {given[index] for index in kept}
        assert given[held_out][1] not in {name for _, name in shown}
        assert shown == sorted(shown, key=given.index)
        assert len(warned) == (len(kept) < 3)
        for warning in warned:
            assert warning.category is MagnetWarning
            assert warning.filename == __file__
            assert f"1 train run with the held-out run's name, {given[held_out][1]}, was replaced" in str(
                warning.message
            )
    assert 0 < n_twins < 12


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name:magnet_arrow.errors.MagnetWarning")
def test_instances_are_sampled_as_if_no_run_had_been_replaced(tmp_path: Path):
    run = make_run("tides", n_instances=9)
    for suite in ("one", "three", "two"):
        write_run(tmp_path, run if suite != "three" else make_run("winds"), suite=suite)
    for seed in range(6):
        rng = random.Random(seed)
        train, held_out = rng.sample(range(3), 2)
        if 1 in (train, held_out):
            continue
        chosen = [f"id{number}" for number in rng.sample(range(9), 4)]
        train_split, test_split = drawn(tmp_path, num_eval_samples=4, random_seed=seed)
        assert train_split.run_specs["run_spec.name"].to_list() == ["winds"]
        assert set(test_split.scenario_state[ID]) == set(chosen)


@pytest.mark.filterwarnings("ignore:.*with the held-out run's name:magnet_arrow.errors.MagnetWarning")
def test_a_name_is_the_run_specs_and_not_the_folders(tmp_path: Path):
    for folder in ("a", "b", "copy of a"):
        write_run(tmp_path, make_run("b" if folder == "b" else "a"), folder=folder)
    for seed in range(5):
        if 1 in random.Random(seed).sample(range(3), 2):
            continue
        train_split, test_split = drawn(tmp_path, random_seed=seed)
        assert train_split.run_specs["run_spec.name"].to_list() == ["b"]
        assert test_split.run_specs["run_spec.name"].to_list() == ["a"]


def test_two_runs_of_one_name_may_both_be_learnt_from(tmp_path: Path):
    write_twins(tmp_path, ["tides"], ["one", "two"])
    write_run(tmp_path, make_run("winds", args={"suite": "three"}), suite="three")
    seed = next(seed for seed in range(99) if random.Random(seed).sample(range(3), 3)[-1] == 1)  # one, three, two
    train_split, test_split = drawn(tmp_path, num_example_runs=2, random_seed=seed)
    assert with_names(train_split) == [("one", "tides"), ("two", "tides")]
    assert with_names(test_split) == [("three", "winds")]


def test_where_no_run_of_another_name_is_left_it_says_so(tmp_path: Path):
    write_twins(tmp_path, ["tides"], ["one", "two"])
    with pytest.raises(NotEnoughRunsError, match=r"name, tides, .*\n.* 1 undrawn run with another name, found 0"):
        drawn(tmp_path)


def test_too_few_runs_say_how_many_there_are_and_are_needed(tmp_path: Path):
    write_runs(tmp_path, [make_run("a"), make_run("b")])
    with pytest.raises(NotEnoughRunsError, match=r"at least 4 \(3 train, one held out\), found 2"):
        drawn(tmp_path, num_example_runs=3)


def test_the_policy_decides_about_too_few_request_states(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_run(tmp_path, make_run("tides", n_instances=2))
    few = {"num_example_runs": 0, "num_eval_samples": 3}
    with pytest.raises(NotEnoughSamplesError, match=r"at least 3 request states .* found 2"):
        drawn(tmp_path, **few, insufficient_eval_sample_policy="error")
    with caplog.at_level(logging.WARNING, "magnet_arrow"):
        assert drawn(tmp_path, **few, insufficient_eval_sample_policy="ignore")[1].scenario_state.height == 2
        assert caplog.messages == []
        assert drawn(tmp_path, **few, insufficient_eval_sample_policy="warn")[1].scenario_state.height == 2
    assert len(caplog.messages) == 1
    assert "3 request states" in caplog.messages[0]


def test_it_is_rows_and_not_instances_that_must_suffice(tmp_path: Path):
    run = make_run("tides")
    run["scenario_state"]["request_states"] = [request_state("a"), request_state("a"), request_state("b")]
    write_run(tmp_path, run)
    assert drawn(tmp_path, num_example_runs=0, num_eval_samples=3)[1].scenario_state.height == 3


def test_a_sequestered_split_has_no_other_fields(tmp_path: Path):
    write_run(tmp_path, make_run("tides"))
    sequestered = drawn(tmp_path, num_example_runs=0)[1].sequester()
    assert isinstance(sequestered, SequesteredTestSplit)
    assert list(frames_of(sequestered)) == ["run_specs", "scenario_state"]
    for name in ("stats", "per_instance_stats", "__dict__"):
        assert not hasattr(sequestered, name)


def test_judges_annotations_are_left_out_and_all_else_stays(tmp_path: Path):
    run = make_run("tides", annotations=[{"judge": {"score": 5}}, {"judge": [{"score": 4}]}])
    write_run(tmp_path, run)
    _, test_split = drawn(tmp_path, num_example_runs=0)
    seen, whole = test_split.sequester().scenario_state, test_split.scenario_state
    annotations = "scenario_state.request_states.annotations"
    assert annotations in whole.columns
    assert seen.columns == [name for name in whole.columns if name != annotations]
    assert seen.equals(whole.drop(annotations))
    assert {"scenario_state.request_states.result.completions", ID} <= set(seen.columns)


def test_a_split_shows_its_rows_and_nothing_of_the_data(tmp_path: Path):
    write_run(tmp_path, make_run("tides"))
    sequestered = drawn(tmp_path, num_example_runs=0)[1].sequester()
    assert repr(sequestered) == "<SequesteredTestSplit run_specs: 1 rows, scenario_state: 2 rows>"


def buffers(frame: pl.DataFrame) -> Iterator[pa.Buffer]:
    """The memory behind a frame, not copied on the way."""
    for series in frame.get_columns():
        yield from _buffers(series.to_arrow(compat_level=pl.CompatLevel.newest()))


def _buffers(array: Any) -> Iterator[pa.Buffer]:
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        yield from (buffer for buffer in chunk.buffers() if buffer is not None and buffer.size)


@pytest.fixture
def splits(tmp_path: Path) -> Splits:
    runs = [make_run(f"a run with a long name, no. {number}", n_instances=3) for number in range(4)]
    write_runs(tmp_path, runs)
    return drawn(tmp_path, num_example_runs=2)


def test_a_sequestered_split_shares_no_memory_with_the_truth(splits: Splits):
    test_split = splits[1]
    sequestered = test_split.sequester()
    truth = (test_split.run_specs, test_split.scenario_state, test_split.stats, test_split.per_instance_stats)
    theirs = {buffer.address for frame in truth for buffer in buffers(frame)}
    seen = (sequestered.run_specs, sequestered.scenario_state)
    ours = {buffer.address for frame in seen for buffer in buffers(frame)}
    assert len(ours) > 20
    assert not ours & theirs


@pytest.mark.parametrize(
    "dtype_of", [lambda frame: frame.schema, lambda frame: frame.to_dicts()], ids=["types", "values"]
)
def test_a_copy_is_equal(splits: Splits, dtype_of: Callable[[pl.DataFrame], Any]):
    test_split = splits[1]
    assert dtype_of(test_split.sequester().scenario_state) == dtype_of(test_split.scenario_state)


def test_rows_that_were_not_sampled_are_not_in_the_memory_of_a_split(splits: Splits):
    sequestered = splits[1].sequester()
    sampled = set(sequestered.scenario_state[ID])
    left_out = {f"id{number}" for number in range(3)} - sampled
    memory = b"".join(buffer.to_pybytes() for buffer in buffers(sequestered.scenario_state))
    assert all(f"What comes after tide {each}?".encode() in memory for each in sampled)
    assert not any(f"What comes after tide {each}?".encode() in memory for each in left_out)


def four_runs(tmp_path: Path) -> HelmRuns:
    runs = [make_run(f"tide {letter}", args={"subject": letter}, n_instances=3) for letter in "abcd"]
    return HelmRuns(write_runs(tmp_path, runs))


SUBJECT = pl.col("run_spec.scenario_spec.args.subject")


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ([2, 0], ["tide a", "tide c"]),
        ([-2], ["tide c"]),
        (["tide b"], ["tide b"]),
        (["tide [bc]"], ["tide b", "tide c"]),
        (SUBJECT.is_in(["a", "c"]), ["tide a", "tide c"]),
        (SUBJECT == "z", []),
        ([], []),
    ],
    ids=str,
)
def test_named_runs_are_split(tmp_path: Path, train: Any, expected: list[str]):
    train_split, test_split = draw(four_runs(tmp_path), train=train, test=["tide d"])
    assert names(train_split.run_specs) == names(train_split.scenario_state) == expected
    assert names(test_split.run_specs) == ["tide d"]
    assert test_split.scenario_state[ID].to_list() == ["id0", "id1", "id2"]
    assert test_split.other_items is None


def test_runs_may_be_named_by_objects_and_several_held_out(tmp_path: Path):
    runs = four_runs(tmp_path)
    train_split, test_split = draw(runs, train=runs[0], test=runs[2:], items=["id2", "id0"], keep_others=True)
    assert names(train_split.run_specs) == ["tide a"]
    assert names(test_split.run_specs) == ["tide c", "tide d"]
    assert test_split.scenario_state[ID].to_list() == ["id0", "id2"] * 2
    assert set(test_split.per_instance_stats[STAT_ID]) == {"id0", "id2"}
    assert test_split.other_items is not None
    assert test_split.other_items[ID].to_list() == ["id1"] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"test": []}, "at least one held-out run"),
        ({"test": [4]}, "runs among those given, found 4"),
        ({"test": ["ebb"]}, "runs among those given, found 'ebb'"),
        ({"test": [True]}, "runs among those given, found True"),
        ({"test": "tide a"}, "a list of runs, indices or names, found 'tide a'"),
        ({"test": 3}, "a list of runs, indices or names, found 3"),
        ({"test": [0]}, "tide a, is also that of another"),
        ({"test": [3], "items": ["id0", "id7"]}, "ids of instances of the held-out runs, found 'id7'"),
    ],
    ids=str,
)
def test_a_choice_that_is_wrong_is_named(tmp_path: Path, arguments: dict[str, Any], words: str):
    with pytest.raises(SettingError, match=words):
        draw(four_runs(tmp_path), **{"train": [0, 1]} | arguments)


def test_the_error_for_a_named_run_that_is_partial_names_no_argument_that_draw_lacks(tmp_path: Path):
    runs = four_runs(tmp_path)
    (runs[1].path / "stats.json").unlink()
    with pytest.raises(BadFileError, match="tide b") as caught:
        draw(runs, train=[0, 1], test=[3])
    assert caught.value.hint is not None
    assert "complete runs only" in caught.value.hint
    assert not any(name in caught.value.hint for name in ("skip_unreadable", "include_partial"))


def test_named_runs_may_be_partial_where_the_runs_say_so(tmp_path: Path):
    runs = four_runs(tmp_path)
    (runs[1].path / "stats.json").unlink()
    (runs[3].path / "per_instance_stats.json").unlink()
    train_split, test_split = draw(HelmRuns(runs, partial=True), train=[0, 1], test=[3])
    assert names(train_split.run_specs) == names(train_split.scenario_state) == ["tide a", "tide b"]
    assert names(train_split.stats) == ["tide a"]
    assert test_split.scenario_state[ID].to_list() == ["id0", "id1", "id2"]
    assert (test_split.stats.is_empty(), test_split.per_instance_stats.is_empty()) == (False, True)
