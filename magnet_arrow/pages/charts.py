"""Altair charts as SVG in the colours of a page, which are others in the dark.

A chart is rendered once. Where it needs a colour it uses `colour(name)`, a colour that nobody would choose, and the
SVG has the page's variable in its place: `fill="var(--series-1)"`. Rendering twice, once for each scheme, would double
time and bytes.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from magnet_arrow._optional import optional_module
from magnet_arrow._text import for_terminal

if TYPE_CHECKING:
    import altair as alt

SERIES = tuple(f"series-{number}" for number in range(1, 9))
"""Names of eight colours that tell groups apart."""

_NAMES = ("text", "muted", "line", "accent", "back", "surface", *SERIES)
_STAND_INS = {name: f"#5e{number:02x}a7" for number, name in enumerate(_NAMES, 1)}
_VARIABLES = {stand_in: f"var(--{name})" for name, stand_in in _STAND_INS.items()}
# The fonts whose widths vl-convert knows; a page's own could be wider than the room that it leaves for labels.
_FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"


def altair() -> Any:
    """The module `altair`.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("altair", "Altair")


def require() -> None:
    """Check that charts can be drawn, before the work whose result they are to show.

    Raises:
        MissingPackageError: Altair or vl-convert is not installed.
    """
    altair()
    _module("vl_convert", "vl-convert")


def colour(name: str) -> str:
    """The colour of this name, to be used in a chart: "text", "muted", "line", "accent", or one of `SERIES`."""
    return _STAND_INS[name]


def svg(chart: "alt.TopLevelMixin") -> str:
    """A chart as SVG, for `Figure`. The background is transparent, and colours are those of the page.

    Marks have the page's accent colour, and groups those of `SERIES`, unless the chart says otherwise with
    `colour(name)`. Any other colour stays as it is, in the dark as well. Scales of colours that blend into each other
    are not translated.

    Raises:
        MissingPackageError: Altair or vl-convert is not installed.
    """
    vl_convert = _module("vl_convert", "vl-convert")
    # No addresses: a chart has its data in itself, and nothing that it says may be loaded.
    # Not validated, since all charts are ours: that takes a third of the time of a report.
    specified = _escaped(chart.to_dict(validate=False))
    drawn = vl_convert.vegalite_to_svg(specified, config=_config(), allowed_base_urls=[])
    ids = {own: f"part{number}" for number, own in enumerate(dict.fromkeys(_ID.findall(drawn)), 1)}
    # Only in tags: text may hold anything.
    return for_terminal(_TAG.sub(lambda tag: _for_page(tag[0], ids), drawn))


def _module(name: str, package: str) -> Any:
    return optional_module(name, f"Reports need {package} for their charts.", extra="report")


def _escaped(part: Any) -> Any:
    """A part of a chart; characters that are not allowed in XML are escaped, since they end vl-convert's process."""
    match part:
        case str():
            return for_terminal(part)
        case dict():
            return {name: _escaped(value) for name, value in part.items()}
        case list():
            return list(map(_escaped, part))
    return part


def _config() -> dict[str, Any]:
    text, muted, line, accent = map(colour, ("text", "muted", "line", "accent"))
    titles = {"titleColor": text, "labelColor": text, "titleFontSize": 12, "labelFontSize": 12}
    marks = ("arc", "area", "bar", "circle", "line", "point", "rect", "rule", "square", "tick")
    return {
        "aria": False,  # the page says what a chart shows; its parts would be read one by one
        "background": "transparent",
        "font": _FONT,
        "axis": {**titles, "gridColor": line, "domainColor": muted, "tickColor": muted, "labelLimit": 400},
        "legend": {**titles, "labelLimit": 400},
        "header": {**titles, "labelLimit": 400},
        "title": {"color": text, "subtitleColor": muted},
        "text": {"color": text},
        "view": {"stroke": line},
        "mark": {"color": accent},
        **{mark: {"color": accent} for mark in marks},
        "range": {"category": [colour(name) for name in SERIES]},
    }


_TAG = re.compile(r"<[^>]+>")
_ID = re.compile(r'<[^>]+ id="([^"]+)"')
_ANY_ID = re.compile(r'( id="|="url\(#|href="#)([^")]+)')
_COLOUR = re.compile(r'(?<=(?:fill|roke|olor)=")(?:#[0-9a-f]{6}|rgb\((\d+), ?(\d+), ?(\d+)\))(?=")')
_NEEDLESS = re.compile(r' (?:xmlns(?::xlink)?|role|aria-[a-z]+|pointer-events)="[^"]*"')


def _for_page(tag: str, ids: Mapping[str, str]) -> str:
    """A tag in the page's colours. Its ids do not depend on what this process has drawn before."""
    own = _ANY_ID.sub(lambda found: found[1] + ids.get(found[2], found[2]), _NEEDLESS.sub("", tag))
    return _COLOUR.sub(_variable, own)


def _variable(found: re.Match[str]) -> str:
    """The page's variable for a stand-in; another colour as it is."""
    numbers = [int(number) for number in found.groups() if number]
    shown = "#{:02x}{:02x}{:02x}".format(*numbers) if numbers else found[0]
    return _VARIABLES.get(shown, found[0])
