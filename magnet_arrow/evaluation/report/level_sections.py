"""The sections of a report that are about the predictors of one level."""

from collections.abc import Iterable, Iterator

import polars as pl

from magnet_arrow._text import counted
from magnet_arrow.evaluation.report import charts, findings
from magnet_arrow.evaluation.report.findings import BudgetOf, Findings
from magnet_arrow.pages import Block, Details, Figure, Paragraph, Section, Table
from magnet_arrow.pages.blocks import Format
from magnet_arrow.pages.charts import svg

POINTS = {
    "model": "the mean score of a model in a scenario",
    "extrapolation": "the mean score of a model in a scenario",
    "run": "the mean score of a run",
    "item": "the score of an answer",
}
_OF_PLURAL = {"scenario": "scenarios", "organisation": "organisations", "family": "families"}


def number(value: float) -> str:
    """An error or a score: four decimals, but of large numbers four digits.

    >>> number(0.12345), number(-1e-9), number(1234567.0)
    ('0.1235', '0.0000', '1.235e+06')
    """
    return f"{value:z.4f}" if abs(value) < 1000 else f"{value:.4g}"


def asked_text(budget: BudgetOf) -> str:
    """A budget in words."""
    return "all items asked" if budget is None else f"{counted(budget, 'item')} asked"


def level_sections(of: Findings, suffix: str) -> Iterator[Section]:
    """The sections in their order.

    Args:
        of: what is shown.
        suffix: follows each title, so that sections of several levels can be told apart.
    """
    yield Section(f"Error by items asked{suffix}", _by_budget(of))
    yield Section(f"Ranking{suffix}", _ranking(of))
    yield Section(f"Predicted and actual{suffix}", _predicted_and_actual(of))
    yield Section(f"How sure predictors are{suffix}", _sureness(of))
    yield Section(f"Error by scenario, organisation and family{suffix}", _by_groups(of))
    yield Section(f"Largest errors{suffix}", _worst(of))


def _by_budget(of: Findings) -> list[Block]:
    errors, references = findings.errors_by_budget(of), findings.references_by_budget(of)
    n_others = len(of.names) - len(of.shown)
    others = f" {counted(n_others, 'other predictor')}: grey, in the table below by name." if n_others else ""
    caption = (
        "Mean absolute error by the number of items that a held-out model was asked. Bands are intervals of 95%; with "
        "other models and items of the same kind the error would be in there. Dashed: the error of the best constant, "
        f"above which nothing is gained, and the noise floor, the error of perfect predictions.{others}"
    )
    alt = f"Lines of the error of {counted(len(of.shown), 'predictor')} at {counted(len(of.rankings), 'budget')}."
    return [
        Figure(svg(charts.by_budget(errors, references, of.shown)), alt, caption),
        *_no_interval(errors.get_column("why")),
        _budget_table(of, errors, references),
        Details("The intervals as a table", [_interval_table(of, errors)]),
    ]


def _budget_table(of: Findings, errors: pl.DataFrame, references: pl.DataFrame) -> Table:
    """A row for each predictor, a column for each budget; below them the best constant and the noise floor."""
    columns: dict[str, list[float | None]] = {}
    for budget in of.rankings:
        at = findings.is_at(budget)
        found = dict(errors.filter(at).select("predictor", "mae").iter_rows())
        (of_all,) = references.filter(at).iter_rows(named=True)
        columns[findings.asked(budget)] = [
            *(found.get(name) for name in of.names),
            of_all["constant"],
            of_all["noise_floor"],
        ]
    names = pl.Series("predictor", [*_marked(of, of.names), "best constant", "noise floor"])
    frame = pl.DataFrame([names, *(pl.Series(name, values, pl.Float64) for name, values in columns.items())])
    caption = f"Mean absolute error by items asked.{_MARK if of.own else ''}"
    return Table(frame, caption, dict.fromkeys(columns, number), shaded=list(columns))


def _interval_table(of: Findings, errors: pl.DataFrame) -> Table:
    order = pl.DataFrame({"predictor": of.names})
    rows = order.join(errors, on="predictor", how="left", maintain_order="left_right")
    budgets = pl.Series("items asked", [findings.asked(budget) for budget in rows.get_column("budget")])
    frame = rows.select("predictor", budgets, error="mae", low="mae_low", high="mae_high")
    return Table(frame, "Mean absolute error, with intervals of 95%.", dict.fromkeys(("error", "low", "high"), number))


_MARK = " > marks predictors that are no baselines."


def _marked(of: Findings, names: Iterable[str]) -> list[str]:
    """Names of predictors, with a mark at those that are no baselines."""
    return [f"> {name}" if name in of.own else name for name in names]


def _no_interval(reasons: pl.Series) -> list[Block]:
    """A sentence about why there are no intervals, if there are none of some."""
    found = reasons.drop_nulls().unique(maintain_order=True)
    return (
        [Paragraph(f"Some errors have no interval: {found[0].removeprefix('interval of mae: ')}.")]
        if len(found)
        else []
    )


def _ranking(of: Findings) -> list[Block]:
    blocks: list[Block] = []
    if of.ranking.height > 1:
        caption = (
            "How much larger the error is than that of the best predictor, with an interval of 95%. Tie group 1 ends "
            "before the first predictor that is separable from the best, by Holm's correction for all pairs."
        )
        alt = f"How far {counted(of.ranking.height - 1, 'predictor')} are behind {of.names[0]}."
        blocks.append(Figure(svg(charts.behind(of.ranking)), alt, caption))
    caption = f"With {asked_text(of.budget)}. {_RANKING_NOTE}{_MARK if of.own else ''}"
    blocks.append(_ranking_table(of, of.budget, caption))
    others = [budget for budget in of.rankings if budget != of.budget]
    if others:
        tables = [_ranking_table(of, budget, f"With {asked_text(budget)}.") for budget in others]
        blocks.append(Details("Rankings at other budgets", tables))
    return blocks


def ranking_text(of: Findings) -> str:
    """The best predictor, with whom it is tied, and how its error compares."""
    best = of.ranking.row(0, named=True)
    n_tied = of.ranking.filter(tie_group=1).height - 1
    why = of.ranking.get_column("why").drop_nulls()
    if of.ranking.height == 1:
        ties = "It is the only one"
    elif len(why) == of.ranking.height - 1:
        ties = f"Whether any is better cannot be said: {why[0]}"
    else:
        ties = f"It is tied with {counted(n_tied, 'other')}" if n_tied else "It is separable from all others"
    side = "below" if (best["skill"] or 0) >= 0 else "above"
    skill = "" if best["skill"] is None else f", {abs(best['skill']):.0%} {side} that of the best constant"
    floor = "" if best["noise_floor"] is None else f"; the noise floor is {number(best['noise_floor'])}"
    return (
        f"With {asked_text(of.budget)}, {best['predictor']} has the smallest mean absolute error: "
        f"{number(best['mae'])}{skill}{floor}. {ties}."
    )


_RANKED = {
    "predictor": "predictor",
    "rank": "rank",
    "tie_group": "tie group",
    "mae": "error",
    "skill": "skill",
    "behind": "behind",
    "behind_low": "low",
    "behind_high": "high",
    "p_holm": "p (Holm)",
    "minimum_detectable": "detectable",
    "n": "values",
    "answered": "answered",
}


def _ranking_table(of: Findings, budget: BudgetOf, caption: str) -> Table:
    rows = of.rankings[budget]
    rows = rows.with_columns(pl.Series("predictor", _marked(of, rows.get_column("predictor"))))
    chosen = rows.select(pl.col(name).alias(title) for name, title in _RANKED.items())
    errors = ("error", "behind", "low", "high", "detectable")
    formats: dict[str, Format] = {**dict.fromkeys(errors, number), "skill": ".1%", "p (Holm)": _p}
    return Table(chosen, caption, formats)


_RANKING_NOTE = (
    "Skill: by how much the error is below that of the best constant. Behind: how much larger it is than that of the "
    "best predictor, low and high its interval of 95%. Detectable: the difference that would be found in 80% of cases. "
    "A value without an answer counts with the mean of the train part."
)


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 0.0001 else "< 0.0001"


def _predicted_and_actual(of: Findings) -> list[Block]:
    n, n_first = findings.n_points(of)
    if not n:
        return [Paragraph("No value was answered.")]
    n_predictors = counted(len(of.shown), "predictor")
    if findings.is_binary(of):
        rows = findings.reliability(of)
        caption = (
            f"Outcomes are 0 or 1, so each point is the mean of a tenth of the predictions of one predictor, in the "
            f"order of the predicted value; {n:,} predictions at most, with {asked_text(of.budget)}. Below the dashed "
            "line predictions are too high."
        )
        alt = f"Mean actual against mean predicted outcomes of {n_predictors}, in tenths."
        return [Figure(svg(charts.panels(rows, of.shown, line=True)), alt, caption), *_binned_table(rows)]
    rows = findings.points(of)
    caption = (
        f"Each point is {POINTS[of.predictions.item(0, 'target')]}, with {asked_text(of.budget)}. "
        f"{_chosen_points(n, n_first)} On the dashed line a prediction is right; below it is too high."
    )
    alt = f"Actual against predicted scores of {n_predictors}."
    return [Figure(svg(charts.panels(rows, of.shown, line=False)), alt, caption)]


def _chosen_points(n: int, n_first: int) -> str:
    """Which of the predictions are drawn."""
    if n_first > findings.MAX_POINTS:
        return (
            f"Of {n:,} predictions of each predictor {findings.MAX_POINTS} are drawn: of the first draw, at equal "
            "distances in the order of the actual score."
        )
    return f"Of {n:,} predictions of each predictor the {n_first:,} of the first draw are drawn." if n_first < n else ""


def _binned_table(rows: pl.DataFrame) -> list[Block]:
    table = rows.select(
        "predictor", (pl.col("bin") + 1).alias("tenth"), pl.col("n").cast(pl.Int64), "predicted", "actual"
    )
    return [Details("The points as a table", [Table(table, "Means of each tenth.", _values())])]


def _values() -> dict[str, Format]:
    return {"predicted": number, "actual": number, "error": number}


def _sureness(of: Findings) -> list[Block]:
    blocks: list[Block] = []
    if findings.is_binary(of):
        formats = dict.fromkeys(("Brier score", "log loss", "slope", "in the large"), ".3f")
        caption = (
            "Predicted outcomes as probabilities. Slope: 1 if well calibrated, below 1 if predictions are too extreme. "
            "In the large: above 0 if they are too low on the whole."
        )
        columns = {"brier": "Brier score", "log_loss": "log loss", "calibration_slope": "slope"}
        columns["calibration_in_the_large"] = "in the large"
        blocks.append(Table(findings.calibration(of).rename(columns), caption, formats))
    covered = findings.coverage(of)
    if covered.is_empty():
        return [*blocks, Paragraph("No predictor gives a standard deviation, so there are no intervals to check.")]
    names = covered.get_column("predictor").unique(maintain_order=True)
    others = " The other predictors give no standard deviation." if len(names) < len(of.names) else ""
    caption = (
        f"Share of actual values in the intervals of {counted(len(names), 'predictor')}, against the nominal share. "
        "Intervals are those of a normal distribution with the standard deviation that the predictor gives. Below the "
        f"dashed line a predictor is too sure of itself.{others}"
    )
    alt = f"Coverage of intervals at {len(findings.NOMINAL)} levels."
    chart = svg(charts.coverage(covered.filter(pl.col("predictor").is_in(names.head(findings.MAX_SHOWN).to_list()))))
    return [*blocks, Figure(chart, alt, caption), _coverage_table(of, covered)]


def _coverage_table(of: Findings, covered: pl.DataFrame) -> Table:
    table = findings.spread_scores(of).rename({"crps": "CRPS", "interval_width": "width of 95%"})
    formats: dict[str, Format] = {"CRPS": number, "width of 95%": number}
    for nominal in findings.NOMINAL:
        rows = covered.filter(nominal=nominal).select("predictor", pl.col("actual").alias(f"{nominal:.0%} hold"))
        table = table.join(rows, on="predictor", how="left", maintain_order="left")
        formats[f"{nominal:.0%} hold"] = ".1%"
    return Table(
        table,
        "Share of actual values in the intervals of each level, CRPS, and the mean width of a 95% interval.",
        formats,
    )


def _by_groups(of: Findings) -> list[Block]:
    return [block for column in _OF_PLURAL for block in _by_group(of, column)]


def _by_group(of: Findings, column: str) -> list[Block]:
    table = findings.errors_by(of, column)
    what = _OF_PLURAL[column]
    if table.is_empty():
        return [Paragraph(f"The {column} of the models is not known.")]
    if table.height == 1:
        return [Paragraph(f"All values are of one {column}: {table.item(0, column)}.")]
    columns = {f"mae {place}": name for place, name in enumerate(of.shown)}
    shown = table.rename({"n": "values", "bias": "bias of the best"} | _unlike(columns, table.columns))
    formats = dict.fromkeys(shown.columns[4:], number) | {"bias of the best": number}
    caption = f"Mean absolute error by {column}, with {asked_text(of.budget)}; the largest of {of.shown[0]} first."
    tabular = Table(shown, f"{caption} Bias: mean of predicted − actual.", formats, shaded=shown.columns[4:])
    if column == "family":  # a finer form of organisations
        return [Details("Error by family", [tabular])]
    drawn = table.head(findings.MAX_GROUPS)
    rest = f" Of {table.height:,} {what} the first {drawn.height:,} are drawn." if drawn.height < table.height else ""
    alt = f"Errors of {counted(len(of.shown), 'predictor')} in {drawn.height:,} {what}."
    figure = Figure(svg(charts.errors_by(drawn, column, of.shown)), alt, caption + rest)
    return [figure, Details(f"Error by {column} as a table", [tabular])]


def _unlike(columns: dict[str, str], taken: list[str]) -> dict[str, str]:
    """Names of columns for predictors: a predictor may be called as another column is."""
    used = {*taken, "values", "bias of the best"}
    return {column: f"predictor {name}" if name in used else name for column, name in columns.items()}


def _worst(of: Findings) -> list[Block]:
    best, *others = of.shown
    blocks: list[Block] = [_worst_table(of, best, findings.MAX_WORST)]
    if others:
        blocks.append(Details("Largest errors of other predictors", [_worst_table(of, name, 5) for name in others]))
    return blocks


def _worst_table(of: Findings, name: str, n: int) -> Block:
    rows = findings.worst(of, name, n)
    if rows.is_empty():
        return Paragraph(f"{name} answered nothing, or was right about everything.")
    empty = [name for name in ("scenario", "item") if of.predictions.get_column(name).n_unique() == 1]
    draws = "; predicted and error are means over the draws" if rows.get_column("draws").max() != 1 else ""
    caption = f"What {name} was most wrong about, with {asked_text(of.budget)}{draws}."
    return Table(rows.drop(empty), caption, _values())
