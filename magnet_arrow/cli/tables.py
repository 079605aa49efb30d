"""Frames as lines of text: whole, or fitted to the width of a terminal.

In a pipe a table is whole: every column, and one line per row. On a terminal no line is wider. What gives way, in this
order: headers, which take up to three lines; names, which lose what most of them share, or their middle; columns.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, NamedTuple

import polars as pl

from magnet_arrow._text import as_size, for_terminal
from magnet_arrow.cli.short_names import cells_of, raised, shortened, without_middle

_INDENT = "  "
_LEAST = {"whole": 12, "name": 12, "prose": 24}
"""A text or a header is made so narrow before a column is left out, unless the layout says another width."""
_HARDLY = 3
"""A header that is so much wider than its column is not worth a second line."""
_MOST_LINES = 3
_WORD = re.compile(r"[^ _./:,-]*[ _./:,-]|[^ _./:,-]+")
"""A word of a header, with what is behind it; a header is broken between words."""
_MEASURED = 2
"""Of a longer text than four widths of the terminal, two widths of each end are looked at."""
_NUMBER = re.compile(r"[-+]?[0-9][0-9.,:eE+-]{0,24}")
"""Of a text such as a number or a date no digit is lost either."""
_SHORTENED = (pl.String, pl.Categorical, pl.Enum, pl.List, pl.Array, pl.Struct, pl.Binary, pl.Object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a command says about its table.

    Attributes:
        heading: columns whose values a terminal shows above their rows, once for all neighbours.
        drop: columns to leave out of a narrow table, the first one first; then columns without any value, and then
            the others, the last one first.
        least: how narrow the texts and the header of a column become before others are left out.
        whole: columns of text that is never shortened, such as ranges of numbers.
        right: columns of text that is aligned right, such as numbers in words of their own.
        prose: columns whose text is wrapped between words on a terminal.
        sizes: columns of numbers of bytes; they are shown with units, and without `_bytes` in their name.
        compared: columns whose texts are told apart from those beside them, not from those above and below.
        decimals: how many decimals floats have; by default those that they need.
        gap: what is between columns.
    """

    heading: Sequence[str] = ()
    drop: Sequence[str] = ()
    least: Mapping[str, int] = field(default_factory=dict)
    whole: Sequence[str] = ()
    right: Sequence[str] = ()
    prose: Sequence[str] = ()
    sizes: Sequence[str] = ()
    compared: Sequence[str] = ()
    decimals: int | None = None
    gap: str = "  "


PLAIN = Layout()


class Fitted(NamedTuple):
    """A table for a terminal, and the columns that have no room in it."""

    lines: Iterator[str]
    left_out: list[str]


def lines(frame: pl.DataFrame, layout: Layout = PLAIN) -> Iterator[str]:
    """A frame as a header and one line per row, however long.

    rich needs seven seconds for a table of 10,000 rows, this function a tenth of a second.
    """
    return _joined([_column(one, layout) for one in frame], layout.gap)


def fitted(frame: pl.DataFrame, width: int, layout: Layout = PLAIN) -> Fitted:
    """A frame as lines that fit a terminal, which has at least 40 columns.

    Args:
        frame: the frame.
        width: of the terminal.
        layout: what gives way first.
    """
    columns = [_clipped(_column(one, layout), width) for one in frame if one.name not in layout.heading]
    above = [name for name in layout.heading if name in frame.columns and columns]
    headings = _headings(frame.select(above), width)
    indent = _INDENT if len(set(headings)) > 1 else ""
    widths = _widths(columns, width - len(indent), layout)
    kept = [column for column in columns if column.name in widths]
    kept = _told_apart(kept, widths, layout.compared)
    shown, heights = _one_line_each([_fit(column, widths[column.name]) for column in kept])
    rows = (f"{indent}{line}" for line in _joined(shown, layout.gap))
    left_out = [column.name for column in columns if column.name not in widths]
    return Fitted(_under_headings(rows, len(shown[0].header) if shown else 0, heights, headings), left_out)


def cell_text(value: Any, decimals: int | None = None) -> str:
    """The text of a value, not escaped; of a float with so many decimals, or those it needs."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}" if decimals is None else f"{value:.{decimals}f}"
    return str(value.to_list() if isinstance(value, pl.Series) else value)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as text: its header, on one line or on more, and its cells, each on one line unless it is prose."""

    name: str
    header: list[str]
    cells: list[str]
    is_right: bool
    kind: Literal["whole", "name", "prose"]
    least: int

    @property
    def widest(self) -> int:
        return max(map(cells_of, self.cells), default=0)


def _column(series: pl.Series, layout: Layout) -> _Column:
    name, is_name = series.name, isinstance(series.dtype, _SHORTENED) and series.name not in layout.whole
    kind: Literal["whole", "name", "prose"] = "prose" if name in layout.prose else "name" if is_name else "whole"
    is_size = name in layout.sizes
    header = for_terminal(name.removesuffix("_bytes") if is_size else name)
    texts = map(_size_text, series) if is_size else (cell_text(value, layout.decimals) for value in series)
    return _Column(
        name,
        [header],
        list(map(for_terminal, texts)),
        is_right=series.dtype.is_numeric() or name in layout.right,
        kind=kind,
        least=layout.least.get(name, _LEAST[kind]),
    )


def _clipped(column: _Column, width: int) -> _Column:
    """The column without most of very long texts, since measuring wide characters is slow."""
    if column.kind != "name":
        return column
    most = _MEASURED * width
    cells = [cell if len(cell) <= 2 * most else cell[:most] + cell[-most:] for cell in column.cells]
    return replace(column, cells=cells)


def _size_text(value: int | None) -> str:
    return cell_text(None) if value is None else as_size(value)


def _widths(columns: list[_Column], width: int, layout: Layout) -> dict[str, int]:
    """How wide each column is that has room; texts have what is left, and then headers that would be on more lines."""
    limits = {column.name: _limits(column, width) for column in columns}
    empty = {column.name for column in columns if set(column.cells) == {cell_text(None)}}
    others = [column.name for column in reversed(columns) if column.name not in layout.drop]
    others.sort(key=lambda name: name not in empty)
    order = [name for name in (*layout.drop, *others) if name in limits]
    gap = len(layout.gap)
    while len(limits) > 1 and sum(least + gap for least, _, _ in limits.values()) - gap > width:
        del limits[order.pop(0)]
    if not limits:
        return {}
    least, enough, most = map(list, zip(*limits.values(), strict=True))
    room = width - gap * (len(limits) - 1)
    return dict(zip(limits, raised(raised(least, enough, room), most, room), strict=True))


def _limits(column: _Column, width: int) -> tuple[int, int, int]:
    """The least width; that of its cells, with the header on two lines; and that with the header on one."""
    (header,) = column.header
    one_line = cells_of(header)
    widest = min(column.widest, width) if column.kind != "whole" else column.widest
    two_lines = _narrowest(header, 2) if one_line > widest + _HARDLY else one_line
    three_lines = _narrowest(header, _MOST_LINES) if one_line > widest + _HARDLY else one_line
    least = widest
    if column.kind == "name":
        numbers = (cells_of(cell) for cell in column.cells if _NUMBER.fullmatch(cell))
        least = min(widest, max(column.least, max(numbers, default=0)))
    elif column.kind == "prose":
        least = min(widest, column.least)
    return (
        max(least, min(three_lines, column.least)),
        max(widest, min(two_lines, width)),
        max(widest, min(one_line, width)),
    )


def _header_lines(header: str, room: int) -> list[str]:
    """A header on as few lines as it takes in so many cells; without its middle if they are more than three."""
    found = [""]
    for word in _WORD.findall(header):
        if found[-1] and cells_of(found[-1] + word) > room:
            found.append(word)
        else:
            found[-1] += word
    fits = len(found) <= _MOST_LINES and all(cells_of(line) <= room for line in found)
    return found if fits else [without_middle(header, room)]


def _narrowest(header: str, n_lines: int) -> int:
    """The least width in which a header takes no more than so many lines."""
    words = [cells_of(word) for word in _WORD.findall(header)]
    widths = range(max(words, default=0), cells_of(header))
    return next(
        (
            width
            for width in widths
            if len(found := _header_lines(header, width)) <= n_lines and "".join(found) == header
        ),
        cells_of(header),
    )


def _fit(column: _Column, room: int) -> _Column:
    """The column, made so narrow."""
    (header,) = column.header
    cells = column.cells
    if column.kind == "prose":
        cells = ["\n".join(_wrapped(cell, room)) for cell in cells]
    elif column.kind == "name":
        short = shortened(cells, room)
        cells = [short[cell] for cell in cells]
    return replace(column, header=_header_lines(header, max(room, 1)), cells=cells)


def _told_apart(columns: list[_Column], widths: Mapping[str, int], compared: Sequence[str]) -> list[_Column]:
    """The columns; the texts of some are shortened so that they differ from those beside them."""
    beside = [column for column in columns if column.name in compared and column.kind == "name"]
    if len(beside) < 2:
        return columns
    room = min(widths[column.name] for column in beside)
    rows = []
    for row in zip(*(column.cells for column in beside), strict=True):
        short = shortened(row, room)
        rows.append([short[cell] for cell in row])
    cells = dict(zip([column.name for column in beside], map(list, zip(*rows, strict=True)), strict=False))
    return [replace(column, cells=cells.get(column.name, column.cells)) for column in columns]


def _wrapped(text: str, width: int) -> list[str]:
    """A text on lines of at most so many cells, broken between words; a longer word is shortened."""
    found = [""]
    for word in text.split():
        short = without_middle(word, width)
        line = f"{found[-1]} {short}".lstrip()
        if cells_of(line) <= width:
            found[-1] = line
        else:
            found.append(short)
    return found


def _one_line_each(columns: list[_Column]) -> tuple[list[_Column], list[int]]:
    """The columns with headers of equal height, and prose broken into cells; and how many lines each row takes."""
    n_header = max((len(column.header) for column in columns), default=0)
    level = [replace(one, header=[""] * (n_header - len(one.header)) + one.header) for one in columns]
    n_rows = len(columns[0].cells) if columns else 0
    if not any(column.kind == "prose" for column in columns):
        return level, [1] * n_rows
    heights = [1 + max(cell.count("\n") for cell in row) for row in zip(*(one.cells for one in columns), strict=True)]
    broken = []
    for one in level:
        cells = [cell.split("\n") for cell in one.cells]
        filled = [[*cell, *[""] * (height - len(cell))] for cell, height in zip(cells, heights, strict=True)]
        broken.append(replace(one, cells=[line for cell in filled for line in cell]))
    return broken, heights


def _joined(columns: list[_Column], gap: str) -> Iterator[str]:
    """Lines of columns that are padded to equal width."""
    padded = []
    for column in columns:
        cells = [*column.header, *column.cells]
        widths = list(map(cells_of, cells))
        widest = max(widths)
        spaces = [" " * (widest - width) for width in widths]
        pairs = zip(cells, spaces, strict=True)
        padded.append([space + cell if column.is_right else cell + space for cell, space in pairs])
    return (gap.join(row).rstrip() for row in zip(*padded, strict=True))


def _headings(values: pl.DataFrame, width: int) -> list[str]:
    """For each row what is above it: names of columns with their values, of which the first one is shortened."""
    if not values.width:
        return []
    name, *others = values.columns
    firsts = list(map(cell_text, values[name]))
    rests = [
        "".join(f", {other} {cell_text(value)}" for other, value in zip(others, row[1:], strict=True))
        for row in values.iter_rows()
    ]
    room = width - cells_of(name) - 1 - max(map(cells_of, rests), default=0)
    short = shortened(firsts, max(room, _LEAST["name"]))
    texts = [f"{name} {short[first]}{rest}" for first, rest in zip(firsts, rests, strict=True)]
    fitting = shortened(texts, width)
    return [fitting[text] for text in texts]


def _under_headings(rows: Iterator[str], n_header: int, heights: list[int], headings: list[str]) -> Iterator[str]:
    """The lines of a table, with a heading above each group of neighbours; a single one is above the whole table."""
    groups = len(set(headings))
    if groups == 1:
        yield headings[0]
    yield from islice(rows, n_header)
    if groups < 2:
        yield from rows
        return
    above = None
    for heading, height in zip(headings, heights, strict=True):
        if heading != above:
            above = heading
            yield heading
        yield from islice(rows, height)
