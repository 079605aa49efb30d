import re
import sys

import polars as pl
import pytest

from magnet_arrow.errors import MissingPackageError
from magnet_arrow.pages import charts

alt = charts.altair()


def drawn(**colours: str) -> str:
    frame = pl.DataFrame(
        {
            "name": ["a<b>&", 'say stop-color="#5e01a7" id="x" role="y"', "c\u202ed"],
            "group": ["g", "g", "h"],
            "x": [0.1, 0.2, 0.5],
        }
    )
    marks = alt.Chart(frame).mark_point(clip=True, **colours)
    return charts.svg(marks.encode(x="x:Q", y="name:N", **({} if colours else {"color": "group:N"})))


def test_colours_are_those_of_the_page() -> None:
    svg = drawn()
    colours = set(re.findall(r'(?:fill|stroke)="([^"]+)"', svg))
    assert {"var(--series-1)", "var(--series-2)", "var(--text)", "var(--line)", "var(--muted)"} <= colours
    assert not [colour for colour in colours if colour.startswith(("#", "rgb", "black", "white"))]
    assert 'stroke="var(--accent)"' in drawn(color=charts.colour("accent"))
    assert 'stroke="#4c78a8"' in drawn(color="#4c78a8")


def test_the_same_chart_is_the_same_svg() -> None:
    first = drawn()
    assert 'id="part1"' in first
    assert drawn() == first


def test_names_are_escaped() -> None:
    svg = drawn()
    assert ">a&lt;b&gt;&amp;</text>" in svg
    assert '>say stop-color="#5e01a7" id="x" role="y"</text>' in svg
    assert ">c\\u202ed</text>" in svg


def test_characters_that_xml_lacks_are_escaped_before_it_is_drawn() -> None:
    """With one in it, vl-convert would end this process."""
    frame = pl.DataFrame({"name": ["a\x1bb", "c\0d", "e\uffff"], "x": [1, 2, 3]})
    svg = charts.svg(alt.Chart(frame).mark_bar().encode(x="x:Q", y=alt.Y("name:N", sort=frame["name"].to_list())))
    assert re.findall(r">([ace][^<]+)</text>", svg) == ["a\\x1bb", "c\\x00d", "e\\uffff"]


def test_nothing_needs_a_style_or_an_address() -> None:
    svg = drawn()
    assert "style=" not in svg
    assert "http" not in svg
    assert "aria-" not in svg


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    chart = alt.Chart(pl.DataFrame({"x": [1]})).mark_point()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingPackageError, match=r"need vl-convert(.|\n)*'magnet-arrow\[report\]'"):
        charts.svg(chart)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingPackageError, match="need Altair"):
        charts.altair()
