"""The report of an evaluation that is made up, so that each value can be worked out by hand."""

import dataclasses
import html
import re
import sys
from collections import Counter
from itertools import product
from typing import Any

import polars as pl
import pytest
from evaluation_predictors import Mean, Sample

from magnet_arrow import evaluate
from magnet_arrow.errors import MissingPackageError, SettingError
from magnet_arrow.evaluation import BASELINES, SampleMean
from magnet_arrow.evaluation.harness.folds import FOLDS, TARGETS
from magnet_arrow.evaluation.harness.prediction_frame import PREDICTIONS
from magnet_arrow.evaluation.record import Evaluation
from magnet_arrow.evaluation.report import findings, level_sections, repeating
from magnet_arrow.evaluation.report import page as page_module
from magnet_arrow.evaluation.report.findings import Findings
from magnet_arrow.pages import Report
from magnet_arrow.predictions.levels import LEVELS

EVIL = "<script>alert(1)</script>"
BASE = {"ours": 0.008, "sample mean": 0.016, EVIL: 0.02}
"""The error of a predictor is base ÷ budget · (model + 1) · (scenario + 1) · (draw + 1), above for even models."""


def planted(**changes: Any) -> Evaluation:
    """Six models, two scenarios, two draws, two budgets; the third predictor did not answer one value."""
    rows = [row(*cell) for cell in product(BASE, (2, 4), range(2), range(6), range(2))]
    predictions = pl.DataFrame(rows, schema=PREDICTIONS).with_columns(**changes)
    lost_cell = {"predictor": EVIL, "budget": 4, "model": "m0", "scenario": "s0", "draw": 0}
    is_lost = pl.all_horizontal(pl.col(name) == value for name, value in lost_cell.items())
    lost = {"predicted": pl.when(~is_lost).then("predicted"), "error": pl.when(is_lost).then(pl.lit("ValueError: no"))}
    return Evaluation(predictions.with_columns(**lost), provenance())


def row(predictor: str, budget: int, draw: int, model: int, scenario: int) -> dict[str, Any]:
    error = BASE[predictor] / budget * (model + 1) * (scenario + 1) * (draw + 1)
    actual = (3 + model - scenario) / 10
    return {
        "predictor": predictor,
        "level": "outcomes",
        "target": "model",
        "fold": model,
        "draw": draw,
        "budget": budget,
        "model": f"m{model}",
        "scenario": f"s{scenario}",
        "item": None,
        "run": None,
        "organisation": "ant" if model < 3 else "bee",
        "family": None,
        "n_items": 10,
        "noise_variance": 0.01,
        "predicted": actual + error * (1 - 2 * (model % 2)),
        "actual": actual,
        "train_mean": 0.5,
        "train_median": 0.5,
        "stddev": 0.05 if predictor == "ours" else None,
        "error": None,
    }


def provenance() -> dict[str, Any]:
    own = {"class": "mine:Ours", "level": "outcomes"}
    baseline = f"{SampleMean.__module__}:{SampleMean.__qualname__}"
    return {
        "versions": {"python": "3.11.7", "magnet-arrow": "0.1.0"},
        "arguments": {
            "target": "model",
            "folds": "model",
            "budgets": [2, 4],
            "draws": 2,
            "seed": 0,
            "timeout": None,
        },
        "predictors": [
            {"name": "ours", **own},
            {"name": "sample mean", "class": baseline, "level": "outcomes"},
            {"name": EVIL, **own},
        ],
        "data": {"digest": "00ff", "models": 6, "items": 20, "scenarios": ["s0", "s1"]},
        "folds": [{"fold": fold, "name": f"m{fold}", "models": [f"m{fold}"]} for fold in range(6)],
    }


@pytest.fixture(scope="module")
def found() -> Findings:
    (one,) = findings.findings_of(planted(), None, None)
    return one


@pytest.fixture(scope="module")
def page() -> str:
    return planted().report(source="scores.csv").html


def tables(page: str) -> dict[str, list[list[str]]]:
    """The rows of each table, the head first, by the beginning of its caption."""
    found = {}
    for caption, body in re.findall(
        r"<table><caption[^>]*>(.*?)</caption>(.*?)</table>", page.replace("<wbr>", ""), re.DOTALL
    ):
        rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
        cells = [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]
        found[html.unescape(caption).partition(".")[0]] = cells
    return found


def marks(page: str) -> dict[str, Counter[str]]:
    """The marks of each chart by their kind; charts by their title."""
    found = {}
    for chart in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        title = re.findall(r"<title[^>]*>(.*?)</title>", chart)[0]
        groups = re.findall(r'<g class="mark-(\w+) role-mark[^>]*>(.*?)</g>', chart, re.DOTALL)
        found[title] = Counter({kind: 0 for kind, _ in groups})
        for kind, inside in groups:
            found[title][kind] += len(re.findall(r"<(?:path|line|text)\b", inside))
    return found


def test_the_best_comes_first_and_own_predictors_are_known(found: Findings) -> None:
    assert (found.names, found.own, found.budget) == (["ours", "sample mean", EVIL], ("ours", EVIL), 4)


def test_the_best_predictor_is_drawn_and_then_those_of_the_user(
    found: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MAX_SHOWN", 2)
    assert found.shown == ["ours", EVIL]
    assert dataclasses.replace(found, own=(EVIL,)).shown == ["ours", EVIL]
    assert dataclasses.replace(found, own=()).shown == ["ours", "sample mean"]


def test_every_target_level_and_kind_of_fold_has_its_words() -> None:
    assert set(level_sections.POINTS) == set(page_module.TARGETS) == set(TARGETS)
    assert set(page_module.FOLDS) == {*FOLDS, None}
    assert set(page_module.LEVELS) == set(LEVELS)


def test_errors_by_budget(found: Findings) -> None:
    errors = findings.errors_by_budget(found).filter(pl.col("predictor") != EVIL)
    # the means of (model + 1), (scenario + 1) and (draw + 1) are 3.5, 1.5 and 1.5
    expected = [BASE[name] / budget * 3.5 * 1.5 * 1.5 for budget in (2, 4) for name in ("ours", "sample mean")]
    assert errors["mae"].to_list() == pytest.approx(expected)
    assert (errors["mae_low"] < errors["mae"]).all()


def test_a_value_without_an_answer_counts_with_the_train_mean(found: Findings) -> None:
    mae = findings.errors_by_budget(found).filter(predictor=EVIL, budget=4)["mae"].item()
    answered = 0.02 / 4 * 3.5 * 1.5 * 1.5 * 24
    assert mae == pytest.approx((answered - 0.02 / 4 + abs(0.5 - 0.3)) / 24)


def test_references_are_the_best_constant_and_the_noise_floor(found: Findings) -> None:
    references = findings.references_by_budget(found)
    off = [abs(0.5 - (3 + model - scenario) / 10) for model in range(6) for scenario in range(2)]
    assert references["constant"].to_list() == pytest.approx([sum(off) / 12] * 2)
    assert references["noise_floor"].to_list() == pytest.approx([0.1 * (2 / 3.141592653589793) ** 0.5] * 2)


def test_largest_errors_are_means_over_the_draws(found: Findings) -> None:
    worst = findings.worst(found, "ours", 2)
    assert worst.select("model", "scenario", "draws").rows() == [("m5", "s1", 2), ("m4", "s1", 2)]
    assert worst["error"].to_list() == pytest.approx([0.008 / 4 * 6 * 2 * 1.5, 0.008 / 4 * 5 * 2 * 1.5])
    assert worst["predicted"][0] == pytest.approx(0.7 - 0.036)


def test_errors_by_scenario_and_organisation(found: Findings) -> None:
    by_scenario = findings.errors_by(found, "scenario")
    assert by_scenario.select("scenario", "models", "n").rows() == [("s1", 6, 24 // 2), ("s0", 6, 12)]
    assert by_scenario["mae 0"].to_list() == pytest.approx([0.002 * 3.5 * 2 * 1.5, 0.002 * 3.5 * 1.5])
    by_organisation = findings.errors_by(found, "organisation")
    assert by_organisation["organisation"].to_list() == ["bee", "ant"]
    assert by_organisation["mae 0"].to_list() == pytest.approx([0.002 * 5 * 1.5 * 1.5, 0.002 * 2 * 1.5 * 1.5])
    # model 0, 2 and 4 are predicted too high, the others too low
    assert by_organisation["bias"].to_list() == pytest.approx([0.0045 * (-4 + 5 - 6) / 3, 0.0045 * (1 - 2 + 3) / 3])
    assert findings.errors_by(found, "family").is_empty()


def test_coverage_is_of_those_that_say_how_sure_they_are(found: Findings) -> None:
    covered = findings.coverage(found)
    assert covered["predictor"].unique().to_list() == ["ours"]
    # 0.6745 · 0.05 = 0.0337; larger are 0.002 · 5 · 2 · 2 and 0.002 · 6 · 2 · 2
    assert covered.select("nominal", "actual").rows() == [(0.5, 22 / 24), (0.8, 1.0), (0.9, 1.0), (0.95, 1.0)]


def test_points_are_of_the_first_draw_and_not_too_many(found: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (findings.n_points(found), findings.points(found).height) == ((24, 12), 12 + 12 + 11)
    monkeypatch.setattr(findings, "MAX_POINTS", 3)
    few = findings.points(found).filter(predictor="ours")
    assert few["actual"].to_list() == [0.2, 0.5, 0.8]  # the first, the middle and the last of twelve


def test_failures_are_counted(found: Findings) -> None:
    assert findings.failures(planted(), found).rows() == [(EVIL, "ValueError: no", 1, 1)]


def test_outcomes_are_binned() -> None:
    one = {"n_items": pl.lit(1, pl.Int64), "actual": (pl.col("fold") % 2).cast(pl.Float64)}
    (found,) = findings.findings_of(planted(**one), None, ["model"])
    assert findings.is_binary(found)
    bins = findings.reliability(found).filter(predictor="ours")
    at = found.at_budget.filter(predictor="ours").sort("predicted", maintain_order=True)
    assert bins["n"].to_list() == [3, 2, 3, 2, 2, 3, 2, 3, 2, 2]
    assert bins["predicted"][0] == pytest.approx(sum(at["predicted"][:3]) / 3)
    assert bins["actual"].to_list()[0] == pytest.approx(sum(at["actual"][:3]) / 3)
    text = planted(**one).report(over=["model"]).html
    assert "Outcomes are 0 or 1" in text
    assert tables(text)["Predicted outcomes as probabilities"][0][1:3] == ["answered", "Brier score"]


def test_charts_have_a_mark_for_each_value(page: str) -> None:
    found = marks(page)
    by_budget = found["Lines of the error of 3 predictors at 2 budgets."]
    assert by_budget == {"area": 3, "line": 3 + 2, "symbol": 6, "text": 2}  # with two lines of reference
    assert found["How far 2 predictors are behind ours."] == {"rule": 1 + 2, "symbol": 3}
    assert found["Actual against predicted scores of 3 predictors."] == {"line": 3, "symbol": 35}
    assert found["Coverage of intervals at 4 levels."] == {"line": 2, "symbol": 4}
    assert found["Errors of 3 predictors in 2 scenarios."] == {"symbol": 6}
    assert found["Errors of 3 predictors in 2 organisations."] == {"symbol": 6}


def test_tables_show_the_values(page: str) -> None:
    found = tables(page)
    assert found["Mean absolute error by items asked"][:2] == [["predictor", "2", "4"], ["> ours", "0.0315", "0.0158"]]
    assert [row[0] for row in found["Mean absolute error by items asked"][2:]] == [
        *("sample mean", f"> {EVIL}", "best constant", "noise floor")
    ]
    assert found["With 4 items asked"][1][:5] == ["> ours", "1", "1", "0.0158", "89.5%"]  # 1 − 0.01575 ÷ 0.15
    assert len(found["Mean absolute error, with intervals of 95%"]) == 1 + 6
    assert found["What ours was most wrong about, with 4 items asked; predicted and error are means over the draws"][
        :2
    ] == [
        ["model", "scenario", "predicted", "actual", "error", "draws"],
        ["m5", "s1", "0.6640", "0.7000", "0.0360", "2"],
    ]
    assert found["1 value had no answer"][1] == [EVIL, "ValueError: no", "1", "1"]
    assert [row[0] for row in found["What was held out together"]] == ["fold", *(f"m{fold}" for fold in range(6))]


def test_names_are_shown_as_text_and_nothing_is_loaded(page: str) -> None:
    assert "<script" not in page
    assert html.escape(EVIL) in page
    assert "The family of the models is not known." in page
    assert not re.findall(r'(?:src|href)="(?!#)', page)


def test_the_same_evaluation_has_the_same_report(page: str) -> None:
    report = planted().report(source="scores.csv")
    assert isinstance(report, Report)
    assert report.html == page


def test_nothing_answered_is_said() -> None:
    nothing = planted(predicted=pl.lit(None, pl.Float64), stddev=pl.lit(None, pl.Float64))
    text = nothing.report().html
    assert "No value was answered." in text
    assert "ours answered nothing, or was right about everything." in text


def test_a_level_that_no_predictor_has_is_refused() -> None:
    with pytest.raises(SettingError, match="expected level outcomes, found 'outputs'"):
        planted().report(level="outputs")


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'magnet-arrow\[report\]'"):
        planted().report()


SCORES = pl.DataFrame(
    [(f"m{model}", str(item), (model * item) % 3 == 0) for model in range(4) for item in range(6)],
    schema=["model", "item", "score"],
    orient="row",
)


def test_the_lines_of_python_repeat_the_evaluation() -> None:
    found = evaluate([Mean, SampleMean, Sample], SCORES, folds="model", budgets=[0, 2], draws=3, seed=4)
    lines = repeating.python_lines(found, None)
    names: dict[str, Any] = {"data": SCORES}
    exec(lines.replace("magnet.evaluate(", "again = magnet.evaluate("), names)  # lines of our own, as a reader would
    order = ["predictor", *found.predictions.columns[3:8]]
    assert names["again"].predictions.sort(order).equals(found.predictions.sort(order))


def test_the_line_of_the_shell_names_classes_and_options() -> None:
    found = evaluate([Mean, SampleMean], SCORES, folds="model", budgets=[0, "all"], draws=3, seed=4, timeout=9)
    assert repeating.shell_line(found, "my scores.csv") == (
        "magnet-arrow evaluate evaluation_predictors:Mean magnet_arrow.evaluation.predictors.baselines:SampleMean "
        "'my scores.csv' --target model --folds model --budgets 0,all --draws 3 --seed 4 --timeout 9 --no-baselines"
    )


def test_all_baselines_need_no_names_and_a_class_of_main_has_no_line() -> None:
    classes = [f"{kind.__module__}:{kind.__qualname__}" for kind in BASELINES]
    all_of_them = planted()
    all_of_them.provenance["predictors"] = [{"name": name, "class": name, "level": "outcomes"} for name in classes]
    line = repeating.shell_line(all_of_them, None)
    # the organisations are not those that the package knows
    assert line == (
        "magnet-arrow evaluate SOURCE --target model --folds model --budgets 2,4 --draws 2 --seed 0 "
        "--families families.csv"
    )
    assert "[*evaluation.BASELINES]" in repeating.python_lines(all_of_them, None)
    all_of_them.provenance["predictors"][0]["class"] = "__main__:Mine"
    assert repeating.shell_line(all_of_them, None) is None
