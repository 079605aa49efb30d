"""Rankings by hand, with SciPy and statsmodels beside them."""

import itertools
import random
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from magnet_arrow import Panel
from magnet_arrow.errors import ColumnNotFoundError, PanelError, SettingError
from magnet_arrow.evaluation.ranking import _groups, pairwise_comparisons, rank
from magnet_arrow.evaluation.win_rates import win_rates
from magnet_arrow.examples.helm_lite import helm_lite, matrix
from magnet_arrow.predictions.panel import METRICS


def table(scores: dict[str, list[float | None]]) -> pl.DataFrame:
    cells = [(name, f"q{n}", score) for name, row in scores.items() for n, score in enumerate(row) if score != "absent"]
    return pl.DataFrame(cells, schema={"model": pl.String, "item": pl.String, "score": pl.Float64}, orient="row")


def bits(text: str) -> list[float | None]:
    return [{"1": 1.0, "0": 0.0, "-": None}[bit] for bit in text]


def differing(n: int, *pairs: tuple[int, int]) -> np.ndarray:
    found = np.zeros((n, n), dtype=bool)
    for first, second in pairs:
        found[first, second] = found[second, first] = True
    return found


@pytest.mark.parametrize(
    ("n", "pairs", "groups"),
    [
        (4, [], [1, 1, 1, 1]),
        (4, [(0, 2), (0, 3)], [1, 1, 2, 2]),
        # 2 differs from 1, but not from the group's first: it stays. 3 begins a group, though 4 is tied with 0.
        (5, [(1, 2), (0, 3)], [1, 1, 1, 2, 2]),
        # 1 and 2 are tied across the border of groups.
        (3, [(0, 2)], [1, 1, 2]),
        (3, [(0, 1), (1, 2), (0, 2)], [1, 2, 3]),
        (1, [], [1]),
    ],
)
def test_a_group_ends_at_the_first_that_differs_from_its_first(
    n: int, pairs: list[tuple[int, int]], groups: list[int]
) -> None:
    assert _groups(differing(n, *pairs)) == groups


def test_a_ranking_by_hand() -> None:
    """Of 40 questions a has all, b all but one, c the first 20 right, and d none.

    a − b differs on one question: tied. All others differ on 19 questions or more, with |t| > 5 or no spread at all.
    """
    found = rank(
        table({"d": bits("0" * 40), "c": bits("1" * 20 + "0" * 20), "b": bits("1" * 39 + "0"), "a": bits("1" * 40)})
    )
    assert found.select("rank", "model", "score", "n", "rank_low", "rank_high", "group", "why").rows() == [
        (1, "a", 1.0, 40, 1, 2, 1, None),
        (2, "b", 0.975, 40, 1, 2, 1, None),
        (3, "c", 0.5, 40, 3, 3, 2, None),
        (4, "d", 0.0, 40, 4, 4, 3, None),
    ]


def test_intervals_of_proportions_are_wilsons_with_effective_n() -> None:
    found = rank(table({"a": bits("1" * 30 + "0" * 10), "b": bits("1" * 40)}))
    # V = p(1−p)/(n−1), so that the effective n is (n−1)(z/t)²; at p = 1 it is the number of questions.
    n = 39 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 39)) ** 2
    expected = proportion_confint(0.75 * n, n, method="wilson")
    assert found.filter(model="a").select("low", "high").row(0) == pytest.approx(expected, abs=1e-12)
    assert found.filter(model="b").select("low", "high").row(0) == pytest.approx(
        proportion_confint(40, 40, method="wilson"), abs=1e-12
    )


def test_intervals_of_other_scores_are_those_of_t() -> None:
    scores = [0.2, 0.5, 0.3, 0.9, 0.4, 0.7]
    found = rank(table({"a": scores, "b": [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]}), level=0.9)
    for name, values in {"a": scores, "b": [1.0, 0.0, 1.0, 1.0, 1.0, 1.0]}.items():
        expected = stats.t.interval(0.9, 5, np.mean(values), stats.sem(values))
        assert found.filter(model=name).select("low", "high").row(0) == pytest.approx(expected, abs=1e-12)


def test_pairs_are_paired_t_tests_with_holms_correction() -> None:
    values = np.random.default_rng(18).normal(size=(4, 12)) + np.arange(4)[:, None] / 2
    names = ["a", "b", "c", "d"]
    pairs = pairwise_comparisons(table(dict(zip(names, values.tolist(), strict=True))))
    order = sorted(names, key=lambda name: -values[names.index(name)].mean())
    expected = []
    for first, second in itertools.combinations(order, 2):
        test = stats.ttest_rel(values[names.index(first)], values[names.index(second)])
        expected.append((first, second, *test.confidence_interval(), test.pvalue))
    assert pairs.select("first", "second").rows() == [row[:2] for row in expected]
    assert pairs["n"].to_list() == [12] * 6
    found = pairs.select("low", "high", "p_value").to_numpy()
    np.testing.assert_allclose(found, np.array([row[2:] for row in expected]), atol=1e-12)
    np.testing.assert_allclose(pairs["p_holm"], multipletests(pairs["p_value"], method="holm")[1], atol=1e-12)
    factor = stats.t.ppf(0.975, 11) + stats.t.ppf(0.8, 11)
    np.testing.assert_allclose(pairs["minimum_detectable"], factor * pairs["stderr"], rtol=1e-12)


def test_ranks_and_groups_follow_from_the_pairs() -> None:
    ranking, pairs = rank(helm_lite("math")), pairwise_comparisons(helm_lite("math"))
    better: dict[str, int] = dict.fromkeys(ranking["model"], 0)
    worse = better.copy()
    separated = set()
    for first, second, difference, p in pairs.select("first", "second", "difference", "p_holm").iter_rows():
        if p is not None and p <= 0.05:
            assert difference > 0
            better[second] += 1
            worse[first] += 1
            separated.add((first, second))
    groups, head = [], None
    for name in ranking["model"]:
        if head is None or (head, name) in separated:
            head = name
            groups.append(len(set(groups)) + 1)
        else:
            groups.append(groups[-1])
    assert ranking["rank_low"].to_list() == [1 + better[name] for name in ranking["model"]]
    assert ranking["rank_high"].to_list() == [83 - worse[name] for name in ranking["model"]]
    assert ranking["group"].to_list() == groups


@pytest.mark.parametrize(("scenario", "separable"), [("mmlu", 0), ("math", 0), ("gsm", 3)])
def test_neighbours_that_can_be_told_apart(scenario: str, separable: int) -> None:
    """As ../shared/BASELINES.md has measured with other code."""
    ranking = rank(helm_lite(scenario))
    pairs = pairwise_comparisons(helm_lite(scenario)).filter(pl.col("p_holm") <= 0.05)
    neighbours = set(itertools.pairwise(ranking["model"]))
    assert len(neighbours & set(pairs.select("first", "second").rows())) == separable


def test_equal_scores_are_ordered_by_name_and_share_a_rank() -> None:
    found = rank(table({"c": [0.1, 0.2, 0.3], "a": [0.3, 0.1, 0.2], "b": [0.3, 0.2, 0.1], "d": [0.0, 0.0, 0.0]}))
    assert found.select("rank", "model").rows() == [(1, "a"), (1, "b"), (1, "c"), (4, "d")]


def test_the_order_of_rows_does_not_matter() -> None:
    scores, models = matrix("math")
    noise = np.random.default_rng(0).uniform(size=scores.shape)
    rows = list(table({name: row.tolist() for name, row in zip(models, scores + noise, strict=True)}).iter_rows())
    shuffled = random.Random(18).sample(rows, len(rows))
    frames = [pl.DataFrame(some, schema=["model", "item", "score"], orient="row") for some in (rows, shuffled)]
    assert rank(frames[0]).equals(rank(frames[1]))
    assert pairwise_comparisons(frames[0]).equals(pairwise_comparisons(frames[1]))


def test_lower_is_better_turns_the_ranking_around() -> None:
    scores = table({"a": bits("1" * 40), "b": bits("1" * 38 + "00"), "c": bits("0" * 40)})
    assert rank(scores, lower_is_better=True).select("rank", "model", "rank_low", "rank_high", "group").rows() == [
        (1, "c", 1, 1, 1),
        (2, "b", 2, 3, 2),
        (3, "a", 2, 3, 2),
    ]
    assert pairwise_comparisons(scores, lower_is_better=True).select("first", "second", "difference").rows() == [
        ("c", "b", -0.95),
        ("c", "a", -1.0),
        ("b", "a", -0.05),
    ]


def test_missing_scores() -> None:
    """The mean of b is over its 4 questions; compared are a and b on those 4, a and c on 8; d has no score."""
    scores = table({"a": bits("11110000"), "b": bits("1111----"), "c": bits("00001111"), "d": bits("--------")})
    found = rank(scores)
    assert found.select("rank", "model", "score", "n", "rank_low", "rank_high", "group", "why").rows() == [
        (1, "b", 1.0, 4, 1, 3, 1, "4 items, fewer than 5"),
        (2, "a", 0.5, 8, 1, 3, 1, None),
        (2, "c", 0.5, 8, 1, 3, 1, None),
        (None, "d", None, 0, None, None, None, "no score"),
    ]
    pairs = pairwise_comparisons(scores).select("first", "second", "n", "difference", "p_value", "why").rows()
    assert pairs[:2] == [
        ("b", "a", 4, 0.0, None, "they differ on fewer than 5 items"),
        ("b", "c", 4, 1.0, None, "they differ on fewer than 5 items"),
    ]
    assert pairs[2][:4] == ("a", "c", 8, 0.0)
    assert pairs[2][4:] == (pytest.approx(1.0), None)


def test_a_cell_that_has_no_row_is_missing() -> None:
    scores = table({"a": bits("11110000"), "b": bits("1111----")})
    assert rank(scores).equals(rank(scores.drop_nulls()))


def test_models_without_a_common_item() -> None:
    scores = table({"a": bits("11110-----"), "b": bits("-----11100")})
    found = pairwise_comparisons(scores).select("n", "difference", "p_holm", "why").row(0)
    assert found == (0, None, None, "they differ on fewer than 5 items")
    assert rank(scores)["group"].to_list() == [1, 1]


def test_one_model() -> None:
    scores = table({"a": bits("110110")})
    assert rank(scores).select("rank", "rank_low", "rank_high", "group", "why").rows() == [(1, 1, 1, 1, None)]
    assert pairwise_comparisons(scores).height == 0


def test_two_items_have_no_interval() -> None:
    found = rank(table({"a": bits("11"), "b": bits("00")}))
    assert found.select("model", "low", "rank_low", "rank_high", "group", "why").rows() == [
        ("a", None, 1, 2, 1, "2 items, fewer than 5"),
        ("b", None, 1, 2, 1, "2 items, fewer than 5"),
    ]


def test_equal_differences_are_judged_by_the_sign_test() -> None:
    """On each of n scenarios a is 0.3 better. That is two-sided 2 ÷ 2ⁿ, though t without spread would say 0."""
    first = [0.1, 0.2, 0.4, 0.3, 0.5]
    scores = table({"b": first, "a": [score + 0.3 for score in first]})
    assert pairwise_comparisons(scores).select("p_value", "p_holm").row(0) == (0.0625, 0.0625)
    assert rank(scores)["group"].to_list() == [1, 1]


def test_scores_that_are_all_equal_have_no_interval() -> None:
    found = rank(table({"a": [0.5] * 6, "b": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}))
    assert found.filter(model="a").select("low", "high", "why").row(0) == (None, None, "all its scores are equal")


def test_win_rates_can_be_ranked() -> None:
    """Mean win rates of three models on five scenarios, by hand: a wins 2 of 2 on four and 0 of 2 on one."""
    scores = table({"a": [5, 5, 5, 5, 0], "b": [4, 4, 4, 4, 4], "c": [4, 3, 3, 3, 3]})
    found = rank(win_rates(scores))
    assert found.select("model", "score").rows() == [
        ("a", pytest.approx((1 + 1 + 1 + 1 + 0) / 5)),
        ("b", pytest.approx((0.25 + 0.5 + 0.5 + 0.5 + 1) / 5)),
        ("c", pytest.approx((0.25 + 0 + 0 + 0 + 0.5) / 5)),
    ]


def test_runs_are_ranked_on_their_questions(demo_outputs) -> None:
    found = rank(demo_outputs / "runs" / "my-suite")
    assert found.select("model", pl.col("score").round(3), "n").rows() == [
        ("made/owl-7b", 0.857, 14),
        ("made/finch-1b", 0.429, 14),
    ]


def test_metrics_say_which_direction_is_better() -> None:
    scores = table({"a": bits("111110"), "b": bits("000001")})
    metrics = {"exact_match": "a", "inference_runtime": "b", "no_such_metric": "a"}
    panels = {
        name: replace(
            Panel.from_frame(scores, model="model", item="item", score="score"),
            metrics=pl.DataFrame({"metric": [name], "split": ["test"], "runs": [2]}, schema=METRICS),
        )
        for name in metrics
    }
    assert {name: rank(panel).item(0, "model") for name, panel in panels.items()} == metrics
    assert rank(panels["inference_runtime"], lower_is_better=False).item(0, "model") == "a"
    both = pl.concat([panels["exact_match"].metrics, panels["inference_runtime"].metrics])
    with pytest.raises(PanelError, match="lower is better for inference_runtime, not for exact_match"):
        rank(replace(panels["exact_match"], metrics=both))


def test_other_column_names() -> None:
    scores = table({"a": bits("111110"), "b": bits("000001")})
    renamed = scores.rename({"model": "llm", "item": "scenario", "score": "em"})
    assert rank(renamed, model="llm", item="scenario", score="em").equals(rank(scores))
    with pytest.raises(ColumnNotFoundError, match="no column 'model'"):
        rank(renamed)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_are_ranked(suffix: str, tmp_path) -> None:
    scores = table({"01": bits("111110"), "1": bits("000001")})
    getattr(scores, f"write_{suffix}")(tmp_path / f"scores.{suffix}")
    assert rank(tmp_path / f"scores.{suffix}").equals(rank(scores))
    assert pairwise_comparisons(str(tmp_path / f"scores.{suffix}")).equals(pairwise_comparisons(scores))


@pytest.mark.parametrize("function", [rank, pairwise_comparisons])
def test_what_cannot_be_ranked_is_named(function) -> None:
    with pytest.raises(PanelError, match="found NaN for model 'a', item 'q1'"):
        function(table({"a": [1.0, float("nan")]}))
    with pytest.raises(PanelError, match="found inf for model 'b', item 'q0'"):
        function(table({"a": [1.0, 0.0], "b": [float("inf"), 1.0]}))
    with pytest.raises(PanelError, match="found 2 rows for model 'a', item 'q0'"):
        function(pl.concat([table({"a": [1.0]})] * 2))
    with pytest.raises(PanelError, match="No model has a score"):
        function(table({"a": [None]}))
    with pytest.raises(SettingError, match="level=95 is no confidence level"):
        function(table({"a": [1.0], "b": [0.0]}), level=95)
    with pytest.raises(SettingError, match="expected a bool or None, found 'no'"):
        function(table({"a": [1.0], "b": [0.0]}), lower_is_better="no")
