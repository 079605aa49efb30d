"""Pages, read back with the HTML parser of the standard library."""

import base64
import hashlib
import re

import polars as pl
import pytest
from html_elements import Elements

from magnet_arrow.pages import Details, Figure, Page, Paragraph, Preformatted, Section, Table, card

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


def page_of(*blocks: object) -> str:
    return Page("A page", "of blocks", [Section("One", blocks, "First.")], "The end.").html()  # type: ignore[arg-type]


SVG = '<svg width="9" height="9"><g clip-path="url(#part1)"/><defs><clipPath id="part1"/></defs></svg>'


def test_every_text_is_escaped() -> None:
    table = Table(pl.DataFrame({EVIL: [EVIL], "list": [[EVIL]]}), EVIL)
    blocks = (Paragraph(EVIL), Preformatted(EVIL), table, Details(EVIL, [Paragraph(EVIL)]), Figure(SVG, EVIL, EVIL))
    found = Elements(Page(EVIL, EVIL, [Section(EVIL, blocks, EVIL)], EVIL).html())
    assert not found.named("script")
    assert not found.named("img")
    # title, h1, subtitle, link, h2, intro, paragraph, pre, caption, header, two cells, summary, its text, SVG's title,
    # caption of the figure, footer
    assert found.text.count(EVIL) == 17
    assert EVIL in str(found.named("div")[-1]["aria-label"])


def test_the_policy_lets_in_this_style_alone() -> None:
    page = page_of()
    policy = str(Elements(page).named("meta")[1]["content"])
    style = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert len(style) == 1
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "url(" not in style[0]
    assert "@import" not in style[0]


def test_no_element_has_a_style_or_loads_anything() -> None:
    page = page_of(Table(pl.DataFrame({"a": [1.0]}), "t", shaded=["a"]), Figure(SVG, "alt", "caption"))
    for _, attributes in Elements(page).tags:
        assert not {"style", "src", "srcset", "data"} & set(attributes)
        assert str(attributes.get("href") or "#").startswith("#")


def test_headings_links_and_regions() -> None:
    page = Page("A", "b", [Section("One", []), Section("Two", [Table(pl.DataFrame({"x": [1]}), "t")])]).html()
    found = Elements(page)
    assert found.named("html") == [{"lang": "en"}]
    assert [tag for tag, _ in found.tags if re.fullmatch(r"h\d", tag)] == ["h1", "h2", "h2"]
    ids = [str(attributes["id"]) for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(attributes["href"])[1:] for attributes in found.named("a")]
    assert links[0] == "content"
    assert set(links) <= set(ids)
    assert [region["aria-labelledby"] for region in found.named("div")] == [found.named("caption")[0]["id"]]
    assert found.named("div")[0]["tabindex"] == "0"


def test_ids_of_charts_are_unique() -> None:
    found = Elements(page_of(Figure(SVG, "one", "1"), Figure(SVG, "two", "2")))
    clips = [str(attributes["id"]) for attributes in found.named("clippath")]
    assert len(set(clips)) == 2
    assert [f"url(#{clip})" for clip in clips] == [one["clip-path"] for one in found.named("g")]
    titles = [attributes["id"] for attributes in found.named("title")[1:]]
    assert titles == [svg["aria-labelledby"] for svg in found.named("svg")]


def test_table_has_headers_formats_and_shades() -> None:
    frame = pl.DataFrame(
        {"model": ["a", None], "n": [1234, None], "x": [0.0, 1.0], "y": [0.5, None], "ok": [True, None]}
    )
    table = Table(frame, "t", {"x": ".2f", "y": lambda value: f"{value:.0%}"}, shaded=["x", "y"])
    page = page_of(table)
    body = page.partition("<tbody>")[2].partition("</tbody>")[0].split()
    assert " ".join(body) == (
        '<tr><th scope="row">a</th><td class="number">1,234</td><td class="number heat-0">0.00</td>'
        '<td class="number heat-4">50%</td><td>yes</td></tr> '
        '<tr><th scope="row">–</th><td class="number">–</td><td class="number heat-8">1.00</td>'
        '<td class="number">–</td><td>–</td></tr>'
    )
    assert [header["scope"] for header in Elements(page).named("th")] == ["col"] * 5 + ["row"] * 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_shades_leave_out_what_is_no_number(value: float) -> None:
    page = page_of(Table(pl.DataFrame({"m": ["a", "b"], "x": [value, 2.0]}), "t", shaded=["x"]))
    assert re.findall(r'class="number( heat-\d)?">', page) == ["", "", " heat-0"]


def test_text_keeps_its_lines() -> None:
    assert "<pre>\n\nWhat?\n  Yes\\x1b</pre>" in page_of(Preformatted("\nWhat?\n  Yes\x1b"))


def test_card_styles_nothing_but_itself() -> None:
    shown = card("Runs <1>", {"runs & more": "2"}, ["A note."])
    assert "<style" not in shown
    assert "Runs &lt;1&gt;" in shown
    assert "runs &amp; more" in shown
    assert "A note." in shown
    assert not re.search(r"(?<!max-)\b(color|background|font-size)\s*:", shown)


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read(scheme: int) -> None:
    style = page_of().partition("<style>")[2]
    colours = {
        name: values[scheme]
        for name in re.findall(r"--([\w-]+): #", style)
        if (values := re.findall(rf"--{name}: (#[0-9a-f]{{6}})", style))
    }
    for name in ("text", "muted", "accent"):
        assert contrast(colours[name], colours["back"]) >= 4.5, name
        assert contrast(colours[name], colours["surface"]) >= 4.5, name
    for number in range(1, 9):
        assert contrast(colours[f"series-{number}"], colours["back"]) >= 3, number
    for number in range(9):
        assert contrast(colours[f"heat-{number}"], colours[f"on-heat-{number}"]) >= 4.5, number
