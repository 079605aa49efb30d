import polars as pl
import pytest

from magnet_arrow.cli.score_table import as_lines, grouped
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
    assert as_lines(grouped(SCORES, BY), BY, None) == [
        "model     Moons   Tides",
        "ebb-1b   0.2500  0.7500",
        "flow-7b       –  1.0000",
    ]


def test_a_table_that_is_too_wide_is_turned_then_long_then_paragraphs() -> None:
    wide = grouped(SCORES.with_columns(pl.col("scenario") + "-a-long-name"), BY)
    assert as_lines(wide, BY, 45)[0].split() == ["model", "Moons-a-long-name", "Tides-a-long-name"]
    assert as_lines(wide, BY, 44)[0].split() == ["scenario", "ebb-1b", "flow-7b"]
    assert as_lines(wide, BY, 33) == [
        "ebb-1b",
        "  0.2500  Moons-a-long-name",
        "  0.7500  Tides-a-long-name",
        "flow-7b",
        "  1.0000  Tides-a-long-name",
    ]


def test_a_long_table_has_no_column_that_is_the_same_everywhere() -> None:
    many = pl.concat(
        [SCORES.with_columns(scenario=pl.lit(f"{one}-scenario"), model=pl.lit(f"{one}b")) for one in "abcd"]
    )
    # (0.5 + 1 + 0.25 + 1) / 4: one of five runs has no score.
    assert as_lines(grouped(many, BY), BY, 31)[:2] == [
        "model  scenario     score  runs",
        "ab     a-scenario  0.6875     5",
    ]


def test_columns_are_as_wide_as_a_terminal_shows_them() -> None:
    wide = grouped(SCORES.with_columns(scenario=pl.lit("日本" * 10)), BY)
    assert as_lines(wide, BY, 49)[0].split() == ["model", "日本" * 10]
    assert as_lines(wide, BY, 48)[0] == "ebb-1b"


def test_names_of_a_dump_are_escaped() -> None:
    named = grouped(SCORES.with_columns(model=pl.lit("a\x1b[2J"), scenario=pl.lit("b\n")), BY)
    for width in (None, 1):
        assert {line for line in as_lines(named, BY, width) if "\x1b" in line or "\n" in line} == set()


def test_several_metrics_have_columns_of_their_own() -> None:
    other = SCORES.head(1).with_columns(metric=pl.lit("f1_score"), split=pl.lit("valid"), score=pl.lit(0.125))
    none = SCORES.head(1).with_columns(metric=pl.lit(None, pl.String), split=pl.lit(None, pl.String))
    groups = grouped(pl.concat([SCORES, other, none]), BY)
    lines = as_lines(groups, BY, None)
    assert lines[0].split("  ")[-1] == "Tides f1_score valid"
    assert lines[1].split() == ["ebb-1b", "0.2500", "0.7500", "0.1250"]
    assert as_lines(groups, BY, 10)[:4] == [
        "ebb-1b",
        "  0.2500  Moons exact_match test",
        "  0.7500  Tides exact_match test",
        "  0.1250  Tides f1_score valid",
    ]


def test_one_column_is_a_list() -> None:
    groups = grouped(SCORES, ["model"])
    assert as_lines(groups, ["model"], None) == [
        "model     score  runs",
        "ebb-1b   0.5833     3",
        "flow-7b  1.0000     2",
    ]
    assert as_lines(groups, ["model"], 10) == ["0.5833  ebb-1b", "1.0000  flow-7b"]


def test_no_scores_at_all() -> None:
    for by in (BY, ["model"]):
        for width in (None, 1):
            assert len(as_lines(grouped(SCORES.clear(), by), by, width)) <= 1


def test_columns_that_cannot_be_grouped_by_are_named() -> None:
    with pytest.raises(ColumnNotFoundError, match=r"no column 'mdel'\.\n.*'model'"):
        grouped(SCORES, ["mdel"])
    for by in ([], ["model", "model"]):
        with pytest.raises(SettingError, match="names of columns, each once"):
            grouped(SCORES, by)
