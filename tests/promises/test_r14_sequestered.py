"""R14: what a predictor is given holds nothing of the sequestered run's scores.

Every score-bearing field of every run holds a canary of its own: a text that occurs nowhere else, or a number
whose eight bytes do. For each seed all memory that can be reached from the two splits is searched for the
canaries of the held-out run: the values of all Python objects, and the Arrow buffers behind all frames, with
the rows in them that were filtered out.
"""

import gc
import json
import random
import struct
from collections.abc import Iterator, Sequence
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from makedump import make_run, write_run

from magnet_arrow.data_splits import SequesteredTestSplit, TestSplit, TrainSplit
from magnet_arrow.outputs import HelmRuns
from magnet_arrow.predictor import Predictor, RunPrediction, RunPredictor

N_RUNS = 5
MOMENTS = ("sum", "sum_squared", "min", "max", "mean", "variance", "stddev")
OTHER_FILES = ("display_predictions.json", "costs.json", "summary.json", "groups.json")


class Canaries:
    """Makes the canaries of one run, and remembers the bytes to look for."""

    def __init__(self, run: int) -> None:
        self.run = run
        self.bytes: list[bytes] = []

    def text(self) -> str:
        canary = f"canary-{self.run}-{len(self.bytes)}-of-a-length-that-no-view-holds-inline"
        self.bytes.append(canary.encode())
        return canary

    def number(self) -> float:
        canary = 1 / (1000003 + 7919 * self.run + len(self.bytes))
        self.bytes.append(struct.pack("<d", canary))
        return canary

    def integer(self) -> int:
        canary = 7_000_000_000_000 + 1_000_000 * self.run + len(self.bytes)
        self.bytes.append(struct.pack("<q", canary))
        return canary


def with_canaries(run: dict[str, Any], canaries: Canaries) -> dict[str, Any]:
    stats = [*run["stats"], *(stat for entry in run["per_instance_stats"] for stat in entry["stats"])]
    for stat in stats:
        perturbation = {"name": canaries.text(), "prob": canaries.number(), "own": canaries.text()}
        stat["name"] |= {"name": canaries.text(), "sub_split": canaries.text(), "perturbation": perturbation}
        stat |= {moment: canaries.number() for moment in MOMENTS} | {"count": canaries.integer()}
    for state in run["scenario_state"]["request_states"]:
        state["annotations"] = {"judge": {"reasoning": canaries.text(), canaries.text(): [canaries.text()]}}
    return run


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> tuple[HelmRuns, dict[str, list[bytes]]]:
    """The runs, and for each run's name the bytes that must not be reached when it is the evaluated one."""
    outputs = tmp_path_factory.mktemp("canaries")
    hidden = {}
    for number in range(N_RUNS):
        made = Canaries(number)
        run = with_canaries(make_run(f"run {number}"), made)
        folder = write_run(outputs / "benchmark_output", run)
        for file in OTHER_FILES:
            (folder / file).write_text(json.dumps({"stats": made.text(), "mean": made.number()}))
        hidden[folder.name] = made.bytes
    return HelmRuns(outputs, cache=outputs / "cache"), hidden


def memory(roots: Sequence[object]) -> bytes:
    """All that can be reached from some objects, as bytes.

    Classes, functions and modules are where the walk ends: they are the program, and not what is handed over.
    """
    program = (type, ModuleType, FunctionType, BuiltinFunctionType)
    found, todo, seen = [], list(roots), set()
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, program):
            continue
        seen.add(id(thing))
        if isinstance(thing, pl.DataFrame):
            found += [buffer.to_pybytes() for buffer in buffers(thing)]
        elif isinstance(thing, pl.LazyFrame):
            raise AssertionError("A lazy frame may read anything.")
        elif isinstance(thing, str | int | float | bytes):
            found.append(as_bytes(thing))
        todo += gc.get_referents(thing)
    return b"\0".join(found)


def as_bytes(value: str | float | bytes) -> bytes:
    if isinstance(value, float):
        return struct.pack("<d", value)
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")


def buffers(frame: pl.DataFrame) -> Iterator[pa.Buffer]:
    """The memory behind a frame, whole: not copied, and with what lies before and after a slice."""
    for series in frame.get_columns():
        array = series.to_arrow(compat_level=pl.CompatLevel.newest())
        for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
            yield from (buffer for buffer in chunk.buffers() if buffer is not None)


def reached(hidden: Sequence[bytes], roots: Sequence[object]) -> list[bytes]:
    everything = memory(roots)
    return [canary for canary in hidden if canary in everything]


def test_no_seed_lets_a_predictor_reach_the_sequestered_scores(
    canaries: tuple[HelmRuns, dict[str, list[bytes]]],
):
    runs, hidden = canaries
    names = sorted(hidden)
    for (train, evaluated, _), seed in seeds_by_draw().items():
        splits = Predictor(2, 1, seed).prepare_predict_inputs(runs)
        assert set(splits[0].run_specs["run_spec.name"]) == {names[run] for run in train}
        assert splits[1].run_specs["run_spec.name"].to_list() == [names[evaluated]]
        assert reached(hidden[names[evaluated]], splits) == [], seed


def seeds_by_draw() -> dict[tuple[frozenset[int], int, int], int]:
    """One seed for each outcome that 1,000 seeds have: two runs to learn from, one evaluated, one instance.

    Worked out by MAGNET's rule. Seeds that draw alike prepare the same splits, so the first one stands for all.
    """
    first: dict[tuple[frozenset[int], int, int], int] = {}
    for seed in range(1000):
        rng = random.Random(seed)
        *train, evaluated = rng.sample(range(N_RUNS), 3)
        (instance,) = rng.sample(range(2), 1)
        first.setdefault((frozenset(train), evaluated, instance), seed)
    assert len(first) == N_RUNS * 6 * 2  # all that there are: 6 pairs of the other four runs, 2 instances
    return first


def hidden_at(run: dict[str, Any], level: str) -> list[bytes]:
    """What a run holds beyond a level, as bytes: tags, completions and their log-probabilities below "outputs"."""
    states = run["scenario_state"]["request_states"]
    if level == "outputs":
        return []
    texts = [tag for state in states for one in state["instance"]["references"] for tag in one["tags"]]
    texts += [one["text"] for state in states for one in state["result"]["completions"]]
    texts += [token["text"] for state in states for one in state["result"]["completions"] for token in one["tokens"]]
    pairs = [pair for state in states for pair in state["instance"]["contrast_references"]]
    texts += [tag for pair in pairs for one in pair for tag in one["tags"]]
    texts += [one["finish_reason"]["reason"] for state in states for one in state["result"]["completions"]]
    texts += [state["request"]["prompt"] for state in states]
    texts += [state["instance"]["extra_data"]["gold"] for state in states]
    numbers = [one["logprob"] for state in states for one in state["result"]["completions"]]
    if level == "plan":
        texts += [state["instance"]["input"]["text"] for state in states]
        texts += [one["output"]["text"] for state in states for one in state["instance"]["references"]]
    return [text.encode() for text in texts] + [struct.pack("<d", number) for number in numbers]


def with_canaries_in_outputs(run: dict[str, Any], canaries: Canaries) -> dict[str, Any]:
    """Texts and numbers that occur nowhere else also where a level from "outputs" on shows them."""
    for state in run["scenario_state"]["request_states"]:
        state["instance"]["input"] = {"text": canaries.text()}
        state["instance"]["extra_data"] = {"gold": canaries.text()}
        state["instance"]["references"] = [
            {"output": {"text": canaries.text()}, "tags": [canaries.text(), "correct"]} for _ in range(2)
        ]
        state["instance"]["contrast_references"] = [[{"output": {"text": "x"}, "tags": [canaries.text()]}]]
        state["request"]["prompt"] = canaries.text()
        tokens = [{"text": canaries.text(), "logprob": canaries.number()}]
        completion = {"text": canaries.text(), "logprob": canaries.number(), "tokens": tokens}
        state["result"]["completions"] = [completion | {"finish_reason": {"reason": canaries.text()}}]
    return with_canaries(run, canaries)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[HelmRuns, dict[tuple[str, str], dict[str, Any]]]:
    """Runs of two suites that share their names, and their contents by suite and name; scores are canaries."""
    outputs = tmp_path_factory.mktemp("twins")
    contents = {}
    for number, (suite, name) in enumerate((suite, name) for suite in ("one", "two") for name in "abcd"):
        run = with_canaries_in_outputs(make_run(name, n_instances=3), Canaries(number))
        write_run(outputs / "benchmark_output", run, suite=suite)
        contents[suite, name] = run
    return HelmRuns(outputs, cache=outputs / "cache"), contents


def scores_of(run: dict[str, Any]) -> list[bytes]:
    """The canaries of a run's scores and annotations."""
    stats = [*run["stats"], *(stat for entry in run["per_instance_stats"] for stat in entry["stats"])]
    found = [struct.pack("<d", stat[moment]) for stat in stats for moment in MOMENTS]
    found += [stat["name"]["name"].encode() for stat in stats]
    states = run["scenario_state"]["request_states"]
    return found + [state["annotations"]["judge"]["reasoning"].encode() for state in states]


LEVELS = ("plan", "items", "outputs")


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(1000), marks=pytest.mark.slow)], ids=len)
@pytest.mark.filterwarnings("ignore:.*with the held-out run's name")
def test_nothing_above_its_level_is_reached(
    twins: tuple[HelmRuns, dict[tuple[str, str], dict[str, Any]]], seeds: range
):
    runs, contents = twins
    for seed in seeds:
        level, of_others = LEVELS[seed % 3], LEVELS[seed // 3 % 3]
        predictor = Predictor(2, 1, seed, level=level, level_of_others=of_others)
        train, sequestered = predictor.prepare_predict_inputs(runs)
        suite, name = sequestered.run_specs.select("magnet.suite", "run_spec.name").row(0)
        run = contents[suite, name]
        assert name not in train.run_specs["run_spec.name"].to_list()
        _, test = predictor.prepare_all_dataframes(runs)
        sampled = set(test.scenario_state["scenario_state.request_states.instance.id"])
        parts = [of_instances(run, sampled), of_instances(run, {"id0", "id1", "id2"} - sampled)]
        hidden = scores_of(run) + [
            one for part, at in zip(parts, (level, of_others), strict=True) for one in hidden_at(part, at)
        ]
        # "correct" is what all tags share, and what the train runs, which hold theirs, are searched for too.
        hidden = [one for one in hidden if one != b"correct"]
        assert reached(hidden, [vars(predictor), train, sequestered]) == [], seed
        if of_others == level == "items":
            assert b"correct" not in memory([sequestered])


def of_instances(run: dict[str, Any], ids: set[str]) -> dict[str, Any]:
    states = run["scenario_state"]["request_states"]
    return {"scenario_state": {"request_states": [one for one in states if one["instance"]["id"] in ids]}}


def test_the_search_finds_what_each_level_shows(twins: tuple[HelmRuns, dict[tuple[str, str], dict[str, Any]]]):
    """Else the test above would show nothing."""
    runs, contents = twins
    for level, others in (("outcomes", "outputs"), ("items", "items")):
        _, sequestered = Predictor(0, 1, 1, level=level, level_of_others=others).prepare_predict_inputs(runs)
        run = contents[sequestered.run_specs.select("magnet.suite", "run_spec.name").row(0)]
        everything = memory([sequestered])
        shown = [one for one in hidden_at(run, "plan") if one in everything]
        assert len(shown) == (len(hidden_at(run, "plan")) if level == "outcomes" else 9)
        assert (len([one for one in scores_of(run) if one in everything]) > 10) == (level == "outcomes")


def test_the_search_finds_the_canaries_where_they_may_be(canaries: tuple[HelmRuns, dict[str, list[bytes]]]):
    """Else the test above would show nothing."""
    runs, hidden = canaries
    train, test = Predictor(1, 2).prepare_all_dataframes(runs)
    n_in_other_files = 2 * len(OTHER_FILES)
    for split in (train, test):
        mine = hidden[split.run_specs["run_spec.name"].item()]
        assert reached(mine, [split]) == mine[:-n_in_other_files]


def test_the_search_finds_rows_that_a_filter_has_left_behind():
    frame = pl.DataFrame({"text": ["canary that is longer than a view", "row that is longer than a view"]})
    kept = frame.filter(pl.col("text").str.starts_with("row"))
    assert reached([b"canary that is"], [kept]) == [b"canary that is"]


def test_a_predictor_that_is_called_reaches_no_more(canaries: tuple[HelmRuns, dict[str, list[bytes]]]):
    runs, hidden = canaries
    seen = []

    class Spy(RunPredictor):
        def predict(self, train_split: TrainSplit, sequestered_test_split: SequesteredTestSplit) -> list[RunPrediction]:
            name = sequestered_test_split.run_specs["run_spec.name"].item()
            seen.append(reached(hidden[name], [vars(self), train_split, sequestered_test_split]))
            return []

    Spy(2, 1)(helm_runs=runs)
    assert seen == [[]]


def test_a_sequestered_split_does_not_lead_back_to_the_one_it_came_from(
    canaries: tuple[HelmRuns, dict[str, list[bytes]]],
):
    _, test = Predictor(1, 2).prepare_all_dataframes(canaries[0])
    sequestered = test.sequester()
    todo, seen = [sequestered], []
    while todo:
        thing = todo.pop()
        assert not isinstance(thing, TestSplit)
        if not isinstance(thing, type) and all(thing is not other for other in seen):
            seen.append(thing)
            todo += gc.get_referents(thing)
    ours = {id(sequestered.run_specs), id(sequestered.scenario_state)}
    assert {id(thing) for thing in seen if isinstance(thing, pl.DataFrame)} == ours
