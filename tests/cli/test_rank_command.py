import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command_line import Run
from rich.cells import cell_len

from magnet_arrow.evaluation.ranking import pairwise_comparisons, rank
from magnet_arrow.examples.helm_lite import helm_lite


def lines_of(*rows: str) -> str:
    return "\n".join(["model,scenario,item,score", *rows]) + "\n"


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Two models on 3 scenarios of 2 questions each; a has all right, b the first question of each."""
    file = tmp_path / "scores.csv"
    cells = [(model, scenario, item) for model in "ab" for scenario in ("x", "y", "z") for item in (1, 2)]
    rows = [f"{model},{scenario},{item},{int(model == 'a' or item == 1)}" for model, scenario, item in cells]
    file.write_text(lines_of(*rows))
    return file


def test_a_table_is_ranked(run: Run, scores: Path) -> None:
    code, out, err = run("rank", scores)
    assert code == 2  # question 1 is in three scenarios
    assert "found 3 rows for model 'a', item '1'" in err
    code, out, err = run("rank", scores, "--by", "scenario,item")
    assert (code, out.splitlines()) == (
        0,
        [
            "rank  model  score  95% interval   ranks  group  n",
            "   1  a      1.000  0.610 – 1.000  1 – 2      1  6",
            "   2  b      0.500  0.123 – 0.877  1 – 2      1  6",
        ],
    )
    assert err.splitlines() == [
        "Mean score over 6 items; these are seen as a draw from more.",
        "The ranks that a model may have hold for all models together (Holm, 95%).",
        "In a group no model differs significantly from the first one.",
    ]


def test_scores_of_a_scenario_are_means_over_its_items(run: Run, scores: Path) -> None:
    code, out, _ = run("rank", scores, "--by", "scenario", "--json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {
            "rank": place,
            "model": model,
            "score": score,
            "low": None,
            "high": None,
            "n": 3,
            "rank_low": 1,
            "rank_high": 2,
            "group": 1,
            "why": "3 items, fewer than 5",
        }
        for place, model, score in [(1, "a", 1.0), (2, "b", 0.5)]
    ]
    assert "No interval: 3 items, fewer than 5." in run("rank", scores, "--by", "scenario")[2]


def test_a_question_that_is_twice_in_a_scenario_is_named(run: Run, scores: Path) -> None:
    scores.write_text(scores.read_text() + "a,x,1,0\n")
    code, _, err = run("rank", scores, "--by", "scenario")
    assert (code, "found 2 rows for model 'a', item 'x, 1'" in err) == (2, True)


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_files_of_panels(suffix: str, run: Run, tmp_path: Path) -> None:
    panel = helm_lite("math")
    getattr(panel, f"to_{suffix[1:]}")(tmp_path / f"panel{suffix}")
    code, out, _ = run("rank", tmp_path / f"panel{suffix}", "--csv")
    assert code == 0
    assert out == rank(panel).write_csv()


def test_the_table_fits_a_terminal(run: Run, tmp_path: Path, terminal: Callable[[int], None]) -> None:
    helm_lite("math").to_csv(tmp_path / "math.csv")
    for columns in (40, 80):
        terminal(columns)
        for options in ([], ["--pairs"]):
            _, out, err = run("rank", tmp_path / "math.csv", *options)
            assert max(map(cell_len, (out + err).splitlines())) <= columns
    assert out.count("\n") == 1 + 83 * 82 // 2
    assert "Left out" not in err


def test_pairs(run: Run, scores: Path) -> None:
    code, out, _ = run("rank", scores, "--by", "scenario,item", "--pairs", "--csv")
    table = pl.read_csv(scores).with_columns(item=pl.concat_str("scenario", "item"))
    assert (code, out) == (0, pairwise_comparisons(table).write_csv())
    assert run("rank", scores, "--by", "scenario,item", "--pairs")[1].splitlines() == [
        "first  second  difference  95% interval  p_holm  n",
        "1 a    2 b     0.500       –             –       6",
    ]


@pytest.mark.parametrize("options", [["--pairs"], []], ids=["pairs", "ranking"])
def test_parquet_has_the_rows_that_are_printed(options: list[str], run: Run, scores: Path, tmp_path: Path) -> None:
    given = ("--by", "scenario,item", *options, "--parquet", tmp_path / "found.parquet")
    code, out, _ = run("rank", scores, *given, "--json")
    assert (code, out.count("\n")) == (0, 1 if options else 2)
    assert pl.read_parquet(tmp_path / "found.parquet").rows(named=True) == [
        json.loads(line) for line in out.splitlines()
    ]


def test_win_rates(run: Run, scores: Path) -> None:
    _, out, _ = run("rank", scores, "--by", "scenario", "--win-rates", "--json")
    assert [json.loads(line)["score"] for line in out.splitlines()] == [1.0, 0.0]
    assert "Mean win rate over 3 items" in run("rank", scores, "--by", "scenario", "--win-rates")[2]


def test_direction_and_other_columns(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loss.csv").write_text("llm,task,loss\n01,x,0.5\n1,x,0.2\n")
    options = ("--model", "llm", "--by", "task", "--metric", "loss", "--json")
    _, out, _ = run("rank", tmp_path / "loss.csv", *options, "--lower-is-better")
    assert [json.loads(line)["model"] for line in out.splitlines()] == ["1", "01"]
    _, out, _ = run("rank", tmp_path / "loss.csv", *options, "--higher-is-better")
    assert [json.loads(line)["model"] for line in out.splitlines()] == ["01", "1"]


def test_runs_are_ranked_by_question_and_by_other_columns(run: Run, demo_outputs: Path) -> None:
    suite = demo_outputs / "runs" / "my-suite"
    code, out, err = run("rank", suite, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (code, [(row["model"], row["n"]) for row in rows]) == (0, [("made/owl-7b", 14), ("made/finch-1b", 14)])
    code, out, err = run("rank", suite, "--by", "args.subject")
    assert (code, "Mean score by exact_match over 2 items" in err) == (0, True)
    assert [line.split()[1] for line in out.splitlines()] == ["model", "made/owl-7b", "made/finch-1b"]


def test_wrong_use_is_named(run: Run, scores: Path, demo_outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    for options, message in [
        ([scores, "--csv", "--json"], "exclude each other"),
        ([scores, "--by", "scenarios"], "Did you mean 'scenario'?"),
        ([scores, "--metric", "scores"], "Did you mean 'score'?"),
        ([scores, "--by", ","], "--by"),
        ([scores, "--parquet", "no/such.parquet"], "there is no folder no"),
        ([tmp_path / "none.csv"], "There is no file"),
        ([tmp_path / "empty.csv"], "It holds no scores"),
        ([demo_outputs / "runs" / "my-suite", "--metric", "exact_mach"], "Did you mean 'exact_match'?"),
        ([demo_outputs / "runs" / "my-suite", "--by", "subject"], "args.subject"),
    ]:
        code, _, err = run("rank", *options)
        assert code in (2, 3), options
        assert message in err, (options, err)


def test_one_scenario_of_several_subjects_is_pointed_out(run: Run, demo_outputs: Path, cache: Path) -> None:
    source = demo_outputs / "runs" / "my-suite"
    hint = "All runs have one scenario. They differ in args.subject: try --by args.subject."
    assert hint in run("rank", source, "--by", "scenario", "--cache", cache).err.splitlines()
    assert "All runs" not in run("rank", source, "--by", "args.subject", "--cache", cache).err
