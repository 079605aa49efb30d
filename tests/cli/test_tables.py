"""Frames as lines: aligned by what a terminal shows, escaped, never folded."""

import polars as pl

from magnet_arrow.cli.tables import lines


def test_rows_are_lines_and_columns_are_aligned() -> None:
    frame = pl.DataFrame(
        {"name": ["[/bold]", "b\x1b[2J\n", "日本"], "n": [None, 0.1 + 0.2, 1234567.0], "l": [[1], [], None]}
    )
    assert list(lines(frame)) == [
        "name" + " " * 18 + "n  l",
        "[/bold]" + " " * 15 + "–  [1]",
        r"b\x1b[2J\n" + " " * 10 + "0.3  []",
        "日本" + " " * 8 + "1.23457e+06  –",
    ]


def test_long_rows_stay_one_line() -> None:
    assert list(lines(pl.DataFrame({"t": ["x" * 20_000]}))) == ["t", "x" * 20_000]


def test_a_frame_without_rows_is_its_header() -> None:
    assert list(lines(pl.DataFrame(schema={"a": pl.String, "b": pl.Int64}))) == ["a  b"]
