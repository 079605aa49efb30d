"""What sections of a page are made of: paragraphs, tables, figures, and parts that open on a click."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import polars as pl

from magnet_arrow._text import for_html

Format: TypeAlias = "str | Callable[[Any], str]"
"""How a value is shown: a format specification, such as ".3f", or a function."""

NO_VALUE = "–"
N_SHADES = 9
_LONG_TEXT = 40
"""From here on a text is no name, and its column is made wide enough to be read."""


class Ids:
    """Gives ids that are unique on a page."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def new(self, prefix: str) -> str:
        """An id that no other element has."""
        return f"{prefix}-{next(self._numbers)}"


class Block(Protocol):
    """A part of a section."""

    def html(self, ids: Ids) -> str:
        """The part as HTML."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of text."""

    text: str

    def html(self, ids: Ids) -> str:
        """The part as HTML."""
        return f"<p>{for_html(self.text)}</p>"


@dataclass(frozen=True, slots=True)
class Preformatted:
    """Text whose lines and spaces stay: a prompt, a command."""

    text: str

    def html(self, ids: Ids) -> str:
        """The part as HTML."""
        return f"<pre>{_NEWLINE_THAT_HTML_DROPS.sub(chr(10) * 2, for_html(self.text))}</pre>"


_NEWLINE_THAT_HTML_DROPS = re.compile(r"\A\n")


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are hidden until the reader opens them by the summary.

    Attributes:
        summary: the line that is always shown.
        blocks: what it opens.
    """

    summary: str
    blocks: Sequence[Block]

    def html(self, ids: Ids) -> str:
        """The part as HTML."""
        inside = "\n".join(block.html(ids) for block in self.blocks)
        return f"<details><summary>{for_html(self.summary)}</summary>\n{inside}\n</details>"


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart.

    Attributes:
        svg: as `charts.svg` gives it.
        alt: what the chart shows, for those who do not see it.
        caption: what is written below.
    """

    svg: str
    alt: str
    caption: str

    def html(self, ids: Ids) -> str:
        """The part as HTML; ids inside of the SVG are made unique."""
        own = ids.new("chart")
        svg = _SVG_ID.sub(rf"\g<1>{own}-\g<2>", self.svg)
        svg = svg.replace("<svg ", f'<svg role="img" aria-labelledby="{own}" ', 1)
        svg = svg.replace(">", f'><title id="{own}">{for_html(self.alt)}</title>', 1)
        region = f'<div class="scroll" role="group" tabindex="0" aria-label="{for_html(self.caption)}">{svg}</div>'
        return f"<figure>{region}<figcaption>{for_html(self.caption)}</figcaption></figure>"


_SVG_ID = re.compile(r'(\bid="|="url\(#|href="#)([^")]+)')


@dataclass(frozen=True, slots=True)
class Table:
    """A frame as a table. The values in the first column are headers of their rows.

    Attributes:
        frame: the rows; names of columns are the headers.
        caption: what the table shows.
        formats: of columns, how their values are shown. By default integers have thousands separators, other numbers
            four digits, and lists commas.
        shaded: columns of numbers that are shaded as a heat map, all on one scale from the lowest to the highest.
    """

    frame: pl.DataFrame
    caption: str
    formats: Mapping[str, Format] = field(default_factory=dict)
    shaded: Sequence[str] = ()

    def html(self, ids: Ids) -> str:
        """The part as HTML: a part that scrolls by itself where the table is too wide."""
        own = ids.new("table")
        caption = f'<caption id="{own}">{for_html(self.caption)}</caption>'
        rows = "\n".join(self._rows())
        region = f'<div class="scroll" role="group" tabindex="0" aria-labelledby="{own}">'
        return f"{region}<table>{caption}\n<thead>{self._head()}</thead>\n<tbody>\n{rows}\n</tbody></table></div>"

    def _head(self) -> str:
        headers = (
            f'<th scope="col"{_css("number" if kind.is_numeric() else "")}>{_header(name)}</th>'
            for name, kind in self.frame.schema.items()
        )
        return f"<tr>{''.join(headers)}</tr>"

    def _rows(self) -> Sequence[str]:
        shade = self._shade()
        columns = [self._cells(column, shade, is_header=place == 0) for place, column in enumerate(self.frame)]
        return [f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True)]

    def _cells(self, column: pl.Series, shade: Callable[[Any], str], *, is_header: bool) -> list[str]:
        begin, end = ('<th scope="row"', "</th>") if is_header else ("<td", "</td>")
        shown = self.formats.get(column.name, _shown)
        escaped = _header if is_header else for_html
        plain = [_formatted(value, shown) for value in column]
        is_long = max(map(len, plain), default=0) > _LONG_TEXT
        kind = "number" if column.dtype.is_numeric() else "text" if is_long else ""
        shades = map(shade, column) if column.name in self.shaded else itertools.repeat("")
        return [f"{begin}{_css(kind, own)}>{escaped(text)}{end}" for text, own in zip(plain, shades, strict=False)]

    def _shade(self) -> Callable[[Any], str]:
        """Gives the class of a cell: which of `N_SHADES` equal parts of the scale its value is in."""
        values = [value for name in self.shaded for value in self.frame[name] if _is_number(value)]
        low, high = min(values, default=0.0), max(values, default=0.0)
        width = (high - low) or 1

        def shade(value: Any) -> str:
            return f"heat-{min(int((value - low) / width * N_SHADES), N_SHADES - 1)}" if _is_number(value) else ""

        return shade


def _header(text: str) -> str:
    """Text for HTML that may be broken behind the signs that names are made with."""
    return _SIGN.sub(r"\g<0><wbr>", for_html(text))


_SIGN = re.compile(r"[/_:=,-](?=\w)")


def _is_number(value: float | None) -> bool:
    return value is not None and abs(value) < float("inf")  # false of NaN too


def _css(*names: str) -> str:
    found = " ".join(filter(None, names))
    return f' class="{found}"' if found else ""


def _formatted(value: Any, shown: Format) -> str:
    if value is None:
        return NO_VALUE
    return format(value, shown) if isinstance(shown, str) else shown(value)


def _shown(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case pl.Series() | list():
            return ", ".join(_formatted(one, _shown) for one in value)
        case _:
            return str(value)
