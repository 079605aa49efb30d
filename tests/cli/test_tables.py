"""Frames as lines: whole in a pipe, and no wider than a terminal, whatever they hold."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from strategies import TERMINAL_TEXTS

from magnet_arrow.cli.tables import Layout, fitted, lines


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
    assert list(fitted(frame, 80).lines) == list(lines(frame))


def test_long_rows_stay_one_line() -> None:
    assert list(lines(pl.DataFrame({"t": ["x" * 20_000]}))) == ["t", "x" * 20_000]


@pytest.mark.parametrize("rows", [lines, lambda frame: fitted(frame, 80).lines], ids=["whole", "fitted"])
def test_a_frame_without_rows_is_its_header(rows: object) -> None:
    assert list(rows(pl.DataFrame(schema={"a": pl.String, "b": pl.Int64}))) == ["a  b"]  # type: ignore[operator]
    assert list(rows(pl.DataFrame())) == []  # type: ignore[operator]


NAMES = st.sampled_from(["a", "per_instance_stats", "stats.name.perturbation.name", "日本語の名前" * 5, "x" * 70])
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.none()


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    """Up to eight columns of texts, whole numbers, floats and lists."""
    n_rows = draw(st.integers(0, 5))
    columns = []
    for index in range(draw(st.integers(1, 8))):
        dtype, values = draw(
            st.sampled_from(
                [
                    (pl.String, TERMINAL_TEXTS | st.none()),
                    (pl.Int64, NUMBERS),
                    (pl.Float64, st.floats() | st.none()),
                    (pl.List(pl.String), st.lists(TERMINAL_TEXTS, max_size=3)),
                    (pl.Boolean, st.booleans()),
                ]
            )
        )
        name = f"{draw(NAMES)}{index or ''}"
        columns.append(pl.Series(name, draw(st.lists(values, min_size=n_rows, max_size=n_rows)), dtype))
    return pl.DataFrame(columns)


@given(frames(), st.integers(40, 200), st.booleans())
def test_no_line_is_wider_than_the_terminal_and_no_number_is_broken(
    frame: pl.DataFrame, width: int, with_layout: bool
) -> None:
    first, last = frame.columns[0], frame.columns[-1]
    layout = Layout(drop=[first], prose=[last]) if with_layout else Layout()
    table = fitted(frame, width, layout)
    text = list(table.lines)
    assert all(cell_len(line) <= width for line in text)
    assert len(table.left_out) < frame.width
    for column in frame.drop(table.left_out):
        if column.dtype == pl.Int64:
            words = {word for line in text for word in line.split()}
            assert {str(number) for number in column if number is not None} <= words


@given(frames(), st.integers(40, 200))
def test_a_heading_is_above_its_rows(frame: pl.DataFrame, width: int) -> None:
    text = list(fitted(frame, width, Layout(heading=frame.columns[:1])).lines)
    assert all(cell_len(line) <= width for line in text)


def test_columns_give_way_in_the_order_of_the_layout() -> None:
    frame = pl.DataFrame({"name": ["a" * 60, "b" * 60], "note": ["n" * 30] * 2, "rows_of_samples": [1, 22]})
    # 60 and 30 and 15 cells and two gaps are 109.
    assert fitted(frame, 109).left_out == []
    table = fitted(frame, 40, Layout(drop=["note"], least={"name": 29}))
    assert table.left_out == ["note"]
    assert list(table.lines) == [
        " " * 32 + "rows_of_",
        "name" + " " * 29 + "samples",
        "a" * 14 + "…" + "a" * 15 + " " * 9 + "1",
        "b" * 14 + "…" + "b" * 15 + " " * 8 + "22",
    ]


def test_a_heading_stands_once_above_its_rows() -> None:
    frame = pl.DataFrame({"source": ["s", "s", "t"], "run": ["a", "b", "c"], "n": [1, 2, 3]})
    layout = Layout(heading=["source", "suite"])
    assert list(fitted(frame, 80, layout).lines) == [
        "  run  n",
        "source s",
        "  a    1",
        "  b    2",
        "source t",
        "  c    3",
    ]
    assert list(fitted(frame.head(2), 80, layout).lines) == ["source s", "run  n", "a    1", "b    2"]


def test_prose_is_wrapped_between_words() -> None:
    frame = pl.DataFrame({"name": ["a", "b"], "text": ["one two three four five six seven", "–"]})
    assert list(fitted(frame, 20, Layout(prose=["text"], least={"text": 10})).lines) == [
        "name  text",
        "a     one two three",
        "      four five six",
        "      seven",
        "b     –",
    ]


def test_sizes_have_units() -> None:
    frame = pl.DataFrame({"size_bytes": [1, 1234567, None]})
    assert list(lines(frame, Layout(sizes=["size_bytes"]))) == ["   size", " 1 byte", "1.23 MB", "      –"]


def test_a_number_that_is_text_is_not_broken_either() -> None:
    number = "123456789012345678901234"  # half of the terminal would be too narrow for it
    frame = pl.DataFrame({"a": [number, "x" * 60], "b": ["y" * 60, "z"]})
    _, line, _ = fitted(frame, 40).lines
    assert line.split()[0] == number


def test_texts_side_by_side_are_told_apart() -> None:
    metrics = [f"bbq_metric_{kind}_bias" for kind in ("ambiguous", "unambiguous")]
    frame = pl.DataFrame({"column": ["name"], "0": metrics[:1], "1": metrics[1:]})
    for layout, differ in ((Layout(), False), (Layout(compared=["0", "1"]), True)):
        _, line = fitted(frame, 36, layout).lines
        _, first, second = line.split()
        assert (first != second) == differ


def test_columns_without_a_value_give_way_before_others() -> None:
    frame = pl.DataFrame({"a": ["x" * 20], "none": [None], "b": ["y" * 20]}, schema_overrides={"none": pl.String})
    assert fitted(frame, 43, Layout(least={"a": 20, "b": 20})).left_out == ["none"]
    assert fitted(frame, 41, Layout(least={"a": 20, "b": 20})).left_out == ["none", "b"]
