"""A page of HTML that is complete in itself: style and charts are inside, scripts are forbidden."""

import base64
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from magnet_arrow._text import for_html
from magnet_arrow.pages.blocks import Block, Ids

GENERATOR = '<meta name="generator" content="magnet-arrow">'
"""By this line a page of ours is recognized."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page with a heading.

    Attributes:
        title: the heading.
        blocks: what is in it.
        intro: a paragraph that comes first; none if empty.
    """

    title: str
    blocks: Sequence[Block]
    intro: str = ""

    def html(self, own: str, ids: Ids) -> str:
        """The section as HTML, with `own` as id of its heading."""
        intro = f"<p>{for_html(self.intro)}</p>\n" if self.intro else ""
        inside = "\n".join(block.html(ids) for block in self.blocks)
        heading = f'<h2 id="{own}">{for_html(self.title)}</h2>'
        return f'<section aria-labelledby="{own}">\n{heading}\n{intro}{inside}\n</section>'


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        title: the heading, and the title of the window.
        subtitle: a line below it.
        sections: what is in it; a list of links leads to them.
        footer: the last line; none if empty.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    footer: str = ""

    def html(self) -> str:
        """The page as HTML; the same for the same content."""
        ids = Ids()
        own = [ids.new("section") for _ in self.sections]
        links = "".join(
            f'<li><a href="#{one}">{for_html(section.title)}</a></li>'
            for one, section in zip(own, self.sections, strict=True)
        )
        sections = "\n".join(section.html(one, ids) for one, section in zip(own, self.sections, strict=True))
        footer = f"<footer><p>{for_html(self.footer)}</p></footer>\n" if self.footer else ""
        return (
            f"{_head(self.title)}<body>\n"
            f'<a class="skip" href="#content">Skip to the content</a>\n'
            f'<header>\n<h1>{for_html(self.title)}</h1>\n<p class="subtitle">{for_html(self.subtitle)}</p>\n'
            f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n</header>\n'
            f'<main id="content" tabindex="-1">\n{sections}\n</main>\n{footer}</body>\n</html>\n'
        )


def _head(title: str) -> str:
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Only this very style is let in: a `style` attribute or element that text from a dump brought along would not be.
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n{GENERATOR}\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{for_html(title)}</title>\n'
        f"<style>{style}</style>\n</head>\n"
    )


@functools.cache
def _style() -> str:
    return files("magnet_arrow.pages").joinpath("page.css").read_text(encoding="utf-8").replace("\r\n", "\n")
