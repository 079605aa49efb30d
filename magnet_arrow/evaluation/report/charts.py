"""The charts of an evaluation's report, as Altair charts."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import polars as pl

from magnet_arrow.evaluation.report.findings import asked
from magnet_arrow.pages import charts

Chart: TypeAlias = Any  # Altair is optional, and its classes are not known without it

_ERROR = "mean absolute error"
_WIDTH, _HEIGHT = 480, 300
_PANEL, _PANELS_A_ROW = 165, 3
_STEP = 20
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
"""Colours alone do not tell predictors apart for everybody, nor on paper."""


def by_budget(errors: pl.DataFrame, references: pl.DataFrame, shown: Sequence[str]) -> Chart:
    """Lines of the error by budget with bands; the predictors that are not shown are thin and grey.

    Args:
        errors: of `findings.errors_by_budget`.
        references: of `findings.references_by_budget`.
        shown: the predictors that have a colour, the best first.
    """
    alt = charts.altair()
    order = [asked(budget) for budget in references.get_column("budget")]
    rows = errors.with_columns(pl.Series("asked", [asked(budget) for budget in errors.get_column("budget")]))
    is_shown = pl.col("predictor").is_in(list(shown))
    x = alt.X("asked:N", sort=order, title="items asked", axis=alt.Axis(labelAngle=0, grid=True))
    x = x.scale(alt.Scale(type="point", padding=0.4))
    y = alt.Y("mae:Q", title=_ERROR)
    others = alt.Chart(_data(rows.filter(~is_shown))).mark_line(
        color=charts.colour("muted"), strokeWidth=1, opacity=0.6
    )
    base = alt.Chart(_data(rows.filter(is_shown))).encode(x=x, color=_colour(shown))
    parts = [
        others.encode(x=x, y=y, detail="predictor:N"),
        base.mark_area(opacity=0.12).encode(y=alt.Y("mae_low:Q", title=_ERROR), y2="mae_high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=_shape(shown)),
        *_reference_lines(references, x),
    ]
    return alt.layer(*parts).properties(width=_WIDTH, height=_HEIGHT)


def _reference_lines(references: pl.DataFrame, x: Any) -> list[Chart]:
    """Dashed lines of the noise floor and of the best constant, those that are known, with their names."""
    alt = charts.altair()
    rows = references.with_columns(pl.Series("asked", [asked(one) for one in references.get_column("budget")]))
    found = []
    for name, text in (("constant", "best constant"), ("noise_floor", "noise floor")):
        known = rows.filter(pl.col(name).is_not_null())
        y = alt.Y(f"{name}:Q", title=_ERROR)
        line = alt.Chart(_data(known)).mark_line(color=charts.colour("text"), strokeDash=[5, 4], strokeWidth=1.2)
        named, align = (known.tail(1), "right") if name == "constant" else (known.head(1), "left")
        label = alt.Chart(_data(named)).mark_text(align=align, dy=-7, color=charts.colour("text"))
        found += [line.encode(x=x, y=y), label.encode(x=x, y=y, text=alt.value(text))] if known.height else []
    return found


def behind(ranking: pl.DataFrame) -> Chart:
    """How much larger each predictor's error is than the best one's, with intervals, in the colour of its tie group."""
    alt = charts.altair()
    rows = ranking.with_columns(
        pl.col("behind").fill_null(0.0),
        pl.when(pl.col("tie_group") == 1).then(pl.lit(_TIES[0])).otherwise(pl.lit(_TIES[1])).alias("tie"),
    )
    y = alt.Y("predictor:N", sort=rows.get_column("predictor").to_list(), title=None)
    base = alt.Chart(_data(rows)).encode(y=y, color=_tie_colour())
    x = alt.X("behind:Q", title="mean absolute error − that of the best", axis=_few_ticks())
    intervals = base.mark_rule(strokeWidth=2).encode(x=alt.X("behind_low:Q"), x2="behind_high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x=x, shape=_tie_shape())
    zero = alt.Chart(_data(rows.head(1))).mark_rule(color=charts.colour("muted")).encode(x=alt.datum(0))
    return alt.layer(zero, intervals, points).properties(width=_WIDTH - 80, height=alt.Step(_STEP))


_TIES = ["tie group 1", "later tie groups"]


def _tie_colour() -> Any:
    alt = charts.altair()
    scale = alt.Scale(domain=_TIES, range=[charts.colour("accent"), charts.colour("muted")])
    return alt.Color("tie:N", scale=scale, title=None, legend=_legend())


def _tie_shape() -> Any:
    alt = charts.altair()
    return alt.Shape("tie:N", scale=alt.Scale(domain=_TIES, range=["circle", "square"]), title=None, legend=_legend())


def panels(rows: pl.DataFrame, shown: Sequence[str], *, line: bool) -> Chart:
    """Predicted against actual values, a panel for each predictor, with the line of perfect predictions.

    Args:
        rows: `predictor`, `predicted`, `actual`.
        shown: the predictors, the best first.
        line: whether the points are joined, in the order of predicted values.
    """
    alt = charts.altair()
    low, high = _range(rows)
    domain = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("predicted:Q", title="predicted", scale=domain)
    y = alt.Y("actual:Q", title="actual", scale=domain)
    diagonal = alt.Chart(_data(pl.DataFrame({"predicted": [low, high], "actual": [low, high]})))
    found = []
    for name in shown:
        base = alt.Chart(_data(rows.filter(predictor=name))).encode(x=x, y=y)
        marks = [base.mark_line(strokeWidth=1.5)] if line else []
        marks.append(base.mark_point(filled=True, size=40 if line else 14, opacity=1 if line else 0.55))
        perfect = diagonal.mark_line(color=charts.colour("muted"), strokeDash=[4, 3], strokeWidth=1).encode(x=x, y=y)
        title = alt.TitleParams(name, fontSize=12, limit=_PANEL + 30, anchor="start")
        found.append(alt.layer(perfect, *marks).properties(width=_PANEL, height=_PANEL, title=title))
    return alt.concat(*found, columns=_PANELS_A_ROW)


def _range(rows: pl.DataFrame) -> tuple[float, float]:
    """From the lowest to the highest value of both, with some room; of scores between 0 and 1 no more than that."""
    values = pl.concat([rows.get_column("predicted"), rows.get_column("actual")])
    least, most = values.min(), values.max()
    assert isinstance(least, float)
    assert isinstance(most, float)
    room = 0.03 * ((most - least) or 1.0)
    low = max(0.0, least - room) if least >= 0 else least - room
    return low, min(1.0, most + room) if most <= 1 else most + room


def coverage(found: pl.DataFrame) -> Chart:
    """How many truths the predicted intervals hold, by how many they claim to hold."""
    alt = charts.altair()
    shown = found.get_column("predictor").unique(maintain_order=True).to_list()
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("nominal:Q", title="claimed", scale=scale, axis=alt.Axis(format="%"))
    y = alt.Y("actual:Q", title="truths in the interval", scale=scale, axis=alt.Axis(format="%"))
    base = alt.Chart(_data(found)).encode(x=x, color=_colour(shown))
    perfect = alt.Chart(_data(pl.DataFrame({"nominal": [0, 1], "actual": [0, 1]})))
    parts = [
        perfect.mark_line(color=charts.colour("muted"), strokeDash=[4, 3], strokeWidth=1).encode(x=x, y=y),
        base.mark_line(strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=55, opacity=1).encode(y=y, shape=_shape(shown)),
    ]
    return alt.layer(*parts).properties(width=_HEIGHT, height=_HEIGHT)


def errors_by(table: pl.DataFrame, column: str, shown: Sequence[str]) -> Chart:
    """A row of points for each scenario or organisation, a point for each predictor.

    Args:
        table: of `findings.errors_by`.
        column: what the rows are.
        shown: the predictors, the best first.
    """
    alt = charts.altair()
    names = {f"mae {place}": name for place, name in enumerate(shown)}
    rows = table.select(column, *names).unpivot(index=column, variable_name="of", value_name="mae")
    rows = rows.with_columns(pl.col("of").replace_strict(names).alias("predictor"))
    y = alt.Y(f"{column}:N", sort=table.get_column(column).to_list(), title=None, axis=alt.Axis(grid=True))
    x = alt.X("mae:Q", title=_ERROR, axis=_few_ticks())
    base = alt.Chart(_data(rows)).mark_point(filled=True, size=50, opacity=0.9)
    return base.encode(x=x, y=y, color=_colour(shown), shape=_shape(shown)).properties(
        width=_WIDTH - 80, height=alt.Step(_STEP)
    )


def _colour(shown: Sequence[str]) -> Any:
    alt = charts.altair()
    scale = alt.Scale(domain=list(shown), range=[charts.colour(name) for name in charts.SERIES[: len(shown)]])
    return alt.Color("predictor:N", scale=scale, title=None, legend=_legend())


def _shape(shown: Sequence[str]) -> Any:
    alt = charts.altair()
    scale = alt.Scale(domain=list(shown), range=list(_SHAPES[: len(shown)]))
    return alt.Shape("predictor:N", scale=scale, title=None, legend=_legend())


def _few_ticks() -> Any:
    """An axis on which the labels of small numbers do not touch each other."""
    return charts.altair().Axis(tickCount=6, labelSeparation=8)


def _legend() -> Any:
    return charts.altair().Legend(orient="bottom", columns=2, symbolOpacity=1, symbolSize=70)


def _data(rows: pl.DataFrame) -> Any:
    return charts.altair().Data(values=rows.to_dicts())
