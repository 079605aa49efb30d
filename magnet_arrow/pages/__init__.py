"""Text, frames and charts -> one HTML page that needs no other file and no network, or a card for a notebook.

A page is written in blocks and knows nothing of runs or evaluations. All text is escaped (`_text.for_html`), and the
page's policy (Content-Security-Policy) forbids scripts, and anything that would be loaded from elsewhere.
"""

from magnet_arrow.pages.blocks import Block, Details, Figure, Paragraph, Preformatted, Table
from magnet_arrow.pages.card import card, few
from magnet_arrow.pages.page import Page, Section
from magnet_arrow.pages.report import Report

__all__ = [
    "Block",
    "Details",
    "Figure",
    "Page",
    "Paragraph",
    "Preformatted",
    "Report",
    "Section",
    "Table",
    "card",
    "few",
]
