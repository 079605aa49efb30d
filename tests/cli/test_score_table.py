import polars as pl
import pytest

from magnet_arrow.cli.score_table import grouped, pivoted
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


def test_a_group_is_the_plain_mean_of_its_runs() -> None:
    assert grouped(SCORES, BY).rows() == [
        ("ebb-1b", "Moons", "exact_match", "test", 0.25, 1),
        ("ebb-1b", "Tides", "exact_match", "test", 0.75, 2),
        ("flow-7b", "Tides", "exact_match", "test", 1.0, 2),
    ]


def test_the_last_column_becomes_the_head() -> None:
    assert pivoted(grouped(SCORES, BY), BY, None) == [
        "model    Moons  Tides",
        "ebb-1b    0.25   0.75",
        "flow-7b      –      1",
    ]


def test_a_table_that_is_too_wide_is_turned_and_then_long() -> None:
    wide = grouped(SCORES.with_columns(pl.col("scenario") + "-a-long-name"), BY)
    assert pivoted(wide, BY, 36)[0].split() == ["scenario", "ebb-1b", "flow-7b"]
    assert pivoted(wide, BY, 20)[0].split() == ["model", "scenario", "metric", "split", "score", "runs"]
    assert len(pivoted(wide, BY, 20)) == 4


def test_several_metrics_have_columns_of_their_own() -> None:
    other = SCORES.head(1).with_columns(metric=pl.lit("f1_score"), split=pl.lit("valid"), score=pl.lit(0.125))
    none = SCORES.head(1).with_columns(metric=pl.lit(None, pl.String), split=pl.lit(None, pl.String))
    lines = pivoted(grouped(pl.concat([SCORES, other, none]), BY), BY, None)
    assert lines[0].split("  ")[-1] == "Tides f1_score valid"
    assert lines[1].split() == ["ebb-1b", "0.25", "0.75", "0.125"]


def test_one_column_is_a_list() -> None:
    assert pivoted(grouped(SCORES, ["model"]), ["model"], 10)[1].split() == [
        "ebb-1b", "exact_match", "test", "0.583333", "3",
    ]  # fmt: skip


def test_columns_that_cannot_be_grouped_by_are_named() -> None:
    with pytest.raises(ColumnNotFoundError, match=r"no column 'mdel'\.\n.*'model'"):
        grouped(SCORES, ["mdel"])
    for by in ([], ["model", "model"]):
        with pytest.raises(SettingError, match="names of columns, each once"):
            grouped(SCORES, by)
