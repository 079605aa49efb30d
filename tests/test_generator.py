"""The dumps that the benchmarks and tests make are what HELM would write, as far as anyone here can tell."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from figures import REAL, elements, measure
from generate import generate, size_of
from hypothesis import given
from makedump import helm_layout
from strategies import json_values

from magnet_arrow import Cache, ingest

TABLES = ("run_spec", "scenario_state", "stats", "per_instance_stats")


def files(folder: Path, name: str = "*.json") -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob(name))}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    generate(folder, runs=6, instances=4, long_bytes=50_000, seed=7)
    return folder


def test_it_is_laid_out_as_helm_does(made: Path) -> None:
    texts = files(made)
    assert len(texts) == 7 * 4
    assert all(text == json.dumps(json.loads(text), indent=2) for text in texts.values())


def test_equal_seeds_give_equal_bytes(made: Path, tmp_path: Path) -> None:
    generate(tmp_path / "same", runs=6, instances=4, long_bytes=50_000, seed=7)
    generate(tmp_path / "other", runs=6, instances=4, long_bytes=50_000, seed=8)
    assert files(tmp_path / "same") == files(made)
    states, others = (set(files(path, "scenario_state.json").values()) for path in (made, tmp_path / "other"))
    assert not states & others


def test_one_line_holds_the_same_but_for_the_size_of_the_long_run(made: Path, tmp_path: Path) -> None:
    generate(tmp_path, runs=6, instances=4, long_bytes=50_000, seed=7, one_line=True)
    texts = files(tmp_path)
    assert not any("\n" in text for text in texts.values())
    for name, text in files(made).items():
        if "passages" not in name:
            assert json.loads(texts[name]) == json.loads(text)


def test_our_structs_hold_all_of_it(made: Path, tmp_path: Path) -> None:
    report = ingest(made, tmp_path / "cache", strict=True)
    assert (report.runs, report.rejected, report.unexpected, report.partial) == (7, (), {}, 0)
    for table in TABLES:
        rows = Cache(tmp_path / "cache").scan(table)
        assert rows.select(pl.len()).collect().item() == report.rows[table] > 0
        assert rows.select(pl.col("magnet.extra").is_null().all()).collect().item()


def test_a_long_run_is_as_long_as_was_asked_for(made: Path) -> None:
    (path,) = made.rglob("*passages*/scenario_state.json")
    assert 50_000 <= path.stat().st_size < 60_000
    states = [state for state, _ in elements(path, '"request_states"')]
    entries = json.loads((path.parent / "per_instance_stats.json").read_text())
    assert [state["instance"]["id"] for state in states] == [entry["instance_id"] for entry in entries]


def test_models_are_asked_the_same_and_answer_for_themselves(tmp_path: Path) -> None:
    outputs = generate(tmp_path, runs=5, instances=8)
    runs = [json.loads(path.read_text()) for path in sorted(outputs.rglob("scenario_state.json"))]
    asked = [[state["instance"] for state in run["request_states"]] for run in runs]
    said = [[state["result"] for state in run["request_states"]] for run in runs]
    assert all(one == asked[0] for one in asked)
    assert all(one != said[0] for one in said[1:])


@pytest.mark.slow
def test_it_recurs_about_as_often_as_real_dumps_do(tmp_path: Path) -> None:
    ours, real = measure(generate(tmp_path, runs=50)), REAL["mmlu"]
    assert ours.distinct_instances == 1 / 5
    assert ours.stats_an_entry == real.stats_an_entry
    assert real.distinct_instance_stats < ours.distinct_instance_stats < REAL["classic"].distinct_instance_stats
    assert ours.bytes_a_state == pytest.approx(real.bytes_a_state, rel=0.1)
    assert ours.prompt_length == pytest.approx(real.prompt_length, rel=0.1)


@pytest.mark.parametrize(("text", "size"), [("4GB", 4 * 10**9), ("1.5 MB", 1_500_000), ("20k", 20_000), ("7", 7)])
def test_sizes_are_powers_of_ten(text: str, size: int) -> None:
    assert size_of(text) == size


@given(json_values(strict=False))
def test_the_quick_layout_of_small_runs_is_that_of_json(value: Any) -> None:
    assert helm_layout(value) == json.dumps(value, indent=2)
