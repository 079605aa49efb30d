"""Every run of every dump: the four frames hold what the run's JSON says, no more, no less, in its order."""

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from large_dumps import dump_params
from makedump import Run, instance_stats, make_run, request_state, write_run
from reading import cached_places, read
from reference import ARGS, TABLES, Row, compare, is_strict_json, tables

from magnet_arrow.helm.layout import RUN_FILES
from magnet_arrow.ingestion.api import ingest

# Rows a table as `data/README.md` beside the dumps counts them.
WHOLE = {
    "mmlu": [283, 5660, 45036, 152820],
    "mmlu_made": [100, 4000, 8900, 108000],
    "classic": [14, 2198, 6282, 58546],
    "large": [1, 4900, 89, 132300],
    "bbq": [11, 501, 918, 13527],
    "eee": [3, 25, 393, 665],
}
MADE = [f"benchmark_output/runs/{suite}" for suite in ("methods", "perturbations", "dry")]
# Glob patterns for suites of old and unusual runs. They may be rejected, but only by name.
LENIENT = {
    "helm_made": ["benchmark_output/runs/odd", "benchmark_output/runs/failed"],
    "helm_old": ["*/benchmark_output/runs/*"],
    "modelbench": ["*/benchmark_output/runs/*"],
}


def suites_of(dump: Path, patterns: list[str]) -> list[Path]:
    return sorted(chain.from_iterable(dump.glob(pattern) for pattern in patterns))


def complete_runs(suites: list[Path]) -> list[Path]:
    folders = sorted(folder for suite in suites for folder in suite.iterdir())
    return [folder for folder in folders if all((folder / file).is_file() for file in RUN_FILES)]


def assert_equal_to_source(sources: list[Path], cache: Path) -> None:
    places = cached_places(sources, cache)
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    for place in places:
        for table, of_run in tables(place.path).items():
            rows[table] += of_run
    for table in TABLES:
        frame = read(places, table, cache)
        assert compare(rows[table], frame) == [], table
        assert table == "run_spec" or frame.columns == ["run_spec.name", *sorted(frame.columns[1:])]


def test_the_demo_equals_its_source(demo_outputs: Path, tmp_path: Path) -> None:
    report = ingest(demo_outputs, tmp_path / "cache")
    assert report.runs == 9
    assert [report.rows[table] for table in TABLES] == [9, 86, 1430, 2322]
    assert report.rejected == ()
    assert_equal_to_source(sorted(demo_outputs.glob("runs/*")), tmp_path / "cache")


@pytest.fixture(scope="module")
def demo_cache(demo_outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("demo") / "cache"
    ingest(demo_outputs, cache)
    return cache


@pytest.mark.slow
def test_each_run_of_the_demo_alone_equals_its_source(demo_outputs: Path, demo_cache: Path) -> None:
    for place in cached_places(demo_outputs, demo_cache):
        for table, rows in tables(place.path).items():
            frame = read([place], table, demo_cache)
            assert compare(rows, frame) == [], place
            if table == "run_spec":
                assert frame.columns == with_arguments_sorted(list(rows[0]))


def with_arguments_sorted(columns: list[str]) -> list[str]:
    arguments = iter(sorted(column for column in columns if column.startswith(ARGS)))
    return [next(arguments) if column.startswith(ARGS) else column for column in columns]


def test_rows_follow_the_order_in_which_runs_are_given(demo_outputs: Path, demo_cache: Path) -> None:
    places = cached_places(demo_outputs, demo_cache)[::-1]
    for table in TABLES:
        rows = [row for place in places for row in tables(place.path)[table]]
        assert compare(rows, read(places, table, demo_cache)) == []


@pytest.mark.shared
@pytest.mark.parametrize("name", dump_params(WHOLE))
def test_a_dump_equals_its_source(name: str, shared_dumps: Callable[[str], Path], tmp_path: Path) -> None:
    report = ingest(shared_dumps(name), tmp_path)
    assert report.rejected == ()
    assert [report.rows[table] for table in TABLES] == WHOLE[name]
    assert_equal_to_source([shared_dumps(name)], tmp_path)


@pytest.mark.slow
@pytest.mark.shared
def test_what_helm_made_equals_its_source(shared_dumps: Callable[[str], Path], tmp_path: Path) -> None:
    suites = suites_of(shared_dumps("helm_made"), MADE)
    report = ingest(suites, tmp_path)
    ingested = {place.path for place in cached_places(suites, tmp_path)}
    refused = [run for run in complete_runs(suites) if run.resolve() not in ingested]
    assert [run for run in refused if strict(run)] == []
    assert {rejected.run.rpartition("/")[2] for rejected in report.rejected} >= {run.name for run in refused}
    assert report.runs == len(ingested)
    assert_equal_to_source(suites, tmp_path)


def strict(run: Path) -> bool:
    return all(is_strict_json(json.loads((run / file).read_bytes())) for file in RUN_FILES)


@pytest.mark.shared
@pytest.mark.parametrize("name", LENIENT)
def test_an_unusual_run_is_ingested_as_a_whole_or_named(
    name: str, shared_dumps: Callable[[str], Path], tmp_path: Path
) -> None:
    suites = suites_of(shared_dumps(name), LENIENT[name])
    report = ingest(suites, tmp_path)
    ingested = {place.path for place in cached_places(suites, tmp_path)}
    named = {rejected.run.rpartition("/")[2]: rejected for rejected in report.rejected}
    for run in complete_runs(suites):
        if run.resolve() not in ingested:
            assert named[run.name].file in RUN_FILES
            assert named[run.name].file in str(named[run.name])
    assert_equal_to_source(suites, tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "suite", "missing"),
    [
        ("classic_022", "v0.2.2", {"": {"scenario_state.json", "per_instance_stats.json"}}),
        (
            "helm_made",
            "failed",
            {
                "metrics=none,annotate=set": {"scenario_state.json", "stats.json", "per_instance_stats.json"},
                "metrics=numpy": {"per_instance_stats.json"},
            },
        ),
    ],
    ids=["classic_022", "failed"],
)
def test_an_incomplete_run_is_rejected_by_name(
    name: str, suite: str, missing: dict[str, set[str]], shared_dumps: Callable[[str], Path], tmp_path: Path
) -> None:
    report = ingest(shared_dumps(name) / "benchmark_output" / "runs" / suite, tmp_path)
    for part, files in missing.items():
        [rejected] = [rejected for rejected in report.rejected if part in rejected.run]
        assert rejected.file in files
        assert rejected.file in str(rejected)


@pytest.mark.shared
def test_an_empty_folder_is_no_run_and_worth_a_word(shared_dumps: Callable[[str], Path], tmp_path: Path) -> None:
    suite = shared_dumps("helm_made") / "benchmark_output" / "runs" / "failed"
    empty = [run.name for run in suite.iterdir() if run.name != "eval_cache" and not any(run.iterdir())]
    notes = ingest(suite, tmp_path).notes
    assert len(empty) == 2
    assert all(any(name in note for note in notes) for name in empty)


def backwards(value: Any) -> Any:
    """The same value, keys of its outer object the other way round."""
    return dict(reversed(value.items())) if isinstance(value, dict) else value


LAYOUTS: dict[str, Callable[[Any], str]] = {
    "on one line": json.dumps,
    "without blanks": lambda value: json.dumps(value, separators=(",", ":")),
    "with many blanks": lambda value: json.dumps(value, separators=(" \n, ", " \t:\r ")) + "\n \n",
    "indented by 1": lambda value: json.dumps(value, indent=1),
    "indented by 2": lambda value: json.dumps(value, indent=2),
    "indented by 3": lambda value: json.dumps(value, indent=3),
    "indented by a tab": lambda value: json.dumps(value, indent="\t"),
    "with two characters a line end": lambda value: json.dumps(value, indent=2).replace("\n", "\r\n"),
    "not ASCII": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    "keys sorted": lambda value: json.dumps(value, indent=2, sort_keys=True),
    "keys the other way round": lambda value: json.dumps(backwards(value), indent=2),
    "with a byte-order mark": lambda value: "\ufeff" + json.dumps(value, indent=2, ensure_ascii=False),
}


SLOW_LAYOUTS = {
    *("on one line", "without blanks", "indented by 2", "indented by 3", "indented by a tab"),
    *("keys sorted", "keys the other way round"),
}
"""HELM indents by 2, as the demo is; each of the others is read in the way of one that is not slow."""


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=[pytest.mark.slow] if how in SLOW_LAYOUTS else []) for how in LAYOUTS]
)
def test_the_layout_of_the_json_is_free(how: str, demo_outputs: Path, tmp_path: Path) -> None:
    for number, run in enumerate(sorted(demo_outputs.glob("runs/perturbed/*"))):
        target = tmp_path / "outputs" / "runs" / "s" / f"r{number}"
        target.mkdir(parents=True)
        for file in RUN_FILES:
            (target / file).write_bytes(LAYOUTS[how](json.loads((run / file).read_bytes())).encode())
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert (report.runs, report.rejected) == (5, ())
    assert_equal_to_source([tmp_path / "outputs"], tmp_path / "cache")


# Braces, quotes and backslashes that look like the ends of elements.
TRAPS = ["\n  },\n  {", '"}, {"', "\\", '\\"', "]", "é" * 1000, ""]


def big_run() -> Run:
    """A run with two files of more than a block, and more than a row group holds."""
    run = make_run("big", n_instances=0)
    for number in range(3_000):
        state = request_state(f"id{number}")
        state["request"]["prompt"] = TRAPS[number % 7] * (number % 5) + "x" * 5_000
        run["scenario_state"]["request_states"].append(state)
        entry = instance_stats(f"{number}{TRAPS[number % 7]}", number / 7)
        run["per_instance_stats"].append(entry | {"stats": entry["stats"] * 16})
    return run


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("without blanks", marks=pytest.mark.slow),
        pytest.param("indented by 1", marks=pytest.mark.slow),
        pytest.param("indented by 2", marks=pytest.mark.slow),
    ],
)
def test_files_larger_than_a_block_equal_their_source(how: str, tmp_path: Path) -> None:
    run = big_run()
    folder = write_run(tmp_path / "outputs", run)
    for table in ("scenario_state", "per_instance_stats"):
        (folder / f"{table}.json").write_text(LAYOUTS[how](run[table]), encoding="ascii")
        assert (folder / f"{table}.json").stat().st_size > 16 << 20
    report = ingest(tmp_path / "outputs", tmp_path / "cache")
    assert report.rejected == ()
    assert_equal_to_source([folder], tmp_path / "cache")


@pytest.mark.slow
def test_a_key_that_comes_late_in_a_long_run_is_a_column(tmp_path: Path) -> None:
    run = big_run()
    for number, state in enumerate(run["scenario_state"]["request_states"]):
        state["instance"]["extra_data"] = {"early": number} | ({"late": "x"} if number > 2_950 else {})
    folder = write_run(tmp_path / "outputs", run)
    assert ingest(tmp_path / "outputs", tmp_path / "cache").rejected == ()
    assert_equal_to_source([folder], tmp_path / "cache")


@pytest.mark.parametrize("counts", [(2, 0), (0, 2), (2, 0, 1), (0, 0)], ids=str)
def test_a_run_without_instances_takes_nothing_from_the_others(counts: tuple[int, ...], tmp_path: Path) -> None:
    for number, count in enumerate(counts):
        write_run(tmp_path / "outputs", make_run(f"r{number}", n_instances=count))
    ingest(tmp_path / "outputs", tmp_path / "cache")
    assert_equal_to_source([tmp_path / "outputs"], tmp_path / "cache")


def test_a_frame_of_no_rows_has_no_difference(demo_cache: Path) -> None:
    assert read([], "stats", demo_cache).equals(pl.DataFrame(schema={"run_spec.name": pl.String}))
