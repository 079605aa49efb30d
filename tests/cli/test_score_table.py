import polars as pl
import pytest

from magnet_arrow.cli.score_table import as_table, grouped
from magnet_arrow.cli.tables import fitted, lines
from magnet_arrow.errors import ColumnNotFoundError, SettingError

SCORES = pl.DataFrame(
    [
        ("ebb-1b", "Tides", "exact_match", "test", 0.5),
        ("ebb-1b", "Tides", "exact_match", "test", 1.0),
        ("ebb-1b", "Moons", "exact_match", "test", 0.25),
        ("flow-7b", "Tides", "exact_match", "test", 1.0),
        ("flow-7b", "Tides", "exact_match", "test", None),
    ],
    schema=["model", "scenario", "metric", "split", "score"],
    orient="row",
)
BY = ["model", "scenario"]


def as_lines(groups: pl.DataFrame, by: list[str], width: int | None) -> list[str]:
    """As `scores` prints them, without the line that says what is left out."""
    table, layout = as_table(groups, by, width)
    return list(lines(table, layout) if width is None else fitted(table, width, layout).lines)


def test_a_group_is_the_plain_mean_of_its_runs() -> None:
    assert grouped(SCORES, BY).rows() == [
        ("ebb-1b", "Moons", "exact_match", "test", 0.25, 1),
        ("ebb-1b", "Tides", "exact_match", "test", 0.75, 2),
        ("flow-7b", "Tides", "exact_match", "test", 1.0, 2),
    ]


def test_the_last_column_becomes_the_head() -> None:
    assert as_lines(grouped(SCORES, BY), BY, None) == [
        "model     Moons   Tides",
        "ebb-1b   0.2500  0.7500",
        "flow-7b       –  1.0000",
    ]


def test_a_table_that_is_too_wide_is_turned_then_long() -> None:
    wide = grouped(SCORES.with_columns(pl.col("scenario") + "AndALongName"), BY)
    assert as_lines(wide, BY, 45)[0].split() == ["model", "MoonsAndALongName", "TidesAndALongName"]
    assert as_lines(wide, BY, 44)[0].split() == ["scenario", "ebb-1b", "flow-7b"]
    assert as_lines(wide, BY, 33) == [
        "  scenario            score  runs",
        "model ebb-1b",
        "  MoonsAndALongName  0.2500     1",
        "  TidesAndALongName  0.7500     2",
        "model flow-7b",
        "  TidesAndALongName  1.0000     2",
    ]


def test_columns_are_as_wide_as_a_terminal_shows_them() -> None:
    wide = grouped(SCORES.with_columns(scenario=pl.lit("日本" * 10)), BY)
    assert as_lines(wide, BY, 49)[0].split() == ["model", "日本" * 10]
    assert as_lines(wide, BY, 48)[0].split() == ["scenario", "ebb-1b", "flow-7b"]


def test_names_of_a_dump_are_escaped() -> None:
    named = grouped(SCORES.with_columns(model=pl.lit("a\x1b[2J"), scenario=pl.lit("b\n")), BY)
    for width in (None, 40):
        assert {line for line in as_lines(named, BY, width) if "\x1b" in line or "\n" in line} == set()


def test_several_metrics_have_columns_of_their_own() -> None:
    other = SCORES.head(1).with_columns(metric=pl.lit("f1_score"), split=pl.lit("valid"), score=pl.lit(0.125))
    none = SCORES.head(1).with_columns(metric=pl.lit(None, pl.String), split=pl.lit(None, pl.String))
    groups = grouped(pl.concat([SCORES, other, none]), BY)
    lines = as_lines(groups, BY, None)
    assert lines[0].split("  ")[-1] == "Tides f1_score valid"
    assert lines[1].split() == ["ebb-1b", "0.2500", "0.7500", "0.1250"]
    assert as_lines(groups, BY, 40)[:4] == [
        "  scenario  metric       split   score",
        "model ebb-1b",
        "  Moons     exact_match  test   0.2500",
        "  Tides     exact_match  test   0.7500",
    ]


def test_one_column_is_a_list() -> None:
    groups = grouped(SCORES, ["model"])
    assert as_lines(groups, ["model"], None) == [
        "model     score  runs",
        "ebb-1b   0.5833     3",
        "flow-7b  1.0000     2",
    ]


def test_no_scores_at_all() -> None:
    for by in (BY, ["model"]):
        for width in (None, 40):
            assert len(as_lines(grouped(SCORES.clear(), by), by, width)) <= 1


def test_columns_that_cannot_be_grouped_by_are_named() -> None:
    with pytest.raises(ColumnNotFoundError, match=r"no column 'mdel'\.\n.*'model'"):
        grouped(SCORES, ["mdel"])
    for by in ([], ["model", "model"]):
        with pytest.raises(SettingError, match="names of columns, each once"):
            grouped(SCORES, by)
